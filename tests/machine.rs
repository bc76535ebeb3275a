//! A machine for tests, and the programs that a test runs as real processes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::response::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use local::clock::Clock;
use local::gateway;
use local::host::{Host, Options, Webhook};
use local::school_folder::{self, SchoolFolder};
use local::simulate::{self, Span};
use local::twilio::Account;
use serde_json::{Value, json};
use shared::domain::message::Message;
use shared::domain::money::Micros;
use shared::domain::tenant::{Settings, TenantId, Types};
use shared::store::{contacts, due, keys, messages, tenants};

pub mod capture;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The sample school, as its files are written, and the span of its `run.txt`.
pub fn sample() -> (SchoolFolder, Span) {
    folder(&root().join("infra/local/sample"))
}

pub fn folder(path: &Path) -> (SchoolFolder, Span) {
    let span = span(path);
    (school_folder::read(path, span.from, span.until).unwrap(), span)
}

pub fn span(path: &Path) -> Span {
    let run = std::fs::read_to_string(path.join("run.txt")).unwrap();
    let (from, length) = run.trim().split_once(' ').unwrap();
    let from: Timestamp = from.parse().unwrap();
    Span { from, until: from + simulate::parse_length(length).unwrap() }
}

pub fn tenant() -> TenantId {
    TenantId::parse("sample").unwrap()
}

/// A machine in memory whose clock stands at `now`. What it logs is searched for what nobody may read there.
pub async fn machine(now: Timestamp) -> Host {
    capture::start();
    Host::start(Options::in_memory(Clock::at(now))).await.unwrap()
}

/// Every message of a tenant that is due in `span` or a week after.
pub async fn all_messages(host: &Host, tenant: &TenantId, span: Span) -> Vec<Message> {
    let table = host.cx.table().await.unwrap();
    let mut all = Vec::new();
    let mut day = keys::day(span.from);
    while day <= keys::day(span.until + jiff::SignedDuration::from_hours(24 * 7)) {
        all.extend(messages::log(table, tenant, day).await.unwrap());
        day = day.tomorrow().unwrap();
    }
    all
}

/// How often each message (recipient and text) was accepted by the local Twilio.
pub fn ledger(host: &Host) -> HashMap<(String, String), usize> {
    capture::keep_ledger(host);
    let mut counts = HashMap::new();
    for entry in host.twilio.ledger() {
        *counts.entry((entry.to, entry.body)).or_default() += 1;
    }
    counts
}

/// A program of the workspace, built in the profile of this test.
pub fn program(name: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    // With the tests, so that the dependencies are those that `cargo test` has built, feature for feature.
    build.current_dir(root()).args(["build", "--workspace", "--bin", name, "--test", "it", "--quiet"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the program does not build");
    // This test lies in <target>/<profile>/deps.
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join(name)
}

/// Posts JSON to the API, as `role` of the sample school, and answers status and JSON.
pub async fn post(host: &Host, role: &str, path: &str, key: Option<&str>, body: &Value) -> (StatusCode, Value) {
    post_raw(host, role, path, key, body.to_string().into()).await
}

pub async fn post_raw(host: &Host, role: &str, path: &str, key: Option<&str>, body: Bytes) -> (StatusCode, Value) {
    let mut headers = json_headers();
    if let Some(key) = key {
        headers.insert("idempotency-key", key.parse().unwrap());
    }
    call(host, Method::POST, role, path, headers, body).await
}

pub async fn get(host: &Host, role: &str, path: &str) -> (StatusCode, Value) {
    call(host, Method::GET, role, path, HeaderMap::new(), Bytes::new()).await
}

pub async fn put(host: &Host, role: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    call(host, Method::PUT, role, path, json_headers(), body.to_string().into()).await
}

pub async fn patch(host: &Host, role: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    call(host, Method::PATCH, role, path, json_headers(), body.to_string().into()).await
}

pub async fn delete(host: &Host, role: &str, path: &str) -> (StatusCode, Value) {
    call(host, Method::DELETE, role, path, HeaderMap::new(), Bytes::new()).await
}

fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers
}

/// Posts a form as a browser does, with `file` as its `customerList` (S2-23); each has a boundary of its own.
pub async fn post_multipart(
    host: &Host,
    role: &str,
    path: &str,
    key: Option<&str>,
    fields: &[(&str, &str)],
    file: Option<(&str, &[u8])>,
) -> (StatusCode, Value) {
    static FORMS: AtomicUsize = AtomicUsize::new(0);
    let boundary = format!("----WebKitFormBoundary{:08}", FORMS.fetch_add(1, Ordering::Relaxed));
    let mut body = Vec::new();
    for (name, value) in fields {
        let field = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(field.as_bytes());
    }
    if let Some((name, bytes)) = file {
        let disposition = format!("form-data; name=\"customerList\"; filename=\"{name}\"");
        let head = format!("--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: text/csv\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("content-type", format!("multipart/form-data; boundary={boundary}").parse().unwrap());
    if let Some(key) = key {
        headers.insert("idempotency-key", key.parse().unwrap());
    }
    call(host, Method::POST, role, path, headers, body.into()).await
}

/// Puts a file, or a part of one.
pub async fn put_bytes(host: &Host, role: &str, path: &str, bytes: &[u8]) -> (StatusCode, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/octet-stream".parse().unwrap());
    call(host, Method::PUT, role, path, headers, Bytes::copy_from_slice(bytes)).await
}

/// What the API answers that is no JSON.
pub async fn get_text(host: &Host, role: &str, path: &str) -> String {
    get_page(host, role, path).await.1
}

/// The same with its headers, which may say where it goes on.
pub async fn get_page(host: &Host, role: &str, path: &str) -> (HeaderMap, String) {
    let (parts, bytes) = answer(host, Method::GET, role, path, HeaderMap::new(), Bytes::new()).await;
    (parts.headers, String::from_utf8(bytes.into()).unwrap())
}

async fn call(host: &Host, method: Method, role: &str, path: &str, headers: HeaderMap, body: Bytes) -> (StatusCode, Value) {
    let (parts, bytes) = answer(host, method, role, path, headers, body).await;
    let mut json: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if let (Some(wait), Value::Object(json)) = (parts.headers.get("retry-after"), &mut json) {
        json.insert("retryAfter".into(), wait.to_str().unwrap().into());
    }
    (parts.status, json)
}

/// Below `/v1/tenants/sample`, through the events of the gateway.
async fn answer(host: &Host, method: Method, role: &str, path: &str, headers: HeaderMap, body: Bytes) -> (Parts, Bytes) {
    capture::keep_request(&body);
    let claims = json!({ "tenant": "sample", "role": role, "sub": "user-1" });
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = format!("/v1/tenants/sample{path}");
    let event = gateway::event(&method, &path, query, &headers, &body, Some(claims), host.clock.now());
    let response = host.functions.api(event).await;
    let (parts, body) = response.into_parts();
    (parts, axum::body::to_bytes(body, usize::MAX).await.unwrap())
}

/// In New York.
const NOON: &str = "2026-03-10T16:00:00Z";

/// A machine on which nothing is planned, whose tenant has the sample's settings, changed by `change`.
/// Its clock stands at noon in New York.
pub async fn quiet_machine(change: impl FnOnce(&mut Settings)) -> Host {
    connected(unconnected_machine(change).await).await
}

/// The same, whose clock goes with the runtime's, and which waits for nothing but time: for a test whose time is paused.
/// Callbacks are for the test to bring.
pub async fn paused_machine(change: impl FnOnce(&mut Settings)) -> Host {
    capture::start();
    let clock = Clock::from(NOON.parse().unwrap());
    let options = Options { webhook: Webhook::InProcess, twilio_port: None, ..Options::in_memory(clock) };
    connected(furnished(Host::start(options).await.unwrap(), change).await).await
}

async fn connected(host: Host) -> Host {
    let settings = host.cx.settings(&tenant(), host.clock.now()).await.unwrap();
    let senders = [settings.senders.sms.clone(), settings.senders.whatsapp.clone()].into_iter().flatten().collect();
    host.connect(&tenant(), senders).await.unwrap();
    host
}

/// The same, whose tenant has no account at Twilio.
pub async fn unconnected_machine(change: impl FnOnce(&mut Settings)) -> Host {
    furnished(machine(NOON.parse().unwrap()).await, change).await
}

async fn furnished(host: Host, change: impl FnOnce(&mut Settings)) -> Host {
    let (folder, _) = sample();
    for contact in &folder.school.contacts {
        capture::keep_secret(&[&contact.name, contact.email.as_deref().unwrap_or_default()]);
        contact.numbers().into_iter().for_each(|number| capture::keep_secret(&[number.e164()]));
    }
    let mut settings = folder.school.settings;
    settings.types = Types::default();
    settings.budget.monthly_limit = Micros::parse("1000");
    settings.frequency_cap = None;
    change(&mut settings);
    let table = host.cx.table().await.unwrap();
    tenants::put_settings(table, &tenant(), &settings).await.unwrap();
    contacts::put_many(table, &tenant(), &folder.school.contacts).await.unwrap();
    host
}

/// Lets everything happen that is still to happen within `length`: callbacks, what is due, what is stuck.
pub async fn settle(host: &Host, length: SignedDuration) {
    let until = host.clock.now() + length;
    loop {
        let now = host.clock.now();
        for callback in host.twilio.take_callbacks() {
            let status = host.bring(&callback, now).await;
            assert!(status.is_success(), "{status}");
        }
        host.drain_queue(now).await.unwrap();
        host.tick(now).await.unwrap();
        let due = due::next_due(host.cx.table().await.unwrap(), &tenant()).await.unwrap();
        let next = [due, host.twilio.next_callback_due()].into_iter().flatten().min();
        match next.filter(|next| *next <= until) {
            Some(next) => host.clock.set(next.max(now + SignedDuration::from_millis(1))),
            None => break,
        }
    }
    capture::keep_ledger(host);
}

/// Every message of the sample tenant that is due around the clock's present day.
pub async fn messages_of(host: &Host) -> Vec<Message> {
    let now = host.clock.now();
    let day = SignedDuration::from_hours(24);
    all_messages(host, &tenant(), Span { from: now - day * 3, until: now + day }).await
}

/// The sample tenant's account as the local Twilio knows it, to sign what Twilio would not say by itself.
pub async fn credentials(host: &Host) -> Account {
    let known = host.cx.credentials(&tenant(), host.clock.now()).await.unwrap();
    let auth_token = known.signing_tokens().next().unwrap().to_string();
    Account { sid: known.account_sid.clone(), auth_token, ..Account::default() }
}
