//! `POST /messages/bulk`, `/calls/bulk`: many at once, each row with its own outcome; and how far they are.

use std::collections::{BTreeMap, BTreeSet};
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
use super::request::{IdempotencyKey, Printed, unreadable};
use super::send::{CallRequest, MessageRequest};
use super::wishes::{ChannelChoice, Urls, Value, texts};
use crate::context::Context;
use crate::domain::compose::{FieldError, Wish};
use crate::domain::contact::Category;
use crate::domain::message::{Content, MessageId, is_derived};
use crate::domain::money::Micros;
use crate::domain::recipients;
use crate::domain::tenant::TenantId;
use crate::store::batches::{self, Batch, Stage};
use crate::store::{self, contacts};
use crate::usecases::release_batch::{Released, release_batch};
use crate::usecases::send_batch::{BATCH_PREFIX, BatchRequest, MOST_ROWS, known_batch, row_id, send_batch};

/// Bytes of text, variables and URLs that all rows share.
const LARGEST_SHARED: usize = 40_000;
/// Bytes of a list's name, and of a group's.
const LONGEST_LABEL: usize = 256;

/// Whom a list is for: rows of their own, or numbers one a line or with commas between (S1-25).
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text of numbers, or a list of rows")]
pub enum Recipients {
    Text(String),
    Rows(Vec<Given>),
}

/// A row: a number, or an object. One that cannot be read stops none of the others.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Given {
    Number(String),
    #[schema(value_type = Row)]
    Row(serde_json::Value),
}

impl Given {
    fn read(self) -> Result<Row, FieldError> {
        match self {
            Self::Number(to) => Ok(Row { to: Some(to), ..Row::default() }),
            Self::Row(row) if !row.is_object() => Err(FieldError::new("", "invalid", "a row is a number as text, or an object")),
            Self::Row(row) => serde_path_to_error::deserialize(row).map_err(|error| {
                let path = error.path().to_string();
                unreadable(path.trim_matches(['.', '?']), &error.into_inner().to_string())
            }),
        }
    }
}

/// One recipient, and what is different for it.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    pub to: Option<String>,
    pub contact_id: Option<String>,
    pub body: Option<String>,
    pub template: Option<String>,
    /// Added to those of the whole list.
    pub variables: Option<BTreeMap<String, Value>>,
    pub media_urls: Option<Urls>,
    /// Added to those of the whole list.
    pub content_variables: Option<BTreeMap<String, Value>>,
    pub reference: Option<String>,
    pub customer_id: Option<String>,
    pub order_id: Option<String>,
    pub reservation_id: Option<String>,
}

/// Many messages. What is said beside `recipients` and `groups` holds for every row that does not say otherwise.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkRequest {
    pub name: Option<String>,
    pub recipients: Option<Recipients>,
    /// The members of these groups, each once.
    pub groups: Option<Vec<String>>,
    pub channel: Option<ChannelChoice>,
    pub body: Option<String>,
    pub template: Option<String>,
    pub variables: Option<BTreeMap<String, Value>>,
    pub media_urls: Option<Urls>,
    pub content_sid: Option<String>,
    pub content_variables: Option<BTreeMap<String, Value>>,
    pub send_at: Option<Timestamp>,
    pub category: Option<Category>,
    /// `false` keeps the list until `POST /messages/bulk/{id}/send` (S3-26).
    pub send_immediately: Option<bool>,
}

/// Many calls with the same words. They cost money: `confirmCost` says that the caller knows (S1-33).
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkCallRequest {
    pub name: Option<String>,
    pub recipients: Option<Recipients>,
    pub groups: Option<Vec<String>>,
    pub say: Option<String>,
    pub template: Option<String>,
    pub variables: Option<BTreeMap<String, Value>>,
    pub twiml_url: Option<String>,
    pub voice: Option<String>,
    pub language: Option<String>,
    pub detect_machine: Option<bool>,
    pub max_minutes: Option<u32>,
    pub send_at: Option<Timestamp>,
    pub category: Option<Category>,
    pub send_immediately: Option<bool>,
    pub confirm_cost: Option<bool>,
}

/// What was accepted of a list: the same answer however often the same is asked under the same key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BulkReceipt {
    /// `batch_…`
    pub id: String,
    pub name: Option<String>,
    pub accepted: u32,
    pub refused: u32,
    /// In the order in which they were given; members of groups follow, by id.
    pub rows: Vec<RowReceipt>,
}

/// A message's id, or what is wrong with the row.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RowReceipt {
    /// Counted from 0.
    pub row: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub id: Option<MessageId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl BulkReceipt {
    fn of(tenant: &TenantId, batch: Batch, errors: Vec<FieldError>) -> Self {
        let mut rows: Vec<RowReceipt> = (0..batch.asked).map(|row| RowReceipt { row, id: None, errors: Vec::new() }).collect();
        for row in batch.rows() {
            rows[row as usize].id = Some(row_id(tenant, &batch.id, row));
        }
        for error in errors {
            if let Some(row) = error.row.and_then(|row| rows.get_mut(row as usize)) {
                row.errors.push(error);
            }
        }
        let accepted = rows.iter().filter(|row| row.id.is_some()).count() as u32;
        Self { id: batch.id, name: batch.name, accepted, refused: batch.asked - accepted, rows }
    }
}

type Accepted = (StatusCode, Json<BulkReceipt>);

/// Send many messages. A row that cannot be right stops none of the others.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages/bulk", tag = "messages",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key sends once")),
    request_body = BulkRequest, responses((status = 202, description = "Accepted, and stored for good", body = BulkReceipt), Refusals)
)]
pub async fn messages(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Printed { value: asked, fingerprint }: Printed<BulkRequest>,
) -> Result<Accepted, Problem> {
    let whole = MessageRequest {
        channel: asked.channel,
        body: asked.body,
        template: asked.template,
        variables: asked.variables,
        media_urls: asked.media_urls,
        content_sid: asked.content_sid,
        content_variables: asked.content_variables,
        send_at: asked.send_at,
        category: asked.category,
        ..MessageRequest::default()
    };
    let list = List {
        name: asked.name,
        recipients: asked.recipients,
        groups: asked.groups,
        is_held: asked.send_immediately == Some(false),
        is_cost_confirmed: None,
        fingerprint,
    };
    accept(&cx, caller, key, list, whole.into_wish(), now).await
}

/// Make many calls, one after another.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/calls/bulk", tag = "calls",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key calls once")),
    request_body = BulkCallRequest, responses((status = 202, description = "Accepted, and stored for good", body = BulkReceipt), Refusals)
)]
pub async fn calls(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Printed { value: asked, fingerprint }: Printed<BulkCallRequest>,
) -> Result<Accepted, Problem> {
    let whole = CallRequest {
        say: asked.say,
        template: asked.template,
        variables: asked.variables,
        twiml_url: asked.twiml_url,
        voice: asked.voice,
        language: asked.language,
        detect_machine: asked.detect_machine,
        max_minutes: asked.max_minutes,
        send_at: asked.send_at,
        category: asked.category,
        ..CallRequest::default()
    };
    let list = List {
        name: asked.name,
        recipients: asked.recipients,
        groups: asked.groups,
        is_held: asked.send_immediately == Some(false),
        is_cost_confirmed: Some(asked.confirm_cost == Some(true)),
        fingerprint,
    };
    accept(&cx, caller, key, list, whole.into_wish(), now).await
}

/// What a list says beside what each of its rows wishes.
struct List {
    name: Option<String>,
    recipients: Option<Recipients>,
    groups: Option<Vec<String>>,
    is_held: bool,
    is_cost_confirmed: Option<bool>,
    fingerprint: String,
}

async fn accept(
    cx: &Context,
    caller: Caller,
    key: IdempotencyKey,
    list: List,
    whole: Wish,
    now: Timestamp,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let answer = |(batch, errors)| (StatusCode::ACCEPTED, Json(BulkReceipt::of(&caller.tenant, batch, errors)));
    if let Some(known) = known_batch(cx, &caller.tenant, &key.0, &list.fingerprint).await? {
        return Ok(answer(known));
    }
    let whole = shared(whole)?;
    let rows = rows(cx, &caller.tenant, list.recipients, list.groups).await?;
    if rows.is_empty() {
        return Err(Problem::field("recipients", "required", "give recipients or groups that have members"));
    }
    let request = BatchRequest {
        wishes: with_rows(&whole, rows),
        fingerprint: list.fingerprint,
        name: label(list.name)?,
        is_held: list.is_held,
        is_cost_confirmed: list.is_cost_confirmed,
        key: key.0,
        sent_by: caller.subject.clone(),
    };
    Ok(answer(send_batch(cx, &caller.tenant, &request, now).await?))
}

/// What all rows have in common is copied for each: more than a message can be is refused before.
fn shared(whole: Wish) -> Result<Wish, Problem> {
    let values = whole.variables.iter().chain(whole.content.iter().flat_map(|content| &content.variables));
    let size = whole.body.as_ref().map_or(0, String::len) + values.map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let urls: usize = whole.media_urls.iter().map(String::len).sum();
    if size + urls > LARGEST_SHARED {
        return Err(Problem::field("body", "too_long", format!("what all rows share has at most {LARGEST_SHARED} bytes")));
    }
    Ok(whole)
}

fn label(name: Option<String>) -> Result<Option<String>, Problem> {
    match name {
        Some(name) if name.len() > LONGEST_LABEL => {
            Err(Problem::field("name", "too_long", format!("at most {LONGEST_LABEL} bytes")))
        }
        name => Ok(name),
    }
}

/// Everybody a list is for, each a row.
async fn rows(
    cx: &Context,
    tenant: &TenantId,
    recipients: Option<Recipients>,
    groups: Option<Vec<String>>,
) -> Result<Vec<Result<Row, FieldError>>, Problem> {
    let mut rows = match recipients {
        None => Vec::new(),
        Some(Recipients::Rows(rows)) => rows.into_iter().map(Given::read).collect(),
        Some(Recipients::Text(text)) => {
            let numbers = recipients::split(&text).into_iter().take(MOST_ROWS + 1);
            numbers.map(|to| Given::Number(to.to_string()).read()).collect()
        }
    };
    let groups = groups.unwrap_or_default();
    if rows.len() > MOST_ROWS || groups.len() > 100 {
        return Err(Problem::too_large(format!("at most {MOST_ROWS} rows and 100 groups: send it in parts")));
    }
    let mut members = BTreeSet::new();
    for (at, group) in groups.iter().enumerate() {
        let fits = (1..=LONGEST_LABEL).contains(&group.len());
        let of_group = if fits { contacts::members(cx.table().await?, tenant, group).await? } else { Vec::new() };
        if of_group.is_empty() {
            return Err(Problem::field(format!("groups[{at}]"), "unknown_group", "nobody is in this group"));
        }
        members.extend(of_group);
    }
    rows.extend(members.into_iter().map(|id| Ok(Row { contact_id: Some(id), ..Row::default() })));
    Ok(rows)
}

fn with_rows(whole: &Wish, rows: Vec<Result<Row, FieldError>>) -> Vec<Result<Wish, FieldError>> {
    rows.into_iter().map(|row| row.map(|row| with_row(whole, row))).collect()
}

/// The whole list's wish, as this row has it.
fn with_row(whole: &Wish, row: Row) -> Wish {
    let own = MessageRequest {
        to: row.to,
        contact_id: row.contact_id,
        body: row.body,
        template: row.template,
        variables: row.variables,
        media_urls: row.media_urls,
        reference: row.reference,
        customer_id: row.customer_id,
        order_id: row.order_id,
        reservation_id: row.reservation_id,
        ..MessageRequest::default()
    };
    let own = own.into_wish();
    let own_content = texts(row.content_variables);
    let has_text = own.body.is_some() || own.template.is_some();
    let mut variables = whole.variables.clone();
    variables.extend(own.variables);
    Wish {
        to: own.to,
        contact_id: own.contact_id,
        body: if has_text { own.body } else { whole.body.clone() },
        template: if has_text { own.template } else { whole.template.clone() },
        content: whole
            .content
            .clone()
            .filter(|_| !has_text)
            .map(|content| Content { variables: content.variables.into_iter().chain(own_content).collect(), ..content }),
        variables,
        media_urls: if own.media_urls.is_empty() { whole.media_urls.clone() } else { own.media_urls },
        reference: own.reference,
        links: own.links,
        ..whole.clone()
    }
}

/// A list, and how far its messages are.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkView {
    id: String,
    name: Option<String>,
    /// `held`, `opening`, `open` or `canceled`.
    #[schema(value_type = String)]
    stage: Stage,
    asked_at: Timestamp,
    asked: u32,
    refused: u32,
    /// How many messages are in each state: Pending, Sent, Delivered, Failed, Skipped.
    states: BTreeMap<&'static str, u32>,
    #[schema(value_type = String)]
    cost: Micros,
}

/// How far a list is.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/messages/bulk/{id}", operation_id = "get_bulk", tag = "messages",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = BulkView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<BulkView>, Problem> {
    let missing = || Problem::not_found("there is no such list");
    if !is_derived(&id, BATCH_PREFIX) {
        return Err(missing());
    }
    let table = cx.table().await?;
    let batch = batches::get(table, &caller.tenant, &id).await?.ok_or_else(missing)?;
    let ids: Vec<MessageId> = batch.rows().into_iter().map(|row| row_id(&caller.tenant, &id, row)).collect();
    let mut states: BTreeMap<&'static str, u32> = BTreeMap::new();
    let mut cost = 0;
    for message in store::messages::get_many(table, &caller.tenant, &ids).await? {
        *states.entry(message.status.shown()).or_default() += 1;
        cost += message.cost.unwrap_or_default().0;
    }
    Ok(Json(BulkView {
        stage: batch.stage,
        asked_at: batch.created_at,
        asked: batch.asked,
        refused: batch.refused.len() as u32,
        name: batch.name,
        states,
        cost: Micros(cost),
        id,
    }))
}

/// How far a list is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BulkState {
    /// `held`, `opening`, `open` or `canceled`.
    #[schema(value_type = String)]
    pub stage: Stage,
}

/// Let a list go that was kept.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/messages/bulk/{id}/send", tag = "messages",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 202, description = "Let go", body = BulkState), Refusals)
)]
pub async fn release(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<BulkState>), Problem> {
    caller.require_staff()?;
    match release_batch(&cx, &caller.tenant, &id, now).await? {
        Released::Going(stage) => Ok((StatusCode::ACCEPTED, Json(BulkState { stage }))),
        Released::Canceled => Err(Problem::conflict("canceled", "this list was taken back")),
        Released::Unknown => Err(Problem::not_found("there is no such list")),
    }
}
