//! WhatsApp sessions: free text goes to a number for 24 hours after it wrote (D14).

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::table::{Item, StoreError, Table, number};
use super::transaction::Write;
use super::{keys, numbers};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

/// How long after its last message a number takes free text.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// What opens the window of `from`, which wrote at `now`.
pub fn opening(table: &Table, tenant: &TenantId, from: &PhoneNumber, now: Timestamp) -> Result<Write, StoreError> {
    let key = keys::session(tenant, &table.keyring().number_hash(from));
    let until = now + WINDOW;
    let values = HashMap::from([
        (":until".to_string(), number(until.as_millisecond())),
        (":expires".to_string(), number((until + WINDOW).as_second())),
    ]);
    Write::update(table, &key, "SET open_until = :until, expires = :expires", None, values)
}

fn until(item: &Item) -> Option<i64> {
    item.get("open_until")?.as_n().ok()?.parse().ok()
}

/// Those of `numbers` whose window is open at `now`.
pub async fn open_at(
    table: &Table,
    tenant: &TenantId,
    numbers: &[&PhoneNumber],
    now: Timestamp,
) -> Result<HashSet<PhoneNumber>, StoreError> {
    let sessions = numbers::beside(table, tenant, numbers, keys::session).await?;
    let open = sessions.into_iter().filter(|(_, item)| until(item).is_some_and(|until| until > now.as_millisecond()));
    Ok(open.map(|(number, _)| number).collect())
}

/// Until when the window of `number` is open, if it is at `now`.
pub async fn open_until(
    table: &Table,
    tenant: &TenantId,
    to: &PhoneNumber,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sessions = numbers::beside(table, tenant, &[to], keys::session).await?;
    let until = sessions.first().and_then(|(_, item)| Timestamp::from_millisecond(until(item)?).ok());
    Ok(until.filter(|until| *until > now))
}

/// Lets a message go only while the window of `to` is open.
pub fn must_be_open(table: &Table, tenant: &TenantId, to: &PhoneNumber, now: Timestamp) -> Result<Write, StoreError> {
    let key = keys::session(tenant, &table.keyring().number_hash(to));
    Write::check(table, &key, "open_until > :now", HashMap::from([(":now".to_string(), number(now.as_millisecond()))]))
}
