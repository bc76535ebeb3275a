//! What a request carries: its JSON, and its key.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use lambda_http::request::RequestContext;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::context::Context;

/// Lambda takes no more than 6 MB; half of it becomes rows of the table.
const LARGEST: usize = 3 * 1024 * 1024;
const LONGEST_KEY: usize = 255;
const KEY: &str = "idempotency-key";

/// A request's JSON. What cannot be read is told with its place.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Context>> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Context>) -> Result<Self, Problem> {
        let too_large = || Problem::too_large(format!("a request has at most {LARGEST} bytes"));
        let body = axum::body::to_bytes(request.into_body(), LARGEST).await.map_err(|_| too_large())?;
        if body.is_empty() {
            return Err(Problem::field("", "required", "the request has a body of JSON"));
        }
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let code = if error.inner().is_data() { "invalid" } else { "not_json" };
            Problem::field(path.trim_start_matches('.'), code, error.into_inner())
        })?;
        json.end().map_err(|error| Problem::field("", "not_json", error))?;
        Ok(Self(value))
    }
}

/// The key under which a request is done once, however often it comes (`Idempotency-Key`).
///
/// Without one it is the gateway's id of the request: a caller that repeats it sends again.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(value) = parts.headers.get(KEY) {
            let key = value.to_str().map(str::trim).unwrap_or_default();
            let fits = (1..=LONGEST_KEY).contains(&key.len());
            return fits.then(|| Self(format!("key {key}"))).ok_or_else(|| {
                Problem::field("Idempotency-Key", "invalid", format!("a key is 1 to {LONGEST_KEY} visible ASCII characters"))
            });
        }
        let request = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone().unwrap_or_default(),
            _ => String::new(),
        };
        Ok(Self(format!("request {request}")))
    }
}
