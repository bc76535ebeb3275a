//! Errors in the dialect of Twilio's 2010 API. Wording from data/http-fixtures.json where it was recorded.

use std::io;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::json;

/// A refusal with one of Twilio's codes.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    pub(super) code: u32,
    message: String,
}

impl ApiError {
    /// A submission that is refused for good.
    pub(super) fn refused(code: u32, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    pub(super) fn unauthenticated() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: 20003, message: "Authenticate".to_owned() }
    }

    pub(super) fn not_found(path: &str) -> Self {
        let message = format!("The requested resource {path} was not found");
        Self { status: StatusCode::NOT_FOUND, code: 20404, message }
    }

    pub(super) fn too_many_requests() -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: 20429, message: "Too Many Requests".to_owned() }
    }

    pub(super) fn queue_full() -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: 21611, message: "SMS queue is full.".to_owned() }
    }

    /// The recipient wants nothing from this sender.
    pub(super) fn unsubscribed() -> Self {
        Self::refused(21610, "Attempt to send to unsubscribed recipient")
    }

    /// Something still happens to what is to be deleted.
    pub(super) fn not_complete() -> Self {
        let message = "Cannot delete this resource before it is complete".to_owned();
        Self { status: StatusCode::CONFLICT, code: 20009, message }
    }

    pub(super) fn internal() -> Self {
        let message = "An internal server error has occurred".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: 20500, message }
    }

    /// The ledger file could not be written, so nothing has happened.
    pub(super) fn not_written(error: &io::Error) -> Self {
        tracing::warn!(%error, "the ledger file could not be written");
        Self::internal()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status.as_u16(),
        });
        if self.code == 20003 {
            body["detail"] = json!("Your AccountSid or AuthToken was incorrect.");
        }
        match self.code {
            20429 => (self.status, [(RETRY_AFTER, "1")], Json(body)).into_response(),
            _ => (self.status, Json(body)).into_response(),
        }
    }
}
