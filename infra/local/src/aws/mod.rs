//! AWS on one machine: every JSON-protocol service that we call, behind one handler.
//!
//! DynamoDB is a real engine (dynoxide); Secrets Manager, SQS and EventBridge answer only the calls
//! that we make. Signatures are not checked; permissions are, by `policy`. One handler serves both the loopback
//! router and the SDK's in-process client, so whatever is true of one is true of the other. What goes wrong on the way
//! to it, if somebody wants that, is `trouble`'s.

mod dynamodb;
mod eventbridge;
mod in_process;
mod policy;
mod secrets;
mod sqs;
mod trouble;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dynoxide::Database;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub use dynamodb::Capacity;
pub use eventbridge::RecordedEvent;
pub use policy::{Permission, USES, on_behalf_of, permissions};
pub use sqs::{MessageAttribute, QueuedMessage, sqs_event};
pub use trouble::{Happened, Shares, Trouble};

use self::trouble::{Lost, Recent, Request};
use crate::clock::Clock;

/// DynamoDB accepts bodies of up to 16 MB.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The AWS of this process, and what its requests meet through this handle. Clones share everything.
#[derive(Clone)]
pub struct Aws(Arc<Inner>, Option<Arc<Trouble>>);

struct Inner {
    database: Database,
    tokens: dynamodb::Tokens,
    clock: Clock,
    /// Makes ids differ from those of an earlier start: the table remembers ids, the queues do not.
    started: Timestamp,
    last_id: AtomicU64,
    requests: Mutex<BTreeMap<String, u64>>,
    /// Once somebody asks for it: asking the engine takes time.
    capacity: Mutex<Option<Capacity>>,
    /// Once somebody meets trouble.
    recent: Mutex<Option<Recent>>,
    secrets: Mutex<secrets::Secrets>,
    queues: Mutex<sqs::Queues>,
    message_arrived: Notify,
    events: Mutex<Vec<RecordedEvent>>,
    events_refused: AtomicBool,
    event_arrived: Notify,
}

impl Aws {
    /// An AWS over `database`, with its secrets in memory and, if a file is given, in that file too.
    ///
    /// # Errors
    /// When the secrets file exists and cannot be read.
    pub fn new(database: Database, secrets_file: Option<PathBuf>, clock: Clock) -> std::io::Result<Self> {
        let inner = Inner {
            database,
            tokens: dynamodb::Tokens::default(),
            started: clock.now(),
            clock,
            last_id: AtomicU64::new(0),
            requests: Mutex::default(),
            capacity: Mutex::default(),
            recent: Mutex::default(),
            secrets: Mutex::new(secrets::Secrets::open(secrets_file)?),
            queues: Mutex::default(),
            message_arrived: Notify::new(),
            events: Mutex::default(),
            events_refused: AtomicBool::new(false),
            event_arrived: Notify::new(),
        };
        Ok(Self(Arc::new(inner), None))
    }

    /// The same AWS, met with `trouble`: for the requests of one process or of all. Whoever holds another handle meets none.
    pub fn troubled(&self, trouble: Arc<Trouble>) -> Self {
        lock(&self.0.recent).get_or_insert_default();
        Self(self.0.clone(), Some(trouble))
    }

    /// Answers one request. What is lost on the way is a gateway's time-out.
    pub async fn handle(&self, target: &str, body: &[u8]) -> Answer {
        let lost = |_: Lost| Answer { status: 504, content_type: "text/plain", body: String::new() };
        self.ask(target, body).await.unwrap_or_else(lost)
    }

    /// The same; everything comes through here, and trouble is met in this one place.
    async fn ask(&self, target: &str, body: &[u8]) -> Result<Answer, Lost> {
        let (service, operation) = target.split_once('.').unwrap_or((target, ""));
        self.count(service, operation);
        if let Err(refused) = policy::check(service, operation, body, &self.0.secrets) {
            return Ok(Answer::of(content_type(service), Err(refused)));
        }
        match &self.1 {
            Some(trouble) => trouble.meet(self, Request { service, operation, body }).await,
            None => Ok(self.perform(service, operation, body)),
        }
    }

    fn perform(&self, service: &str, operation: &str, body: &[u8]) -> Answer {
        let result = match service {
            "DynamoDB_20120810" => {
                if let Some(recent) = &mut *lock(&self.0.recent) {
                    recent.note(&self.0.database, operation, body);
                }
                return dynamodb::answer(&self.0.database, &self.0.tokens, &self.0.capacity, operation, body);
            }
            "secretsmanager" => lock(&self.0.secrets).answer(operation, body, self.0.clock.now()),
            "AmazonSQS" => self.answer_sqs(operation, body),
            "AWSEvents" => self.answer_events(operation, body),
            _ => Err(Failure::unknown_operation()),
        };
        Answer::of(content_type(service), result)
    }

    /// The handler as a router, for clients in other processes.
    pub fn router(&self) -> Router {
        Router::new().fallback(over_http).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(self.clone())
    }

    /// Serves the router until the task is dropped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(&self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    /// The handler as the HTTP client of an SDK in this process: no socket, about twice as fast.
    pub fn http_client(&self) -> SharedHttpClient {
        in_process::client(self.clone())
    }

    /// How often each operation was called since the last reset: `DynamoDB.PutItem`, `AmazonSQS.SendMessage`.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        lock(&self.0.requests).clone()
    }

    /// Everything that lies in the table, as it lies there; in no order. For tests that look behind the store.
    pub fn items(&self) -> Vec<serde_json::Value> {
        dynamodb::items(&self.0.database)
    }

    /// Starts counting anew.
    pub fn reset_requests(&self) {
        lock(&self.0.requests).clear();
    }

    /// Counts from now on, anew, what requests to the table consume.
    pub fn count_capacity(&self) {
        *lock(&self.0.capacity) = Some(Capacity::default());
    }

    /// What requests to the table have consumed since somebody began to count.
    pub fn capacity(&self) -> Capacity {
        lock(&self.0.capacity).unwrap_or_default()
    }

    fn count(&self, service: &str, operation: &str) {
        let service = service.split_once('_').map_or(service, |(name, _version)| name);
        *lock(&self.0.requests).entry(format!("{service}.{operation}")).or_default() += 1;
    }

    /// A new id in the shape of a UUID; the same in every replay of a virtual run.
    fn next_id(&self) -> String {
        let number = self.0.last_id.fetch_add(1, Ordering::SeqCst);
        let hash = digest(&SHA256, format!("{}|{number}", self.0.started).as_bytes());
        let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aws")
    }
}

/// What a service answered, whichever way the request came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    fn of(content_type: &'static str, result: Result<Value, Failure>) -> Self {
        let (status, body) = match result {
            Ok(body) => (200, body),
            Err(failure) => (failure.status, json!({ "__type": failure.code, "message": failure.message })),
        };
        Self { status, content_type, body: body.to_string() }
    }
}

/// The version of the JSON protocol that a service speaks.
fn content_type(service: &str) -> &'static str {
    match service {
        "secretsmanager" | "AWSEvents" => "application/x-amz-json-1.1",
        _ => "application/x-amz-json-1.0",
    }
}

/// An error in the words of AWS.
struct Failure {
    status: u16,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    fn unknown_operation() -> Self {
        Self::new("UnknownOperationException", "the local AWS does not know this operation")
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::new("SerializationException", error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn over_http(State(aws): State<Aws>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(policy::signer);
    let answer = match signed {
        Some(function) => on_behalf_of(function, aws.handle(target, &body)).await,
        None => aws.handle(target, &body).await,
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn aws() -> Aws {
        let clock = Clock::at("2026-11-02T09:00:00Z".parse().unwrap());
        Aws::new(Database::memory().unwrap(), None, clock).unwrap()
    }

    async fn call(aws: &Aws, target: &str, body: Value) -> (u16, Value) {
        let answer = aws.handle(target, body.to_string().as_bytes()).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    #[tokio::test]
    async fn an_unknown_target_is_refused_as_aws_does() {
        let (status, body) = call(&aws(), "AmazonEC2.RunInstances", json!({})).await;

        assert_eq!((status, body["__type"].as_str()), (400, Some("UnknownOperationException")));
    }

    #[tokio::test]
    async fn table_requests_reach_the_engine_and_are_counted() {
        let aws = aws();

        let (status, body) = call(&aws, "DynamoDB_20120810.DescribeTable", json!({ "TableName": "missing" })).await;

        assert_eq!(status, 400);
        assert!(body["__type"].as_str().unwrap().ends_with("ResourceNotFoundException"));
        assert_eq!(aws.requests(), BTreeMap::from([("DynamoDB.DescribeTable".to_owned(), 1)]));
    }

    #[tokio::test]
    async fn a_new_secret_value_leaves_the_old_one_as_previous() {
        let aws = aws();
        call(&aws, "secretsmanager.CreateSecret", json!({ "Name": "s", "SecretString": "one" })).await;

        call(&aws, "secretsmanager.PutSecretValue", json!({ "SecretId": "s", "SecretString": "two" })).await;

        let (_, current) = call(&aws, "secretsmanager.GetSecretValue", json!({ "SecretId": "s" })).await;
        let previous = json!({ "SecretId": "s", "VersionStage": "AWSPREVIOUS" });
        let (_, previous) = call(&aws, "secretsmanager.GetSecretValue", previous).await;
        assert_eq!((&current["SecretString"], &previous["SecretString"]), (&json!("two"), &json!("one")));
    }

    #[tokio::test]
    async fn a_delayed_message_waits_for_its_time() {
        let aws = aws();
        let message = json!({ "QueueUrl": "http://local/q", "MessageBody": "{}", "DelaySeconds": 60 });

        call(&aws, "AmazonSQS.SendMessage", message).await;

        assert!(aws.take("q", 10).is_empty());
        aws.0.clock.set("2026-11-02T09:01:00Z".parse().unwrap());
        assert_eq!(aws.take("http://local/q", 10).len(), 1);
    }

    #[tokio::test]
    async fn a_put_event_is_handed_on_in_its_envelope() {
        let aws = aws();
        let entry = json!({ "Source": "carillon", "DetailType": "message delivered", "Detail": "{\"id\":\"m1\"}" });

        call(&aws, "AWSEvents.PutEvents", json!({ "Entries": [entry] })).await;

        let envelope = aws.take_events()[0].envelope();
        assert_eq!((&envelope["detail"]["id"], &envelope["detail-type"]), (&json!("m1"), &json!("message delivered")));
        assert_eq!(envelope["time"], "2026-11-02T09:00:00Z");
    }
}
