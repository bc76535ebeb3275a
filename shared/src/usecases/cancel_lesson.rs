//! A lesson does not take place: its students are told, its reminders are canceled.

use jiff::Timestamp;

use super::move_lesson::{look_again, tell_students};
use super::save_lessons::{TRIES, cancel_outdated, kept_changing};
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::message::{Facts, MessageId};
use crate::domain::tenant::TenantId;
use crate::store::lessons;

/// Cancels `lesson`, and answers the ids of the messages that tell of it.
///
/// As when moving, the messages are written before the lesson, and the lesson is the one of the table.
pub async fn cancel_lesson(
    cx: &Context,
    tenant: &TenantId,
    lesson: Lesson,
    now: Timestamp,
) -> Result<Vec<MessageId>, ContextError> {
    let table = cx.table().await?;
    let mut there = lessons::seen(table, tenant, &[&lesson.id]).await?.remove(&lesson.id);
    for _ in 0..TRIES {
        let Some(seen) = there else { return Ok(Vec::new()) };
        let mut cancelled = Lesson { changed_at: lesson.changed_at, ..seen.value.clone() };
        let mut told = Vec::new();
        if cancelled.status == LessonStatus::Scheduled {
            told = tell_students(cx, tenant, &cancelled, &Facts::Cancelled { start: cancelled.starts_at }, now).await?;
            cancelled.status = LessonStatus::Cancelled;
            if !lessons::replace(table, tenant, &cancelled, &seen).await? {
                // Whoever cancelled the same version told the same.
                let is_told = |there: &Lesson| there.version == cancelled.version && there.status == LessonStatus::Cancelled;
                there = look_again(cx, tenant, &lesson, &seen.value, &told, is_told, now).await?;
                continue;
            }
        }
        cancel_outdated(cx, tenant, &cancelled, now).await?;
        return Ok(told);
    }
    Err(kept_changing())
}
