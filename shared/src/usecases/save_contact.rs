//! Changes one contact, and loses nothing that somebody else changes meanwhile.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::plan_reminders::replan_lessons;
use crate::context::{Context, ContextError};
use crate::domain::contact::Contact;
use crate::domain::lesson::{Lesson, Students};
use crate::domain::reminder::{HORIZON, Kind};
use crate::domain::tenant::TenantId;
use crate::store::{StoreError, contacts, lessons};
use crate::telemetry::Chain;

/// A contact as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub contact: Contact,
    /// There was none of this id.
    pub is_new: bool,
}

/// A contact, and the groups that it was not in before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub contact: String,
    pub groups: BTreeSet<String>,
}

/// Others may change a contact between our looks so often.
const TRIES: u32 = 8;

/// Stores what `change` makes of the contact `id`, or of nobody; `change` is asked again if somebody else was faster.
///
/// Reminders look at the contact when they are due, so nothing is planned anew; but whoever joined a group gets
/// those of its lessons that are near, as if they had been in it when they were planned.
///
/// # Errors
/// Whatever `change` refuses with; nothing is written then.
pub async fn save_contact<E: From<ContextError>>(
    cx: &Context,
    tenant: &TenantId,
    id: &str,
    change: impl Fn(Option<&Contact>) -> Result<Contact, E>,
    now: Timestamp,
) -> Result<Saved, E> {
    let (saved, joined) = change_contact(cx, tenant, id, change).await?;
    plan_joined(cx, tenant, &[joined], now).await;
    Ok(saved)
}

/// [`save_contact`] without the reminders of the groups that it joined: those are left to [`plan_joined`].
pub(super) async fn change_contact<E: From<ContextError>>(
    cx: &Context,
    tenant: &TenantId,
    id: &str,
    change: impl Fn(Option<&Contact>) -> Result<Contact, E>,
) -> Result<(Saved, Joined), E> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let read = contacts::read(table, tenant, id).await.map_err(ContextError::from)?;
        let before = read.as_ref().map(|known| &known.contact);
        let changed = change(before)?;
        let stored = contacts::replace(table, tenant, read.as_ref(), changed).await.map_err(ContextError::from)?;
        if let Some(contact) = stored {
            let groups: BTreeSet<&String> = before.into_iter().flat_map(|before| &before.groups).collect();
            let joined = contact.groups.iter().filter(|group| !groups.contains(group)).cloned().collect();
            let joined = Joined { contact: contact.id.clone(), groups: joined };
            return Ok((Saved { is_new: before.is_none(), contact }, joined));
        }
    }
    Err(ContextError::from(StoreError::Unreachable("a contact kept changing".into())).into())
}

/// Plans what is near of the lessons of the groups that these joined, for them alone.
pub(super) async fn plan_joined(cx: &Context, tenant: &TenantId, joined: &[Joined], now: Timestamp) {
    // They are saved; what is not planned now, the next daily plan makes up for.
    if let Err(error) = plan_near(cx, tenant, joined, now).await {
        tracing::error!(%tenant, error = %Chain(&error), "reminders of a group could not be planned for new members");
    }
}

async fn plan_near(cx: &Context, tenant: &TenantId, joined: &[Joined], now: Timestamp) -> Result<(), ContextError> {
    if joined.iter().all(|joined| joined.groups.is_empty()) {
        return Ok(());
    }
    let settings = cx.settings(tenant, now).await?;
    // With a day to spare for changes of the clocks.
    let longest = settings.offsets(Kind::LessonReminder).iter().map(|offset| offset.minutes()).max().unwrap_or(0);
    let reach = HORIZON + SignedDuration::from_mins(i64::from(longest)) + SignedDuration::from_hours(24);
    let mut theirs = Vec::new();
    for lesson in lessons::starting(cx.table().await?, tenant, now, now + reach).await? {
        let mut contacts = Vec::new();
        for Joined { contact, groups } in joined {
            if lesson.students.groups.iter().any(|group| groups.contains(group)) {
                contacts.push(contact.clone());
            }
        }
        if !contacts.is_empty() {
            theirs.push(Lesson { students: Students { contacts, groups: Vec::new() }, ..lesson });
        }
    }
    replan_lessons(cx, tenant, &settings, &theirs, now).await?;
    Ok(())
}
