//! The claim: scheduled → sending. Whoever writes it calls Twilio, nobody else.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::decide::Draft;
use crate::context::Account;
use crate::domain::message::{Message, Status, Step};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::accepted::{self, Count};
use crate::store::messages::Guard;
use crate::store::{StoreError, Table, Write};

/// A claim holds this long: well beyond the request's own deadline.
pub const LEASE: SignedDuration = SignedDuration::from_mins(3);

/// Whoever has not called Twilio so long after the claim does not call any more: the lease would lapse
/// while Twilio has the request, and somebody else might send again. A request takes 15 seconds at most.
pub const LATEST_CALL: Duration = Duration::from_secs(140);

/// The meter that a message counts for: the calendar month in the tenant's zone, `2026-11`. What is
/// only simulated is counted apart.
pub fn month(settings: &Settings, is_simulated: bool, now: Timestamp) -> String {
    let month = settings.time_zone.wall(now).strftime("%Y-%m");
    if is_simulated { format!("simulated-{month}") } else { month.to_string() }
}

/// The message of a draft, claimed for `account` until `lease`.
pub fn claimed(draft: &Draft, month: &str, account: &Account, now: Timestamp, lease: Timestamp) -> Message {
    let mut message = draft.message.clone();
    message.status = Status::Sending;
    message.attempt += 1;
    message.looks = 0;
    message.lease_until = Some(lease);
    message.account = account.sid().map(str::to_string);
    message.decided_at = Some(now);
    message.to = Some(draft.number.clone());
    message.body = draft.body.clone();
    message.segments = Some(draft.units);
    message.cost = Some(draft.cost);
    message.month = Some(month.to_string());
    message.simulated = account.is_simulated();
    message.timeline.push(Step::with(now, "claimed", format_args!("attempt {}", message.attempt)));
    message
}

/// What takes a draft's place in the frequency cap, if that limits it. `count` is what was read of its person.
pub fn place(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    draft: &Draft,
    count: Count,
    now: Timestamp,
) -> Result<Vec<(Guard, Write)>, StoreError> {
    let cap = settings.frequency_cap.filter(|_| draft.message.counts_towards_cap(settings));
    let Some(cap) = cap else { return Ok(Vec::new()) };
    let writes = accepted::must_have_room(table, tenant, &draft.person, (count, cap), &draft.message.id, now)?;
    Ok(writes.into_iter().map(|write| (Guard::Cap, write)).collect())
}
