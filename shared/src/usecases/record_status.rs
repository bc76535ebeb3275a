//! Twilio tells how far a message got: merged by the order of statuses, so any order of callbacks will do.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::consent::Keyword;
use crate::domain::message::{MessageId, Status};
use crate::domain::tenant::TenantId;
use crate::store::consents::{self, Source};
use crate::store::messages::{self, Merged, Report};
use crate::telemetry;

/// What a status callback says.
#[derive(Clone, Debug)]
pub struct StatusCallback {
    pub message: MessageId,
    pub sid: String,
    /// Twilio's word.
    pub status: String,
    pub error_code: Option<u32>,
}

/// The recipient has unsubscribed at Twilio (D3).
pub const UNSUBSCRIBED: u32 = 21610;

/// Merges a callback. A word or a message that we do not know is logged and answered like any other.
pub async fn record_status(
    cx: &Context,
    tenant: &TenantId,
    callback: &StatusCallback,
    now: Timestamp,
) -> Result<Option<Merged>, ContextError> {
    let Some(status) = Status::from_twilio(&callback.status) else {
        tracing::warn!(%tenant, message = %callback.message, status = callback.status, "Twilio reports a status that is not known");
        return Ok(None);
    };
    let report = Report { status, sid: callback.sid.clone(), error_code: callback.error_code, step: "callback" };
    let table = cx.table().await?;
    let merged = messages::merge(table, tenant, &callback.message, &report, now).await?;
    match &merged {
        Merged::Unknown => tracing::warn!(%tenant, message = %callback.message, "a callback for a message that does not exist"),
        Merged::Forward(message) => {
            telemetry::message(tenant, message);
            if message.sid.as_ref() != Some(&callback.sid) {
                tracing::error!(%tenant, message = %callback.message, sid = callback.sid, "Twilio has this message twice");
            }
            if let (Some(UNSUBSCRIBED), Some(to)) = (callback.error_code, &message.to) {
                consents::record(table, tenant, to, Keyword::Stop, Source::Refusal(UNSUBSCRIBED), now).await?;
            }
        }
        Merged::Late | Merged::Duplicate => {}
    }
    Ok(Some(merged))
}
