//! What reaches a contact, when and how (S0-50..54): as staff sees and sets it, and as the contact does on a page that
//! a link opens, without a password.
//!
//! Whoever has the link may do what its contact may, and sees no more than a first name and the ends of numbers. The
//! page needs no scripts, and nothing from anywhere else.

mod page;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use lambda_http::request::RequestContext;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::contacts::{NumberView, found, hours_text, missing, must_not_lift, number_view, quiet_hours, time_zone};
use super::problem::{Problem, Refusals};
use super::request::Input;
use crate::context::Context;
use crate::domain::channel::{Channel, ChannelPreference};
use crate::domain::compose::FieldError;
use crate::domain::contact::{Category, Contact, Number};
use crate::domain::local_time::{Clock, QuietHours};
use crate::domain::phone::{PhoneNumber, mask};
use crate::domain::policy;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::{consents, contacts};
use crate::usecases::change_preferences::{Choice, Preferences, change_preferences, leaves_a_minute, preferences};
use crate::usecases::limit_requests::limit_requests;
use crate::usecases::preferences_link::{read_link, sign_link};
use crate::usecases::save_contact::save_contact;

/// What a contact wishes, by the tenant's own record, and how its numbers stand.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferencesView {
    /// The tenant chooses when absent.
    channel: Option<ChannelPreference>,
    /// `21:30-07:00`.
    quiet_hours: Option<String>,
    /// The tenant's when absent.
    time_zone: Option<String>,
    opted_out: bool,
    opted_out_categories: BTreeSet<Category>,
    phone: Option<NumberView>,
    whatsapp: Option<NumberView>,
}

/// What to change of the tenant's own record. What is left out stays; `null` takes away.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreferencesRequest {
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<ChannelPreference>)]
    channel: Option<Option<ChannelPreference>>,
    /// `21:30-07:00`.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    quiet_hours: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    time_zone: Option<Option<String>>,
    opted_out: Option<bool>,
    opted_out_categories: Option<BTreeSet<Category>>,
}

/// How long a link is good.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// 30 when absent.
    #[schema(maximum = 90, minimum = 1)]
    days: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    url: String,
    expires_at: Timestamp,
}

/// What a contact sees of itself by a link.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnPreferences {
    /// Who sends.
    tenant: String,
    first_name: String,
    phone: Option<MaskedNumber>,
    /// If it is not the phone's.
    whatsapp: Option<MaskedNumber>,
    channel: Option<ChannelPreference>,
    /// Those to choose among; none if there is nothing to choose.
    channels: Vec<ChannelPreference>,
    quiet_hours: Option<String>,
    /// By whose clock.
    time_zone: String,
    /// Nothing reaches the contact.
    opted_out: bool,
    opted_out_categories: BTreeSet<Category>,
    /// Those to choose among.
    categories: Vec<Category>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaskedNumber {
    number: String,
    opted_out: bool,
}

/// What a contact chooses. What is left out stays; `null` takes away.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnPreferencesRequest {
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<ChannelPreference>)]
    channel: Option<Option<ChannelPreference>>,
    /// `21:30-07:00`.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    quiet_hours: Option<Option<String>>,
    /// `true` stops everything, `false` lets everything come again but the categories below.
    opted_out: Option<bool>,
    /// All that are not to come.
    opted_out_categories: Option<BTreeSet<Category>>,
}

/// Tells `null` from nothing.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

const DEFAULT_DAYS: u32 = 30;
const LONGEST_DAYS: u32 = 90;

/// The preferences of a contact.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/contacts/{id}/preferences", operation_id = "get_preferences", tag = "preferences",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = PreferencesView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<PreferencesView>, Problem> {
    let contact = found(&cx, &caller.tenant, &id).await?;
    view(&cx, &caller.tenant, &contact).await.map(Json)
}

/// Change the tenant's own record of what a contact wishes. Takes the role `staff` or `admin`.
///
/// What the contact's numbers said themselves stays: `/opt-outs` records what they say, with evidence. So does an
/// opt-out of the tenant's own record: `/opt-outs/opt-in` lifts it (409 `opt_in_needed`).
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/contacts/{id}/preferences", operation_id = "put_preferences", tag = "preferences",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = PreferencesRequest,
    responses((status = 200, description = "As they are now", body = PreferencesView), Refusals)
)]
pub async fn put(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Input(asked): Input<PreferencesRequest>,
) -> Result<Json<PreferencesView>, Problem> {
    caller.require_staff()?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let hours = hours(asked.quiet_hours.as_ref())?;
    let zone = asked.time_zone.as_ref().map(|name| time_zone(name.as_deref())).transpose().map_err(one)?;
    let change = |known: Option<&Contact>| {
        let known = known.ok_or_else(missing)?;
        let mut contact = known.clone();
        contact.channel = asked.channel.unwrap_or(contact.channel);
        contact.time_zone = zone.clone().unwrap_or(contact.time_zone);
        must_leave_a_minute(&settings, &contact, hours, now)?;
        contact.quiet_hours = hours.unwrap_or(contact.quiet_hours);
        contact.opted_out = asked.opted_out.unwrap_or(contact.opted_out);
        contact.opted_out_categories = asked.opted_out_categories.clone().unwrap_or(contact.opted_out_categories);
        must_not_lift(known, &contact)?;
        Ok::<_, Problem>(contact)
    };
    let saved = save_contact(&cx, &caller.tenant, &id, change, now).await?;
    view(&cx, &caller.tenant, &saved.contact).await.map(Json)
}

/// A link by which the contact sees and changes its own preferences. Takes the role `staff` or `admin`.
///
/// Whoever has it may use it until it expires, or until the contact's numbers change: send it to the contact alone.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/contacts/{id}/preferences-link", operation_id = "create_preferences_link", tag = "preferences",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = LinkRequest,
    responses((status = 200, description = "Good until it expires", body = LinkView), Refusals)
)]
pub async fn link(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Base(base): Base,
    Input(asked): Input<LinkRequest>,
) -> Result<Json<LinkView>, Problem> {
    caller.require_staff()?;
    let days = asked.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=LONGEST_DAYS).contains(&days) {
        return Err(Problem::field("days", "invalid", format!("1 to {LONGEST_DAYS}")));
    }
    let contact = found(&cx, &caller.tenant, &id).await?;
    let expires_at = now + SignedDuration::from_hours(24 * i64::from(days));
    let token = sign_link(&cx, &caller.tenant, &contact, expires_at).await?;
    Ok(Json(LinkView { url: format!("{base}/v1/preferences/{token}"), expires_at }))
}

/// What a contact sees by a link: JSON, or a page for whoever accepts `text/html`. Takes no token but the link's.
#[utoipa::path(
    get, path = "/v1/preferences/{token}", operation_id = "get_own_preferences", tag = "preferences",
    params(("token" = String, Path)),
    responses(
        (status = 200, description = "As asked", content((OwnPreferences = "application/json"), (String = "text/html"))),
        (status = 404, description = "No link of ours, or no more", content((Problem = "application/problem+json"), (String = "text/html"))),
        (status = 429, description = "Over the tenant's limit of requests", content((Problem = "application/problem+json"), (String = "text/html")))
    ),
    security(())
)]
pub async fn own(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = accepts.contains("text/html");
    match shown(&cx, &token, now).await {
        Ok(shown) if is_page => page::page(StatusCode::OK, &page::form(&shown, None, uri.query() == Some(SAVED))),
        Ok(shown) => private(Json(own_view(&shown.settings, &shown.preferences)).into_response()),
        Err(problem) if is_page => page::refusal(problem),
        Err(problem) => private(problem.into_response()),
    }
}

/// A contact changes its own preferences. Stopping and starting are recorded as wishes of all its numbers.
#[utoipa::path(
    put, path = "/v1/preferences/{token}", operation_id = "put_own_preferences", tag = "preferences",
    params(("token" = String, Path)), request_body = OwnPreferencesRequest,
    responses((status = 200, description = "As they are now", body = OwnPreferences), Refusals), security(())
)]
pub async fn choose(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Path(token): Path<String>,
    Input(asked): Input<OwnPreferencesRequest>,
) -> Result<Response, Problem> {
    let Shown { tenant, settings, preferences } = shown(&cx, &token, now).await?;
    let hours = hours(asked.quiet_hours.as_ref())?;
    must_leave_a_minute(&settings, &preferences.contact, hours, now)?;
    if asked.channel.flatten().is_some_and(|channel| !may_choose(&settings, channel)) {
        return Err(Problem::field("channel", "invalid", "nothing is sent over this channel"));
    }
    let stop = asked.opted_out_categories;
    let others = |stop: &BTreeSet<Category>| Category::ALL.into_iter().filter(|category| !stop.contains(category)).collect();
    let start: Option<BTreeSet<Category>> = stop.as_ref().map(others);
    let choice = Choice {
        channel: asked.channel,
        quiet_hours: hours,
        stopped: asked.opted_out,
        stop: stop.unwrap_or_default(),
        start: start.unwrap_or_default(),
    };
    let changed = change_preferences(&cx, &tenant, preferences.contact, &choice, &token, now).await?;
    Ok(private(Json(own_view(&settings, &changed)).into_response()))
}

/// The form of the page. Answers with the way back to it.
#[utoipa::path(
    post, path = "/v1/preferences/{token}", operation_id = "submit_own_preferences", tag = "preferences",
    params(("token" = String, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "As the page has it"),
    responses(
        (status = 303, description = "Done: back to the page"),
        (status = 404, description = "No link of ours, or no more", body = String, content_type = "text/html"),
        (status = 409, description = "Somebody changed it meanwhile", body = String, content_type = "text/html"),
        (status = 422, description = "The page says what cannot be", body = String, content_type = "text/html"),
        (status = 429, description = "Over the tenant's limit of requests", body = String, content_type = "text/html")
    ),
    security(())
)]
pub async fn submit(State(cx): State<Arc<Context>>, Arrival(now): Arrival, Path(token): Path<String>, body: Bytes) -> Response {
    let shown = match shown(&cx, &token, now).await {
        Ok(shown) => shown,
        Err(problem) => return page::refusal(problem),
    };
    let choice = match read_form(&shown, &body, now) {
        Ok(choice) => choice,
        Err(reason) => return page::page(StatusCode::UNPROCESSABLE_ENTITY, &page::form(&shown, Some(reason), false)),
    };
    match change_preferences(&cx, &shown.tenant, shown.preferences.contact, &choice, &token, now).await {
        Ok(_) => private((StatusCode::SEE_OTHER, [(header::LOCATION, format!("?{SAVED}"))]).into_response()),
        Err(error) => page::refusal(error.into()),
    }
}

/// The query of the page once something was saved.
const SAVED: &str = "saved=1";

/// What a link opens.
struct Shown {
    tenant: TenantId,
    settings: Arc<Settings>,
    preferences: Preferences,
}

/// # Errors
/// 404 for a link that is not ours, is expired, of somebody forgotten or of other numbers; 429 beyond the tenant's limit
/// of requests.
async fn shown(cx: &Context, token: &str, now: Timestamp) -> Result<Shown, Problem> {
    let gone = || Problem::not_found("this link does not work any more; ask for a new one");
    let link = read_link(cx, token, now).await?.ok_or_else(gone)?;
    let tenant = link.tenant.clone();
    if let Err(at) = limit_requests(cx, &tenant, now).await? {
        return Err(Problem::too_many_requests(at, now));
    }
    let table = cx.table().await?;
    let contact = contacts::get(table, &tenant, &link.contact).await?;
    let contact = contact.filter(|contact| link.opens(table.keyring(), contact)).ok_or_else(gone)?;
    let settings = cx.settings(&tenant, now).await?;
    let preferences = preferences(cx, &tenant, contact).await?;
    Ok(Shown { tenant, settings, preferences })
}

async fn view(cx: &Context, tenant: &TenantId, contact: &Contact) -> Result<PreferencesView, Problem> {
    let numbers: Vec<&PhoneNumber> = contact.numbers().into_iter().collect();
    let standings = consents::of(cx.table().await?, tenant, &numbers).await?;
    Ok(PreferencesView {
        channel: contact.channel,
        quiet_hours: contact.quiet_hours.map(hours_text),
        time_zone: contact.time_zone.clone().map(String::from),
        opted_out: contact.opted_out,
        opted_out_categories: contact.opted_out_categories.clone(),
        phone: number_view(&contact.phone, &standings),
        whatsapp: number_view(&contact.whatsapp, &standings),
    })
}

fn own_view(settings: &Settings, preferences: &Preferences) -> OwnPreferences {
    let contact = &preferences.contact;
    let masked = |number: &Number| match number {
        Number::Usable(number) => Some(MaskedNumber {
            number: mask(number.e164()),
            opted_out: preferences.numbers.get(number).is_some_and(|standing| standing.stopped),
        }),
        Number::Absent | Number::Unusable(_) => None,
    };
    OwnPreferences {
        tenant: settings.name.clone(),
        first_name: contact.first_name().to_string(),
        phone: masked(&contact.phone),
        whatsapp: if contact.whatsapp == contact.phone { None } else { masked(&contact.whatsapp) },
        channel: contact.channel,
        channels: channels(settings),
        quiet_hours: contact.quiet_hours.map(hours_text),
        time_zone: policy::zone(settings, contact).name().to_string(),
        opted_out: preferences.is_stopped(),
        opted_out_categories: preferences.stopped_categories(),
        categories: CATEGORIES.to_vec(),
    }
}

/// What a contact may stop on its own. One-time codes come when somebody asks for one.
const CATEGORIES: [Category; 9] = [
    Category::Lessons,
    Category::Payments,
    Category::Schedule,
    Category::Attendance,
    Category::Reservation,
    Category::Reminder,
    Category::Order,
    Category::Marketing,
    Category::General,
];

/// The channels to choose among, if the tenant sends over both.
fn channels(settings: &Settings) -> Vec<ChannelPreference> {
    let is_choice = Channel::BY_CHOICE.iter().all(|channel| settings.sender(*channel).is_some());
    let every = [ChannelPreference::Sms, ChannelPreference::Whatsapp, ChannelPreference::Both];
    every.into_iter().filter(|_| is_choice).collect()
}

/// Whether anything is sent over the channel, as far as the tenant sends at all.
fn may_choose(settings: &Settings, channel: ChannelPreference) -> bool {
    let has_sender = |channel: &Channel| settings.sender(*channel).is_some();
    channel.channels().iter().any(has_sender) || !Channel::BY_CHOICE.iter().any(has_sender)
}

fn hours(text: Option<&Option<String>>) -> Result<Option<Option<QuietHours>>, Problem> {
    text.map(|text| quiet_hours(text.as_deref())).transpose().map_err(one)
}

fn one(error: FieldError) -> Problem {
    Problem::fields(vec![error])
}

const NO_MINUTE: &str = "together with the hours in which nothing is sent anyway, these leave no minute of the day: \
                         they are the hours in which nothing comes, so make them fewer";

/// # Errors
/// 422 for new quiet hours that would stop everything: that is said by opting out.
fn must_leave_a_minute(
    settings: &Settings,
    contact: &Contact,
    hours: Option<Option<QuietHours>>,
    now: Timestamp,
) -> Result<(), Problem> {
    if leaves_none(settings, contact, hours, now) { Err(Problem::field("quietHours", "invalid", NO_MINUTE)) } else { Ok(()) }
}

fn leaves_none(settings: &Settings, contact: &Contact, hours: Option<Option<QuietHours>>, now: Timestamp) -> bool {
    let new = hours.flatten().filter(|hours| contact.quiet_hours != Some(*hours));
    new.is_some_and(|hours| !leaves_a_minute(settings, contact, hours, now))
}

/// What the page's form says. Only what its sender has changed counts: meanwhile a number may have said STOP.
///
/// # Errors
/// What cannot be right, for people.
fn read_form(shown: &Shown, body: &[u8], now: Timestamp) -> Result<Choice, &'static str> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let values = |name: &str| pairs.iter().filter(move |pair| pair.0 == name).map(|pair| pair.1.trim()).collect::<Vec<_>>();
    let value = |name: &str| values(name).first().copied();
    let categories = |name: &str| values(name).into_iter().filter_map(Category::parse).collect::<BTreeSet<_>>();
    let channel = match value("channel") {
        None => None,
        Some("") => Some(None),
        Some(word) => Some(Some(ChannelPreference::parse(word).ok_or("Choose one of the ways below.")?)),
    };
    if channel.flatten().is_some_and(|channel| !may_choose(&shown.settings, channel)) {
        return Err("Nothing is sent this way. Choose another.");
    }
    let quiet_hours = match (value("quiet_from"), value("quiet_to")) {
        (None, None) => None,
        (None | Some(""), None | Some("")) => Some(None),
        (from, to) => {
            // Some browsers add seconds.
            let clock = |text: Option<&str>| Clock::parse(text.map_or("", |text| text.get(..5).unwrap_or(text)));
            let (Some(from), Some(to)) = (clock(from), clock(to)) else {
                return Err("Give both times, as 21:30 and 07:00, or leave both empty.");
            };
            Some(Some(QuietHours::new(from, to)))
        }
    };
    if leaves_none(&shown.settings, &shown.preferences.contact, quiet_hours, now) {
        return Err("With these quiet hours nothing could reach you at any time: nothing comes between the two times. \
                    Choose fewer hours, or ask for no messages at all.");
    }
    let (was_stopped, is_stopped) = (value("was_stopped") == Some("yes"), value("stopped") == Some("yes"));
    let (was, is) = (categories("was"), categories("stop"));
    Ok(Choice {
        channel,
        quiet_hours,
        stopped: (was_stopped != is_stopped).then_some(is_stopped),
        stop: &is - &was,
        start: &was - &is,
    })
}

/// Scheme and host under which this API was called.
pub struct Base(String);

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let domain = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => context.domain_name.as_deref(),
            _ => None,
        };
        Ok(Self(base(domain, host)))
    }
}

/// The gateway's own domain goes before what a caller says; on one machine the port is in what the caller says.
fn base(domain: Option<&str>, host: Option<&str>) -> String {
    let is_local = |host: &str| matches!(host.split(':').next(), Some("localhost" | "127.0.0.1"));
    match (domain, host) {
        (Some(domain), _) if !is_local(domain) => format!("https://{domain}"),
        (_, Some(host)) if is_local(host) => format!("http://{host}"),
        (Some(domain), _) => format!("http://{domain}"),
        (None, Some(host)) => format!("https://{host}"),
        (None, None) => "http://localhost".to_string(),
    }
}

/// Nothing of it is kept, shown elsewhere or told on; nothing is loaded with it.
fn private(mut response: Response) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_back_to_where_it_was_asked_for() {
        assert_eq!(base(Some("api.example.org"), Some("evil.example")), "https://api.example.org");
        assert_eq!(base(Some("localhost"), Some("127.0.0.1:4010")), "http://127.0.0.1:4010");
        assert_eq!(base(Some("localhost"), Some("evil.example")), "http://localhost");
        assert_eq!(base(None, Some("localhost:4010")), "http://localhost:4010");
        assert_eq!(base(None, Some("api.example.org")), "https://api.example.org");
    }
}
