//! Creates or replaces lessons, and plans them at once.

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::plan_reminders::{Groups, plan_lessons};
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::message::{Message, Reason};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::lessons;

/// Stores `lessons`; what was planned for an older version of one is canceled.
///
/// A crash between any two steps is mended by saving again.
pub async fn save_lessons(cx: &Context, tenant: &TenantId, mut lessons: Vec<Lesson>, now: Timestamp) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let ids: Vec<&str> = lessons.iter().map(|lesson| lesson.id.as_str()).collect();
    let known = lessons::get_many(table, tenant, &ids).await?;
    for lesson in &mut lessons {
        if let Some(old) = known.get(&lesson.id) {
            lesson.version = next_version(old, lesson);
        }
    }
    lessons::put_many(table, tenant, &lessons).await?;
    for lesson in lessons.iter().filter(|lesson| known.contains_key(&lesson.id)) {
        cancel_outdated(cx, tenant, lesson, now).await?;
    }
    plan_lessons(cx, tenant, &settings, &lessons, now).await?;
    Ok(())
}

/// The version of `new` in `old`'s place: it grows with the start, and when a cancelled lesson comes back.
fn next_version(old: &Lesson, new: &Lesson) -> u32 {
    let back = old.status == LessonStatus::Cancelled && new.status == LessonStatus::Scheduled;
    old.version + u32::from(back || old.starts_at != new.starts_at)
}

/// Cancels what was planned for `lesson` and does not hold for it as it is now.
pub(super) async fn cancel_outdated(
    cx: &Context,
    tenant: &TenantId,
    lesson: &Lesson,
    now: Timestamp,
) -> Result<(), ContextError> {
    let groups = Groups::load(cx.table().await?, tenant, &[lesson]).await?;
    let attendees = groups.attendees(lesson);
    let attends = |contact: &str| attendees.contains(contact);
    cancel_planned(cx, tenant, Subject::Lesson(&lesson.id), |message| outdated(message, lesson, attends), now).await
}

/// Why a reminder no longer holds for `lesson`, if so (reminders.md §2.3).
pub(super) fn outdated(message: &Message, lesson: &Lesson, attends: impl Fn(&str) -> bool) -> Option<Reason> {
    if lesson.status == LessonStatus::Cancelled {
        Some(Reason::LessonCancelled)
    } else if message.version != lesson.version {
        Some(Reason::Moved)
    } else if !message.contact.as_deref().is_some_and(attends) {
        Some(Reason::NotAttending)
    } else {
        None
    }
}
