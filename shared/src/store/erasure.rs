//! What forgetting a contact and retention take from the table, where no entity's own file does it; and how far
//! retention has come.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::campaigns::Campaign;
use super::keys::{self, Key, Subject};
use super::messages::{self, nobody};
use super::table::{Order, StoreError, Table, key_attributes, key_of, number};
use super::transaction::Patience;
use super::{contacts, page};
use crate::domain::lesson::Students;
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;

/// So many records are looked through at once.
const PAGE: u32 = 100;
/// Others may change a lesson between our looks so often.
const TRIES: u32 = 8;

/// Takes attributes out of an item, if it is there.
pub(super) async fn remove(table: &Table, key: &Key, attributes: &[&str]) -> Result<(), StoreError> {
    // Some of them are words of DynamoDB's own.
    let names: HashMap<String, String> =
        attributes.iter().enumerate().map(|(at, name)| (format!("#a{at}"), (*name).to_string())).collect();
    let mut all: Vec<&str> = names.keys().map(String::as_str).collect();
    all.sort_unstable();
    let expression = format!("REMOVE {}", all.join(", "));
    let request = table
        .client
        .update_item()
        .table_name(&table.name)
        .set_key(Some(key_attributes(key)))
        .condition_expression("attribute_exists(pk)")
        .update_expression(expression)
        .set_expression_attribute_names(Some(names));
    let mut patience = Patience::default();
    loop {
        let Err(error) = request.clone().send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(()),
            Some(UpdateItemError::TransactionConflictException(_)) => patience.wait().await?,
            _ => return Err(StoreError::unreachable(error)),
        }
    }
}

/// Takes an item away if it still has the revision that was read. Whether it had.
pub(super) async fn delete_unchanged(table: &Table, key: &Key, revision: u32) -> Result<bool, StoreError> {
    let request = table
        .client
        .delete_item()
        .table_name(&table.name)
        .set_key(Some(key_attributes(key)))
        .condition_expression("revision = :seen")
        .expression_attribute_values(":seen", number(revision));
    let mut patience = Patience::default();
    loop {
        let Err(error) = request.clone().send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => return Ok(false),
            Some(DeleteItemError::TransactionConflictException(_)) => patience.wait().await?,
            _ => return Err(StoreError::unreachable(error)),
        }
    }
}

/// Whether the number of this keyed hash reaches anybody but `contact`.
pub async fn is_shared(table: &Table, tenant: &TenantId, number_hash: &str, contact: &str) -> Result<bool, StoreError> {
    let item = table.get(&keys::number_contacts(tenant, number_hash)).await?;
    let known = item.map(|item| contacts::at_number(table, item)).transpose()?.unwrap_or_default();
    Ok(known.keys().any(|id| id != contact))
}

/// A part of the table in which messages of somebody stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

/// Everywhere that messages of `contact`, and of the numbers of these keyed hashes, stand. Not the reminders that
/// wait for a lesson or payment: those are found by the log.
pub fn places(tenant: &TenantId, contact: &str, number_hashes: &[&str]) -> Vec<Place> {
    let of_contact = keys::about(tenant, Subject::Contact(contact));
    let of_numbers =
        number_hashes.iter().flat_map(|hash| [keys::about(tenant, Subject::Contact(&nobody(hash))), keys::phone(tenant, hash)]);
    std::iter::once(of_contact).chain(of_numbers).map(Place).collect()
}

/// At most `limit` messages of a place, after the entry `after`; and the entry after which the next page begins.
pub async fn messages_at(
    table: &Table,
    place: &Place,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Message>, Option<String>), StoreError> {
    let (items, next) = page::of_index(table, keys::ABOUT, &place.0, Order::Earliest, after, limit).await?;
    Ok((items.into_iter().map(|item| messages::message(table, item)).collect::<Result<_, _>>()?, next))
}

/// Takes `contact` out of a page of the lessons, after the id `after`. How many it attended; and the id after which
/// the next page begins.
pub async fn leave_lessons(
    table: &Table,
    tenant: &TenantId,
    contact: &str,
    after: Option<&str>,
) -> Result<(u32, Option<String>), StoreError> {
    let (items, next) = page::of_partition(table, &keys::lessons(tenant), Order::Earliest, after, PAGE).await?;
    let mut left = 0;
    for item in items {
        let key = key_of(&item);
        let Attended { students } = table.value(item, &[])?;
        if students.contacts.iter().any(|id| id == contact) {
            left += u32::from(leave(table, &key, contact).await?);
        }
    }
    Ok((left, next))
}

/// What we read of a lesson.
#[derive(Deserialize)]
struct Attended {
    students: Students,
}

/// Takes `contact` out of one lesson, however others change it meanwhile. Whether it was in it.
async fn leave(table: &Table, key: &Key, contact: &str) -> Result<bool, StoreError> {
    let list = |ids: &[String]| AttributeValue::L(ids.iter().cloned().map(AttributeValue::S).collect());
    for _ in 0..TRIES {
        let Some(item) = table.get(key).await? else { return Ok(false) };
        let Attended { students } = table.value(item, &[])?;
        let rest: Vec<String> = students.contacts.iter().filter(|id| *id != contact).cloned().collect();
        if rest.len() == students.contacts.len() {
            return Ok(false);
        }
        let request = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(key_attributes(key)))
            .condition_expression("#students.#contacts = :seen")
            .update_expression("SET #students.#contacts = :rest")
            .expression_attribute_names("#students", "students")
            .expression_attribute_names("#contacts", "contacts")
            .expression_attribute_values(":seen", list(&students.contacts))
            .expression_attribute_values(":rest", list(&rest));
        let Err(error) = request.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_) | UpdateItemError::TransactionConflictException(_)) => {}
            _ => return Err(StoreError::unreachable(error)),
        }
    }
    Err(StoreError::Unreachable("a lesson kept changing".into()))
}

/// Takes away what `contact` owes, or owed, of a page of the payments, after the id `after`. How many payments those
/// were; and the id after which the next page begins.
pub async fn drop_payments(
    table: &Table,
    tenant: &TenantId,
    contact: &str,
    after: Option<&str>,
) -> Result<(u32, Option<String>), StoreError> {
    let (items, next) = page::of_partition(table, &keys::payments(tenant), Order::Earliest, after, PAGE).await?;
    let mut owed = Vec::new();
    for item in items {
        let key = key_of(&item);
        if table.value::<Owed>(item, &[])?.contact == contact {
            owed.push(key);
        }
    }
    let count = owed.len() as u32;
    table.delete_many(owed).await?;
    Ok((count, next))
}

/// What we read of a payment.
#[derive(Deserialize)]
struct Owed {
    contact: String,
}

/// Takes the rows of a campaign away. What they came to stays with it, and what was counted of them beside it.
pub async fn drop_campaign_rows(table: &Table, tenant: &TenantId, campaign: &Campaign) -> Result<(), StoreError> {
    let chunks = (0..campaign.chunks).map(|chunk| keys::campaign_chunk(tenant, &campaign.id, chunk)).collect();
    let left = table.existing(chunks).await?;
    table.delete_many(left.into_iter().collect()).await
}

/// How far retention has come with a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// What was due before this day (UTC) is gone.
    #[serde(default)]
    pub messages_before: Option<Date>,
    /// What was due before this day has no text any more. None while the tenant keeps texts.
    #[serde(default)]
    pub texts_before: Option<Date>,
}

pub async fn swept(table: &Table, tenant: &TenantId) -> Result<Swept, StoreError> {
    let item = table.get(&keys::swept(tenant)).await?;
    Ok(item.map(|item| table.value(item, &[])).transpose()?.unwrap_or_default())
}

pub async fn note_swept(table: &Table, tenant: &TenantId, swept: &Swept) -> Result<(), StoreError> {
    table.put_many(vec![table.item(&keys::swept(tenant), swept, &[])?]).await
}
