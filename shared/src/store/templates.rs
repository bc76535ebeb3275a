//! A tenant's own templates, by name: how each stands now, and every version that it ever had.
//!
//! A version is written once and never again, so whoever names one gets what it said. A deletion is a version too:
//! the name stays known, and what was made from it can be explained.

use std::collections::HashMap;

use jiff::Timestamp;

use super::keys::{self, Key};
use super::page;
use super::table::{Item, Order, StoreError, Table, number};
use super::transaction::{Write, write_all_if};
use crate::domain::catalogue::template_key;
use crate::domain::template::{NamedTemplate, StoredTemplate, Written};
use crate::domain::tenant::TenantId;

const NEW: &str = "attribute_not_exists(pk)";

/// Stores a template as the only version that it ever had, replacing what was there.
pub async fn put(table: &Table, tenant: &TenantId, template: &NamedTemplate) -> Result<(), StoreError> {
    let written = Written { template: template.clone(), description: None, trade: None };
    let first = StoredTemplate::next(None, written, None, Timestamp::UNIX_EPOCH);
    table.put_many(items(table, tenant, &first)?.into()).await
}

/// Writes `next` as a version for good, and as how the template stands, if it still stands as it was `seen`.
/// Whether it did.
pub async fn put_next(
    table: &Table,
    tenant: &TenantId,
    seen: Option<&StoredTemplate>,
    next: &StoredTemplate,
) -> Result<bool, StoreError> {
    let [version, present] = items(table, tenant, next)?;
    let present = match seen {
        Some(seen) => {
            let seen = HashMap::from([(":seen".to_string(), number(seen.version))]);
            Write::put(table, present, "version = :seen", seen)?
        }
        None => Write::put(table, present, NEW, HashMap::new())?,
    };
    write_all_if(table, vec![Write::put(table, version, NEW, HashMap::new())?, present]).await
}

/// The version, and how the template stands.
fn items(table: &Table, tenant: &TenantId, stored: &StoredTemplate) -> Result<[Item; 2], StoreError> {
    let name = template_key(&stored.written.template.name);
    let version = keys::template_version(tenant, &name, stored.version);
    Ok([table.item(&version, stored, &[])?, table.item(&keys::template(tenant, &name), stored, &[])?])
}

/// How the tenant's own template of this name stands, deleted ones too.
pub async fn get(table: &Table, tenant: &TenantId, name: &str) -> Result<Option<StoredTemplate>, StoreError> {
    one(table, keys::template(tenant, &template_key(name))).await
}

/// One version of the tenant's own template of this name.
pub async fn version(table: &Table, tenant: &TenantId, name: &str, version: u32) -> Result<Option<StoredTemplate>, StoreError> {
    one(table, keys::template_version(tenant, &template_key(name), version)).await
}

/// A name may come from anybody: what is no key has no item.
async fn one(table: &Table, key: Key) -> Result<Option<StoredTemplate>, StoreError> {
    table.get_many(vec![key]).await?.pop().map(|item| table.value(item, &[])).transpose()
}

/// All that the tenant has or had, by name.
pub async fn all(table: &Table, tenant: &TenantId) -> Result<Vec<StoredTemplate>, StoreError> {
    let items = table.query_all(&keys::templates(tenant), None, None).await?;
    items.into_iter().map(|item| table.value::<StoredTemplate>(item, &[])).collect()
}

/// A page of the versions of a template, the latest first, after the place `after`; and the place after which the
/// next page begins, if there is one.
pub async fn versions(
    table: &Table,
    tenant: &TenantId,
    name: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<StoredTemplate>, Option<String>), StoreError> {
    let pk = keys::template_versions(tenant, &template_key(name));
    let (items, next) = page::of_partition(table, &pk, Order::Latest, after, limit).await?;
    let versions = items.into_iter().map(|item| table.value::<StoredTemplate>(item, &[]));
    Ok((versions.collect::<Result<_, _>>()?, next))
}

/// Those of `names` that the tenant has itself, by [`template_key`].
pub async fn get_many(table: &Table, tenant: &TenantId, names: &[&str]) -> Result<HashMap<String, NamedTemplate>, StoreError> {
    let wanted = names.iter().map(|name| keys::template(tenant, &template_key(name))).collect();
    let mut templates = HashMap::new();
    for item in table.get_many(wanted).await? {
        let stored: StoredTemplate = table.value(item, &[])?;
        if !stored.deleted {
            templates.insert(template_key(&stored.written.template.name), stored.written.template);
        }
    }
    Ok(templates)
}
