//! The bulk lane: lists and campaigns, after everything else, and turn by turn, so that nobody's hundred thousand rows
//! stand before another's hundred.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::super::control_campaign::hold_up;
use super::super::work_campaign::{AtHand, Worked, work_step};
use super::{Dispatched, Run, dispatch_tenant, lapsed};
use crate::context::{Context, ContextError};
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{Campaign, Pause};
use crate::store::due::{self, Due};
use crate::store::keys::Lane;
use crate::telemetry::Chain;
use crate::twilio::error_codes::{Class, meaning};

/// A run gives the lane so long: the next minute's reminders do not wait for it.
const LONGEST: Duration = Duration::from_secs(30);
/// How much of what is due one run takes from a shard: about as much as it sends.
const MOST: usize = 4_000;
/// Messages of one turn of a tenant.
const TURN: usize = 320;
/// So many messages, all refused for the account's or the sender's sake, are no accident.
const NO_ACCIDENT: usize = 5;

/// Whose turn it is, and for what.
enum Turn {
    Messages(TenantId, VecDeque<Message>),
    Campaign(TenantId, Box<Campaign>, AtHand),
}

impl Turn {
    fn tenant(&self) -> &TenantId {
        match self {
            Turn::Messages(tenant, _) | Turn::Campaign(tenant, ..) => tenant,
        }
    }
}

/// Sends what is due of the bulk lane, and goes on with campaigns, as far as there is time.
pub(super) async fn work_off(cx: &Context, shards: impl Iterator<Item = u32>, dispatched: &mut Dispatched, run: Run) {
    let started = Instant::now();
    let mut turns: VecDeque<Turn> = VecDeque::new();
    for shard in shards {
        match waiting(cx, shard, run).await {
            Ok(waiting) => turns.extend(waiting),
            Err(error) => tracing::error!(shard, error = %Chain(&error), "what is due of lists and campaigns could not be read"),
        }
    }
    while !turns.is_empty() && started.elapsed() <= LONGEST {
        let mut round = round(&mut turns).into_iter();
        let [a, b, c, d] = [round.next(), round.next(), round.next(), round.next()].map(|turn| Box::pin(take(cx, turn, run)));
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        for (sent, again) in [a, b, c, d].into_iter().flatten() {
            dispatched.messages.extend(sent.messages);
            dispatched.stuck += sent.stuck;
            turns.extend(again);
        }
    }
    // What it did not come to.
    for turn in &turns {
        if let Turn::Messages(_, waiting) = turn {
            dispatched.stuck += lapsed(waiting);
        }
    }
}

/// What waits in the lane of a shard, each tenant's messages before its campaigns: what is made goes before more is.
async fn waiting(cx: &Context, shard: u32, run: Run) -> Result<Vec<Turn>, ContextError> {
    let mut by_tenant: BTreeMap<TenantId, (VecDeque<Message>, Vec<Box<Campaign>>)> = BTreeMap::new();
    for (tenant, due) in due::due(cx.table().await?, shard, Lane::Bulk, MOST, run.now).await? {
        let (messages, campaigns) = by_tenant.entry(tenant).or_default();
        match due {
            Due::Message(message) => messages.push_back(*message),
            Due::Campaign(campaign) => campaigns.push(campaign),
            // Nothing else is ever put there.
            Due::Batch(_) | Due::Recurring(_) | Due::Job(_) => {}
        }
    }
    let mut turns = Vec::new();
    for (tenant, (messages, campaigns)) in by_tenant {
        if !messages.is_empty() {
            turns.push(Turn::Messages(tenant.clone(), messages));
        }
        turns.extend(campaigns.into_iter().map(|campaign| Turn::Campaign(tenant.clone(), campaign, AtHand::default())));
    }
    // Somebody else first each minute: where there is too much for one run, nobody waits for ever.
    let minute = run.now.as_second().div_euclid(60).rem_euclid(turns.len().max(1) as i64) as usize;
    turns.rotate_left(minute);
    Ok(turns)
}

/// The next turns that go at once: four at most, of different tenants.
fn round(turns: &mut VecDeque<Turn>) -> Vec<Turn> {
    let mut tenants = HashSet::new();
    let mut taken = Vec::new();
    let mut left = VecDeque::with_capacity(turns.len());
    for turn in turns.drain(..) {
        if taken.len() < 4 && tenants.insert(turn.tenant().clone()) { taken.push(turn) } else { left.push_back(turn) }
    }
    *turns = left;
    taken
}

/// Takes a turn. What it sent, and the next turn, if there is more to do now.
async fn take(cx: &Context, turn: Option<Turn>, run: Run) -> Option<(Dispatched, Option<Turn>)> {
    let mut sent = Dispatched::default();
    let again = match turn? {
        Turn::Messages(tenant, mut waiting) => {
            let now = waiting.drain(..waiting.len().min(TURN)).collect();
            match dispatch_tenant(cx, &tenant, now, &mut sent, run).await {
                Ok(()) if !waiting.is_empty() => Some(Turn::Messages(tenant, waiting)),
                Ok(()) => None,
                Err(error) => {
                    tracing::error!(%tenant, error = %Chain(&error), "messages that are due could not be dispatched");
                    None
                }
            }
        }
        Turn::Campaign(tenant, mut campaign, mut at_hand) => {
            match go_on(cx, &tenant, &mut campaign, &mut at_hand, &mut sent, run).await {
                Ok(true) => Some(Turn::Campaign(tenant, campaign, at_hand)),
                Ok(false) => None,
                // The next tick tries again.
                Err(error) => {
                    tracing::error!(%tenant, error = %Chain(&error), "a campaign could not go on");
                    None
                }
            }
        }
    };
    Some((sent, again))
}

/// One step of a campaign, and the messages that it made. Whether there is more to do now.
async fn go_on(
    cx: &Context,
    tenant: &TenantId,
    campaign: &mut Campaign,
    at_hand: &mut AtHand,
    sent: &mut Dispatched,
    run: Run,
) -> Result<bool, ContextError> {
    let Worked::Done(made) = work_step(cx, tenant, campaign, at_hand, run.now).await? else { return Ok(false) };
    dispatch_tenant(cx, tenant, made, sent, run).await?;
    let of_campaign = sent.messages.iter().map(|(_, message)| message);
    if let Some(trouble) = trouble(of_campaign.filter(|message| message.campaign() == Some(campaign.id.as_str()))) {
        hold_up(cx, tenant, &campaign.id, Pause::Trouble, Some(trouble), run.now).await?;
        return Ok(false);
    }
    Ok(campaign.is_working() && campaign.due_at <= run.now)
}

/// What is wrong with the account or its sender, if that is why none of `messages` was taken.
fn trouble<'a>(messages: impl Iterator<Item = &'a Message>) -> Option<String> {
    let mut count = 0;
    let mut last = None;
    for message in messages {
        let known = message.error_code.filter(|_| message.sid.is_none()).map(meaning)?;
        let is_account = known.class == Class::AccountSuspended || known.code == 20003;
        if !is_account && known.class != Class::PermanentConfig {
            return None;
        }
        count += if is_account { NO_ACCIDENT } else { 1 };
        last = Some(known);
    }
    let last = last.filter(|_| count >= NO_ACCIDENT)?;
    Some(format!("Twilio takes none of its messages: {} ({}). {}", last.title, last.code, last.advice))
}
