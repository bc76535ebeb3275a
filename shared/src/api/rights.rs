//! What a person may ask the tenant for (S0-73, S3-58): everything that is known of them, and to be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::jobs::{self, JobView};
use super::messages::{MessageView, view};
use super::problem::{Problem, Refusals};
use crate::context::Context;
use crate::domain::channel::{Channel, ChannelPreference};
use crate::domain::consent::{Scope, Wish};
use crate::domain::contact::{Category, Contact, Number};
use crate::domain::conversation::{Conversation, State as Seen};
use crate::domain::evidence::{Entry, Method};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::local_time::{QuietHours, Zone};
use crate::domain::message::{Message, Step};
use crate::domain::money::Money;
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::recurrence::Recurrence;
use crate::store::Table;
use crate::store::conversations::ConversationId;
use crate::store::jobs::Stage;
use crate::store::recurring::Recurring;
use crate::usecases::export_contact::{Consent, Export, export_contact};
use crate::usecases::forget_contact::forget_contact;

/// Everything that is known of a contact.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactExport {
    exported_at: Timestamp,
    contact: ExportedContact,
    /// By number: how it stands, and every wish that made it so.
    consent: Vec<ExportedConsent>,
    /// With its numbers, but for those that another contact has too.
    conversations: Vec<ExportedConversation>,
    /// Out and in, with their stories, the earliest first.
    messages: Vec<ExportedMessage>,
    /// So many older messages did not fit: `GET /messages?contact=…` lists them.
    omitted_messages: u32,
    lessons: Vec<ExportedLesson>,
    payments: Vec<ExportedPayment>,
    recurring: Vec<ExportedRecurring>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedContact {
    id: String,
    name: String,
    phone: Option<String>,
    whatsapp: Option<String>,
    email: Option<String>,
    channel: Option<ChannelPreference>,
    #[schema(value_type = Option<String>)]
    time_zone: Option<Zone>,
    groups: Vec<String>,
    #[schema(value_type = Option<Object>)]
    quiet_hours: Option<QuietHours>,
    opted_out: bool,
    opted_out_categories: BTreeSet<Category>,
    attributes: BTreeMap<String, String>,
}

impl ExportedContact {
    fn of(contact: Contact) -> Self {
        let text = |number: &Number| match number {
            Number::Absent => None,
            Number::Unusable(given) => Some(given.clone()),
            Number::Usable(number) => Some(number.e164().to_string()),
        };
        Self {
            phone: text(&contact.phone),
            whatsapp: text(&contact.whatsapp),
            id: contact.id,
            name: contact.name,
            email: contact.email,
            channel: contact.channel,
            time_zone: contact.time_zone,
            groups: contact.groups,
            quiet_hours: contact.quiet_hours,
            opted_out: contact.opted_out,
            opted_out_categories: contact.opted_out_categories,
            attributes: contact.attributes,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedConsent {
    number: String,
    opted_out: bool,
    /// From these alone.
    categories: BTreeSet<Category>,
    since: Option<Timestamp>,
    /// The earliest first.
    history: Vec<ExportedWish>,
}

impl ExportedConsent {
    fn of(consent: Consent) -> Self {
        Self {
            number: consent.number.e164().to_string(),
            opted_out: consent.standing.stopped,
            categories: consent.standing.categories,
            since: consent.since,
            history: consent.history.into_iter().map(ExportedWish::of).collect(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedWish {
    at: Timestamp,
    /// `stop`, `start` or `help`.
    #[schema(value_type = String)]
    wish: &'static str,
    /// Everything when absent.
    categories: Option<BTreeSet<Category>>,
    method: Method,
    source: String,
    by: Option<String>,
    reason: Option<String>,
}

impl ExportedWish {
    fn of(entry: Entry) -> Self {
        let (wish, scope) = match entry.wish {
            Wish::Stop(scope) => ("stop", scope),
            Wish::Start(scope) => ("start", scope),
            Wish::Help => ("help", Scope::All),
        };
        let categories = match scope {
            Scope::Only(categories) => Some(categories),
            Scope::All => None,
        };
        let (at, method, source, by, reason) = (entry.at, entry.method, entry.source, entry.by, entry.reason);
        Self { at, wish, categories, method, source, by, reason }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedConversation {
    id: String,
    peer: String,
    state: Seen,
    last_at: Timestamp,
    last_text: Option<String>,
    channel: Channel,
}

impl ExportedConversation {
    fn of(table: &Table, conversation: Conversation) -> Self {
        Self {
            id: ConversationId::of(table, &conversation.peer).to_string(),
            peer: conversation.peer,
            state: conversation.state,
            last_at: conversation.last_at,
            last_text: conversation.last_text,
            channel: conversation.channel,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedMessage {
    #[serde(flatten)]
    message: MessageView,
    timeline: Vec<ExportedStep>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedStep {
    at: Timestamp,
    step: String,
    detail: Option<String>,
}

impl ExportedMessage {
    fn of(message: Message) -> Self {
        let step = |Step { at, step, detail }: Step| ExportedStep { at, step, detail };
        Self { timeline: message.story().into_iter().map(step).collect(), message: view(message) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedLesson {
    id: String,
    subject: String,
    teacher: String,
    starts_at: Timestamp,
    course: Option<String>,
    #[schema(value_type = String)]
    status: LessonStatus,
}

impl ExportedLesson {
    fn of(lesson: Lesson) -> Self {
        let Lesson { id, subject, teacher, starts_at, course, status, .. } = lesson;
        Self { id, subject, teacher, starts_at, course, status }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedPayment {
    id: String,
    #[schema(value_type = Object)]
    amount: Money,
    #[schema(value_type = String)]
    due_date: Date,
    course: Option<String>,
    #[schema(value_type = String)]
    status: PaymentStatus,
}

impl ExportedPayment {
    fn of(payment: Payment) -> Self {
        let Payment { id, amount, due_date, course, status, .. } = payment;
        Self { id, amount, due_date, course, status }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedRecurring {
    id: String,
    #[schema(value_type = Object)]
    recurrence: Recurrence,
    body: Option<String>,
    /// None when it is over or was taken back.
    next: Option<Timestamp>,
    created_at: Timestamp,
}

impl ExportedRecurring {
    fn of(recurring: Recurring) -> Self {
        let Recurring { id, recurrence, message, next, created_at, .. } = recurring;
        Self { id, recurrence, body: message.body, next, created_at }
    }
}

/// Lambda answers at most 6 MB: so much of it, in bytes, are messages.
const LARGEST: usize = 5_000_000;

/// Of `messages`, the earliest first, the latest that fit; and how many do not.
fn fitting(messages: Vec<Message>) -> (Vec<ExportedMessage>, u32) {
    let all = messages.len();
    let (mut fitting, mut size) = (Vec::with_capacity(all), 0);
    for message in messages.into_iter().rev().map(ExportedMessage::of) {
        size += serde_json::to_vec(&message).map_or(LARGEST, |json| json.len());
        if size > LARGEST {
            break;
        }
        fitting.push(message);
    }
    fitting.reverse();
    let left_out = (all - fitting.len()) as u32;
    (fitting, left_out)
}

fn missing() -> Problem {
    Problem::not_found("there is no such contact")
}

/// Everything that is known of a contact, as the person may ask for it: both directions of every conversation, with
/// the texts. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/contacts/{id}/export", operation_id = "export_contact", tag = "contacts",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = ContactExport), Refusals)
)]
pub async fn export(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let export = export_contact(&cx, &caller.tenant, &id, now).await?.ok_or_else(missing)?;
    let table = cx.table().await?;
    let Export { contact, consent, conversations, messages, omitted, lessons, payments, recurring } = export;
    let (messages, left_out) = fitting(messages);
    let export = ContactExport {
        exported_at: now,
        contact: ExportedContact::of(contact),
        consent: consent.into_iter().map(ExportedConsent::of).collect(),
        conversations: conversations.into_iter().map(|conversation| ExportedConversation::of(table, conversation)).collect(),
        messages,
        omitted_messages: omitted + left_out,
        lessons: lessons.into_iter().map(ExportedLesson::of).collect(),
        payments: payments.into_iter().map(ExportedPayment::of).collect(),
        recurring: recurring.into_iter().map(ExportedRecurring::of).collect(),
    };
    Ok(([(header::CONTENT_DISPOSITION, "attachment; filename=\"contact.json\"")], Json(export)).into_response())
}

/// Forget a contact, here and at Twilio. The contact goes at once, so that nothing more is sent to it; the rest is a
/// job, whose `result` is a signed certificate in the end. An opt-out stays under a keyed hash of the number. Asked
/// again, it is the same job. Takes the role `admin`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/contacts/{id}", operation_id = "forget_contact", tag = "contacts",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses(
        (status = 202, description = "Under way", body = JobView), (status = 200, description = "Done before", body = JobView), Refusals
    )
)]
pub async fn forget(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    caller.require_admin()?;
    let job = forget_contact(&cx, &caller.tenant, &id, caller.subject.clone(), now).await?.ok_or_else(missing)?;
    let status = if job.stage == Stage::Done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(jobs::view(job, Vec::new()))))
}
