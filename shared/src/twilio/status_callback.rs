//! Status callbacks of messages and calls: from Twilio's parameters to a report.
//!
//! Parameters from twilio.com/docs/messaging/guides/track-outbound-message-status and
//! twilio.com/docs/voice/api/call-resource#statuscallback. New ones appear without notice, and are kept.

use super::client::is_sid;
use super::form::Form;
use crate::domain::message::MessageId;
use crate::domain::report::Report;
use crate::domain::tenant::TenantId;

/// Which callbacks, as Twilio names their parameters: the SID and the status stand in the first that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Message,
    Call,
}

/// Where Twilio reports on message `id` of ours, so that a callback that beats our write of the SID still lands
/// (lessons B3). The fragment, which is neither sent nor signed, asks Twilio to repeat what we could not take.
pub fn url(public_url: &str, tenant: &TenantId, of: Of, id: &MessageId) -> String {
    let resource = match of {
        Of::Message => "status",
        Of::Call => "voice/status",
    };
    format!("{public_url}/twilio/{tenant}/{resource}?message={id}#rc=3&rp=5xx,ct,rt")
}

/// What is said elsewhere in the report, what is the same in every one, and what is personal.
const LEFT_OUT: [&str; 16] = [
    "MessageSid",
    "SmsSid",
    "SmsMessageSid",
    "MessageStatus",
    "SmsStatus",
    "CallSid",
    "CallStatus",
    "ErrorCode",
    "ErrorMessage",
    "AccountSid",
    "ApiVersion",
    "From",
    "To",
    "Body",
    "Caller",
    "Called",
];
/// Their values are Twilio's own, whatever digits they hold.
const SAFE: [&str; 12] = [
    "RawDlrDoneDate",
    "Timestamp",
    "CallDuration",
    "Duration",
    "SequenceNumber",
    "SipResponseCode",
    "Price",
    "PriceUnit",
    "MessagingServiceSid",
    "ChannelInstallSid",
    "ParentCallSid",
    "RecordingSid",
];
/// Where the other end is, by name of parameter.
const PLACES: [&str; 4] = ["City", "State", "Zip", "Country"];
/// So many digits may be somebody's number.
const NUMBER: usize = 7;

/// What a callback says; `None` for one without SID or status.
pub fn report(form: &Form, of: Of) -> Option<Report> {
    let (sids, words): (&[&str], &[&str]) = match of {
        Of::Message => (&["MessageSid", "SmsSid"], &["MessageStatus", "SmsStatus"]),
        Of::Call => (&["CallSid"], &["CallStatus"]),
    };
    let first = |names: &[&str]| names.iter().find_map(|name| form.get(name));
    let sid = first(sids).filter(|sid| is_sid(sid))?;
    let code = form.get("ErrorCode").and_then(|code| code.parse().ok());
    let more: Vec<(&str, String)> = form
        .0
        .iter()
        .filter(|(name, value)| !value.is_empty() && is_kept(name))
        .map(|(name, value)| (name.as_str(), if SAFE.contains(&name.as_str()) { value.clone() } else { without_persons(value) }))
        .collect();
    Some(Report::new(first(words)?, sid, code).saying(more.iter().map(|(name, value)| (*name, value.as_str()))))
}

fn is_kept(name: &str) -> bool {
    let is_plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_speech = ["Name", "Speech", "Text", "Token"].iter().any(|part| name.contains(part));
    is_plain && !is_speech && !LEFT_OUT.contains(&name) && !PLACES.iter().any(|place| name.ends_with(place))
}

/// `value`, if it can be nothing but one of Twilio's own words: no name, no sentence, no number of somebody's.
fn without_persons(value: &str) -> String {
    let is_word = value.len() <= 32 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    if is_word && digits < NUMBER { value.to_string() } else { "…".to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_adds_is_kept_and_what_is_personal_is_not() {
        let body = "MessageSid=SM00000000000000000000000000000001&MessageStatus=delivered&To=%2B15550100201&From=%2B15005550006\
                    &AccountSid=AC1&RawDlrDoneDate=2603060130&NewThing=yes&Contact=%2B15550100201&CallerName=Ann&ToCity=Troy&Empty=";

        let report = report(&Form::parse(body.as_bytes()), Of::Message).unwrap();

        let line = "delivered SM00000000000000000000000000000001 - Contact=%E2%80%A6&NewThing=yes&RawDlrDoneDate=2603060130";
        assert_eq!(report.to_string(), line);
    }

    #[test]
    fn a_callback_without_sid_or_status_says_nothing() {
        for body in ["", "MessageSid=nonsense&MessageStatus=sent", "MessageSid=SM00000000000000000000000000000001"] {
            assert_eq!(report(&Form::parse(body.as_bytes()), Of::Message), None, "{body}");
        }
    }
}
