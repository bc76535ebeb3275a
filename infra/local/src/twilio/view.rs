//! Twilio's representation of messages and calls, and its dates.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::CallEntry;
use super::ledger::{Entry, Status};

pub(super) const API_VERSION: &str = "2010-04-01";

/// A message as the API shows it. Nothing is priced here, so `price` stays null.
pub(super) fn message(entry: &Entry) -> Value {
    let uri = format!("/{API_VERSION}/Accounts/{}/Messages/{}", entry.account_sid, entry.sid);
    // Until a messaging service has sent it, nobody is told from whom or in how many segments.
    let picked = entry.status != Status::Accepted;
    json!({
        "account_sid": entry.account_sid,
        "api_version": API_VERSION,
        "body": entry.body,
        "date_created": rfc2822(entry.created),
        "date_sent": entry.date_sent.map(rfc2822),
        "date_updated": rfc2822(entry.date_updated),
        "direction": if entry.in_reply_to.is_some() { "outbound-reply" } else { "outbound-api" },
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
        "direction": "outbound-api",
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
