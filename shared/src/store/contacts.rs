//! Contacts, and the groups they are members of.
//!
//! Whoever changes one contact writes it only as it was read ([`replace`]); whoever brings many makes those that are new
//! ([`create_many`]), or sets them as they are ([`put_many`]). What lies beside their numbers follows from the contacts:
//! it is read anew and set until it is so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Item, Order, StoreError, Table, number, string};
use super::transaction::{ACTIONS, Write, write_all_if, write_if};
use super::{jobs, keys, numbers, page};
use crate::domain::contact::{Contact, Wishes};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

const SEALED: &[&str] = &["name", "phone", "whatsapp", "email", "attributes"];
/// Counts how often a contact, or what lies beside a number, was written.
const REVISION: &str = "revision";
const AS_READ: &str = "revision = :seen";
const NEW: &str = "attribute_not_exists(pk)";
/// What lies beside so many numbers is set at once.
const NUMBERS_AT_ONCE: usize = 50;
/// Others may write beside a number between our looks so often.
const TRIES: u32 = 8;

#[derive(Serialize)]
struct Member {}

/// A contact as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub contact: Contact,
    revision: u32,
}

fn item(table: &Table, tenant: &TenantId, contact: &Contact, revision: u32) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::contact(tenant, &contact.id), contact, SEALED)?;
    item.insert(REVISION.into(), number(revision));
    Ok(item)
}

fn member(table: &Table, tenant: &TenantId, group: &str, contact: &str) -> Result<Item, StoreError> {
    table.item(&keys::group_member(tenant, group, contact), &Member {}, &[])
}

fn known(table: &Table, item: Item) -> Result<Known, StoreError> {
    let revision = item.get(REVISION).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default();
    Ok(Known { contact: table.value(item, SEALED)?, revision })
}

/// The keyed hashes of a contact's numbers.
fn hashes(table: &Table, contact: &Contact) -> BTreeSet<String> {
    contact.numbers().into_iter().map(|number| table.keyring().number_hash(number)).collect()
}

/// `contact`, with the numbers that are its no more, whatever it says of them itself.
fn with_former(table: &Table, old: Option<&Contact>, mut contact: Contact) -> Contact {
    let Some(old) = old else { return Contact { former_numbers: BTreeSet::new(), ..contact } };
    let present = hashes(table, &contact);
    contact.former_numbers = &old.former_numbers | &(&hashes(table, old) - &present);
    contact
}

/// Stores contacts and their memberships, replacing what was there, whoever changed it meanwhile.
pub async fn put_many(table: &Table, tenant: &TenantId, contacts: &[Contact]) -> Result<(), StoreError> {
    let ids: Vec<&str> = contacts.iter().map(|contact| contact.id.as_str()).collect();
    let before = read_many(table, tenant, &ids).await?;
    let mut left = Vec::new();
    let mut items = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let old = before.get(&contact.id);
        let contact = with_former(table, old.map(|old| &old.contact), contact.clone());
        items.push(item(table, tenant, &contact, old.map_or(0, |old| old.revision) + 1)?);
        let groups: BTreeSet<&String> = contact.groups.iter().collect();
        for group in &groups {
            items.push(member(table, tenant, group, &contact.id)?);
        }
        let old: BTreeSet<&String> = old.into_iter().flat_map(|old| &old.contact.groups).collect();
        left.extend(old.difference(&groups).map(|group| keys::group_member(tenant, group, &contact.id)));
    }
    table.put_many(items).await?;
    table.delete_many(left).await?;
    put_wishes(table, tenant, &before, contacts).await
}

/// Stores contacts with their memberships where there are none of their ids, a transaction's worth at once. Those that
/// are stored; and those that are not, since somebody else made one of their transaction meanwhile, or since one alone
/// is too large for it: [`replace`] does it one by one.
pub async fn create_many(
    table: &Table,
    tenant: &TenantId,
    contacts: Vec<Contact>,
) -> Result<(Vec<Contact>, Vec<Contact>), StoreError> {
    let mut transactions: Vec<(Vec<Contact>, Vec<Write>)> = Vec::new();
    for contact in contacts {
        let contact = with_former(table, None, contact);
        let mut writes = vec![Write::put(table, item(table, tenant, &contact, 1)?, NEW, HashMap::new())?];
        for group in contact.groups.iter().collect::<BTreeSet<_>>() {
            writes.push(Write::put(table, member(table, tenant, group, &contact.id)?, None, HashMap::new())?);
        }
        if transactions.last().is_none_or(|(_, all)| all.len() + writes.len() > ACTIONS) {
            transactions.push((Vec::new(), Vec::new()));
        }
        if let Some((some, all)) = transactions.last_mut() {
            some.push(contact);
            all.extend(writes);
        }
    }
    let (mut made, mut left): (Vec<Contact>, Vec<Contact>) = (Vec::new(), Vec::new());
    for (some, writes) in transactions {
        let is_made = writes.len() <= ACTIONS && write_all_if(table, writes).await?;
        let to = if is_made { &mut made } else { &mut left };
        to.extend(some);
    }
    put_wishes(table, tenant, &HashMap::new(), &made).await?;
    Ok((made, left))
}

/// When those of the jobs `ids` were asked for that there are: whoever brings contacts looks for those that forget them.
pub async fn asked_for(table: &Table, tenant: &TenantId, ids: &[String]) -> Result<HashMap<String, Timestamp>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::job(tenant, id)).collect()).await?;
    let known = items.into_iter().map(|item| jobs::job(table, item));
    known.map(|job| job.map(|job| (job.id, job.created_at))).collect()
}

/// Puts `contact` in the place of what was read of it, or where nothing was; and its memberships with it. The contact
/// as it is stored; `None` if it has changed since it was read: nothing was written, read it again.
pub async fn replace(
    table: &Table,
    tenant: &TenantId,
    read: Option<&Known>,
    contact: Contact,
) -> Result<Option<Contact>, StoreError> {
    let old = read.map(|known| &known.contact);
    let contact = with_former(table, old, contact);
    if old != Some(&contact) {
        let (unchanged, revision) = match read {
            None => (NEW, 0),
            // From before there were revisions.
            Some(Known { revision: 0, .. }) => ("attribute_exists(pk) AND attribute_not_exists(revision)", 0),
            Some(Known { revision, .. }) => (AS_READ, *revision),
        };
        let seen = if unchanged == AS_READ { seen(revision) } else { HashMap::new() };
        let mut writes = vec![Write::put(table, item(table, tenant, &contact, revision + 1)?, unchanged, seen)?];
        let groups: BTreeSet<&String> = contact.groups.iter().collect();
        let before: BTreeSet<&String> = old.into_iter().flat_map(|old| &old.groups).collect();
        for group in groups.difference(&before) {
            writes.push(Write::put(table, member(table, tenant, group, &contact.id)?, None, HashMap::new())?);
        }
        for group in before.difference(&groups) {
            writes.push(Write::delete(table, &keys::group_member(tenant, group, &contact.id))?);
        }
        // More groups than one transaction takes come from files alone.
        let rest = writes.split_off(writes.len().min(ACTIONS));
        if !write_all_if(table, writes).await? {
            return Ok(None);
        }
        for chunk in rest.chunks(ACTIONS) {
            write_all_if(table, chunk.to_vec()).await?;
        }
    }
    // Also of a contact that is already so: whoever made it so may have come no further.
    for hash in &(&hashes(table, &contact) | &contact.former_numbers) {
        keep_at_number(table, tenant, hash, &contact.id, Beside::AsStored).await?;
    }
    Ok(Some(contact))
}

/// Takes a contact away: its wishes beside its numbers, present and former, its memberships, and itself at last, so
/// that a repetition finds it until all is done.
pub async fn delete(table: &Table, tenant: &TenantId, contact: &Contact) -> Result<(), StoreError> {
    for hash in &(&hashes(table, contact) | &contact.former_numbers) {
        keep_at_number(table, tenant, hash, &contact.id, Beside::Gone).await?;
    }
    let groups: BTreeSet<&String> = contact.groups.iter().collect();
    let members = groups.into_iter().map(|group| keys::group_member(tenant, group, &contact.id));
    table.delete_many(members.collect()).await?;
    table.delete_many(vec![keys::contact(tenant, &contact.id)]).await
}

fn seen(revision: u32) -> HashMap<String, aws_sdk_dynamodb::types::AttributeValue> {
    HashMap::from([(":seen".to_string(), number(revision))])
}

/// What lies beside a number: who it reaches, and what they wish.
#[derive(Default, Serialize, Deserialize)]
struct AtNumber {
    contacts: BTreeMap<String, Wishes>,
    #[serde(default)]
    revision: u32,
}

impl AtNumber {
    /// Whether that changes anything.
    fn set(&mut self, id: &str, wishes: Option<Wishes>) -> bool {
        if self.contacts.get(id) == wishes.as_ref() {
            return false;
        }
        match wishes {
            Some(wishes) => self.contacts.insert(id.to_string(), wishes),
            None => self.contacts.remove(id),
        };
        true
    }

    /// Writes it beside its number, if nobody has since it was read.
    fn into_write(mut self, table: &Table, tenant: &TenantId, hash: &str) -> Result<Write, StoreError> {
        let unchanged = if self.revision == 0 { "attribute_not_exists(revision) OR revision = :seen" } else { AS_READ };
        let seen = seen(self.revision);
        self.revision += 1;
        Write::put(table, table.item(&keys::number_contacts(tenant, hash), &self, &[])?, unchanged, seen)
    }
}

/// Keeps the wishes of `contacts` beside their numbers, and takes them from numbers that they had before.
async fn put_wishes(
    table: &Table,
    tenant: &TenantId,
    before: &HashMap<String, Known>,
    contacts: &[Contact],
) -> Result<(), StoreError> {
    let mut touched: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for contact in contacts.iter().chain(before.values().map(|known| &known.contact)) {
        for hash in hashes(table, contact) {
            touched.entry(hash).or_default().insert(&contact.id);
        }
    }
    let touched: Vec<(String, BTreeSet<&str>)> = touched.into_iter().collect();
    for some in touched.chunks(NUMBERS_AT_ONCE) {
        if write_all_if(table, beside(table, tenant, some).await?).await? {
            continue;
        }
        // Somebody else changed one of them.
        for (hash, ids) in some {
            for id in ids {
                keep_at_number(table, tenant, hash, id, Beside::AsStored).await?;
            }
        }
    }
    Ok(())
}

/// What writes beside some numbers what the contacts of these ids say. As in [`keep_at_number`] the contacts are read
/// after what lies there.
async fn beside(table: &Table, tenant: &TenantId, numbers: &[(String, BTreeSet<&str>)]) -> Result<Vec<Write>, StoreError> {
    let mut known: HashMap<String, AtNumber> = HashMap::new();
    let places = numbers.iter().map(|(hash, _)| keys::number_contacts(tenant, hash)).collect();
    for item in table.get_many(places).await? {
        let hash = keys::phone_hash(string(&item, keys::PK)).to_string();
        known.insert(hash, table.value(item, &[])?);
    }
    let ids: BTreeSet<&str> = numbers.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let contacts = get_many(table, tenant, &ids.into_iter().collect::<Vec<_>>()).await?;
    let mut writes = Vec::new();
    for (hash, ids) in numbers {
        let mut at_number = known.remove(hash).unwrap_or_default();
        let mut is_changed = false;
        for id in ids {
            let contact = contacts.get(*id).filter(|contact| hashes(table, contact).contains(hash));
            is_changed |= at_number.set(id, contact.map(Contact::wishes));
        }
        if is_changed {
            writes.push(at_number.into_write(table, tenant, hash)?);
        }
    }
    Ok(writes)
}

/// What is to be said of a contact beside a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// What the contact says, if the number is one of its numbers.
    AsStored,
    Gone,
}

/// Sets what lies beside one number of one contact. The contact is read after it, and it is written only as it was
/// read: whatever others change meanwhile, the last of them writes what holds.
async fn keep_at_number(table: &Table, tenant: &TenantId, hash: &str, id: &str, beside: Beside) -> Result<(), StoreError> {
    let key = keys::number_contacts(tenant, hash);
    for _ in 0..TRIES {
        let item = table.get(&key).await?;
        let mut at_number: AtNumber = item.map(|item| table.value(item, &[])).transpose()?.unwrap_or_default();
        let contact = if beside == Beside::AsStored { get(table, tenant, id).await? } else { None };
        let wishes = contact.filter(|contact| hashes(table, contact).contains(hash)).map(|contact| contact.wishes());
        if !at_number.set(id, wishes) || write_if(table, at_number.into_write(table, tenant, hash)?).await? {
            return Ok(());
        }
    }
    Err(StoreError::Unreachable("what lies beside a number kept changing".into()))
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

/// One contact, to be replaced as it was read.
pub async fn read(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Known>, StoreError> {
    Ok(read_many(table, tenant, &[id]).await?.remove(id))
}

async fn read_many(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Known>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::contact(tenant, id)).collect()).await?;
    let contacts = items.into_iter().map(|item| known(table, item));
    contacts.map(|known| known.map(|known| (known.contact.id.clone(), known))).collect()
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Contact>, StoreError> {
    Ok(get_many(table, tenant, &[id]).await?.remove(id))
}

/// Those of `ids` that exist, by id.
pub async fn get_many(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Contact>, StoreError> {
    let known = read_many(table, tenant, ids).await?;
    Ok(known.into_iter().map(|(id, known)| (id, known.contact)).collect())
}

/// A page of the contacts by id, after the id `after`; and the id after which the next begins, if there is one.
pub async fn list(
    table: &Table,
    tenant: &TenantId,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Contact>, Option<String>), StoreError> {
    let (items, next) = page::of_partition(table, &keys::contacts(tenant), Order::Earliest, after, limit).await?;
    Ok((items.into_iter().map(|item| table.value(item, SEALED)).collect::<Result<_, _>>()?, next))
}

/// Every contact, by id.
pub async fn all(table: &Table, tenant: &TenantId) -> Result<Vec<Contact>, StoreError> {
    let items = table.query_all(&keys::contacts(tenant), None, None).await?;
    items.into_iter().map(|item| table.value(item, SEALED)).collect()
}

/// The groups that anybody is in, and how many each has.
pub async fn groups(table: &Table, tenant: &TenantId) -> Result<BTreeMap<String, u32>, StoreError> {
    let mut groups = BTreeMap::new();
    for contact in all(table, tenant).await? {
        for group in contact.groups.into_iter().collect::<BTreeSet<_>>() {
            *groups.entry(group).or_default() += 1;
        }
    }
    Ok(groups)
}

/// The ids of a group's members.
pub async fn members(table: &Table, tenant: &TenantId, group: &str) -> Result<Vec<String>, StoreError> {
    let members = table.query_all(&keys::group(tenant, group), None, None).await?;
    Ok(members.iter().map(|item| string(item, keys::SK).to_string()).collect())
}

/// A page of a group's members by id, as [`list`].
pub async fn of_group(
    table: &Table,
    tenant: &TenantId,
    group: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Contact>, Option<String>), StoreError> {
    let (members, next) = page::of_partition(table, &keys::group(tenant, group), Order::Earliest, after, limit).await?;
    let ids: Vec<&str> = members.iter().map(|item| string(item, keys::SK)).collect();
    let mut contacts = get_many(table, tenant, &ids).await?;
    Ok((ids.iter().filter_map(|id| contacts.remove(*id)).collect(), next))
}
