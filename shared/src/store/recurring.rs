//! Recurring messages: what goes again and again, and when next (S1-82).

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys::{self, Lane};
use super::messages;
use super::table::{Item, StoreError, Table, key_of, number};
use super::transaction::{Write, write_all_if, write_if};
use crate::domain::message::Message;
use crate::domain::recurrence::Recurrence;
use crate::domain::tenant::TenantId;

/// A message that recurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recurring {
    /// `rec_…`, derived.
    pub id: String,
    pub recurrence: Recurrence,
    /// What each occurrence is made from.
    pub message: Message,
    /// `None` when it is over or was canceled.
    pub next: Option<Timestamp>,
    pub created_at: Timestamp,
    pub revision: u32,
}

const SEALED: &[&str] = &["message"];

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Recurring>, StoreError> {
    table.get(&keys::recurring(tenant, id)).await?.map(|item| recurring(table, item)).transpose()
}

/// Stores one that does not exist yet, with its key. Whether neither did.
pub async fn create(table: &Table, tenant: &TenantId, recurring: &Recurring, key: Write) -> Result<bool, StoreError> {
    let item = item(table, tenant, recurring)?;
    let put = Write::put(table, item, "attribute_not_exists(pk)", HashMap::new())?;
    write_all_if(table, vec![put, key]).await
}

/// Writes the next state of one that was read at its present revision. Whether that was still so.
pub async fn update(table: &Table, tenant: &TenantId, recurring: Recurring) -> Result<bool, StoreError> {
    write_if(table, updating(table, tenant, recurring)?).await
}

/// The same along with `message`, which must not exist yet: both or neither. Whether all of that was so.
pub async fn update_creating(
    table: &Table,
    tenant: &TenantId,
    recurring: Recurring,
    message: &Message,
) -> Result<bool, StoreError> {
    let message = messages::creating(table, tenant, message)?;
    write_all_if(table, vec![updating(table, tenant, recurring)?, message]).await
}

fn updating(table: &Table, tenant: &TenantId, mut recurring: Recurring) -> Result<Write, StoreError> {
    let seen = HashMap::from([(":seen".to_string(), number(recurring.revision))]);
    recurring.revision += 1;
    Write::put(table, item(table, tenant, &recurring)?, "revision = :seen", seen)
}

/// Everything that recurs or did, the earliest asked for first.
pub async fn all(table: &Table, tenant: &TenantId) -> Result<Vec<Recurring>, StoreError> {
    let entries = table.query_all(&keys::recurrings(tenant), Some(keys::TIME), None).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut all = items.into_iter().map(|item| recurring(table, item)).collect::<Result<Vec<Recurring>, _>>()?;
    all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(all)
}

/// Takes one away: whoever would make an occurrence of it in this moment makes none.
pub async fn delete(table: &Table, tenant: &TenantId, id: &str) -> Result<(), StoreError> {
    table.delete_many(vec![keys::recurring(tenant, id)]).await
}

fn item(table: &Table, tenant: &TenantId, recurring: &Recurring) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::recurring(tenant, &recurring.id), recurring, SEALED)?;
    table.place(&mut item, keys::TIME, keys::recurrings(tenant), keys::instant_and(recurring.created_at, &recurring.id));
    if let Some(next) = recurring.next {
        let (shard, entry) = keys::due_entry(tenant, &recurring.id, next, Lane::First);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    Ok(item)
}

pub(super) fn recurring(table: &Table, item: Item) -> Result<Recurring, StoreError> {
    table.value(item, SEALED)
}
