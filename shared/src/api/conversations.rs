//! `/conversations`: the inbox, what was written with one number, and answering it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::{self, Listing};
use super::messages::{MessageView, view};
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Input};
use super::send::{Accepted, send};
use super::wishes::Urls;
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::compose::Wish;
use crate::domain::contact::Contact;
use crate::domain::conversation::{Conversation, State as Seen};
use crate::domain::inbound::Peer;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::conversations::{self, ConversationId};
use crate::store::{consents, contacts, sessions};

/// A conversation, as the inbox shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView {
    id: String,
    /// Their number, or whatever else they wrote from.
    peer: String,
    /// Who has that number; nobody, for somebody unknown.
    contacts: Vec<ContactName>,
    state: Seen,
    /// Of theirs, since somebody last looked.
    unread: u32,
    /// Somebody should look: it sounds like an opt-out.
    review: bool,
    last_at: Timestamp,
    last_text: Option<String>,
    /// Over which they last wrote; an answer goes over it too.
    channel: Channel,
    /// They want no messages at all.
    opted_out: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ContactName {
    id: String,
    name: String,
}

/// A page of the inbox, the latest heard of first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inbox {
    items: Vec<ConversationView>,
    next_cursor: Option<String>,
}

/// A conversation with a page of its messages, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Talk {
    conversation: ConversationView,
    items: Vec<MessageView>,
    next_cursor: Option<String>,
    /// Until when they take free text over WhatsApp: 24 hours after they last wrote there.
    whatsapp_until: Option<Timestamp>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Shelf {
    /// `open` when absent.
    state: Option<Seen>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// An answer: goes over the channel that they last wrote over, unless another is named.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplyRequest {
    pub body: Option<String>,
    pub media_urls: Option<Urls>,
    pub channel: Option<ReplyChannel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplyChannel {
    Sms,
    Whatsapp,
}

/// The inbox: whoever wrote or called, by state, the latest heard of first.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/conversations", operation_id = "list_conversations", tag = "conversations",
    params(("tenant" = String, Path), Shelf), responses((status = 200, description = "As asked", body = Inbox), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    shelf: Result<Query<Shelf>, QueryRejection>,
) -> Result<Json<Inbox>, Problem> {
    let Query(shelf) = shelf.map_err(listing::bad_query)?;
    let asked = listing::asked(shelf.limit, shelf.cursor.as_deref())?;
    let table = cx.table().await?;
    let state = shelf.state.unwrap_or_default();
    let (page, next) = conversations::list(table, &caller.tenant, state, asked.after.as_deref(), asked.limit).await?;
    let items = views(&cx, &caller.tenant, page).await?;
    Ok(Json(Inbox { items, next_cursor: next.map(listing::cursor) }))
}

/// One conversation: what was written and said both ways, the latest first.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/conversations/{id}", operation_id = "get_conversation", tag = "conversations",
    params(("tenant" = String, Path), ("id" = String, Path), Listing),
    responses((status = 200, description = "As asked", body = Talk), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Talk>, Problem> {
    let asked = listing::read(listing)?;
    let (id, conversation) = found(&cx, &caller.tenant, &id).await?;
    let table = cx.table().await?;
    let (page, next) = conversations::messages(table, &caller.tenant, &id, asked.after.as_deref(), asked.limit).await?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let whatsapp_until = match Peer::parse(&conversation.peer, &settings.default_region) {
        Peer::Number(number) => sessions::open_until(table, &caller.tenant, &number, now).await?,
        Peer::Other(_) => None,
    };
    let conversation = one_view(&cx, &caller.tenant, id, conversation).await?;
    let items = page.into_iter().map(view).collect();
    Ok(Json(Talk { conversation, items, next_cursor: next.map(listing::cursor), whatsapp_until }))
}

/// Somebody has read it. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/conversations/{id}/read", operation_id = "read_conversation", tag = "conversations",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As it is now", body = ConversationView), Refusals)
)]
pub async fn read(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<ConversationView>, Problem> {
    change(&cx, caller, &id, |conversation| Conversation { unread: 0, ..conversation }).await
}

/// Somebody has seen to it. It is open again once they write. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/conversations/{id}/handled", operation_id = "handle_conversation", tag = "conversations",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As it is now", body = ConversationView), Refusals)
)]
pub async fn handled(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<ConversationView>, Problem> {
    let handled = |conversation| Conversation { unread: 0, review: false, state: Seen::Handled, ..conversation };
    change(&cx, caller, &id, handled).await
}

/// Somebody has to see to it after all. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/conversations/{id}/reopen", operation_id = "reopen_conversation", tag = "conversations",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As it is now", body = ConversationView), Refusals)
)]
pub async fn reopen(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<ConversationView>, Problem> {
    change(&cx, caller, &id, |conversation| Conversation { state: Seen::Open, ..conversation }).await
}

/// Answer. By the same rules as any message: opt-outs, quiet hours, WhatsApp's window, the budget.
/// Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/conversations/{id}/reply", operation_id = "reply", tag = "conversations",
    params(("tenant" = String, Path), ("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key sends once")),
    request_body = ReplyRequest, responses((status = 202, description = "Accepted, and stored for good", body = super::send::Receipt), Refusals)
)]
pub async fn reply(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    key: IdempotencyKey,
    Input(asked): Input<ReplyRequest>,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let (id, conversation) = found(&cx, &caller.tenant, &id).await?;
    let settings = cx.settings(&caller.tenant, now).await?;
    if Peer::parse(&conversation.peer, &settings.default_region).number().is_none() {
        return Err(Problem::conflict("no_number", "they wrote from what is no number: it cannot be answered"));
    }
    let channel = match (asked.channel, conversation.channel) {
        (Some(ReplyChannel::Whatsapp), _) | (None, Channel::Whatsapp) => Channel::Whatsapp,
        (Some(ReplyChannel::Sms), _) | (None, Channel::Sms | Channel::Mms | Channel::Voice) => Channel::Sms,
    };
    let wish = Wish {
        to: Some(conversation.peer.clone()),
        channels: vec![channel],
        body: asked.body,
        verbatim: true,
        media_urls: asked.media_urls.map(Urls::into_list).unwrap_or_default(),
        ..Wish::default()
    };
    let tenant = caller.tenant.clone();
    let accepted = send(&cx, caller, key, wish, now).await?;
    // What is only repeated, or does not go, answers nothing.
    if accepted.1.is_on_its_way_since(now) {
        conversations::update(cx.table().await?, &tenant, &id, |conversation| Conversation { unread: 0, ..conversation }).await?;
    }
    Ok(accepted)
}

async fn change(
    cx: &Context,
    caller: Caller,
    id: &str,
    change: impl Fn(Conversation) -> Conversation,
) -> Result<Json<ConversationView>, Problem> {
    caller.require_staff()?;
    let id = ConversationId::parse(id).ok_or_else(missing)?;
    let conversation = conversations::update(cx.table().await?, &caller.tenant, &id, change).await?.ok_or_else(missing)?;
    one_view(cx, &caller.tenant, id, conversation).await.map(Json)
}

fn missing() -> Problem {
    Problem::not_found("there is no such conversation")
}

async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<(ConversationId, Conversation), Problem> {
    let id = ConversationId::parse(id).ok_or_else(missing)?;
    let conversation = conversations::get(cx.table().await?, tenant, &id).await?.ok_or_else(missing)?;
    Ok((id, conversation))
}

async fn one_view(
    cx: &Context,
    tenant: &TenantId,
    id: ConversationId,
    conversation: Conversation,
) -> Result<ConversationView, Problem> {
    views(cx, tenant, vec![(id, conversation)]).await?.pop().ok_or_else(missing)
}

async fn views(
    cx: &Context,
    tenant: &TenantId,
    page: Vec<(ConversationId, Conversation)>,
) -> Result<Vec<ConversationView>, Problem> {
    let table = cx.table().await?;
    // Stored in E.164: no region is needed to read it.
    let numbers: Vec<PhoneNumber> = page.iter().filter_map(|(_, of)| PhoneNumber::from_e164(&of.peer)).collect();
    let at_numbers = contacts::at_numbers(table, tenant, &numbers.iter().collect::<Vec<_>>()).await?;
    let ids: Vec<&str> = at_numbers.values().flat_map(|known| known.keys().map(String::as_str)).collect();
    let known = contacts::get_many(table, tenant, &ids).await?;
    let standings = consents::standings(table, tenant, &numbers.iter().collect::<Vec<_>>()).await?;
    let is_stopped = |peer: &str| standings.iter().any(|(number, standing)| number.e164() == peer && standing.stopped);
    let names = |peer: &str| -> Vec<ContactName> {
        let at_number = at_numbers.iter().find(|(number, _)| number.e164() == peer).map(|(_, contacts)| contacts);
        let contacts = at_number.into_iter().flat_map(|contacts| contacts.keys()).filter_map(|id| known.get(id));
        contacts.map(|Contact { id, name, .. }| ContactName { id: id.clone(), name: name.clone() }).collect()
    };
    let view = |(id, of): (ConversationId, Conversation)| ConversationView {
        id: id.to_string(),
        contacts: names(&of.peer),
        opted_out: is_stopped(&of.peer),
        peer: of.peer,
        state: of.state,
        unread: of.unread,
        review: of.review,
        last_at: of.last_at,
        last_text: of.last_text,
        channel: of.channel,
    };
    Ok(page.into_iter().map(view).collect())
}
