//! The IncomingPhoneNumbers resource: buy, fetch, wire, release and list.
//!
//! Magic numbers as for Twilio's test credentials (twilio-facts §9). Any number that nobody has can be bought,
//! whether a search shows it or not; nothing is paid. Fields that are not named here are ignored. Wording from
//! what people quote of Twilio's answers.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use super::error::ApiError;
use super::inventory;
use super::listing::{self, Query};
use super::phone_number::OwnedNumber;
use super::sid::{self, is_sid};
use super::submission::{Form, MAGIC_SENDER, is_e164, is_http};
use super::{Account, LocalTwilio, view};

/// `POST …/IncomingPhoneNumbers.json`
pub(super) async fn create(
    State(twilio): State<LocalTwilio>,
    Path(account_sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let form = Form::parse(&body);
    let now = twilio.0.config.clock.now();
    let mut state = twilio.state();
    let phone_number = chosen(&form, &state.owned_numbers())?;
    let mut number = OwnedNumber {
        sid: sid::sid("PN", twilio.0.config.seed, "number", state.ledger.number_count()),
        account_sid: account.sid.clone(),
        friendly_name: view::friendly_name(&phone_number),
        capabilities: inventory::capabilities(&phone_number),
        address_requirements: inventory::address_requirements(&phone_number).to_owned(),
        address_sid: None,
        sms_url: None,
        voice_url: None,
        status_callback: None,
        created: now,
        date_updated: now,
        phone_number,
    };
    wire(&mut number, &form)?;
    if number.address_requirements != "none" && number.address_sid.is_none() {
        let message = "Phone Number Requires an Address but the 'AddressSid' parameter was empty.";
        return Err(ApiError::refused(21631, message));
    }
    state.ledger.set_number(number.clone()).map_err(|error| ApiError::not_written(&error))?;
    Ok((StatusCode::CREATED, Json(view::number(&number))).into_response())
}

/// `GET …/IncomingPhoneNumbers/{sid}.json`
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let number = of_account(&twilio.state(), &account, &file, &uri)?;
    Ok(Json(view::number(&number)).into_response())
}

/// `POST …/IncomingPhoneNumbers/{sid}.json`
pub(super) async fn update(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let now = twilio.0.config.clock.now();
    let mut state = twilio.state();
    let mut number = of_account(&state, &account, &file, &uri)?;
    wire(&mut number, &Form::parse(&body))?;
    number.date_updated = now;
    state.ledger.set_number(number.clone()).map_err(|error| ApiError::not_written(&error))?;
    Ok(Json(view::number(&number)).into_response())
}

/// `DELETE …/IncomingPhoneNumbers/{sid}.json`: somebody else can buy it then.
pub(super) async fn release(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let mut state = twilio.state();
    let number = of_account(&state, &account, &file, &uri)?;
    state.ledger.release(&number).map_err(|error| ApiError::not_written(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/IncomingPhoneNumbers.json`
pub(super) async fn list(
    State(twilio): State<LocalTwilio>,
    Path(account_sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let query = Query::parse::<OwnedNumber>(uri.query().unwrap_or_default())?;
    let numbers = twilio.state().numbers_of(&account);
    let newest_first = numbers.iter().rev();
    let matching: Vec<&OwnedNumber> = newest_first.filter(|number| query.matches::<OwnedNumber>(number)).collect();
    Ok(Json(listing::page::<OwnedNumber>(uri.path(), &query, &matching)).into_response())
}

/// The number of a request's path, if the account still has it.
fn of_account(state: &super::State, account: &Account, file: &str, uri: &Uri) -> Result<OwnedNumber, ApiError> {
    let sid = file.strip_suffix(".json").unwrap_or_default();
    let found = state.numbers_of(account).into_iter().find(|number| number.sid == sid);
    found.ok_or_else(|| ApiError::not_found(uri.path()))
}

/// The number that is to be bought, if it can be.
fn chosen(form: &Form, owned: &HashSet<String>) -> Result<String, ApiError> {
    match (form.get("PhoneNumber"), form.get("AreaCode")) {
        (Some(phone_number), _) => checked(phone_number, owned),
        (None, Some(area_code)) => in_area(area_code, owned),
        (None, None) => Err(ApiError::refused(21421, "PhoneNumber or AreaCode is required")),
    }
}

fn checked(phone_number: &str, owned: &HashSet<String>) -> Result<String, ApiError> {
    let is_whole = !phone_number.starts_with("+1") || phone_number.len() == 12;
    if phone_number == "+15005550001" || !is_e164(phone_number) || !is_whole {
        return Err(ApiError::refused(21421, format!("{phone_number} is not a valid phone number")));
    }
    if phone_number == "+15005550000" || owned.contains(phone_number) {
        return Err(ApiError::refused(21422, format!("{phone_number} is not available")));
    }
    Ok(phone_number.to_owned())
}

fn in_area(area_code: &str, owned: &HashSet<String>) -> Result<String, ApiError> {
    if !inventory::is_area_code(area_code) {
        return Err(ApiError::refused(21451, format!("{area_code} is not a valid area code")));
    }
    let numbers = match area_code {
        "500" => vec![MAGIC_SENDER.to_owned()],
        _ => {
            let offers = ["US", "CA"].into_iter().filter_map(|country| inventory::offers(country, "Local", Some(area_code)));
            offers.flatten().map(|offer| offer.phone_number).collect()
        }
    };
    let left = numbers.into_iter().find(|number| !owned.contains(number));
    left.ok_or_else(|| ApiError::refused(21452, format!("No phone numbers found in area code {area_code}")))
}

/// Changes what a form says. An empty URL takes the one that there was away.
fn wire(number: &mut OwnedNumber, form: &Form) -> Result<(), ApiError> {
    // Better refused than posted all the same.
    for field in ["SmsMethod", "VoiceMethod", "StatusCallbackMethod"] {
        if let Some(method) = form.get(field).filter(|method| *method != "POST") {
            return Err(ApiError::refused(21403, format!("{field} {method}: the local Twilio only knows POST")));
        }
    }
    let urls =
        [("SmsUrl", &mut number.sms_url), ("VoiceUrl", &mut number.voice_url), ("StatusCallback", &mut number.status_callback)];
    for (field, known) in urls {
        let Some(url) = form.given(field) else { continue };
        if !url.is_empty() && !is_http(url) {
            return Err(ApiError::refused(21402, format!("{field} is not a valid URL: {url}")));
        }
        *known = Some(url.to_owned()).filter(|url| !url.is_empty());
    }
    if let Some(name) = form.get("FriendlyName") {
        name.clone_into(&mut number.friendly_name);
    }
    match form.get("AddressSid") {
        Some(address) if !is_sid("AD", address) => {
            return Err(ApiError::refused(20001, format!("The value {address} of the parameter AddressSid is not valid")));
        }
        Some(address) => number.address_sid = Some(address.to_owned()),
        None => {}
    }
    Ok(())
}
