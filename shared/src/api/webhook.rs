//! Twilio's webhooks: status callbacks and inbound messages, believed only if signed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::arrival::Arrival;
use super::problem::Problem;
use crate::context::{Context, ContextError};
use crate::domain::message::MessageId;
use crate::domain::tenant::TenantId;
use crate::secrets::SecretsError;
use crate::twilio::credentials::Credentials;
use crate::twilio::form::Form;
use crate::twilio::signature::{self, Algorithm};
use crate::twilio::status_callback::{self, Of};
use crate::usecases::record_inbound::{Inbound, record_inbound};
use crate::usecases::record_status::record_status;

/// `POST /twilio/{tenant}/status?message={id}`.
pub async fn status(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Path(tenant): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let (tenant, form) = signed(&cx, &tenant, &uri, &headers, &body, now).await?;
    reported(&cx, &tenant, &uri, &form, Of::Message, now).await
}

/// `POST /twilio/{tenant}/voice/status?message={id}`: how far a call got.
pub async fn voice_status(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Path(tenant): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let (tenant, form) = signed(&cx, &tenant, &uri, &headers, &body, now).await?;
    reported(&cx, &tenant, &uri, &form, Of::Call, now).await
}

/// Records what a status callback says.
async fn reported(
    cx: &Context,
    tenant: &TenantId,
    uri: &Uri,
    form: &Form,
    of: Of,
    now: Timestamp,
) -> Result<StatusCode, Problem> {
    let id = query(uri, "message").and_then(|id| MessageId::parse(&id));
    let (Some(id), Some(report)) = (id, status_callback::report(form, of)) else {
        // Twilio signed it, so repeating it would not make it complete.
        tracing::warn!(%tenant, "a status callback without message, SID or status was ignored");
        return Ok(StatusCode::NO_CONTENT);
    };
    record_status(cx, tenant, &id, &report, form.get("To"), now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /twilio/{tenant}/inbound`. Answered with empty TwiML: `text/plain` would be sent as a reply.
pub async fn inbound(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    Path(tenant): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (tenant, form) = signed(&cx, &tenant, &uri, &headers, &body, now).await?;
    if let (Some(sid), Some(from)) = (form.get("MessageSid"), form.get("From")) {
        let inbound =
            Inbound { sid: sid.to_string(), from: from.to_string(), body: form.get("Body").unwrap_or_default().to_string() };
        record_inbound(&cx, &tenant, &inbound, now).await?;
    }
    Ok(([(header::CONTENT_TYPE, "text/xml")], "<Response/>").into_response())
}

/// The form, if Twilio signed it for this tenant's account: the current token, the previous one, or
/// one that was stored a moment ago.
async fn signed(
    cx: &Context,
    tenant: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    now: Timestamp,
) -> Result<(TenantId, Form), Problem> {
    let refused = || Problem::forbidden("the request is not signed by this tenant's Twilio account");
    let tenant = TenantId::parse(tenant).map_err(|_| refused())?;
    let form = Form::parse(body);
    for _ in 0..2 {
        let credentials = match cx.credentials(&tenant, now).await {
            Ok(credentials) => credentials,
            Err(ContextError::Secrets(SecretsError::Missing(_))) => return Err(refused()),
            Err(error) => return Err(error.into()),
        };
        if is_signed(cx, &credentials, uri, headers, body, &form) {
            return Ok((tenant, form));
        }
        if !cx.refresh(&tenant, now) {
            break;
        }
    }
    Err(refused())
}

fn is_signed(cx: &Context, credentials: &Credentials, uri: &Uri, headers: &HeaderMap, body: &Bytes, form: &Form) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(signature) = header("x-twilio-signature") else { return false };
    let Some(algorithm) = Algorithm::from_settings(header("x-twilio-webhooks-signature-settings")) else { return false };
    let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path_and_query}", cx.config.public_url);
    let is_json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let tokens = credentials.signing_tokens();
    if is_json {
        return signature::verify_json(algorithm, tokens, &url, body, signature);
    }
    signature::verify(algorithm, tokens, &url, &form.0, signature)
        && form.get("AccountSid").is_none_or(|sid| sid == credentials.account_sid)
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
