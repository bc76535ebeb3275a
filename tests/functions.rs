//! Every function's real program, fed its `event.json` through a stand-in of the Lambda runtime API.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use local::host::{self, Host};
use local::simulate;
use serde_json::{Value, json};
use shared::domain::message::Status;
use shared::secrets;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::machine::{all_messages, capture, machine, program, root, sample, tenant};

/// Hands out one event, then waits; keeps the answer.
#[derive(Clone)]
struct Runtime {
    event: Arc<Mutex<Option<String>>>,
    answer: Arc<Mutex<Option<oneshot::Sender<Value>>>>,
}

async fn next(State(runtime): State<Runtime>) -> (HeaderMap, String) {
    let event = runtime.event.lock().unwrap().take();
    let Some(event) = event else { return std::future::pending().await };
    let mut headers = HeaderMap::new();
    headers.insert("lambda-runtime-aws-request-id", "1".parse().unwrap());
    headers.insert("lambda-runtime-deadline-ms", "9999999999999".parse().unwrap());
    headers.insert("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:0:function:f".parse().unwrap());
    (headers, event)
}

async fn answered(State(runtime): State<Runtime>, body: String) {
    let answer = serde_json::from_str(&body).unwrap_or(json!({ "unreadable": body }));
    if let Some(sender) = runtime.answer.lock().unwrap().take() {
        let _ = sender.send(answer);
    }
}

/// Runs `program` for one event of `function` against the machine's stand-ins.
async fn invoke(host: &Host, aws: &str, function: &str, name: &str) -> Value {
    let event = std::fs::read_to_string(root().join("functions").join(function).join("event.json")).unwrap();
    let (sender, answer) = oneshot::channel();
    let runtime = Runtime { event: Arc::new(Mutex::new(Some(event))), answer: Arc::new(Mutex::new(Some(sender))) };
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(answered))
        .with_state(runtime);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, api).await });
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut process = tokio::process::Command::new(program(name))
        .env_clear()
        .envs(environment(host, aws, &address))
        .stdout(Stdio::from(log.reopen().unwrap()))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), answer).await.unwrap().unwrap();
    process.kill().await.unwrap();
    capture::search(&std::fs::read_to_string(log.path()).unwrap());
    answer
}

fn environment(host: &Host, aws: &str, runtime: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("TABLE_NAME", local::table::TABLE.to_string()),
        ("QUEUE_URL", host.cx.config.queue_url.clone()),
        ("EVENT_BUS", host::BUS.to_string()),
        ("PUBLIC_URL", "https://hooks.example.com".to_string()),
        ("TWILIO_API_BASE", host.twilio_url.clone()),
        ("AWS_ENDPOINT_URL", aws.to_string()),
        ("AWS_REGION", "us-east-1".to_string()),
        ("AWS_ACCESS_KEY_ID", "local".to_string()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_string()),
        ("AWS_LAMBDA_RUNTIME_API", runtime.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "f".to_string()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_string()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "s".to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "g".to_string()),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_answers_its_event() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    // Long before the sample's time, so that nothing is planned yet.
    let long_before = span.from - jiff::SignedDuration::from_hours(24 * 30);
    simulate::load(&host, &tenant(), &folder, long_before).await.unwrap();
    let account = json!({ "accountSid": "AC00000000000000000000000000000001", "authToken": "0123456789abcdef0123456789abcdef" });
    secrets::write(&host.cx.secrets, "carillon/tenants/sample/twilio", &account).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let aws = format!("http://{}", listener.local_addr().unwrap());
    let stand_ins = host.aws.clone();
    tokio::spawn(async move { stand_ins.serve(listener).await });
    let invoke = async |function: &str, name: &str| invoke(&host, &aws, function, name).await;

    let lessons = invoke("scheduleLessonReminders", "schedule-lesson-reminders").await;
    assert!(lessons["planned"].as_u64().unwrap() > 20, "{lessons}");
    let payments = invoke("schedulePaymentReminders", "schedule-payment-reminders").await;
    assert!(payments["planned"].as_u64().unwrap() >= 2, "{payments}");

    let moved = invoke("receiveEvents", "receive-events").await;
    assert_eq!(moved, json!({ "messages": 2 }));
    assert_eq!(host.aws.take(host::QUEUE, 10).len(), 1, "the queue was told");

    assert_eq!(invoke("dispatchMessages", "dispatch-messages").await, json!({ "batchItemFailures": [] }));

    let settings = invoke("manageTenant", "manage-tenant").await;
    assert_eq!(settings["statusCode"], 200, "{settings}");
    assert!(settings["body"].as_str().unwrap().contains("Linden Street"), "{settings}");

    let asked = invoke("sendMessage", "send-message").await;
    assert_eq!(asked["statusCode"], 202, "{asked}");
    assert!(asked["body"].as_str().unwrap().contains("Pending"), "{asked}");

    let callback = invoke("twilioWebhook", "twilio-webhook").await;
    assert_eq!(callback["statusCode"], 204, "{callback}");

    let all = all_messages(&host, &tenant(), span).await;
    assert!(all.iter().any(|message| message.status == Status::Canceled), "moving L04 canceled its reminders");
}
