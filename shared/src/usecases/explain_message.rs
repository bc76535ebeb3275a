//! Why a message would go, wait or be skipped: every rule's verdict for a recipient and an instant.

use jiff::Timestamp;

use super::dispatch::claim;
use super::send_message::{Request, SendError, composed, fingerprint};
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::compose::billed_units;
use crate::domain::message::{Content, Message, MessageId, Reason};
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Finding, Question, Verdict};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::{accepted, consents, meter, sessions};

/// Every rule's verdict at `at` on a message that goes as `content`, over `channels`, or those that contact and tenant choose, as things stand
/// now. Writes nothing.
///
/// # Errors
/// As sending would refuse it.
pub async fn explain_message(
    cx: &Context,
    tenant: &TenantId,
    request: &Request,
    channels: Vec<Channel>,
    content: Option<Content>,
    at: Timestamp,
    now: Timestamp,
) -> Result<Vec<Finding>, SendError> {
    let settings = cx.settings(tenant, now).await?;
    let id = MessageId::derive(tenant, &["explain"]);
    let fingerprint = fingerprint(tenant, &request.wish);
    let composed = composed(cx, tenant, request, id, &fingerprint, now).await?;
    let (mut message, contact) = composed.map_err(SendError::Invalid)?;
    if let Some(direct) = &mut message.direct {
        direct.channels = channels;
        direct.content = content.or(direct.content.take());
    }
    let table = cx.table().await?;
    let numbers: Vec<&PhoneNumber> = Channel::BY_CHOICE.into_iter().filter_map(|channel| contact.number(channel)).collect();
    let stopped = consents::stopped(table, tenant, &numbers).await?;
    let question = Question::about(&settings, &contact, &message, None);
    let mut findings = policy::explain(&question, |number| stopped.contains(number), at);
    for (channel, number) in policy::channels(&question).unwrap_or_default() {
        let row = Message { channel: Some(channel), ..message.clone() };
        if row.needs_window() {
            let is_open = !sessions::open_at(table, tenant, &[number], at).await?.is_empty();
            findings.push(finding("whatsapp_window", channel, (!is_open).then_some(Reason::OutsideWindow)));
        }
        if row.counts_towards_cap(&settings) {
            let person = accepted::person(table, row.contact.as_deref(), number);
            let count = accepted::counts(table, tenant, &[&person], at).await?.remove(&person).unwrap_or_default();
            let is_capped = settings.frequency_cap.is_some_and(|cap| count >= cap);
            findings.push(finding("frequency_cap", channel, is_capped.then_some(Reason::FrequencyCap)));
        }
        let is_over = is_over_budget(cx, tenant, &settings, &row, number, at, now).await?;
        findings.push(finding("budget", channel, is_over.then_some(Reason::Budget)));
    }
    Ok(findings)
}

fn finding(rule: &'static str, channel: Channel, reason: Option<Reason>) -> Finding {
    Finding { rule, channel: Some(channel), verdict: reason.map_or(Verdict::Send, Verdict::Skip) }
}

async fn is_over_budget(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    message: &Message,
    number: &PhoneNumber,
    at: Timestamp,
    now: Timestamp,
) -> Result<bool, SendError> {
    let Some(limit) = settings.limit(message.category()) else { return Ok(false) };
    let channel = message.channel.unwrap_or(Channel::Sms);
    let units = billed_units(channel, message.body.as_deref().unwrap_or_default(), message.direct.as_deref());
    let month = claim::month(settings, cx.account(tenant, now).await?.is_simulated(), at);
    let used = meter::used(cx.table().await?, tenant, &month).await?;
    Ok(used.0 + settings.price(channel, number).0 * i64::from(units) > limit.0)
}
