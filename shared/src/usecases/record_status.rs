//! Twilio tells how far a message or a call got: kept with what it told before, so any order will do.

use std::borrow::Cow;

use jiff::Timestamp;

use super::record_refusal::{UNSUBSCRIBED, record_refusal};
use super::settle::settle;
use crate::context::{Context, ContextError};
use crate::domain::erasure::{as_kept, has_text};
use crate::domain::message::{Message, MessageId};
use crate::domain::report::Report;
use crate::domain::tenant::TenantId;
use crate::store::messages::{self, Change, Merged, Whose, Written};
use crate::telemetry;

/// Callbacks may change a message between our looks so often.
const TRIES: u32 = 5;

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
        // What is no word at all may be anything, and is not for the log.
        let is_word = report.word().bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'_'));
        let status = if is_word { report.word() } else { "?" };
        tracing::warn!(%tenant, %id, status, "Twilio reports a status that is not known");
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
            tracing::warn!(%tenant, %id, "a report on a message that does not exist");
            return Ok(());
        }
        Merged::Forward(message, from) => {
            telemetry::message(tenant, message);
            telemetry::moved(*from, message);
            if message.is_doubled() {
                tracing::error!(%tenant, %id, "Twilio has this message twice");
            }
            message
        }
        Merged::Late(message) | Merged::Duplicate(message) => message,
    };
    if let Some(at) = message.refused_with(UNSUBSCRIBED) {
        record_refusal(cx, tenant, message, at).await?;
    }
    let message = as_kept_by(cx, tenant, message, now).await?;
    settle(cx, tenant, &message, now).await
}

/// A callback may be how we learn that Twilio has a message: whoever keeps no texts (S0-74) needs its text no more.
async fn as_kept_by<'a>(
    cx: &Context,
    tenant: &TenantId,
    message: &'a Message,
    now: Timestamp,
) -> Result<Cow<'a, Message>, ContextError> {
    if !has_text(message) || cx.settings(tenant, now).await?.log_content {
        return Ok(Cow::Borrowed(message));
    }
    let settings = cx.settings(tenant, now).await?;
    let table = cx.table().await?;
    let mut message = Cow::Borrowed(message);
    for _ in 0..TRIES {
        let change = Change::of(as_kept(&settings, (*message).clone()));
        // Nobody has it yet but us, or somebody was faster.
        if has_text(change.message()) || !has_text(&message) {
            return Ok(message);
        }
        if messages::write(table, tenant, std::slice::from_ref(&change), None).await? == [Written::Won] {
            return Ok(Cow::Owned(change.into_message()));
        }
        let Some(fresh) = messages::get_many(table, tenant, std::slice::from_ref(&message.id)).await?.pop() else { break };
        message = Cow::Owned(fresh);
    }
    // The nightly sweep takes what is left.
    Ok(message)
}
