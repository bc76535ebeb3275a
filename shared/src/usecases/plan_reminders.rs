//! Plans reminders: a row for each that is due within 48 hours. Planning twice plans once.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::every_tenant::{RunError, ended};
use crate::context::{Context, ContextError};
use crate::domain::lesson::Lesson;
use crate::domain::message::{Facts, Message, MessageId, Plan, Reason, Status, Step};
use crate::domain::payment::Payment;
use crate::domain::reminder::{HORIZON, Kind, Offset, lesson_reminders, payment_reminders};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::messages::{self, Change};
use crate::store::{StoreError, Table, contacts, lessons, payments, tenants};
use crate::telemetry::Chain;

/// The daily lesson job (S0-62, S0-66): plans for every tenant, and tells how many rows are new.
///
/// # Errors
/// [`RunError::Tenants`] once the others are planned: Lambda runs it again, and what is planned is not planned twice.
pub async fn plan_all_lessons(cx: &Context, now: Timestamp) -> Result<usize, RunError> {
    let (mut planned, mut failed) = (0, 0);
    for tenant in tenants::all(cx.table().await?).await? {
        planned += one_tenant(&tenant, plan_tenant_lessons(cx, &tenant, now).await, &mut failed);
    }
    ended(planned, failed)
}

/// The daily payment job (S0-63, S0-67).
///
/// # Errors
/// As [`plan_all_lessons`].
pub async fn plan_all_payments(cx: &Context, now: Timestamp) -> Result<usize, RunError> {
    let (mut planned, mut failed) = (0, 0);
    for tenant in tenants::all(cx.table().await?).await? {
        planned += one_tenant(&tenant, plan_tenant_payments(cx, &tenant, now).await, &mut failed);
    }
    ended(planned, failed)
}

/// One tenant's trouble does not keep the others from being planned.
fn one_tenant(tenant: &TenantId, planned: Result<usize, ContextError>, failed: &mut usize) -> usize {
    planned.unwrap_or_else(|error| {
        tracing::error!(%tenant, error = %Chain(&error), "reminders could not be planned");
        *failed += 1;
        0
    })
}

/// Plans the lesson reminders of one tenant.
pub(super) async fn plan_tenant_lessons(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<usize, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let reach = HORIZON + longest(settings.offsets(Kind::LessonReminder));
    let lessons = lessons::starting(cx.table().await?, tenant, now, now + reach).await?;
    plan_lessons(cx, tenant, &settings, &lessons, now).await
}

/// Plans the payment reminders of one tenant.
pub(super) async fn plan_tenant_payments(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<usize, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let reach = HORIZON + longest(settings.offsets(Kind::PaymentReminder));
    let today = settings.time_zone.wall(now).date();
    let last = settings.time_zone.wall(now + reach).date().saturating_add(1.day());
    let payments = payments::due_between(cx.table().await?, tenant, today, last).await?;
    plan_payments(cx, tenant, &settings, &payments, now).await
}

/// The longest offset, with a day to spare for changes of the clocks.
fn longest(offsets: &[Offset]) -> SignedDuration {
    let minutes = offsets.iter().map(|offset| offset.minutes()).max().unwrap_or(0);
    SignedDuration::from_mins(i64::from(minutes)) + SignedDuration::from_hours(24)
}

/// Plans the reminders of these lessons.
pub async fn plan_lessons(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    lessons: &[Lesson],
    now: Timestamp,
) -> Result<usize, ContextError> {
    let table = cx.table().await?;
    Ok(messages::create(table, tenant, of_lessons(table, tenant, settings, lessons, now).await?).await?)
}

/// The same for lessons that have changed: whoever attends one again is reminded again.
pub async fn replan_lessons(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    lessons: &[Lesson],
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let planned = of_lessons(table, tenant, settings, lessons, now).await?;
    Ok(plan_again(table, tenant, planned, Reason::NotAttending, now).await?)
}

async fn of_lessons(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    lessons: &[Lesson],
    now: Timestamp,
) -> Result<Vec<Message>, ContextError> {
    let due: Vec<_> = lessons
        .iter()
        .map(|lesson| (lesson, lesson_reminders(lesson, settings.offsets(Kind::LessonReminder), now)))
        .filter(|(_, due)| !due.is_empty())
        .collect();
    let planned: Vec<&Lesson> = due.iter().map(|(lesson, _)| *lesson).collect();
    let groups = Groups::load(table, tenant, &planned).await?;
    let mut planned = Vec::new();
    for (lesson, due) in due {
        for contact in groups.attendees(lesson) {
            for &(offset, due_at) in &due {
                let plan = Plan {
                    kind: Kind::LessonReminder,
                    subject: &lesson.id,
                    version: lesson.version,
                    contact,
                    offset: Some(offset),
                    facts: Facts::Reminder,
                };
                planned.push(Message::planned(tenant, plan, due_at, now));
            }
        }
    }
    Ok(planned)
}

/// Creates `planned`. What of it was canceled before, for `reason`, holds again and waits again.
pub(super) async fn plan_again(
    table: &Table,
    tenant: &TenantId,
    planned: Vec<Message>,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    let due: HashMap<MessageId, Timestamp> = planned.iter().map(|message| (message.id.clone(), message.due_at)).collect();
    let ids: Vec<MessageId> = due.keys().cloned().collect();
    if messages::create(table, tenant, planned).await? == ids.len() {
        return Ok(());
    }
    let known = messages::get_many(table, tenant, &ids).await?;
    let canceled = known.into_iter().filter(|message| message.status == Status::Canceled && message.reason == Some(reason));
    let waiting = canceled.filter_map(|message| {
        let due_at = *due.get(&message.id)?;
        Some(Change::of(waiting_again(message, due_at, now)))
    });
    messages::write(table, tenant, &waiting.collect::<Vec<_>>(), None).await?;
    Ok(())
}

fn waiting_again(mut message: Message, due_at: Timestamp, now: Timestamp) -> Message {
    message.timeline.push(Step::new(now, "planned"));
    Message { status: Status::Scheduled, reason: None, decided_at: None, due_at, ..message }
}

/// Plans the reminders of these payments.
pub async fn plan_payments(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    payments: &[Payment],
    now: Timestamp,
) -> Result<usize, ContextError> {
    Ok(messages::create(cx.table().await?, tenant, of_payments(tenant, settings, payments, now)).await?)
}

/// The same for payments that have changed: whoever owes one again is reminded again.
pub async fn replan_payments(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    payments: &[Payment],
    now: Timestamp,
) -> Result<(), ContextError> {
    let planned = of_payments(tenant, settings, payments, now);
    Ok(plan_again(cx.table().await?, tenant, planned, Reason::NotAttending, now).await?)
}

fn of_payments(tenant: &TenantId, settings: &Settings, payments: &[Payment], now: Timestamp) -> Vec<Message> {
    let offsets = settings.offsets(Kind::PaymentReminder);
    let mut planned = Vec::new();
    for payment in payments {
        for (offset, due_at) in payment_reminders(payment, offsets, settings.payment_time, &settings.time_zone, now) {
            let plan = Plan {
                kind: Kind::PaymentReminder,
                subject: &payment.id,
                version: payment.version,
                contact: &payment.contact,
                offset: Some(offset),
                facts: Facts::Reminder,
            };
            planned.push(Message::planned(tenant, plan, due_at, now));
        }
    }
    planned
}

/// The members of the groups that some lessons name.
pub struct Groups(HashMap<String, Vec<String>>);

impl Groups {
    pub async fn load(table: &Table, tenant: &TenantId, lessons: &[&Lesson]) -> Result<Self, ContextError> {
        let names: BTreeSet<&String> = lessons.iter().flat_map(|lesson| &lesson.students.groups).collect();
        let mut groups = HashMap::new();
        for name in names {
            groups.insert(name.clone(), contacts::members(table, tenant, name).await?);
        }
        Ok(Self(groups))
    }

    /// Everybody who attends, each once, by id.
    pub fn attendees<'a>(&'a self, lesson: &'a Lesson) -> BTreeSet<&'a str> {
        let members = lesson.students.groups.iter().filter_map(|group| self.0.get(group)).flatten();
        lesson.students.contacts.iter().chain(members).map(String::as_str).collect()
    }
}
