//! Creates or replaces payments, and plans them at once. Each is written only in the place of the one that was read.

use std::collections::HashMap;

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::plan_reminders::replan_payments;
use crate::context::{Context, ContextError};
use crate::domain::message::{Message, Reason};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::payments::{self, Seen};
use crate::store::{StoreError, Table};

/// Others may change a payment between our looks so often.
const TRIES: u32 = 8;

/// Stores `payments`; what was planned for an older version of one is canceled.
pub async fn save_payments(
    cx: &Context,
    tenant: &TenantId,
    mut payments: Vec<Payment>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let mut seen = look(table, tenant, &payments).await?;
    for _ in 0..TRIES {
        let lost = save_seen_payments(cx, tenant, payments, &seen, now).await?;
        if lost.is_empty() {
            return Ok(());
        }
        seen = look(table, tenant, &lost).await?;
        // What changed after ours stays as it is.
        let is_old = |payment: &Payment| seen.get(&payment.id).is_some_and(|seen| is_later(&seen.value, payment));
        payments = lost.into_iter().filter(|payment| !is_old(payment)).collect();
    }
    Err(StoreError::Unreachable("a payment kept changing".into()).into())
}

/// Stores those of `payments` for which what was `seen` still stands, or still nothing, and gives back the others:
/// somebody else was faster. Saving all of them again saves none twice.
pub async fn save_seen_payments(
    cx: &Context,
    tenant: &TenantId,
    mut payments: Vec<Payment>,
    seen: &HashMap<String, Seen<Payment>>,
    now: Timestamp,
) -> Result<Vec<Payment>, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    for payment in &mut payments {
        if let Some(old) = seen.get(&payment.id) {
            payment.version = next_version(&old.value, payment);
        }
    }
    let lost = payments::replace_many(cx.table().await?, tenant, &payments, seen).await?;
    let (lost, saved): (Vec<Payment>, Vec<Payment>) = payments.into_iter().partition(|payment| lost.contains(&payment.id));
    for payment in saved.iter().filter(|payment| seen.contains_key(&payment.id)) {
        cancel_planned(cx, tenant, Subject::Payment(&payment.id), |message| outdated(message, payment), now).await?;
    }
    replan_payments(cx, tenant, &settings, &saved, now).await?;
    Ok(lost)
}

async fn look(table: &Table, tenant: &TenantId, payments: &[Payment]) -> Result<HashMap<String, Seen<Payment>>, StoreError> {
    let ids: Vec<&str> = payments.iter().map(|payment| payment.id.as_str()).collect();
    payments::seen(table, tenant, &ids).await
}

/// Whether `known` changed after `ours` did. EventBridge tells whole seconds.
fn is_later(known: &Payment, ours: &Payment) -> bool {
    known.changed_at.as_second() > ours.changed_at.as_second()
}

fn next_version(old: &Payment, new: &Payment) -> u32 {
    let back = old.status != PaymentStatus::Due && new.status == PaymentStatus::Due;
    old.version + u32::from(back || old.due_date != new.due_date || old.amount != new.amount)
}

/// Why a reminder no longer holds for `payment`, if so (reminders.md §2.3).
pub(super) fn outdated(message: &Message, payment: &Payment) -> Option<Reason> {
    if payment.status != PaymentStatus::Due {
        Some(Reason::Paid)
    } else if message.version != payment.version {
        Some(Reason::Moved)
    } else if message.contact.as_ref() != Some(&payment.contact) {
        Some(Reason::NotAttending)
    } else {
        None
    }
}
