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
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{
    Account, CALLBACK_DELAYS, CallStatus, Callback, Config, Fault, InboundMedia, InboundText, LocalTwilio, Receipts, Rule,
    Status, WebhookAnswer, sign,
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
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    json_of(twilio.router().oneshot(request).await.unwrap()).await
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
