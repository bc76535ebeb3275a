//! Creates or replaces payments, and plans them at once.

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::plan_reminders::plan_payments;
use crate::context::{Context, ContextError};
use crate::domain::message::{Message, Reason};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::payments;

/// Stores `payments`; what was planned for an older version of one is canceled.
pub async fn save_payments(
    cx: &Context,
    tenant: &TenantId,
    mut payments: Vec<Payment>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let ids: Vec<&str> = payments.iter().map(|payment| payment.id.as_str()).collect();
    let known = payments::get_many(table, tenant, &ids).await?;
    for payment in &mut payments {
        if let Some(old) = known.get(&payment.id) {
            payment.version = next_version(old, payment);
        }
    }
    payments::put_many(table, tenant, &payments).await?;
    for payment in payments.iter().filter(|payment| known.contains_key(&payment.id)) {
        cancel_planned(cx, tenant, Subject::Payment(&payment.id), |message| outdated(message, payment), now).await?;
    }
    plan_payments(cx, tenant, &settings, &payments, now).await?;
    Ok(())
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
