//! Makes the messages of an accepted batch, as often as it takes: their ids are derived.

use jiff::{SignedDuration, Timestamp};

use crate::context::{Context, ContextError};
use crate::domain::message::{Message, MessageId};
use crate::domain::tenant::TenantId;
use crate::queue;
use crate::store::batches::{self, Batch, Stage};
use crate::store::messages;
use crate::store::pace::{self, Turn};
use crate::telemetry::Chain;

/// Takes slots for the batch and writes its messages. Answers those of the rows that it wrote now.
pub async fn open_batch(cx: &Context, tenant: &TenantId, mut batch: Batch, now: Timestamp) -> Result<Vec<Message>, ContextError> {
    let table = cx.table().await?;
    if batch.slots.is_empty() && !batch.busy.is_empty() {
        for (sender, busy) in &batch.busy {
            let length = SignedDuration::from_millis(*busy);
            let (Turn::From(at) | Turn::Full(at)) =
                pace::take(table, tenant, &pace::of_lists(sender), length, pace::ANY, now).await?;
            batch.slots.insert(sender.clone(), at);
        }
        // Whoever was faster opens it, with the slots that it took.
        if !batches::update(table, tenant, &mut batch).await? {
            return Ok(Vec::new());
        }
    }
    let mut made = Vec::new();
    for chunk in 0..batch.chunks {
        let mut rows = batches::rows(table, tenant, &batch.id, chunk).await?;
        rows.iter_mut().for_each(|row| shift(&batch, row));
        messages::create(table, tenant, rows.clone()).await?;
        made.extend(rows);
    }
    batch.stage = Stage::Open;
    // Lost to somebody who opened it as well, which does no harm.
    batches::update(table, tenant, &mut batch).await?;
    let due: Vec<MessageId> = made.iter().filter(|row| row.due_at <= now).map(|row| row.id.clone()).collect();
    if !due.is_empty()
        && let Err(error) = queue::hint(&cx.queue, &cx.config.queue_url, tenant, &due).await
    {
        tracing::warn!(%tenant, error = %Chain(&error), "no hint was queued: the minute tick sends these");
    }
    Ok(made)
}

/// Puts a row where its sender's slots really are; it was stored as if they began when it was asked for.
fn shift(batch: &Batch, row: &mut Message) {
    let sender = row.direct.as_ref().and_then(|direct| direct.slot_of.as_ref());
    if let Some(first) = sender.and_then(|sender| batch.slots.get(sender)) {
        row.due_at = *first + row.due_at.duration_since(batch.created_at);
    }
}
