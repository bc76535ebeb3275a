//! `POST /messages/preview` and `/messages/explain`: what would be sent, and why or why not. Nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::problem::{Problem, Refusals};
use super::request::Input;
use super::send::{CallRequest, MessageRequest, NotificationType};
use super::wishes::{ChannelChoice, Urls, Value, content};
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::compose::{FARTHEST, Wish};
use crate::domain::contact::Category;
use crate::domain::lint::{Forcing, Warning};
use crate::domain::message::Reason;
use crate::domain::money::{Currency, Micros};
use crate::domain::policy::{Finding, Verdict};
use crate::domain::segments::Encoding;
use crate::usecases::explain_message::explain_message;
use crate::usecases::preview_message::{OnChannel, Preview, preview_message};
use crate::usecases::send_message::Request;

/// A message or a call to be looked at: as [`MessageRequest`], or with `say` as [`CallRequest`].
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewRequest {
    pub to: Option<String>,
    pub contact_id: Option<String>,
    pub channel: Option<ChannelChoice>,
    pub body: Option<String>,
    pub template: Option<String>,
    pub variables: Option<BTreeMap<String, Value>>,
    pub media_urls: Option<Urls>,
    pub content_sid: Option<String>,
    pub content_variables: Option<BTreeMap<String, Value>>,
    /// Instead of a body: what a call would say.
    pub say: Option<String>,
    pub category: Option<Category>,
}

impl PreviewRequest {
    fn into_wish(self) -> Wish {
        if let (Some(say), None) = (self.say.clone(), &self.body) {
            let call = CallRequest {
                to: self.to,
                contact_id: self.contact_id,
                say: Some(say),
                template: self.template,
                variables: self.variables,
                category: self.category,
                ..CallRequest::default()
            };
            // What no call has is told as sending would tell it.
            let media_urls = self.media_urls.map(Urls::into_list).unwrap_or_default();
            let content = content(self.content_sid, self.content_variables);
            return Wish { media_urls, content, ..call.into_wish() };
        }
        let message = MessageRequest {
            to: self.to,
            contact_id: self.contact_id,
            channel: self.channel,
            body: self.body,
            template: self.template,
            variables: self.variables,
            media_urls: self.media_urls,
            content_sid: self.content_sid,
            content_variables: self.content_variables,
            category: self.category,
            ..MessageRequest::default()
        };
        message.into_wish()
    }
}

/// A message as it would go.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewView {
    /// The text as it would read.
    body: Option<String>,
    /// How it would travel as SMS: `GSM-7` or `UCS-2`.
    #[schema(value_type = String)]
    encoding: Encoding,
    /// Its SMS segments.
    segments: u32,
    /// The characters that make it UCS-2, and what could stand in their place.
    ucs2_characters: Vec<Ucs2Character>,
    /// The text with those replaced that have a look-alike, if there are any.
    replaced: Option<Replaced>,
    channels: Vec<ChannelView>,
    #[schema(value_type = String)]
    cost: Micros,
    #[schema(value_type = String)]
    currency: Currency,
    warnings: Vec<WarningView>,
    /// What would become of it now.
    verdict: VerdictWord,
    /// Why it would not go.
    reason: Option<Reason>,
    /// Nothing would leave: no Twilio account is connected.
    simulated: bool,
}

/// A character outside GSM-7.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ucs2Character {
    character: String,
    code_point: String,
    count: u32,
    replacement: Option<String>,
}

/// A text in GSM-7 as far as it can be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Replaced {
    body: String,
    segments: u32,
}

/// What it costs on one channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChannelView {
    channel: Channel,
    to: String,
    /// Whether the number lies in an assigned range of its country.
    valid: bool,
    /// Segments, messages or minutes, as the channel is billed.
    units: u32,
    #[schema(value_type = String)]
    cost: Micros,
}

/// Something to be said against it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WarningView {
    /// Stable; for programs.
    #[schema(value_type = String)]
    code: &'static str,
    /// For people.
    text: String,
}

impl PreviewView {
    pub(super) fn of(preview: Preview) -> Self {
        let explanation = Explanation::of(preview.findings);
        let spam = preview.spam_triggers.join(", ");
        let warning = |warning: Warning| {
            let text = match warning {
                Warning::SpamTriggers if !spam.is_empty() => format!("{} ({spam})", warning.text()),
                warning => warning.text().to_string(),
            };
            WarningView { code: warning.code(), text }
        };
        let character = |forcing: Forcing| Ucs2Character {
            character: forcing.character.to_string(),
            code_point: forcing.code_point,
            count: forcing.count,
            replacement: forcing.replacement,
        };
        let channel =
            |on: OnChannel| ChannelView { channel: on.channel, to: on.to, valid: on.is_valid, units: on.units, cost: on.cost };
        Self {
            warnings: preview.warnings.into_iter().map(warning).collect(),
            body: preview.body,
            encoding: preview.encoding,
            segments: preview.segments,
            ucs2_characters: preview.forcing.into_iter().map(character).collect(),
            replaced: preview.replaced.map(|(body, segments)| Replaced { body, segments }),
            channels: preview.channels.into_iter().map(channel).collect(),
            cost: preview.cost,
            currency: preview.currency,
            verdict: explanation.verdict,
            reason: explanation.reason(),
            simulated: preview.is_simulated,
        }
    }
}

/// See a message before it goes: text, segments, cost, and what is to be said against it.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages/preview", tag = "messages",
    params(("tenant" = String, Path)),
    request_body = PreviewRequest, responses((status = 200, description = "As asked", body = PreviewView), Refusals)
)]
pub async fn preview(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<PreviewRequest>,
) -> Result<Json<PreviewView>, Problem> {
    let request = Request { wish: asked.into_wish(), key: String::new(), sent_by: None };
    let preview = preview_message(&cx, &caller.tenant, &request, now).await?;
    Ok(Json(PreviewView::of(preview)))
}

/// Whom, how and when a message would go to.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainRequest {
    pub to: Option<String>,
    pub contact_id: Option<String>,
    pub channel: Option<ExplainChannel>,
    /// As a notification of this type; as a message when absent.
    #[serde(rename = "type")]
    pub kind: Option<NotificationType>,
    pub category: Option<Category>,
    /// As this approved WhatsApp template of Twilio's, not as free text.
    pub content_sid: Option<String>,
    /// Now when absent.
    pub at: Option<Timestamp>,
}

/// Every channel, and both that a contact may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExplainChannel {
    Sms,
    Mms,
    Whatsapp,
    Both,
    Voice,
}

impl ExplainChannel {
    fn channels(self) -> Vec<Channel> {
        match self {
            Self::Sms => vec![Channel::Sms],
            Self::Mms => vec![Channel::Mms],
            Self::Whatsapp => vec![Channel::Whatsapp],
            Self::Both => Channel::BY_CHOICE.to_vec(),
            Self::Voice => vec![Channel::Voice],
        }
    }
}

/// Every rule's verdict.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What becomes of it: `send`, `defer` or `skip`.
    verdict: VerdictWord,
    /// The rule that decides, if one does.
    #[schema(value_type = Option<String>)]
    decided_by: Option<&'static str>,
    rules: Vec<RuleView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    Send,
    Defer,
    Skip,
}

/// What one rule says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RuleView {
    /// `tenant`, `type`, `opt_out`, `channel`, `number`, `quiet_hours`, `whatsapp_window`, `frequency_cap` or `budget`.
    #[schema(value_type = String)]
    rule: &'static str,
    /// Of one channel; of all when absent.
    channel: Option<Channel>,
    verdict: VerdictWord,
    reason: Option<Reason>,
    /// What the reason means, and what can be done about it.
    #[schema(value_type = Option<String>)]
    advice: Option<&'static str>,
    until: Option<Timestamp>,
}

impl RuleView {
    fn of(finding: Finding) -> Self {
        let (verdict, reason, until) = match finding.verdict {
            Verdict::Send => (VerdictWord::Send, None, None),
            Verdict::Defer(until) => (VerdictWord::Defer, None, Some(until)),
            Verdict::Skip(reason) => (VerdictWord::Skip, Some(reason), None),
        };
        Self { rule: finding.rule, channel: finding.channel, verdict, reason, advice: reason.map(Reason::advice), until }
    }
}

impl Explanation {
    fn reason(&self) -> Option<Reason> {
        self.rules.iter().filter(|rule| rule.verdict == self.verdict).find_map(|rule| rule.reason)
    }

    /// The worst of the general rules, or else the best that any channel comes to.
    fn of(findings: Vec<Finding>) -> Self {
        let rules: Vec<RuleView> = findings.into_iter().map(RuleView::of).collect();
        let worst = |of: Option<Channel>| rules.iter().filter(|rule| rule.channel == of).map(|rule| rule.verdict).max();
        let general = worst(None).unwrap_or(VerdictWord::Send);
        let channels = rules.iter().filter_map(|rule| rule.channel);
        let best = channels.filter_map(|channel| worst(Some(channel))).min();
        let verdict = general.max(best.unwrap_or(VerdictWord::Send));
        let decides = |rule: &&RuleView| verdict != VerdictWord::Send && rule.verdict == verdict;
        Self { verdict, decided_by: rules.iter().find(decides).map(|rule| rule.rule), rules }
    }
}

/// Why a message would go, wait or be skipped.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages/explain", tag = "messages",
    params(("tenant" = String, Path)),
    request_body = ExplainRequest, responses((status = 200, description = "As asked", body = Explanation), Refusals)
)]
pub async fn explain(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<ExplainRequest>,
) -> Result<Json<Explanation>, Problem> {
    let wish = Wish {
        to: asked.to,
        contact_id: asked.contact_id,
        kind: asked.kind.map(NotificationType::kind),
        // What it says decides nothing.
        body: Some("?".into()),
        category: asked.category,
        ..Wish::default()
    };
    let request = Request { wish, key: String::new(), sent_by: None };
    let at = asked.at.unwrap_or(now);
    if at < now - FARTHEST || at > now + FARTHEST {
        return Err(Problem::field("at", "too_far", "at most two years from now"));
    }
    let channels = asked.channel.map(ExplainChannel::channels).unwrap_or_default();
    let content = content(asked.content_sid, None);
    let findings = explain_message(&cx, &caller.tenant, &request, channels, content, at, now).await?;
    Ok(Json(Explanation::of(findings)))
}
