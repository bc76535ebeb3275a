//! What this machine sustains: sends through the API, calls of the webhook, and reminders, with the CPU and memory of each.
//!
//! `cargo bench -p tests --bench load`. Bounded: about 90 seconds. AWS and Twilio are another process on the same cores. What it
//! used is printed beside what we used: where cores are few, it is what limits the rates. Our CPU is that of the functions'
//! code and of making the calls, signatures included. All functions share one process, and nobody listens to their logs.

#![allow(clippy::unwrap_used)]

#[path = "webhook/accepted.rs"]
mod accepted;
#[path = "load/figures.rs"]
mod figures;
mod school;
#[allow(dead_code)] // what the other benches ask of it
mod stand_in;
#[allow(dead_code)] // likewise
mod webhook;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use accepted::accepted;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use local::gateway::{self, Functions};
use local::host::scheduled;
use local::twilio::{Account, Entry};
use serde_json::{Value, json};
use shared::context::Context;
use shared::domain::lesson::Lesson;
use shared::domain::message::{Message, MessageId, Status};
use shared::domain::tenant::{Settings, TenantId};
use shared::store::{contacts, due, lessons, messages, tenants};
use shared::{http_client, schedule};
use tokio::task::JoinSet;

use figures::{Done, Phase, resident};
use stand_in::StandIn;
use webhook::{SENDER, event, number, receipt};

/// Each waits for an answer before it asks again.
const CALLERS: usize = 64;
/// Before anything is measured: connections are made, settings and credentials read.
const WARM_UP: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(15);

/// Whose numbers these are: each phase has its own.
const SENT_TO: Range<usize> = 0..1_000_000;
const REMINDED: Range<usize> = 1_000_000..1_000_000 + MINUTES * EACH_MINUTE;
/// If all are told of before the time is over, the phase is shorter.
const TOLD_OF: Range<usize> = 2_000_000..2_060_000;
/// Messages that are written, or read, at once: the bench's own memory stays small.
const CHUNK: usize = 1_000;

/// Minutes in which reminders are due, and how many.
const MINUTES: usize = 6;
const EACH_MINUTE: usize = 4_000;
/// Contacts of one lesson.
const CLASS: usize = 20;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn settings() -> Settings {
    serde_json::from_value(json!({
        "name": "Bench", "timeZone": "America/New_York", "defaultRegion": "US",
        "senders": { "sms": SENDER },
        "budget": { "monthlyLimit": "10000.00", "currency": "USD" },
        "types": { "lesson_reminder": { "offsets": ["24h"] } },
        "prices": { "sms": "0.0079" },
        // A short code's. Single messages may run an hour ahead of their sender, here by 360,000; at the usual one a second
        // all beyond 3,600 would be put off.
        "pacing": { "sms": 100 },
        // A minute's calls may come at once. Beyond the usual 6,000 the answer would be 429.
        "requestsPerMinute": 600_000,
    }))
    .unwrap()
}

/// The functions, and what calling them takes.
struct Stack {
    cx: Arc<Context>,
    functions: Functions,
    tenant: TenantId,
    account: Account,
    start: Timestamp,
    begun: Instant,
}

impl Stack {
    async fn new(cx: Context, tenant: TenantId, start: Timestamp) -> Self {
        let cx = Arc::new(cx);
        let is_new = tenants::create(cx.table().await.unwrap(), &tenant, &settings(), None, start).await.unwrap();
        assert!(is_new);
        let known = cx.credentials(&tenant, start).await.unwrap();
        let auth_token = known.signing_tokens().next().unwrap().to_string();
        let account = Account { sid: known.account_sid.clone(), auth_token, ..Account::default() };
        Self { functions: Functions::new(&cx), cx, tenant, account, start, begun: Instant::now() }
    }

    /// The time of the stack goes as fast as ours.
    fn now(&self) -> Timestamp {
        self.start + self.begun.elapsed()
    }

    /// The HTTP API's event of a text to a number of its own, under a key of its own.
    fn asked(&self, at: usize) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::from_str(&format!("load {at}")).unwrap());
        let claims = json!({ "tenant": &self.tenant, "role": "staff", "sub": "bench" });
        let path = format!("/v1/tenants/{}/messages", self.tenant);
        let body = json!({ "to": number(at), "body": "Your violin is ready. You can pick it up until six o'clock today." });
        gateway::event(&Method::POST, &path, None, &headers, &Bytes::from(body.to_string()), Some(claims), self.now())
    }

    async fn tell(&self, message: &Message, word: &str) -> Duration {
        let event = event(&receipt(&self.account, &self.tenant, message, word), self.now());
        let begun = Instant::now();
        let response = self.functions.webhook(event).await;
        let took = begun.elapsed();
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{word}: {}", message.id);
        took
    }
}

/// Asks for a message.
async fn send(stack: Arc<Stack>, at: usize) -> [Duration; 1] {
    let event = stack.asked(at);
    let begun = Instant::now();
    let response = stack.functions.api(event).await;
    let took = begun.elapsed();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    // Neither decided against nor put off. Whether Twilio has it is no part of the answer: the ledger is asked in the end.
    assert_eq!(answer["state"], "Pending", "{answer}");
    assert_eq!(answer["dueAt"], answer["askedAt"], "{answer}");
    [took]
}

/// Tells of a message that it was sent, then that it was delivered.
async fn report(stack: Arc<Stack>, at: usize) -> [Duration; 2] {
    let message = accepted(&stack.tenant, at, stack.start);
    [stack.tell(&message, "sent").await, stack.tell(&message, "delivered").await]
}

/// Has callers do `work`, each one unit after the other, until the time is over or no unit is left. How long each call took.
async fn sustained<const CALLS: usize, F>(
    units: Range<usize>,
    time: Duration,
    work: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> Vec<Duration>
where
    F: Future<Output = [Duration; CALLS]> + Send + 'static,
{
    let deadline = Instant::now() + time;
    let Range { start, end } = units;
    let next = Arc::new(AtomicUsize::new(start));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (next, work) = (next.clone(), work.clone());
        callers.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < deadline {
                let unit = next.fetch_add(1, Ordering::Relaxed);
                if unit >= end {
                    break;
                }
                took.extend(work(unit).await);
            }
            took
        });
    }
    callers.join_all().await.concat()
}

/// Has `work` done for a while, then measures it. Answers how many units were done in all, from the first on.
async fn measure<const CALLS: usize, F>(
    what: &'static str,
    stand_in: &mut StandIn,
    units: Range<usize>,
    work: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> usize
where
    F: Future<Output = [Duration; CALLS]> + Send + 'static,
{
    let warmed = sustained(units.clone(), WARM_UP, work.clone()).await.len() / CALLS;
    let third = async {
        tokio::time::sleep(TIME / 3).await;
        resident()
    };
    let phase = Phase::begin(stand_in);
    let (latencies, at_third) = tokio::join!(sustained(units.start + warmed..units.end, TIME, work), third);
    let count = latencies.len();
    phase.end(stand_in, Done { what, count, latencies, at_third });
    warmed + count / CALLS
}

/// Sends for a while, and answers how many it were.
async fn sends(stack: &Arc<Stack>, stand_in: &mut StandIn) -> usize {
    let stack = stack.clone();
    measure("sends", stand_in, SENT_TO, move |at| send(stack.clone(), at)).await
}

/// Tells for a while of messages, all of which are delivered then.
async fn webhook_calls(stack: &Arc<Stack>, stand_in: &mut StandIn) {
    let table = stack.cx.table().await.unwrap();
    for first in TOLD_OF.step_by(CHUNK) {
        let some = (first..first + CHUNK).map(|at| accepted(&stack.tenant, at, stack.start)).collect();
        assert_eq!(messages::create(table, &stack.tenant, some).await.unwrap(), CHUNK);
    }
    let caller = stack.clone();
    let told = measure("webhook calls", stand_in, TOLD_OF, move |at| report(caller.clone(), at)).await;
    let mut delivered = 0;
    for first in TOLD_OF.step_by(CHUNK) {
        let ids: Vec<MessageId> = (first..first + CHUNK).map(|at| accepted::id(&stack.tenant, at)).collect();
        let found = messages::get_many(table, &stack.tenant, &ids).await.unwrap();
        delivered += found.iter().filter(|message| message.status == Status::Delivered).count();
    }
    assert_eq!(delivered, told, "each message that was told of was delivered, and no other");
}

/// Plans reminders that are due in minutes to come, and sends them by these minutes' ticks.
async fn reminders(stack: &Stack, stand_in: &mut StandIn) {
    let (table, tenant, settings) = (stack.cx.table().await.unwrap(), &stack.tenant, settings());
    let first = stack.start + HOUR;
    contacts::put_many(table, tenant, &school::contacts(&settings, REMINDED)).await.unwrap();
    let class = |at: usize| {
        let students = REMINDED.start + at * CLASS..REMINDED.start + (at + 1) * CLASS;
        let minute = at * CLASS / EACH_MINUTE;
        school::lesson(&settings, at, students, first + DAY + MINUTE * minute as i32)
    };
    let classes: Vec<Lesson> = (0..REMINDED.len() / CLASS).map(class).collect();
    lessons::put_many(table, tenant, &classes).await.unwrap();
    let planning = Instant::now();
    schedule::lesson_reminders(&stack.cx, scheduled(stack.now())).await.unwrap();
    let rate = REMINDED.len() as f64 / planning.elapsed().as_secs_f64();
    println!("reminders, planned by the daily job: {rate:.0} a second");

    let mut at_third = 0.0;
    let phase = Phase::begin(stand_in);
    for minute in 1..=MINUTES {
        let now = first + MINUTE * (minute - 1) as i32;
        schedule::dispatch_messages(&stack.cx, scheduled(now), now).await.unwrap();
        if minute == MINUTES / 3 {
            at_third = resident();
        }
    }
    let what = "reminders, sent by ticks";
    phase.end(stand_in, Done { what, count: REMINDED.len(), latencies: Vec::new(), at_third });
    assert_eq!(due::next_due(table, tenant).await.unwrap(), None, "nothing waits");
}

/// Looks whether Twilio has what was sent, and all reminders: each once.
async fn each_once(cx: &Context, sent: usize) {
    let url = format!("{}/_local/ledger", cx.config.twilio_api_base);
    let ledger: Vec<Entry> = http_client::new().get(url).send().await.unwrap().json().await.unwrap();
    let asked: HashSet<String> = (SENT_TO.start..SENT_TO.start + sent).chain(REMINDED).map(number).collect();
    let recipients: HashSet<String> = ledger.iter().map(|entry| entry.to.clone()).collect();
    let (lost, strange) = (asked.difference(&recipients).count(), recipients.difference(&asked).count());
    let twice = ledger.len() - recipients.len();
    assert_eq!((lost, twice, strange), (0, 0, 0), "lost, accepted more than once, never asked for");
    println!("Twilio accepted {} messages, each once", ledger.len());
}

#[tokio::main]
async fn main() {
    let start: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let tenant = TenantId::parse("bench").unwrap();
    if stand_in::is_stand_in(start, &tenant).await {
        return;
    }
    let cores = std::thread::available_parallelism().unwrap();
    println!("this machine: {cores} cores, of AWS and Twilio too, which are another process; {CALLERS} callers at once");
    let (mut stand_in, cx) = StandIn::start();
    let stack = Arc::new(Stack::new(cx, tenant, start).await);
    let sent = sends(&stack, &mut stand_in).await;
    webhook_calls(&stack, &mut stand_in).await;
    reminders(&stack, &mut stand_in).await;
    each_once(&stack.cx, sent).await;
    stand_in.stop();
}
