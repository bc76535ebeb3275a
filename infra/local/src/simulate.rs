//! The simulator: the whole system on a virtual clock that jumps from one due instant to the next
//! (reminders.md §6).

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::context::ContextError;
use shared::domain::tenant::TenantId;
use shared::files::TimedEvent;
use shared::schedule::EventFailure;
use shared::store::due;
use shared::usecases::save_school::save_school;
use tokio::task::JoinSet;

use crate::host::{Host, scheduled};
use crate::school_folder::SchoolFolder;
use crate::twilio::Callback;

/// What is simulated: `[from, until)`.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// The jobs' times of day, in UTC (S0-62, S0-63).
pub const LESSON_JOB: Time = Time::constant(9, 0, 0, 0);
pub const PAYMENT_JOB: Time = Time::constant(10, 0, 0, 0);

/// So many dispatches at one instant mean that something is due and does not move.
const STUCK: u32 = 1000;

#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    #[error(transparent)]
    Event(#[from] EventFailure),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Start(#[from] crate::host::StartError),
    #[error("messages that are due at {0} stay due: look into the log")]
    Stuck(Timestamp),
}

/// Connects the school's account and loads its records, which plans everything.
pub async fn load(host: &Host, tenant: &TenantId, folder: &SchoolFolder, now: Timestamp) -> Result<(), SimulationError> {
    connect(host, tenant, folder).await?;
    Box::pin(save_school(&host.cx, tenant, &folder.school, now)).await?;
    Ok(())
}

/// Gives the school its account at the local Twilio.
pub async fn connect(host: &Host, tenant: &TenantId, folder: &SchoolFolder) -> Result<(), SimulationError> {
    let senders = &folder.school.settings.senders;
    host.connect(tenant, [&senders.sms, &senders.whatsapp].into_iter().flatten().cloned().collect()).await?;
    Ok(())
}

/// Runs `span` from `start` on, which is its beginning unless a run is resumed. `progress` is told
/// each instant before it happens.
pub async fn run(
    host: &Host,
    tenant: &TenantId,
    folder: &SchoolFolder,
    span: Span,
    start: Timestamp,
    mut progress: impl FnMut(Timestamp),
) -> Result<(), SimulationError> {
    let mut events = folder.events.iter().filter(|event| start <= event.at && event.at < span.until).peekable();
    let sender = folder.school.settings.senders.sms.clone().unwrap_or_default();
    let mut now = start;
    let mut job = next_job(start, None);
    let mut due = next_due(host, tenant).await?;
    let mut callbacks = Callbacks::default();
    loop {
        let callback = host.twilio.next_callback_due();
        let next = [events.peek().map(|event| event.at), Some(job.0), due, callback].into_iter().flatten().min();
        let Some(next) = next.map(|next| next.max(now)).filter(|next| *next < span.until) else { break };
        now = next;
        host.clock.set(now);
        progress(now);
        let mut planned = false;
        while let Some(event) = events.next_if(|event| event.at <= now) {
            happen(host, tenant, event, &sender, now).await?;
            planned = true;
        }
        while job.0 <= now {
            run_job(host, job).await?;
            job = next_job(job.0, Some(job.1));
            planned = true;
        }
        callbacks.bring(host, now).await;
        if planned {
            due = next_due(host, tenant).await?;
        }
        let mut rounds = 0;
        while due.is_some_and(|due| due <= now) {
            host.tick(now).await?;
            due = next_due(host, tenant).await?;
            rounds += 1;
            if rounds > STUCK {
                return Err(SimulationError::Stuck(now));
            }
        }
        if planned {
            host.drain_queue(now).await?;
        }
    }
    // What was handed over in the last second is still reported.
    while let Some(due) = host.twilio.next_callback_due() {
        host.clock.set(due.max(now));
        callbacks.bring(host, due.max(now)).await;
    }
    callbacks.arrive().await;
    Ok(())
}

async fn next_due(host: &Host, tenant: &TenantId) -> Result<Option<Timestamp>, ContextError> {
    Ok(due::next_due(host.cx.table().await?, tenant).await?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Lessons,
    Payments,
}

/// The first job at or after `at`; after `last` at that instant, if one has run.
fn next_job(at: Timestamp, last: Option<Job>) -> (Timestamp, Job) {
    let today = TimeZone::UTC.to_datetime(at).date();
    let days = [today, today.tomorrow().unwrap_or(today)];
    let jobs = days
        .into_iter()
        .flat_map(|day| [(day.to_datetime(LESSON_JOB), Job::Lessons), (day.to_datetime(PAYMENT_JOB), Job::Payments)]);
    let instants = jobs.filter_map(|(wall, job)| Some((TimeZone::UTC.to_timestamp(wall).ok()?, job)));
    instants
        .filter(|&(instant, job)| if instant == at { last.is_none_or(|last| job > last) } else { instant > at })
        .min()
        .unwrap_or((Timestamp::MAX, Job::Lessons))
}

async fn run_job(host: &Host, (at, job): (Timestamp, Job)) -> Result<(), EventFailure> {
    match job {
        Job::Lessons => host.plan_lessons(at).await?,
        Job::Payments => host.plan_payments(at).await?,
    };
    Ok(())
}

/// An event as EventBridge delivers it; a text as Twilio does.
async fn happen(host: &Host, tenant: &TenantId, event: &TimedEvent, sender: &str, now: Timestamp) -> Result<(), SimulationError> {
    if event.name == "inbound" {
        let field = |name: &str| event.detail[name].as_str().unwrap_or_default();
        if let Some(callback) = host.inbound(tenant, field("from"), sender, field("body")).await {
            host.bring(&callback, now).await;
        }
        return Ok(());
    }
    host.receive(school_event(tenant, &event.name, &event.detail, event.at), now).await?;
    Ok(())
}

/// A school's event in EventBridge's envelope.
pub fn school_event(tenant: &TenantId, name: &str, detail: &Value, at: Timestamp) -> Value {
    let mut detail = detail.clone();
    detail["tenant"] = json!(tenant);
    let mut event = scheduled(at);
    event["source"] = json!("school");
    event["detail-type"] = json!(name);
    event["detail"] = detail;
    event
}

/// Status callbacks on their way to the webhook. They are waited for at the end, not before the next
/// instant: in real life nothing waits for them either, and one may overtake another.
#[derive(Default)]
struct Callbacks(JoinSet<()>);

impl Callbacks {
    /// How many groups may be on their way.
    const UNDER_WAY: usize = 8;
    const GROUPS: usize = 4;

    /// Sends off what Twilio has to tell at `now`.
    async fn bring(&mut self, host: &Host, now: Timestamp) {
        let mut groups: Vec<Vec<Callback>> = vec![Vec::new(); Self::GROUPS];
        for callback in host.twilio.take_callbacks() {
            let group = callback.message_sid().bytes().map(usize::from).sum::<usize>() % Self::GROUPS;
            groups[group].push(callback);
        }
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            while self.0.len() >= Self::UNDER_WAY {
                self.0.join_next().await;
            }
            let host = host.clone();
            self.0.spawn(async move {
                for callback in group {
                    host.bring(&callback, now).await;
                }
            });
        }
    }

    /// Waits for all of them.
    async fn arrive(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// An instant on the command line.
pub fn parse_instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("'{text}' is no instant: write one as 2026-03-06T15:00:00Z"))
}

/// A span's length as people write it: `72h`, `7d`, `90m`.
pub fn parse_length(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("'{text}' is no length of time: write 72h, 7d or 90m");
    let (count, unit) = text.len().checked_sub(1).and_then(|cut| text.split_at_checked(cut)).ok_or_else(wrong)?;
    let count: i64 = count.parse().ok().filter(|count| (1..=100_000).contains(count)).ok_or_else(wrong)?;
    match unit {
        "m" => Ok(SignedDuration::from_mins(count)),
        "h" => Ok(SignedDuration::from_hours(count)),
        "d" => Ok(SignedDuration::from_hours(24 * count)),
        _ => Err(wrong()),
    }
}
