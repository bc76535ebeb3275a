//! `GET /messages`, `GET /calls`, and one of each: what was sent, what waits, and why what was not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::{self, LARGEST_LIMIT};
use super::problem::{Problem, Refusals};
use crate::context::Context;
use crate::domain::answer::Answer;
use crate::domain::catalogue::template_key;
use crate::domain::channel::Channel;
use crate::domain::consent::Wish;
use crate::domain::contact::Category;
use crate::domain::inbound::{Inbound, Media};
use crate::domain::message::{Message, MessageId, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::phone::{PhoneNumber, Strictness};
use crate::domain::reminder::{Kind, Offset};
use crate::domain::statistics::{campaign_of, template_of};
use crate::domain::tenant::TenantId;
use crate::store::messages::{self, LogEntry, LogOrder};
use crate::store::{StoreError, Table, keys};
use crate::twilio::error_codes;

/// What `GET /messages` filters by. Without `from`: the last 24 hours; without `to`: the next 48.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    status: Option<Status>,
    channel: Option<Channel>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    contact: Option<String>,
    /// Both when absent.
    direction: Option<Direction>,
    /// Reminders that were answered so.
    answer: Option<Answer>,
    /// The id of a list or campaign: its rows.
    campaign: Option<String>,
    category: Option<Category>,
    /// By name, however it is written; the name of a type for what has the type's own text.
    template: Option<String>,
    /// The caller's own word for it.
    reference: Option<String>,
    /// What went to it and came from it. As people write it; `+` may be percent-encoded.
    number: Option<String>,
    /// By the instant each was due; `earliest` first when absent.
    order: Option<LogOrder>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
    #[serde(skip)]
    #[param(ignore)]
    is_call: bool,
    /// `number`, as numbers are stored.
    #[serde(skip)]
    #[param(ignore)]
    peer: Option<PhoneNumber>,
}

/// A page, and the way to the next.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    items: Vec<MessageView>,
    /// While there is one, there may be more: a page that was filtered may be short, or empty.
    next_cursor: Option<String>,
}

/// A message as callers see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    #[schema(value_type = String)]
    id: MessageId,
    #[serde(rename = "type")]
    kind: Kind,
    /// The lesson's or payment's id.
    subject: Option<String>,
    contact: Option<String>,
    #[schema(value_type = Option<String>)]
    offset: Option<Offset>,
    channel: Option<Channel>,
    /// Pending, Sent, Delivered, Failed or Skipped (S0-77..80).
    #[schema(value_type = String)]
    state: &'static str,
    status: Status,
    reason: Option<Reason>,
    /// What the reason means, and what can be done about it.
    #[schema(value_type = Option<String>)]
    advice: Option<&'static str>,
    due_at: Timestamp,
    decided_at: Option<Timestamp>,
    /// Out, or in: somebody wrote or called.
    direction: Direction,
    /// Of what came in: who wrote or called. Of what went out it is not kept: the settings have the senders, and of a
    /// messaging service Twilio chooses the number.
    from: Option<String>,
    /// The recipient; of what came in, which of the tenant's numbers.
    to: Option<String>,
    body: Option<String>,
    /// What it is billed as: SMS segments, MMS or WhatsApp messages, minutes of a call.
    segments: Option<u32>,
    #[schema(value_type = Option<String>)]
    cost: Option<Micros>,
    sid: Option<String>,
    /// How long a call lasted, in seconds.
    duration: Option<u32>,
    /// Who took a call: `human`, `machine_start`, …; when it was to be found out.
    answered_by: Option<String>,
    error_code: Option<u32>,
    /// What Twilio's code means, and what can be done about it.
    error: Option<TwilioError>,
    category: Category,
    media_urls: Vec<String>,
    template: Option<String>,
    reference: Option<String>,
    /// The list or campaign that it is a row of: `batch_…`, or the campaign's id.
    list: Option<String>,
    /// What it is an occurrence of: `rec_…`.
    recurring: Option<String>,
    /// What it belongs to at the caller's: `customerId`, `orderId`, `reservationId`.
    links: BTreeMap<String, String>,
    sent_by: Option<String>,
    /// Nothing left this system: no Twilio account is connected.
    simulated: bool,
    /// What its recipient answered to a reminder that asked; of what came in, what it answers.
    answer: Option<Answer>,
    /// What else is to be said of what came in.
    inbound: Option<InboundView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<StepView>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Out,
    In,
}

/// What came in, beyond its text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboundView {
    media: Vec<Media>,
    /// `stop`, `start` or `help`, if it says something about being messaged.
    #[schema(value_type = Option<String>)]
    wish: Option<&'static str>,
    /// Somebody should look: a sentence was taken for an opt-out, or sounds like one.
    review: bool,
    /// The reminder that it answers.
    #[schema(value_type = Option<String>)]
    answers: Option<MessageId>,
    /// The message that was answered at once.
    #[schema(value_type = Option<String>)]
    reply: Option<MessageId>,
    /// What else Twilio said: `ProfileName`, `Latitude`, …
    params: BTreeMap<String, String>,
}

impl InboundView {
    fn of(inbound: Inbound) -> Self {
        let wish = inbound.reading.wish.map(|(wish, _)| match wish {
            Wish::Stop(_) => "stop",
            Wish::Start(_) => "start",
            Wish::Help => "help",
        });
        Self {
            media: inbound.media,
            wish,
            review: inbound.reading.review,
            answers: inbound.answers.map(|answered| answered.reminder),
            reply: inbound.reply,
            params: inbound.params.into_iter().collect(),
        }
    }
}

/// One of Twilio's codes, in words.
#[derive(Debug, Serialize, ToSchema)]
pub struct TwilioError {
    code: u32,
    #[schema(value_type = String)]
    title: &'static str,
    /// `permanent_recipient`, `opt_out`, `retry_later`, …
    #[schema(value_type = String)]
    class: &'static str,
    /// What the operator can do.
    #[schema(value_type = String)]
    advice: &'static str,
}

/// A line of a message's timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    at: Timestamp,
    /// How it began: `planned`, `asked`, `recurred`, `replied`, `received`. What was decided: `parted`, `missing`, `deferred`,
    /// `paced`, `skipped`, `canceled`. What was done: `claimed`, then `accepted`, `refused`, `not_processed` or `unknown`, and
    /// `not_found` at each look in vain. What Twilio told: `callback`, `found`, or `asked` at night. Others are for people.
    step: String,
    detail: Option<String>,
}

/// What was sent, what waits, and why what was not: by the instant each was due, the earliest first unless asked
/// otherwise, 50 a page (S0-76, S1-34, S1-40).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/messages", operation_id = "list_messages", tag = "messages",
    params(("tenant" = String, Path), Filter), responses((status = 200, description = "As asked", body = Page), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(filter) = filter.map_err(listing::bad_query)?;
    page(&cx, &caller.tenant, filter, now).await
}

/// The calls among them (S1-07, S1-41).
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/calls", operation_id = "list_calls", tag = "calls",
    params(("tenant" = String, Path), Filter), responses((status = 200, description = "As asked", body = Page), Refusals)
)]
pub async fn calls(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(filter) = filter.map_err(listing::bad_query)?;
    page(&cx, &caller.tenant, Filter { is_call: true, ..filter }, now).await
}

async fn page(cx: &Context, tenant: &TenantId, mut filter: Filter, now: Timestamp) -> Result<Json<Page>, Problem> {
    let from = filter.from.unwrap_or(now - SignedDuration::from_hours(24));
    let to = filter.to.unwrap_or(now + SignedDuration::from_hours(48));
    listing::bounded(from, to)?;
    let limit = listing::limit(filter.limit)?;
    let after = filter.cursor.as_deref().map(read_cursor).transpose()?;
    if after.as_ref().is_some_and(|entry| entry.due_at < from || entry.due_at > to) {
        return Err(Problem::field("cursor", "invalid", "not of a listing from and to these instants"));
    }
    if let Some(number) = &filter.number {
        filter.peer = Some(parse_number(cx, tenant, number, now).await?);
    }
    // A filter may leave little of a page: larger ones then, not many.
    let page_size = filter.page_size(limit);
    let walk = Walk { from, to, order: filter.order.unwrap_or_default(), after, page_size, limit };
    let (items, next) = walk.items(cx.table().await?, tenant, |message| filter.keeps(message)).await?;
    let next_cursor = next.map(|entry| write_cursor(&entry));
    Ok(Json(Page { items: items.into_iter().map(view).collect(), next_cursor }))
}

async fn parse_number(cx: &Context, tenant: &TenantId, number: &str, now: Timestamp) -> Result<PhoneNumber, Problem> {
    let settings = cx.settings(tenant, now).await?;
    // A `+` that was not encoded is a space.
    let number = if number.starts_with(' ') { format!("+{}", number.trim()) } else { number.to_string() };
    let parsed = PhoneNumber::parse(&number, &settings.default_region, Strictness::Possible);
    parsed.map_err(|error| Problem::field("number", "invalid_number", error))
}

/// So many messages are looked at for one page.
const MOST_LOOKED_AT: u32 = 5_000;

/// How far back the live feed looks.
const LATEST: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The latest messages, the newest first, without what they say (S1-11, S3-37).
pub(super) async fn latest(cx: &Context, tenant: &TenantId, limit: u32, now: Timestamp) -> Result<Vec<MessageView>, Problem> {
    let walk = Walk { from: now - LATEST, to: now, order: LogOrder::Latest, after: None, page_size: limit, limit };
    let (items, _) = walk.items(cx.table().await?, tenant, |_| true).await?;
    Ok(items.into_iter().map(|message| without_words(view(message))).collect())
}

fn without_words(view: MessageView) -> MessageView {
    let inbound = view.inbound.map(|inbound| InboundView { media: Vec::new(), params: BTreeMap::new(), ..inbound });
    MessageView { body: None, media_urls: Vec::new(), inbound, ..view }
}

/// A walk through the log, from one end of a span to the other.
struct Walk {
    from: Timestamp,
    to: Timestamp,
    order: LogOrder,
    after: Option<LogEntry>,
    page_size: u32,
    limit: u32,
}

impl Walk {
    /// At most `limit` messages that `keeps` keeps; and the entry after which more may be. After many that it does not
    /// keep, what was found so far.
    async fn items(
        self,
        table: &Table,
        tenant: &TenantId,
        keeps: impl Fn(&Message) -> bool,
    ) -> Result<(Vec<Message>, Option<LogEntry>), StoreError> {
        let Self { from, to, order, mut after, page_size, limit } = self;
        let (first, last) = match order {
            LogOrder::Earliest => (from, keys::day(to)),
            LogOrder::Latest => (to, keys::day(from)),
        };
        let mut day = keys::day(after.as_ref().map_or(first, |entry| entry.due_at));
        let mut items: Vec<Message> = Vec::new();
        let mut looked_at = 0;
        loop {
            let (page, is_last) = match order {
                LogOrder::Earliest => messages::log_page(table, tenant, day, (from, to), after.as_ref(), page_size).await?,
                LogOrder::Latest => messages::log_page_back(table, tenant, day, (from, to), after.as_ref(), page_size).await?,
            };
            for message in page {
                after = Some(LogEntry { due_at: message.due_at, id: message.id.clone() });
                if (from..=to).contains(&message.due_at) && keeps(&message) {
                    items.push(message);
                }
                looked_at += 1;
                if items.len() == limit as usize || looked_at == MOST_LOOKED_AT {
                    return Ok((items, after));
                }
            }
            if is_last {
                if day == last {
                    return Ok((items, None));
                }
                day = match order {
                    LogOrder::Earliest => day.tomorrow().unwrap_or(last),
                    LogOrder::Latest => day.yesterday().unwrap_or(last),
                };
                after = None;
            }
        }
    }
}

/// One message, with its story.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/messages/{id}", operation_id = "get_message", tag = "messages",
    params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 200, description = "As asked", body = MessageView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<MessageView>, Problem> {
    Ok(Json(with_story(found(&cx, &caller.tenant, &id).await?)))
}

/// One call, with its story.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/calls/{id}", operation_id = "get_call", tag = "calls",
    params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 200, description = "As asked", body = MessageView), Refusals)
)]
pub async fn call(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<MessageView>, Problem> {
    let call = found(&cx, &caller.tenant, &id).await?;
    if !call.is_call() {
        return Err(Problem::not_found("there is no such call"));
    }
    Ok(Json(with_story(call)))
}

async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<Message, Problem> {
    let missing = || Problem::not_found("there is no such message; a list is at /messages/bulk/{id}");
    let id = MessageId::parse(id).ok_or_else(missing)?;
    messages::get_many(cx.table().await?, tenant, &[id]).await?.pop().ok_or_else(missing)
}

fn with_story(message: Message) -> MessageView {
    let step = |Step { at, step, detail }: Step| StepView { at, step, detail };
    let timeline = Some(message.story().into_iter().map(step).collect());
    MessageView { timeline, ..view(message) }
}

impl Filter {
    fn page_size(&self, limit: u32) -> u32 {
        let is_any = self.is_call
            || self.direction.is_some()
            || self.answer.is_some()
            || self.status.is_some()
            || self.channel.is_some()
            || self.kind.is_some()
            || self.campaign.is_some()
            || self.category.is_some()
            || self.template.is_some()
            || self.reference.is_some()
            || self.number.is_some()
            || self.contact.is_some();
        if is_any { LARGEST_LIMIT } else { limit }
    }

    fn keeps(&self, message: &Message) -> bool {
        let reference = message.direct.as_ref().and_then(|direct| direct.reference.as_ref());
        self.status.is_none_or(|status| status == message.status)
            && self.channel.is_none_or(|channel| Some(channel) == message.channel)
            && (!self.is_call || message.is_call())
            && self.kind.is_none_or(|kind| kind == message.kind)
            && self.answer.is_none_or(|answer| Some(answer) == given(message))
            && self.direction.is_none_or(|direction| (direction == Direction::In) == message.inbound.is_some())
            && self.contact.as_ref().is_none_or(|contact| Some(contact) == message.contact.as_ref())
            && self.campaign.as_ref().is_none_or(|campaign| Some(campaign.as_str()) == campaign_of(message))
            && self.category.is_none_or(|category| message.inbound.is_none() && category == message.category())
            && self.template.as_ref().is_none_or(|name| Some(template_key(name)) == template_of(message))
            && self.reference.as_ref().is_none_or(|wanted| Some(wanted) == reference)
            && self.peer.as_ref().is_none_or(|peer| message.peer().is_some_and(|address| address == peer.e164()))
    }
}

pub(super) fn view(message: Message) -> MessageView {
    let category = message.category();
    let error = message.error_code.map(|code| {
        let meaning = error_codes::meaning(code);
        TwilioError { code, title: meaning.title, class: meaning.class.word(), advice: meaning.advice }
    });
    let recurring = message.timeline.first().filter(|first| first.step == "recurred").and_then(|first| first.detail.clone());
    let answer = given(&message);
    let peer = message.peer().map(|peer| peer.to_string());
    let list = campaign_of(&message).map(str::to_string);
    let inbound = message.inbound;
    let direct = message.direct.map(|direct| *direct);
    let (media_urls, template, reference, links, sent_by) = match direct {
        Some(direct) => (direct.media_urls, direct.template, direct.reference, direct.links, direct.sent_by),
        None => (inbound_media(inbound.as_deref()), None, None, BTreeMap::new(), None),
    };
    MessageView {
        id: message.id,
        kind: message.kind,
        subject: Some(message.subject).filter(|subject| !subject.is_empty()),
        contact: message.contact,
        offset: message.offset,
        channel: message.channel,
        state: if inbound.is_some() { Status::Received.shown() } else { message.status.shown() },
        status: message.status,
        reason: message.reason,
        advice: message.reason.map(Reason::advice),
        due_at: message.due_at,
        decided_at: message.decided_at,
        direction: if inbound.is_some() { Direction::In } else { Direction::Out },
        from: inbound.as_ref().map(|_| peer.clone().unwrap_or_default()),
        to: inbound.as_ref().map_or(peer, |inbound| Some(inbound.to.trim_start_matches("whatsapp:").to_string())),
        body: message.body,
        segments: message.segments,
        cost: message.cost,
        sid: message.sid,
        duration: message.duration,
        answered_by: message.answered_by,
        error_code: message.error_code,
        error,
        category,
        media_urls,
        template,
        reference,
        list,
        recurring,
        links,
        sent_by,
        simulated: message.simulated,
        answer,
        inbound: inbound.map(|inbound| InboundView::of(*inbound)),
        timeline: None,
    }
}

/// What was answered to a reminder, or by a text.
fn given(message: &Message) -> Option<Answer> {
    message.answer.or_else(|| Some(message.inbound.as_ref()?.answers.as_ref()?.answer))
}

fn inbound_media(inbound: Option<&Inbound>) -> Vec<String> {
    inbound.into_iter().flat_map(|inbound| &inbound.media).map(|media| media.url.clone()).collect()
}

fn write_cursor(entry: &LogEntry) -> String {
    listing::cursor(format!("{} {}", entry.due_at, entry.id))
}

fn read_cursor(cursor: &str) -> Result<LogEntry, Problem> {
    let text = listing::entry(cursor)?;
    let entry =
        text.split_once(' ').and_then(|(due_at, id)| Some(LogEntry { due_at: due_at.parse().ok()?, id: MessageId::parse(id)? }));
    entry.ok_or_else(listing::foreign)
}
