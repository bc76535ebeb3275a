//! A payment is paid: nobody is reminded of it any more.

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::save_payments::outdated;
use crate::context::{Context, ContextError};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::payments;

/// Settles `payment` and cancels its reminders.
pub async fn settle_payment(cx: &Context, tenant: &TenantId, mut payment: Payment, now: Timestamp) -> Result<(), ContextError> {
    if payment.status == PaymentStatus::Due {
        payment.status = PaymentStatus::Paid;
        payments::put_many(cx.table().await?, tenant, std::slice::from_ref(&payment)).await?;
    }
    cancel_planned(cx, tenant, Subject::Payment(&payment.id), |message| outdated(message, &payment), now).await
}
