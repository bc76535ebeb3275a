//! The control routes under `/_local`: not Twilio's, but for tests and newcomers.
//!
//! `inbound` and `call` let somebody text or call an account by HTTP; the others show and script what
//! happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::address::{number, on_channel_of};
use super::call::{CallEntry, text_secs};
use super::fault::{ArmedRule, Rule};
use super::ledger::Entry;
use super::{Account, Attempt, InboundMedia, InboundText, LocalTwilio, WebhookAnswer};

/// A text to bring to an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    /// By default the first account that takes texts.
    account: Option<String>,
    from: String,
    /// By default the account's first sender, on the channel of `from`.
    to: Option<String>,
    body: String,
    #[serde(default)]
    media: Vec<InboundMedia>,
    /// Further parameters of the request, or other values for those that it has.
    #[serde(default)]
    params: BTreeMap<String, String>,
}

/// A call to play to its end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// By default the first account that takes calls.
    account: Option<String>,
    from: String,
    /// By default the account's first sender.
    to: Option<String>,
    /// What the caller keys in when the webhook gathers digits.
    digits: Option<String>,
}

/// Where a text or a call goes.
struct Route {
    account: Arc<Account>,
    url: String,
    to: String,
}

/// `POST /_local/inbound`: answers with what the webhook answered.
pub(super) async fn inbound(State(twilio): State<LocalTwilio>, Json(text): Json<Inbound>) -> Response {
    let found = route(&twilio, text.account.as_deref(), &text.from, text.to, |account| account.inbound_url.as_deref());
    let Some(Route { account, url, to }) = found else {
        return not_found("no such account takes texts: it needs an inbound URL, and a sender unless 'to' is given");
    };
    let text = InboundText { from: text.from, to, body: text.body, media: text.media, params: text.params.into_iter().collect() };
    let Some(callback) = twilio.inbound_text(&account.sid, &url, &text) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match twilio.deliver(&callback).await {
        Some(answer) => Json(answer).into_response(),
        None => not_answered(),
    }
}

/// `POST /_local/call`: rings, keys in the digits if the webhook gathers any, hangs up. Answers with what
/// each webhook that was asked answered; null if it did not.
pub(super) async fn call(State(twilio): State<LocalTwilio>, Json(call): Json<Call>) -> Response {
    let found = route(&twilio, call.account.as_deref(), &call.from, call.to, |account| account.voice_url.as_deref());
    let Some(Route { account, url, to }) = found else {
        return not_found("no such account takes calls: it needs a voice URL, and a sender unless 'to' is given");
    };
    let Some(ringing) = twilio.inbound_call(&account.sid, &url, &call.from, &to) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(answer) = twilio.deliver(&ringing).await else { return not_answered() };
    let mut secs = text_secs(&answer.body);
    let action = gather_action(&answer);
    let mut told = json!({ "callSid": ringing.message_sid(), "voice": answer });
    if let (Some(action), Some(digits)) = (action, &call.digits) {
        let keyed = [("Digits", digits.as_str()), ("FinishedOnKey", ""), ("msg", "Gather End")];
        if let Some(gathered) = twilio.call_step(&ringing, &action, &keyed) {
            let answer = twilio.deliver(&gathered).await;
            secs += answer.as_ref().map_or(0, |answer| text_secs(&answer.body));
            told["gather"] = json!(answer);
        }
    }
    let ended = account.voice_status_url.as_deref().and_then(|url| twilio.call_ended(&ringing, url, secs));
    if let Some(ended) = ended {
        told["status"] = json!(twilio.deliver(&ended).await);
    }
    Json(told).into_response()
}

/// `GET /_local/faults`
pub(super) async fn faults(State(twilio): State<LocalTwilio>) -> Json<Vec<ArmedRule>> {
    Json(twilio.faults())
}

/// `PUT /_local/faults`
pub(super) async fn set_faults(State(twilio): State<LocalTwilio>, Json(rules): Json<Vec<Rule>>) -> StatusCode {
    twilio.set_faults(rules);
    StatusCode::NO_CONTENT
}

/// `GET /_local/ledger`
pub(super) async fn ledger(State(twilio): State<LocalTwilio>) -> Json<Vec<Entry>> {
    Json(twilio.ledger())
}

/// `GET /_local/calls`
pub(super) async fn calls(State(twilio): State<LocalTwilio>) -> Json<Vec<CallEntry>> {
    Json(twilio.calls())
}

/// `GET /_local/callbacks`
pub(super) async fn callbacks(State(twilio): State<LocalTwilio>) -> Json<Vec<Attempt>> {
    Json(twilio.attempts())
}

/// The account with that SID, or the first, if it has such a webhook.
fn route(
    twilio: &LocalTwilio,
    sid: Option<&str>,
    from: &str,
    to: Option<String>,
    webhook: fn(&Account) -> Option<&str>,
) -> Option<Route> {
    let state = twilio.state();
    let is_wanted = |account: &Account| sid.is_none_or(|sid| sid == account.sid) && webhook(account).is_some();
    let account = state.accounts.iter().find(|account| is_wanted(account))?;
    let mut senders = account.senders.iter().map(|sender| number(sender));
    // A messaging service is no number.
    let to = to.or_else(|| senders.find(|sender| sender.starts_with('+')).map(|sender| on_channel_of(from, sender)))?;
    Some(Route { account: Arc::clone(account), url: webhook(account)?.to_owned(), to })
}

/// Where the digits go that a webhook's answer gathers.
fn gather_action(answer: &WebhookAnswer) -> Option<String> {
    let response = answer.twiml()?;
    let gather = response.children("Gather").next()?;
    Some(gather.attribute("action").unwrap_or_default().to_owned())
}

fn not_found(error: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

fn not_answered() -> Response {
    (StatusCode::BAD_GATEWAY, Json(json!({ "error": "the webhook did not answer" }))).into_response()
}
