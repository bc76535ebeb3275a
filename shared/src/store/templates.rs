//! A tenant's own templates, by name.

use std::collections::HashMap;

use super::keys;
use super::table::{StoreError, Table};
use crate::domain::catalogue;
use crate::domain::template::NamedTemplate;
use crate::domain::tenant::TenantId;

/// Stores a template, replacing what was there.
pub async fn put(table: &Table, tenant: &TenantId, template: &NamedTemplate) -> Result<(), StoreError> {
    let key = keys::template(tenant, &catalogue::template_key(&template.name));
    table.put_many(vec![table.item(&key, template, &[])?]).await
}

/// Those of `names` that the tenant has itself, by `catalogue::template_key`.
pub async fn get_many(table: &Table, tenant: &TenantId, names: &[&str]) -> Result<HashMap<String, NamedTemplate>, StoreError> {
    let wanted = names.iter().map(|name| keys::template(tenant, &catalogue::template_key(name))).collect();
    let items = table.get_many(wanted).await?;
    let templates = items.into_iter().map(|item| table.value::<NamedTemplate>(item, &[]));
    templates.map(|template| template.map(|template| (catalogue::template_key(&template.name), template))).collect()
}
