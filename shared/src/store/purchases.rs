//! Purchases of numbers: what was asked for under which key, so that the second try meets the first.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys;
use super::table::{StoreError, Table};
use super::transaction::{Write, write_if};
use crate::domain::message::derived;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

/// A purchase that was begun. Whether Twilio has sold the number, the account's own numbers say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    pub id: String,
    /// Of the request: another one under the same key is a conflict.
    pub fingerprint: String,
    // `number` is a word of DynamoDB's own.
    #[serde(rename = "e164")]
    pub number: PhoneNumber,
    /// `PN…`, once we know that it is ours.
    #[serde(default)]
    pub sid: Option<String>,
    pub asked_at: Timestamp,
    #[serde(default)]
    pub asked_by: Option<String>,
}

const SEALED: &[&str] = &["e164", "asked_by"];

/// The id of what is bought under `key`.
pub fn id(tenant: &TenantId, key: &str) -> String {
    derived(tenant, &["purchase", key])
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Purchase>, StoreError> {
    table.get(&keys::purchase(tenant, id)).await?.map(|item| table.value(item, SEALED)).transpose()
}

/// Notes that a purchase begins. Whether it is the first of its key.
pub async fn begin(table: &Table, tenant: &TenantId, purchase: &Purchase) -> Result<bool, StoreError> {
    let item = table.item(&keys::purchase(tenant, &purchase.id), purchase, SEALED)?;
    write_if(table, Write::put(table, item, "attribute_not_exists(pk)", HashMap::new())?).await
}

/// Notes which number it was.
pub async fn finish(table: &Table, tenant: &TenantId, purchase: &Purchase) -> Result<(), StoreError> {
    table.put_many(vec![table.item(&keys::purchase(tenant, &purchase.id), purchase, SEALED)?]).await
}

/// Gives the key back: nothing was bought under it.
pub async fn withdraw(table: &Table, tenant: &TenantId, id: &str) -> Result<(), StoreError> {
    table.delete_many(vec![keys::purchase(tenant, id)]).await
}
