//! Recurring messages: what goes again and again, and when next (S1-82).

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys;
use super::table::{Item, StoreError, Table, number};
use super::transaction::{Write, write_if};
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

/// Stores one that does not exist yet. Whether it did not.
pub async fn create(table: &Table, tenant: &TenantId, recurring: &Recurring) -> Result<bool, StoreError> {
    write(table, tenant, recurring, "attribute_not_exists(pk)", HashMap::new()).await
}

/// Writes the next state of one that was read at its present revision. Whether that was still so.
pub async fn update(table: &Table, tenant: &TenantId, mut recurring: Recurring) -> Result<bool, StoreError> {
    let seen = HashMap::from([(":seen".to_string(), number(recurring.revision))]);
    recurring.revision += 1;
    write(table, tenant, &recurring, "revision = :seen", seen).await
}

async fn write(
    table: &Table,
    tenant: &TenantId,
    recurring: &Recurring,
    condition: &str,
    values: HashMap<String, aws_sdk_dynamodb::types::AttributeValue>,
) -> Result<bool, StoreError> {
    let mut item = table.item(&keys::recurring(tenant, &recurring.id), recurring, SEALED)?;
    if let Some(next) = recurring.next {
        let (shard, entry) = keys::due_entry(tenant, &recurring.id, next);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    write_if(table, Write::put(table, item, condition, values)?).await
}

pub(super) fn recurring(table: &Table, item: Item) -> Result<Recurring, StoreError> {
    table.value(item, SEALED)
}
