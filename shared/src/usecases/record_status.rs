//! Twilio tells how far a message got: merged by the order of statuses, so any order of callbacks will do.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::consent::Keyword;
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::money::Micros;
use crate::domain::phone::{self, PhoneNumber, Strictness};
use crate::domain::tenant::TenantId;
use crate::store::Table;
use crate::store::consents::{self, Source};
use crate::store::messages::{self, Change, Merged, Report, Written};
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
    /// How long a call lasted, in seconds; told at its end.
    pub duration: Option<u32>,
    /// Who took a call, if Twilio was to find out.
    pub answered_by: Option<String>,
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
                charge_late(cx, tenant, &message.id, now).await?;
            }
        }
        Merged::Late | Merged::Duplicate => {
            // The process may have died after it merged the first.
            if status != Status::Failed {
                charge_late(cx, tenant, &callback.message, now).await?;
            }
        }
    }
    // Also when the same comes again: the process may have died after it merged the first.
    if let Some(secs) = callback.duration {
        charge_minutes(cx, tenant, &callback.message, secs, callback.answered_by.as_deref(), now).await?;
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

/// A call is over: it is charged by its begun minutes, once, which may be fewer or more than were reserved.
async fn charge_minutes(
    cx: &Context,
    tenant: &TenantId,
    id: &MessageId,
    secs: u32,
    answered_by: Option<&str>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let minutes = secs.div_ceil(60);
    let charged = |message: Message| {
        let (Some(Channel::Voice), Some(to), None) = (message.channel, &message.to, message.duration) else { return None };
        let cost = Micros(settings.price(Channel::Voice, to).0 * i64::from(minutes));
        let answered_by = answered_by.map(str::to_string);
        Some(Message { cost: Some(cost), segments: Some(minutes), duration: Some(secs), answered_by, ..message })
    };
    charge(cx.table().await?, tenant, id, charged).await
}

/// A message that was given up as never sent, its money given back, and now turns out to be: it is
/// charged after all.
async fn charge_late(cx: &Context, tenant: &TenantId, id: &MessageId, now: Timestamp) -> Result<(), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let charged = |message: Message| {
        let charged = message.cost.is_some() || message.sid.is_none() || message.status == Status::Failed;
        let (Some(channel), Some(to), Some(units), false) = (message.channel, &message.to, message.segments, charged) else {
            return None;
        };
        let cost = Micros(settings.price(channel, to).0 * i64::from(units));
        Some(Message { cost: Some(cost), ..message })
    };
    charge(cx.table().await?, tenant, id, charged).await
}

/// Changes go through after so many looks, unless callbacks keep coming.
const TRIES: u32 = 8;

/// Charges a message what `charged` makes of it, instead of what was reserved or charged before: spent is
/// spent, whatever the limit says. `None` from `charged`: it is charged already.
pub(super) async fn charge(
    table: &Table,
    tenant: &TenantId,
    id: &MessageId,
    charged: impl Fn(Message) -> Option<Message>,
) -> Result<(), ContextError> {
    for _ in 0..TRIES {
        let Some(message) = messages::get_many(table, tenant, std::slice::from_ref(id)).await?.pop() else { return Ok(()) };
        let before = message.cost.unwrap_or_default();
        let Some(month) = message.month.clone() else { return Ok(()) };
        let Some(message) = charged(message) else { return Ok(()) };
        let difference = Micros(message.cost.unwrap_or_default().0 - before.0);
        if messages::write(table, tenant, &[Change::of(message).charging(&month, difference)], None).await? == [Written::Won] {
            return Ok(());
        }
    }
    tracing::warn!(%tenant, message = %id, "callbacks kept changing the message: its cost is what was reserved");
    Ok(())
}
