//! A lesson gets another start: its students are told, its reminders are planned anew.

use jiff::Timestamp;

use super::plan_reminders::{Groups, plan_lessons};
use super::save_lessons::cancel_outdated;
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::message::{Facts, Message, MessageId, Plan};
use crate::domain::reminder::Kind;
use crate::domain::tenant::TenantId;
use crate::store::{lessons, messages};

/// Moves `lesson` to `to`, and answers the ids of the messages that tell of it.
///
/// The messages are written before the lesson: after a crash in between, the repeated event finds
/// the lesson unmoved and derives the same messages again.
pub async fn move_lesson(
    cx: &Context,
    tenant: &TenantId,
    lesson: Lesson,
    to: Timestamp,
    now: Timestamp,
) -> Result<Vec<MessageId>, ContextError> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let from = lesson.starts_at;
    let mut moved = lesson;
    let mut told = Vec::new();
    if from != to {
        moved.starts_at = to;
        moved.version += 1;
        if moved.status == LessonStatus::Scheduled {
            told = tell_students(cx, tenant, &moved, &Facts::Moved { from, to }, now).await?;
        }
        lessons::put_many(table, tenant, std::slice::from_ref(&moved)).await?;
    }
    cancel_outdated(cx, tenant, &moved, now).await?;
    plan_lessons(cx, tenant, &settings, std::slice::from_ref(&moved), now).await?;
    Ok(told)
}

/// Writes a schedule change to everybody who attends `lesson`, due at once.
pub(super) async fn tell_students(
    cx: &Context,
    tenant: &TenantId,
    lesson: &Lesson,
    facts: &Facts,
    now: Timestamp,
) -> Result<Vec<MessageId>, ContextError> {
    let table = cx.table().await?;
    let groups = Groups::load(table, tenant, &[lesson]).await?;
    let change = |contact| {
        let plan = Plan {
            kind: Kind::ScheduleChange,
            subject: &lesson.id,
            version: lesson.version,
            contact,
            offset: None,
            facts: facts.clone(),
        };
        Message::planned(tenant, plan, now, now)
    };
    let told: Vec<Message> = groups.attendees(lesson).into_iter().map(change).collect();
    let ids = told.iter().map(|message| message.id.clone()).collect();
    messages::create(table, tenant, told).await?;
    Ok(ids)
}
