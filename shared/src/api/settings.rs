//! `/settings`: the same JSON as `tenant.json`; whole, or as a merge patch (RFC 7396).

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::problem::{Problem, Refusals};
use super::request::{Input, nearest, unreadable};
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::local_time::QuietHours;
use crate::domain::tenant::{Budget, Settings};
use crate::store::tenants::{self, Stored};
use crate::usecases::save_settings::{Change, save_settings};

/// The tenant's settings. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/settings", operation_id = "get_settings", tag = "tenant",
    params(("tenant" = String, Path)),
    responses((status = 200, description = "As asked", body = Settings, headers(("ETag" = String, description = "For If-Match"))), Refusals)
)]
pub async fn get(State(cx): State<Arc<Context>>, caller: Caller) -> Result<Response, Problem> {
    caller.require_admin()?;
    let stored = tenants::stored(cx.table().await?, &caller.tenant).await?;
    Ok(tagged(stored.ok_or_else(|| Problem::not_found("there is nothing at this path"))?))
}

/// Replace the settings: what is left out is the default again. Reminders that are due within 48 hours by the new
/// ones are planned at once. Takes the role `admin`.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/settings", operation_id = "put_settings", tag = "tenant",
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header, description = "Only if the settings still have this ETag: else 409 `changed`")),
    request_body(content = Settings, content_type = "application/json"),
    responses((status = 200, description = "The settings as they are now", body = Settings, headers(("ETag" = String, description = "For If-Match"))), Refusals)
)]
pub async fn put(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    headers: HeaderMap,
    Input(given): Input<Value>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let only = versions(&headers);
    let next = |_: &Settings| read(given.clone(), &given);
    let change = Change { next, only: only.as_deref(), replans: names_times(&given) };
    Ok(tagged(save_settings(&cx, &caller.tenant, change, now).await?))
}

/// Change some of the settings. `null` takes a value away: the default is back, but for `quietHours`, `optOutText` and the
/// alerts, where it means none. Takes the role `admin`.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/settings", operation_id = "patch_settings", tag = "tenant",
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header, description = "Only if the settings still have this ETag: else 409 `changed`")),
    request_body(content = SettingsPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The settings as they are now", body = Settings, headers(("ETag" = String, description = "For If-Match"))), Refusals)
)]
pub async fn patch(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    headers: HeaderMap,
    Input(given): Input<Value>,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let only = versions(&headers);
    let next = |known: &Settings| {
        let known = serde_json::to_value(known).map_err(|error| vec![FieldError::new("", "invalid", error)])?;
        read(merged(known, &given), &given)
    };
    let change = Change { next, only: only.as_deref(), replans: names_times(&given) };
    Ok(tagged(save_settings(&cx, &caller.tenant, change, now).await?))
}

/// Some of the settings, for the description: all that `Settings` has, and nothing of it required.
#[allow(dead_code)] // a name, never made
pub struct SettingsPatch;

impl ToSchema for SettingsPatch {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SettingsPatch")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Settings::schemas(schemas);
    }
}

impl PartialSchema for SettingsPatch {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut whole)) = partial(Settings::schema()) else { return Settings::schema() };
        whole.description = Some("What changes. What is left out stays as it is; `null` takes a value away.".into());
        for (name, setting) in &mut whole.properties {
            let given = match name.as_str() {
                "budget" => partial(Budget::schema()),
                "quietHours" => partial(QuietHours::schema()),
                _ => setting.clone(),
            };
            let null = ObjectBuilder::new().schema_type(Type::Null);
            *setting = AnyOfBuilder::new().item(given).item(null).into();
        }
        RefOr::T(Schema::Object(whole))
    }
}

/// With nothing required.
fn partial(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.required.clear();
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

fn tagged(stored: Stored) -> Response {
    ([(header::ETAG, format!("\"{}\"", stored.version))], Json(stored.settings)).into_response()
}

/// The versions that `If-Match` names; `None` for any.
fn versions(headers: &HeaderMap) -> Option<Vec<String>> {
    let given = headers.get(header::IF_MATCH)?.to_str().unwrap_or_default();
    let tag = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_string();
    (given.trim() != "*").then(|| given.split(',').map(tag).collect())
}

/// Whether settings are named that say when reminders go.
fn names_times(given: &Value) -> bool {
    ["types", "paymentTime", "timeZone"].iter().any(|name| given.get(*name).is_some())
}

/// The settings of `document`, if they can be right, and if all that was `given` is a setting: a misspelt one would
/// otherwise be a default without a word.
pub(super) fn read(document: Value, given: &Value) -> Result<Settings, Vec<FieldError>> {
    let mut settings: Settings = serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        let said = error.into_inner().to_string();
        let mut error = unreadable(path.trim_matches(['.', '?']), &said);
        if said.contains("expected a string") && (said.contains("integer") || said.contains("floating")) {
            error.reason.push_str(r#"; an amount is written as text: "25.00""#);
        }
        vec![error]
    })?;
    settings.senders = settings.senders.tidied();
    let mut errors = Vec::new();
    let known = serde_json::to_value(&settings).map_err(|error| vec![FieldError::new("", "invalid", error)])?;
    note_unknown("", given, &known, &mut errors);
    if let Err(said) = settings.validate() {
        let (field, reason) = said.split_once(": ").unwrap_or(("", &said));
        errors.push(FieldError::new(field, "invalid", reason));
    }
    if errors.is_empty() { Ok(settings) } else { Err(errors) }
}

/// What is not written below `path` where it is the default.
fn left_out(path: &str) -> &'static [&'static str] {
    match path {
        "" => &["suspended", "trade", "keywordReplies"],
        "prices" => &["byPrefix", "sms", "mms", "whatsapp", "voice"],
        path if path.starts_with("types.") => &["contentSid", "contentVariables"],
        _ => &[],
    }
}

/// What lies below has names of the tenant's own.
const FREE: [&str; 2] = ["keywordReplies.", "prices.byPrefix."];

fn note_unknown(path: &str, given: &Value, known: &Value, errors: &mut Vec<FieldError>) {
    let (given, known) = match (given, known) {
        (Value::Object(given), Value::Object(known)) => (given, known),
        (Value::Array(_), Value::Object(_)) => return errors.push(FieldError::new(path, "invalid", "an object, not a list")),
        _ => return,
    };
    let left_out = left_out(path);
    for (name, value) in given {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let may_be_absent = || left_out.contains(&name.as_str()) || FREE.iter().any(|free| full.starts_with(free));
        match known.get(name) {
            Some(known) => note_unknown(&full, value, known, errors),
            None if says_nothing(value) && may_be_absent() => {}
            None => {
                let names: Vec<&str> = known.keys().map(String::as_str).chain(left_out.iter().copied()).collect();
                let hint = nearest(name, &names).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
                errors.push(FieldError::new(full, "unknown_field", format!("there is no such setting{hint}")));
            }
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Where `null` means none, and absence something else.
const SAYS_NONE: [&str; 5] = ["quietHours", "failurePercent", "slowSeconds", "lowBalance", "optOutText"];

/// RFC 7396, but that `null` stays where it says something.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let old = target.remove(name).unwrap_or(Value::Null);
        if !value.is_null() || SAYS_NONE.contains(&name.as_str()) {
            target.insert(name.clone(), merged(old, value));
        }
    }
    Value::Object(target)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(more: &Value) -> Value {
        let base = json!({
            "name": "School", "timeZone": "America/New_York", "defaultRegion": "US",
            "budget": { "monthlyLimit": "10.00", "currency": "USD" },
        });
        merged(base, more)
    }

    fn errors(more: Value) -> Vec<(String, String)> {
        let read = read(document(&more), &more);
        read.err().unwrap_or_default().into_iter().map(|error| (error.field, error.code)).collect()
    }

    fn one(field: &str, code: &str) -> Vec<(String, String)> {
        vec![(field.to_string(), code.to_string())]
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        for (more, field) in [
            (json!({ "quiethours": null }), "quiethours"),
            (json!({ "enabeld": true }), "enabeld"),
            (json!({ "budget": { "monthlylimit": "5" } }), "budget.monthlylimit"),
            (json!({ "types": { "lesson_reminders": {} } }), "types.lesson_reminders"),
            (json!({ "types": { "attendance": { "chanels": ["sms"] } } }), "types.attendance.chanels"),
            (json!({ "prices": { "smss": "0.1" } }), "prices.smss"),
            (json!({ "senders": { "sms": "+15551234567", "fax": "+1555" } }), "senders.fax"),
        ] {
            assert_eq!(errors(more), one(field, "unknown_field"), "{field}");
        }
        let all = json!({
            "suspended": false, "trade": null, "keywordReplies": {}, "prices": { "sms": "0.01", "byPrefix": { "+44": { "mms": null } } },
            "types": { "attendance": { "contentSid": null, "contentVariables": [] } }, "quietHours": null,
        });
        assert!(errors(all.clone()).is_empty(), "{:?}", errors(all));
    }

    #[test]
    fn what_was_meant_is_offered() {
        let reason = |more: Value| read(document(&more), &more).unwrap_err().swap_remove(0).reason;
        assert_eq!(reason(json!({ "timezone": "Europe/Paris" })), "there is no such setting: did you mean timeZone?");
        assert_eq!(reason(json!({ "prices": { "smss": "0.1" } })), "there is no such setting: did you mean sms?");
        assert_eq!(reason(json!({ "colour": "red" })), "there is no such setting");
        let amount = reason(json!({ "budget": { "monthlyLimit": 150.5 } }));
        assert_eq!(amount, r#"a text, not 150.5; an amount is written as text: "25.00""#);
    }

    #[test]
    fn nothing_of_a_patch_is_required() {
        let patch = serde_json::to_value(SettingsPatch::schema()).unwrap();
        let whole = serde_json::to_value(Settings::schema()).unwrap();
        let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&patch), names(&whole));
        assert_eq!(whole["required"], json!(["name", "timeZone", "defaultRegion", "budget"]));
        assert!(patch.get("required").is_none());
        let budget = &patch["properties"]["budget"]["anyOf"];
        assert!(budget[0]["properties"]["currency"].is_object() && budget[0].get("required").is_none(), "{budget}");
        assert_eq!(budget[1], json!({ "type": "null" }));
    }

    #[test]
    fn each_error_names_its_field() {
        assert_eq!(errors(json!({ "timeZone": "Mars/Olympus" })), one("timeZone", "invalid"));
        assert_eq!(errors(json!({ "budget": { "monthlyLimit": 5 } })), one("budget.monthlyLimit", "invalid"));
        assert_eq!(errors(json!({ "budget": ["5.00", "USD"] })), one("budget", "invalid"));
        let hours = json!({ "types": { "payment_reminder": { "offsets": ["3h"] } } });
        assert_eq!(errors(hours), one("types.payment_reminder.offsets", "invalid"));
        assert_eq!(errors(json!({ "senders": { "sms": "5551234567" } })), one("senders.sms", "invalid"));
        assert_eq!(errors(json!({ "senders": { "whatsapp": "whatsapp:12" } })), one("senders.whatsapp", "invalid"));
        let missing = read(json!({}), &json!({})).unwrap_err();
        assert_eq!((missing[0].field.as_str(), missing[0].code.as_str()), ("name", "required"));
    }

    #[test]
    fn a_patch_is_merged_as_rfc_7396_has_it() {
        for (target, patch, result) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
            (
                json!({ "a": { "optOutText": "STOP" } }),
                json!({ "a": { "optOutText": null } }),
                json!({ "a": { "optOutText": null } }),
            ),
            (json!({ "quietHours": { "from": "21:00" } }), json!({ "quietHours": null }), json!({ "quietHours": null })),
        ] {
            assert_eq!(merged(target, &patch), result, "{patch}");
        }
    }

    #[test]
    fn if_match_is_read_in_every_spelling() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, text.parse().unwrap());
            versions(&headers)
        };
        assert_eq!(read(r#""abc""#), Some(vec!["abc".to_string()]));
        assert_eq!(read(r#"W/"abc", "def""#), Some(vec!["abc".to_string(), "def".to_string()]));
        assert_eq!(read("*"), None);
        assert_eq!(versions(&HeaderMap::new()), None);
    }
}
