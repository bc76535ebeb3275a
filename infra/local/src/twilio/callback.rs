//! The signed requests that report what happens to a message or a call, or bring a text or a call.
//!
//! Parameters from twilio-facts §2, §3 and §6, connection overrides from §4. What happens is in `steps`,
//! posting the requests in `delivery`.

use jiff::Timestamp;

use super::address::{is_whatsapp, number};
use super::call::{CallEntry, CallStatus};
use super::ledger::{Entry, Status};
use super::{Account, InboundText, sid, signature, view};

/// A signed form POST to one of our webhooks.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Without the fragment, which is neither sent nor signed.
    pub url: String,
    pub params: Vec<(String, String)>,
    /// The `X-Twilio-Signature` header.
    pub signature: String,
    /// The `I-Twilio-Idempotency-Token` header: the same for every try of one event.
    pub idempotency_token: String,
    pub(super) message_sid: String,
    /// The status that it reports; `received` for an inbound message, and how far an inbound call is.
    pub(super) status: &'static str,
    pub(super) retry: Retry,
}

/// The `#rc=…&rp=…` of a webhook URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) times: u32,
    connect: bool,
    read: bool,
    client_errors: bool,
    server_errors: bool,
}

/// How one try to post a callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(u16),
    NotConnected,
    NotAnswered,
}

impl Callback {
    /// The body, `application/x-www-form-urlencoded`.
    pub fn body(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.params).finish()
    }

    /// The SID of the message or the call that it is about.
    pub fn message_sid(&self) -> &str {
        &self.message_sid
    }

    /// The first value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The SID of the text that it brings, if it does that and reports nothing.
    pub(super) fn text_sid(&self) -> Option<&str> {
        self.param("MessageSid").filter(|_| self.param("MessageStatus").is_none())
    }
}

/// A signed request of `account` to `url`, whose fragment may ask for retries.
pub fn signed(account: &Account, url: &str, params: Vec<(String, String)>) -> Callback {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let value = |name: &str| params.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let message_sid = value("MessageSid").or_else(|| value("CallSid")).unwrap_or_default();
    let status = value("MessageStatus").or_else(|| value("CallStatus")).unwrap_or_default();
    let token = sid::hash(&format!("{message_sid}|{status}"));
    Callback {
        url: url.to_owned(),
        signature: signature::sign(&account.auth_token, url, &params),
        params,
        idempotency_token: token,
        message_sid,
        status: "received",
        retry: Retry::parse(fragment),
    }
}

/// The report of a status of `entry`, if it asked for reports.
pub(super) fn status(
    account: &Account,
    entry: &Entry,
    status: Status,
    error_code: Option<u32>,
    now: Timestamp,
) -> Option<Callback> {
    let url = entry.status_callback.as_deref()?;
    let mut params = vec![
        ("ApiVersion", view::API_VERSION.to_owned()),
        ("SmsSid", entry.sid.clone()),
        ("MessageSid", entry.sid.clone()),
        ("SmsStatus", status.word().to_owned()),
        ("MessageStatus", status.word().to_owned()),
        ("To", entry.to.clone()),
        ("From", entry.from.clone()),
        ("AccountSid", entry.account_sid.clone()),
    ];
    if let Some(service) = &entry.messaging_service_sid {
        params.push(("MessagingServiceSid", service.clone()));
    }
    if let Some(code) = error_code {
        params.push(("ErrorCode", code.to_string()));
    }
    if is_whatsapp(&entry.to) {
        params.push(("ChannelPrefix", "whatsapp".to_owned()));
        params.push(("ChannelInstallSid", format!("XE{}", sid::hash(&entry.account_sid))));
    } else if matches!(status, Status::Delivered | Status::Undelivered) {
        params.push(("RawDlrDoneDate", now.strftime("%y%m%d%H%M").to_string()));
    }
    Some(Callback { status: status.word(), ..signed(account, url, owned(params)) })
}

/// The report of a status of `call`, if it asked for that one.
pub(super) fn call_status(account: &Account, call: &CallEntry, status: CallStatus, now: Timestamp) -> Option<Callback> {
    let url = call.status_callback.as_deref().filter(|_| call.asked_for(status))?;
    let mut params = vec![
        ("CallSid", call.sid.clone()),
        ("AccountSid", call.account_sid.clone()),
        ("From", call.from.clone()),
        ("To", call.to.clone()),
        ("CallStatus", status.word().to_owned()),
        ("ApiVersion", view::API_VERSION.to_owned()),
        ("Direction", "outbound-api".to_owned()),
        ("Timestamp", view::rfc2822(now)),
        ("CallbackSource", "call-progress-events".to_owned()),
        ("SequenceNumber", call.sequence_number(status).to_string()),
    ];
    if let Some(code) = status.sip_response_code() {
        let secs = call.duration.unwrap_or_default();
        params.push(("CallDuration", secs.to_string()));
        params.push(("Duration", secs.div_ceil(60).to_string()));
        params.push(("SipResponseCode", code.to_string()));
    }
    if let Some(who) = call.answered_by(status) {
        params.push(("AnsweredBy", who.to_owned()));
    }
    Some(Callback { status: status.word(), ..signed(account, url, owned(params)) })
}

/// A text to one of the account's numbers.
pub(super) fn inbound(account: &Account, url: &str, sid: &str, text: &InboundText, segments: u32) -> Callback {
    let mut params = vec![
        ("ToCountry", String::new()),
        ("ToState", String::new()),
        ("SmsMessageSid", sid.to_owned()),
        ("NumMedia", text.media.len().to_string()),
        ("ToCity", String::new()),
        ("FromZip", String::new()),
        ("SmsSid", sid.to_owned()),
        ("FromState", String::new()),
        ("SmsStatus", "received".to_owned()),
        ("FromCity", String::new()),
        ("Body", text.body.clone()),
        ("FromCountry", String::new()),
        ("To", text.to.clone()),
        ("ToZip", String::new()),
        ("NumSegments", segments.to_string()),
        ("MessageSid", sid.to_owned()),
        ("AccountSid", account.sid.clone()),
        ("From", text.from.clone()),
        ("ApiVersion", view::API_VERSION.to_owned()),
    ];
    if is_whatsapp(&text.from) {
        params.push(("ProfileName", "Local".to_owned()));
        params.push(("WaId", number(&text.from).trim_start_matches('+').to_owned()));
    }
    let mut params = owned(params);
    for (index, medium) in text.media.iter().enumerate() {
        params.push((format!("MediaUrl{index}"), medium.url.clone()));
        params.push((format!("MediaContentType{index}"), medium.content_type.clone()));
    }
    signed(account, url, replaced(params, text.params.clone()))
}

/// A step of a call to one of the account's numbers. `step` says which, and what comes with it.
pub(super) fn inbound_call(account: &Account, url: &str, sid: &str, from: &str, to: &str, step: &[(&str, &str)]) -> Callback {
    let mut params = owned(vec![
        ("CallSid", sid.to_owned()),
        ("AccountSid", account.sid.clone()),
        ("From", from.to_owned()),
        ("Caller", from.to_owned()),
        ("To", to.to_owned()),
        ("Called", to.to_owned()),
        ("Direction", "inbound".to_owned()),
        ("ApiVersion", view::API_VERSION.to_owned()),
    ]);
    for who in ["From", "Caller", "To", "Called"] {
        params.extend(["City", "State", "Zip", "Country"].map(|place| (format!("{who}{place}"), String::new())));
    }
    let step = step.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let callback = signed(account, url, replaced(params, owned(step)));
    let status = callback.param("CallStatus").and_then(CallStatus::parse).unwrap_or(CallStatus::InProgress);
    Callback { status: status.word(), ..callback }
}

impl Retry {
    fn parse(fragment: &str) -> Self {
        let mut retry = Self { times: 1, connect: true, read: false, client_errors: false, server_errors: false };
        for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "rc" => retry.times = value.parse().unwrap_or(1).min(5),
                "rp" => {
                    let on = |word: &str| value.split(',').any(|given| given == word || given == "all");
                    retry.connect = on("ct");
                    retry.read = on("rt");
                    retry.client_errors = on("4xx");
                    retry.server_errors = on("5xx");
                }
                _ => {}
            }
        }
        retry
    }

    pub(super) fn covers(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Answered(400..=499) => self.client_errors,
            Outcome::Answered(500..) => self.server_errors,
            Outcome::Answered(_) => false,
            Outcome::NotConnected => self.connect,
            Outcome::NotAnswered => self.read,
        }
    }
}

/// The parameters with others, each in the place of those of its name.
fn replaced(mut params: Vec<(String, String)>, others: Vec<(String, String)>) -> Vec<(String, String)> {
    params.retain(|(name, _)| others.iter().all(|(other, _)| other != name));
    params.extend(others);
    params
}

fn owned(params: Vec<(&str, String)>) -> Vec<(String, String)> {
    params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_fragment_asks_for_is_retried() {
        let retry = Retry::parse("rc=3&rp=5xx,ct,rt");

        assert_eq!(retry.times, 3);
        assert!(retry.covers(Outcome::Answered(503)) && retry.covers(Outcome::NotAnswered));
        assert!(!retry.covers(Outcome::Answered(403)) && !retry.covers(Outcome::Answered(204)));
    }

    #[test]
    fn without_a_fragment_a_500_is_not_retried() {
        let retry = Retry::parse("");

        assert!(!retry.covers(Outcome::Answered(500)));
        assert!(retry.covers(Outcome::NotConnected));
    }

    #[test]
    fn the_fragment_is_neither_sent_nor_signed() {
        let account = Account { auth_token: "12345".to_owned(), ..Account::default() };

        let with = signed(&account, "https://example.com/status?message=1#rc=3", Vec::new());
        let without = signed(&account, "https://example.com/status?message=1", Vec::new());

        assert_eq!((&with.url, &with.signature), (&without.url, &without.signature));
    }
}
