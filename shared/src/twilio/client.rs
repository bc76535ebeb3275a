//! Sending through Twilio, with the four outcomes that decide what happens next (DESIGN §3).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::credentials::Credentials;
use super::error_codes::{self, Class};
use super::twiml::{self, Voice};
use crate::domain::channel::Channel;
use crate::domain::message::{Message, Status};
use crate::domain::report::Report;
use crate::http_client::Client;
use crate::telemetry::unquoted;

/// What Twilio is asked to do. WhatsApp addresses carry their `whatsapp:` prefix.
#[derive(Clone, Debug)]
pub struct Outgoing {
    resource: Resource,
    form: Vec<(&'static str, String)>,
}

/// Twilio keeps messages and calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Messages,
    Calls,
}

impl Resource {
    pub fn of(channel: Option<Channel>) -> Self {
        match channel {
            Some(Channel::Voice) => Self::Calls,
            Some(Channel::Sms | Channel::Mms | Channel::Whatsapp) | None => Self::Messages,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Messages => "Messages",
            Self::Calls => "Calls",
        }
    }
}

/// The call events that we want to hear of.
const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];

impl Outgoing {
    /// `message` as it goes from `sender`; Twilio reports on it at `status_callback`.
    pub fn new(message: &Message, sender: &str, status_callback: String) -> Self {
        let resource = Resource::of(message.channel);
        let mut form = vec![("To", address(message)), ("StatusCallback", status_callback)];
        form.push((if sender.starts_with("MG") { "MessagingServiceSid" } else { "From" }, sender.to_string()));
        let body = message.body.clone().unwrap_or_default();
        let direct = message.direct.as_deref();
        match resource {
            Resource::Calls => {
                let call = direct.and_then(|direct| direct.call.clone()).unwrap_or_default();
                match &call.twiml_url {
                    Some(url) => form.push(("Url", url.clone())),
                    None => form.push((
                        "Twiml",
                        twiml::say(&body, Voice { name: call.voice.as_deref(), language: call.language.as_deref() }),
                    )),
                }
                form.extend(CALL_EVENTS.map(|event| ("StatusCallbackEvent", event.to_string())));
                form.push(("TimeLimit", (call.max_minutes.max(1) * 60).to_string()));
                if call.detect_machine {
                    form.push(("MachineDetection", "Enable".to_string()));
                }
            }
            Resource::Messages => {
                let content = direct.and_then(|direct| direct.content.as_ref());
                match content.filter(|_| message.channel == Some(Channel::Whatsapp)) {
                    Some(content) => {
                        form.push(("ContentSid", content.sid.clone()));
                        if let Ok(variables) = serde_json::to_string(&content.variables) {
                            form.push(("ContentVariables", variables));
                        }
                    }
                    None => {
                        if !body.is_empty() {
                            form.push(("Body", body));
                        }
                        let media = direct.map_or(&[][..], |direct| &direct.media_urls);
                        form.extend(media.iter().map(|url| ("MediaUrl", url.clone())));
                    }
                }
            }
        }
        Self { resource, form }
    }
}

/// How Twilio addresses the recipient of a message.
pub fn address(message: &Message) -> String {
    let number = message.to.as_ref().map(|to| to.e164()).unwrap_or_default();
    match message.channel {
        Some(Channel::Whatsapp) => format!("whatsapp:{number}"),
        Some(Channel::Sms | Channel::Mms | Channel::Voice) | None => number.to_string(),
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
    /// Twilio was not asked: it was too late to, since the claim.
    NotAsked,
}

/// Wait at least this long when Twilio gives no other hint.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// 21611: the sender's queue at Twilio is full; it drains at a segment a second (twilio-facts §0.5).
const QUEUE_FULL_WAIT: Duration = Duration::from_secs(600);
/// For a code that says that it may pass.
const LATER_WAIT: Duration = Duration::from_secs(60);
/// The account is suspended: somebody has to talk to Twilio first.
const SUSPENDED_WAIT: Duration = Duration::from_secs(3600);
/// Refused credentials: somebody has to mend them first.
const CREDENTIALS_WAIT: Duration = Duration::from_secs(300);

/// Too many requests at once; none of it was processed.
pub const TOO_MANY_REQUESTS: u32 = 20429;
/// The sender's queue is full.
pub const QUEUE_FULL: u32 = 21611;
const AUTHENTICATE: u32 = 20003;

/// Asks Twilio to send a message, or to call.
pub async fn send(http: &Client, base: &str, credentials: &Credentials, outgoing: &Outgoing) -> Outcome {
    let url = format!("{base}/2010-04-01/Accounts/{}/{}.json", credentials.account_sid, outgoing.resource.word());
    let (user, password) = credentials.basic();
    match http.send(http.post(url).basic_auth(user, Some(password)).form(&outgoing.form)).await {
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
            Ok(created) if is_sid(&created.sid) => Outcome::Accepted {
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
            Outcome::NotProcessed { wait: retry_after.unwrap_or(SHORT_WAIT), code: code.or(Some(TOO_MANY_REQUESTS)) }
        }
        (StatusCode::UNAUTHORIZED, _) | (_, Some(AUTHENTICATE)) => {
            Outcome::NotProcessed { wait: CREDENTIALS_WAIT, code: code.or(Some(AUTHENTICATE)) }
        }
        // Only a 503 that asks to come back says that nothing was done.
        (StatusCode::SERVICE_UNAVAILABLE, _) if retry_after.is_some() => {
            Outcome::NotProcessed { wait: retry_after.unwrap_or(SHORT_WAIT), code }
        }
        (status, _) if status.is_server_error() => Outcome::Unknown { why: "server error" },
        (status, code) => refusal(code.unwrap_or(u32::from(status.as_u16()))),
    }
}

/// What a code says about trying again; whatever Twilio refuses it has not processed.
fn refusal(code: u32) -> Outcome {
    let wait = match error_codes::meaning(code).class {
        Class::RateLimited | Class::RetryableNow => SHORT_WAIT,
        Class::RetryLater => LATER_WAIT,
        Class::AccountSuspended => SUSPENDED_WAIT,
        Class::PermanentConfig | Class::PermanentRecipient | Class::Content | Class::OptOut => {
            return Outcome::Refused { code };
        }
    };
    Outcome::NotProcessed { wait, code: Some(code) }
}

/// Seconds only: Twilio sends no dates there. Bounded, so that nonsense does not park a message for ever.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

/// `^(SM|MM|CA)[0-9a-f]{32}$`, in either case of hex.
pub fn is_sid(sid: &str) -> bool {
    let known = ["SM", "MM", "CA"].iter().any(|prefix| sid.starts_with(prefix));
    known && sid.len() == 34 && sid[2..].bytes().all(|b| b.is_ascii_hexdigit())
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

/// A message or call as Twilio lists it.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    pub sid: String,
    pub status: String,
    #[serde(default)]
    pub body: Option<String>,
    pub date_created: String,
    #[serde(default)]
    pub error_code: Option<u32>,
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    price: Option<String>,
    #[serde(default)]
    price_unit: Option<String>,
    /// Of a call that is over, in seconds.
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    answered_by: Option<String>,
}

impl Listed {
    /// What the list says of it, as a callback would.
    pub fn report(&self) -> Report {
        // A word that we do not know says at least that Twilio has it.
        let word = Status::from_twilio(&self.status).map_or("queued", |_| &self.status);
        let more = [
            ("Price", &self.price),
            ("PriceUnit", &self.price_unit),
            ("CallDuration", &self.duration),
            ("AnsweredBy", &self.answered_by),
        ];
        let said = more.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        Report::new(word, &self.sid, self.error_code).saying(said)
    }

    pub fn created(&self) -> Option<Timestamp> {
        jiff::fmt::rfc2822::parse(&self.date_created).ok().map(|at| at.timestamp())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("Twilio's answer about messages could not be read")]
    Unreachable(#[source] reqwest::Error),
    #[error("Twilio answered {0} to a question about messages")]
    Refused(StatusCode),
    /// Why, but not what stands there: it may be somebody's text.
    #[error("Twilio's answer about messages does not fit: {0}")]
    Unreadable(String),
}

/// One message or call, by Twilio's id.
pub async fn fetch(
    http: &Client,
    base: &str,
    credentials: &Credentials,
    resource: Resource,
    sid: &str,
) -> Result<Listed, ListError> {
    let (user, password) = credentials.basic();
    let url = format!("{base}/2010-04-01/Accounts/{}/{}/{sid}.json", credentials.account_sid, resource.word());
    let response = http.send(http.get(url).basic_auth(user, Some(password))).await.map_err(ListError::Unreachable)?;
    if !response.status().is_success() {
        return Err(ListError::Refused(response.status()));
    }
    read(response).await
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ListError> {
    let body = response.bytes().await.map_err(|error| ListError::Unreachable(error.without_url()))?;
    serde_json::from_slice(&body).map_err(|error| ListError::Unreadable(unquoted(&error)))
}

/// Twilio's messages or calls to `to`, the newest first, back to those created before `since`.
///
/// Not filtered by `DateSent`: what is still queued has none.
pub async fn list(
    http: &Client,
    base: &str,
    credentials: &Credentials,
    resource: Resource,
    to: &str,
    since: Timestamp,
) -> Result<Vec<Listed>, ListError> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(alias = "calls")]
        messages: Vec<Listed>,
        next_page_uri: Option<String>,
    }
    // Its URL names the recipient.
    let unreachable = |error: reqwest::Error| ListError::Unreachable(error.without_url());
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("To", to).append_pair("PageSize", "100").finish();
    let mut next = Some(format!("/2010-04-01/Accounts/{}/{}.json?{query}", credentials.account_sid, resource.word()));
    let mut listed = Vec::new();
    // Relative, so that only `base` ever gets the credentials.
    while let Some(path) = next.filter(|path| path.starts_with("/2010-04-01/")) {
        let (user, password) = credentials.basic();
        let response =
            http.send(http.get(format!("{base}{path}")).basic_auth(user, Some(password))).await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(ListError::Refused(response.status()));
        }
        let page: Page = read(response).await?;
        let reaches_back = page.messages.last().and_then(Listed::created).is_none_or(|created| created < since);
        listed.extend(page.messages);
        next = page.next_page_uri.filter(|_| !reaches_back);
    }
    Ok(listed)
}
