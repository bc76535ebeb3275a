//! Twilio tells how far a message or a call got: kept with what it told before, so any order will do.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::consent::{Scope, Wish};
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::money::Micros;
use crate::domain::phone::{self, PhoneNumber, Strictness};
use crate::domain::report::Report;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::Table;
use crate::store::consents::{self, Entry, Method};
use crate::store::messages::{self, Change, Merged, Written};
use crate::telemetry;

/// The recipient has unsubscribed at Twilio (D3).
pub const UNSUBSCRIBED: u32 = 21610;

/// Keeps a report that a callback brought about `id`; `to` is whom Twilio addressed. A word or a message
/// that we do not know is logged and answered like any other.
pub async fn record_status(
    cx: &Context,
    tenant: &TenantId,
    id: &MessageId,
    report: &Report,
    to: Option<&str>,
    now: Timestamp,
) -> Result<Merged, ContextError> {
    if report.status().is_none() {
        tracing::warn!(%tenant, message = %id, status = report.word(), "Twilio reports a status that is not known");
    }
    // First, so that a crash before the merge leaves a callback that does it all again.
    if report.error_code == Some(UNSUBSCRIBED) {
        record_unsubscribed(cx, tenant, id, to.unwrap_or_default(), now).await?;
    }
    let merged = messages::merge(cx.table().await?, tenant, id, report, "callback", now).await?;
    match &merged {
        Merged::Unknown => tracing::warn!(%tenant, message = %id, "a callback for a message that does not exist"),
        Merged::Forward(message) => {
            telemetry::message(tenant, message);
            if message.is_doubled() {
                tracing::error!(%tenant, message = %id, sid = report.sid, "Twilio has this message twice");
            }
            settle(cx, tenant, message, now).await?;
        }
        // Also when the same comes again: the process may have died after it merged the first.
        Merged::Late(message) | Merged::Duplicate(message) => settle(cx, tenant, message, now).await?,
    }
    Ok(merged)
}

async fn record_unsubscribed(
    cx: &Context,
    tenant: &TenantId,
    id: &MessageId,
    to: &str,
    now: Timestamp,
) -> Result<(), ContextError> {
    let settings = cx.settings(tenant, now).await?;
    match PhoneNumber::parse(to, &settings.default_region, Strictness::Possible) {
        Ok(to) => {
            consents::record(cx.table().await?, tenant, &refusal(&to, id, now)).await?;
        }
        Err(error) => tracing::warn!(%tenant, to = phone::mask(to), %error, "an opt-out of what is no number"),
    }
    Ok(())
}

/// The wish that a refusal with 21610 tells of: the number had opted out at Twilio.
pub(super) fn refusal(number: &PhoneNumber, id: &MessageId, at: Timestamp) -> Entry {
    Entry {
        number: number.clone(),
        at,
        wish: Wish::Stop(Scope::All),
        method: Method::Refusal,
        source: id.to_string(),
        by: None,
        reason: None,
    }
}

/// Charges `message` what it costs by all that Twilio said: spent is spent, whatever the limit says.
/// Writes nothing while that is what was charged already.
pub(super) async fn settle(cx: &Context, tenant: &TenantId, message: &Message, now: Timestamp) -> Result<(), ContextError> {
    if message.month.is_none() {
        return Ok(());
    }
    let settings = cx.settings(tenant, now).await?;
    if charged(&settings, message).is_none() {
        return Ok(());
    }
    charge(cx.table().await?, tenant, &settings, message.clone()).await
}

/// `message` with what it really costs, if that is another amount than was charged.
fn charged(settings: &Settings, message: &Message) -> Option<Message> {
    let (channel, to) = (message.channel?, message.to.as_ref()?);
    let price = |units: u32| Micros(settings.price(channel, to).0 * i64::from(units));
    let told = message.told_price().filter(|(_, currency)| *currency == settings.budget.currency).map(|(price, _)| price);
    let (cost, segments) = match (channel, message.duration) {
        // By its begun minutes, which may be fewer or more than were reserved.
        (Channel::Voice, Some(secs)) => {
            let minutes = secs.div_ceil(60);
            (told.unwrap_or(price(minutes)), Some(minutes))
        }
        // Given up as never sent, its money given back, and sent after all.
        _ if message.cost.is_none() && message.sid.is_some() && message.status != Status::Failed => {
            (told.unwrap_or(price(message.segments?)), message.segments)
        }
        _ => (told?, message.segments),
    };
    (message.cost != Some(cost)).then(|| Message { cost: Some(cost), segments, ..message.clone() })
}

/// Changes go through after so many looks, unless callbacks keep coming.
const TRIES: u32 = 8;

/// Writes what `message`, as it was just read, is charged.
async fn charge(table: &Table, tenant: &TenantId, settings: &Settings, mut message: Message) -> Result<(), ContextError> {
    for _ in 0..TRIES {
        let before = message.cost.unwrap_or_default();
        let (Some(month), Some(charged)) = (message.month.clone(), charged(settings, &message)) else { return Ok(()) };
        let difference = Micros(charged.cost.unwrap_or_default().0 - before.0);
        let id = message.id.clone();
        if messages::write(table, tenant, &[Change::of(charged).charging(&month, difference)], None).await? == [Written::Won] {
            return Ok(());
        }
        let Some(fresh) = messages::get_many(table, tenant, &[id]).await?.pop() else { return Ok(()) };
        message = fresh;
    }
    tracing::warn!(%tenant, message = %message.id, "callbacks kept changing the message: its cost is what was reserved");
    Ok(())
}
