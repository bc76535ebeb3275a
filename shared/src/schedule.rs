//! Events that come without HTTP: EventBridge's schedules and the school's events, and the queue.
//! Real event JSON in, an answer in JSON out.
//!
//! Use cases are boxed here: their futures nest too deep for the compiler otherwise.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::context::{Context, ContextError};
use crate::domain::school_event::{EventError, SchoolEvent};
use crate::domain::tenant::TenantId;
use crate::queue::Hint;
use crate::telemetry::{Chain, Metric, measure, misfit};
use crate::usecases::ask_about_silent::ask_about_silent;
use crate::usecases::dispatch::run::Run;
use crate::usecases::dispatch::{dispatch_due, dispatch_hinted};
use crate::usecases::every_tenant::RunError;
use crate::usecases::plan_reminders::{plan_all_lessons, plan_all_payments};
use crate::usecases::receive_event::{Received, receive_event};
use crate::usecases::recount_days::recount_days;
use crate::usecases::sweep_expired::sweep_expired;
use crate::usecases::watch_health::watch_health;

/// Why an event was not dealt with, or not wholly. Lambda counts it, and repeats what template.yaml lets it repeat.
#[derive(thiserror::Error)]
pub enum EventFailure {
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// Where and how it does not fit, and never by what: `lambda_runtime` logs it.
    #[error("this is not the JSON of an event that this function is for: {0}")]
    NotOurs(String),
}

/// What `lambda_runtime` logs of a failure: the same as we do, once.
impl fmt::Debug for EventFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

/// What we read of an EventBridge event.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    time: Timestamp,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: Value,
}

fn envelope(event: Value) -> Result<Envelope, EventFailure> {
    let envelope: Envelope = read(event)?;
    // What is planned lies days ahead of it, and there is no instant after the last one.
    let is_of_our_time = (2000..2200).contains(&TimeZone::UTC.to_datetime(envelope.time).year());
    is_of_our_time.then_some(envelope).ok_or_else(|| EventFailure::NotOurs("time: not of our time".into()))
}

fn read<'de, T: Deserialize<'de>>(event: impl Deserializer<'de, Error = serde_json::Error>) -> Result<T, EventFailure> {
    serde_path_to_error::deserialize(event).map_err(|error| EventFailure::NotOurs(misfit(&error)))
}

/// `scheduleLessonReminders`. The event's time is `now`, so that a repeated run plans the same.
pub async fn lesson_reminders(cx: &Context, event: Value) -> Result<Value, EventFailure> {
    let planned = Box::pin(plan_all_lessons(cx, envelope(event)?.time)).await?;
    tracing::info!(planned, "lesson reminders planned");
    Ok(json!({ "planned": planned }))
}

/// `schedulePaymentReminders`.
pub async fn payment_reminders(cx: &Context, event: Value) -> Result<Value, EventFailure> {
    let planned = Box::pin(plan_all_payments(cx, envelope(event)?.time)).await?;
    tracing::info!(planned, "payment reminders planned");
    Ok(json!({ "planned": planned }))
}

/// What a schedule asks for by its `task`, as template.yaml has it; without one it is the minute tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// Nightly: about messages of which Twilio told no end.
    AskAboutSilent,
    /// Nightly: the statistics of the last days.
    RecountDays,
    /// Nightly: what is older than its tenant keeps it.
    SweepExpired,
    /// Hourly.
    WatchHealth,
}

impl Task {
    pub const ALL: [Self; 4] = [Self::AskAboutSilent, Self::RecountDays, Self::SweepExpired, Self::WatchHealth];
}

/// `dispatchMessages`: hints of the queue, the minute tick, or a task. Unlike the plans, it goes by the clock and not
/// by the event's time: leases and quiet hours are about when a message really goes.
pub async fn dispatch_messages(cx: &Context, event: Value, now: Timestamp) -> Result<Value, EventFailure> {
    #[derive(Deserialize)]
    struct Asked {
        task: Option<Task>,
    }
    if event.get("Records").is_some() {
        return hints(cx, &event, now).await;
    }
    let Asked { task } = read(&event)?;
    if let Some(task) = task {
        return work(cx, task, now).await;
    }
    envelope(event)?;
    let dispatched = Box::pin(dispatch_due(cx, now)).await?;
    Metric::OF_TICK.into_iter().for_each(|metric| measure(metric, 0));
    // Also of a run that was cut short: that it is told is how the alarm "no-tick" knows that the tick runs.
    measure(Metric::Stuck, dispatched.stuck);
    measure(Metric::LateSeconds, dispatched.late.as_secs().unsigned_abs());
    Ok(json!({ "dispatched": dispatched.messages.len() }))
}

async fn work(cx: &Context, task: Task, now: Timestamp) -> Result<Value, EventFailure> {
    match task {
        Task::AskAboutSilent => {
            let further = Box::pin(ask_about_silent(cx, now)).await?;
            tracing::info!(further, "Twilio was asked about silent messages");
            return Ok(json!({ "further": further }));
        }
        Task::RecountDays => Box::pin(recount_days(cx, now)).await.map(|_| ())?,
        Task::SweepExpired => Box::pin(sweep_expired(cx, now)).await.map(|_| ())?,
        Task::WatchHealth => Box::pin(watch_health(cx, now)).await.map(|_| ())?,
    }
    tracing::info!(?task, "done");
    Ok(json!({}))
}

/// Each record fails or passes by itself; SQS delivers again what failed.
async fn hints(cx: &Context, event: &Value, now: Timestamp) -> Result<Value, EventFailure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Batch {
        records: Vec<Record>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Record {
        message_id: String,
        body: String,
    }
    let Batch { records } = read(event)?;
    let run = Run::at(now);
    let mut failures = Vec::new();
    for record in records {
        let hint: Hint = match serde_json::from_str(&record.body) {
            Ok(hint) => hint,
            Err(_) => {
                // A repetition would not make sense of it.
                tracing::error!(record = record.message_id, "a queue message that is no hint was dropped");
                continue;
            }
        };
        if let Err(error) = Box::pin(dispatch_hinted(cx, &hint.tenant, &hint.ids, run)).await {
            tracing::error!(tenant = %hint.tenant, error = %Chain(&error), "hinted messages could not be dispatched");
            failures.push(json!({ "itemIdentifier": record.message_id }));
        }
    }
    Ok(json!({ "batchItemFailures": failures }))
}

/// `receiveEvents`: source `school`; the detail names the tenant.
pub async fn receive_events(cx: &Context, event: Value, now: Timestamp) -> Result<Value, EventFailure> {
    let envelope = envelope(event)?;
    let tenant = envelope.detail.get("tenant").and_then(Value::as_str).and_then(|id| TenantId::parse(id).ok());
    let Some(tenant) = tenant else {
        tracing::error!(event = shown(&envelope.detail_type), "an event without a tenant in its detail was ignored");
        return Ok(json!({ "ignored": "the detail names no tenant" }));
    };
    let school_event = match SchoolEvent::parse(&envelope.detail_type, &envelope.detail) {
        Ok(event) => event,
        Err(error) => {
            let why = why(&error);
            tracing::error!(%tenant, event = shown(&envelope.detail_type), why, "an event that cannot be read was ignored");
            return Ok(json!({ "ignored": why }));
        }
    };
    match Box::pin(receive_event(cx, &tenant, &school_event, envelope.time, now)).await {
        Ok(Received::Done(ids)) => Ok(json!({ "messages": ids.len() })),
        Ok(Received::Ignored(why)) => Ok(json!({ "ignored": why })),
        Err(ContextError::NoTenant(tenant)) => {
            tracing::error!(%tenant, "an event of a tenant that does not exist was ignored");
            Ok(json!({ "ignored": "no such tenant" }))
        }
        Err(error) => Err(error.into()),
    }
}

/// An event's name for the log, if it is a name: what is none may be anything.
fn shown(name: &str) -> &str {
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_' | b'-'));
    if is_name { name } else { "?" }
}

/// Why an event cannot be read, without what it says: that may be of a person.
fn why(error: &EventError) -> String {
    match error {
        EventError::BadDetail(detail) => format!("{error}: {}", misfit(detail)),
        EventError::UnknownName(_) | EventError::BadId => error.to_string(),
    }
}
