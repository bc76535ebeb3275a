//! `/phone-numbers`: the numbers of the tenant's account; search, buy, wire and release them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::bad_query;
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Printed};
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::connection::{self, WHATSAPP};
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::{Senders, TenantId};
use crate::store::tenants;
use crate::twilio::numbers::{Capabilities, Hooks, NumberKind, Offered, Owned, Search};
use crate::usecases::buy_number::{self, Wanted, buy_number};
use crate::usecases::list_numbers::{list_numbers, search_numbers};
use crate::usecases::release_number::release_number;
use crate::usecases::wire_number::wire_number;

/// A number of the account's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedNumberView {
    phone_number: String,
    /// `PN…`.
    sid: String,
    friendly_name: Option<String>,
    capabilities: Capabilities,
    /// What comes in there comes to us.
    wired: bool,
    /// `sms`, `whatsapp`, `voice`: what is sent from it.
    #[schema(value_type = Vec<String>)]
    sender_of: Vec<&'static str>,
}

/// Every number of the account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Numbers {
    items: Vec<OwnedNumberView>,
}

/// A number that is for sale.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferView {
    phone_number: String,
    friendly_name: Option<String>,
    locality: Option<String>,
    region: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
    capabilities: Capabilities,
    /// `none`, `any`, `local` or `foreign`: the address that has to be given to buy it.
    address_requirements: Option<String>,
}

/// What is for sale. None is no error: try another area, or fewer wishes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Offers {
    items: Vec<OfferView>,
}

/// What somebody looks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wishes {
    /// ISO 3166; the tenant's own region when absent.
    country: Option<String>,
    /// `local` when absent.
    #[serde(rename = "type")]
    kind: Option<NumberKind>,
    /// Of the United States and Canada alone: `206`.
    area_code: Option<String>,
    /// Digits or letters that the number has; `*` for any digit.
    contains: Option<String>,
    sms: Option<bool>,
    mms: Option<bool>,
    voice: Option<bool>,
    #[param(maximum = 100, minimum = 1)]
    limit: Option<u32>,
}

/// A number to buy.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuyRequest {
    /// One that the search gave: `+12065550123`.
    pub phone_number: String,
    /// What is sent from it. When absent, what has no sender yet.
    pub use_as: Option<UseAs>,
    /// `AD…`: an address in Twilio's Console, where the country asks for one.
    pub address_sid: Option<String>,
    /// `BU…`: papers in Twilio's Console, where the country asks for them.
    pub bundle_sid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UseAs {
    Sms,
    Voice,
    Both,
    /// It only takes what comes in.
    None,
}

/// Whether somebody means it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Confirmation {
    /// `true`: give the number back though no text goes then any more.
    confirm: Option<bool>,
}

impl UseAs {
    fn wanted(self) -> buy_number::UseAs {
        match self {
            Self::Sms => buy_number::UseAs::Sms,
            Self::Voice => buy_number::UseAs::Voice,
            Self::Both => buy_number::UseAs::Both,
            Self::None => buy_number::UseAs::Nothing,
        }
    }
}

/// The account's numbers: what each can do, whether what comes in there comes to us, and what is sent from it. Takes
/// the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/phone-numbers", operation_id = "list_phone_numbers", tag = "phone-numbers",
    params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "As asked", body = Numbers),
        (status = 502, description = "Twilio could not be asked", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn list(State(cx): State<Arc<Context>>, Arrival(now): Arrival, caller: Caller) -> Result<Json<Numbers>, Problem> {
    caller.require_admin()?;
    let owned = list_numbers(&cx, &caller.tenant).await.map_err(|error| Problem::of_twilio("number list", error))?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let items = owned.into_iter().map(|owned| view(&cx, &caller.tenant, &settings.senders, owned)).collect();
    Ok(Json(Numbers { items }))
}

/// Numbers that are for sale. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/phone-numbers/search", operation_id = "search_phone_numbers", tag = "phone-numbers",
    params(("tenant" = String, Path), Wishes),
    responses(
        (status = 200, description = "As asked", body = Offers),
        (status = 502, description = "Twilio could not be asked", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn search(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    wishes: Result<Query<Wishes>, QueryRejection>,
) -> Result<Json<Offers>, Problem> {
    caller.require_admin()?;
    let Query(wishes) = wishes.map_err(bad_query)?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let search = read(wishes, settings.default_region.clone().into()).map_err(Problem::fields)?;
    let offered = search_numbers(&cx, &caller.tenant, &search).await.map_err(|error| Problem::of_twilio("search", error))?;
    Ok(Json(Offers { items: offered.into_iter().map(offer).collect() }))
}

/// Buy a number, with our webhooks, and send from it. It is bought once, however often the same key asks. Takes the
/// role `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/phone-numbers", operation_id = "buy_phone_number", tag = "phone-numbers",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key buys once")),
    request_body = BuyRequest,
    responses(
        (status = 201, description = "Bought", body = OwnedNumberView),
        (status = 502, description = "Whether it was bought is not known; the same key finds out", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn buy(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Printed { value: asked, fingerprint }: Printed<BuyRequest>,
) -> Result<(StatusCode, Json<OwnedNumberView>), Problem> {
    caller.require_admin()?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let number = connection::number("phoneNumber", &asked.phone_number, &settings.default_region);
    let number = number.map_err(|error| Problem::fields(vec![error]))?;
    let mut errors = Vec::new();
    let wanted = Wanted {
        number,
        use_as: asked.use_as.map(UseAs::wanted),
        address_sid: sid("addressSid", asked.address_sid, "AD", &mut errors),
        bundle_sid: sid("bundleSid", asked.bundle_sid, "BU", &mut errors),
        key: key.0,
        fingerprint,
        asked_by: caller.subject.clone(),
    };
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    let owned = buy_number(&cx, &caller.tenant, &wanted, now).await.map_err(|error| Problem::of_twilio("purchase", error))?;
    Ok((StatusCode::CREATED, Json(shown(&cx, &caller.tenant, owned, now).await?)))
}

/// Point the webhooks of a number to us. Takes the role `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/phone-numbers/{number}/wire", operation_id = "wire_phone_number", tag = "phone-numbers",
    params(("tenant" = String, Path), ("number" = String, Path, description = "As people write it; `+` may be percent-encoded")),
    responses(
        (status = 200, description = "The number as it is now", body = OwnedNumberView),
        (status = 502, description = "Twilio could not be asked", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn wire(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, number)): Path<(String, String)>,
) -> Result<Json<OwnedNumberView>, Problem> {
    caller.require_admin()?;
    let number = named(&cx, &caller.tenant, &number, now).await?;
    let owned = wire_number(&cx, &caller.tenant, &number).await.map_err(|error| Problem::of_twilio("wiring", error))?;
    Ok(Json(shown(&cx, &caller.tenant, owned, now).await?))
}

/// Give a number back to Twilio. Nothing is sent from it any more. Takes the role `admin`.
///
/// The sender of texts is given back only with `confirm=true`: without it, 409 `last_sender`. No text goes then before
/// there is another sender.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/phone-numbers/{number}", operation_id = "release_phone_number", tag = "phone-numbers",
    params(
        ("tenant" = String, Path), ("number" = String, Path, description = "As people write it; `+` may be percent-encoded"),
        Confirmation
    ),
    responses(
        (status = 204, description = "Given back"),
        (status = 502, description = "Whether it was given back is not known; the same again finds out", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn release(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, number)): Path<(String, String)>,
    confirmation: Result<Query<Confirmation>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    caller.require_admin()?;
    let Query(confirmation) = confirmation.map_err(bad_query)?;
    let number = named(&cx, &caller.tenant, &number, now).await?;
    let settings = tenants::settings(cx.table().await?, &caller.tenant).await?;
    let sends_texts = settings.is_some_and(|settings| settings.senders.sms.as_deref() == Some(number.e164()));
    if sends_texts && confirmation.confirm != Some(true) {
        let detail = "texts are sent from this number, and from no other: none would go any more. Set another sender first \
                      (settings, senders.sms), or confirm with ?confirm=true";
        return Err(Problem::conflict("last_sender", detail));
    }
    release_number(&cx, &caller.tenant, &number).await.map_err(|error| Problem::of_twilio("release", error))?;
    Ok(StatusCode::NO_CONTENT)
}

const DEFAULT_LIMIT: u32 = 20;
const LARGEST_LIMIT: u32 = 100;

/// What Twilio is asked for; or everything that cannot be right.
fn read(wishes: Wishes, region: String) -> Result<Search, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, reason: &str| errors.push(FieldError::new(field, "invalid", reason));
    let country = wishes.country.map_or(region, |country| country.trim().to_ascii_uppercase());
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        refuse("country", "two letters: US, CA, GB");
    }
    let area_code = wishes.area_code.map(|code| code.trim().to_string()).filter(|code| !code.is_empty());
    if let Some(code) = &area_code {
        if !matches!(country.as_str(), "US" | "CA") {
            refuse("areaCode", "only the United States and Canada have them; use contains elsewhere");
        } else if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
            refuse("areaCode", "three digits: 206");
        }
    }
    let contains = wishes.contains.map(|contains| contains.trim().to_string()).filter(|contains| !contains.is_empty());
    let is_pattern = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'*' || b == b'+');
    if contains.as_ref().is_some_and(|contains| !(2..=16).contains(&contains.len()) || !is_pattern(contains)) {
        refuse("contains", "2 to 16 digits or letters, with * for any digit");
    }
    let limit = wishes.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        refuse("limit", "1 to 100");
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (kind, sms, mms, voice) = (wishes.kind.unwrap_or_default(), wishes.sms, wishes.mms, wishes.voice);
    Ok(Search { country, kind, area_code, contains, sms, mms, voice, limit })
}

fn sid(field: &str, given: Option<String>, prefix: &str, errors: &mut Vec<FieldError>) -> Option<String> {
    let given = given.map(|given| given.trim().to_string()).filter(|given| !given.is_empty())?;
    if !connection::is_sid(&given, prefix) {
        errors.push(FieldError::new(field, "invalid", format!("{prefix} and 32 of 0-9 and a-f, as Twilio's Console shows it")));
    }
    Some(given)
}

/// The number of a path.
async fn named(cx: &Context, tenant: &TenantId, number: &str, now: Timestamp) -> Result<PhoneNumber, Problem> {
    let settings = cx.settings(tenant, now).await?;
    // Some clients make a space of the `+`.
    let number = if number.starts_with(' ') { format!("+{}", number.trim()) } else { number.to_string() };
    connection::number("number", &number, &settings.default_region).map_err(|error| Problem::fields(vec![error]))
}

async fn shown(cx: &Context, tenant: &TenantId, owned: Owned, now: Timestamp) -> Result<OwnedNumberView, Problem> {
    let settings = cx.settings(tenant, now).await?;
    Ok(view(cx, tenant, &settings.senders, owned))
}

fn view(cx: &Context, tenant: &TenantId, senders: &Senders, owned: Owned) -> OwnedNumberView {
    let wired = owned.is_wired(&Hooks::of(&cx.config.public_url, tenant));
    let senders = [("sms", &senders.sms), ("whatsapp", &senders.whatsapp), ("voice", &senders.voice)];
    let is_it = |sender: &Option<String>| {
        sender.as_ref().is_some_and(|address| address.trim_start_matches(WHATSAPP) == owned.phone_number)
    };
    let sender_of = senders.into_iter().filter(|(_, sender)| is_it(sender)).map(|(channel, _)| channel).collect();
    let Owned { sid, phone_number, friendly_name, capabilities, .. } = owned;
    OwnedNumberView { phone_number, sid, friendly_name, capabilities, wired, sender_of }
}

fn offer(offered: Offered) -> OfferView {
    let Offered { phone_number, friendly_name, locality, region, postal_code, iso_country, capabilities, address_requirements } =
        offered;
    OfferView {
        phone_number,
        friendly_name,
        locality,
        region,
        postal_code,
        country: iso_country,
        capabilities,
        address_requirements,
    }
}
