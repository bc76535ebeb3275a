//! Tenants: the directory of all, and each one's settings.
//!
//! The directory is the platform's. What a tenant changes of its settings touches only its name there.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Item, Order, StoreError, Table, number, string};
use super::transaction::{Write, write_all_if, write_if};
use super::{keys, page};
use crate::domain::tenant::{Settings, TenantId};

/// A tenant, as the directory has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    // `name` is a word of DynamoDB's own.
    #[serde(rename = "known_as", default)]
    pub name: String,
    #[serde(rename = "stage", default)]
    pub state: TenantState,
    /// Nothing of a tenant that was made otherwise than by the platform's call.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was last suspended, resumed or deleted, by whom, and why.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    #[serde(default)]
    pub changed_by: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    /// The job that deletes it.
    #[serde(default)]
    pub job: Option<String>,
    /// Grows with every write; each write names the one it saw.
    #[serde(default)]
    pub revision: u32,
}

/// What the platform makes of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantState {
    #[default]
    Active,
    /// Everything is kept and can be read; nothing is sent.
    Suspended,
    Deleting,
    /// Nothing is left but this entry: an id is never used again, since tokens that name it may still be about.
    Deleted,
}

impl TenantState {
    /// Whether the tenant is there for its own people.
    pub fn is_there(self) -> bool {
        match self {
            Self::Active | Self::Suspended => true,
            Self::Deleting | Self::Deleted => false,
        }
    }
}

/// Settings as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub settings: Settings,
    /// Tells them from all others: a hash of them.
    pub version: String,
}

/// The attribute that holds the version.
const ETAG: &str = "etag";

/// Stores the settings, and the tenant in the directory. Replaces what was there.
pub async fn put_settings(table: &Table, tenant: &TenantId, settings: &Settings) -> Result<(), StoreError> {
    let put = Write::put(table, settings_item(table, tenant, settings)?, None, HashMap::new())?;
    write_all_if(table, vec![put, naming(table, tenant, settings)?]).await?;
    Ok(())
}

/// Makes a tenant. Whether there was none of this id, and never had been.
pub async fn create(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    by: Option<String>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const NEW: &str = "attribute_not_exists(pk)";
    let entry = Entry {
        name: settings.name.clone(),
        state: TenantState::Active,
        created_at: Some(now),
        changed_at: None,
        changed_by: by,
        reason: None,
        job: None,
        revision: 1,
    };
    let entry = table.item(&keys::tenant_entry(tenant), &entry, &[])?;
    let settings = settings_item(table, tenant, settings)?;
    let writes = vec![Write::put(table, entry, NEW, HashMap::new())?, Write::put(table, settings, NEW, HashMap::new())?];
    write_all_if(table, writes).await
}

/// Stores settings in the place of those that were `seen`. Whether those still stood there.
pub async fn replace_settings(table: &Table, tenant: &TenantId, settings: &Settings, seen: &Stored) -> Result<bool, StoreError> {
    let values = HashMap::from([(":seen".to_string(), AttributeValue::S(seen.version.clone()))]);
    // A tenant that was deleted meanwhile does not come back.
    let unchanged = "attribute_exists(pk) AND (attribute_not_exists(etag) OR etag = :seen)";
    let put = Write::put(table, settings_item(table, tenant, settings)?, unchanged, values)?;
    write_all_if(table, vec![put, naming(table, tenant, settings)?]).await
}

fn settings_item(table: &Table, tenant: &TenantId, settings: &Settings) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::settings(tenant), settings, &[])?;
    item.insert(ETAG.into(), AttributeValue::S(version(settings)?));
    Ok(item)
}

/// What keeps the name in the directory, and leaves the rest of the entry alone.
fn naming(table: &Table, tenant: &TenantId, settings: &Settings) -> Result<Write, StoreError> {
    let name = AttributeValue::S(settings.name.clone());
    let values = HashMap::from([(":name".to_string(), name), (":one".to_string(), number(1))]);
    Write::update(table, &keys::tenant_entry(tenant), "SET known_as = :name ADD revision :one", None, values)
}

/// What tells settings from all others.
pub fn version(settings: &Settings) -> Result<String, StoreError> {
    let text = serde_json::to_vec(settings).map_err(|error| StoreError::Unreadable(Box::new(error)))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    Ok(digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

pub async fn settings(table: &Table, tenant: &TenantId) -> Result<Option<Settings>, StoreError> {
    table.get(&keys::settings(tenant)).await?.map(|item| settings_value(table, item)).transpose()
}

/// The same, with what tells them from others.
pub async fn stored(table: &Table, tenant: &TenantId) -> Result<Option<Stored>, StoreError> {
    let Some(item) = table.get(&keys::settings(tenant)).await? else { return Ok(None) };
    let known = string(&item, ETAG).to_string();
    let settings = settings_value(table, item)?;
    let version = if known.is_empty() { version(&settings)? } else { known };
    Ok(Some(Stored { settings, version }))
}

/// Every tenant there is, by id; not those that are deleted, or about to be.
pub async fn all(table: &Table) -> Result<Vec<TenantId>, StoreError> {
    let mut all = Vec::new();
    for item in table.query_all(&keys::directory(), None, None).await? {
        let (tenant, entry) = listed(table, item)?;
        if entry.state.is_there() {
            all.push(tenant);
        }
    }
    Ok(all)
}

/// A page of the directory by id, after the tenant `after`; and the one after which the next page begins.
pub async fn page(
    table: &Table,
    after: Option<&TenantId>,
    limit: u32,
) -> Result<(Vec<(TenantId, Entry)>, Option<String>), StoreError> {
    let after = after.map(TenantId::as_str);
    let (items, next) = page::of_partition(table, &keys::directory(), Order::Earliest, after, limit).await?;
    Ok((items.into_iter().map(|item| listed(table, item)).collect::<Result<_, _>>()?, next))
}

fn listed(table: &Table, item: Item) -> Result<(TenantId, Entry), StoreError> {
    let tenant = TenantId::parse(string(&item, keys::SK)).map_err(|error| StoreError::Unreadable(error.into()))?;
    Ok((tenant, table.value(item, &[])?))
}

/// What the directory has of a tenant.
pub async fn entry(table: &Table, tenant: &TenantId) -> Result<Option<Entry>, StoreError> {
    table.get(&keys::tenant_entry(tenant)).await?.map(|item| table.value(item, &[])).transpose()
}

/// Writes the next state of an entry that was read at its present revision. Whether that was still so.
pub async fn update_entry(table: &Table, tenant: &TenantId, entry: &mut Entry) -> Result<bool, StoreError> {
    let (unchanged, seen) = match entry.revision {
        // Those of before had none.
        0 => ("attribute_not_exists(revision)", HashMap::new()),
        revision => ("revision = :seen", HashMap::from([(":seen".to_string(), number(revision))])),
    };
    entry.revision += 1;
    let item = table.item(&keys::tenant_entry(tenant), &*entry, &[])?;
    write_if(table, Write::put(table, item, unchanged, seen)?).await
}

/// `null` means something in settings (no quiet hours), so what the table leaves out is put back.
fn settings_value(table: &Table, mut item: Item) -> Result<Settings, StoreError> {
    item.entry("quietHours".into()).or_insert(AttributeValue::Null(true));
    table.value(item, &[])
}
