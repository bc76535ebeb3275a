//! Creates or replaces lessons, and plans them at once. Each is written only in the place of the one that was read.

use std::collections::HashMap;

use jiff::Timestamp;

use super::cancel_planned::cancel_planned;
use super::plan_reminders::{Groups, replan_lessons};
use crate::context::{Context, ContextError};
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::message::{Message, Reason};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::lessons::{self, Seen};
use crate::store::{StoreError, Table};

/// Others may change a lesson between our looks so often.
pub(super) const TRIES: u32 = 8;

/// Stores `lessons`; what was planned for an older version of one is canceled.
///
/// A crash between any two steps is mended by saving again.
pub async fn save_lessons(cx: &Context, tenant: &TenantId, mut lessons: Vec<Lesson>, now: Timestamp) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let mut seen = look(table, tenant, &lessons).await?;
    for _ in 0..TRIES {
        let lost = save_seen_lessons(cx, tenant, lessons, &seen, now).await?;
        if lost.is_empty() {
            return Ok(());
        }
        seen = look(table, tenant, &lost).await?;
        // What changed after ours stays as it is.
        let is_old = |lesson: &Lesson| seen.get(&lesson.id).is_some_and(|seen| is_later(&seen.value, lesson));
        lessons = lost.into_iter().filter(|lesson| !is_old(lesson)).collect();
    }
    Err(kept_changing())
}

/// Stores those of `lessons` for which what was `seen` still stands, or still nothing, and gives back the others:
/// somebody else was faster. Saving all of them again saves none twice.
pub async fn save_seen_lessons(
    cx: &Context,
    tenant: &TenantId,
    mut lessons: Vec<Lesson>,
    seen: &HashMap<String, Seen<Lesson>>,
    now: Timestamp,
) -> Result<Vec<Lesson>, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    for lesson in &mut lessons {
        if let Some(old) = seen.get(&lesson.id) {
            lesson.version = next_version(&old.value, lesson);
        }
    }
    let lost = lessons::replace_many(cx.table().await?, tenant, &lessons, seen).await?;
    let (lost, saved): (Vec<Lesson>, Vec<Lesson>) = lessons.into_iter().partition(|lesson| lost.contains(&lesson.id));
    for lesson in saved.iter().filter(|lesson| seen.contains_key(&lesson.id)) {
        cancel_outdated(cx, tenant, lesson, now).await?;
    }
    replan_lessons(cx, tenant, &settings, &saved, now).await?;
    Ok(lost)
}

async fn look(table: &Table, tenant: &TenantId, lessons: &[Lesson]) -> Result<HashMap<String, Seen<Lesson>>, StoreError> {
    let ids: Vec<&str> = lessons.iter().map(|lesson| lesson.id.as_str()).collect();
    lessons::seen(table, tenant, &ids).await
}

/// Whether `known` changed after `ours` did. EventBridge tells whole seconds.
pub(super) fn is_later(known: &Lesson, ours: &Lesson) -> bool {
    known.changed_at.as_second() > ours.changed_at.as_second()
}

pub(super) fn kept_changing() -> ContextError {
    StoreError::Unreachable("a lesson kept changing".into()).into()
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
