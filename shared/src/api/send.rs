//! `POST /messages`, `/messages/test`, `/notifications`, `/calls`: one message each.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Input, Object};
use super::wishes::{ChannelChoice, Repeat, Urls, Value, content, links, texts};
use crate::context::Context;
use crate::domain::channel::ChannelPreference;
use crate::domain::compose::Wish;
use crate::domain::contact::Category;
use crate::domain::message::{Call, Message, Reason};
use crate::domain::reminder::Kind;
use crate::store::recurring::Recurring;
use crate::usecases::cancel_message::{Canceled, cancel_message};
use crate::usecases::repeat_message::plan_recurring;
use crate::usecases::send_message::{Request, send_message};

/// A message to send. `to` or `contactId`; `body`, `template` or `contentSid`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageRequest {
    /// A number as people write it: `+15551234567`, `(555) 123-4567`.
    pub to: Option<String>,
    pub contact_id: Option<String>,
    /// Contact and tenant choose when absent.
    pub channel: Option<ChannelChoice>,
    pub body: Option<String>,
    /// The name of a template.
    pub template: Option<String>,
    pub variables: Option<BTreeMap<String, Value>>,
    pub media_urls: Option<Urls>,
    /// An approved WhatsApp template of Twilio's: `HX…`.
    pub content_sid: Option<String>,
    pub content_variables: Option<BTreeMap<String, Value>>,
    /// Now when absent.
    pub send_at: Option<Timestamp>,
    #[schema(value_type = Option<Repeat>)]
    pub repeat: Option<Object<Repeat>>,
    pub category: Option<Category>,
    /// The caller's own word for it.
    pub reference: Option<String>,
    pub customer_id: Option<String>,
    pub order_id: Option<String>,
    pub reservation_id: Option<String>,
}

impl MessageRequest {
    pub fn into_wish(self) -> Wish {
        Wish {
            to: self.to,
            contact_id: self.contact_id,
            channels: self.channel.map(ChannelChoice::channels).unwrap_or_default(),
            body: self.body,
            verbatim: false,
            template: self.template,
            kind: None,
            variables: texts(self.variables),
            media_urls: self.media_urls.map(Urls::into_list).unwrap_or_default(),
            content: content(self.content_sid, self.content_variables),
            call: None,
            send_at: self.send_at,
            category: self.category,
            reference: self.reference,
            links: links([("customerId", self.customer_id), ("orderId", self.order_id), ("reservationId", self.reservation_id)]),
        }
    }
}

/// A call to make. `say` or `template`, or `twimlUrl`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallRequest {
    pub to: Option<String>,
    pub contact_id: Option<String>,
    /// What is read out.
    pub say: Option<String>,
    pub template: Option<String>,
    pub variables: Option<BTreeMap<String, Value>>,
    /// TwiML that somebody else serves, instead of words.
    pub twiml_url: Option<String>,
    /// Twilio's name of a voice: `alice`, `Polly.Joanna`.
    pub voice: Option<String>,
    /// `en-US`.
    pub language: Option<String>,
    /// Whether Twilio is to tell an answering machine from a person.
    pub detect_machine: Option<bool>,
    /// The call ends after so many minutes, and costs no more; as long as the words take when absent.
    pub max_minutes: Option<u32>,
    pub send_at: Option<Timestamp>,
    pub category: Option<Category>,
    pub reference: Option<String>,
    pub customer_id: Option<String>,
    pub order_id: Option<String>,
    pub reservation_id: Option<String>,
}

impl CallRequest {
    pub fn into_wish(self) -> Wish {
        let call = Call {
            twiml_url: self.twiml_url,
            voice: self.voice,
            language: self.language,
            detect_machine: self.detect_machine.unwrap_or_default(),
            max_minutes: self.max_minutes.unwrap_or_default(),
        };
        Wish {
            to: self.to,
            contact_id: self.contact_id,
            body: self.say,
            template: self.template,
            variables: texts(self.variables),
            call: Some(call),
            send_at: self.send_at,
            category: self.category,
            reference: self.reference,
            links: links([("customerId", self.customer_id), ("orderId", self.order_id), ("reservationId", self.reservation_id)]),
            ..Wish::default()
        }
    }
}

/// A notification of a type, in the tenant's text and over its channels (S0-97).
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationRequest {
    pub contact_id: String,
    #[serde(rename = "type")]
    pub kind: NotificationType,
    pub variables: Option<BTreeMap<String, Value>>,
    pub send_at: Option<Timestamp>,
    pub reference: Option<String>,
}

/// The types that have settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationType {
    LessonReminder,
    PaymentReminder,
    ScheduleChange,
    Attendance,
}

impl NotificationType {
    pub fn kind(self) -> Kind {
        match self {
            Self::LessonReminder => Kind::LessonReminder,
            Self::PaymentReminder => Kind::PaymentReminder,
            Self::ScheduleChange => Kind::ScheduleChange,
            Self::Attendance => Kind::Attendance,
        }
    }
}

/// A test (S0-29..32): at any hour, and before the tenant is switched on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestRequest {
    pub to: String,
    /// `sms` when absent.
    pub channel: Option<ChannelPreference>,
    /// A text of ours when absent.
    pub body: Option<String>,
}

/// What was accepted: the same answer however often the same is asked under the same key.
///
/// How far it got since: `GET /messages/{id}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Of the message, or `rec_…` of what recurs.
    pub id: String,
    /// `Pending`, or `Skipped` with the reason when it was decided against at once.
    pub state: &'static str,
    pub reason: Option<Reason>,
    pub asked_at: Timestamp,
    /// When it goes at the earliest.
    pub due_at: Timestamp,
}

impl Receipt {
    fn of(message: &Message, send_at: Option<Timestamp>) -> Self {
        let asked_at = message.timeline.first().map_or(message.due_at, |step| step.at);
        let reason = message.refused_at_once();
        let due_at = message.deferred_at_once().unwrap_or_else(|| send_at.unwrap_or(asked_at).max(asked_at));
        let state = if reason.is_some() { "Skipped" } else { "Pending" };
        Self { id: message.id.to_string(), state, reason, asked_at, due_at }
    }

    /// Whether it was asked for at `now`, and not before, and was not decided against.
    pub fn is_on_its_way_since(&self, now: Timestamp) -> bool {
        self.asked_at == now && self.reason.is_none()
    }

    fn of_recurring(recurring: &Recurring, send_at: Option<Timestamp>) -> Self {
        let asked_at = recurring.created_at;
        let first = recurring.recurrence.next_after(send_at.unwrap_or(asked_at)).unwrap_or(asked_at);
        Self { id: recurring.id.clone(), state: "Pending", reason: None, asked_at, due_at: first }
    }
}

pub(super) type Accepted = (StatusCode, Json<Receipt>);

pub(super) async fn send(
    cx: &Context,
    caller: Caller,
    key: IdempotencyKey,
    wish: Wish,
    now: Timestamp,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let send_at = wish.send_at;
    let request = Request { wish, key: key.0, sent_by: caller.subject };
    let message = send_message(cx, &caller.tenant, &request, now).await?;
    Ok((StatusCode::ACCEPTED, Json(Receipt::of(&message, send_at))))
}

/// Send a message, now, later or again and again.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages", tag = "messages",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key sends once")),
    request_body = MessageRequest, responses((status = 202, description = "Accepted, and stored for good", body = Receipt), Refusals)
)]
pub async fn message(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Input(mut asked): Input<MessageRequest>,
) -> Result<Accepted, Problem> {
    let Some(Object(repeat)) = asked.repeat.take() else { return send(&cx, caller, key, asked.into_wish(), now).await };
    caller.require_staff()?;
    let recurrence = repeat.into_recurrence(&*cx.settings(&caller.tenant, now).await?)?;
    let request = Request { wish: asked.into_wish(), key: key.0, sent_by: caller.subject };
    let recurring = plan_recurring(&cx, &caller.tenant, &request, recurrence, now).await?;
    Ok((StatusCode::ACCEPTED, Json(Receipt::of_recurring(&recurring, request.wish.send_at))))
}

/// Make a call.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/calls", tag = "calls",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key calls once")),
    request_body = CallRequest, responses((status = 202, description = "Accepted, and stored for good", body = Receipt), Refusals)
)]
pub async fn call(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Input(asked): Input<CallRequest>,
) -> Result<Accepted, Problem> {
    send(&cx, caller, key, asked.into_wish(), now).await
}

/// Notify a contact in the tenant's text for a type, over the channels of that type.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/notifications", tag = "messages",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key sends once")),
    request_body = NotificationRequest, responses((status = 202, description = "Accepted, and stored for good", body = Receipt), Refusals)
)]
pub async fn notification(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Input(asked): Input<NotificationRequest>,
) -> Result<Accepted, Problem> {
    let wish = Wish {
        contact_id: Some(asked.contact_id),
        kind: Some(asked.kind.kind()),
        variables: texts(asked.variables),
        send_at: asked.send_at,
        reference: asked.reference,
        ..Wish::default()
    };
    send(&cx, caller, key, wish, now).await
}

/// Send a test message to a number of one's own.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages/test", tag = "messages",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key sends once")),
    request_body = TestRequest, responses((status = 202, description = "Accepted, and stored for good", body = Receipt), Refusals)
)]
pub async fn test(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Input(asked): Input<TestRequest>,
) -> Result<Accepted, Problem> {
    let wish = Wish {
        to: Some(asked.to),
        channels: asked.channel.unwrap_or(ChannelPreference::Sms).channels().to_vec(),
        body: asked.body,
        kind: Some(Kind::Test),
        ..Wish::default()
    };
    send(&cx, caller, key, wish, now).await
}

/// How much was taken back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TakenBack {
    /// Messages that will not go, or did not.
    pub canceled: u32,
}

/// Take back what has not gone: a message, a batch, or what recurs.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages/{id}/cancel", tag = "messages",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = TakenBack), Refusals)
)]
pub async fn cancel(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<TakenBack>, Problem> {
    caller.require_staff()?;
    match cancel_message(&cx, &caller.tenant, &id, now).await? {
        Canceled::Done(canceled) => Ok(Json(TakenBack { canceled })),
        Canceled::TooLate => Err(Problem::conflict("too_late", "it has gone, is going, or was skipped: GET it to see")),
        Canceled::Unknown => Err(Problem::not_found("there is no such message")),
    }
}
