//! Sending through Twilio, with the four outcomes that decide what happens next (DESIGN §3).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::credentials::Credentials;
use crate::domain::channel::Channel;
use crate::domain::message::{Message, Status};

/// A message as Twilio takes it. WhatsApp addresses carry their `whatsapp:` prefix.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    pub from: &'a str,
    pub to: String,
    pub body: &'a str,
    pub status_callback: String,
}

/// How Twilio addresses the recipient of a message.
pub fn address(message: &Message) -> String {
    let number = message.to.as_ref().map(|to| to.e164()).unwrap_or_default();
    match message.channel {
        Some(Channel::Whatsapp) => format!("whatsapp:{number}"),
        Some(Channel::Sms) | None => number.to_string(),
    }
}

/// What we know after asking Twilio to send.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Twilio has it. `segments` is Twilio's own count, once it knows one.
    Accepted { sid: String, status: Status, segments: Option<u32> },
    /// Twilio did nothing with it: safe to try again, not before `wait`.
    NotProcessed { wait: Duration, code: Option<u32> },
    /// Twilio will not send this, now or later.
    Refused { code: u32 },
    /// Twilio may have it or not. Never resent blindly.
    Unknown { why: &'static str },
}

/// Wait at least this long when Twilio gives no other hint.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// 21611: the sender's queue at Twilio is full; it drains at a segment a second (twilio-facts §0.5).
const QUEUE_FULL_WAIT: Duration = Duration::from_secs(600);
/// Refused credentials: somebody has to mend them first.
const CREDENTIALS_WAIT: Duration = Duration::from_secs(300);

const TOO_MANY_REQUESTS: u32 = 20429;
const QUEUE_FULL: u32 = 21611;
const AUTHENTICATE: u32 = 20003;

/// Asks Twilio to send a message.
pub async fn send(http: &reqwest::Client, base: &str, credentials: &Credentials, message: &Outgoing<'_>) -> Outcome {
    let url = format!("{base}/2010-04-01/Accounts/{}/Messages.json", credentials.account_sid);
    let sender = if message.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
    let form =
        [(sender, message.from), ("To", &message.to), ("Body", message.body), ("StatusCallback", &message.status_callback)];
    let (user, password) = credentials.basic();
    match http.post(url).basic_auth(user, Some(password)).form(&form).send().await {
        Ok(response) => outcome(response).await,
        Err(error) if error.is_connect() => Outcome::NotProcessed { wait: SHORT_WAIT, code: None },
        Err(error) if error.is_timeout() => Outcome::Unknown { why: "no answer in time" },
        Err(_) => Outcome::Unknown { why: "connection lost" },
    }
}

async fn outcome(response: Response) -> Outcome {
    let status = response.status();
    let retry_after = retry_after(&response);
    let Ok(body) = response.bytes().await else { return Outcome::Unknown { why: "answer cut off" } };
    if status.is_success() {
        return match serde_json::from_slice::<Created>(&body) {
            Ok(created) if is_message_sid(&created.sid) => Outcome::Accepted {
                status: Status::from_twilio(&created.status).unwrap_or(Status::Queued),
                segments: created.num_segments.and_then(|count| count.parse().ok()).filter(|&count| count > 0),
                sid: created.sid,
            },
            _ => Outcome::Unknown { why: "answer without a SID" },
        };
    }
    // Both of Twilio's error dialects have `code`; a proxy's HTML has none.
    let code = serde_json::from_slice::<Failure>(&body).ok().and_then(|failure| failure.code);
    match (status, code) {
        (_, Some(QUEUE_FULL)) => Outcome::NotProcessed { wait: retry_after.unwrap_or(QUEUE_FULL_WAIT), code },
        (StatusCode::TOO_MANY_REQUESTS, _) | (_, Some(TOO_MANY_REQUESTS)) => {
            Outcome::NotProcessed { wait: retry_after.unwrap_or(SHORT_WAIT), code }
        }
        (StatusCode::UNAUTHORIZED, _) | (_, Some(AUTHENTICATE)) => {
            Outcome::NotProcessed { wait: CREDENTIALS_WAIT, code: code.or(Some(AUTHENTICATE)) }
        }
        // Only a 503 that asks to come back says that nothing was done.
        (StatusCode::SERVICE_UNAVAILABLE, _) if retry_after.is_some() => {
            Outcome::NotProcessed { wait: retry_after.unwrap_or(SHORT_WAIT), code }
        }
        (status, _) if status.is_server_error() => Outcome::Unknown { why: "server error" },
        (status, code) => Outcome::Refused { code: code.unwrap_or(u32::from(status.as_u16())) },
    }
}

/// Seconds only: Twilio sends no dates there. Bounded, so that nonsense does not park a message for ever.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

/// `^(SM|MM)[0-9a-f]{32}$`, in either case of hex.
pub fn is_message_sid(sid: &str) -> bool {
    (sid.starts_with("SM") || sid.starts_with("MM")) && sid.len() == 34 && sid[2..].bytes().all(|b| b.is_ascii_hexdigit())
}

#[derive(Deserialize)]
struct Created {
    sid: String,
    status: String,
    #[serde(default)]
    num_segments: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    code: Option<u32>,
}

/// A message as Twilio lists it.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    pub sid: String,
    pub status: String,
    #[serde(default)]
    pub body: Option<String>,
    pub date_created: String,
    #[serde(default)]
    pub error_code: Option<u32>,
}

impl Listed {
    pub fn created(&self) -> Option<Timestamp> {
        jiff::fmt::rfc2822::parse(&self.date_created).ok().map(|at| at.timestamp())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("Twilio's list of messages could not be read")]
    Unreachable(#[source] reqwest::Error),
    #[error("Twilio answered {0} to a list of messages")]
    Refused(StatusCode),
}

/// Twilio's messages to `to`, the newest first, back to those created before `since`.
///
/// Not filtered by `DateSent`: what is still queued has none.
pub async fn list(
    http: &reqwest::Client,
    base: &str,
    credentials: &Credentials,
    to: &str,
    since: Timestamp,
) -> Result<Vec<Listed>, ListError> {
    #[derive(Deserialize)]
    struct Page {
        messages: Vec<Listed>,
        next_page_uri: Option<String>,
    }
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("To", to).append_pair("PageSize", "100").finish();
    let mut next = Some(format!("/2010-04-01/Accounts/{}/Messages.json?{query}", credentials.account_sid));
    let mut listed = Vec::new();
    // Relative, so that only `base` ever gets the credentials.
    while let Some(path) = next.filter(|path| path.starts_with("/2010-04-01/")) {
        let (user, password) = credentials.basic();
        let response =
            http.get(format!("{base}{path}")).basic_auth(user, Some(password)).send().await.map_err(ListError::Unreachable)?;
        if !response.status().is_success() {
            return Err(ListError::Refused(response.status()));
        }
        let page: Page = response.json().await.map_err(ListError::Unreachable)?;
        let reaches_back = page.messages.last().and_then(Listed::created).is_none_or(|created| created < since);
        listed.extend(page.messages);
        next = page.next_page_uri.filter(|_| !reaches_back);
    }
    Ok(listed)
}
