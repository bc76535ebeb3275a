//! The audit trail: every change, and every look at personal data, with who, what, when and from where (S3-59); and
//! `/audit`, where admins read it.
//!
//! A layer around all routes writes the entry when the handler has answered, and before the answer goes out. What
//! cannot be written down is not told: the answer is a 500 then, though the change may have been made. The other way
//! round, with the entry first, the trail would tell of what never happened; and whoever repeats the request finds
//! the change made, and leaves an entry.
//!
//! Nobody's data lies in the trail: contacts and numbers stand in it as keyed hashes, and where a request came from
//! is sealed, as is what else its path named. Of a change of the settings or of a contact it says which fields were
//! named, and no value. What contacts change by a link of their own stands as theirs, with the role `contact`.
//!
//! Left out is what sends one message: its row says itself who asked and when (S3-47), and a single send has no request
//! to the table to spare. Who was refused before anything was looked at (401, 404, 429) is not the tenant's, and is not
//! written down either.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use lambda_http::request::RequestContext;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing;
use super::problem::{Problem, Refusals};
use super::spreadsheet;
use crate::context::{Context, ContextError};
use crate::domain::phone::{PhoneNumber, Strictness};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::audit::{self, Entry, Origin};
use crate::store::{Table, keys};
use crate::usecases::preferences_link::{Link, read_link};

/// What sends one message, and says in its row who asked.
const SINGLE_SENDS: [&str; 5] = ["/messages", "/messages/test", "/notifications", "/calls", "/conversations/{id}/reply"];

/// Whether looking at a resource is looking at people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    People,
    Nobody,
}

/// By the beginning of the path, below the tenant's; the first line that fits. What is missing here is written down.
const SHOWS: &[(&str, Shows)] = &[
    ("analytics/live", Shows::People),
    ("analytics", Shows::Nobody),
    ("audit", Shows::People),
    ("calls", Shows::People),
    // How far one is stands on a screen that asks each second.
    ("campaigns/{id}/rows", Shows::People),
    ("campaigns/{id}/rows.csv", Shows::People),
    ("campaigns", Shows::Nobody),
    ("contacts", Shows::People),
    ("conversations", Shows::People),
    ("diagnose", Shows::Nobody),
    ("docs", Shows::Nobody),
    ("groups", Shows::People),
    ("imports", Shows::People),
    ("jobs", Shows::People),
    ("lessons", Shows::People),
    ("messages", Shows::People),
    ("opt-outs", Shows::People),
    ("payments", Shows::People),
    ("phone-numbers", Shows::Nobody),
    ("settings", Shows::Nobody),
    ("templates", Shows::Nobody),
    ("twilio", Shows::People),
    // Of the platform's own routes, the descriptions, and what contacts see of themselves.
    ("v1", Shows::Nobody),
    ("", Shows::Nobody),
];

/// A route without what all of a tenant's begin with.
fn short(route: &str) -> &str {
    route.strip_prefix("/v1/tenants/{tenant}").unwrap_or(route)
}

fn shows(route: &str) -> Option<Shows> {
    let path = short(route).trim_start_matches('/');
    let fits = |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    SHOWS.iter().find(|(known, _)| fits(known)).map(|(_, shows)| *shows)
}

fn is_recorded(method: &Method, route: &str) -> bool {
    if method.is_safe() {
        return shows(route) != Some(Shows::Nobody);
    }
    !(method == Method::POST && SINGLE_SENDS.contains(&short(route)))
}

/// What changes many things at once: the trail says which were named.
const TELLS_FIELDS: [(&str, &str); 3] = [("PUT", "/settings"), ("PATCH", "/settings"), ("PATCH", "/contacts/{id}")];

/// What contacts change by a link, which says who they are instead of a token.
const BY_LINK: &str = "/v1/preferences/{token}";
/// The role of whoever does. It is no tenant's.
const CONTACT: &str = "contact";

/// Who a request turned out to be of, once that is known to be true. Travels with the request.
#[derive(Clone, Debug, Default)]
pub struct Noted(Arc<Mutex<Option<Who>>>);

/// Somebody of a tenant, a contact of it, or somebody of the platform and concerned with that tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub tenant: TenantId,
    pub role: &'static str,
    pub subject: Option<String>,
}

impl Noted {
    pub fn note(&self, who: Who) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(who);
    }

    fn who(&self) -> Option<Who> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// API Gateway lets no larger request through, in bytes.
const LARGEST: usize = 10 * 1024 * 1024;
/// A larger one is a list or a file: about nobody in particular.
const LARGEST_READ: usize = 64 * 1024;
const LONGEST_USER_AGENT: usize = 256;
/// Of what a path names, in characters.
const LONGEST_TARGET: usize = 256;
/// Of the fields that a change names, and of the name of each, in bytes.
const MOST_FIELDS: usize = 40;
const LONGEST_FIELD: usize = 40;

/// The layer around all routes.
pub async fn record(State(cx): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_string());
    let Some(route) = route.filter(|route| is_recorded(request.method(), route)) else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let Ok(Arrival(at)) = Arrival::from_request_parts(&mut parts, &cx).await;
    let Ok(body) = axum::body::to_bytes(body, LARGEST).await else {
        return Problem::too_large(format!("a request has at most {LARGEST} bytes")).into_response();
    };
    let mut asked = Asked::read(&mut parts, route, &body).await;
    let noted = Noted::default();
    parts.extensions.insert(noted.clone());
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let who = match noted.who() {
        Some(who) => Some(who),
        None => match asked.by_link(&cx, response.status(), at).await {
            Ok(who) => who,
            Err(problem) => return problem.into_response(),
        },
    };
    let Some(who) = who else { return response };
    match write(&cx, who, asked, response.status(), at).await {
        Ok(()) => response,
        Err(problem) => problem.into_response(),
    }
}

/// What a request says, as far as the trail tells of it.
struct Asked {
    id: String,
    method: Method,
    route: String,
    named: Vec<Named>,
    /// Of a change, what it names.
    fields: Vec<String>,
    /// The token of a contact's link.
    link: Option<String>,
    origin: Origin,
}

/// Something that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Contact(String),
    Number(String),
    Other(String),
}

impl Asked {
    async fn read(parts: &mut Parts, route: String, body: &[u8]) -> Self {
        let path = RawPathParams::from_request_parts(parts, &()).await;
        let values: Vec<(&str, &str)> = path.iter().flat_map(|path| path.iter()).collect();
        let mut named = in_path(&route, &values);
        let token = values.iter().find(|(name, _)| route == BY_LINK && *name == "token");
        let link = token.map(|(_, token)| (*token).to_string());
        named.extend(in_query(parts.uri.query().unwrap_or_default()));
        let tells_fields = TELLS_FIELDS.contains(&(parts.method.as_str(), short(&route)));
        let mut fields = Vec::new();
        if body.len() <= LARGEST_READ || tells_fields {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            named.extend(in_body(&route, &body));
            fields = if tells_fields { names(&body) } else { Vec::new() };
        }
        let context = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context),
            _ => None,
        };
        let user_agent = context.and_then(|context| context.http.user_agent.as_ref());
        Self {
            id: context.and_then(|context| context.request_id.clone()).unwrap_or_default(),
            method: parts.method.clone(),
            origin: Origin {
                ip: context.and_then(|context| context.http.source_ip.clone()),
                user_agent: user_agent.map(|text| text.chars().take(LONGEST_USER_AGENT).collect()),
            },
            route,
            named,
            fields,
            link,
        }
    }

    /// The contact that has changed something of its own by a link.
    async fn by_link(&mut self, cx: &Context, status: StatusCode, at: Timestamp) -> Result<Option<Who>, Problem> {
        let is_done = status.is_success() || status.is_redirection();
        let Some(token) = self.link.as_ref().filter(|_| is_done) else { return Ok(None) };
        let Some(Link { tenant, contact, .. }) = read_link(cx, token, at).await? else { return Ok(None) };
        self.named = vec![Named::Contact(contact)];
        Ok(Some(Who { tenant, role: CONTACT, subject: None }))
    }

    /// Method and route; the platform's own routes from `/tenants` on, a contact's from `/preferences` on.
    fn action(&self, role: &str) -> String {
        let whole = self.route.strip_prefix("/v1").unwrap_or(&self.route);
        let route = if ["platform", CONTACT].contains(&role) { whole } else { short(&self.route) };
        format!("{} {route}", self.method)
    }
}

/// The fields of an object that can be some of ours; what cannot may be anything, also a name or a number.
fn names(body: &Value) -> Vec<String> {
    let is_name = |name: &&String| {
        name.len() <= LONGEST_FIELD
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    body.as_object().into_iter().flat_map(|object| object.keys()).filter(is_name).take(MOST_FIELDS).cloned().collect()
}

/// What the parameters of a path name, by what stands before them.
fn in_path(route: &str, values: &[(&str, &str)]) -> Vec<Named> {
    let segments: Vec<&str> = route.split('/').collect();
    let mut named = Vec::new();
    for (before, parameter) in segments.iter().zip(segments.iter().skip(1)) {
        let Some(name) = parameter.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { continue };
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else { continue };
        match *before {
            // A link's token opens what is the contact's.
            "tenants" | "preferences" => {}
            "contacts" | "members" => named.push(Named::Contact((*value).to_string())),
            "opt-outs" => named.push(Named::Number((*value).to_string())),
            _ => named.push(Named::Other((*value).to_string())),
        }
    }
    named
}

fn in_query(query: &str) -> Vec<Named> {
    let named = form_urlencoded::parse(query.as_bytes()).filter_map(|(name, value)| match &*name {
        "contact" | "contactId" => Some(Named::Contact(value.into_owned())),
        "number" | "phone" => Some(Named::Number(value.into_owned())),
        _ => None,
    });
    named.collect()
}

fn in_body(route: &str, body: &Value) -> Vec<Named> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_string);
    let id = text("contactId").or_else(|| if route.ends_with("/contacts") { text("id") } else { None });
    let number = text("number").or_else(|| text("to"));
    id.map(Named::Contact).into_iter().chain(number.map(Named::Number)).collect()
}

async fn write(cx: &Context, who: Who, asked: Asked, status: StatusCode, at: Timestamp) -> Result<(), Problem> {
    let settings = match cx.settings(&who.tenant, at).await {
        // Of a tenant that is gone nothing is kept.
        Err(ContextError::NoTenant(_)) => return Ok(()),
        settings => settings?,
    };
    let table = cx.table().await?;
    let contact = asked.named.iter().find_map(|named| match named {
        Named::Contact(id) => Some(audit::contact_hash(table, id)),
        Named::Number(_) | Named::Other(_) => None,
    });
    let number = asked.named.iter().find_map(|named| match named {
        Named::Number(number) => Some(number_hash(table, &settings, number)),
        // A conversation's id holds the hash of whom it is with.
        Named::Other(id) => id.strip_prefix("conv_").map(str::to_string),
        Named::Contact(_) => None,
    });
    let others = asked.named.iter().filter_map(|named| match named {
        Named::Other(id) => Some(id.as_str()),
        Named::Contact(_) | Named::Number(_) => None,
    });
    let target: String = others.collect::<Vec<_>>().join(" ").chars().take(LONGEST_TARGET).collect();
    let days = i64::from(settings.retention.audit_days);
    let entry = Entry {
        action: asked.action(who.role),
        id: asked.id,
        at,
        actor: who.subject,
        role: who.role.to_string(),
        target: Some(target).filter(|target| !target.is_empty()),
        contact,
        number,
        fields: asked.fields,
        status: status.as_u16(),
        origin: Some(asked.origin),
    };
    Ok(audit::put(table, &who.tenant, &entry, at + SignedDuration::from_hours(24 * days)).await?)
}

/// A number as people write it, or whatever else stands in its place.
fn number_hash(table: &Table, settings: &Settings, text: &str) -> String {
    // Some clients make a space of the `+`.
    let text = if text.starts_with(' ') { format!("+{}", text.trim()) } else { text.trim().to_string() };
    match PhoneNumber::parse(&text, &settings.default_region, Strictness::Possible) {
        Ok(number) => table.keyring().number_hash(&number),
        Err(_) => table.keyring().address_hash(&text),
    }
}

/// What `GET /audit` filters by. Without `from`: as far back as the trail goes; without `to`: up to now.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// Whoever did it: the subject of the token.
    actor: Option<String>,
    /// A part of method and route: `DELETE`, `/contacts`.
    action: Option<String>,
    /// A contact's id, or the hash that an entry shows.
    contact: Option<String>,
    /// A number as people write it, or the hash that an entry shows.
    number: Option<String>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// The same, of all pages at once.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditExportFilter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// Whoever did it: the subject of the token.
    actor: Option<String>,
    /// A part of method and route: `DELETE`, `/contacts`.
    action: Option<String>,
    /// A contact's id, or the hash that an entry shows.
    contact: Option<String>,
    /// A number as people write it, or the hash that an entry shows.
    number: Option<String>,
}

/// One request: who, what, when, from where, and what was answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The gateway's id of the request.
    id: String,
    at: Timestamp,
    /// The subject of the token.
    actor: Option<String>,
    /// `viewer`, `staff`, `admin` or `platform`; `contact` for what a contact changed by a link of its own.
    role: String,
    /// Method and route.
    action: String,
    /// What the path named.
    target: Option<String>,
    /// A hash that stands for the contact: the same for the same contact, and for nobody once that is forgotten.
    contact: Option<String>,
    /// A hash that stands for the number.
    number: Option<String>,
    /// Of a change of the settings or of a contact: the fields that it named. Their values are not kept.
    fields: Vec<String>,
    /// The HTTP status of the answer.
    status: u16,
    ip: Option<String>,
    user_agent: Option<String>,
}

/// A page of the trail, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    items: Vec<AuditEntry>,
    /// While there is one, there may be more: a page that was filtered may hold few entries, or none.
    next_cursor: Option<String>,
}

impl AuditEntry {
    fn of(entry: Entry) -> Self {
        let Entry { id, at, actor, role, action, target, contact, number, fields, status, origin } = entry;
        let Origin { ip, user_agent } = origin.unwrap_or_default();
        Self { id, at, actor, role, action, target, contact, number, fields, status, ip, user_agent }
    }
}

/// So many entries are looked at for one page.
const MOST_LOOKED_AT: usize = 5_000;
/// So many are exported at once.
const MOST_EXPORTED: usize = 10_000;
/// An export looks through more of them.
const MOST_LOOKED_AT_FOR_EXPORT: usize = 100_000;
const USUAL_EXPORT_DAYS: i64 = 31;
/// So many are read at once.
const PAGE: u32 = 200;

/// Who did what: every change and every look at personal data, the latest first. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/audit", operation_id = "list_audit", tag = "audit",
    params(("tenant" = String, Path), AuditFilter), responses((status = 200, description = "As asked", body = AuditPage), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<AuditFilter>, QueryRejection>,
) -> Result<Json<AuditPage>, Problem> {
    caller.require_admin()?;
    let Query(filter) = filter.map_err(listing::bad_query)?;
    let asked = listing::asked(filter.limit, filter.cursor.as_deref())?;
    let wanted = Wanted::read(&cx, &caller.tenant, filter, None, now).await?;
    let begin = asked.after.as_deref().and_then(keys::head_instant);
    if begin.is_some_and(|at| at < wanted.from || at > wanted.to) {
        return Err(Problem::field("cursor", "invalid", "not of a listing from and to these instants"));
    }
    let (found, next) = search(&cx, &caller.tenant, &wanted, asked.after, asked.limit as usize, MOST_LOOKED_AT).await?;
    let items = found.into_iter().map(AuditEntry::of).collect();
    Ok(Json(AuditPage { items, next_cursor: next.map(listing::cursor) }))
}

/// The same as CSV: of the last 31 days, if nothing is said, and at most 10,000 entries. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/audit/export", operation_id = "export_audit", tag = "audit",
    params(("tenant" = String, Path), AuditExportFilter),
    responses((status = 200, description = "As asked", body = String, content_type = "text/csv"), Refusals)
)]
pub async fn export(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<AuditExportFilter>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let Query(AuditExportFilter { from, to, actor, action, contact, number }) = filter.map_err(listing::bad_query)?;
    let filter = AuditFilter { from, to, actor, action, contact, number, limit: None, cursor: None };
    let wanted = Wanted::read(&cx, &caller.tenant, filter, Some(USUAL_EXPORT_DAYS), now).await?;
    let (found, next) = search(&cx, &caller.tenant, &wanted, None, MOST_EXPORTED, MOST_LOOKED_AT_FOR_EXPORT).await?;
    if next.is_some() {
        return Err(Problem::too_large(format!("more than {MOST_EXPORTED} entries: ask for a shorter span, by from and to")));
    }
    let row = |entry: Entry| {
        let AuditEntry { id, at, actor, role, action, target, contact, number, fields, status, ip, user_agent } =
            AuditEntry::of(entry);
        let or_empty = |text: Option<String>| text.unwrap_or_default();
        vec![
            at.to_string(),
            or_empty(actor),
            role,
            action,
            or_empty(target),
            or_empty(contact),
            or_empty(number),
            status.to_string(),
            or_empty(ip),
            or_empty(user_agent),
            id,
            fields.join(" "),
        ]
    };
    let columns = ["at", "actor", "role", "action", "target", "contact", "number", "status", "ip", "userAgent", "id", "fields"];
    Ok(spreadsheet::file("audit.csv", &columns, found.into_iter().map(row)))
}

/// A filter, as entries are compared with it.
struct Wanted {
    from: Timestamp,
    to: Timestamp,
    actor: Option<String>,
    action: Option<String>,
    /// As it was given, and its hash.
    contact: Option<[String; 2]>,
    number: Option<[String; 2]>,
}

impl Wanted {
    async fn read(
        cx: &Context,
        tenant: &TenantId,
        filter: AuditFilter,
        usual_days: Option<i64>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let settings = cx.settings(tenant, now).await?;
        let table = cx.table().await?;
        let kept = i64::from(settings.retention.audit_days);
        let before =
            |end: Timestamp, days: i64| end.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN);
        // What is older has expired, and nothing lies ahead.
        let to = filter.to.unwrap_or(now).min(now);
        let from = filter.from.unwrap_or_else(|| before(to, usual_days.unwrap_or(kept))).max(before(now, kept));
        if filter.to.zip(filter.from).is_some_and(|(to, from)| to < from) {
            return Err(Problem::field("to", "invalid", "not before from"));
        }
        Ok(Self {
            from,
            to,
            actor: filter.actor,
            action: filter.action.map(|action| action.to_lowercase()),
            contact: filter.contact.map(|id| [audit::contact_hash(table, &id), id]),
            number: filter.number.map(|number| [number_hash(table, &settings, &number), number]),
        })
    }

    fn keeps(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<[String; 2]>, found: &Option<String>| {
            wanted.as_ref().is_none_or(|either| found.as_ref().is_some_and(|found| either.contains(found)))
        };
        self.actor.as_ref().is_none_or(|actor| entry.actor.as_ref() == Some(actor))
            && self.action.as_ref().is_none_or(|part| entry.action.to_lowercase().contains(part))
            && is(&self.contact, &entry.contact)
            && is(&self.number, &entry.number)
    }
}

/// Goes back over the months, and finds at most `most` entries among `most_looked_at`; with the place at which to go
/// on, if the trail is not at its end.
async fn search(
    cx: &Context,
    tenant: &TenantId,
    wanted: &Wanted,
    after: Option<String>,
    most: usize,
    most_looked_at: usize,
) -> Result<(Vec<Entry>, Option<String>), Problem> {
    let table = cx.table().await?;
    let begin = after.as_deref().and_then(keys::head_instant).unwrap_or(wanted.to);
    let mut month = keys::day(begin).first_of_month();
    let last = keys::day(wanted.from).first_of_month();
    let mut place = Some(after.unwrap_or_else(|| keys::up_to(wanted.to)));
    let mut found = Vec::new();
    let mut looked_at = 0;
    while month >= last {
        let (entries, next) = audit::of_month(table, tenant, month, place.as_deref(), PAGE).await?;
        for entry in entries {
            if entry.at < wanted.from {
                return Ok((found, None));
            }
            let here = keys::instant_and(entry.at, &entry.id);
            looked_at += 1;
            if wanted.keeps(&entry) {
                found.push(entry);
            }
            if found.len() == most || looked_at == most_looked_at {
                return Ok((found, Some(here)));
            }
        }
        if next.is_none() {
            month = month.yesterday().map_or(Date::MIN, Date::first_of_month);
        }
        place = next;
    }
    Ok((found, None))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// S3-59: whoever adds a resource says whether looking at it is looking at people.
    #[test]
    fn every_route_is_known_to_show_people_or_nobody() {
        let document: Value = serde_json::from_str(&crate::api::openapi::document()).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            assert!(methods.get("get").is_none() || shows(path).is_some(), "{path} stands in no line of SHOWS");
        }
    }

    #[test]
    fn changes_and_looks_at_people_are_recorded_and_single_sends_are_not() {
        let tenants = |route: &str| format!("/v1/tenants/{{tenant}}{route}");
        let recorded = |method: Method, route: &str| is_recorded(&method, &tenants(route));
        assert!(recorded(Method::GET, "/contacts/{id}"));
        assert!(recorded(Method::GET, "/something/new"));
        assert!(recorded(Method::GET, "/analytics/live"));
        assert!(!recorded(Method::GET, "/analytics/summary"));
        assert!(recorded(Method::PUT, "/settings"));
        assert!(recorded(Method::POST, "/messages/bulk"));
        assert!(recorded(Method::POST, "/suspend"));
        assert!(recorded(Method::DELETE, ""));
        assert!(!recorded(Method::GET, "/settings"));
        assert!(!recorded(Method::GET, ""));
        assert!(!recorded(Method::POST, "/messages"));
        assert!(!recorded(Method::POST, "/conversations/{id}/reply"));
    }

    #[test]
    fn a_person_is_known_by_the_path_the_query_or_the_body() {
        let route = "/v1/tenants/{tenant}/groups/{group}/members/{id}";
        let values = [("tenant", "t"), ("group", "Strings"), ("id", "S01")];
        assert_eq!(in_path(route, &values), [Named::Other("Strings".into()), Named::Contact("S01".into())]);
        let route = "/v1/tenants/{tenant}/opt-outs/{number}";
        assert_eq!(in_path(route, &[("tenant", "t"), ("number", "+1555")]), [Named::Number("+1555".into())]);
        assert_eq!(in_query("limit=5&contact=S01&from=2026-03-10"), [Named::Contact("S01".into())]);
        let body = serde_json::json!({ "id": "S01", "name": "Ana" });
        assert_eq!(in_body("/v1/tenants/{tenant}/contacts", &body), [Named::Contact("S01".into())]);
        assert!(in_body("/v1/tenants/{tenant}/lessons", &body).is_empty());
        assert!(in_path(BY_LINK, &[("token", "abc.def")]).is_empty());
    }

    #[test]
    fn a_change_is_told_by_the_names_of_its_fields() {
        let body = serde_json::json!({ "quietHours": "21:30-07:00", "groups": ["Strings"], "+12125550001": 1, "Ana Ruiz": 2 });
        assert_eq!(names(&body), ["groups", "quietHours"]);
        let many: Value = (0..60).map(|at| (format!("field{at}"), Value::Null)).collect();
        assert_eq!(names(&many).len(), MOST_FIELDS);
        assert!(names(&serde_json::json!(["groups"])).is_empty());
    }
}
