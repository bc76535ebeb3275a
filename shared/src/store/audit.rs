//! The audit trail: who did what, when and from where. An entry is written once and never changed, and expires.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::table::{Order, StoreError, Table, number};
use super::{keys, page};
use crate::domain::tenant::TenantId;

/// One request, and what was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The gateway's id of the request.
    pub id: String,
    pub at: Timestamp,
    /// The token's subject; nobody's of a contact, which has none.
    #[serde(default)]
    pub actor: Option<String>,
    /// `viewer`, `staff`, `admin`, `platform`, or `contact`: by a link of its own.
    pub role: String,
    /// Method and route: `PUT /contacts/{id}`.
    pub action: String,
    /// What the path named, as it is: one of the tenant's own numbers, a template, a list.
    #[serde(default)]
    pub target: Option<String>,
    /// Keyed hash of a contact's id: once the contact is forgotten, this says nothing of anybody.
    #[serde(default)]
    pub contact: Option<String>,
    /// Keyed hash of a number.
    #[serde(default)]
    pub number: Option<String>,
    /// Of a change of the settings or of a contact: what it named, without the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Of the answer.
    pub status: u16,
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

const SEALED: &[&str] = &["target", "origin"];

/// Writes an entry, to be kept until `expires`.
pub async fn put(table: &Table, tenant: &TenantId, entry: &Entry, expires: Timestamp) -> Result<(), StoreError> {
    let mut item = table.item(&keys::audit_entry(tenant, entry.at, &entry.id), entry, SEALED)?;
    item.insert("expires".into(), number(expires.as_second()));
    let request = table.client.put_item().table_name(&table.name).set_item(Some(item));
    request.send().await.map_err(StoreError::unreachable)?;
    Ok(())
}

/// A page of one UTC month, the latest first, after the place `after`; and the place after which the next page
/// begins, if there is one.
pub async fn of_month(
    table: &Table,
    tenant: &TenantId,
    month: Date,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Entry>, Option<String>), StoreError> {
    let (items, next) = page::of_partition(table, &keys::audit(tenant, month), Order::Latest, after, limit).await?;
    let entries = items.into_iter().map(|item| table.value(item, SEALED)).collect::<Result<_, _>>()?;
    Ok((entries, next))
}

/// What entries call a contact.
pub fn contact_hash(table: &Table, id: &str) -> String {
    table.keyring().sign("contact", id).chars().take(16).collect()
}
