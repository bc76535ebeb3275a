//! A lesson gets another start: its students are told, its reminders are planned anew.

use jiff::Timestamp;

use super::cancel_planned::canceled;
use super::plan_reminders::{Groups, plan_again, plan_lessons};
use super::save_lessons::{TRIES, cancel_outdated, is_later, kept_changing};
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::message::{Facts, Message, MessageId, Plan, Reason, Status};
use crate::domain::reminder::Kind;
use crate::domain::tenant::TenantId;
use crate::store::lessons::{self, Seen};
use crate::store::messages::{self, Change};

/// Moves `lesson` to `to`, and answers the ids of the messages that tell of it.
///
/// The messages are written before the lesson: after a crash in between, the repeated event finds
/// the lesson unmoved and derives the same messages again. Another start is told by messages of its own.
///
/// What is moved is the lesson as the table has it; of `lesson` counts when it changed, as who asks for it says.
/// Where somebody else is faster, and later than that, theirs stays and nobody is told.
pub async fn move_lesson(
    cx: &Context,
    tenant: &TenantId,
    lesson: Lesson,
    to: Timestamp,
    now: Timestamp,
) -> Result<Vec<MessageId>, ContextError> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let mut there = lessons::seen(table, tenant, &[&lesson.id]).await?.remove(&lesson.id);
    for _ in 0..TRIES {
        let Some(seen) = there else { return Ok(Vec::new()) };
        let from = seen.value.starts_at;
        let mut moved = Lesson { changed_at: lesson.changed_at, ..seen.value.clone() };
        let mut told = Vec::new();
        if from != to {
            moved.starts_at = to;
            moved.version += 1;
            if moved.status == LessonStatus::Scheduled {
                told = tell_students(cx, tenant, &moved, &Facts::Moved { from, to }, now).await?;
            }
            if !lessons::replace(table, tenant, &moved, &seen).await? {
                // Whoever moved it to the same start told the same.
                let is_told = |there: &Lesson| there.version == moved.version && there.starts_at == to;
                there = look_again(cx, tenant, &lesson, &seen.value, &told, is_told, now).await?;
                continue;
            }
        }
        cancel_outdated(cx, tenant, &moved, now).await?;
        plan_lessons(cx, tenant, &settings, std::slice::from_ref(&moved), now).await?;
        return Ok(told);
    }
    Err(kept_changing())
}

/// Somebody else was faster to change the lesson, which stood as `seen`: it as it is now, for another try. Nothing if
/// theirs is later, and stays.
///
/// What of `told` has not gone yet is taken back, unless the other try tells it again, or `is_told` says that it holds
/// for the lesson as it is now.
pub(super) async fn look_again(
    cx: &Context,
    tenant: &TenantId,
    lesson: &Lesson,
    seen: &Lesson,
    told: &[MessageId],
    is_told: impl Fn(&Lesson) -> bool,
    now: Timestamp,
) -> Result<Option<Seen<Lesson>>, ContextError> {
    let there = lessons::seen(cx.table().await?, tenant, &[&lesson.id]).await?.remove(&lesson.id);
    let is_open = there.as_ref().is_some_and(|there| !is_later(&there.value, lesson));
    // Of the same version it tells the same.
    let is_same = |there: &Lesson| there.version == seen.version && there.status == LessonStatus::Scheduled;
    let holds = there.as_ref().is_some_and(|there| is_told(&there.value) || (is_open && is_same(&there.value)));
    if !holds {
        take_back(cx, tenant, told, now).await?;
    }
    Ok(there.filter(|_| is_open))
}

/// Takes back what of `told` has not gone yet.
async fn take_back(cx: &Context, tenant: &TenantId, told: &[MessageId], now: Timestamp) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let told = messages::get_many(table, tenant, told).await?;
    let waiting = told.into_iter().filter(|message| message.status == Status::Scheduled);
    let changes: Vec<Change> = waiting.map(|message| Change::of(canceled(message, Reason::Moved, now))).collect();
    messages::write(table, tenant, &changes, None).await?;
    Ok(())
}

/// Writes a schedule change to everybody who attends `lesson`, due at once. What was written before and taken back since
/// waits again.
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
    plan_again(table, tenant, told, Reason::Moved, now).await?;
    Ok(ids)
}
