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
use tower::ServiceExt;

use crate::clock::Clock;
use crate::tokens::{self, Claims, TokenKey};

/// API Gateway's own limit of a request, in bytes.
const LARGEST_BODY: usize = 10 * 1024 * 1024;
/// The routes without the authorizer, as template.yaml has them: the descriptions, and what contacts see of
/// themselves, by links that we signed.
const OPEN: [&str; 2] = ["/v1/openapi.json", "/docs"];
const OPEN_BELOW: &str = "/v1/preferences/";

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path.starts_with(OPEN_BELOW)
}

/// Whether what is posted to `path` is for `sendMessage`, as the routes of template.yaml have it.
pub fn is_sending(path: &str) -> bool {
    let mut parts = path.trim_start_matches("/v1/tenants/").split('/').skip(1);
    match parts.next() {
        Some("messages" | "notifications" | "calls") => true,
        Some("conversations") => parts.nth(1) == Some("reply"),
        _ => false,
    }
}

/// The function URL in front of `function`: open to everybody, as Twilio needs it.
pub fn function_url(function: Router, clock: Clock) -> Router {
    Router::new().fallback(move |request: Request| {
        let (function, now) = (function.clone(), clock.now());
        async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else { return too_large() };
            invoke(function, event(&parts.method, parts.uri.path(), parts.uri.query(), &parts.headers, &body, None, now)).await
        }
    })
}

/// The HTTP API in front of `function`: the JWT authorizer checks the token first.
pub fn http_api(function: Router, key: Arc<TokenKey>, clock: Clock) -> Router {
    Router::new().fallback(move |request: Request| {
        let (function, key, now) = (function.clone(), key.clone(), clock.now());
        async move {
            let (parts, body) = request.into_parts();
            let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let claims = token.and_then(|value| value.strip_prefix("Bearer ")).and_then(|token| tokens::verify(&key, token, now));
            let is_open = is_open(parts.uri.path());
            if claims.is_none() && !is_open {
                // API Gateway's own answer, before any function runs.
                return (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "Unauthorized" }))).into_response();
            }
            let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else { return too_large() };
            // Where no authorizer is asked, nobody reads the token.
            let claims = claims.filter(|_| !is_open).map(|claims| claims_of(&claims));
            let event = event(&parts.method, parts.uri.path(), parts.uri.query(), &parts.headers, &body, claims, now);
            invoke(function, event).await
        }
    })
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
pub async fn invoke(function: Router, event: Value) -> Response {
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
