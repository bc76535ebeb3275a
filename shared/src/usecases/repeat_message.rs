//! Messages that recur: stored once, made anew at each occurrence (S1-82).

use jiff::Timestamp;

use super::send_message::{Request, SendError, asked_id, composed, fingerprint};
use crate::context::{Context, ContextError};
use crate::domain::compose::FieldError;
use crate::domain::message::{Message, MessageId, Step, derived};
use crate::domain::recurrence::Recurrence;
use crate::domain::tenant::TenantId;
use crate::store::messages;
use crate::store::recurring::{self, Recurring};

/// The id of a recurring message begins with it.
pub const RECURRING_PREFIX: &str = "rec_";

/// Stores what recurs, or answers what was stored under this key.
///
/// # Errors
/// [`SendError::Invalid`] also when there is no occurrence at all.
pub async fn plan_recurring(
    cx: &Context,
    tenant: &TenantId,
    request: &Request,
    recurrence: Recurrence,
    now: Timestamp,
) -> Result<Recurring, SendError> {
    let table = cx.table().await?;
    let id = format!("{RECURRING_PREFIX}{}", derived(tenant, &["recurring", &request.key]));
    let fingerprint = fingerprint(tenant, &(&request.wish, &recurrence));
    let same = |known: Recurring| {
        let is_same = known.message.direct.as_ref().is_some_and(|direct| direct.fingerprint == fingerprint);
        if is_same { Ok(known) } else { Err(SendError::KeyTaken) }
    };
    if let Some(known) = recurring::get(table, tenant, &id).await? {
        return same(known);
    }
    let first = request.wish.send_at.unwrap_or(now);
    let Some(next) = recurrence.next_after(first) else {
        return Err(SendError::Invalid(vec![FieldError::new("repeat", "never", "there is no such instant ahead")]));
    };
    let stand_in = MessageId::derive(tenant, &[&id]);
    let message = match composed(cx, tenant, request, stand_in, &fingerprint, now).await? {
        Ok((message, _)) => message,
        Err(errors) => return Err(SendError::Invalid(errors)),
    };
    let planned = Recurring { id: id.clone(), recurrence, message, next: Some(next), created_at: now, revision: 1 };
    let key = messages::taken(table, tenant, &asked_id(tenant, &request.key), &fingerprint, now)?;
    if recurring::create(table, tenant, &planned, key).await? {
        return Ok(planned);
    }
    match recurring::get(table, tenant, &id).await? {
        Some(known) => same(known),
        None => Err(SendError::KeyTaken),
    }
}

/// Makes the message of an occurrence that has come, and arms the next. Answers the message.
///
/// `recurring` may be a moment old: of what was canceled or taken away since, nothing is made.
/// Occurrences that were missed, because nothing ran, are made up for by one.
pub async fn repeat_message(
    cx: &Context,
    tenant: &TenantId,
    recurring: Recurring,
    now: Timestamp,
) -> Result<Vec<Message>, ContextError> {
    let table = cx.table().await?;
    let Some(occurrence) = recurring.next.filter(|next| *next <= now) else { return Ok(Vec::new()) };
    let message = occurring(tenant, &recurring, occurrence, now);
    let next = recurring.recurrence.next_after(now);
    let armed = Recurring { next, ..recurring };
    if recurring::update_creating(table, tenant, armed.clone(), &message).await? {
        return Ok(vec![message]);
    }
    // The message may be there though the next is not armed: once they were written one after the other. If what recurs
    // has changed, this is refused too.
    recurring::update(table, tenant, armed).await?;
    Ok(Vec::new())
}

fn occurring(tenant: &TenantId, recurring: &Recurring, occurrence: Timestamp, now: Timestamp) -> Message {
    let id = MessageId::derive(tenant, &["occurrence", &recurring.id, &occurrence.to_string()]);
    let timeline = vec![Step::with(now, "recurred", &recurring.id)];
    Message { id, due_at: occurrence, timeline, ..recurring.message.clone() }
}
