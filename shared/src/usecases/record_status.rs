//! Twilio tells how far a message or a call got: kept with what it told before, so any order will do.

use jiff::Timestamp;

use super::record_refusal::{UNSUBSCRIBED, record_refusal};
use super::settle::settle;
use crate::context::{Context, ContextError};
use crate::domain::message::{Message, MessageId};
use crate::domain::report::Report;
use crate::domain::tenant::TenantId;
use crate::store::messages::{self, Merged, Whose};
use crate::telemetry;

/// Keeps a report that a callback brought about `id`. A word or a message that we do not know is logged and
/// answered like any other.
pub async fn record_status(
    cx: &Context,
    tenant: &TenantId,
    id: &MessageId,
    report: &Report,
    whose: Whose,
    now: Timestamp,
) -> Result<Merged, ContextError> {
    if report.status().is_none() {
        tracing::warn!(%tenant, message = %id, status = report.word(), "Twilio reports a status that is not known");
    }
    let merged = messages::merge(cx.table().await?, tenant, id, report, whose, "callback", now).await?;
    heed(cx, tenant, id, &merged, now).await?;
    Ok(merged)
}

/// Draws the consequences of a report, however we learnt it. Also when the same comes again: the process may have
/// died after it kept the first.
pub(super) async fn heed(
    cx: &Context,
    tenant: &TenantId,
    id: &MessageId,
    merged: &Merged,
    now: Timestamp,
) -> Result<(), ContextError> {
    let message: &Message = match merged {
        Merged::Unknown => {
            tracing::warn!(%tenant, message = %id, "a report on a message that does not exist");
            return Ok(());
        }
        Merged::Forward(message) => {
            telemetry::message(tenant, message);
            if message.is_doubled() {
                tracing::error!(%tenant, message = %id, "Twilio has this message twice");
            }
            message
        }
        Merged::Late(message) | Merged::Duplicate(message) => message,
    };
    if let Some(at) = message.refused_with(UNSUBSCRIBED) {
        record_refusal(cx, tenant, message, at).await?;
    }
    settle(cx, tenant, message, now).await
}
