//! The local Twilio from outside: HTTP in, callbacks out.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::http_client::{Client, REQUEST_TIMEOUT};
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{
    Account, AccountKind, AccountStatus, CALLBACK_DELAYS, CallStatus, Callback, Config, Fault, InboundMedia, InboundText,
    LocalTwilio, Receipts, Rule, Status, WebhookAnswer, sign,
};
use crate::clock::Clock;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TO: (&str, &str) = ("To", "+15551234567");
const FROM: (&str, &str) = ("From", "+15005550006");
const BODY: (&str, &str) = ("Body", "hello");
/// Where texts go.
const INBOUND: &str = "https://example.com/twilio/inbound?x=1";
const REPLY: &str = "<Response><Message>Thank you</Message></Response>";
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
        http: shared::http_client::new().into(),
    };
    let twilio = LocalTwilio::new(config).unwrap();
    twilio.add_account(Account { sid: ACCOUNT.to_owned(), auth_token: "token".to_owned(), ..Account::default() });
    twilio
}

fn start() -> Timestamp {
    "2026-11-02T09:00:00Z".parse().unwrap()
}

async fn ask(twilio: &LocalTwilio, method: Method, path: &str, form: &[(&str, &str)]) -> Response {
    let uri = format!("/2010-04-01/Accounts/{ACCOUNT}/{path}");
    ask_as(twilio, &format!("{ACCOUNT}:token"), method, &uri, form).await
}

async fn ask_as(twilio: &LocalTwilio, credentials: &str, method: Method, uri: &str, form: &[(&str, &str)]) -> Response {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let credentials = STANDARD.encode(credentials);
    let request = Request::builder()
        .method(method)
        .uri(uri)
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

/// A text to the account's number.
fn text(twilio: &LocalTwilio, body: &str) -> Callback {
    twilio.inbound(ACCOUNT, INBOUND, TO.1, FROM.1, body).unwrap()
}

fn answer(content_type: &str, body: &str) -> WebhookAnswer {
    WebhookAnswer { status: 200, content_type: Some(content_type.to_owned()), body: body.to_owned() }
}

/// Serves a webhook on a port of this machine, and gives its URL.
async fn serve(webhook: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, webhook).await });
    url
}

/// Asks a control route.
async fn control(twilio: &LocalTwilio, path: &str, body: Value) -> Value {
    json_of(control_as(twilio, Method::POST, path, body).await).await
}

async fn control_as(twilio: &LocalTwilio, method: Method, path: &str, body: Value) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    twilio.router().oneshot(request).await.unwrap()
}

/// The code of a refusal, and its HTTP status.
async fn refusal(twilio: &LocalTwilio, method: Method, path: &str, form: &[(&str, &str)]) -> (u64, u16) {
    let response = ask(twilio, method, path, form).await;
    let status = response.status().as_u16();
    (json_of(response).await["code"].as_u64().unwrap(), status)
}

/// The value of a field of everything that a page lists.
fn each<'a>(page: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    page[list].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

fn always(fault: Fault) -> Vec<Rule> {
    vec![Rule { fault, to: None, times: None, every: None }]
}

#[tokio::test(start_paused = true)]
async fn in_process_nobody_waits_for_ever_and_what_was_asked_is_done_though_nobody_waits() {
    let twilio = twilio(&Clock::at(start()), None);
    twilio.set_faults(always(Fault::Slow(40_000)));
    let http = Client::through(twilio.handler());
    let send = || {
        let url = format!("https://twilio.invalid/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
        http.send(http.post(url).basic_auth(ACCOUNT, Some("token")).form(&[TO, FROM, BODY]))
    };

    let begun = tokio::time::Instant::now();
    assert!(send().await.unwrap().bytes().await.is_err());
    assert_eq!(begun.elapsed().as_secs(), REQUEST_TIMEOUT.as_secs());
    // Whoever asks dies while Twilio is at it.
    assert!(tokio::time::timeout(Duration::from_millis(1), send()).await.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;

    assert_eq!(twilio.ledger().len(), 2);
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

#[test]
fn a_text_brings_its_media_and_what_else_is_given() {
    let twilio = twilio(&Clock::at(start()), None);
    let params = [("ButtonText", "Yes"), ("Body", "a"), ("Body", "b")];
    let text = InboundText {
        media: vec![InboundMedia { url: "https://example.com/a".to_owned(), content_type: "image/png".to_owned() }],
        params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..InboundText::new(TO.1, FROM.1, "Hi")
    };

    let brought = twilio.inbound_text(ACCOUNT, INBOUND, &text).unwrap();

    assert!(brought.message_sid().starts_with("MM"));
    let names = ["NumMedia", "NumSegments", "MediaUrl0", "MediaContentType0", "ButtonText"];
    assert_eq!(names.map(|name| param(&brought, name)), ["1", "1", "https://example.com/a", "image/png", "Yes"]);
    let bodies: Vec<&str> = brought.params.iter().filter(|(name, _)| name == "Body").map(|(_, value)| value.as_str()).collect();
    assert_eq!(bodies, ["a", "b"]);
    assert_eq!(brought.signature, sign("token", INBOUND, &brought.params));
}

#[tokio::test]
async fn what_a_webhook_answers_in_twiml_is_sent_and_reported() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    let text = text(&twilio, "Hi");
    let twiml = r#"<?xml version="1.0" encoding="UTF-8"?>
        <Response>
            <Message statusCallback="/status?id=1&amp;of=2">
                <Body>Tom &amp; Ana</Body>
                <Media>a.jpg</Media>
            </Message>
            <Message to="+15557654321">Bye</Message>
            <Message/>
        </Response>"#;

    twilio.brought(&text, &answer("Text/XML; charset=utf-8", twiml));
    let reported = callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);

    let sent = twilio.ledger();
    let told: Vec<_> = sent.iter().map(|entry| (entry.to.as_str(), entry.from.as_str(), entry.body.as_str())).collect();
    assert_eq!(told, [(TO.1, FROM.1, "Tom & Ana"), ("+15557654321", FROM.1, "Bye")]);
    assert_eq!(sent[0].media_urls, ["https://example.com/twilio/a.jpg"]);
    assert_eq!(sent[0].in_reply_to.as_deref(), Some(text.message_sid()));
    let statuses: Vec<_> = reported.iter().map(|report| (report.url.as_str(), param(report, "MessageStatus"))).collect();
    let url = "https://example.com/status?id=1&of=2";
    assert_eq!(statuses, [(url, "sent"), (url, "delivered")]);
    let shown = fetch(&twilio, &format!("Messages/{}.json", sent[0].sid)).await;
    assert_eq!((&shown["direction"], &shown["status"]), (&json!("outbound-reply"), &json!("delivered")));
}

#[test]
fn only_plain_text_and_twiml_are_sent() {
    let twilio = twilio(&Clock::at(start()), None);
    let answers = [
        ("text/plain", "OK", 1),
        ("text/plain", " \n", 0),
        ("text/html", REPLY, 1),
        ("application/json", REPLY, 0),
        ("text/xml", "<Response/>", 0),
        ("text/xml", "<Response><Message>Tom & Ana</Message></Response>", 0),
        ("text/xml", "", 0),
    ];

    for (content_type, body, sent) in answers {
        let before = twilio.ledger().len();
        twilio.brought(&text(&twilio, "Hi"), &answer(content_type, body));
        assert_eq!(twilio.ledger().len() - before, sent, "{content_type} {body}");
    }
}

#[tokio::test]
async fn a_text_is_answered_once_and_a_report_never() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    let text = text(&twilio, "Hi");
    let reply = answer("application/xml", REPLY);

    twilio.brought(&text, &WebhookAnswer { status: 500, ..reply.clone() });
    let refused = twilio.ledger().len();
    for _ in 0..2 {
        twilio.brought(&text, &reply);
    }
    submit(&twilio, "Messages.json", &[TO, FROM, BODY, STATUS_CALLBACK]).await;
    for report in callbacks(&twilio, &clock, CALLBACK_DELAYS[1]) {
        twilio.brought(&report, &reply);
    }

    assert_eq!((refused, twilio.ledger().len()), (0, 2));
}

#[test]
fn a_reply_meets_the_faults_that_come_later() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    twilio.set_faults([always(Fault::QueueFull), always(Fault::Undelivered(30003))].concat());

    twilio.brought(&text(&twilio, "Hi"), &answer("text/xml", REPLY));
    callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);

    assert_eq!((twilio.ledger()[0].status, twilio.ledger()[0].error_code), (Status::Undelivered, Some(30003)));
    assert_eq!(twilio.faults()[0].matched, 0);
}

#[tokio::test]
async fn who_texts_stop_gets_nothing_from_that_number_until_they_text_start() {
    let path = std::env::temp_dir().join(format!("carillon-blocks-{}.jsonl", std::process::id()));
    let clock = Clock::at(start());
    let before = twilio(&clock, Some(path.clone()));
    let service = format!("MG{}", "a".repeat(32));
    let stop = text(&before, " Stop\n");
    before.brought(&stop, &answer("text/xml", REPLY));

    let after = twilio(&clock, Some(path.clone()));
    let refused = json_of(ask(&after, Method::POST, "Messages.json", &[TO, FROM, BODY]).await).await;
    let by_service = [TO, ("MessagingServiceSid", service.as_str()), BODY];
    let refused_to_service = json_of(ask(&after, Method::POST, "Messages.json", &by_service).await).await;
    let accepted_before = after.ledger().len();
    submit(&after, "Messages.json", &[("To", "whatsapp:+15551234567"), ("From", "whatsapp:+15005550006"), BODY]).await;
    text(&after, "Please start");
    let still_refused = ask(&after, Method::POST, "Messages.json", &[TO, FROM, BODY]).await.status();
    text(&after, "start");
    submit(&after, "Messages.json", &[TO, FROM, BODY]).await;
    let last = twilio(&clock, Some(path.clone()));
    submit(&last, "Messages.json", &[TO, FROM, BODY]).await;

    std::fs::remove_file(path).unwrap();
    assert_eq!((&refused["code"], &refused["status"]), (&json!(21610), &json!(400)));
    assert_eq!(refused_to_service["code"], 21610);
    assert_eq!((accepted_before, still_refused), (0, StatusCode::BAD_REQUEST));
}

#[test]
fn a_call_comes_in_step_by_step() {
    let twilio = twilio(&Clock::at(start()), None);

    let ringing = twilio.inbound_call(ACCOUNT, "https://example.com/voice?x=1", TO.1, FROM.1).unwrap();
    let gathered = twilio.call_step(&ringing, "voice/menu", &[("Digits", "1")]).unwrap();
    let again = twilio.call_step(&gathered, "voice/menu", &[("Digits", "1")]).unwrap();
    let ended = twilio.call_ended(&again, "https://example.com/voice/status", 61).unwrap();

    assert!(ringing.message_sid().starts_with("CA") && ringing.message_sid().len() == 34);
    let names = ["From", "Caller", "To", "Called", "CallStatus", "Direction"];
    assert_eq!(names.map(|name| param(&ringing, name)), [TO.1, TO.1, FROM.1, FROM.1, "ringing", "inbound"]);
    assert_eq!(gathered.url, "https://example.com/voice/menu");
    assert_eq!(["CallStatus", "Digits"].map(|name| param(&gathered, name)), ["in-progress", "1"]);
    assert_ne!(gathered.idempotency_token, again.idempotency_token);
    assert_eq!(ended.message_sid(), ringing.message_sid());
    let names = ["CallStatus", "CallDuration", "Duration", "SequenceNumber", "Timestamp", "Digits"];
    let told = ["completed", "61", "2", "0", "Mon, 02 Nov 2026 09:00:00 +0000", ""];
    assert_eq!(names.map(|name| param(&ended, name)), told);
    assert_eq!(ended.signature, sign("token", "https://example.com/voice/status", &ended.params));
}

#[tokio::test]
async fn a_whole_call_is_played_over_http() {
    let twilio = twilio(&Clock::at(start()), None);
    let gather = r#"<Response><Gather action="voice/menu"><Say>Press one</Say></Gather></Response>"#;
    let webhook = Router::new()
        .route("/voice", post(move || async move { ([(CONTENT_TYPE, "text/xml")], gather) }))
        .route("/voice/menu", post(|form: String| async move { form }))
        .route("/voice/status", post(|| async { StatusCode::NO_CONTENT }));
    let url = serve(webhook).await;
    twilio.add_account(Account {
        sid: ACCOUNT.to_owned(),
        auth_token: "token".to_owned(),
        senders: vec![format!("MG{}", "a".repeat(32)), FROM.1.to_owned()],
        voice_url: Some(format!("{url}/voice")),
        voice_status_url: Some(format!("{url}/voice/status")),
        ..Account::default()
    });

    let played = control(&twilio, "/_local/call", json!({ "from": TO.1, "digits": "1" })).await;
    let without_digits = control(&twilio, "/_local/call", json!({ "from": TO.1 })).await;

    assert!(played["callSid"].as_str().unwrap().starts_with("CA"));
    assert_eq!(played["voice"], json!({ "status": 200, "contentType": "text/xml", "body": gather }));
    assert!(played["gather"]["body"].as_str().unwrap().contains("Digits=1"), "{played}");
    assert_eq!(played["status"]["status"], 204);
    assert_eq!((&without_digits["gather"], &without_digits["status"]["status"]), (&Value::Null, &json!(204)));
    let steps: Vec<&str> = twilio.attempts().iter().map(|attempt| attempt.status).collect();
    assert_eq!(steps, ["ringing", "in-progress", "completed", "ringing", "completed"]);
}

#[tokio::test]
async fn a_text_by_http_is_answered_as_one_in_process() {
    let twilio = twilio(&Clock::at(start()), None);
    let url = serve(Router::new().route("/inbound", post(|form: String| async move { form }))).await;
    twilio.add_account(Account {
        sid: ACCOUNT.to_owned(),
        auth_token: "token".to_owned(),
        senders: vec![FROM.1.to_owned()],
        inbound_url: Some(format!("{url}/inbound")),
        ..Account::default()
    });
    let media = json!([{ "url": "https://example.com/a", "contentType": "image/png" }]);
    let text = json!({ "from": TO.1, "body": "Hi", "media": media, "params": { "ButtonText": "Yes" } });

    let answered = control(&twilio, "/_local/inbound", text).await;

    let form = answered["body"].as_str().unwrap();
    assert!(form.contains("ButtonText=Yes") && form.contains("MediaContentType0=image%2Fpng"), "{form}");
    // As plain text it is sent to who wrote.
    assert_eq!((twilio.ledger()[0].to.as_str(), twilio.ledger()[0].body.as_str()), (TO.1, form));
}

/// A number that a search finds first in area code 303.
const FOR_SALE: &str = "+13035550150";
const NUMBERS: &str = "IncomingPhoneNumbers.json";

async fn buy(twilio: &LocalTwilio, number: &str) -> String {
    submit(twilio, NUMBERS, &[("PhoneNumber", number), ("SmsUrl", "https://example.com/own")]).await
}

#[tokio::test]
async fn a_number_is_found_bought_wired_and_released() {
    let twilio = twilio(&Clock::at(start()), None);
    let search = "AvailablePhoneNumbers/US/Local.json?AreaCode=303&PageSize=3";

    let found = fetch(&twilio, search).await;
    let sid = buy(&twilio, FOR_SALE).await;
    let found_then = fetch(&twilio, search).await;
    let path = format!("IncomingPhoneNumbers/{sid}.json");
    let urls = [("SmsUrl", ""), ("VoiceUrl", "https://example.com/voice#rc=3"), ("FriendlyName", "Desk")];
    let wired = json_of(ask(&twilio, Method::POST, &path, &urls).await).await;
    let fetched = fetch(&twilio, &path).await;
    let sent = submit(&twilio, "Messages.json", &[TO, ("From", FOR_SALE), BODY]).await;
    let released = ask(&twilio, Method::DELETE, &path, &[]).await.status();

    assert_eq!(each(&found, "available_phone_numbers", "phone_number"), [FOR_SALE, "+13035550151", "+13035550152"]);
    let first = &found["available_phone_numbers"][0];
    assert_eq!(first["capabilities"], json!({ "mms": true, "sms": true, "voice": true }));
    assert_eq!((&first["friendly_name"], &first["address_requirements"]), (&json!("(303) 555-0150"), &json!("none")));
    assert_eq!(each(&found_then, "available_phone_numbers", "phone_number")[0], "+13035550151");
    assert!(sid.starts_with("PN") && sid.len() == 34);
    assert_eq!((&wired["sms_url"], &wired["voice_url"]), (&json!(""), &json!("https://example.com/voice#rc=3")));
    assert_eq!((&wired["friendly_name"], &wired["phone_number"]), (&json!("Desk"), &json!(FOR_SALE)));
    assert_eq!(fetched, wired);
    assert!(sent.starts_with("SM"));
    assert_eq!(released, StatusCode::NO_CONTENT);
    assert_eq!(refusal(&twilio, Method::GET, &path, &[]).await, (20404, 404));
    assert_eq!(refusal(&twilio, Method::DELETE, &path, &[]).await, (20404, 404));
    assert_eq!(refusal(&twilio, Method::POST, "Messages.json", &[TO, ("From", FOR_SALE), BODY]).await, (21606, 400));
    assert_eq!(refusal(&twilio, Method::POST, "Calls.json", &[TO, ("From", FOR_SALE), TWIML]).await, (21210, 400));
    assert_ne!(buy(&twilio, FOR_SALE).await, sid);
}

#[tokio::test]
async fn a_search_heeds_its_filters() {
    let twilio = twilio(&Clock::at(start()), None);
    let count = async |path: &str| fetch(&twilio, path).await["available_phone_numbers"].as_array().unwrap().len();

    assert_eq!(count("AvailablePhoneNumbers/US/Local.json").await, 50);
    assert_eq!(count("AvailablePhoneNumbers/US/Local.json?AreaCode=533").await, 0);
    assert_eq!(count("AvailablePhoneNumbers/US/Local.json?AreaCode=303&PageSize=1000").await, 100);
    assert_eq!(count("AvailablePhoneNumbers/US/Local.json?AreaCode=303&Contains=%2B1303555017*").await, 10);
    assert_eq!(count("AvailablePhoneNumbers/US/Local.json?AreaCode=303&PageSize=1000&MmsEnabled=true").await, 80);
    assert_eq!(count("AvailablePhoneNumbers/US/Local.json?AreaCode=303&PageSize=1000&SmsEnabled=false").await, 10);
    assert_eq!(count("AvailablePhoneNumbers/GB/Mobile.json?SmsEnabled=true&VoiceEnabled=true").await, 50);
    assert_eq!(count("AvailablePhoneNumbers/US/TollFree.json?AreaCode=888&PageSize=2").await, 2);
    let german = fetch(&twilio, "AvailablePhoneNumbers/DE/Local.json?PageSize=1").await;
    assert_eq!(german["available_phone_numbers"][0]["address_requirements"], "local");
    let refused = async |path: &str| refusal(&twilio, Method::GET, path, &[]).await;
    assert_eq!(refused("AvailablePhoneNumbers/US/Mobile.json").await, (20404, 404));
    assert_eq!(refused("AvailablePhoneNumbers/US/Local.json?AreaCode=abc").await, (21451, 400));
    assert_eq!(refused("AvailablePhoneNumbers/US/Local.json?SmsEnabled=maybe").await, (20001, 400));
}

#[tokio::test]
async fn what_cannot_be_bought_has_twilios_code() {
    let twilio = twilio(&Clock::at(start()), None);
    let other = Account { sid: "AC2".to_owned(), senders: vec!["+15559990000".to_owned()], ..Account::default() };
    twilio.add_account(other);
    buy(&twilio, FOR_SALE).await;
    let address = format!("AD{}", "0".repeat(32));
    let cases: [(&[(&str, &str)], u64); 13] = [
        (&[], 21421),
        (&[("PhoneNumber", "+15005550000")], 21422),
        (&[("PhoneNumber", "+15005550001")], 21421),
        (&[("PhoneNumber", "3035550150")], 21421),
        (&[("PhoneNumber", "+1303555015")], 21421),
        (&[("PhoneNumber", FOR_SALE)], 21422),
        (&[("PhoneNumber", "+15559990000")], 21422),
        (&[("AreaCode", "533")], 21452),
        (&[("AreaCode", "five")], 21451),
        (&[("PhoneNumber", "+493023125050")], 21631),
        (&[("PhoneNumber", "+493023125050"), ("AddressSid", "home")], 20001),
        (&[("PhoneNumber", "+13035550151"), ("SmsUrl", "nowhere")], 21402),
        (&[("PhoneNumber", "+13035550151"), ("SmsMethod", "GET")], 21403),
    ];

    for (form, code) in cases {
        assert_eq!(refusal(&twilio, Method::POST, NUMBERS, form).await, (code, 400), "{form:?}");
    }

    submit(&twilio, NUMBERS, &[("PhoneNumber", "+493023125050"), ("AddressSid", address.as_str())]).await;
    submit(&twilio, NUMBERS, &[("AreaCode", "500")]).await;
    submit(&twilio, NUMBERS, &[("AreaCode", "303")]).await;
    let listed = fetch(&twilio, NUMBERS).await;
    let bought = ["+13035550151", FROM.1, "+493023125050", FOR_SALE];
    assert_eq!(each(&listed, "incoming_phone_numbers", "phone_number"), bought);
}

#[tokio::test]
async fn numbers_are_listed_by_pages_and_by_a_part_of_them() {
    let twilio = twilio(&Clock::at(start()), None);
    twilio.change_account(ACCOUNT, |account| account.senders = vec![FROM.1.to_owned(), format!("MG{}", "a".repeat(32))]);
    buy(&twilio, FOR_SALE).await;
    buy(&twilio, "+13035550151").await;

    let first = fetch(&twilio, "IncomingPhoneNumbers.json?PageSize=2").await;
    let next = first["next_page_uri"].as_str().unwrap().split_once(&format!("{ACCOUNT}/")).unwrap().1;
    let second = fetch(&twilio, next).await;
    let one = fetch(&twilio, "IncomingPhoneNumbers.json?PhoneNumber=%2B13035550150").await;

    assert_eq!(each(&first, "incoming_phone_numbers", "phone_number"), ["+13035550151", FOR_SALE]);
    assert_eq!(each(&second, "incoming_phone_numbers", "phone_number"), [FROM.1]);
    assert_eq!(second["next_page_uri"], Value::Null);
    assert_eq!(each(&one, "incoming_phone_numbers", "phone_number"), [FOR_SALE]);
}

#[tokio::test]
async fn what_was_bought_wired_and_released_survives_a_restart() {
    let path = std::env::temp_dir().join(format!("carillon-numbers-{}.jsonl", std::process::id()));
    let clock = Clock::at(start());
    let set_up = |account: &mut Account| {
        account.senders = vec!["+15559990000".to_owned(), "+15559990001".to_owned()];
        account.inbound_url = Some(INBOUND.to_owned());
    };
    let sids = |twilio: &LocalTwilio| -> Vec<(String, String)> {
        twilio.numbers_of(ACCOUNT).into_iter().map(|number| (number.phone_number, number.sid)).collect()
    };
    let before = twilio(&clock, Some(path.clone()));
    before.change_account(ACCOUNT, set_up);
    let initially = sids(&before);
    buy(&before, FOR_SALE).await;
    buy(&before, "+13035550151").await;
    let of = |number: &str| {
        let found = sids(&before).into_iter().find(|(known, _)| known == number).unwrap();
        format!("IncomingPhoneNumbers/{}.json", found.1)
    };
    ask(&before, Method::POST, &of("+15559990001"), &[("VoiceUrl", "https://example.com/v")]).await;
    ask(&before, Method::DELETE, &of("+15559990000"), &[]).await;
    ask(&before, Method::DELETE, &of("+13035550151"), &[]).await;

    let after = twilio(&clock, Some(path.clone()));
    after.change_account(ACCOUNT, set_up);

    let kept = after.numbers_of(ACCOUNT);
    let refused = refusal(&after, Method::POST, "Messages.json", &[TO, ("From", "+15559990000"), BODY]).await;
    submit(&after, "Messages.json", &[TO, ("From", FOR_SALE), BODY]).await;
    std::fs::remove_file(path).unwrap();
    assert_eq!(kept, before.numbers_of(ACCOUNT));
    let numbers: Vec<&str> = kept.iter().map(|number| number.phone_number.as_str()).collect();
    assert_eq!(numbers, [FOR_SALE, "+15559990001"]);
    assert_eq!(kept[1].sid, initially[1].1);
    assert_eq!(kept[1].sms_url.as_deref(), Some(INBOUND));
    assert_eq!(kept[1].voice_url.as_deref(), Some("https://example.com/v"));
    assert_eq!(after.accounts()[0].senders, ["+15559990001", FOR_SALE]);
    assert_eq!(refused, (21606, 400));
}

#[tokio::test]
async fn texts_and_calls_go_where_their_number_is_wired() {
    let twilio = twilio(&Clock::at(start()), None);
    let webhook = Router::new()
        .route("/general", post(|| async { ([(CONTENT_TYPE, "text/xml")], "<Response/>") }))
        .route("/own", post(|| async { ([(CONTENT_TYPE, "text/xml")], "<Response></Response>") }));
    let url = serve(webhook).await;
    let (general, own) = (format!("{url}/general"), format!("{url}/own"));
    twilio.change_account(ACCOUNT, |account| {
        account.senders = vec![FROM.1.to_owned()];
        account.inbound_url = Some(general.clone());
        account.voice_url = Some(general);
    });
    let second = Account { sid: "AC2".to_owned(), auth_token: "token".to_owned(), ..Account::default() };
    twilio.add_account(second);
    let uri = "/2010-04-01/Accounts/AC2/IncomingPhoneNumbers.json";
    let form = [("PhoneNumber", FOR_SALE), ("SmsUrl", own.as_str()), ("VoiceUrl", own.as_str())];
    assert_eq!(ask_as(&twilio, "AC2:token", Method::POST, uri, &form).await.status(), StatusCode::CREATED);

    let to_first = control(&twilio, "/_local/inbound", json!({ "from": TO.1, "body": "Hi" })).await;
    let to_bought = control(&twilio, "/_local/inbound", json!({ "from": TO.1, "to": FOR_SALE, "body": "Hi" })).await;
    let called = control(&twilio, "/_local/call", json!({ "from": TO.1, "to": FOR_SALE })).await;
    let wired = twilio.numbers_of("AC2").remove(0).sid;
    let uri = format!("/2010-04-01/Accounts/AC2/IncomingPhoneNumbers/{wired}.json");
    ask_as(&twilio, "AC2:token", Method::POST, &uri, &[("SmsUrl", "")]).await;
    let unwired = json!({ "from": TO.1, "to": FOR_SALE, "body": "Hi" });
    let unwired = control_as(&twilio, Method::POST, "/_local/inbound", unwired).await.status();

    assert_eq!((&to_first["body"], &to_bought["body"]), (&json!("<Response/>"), &json!("<Response></Response>")));
    assert_eq!(called["voice"]["body"], "<Response></Response>");
    assert_eq!(unwired, StatusCode::NOT_FOUND);
    let accounts: Vec<String> = twilio.inbound_texts().into_iter().map(|text| text.account_sid).collect();
    assert_eq!(accounts, [ACCOUNT, "AC2"]);
    // Without a status callback, too, it has ended.
    assert_eq!(twilio.inbound_calls()[0].status, CallStatus::Completed);
}

#[tokio::test]
async fn an_account_is_what_it_was_changed_to() {
    let twilio = twilio(&Clock::at(start()), None);
    let uri = format!("/2010-04-01/Accounts/{ACCOUNT}.json");
    let fetch_account = async || json_of(ask_as(&twilio, &format!("{ACCOUNT}:token"), Method::GET, &uri, &[]).await).await;

    let initially = fetch_account().await;
    let initial_balance = fetch(&twilio, "Balance.json").await;
    twilio.change_account(ACCOUNT, |account| account.status = AccountStatus::Suspended);
    let change = json!({ "kind": "Trial", "balance": "0.05" });
    let changed = control_as(&twilio, Method::PUT, "/_local/account", change).await.status();
    let then = fetch_account().await;
    let balance = fetch(&twilio, "Balance.json").await;
    let unknown = control_as(&twilio, Method::PUT, "/_local/account", json!({ "account": "AC9", "balance": "1" })).await.status();

    assert_eq!((&initially["status"], &initially["type"]), (&json!("active"), &json!("Full")));
    assert_eq!((&initial_balance["balance"], &initial_balance["currency"]), (&json!("100.00"), &json!("USD")));
    assert_eq!((changed, unknown), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
    assert_eq!((&then["status"], &then["type"], &balance["balance"]), (&json!("suspended"), &json!("Trial"), &json!("0.05")));
    assert_eq!(twilio.accounts()[0].kind, AccountKind::Trial);
}

#[tokio::test]
async fn an_api_key_is_good_for_everything_but_the_account() {
    let twilio = twilio(&Clock::at(start()), None);
    twilio.change_account(ACCOUNT, |account| account.api_keys = vec![("SK1".to_owned(), "secret".to_owned())]);
    let account = format!("/2010-04-01/Accounts/{ACCOUNT}.json");
    let balance = format!("/2010-04-01/Accounts/{ACCOUNT}/Balance.json");

    let refused = ask_as(&twilio, "SK1:secret", Method::GET, &account, &[]).await;
    let shown = ask_as(&twilio, "SK1:secret", Method::GET, &balance, &[]).await;

    assert_eq!((refused.status(), shown.status()), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    assert_eq!(json_of(refused).await["code"], 20003);
}

#[tokio::test]
async fn a_text_that_came_in_is_known_and_can_be_erased_piece_by_piece() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    let medium = |name: &str| InboundMedia { url: format!("https://example.com/{name}"), content_type: "image/png".to_owned() };
    let media = vec![medium("anna"), medium("bert")];
    let text = InboundText { media, ..InboundText::new("+15550109999", FROM.1, "I am Anna") };
    let sid = twilio.inbound_text(ACCOUNT, INBOUND, &text).unwrap().message_sid().to_owned();
    submit(&twilio, "Messages.json", &[("To", "+15550109999"), FROM, BODY]).await;
    let path = format!("Messages/{sid}.json");

    let shown = fetch(&twilio, &path).await;
    let all = fetch(&twilio, "Messages.json").await;
    let to_them = fetch(&twilio, "Messages.json?To=%2B15550109999").await;
    let from_them = fetch(&twilio, "Messages.json?From=%2B15550109999").await;
    let media = fetch(&twilio, &format!("Messages/{sid}/Media.json")).await;
    assert_eq!((&shown["direction"], &shown["status"]), (&json!("inbound"), &json!("received")));
    assert_eq!((&shown["body"], &shown["num_media"], &shown["from"]), (&json!("I am Anna"), &json!("2"), &json!("+15550109999")));
    assert_eq!((each(&all, "messages", "sid").len(), each(&to_them, "messages", "direction")), (2, vec!["outbound-api"]));
    assert_eq!(each(&from_them, "messages", "sid"), [sid.as_str()]);
    assert_eq!(each(&media, "media_list", "content_type"), ["image/png", "image/png"]);
    assert_eq!((twilio.ledger().len(), twilio.inbound_texts().len()), (1, 1));

    let first = format!("Messages/{sid}/Media/{}.json", each(&media, "media_list", "sid")[0]);
    let second = each(&media, "media_list", "sid")[1];
    assert_eq!(fetch(&twilio, &first).await["parent_sid"], sid.as_str());
    assert_eq!(ask(&twilio, Method::DELETE, &first, &[]).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(refusal(&twilio, Method::GET, &first, &[]).await, (20404, 404));
    assert_eq!(refusal(&twilio, Method::DELETE, &first, &[]).await, (20404, 404));
    assert_eq!(each(&fetch(&twilio, &format!("Messages/{sid}/Media.json")).await, "media_list", "sid"), [second]);
    assert_eq!(fetch(&twilio, &path).await["num_media"], "1");
    assert!(!twilio.everything().contains("example.com/anna") && twilio.everything().contains("example.com/bert"));

    assert_eq!(json_of(ask(&twilio, Method::POST, &path, &[("Body", "")]).await).await["body"], "");
    assert!(!twilio.everything().contains("I am Anna") && twilio.everything().contains("+15550109999"));

    assert_eq!(ask(&twilio, Method::DELETE, &path, &[]).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(refusal(&twilio, Method::GET, &path, &[]).await, (20404, 404));
    assert!(each(&fetch(&twilio, "Messages.json?From=%2B15550109999").await, "messages", "sid").is_empty());
    let erased = &twilio.inbound_texts()[0];
    assert!(erased.deleted && erased.from.is_empty() && erased.media_urls.is_empty());
}

#[tokio::test]
async fn of_what_was_deleted_nothing_is_told_in_either_direction() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    let them = "+15550109999";
    let message = submit(&twilio, "Messages.json", &[("To", them), FROM, ("Body", "Dear Anna")]).await;
    let call = submit(&twilio, "Calls.json", &[("To", them), FROM, TWIML]).await;
    let ringing = twilio.inbound_call(ACCOUNT, "https://example.com/voice", them, FROM.1).unwrap();
    let theirs = format!("Calls/{}.json", ringing.message_sid());
    let (message, call) = (format!("Messages/{message}.json"), format!("Calls/{call}.json"));

    let early = [refusal(&twilio, Method::DELETE, &call, &[]).await, refusal(&twilio, Method::DELETE, &theirs, &[]).await];
    callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);
    twilio.call_ended(&ringing, "https://example.com/voice/status", 61).unwrap();
    let shown = fetch(&twilio, &theirs).await;
    let listed = fetch(&twilio, "Calls.json?From=%2B15550109999").await;
    assert!(twilio.everything().contains(them) && twilio.everything().contains("Dear Anna"));
    for path in [&message, &call, &theirs] {
        assert_eq!(ask(&twilio, Method::DELETE, path, &[]).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(refusal(&twilio, Method::GET, path, &[]).await, (20404, 404));
    }

    assert_eq!(early, [(20009, 409), (20009, 409)]);
    assert_eq!(
        (&shown["direction"], &shown["status"], &shown["duration"]),
        (&json!("inbound"), &json!("completed"), &json!("61"))
    );
    assert_eq!(each(&listed, "calls", "sid"), [ringing.message_sid()]);
    assert!(!twilio.everything().contains(them) && !twilio.everything().contains("Dear Anna"));
    assert!(each(&fetch(&twilio, "Calls.json").await, "calls", "sid").is_empty());
    // Accepted it was.
    assert_eq!((twilio.ledger().len(), twilio.calls().len(), twilio.inbound_calls().len()), (1, 1, 1));
    assert_eq!((twilio.ledger()[0].to.as_str(), twilio.ledger()[0].body.as_str()), ("", ""));
    let (outbound, inbound) = (&twilio.calls()[0], &twilio.inbound_calls()[0]);
    assert_eq!((outbound.to.as_str(), outbound.twiml.as_deref(), inbound.from.as_str()), ("", None, ""));
}

#[tokio::test]
async fn a_report_that_comes_after_its_message_was_deleted_is_not_made() {
    let clock = Clock::at(start());
    let twilio = twilio(&clock, None);
    twilio.set_faults(always(Fault::ReorderedCallbacks));
    let sid = submit(&twilio, "Messages.json", &[TO, FROM, BODY, STATUS_CALLBACK]).await;

    let first = callbacks(&twilio, &clock, CALLBACK_DELAYS[0]);
    let deleted = ask(&twilio, Method::DELETE, &format!("Messages/{sid}.json"), &[]).await.status();
    let last = callbacks(&twilio, &clock, CALLBACK_DELAYS[1]);

    assert_eq!((first.len(), deleted, last.len()), (1, StatusCode::NO_CONTENT, 0));
}
