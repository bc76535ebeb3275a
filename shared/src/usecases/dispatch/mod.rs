//! Sends what is due. Everything is decided now, never earlier: `decide` weighs, `send` hands over.

mod bulk;
pub mod claim;
mod decide;
mod hand_over;
mod hold;
pub mod now;
pub mod pacing;
mod record;
pub mod run;
mod send;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use self::run::{LONGEST_RUN, Run};
use super::control_campaign::hold_up;
use super::open_batch::open_batch;
use super::repeat_message::repeat_message;
use super::resolve_unknown::resolve_unknown;
use super::tell_of_inbound::tell_of_inbound;
use super::work_job::work_job;
use crate::context::{Context, ContextError};
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::campaigns::Pause;
use crate::store::due::{self, Due};
use crate::store::jobs::Job;
use crate::store::keys::{DUE_SHARDS, Lane};
use crate::store::messages;
use crate::telemetry::{self, Chain};

/// How much of what is due one run takes from a shard: the order of one instant is kept within it.
const MOST: usize = 20_000;

/// What a run did, and found.
#[derive(Debug, Default)]
pub struct Dispatched {
    /// Every message that it touched, as it is now.
    pub messages: Vec<(TenantId, Message)>,
    /// Messages whose claim had lapsed, and of which it did not find out what became: it could not, or did not come to it.
    pub stuck: u64,
    /// How long the message that waited longest in the first lane had been due.
    pub late: SignedDuration,
}

/// The minute tick: sends everything that is due, and finds out about what is stuck.
pub async fn dispatch_due(cx: &Context, now: Timestamp) -> Result<Dispatched, ContextError> {
    let table = cx.table().await?;
    let run = Run::at(now);
    let mut dispatched = Dispatched::default();
    let mut unread = None;
    let mut is_over = false;
    // Another shard first each minute: where there is too much for one run, nobody waits for ever.
    let first = now.as_second().div_euclid(60).rem_euclid(i64::from(DUE_SHARDS)) as u32;
    let shards = || (0..DUE_SHARDS).map(|shard| (first + shard) % DUE_SHARDS);
    let mut jobs: Vec<(TenantId, Job)> = Vec::new();
    for shard in shards() {
        // By id: what a batch makes may stand in the index by itself already.
        let mut by_tenant: BTreeMap<TenantId, BTreeMap<MessageId, Message>> = BTreeMap::new();
        let waiting = match due::due(table, shard, Lane::First, MOST, now).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(shard, error = %Chain(&error), "what is due could not be read");
                unread = Some(error);
                continue;
            }
        };
        for (tenant, due) in waiting {
            // What these make and is due goes in this run.
            let made = match due {
                Due::Message(message) => {
                    if message.status == Status::Scheduled {
                        dispatched.late = dispatched.late.max(now.duration_since(message.wakes_at()));
                    }
                    by_tenant.entry(tenant).or_default().insert(message.id.clone(), *message);
                    continue;
                }
                Due::Job(job) => {
                    jobs.push((tenant, *job));
                    continue;
                }
                // Stands in the other lane.
                Due::Campaign(_) => continue,
                Due::Batch(batch) => Box::pin(open_batch(cx, &tenant, *batch, now)).await,
                Due::Recurring(recurring) => Box::pin(repeat_message(cx, &tenant, *recurring, now)).await,
            };
            match made {
                Ok(made) => {
                    let of_tenant = by_tenant.entry(tenant).or_default();
                    for made in made.into_iter().filter(|made| made.due_at <= now) {
                        of_tenant.entry(made.id.clone()).or_insert(made);
                    }
                }
                Err(error) => tracing::error!(%tenant, error = %Chain(&error), "messages could not be made from what is due"),
            }
        }
        for (tenant, due) in by_tenant {
            // The next run goes on, with a `now` of its own. This one tells what it knows, so that nobody takes what it did not
            // look at for found; of shards that it has not read it knows nothing.
            if run.elapsed() > LONGEST_RUN {
                dispatched.stuck += lapsed(due.values());
                is_over = true;
                continue;
            }
            // One tenant's trouble does not keep the others waiting; the next tick tries it again.
            if let Err(error) = dispatch_tenant(cx, &tenant, due.into_values().collect(), &mut dispatched, run).await {
                tracing::error!(%tenant, error = %Chain(&error), "messages that are due could not be dispatched");
            }
        }
        if is_over {
            return Ok(dispatched);
        }
    }
    bulk::work_off(cx, shards(), &mut dispatched, run).await;
    // After all that is to be sent.
    for (tenant, job) in jobs {
        if run.elapsed() > LONGEST_RUN {
            return Ok(dispatched);
        }
        if let Err(error) = Box::pin(work_job(cx, &tenant, job, run.now)).await {
            tracing::error!(%tenant, error = %Chain(&error), "a job could not go on");
        }
    }
    match unread {
        Some(error) if dispatched.messages.is_empty() => Err(error.into()),
        Some(_) | None => Ok(dispatched),
    }
}

/// How many of `due` are claimed: for longer than the claim holds, or they would not be due.
fn lapsed<'a>(due: impl IntoIterator<Item = &'a Message>) -> u64 {
    due.into_iter().filter(|message| message.status == Status::Sending).count() as u64
}

/// Follows a hint of the queue: sends those of `ids` that are due.
pub async fn dispatch_hinted(cx: &Context, tenant: &TenantId, ids: &[MessageId], run: Run) -> Result<Dispatched, ContextError> {
    let mut dispatched = Dispatched::default();
    let hinted = messages::get_many(cx.table().await?, tenant, ids).await?;
    let due = hinted.into_iter().filter(|message| message.is_waiting() && message.wakes_at() <= run.now).collect();
    dispatch_tenant(cx, tenant, due, &mut dispatched, run).await?;
    Ok(dispatched)
}

async fn dispatch_tenant(
    cx: &Context,
    tenant: &TenantId,
    due: Vec<Message>,
    dispatched: &mut Dispatched,
    run: Run,
) -> Result<(), ContextError> {
    let (untold, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|message| message.inbound.is_some());
    let (stuck, waiting): (Vec<_>, Vec<_>) = due.into_iter().partition(|message| message.status == Status::Sending);
    let mut touched = Vec::new();
    if !stuck.is_empty() {
        // All of them, if something keeps us from looking.
        dispatched.stuck += stuck.len() as u64;
        dispatched.stuck -= resolve_unknown(cx, tenant, stuck, &mut touched, run).await?;
    }
    if !waiting.is_empty() {
        let settings = cx.settings(tenant, run.now).await?;
        dispatch_waiting(cx, tenant, &settings, waiting, &mut touched, run).await?;
    }
    // Last, and no more once the bus does not answer: sending does not wait for it.
    for message in untold {
        if !tell_of_inbound(cx, tenant, &message).await? {
            break;
        }
    }
    touched.iter().for_each(|message| telemetry::message(tenant, message));
    dispatched.messages.extend(touched.into_iter().map(|message| (tenant.clone(), message)));
    Ok(())
}

/// Decides about messages that wait and are due, and sends those that go.
async fn dispatch_waiting(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    waiting: Vec<Message>,
    touched: &mut Vec<Message>,
    run: Run,
) -> Result<(), ContextError> {
    for part in hold::by_campaign(cx, tenant, settings, waiting, touched, run.now).await? {
        let decided = decide::decide(cx, tenant, settings, part.messages, touched, run.now).await?;
        let spent = send::send(cx, tenant, settings, decided, part.campaign.as_deref(), touched, run).await?;
        if let (Some(campaign), true) = (part.campaign, spent) {
            hold_up(cx, tenant, &campaign, Pause::Budget, None, run.now).await?;
        }
    }
    Ok(())
}
