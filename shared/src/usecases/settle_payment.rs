//! A payment is paid, or given up: nobody is reminded of it any more.

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::save_payments::outdated;
use crate::context::{Context, ContextError};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::{StoreError, payments};

/// Others may change a payment between our looks so often.
const TRIES: u32 = 8;

/// Closes `payment` as `status`, paid or void, and cancels its reminders: as the table has it, so that what somebody
/// else changes meanwhile is kept. One that is closed stays as it is, one that is gone stays gone.
pub async fn settle_payment(
    cx: &Context,
    tenant: &TenantId,
    payment: Payment,
    status: PaymentStatus,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let seen = payments::seen(table, tenant, &[&payment.id]).await?;
        let Some(mut settled) = seen.get(&payment.id).map(|seen| seen.value.clone()) else { return Ok(()) };
        let was_due = settled.status == PaymentStatus::Due;
        if was_due {
            (settled.status, settled.changed_at) = (status, payment.changed_at);
        }
        if !was_due || payments::replace_many(table, tenant, std::slice::from_ref(&settled), &seen).await?.is_empty() {
            return cancel_planned(cx, tenant, Subject::Payment(&settled.id), |message| outdated(message, &settled), now).await;
        }
    }
    Err(StoreError::Unreachable("a payment kept changing".into()).into())
}
