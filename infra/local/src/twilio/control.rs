//! The control routes under `/_local`: not Twilio's, but for tests and newcomers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::address::{number, on_channel_of};
use super::call::CallEntry;
use super::fault::{ArmedRule, Rule};
use super::ledger::Entry;
use super::{Account, Attempt, LocalTwilio};

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
}

/// `POST /_local/inbound`: answers with what the webhook answered.
pub(super) async fn inbound(State(twilio): State<LocalTwilio>, Json(text): Json<Inbound>) -> Response {
    let Some((account_sid, url, to)) = route(&twilio, &text) else {
        let error = json!({ "error": "no such account takes texts: it needs an inbound URL, and a sender unless 'to' is given" });
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    };
    let Some(callback) = twilio.inbound(&account_sid, &url, &text.from, &to, &text.body) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match twilio.deliver(&callback).await {
        Some(answer) => Json(answer).into_response(),
        None => (StatusCode::BAD_GATEWAY, Json(json!({ "error": "the webhook did not answer" }))).into_response(),
    }
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

/// The account, webhook and number that a text is for.
fn route(twilio: &LocalTwilio, text: &Inbound) -> Option<(String, String, String)> {
    let state = twilio.state();
    let wanted = |account: &Account| text.account.as_ref().is_none_or(|sid| *sid == account.sid);
    let account = state.accounts.iter().find(|account| wanted(account) && account.inbound_url.is_some())?;
    let first_sender = || account.senders.first().map(|sender| on_channel_of(&text.from, number(sender)));
    let to = text.to.clone().or_else(first_sender)?;
    Some((account.sid.clone(), account.inbound_url.clone()?, to))
}
