//! The school tells what happened: a lesson moved or cancelled, attendance taken, a payment settled.

use jiff::Timestamp;

use super::cancel_lesson::cancel_lesson;
use super::find_students::find_students;
use super::hint_due::hint_due;
use super::move_lesson::move_lesson;
use super::record_attendance::{Attendance, Recorded, record_attendance};
use super::save_lessons::save_lessons;
use super::settle_payment::settle_payment;
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus, Students};
use crate::domain::local_time::{self, Zone};
use crate::domain::message::MessageId;
use crate::domain::payment::PaymentStatus;
use crate::domain::school_event::{LessonCreated, SchoolEvent};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::{lessons, payments};

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Done, and these messages are due at once.
    Done(Vec<MessageId>),
    /// Nothing to do, or nothing that a repetition would help: why.
    Ignored(&'static str),
}

/// Acts on `event`, which happened at `at`. Repeating it repeats nothing that anybody would notice.
pub async fn receive_event(
    cx: &Context,
    tenant: &TenantId,
    event: &SchoolEvent,
    at: Timestamp,
    now: Timestamp,
) -> Result<Received, ContextError> {
    let received = act(cx, tenant, event, at, now).await?;
    match &received {
        Received::Done(ids) => hint_due(cx, tenant, ids).await,
        Received::Ignored(why) => tracing::warn!(%tenant, why, "an event was ignored"),
    }
    Ok(received)
}

async fn act(
    cx: &Context,
    tenant: &TenantId,
    event: &SchoolEvent,
    at: Timestamp,
    now: Timestamp,
) -> Result<Received, ContextError> {
    let table = cx.table().await?;
    match event {
        SchoolEvent::LessonCreated(created) => create_lesson(cx, tenant, created, at, now).await,
        SchoolEvent::LessonMoved(event) => match current(cx, tenant, &event.lesson, at).await? {
            Ok(lesson) => match local_time::parse_start(&event.starts_at, &lesson.time_zone) {
                Some(to) => Ok(Received::Done(move_lesson(cx, tenant, lesson, to, now).await?)),
                None => Ok(Received::Ignored("startsAt is no date and time")),
            },
            Err(why) => Ok(Received::Ignored(why)),
        },
        SchoolEvent::LessonCancelled(event) => match current(cx, tenant, &event.lesson, at).await? {
            Ok(lesson) => Ok(Received::Done(cancel_lesson(cx, tenant, lesson, now).await?)),
            Err(why) => Ok(Received::Ignored(why)),
        },
        SchoolEvent::AttendanceRecorded(event) => match lessons::get(table, tenant, &event.lesson).await? {
            Some(lesson) => {
                let attendance = Attendance { contact: &event.contact, status: &event.status, recorded_at: at, key: None };
                match record_attendance(cx, tenant, &lesson, attendance, now).await? {
                    Recorded::Told(id) => Ok(Received::Done(vec![id])),
                    Recorded::KeyTaken => Ok(Received::Done(Vec::new())),
                }
            }
            None => Ok(Received::Ignored("no such lesson")),
        },
        SchoolEvent::PaymentSettled(event) => match payments::get(table, tenant, &event.payment).await? {
            Some(mut payment) => {
                payment.changed_at = at;
                settle_payment(cx, tenant, payment, PaymentStatus::Paid, now).await?;
                Ok(Received::Done(Vec::new()))
            }
            None => Ok(Received::Ignored("no such payment")),
        },
    }
}

/// The lesson as it is, unless it has changed after `at`: events may overtake each other.
async fn current(cx: &Context, tenant: &TenantId, id: &str, at: Timestamp) -> Result<Result<Lesson, &'static str>, ContextError> {
    Ok(match lessons::get(cx.table().await?, tenant, id).await? {
        None => Err("no such lesson"),
        // EventBridge tells whole seconds.
        Some(lesson) if lesson.changed_at.as_second() > at.as_second() => Err("the lesson has changed since"),
        Some(lesson) => Ok(Lesson { changed_at: at, ..lesson }),
    })
}

async fn create_lesson(
    cx: &Context,
    tenant: &TenantId,
    created: &LessonCreated,
    at: Timestamp,
    now: Timestamp,
) -> Result<Received, ContextError> {
    if let Err("the lesson has changed since") = current(cx, tenant, &created.lesson, at).await? {
        return Ok(Received::Ignored("the lesson has changed since"));
    }
    let settings = cx.settings(tenant, now).await?;
    let Some(time_zone) = zone(&settings, created.time_zone.as_deref()) else {
        return Ok(Received::Ignored("the time zone is unknown"));
    };
    let Some(starts_at) = local_time::parse_start(&created.starts_at, &time_zone) else {
        return Ok(Received::Ignored("startsAt is no date and time"));
    };
    let lesson = Lesson {
        id: created.lesson.clone(),
        subject: created.subject.clone(),
        teacher: created.teacher.clone(),
        starts_at,
        time_zone,
        students: students(cx, tenant, &created.students).await?,
        course: created.course.clone(),
        duration_minutes: created.duration_minutes,
        status: LessonStatus::Scheduled,
        version: 1,
        changed_at: at,
    };
    save_lessons(cx, tenant, vec![lesson], now).await?;
    Ok(Received::Done(Vec::new()))
}

fn zone(settings: &Settings, name: Option<&str>) -> Option<Zone> {
    match name {
        Some(name) => Zone::parse(name).ok(),
        None => Some(settings.time_zone.clone()),
    }
}

/// Who attends; names that are nobody's are left out. How many is logged, not which: somebody may be called so.
async fn students(cx: &Context, tenant: &TenantId, names: &[String]) -> Result<Students, ContextError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let roster = find_students(cx, tenant, &names, &[]).await?;
    let (students, unknown) = roster.students(names);
    if !unknown.is_empty() {
        tracing::warn!(%tenant, names = unknown.len(), "a lesson names students who are no contact or group");
    }
    Ok(students)
}
