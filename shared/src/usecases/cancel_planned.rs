//! Takes back what was planned for a lesson or payment and no longer holds.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::message::{Message, Reason, Status, Step};
use crate::domain::tenant::TenantId;
use crate::store::keys::Subject;
use crate::store::messages::{self, Change, Written};

/// A message may change between being read and being canceled; after this many looks the dispatch,
/// which reads the lesson again, sees to it.
const TRIES: u32 = 3;

/// Cancels the planned reminders about `subject` that `reason` gives a reason for.
///
/// What was claimed for sending already goes out; what waits is canceled.
pub async fn cancel_planned(
    cx: &Context,
    tenant: &TenantId,
    subject: Subject<'_>,
    reason: impl Fn(&Message) -> Option<Reason>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let planned = messages::waiting_for(table, tenant, subject).await?;
        let reminders = planned.into_iter().filter(|message| message.status == Status::Scheduled);
        let changes: Vec<Change> = reminders
            .filter_map(|message| {
                let reason = reason(&message)?;
                Some(Change::of(canceled(message, reason, now)))
            })
            .collect();
        let written = messages::write(table, tenant, &changes, None).await?;
        if !written.contains(&Written::Lost) {
            break;
        }
    }
    Ok(())
}

/// `message`, canceled.
pub fn canceled(mut message: Message, reason: Reason, now: Timestamp) -> Message {
    message.status = Status::Canceled;
    message.reason = Some(reason);
    message.decided_at = Some(now);
    message.timeline.push(Step::with(now, "canceled", reason.word()));
    message
}
