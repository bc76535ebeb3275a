//! The process that is measured: a stack, each of whose functions has a memory of its own, and what it is made to do.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use local::gateway::{self, Functions};
use local::host::scheduled;
use local::template::Function;
use local::twilio::Account;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::context::Context;
use shared::domain::message::{Message, MessageId, Status};
use shared::domain::tenant::{Settings, TenantId};
use shared::store::campaigns::{self, Stage};
use shared::store::{contacts, keys, lessons, messages, tenants};
use shared::{schedule, telemetry};
use tracing::Instrument;

use super::prices::{self, Stored};
use super::said::{COUNT, HOURS_AFTER, Kind, NIGHTS_AFTER, Said, say};
use super::school;
use super::stand_in::{StandIn, cpu};
use super::webhook::{SENDER, at_once, event, number, receipt, text};
use super::work::Work;

/// Reminders that are due alone in their minute.
const LONE: usize = 60;
/// Contacts of one lesson.
const CLASS: usize = 20;
/// Minutes, hours and nights with nothing to do.
const TICKS: usize = 300;
const HOURS: usize = 240;
const NIGHTS: usize = 20;
/// More than messages are kept.
const DAYS_KEPT: i32 = 402;
/// How Twilio tells of a message, and of one a second.
const REPORTS: [&str; 3] = ["queued", "sent", "delivered"];
const BETWEEN_REPORTS: SignedDuration = SignedDuration::from_millis(333);

const TEXT: &str = "Your violin is ready. You can pick it up until six o'clock today, or tomorrow morning.";
const CAMPAIGN: &str = "Bench: Hi {customer_name}, your table is waiting! Reply STOP to opt out.";
const QUESTION: &str = "hours";

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How a function came to work.
#[derive(Clone, Copy, Default)]
struct Ran {
    /// Of the kind.
    units: usize,
    invocations: usize,
    /// Of these, by the queue.
    of_queue: usize,
    /// Requests to Twilio that are no message.
    asked: usize,
}

impl Ran {
    /// Once for each unit.
    fn each(units: usize) -> Self {
        Self { units, invocations: units, ..Self::default() }
    }

    /// Once for all of them.
    fn once(units: usize) -> Self {
        Self { units, invocations: 1, ..Self::default() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consumed {
    requests: BTreeMap<String, f64>,
    read_units: f64,
    write_units: f64,
    index_write_units: f64,
    refused_writes: f64,
    events: f64,
    accepted: f64,
}

/// Counts between `begin` and `end`.
struct Bench {
    stand_in: StandIn,
    accepted: f64,
    cpu: Duration,
}

impl Bench {
    fn new(stand_in: StandIn) -> Self {
        Self { stand_in, accepted: 0.0, cpu: Duration::ZERO }
    }

    fn consumed(&mut self) -> Consumed {
        serde_json::from_str(&self.stand_in.ask("consumed")).unwrap()
    }

    fn begin(&mut self) {
        self.accepted = self.consumed().accepted;
        say(&Said::Begun);
        self.cpu = cpu();
    }

    fn end(&mut self, kind: Kind, function: Function, ran: Ran) {
        let spent = cpu() - self.cpu;
        let consumed = self.consumed();
        let mut work = Work {
            invocations: ran.invocations as f64,
            of_queue: ran.of_queue as f64,
            cpu_ms: spent.as_secs_f64() * 1000.0,
            requests: consumed.requests,
            read_units: consumed.read_units,
            write_units: consumed.write_units,
            index_write_units: consumed.index_write_units,
            refused_writes: consumed.refused_writes,
            events: consumed.events,
            twilio: consumed.accepted - self.accepted + ran.asked as f64,
            ..Work::default()
        };
        work.wait_ms = prices::wait_ms(&work);
        say(&Said::Done { kind, function: function.name().into(), units: ran.units, work });
    }

    /// Messages that Twilio has.
    fn accepted(&mut self) -> usize {
        self.stand_in.ask("accepted").parse().unwrap()
    }

    /// The next event of the queue.
    fn queued(&mut self) -> Option<Value> {
        let event: Value = serde_json::from_str(&self.stand_in.ask("queued")).unwrap();
        (!event.is_null()).then_some(event)
    }

    fn stored(&mut self) -> Stored {
        serde_json::from_str(&self.stand_in.ask("stored")).unwrap()
    }
}

fn settings() -> Settings {
    serde_json::from_value(json!({
        "name": "Bench", "timeZone": "America/New_York", "defaultRegion": "US",
        "senders": { "sms": SENDER },
        "budget": { "monthlyLimit": "10000.00", "currency": "USD" },
        "types": { "lesson_reminder": { "offsets": ["24h"] } },
        "pacing": { "sms": 10 },
        "keywordReplies": { QUESTION: "We are open from nine to five, and on Saturdays until noon." },
    }))
    .unwrap()
}

/// What a stack does that has nothing to do: without a tenant, and with one.
async fn idle(now: Timestamp, tenant: &TenantId) {
    let (stand_in, cx) = StandIn::start();
    let mut bench = Bench::new(stand_in);
    let dispatch = Context::new(cx.config.clone());
    dispatch_at(&dispatch, now).await;
    bench.begin();
    for minute in 1..=TICKS {
        dispatch_at(&dispatch, now + MINUTE * minute as i32).await;
    }
    bench.end(Kind::Tick, Function::DispatchMessages, Ran::each(TICKS));
    hours_and_nights(&mut bench, &cx, 0, now).await;
    let is_new = tenants::create(cx.table().await.unwrap(), tenant, &settings(), None, now).await.unwrap();
    assert!(is_new);
    hours_and_nights(&mut bench, &cx, 1, now).await;
    bench.stand_in.stop();
}

async fn hours_and_nights(bench: &mut Bench, cx: &Context, count: u32, now: Timestamp) {
    let process = || Context::new(cx.config.clone());
    let (dispatch, kind) = (process(), Kind::Hour(count));
    bench.begin();
    for hour in 1..=HOURS {
        task(&dispatch, "watchHealth", now + HOUR * hour as i32).await;
    }
    bench.end(kind, Function::DispatchMessages, Ran { asked: HOURS * count as usize, ..Ran::each(HOURS) });
    let (dispatch, lessons, payments, kind) = (process(), process(), process(), Kind::Night(count));
    let nights = || (1..=NIGHTS).map(|night| now + DAY * night as i32);
    bench.begin();
    for night in nights() {
        nightly(&dispatch, night).await;
    }
    bench.end(kind, Function::DispatchMessages, Ran { invocations: 3 * NIGHTS, ..Ran::each(NIGHTS) });
    bench.begin();
    for night in nights() {
        invoke(schedule::lesson_reminders(&lessons, scheduled(night))).await.unwrap();
    }
    bench.end(kind, Function::ScheduleLessonReminders, Ran::each(NIGHTS));
    bench.begin();
    for night in nights() {
        invoke(schedule::payment_reminders(&payments, scheduled(night))).await.unwrap();
    }
    bench.end(kind, Function::SchedulePaymentReminders, Ran::each(NIGHTS));
}

/// Does `work` as `lambda_runtime` has it done: in a span whose ids stand in each line.
async fn invoke<F: Future>(work: F) -> F::Output {
    const REQUEST: &str = "8f507cfc-xmpl-4697-b07a-ac58fc914c95";
    const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    work.instrument(tracing::info_span!("Lambda runtime invoke", requestId = REQUEST, xrayTraceId = TRACE)).await
}

async fn dispatch(cx: &Context, event: Value, now: Timestamp) {
    invoke(schedule::dispatch_messages(cx, event, now)).await.unwrap();
}

async fn dispatch_at(cx: &Context, now: Timestamp) {
    dispatch(cx, scheduled(now), now).await;
}

async fn task(cx: &Context, name: &str, now: Timestamp) {
    dispatch(cx, json!({ "task": name }), now).await;
}

/// What is done each night, an hour after another.
async fn nightly(cx: &Context, first: Timestamp) {
    task(cx, "askAboutSilent", first).await;
    task(cx, "recountDays", first + HOUR).await;
    task(cx, "sweepExpired", first + HOUR * 2).await;
}

/// A stack with a tenant that sends. Each function is a process with its own memory.
struct Stack {
    bench: Bench,
    /// Of whoever sets things up and looks at them: not measured.
    cx: Context,
    tenant: TenantId,
    account: Account,
    send: Functions,
    manage: Functions,
    webhook: Functions,
    plan: Context,
    dispatch: Context,
    /// Messages that were told of.
    told: HashSet<MessageId>,
}

impl Stack {
    async fn start(now: Timestamp, tenant: &TenantId) -> Self {
        let (stand_in, cx) = StandIn::start();
        let is_new = tenants::create(cx.table().await.unwrap(), tenant, &settings(), None, now).await.unwrap();
        assert!(is_new);
        let known = cx.credentials(tenant, now).await.unwrap();
        let auth_token = known.signing_tokens().next().unwrap().to_string();
        let account = Account { sid: known.account_sid.clone(), auth_token, ..Account::default() };
        let process = || Context::new(cx.config.clone());
        let functions = || Functions::new(&Arc::new(process()));
        Self {
            bench: Bench::new(stand_in),
            tenant: tenant.clone(),
            account,
            send: functions(),
            manage: functions(),
            webhook: functions(),
            plan: process(),
            dispatch: process(),
            told: HashSet::new(),
            cx,
        }
    }

    /// A request of the API as its event.
    fn asked(&self, path: &str, key: &str, body: &Value, now: Timestamp) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        let claims = json!({ "tenant": &self.tenant, "role": "staff", "sub": "bench" });
        let path = format!("/v1/tenants/{}{path}", self.tenant);
        gateway::event(&Method::POST, &path, None, &headers, &Bytes::from(body.to_string()), Some(claims), now)
    }

    /// Notes what lies more in the table than `before`.
    fn kept(&mut self, kind: Kind, units: usize, before: Stored) {
        let stored = self.bench.stored().without(before);
        say(&Said::Kept { kind, units, stored });
    }

    /// Three reports of each message that went on the day of `from`.
    async fn reported(&mut self, kind: Kind, from: Timestamp) {
        let all = messages::log(self.cx.table().await.unwrap(), &self.tenant, keys::day(from)).await.unwrap();
        let went = |message: &Message| message.inbound.is_none() && message.status > Status::Sending;
        let new: Vec<Message> = all.into_iter().filter(|message| went(message) && !self.told.contains(&message.id)).collect();
        let mut events = Vec::new();
        for word in REPORTS {
            for (at, message) in new.iter().enumerate() {
                // The SID of an automatic answer comes with its first report.
                let sid = message.sid.clone().unwrap_or_else(|| format!("SM8{at:031}"));
                let message = Message { sid: Some(sid), ..message.clone() };
                let callback = receipt(&self.account, &self.tenant, &message, word);
                events.push(event(&callback, from + BETWEEN_REPORTS * events.len() as i32));
            }
        }
        let (units, invocations) = (new.len(), events.len());
        self.told.extend(new.into_iter().map(|message| message.id));
        self.bench.begin();
        bring(&self.webhook, events, StatusCode::NO_CONTENT).await;
        self.bench.end(kind, Function::TwilioWebhook, Ran { units, invocations, ..Ran::default() });
        let expected = if kind == Kind::LoneReminder { LONE } else { COUNT };
        assert_eq!(units, expected, "{kind:?}");
    }

    async fn single_texts(&mut self, from: Timestamp) {
        let before = self.bench.stored();
        let asked = |at: usize| {
            let body = json!({ "to": number(at), "body": TEXT });
            self.asked("/messages", &format!("single {at}"), &body, from + SignedDuration::from_secs(at as i64))
        };
        let events: Vec<Value> = (0..COUNT).map(asked).collect();
        self.bench.begin();
        for event in events {
            answered(invoke(self.send.api(event)).await, StatusCode::ACCEPTED).await;
        }
        self.bench.end(Kind::Single, Function::SendMessage, Ran::each(COUNT));
        self.reported(Kind::Single, from).await;
        self.kept(Kind::Single, COUNT, before);
    }

    /// What the hourly and the nightly tasks have to do for messages that went at `from`.
    async fn follow(&mut self, from: Timestamp) {
        self.bench.begin();
        for hour in 1..=HOURS_AFTER {
            task(&self.dispatch, "watchHealth", from + HOUR * hour as i32).await;
        }
        let ran = Ran { invocations: HOURS_AFTER, asked: HOURS_AFTER, ..Ran::once(COUNT) };
        self.bench.end(Kind::HoursAfter, Function::DispatchMessages, ran);
        self.bench.begin();
        for night in 1..=NIGHTS_AFTER {
            // Half past three, if it began at six.
            nightly(&self.dispatch, from - HOUR * 14 - MINUTE * 30 + DAY * night as i32).await;
        }
        let ran = Ran { invocations: 3 * NIGHTS_AFTER, ..Ran::once(COUNT) };
        self.bench.end(Kind::NightsAfter, Function::DispatchMessages, ran);
    }

    async fn list(&mut self, from: Timestamp) {
        let before = self.bench.stored();
        let accepted = self.bench.accepted();
        let recipients: Vec<String> = (COUNT..2 * COUNT).map(number).collect();
        let asked = self.asked("/messages/bulk", "list", &json!({ "recipients": recipients, "body": TEXT }), from);
        self.bench.begin();
        let receipt = answered(invoke(self.send.api(asked)).await, StatusCode::ACCEPTED).await;
        self.bench.end(Kind::Listed, Function::SendMessage, Ran::once(COUNT));
        assert_eq!(receipt["accepted"], COUNT);
        while let Some(event) = self.bench.queued() {
            self.bench.begin();
            dispatch(&self.dispatch, event, from).await;
            self.bench.end(Kind::Listed, Function::DispatchMessages, Ran { of_queue: 1, ..Ran::once(COUNT) });
        }
        let mut now = from;
        while self.bench.accepted() < accepted + COUNT {
            now += MINUTE;
            assert!(now < from + HOUR, "not the whole list goes");
            self.tick(Kind::Listed, now).await;
        }
        self.reported(Kind::Listed, from).await;
        self.kept(Kind::Listed, COUNT, before);
    }

    /// A tick of the clock that works on `kind`.
    async fn tick(&mut self, kind: Kind, now: Timestamp) {
        self.bench.begin();
        dispatch_at(&self.dispatch, now).await;
        self.bench.end(kind, Function::DispatchMessages, Ran::once(COUNT));
    }

    async fn campaign(&mut self, from: Timestamp) {
        let before = self.bench.stored();
        let rows = (2 * COUNT..3 * COUNT).map(|at| format!("Guest {at},{}\n", number(at)));
        let file: String = std::iter::once("customer_name,phone_number\n".to_string()).chain(rows).collect();
        let asked = self.asked("/campaigns", "campaign", &json!({ "body": CAMPAIGN, "customerList": file }), from);
        self.bench.begin();
        let view = answered(invoke(self.manage.api(asked)).await, StatusCode::ACCEPTED).await;
        self.bench.end(Kind::OfCampaign, Function::ManageTenant, Ran::once(COUNT));
        let id = view["id"].as_str().unwrap().to_string();
        let mut now = from;
        loop {
            now += MINUTE;
            assert!(now < from + HOUR, "the campaign does not end");
            self.tick(Kind::OfCampaign, now).await;
            let campaign = campaigns::get(self.cx.table().await.unwrap(), &self.tenant, &id).await.unwrap().unwrap();
            if campaign.stage == Stage::Done && campaign.released {
                break;
            }
        }
        self.reported(Kind::OfCampaign, from).await;
        self.kept(Kind::OfCampaign, COUNT, before);
    }

    /// Plans reminders at `from`, of which `COUNT` are due half an hour later, and the others after these, one a minute.
    async fn reminders(&mut self, from: Timestamp) {
        let (due, lone) = (from + MINUTE * 30, from + MINUTE * 60);
        let settings = settings();
        let table = self.cx.table().await.unwrap();
        contacts::put_many(table, &self.tenant, &school::contacts(&settings, 3 * COUNT..4 * COUNT)).await.unwrap();
        let class = |at: usize| 3 * COUNT + at * CLASS..3 * COUNT + (at + 1) * CLASS;
        let classes = (0..COUNT / CLASS).map(|at| school::lesson(&settings, at, class(at), due + DAY));
        let single = |at: usize| {
            let starts_at = lone + MINUTE * at as i32 + DAY;
            school::lesson(&settings, COUNT + at, 3 * COUNT + at..3 * COUNT + at + 1, starts_at)
        };
        let all: Vec<_> = classes.chain((0..LONE).map(single)).collect();
        lessons::put_many(table, &self.tenant, &all).await.unwrap();
        let before = self.bench.stored();
        self.bench.begin();
        invoke(schedule::lesson_reminders(&self.plan, scheduled(from))).await.unwrap();
        // Of these, as much as of those that are due alone.
        self.bench.end(Kind::Reminder, Function::ScheduleLessonReminders, Ran::once(COUNT + LONE));
        self.tick(Kind::Reminder, due).await;
        self.reported(Kind::Reminder, due).await;
        self.bench.begin();
        for at in 0..LONE {
            dispatch_at(&self.dispatch, lone + MINUTE * at as i32).await;
        }
        self.bench.end(Kind::LoneReminder, Function::DispatchMessages, Ran::each(LONE));
        self.reported(Kind::LoneReminder, lone).await;
        self.kept(Kind::Reminder, COUNT + LONE, before);
    }

    async fn questions(&mut self, from: Timestamp) {
        let before = self.bench.stored();
        let question = |at: usize| {
            let text = text(&self.account, &self.tenant, 4 * COUNT + at, QUESTION);
            event(&text, from + SignedDuration::from_secs(at as i64))
        };
        let events: Vec<Value> = (0..COUNT).map(question).collect();
        self.bench.begin();
        bring(&self.webhook, events, StatusCode::OK).await;
        self.bench.end(Kind::Answered, Function::TwilioWebhook, Ran::each(COUNT));
        self.reported(Kind::Answered, from).await;
        self.kept(Kind::Answered, COUNT, before);
    }

    /// Takes everything away that went and came.
    async fn expire(&mut self, now: Timestamp) {
        let came = COUNT;
        self.bench.begin();
        task(&self.dispatch, "sweepExpired", now).await;
        self.bench.end(Kind::Expired, Function::DispatchMessages, Ran::once(self.told.len() + came));
    }
}

/// The answer's JSON.
async fn answered(response: Response, expected: StatusCode) -> Value {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    assert_eq!(parts.status, expected, "{}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Has the webhook answer `events`, some at once.
async fn bring(webhook: &Functions, events: Vec<Value>, expected: StatusCode) {
    let call = |event: Value| {
        let webhook = webhook.clone();
        async move { answered(invoke(webhook.webhook(event)).await, expected).await }
    };
    at_once(events.into_iter().map(call)).await;
}

/// Does everything that is measured, and says what it came to.
pub async fn measure(now: Timestamp, tenant: &TenantId) {
    telemetry::start("Carillon/bench".into());
    // A function's log does not say what a panic said; whoever runs this wants to know.
    drop(std::panic::take_hook());
    idle(now, tenant).await;
    let mut stack = Stack::start(now, tenant).await;
    stack.single_texts(now).await;
    stack.follow(now).await;
    // Everything else on a later day, in the afternoon of New York.
    let day = now + DAY * 14;
    stack.list(day + MINUTE * 5).await;
    stack.campaign(day + MINUTE * 30).await;
    stack.reminders(day + HOUR).await;
    stack.questions(day + MINUTE * 210).await;
    stack.expire(day + DAY * DAYS_KEPT).await;
    stack.bench.stand_in.stop();
}
