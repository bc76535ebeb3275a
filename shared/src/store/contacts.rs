//! Contacts, and the groups they are members of.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::keys;
use super::table::{StoreError, Table, string};
use crate::domain::contact::Contact;
use crate::domain::tenant::TenantId;

const SEALED: &[&str] = &["phone", "whatsapp", "email"];

#[derive(Serialize)]
struct Member {}

/// Stores contacts and their memberships, replacing what was there.
pub async fn put_many(table: &Table, tenant: &TenantId, contacts: &[Contact]) -> Result<(), StoreError> {
    let ids: Vec<&str> = contacts.iter().map(|contact| contact.id.as_str()).collect();
    let before = get_many(table, tenant, &ids).await?;
    let mut left = Vec::new();
    let mut items = Vec::with_capacity(contacts.len());
    for contact in contacts {
        items.push(table.item(&keys::contact(tenant, &contact.id), contact, SEALED)?);
        let groups: HashSet<&String> = contact.groups.iter().collect();
        for group in &groups {
            items.push(table.item(&keys::group_member(tenant, group, &contact.id), &Member {}, &[])?);
        }
        let old = before.get(&contact.id).map_or(&[][..], |old| &old.groups);
        left.extend(old.iter().filter(|old| !groups.contains(old)).map(|old| keys::group_member(tenant, old, &contact.id)));
    }
    table.put_many(items).await?;
    table.delete_many(left).await
}

/// Those of `ids` that exist, by id.
pub async fn get_many(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Contact>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::contact(tenant, id)).collect()).await?;
    let contacts = items.into_iter().map(|item| table.value::<Contact>(item, SEALED));
    contacts.map(|contact| contact.map(|contact| (contact.id.clone(), contact))).collect()
}

/// The ids of a group's members.
pub async fn members(table: &Table, tenant: &TenantId, group: &str) -> Result<Vec<String>, StoreError> {
    let members = table.query_all(&keys::group(tenant, group), None, None).await?;
    Ok(members.iter().map(|item| string(item, keys::SK).to_string()).collect())
}
