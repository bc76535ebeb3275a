//! The AvailablePhoneNumbers resource: what is for sale. What is sold and who asks for an address is
//! `inventory`'s.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::error::ApiError;
use super::inventory::{self, Offer};
use super::submission::Form;
use super::{LocalTwilio, listing, view};

/// `GET …/AvailablePhoneNumbers/{country}/{Local|Mobile|TollFree}.json`. There is one page, of `PageSize`;
/// filters that are not named here are ignored.
pub(super) async fn list(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, country, file)): Path<(String, String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    twilio.authenticate(&headers, &account_sid, &uri)?;
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let kind = file.strip_suffix(".json").unwrap_or_default();
    let area_code = query.get("AreaCode");
    if let Some(area) = area_code.filter(|area| !inventory::is_area_code(area)) {
        return Err(ApiError::refused(21451, format!("{area} is not a valid area code")));
    }
    let wanted = Wanted {
        contains: query.get("Contains").unwrap_or_default(),
        sms: flag(&query, "SmsEnabled")?,
        mms: flag(&query, "MmsEnabled")?,
        voice: flag(&query, "VoiceEnabled")?,
    };
    let page_size = listing::page_size(query.get("PageSize"))?;
    let offers = inventory::offers(&country, kind, area_code).ok_or_else(|| ApiError::not_found(uri.path()))?;
    let owned = twilio.state().owned_numbers();
    let left = offers.iter().filter(|offer| !owned.contains(&offer.phone_number) && wanted.fits(offer));
    let shown: Vec<Value> = left.take(page_size).map(|offer| view::offer(offer, &country)).collect();
    Ok(Json(json!({ "available_phone_numbers": shown, "uri": uri.to_string() })).into_response())
}

/// What a search asks for.
struct Wanted<'a> {
    contains: &'a str,
    sms: Option<bool>,
    mms: Option<bool>,
    voice: Option<bool>,
}

impl Wanted<'_> {
    fn fits(&self, offer: &Offer) -> bool {
        let can = offer.capabilities;
        let asked = [(self.sms, can.sms), (self.mms, can.mms), (self.voice, can.voice)];
        asked.iter().all(|(wanted, can)| wanted.is_none_or(|wanted| wanted == *can))
            && inventory::contains(&offer.phone_number, self.contains)
    }
}

fn flag(query: &Form, name: &str) -> Result<Option<bool>, ApiError> {
    query.get(name).map(|value| listing::read(name, value)).transpose()
}
