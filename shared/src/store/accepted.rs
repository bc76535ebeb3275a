//! What each contact was sent lately, for the frequency cap.
//!
//! A set a contact and UTC day, holding one entry a message: adding one twice counts it once. It is
//! written with the claim, which is refused beyond the cap, and taken back with a refusal; and only for
//! tenants that have a cap, which therefore counts from when it was set.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::keys;
use super::table::{Item, StoreError, Table, key_of, number};
use super::transaction::Write;
use crate::domain::message::MessageId;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

/// How far back the cap looks; exactly this long ago no longer counts (reminders.md §3.6).
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// By so much two runs may differ about what instant it is: each goes by the one at which it began, and clocks differ.
const APART: SignedDuration = SignedDuration::from_mins(5);
/// A day's set is of no use once the whole day is out of the window.
const KEEP: SignedDuration = SignedDuration::from_hours(72);

/// Whom a message counts for: the contact, or a number that nobody is known by.
pub fn person(table: &Table, contact: Option<&str>, number: &PhoneNumber) -> String {
    contact.map_or_else(|| format!("+{}", table.keyring().number_hash(number)), str::to_string)
}

/// What one person was sent lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Less than 24 h ago.
    pub of_window: u32,
    /// Of those, on another UTC day than this.
    elsewhere: u32,
    /// On the day across a midnight that is near, however long ago.
    across: usize,
}

/// What each of `persons` was sent lately.
pub async fn counts_of(
    table: &Table,
    tenant: &TenantId,
    persons: &[&str],
    now: Timestamp,
) -> Result<HashMap<String, Count>, StoreError> {
    let since = now - WINDOW;
    let (today, across) = (keys::day(now), across(now));
    let mut sets = HashMap::new();
    for person in persons {
        for day in [Some(keys::day(since)), Some(today), across].into_iter().flatten() {
            sets.insert(keys::accepted(tenant, person, day), (*person, day));
        }
    }
    let mut counts: HashMap<String, Count> = persons.iter().map(|person| ((*person).to_string(), Count::default())).collect();
    for item in table.get_many(sets.keys().cloned().collect()).await? {
        let Some((person, day)) = sets.get(&key_of(&item)) else { continue };
        let count = counts.entry((*person).to_string()).or_default();
        let lately = lately(entries(&item), since);
        count.of_window += lately;
        if *day != today {
            count.elsewhere += lately;
        }
        if Some(*day) == across {
            count.across = entries(&item).len();
        }
    }
    Ok(counts)
}

/// What one person was sent lately, as [`counts_of`] several.
pub async fn count_of(table: &Table, tenant: &TenantId, person: &str, now: Timestamp) -> Result<Count, StoreError> {
    Ok(counts_of(table, tenant, &[person], now).await?.remove(person).unwrap_or_default())
}

/// The day that begins or ended so near to `at` that another run may count there what this one counts here.
fn across(at: Timestamp) -> Option<Date> {
    let today = keys::day(at);
    [at + APART, at - APART].map(keys::day).into_iter().find(|day| *day != today)
}

/// Counts a message handed to Twilio at `at`, if `cap` leaves room for it beside what is counted by then.
///
/// `count`, which was read for `at` and is below `cap`, says what other days hold. Only near midnight does any of them
/// still grow, and then it must not have grown since.
pub fn must_have_room(
    table: &Table,
    tenant: &TenantId,
    person: &str,
    (count, cap): (Count, u32),
    id: &MessageId,
    at: Timestamp,
) -> Result<Vec<Write>, StoreError> {
    let mut values = entry(id, at);
    values.insert(":expires".to_string(), number((at + KEEP).as_second()));
    values.insert(":room".to_string(), number(cap.saturating_sub(count.elsewhere)));
    let condition = "attribute_not_exists(entries) OR size(entries) < :room";
    let key = keys::accepted(tenant, person, keys::day(at));
    let counted = Write::update(table, &key, "SET expires = :expires ADD entries :entry", Some(condition), values)?;
    let across = across(at).map(|day| {
        let seen = HashMap::from([(":seen".to_string(), number(count.across))]);
        let condition = "attribute_not_exists(entries) OR size(entries) <= :seen";
        Write::check(table, &keys::accepted(tenant, person, day), condition, seen)
    });
    Ok(std::iter::once(counted).chain(across.transpose()?).collect())
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
