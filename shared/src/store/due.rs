//! The due index: everything that waits for its instant, of all tenants.

use jiff::Timestamp;

use super::batches::{self, Batch};
use super::campaigns::{self, Campaign};
use super::jobs::{self, Job};
use super::keys::{self, Lane, SK, Waiting};
use super::messages;
use super::recurring::{self, Recurring};
use super::table::{Item, Order, Query, StoreError, Table, string};
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;

/// Something whose instant has come.
#[derive(Clone, Debug)]
pub enum Due {
    Message(Box<Message>),
    /// Its rows do not exist yet.
    Batch(Box<Batch>),
    Recurring(Box<Recurring>),
    Job(Box<Job>),
    Campaign(Box<Campaign>),
}

/// What waits in a lane of a shard until `now`, the earliest first, at most about `most`.
///
/// May be a moment old: whoever acts on it writes by compare-and-set.
pub async fn due(table: &Table, shard: u32, lane: Lane, most: usize, now: Timestamp) -> Result<Vec<(TenantId, Due)>, StoreError> {
    let partition = keys::due_partition(shard, lane);
    let mut waiting = Vec::new();
    let mut after = None;
    while waiting.len() < most {
        let range = Some(("0".to_string(), keys::up_to(now)));
        let (page, next) = table
            .query(Query {
                pk: &partition,
                index: Some(keys::DUE),
                range,
                limit: Some(most as i32),
                after,
                order: Order::Earliest,
            })
            .await?;
        for item in page {
            let Some(tenant) = keys::due_tenant(string(&item, keys::DUE.sk)) else { continue };
            let entry = string(&item, keys::DUE.sk).to_string();
            match read(table, item) {
                Ok(Some(due)) => waiting.push((tenant, due)),
                Ok(None) => {}
                // One that cannot be read does not keep the others waiting; somebody has to look at it.
                Err(error) => tracing::error!(%tenant, entry, %error, "something that is due cannot be read"),
            }
        }
        match next {
            None => break,
            next => after = next,
        }
    }
    Ok(waiting)
}

fn read(table: &Table, item: Item) -> Result<Option<Due>, StoreError> {
    Ok(match keys::waiting(string(&item, SK)) {
        Some(Waiting::Message) => Some(Due::Message(Box::new(messages::message(table, item)?))),
        Some(Waiting::Batch) => Some(Due::Batch(Box::new(batches::batch(table, item)?))),
        Some(Waiting::Job) => Some(Due::Job(Box::new(jobs::job(table, item)?))),
        Some(Waiting::Campaign) => Some(Due::Campaign(Box::new(campaigns::campaign(table, item)?))),
        Some(Waiting::Recurring) => Some(Due::Recurring(Box::new(recurring::recurring(table, item)?))),
        None => None,
    })
}

/// The earliest instant at which something waits in the shard of `tenant`, in either lane.
pub async fn next_due(table: &Table, tenant: &TenantId) -> Result<Option<Timestamp>, StoreError> {
    let mut next = None;
    for lane in Lane::ALL {
        let partition = keys::due_shard(tenant, lane);
        let (index, order) = (Some(keys::DUE), Order::Earliest);
        let query = Query { pk: &partition, index, range: None, limit: Some(1), after: None, order };
        let (page, _) = table.query(query).await?;
        let first = page.first().and_then(|item| keys::head_instant(string(item, keys::DUE.sk)));
        next = next.into_iter().chain(first).min();
    }
    Ok(next)
}
