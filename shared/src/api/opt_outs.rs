//! `/opt-outs`: who wants nothing, or nothing of some kinds; check, opt out, opt in, and the whole history.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::{self, Listing, Span};
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Input};
use super::spreadsheet;
use crate::context::Context;
use crate::domain::channel::Channel;
use crate::domain::consent::{Scope, Wish};
use crate::domain::contact::Category;
use crate::domain::evidence::{Entry, Method};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::store::consents;
use crate::store::contacts;
use crate::usecases::record_wish::{Entered, record_wish};

/// An opt-out to record. `number` or `contactId`, which stands for all numbers of the contact.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptOutRequest {
    pub number: Option<String>,
    pub contact_id: Option<String>,
    /// Everything when absent.
    pub categories: Option<BTreeSet<Category>>,
    pub reason: Option<String>,
    /// How they said so; `other` when absent.
    pub method: Option<EnteredMethod>,
}

/// An opt-in to record: the consent is the tenant's to prove, so it says how it was given.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptInRequest {
    pub number: Option<String>,
    pub contact_id: Option<String>,
    /// Everything when absent.
    pub categories: Option<BTreeSet<Category>>,
    pub method: EnteredMethod,
    pub reason: Option<String>,
}

/// How somebody told a person, or another system. What came by itself is recorded by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnteredMethod {
    WebForm,
    Written,
    Verbal,
    InPerson,
    Import,
    Other,
}

impl EnteredMethod {
    fn method(self) -> Method {
        match self {
            Self::WebForm => Method::WebForm,
            Self::Written => Method::Written,
            Self::Verbal => Method::Verbal,
            Self::InPerson => Method::InPerson,
            Self::Import => Method::Import,
            Self::Other => Method::Other,
        }
    }
}

/// How a number stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandingView {
    /// Empty once its contact was forgotten: then only a keyed hash of it is kept, so that the opt-out holds.
    number: String,
    /// From everything.
    opted_out: bool,
    /// From these alone.
    categories: BTreeSet<Category>,
    since: Option<Timestamp>,
    /// The contacts of this number that the tenant's own records opt out, wholly or of some categories,
    /// whatever the number says. An opt-in of the contact lifts that too.
    opted_out_contacts: Vec<OptedOutContact>,
    /// Everything that the number ever said, the earliest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<WishView>>,
    /// What has to be known beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    note: Option<&'static str>,
}

/// A contact that the tenant's own records opt out.
#[derive(Debug, Serialize, ToSchema)]
pub struct OptedOutContact {
    id: String,
    /// Everything when absent.
    categories: Option<BTreeSet<Category>>,
}

/// One wish of a number's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WishView {
    at: Timestamp,
    /// `stop` or `start`.
    #[schema(value_type = String)]
    wish: &'static str,
    /// Everything when absent.
    categories: Option<BTreeSet<Category>>,
    method: Method,
    /// Twilio's id of the text or call, or our id of the refused message or the request.
    source: String,
    by: Option<String>,
    reason: Option<String>,
}

/// A page of opt-outs, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OptOuts {
    items: Vec<StandingView>,
    next_cursor: Option<String>,
}

const BLOCKED_AT_TWILIO: &str = "Twilio blocks this number too, until its owner texts START to yours";
const FORGOTTEN: &str = "its contact was forgotten: the opt-out holds under a keyed hash of the number";

/// The numbers that have opted out, the latest first.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/opt-outs", operation_id = "list_opt_outs", tag = "opt-outs",
    params(("tenant" = String, Path), Listing), responses((status = 200, description = "As asked", body = OptOuts), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<OptOuts>, Problem> {
    let listing = listing::read(listing)?;
    let (page, next) = consents::opt_outs(cx.table().await?, &caller.tenant, listing.after.as_deref(), listing.limit).await?;
    let items = page.into_iter().map(|opt_out| StandingView {
        note: opt_out.number.is_none().then_some(FORGOTTEN),
        number: opt_out.number.map(|number| number.e164().to_string()).unwrap_or_default(),
        opted_out: opt_out.standing.stopped,
        categories: opt_out.standing.categories,
        since: opt_out.since,
        opted_out_contacts: Vec::new(),
        history: None,
    });
    Ok(Json(OptOuts { items: items.collect(), next_cursor: next.map(listing::cursor) }))
}

/// Whether a number may be messaged, and all that it ever said about that.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/opt-outs/{number}", operation_id = "check_opt_out", tag = "opt-outs",
    params(("tenant" = String, Path), ("number" = String, Path, description = "As people write it; `+` may be percent-encoded")),
    responses((status = 200, description = "As asked", body = StandingView), Refusals)
)]
pub async fn check(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, number)): Path<(String, String)>,
) -> Result<Json<StandingView>, Problem> {
    // Some clients make a space of the `+`.
    let number = if number.starts_with(' ') { format!("+{}", number.trim()) } else { number };
    let number = parse(&cx, &caller.tenant, &number, "number", now).await?;
    standing(&cx, &caller.tenant, number).await.map(Json)
}

/// Opt a number or a contact out. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/opt-outs", operation_id = "opt_out", tag = "opt-outs",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key records once")),
    request_body = OptOutRequest, responses((status = 200, description = "How the numbers stand now", body = Vec<StandingView>), Refusals)
)]
pub async fn opt_out(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Input(asked): Input<OptOutRequest>,
) -> Result<Json<Vec<StandingView>>, Problem> {
    let wish = Wish::Stop(scope(asked.categories)?);
    let method = asked.method.map_or(Method::Other, EnteredMethod::method);
    let entered = Entered { wish, method, reason: reason(asked.reason)?, by: caller.subject.clone(), key: key.0 };
    enter(&cx, caller, asked.number, asked.contact_id, entered, now).await
}

/// Opt a number or a contact in again. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/opt-outs/opt-in", operation_id = "opt_in", tag = "opt-outs",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key records once")),
    request_body = OptInRequest, responses((status = 200, description = "How the numbers stand now", body = Vec<StandingView>), Refusals)
)]
pub async fn opt_in(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Input(asked): Input<OptInRequest>,
) -> Result<Json<Vec<StandingView>>, Problem> {
    let wish = Wish::Start(scope(asked.categories)?);
    let entered =
        Entered { wish, method: asked.method.method(), reason: reason(asked.reason)?, by: caller.subject.clone(), key: key.0 };
    enter(&cx, caller, asked.number, asked.contact_id, entered, now).await
}

/// The history of all consent, or of a span, as CSV: who said what, when, how, and where that is written.
/// Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/opt-outs/export", operation_id = "export_consent", tag = "opt-outs",
    params(("tenant" = String, Path), Span),
    responses((status = 200, description = "As asked", body = String, content_type = "text/csv"), Refusals)
)]
pub async fn export(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let Query(span) = span.map_err(listing::bad_query)?;
    if let (Some(from), Some(to)) = (span.from, span.to)
        && to < from
    {
        return Err(Problem::field("to", "invalid", "not before from"));
    }
    let wishes = consents::all_wishes(cx.table().await?, &caller.tenant, span.from, span.to).await?;
    let row = |entry: Entry<Option<PhoneNumber>>| {
        let number = entry.number.as_ref().map(|number| number.e164().to_string()).unwrap_or_default();
        let view = WishView::of(entry);
        let categories = view
            .categories
            .map_or("all".to_string(), |categories| categories.into_iter().map(Category::word).collect::<Vec<_>>().join(" "));
        let or_empty = |text: Option<String>| text.unwrap_or_default();
        vec![
            number,
            view.at.to_string(),
            view.wish.to_string(),
            categories,
            view.method.word().to_string(),
            view.source,
            or_empty(view.by),
            or_empty(view.reason),
        ]
    };
    let columns = ["number", "at", "wish", "categories", "method", "source", "by", "reason"];
    Ok(spreadsheet::file("consent.csv", &columns, wishes.into_iter().map(row)))
}

impl WishView {
    fn of<N>(entry: Entry<N>) -> Self {
        let (wish, scope) = match entry.wish {
            Wish::Stop(scope) => ("stop", Some(scope)),
            Wish::Start(scope) => ("start", Some(scope)),
            Wish::Help => ("help", None),
        };
        let categories = match scope {
            Some(Scope::Only(categories)) => Some(categories),
            Some(Scope::All) | None => None,
        };
        let Entry { at, method, source, by, reason, .. } = entry;
        Self { at, wish, categories, method, source, by, reason }
    }
}

fn scope(categories: Option<BTreeSet<Category>>) -> Result<Scope, Problem> {
    match categories {
        Some(none) if none.is_empty() => {
            Err(Problem::field("categories", "invalid", "name at least one, or leave it out for all"))
        }
        Some(categories) => Ok(Scope::Only(categories)),
        None => Ok(Scope::All),
    }
}

const LONGEST_REASON: usize = 500;

fn reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    match reason {
        Some(reason) if reason.chars().count() > LONGEST_REASON => {
            Err(Problem::field("reason", "too_long", format!("at most {LONGEST_REASON} characters")))
        }
        reason => Ok(reason),
    }
}

async fn enter(
    cx: &Context,
    caller: Caller,
    number: Option<String>,
    contact_id: Option<String>,
    entered: Entered,
    now: Timestamp,
) -> Result<Json<Vec<StandingView>>, Problem> {
    caller.require_staff()?;
    let tenant = &caller.tenant;
    let numbers: Vec<PhoneNumber> = match (number, &contact_id) {
        (Some(number), None) => vec![parse(cx, tenant, &number, "number", now).await?],
        (None, Some(id)) => {
            let contact = contacts::get_many(cx.table().await?, tenant, &[id]).await?.remove(id);
            let contact = contact.ok_or_else(|| Problem::field("contactId", "unknown_contact", "there is no such contact"))?;
            let numbers: BTreeSet<PhoneNumber> =
                Channel::BY_CHOICE.into_iter().filter_map(|channel| contact.number(channel).cloned()).collect();
            numbers.into_iter().collect()
        }
        (None, None) => return Err(Problem::field("number", "required", "give a number or a contactId")),
        (Some(_), Some(_)) => return Err(Problem::field("number", "exclusive", "give a number or a contactId, not both")),
    };
    if numbers.is_empty() {
        return Err(Problem::field("contactId", "invalid_number", "this contact has no number that can be reached"));
    }
    record_wish(cx, tenant, &numbers, contact_id.as_deref(), &entered, now).await?;
    let mut views = Vec::with_capacity(numbers.len());
    for number in numbers {
        views.push(standing(cx, tenant, number).await?);
    }
    Ok(Json(views))
}

async fn parse(cx: &Context, tenant: &TenantId, number: &str, field: &str, now: Timestamp) -> Result<PhoneNumber, Problem> {
    let settings = cx.settings(tenant, now).await?;
    // Whatever the tenant sends to: somebody may have been messaged before it became strict.
    let parsed = PhoneNumber::parse(number, &settings.default_region, crate::domain::phone::Strictness::Possible);
    parsed.map_err(|error| Problem::field(field, "invalid_number", error))
}

async fn standing(cx: &Context, tenant: &TenantId, number: PhoneNumber) -> Result<StandingView, Problem> {
    let table = cx.table().await?;
    let known = consents::of(table, tenant, &[&number]).await?.remove(&number).unwrap_or_default();
    let contacts = contacts::at_numbers(table, tenant, &[&number]).await?.remove(&number).unwrap_or_default();
    let history = consents::history(table, tenant, &number).await?;
    // Twilio lifts its own block for nobody but the number's owner.
    let texted = history.iter().rev().find(|entry| matches!(entry.method, Method::Keyword | Method::Refusal));
    let blocked = texted.is_some_and(|entry| matches!(entry.wish, Wish::Stop(Scope::All)));
    Ok(StandingView {
        number: number.e164().to_string(),
        note: (blocked && !known.standing.stopped).then_some(BLOCKED_AT_TWILIO),
        opted_out: known.standing.stopped,
        categories: known.standing.categories,
        since: known.since,
        opted_out_contacts: contacts
            .into_iter()
            .filter(|(_, wishes)| wishes.opted_out || !wishes.opted_out_categories.is_empty())
            .map(|(id, wishes)| OptedOutContact { id, categories: (!wishes.opted_out).then_some(wishes.opted_out_categories) })
            .collect(),
        history: Some(history.into_iter().map(WishView::of).collect()),
    })
}
