//! API Gateway and the function URL: a real HTTP request becomes the event that Lambda would get,
//! and takes the production path from there.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use shared::context::Context;
use tower::ServiceExt;

use crate::aws::on_behalf_of;
use crate::clock::Clock;
use crate::routes::route;
use crate::template::Function;
use crate::tokens::{self, Claims, TokenKey};

/// API Gateway's own limit of a request, in bytes.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// The function URL in front of `twilioWebhook`: open to everybody, as Twilio needs it.
pub fn function_url(functions: Functions, clock: Clock) -> Router {
    Router::new().fallback(move |request: Request| {
        let (functions, now) = (functions.clone(), clock.now());
        async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else { return too_large() };
            let event = event(&parts.method, parts.uri.path(), parts.uri.query(), &parts.headers, &body, None, now);
            functions.webhook(event).await
        }
    })
}

/// The HTTP API, with the routes of template.yaml: the JWT authorizer checks the token first, where it is asked.
pub fn http_api(functions: Functions, key: Arc<TokenKey>, clock: Clock) -> Router {
    Router::new().fallback(move |request: Request| {
        let (functions, key, now) = (functions.clone(), key.clone(), clock.now());
        async move {
            let (parts, body) = request.into_parts();
            // API Gateway's own answers, before any function runs.
            let Some(route) = route(&parts.method, parts.uri.path()) else { return not_found() };
            let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let claims = token.and_then(|value| value.strip_prefix("Bearer ")).and_then(|token| tokens::verify(&key, token, now));
            if claims.is_none() && !route.is_open {
                return (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "Unauthorized" }))).into_response();
            }
            let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else { return too_large() };
            // Where no authorizer is asked, nobody reads the token.
            let claims = claims.filter(|_| !route.is_open).map(|claims| claims_of(&claims));
            let event = event(&parts.method, parts.uri.path(), parts.uri.query(), &parts.headers, &body, claims, now);
            functions.invoke(route.function, event).await
        }
    })
}

/// The functions that answer HTTP, each built once, as a Lambda process does.
#[derive(Clone)]
pub struct Functions {
    send_message: Router,
    manage_tenant: Router,
    twilio_webhook: Router,
}

impl Functions {
    pub fn new(cx: &Arc<Context>) -> Self {
        Self {
            send_message: shared::api::send_message(cx.clone()),
            manage_tenant: shared::api::manage_tenant(cx.clone()),
            twilio_webhook: shared::api::twilio_webhook(cx.clone()),
        }
    }

    /// Hands an event of the HTTP API to the function that its route leads to. Whoever made it has checked the token.
    pub async fn api(&self, event: Value) -> Response {
        let http = &event["requestContext"]["http"];
        let method: Option<Method> = http["method"].as_str().and_then(|method| method.parse().ok());
        let route = method.and_then(|method| route(&method, event["rawPath"].as_str().unwrap_or_default()));
        let Some(route) = route else { return not_found() };
        self.invoke(route.function, event).await
    }

    /// Hands an event of the function URL to `twilioWebhook`.
    pub async fn webhook(&self, event: Value) -> Response {
        self.invoke(Function::TwilioWebhook, event).await
    }

    async fn invoke(&self, function: Function, event: Value) -> Response {
        let router = match function {
            Function::SendMessage => &self.send_message,
            Function::ManageTenant => &self.manage_tenant,
            Function::TwilioWebhook => &self.twilio_webhook,
            // No route leads to them.
            Function::ScheduleLessonReminders
            | Function::SchedulePaymentReminders
            | Function::DispatchMessages
            | Function::ReceiveEvents => return not_found(),
        };
        on_behalf_of(function, invoke(router.clone(), event)).await
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "message": "Not Found" }))).into_response()
}

/// As the authorizer passes them on: texts, and no more than the token has.
fn claims_of(claims: &Claims) -> Value {
    let mut passed = json!({ "role": claims.role, "sub": claims.sub });
    if let Some(tenant) = &claims.tenant {
        passed["tenant"] = json!(tenant);
    }
    passed
}

fn too_large() -> Response {
    (StatusCode::PAYLOAD_TOO_LARGE, axum::Json(json!({ "message": "Request Too Long" }))).into_response()
}

/// The payload (format 2.0) of an HTTP request, with base64 for what is not text.
///
/// Whoever stands in front of this machine says by `X-Forwarded-For` where a request came from.
pub fn event(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &Bytes,
    claims: Option<Value>,
    now: Timestamp,
) -> Value {
    let mut folded: Map<String, Value> = Map::new();
    for name in headers.keys() {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        folded.insert(name.to_string(), values.join(",").into());
    }
    // A form is no text to Lambda.
    let is_form = folded.get("content-type").and_then(Value::as_str).is_some_and(|kind| kind.contains("form-urlencoded"));
    let (text, encoded) = match std::str::from_utf8(body) {
        Ok(text) if !is_form => (text.to_string(), false),
        _ => (BASE64.encode(body), true),
    };
    let header = |name: &str| folded.get(name).and_then(Value::as_str);
    let source_ip = header("x-forwarded-for").and_then(|hops| hops.rsplit(',').next()).map_or("127.0.0.1", str::trim);
    let mut context = json!({
        "accountId": "000000000000",
        "apiId": "local",
        "domainName": header("host").unwrap_or("localhost"),
        "domainPrefix": "local",
        "http": {
            "method": method.as_str(),
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": source_ip,
            "userAgent": header("user-agent").unwrap_or_default(),
        },
        "requestId": request_id(),
        "routeKey": "$default",
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": now.as_millisecond(),
    });
    if let Some(claims) = claims {
        context["authorizer"] = json!({ "jwt": { "claims": claims, "scopes": null } });
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query.unwrap_or_default(),
        "headers": folded,
        "requestContext": context,
        "body": text,
        "isBase64Encoded": encoded,
    })
}

/// An id that no other request has, as API Gateway gives one.
fn request_id() -> String {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 12];
    // Without randomness there would be no TLS either.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hands an event to a function as its Lambda runtime would.
async fn invoke(function: Router, event: Value) -> Response {
    // lambda_http panics on a path that is no URI, which no HTTP server would have let through.
    let path = event["rawPath"].as_str().unwrap_or_default();
    let is_uri = path.starts_with('/') && path.parse::<axum::http::Uri>().is_ok();
    let request = is_uri.then(|| lambda_http::request::from_str(&event.to_string()).ok()).flatten();
    let Some(request) = request else { return StatusCode::BAD_REQUEST.into_response() };
    let (parts, body) = request.into_parts();
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    match function.oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
