//! Why a message would go, wait or be skipped: every rule's verdict for a recipient and an instant.

use jiff::Timestamp;

use super::dispatch::claim;
use super::send_message::{Request, SendError, composed, fingerprint};
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::compose::billed_units;
use crate::domain::contact::Contact;
use crate::domain::message::{Content, Message, MessageId, Reason};
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Finding, Question, Verdict};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::{accepted, consents, meter, sessions};

/// Every rule's verdict at `at`, as things stand now, on a message that `request` asks for. It goes over
/// `channels`, or those that contact and tenant choose; as `content`, or as free text. Writes nothing.
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
    Ok(verdicts(cx, tenant, &settings, &message, &contact, at, now).await?)
}

/// Every rule's verdict at `at` on `message` for `contact`.
pub(super) async fn verdicts(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    message: &Message,
    contact: &Contact,
    at: Timestamp,
    now: Timestamp,
) -> Result<Vec<Finding>, ContextError> {
    let table = cx.table().await?;
    let numbers: Vec<&PhoneNumber> = Channel::BY_CHOICE.into_iter().filter_map(|channel| contact.number(channel)).collect();
    let standings = consents::standings(table, tenant, &numbers).await?;
    let question = Question::about(settings, contact, message, None);
    let stops = |number: &PhoneNumber| standings.get(number).is_some_and(|standing| standing.stops(question.category));
    let mut findings = policy::explain(&question, stops, at);
    let finding = |rule, channel, reason: Option<Reason>| {
        let verdict = reason.map_or(Verdict::Send, Verdict::Skip);
        Finding { rule, channel: Some(channel), verdict }
    };
    for (channel, number) in policy::channels(&question).unwrap_or_default() {
        if message.needs_window(channel) {
            let is_open = !sessions::open_at(table, tenant, &[number], at).await?.is_empty();
            findings.push(finding("whatsapp_window", channel, (!is_open).then_some(Reason::OutsideWindow)));
        }
        if let (true, Some(cap)) = (message.counts_towards_cap(settings), settings.frequency_cap) {
            let person = accepted::person(table, message.contact.as_deref(), number);
            let count = accepted::count_of(table, tenant, &person, at).await?;
            findings.push(finding("frequency_cap", channel, (count.of_window >= cap).then_some(Reason::FrequencyCap)));
        }
        if let Some(limit) = settings.limit(message.category()) {
            let body = message.body.as_deref().unwrap_or_default();
            let units = billed_units(channel, body, message.direct.as_deref());
            let month = claim::month(settings, cx.account(tenant, now).await?.is_simulated(), at);
            let used = meter::used(table, tenant, &month).await?;
            let is_over = used.0 + settings.price(channel, number).0 * i64::from(units) > limit.0;
            findings.push(finding("budget", channel, is_over.then_some(Reason::Budget)));
        }
    }
    Ok(findings)
}
