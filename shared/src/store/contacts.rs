//! Contacts, and the groups they are members of.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::table::{Item, StoreError, Table, string};
use super::{keys, numbers};
use crate::domain::channel::Channel;
use crate::domain::contact::{Contact, Wishes};
use crate::domain::phone::PhoneNumber;
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
    table.delete_many(left).await?;
    put_wishes(table, tenant, &before, contacts).await
}

/// What lies beside a number: who it reaches, and what they wish.
#[derive(Default, Serialize, Deserialize)]
struct AtNumber {
    contacts: BTreeMap<String, Wishes>,
}

/// Keeps the wishes of `contacts` beside their numbers, and takes them from numbers that they had before.
async fn put_wishes(
    table: &Table,
    tenant: &TenantId,
    before: &HashMap<String, Contact>,
    contacts: &[Contact],
) -> Result<(), StoreError> {
    let numbers = |contact: &Contact| Channel::BY_CHOICE.map(|channel| contact.number(channel).cloned()).into_iter().flatten();
    let of = |contacts: &mut dyn Iterator<Item = &Contact>| contacts.flat_map(numbers).collect::<HashSet<PhoneNumber>>();
    let mut all = of(&mut contacts.iter());
    all.extend(of(&mut before.values()));
    let all: Vec<&PhoneNumber> = all.iter().collect();
    let mut known = at_numbers(table, tenant, &all).await?;
    for old in before.values() {
        for number in numbers(old) {
            known.entry(number).or_default().remove(&old.id);
        }
    }
    for contact in contacts {
        for number in numbers(contact) {
            known.entry(number).or_default().insert(contact.id.clone(), contact.wishes());
        }
    }
    let items = known.into_iter().map(|(number, contacts)| {
        let key = keys::number_contacts(tenant, &table.keyring().number_hash(&number));
        table.item(&key, &AtNumber { contacts }, &[])
    });
    table.put_many(items.collect::<Result<_, _>>()?).await
}

/// Whom each of `numbers` reaches, by contact id, and what they wish. Numbers of nobody are left out.
pub async fn at_numbers(
    table: &Table,
    tenant: &TenantId,
    numbers: &[&PhoneNumber],
) -> Result<HashMap<PhoneNumber, BTreeMap<String, Wishes>>, StoreError> {
    let known = numbers::beside(table, tenant, numbers, keys::number_contacts).await?;
    known.into_iter().map(|(number, item)| Ok((number, table.value::<AtNumber>(item, &[])?.contacts))).collect()
}

/// The contacts of a number and what they wish, of the item that lies beside it.
pub(super) fn at_number(table: &Table, item: Item) -> Result<BTreeMap<String, Wishes>, StoreError> {
    Ok(table.value::<AtNumber>(item, &[])?.contacts)
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
