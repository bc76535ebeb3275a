//! The control routes under `/_local`: not Twilio's, but for tests and newcomers.
//!
//! `POST inbound` and `POST call` let somebody text or call an account by HTTP: the text or the call goes where
//! the number is wired to, and what is no number where the account is set up to. `PUT account` changes what
//! the API says of an account. `GET ledger`, `GET calls` and `GET callbacks` show what was accepted and what
//! was brought, `GET` and `PUT faults` show and script what goes wrong.

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
use super::phone_number::Webhooks;
use super::sid::sid;
use super::{Account, AccountKind, AccountStatus, Attempt, InboundMedia, InboundText, LocalTwilio, WebhookAnswer};

/// A text to bring to an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    /// By default the one that has the number `to`, or else the first that takes texts.
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
    /// By default the one that has the number `to`, or else the first that takes calls.
    account: Option<String>,
    from: String,
    /// By default the account's first sender.
    to: Option<String>,
    /// What the caller keys in when the webhook gathers digits.
    digits: Option<String>,
}

/// What the API is to say of an account from now on. What is not given stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountChange {
    /// By default the first account.
    account: Option<String>,
    status: Option<AccountStatus>,
    kind: Option<AccountKind>,
    balance: Option<String>,
}

/// Where a text or a call goes.
struct Route {
    account: Arc<Account>,
    url: String,
    /// Where it is told that a call has ended.
    status_url: Option<String>,
    to: String,
}

/// `POST /_local/inbound`: answers with what the webhook answered.
pub(super) async fn inbound(State(twilio): State<LocalTwilio>, Json(text): Json<Inbound>) -> Response {
    let found = route(&twilio, text.account.as_deref(), &text.from, text.to, |webhooks| webhooks.sms_url.as_deref());
    let Some(Route { account, url, to, .. }) = found else {
        return not_found("no such account takes texts: its number needs a webhook, and it a number unless 'to' is given");
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
    let found = route(&twilio, call.account.as_deref(), &call.from, call.to, |webhooks| webhooks.voice_url.as_deref());
    let Some(Route { account, url, status_url, to }) = found else {
        return not_found("no such account takes calls: its number needs a webhook, and it a number unless 'to' is given");
    };
    let Some(ringing) = twilio.inbound_call(&account.sid, &url, &call.from, &to) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(answer) = twilio.deliver(&ringing).await else {
        twilio.hang_up(&ringing, 0);
        return not_answered();
    };
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
    match status_url.and_then(|url| twilio.call_ended(&ringing, &url, secs)) {
        Some(ended) => told["status"] = json!(twilio.deliver(&ended).await),
        None => twilio.hang_up(&ringing, secs),
    }
    Json(told).into_response()
}

/// `POST /_local/account`: a new account without numbers, and what it is connected with. It lasts as long as this
/// process, unless a tenant is connected to it.
pub(super) async fn open_account(State(twilio): State<LocalTwilio>) -> Response {
    let number = twilio.accounts().len() as u64;
    let seed = twilio.0.config.seed;
    let account =
        Account { sid: sid("AC", seed, "account", number), auth_token: sid("", seed, "token", number), ..Account::default() };
    let opened = json!({ "accountSid": account.sid, "authToken": account.auth_token });
    twilio.add_account(account);
    (StatusCode::CREATED, Json(opened)).into_response()
}

/// `PUT /_local/account`
pub(super) async fn change_account(State(twilio): State<LocalTwilio>, Json(change): Json<AccountChange>) -> Response {
    let AccountChange { account, status, kind, balance } = change;
    let first = twilio.accounts().into_iter().next().map(|account| account.sid);
    let changed = account.or(first).is_some_and(|sid| {
        twilio.change_account(&sid, |account| {
            account.status = status.unwrap_or(account.status);
            account.kind = kind.unwrap_or(account.kind);
            if let Some(balance) = balance {
                account.balance = balance;
            }
        })
    });
    if changed { StatusCode::NO_CONTENT.into_response() } else { not_found("there is no such account") }
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

/// The account with that SID, or the one that has the number, or the first, if it has such a webhook.
fn route(
    twilio: &LocalTwilio,
    sid: Option<&str>,
    from: &str,
    to: Option<String>,
    webhook: fn(&Webhooks) -> Option<&str>,
) -> Option<Route> {
    let state = twilio.state();
    let has_number = |account: &Account| to.as_deref().is_some_and(|to| state.number(account, number(to)).is_some());
    let wanted = state.accounts.iter().filter(|account| sid.is_none_or(|sid| sid == account.sid));
    let (owners, others): (Vec<_>, Vec<_>) = wanted.partition(|account| has_number(account));
    let candidates = if owners.is_empty() { others } else { owners };
    candidates.into_iter().find_map(|account| {
        // A messaging service is no number.
        let mut numbers = state.senders(account, |_| true).into_iter().filter(|sender| number(sender).starts_with('+'));
        let to = to.clone().or_else(|| numbers.next().map(|sender| on_channel_of(from, number(&sender))))?;
        let webhooks = state.webhooks(account, &to);
        let url = webhook(&webhooks)?.to_owned();
        Some(Route { account: Arc::clone(account), url, status_url: webhooks.status_callback, to })
    })
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
