//! Takes everything of a tenant away, a slice at a time. Each function says whether that was all; one that is called
//! again goes on where it was, since what is gone is not found any more. What waits is told its place, since there it
//! lies among that of others.
//!
//! Nothing here is opened but contacts, for their numbers: what an old key sealed goes all the same.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

use super::contacts;
use super::keys::{self, Index, Key, Lane, SK};
use super::table::{Item, Order, Query, StoreError, Table, key_of, number, string};
use super::transaction::{Write, write_if};
use crate::domain::conversation::State;
use crate::domain::tenant::TenantId;

/// So many entries are read at once.
const SLICE: u32 = 500;

/// What waits for its instant in a lane: messages, batches, what recurs, and other jobs than `job`, which does all this;
/// campaigns wait no more. A slice of those after the entry `after`, and the entry after which the next slice begins, if
/// there is one: most of them stay, since they are other tenants'.
pub async fn waiting(
    table: &Table,
    tenant: &TenantId,
    job: &str,
    lane: Lane,
    after: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let shard = keys::due_shard(tenant, lane);
    // `!` and `~` stand before and after whatever an entry may go on with.
    let range = after.map(|after| (format!("{after}!"), "~".to_string()));
    let (limit, order) = (Some(SLICE as i32), Order::Earliest);
    let query = Query { pk: &shard, index: Some(keys::DUE), range, limit, after: None, order };
    let (entries, next) = table.query(query).await?;
    let last = entries.last().map(|entry| string(entry, keys::DUE.sk).to_string()).filter(|_| next.is_some());
    let is_ours = |entry: &&Item| keys::due_tenant(string(entry, keys::DUE.sk)).as_ref() == Some(tenant);
    let ours = entries.iter().filter(is_ours).map(key_of).collect();
    for item in table.get_many(ours).await? {
        let key = key_of(&item);
        match keys::waiting(&key.sk) {
            // The number beside which it lies is found by it, so it goes with that.
            Some(keys::Waiting::Message) => forget_messages(table, tenant, vec![item]).await?,
            Some(keys::Waiting::Batch | keys::Waiting::Recurring) => whole(table, &key.pk).await?,
            Some(keys::Waiting::Job) if key != keys::job(tenant, job) => whole(table, &key.pk).await?,
            // It may lie beside very much, and is found by itself.
            Some(keys::Waiting::Campaign) => halt(table, &key).await?,
            Some(keys::Waiting::Job) | None => {}
        }
    }
    Ok(last)
}

/// Lets a campaign wake up no more, and whoever is at it write no more of it.
async fn halt(table: &Table, campaign: &Key) -> Result<(), StoreError> {
    let one = HashMap::from([(":one".to_string(), number(1))]);
    let expression = "REMOVE due_pk, due_sk ADD revision :one";
    write_if(table, Write::update(table, campaign, expression, Some("attribute_exists(pk)"), one)?).await?;
    Ok(())
}

/// Campaigns, with their files and rows: a slice of all that. Each goes itself when nothing is left of it, since it is
/// found by that.
pub async fn campaigns(table: &Table, tenant: &TenantId) -> Result<bool, StoreError> {
    let (entries, next) = slice(table, &keys::campaigns(tenant), Some(keys::TIME)).await?;
    let mut room = SLICE as usize;
    for campaign in entries.iter().map(key_of) {
        loop {
            let last = last_keys(table, &campaign.pk).await?;
            if last.is_empty() {
                break;
            }
            room = room.saturating_sub(last.len());
            table.delete_many(last).await?;
            if room == 0 {
                return Ok(false);
            }
        }
    }
    Ok(next.is_none())
}

/// The last keys of a partition whose items are large: they are not fetched. The item of a campaign comes first of its
/// partition.
async fn last_keys(table: &Table, pk: &str) -> Result<Vec<Key>, StoreError> {
    let query = table
        .client
        .query()
        .table_name(&table.name)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(pk.to_string()))
        .projection_expression("pk, sk")
        .consistent_read(true)
        .scan_index_forward(false)
        .limit(25);
    let answer = query.send().await.map_err(StoreError::unreachable)?;
    Ok(answer.items.unwrap_or_default().iter().map(key_of).collect())
}

/// What was ever asked for at once or again and again, and other jobs than `job`.
pub async fn asked(table: &Table, tenant: &TenantId, job: &str) -> Result<bool, StoreError> {
    let mut is_all = true;
    for list in [keys::batches(tenant), keys::recurrings(tenant), keys::jobs(tenant), keys::taken(tenant)] {
        let (entries, next) = slice(table, &list, Some(keys::TIME)).await?;
        for key in entries.iter().map(key_of).filter(|key| *key != keys::job(tenant, job)) {
            whole(table, &key.pk).await?;
        }
        is_all &= next.is_none();
    }
    Ok(is_all)
}

/// The messages of one UTC day, and what lies beside their numbers.
pub async fn messages(table: &Table, tenant: &TenantId, day: Date) -> Result<bool, StoreError> {
    let (entries, next) = slice(table, &keys::log(tenant, day), Some(keys::TIME)).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    forget_messages(table, tenant, items).await?;
    // The index may still name what has gone.
    table.delete_many(entries.iter().map(key_of).collect()).await?;
    Ok(next.is_none())
}

/// Whole messages, as they lie in the table.
async fn forget_messages(table: &Table, tenant: &TenantId, items: Vec<Item>) -> Result<(), StoreError> {
    let of_numbers = keys::phone(tenant, "");
    let mut beside = BTreeSet::new();
    for item in &items {
        let about = string(item, keys::ABOUT.pk);
        if about.starts_with(&of_numbers) {
            beside.insert(about.to_string());
            // For whom a message counted that went to nobody whom we know: see `accepted::person`.
            beside.insert(accepted(tenant, &format!("+{}", keys::phone_hash(about))));
        }
        let contact = string(item, "contact");
        if !contact.is_empty() {
            beside.insert(accepted(tenant, contact));
        }
    }
    for pk in beside {
        whole(table, &pk).await?;
    }
    table.delete_many(items.iter().map(key_of).collect()).await
}

fn accepted(tenant: &TenantId, person: &str) -> String {
    keys::accepted(tenant, person, Date::ZERO).pk
}

/// What numbers said about being messaged, and what was written with them.
pub async fn numbers(table: &Table, tenant: &TenantId) -> Result<bool, StoreError> {
    let inboxes = [State::Open, State::Handled].map(|state| keys::inbox(tenant, state.word()));
    let listed = [keys::opt_outs(tenant), keys::all_wishes(tenant)].into_iter().chain(inboxes);
    let mut is_all = true;
    for list in listed {
        let (entries, next) = slice(table, &list, Some(keys::TIME)).await?;
        let numbers: HashSet<String> = entries.iter().map(|entry| key_of(entry).pk).collect();
        for pk in numbers {
            whole(table, &pk).await?;
        }
        is_all &= next.is_none();
    }
    Ok(is_all)
}

/// Contacts, their groups, and what lies beside their numbers, those of before too.
pub async fn contacts(table: &Table, tenant: &TenantId) -> Result<bool, StoreError> {
    let (entries, next) = slice(table, &keys::contacts(tenant), None).await?;
    let ids: Vec<&str> = entries.iter().map(|entry| string(entry, SK)).collect();
    let mut beside: BTreeSet<String> = ids.iter().map(|id| accepted(tenant, id)).collect();
    for contact in contacts::get_many(table, tenant, &ids).await?.values() {
        let present = contact.numbers().into_iter().map(|number| table.keyring().number_hash(number));
        let hashes: Vec<String> = present.chain(contact.former_numbers.iter().cloned()).collect();
        for hash in hashes {
            beside.insert(accepted(tenant, &format!("+{hash}")));
            beside.insert(keys::phone(tenant, &hash));
        }
        beside.extend(contact.groups.iter().map(|group| keys::group(tenant, group)));
    }
    for pk in beside {
        whole(table, &pk).await?;
    }
    table.delete_many(entries.iter().map(key_of).collect()).await?;
    Ok(next.is_none())
}

/// Templates, and every version that they ever had.
pub async fn templates(table: &Table, tenant: &TenantId) -> Result<bool, StoreError> {
    let (entries, next) = slice(table, &keys::templates(tenant), None).await?;
    for entry in &entries {
        whole(table, &keys::template_versions(tenant, string(entry, SK))).await?;
    }
    table.delete_many(entries.iter().map(key_of).collect()).await?;
    Ok(next.is_none())
}

/// Whatever else lies in a partition of its own: a slice of each. `months` of the audit trail.
pub async fn rest(table: &Table, tenant: &TenantId, months: &[Date]) -> Result<bool, StoreError> {
    let mut partitions = vec![
        keys::lessons(tenant),
        keys::payments(tenant),
        keys::meter(tenant, "").pk,
        keys::pace(tenant, "").pk,
        keys::statistics(tenant, Date::ZERO).pk,
        keys::purchase(tenant, "").pk,
        keys::found(tenant, "").pk,
    ];
    partitions.extend(months.iter().map(|month| keys::audit(tenant, *month)));
    let mut is_all = true;
    for pk in partitions {
        let (items, next) = slice(table, &pk, None).await?;
        table.delete_many(items.iter().map(key_of).collect()).await?;
        is_all &= next.is_none();
    }
    table.delete_many(vec![keys::consents(tenant), keys::health(tenant), keys::swept(tenant)]).await?;
    Ok(is_all)
}

/// The settings: without them nobody knows the tenant any more.
pub async fn settings(table: &Table, tenant: &TenantId) -> Result<(), StoreError> {
    table.delete_many(vec![keys::settings(tenant)]).await
}

/// The first entries of a partition; and, if there are more, the last of them.
async fn slice(table: &Table, pk: &str, index: Option<Index>) -> Result<(Vec<Item>, Option<Item>), StoreError> {
    table.query(Query { pk, index, range: None, limit: Some(SLICE as i32), after: None, order: Order::Earliest }).await
}

/// All of a partition that holds little.
async fn whole(table: &Table, pk: &str) -> Result<(), StoreError> {
    let items = table.query_all(pk, None, None).await?;
    let keys: Vec<Key> = items.iter().map(key_of).collect();
    table.delete_many(keys).await
}
