//! The local Twilio from outside: HTTP in, callbacks out.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceExt;

use super::{Account, CALLBACK_DELAYS, CallStatus, Callback, Config, Fault, LocalTwilio, Receipts, Rule, Status, sign};
use crate::clock::Clock;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TO: (&str, &str) = ("To", "+15551234567");
const FROM: (&str, &str) = ("From", "+15005550006");
const TWIML: (&str, &str) = ("Twiml", "<Response><Say>Your lesson is at five.</Say></Response>");
const STATUS_CALLBACK: (&str, &str) = ("StatusCallback", "https://example.com/status?id=1#rc=3");
const EVERY_EVENT: [(&str, &str); 4] = [
    ("StatusCallbackEvent", "initiated"),
    ("StatusCallbackEvent", "ringing"),
    ("StatusCallbackEvent", "answered"),
    ("StatusCallbackEvent", "completed"),
];

/// A Twilio with one account, at whose clock everything stands still.
pub(super) fn twilio(clock: &Clock, ledger_file: Option<PathBuf>) -> LocalTwilio {
    reporting(clock, ledger_file, Receipts::Each)
}

fn reporting(clock: &Clock, ledger_file: Option<PathBuf>, receipts: Receipts) -> LocalTwilio {
    let config = Config {
        ledger_file,
        segments: |_| 1,
        clock: clock.clone(),
        callback_delays: CALLBACK_DELAYS,
        receipts,
        seed: 0,
        http: shared::http_client::new(),
    };
    let twilio = LocalTwilio::new(config).unwrap();
    twilio.add_account(Account { sid: ACCOUNT.to_owned(), auth_token: "token".to_owned(), ..Account::default() });
    twilio
}

fn start() -> Timestamp {
    "2026-11-02T09:00:00Z".parse().unwrap()
}

async fn ask(twilio: &LocalTwilio, method: Method, path: &str, form: &[(&str, &str)]) -> Response {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let credentials = STANDARD.encode(format!("{ACCOUNT}:token"));
    let request = Request::builder()
        .method(method)
        .uri(format!("/2010-04-01/Accounts/{ACCOUNT}/{path}"))
        .header(AUTHORIZATION, format!("Basic {credentials}"))
        .body(Body::from(body))
        .unwrap();
    twilio.router().oneshot(request).await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

/// Submits what is accepted, and gives its SID.
async fn submit(twilio: &LocalTwilio, resource: &str, form: &[(&str, &str)]) -> String {
    let response = ask(twilio, Method::POST, resource, form).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    json_of(response).await["sid"].as_str().unwrap().to_owned()
}

async fn fetch(twilio: &LocalTwilio, path: &str) -> Value {
    json_of(ask(twilio, Method::GET, path, &[]).await).await
}

/// What is reported until `after` from the start.
fn callbacks(twilio: &LocalTwilio, clock: &Clock, after: Duration) -> Vec<Callback> {
    clock.set(start() + after);
    twilio.take_callbacks()
}

fn param<'a>(callback: &'a Callback, name: &str) -> &'a str {
    callback.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// The statuses of calls, each with its sequence number.
fn numbered(callbacks: &[Callback]) -> Vec<(&str, &str)> {
    callbacks.iter().map(|callback| (param(callback, "CallStatus"), param(callback, "SequenceNumber"))).collect()
}

fn always(fault: Fault) -> Vec<Rule> {
    vec![Rule { fault, to: None, times: None, every: None }]
}

#[tokio::test]
async fn a_call_is_reported_from_its_start_to_its_end() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    let mut form = vec![TO, FROM, TWIML, STATUS_CALLBACK, ("MachineDetection", "Enable")];
    form.extend(EVERY_EVENT);

    let sid = submit(&twilio, "Calls.json", &form).await;
    let created = fetch(&twilio, &format!("Calls/{sid}.json")).await;
    let first = callbacks(&twilio, &clock, CALLBACK_DELAYS[0]);
    let last = callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);
    let completed = fetch(&twilio, &format!("Calls/{sid}.json")).await;

    assert!(sid.starts_with("CA") && sid.len() == 34);
    assert_eq!(created["status"], "queued");
    assert_eq!((&created["duration"], &created["start_time"]), (&Value::Null, &Value::Null));
    assert_eq!(numbered(&first), [("initiated", "0"), ("ringing", "1"), ("in-progress", "2")]);
    assert_eq!(numbered(&last), [("completed", "3")]);
    let end = &last[0];
    assert_eq!(end.message_sid(), sid);
    assert_eq!(["CallDuration", "Duration", "SipResponseCode"].map(|name| param(end, name)), ["5", "1", "200"]);
    assert_eq!(["AnsweredBy", "CallbackSource"].map(|name| param(end, name)), ["human", "call-progress-events"]);
    assert_eq!(param(end, "Timestamp"), "Mon, 02 Nov 2026 09:00:01 +0000");
    assert_eq!(end.signature, sign("token", "https://example.com/status?id=1", &end.params));
    assert_eq!(completed["status"], "completed");
    assert_eq!(completed["duration"], "5");
}

#[tokio::test]
async fn a_busy_line_ends_calls_and_spares_messages() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    twilio.set_faults(always(Fault::Busy));

    submit(&twilio, "Calls.json", &[TO, FROM, TWIML, STATUS_CALLBACK]).await;
    submit(&twilio, "Messages.json", &[TO, FROM, ("Body", "hello")]).await;
    let reported = callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);

    assert_eq!(numbered(&reported), [("busy", "0")]);
    assert_eq!(["CallDuration", "Duration"].map(|name| param(&reported[0], name)), ["0", "0"]);
    assert_eq!(twilio.calls()[0].status, CallStatus::Busy);
    assert_eq!(twilio.ledger()[0].status, Status::Delivered);
}

#[tokio::test]
async fn a_call_meets_the_faults_of_a_submission() {
    let twilio = twilio(&Clock::at(start()), None);
    let mut answers = Vec::new();

    for fault in [Fault::DropBeforeAccept, Fault::TooManyRequests, Fault::Unavailable, Fault::ServerErrorAfterAccept] {
        twilio.set_faults(always(fault));
        let status = ask(&twilio, Method::POST, "Calls.json", &[TO, FROM, TWIML]).await.status();
        answers.push((status.as_u16(), twilio.calls().len()));
    }

    assert_eq!(answers, [(500, 0), (429, 0), (503, 0), (500, 1)]);
}

#[tokio::test]
async fn of_a_call_too_only_the_end_is_reported_if_that_is_wished() {
    let clock = Clock::at(start());
    let twilio = reporting(&clock, None, Receipts::Last);
    let mut form = vec![TO, FROM, TWIML, STATUS_CALLBACK];
    form.extend(EVERY_EVENT);

    submit(&twilio, "Calls.json", &form).await;
    let reported = callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);

    assert_eq!(numbered(&reported), [("completed", "3")]);
}

#[tokio::test]
async fn a_restarted_process_finishes_a_call() {
    let path = std::env::temp_dir().join(format!("carillon-calls-{}.jsonl", std::process::id()));
    let clock = Clock::at(start());
    let before = twilio(&clock, Some(path.clone()));
    let sid = submit(&before, "Calls.json", &[TO, FROM, TWIML, STATUS_CALLBACK]).await;
    assert!(callbacks(&before, &clock, CALLBACK_DELAYS[0]).is_empty());

    let after = twilio(&clock, Some(path.clone()));
    let left = after.calls();
    let reported = callbacks(&after, &clock, CALLBACK_DELAYS[0] + CALLBACK_DELAYS[1]);

    std::fs::remove_file(path).unwrap();
    assert_eq!((left[0].sid.as_str(), left[0].status), (sid.as_str(), CallStatus::InProgress));
    assert_eq!(numbered(&reported), [("completed", "0")]);
}

#[tokio::test]
async fn calls_are_listed_by_pages_newest_first() {
    let twilio = twilio(&Clock::at(start()), None);
    let mut sids = Vec::new();
    for _ in 0..3 {
        sids.push(submit(&twilio, "Calls.json", &[TO, FROM, TWIML]).await);
    }

    let first = fetch(&twilio, "Calls.json?To=%2B15551234567&Status=queued&StartTime%3E=2026-11-02&PageSize=2").await;
    let next = first["next_page_uri"].as_str().unwrap().split_once(&format!("{ACCOUNT}/")).unwrap().1;
    let second = fetch(&twilio, next).await;
    let none = fetch(&twilio, "Calls.json?Status=completed").await;

    let listed = |page: &Value| -> Vec<String> {
        page["calls"].as_array().unwrap().iter().map(|call| call["sid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&first), [sids[2].clone(), sids[1].clone()]);
    assert_eq!(listed(&second), [sids[0].clone()]);
    assert_eq!(second["next_page_uri"], Value::Null);
    assert!(listed(&none).is_empty());
}

#[tokio::test]
async fn a_message_is_redacted_but_neither_rewritten_nor_canceled() {
    let twilio = twilio(&Clock::at(start()), None);
    let sid = submit(&twilio, "Messages.json", &[TO, FROM, ("Body", "hello")]).await;
    let path = format!("Messages/{sid}.json");

    let canceled = json_of(ask(&twilio, Method::POST, &path, &[("Status", "canceled")]).await).await;
    let rewritten = json_of(ask(&twilio, Method::POST, &path, &[("Body", "good-bye")]).await).await;
    let kept = fetch(&twilio, &path).await;
    let redacted = ask(&twilio, Method::POST, &path, &[("Body", "")]).await;

    assert_eq!((&canceled["code"], &canceled["status"]), (&Value::from(30409), &Value::from(400)));
    assert_eq!((&rewritten["code"], &rewritten["status"]), (&Value::from(20001), &Value::from(400)));
    assert_eq!(kept["body"], "hello");
    assert_eq!(redacted.status(), StatusCode::OK);
    assert_eq!(json_of(redacted).await["body"], "");
}

#[tokio::test]
async fn a_message_is_deleted_once_it_is_final() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    let sid = submit(&twilio, "Messages.json", &[TO, FROM, ("Body", "hello")]).await;
    let path = format!("Messages/{sid}.json");

    let early = ask(&twilio, Method::DELETE, &path, &[]).await;
    callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);
    let deleted = ask(&twilio, Method::DELETE, &path, &[]).await;
    let fetched = ask(&twilio, Method::GET, &path, &[]).await;
    let listed = fetch(&twilio, "Messages.json").await;

    assert_eq!(early.status(), StatusCode::CONFLICT);
    assert_eq!(json_of(early).await["code"], 20009);
    assert_eq!((deleted.status(), fetched.status()), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
    assert_eq!(listed["messages"], Value::Array(Vec::new()));
    assert!(twilio.ledger()[0].deleted);
}

#[tokio::test]
async fn each_media_url_is_listed() {
    let twilio = twilio(&Clock::at(start()), None);
    let urls = ["https://example.com/a.jpg", "https://example.com/b.jpg"];

    let sid = submit(&twilio, "Messages.json", &[TO, FROM, ("MediaUrl", urls[0]), ("MediaUrl", urls[1])]).await;
    let page = fetch(&twilio, &format!("Messages/{sid}/Media.json")).await;

    assert!(sid.starts_with("MM"));
    assert_eq!(twilio.ledger()[0].media_urls, urls);
    let media = page["media_list"].as_array().unwrap();
    assert_eq!(media.len(), 2);
    assert!(media[0]["sid"].as_str().unwrap().starts_with("ME") && media[0]["sid"] != media[1]["sid"]);
    assert_eq!(media[0]["content_type"], "image/jpeg");
}

#[tokio::test]
async fn a_submission_is_told_how_many_are_under_way() {
    let twilio = twilio(&Clock::at(start()), None);

    let call = ask(&twilio, Method::POST, "Calls.json", &[TO, FROM, TWIML]).await;
    let refused = ask(&twilio, Method::POST, "Messages.json", &[]).await;
    let list = ask(&twilio, Method::GET, "Calls.json", &[]).await;

    assert_eq!(call.headers()["twilio-concurrent-requests"], "1");
    assert_eq!(refused.headers()["twilio-concurrent-requests"], "1");
    assert!(!list.headers().contains_key("twilio-concurrent-requests"));
}
