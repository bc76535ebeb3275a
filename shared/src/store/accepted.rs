//! What each contact was sent lately, for the frequency cap.
//!
//! A set a contact and UTC day, holding one entry a message: adding one twice counts it once. It is
//! written with the claim and taken back with a refusal, and only for tenants that have a cap; the
//! cap therefore counts from when it was set.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

use super::keys;
use super::table::{Item, StoreError, Table, number, string};
use super::transaction::Write;
use crate::domain::message::MessageId;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

/// How far back the cap looks; exactly this long ago no longer counts (reminders.md §3.6).
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// A day's set is of no use once the whole day is out of the window.
const KEEP: SignedDuration = SignedDuration::from_hours(72);

/// Whom a message counts for: the contact, or a number that nobody is known by.
pub fn person(table: &Table, contact: Option<&str>, number: &PhoneNumber) -> String {
    contact.map_or_else(|| format!("+{}", table.keyring().number_hash(number)), str::to_string)
}

/// How many messages each of `contacts` was sent less than 24 h before `now`.
pub async fn counts(
    table: &Table,
    tenant: &TenantId,
    contacts: &[&str],
    now: Timestamp,
) -> Result<HashMap<String, u32>, StoreError> {
    let since = now - WINDOW;
    let days = [keys::day(since), keys::day(now)];
    let mut owners = HashMap::new();
    let mut wanted = Vec::new();
    for contact in contacts {
        for day in days {
            let key = keys::accepted(tenant, contact, day);
            owners.insert(key.pk.clone(), *contact);
            wanted.push(key);
        }
    }
    let mut counts = HashMap::new();
    for item in table.get_many(wanted).await? {
        let Some(owner) = owners.get(string(&item, keys::PK)) else { continue };
        *counts.entry((*owner).to_string()).or_default() += lately(entries(&item), since);
    }
    Ok(counts)
}

/// What one person was sent lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Less than 24 h ago.
    pub of_window: u32,
    /// On this UTC day.
    of_day: usize,
}

pub async fn count_of(table: &Table, tenant: &TenantId, person: &str, now: Timestamp) -> Result<Count, StoreError> {
    let since = now - WINDOW;
    let today = keys::accepted(tenant, person, keys::day(now));
    let days = vec![keys::accepted(tenant, person, keys::day(since)), today.clone()];
    let mut count = Count { of_window: 0, of_day: 0 };
    for item in table.get_many(days).await? {
        count.of_window += lately(entries(&item), since);
        if string(&item, keys::SK) == today.sk {
            count.of_day = entries(&item).len();
        }
    }
    Ok(count)
}

/// Counts a message handed to Twilio at `at`, unless another was counted since `count` was read.
pub fn must_be_unchanged(
    table: &Table,
    tenant: &TenantId,
    person: &str,
    count: Count,
    id: &MessageId,
    at: Timestamp,
) -> Result<Write, StoreError> {
    let mut values = entry(id, at);
    values.insert(":expires".to_string(), number((at + KEEP).as_second()));
    values.insert(":seen".to_string(), number(count.of_day));
    let condition = "attribute_not_exists(entries) OR size(entries) <= :seen";
    let key = keys::accepted(tenant, person, keys::day(at));
    Write::update(table, &key, "SET expires = :expires ADD entries :entry", Some(condition), values)
}

/// Counts a message handed to Twilio at `at`.
pub fn count(table: &Table, tenant: &TenantId, contact: &str, id: &MessageId, at: Timestamp) -> Result<Write, StoreError> {
    let mut values = entry(id, at);
    values.insert(":expires".to_string(), number((at + KEEP).as_second()));
    let key = keys::accepted(tenant, contact, keys::day(at));
    Write::update(table, &key, "SET expires = :expires ADD entries :entry", None, values)
}

/// Takes a message back that Twilio refused or did not process.
pub fn uncount(table: &Table, tenant: &TenantId, contact: &str, id: &MessageId, at: Timestamp) -> Result<Write, StoreError> {
    Write::update(table, &keys::accepted(tenant, contact, keys::day(at)), "DELETE entries :entry", None, entry(id, at))
}

/// Takes away what was counted for a contact.
pub async fn delete(table: &Table, tenant: &TenantId, contact: &str, now: Timestamp) -> Result<(), StoreError> {
    let days = (0..=KEEP.as_hours() / 24).map(|days| keys::day(now - SignedDuration::from_hours(24 * days)));
    table.delete_many(days.map(|day| keys::accepted(tenant, contact, day)).collect()).await
}

/// What was counted on a day.
fn entries(item: &Item) -> &[String] {
    item.get("entries").and_then(|value| value.as_ss().ok()).map_or(&[][..], Vec::as_slice)
}

fn lately(entries: &[String], since: Timestamp) -> u32 {
    entries.iter().filter(|entry| keys::head_instant(entry).is_some_and(|at| at > since)).count() as u32
}

fn entry(id: &MessageId, at: Timestamp) -> HashMap<String, AttributeValue> {
    HashMap::from([(":entry".to_string(), AttributeValue::Ss(vec![keys::instant_and(at, id.as_str())]))])
}
