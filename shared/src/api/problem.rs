//! Errors as RFC 9457 `application/problem+json`, each with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::IntoResponses;

use crate::context::ContextError;
use crate::domain::compose::FieldError;
use crate::store::StoreError;
use crate::telemetry::Chain;
use crate::twilio::error_codes;
use crate::usecases::ask_twilio::AskError;
use crate::usecases::save_settings::SaveError;
use crate::usecases::send_message::SendError;

/// A refusal, as it goes over the wire.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// Stable; for programs.
    #[schema(value_type = String)]
    code: &'static str,
    #[schema(value_type = String)]
    title: &'static str,
    /// For people.
    detail: String,
    /// Every field, and row of a list, that cannot be right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after: Option<SignedDuration>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", "this path takes another method")
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", "send a token: Authorization: Bearer …")
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    /// The platform has suspended the tenant.
    pub fn suspended() -> Self {
        let detail = "this tenant is suspended: its records can be read, and nothing can be changed or sent; ask whoever runs the platform";
        Self::new(StatusCode::FORBIDDEN, "suspended", "Suspended", detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Conflict", detail)
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", detail)
    }

    /// Over the tenant's limit of requests; there is room again at `at`.
    pub fn too_many_requests(at: Timestamp, now: Timestamp) -> Self {
        let detail = "more requests than this tenant may make; come back after the seconds of Retry-After";
        let retry_after = Some(at.duration_since(now).max(SignedDuration::from_secs(1)));
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests", detail) }
    }

    /// Of something that Twilio was asked for: a `search`, a `purchase` (S4-25).
    pub fn of_twilio(doing: &str, error: AskError) -> Self {
        let gone = "somebody else took the number, or it is not for sale: search again";
        match error {
            AskError::NotConnected => {
                Self::conflict("not_connected", "Twilio is not configured: connect a Twilio account first (PUT /twilio)")
            }
            AskError::Invalid(errors) => Self::fields(errors),
            AskError::NotOwned => Self::not_found("this is none of the account's numbers: GET /phone-numbers lists them"),
            AskError::AlreadyOwned => {
                Self::conflict("already_owned", "this number is yours already: GET /phone-numbers lists it")
            }
            AskError::Gone => Self::conflict("number_gone", format!("Twilio {doing} error: {gone}")),
            AskError::KeyTaken => Self::key_taken(),
            AskError::Refused(code) => {
                let meaning = error_codes::meaning(code);
                let detail = format!("Twilio {doing} error: {code}, {}. {}", meaning.title, meaning.advice);
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "twilio_refused", "Refused by Twilio", detail)
            }
            AskError::Unreachable(error) => {
                tracing::warn!(error = %Chain(&error), doing, "Twilio could not be asked");
                let detail = format!(
                    "Twilio {doing} error: Twilio gave no answer that says whether it was done. Send the same again, with the same \
                     Idempotency-Key if it had one: nothing is done twice. https://status.twilio.com says whether Twilio has trouble"
                );
                Self::new(StatusCode::BAD_GATEWAY, "twilio_unreachable", "Twilio could not be asked", detail)
            }
            AskError::Context(error) => error.into(),
        }
    }

    fn key_taken() -> Self {
        Self::conflict("key_taken", "this Idempotency-Key stands for another request; take a new one")
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", detail)
    }

    /// Names everything that is wrong.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [error] if error.field.is_empty() => error.reason.clone(),
            [error] => format!("{}: {}", error.field, error.reason),
            errors => format!("{} things cannot be right: see errors", errors.len()),
        };
        Self { errors, ..Self::invalid(detail) }
    }

    pub fn field(field: impl Into<String>, code: &str, reason: impl ToString) -> Self {
        Self::fields(vec![FieldError::new(field, code, reason)])
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, never too few.
            let secs = wait.as_secs() + i64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

/// What the caller cannot help is logged here, once, and told without its insides.
impl From<ContextError> for Problem {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::NoTenant(_) => Self::not_found("there is nothing at this path"),
            error => {
                tracing::error!(error = %Chain(&error), "a request failed");
                let detail = "something that we need could not be reached; try again";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        ContextError::from(error).into()
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Invalid(errors) => Self::fields(errors),
            SendError::KeyTaken => Self::key_taken(),
            SendError::TooLarge => Self::too_large("more than one request may carry: send it in parts"),
            SendError::Context(error) => error.into(),
        }
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Invalid(errors) => Self::fields(errors),
            SaveError::Changed => {
                Self::conflict("changed", "somebody else has changed the settings meanwhile: read them again, and change those")
            }
            SaveError::Context(error) => error.into(),
        }
    }
}

/// Every refusal that any route may answer.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive alone
pub enum Refusals {
    /// No token, or none that is good. Answered by the gateway.
    #[response(status = 401)]
    Unauthorized,
    /// The token's role may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is nothing at this path for this tenant.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// It meets what is there already: `key_taken`, `too_late`, `canceled`.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// Too many bytes, or rows.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `errors` names every field and row that cannot be right, with a stable code.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Over the tenant's limit of requests; `Retry-After` says in how many seconds there is room.
    #[response(status = 429, content_type = "application/problem+json", headers(("Retry-After" = u32)))]
    TooManyRequests(Problem),
}
