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
pub(super) const LARGEST: usize = 3 * 1024 * 1024;
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
        Self::read(&body(request).await?)
    }
}

impl<T: DeserializeOwned> Printed<T> {
    /// Of a whole body.
    ///
    /// # Errors
    /// 422 with what cannot be read.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        must_be_object(body)?;
        let value = read(body)?;
        // With sorted names, and without spaces.
        let canonical = read::<serde_json::Value>(body)?.to_string();
        let digest = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
        let fingerprint = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { value, fingerprint })
    }
}

async fn body(request: Request) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(format!("a request has at most {LARGEST} bytes"));
    let body = axum::body::to_bytes(request.into_body(), LARGEST).await.map_err(|_| too_large())?;
    must_be_object(&body)?;
    Ok(body)
}

fn must_be_object(body: &[u8]) -> Result<(), Problem> {
    // Or else a list of values would be read as the fields in their order.
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(()),
        Some(b'[') => Err(Problem::field("", "invalid", "the request is an object, not a list")),
        Some(_) => Err(Problem::field("", "not_json", "the request has a body of JSON: an object")),
        None => Err(Problem::field("", "required", "the request has a body of JSON: an object")),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        told::<T>(body, path.trim_matches(['.', '?']), &error.into_inner())
    })?;
    json.end().map_err(|error| Problem::field("", "not_json", no_json(&error)))?;
    Ok(value)
}

/// What cannot be read, as whoever wrote it knows it.
fn told<T: DeserializeOwned>(body: &[u8], path: &str, error: &serde_json::Error) -> Problem {
    if error.is_data() {
        return Problem::fields(vec![unreadable(path, &error.to_string())]);
    }
    // A value of another kind than a word is told as a slip of the text, though the text is JSON: read as JSON, it is
    // told for what it is.
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Problem::field(path, "not_json", no_json(error));
    };
    match read_value::<T>(json) {
        Ok(_) => Problem::field(path, "invalid", "this value cannot be here"),
        Err(error) => Problem::fields(vec![error]),
    }
}

/// # Errors
/// What cannot be read of it, with its place.
pub(super) fn read_value<T: DeserializeOwned>(json: serde_json::Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        unreadable(path.trim_matches(['.', '?']), &error.into_inner().to_string())
    })
}

fn no_json(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return format!("the body is no JSON: it ends too early, at line {line}, column {column}");
    }
    let said = error.to_string();
    format!("the body is no JSON: see line {line}, column {column}: {}", without_place(&said))
}

/// Where it is in the text helps nobody who did not write the text by hand.
fn without_place(said: &str) -> &str {
    match said.rsplit_once(" at line ") {
        Some((reason, place)) if place.contains(" column ") => reason,
        _ => said,
    }
}

/// The field, code and reason behind what serde says of `path`.
pub fn unreadable(path: &str, said: &str) -> FieldError {
    let below = |name: &str| if path.is_empty() || path == "?" { name.to_string() } else { format!("{path}.{name}") };
    let reason = without_place(said);
    if let Some(name) = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return FieldError::new(below(name), "required", "this field is required");
    }
    if let Some(name) = reason.strip_prefix("duplicate field `").and_then(|rest| rest.strip_suffix('`')) {
        return FieldError::new(below(name), "invalid", "this field is there twice");
    }
    if let Some(rest) = reason.strip_prefix("unknown field `") {
        let (name, known) = rest.rsplit_once("`, expected ").unwrap_or((rest.split('`').next().unwrap_or(rest), ""));
        let field = if path == name || path.ends_with(&format!(".{name}")) { path.to_string() } else { below(name) };
        return FieldError::new(field, "invalid", no_such_field(name, &quoted(known)));
    }
    if ["sendAt", "until", "at"].iter().any(|name| path == *name || path.ends_with(&format!(".{name}"))) {
        return FieldError::new(path, "invalid", "an instant with its offset: 2026-03-10T15:00:00Z or 2026-03-10T15:00:00-05:00");
    }
    if path == "repeat" && reason.contains("expected an object") {
        return FieldError::new(path, "invalid", r#"when it recurs, as cron: {"cron": "0 9 * * *"} is each day at nine"#);
    }
    FieldError::new(path, "invalid", plain(reason))
}

fn no_such_field(name: &str, known: &[&str]) -> String {
    match (nearest(name, known), known) {
        (Some(meant), _) => format!("there is no such field: did you mean {meant}?"),
        (None, []) => "there is no such field".into(),
        (None, known) => format!("there is no such field; there are {}", known.join(", ")),
    }
}

/// The names of ours between backticks.
fn quoted(names: &str) -> Vec<&str> {
    names.split('`').skip(1).step_by(2).collect()
}

/// What serde says of a value, without the words of Rust.
fn plain(reason: &str) -> String {
    if let Some((given, names)) = reason.strip_prefix("unknown variant `").and_then(|rest| rest.rsplit_once("`, expected ")) {
        let known = quoted(names);
        let hint = nearest(given, &known).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
        let one_of = if known.len() > 1 { "one of " } else { "" };
        return format!("{one_of}{}, not '{}'{hint}", known.join(", "), shortened(given));
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((given, wanted)) = reason.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            return format!("{}, not {}", wanted_in_words(wanted), given_in_words(given));
        }
    }
    if let Some((_, wanted)) = reason.strip_prefix("invalid length ").and_then(|rest| rest.rsplit_once(", expected ")) {
        return wanted_in_words(wanted).into();
    }
    if reason.starts_with("data did not match any variant") {
        return "not of a form that is known here: the API's description shows those that are".into();
    }
    // Of the texts of a query.
    match reason {
        "invalid digit found in string" | "cannot parse integer from empty string" => "a whole number".into(),
        "number too large to fit in target type" | "number too small to fit in target type" => {
            "a whole number that is neither too large nor too small".into()
        }
        "invalid float literal" | "cannot parse float from empty string" => "a number".into(),
        "provided string was not `true` or `false`" => "true or false".into(),
        other => other.into(),
    }
}

fn wanted_in_words(wanted: &str) -> &str {
    match wanted {
        "a string" | "a borrowed string" | "string" | "string or map" | "str" | "variant identifier" => "a text",
        "a boolean" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        "a character" => "one character",
        "unit" => "null",
        "a date string" => "a date: 2026-03-10",
        "a timestamp string" => "an instant: 2026-03-10T15:00:00Z",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted if wanted.starts_with("enum ") => "a text",
        wanted => wanted,
    }
}

fn given_in_words(given: &str) -> String {
    match given {
        "null" | "unit value" | "Option value" => "null".into(),
        "sequence" => "a list".into(),
        "map" => "an object".into(),
        given => {
            let kinds = ["boolean ", "integer ", "floating point ", "character ", "string "];
            let value = kinds.iter().find_map(|kind| given.strip_prefix(kind)).unwrap_or(given);
            shortened(value.trim_matches('`'))
        }
    }
}

/// So much of a wrong value is said back.
const LONGEST_QUOTE: usize = 40;

fn shortened(text: &str) -> String {
    let more = if text.chars().count() > LONGEST_QUOTE { "…" } else { "" };
    text.chars().take(LONGEST_QUOTE).chain(more.chars()).collect()
}

/// Longer than any name of ours.
const LONGEST_NAME: usize = 64;

/// The name that was meant by `given`, if it is at most two slips of the pen away, and at least half of it is right.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    if given.len() > LONGEST_NAME {
        return None;
    }
    let given = given.to_lowercase();
    let named = known.iter().map(|name| (slips(&given, &name.to_lowercase()), *name));
    named.filter(|(slips, name)| *slips <= 2 && slips * 2 <= name.len()).min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// How many letters must be put in, left out or changed to make one of the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = at + 1;
        let mut diagonal = at;
        for (above, known) in row.iter_mut().skip(1).zip(&other) {
            let changed = diagonal + usize::from(letter != *known);
            diagonal = *above;
            *above = changed.min(diagonal + 1).min(before + 1);
            before = *above;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Medium {
        Sms,
        Whatsapp,
        Voice,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    #[allow(dead_code)] // read by serde alone
    struct Wish {
        to: String,
        time_zone: Option<String>,
        medium: Option<Medium>,
        media: Vec<Medium>,
        count: u32,
        dry: bool,
        more: Option<Box<Wish>>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // read by serde alone
    struct Named {
        name: String,
    }

    /// The one error of `body`, as it goes over the wire.
    fn error<T: DeserializeOwned + fmt::Debug>(body: &str) -> (String, String, String) {
        let problem = serde_json::to_value(read::<T>(body.as_bytes()).unwrap_err()).unwrap();
        let text = |name: &str| problem["errors"][0][name].as_str().unwrap().to_string();
        (text("field"), text("code"), text("reason"))
    }

    #[test]
    fn what_cannot_be_read_is_told_without_the_words_of_rust() {
        let media = "one of sms, whatsapp, voice";
        for (body, field, reason) in [
            (json!({ "to": 150.5 }), "to", "a text, not 150.5".to_string()),
            (json!({ "to": null }), "to", "a text, not null".to_string()),
            (json!({ "to": ["x"] }), "to", "a text, not a list".to_string()),
            (json!({ "count": "many" }), "count", "a whole number from 0 to 4294967295, not \"many\"".to_string()),
            (json!({ "count": -1 }), "count", "a whole number from 0 to 4294967295, not -1".to_string()),
            (json!({ "dry": "yes" }), "dry", "true or false, not \"yes\"".to_string()),
            (json!({ "media": "sms" }), "media", "a list, not \"sms\"".to_string()),
            (json!({ "medium": "SMS" }), "medium", format!("{media}, not 'SMS': did you mean sms?")),
            (json!({ "media": ["sms", "fax"] }), "media[1]", format!("{media}, not 'fax'")),
            (json!({ "medium": 5 }), "medium", "a text, not 5".to_string()),
            (json!({ "more": { "medium": true } }), "more.medium", "a text, not true".to_string()),
            (json!({ "more": "x" }), "more", "an object, not \"x\"".to_string()),
            (json!({ "timezone": "x" }), "timezone", "there is no such field: did you mean timeZone?".to_string()),
            (
                json!({ "more": { "colour": 1 } }),
                "more.colour",
                "there is no such field; there are to, timeZone, medium, media, count, dry, more".to_string(),
            ),
        ] {
            assert_eq!(error::<Wish>(&body.to_string()), (field.to_string(), "invalid".to_string(), reason), "{body}");
        }
        let twice = error::<Wish>(r#"{"to": "x", "to": "y"}"#);
        assert_eq!((twice.0.as_str(), twice.2.as_str()), ("to", "this field is there twice"));
        assert_eq!(error::<Named>("{}"), ("name".into(), "required".into(), "this field is required".into()));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (body, reason) in [
            ("{", "the body is no JSON: it ends too early, at line 1, column 1"),
            (r#"{"to": "x",}"#, "the body is no JSON: see line 1, column 12: trailing comma"),
            (r#"{"medium": fax}"#, "the body is no JSON: see line 1, column 12: expected value"),
            ("{} {}", "the body is no JSON: see line 1, column 4: trailing characters"),
        ] {
            let (_, code, said) = error::<Wish>(body);
            assert_eq!((code.as_str(), said.as_str()), ("not_json", reason), "{body}");
        }
        assert!(read::<Value>(br#"{"to": "x"}"#).is_ok());
    }

    #[test]
    fn the_nearest_name_is_offered_if_it_is_near() {
        let known = ["to", "timeZone", "quietHours", "enabled"];
        for (given, meant) in [
            ("timezone", Some("timeZone")),
            ("TIME_ZONE", Some("timeZone")),
            ("quitHours", Some("quietHours")),
            ("enabeld", Some("enabled")),
            ("zone", None),
            ("xy", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), meant, "{given}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), &known), None);
        assert_eq!((slips("", "abc"), slips("abc", ""), slips("kitten", "sitting")), (3, 3, 3));
    }
}
