//! Every function's real program, fed events through a stand-in of the Lambda runtime API: what it answers, what it
//! writes to its log, and what it does before its first event, which is nothing.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::routing;
use bytes::Bytes;
use jiff::SignedDuration;
use local::gateway;
use local::host::{self, Host};
use local::names;
use local::simulate;
use local::twilio::Callback;
use serde_json::{Value, json};
use shared::config;
use shared::context::twilio_secret;
use shared::domain::message::Status;
use shared::domain::tenant::TenantId;
use shared::schedule::EventFailure;
use shared::secrets;
use shared::store::tenants::{self, Entry, TenantState};
use shared::telemetry::Metric;
use shared::usecases::every_tenant::RunError;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::machine::{all_messages, capture, machine, post, program, quiet_machine, root, sample, tenant};

/// Folder and program of each function.
const FUNCTIONS: [(&str, &str); 7] = [
    ("sendMessage", "send-message"),
    ("manageTenant", "manage-tenant"),
    ("scheduleLessonReminders", "schedule-lesson-reminders"),
    ("schedulePaymentReminders", "schedule-payment-reminders"),
    ("dispatchMessages", "dispatch-messages"),
    ("receiveEvents", "receive-events"),
    ("twilioWebhook", "twilio-webhook"),
];

const TRACE: &str = "Root=1-69af0c20-0102030405060708090a0b0c;Parent=0102030405060708;Sampled=1";

/// The id of the `count`th invocation of a program.
fn request_id(count: u64) -> String {
    format!("8f507cfc-0000-4000-8000-{count:012}")
}

/// Hands out events as they come, and tells when the program asks for one.
#[derive(Clone)]
struct Runtime {
    asked: UnboundedSender<()>,
    /// The events that wait, and how many were handed out.
    events: Arc<tokio::sync::Mutex<(UnboundedReceiver<Value>, u64)>>,
    answers: UnboundedSender<Value>,
}

async fn next(State(runtime): State<Runtime>) -> (HeaderMap, String) {
    let _ = runtime.asked.send(());
    let mut events = runtime.events.lock().await;
    let Some(event) = events.0.recv().await else { return std::future::pending().await };
    events.1 += 1;
    let headers = [
        ("lambda-runtime-aws-request-id", request_id(events.1)),
        ("lambda-runtime-trace-id", TRACE.into()),
        ("lambda-runtime-deadline-ms", "9999999999999".into()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:0:function:f".into()),
    ];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), HeaderValue::try_from(value).unwrap()));
    (HeaderMap::from_iter(headers), event.to_string())
}

async fn answered(State(runtime): State<Runtime>, body: String) {
    let _ = runtime.answers.send(serde_json::from_str(&body).unwrap_or(json!({ "unreadable": body })));
}

/// What one invocation brought.
struct Invoked {
    answer: Value,
    /// Its log lines, each of which names it.
    lines: Vec<Value>,
    /// What it counted, by name.
    metrics: BTreeMap<String, u64>,
}

/// A program that runs, like a Lambda execution environment.
struct Running {
    asked: UnboundedReceiver<()>,
    events: UnboundedSender<Value>,
    answers: UnboundedReceiver<Value>,
    log: NamedTempFile,
    /// So much of the log was read.
    read: usize,
    handled: u64,
    _process: Child,
}

impl Running {
    /// Starts a program, and waits until it asks for its first event.
    async fn start(name: &str, mut environment: BTreeMap<&'static str, String>) -> Self {
        let (asked, is_asked) = mpsc::unbounded_channel();
        let (events, waiting) = mpsc::unbounded_channel();
        let (answers, answered_with) = mpsc::unbounded_channel();
        let runtime = Runtime { asked, events: Arc::new(tokio::sync::Mutex::new((waiting, 0))), answers };
        let api = Router::new()
            .route("/2018-06-01/runtime/invocation/next", routing::get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", routing::post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", routing::post(answered))
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        environment.insert("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string());
        tokio::spawn(async move { axum::serve(listener, api).await });
        let log = NamedTempFile::new().unwrap();
        let out = log.reopen().unwrap();
        let err = out.try_clone().unwrap();
        let process = Command::new(built(name))
            .env_clear()
            .envs(environment)
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(err))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut running = Self { asked: is_asked, events, answers: answered_with, log, read: 0, handled: 0, _process: process };
        running.is_ready().await;
        running
    }

    async fn is_ready(&mut self) {
        within_reason(self.asked.recv()).await;
    }

    /// Hands it an event, and waits until it asks for the next: what it did with this one is done, and written, then.
    async fn handle(&mut self, event: Value) -> Invoked {
        self.handled += 1;
        self.events.send(event).unwrap();
        let answer = within_reason(self.answers.recv()).await;
        self.is_ready().await;
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        let log = log[std::mem::replace(&mut self.read, log.len())..].to_string();
        capture::search(&log);
        let (mut lines, mut metrics) = (Vec::new(), Vec::new());
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let of = if line["_aws"].is_null() { &line["span"] } else { &line };
            assert_eq!(of["requestId"], request_id(self.handled), "{line}");
            if line["_aws"].is_null() {
                assert_eq!(line["span"]["xrayTraceId"], TRACE, "{line}");
                lines.push(line);
            } else {
                metrics.push(embedded(&line));
            }
        }
        assert!(metrics.len() <= 1, "{metrics:?}");
        let metrics = metrics.pop().unwrap_or_default();
        let told = metrics.get(Metric::ErrorLines.name()).copied().unwrap_or_default();
        assert_eq!(told, lines.iter().filter(|line| line["level"] == "ERROR").count() as u64, "{lines:?}");
        Invoked { answer, lines, metrics }
    }
}

async fn within_reason<T>(what: impl Future<Output = Option<T>>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.unwrap().expect("the stand-in serves as long as the test")
}

/// The metrics of a document, which must be as the embedded metric format's specification wants it.
fn embedded(document: &Value) -> BTreeMap<String, u64> {
    let about = document["_aws"].as_object().unwrap();
    assert_eq!(about.keys().collect::<Vec<_>>(), ["CloudWatchMetrics", "Timestamp"]);
    // In milliseconds; of another millennium, and CloudWatch would not take it.
    assert!((1_500_000_000_000..10_000_000_000_000).contains(&about["Timestamp"].as_u64().unwrap()), "{document}");
    let [directive] = about["CloudWatchMetrics"].as_array().unwrap().as_slice() else { panic!("{document}") };
    assert_eq!(directive.as_object().unwrap().keys().collect::<Vec<_>>(), ["Dimensions", "Metrics", "Namespace"]);
    assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("Carillon/test"), &json!([[]])));
    let definitions = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&definitions.len()), "{document}");
    let metrics: BTreeMap<String, u64> = definitions
        .iter()
        .map(|definition| {
            let name = definition["Name"].as_str().unwrap();
            let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name).unwrap();
            assert_eq!(definition, &json!({ "Name": name, "Unit": metric.unit() }));
            (name.to_string(), document[name].as_u64().unwrap())
        })
        .collect();
    assert_eq!(document.as_object().unwrap().len(), metrics.len() + 2, "nothing else but the request's id: {document}");
    metrics
}

fn metrics(expected: &[(Metric, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(metric, value)| (metric.name().to_string(), *value)).collect()
}

/// The program, built once for all tests.
fn built(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    BUILT.lock().unwrap().entry(name.to_string()).or_insert_with(|| program(name)).clone()
}

/// What Lambda and template.yaml would say to `function`, whose AWS and Twilio are at these URLs.
fn environment(function: &str, aws: &str, twilio: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("TABLE_NAME", names::TABLE.to_string()),
        ("QUEUE_URL", format!("http://sqs.local/000000000000/{}", names::QUEUE)),
        ("EVENT_BUS", names::BUS.to_string()),
        ("PUBLIC_URL", "https://hooks.example.com".to_string()),
        ("METRICS_NAMESPACE", "Carillon/test".to_string()),
        ("TWILIO_API_BASE", twilio.to_string()),
        ("AWS_ENDPOINT_URL", aws.to_string()),
        ("AWS_REGION", "us-east-1".to_string()),
        // The local AWS knows by it whose rights the call has.
        ("AWS_ACCESS_KEY_ID", function.to_string()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "f".to_string()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_string()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "s".to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "g".to_string()),
    ])
}

/// The machine's AWS for other processes.
async fn serve_aws(host: &Host) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let aws = host.aws.clone();
    tokio::spawn(async move { aws.serve(listener).await });
    url
}

/// The function's `event.json`.
fn event(function: &str) -> Value {
    let event = std::fs::read_to_string(root().join("functions").join(function).join("event.json")).unwrap();
    serde_json::from_str(&event).unwrap()
}

/// A line of the log says `text`.
fn says(invoked: &Invoked, text: &str) -> bool {
    invoked.lines.iter().any(|line| line["fields"]["message"] == text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_answers_its_event() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    // Long before the sample's time, so that nothing is planned yet.
    let long_before = span.from - SignedDuration::from_hours(24 * 30);
    simulate::load(&host, &tenant(), &folder, long_before).await.unwrap();
    let account = json!({ "accountSid": "AC00000000000000000000000000000001", "authToken": "0123456789abcdef0123456789abcdef" });
    secrets::write(&host.cx.secrets, "carillon/tenants/sample/twilio", &account).await.unwrap();
    let aws = serve_aws(&host).await;
    let invoke = async |function: &'static str| {
        let (_, name) = FUNCTIONS.into_iter().find(|(known, _)| *known == function).unwrap();
        let mut running = Running::start(name, environment(function, &aws, &host.twilio_url)).await;
        running.handle(event(function)).await
    };

    let lessons = invoke("scheduleLessonReminders").await;
    assert!(lessons.answer["planned"].as_u64().unwrap() > 20, "{}", lessons.answer);
    assert!(says(&lessons, "lesson reminders planned") && lessons.metrics.is_empty());
    let payments = invoke("schedulePaymentReminders").await;
    assert!(payments.answer["planned"].as_u64().unwrap() >= 2, "{}", payments.answer);
    assert!(says(&payments, "payment reminders planned"));

    let moved = invoke("receiveEvents").await;
    assert_eq!(moved.answer, json!({ "messages": 2 }));
    assert_eq!(host.aws.take(names::QUEUE, 10).len(), 1, "the queue was told");

    let hinted = invoke("dispatchMessages").await;
    assert_eq!((&hinted.answer, hinted.metrics), (&json!({ "batchItemFailures": [] }), BTreeMap::new()));

    let settings = invoke("manageTenant").await.answer;
    assert_eq!(settings["statusCode"], 200, "{settings}");
    assert!(settings["body"].as_str().unwrap().contains("Linden Street"), "{settings}");

    let asked = invoke("sendMessage").await;
    assert_eq!(asked.answer["statusCode"], 202, "{}", asked.answer);
    assert!(asked.answer["body"].as_str().unwrap().contains("Pending"), "{}", asked.answer);
    // The local Twilio does not know the account.
    assert_eq!(asked.metrics, metrics(&[(Metric::NotProcessed, 1)]));
    let step = asked.lines.iter().find(|line| line["target"] == shared::telemetry::MESSAGES).unwrap();
    assert_eq!((&step["fields"]["tenant"], &step["fields"]["why"]), (&json!("sample"), &json!("20003")));
    let receipt: Value = serde_json::from_str(asked.answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(step["fields"]["id"], receipt["id"]);

    let callback = invoke("twilioWebhook").await;
    assert_eq!(callback.answer["statusCode"], 204, "{}", callback.answer);
    let unknown = callback.lines.iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(unknown["fields"]["message"], "a report on a message that does not exist");
    assert_eq!(unknown["fields"]["id"], "msg_000102030405060708090a0b0c0d0e0f");

    let all = all_messages(&host, &tenant(), span).await;
    assert!(all.iter().any(|message| message.status == Status::Canceled), "moving L04 canceled its reminders");
}

/// As Twilio calls the function URL.
fn event_of(host: &Host, callback: &Callback) -> Value {
    let (path, query) = callback.url.strip_prefix(&host.webhook_url).unwrap().split_once('?').unwrap();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-twilio-signature", callback.signature.as_str())];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let body = Bytes::from(callback.body());
    gateway::event(&Method::POST, path, Some(query), &HeaderMap::from_iter(headers), &body, None, host.clock.now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_counts_is_a_line_for_cloudwatch() {
    const GOES: &str = "+12125550001";
    const HAS_STOPPED: &str = "+12125550002";
    /// Twilio's magic number that nothing can be sent to.
    const INVALID: &str = "+15005550001";
    // A program goes by the wall's clock, which is long past the machine's: whatever is planned here is due there, and at any
    // hour of that day it may go.
    let host = quiet_machine(|_| {}).await;
    let in_an_hour = (host.clock.now() + SignedDuration::from_hours(1)).to_string();
    for to in [GOES, HAS_STOPPED, INVALID] {
        let asked = json!({ "to": to, "body": "Hello", "sendAt": in_an_hour, "category": "authentication" });
        let (status, receipt) = post(&host, "staff", "/messages", None, &asked).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    }
    let (status, said) = post(&host, "staff", "/opt-outs", None, &json!({ "number": HAS_STOPPED })).await;
    assert!(status.is_success(), "{said}");
    let aws = serve_aws(&host).await;
    let environment = |function: &str| {
        let mut environment = environment(function, &aws, &host.twilio_url);
        environment.insert("PUBLIC_URL", host.webhook_url.clone());
        environment
    };

    let mut dispatch = Running::start("dispatch-messages", environment("dispatchMessages")).await;
    let tick = host::scheduled(host.clock.now());
    let mut first = dispatch.handle(tick.clone()).await;
    let second = dispatch.handle(tick).await;

    assert_eq!(first.answer, json!({ "dispatched": 3 }));
    let late = first.metrics.remove(Metric::LateSeconds.name()).unwrap();
    assert!(late > 0, "{late}");
    let mut nothing = metrics(&Metric::OF_TICK.map(|metric| (metric, 0)));
    assert_eq!(second.metrics, nothing, "the tick says that it runs");
    nothing.remove(Metric::LateSeconds.name());
    nothing.extend(metrics(&[(Metric::Accepted, 1), (Metric::Skipped, 1), (Metric::Failed, 1)]));
    assert_eq!(first.metrics, nothing);

    let mut webhook = Running::start("twilio-webhook", environment("twilioWebhook")).await;
    let mut delivered = 0;
    while let Some(due) = host.twilio.next_callback_due() {
        host.clock.set(due);
        for callback in host.twilio.take_callbacks() {
            let is_delivery = callback.param("MessageStatus") == Some("delivered");
            let expected = if is_delivery { metrics(&[(Metric::Delivered, 1)]) } else { BTreeMap::new() };
            let told = webhook.handle(event_of(&host, &callback)).await;
            let again = webhook.handle(event_of(&host, &callback)).await;
            assert_eq!((&told.answer["statusCode"], &again.answer["statusCode"]), (&json!(204), &json!(204)));
            assert_eq!((told.metrics, again.metrics), (expected, BTreeMap::new()));
            delivered += u32::from(is_delivery);
        }
    }
    assert_eq!(delivered, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_called_before_the_first_event() {
    // A door that nobody opens: whoever knocks, waits there.
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    door.set_nonblocking(true).unwrap();
    let url = format!("http://{}", door.local_addr().unwrap());
    let knocks = || door.accept().map_err(|error| error.kind());
    for (function, name) in FUNCTIONS {
        let mut environment = environment(function, &url, &url);
        environment.insert("QUEUE_URL", format!("{url}/{}", names::QUEUE));

        // It asks for an event: starting is over.
        let running = Running::start(name, environment).await;

        assert_eq!(knocks().map(|_| ()), Err(ErrorKind::WouldBlock), "{name}");
        assert_eq!(std::fs::read_to_string(running.log.path()).unwrap(), "", "{name}");
    }
    let _knocking = std::net::TcpStream::connect(door.local_addr().unwrap()).unwrap();
    assert!(knocks().is_ok(), "whoever knocks is seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_lacks_variables_ends_and_names_them_all_in_one_line() {
    let given = ["TABLE_NAME", "AWS_REGION"];
    for (_, name) in FUNCTIONS {
        for given in [&given[..], &given[..0]] {
            let run = Command::new(built(name)).env_clear().envs(given.iter().map(|name| (*name, "x"))).output().await.unwrap();

            assert_eq!((run.status.code(), String::from_utf8(run.stderr).unwrap().as_str()), (Some(1), ""), "{name}");
            let written = String::from_utf8(run.stdout).unwrap();
            let [line] = written.lines().collect::<Vec<_>>()[..] else { panic!("{name}: {written}") };
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["level"], &line["fields"]["message"]), (&json!("ERROR"), &json!("the function cannot start")));
            let missing: Vec<&str> = config::required().into_iter().filter(|name| !given.contains(name)).collect();
            assert!(missing.len() >= 5, "{missing:?}");
            let told = format!("these environment variables are not set: {}", missing.join(", "));
            assert_eq!(line["fields"]["error"], told, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_fails_is_one_error_with_the_requests_id_and_the_program_goes_on() {
    let host = quiet_machine(|_| {}).await;
    let aws = serve_aws(&host).await;
    // Nobody's access key: what is refused here is no matter of rights.
    let mut environment = environment("nobody", &aws, &host.twilio_url);
    environment.insert("TABLE_NAME", "not-there".into());
    let mut running = Running::start("manage-tenant", environment).await;

    let failed = running.handle(event("manageTenant")).await;

    assert_eq!(failed.answer["statusCode"], 500, "{}", failed.answer);
    let errors: Vec<&Value> = failed.lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{:?}", failed.lines);
    assert_eq!(errors[0]["fields"]["message"], "a request failed");
    assert_eq!(failed.metrics, metrics(&[(Metric::ErrorLines, 1)]));

    // Of a path that is none lambda_http makes no request: it panics.
    let mut event = event("manageTenant");
    event["rawPath"] = json!(":no-port");
    let panicked = running.handle(event.clone()).await;
    let panic = panicked.lines.iter().find(|line| line["fields"]["message"] == "a panic").unwrap();
    assert!(panic["fields"]["at"].as_str().unwrap().contains("lambda_http"), "{panic}");
    let said = "InvalidPort";
    assert!(panicked.answer["errorMessage"].as_str().unwrap().contains(said), "{}", panicked.answer);
    assert!(!format!("{:?}", panicked.lines).contains(said), "what it says is for no log: {:?}", panicked.lines);

    event["rawPath"] = json!("/nothing");
    assert_eq!(running.handle(event).await.answer["statusCode"], 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_fails_is_one_error_with_its_causes() {
    let nowhere = "http://127.0.0.1:9";
    let mut running = Running::start("dispatch-messages", environment("nobody", nowhere, nowhere)).await;

    let failed = running.handle(json!({ "task": "nonsense" })).await;

    assert!(failed.answer["errorMessage"].is_string(), "{}", failed.answer);
    let [line] = failed.lines.as_slice() else { panic!("{:?}", failed.lines) };
    let told = line["fields"]["message"].as_str().unwrap();
    let cause = told.strip_prefix("this is not the JSON of an event that this function is for: ").unwrap();
    let tasks = "`askAboutSilent`, `recountDays`, `sweepExpired`, `watchHealth`";
    assert_eq!((&line["level"], cause), (&json!("ERROR"), format!("`task`: unknown variant, expected one of {tasks}").as_str()));
    assert_eq!(failed.metrics, metrics(&[(Metric::ErrorLines, 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_read_is_told_of_and_not_quoted() {
    const NAME: &str = "Annabel Quillfeather";
    capture::keep_secret(&[NAME]);
    let nowhere = "http://127.0.0.1:9";
    let mut receive = Running::start("receive-events", environment("nobody", nowhere, nowhere)).await;
    let mut dispatch = Running::start("dispatch-messages", environment("nobody", nowhere, nowhere)).await;
    let event_of = |name: &str, detail: Value| {
        let mut event = event("receiveEvents");
        (event["detail-type"], event["detail"]) = (json!(name), detail);
        event
    };
    let lesson = json!({
        "tenant": "sample", "lesson": "L1", "subject": "Violin", "teacher": "Ada", "startsAt": "2026-03-09 18:15", "students": NAME,
    });
    let mut without_time = event("receiveEvents");
    without_time["time"] = json!(NAME);

    let told = [
        receive.handle(event_of("lesson.created", lesson)).await,
        receive.handle(event_of(NAME, json!({ "tenant": "sample" }))).await,
        receive.handle(event_of(NAME, json!({ "tenant": NAME }))).await,
        receive.handle(without_time).await,
        dispatch.handle(json!({ "task": NAME })).await,
        dispatch.handle(json!({ "Records": [{ "messageId": "1", "body": { "said": NAME } }] })).await,
    ];

    // That no line shows it is looked for with every line.
    for invoked in &told {
        let [line] = invoked.lines.as_slice() else { panic!("{:?}", invoked.lines) };
        assert_eq!(line["level"], "ERROR", "{line}");
        assert!(!invoked.answer.to_string().contains(NAME), "{}", invoked.answer);
    }
    let [created, unknown, nobodys, without_time, _, hints] =
        told.map(|mut invoked| invoked.lines.pop().unwrap()["fields"].take());
    assert_eq!(created["event"], "lesson.created");
    assert_eq!(created["why"], "the event's detail does not fit its name: `students`: invalid type, expected a sequence");
    assert_eq!((&unknown["event"], &unknown["why"]), (&json!("?"), &json!("no event of this name is known")));
    assert_eq!(nobodys["event"], "?");
    let ending = |fields: &Value| fields["message"].as_str().unwrap().split_once(": ").unwrap().1.to_string();
    assert_eq!(ending(&without_time), "`time`: it cannot be read");
    assert_eq!(ending(&hints), "`Records[0].body`: invalid type, expected a string");
}

/// Adds a tenant that has no settings, and whose account cannot be read. It comes before the sample's.
async fn add_broken_tenant(host: &Host) {
    let broken = TenantId::parse("broken").unwrap();
    let mut entry = Entry {
        name: "Broken".into(),
        state: TenantState::Active,
        created_at: None,
        changed_at: None,
        changed_by: None,
        reason: None,
        job: None,
        revision: 0,
    };
    assert!(tenants::update_entry(host.cx.table().await.unwrap(), &broken, &mut entry).await.unwrap());
    let name = host.cx.config.secret(&twilio_secret(&broken));
    secrets::write(&host.cx.secrets, &name, &json!({ "accountSid": 7 })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_fails_for_one_tenant_plans_for_the_others_and_is_an_error() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    let long_before = span.from - SignedDuration::from_hours(24 * 30);
    simulate::load(&host, &tenant(), &folder, long_before).await.unwrap();
    assert_eq!(all_messages(&host, &tenant(), span).await, []);
    add_broken_tenant(&host).await;
    let aws = serve_aws(&host).await;
    let mut running =
        Running::start("schedule-lesson-reminders", environment("scheduleLessonReminders", &aws, &host.twilio_url)).await;

    let failed = running.handle(event("scheduleLessonReminders")).await;
    let planned = all_messages(&host, &tenant(), span).await.len();
    let again = running.handle(event("scheduleLessonReminders")).await;

    assert!(planned > 20, "{planned}");
    assert_eq!(all_messages(&host, &tenant(), span).await.len(), planned, "Lambda may repeat it");
    for failed in [&failed, &again] {
        let errors = failed.lines.iter().filter(|line| line["level"] == "ERROR").map(|line| &line["fields"]);
        let told: Vec<(&Value, &Value)> = errors.map(|fields| (&fields["tenant"], &fields["message"])).collect();
        let why = &failed.answer["errorMessage"];
        assert_eq!(told, [(&json!("broken"), &json!("reminders could not be planned")), (&Value::Null, why)]);
        assert!(why.as_str().unwrap().ends_with(": 1"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_for_one_tenant_is_an_error() {
    let host = quiet_machine(|_| {}).await;
    let tasks = ["askAboutSilent", "recountDays", "sweepExpired", "watchHealth"];
    for task in tasks {
        host.task(task, host.clock.now()).await.unwrap();
    }

    add_broken_tenant(&host).await;

    for task in tasks {
        let error = host.task(task, host.clock.now()).await.unwrap_err();
        assert!(matches!(error, EventFailure::Run(RunError::Tenants(1))), "{task}: {error:?}");
    }
}
