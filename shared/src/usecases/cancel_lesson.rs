//! A lesson does not take place: its students are told, its reminders are canceled.

use jiff::Timestamp;

use super::move_lesson::tell_students;
use super::save_lessons::cancel_outdated;
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::message::{Facts, MessageId};
use crate::domain::tenant::TenantId;
use crate::store::lessons;

/// Cancels `lesson`, and answers the ids of the messages that tell of it.
///
/// As when moving, the messages are written before the lesson.
pub async fn cancel_lesson(
    cx: &Context,
    tenant: &TenantId,
    mut lesson: Lesson,
    now: Timestamp,
) -> Result<Vec<MessageId>, ContextError> {
    let mut told = Vec::new();
    if lesson.status == LessonStatus::Scheduled {
        told = tell_students(cx, tenant, &lesson, &Facts::Cancelled { start: lesson.starts_at }, now).await?;
        lesson.status = LessonStatus::Cancelled;
        lessons::put_many(cx.table().await?, tenant, std::slice::from_ref(&lesson)).await?;
    }
    cancel_outdated(cx, tenant, &lesson, now).await?;
    Ok(told)
}
