//! Takes back what has not gone yet: a message, a batch, or what recurs.

use jiff::{SignedDuration, Timestamp};

use super::cancel_planned::canceled;
use super::open_batch::open_batch;
use super::repeat_message::RECURRING_PREFIX;
use super::send_batch::{BATCH_PREFIX, row_id};
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::message::{Message, MessageId, Reason, Status, is_derived};
use crate::domain::tenant::TenantId;
use crate::store::batches::{self, Stage};
use crate::store::messages::{self, Change, Written};
use crate::store::pace;
use crate::store::recurring::{self, Recurring};

/// What was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceled {
    /// So many messages, now or before.
    Done(u32),
    /// Everything has gone already.
    TooLate,
    /// There is nothing of this id.
    Unknown,
}

/// A message may change while we look at it; it is looked at so often.
const TRIES: u32 = 5;
/// So many rows of a batch are taken back at once.
const AT_ONCE: usize = 90;

/// Takes back the message, batch or recurring message `id`. Doing it again changes nothing.
pub async fn cancel_message(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Canceled, ContextError> {
    if is_derived(id, RECURRING_PREFIX) {
        return cancel_recurring(cx, tenant, id).await;
    }
    if is_derived(id, BATCH_PREFIX) {
        return cancel_batch(cx, tenant, id, now).await;
    }
    let Some(id) = MessageId::parse(id) else { return Ok(Canceled::Unknown) };
    // On several channels each has a row of its own, once it is parted.
    let sibling = |channel: Channel| MessageId::derive(tenant, &[id.as_str(), channel.word()]);
    let mut ids: Vec<MessageId> = Channel::BY_CHOICE.into_iter().chain([Channel::Mms]).map(sibling).collect();
    ids.push(id);
    let (known, taken_back) = cancel_all(cx, tenant, &ids, now).await?;
    Ok(match (known, taken_back) {
        (0, _) => Canceled::Unknown,
        (_, 0) => Canceled::TooLate,
        (_, taken_back) => Canceled::Done(taken_back),
    })
}

/// How many of `ids` exist, and how many of those are canceled.
async fn cancel_all(cx: &Context, tenant: &TenantId, ids: &[MessageId], now: Timestamp) -> Result<(u32, u32), ContextError> {
    let table = cx.table().await?;
    let is_taken_back = |message: &&Message| message.status == Status::Canceled;
    for _ in 0..TRIES {
        let known = messages::get_many(table, tenant, ids).await?;
        let waiting = known.iter().filter(|message| message.status == Status::Scheduled);
        let changes: Vec<Change> = waiting.map(|message| Change::of(canceled(message.clone(), Reason::OnRequest, now))).collect();
        let written = messages::write(table, tenant, &changes, None).await?;
        if written.iter().all(|written| *written == Written::Won) {
            let before = known.iter().filter(is_taken_back).count();
            return Ok((known.len() as u32, (before + written.len()) as u32));
        }
    }
    // It is changing all the time: it is going out.
    Ok((ids.len() as u32, 0))
}

async fn cancel_batch(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Canceled, ContextError> {
    let table = cx.table().await?;
    let Some(mut batch) = batches::get(table, tenant, id).await? else { return Ok(Canceled::Unknown) };
    let rows = batch.rows();
    if batch.stage == Stage::Held {
        batch.stage = Stage::Canceled;
        if batches::update(table, tenant, &mut batch).await? {
            return Ok(Canceled::Done(rows.len() as u32));
        }
        let Some(now_is) = batches::get(table, tenant, id).await? else { return Ok(Canceled::Unknown) };
        batch = now_is;
    }
    let was_canceled = batch.stage == Stage::Canceled;
    // What was taken back before gave its time back then.
    let (batch_busy, all) = (if was_canceled { Default::default() } else { batch.busy.clone() }, rows.len() as i64);
    match batch.stage {
        Stage::Held => return Ok(Canceled::Done(rows.len() as u32)),
        // Again: what a crash left of it is taken back too.
        Stage::Canceled => {}
        // Opened to its end, so that nobody makes messages of it after they were taken back.
        Stage::Opening => {
            open_batch(cx, tenant, batch, now).await?;
        }
        Stage::Open => {}
    }
    if let Some(mut open) = batches::get(table, tenant, id).await?.filter(|batch| batch.stage == Stage::Open) {
        open.stage = Stage::Canceled;
        batches::update(table, tenant, &mut open).await?;
    }
    let mut taken_back = 0;
    for rows in rows.chunks(AT_ONCE) {
        let ids: Vec<MessageId> = rows.iter().map(|row| row_id(tenant, id, *row)).collect();
        taken_back += cancel_all(cx, tenant, &ids, now).await?.1;
    }
    // Their share of the sender's time, for the lists that come after.
    for (sender, millis) in batch_busy {
        let back = SignedDuration::from_millis(millis * i64::from(taken_back) / all.max(1));
        pace::give_back(table, tenant, &pace::of_lists(&sender), back, now).await?;
    }
    Ok(if taken_back > 0 || was_canceled { Canceled::Done(taken_back) } else { Canceled::TooLate })
}

async fn cancel_recurring(cx: &Context, tenant: &TenantId, id: &str) -> Result<Canceled, ContextError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let Some(known) = recurring::get(table, tenant, id).await? else { return Ok(Canceled::Unknown) };
        if known.next.is_none() || recurring::update(table, tenant, Recurring { next: None, ..known }).await? {
            return Ok(Canceled::Done(1));
        }
    }
    Ok(Canceled::TooLate)
}
