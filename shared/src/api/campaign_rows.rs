//! `/campaigns/{id}/rows`: what became of every row of a campaign's file, or why it got no message (S2-52..55).
//!
//! A row is told from what was planned of it, and from its message, whose id is derived from the row's number.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::campaigns::found;
use super::listing;
use super::problem::{Problem, Refusals};
use super::spreadsheet;
use crate::context::Context;
use crate::domain::campaign::{Fate, Row, row_id};
use crate::domain::message::{Message, MessageId, Reason, Status};
use crate::domain::money::Micros;
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{self, Campaign, Stage};
use crate::store::{StoreError, Table, messages};
use crate::twilio::error_codes;

/// So many chunks are looked through for one page that is filtered.
const MOST_CHUNKS: u32 = 20;
/// The messages of so many rows are read at once, where most may be left out.
const AT_ONCE: usize = 500;
/// Rows of a page of the file: some megabyte.
const LARGEST_FILE: u32 = 5_000;

/// Where a page begins: a chunk, and a row of it, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    chunk: u32,
    at: u32,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RowOutcome {
    /// It gets no message; `reason` says why.
    Excluded,
    /// Its message waits, or is still to be made.
    Pending,
    /// Twilio has it.
    Sent,
    Delivered,
    Failed,
    /// Decided against when it was due; `reason` says why.
    Skipped,
    /// Taken back before it went.
    Canceled,
    /// Its message is kept no longer.
    Gone,
}

impl RowOutcome {
    fn word(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Gone => "gone",
        }
    }

    fn of(status: Status) -> Self {
        match (status, status.shown()) {
            (Status::Canceled, _) => Self::Canceled,
            (_, "Pending") => Self::Pending,
            (_, "Delivered") => Self::Delivered,
            (_, "Failed") => Self::Failed,
            (_, "Skipped") => Self::Skipped,
            _ => Self::Sent,
        }
    }

    /// Of a row that goes and has no message.
    fn without_message(stage: Stage) -> Self {
        match stage {
            Stage::Canceled | Stage::Failed => Self::Canceled,
            Stage::Done => Self::Gone,
            Stage::Uploading | Stage::Planning | Stage::Held | Stage::Sending | Stage::Checking => Self::Pending,
        }
    }
}

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RowFilter {
    outcome: Option<RowOutcome>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// How much of the file.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilePage {
    /// 5000 when absent.
    #[param(maximum = 5000, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A page of rows, in the order of the file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignRows {
    items: Vec<CampaignRow>,
    /// While there is one, there may be more: a page that was filtered may hold few rows, or none.
    next_cursor: Option<String>,
}

/// A row of a campaign's file, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignRow {
    /// Counted from 0, without the header and blank lines.
    row: u32,
    /// The line of the file on which it begins; the first is 1.
    line: u32,
    /// The number, as it was written if it is none.
    to: Option<String>,
    contact_id: Option<String>,
    outcome: RowOutcome,
    /// Why it was excluded or decided against.
    #[schema(value_type = Option<String>)]
    reason: Option<&'static str>,
    /// For people: which line it repeats, what is missing, what an error means.
    detail: Option<String>,
    /// Once it is made.
    #[schema(value_type = Option<String>)]
    message_id: Option<MessageId>,
    status: Option<Status>,
    /// Twilio's.
    error_code: Option<u32>,
    /// What it is billed as: SMS segments, MMS or WhatsApp messages.
    segments: Option<u32>,
    #[schema(value_type = Option<String>)]
    cost: Option<Micros>,
    sent_at: Option<Timestamp>,
}

/// What became of a campaign's rows, in the order of the file, 50 a page.
///
/// While its rows are being looked at, the last page ends where that is.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/campaigns/{id}/rows", operation_id = "list_campaign_rows", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path), RowFilter),
    responses((status = 200, description = "As asked", body = CampaignRows), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    filter: Result<Query<RowFilter>, QueryRejection>,
) -> Result<Json<CampaignRows>, Problem> {
    let Query(RowFilter { outcome, limit, cursor }) = filter.map_err(listing::bad_query)?;
    let limit = listing::limit(limit)?;
    let from = place(cursor.as_deref())?;
    let campaign = found(&cx, &caller.tenant, &id).await?;
    let (items, next) = page(&cx, &caller.tenant, &campaign, from, limit, outcome).await?;
    Ok(Json(CampaignRows { items, next_cursor: next.map(cursor_of) }))
}

/// The same as CSV, at most 5,000 rows a page, each page with its header. `Link` names the next page while there is one.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/campaigns/{id}/rows.csv", operation_id = "export_campaign_rows", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path), FilePage),
    responses(
        (
            status = 200, description = "As asked", body = String, content_type = "text/csv",
            headers(("Link" = String, description = "The next page, as `rel=\"next\"`; absent of the last"))
        ),
        Refusals
    )
)]
pub async fn file(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    asked: Result<Query<FilePage>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(FilePage { limit, cursor }) = asked.map_err(listing::bad_query)?;
    let limit = limit.unwrap_or(LARGEST_FILE);
    if !(1..=LARGEST_FILE).contains(&limit) {
        return Err(Problem::field("limit", "invalid", format!("1 to {LARGEST_FILE}")));
    }
    let from = place(cursor.as_deref())?;
    let campaign = found(&cx, &caller.tenant, &id).await?;
    let (rows, next) = page(&cx, &caller.tenant, &campaign, from, limit, None).await?;
    let mut response = spreadsheet::file(&format!("{id}.csv"), &COLUMNS, rows.into_iter().map(CampaignRow::cells));
    let link = next.map(|next| {
        let path = format!("/v1/tenants/{}/campaigns/{id}/rows.csv", caller.tenant);
        format!("<{path}?limit={limit}&cursor={}>; rel=\"next\"", cursor_of(next))
    });
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

const COLUMNS: [&str; 13] = [
    "row",
    "line",
    "to",
    "contact_id",
    "outcome",
    "reason",
    "detail",
    "message_id",
    "status",
    "error_code",
    "segments",
    "cost",
    "sent_at",
];

impl CampaignRow {
    fn cells(self) -> Vec<String> {
        fn shown(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        vec![
            self.row.to_string(),
            self.line.to_string(),
            shown(self.to),
            shown(self.contact_id),
            self.outcome.word().to_string(),
            shown(self.reason),
            shown(self.detail),
            shown(self.message_id),
            shown(self.status),
            shown(self.error_code),
            shown(self.segments),
            shown(self.cost),
            shown(self.sent_at),
        ]
    }

    /// A row with this number, as it was planned, and as its message is.
    fn of(number: u32, planned: &Row, message: Option<Message>, stage: Stage) -> Self {
        let row = Self {
            row: number,
            line: planned.line,
            to: Some(planned.to.clone()).filter(|to| !to.is_empty()),
            contact_id: planned.contact.clone(),
            outcome: RowOutcome::Excluded,
            reason: None,
            detail: None,
            message_id: None,
            status: None,
            error_code: None,
            segments: planned.units(),
            cost: None,
            sent_at: None,
        };
        match (&planned.fate, message) {
            (Fate::Excluded { why, detail }, _) => Self { reason: Some(why.word()), detail: detail.clone(), ..row },
            (Fate::Goes { .. }, None) => Self { outcome: RowOutcome::without_message(stage), ..row },
            (Fate::Goes { .. }, Some(message)) => Self {
                outcome: RowOutcome::of(message.status),
                reason: why(&message).map(Reason::word),
                detail: detail(&message),
                status: Some(message.status),
                error_code: message.error_code,
                segments: message.segments.or(row.segments),
                cost: message.cost,
                sent_at: message.decided_at.filter(|_| message.is_said()),
                message_id: Some(message.id),
                ..row
            },
        }
    }
}

/// What Twilio's code means, or why the message was decided against.
fn detail(message: &Message) -> Option<String> {
    let of_code = |code| {
        let meaning = error_codes::meaning(code);
        format!("{}: {}", meaning.title, meaning.advice)
    };
    message.error_code.map(of_code).or_else(|| why(message).map(|reason| reason.advice().to_string()))
}

/// Of what was taken back there is no more to say.
fn why(message: &Message) -> Option<Reason> {
    message.reason.filter(|reason| *reason != Reason::OnRequest)
}

/// At most `limit` rows from `from` on, of this outcome; and where the next page begins, if there may be one.
async fn page(
    cx: &Context,
    tenant: &TenantId,
    campaign: &Campaign,
    from: Place,
    limit: u32,
    outcome: Option<RowOutcome>,
) -> Result<(Vec<CampaignRow>, Option<Place>), Problem> {
    let table = cx.table().await?;
    let limit = limit as usize;
    let mut place = from;
    let mut rows = Vec::new();
    let mut looked_through = 0;
    while place.chunk < campaign.chunks && rows.len() < limit && looked_through < MOST_CHUNKS {
        let (first, chunk) = campaigns::chunk(table, tenant, &campaign.id, place.chunk).await?;
        looked_through += 1;
        while rows.len() < limit {
            let rest = chunk.get(place.at as usize..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let at_once = if outcome.is_some() { AT_ONCE } else { limit - rows.len() };
            let planned = rest.get(..at_once).unwrap_or(rest);
            for row in told(table, tenant, campaign, first + place.at, planned, outcome).await? {
                place.at += 1;
                if outcome.is_none_or(|outcome| outcome == row.outcome) {
                    rows.push(row);
                    if rows.len() == limit {
                        break;
                    }
                }
            }
        }
        if place.at as usize >= chunk.len() {
            place = Place { chunk: place.chunk + 1, at: 0 };
        }
    }
    Ok((rows, Some(place).filter(|place| place.chunk < campaign.chunks)))
}

/// The rows `planned`, of which the first has the number `first`, each with its message; without, if only those that have
/// none are asked for.
async fn told(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    first: u32,
    planned: &[Row],
    outcome: Option<RowOutcome>,
) -> Result<Vec<CampaignRow>, StoreError> {
    let id = |(number, row): (u32, &Row)| row.units().map(|_| row_id(tenant, &campaign.id, number));
    let ids: Vec<Option<MessageId>> = (first..).zip(planned).map(id).collect();
    let mut messages = HashMap::new();
    if outcome != Some(RowOutcome::Excluded) {
        let ids: Vec<MessageId> = ids.iter().flatten().cloned().collect();
        let known = messages::get_many(table, tenant, &ids).await?;
        messages.extend(known.into_iter().map(|message| (message.id.clone(), message)));
    }
    let rows = (first..).zip(planned).zip(ids).map(|((number, row), id)| {
        let message = id.and_then(|id| messages.remove(&id));
        CampaignRow::of(number, row, message, campaign.stage)
    });
    Ok(rows.collect())
}

fn cursor_of(place: Place) -> String {
    listing::cursor(format!("{} {}", place.chunk, place.at))
}

/// # Errors
/// 422 for a cursor that we did not give.
fn place(cursor: Option<&str>) -> Result<Place, Problem> {
    let Some(cursor) = cursor else { return Ok(Place::default()) };
    let text = listing::entry(cursor)?;
    let place = text.split_once(' ').and_then(|(chunk, at)| Some(Place { chunk: chunk.parse().ok()?, at: at.parse().ok()? }));
    place.ok_or_else(listing::foreign)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::campaign::Excluded;
    use crate::domain::message::{Facts, Step};
    use crate::domain::reminder::Kind;

    fn goes() -> Row {
        Row { line: 12, to: "+12125550001".into(), contact: None, fate: Fate::Goes { values: Vec::new(), units: 2 } }
    }

    fn message(status: Status) -> Message {
        let at: Timestamp = "2026-03-10T15:00:00Z".parse().unwrap();
        let id = MessageId::derive(&TenantId::parse("t").unwrap(), &["row"]);
        let waiting = Message::waiting(id, Kind::Message, Facts::Direct, at, Step::new(at, "asked"));
        Message { status, decided_at: Some(at), ..waiting }
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        for to in [Place::default(), Place { chunk: 3, at: 17 }] {
            assert_eq!(place(Some(&cursor_of(to))).unwrap(), to);
        }
        assert_eq!(place(None).unwrap(), Place::default());
        for foreign in ["", "1", "1 2 3", "1 -2", "1 4294967296", "a b", "2026-03-10T15:00:00Z#x"] {
            assert!(place(Some(&listing::cursor(foreign))).is_err(), "{foreign}");
        }
    }

    #[test]
    fn a_row_is_what_its_message_is() {
        for (status, outcome, is_sent) in [
            (Status::Scheduled, "pending", false),
            (Status::Queued, "sent", true),
            (Status::Delivered, "delivered", true),
            (Status::Read, "delivered", true),
            (Status::Undelivered, "failed", true),
            (Status::Skipped, "skipped", false),
            (Status::Canceled, "canceled", false),
        ] {
            let row = CampaignRow::of(7, &goes(), Some(message(status)), Stage::Sending);
            assert_eq!((row.outcome.word(), row.sent_at.is_some()), (outcome, is_sent), "{status}");
            assert_eq!(serde_json::to_value(row.outcome).unwrap(), outcome);
        }
        let failed = Message { error_code: Some(30007), ..message(Status::Undelivered) };
        let row = CampaignRow::of(7, &goes(), Some(failed), Stage::Sending);
        assert_eq!((row.error_code, row.detail.is_some(), row.segments), (Some(30007), true, Some(2)));
    }

    #[test]
    fn a_row_without_a_message_waits_unless_it_never_will_have_one() {
        for (stage, outcome) in [
            (Stage::Planning, RowOutcome::Pending),
            (Stage::Sending, RowOutcome::Pending),
            (Stage::Canceled, RowOutcome::Canceled),
            (Stage::Done, RowOutcome::Gone),
        ] {
            assert_eq!(CampaignRow::of(7, &goes(), None, stage).outcome, outcome, "{stage:?}");
        }
        let detail = Some("the same number as line 2".to_string());
        let twice = Row { fate: Fate::Excluded { why: Excluded::Duplicate, detail }, ..goes() };
        let row = CampaignRow::of(7, &twice, None, Stage::Done);
        assert_eq!((row.outcome, row.reason, row.segments), (RowOutcome::Excluded, Some("duplicate"), None));
        let cells = row.cells();
        assert_eq!(cells.len(), COLUMNS.len());
        assert_eq!(cells[..7].join(","), "7,12,+12125550001,,excluded,duplicate,the same number as line 2");
    }
}
