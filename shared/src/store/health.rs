//! What a tenant was told about its health: which alerts stand, and since when.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys;
use super::table::{StoreError, Table, number};
use super::transaction::{Write, write_if};
use crate::domain::tenant::TenantId;

/// The alerts that stand, by name, as they were read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub raised: BTreeMap<String, Raised>,
    revision: u32,
}

/// An alert that somebody was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    pub since: Timestamp,
    /// When it was last found to be so.
    pub seen_at: Timestamp,
}

pub async fn get(table: &Table, tenant: &TenantId) -> Result<Health, StoreError> {
    let health: Option<Health> = table.get(&keys::health(tenant)).await?.map(|item| table.value(item, &[])).transpose()?;
    Ok(health.unwrap_or_default())
}

/// Stores `health` if nobody else has since it was read. Whether that was so.
pub async fn update(table: &Table, tenant: &TenantId, mut health: Health) -> Result<bool, StoreError> {
    let seen = HashMap::from([(":seen".to_string(), number(health.revision))]);
    health.revision += 1;
    let item = table.item(&keys::health(tenant), &health, &[])?;
    write_if(table, Write::put(table, item, "attribute_not_exists(pk) OR revision = :seen", seen)?).await
}
