//! The Calls resource: create, fetch and list.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use super::call::CallEntry;
use super::error::ApiError;
use super::listing::{self, Query};
use super::submission::Form;
use super::{LocalTwilio, answer, call_submission, view};

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
    let submission = call_submission::check(&form, &account.senders)?;
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
    let sid = file.strip_suffix(".json").unwrap_or_default();
    let state = twilio.state();
    let call = state.ledger.call(sid).filter(|call| call.account_sid == account.sid);
    let call = call.ok_or_else(|| ApiError::not_found(uri.path()))?;
    Ok(Json(view::call(call)).into_response())
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
    let newest_first = state.ledger.calls().iter().rev();
    let matching: Vec<&CallEntry> =
        newest_first.filter(|call| call.account_sid == account.sid && query.matches::<CallEntry>(call)).collect();
    Ok(Json(listing::page::<CallEntry>(uri.path(), &query, &matching)).into_response())
}
