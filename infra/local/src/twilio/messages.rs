//! The Messages resource: create, fetch and list.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use super::error::ApiError;
use super::fault::Fault;
use super::listing::{self, Query};
use super::submission::{self, Form};
use super::{LocalTwilio, view};

/// On a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy)]
pub(super) struct DropConnection;

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
    if let Some(response) = fault.and_then(before_acceptance) {
        return Ok(response);
    }
    let submission = submission::check(&form, &account.senders)?;
    let entry = twilio.accept(&account, submission, fault).map_err(|error| {
        tracing::warn!(%error, "the ledger file could not be written");
        ApiError::internal()
    })?;
    let created = (StatusCode::CREATED, Json(view::message(&entry))).into_response();
    Ok(match fault {
        Some(Fault::AcceptThenDrop) => dropped(),
        Some(Fault::ServerErrorAfterAccept) => ApiError::internal().into_response(),
        Some(Fault::Slow(millis)) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            created
        }
        Some(Fault::CallbackBeforeResponse) => {
            twilio.deliver_now(&entry.sid).await;
            created
        }
        None
        | Some(
            Fault::DropBeforeAccept
            | Fault::TooManyRequests
            | Fault::QueueFull
            | Fault::ServerErrorBeforeAccept
            | Fault::Unavailable
            | Fault::DuplicateCallbacks
            | Fault::ReorderedCallbacks
            | Fault::LostCallbacks
            | Fault::Undelivered(_)
            | Fault::FailedLater(_),
        ) => created,
    })
}

/// `GET …/Messages/{sid}.json`
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, file)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let sid = file.strip_suffix(".json").unwrap_or_default();
    let state = twilio.state();
    let entry = state.ledger.get(sid).filter(|entry| entry.account_sid == account.sid);
    let entry = entry.ok_or_else(|| ApiError::not_found(uri.path()))?;
    Ok(Json(view::message(entry)).into_response())
}

/// `GET …/Messages.json`
pub(super) async fn list(
    State(twilio): State<LocalTwilio>,
    Path(account_sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let query = Query::parse(uri.query().unwrap_or_default())?;
    let state = twilio.state();
    let newest_first = state.ledger.entries().iter().rev();
    let matching: Vec<_> = newest_first.filter(|entry| entry.account_sid == account.sid && query.matches(entry)).collect();
    Ok(Json(listing::page(uri.path(), &query, &matching)).into_response())
}

/// The answer to a submission that never gets as far as being accepted.
fn before_acceptance(fault: Fault) -> Option<Response> {
    match fault {
        Fault::DropBeforeAccept => Some(dropped()),
        Fault::TooManyRequests => Some(ApiError::too_many_requests().into_response()),
        Fault::QueueFull => Some(ApiError::queue_full().into_response()),
        Fault::ServerErrorBeforeAccept => Some(ApiError::internal().into_response()),
        Fault::Unavailable => {
            let page = "<html><body><h1>503 Service Unavailable</h1>No server is available to handle this request.</body></html>";
            Some((StatusCode::SERVICE_UNAVAILABLE, Html(page)).into_response())
        }
        Fault::AcceptThenDrop
        | Fault::ServerErrorAfterAccept
        | Fault::Slow(_)
        | Fault::CallbackBeforeResponse
        | Fault::DuplicateCallbacks
        | Fault::ReorderedCallbacks
        | Fault::LostCallbacks
        | Fault::Undelivered(_)
        | Fault::FailedLater(_) => None,
    }
}

fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.extensions_mut().insert(DropConnection);
    response
}
