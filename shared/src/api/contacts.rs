//! `/contacts`: who may be messaged, found by page, name and number; made, changed and exported.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing;
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Input, unreadable};
use super::spreadsheet;
use super::wishes::{Value, texts};
use crate::context::Context;
use crate::domain::channel::ChannelPreference;
use crate::domain::compose::FieldError;
use crate::domain::contact::{Category, Contact, Number, Search, attribute_key, is_path_name};
use crate::domain::local_time::{QuietHours, Zone};
use crate::domain::message::derived;
use crate::domain::phone::{PhoneError, PhoneNumber, Strictness};
use crate::domain::school_event::is_id;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::{Table, consents, contacts};
use crate::usecases::save_contact::save_contact;

/// A contact, as it is to be.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactRequest {
    /// The tenant's own id for the person; made up when absent.
    pub id: Option<String>,
    /// Required, but to change something else of a contact.
    pub name: Option<String>,
    /// As people write it: `+15551234567`, `5551234567`, `555-123-4567`, `(555) 123-4567`.
    pub phone: Option<String>,
    /// If it is not the phone's (S0-54).
    pub whatsapp: Option<String>,
    pub email: Option<String>,
    /// The tenant chooses when absent.
    pub channel: Option<ChannelPreference>,
    /// An IANA zone; the tenant's when absent.
    pub time_zone: Option<String>,
    pub groups: Option<Vec<String>>,
    /// When nothing is to reach them, on their own clock: `21:30-07:00`.
    pub quiet_hours: Option<String>,
    /// From everything. Stays as it is when absent: nobody is opted in by leaving something out. `false` lifts nothing
    /// (409 `opt_in_needed`): an opt-in says how it was given.
    pub opted_out: Option<bool>,
    /// From these alone. Stays as it is when absent; none that is there may be left out (409 `opt_in_needed`).
    pub opted_out_categories: Option<BTreeSet<Category>>,
    /// Whatever else there is to say; templates may use it. Names are compared without case, spaces, `_` and `-`.
    pub attributes: Option<BTreeMap<String, Value>>,
}

/// A contact.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    id: String,
    name: String,
    phone: Option<NumberView>,
    whatsapp: Option<NumberView>,
    email: Option<String>,
    channel: Option<ChannelPreference>,
    time_zone: Option<String>,
    groups: Vec<String>,
    /// `21:30-07:00`.
    quiet_hours: Option<String>,
    /// Nothing reaches them: by the tenant's own record, or since all their numbers are stopped. Each number has its own
    /// standing beside.
    opted_out: bool,
    /// By the tenant's own record.
    opted_out_categories: BTreeSet<Category>,
    attributes: BTreeMap<String, String>,
    /// Changes with the contact; also its `ETag`. Sent as `If-Match` it keeps a change from undoing another.
    version: String,
}

/// A number of a contact, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberView {
    /// In E.164; as it was given, if it cannot be used.
    number: String,
    /// Whether anything can be sent there.
    usable: bool,
    /// Whether it lies in an assigned range of its country.
    valid: bool,
    #[schema(value_type = Option<String>)]
    warning: Option<&'static str>,
    /// It said STOP, to everything.
    opted_out: bool,
    /// To these alone.
    opted_out_categories: BTreeSet<Category>,
    since: Option<Timestamp>,
}

/// A page of contacts by id. With a search a page may have fewer than asked for, or none, and another behind it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactPage {
    items: Vec<ContactView>,
    next_cursor: Option<String>,
}

/// Which contacts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContactFilter {
    /// Words of a name, without case and accents; part of an id or e-mail address; a number as people write it, or at
    /// least four digits of its end.
    search: Option<String>,
    /// Members of this group only.
    group: Option<String>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportFilter {
    /// Members of this group only.
    group: Option<String>,
}

const KEY: &str = "idempotency-key";
const LONGEST_SEARCH: usize = 100;
/// A search reads so many contacts at once, and in one request about so many.
const READ_AT_ONCE: u32 = 250;
const MOST_READ: u32 = 1000;

const LONGEST_NAME: usize = 200;
/// RFC 5321, §4.5.3.1.3.
const LONGEST_EMAIL: usize = 254;
const MOST_GROUPS: usize = 50;
/// As long as a group that can be messaged.
const LONGEST_GROUP: usize = 256;
const MOST_ATTRIBUTES: usize = 100;
const LONGEST_ATTRIBUTE: usize = 1000;
const LONGEST_ATTRIBUTE_NAME: usize = 100;
/// Lambda answers no more than 6 MB.
const LARGEST_FILE: usize = 5_000_000;

/// The contacts by id, or those that are searched for.
///
/// A number that somebody has is found at once. Any other search reads about a thousand contacts in one request and
/// answers those that it found; go on with `nextCursor` as long as there is one.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/contacts", operation_id = "list_contacts", tag = "contacts",
    params(("tenant" = String, Path), ContactFilter), responses((status = 200, description = "As asked", body = ContactPage), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<ContactFilter>, QueryRejection>,
) -> Result<Json<ContactPage>, Problem> {
    let Query(ContactFilter { search, group, limit, cursor }) = filter.map_err(listing::bad_query)?;
    let limit = listing::limit(limit)?;
    let after = cursor.as_deref().map(place).transpose()?;
    if let Some(group) = &group {
        must_be_group(group)?;
    }
    let search = search.unwrap_or_default();
    if search.chars().count() > LONGEST_SEARCH {
        return Err(Problem::field("search", "too_long", format!("at most {LONGEST_SEARCH} characters")));
    }
    let tenant = &caller.tenant;
    if after.is_none() {
        let mut found = with_number(&cx, tenant, &search, now).await?;
        found.retain(|contact| group.as_ref().is_none_or(|group| contact.groups.contains(group)));
        if !found.is_empty() {
            return Ok(Json(ContactPage { items: views(&cx, tenant, &found).await?, next_cursor: None }));
        }
    }
    let search = Search::of(&search);
    let (found, next) = find(cx.table().await?, tenant, search.as_ref(), group.as_deref(), after, limit).await?;
    Ok(Json(ContactPage { items: views(&cx, tenant, &found).await?, next_cursor: next.map(listing::cursor) }))
}

/// A page of `search`, and the id after which the next begins.
async fn find(
    table: &Table,
    tenant: &TenantId,
    search: Option<&Search>,
    group: Option<&str>,
    mut after: Option<String>,
    limit: u32,
) -> Result<(Vec<Contact>, Option<String>), Problem> {
    let limit = limit as usize;
    let mut found = Vec::new();
    let mut read = 0;
    loop {
        let wanted = if search.is_some() { READ_AT_ONCE } else { (limit - found.len()) as u32 };
        let (page, next) = match group {
            Some(group) => contacts::of_group(table, tenant, group, after.as_deref(), wanted).await?,
            None => contacts::list(table, tenant, after.as_deref(), wanted).await?,
        };
        let mut page = page.into_iter();
        for contact in page.by_ref() {
            if search.is_some_and(|search| !search.finds(&contact)) {
                continue;
            }
            found.push(contact);
            if found.len() == limit {
                break;
            }
        }
        if found.len() == limit {
            // What is left of this page is read again.
            let is_more = page.next().is_some() || next.is_some();
            let last = found.last().map(|contact| contact.id.clone()).filter(|_| is_more);
            return Ok((found, last));
        }
        read += wanted;
        if next.is_none() || read >= MOST_READ {
            return Ok((found, next));
        }
        after = next;
    }
}

/// Whoever has the number that `search` is, if it is one; and whoever has it as their id.
async fn with_number(cx: &Context, tenant: &TenantId, search: &str, now: Timestamp) -> Result<Vec<Contact>, Problem> {
    // Some clients make a space of the `+`.
    let of_space = search.strip_prefix(' ').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let written = of_space.map_or_else(|| search.to_string(), |rest| format!("+{rest}"));
    let settings = cx.settings(tenant, now).await?;
    let Ok(number) = PhoneNumber::parse(&written, &settings.default_region, Strictness::Possible) else { return Ok(Vec::new()) };
    let table = cx.table().await?;
    let at_number = contacts::at_numbers(table, tenant, &[&number]).await?.remove(&number).unwrap_or_default();
    let id = search.trim();
    let ids: Vec<&str> = at_number.keys().map(String::as_str).chain([id]).collect();
    let mut found: Vec<Contact> = contacts::get_many(table, tenant, &ids).await?.into_values().collect();
    found.retain(|contact| contact.id == id || contact.numbers().iter().any(|own| own.e164() == number.e164()));
    found.sort_by_cached_key(|contact| contact.id.clone());
    Ok(found)
}

/// Make a contact. Takes the role `staff` or `admin`.
///
/// Without an id of its own it gets one made of the `Idempotency-Key`. The same request again, with its key, makes it
/// once and is answered alike.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/contacts", operation_id = "create_contact", tag = "contacts",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key makes one contact")),
    request_body = ContactRequest, responses((status = 201, description = "Made", body = ContactView), Refusals)
)]
pub async fn create(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
    Input(asked): Input<ContactRequest>,
) -> Result<Response, Problem> {
    caller.require_staff()?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let own = given(asked.id.as_deref());
    let may_come_again = own.is_none() || headers.contains_key(KEY);
    let id = own.map_or_else(|| format!("c_{}", derived(&caller.tenant, &["contact", &key.0])), str::to_string);
    let create = |before: Option<&Contact>| {
        let contact = read_contact(&asked, &id, &settings, None)?;
        match before {
            None => Ok(contact),
            Some(known) if may_come_again && is_same(known, &contact) => Ok(known.clone()),
            Some(_) if own.is_none() => {
                Err(Problem::conflict("key_taken", "this Idempotency-Key has made another contact; take a new one"))
            }
            Some(_) => Err(Problem::conflict("exists", "there is a contact of this id already; change it with PUT or PATCH")),
        }
    };
    let saved = save_contact(&cx, &caller.tenant, &id, create, now).await?;
    answer(&cx, &caller.tenant, StatusCode::CREATED, saved.contact).await
}

fn is_same(known: &Contact, contact: &Contact) -> bool {
    *known == Contact { former_numbers: known.former_numbers.clone(), ..contact.clone() }
}

/// One contact.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/contacts/{id}", operation_id = "get_contact", tag = "contacts",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = ContactView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let contact = found(&cx, &caller.tenant, &id).await?;
    answer(&cx, &caller.tenant, StatusCode::OK, contact).await
}

/// Make or replace a contact: what is left out goes, but for opt-outs. Takes the role `staff` or `admin`.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/contacts/{id}", operation_id = "put_contact", tag = "contacts",
    params(
        ("tenant" = String, Path), ("id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; 409 `changed` if it is another now")
    ),
    request_body = ContactRequest,
    responses(
        (status = 200, description = "Replaced", body = ContactView), (status = 201, description = "Made", body = ContactView), Refusals
    )
)]
pub async fn put(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Input(asked): Input<ContactRequest>,
) -> Result<Response, Problem> {
    caller.require_staff()?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let table = cx.table().await?;
    let is_said_back = asked.opted_out == Some(true) && is_stopped_by_numbers(&cx, &caller.tenant, &id).await?;
    let replace = |before: Option<&Contact>| {
        must_be_as_seen(table, &headers, before)?;
        opting_out(before, is_said_back, read_contact(&asked, &id, &settings, before)?)
    };
    let saved = save_contact(&cx, &caller.tenant, &id, replace, now).await?;
    let status = if saved.is_new { StatusCode::CREATED } else { StatusCode::OK };
    answer(&cx, &caller.tenant, status, saved.contact).await
}

/// Change some of a contact: what is left out stays, `null` takes away (RFC 7396). Takes the role `staff` or `admin`.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/contacts/{id}", operation_id = "patch_contact", tag = "contacts",
    params(
        ("tenant" = String, Path), ("id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The version that was seen; 409 `changed` if it is another now")
    ),
    request_body = ContactRequest, responses((status = 200, description = "As it is now", body = ContactView), Refusals)
)]
pub async fn patch(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Input(patch): Input<serde_json::Map<String, serde_json::Value>>,
) -> Result<Response, Problem> {
    caller.require_staff()?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let table = cx.table().await?;
    let says_stopped = patch.get("optedOut") == Some(&serde_json::Value::Bool(true));
    let is_said_back = says_stopped && is_stopped_by_numbers(&cx, &caller.tenant, &id).await?;
    let change = |before: Option<&Contact>| {
        let known = before.ok_or_else(missing)?;
        must_be_as_seen(table, &headers, before)?;
        opting_out(before, is_said_back, read_contact(&merged(known, &patch)?, &id, &settings, before)?)
    };
    let saved = save_contact(&cx, &caller.tenant, &id, change, now).await?;
    answer(&cx, &caller.tenant, StatusCode::OK, saved.contact).await
}

/// Whether the view of a contact says that it is opted out since all its numbers are stopped.
async fn is_stopped_by_numbers(cx: &Context, tenant: &TenantId, id: &str) -> Result<bool, Problem> {
    let table = cx.table().await?;
    let Some(contact) = contacts::get(table, tenant, id).await? else { return Ok(false) };
    let numbers: Vec<&PhoneNumber> = contact.numbers().into_iter().collect();
    let standings = consents::of(table, tenant, &numbers).await?;
    Ok(are_all_stopped(&contact, &standings))
}

fn are_all_stopped(contact: &Contact, standings: &HashMap<PhoneNumber, consents::Known>) -> bool {
    let numbers = contact.numbers();
    let is_stopped = |number: &&PhoneNumber| standings.get(*number).is_some_and(|known| known.standing.stopped);
    !numbers.is_empty() && numbers.iter().all(is_stopped)
}

/// The contact as it is to be. Whoever says back what the view said of the numbers does not opt out in the tenant's own
/// record by that: START would not lift it.
///
/// # Errors
/// 409, if an opt-out would be lifted.
fn opting_out(before: Option<&Contact>, is_said_back: bool, mut contact: Contact) -> Result<Contact, Problem> {
    if let Some(known) = before {
        contact.opted_out &= known.opted_out || !is_said_back;
        must_not_lift(known, &contact)?;
    }
    Ok(contact)
}

/// # Errors
/// 409, if `contact` is opted out of less than it was: the consent to that is the tenant's to prove.
pub(super) fn must_not_lift(before: &Contact, contact: &Contact) -> Result<(), Problem> {
    let is_lifted = before.opted_out && !contact.opted_out;
    if is_lifted || !before.opted_out_categories.is_subset(&contact.opted_out_categories) {
        let detail = "record the consent at POST /opt-outs/opt-in, which says how it was given";
        return Err(Problem::conflict("opt_in_needed", detail));
    }
    Ok(())
}

/// All contacts, or those of a group, as a file that can be imported again. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/contacts/export", operation_id = "export_contacts", tag = "contacts",
    params(("tenant" = String, Path), ExportFilter),
    responses((status = 200, description = "As asked", body = String, content_type = "text/csv"), Refusals)
)]
pub async fn export(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    filter: Result<Query<ExportFilter>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let Query(filter) = filter.map_err(listing::bad_query)?;
    let table = cx.table().await?;
    let contacts = match filter.group {
        None => contacts::all(table, &caller.tenant).await?,
        Some(group) => {
            must_be_group(&group)?;
            let members = contacts::members(table, &caller.tenant, &group).await?;
            let ids: Vec<&str> = members.iter().map(String::as_str).collect();
            let mut known = contacts::get_many(table, &caller.tenant, &ids).await?;
            members.iter().filter_map(|id| known.remove(id)).collect()
        }
    };
    let attributes: BTreeSet<&String> = contacts.iter().flat_map(|contact| contact.attributes.keys()).collect();
    let rows: Vec<Vec<String>> = contacts.iter().map(|contact| row(contact, &attributes)).collect();
    // Quotes and separators come on top.
    if rows.iter().flatten().map(|cell| cell.len() + 3).sum::<usize>() > LARGEST_FILE {
        return Err(Problem::too_large("more than one answer may carry: export group by group (?group=)"));
    }
    let columns: Vec<String> =
        COLUMNS.iter().map(ToString::to_string).chain(attributes.iter().map(|name| column(name))).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    Ok(spreadsheet::file("contacts.csv", &columns, rows))
}

/// The columns that an import knows; whatever else a file has are attributes.
const COLUMNS: [&str; 11] = [
    "id",
    "name",
    "phone",
    "whatsapp",
    "email",
    "channel",
    "timezone",
    "groups",
    "quiet_hours",
    "opted_out",
    "opted_out_categories",
];

fn row(contact: &Contact, attributes: &BTreeSet<&String>) -> Vec<String> {
    let number = |number: &Number| number.text().unwrap_or_default().to_string();
    let categories: Vec<&str> = contact.opted_out_categories.iter().map(|category| category.word()).collect();
    let mut row = vec![
        contact.id.clone(),
        contact.name.clone(),
        number(&contact.phone),
        number(&contact.whatsapp),
        contact.email.clone().unwrap_or_default(),
        contact.channel.map_or("", channel_word).to_string(),
        contact.time_zone.as_ref().map_or("", Zone::name).to_string(),
        contact.groups.join(";"),
        contact.quiet_hours.map(hours_text).unwrap_or_default(),
        if contact.opted_out { "yes" } else { "no" }.to_string(),
        categories.join(";"),
    ];
    row.extend(attributes.iter().map(|name| contact.attributes.get(*name).cloned().unwrap_or_default()));
    row
}

/// The name of an attribute, as no spreadsheet takes it for a formula.
fn column(name: &str) -> String {
    if name.starts_with(|c: char| c.is_alphanumeric()) { name.to_string() } else { format!("'{name}") }
}

pub(super) fn channel_word(channel: ChannelPreference) -> &'static str {
    match channel {
        ChannelPreference::Sms => "sms",
        ChannelPreference::Whatsapp => "whatsapp",
        ChannelPreference::Both => "both",
    }
}

/// `21:30-07:00`.
pub(super) fn hours_text(hours: QuietHours) -> String {
    format!("{}-{}", String::from(hours.from), String::from(hours.to))
}

pub(super) fn missing() -> Problem {
    Problem::not_found("there is no such contact")
}

pub(super) async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<Contact, Problem> {
    contacts::get(cx.table().await?, tenant, id).await?.ok_or_else(missing)
}

/// # Errors
/// 422, for what can be no group's name.
pub(super) fn must_be_group(name: &str) -> Result<(), Problem> {
    if is_id(name) { Ok(()) } else { Err(Problem::field("group", "invalid", "the name of a group is 1 to 500 bytes")) }
}

/// The id behind a cursor.
pub(super) fn place(cursor: &str) -> Result<String, Problem> {
    let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    id.filter(|id| is_id(id)).ok_or_else(listing::foreign)
}

/// A contact as its view, with its version as `ETag`.
async fn answer(cx: &Context, tenant: &TenantId, status: StatusCode, contact: Contact) -> Result<Response, Problem> {
    let view = views(cx, tenant, std::slice::from_ref(&contact)).await?.pop().ok_or_else(missing)?;
    let etag = [(header::ETAG, format!("\"{}\"", view.version))];
    Ok((status, etag, Json(view)).into_response())
}

async fn views(cx: &Context, tenant: &TenantId, contacts: &[Contact]) -> Result<Vec<ContactView>, Problem> {
    let table = cx.table().await?;
    let numbers: Vec<&PhoneNumber> = contacts.iter().flat_map(Contact::numbers).collect();
    let standings = consents::of(table, tenant, &numbers).await?;
    let view = |contact: &Contact| {
        let contact = contact.clone();
        let is_stopped = contact.opted_out || are_all_stopped(&contact, &standings);
        ContactView {
            version: version(table, &contact),
            phone: number_view(&contact.phone, &standings),
            whatsapp: number_view(&contact.whatsapp, &standings),
            id: contact.id,
            name: contact.name,
            email: contact.email,
            channel: contact.channel,
            time_zone: contact.time_zone.map(String::from),
            groups: contact.groups,
            quiet_hours: contact.quiet_hours.map(hours_text),
            opted_out: is_stopped,
            opted_out_categories: contact.opted_out_categories,
            attributes: contact.attributes,
        }
    };
    Ok(contacts.iter().map(view).collect())
}

pub(super) fn number_view(number: &Number, standings: &HashMap<PhoneNumber, consents::Known>) -> Option<NumberView> {
    let text = number.text()?.to_string();
    Some(match number {
        Number::Usable(number) => {
            let known = standings.get(number).cloned().unwrap_or_default();
            let unassigned = "not in an assigned range of its country: it may not exist";
            NumberView {
                number: text,
                usable: true,
                valid: number.is_valid(),
                warning: (!number.is_valid()).then_some(unassigned),
                opted_out: known.standing.stopped,
                opted_out_categories: known.standing.categories,
                since: known.since,
            }
        }
        Number::Absent | Number::Unusable(_) => NumberView {
            number: text,
            usable: false,
            valid: false,
            warning: Some("not a number that can be reached: nothing is sent to it"),
            opted_out: false,
            opted_out_categories: BTreeSet::new(),
            since: None,
        },
    })
}

fn version(table: &Table, contact: &Contact) -> String {
    table.keyring().sign("contact version", &serde_json::to_string(contact).unwrap_or_default())
}

/// # Errors
/// 409, if the request says which version it has seen, and that is not the present one.
fn must_be_as_seen(table: &Table, headers: &HeaderMap, contact: Option<&Contact>) -> Result<(), Problem> {
    let Some(seen) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let present = contact.map(|contact| version(table, contact));
    let is_present = |tag: &str| match &present {
        Some(present) => tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == present,
        None => false,
    };
    if seen.to_str().unwrap_or_default().split(',').map(str::trim).any(is_present) {
        return Ok(());
    }
    let detail = "somebody else has changed this contact since you read it: read it again, and change it as it is now";
    Err(Problem::conflict("changed", detail))
}

/// The contact with the patch in it, as a request would describe it.
fn merged(contact: &Contact, patch: &serde_json::Map<String, serde_json::Value>) -> Result<ContactRequest, Problem> {
    let mut patch = patch.clone();
    if let Some(serde_json::Value::Object(attributes)) = patch.get_mut("attributes") {
        *attributes = std::mem::take(attributes).into_iter().map(|(name, value)| (attribute_key(&name), value)).collect();
    }
    let mut described = json!({
        "name": contact.name,
        "phone": contact.phone.text(),
        "whatsapp": contact.whatsapp.text(),
        "email": contact.email,
        "channel": contact.channel,
        "timeZone": contact.time_zone,
        "groups": contact.groups,
        "quietHours": contact.quiet_hours.map(hours_text),
        "optedOut": contact.opted_out,
        "optedOutCategories": contact.opted_out_categories,
        "attributes": contact.attributes,
    });
    merge(&mut described, serde_json::Value::Object(patch));
    serde_path_to_error::deserialize(described).map_err(|error| {
        let path = error.path().to_string();
        Problem::fields(vec![unreadable(path.trim_start_matches('.'), &error.inner().to_string())])
    })
}

/// RFC 7396.
fn merge(target: &mut serde_json::Value, patch: serde_json::Value) {
    let fields = match patch {
        serde_json::Value::Object(fields) => fields,
        other => {
            *target = other;
            return;
        }
    };
    let mut known = match target.take() {
        serde_json::Value::Object(known) => known,
        _ => serde_json::Map::new(),
    };
    for (name, value) in fields {
        if value.is_null() {
            known.remove(&name);
        } else {
            merge(known.entry(name).or_insert(serde_json::Value::Null), value);
        }
    }
    *target = serde_json::Value::Object(known);
}

/// The contact that `asked` describes. What `before` has already stays, though it could not be given anew: files
/// bring numbers that are none, and names of any form.
fn read_contact(asked: &ContactRequest, id: &str, settings: &Settings, before: Option<&Contact>) -> Result<Contact, Problem> {
    let mut errors = Vec::new();
    if before.is_none() && !may_be_id(id) {
        errors.push(FieldError::new("id", "invalid", "an id is 1 to 500 bytes without / and control characters"));
    }
    if given(asked.id.as_deref()).is_some_and(|asked| asked != id) {
        errors.push(FieldError::new("id", "invalid", "not the id of the path; leave it out"));
    }
    let (phone, whatsapp) = (before.map(|contact| &contact.phone), before.map(|contact| &contact.whatsapp));
    let contact = Contact {
        id: id.to_string(),
        name: keep(&mut errors, name(asked.name.as_deref())),
        phone: keep(&mut errors, number("phone", asked.phone.as_deref(), settings, phone)),
        whatsapp: keep(&mut errors, number("whatsapp", asked.whatsapp.as_deref(), settings, whatsapp)),
        email: keep(&mut errors, email(asked.email.as_deref(), before)),
        channel: asked.channel,
        time_zone: keep(&mut errors, time_zone(asked.time_zone.as_deref())),
        groups: keep(&mut errors, groups(asked.groups.as_deref().unwrap_or_default(), before)),
        quiet_hours: keep(&mut errors, quiet_hours(asked.quiet_hours.as_deref())),
        opted_out: asked.opted_out.unwrap_or_else(|| before.is_some_and(|contact| contact.opted_out)),
        opted_out_categories: asked
            .opted_out_categories
            .clone()
            .unwrap_or_else(|| before.map(|contact| contact.opted_out_categories.clone()).unwrap_or_default()),
        attributes: keep(&mut errors, attributes(asked.attributes.as_ref(), before)),
        former_numbers: before.map(|contact| contact.former_numbers.clone()).unwrap_or_default(),
        others: Vec::new(),
    };
    if errors.is_empty() { Ok(contact) } else { Err(Problem::fields(errors)) }
}

/// Notes what is wrong.
fn keep<T: Default>(errors: &mut Vec<FieldError>, read: Result<T, FieldError>) -> T {
    read.unwrap_or_else(|error| {
        errors.push(error);
        T::default()
    })
}

/// An empty text is none: forms send them.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// Not what other paths below `/contacts` are called.
fn may_be_id(id: &str) -> bool {
    is_path_name(id) && !matches!(id, "export" | "import")
}

fn name(text: Option<&str>) -> Result<String, FieldError> {
    let name = given(text).ok_or_else(|| FieldError::new("name", "required", "this field is required"))?;
    if name.chars().count() > LONGEST_NAME {
        return Err(FieldError::new("name", "too_long", format!("at most {LONGEST_NAME} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(FieldError::new("name", "invalid", "a name is one line of text"));
    }
    Ok(name.to_string())
}

fn number(field: &str, text: Option<&str>, settings: &Settings, before: Option<&Number>) -> Result<Number, FieldError> {
    let Some(text) = given(text) else { return Ok(Number::Absent) };
    if let Some(known) = before.filter(|known| known.text() == Some(text)) {
        return Ok(known.clone());
    }
    match PhoneNumber::parse(text, &settings.default_region, settings.strictness()) {
        Ok(number) => Ok(Number::Usable(number)),
        Err(PhoneError::Empty) => Ok(Number::Absent),
        Err(error) => {
            let hint = "write it with its country, as +15551234567, or as one calls it at home";
            Err(FieldError::new(field, "invalid_number", format!("{error}; {hint}")))
        }
    }
}

fn email(text: Option<&str>, before: Option<&Contact>) -> Result<Option<String>, FieldError> {
    let Some(text) = given(text) else { return Ok(None) };
    let is_known = before.is_some_and(|contact| contact.email.as_deref() == Some(text));
    let is_address = text.len() <= LONGEST_EMAIL
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && text.rsplit_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty());
    if is_known || is_address {
        return Ok(Some(text.to_string()));
    }
    Err(FieldError::new("email", "invalid", "an e-mail address: ana@example.org"))
}

pub(super) fn time_zone(text: Option<&str>) -> Result<Option<Zone>, FieldError> {
    let zone = given(text).map(Zone::parse).transpose();
    zone.map_err(|error| FieldError::new("timeZone", "invalid", format!("{error}; an IANA name is America/New_York")))
}

pub(super) fn quiet_hours(text: Option<&str>) -> Result<Option<QuietHours>, FieldError> {
    let Some(text) = given(text) else { return Ok(None) };
    let hours = QuietHours::parse(text);
    hours.map(Some).ok_or_else(|| FieldError::new("quietHours", "invalid", "a span of the day by the clock: 21:30-07:00"))
}

fn groups(asked: &[String], before: Option<&Contact>) -> Result<Vec<String>, FieldError> {
    let mut groups: Vec<String> = Vec::new();
    for (at, group) in asked.iter().enumerate() {
        let Some(group) = given(Some(group.as_str())) else { continue };
        let is_known = before.is_some_and(|contact| contact.groups.iter().any(|known| known == group));
        if !is_known && !may_be_group(group) {
            return Err(FieldError::new(format!("groups[{at}]"), "invalid", GROUP_FORM));
        }
        if !groups.iter().any(|known| known == group) {
            groups.push(group.to_string());
        }
    }
    let had = before.map_or(0, |contact| contact.groups.len());
    if groups.len() > MOST_GROUPS.max(had) {
        return Err(FieldError::new("groups", "too_many", format!("at most {MOST_GROUPS} groups")));
    }
    Ok(groups)
}

pub(super) const GROUP_FORM: &str = "the name of a group is 1 to 256 bytes without / ; | and control characters";

/// Files separate groups by `;` and `|`.
pub(super) fn may_be_group(name: &str) -> bool {
    is_path_name(name) && name.len() <= LONGEST_GROUP && !name.contains([';', '|'])
}

fn attributes(asked: Option<&BTreeMap<String, Value>>, before: Option<&Contact>) -> Result<BTreeMap<String, String>, FieldError> {
    let mut attributes = BTreeMap::new();
    for (name, value) in texts(asked.cloned()) {
        let (key, value) = (attribute_key(&name), value.trim());
        let is_known = before.is_some_and(|contact| contact.attributes.get(&key).is_some_and(|known| known == value));
        let wrong = |code: &str, reason: String| Err(FieldError::new(format!("attributes.{name}"), code, reason));
        if !is_known {
            if key.is_empty() || key.len() > LONGEST_ATTRIBUTE_NAME || key.chars().any(char::is_control) {
                return wrong("invalid", format!("the name of an attribute is 1 to {LONGEST_ATTRIBUTE_NAME} bytes"));
            }
            if COLUMNS.iter().any(|column| attribute_key(column) == key) {
                return wrong("invalid", "a contact has a field of this name: set that".into());
            }
            if value.chars().count() > LONGEST_ATTRIBUTE {
                return wrong("too_long", format!("at most {LONGEST_ATTRIBUTE} characters"));
            }
        }
        if !value.is_empty() {
            attributes.insert(key, value.to_string());
        }
    }
    let had = before.map_or(0, |contact| contact.attributes.len());
    if attributes.len() > MOST_ATTRIBUTES.max(had) {
        return Err(FieldError::new("attributes", "too_many", format!("at most {MOST_ATTRIBUTES} attributes")));
    }
    Ok(attributes)
}
