//! The Calls resource: create, fetch, delete and list; what came in as well, except to create it.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use super::call::CallEntry;
use super::error::ApiError;
use super::ledger::Ledger;
use super::listing::{self, Query};
use super::submission::Form;
use super::{Account, LocalTwilio, answer, call_submission, view};

/// `POST …/Calls.json`
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
    let senders = twilio.state().senders(&account, |can| can.voice);
    let submission = call_submission::check(&form, &senders)?;
    let call = twilio.accept_call(&account, submission, fault).map_err(|error| ApiError::not_written(&error))?;
    let created = (StatusCode::CREATED, Json(view::call(&call))).into_response();
    Ok(answer::after_acceptance(&twilio, &call.sid, fault, created).await)
}

/// `GET …/Calls/{sid}.json`
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let state = twilio.state();
    let call = of_account(&state.ledger, &account, &file, &uri)?;
    Ok(Json(view::call(call)).into_response())
}

/// `DELETE …/Calls/{sid}.json`
pub(super) async fn delete(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let mut state = twilio.state();
    let call = of_account(&state.ledger, &account, &file, &uri)?;
    if !call.status.is_final() {
        return Err(ApiError::not_complete());
    }
    let sid = call.sid.clone();
    state.ledger.delete_call(&sid).map_err(|error| ApiError::not_written(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/Calls.json`
pub(super) async fn list(
    State(twilio): State<LocalTwilio>,
    Path(account_sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let query = Query::parse::<CallEntry>(uri.query().unwrap_or_default())?;
    let state = twilio.state();
    let all = state.ledger.calls().iter().rev().chain(state.ledger.received_calls().iter().rev());
    let mut matching: Vec<&CallEntry> =
        all.filter(|call| call.is_known_to(&account.sid) && query.matches::<CallEntry>(call)).collect();
    // Those of one instant keep their order.
    matching.sort_by_key(|call| Reverse(call.created));
    Ok(Json(listing::page::<CallEntry>(uri.path(), &query, &matching)).into_response())
}

/// The call of a request's path, if the API still knows it.
fn of_account<'a>(ledger: &'a Ledger, account: &Account, file: &str, uri: &Uri) -> Result<&'a CallEntry, ApiError> {
    let sid = file.strip_suffix(".json").unwrap_or_default();
    let call = ledger.call(sid).filter(|call| call.is_known_to(&account.sid));
    call.ok_or_else(|| ApiError::not_found(uri.path()))
}
