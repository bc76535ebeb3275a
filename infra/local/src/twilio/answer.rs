//! What the fault script makes of the answer to a submission, of a message or of a call.

use std::time::Duration;

use axum::body::Body;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;

use super::LocalTwilio;
use super::error::ApiError;
use super::fault::Fault;

/// On a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy)]
pub(super) struct DropConnection;

/// The answer to a submission that never gets as far as being accepted.
pub(super) fn before_acceptance(fault: Fault) -> Option<Response> {
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
        | Fault::FailedLater(_)
        | Fault::Busy => None,
    }
}

/// The answer to a submission that was accepted under `sid`: `created`, unless the fault has it otherwise.
pub(super) async fn after_acceptance(twilio: &LocalTwilio, sid: &str, fault: Option<Fault>, created: Response) -> Response {
    match fault {
        Some(Fault::AcceptThenDrop) => dropped(),
        Some(Fault::ServerErrorAfterAccept) => ApiError::internal().into_response(),
        Some(Fault::Slow(millis)) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            created
        }
        Some(Fault::CallbackBeforeResponse) => {
            twilio.deliver_now(sid).await;
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
            | Fault::FailedLater(_)
            | Fault::Busy,
        ) => created,
    }
}

fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.extensions_mut().insert(DropConnection);
    response
}
