//! What a message would be: its text, segments, cost and what is to be said against it (S1-55, S3-09, S3-29).

use jiff::Timestamp;

use super::explain_message::verdicts;
use super::send_message::{Request, SendError, composed, fingerprint};
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::compose::billed_units;
use crate::domain::contact::{Category, Contact};
use crate::domain::lint::{self, Forcing, Text, Warning};
use crate::domain::message::{Message, MessageId};
use crate::domain::money::{Currency, Micros};
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Finding, Question};
use crate::domain::segments::{Encoding, encoding, segments};
use crate::domain::tenant::{Settings, TenantId};

/// A message as it would go, on each of its channels.
#[derive(Clone, Debug)]
pub struct Preview {
    pub body: Option<String>,
    pub encoding: Encoding,
    pub segments: u32,
    pub forcing: Vec<Forcing>,
    /// The body with look-alikes for what forces UCS-2, and its segments.
    pub replaced: Option<(String, u32)>,
    pub channels: Vec<OnChannel>,
    /// What each rule says of it now.
    pub findings: Vec<Finding>,
    pub cost: Micros,
    pub currency: Currency,
    pub warnings: Vec<Warning>,
    pub spam_triggers: Vec<&'static str>,
    /// Whether the tenant has no account: nothing would leave.
    pub is_simulated: bool,
}

/// What it is billed as on one channel.
#[derive(Clone, Debug)]
pub struct OnChannel {
    pub channel: Channel,
    pub to: String,
    pub is_valid: bool,
    pub units: u32,
    pub cost: Micros,
}

/// What `request` would send. Writes nothing.
///
/// # Errors
/// As sending would refuse it.
pub async fn preview_message(cx: &Context, tenant: &TenantId, request: &Request, now: Timestamp) -> Result<Preview, SendError> {
    let settings = cx.settings(tenant, now).await?;
    let id = MessageId::derive(tenant, &["preview"]);
    let fingerprint = fingerprint(tenant, &request.wish);
    let composed = composed(cx, tenant, request, id, &fingerprint, now).await?;
    let (message, contact) = composed.map_err(SendError::Invalid)?;
    let channels = channels(&settings, &message, &contact);
    let body = message.body.clone().unwrap_or_default();
    let is_spoken = message.direct.as_ref().is_some_and(|direct| direct.call.is_some());
    let mut warnings = lint::warnings(&Text {
        body: &body,
        is_spoken,
        is_marketing: message.category() == Category::Marketing,
        is_segmented: channels.iter().any(|on| on.channel == Channel::Sms) || channels.is_empty() && !is_spoken,
        tenant_name: &settings.name,
    });
    if channels.iter().any(|on| !on.is_valid) {
        warnings.push(Warning::NumberNotValid);
    }
    Ok(Preview {
        findings: verdicts(cx, tenant, &settings, &message, &contact, now, now).await?,
        encoding: encoding(&body),
        segments: segments(&body),
        forcing: if is_spoken { Vec::new() } else { lint::forcing_ucs2(&body) },
        replaced: lint::with_replacements(&body).filter(|_| !is_spoken).map(|body| {
            let segments = segments(&body);
            (body, segments)
        }),
        cost: Micros(channels.iter().map(|on| on.cost.0).sum()),
        currency: settings.budget.currency.clone(),
        spam_triggers: lint::spam_triggers(&body),
        body: message.body,
        channels,
        warnings,
        is_simulated: cx.account(tenant, now).await?.is_simulated(),
    })
}

fn channels(settings: &Settings, message: &Message, contact: &Contact) -> Vec<OnChannel> {
    let question = Question::about(settings, contact, message, None);
    let body = message.body.as_deref().unwrap_or_default();
    let reached = policy::channels(&question).unwrap_or_default();
    let on = |(channel, number): (Channel, &PhoneNumber)| {
        let units = billed_units(channel, body, message.direct.as_deref());
        let cost = Micros(settings.price(channel, number).0 * i64::from(units));
        OnChannel { channel, to: number.e164().to_string(), is_valid: number.is_valid(), units, cost }
    };
    reached.into_iter().map(on).collect()
}
