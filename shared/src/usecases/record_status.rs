//! Twilio tells how far a message got: merged by the order of statuses, so any order of callbacks will do.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::consent::Keyword;
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::money::Micros;
use crate::domain::phone::{self, PhoneNumber, Strictness};
use crate::domain::tenant::TenantId;
use crate::store::consents::{self, Source};
use crate::store::messages::{self, Change, Merged, Report};
use crate::telemetry;

/// What a status callback says.
#[derive(Clone, Debug)]
pub struct StatusCallback {
    pub message: MessageId,
    pub sid: String,
    /// Twilio's word.
    pub status: String,
    pub error_code: Option<u32>,
    /// The recipient, as Twilio addresses it.
    pub to: Option<String>,
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
    // First, so that a crash before the merge leaves a callback that does it all again.
    if callback.error_code == Some(UNSUBSCRIBED) {
        record_unsubscribed(cx, tenant, callback, now).await?;
    }
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
            if message.cost.is_none() && message.status != Status::Failed {
                charge_late(cx, tenant, message, now).await?;
            }
        }
        Merged::Late | Merged::Duplicate => {}
    }
    Ok(Some(merged))
}

async fn record_unsubscribed(
    cx: &Context,
    tenant: &TenantId,
    callback: &StatusCallback,
    now: Timestamp,
) -> Result<(), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let to = callback.to.as_deref().unwrap_or_default();
    match PhoneNumber::parse(to, &settings.default_region, Strictness::Possible) {
        Ok(to) => consents::record(cx.table().await?, tenant, &to, Keyword::Stop, Source::Refusal(UNSUBSCRIBED), now).await?,
        Err(error) => tracing::warn!(%tenant, to = phone::mask(to), %error, "an opt-out of what is no number"),
    }
    Ok(())
}

/// A message that was given up as never sent, its money given back, and now turns out to be: it is
/// charged after all, whatever the limit says, for it is spent.
async fn charge_late(cx: &Context, tenant: &TenantId, message: &Message, now: Timestamp) -> Result<(), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let (Some(channel), Some(segments), Some(month)) = (message.channel, message.segments, message.month.clone()) else {
        return Ok(());
    };
    let cost = Micros(settings.price(channel).0 * i64::from(segments));
    let charged = Message { cost: Some(cost), ..message.clone() };
    // Lost to another callback, that one charges it.
    messages::write(cx.table().await?, tenant, &[Change::of(charged).charging(&month, cost)], None).await?;
    Ok(())
}
