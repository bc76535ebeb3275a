//! What a request carries: its JSON, and its key.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use lambda_http::request::RequestContext;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::Problem;
use crate::context::Context;
use crate::domain::compose::FieldError;

/// Lambda takes no more than 6 MB; half of it becomes rows of the table.
const LARGEST: usize = 3 * 1024 * 1024;
const LONGEST_KEY: usize = 255;
const KEY: &str = "idempotency-key";

/// A request's JSON. What cannot be read is told with its place.
pub struct Input<T>(pub T);

/// The same, with what tells it from another request, however its JSON is written.
pub struct Printed<T> {
    pub value: T,
    pub fingerprint: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<Context>> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Context>) -> Result<Self, Problem> {
        read(&body(request).await?).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Context>> for Printed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Context>) -> Result<Self, Problem> {
        let body = body(request).await?;
        let value = read(&body)?;
        // With sorted names, and without spaces.
        let canonical = read::<serde_json::Value>(&body)?.to_string();
        let digest = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
        let fingerprint = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { value, fingerprint })
    }
}

async fn body(request: Request) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(format!("a request has at most {LARGEST} bytes"));
    let body = axum::body::to_bytes(request.into_body(), LARGEST).await.map_err(|_| too_large())?;
    // Or else a list of values would be read as the fields in their order.
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(body),
        Some(b'[') => Err(Problem::field("", "invalid", "the request is an object, not a list")),
        Some(_) => Err(Problem::field("", "not_json", "the request has a body of JSON: an object")),
        None => Err(Problem::field("", "required", "the request has a body of JSON: an object")),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        told(path.trim_start_matches('.'), error.into_inner())
    })?;
    json.end().map_err(|error| Problem::field("", "not_json", error))?;
    Ok(value)
}

/// What cannot be read, as whoever wrote it knows it.
fn told(path: &str, error: serde_json::Error) -> Problem {
    if !error.is_data() {
        return Problem::field(path, "not_json", error);
    }
    Problem::fields(vec![unreadable(path, &error.to_string())])
}

/// The field, code and reason behind what serde says of `path`.
pub fn unreadable(path: &str, said: &str) -> FieldError {
    let below = |name: &str| if path.is_empty() || path == "?" { name.to_string() } else { format!("{path}.{name}") };
    // Where it is in the text helps nobody who did not write the text by hand.
    let reason = said.split(" at line ").next().unwrap_or(said);
    if let Some(name) = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return FieldError::new(below(name), "required", "this field is required");
    }
    if ["sendAt", "until", "at"].iter().any(|name| path == *name || path.ends_with(&format!(".{name}"))) {
        return FieldError::new(path, "invalid", "an instant with its offset: 2026-03-10T15:00:00Z or 2026-03-10T15:00:00-05:00");
    }
    if path == "repeat" && reason.contains("expected an object") {
        return FieldError::new(path, "invalid", r#"when it recurs, as cron: {"cron": "0 9 * * *"} is each day at nine"#);
    }
    FieldError::new(path, "invalid", reason)
}

/// What is only read from an object, never from a list of its fields.
#[derive(Clone, Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OfMap(PhantomData)).map(Self)
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
