//! Tenants: the directory of all, and each one's settings.

use serde::{Deserialize, Serialize};

use super::keys;
use super::table::{StoreError, Table};
use crate::domain::tenant::{Settings, TenantId};

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
}

/// Stores the settings, and the tenant in the directory. Replaces what was there.
pub async fn put_settings(table: &Table, tenant: &TenantId, settings: &Settings) -> Result<(), StoreError> {
    let entry = Entry { name: settings.name.clone() };
    let items = vec![table.item(&keys::settings(tenant), settings, &[])?, table.item(&keys::tenant_entry(tenant), &entry, &[])?];
    table.put_many(items).await
}

pub async fn settings(table: &Table, tenant: &TenantId) -> Result<Option<Settings>, StoreError> {
    table.get(&keys::settings(tenant)).await?.map(|item| settings_value(table, item)).transpose()
}

/// Every tenant there is, by id.
pub async fn all(table: &Table) -> Result<Vec<TenantId>, StoreError> {
    let entries = table.query_all(&keys::directory(), None, None).await?;
    let ids = entries.iter().map(|item| TenantId::parse(super::table::string(item, keys::SK)));
    ids.collect::<Result<_, _>>().map_err(|error| StoreError::Unreadable(error.into()))
}

/// `null` means something in settings (no quiet hours), so what the table leaves out is put back.
fn settings_value(table: &Table, mut item: super::table::Item) -> Result<Settings, StoreError> {
    item.entry("quietHours".into()).or_insert(aws_sdk_dynamodb::types::AttributeValue::Null(true));
    table.value(item, &[])
}
