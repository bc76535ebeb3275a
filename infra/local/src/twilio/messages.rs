//! The Messages resource: create, fetch, redact, delete and list; what came in as well, except to create it.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use super::error::ApiError;
use super::ledger::{Entry, Ledger};
use super::listing::{self, Query};
use super::submission::{self, Form};
use super::{Account, LocalTwilio, answer, view};

/// `POST …/Messages.json`
pub(super) async fn create(
    State(twilio): State<LocalTwilio>,
    Path(account_sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let form = Form::parse(&body);
    let fault = twilio.state().script.strike(form.get("To").unwrap_or_default());
    if let Some(response) = fault.and_then(answer::before_acceptance) {
        return Ok(response);
    }
    let senders = twilio.state().senders(&account, |can| can.sms);
    let submission = submission::check(&form, &senders)?;
    if twilio.is_blocked(&account.sid, &submission) {
        return Err(ApiError::unsubscribed());
    }
    let entry = twilio.accept(&account, submission, fault).map_err(|error| ApiError::not_written(&error))?;
    let created = (StatusCode::CREATED, Json(view::message(&entry))).into_response();
    Ok(answer::after_acceptance(&twilio, &entry.sid, fault, created).await)
}

/// `GET …/Messages/{sid}.json`
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let state = twilio.state();
    let entry = of_account(&state.ledger, &account, sid_of(&file), &uri)?;
    Ok(Json(view::message(entry)).into_response())
}

/// `POST …/Messages/{sid}.json`
pub(super) async fn update(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let sid = sid_of(&file);
    let now = twilio.0.config.clock.now();
    let mut state = twilio.state();
    of_account(&state.ledger, &account, sid, &uri)?;
    check_update(&Form::parse(&body))?;
    state.ledger.redact(sid, now).map_err(|error| ApiError::not_written(&error))?;
    let entry = of_account(&state.ledger, &account, sid, &uri)?;
    Ok(Json(view::message(entry)).into_response())
}

/// `DELETE …/Messages/{sid}.json`
pub(super) async fn delete(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let sid = sid_of(&file);
    let mut state = twilio.state();
    let entry = of_account(&state.ledger, &account, sid, &uri)?;
    if !entry.status.is_final() {
        return Err(ApiError::not_complete());
    }
    state.ledger.delete(sid).map_err(|error| ApiError::not_written(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/Messages.json`
pub(super) async fn list(
    State(twilio): State<LocalTwilio>,
    Path(account_sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let query = Query::parse::<Entry>(uri.query().unwrap_or_default())?;
    let state = twilio.state();
    let all = state.ledger.entries().iter().rev().chain(state.ledger.received().iter().rev());
    let mut matching: Vec<&Entry> =
        all.filter(|entry| entry.is_known_to(&account.sid) && query.matches::<Entry>(entry)).collect();
    // Those of one instant keep their order.
    matching.sort_by_key(|entry| Reverse(entry.created));
    Ok(Json(listing::page::<Entry>(uri.path(), &query, &matching)).into_response())
}

/// The message of a request's path, if the API still knows it.
pub(super) fn of_account<'a>(ledger: &'a Ledger, account: &Account, sid: &str, uri: &Uri) -> Result<&'a Entry, ApiError> {
    let entry = ledger.get(sid).filter(|entry| entry.is_known_to(&account.sid));
    entry.ok_or_else(|| ApiError::not_found(uri.path()))
}

fn sid_of(file: &str) -> &str {
    file.strip_suffix(".json").unwrap_or_default()
}

/// An update redacts, by an empty body. It would cancel what is scheduled, but nothing is scheduled here.
fn check_update(form: &Form) -> Result<(), ApiError> {
    match (form.get("Status"), form.given("Body")) {
        (Some("canceled"), _) => Err(ApiError::refused(30409, "This message cannot be canceled")),
        (Some(status), _) => Err(ApiError::refused(20001, format!("The value {status} of the parameter Status is not valid"))),
        (None, Some("")) => Ok(()),
        (None, Some(_)) => Err(ApiError::refused(20001, "A Body can only be redacted: the parameter Body must be empty")),
        (None, None) => Err(ApiError::refused(20001, "Nothing to update: neither Body nor Status is given")),
    }
}
