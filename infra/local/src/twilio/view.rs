//! Twilio's representation of messages, calls and numbers, and its dates.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::CallEntry;
use super::inventory::Offer;
use super::ledger::{Entry, Status};
use super::phone_number::{Capabilities, OwnedNumber};

pub(super) const API_VERSION: &str = "2010-04-01";

/// A message as the API shows it. Nothing is priced here, so `price` stays null.
pub(super) fn message(entry: &Entry) -> Value {
    let uri = format!("/{API_VERSION}/Accounts/{}/Messages/{}", entry.account_sid, entry.sid);
    // Until a messaging service has sent it, nobody is told from whom or in how many segments.
    let picked = entry.status != Status::Accepted;
    let direction = match &entry.in_reply_to {
        _ if entry.is_inbound() => "inbound",
        Some(_) => "outbound-reply",
        None => "outbound-api",
    };
    json!({
        "account_sid": entry.account_sid,
        "api_version": API_VERSION,
        "body": entry.body,
        "date_created": rfc2822(entry.created),
        "date_sent": entry.date_sent.map(rfc2822),
        "date_updated": rfc2822(entry.date_updated),
        "direction": direction,
        "error_code": entry.error_code,
        "error_message": null,
        "from": picked.then_some(&entry.from),
        "messaging_service_sid": entry.messaging_service_sid,
        "num_media": entry.num_media.to_string(),
        "num_segments": if picked { entry.num_segments.to_string() } else { "0".to_owned() },
        "price": null,
        "price_unit": null,
        "sid": entry.sid,
        "status": entry.status.word(),
        "subresource_uris": { "media": format!("{uri}/Media.json") },
        "to": entry.to,
        "uri": format!("{uri}.json"),
    })
}

/// A call as the API shows it. Nothing is priced here, so `price` stays null.
pub(super) fn call(call: &CallEntry) -> Value {
    let uri = format!("/{API_VERSION}/Accounts/{}/Calls/{}", call.account_sid, call.sid);
    json!({
        "account_sid": call.account_sid,
        "answered_by": call.answered_by(call.status),
        "api_version": API_VERSION,
        "caller_name": null,
        "date_created": rfc2822(call.created),
        "date_updated": rfc2822(call.date_updated),
        "direction": if call.inbound { "inbound" } else { "outbound-api" },
        "duration": call.duration.map(|secs| secs.to_string()),
        "end_time": call.end_time().map(rfc2822),
        "forwarded_from": null,
        "from": call.from,
        "from_formatted": call.from,
        "group_sid": null,
        "parent_call_sid": null,
        "phone_number_sid": null,
        "price": null,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": call.sid,
        "start_time": call.start_time.map(rfc2822),
        "status": call.status.shown(),
        "subresource_uris": { "recordings": format!("{uri}/Recordings.json") },
        "to": call.to,
        "to_formatted": call.to,
        "trunk_sid": null,
        "uri": format!("{uri}.json"),
    })
}

/// A number as the API shows it to who has it.
pub(super) fn number(number: &OwnedNumber) -> Value {
    let mut shown = json!({
        "account_sid": number.account_sid,
        "address_requirements": number.address_requirements,
        "address_sid": number.address_sid,
        "api_version": API_VERSION,
        "beta": false,
        "bundle_sid": null,
        "capabilities": capabilities(number.capabilities),
        "date_created": rfc2822(number.created),
        "date_updated": rfc2822(number.date_updated),
        "emergency_address_sid": null,
        "friendly_name": number.friendly_name,
        "identity_sid": null,
        "origin": "twilio",
        "phone_number": number.phone_number,
        "sid": number.sid,
        "sms_url": number.sms_url.as_deref().unwrap_or_default(),
        "status": "in-use",
        "status_callback": number.status_callback.as_deref().unwrap_or_default(),
        "trunk_sid": null,
        "uri": format!("/{API_VERSION}/Accounts/{}/IncomingPhoneNumbers/{}.json", number.account_sid, number.sid),
        "voice_caller_id_lookup": false,
        "voice_url": number.voice_url.as_deref().unwrap_or_default(),
    });
    shown["capabilities"]["fax"] = json!(false);
    // What nobody can change here.
    let fixed = [
        ("emergency_address_status", "unregistered"),
        ("emergency_status", "Inactive"),
        ("sms_application_sid", ""),
        ("sms_fallback_method", "POST"),
        ("sms_fallback_url", ""),
        ("sms_method", "POST"),
        ("status_callback_method", "POST"),
        ("voice_application_sid", ""),
        ("voice_fallback_method", "POST"),
        ("voice_fallback_url", ""),
        ("voice_method", "POST"),
        ("voice_receive_mode", "voice"),
    ];
    for (field, value) in fixed {
        shown[field] = json!(value);
    }
    shown
}

/// A number as the API shows it to who looks for one.
pub(super) fn offer(offer: &Offer, country: &str) -> Value {
    json!({
        "address_requirements": offer.address_requirements,
        "beta": false,
        "capabilities": capabilities(offer.capabilities),
        "friendly_name": friendly_name(&offer.phone_number),
        "iso_country": country,
        "lata": null,
        "latitude": null,
        "locality": null,
        "longitude": null,
        "phone_number": offer.phone_number,
        "postal_code": null,
        "rate_center": null,
        "region": null,
    })
}

/// `(415) 555-0150` of what begins with +1; anything else as it is dialled.
pub(super) fn friendly_name(phone_number: &str) -> String {
    let parts = phone_number.strip_prefix("+1").and_then(|digits| Some((digits.get(..3)?, digits.get(3..6)?, digits.get(6..)?)));
    parts.map_or_else(|| phone_number.to_owned(), |(area, exchange, line)| format!("({area}) {exchange}-{line}"))
}

fn capabilities(can: Capabilities) -> Value {
    json!({ "mms": can.mms, "sms": can.sms, "voice": can.voice })
}

/// `Thu, 24 Aug 2023 05:01:45 +0000`
pub(super) fn rfc2822(instant: Timestamp) -> String {
    instant.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rfc_2822() {
        assert_eq!(rfc2822("2023-08-24T05:01:45.9Z".parse().unwrap()), "Thu, 24 Aug 2023 05:01:45 +0000");
        assert_eq!(rfc2822("2026-11-02T09:00:00Z".parse().unwrap()), "Mon, 02 Nov 2026 09:00:00 +0000");
    }
}
