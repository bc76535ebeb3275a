//! A payment is paid, or given up: nobody is reminded of it any more.

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::save_payments::outdated;
use crate::context::{Context, ContextError};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::payments;

/// Closes `payment` as `status`, paid or void, and cancels its reminders. One that is closed stays as it is.
pub async fn settle_payment(
    cx: &Context,
    tenant: &TenantId,
    mut payment: Payment,
    status: PaymentStatus,
    now: Timestamp,
) -> Result<(), ContextError> {
    if payment.status == PaymentStatus::Due {
        payment.status = status;
        payments::put_many(cx.table().await?, tenant, std::slice::from_ref(&payment)).await?;
    }
    cancel_planned(cx, tenant, Subject::Payment(&payment.id), |message| outdated(message, &payment), now).await
}
