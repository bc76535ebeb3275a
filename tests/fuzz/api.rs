//! The API, by the events of its gateway: whatever is asked is answered, and what is refused has done nothing.

mod imports;
mod keys;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use local::gateway;
use local::host::Host;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shared::api::openapi;
use shared::domain::tenant::Settings;
use shared::store::tenants;
use tokio::runtime::Runtime;

use super::garbage::{NAMES, Raw, WORDS, damage, raw, text, twists};
use super::{every, runtime};
use crate::machine::{quiet_machine, tenant};

/// A machine, and what waits for it.
struct Api {
    host: Host,
    runtime: Runtime,
    settings: Arc<Settings>,
}

/// A request that the gateway has let through.
#[derive(Clone, Debug)]
struct Request {
    method: Method,
    /// Encoded, with its query.
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    claims: Option<Value>,
    body: Raw,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: String,
    body: Raw,
}

fn claims(role: &str) -> Value {
    json!({ "tenant": "sample", "role": role, "sub": "user-1" })
}

const JSON: &str = "application/json";

impl Request {
    /// Of an admin of the sample school.
    fn get(path: &str) -> Self {
        let path = format!("/v1/tenants/sample{path}");
        Self { method: Method::GET, path, headers: Vec::new(), claims: Some(claims("admin")), body: Raw(Vec::new()) }
    }

    fn with_body(method: Method, path: &str, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { method, headers: vec![("content-type", content_type)], body: Raw(body), ..Self::get(path) }
    }
}

impl Api {
    fn new() -> Self {
        let runtime = runtime();
        let host = runtime.block_on(quiet_machine(|settings| settings.requests_per_minute = 1_000_000));
        let settings = runtime.block_on(host.cx.settings(&tenant(), host.clock.now())).unwrap();
        Self { host, runtime, settings }
    }

    fn ask(&self, request: Request) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let (path, query) =
            request.path.split_once('?').map_or((request.path.as_str(), None), |(path, query)| (path, Some(query)));
        let body = Bytes::from(request.body.0);
        let event = gateway::event(&request.method, path, query, &headers, &body, request.claims, self.host.clock.now());
        self.runtime.block_on(async {
            let (parts, body) = self.host.functions.api(event).await.into_parts();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let content_type = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            Answer { status: parts.status, content_type: content_type.to_string(), body: Raw(bytes.into()) }
        })
    }

    /// How many messages and calls went to Twilio.
    fn sent(&self) -> usize {
        self.host.twilio.ledger().len() + self.host.twilio.calls().len()
    }

    /// Others need the settings as they were.
    fn restore_settings(&self) {
        self.runtime.block_on(async {
            let table = self.host.cx.table().await.unwrap();
            tenants::put_settings(table, &tenant(), &self.settings).await.unwrap();
        });
        self.host.cx.forget(&tenant());
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body.0).unwrap_or_default()
    }

    /// No trouble of ours; and a refusal tells a program which it is, and people why.
    fn is_honest(&self) -> bool {
        if !self.status.is_client_error() {
            return !self.status.is_server_error();
        }
        if self.content_type != "application/problem+json" {
            // A contact's own page, and the gateway's word where no route leads.
            return self.content_type.starts_with("text/html") || self.body.0 == br#"{"message":"Not Found"}"#;
        }
        let problem = self.json();
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_string();
        let is_word = text("code").bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let is_complete = ["code", "title", "detail"].iter().all(|name| !text(name).is_empty());
        is_word && is_complete && problem["status"] == self.status.as_u16()
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Valid requests, to be damaged.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("POST", "/messages", r#"{"to": "(212) 555-0188", "body": "Hello", "channel": "sms", "reference": "7"}"#),
    ("POST", "/messages", r#"{"contactId": "S01", "template": "order_delivered", "variables": {"order_number": 7}}"#),
    ("POST", "/messages", r#"{"contactId": "S05", "body": "Hi {name}", "sendAt": "2026-03-11T15:00:00Z"}"#),
    ("POST", "/messages", r#"{"contactId": "S01", "body": "Hello", "repeat": {"cron": "0 9 * * *", "timeZone": "UTC"}}"#),
    ("POST", "/messages", r#"{"to": "(212) 555-0188", "mediaUrls": ["https://example.com/a.jpg"], "category": "marketing"}"#),
    ("POST", "/messages/test", r#"{"to": "(212) 555-0188", "channel": "sms"}"#),
    ("POST", "/messages/preview", r#"{"contactId": "S01", "body": "Hi {name}", "variables": {"x": "y"}}"#),
    ("POST", "/messages/explain", r#"{"contactId": "S01", "at": "2026-03-11T15:00:00Z", "category": "lessons"}"#),
    ("POST", "/messages/bulk", r#"{"recipients": "(212) 555-0188\nS01; x", "body": "Hello", "sendImmediately": false}"#),
    ("POST", "/messages/bulk", r#"{"recipients": [{"contactId": "S01", "orderId": "7"}], "body": "Hello", "name": "All"}"#),
    ("POST", "/calls", r#"{"contactId": "S04", "say": "Hello", "detectMachine": true, "maxMinutes": 2}"#),
    ("POST", "/calls/bulk", r#"{"groups": ["Strings"], "say": "Hello", "confirmCost": true}"#),
    ("POST", "/notifications", r#"{"contactId": "S01", "type": "schedule_change", "variables": {"subject": "Harp"}}"#),
    (
        "POST",
        "/campaigns",
        r#"{"customerList": "phone,name\n(212) 555-0188,Ana\n,x\n", "body": "Hi {name}! Reply STOP.", "hold": true}"#,
    ),
    (
        "POST",
        "/campaigns/preview",
        r#"{"groups": ["Strings"], "body": "{offer}", "offer": "2 for 1", "optOutText": "Text STOP."}"#,
    ),
    ("POST", "/contacts", r#"{"name": "Ana", "phone": "(212) 555-0188", "groups": ["Choir"], "quietHours": "21:30-07:00"}"#),
    ("PUT", "/contacts/Z1", r#"{"name": "Zoë", "whatsapp": "(212) 555-0188", "attributes": {"Grade 2": "x"}}"#),
    ("PATCH", "/contacts/S05", r#"{"timeZone": "Europe/London", "optedOutCategories": ["lessons"], "email": null}"#),
    ("PUT", "/contacts/S05/preferences", r#"{"quietHours": "21:30-07:00", "optedOut": false, "channel": "both"}"#),
    ("POST", "/contacts/S01/preferences-link", r#"{"days": 3}"#),
    (
        "POST",
        "/lessons",
        r#"{"lessons": [{"id": "L1", "subject": "Harp", "teacher": "Kim", "startsAt": "2026-03-12T15:00", "students": ["S01"]}]}"#,
    ),
    (
        "PUT",
        "/lessons/L1",
        r#"{"subject": "Harp", "teacher": "Kim", "startsAt": "2026-03-12T15:00Z", "students": {"contacts": ["S01"]}}"#,
    ),
    ("POST", "/lessons/L1/move", r#"{"startsAt": "2026-03-13T15:00"}"#),
    ("POST", "/lessons/L1/attendance", r#"{"contactId": "S01", "status": "Late", "recordedAt": "2026-03-10T15:00:00Z"}"#),
    ("POST", "/payments", r#"{"id": "P1", "contactId": "S01", "amount": "12.50", "dueDate": "2026-03-13", "currency": "GBP"}"#),
    ("PUT", "/payments/P1", r#"{"contactId": "S01", "amount": "1,250", "dueDate": "2026-03-13", "status": "paid"}"#),
    ("POST", "/opt-outs", r#"{"number": "(212) 555-0189", "reason": "asked", "categories": ["marketing"]}"#),
    ("POST", "/opt-outs/opt-in", r#"{"contactId": "S05", "method": "verbal"}"#),
    ("POST", "/templates", r#"{"name": "own", "category": "general", "text": "Hi {name|there}", "trade": "school"}"#),
    ("PUT", "/templates/own", r#"{"category": "general", "text": "Good day {name}", "version": 1}"#),
    ("POST", "/templates/own/preview", r#"{"contactId": "S01", "variables": {"name": "Ana"}}"#),
    ("POST", "/templates/own/rollback", r#"{"version": 1}"#),
    ("POST", "/diagnose/number", r#"{"number": "(212) 555-0188"}"#),
    ("POST", "/phone-numbers", r#"{"phoneNumber": "(206) 555-0300", "useAs": "sms"}"#),
    ("PUT", "/twilio", r#"{"accountSid": "AC0123456789abcdef0123456789abcdef", "authToken": "x", "apiKey": null}"#),
    ("PUT", "/settings", r#"{"name": "L", "timeZone": "UTC", "defaultRegion": "US", "budget": {"currency": "USD"}}"#),
    (
        "PATCH",
        "/settings",
        r#"{"types": {"lesson_reminder": {"offsets": ["24h"]}}, "prices": {"sms": "0.01", "byPrefix": {"+44": {"sms": "0.04"}}}}"#,
    ),
    (
        "PATCH",
        "/settings",
        r#"{"quietHours": {"from": "21:00", "to": "08:00"}, "keywordReplies": {"HOURS": "9 to 5"}, "alerts": {"lowBalance": "5"}}"#,
    ),
];

fn likely() -> impl Strategy<Value = Request> {
    (select(REQUESTS), twists(), damage(), 0u8..4, headers(), callers()).prop_map(
        |((method, path, body), twists, damage, is_damaged, headers, claims)| {
            let whole: Value = serde_json::from_str(body).unwrap();
            let twisted = twists.done_to(&whole).to_string().into_bytes();
            let Raw(body) = if is_damaged == 0 { damage.done_to(&twisted) } else { Raw(twisted) };
            let mut request = Request::with_body(method.parse().unwrap(), path, JSON, body);
            request.headers.extend(headers);
            Request { claims, ..request }
        },
    )
}

/// Anything, wherever the description has a route.
fn anywhere() -> impl Strategy<Value = Request> {
    let twisted = twists().prop_map(|twists| Raw(twists.done_to(&json!({})).to_string().into_bytes()));
    let param = prop_oneof![
        4 => select(WORDS).prop_map(str::to_string),
        1 => text(3),
        1 => Just("0".repeat(3_000)),
    ];
    let body = prop_oneof![raw(), twisted];
    (select(routes()), vec(param, 2), query(), headers(), callers(), body).prop_map(
        |((method, path), params, query, headers, claims, body)| {
            let path = filled(&path, &params) + &query;
            Request { method, path, headers, claims, body }
        },
    )
}

fn routes() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut routes: Vec<(Method, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        routes.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase().parse().unwrap(), path.clone())));
    }
    // Without an account at Twilio nothing would be sent any more.
    routes.retain(|(method, path)| *method != Method::DELETE || !path.ends_with("/twilio"));
    routes
}

fn filled(path: &str, params: &[String]) -> String {
    let mut params = params.iter();
    let parts = path.split('/').map(|part| match part {
        "{tenant}" => "sample".to_string(),
        _ if part.starts_with('{') => encoded(params.next().unwrap()),
        _ => part.to_string(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn query() -> impl Strategy<Value = String> {
    let pairs = vec((select(NAMES), select(WORDS)), 1..4)
        .prop_map(|pairs| format!("?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()));
    prop_oneof![Just(String::new()), pairs, "[?][!$&'()*+,;=:@/?%a-z0-9]{0,20}"]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    const HEADERS: &[(&str, &str)] = &[
        ("content-type", "application/merge-patch+json"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-type", "multipart/form-data"),
        ("content-type", "text/csv"),
        ("content-type", "text/calendar; charset=\"utf-16\""),
        ("content-type", ";"),
        ("idempotency-key", "k"),
        ("idempotency-key", ""),
        ("idempotency-key", "a key # with / what keys are made of"),
        ("if-match", "*"),
        ("if-match", "\"1\""),
        ("if-match", "W/1, x"),
        ("accept", "text/html"),
        ("accept", "application/json;q=x"),
    ];
    vec(select(HEADERS), 0..3)
}

fn callers() -> impl Strategy<Value = Option<Value>> {
    select(vec![Some("admin"), Some("admin"), Some("staff"), Some("viewer"), None]).prop_map(|role| role.map(claims))
}

#[test]
fn whatever_is_asked_is_answered_and_what_is_refused_sends_nothing() {
    let api = Api::new();
    every(350, prop_oneof![likely(), anywhere()], |request| {
        let changes_settings = request.method != Method::GET && request.path.ends_with("/settings");
        let before = api.sent();
        let answer = api.ask(request);
        prop_assert!(answer.is_honest(), "{answer:?}");
        prop_assert!(answer.status.is_success() || api.sent() == before, "{answer:?}");
        if changes_settings && answer.status.is_success() {
            api.restore_settings();
        }
        Ok(())
    });
    assert!(api.sent() > 0, "some of it was valid");
}

#[test]
fn no_price_is_too_high_to_be_counted() {
    let api = Api::new();
    let prices = json!({ "prices": { "sms": "9000000000000", "byPrefix": { "+1": { "sms": "9000000000000" } } } });
    let answer = api.ask(Request::with_body(Method::PATCH, "/settings", JSON, prices.to_string().into()));
    assert!(answer.is_honest(), "{answer:?}");
    let asked = json!({ "to": "(212) 555-0188", "body": "word ".repeat(80) });
    for path in ["/messages/preview", "/messages"] {
        let answer = api.ask(Request::with_body(Method::POST, path, JSON, asked.to_string().into()));
        assert!(answer.is_honest(), "{answer:?}");
    }
}

#[test]
fn no_limit_is_too_high_for_its_shares_to_be_counted() {
    let api = Api::new();
    for (limit, expected) in [("10000000000", StatusCode::OK), ("10000000000.000001", StatusCode::UNPROCESSABLE_ENTITY)] {
        let settings = json!({ "budget": { "monthlyLimit": limit, "alerts": [80, 100] } });
        let answer = api.ask(Request::with_body(Method::PATCH, "/settings", JSON, settings.to_string().into()));
        assert_eq!(answer.status, expected, "{limit}");
        let asked = json!({ "to": "(212) 555-0188", "body": "Hello" });
        assert!(api.ask(Request::with_body(Method::POST, "/messages", JSON, asked.to_string().into())).is_honest());
    }
}

/// Who sent it knows it, and whoever reads the answer has other things to read.
#[test]
fn what_cannot_be_right_is_not_repeated_at_length() {
    let api = Api::new();
    let long = "x".repeat(20_000);
    let repeated = json!({ "contactId": "S01", "body": "Hello", "repeat": { "cron": "0 9 * * *", "timeZone": long } });
    let requests = [
        (Method::PATCH, "/settings", json!({ "timeZone": long })),
        (Method::PATCH, "/settings", json!({ "defaultRegion": long })),
        (Method::PATCH, "/settings", json!({ "paymentTime": long })),
        (Method::PATCH, "/settings", json!({ "budget": { "currency": long } })),
        (Method::PATCH, "/settings", json!({ "types": { "lesson_reminder": { "offsets": [long] } } })),
        (Method::PATCH, "/settings", json!({ (&*long): 1 })),
        (Method::PUT, "/contacts/Z1", json!({ "name": "Zoë", "timeZone": long })),
        (Method::POST, "/messages", json!({ "contactId": "S01", "body": "Hello", "category": long })),
        (Method::POST, "/messages", json!({ "contactId": "S01", "body": "Hello", (&*long): 1 })),
        (Method::POST, "/messages", repeated),
    ];
    for (method, path, body) in requests {
        let answer = api.ask(Request::with_body(method, path, JSON, body.to_string().into()));
        assert!(answer.status.is_client_error() && answer.is_honest(), "{} of {path}", answer.status);
        assert!(answer.body.0.len() <= 4_000, "{path}: {:.100}…", String::from_utf8_lossy(&answer.body.0));
    }
}

#[test]
fn a_span_before_the_year_0_is_a_span() {
    let api = Api::new();
    let span = "from=-009998-12-20T00:00:00Z&to=-009997-01-10T00:00:00Z";
    for path in ["/messages?order=latest", "/messages?", "/lessons?", "/audit?", "/analytics/engagement?", "/opt-outs/export?"] {
        let answer = api.ask(Request::get(&format!("{path}&{span}")));
        assert!(answer.is_honest(), "{path}: {answer:?}");
    }
}
