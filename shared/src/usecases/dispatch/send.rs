//! Rules 6 and 7, the claim, and the call to Twilio: in waves, so that one transaction claims many.
//!
//! A wave holds each contact and each number at most once. Within it nothing depends on what
//! becomes of the rest, so waves end as one by one would; only near the limit of the budget,
//! where a refusal may make room for the next, it is one by one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::claim::{self, LEASE};
use super::decide::{Draft, World, deferred, skipped};
use super::hand_over::hand_over;
use super::hold::held;
use super::pacing::length;
use super::record::record;
use super::run::Run;
use crate::context::{Context, ContextError};
use crate::domain::erasure::as_kept;
use crate::domain::message::{Message, Reason, Status};
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::messages::{self, Change, Guard, Purse, Written};
use crate::store::{Table, accepted, consents, meter};
use crate::telemetry::moved;
use crate::usecases::watch_budget;

/// Messages of one wave: as many as usually get their turn while their lease holds.
const WAVE: usize = 320;
/// A run ends after so long, and the next goes on: `now` must not grow old.
const LONGEST_RUN: Duration = Duration::from_secs(120);
/// So many decisions against are written at once.
const ENDS: usize = 90;

/// Sends what is drafted, in order, as far as cap and budget let them. The money comes from the `pot` of their campaign, if they
/// are of one, as long as there is enough in it. Whether money was missing for a campaign's: they wait, and it has to.
pub async fn send(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    (drafts, mut world): (Vec<Draft>, World),
    campaign: Option<&str>,
    touched: &mut Vec<Message>,
    run: Run,
) -> Result<bool, ContextError> {
    let Run { now, started } = run;
    if drafts.is_empty() {
        return Ok(false);
    }
    let mut pot = campaign;
    let mut is_spent = false;
    let table = cx.table().await?;
    let account = cx.account(tenant, now).await?;
    let month = claim::month(settings, account.is_simulated(), now);
    let mut used = match settings.budget.monthly_limit {
        Some(_) => meter::used(table, tenant, &month).await?,
        None => Micros::default(),
    };
    let against = |message, channel, reason| Change::of(as_kept(settings, skipped(message, channel, reason, now)));
    // A row that is skipped is skipped for good: what money was missing for waits until somebody raises the limit.
    let mut unpaid = |message: Message| {
        is_spent |= campaign.is_some();
        let channel = message.channel;
        if campaign.is_some() { held(message, now) } else { against(message, channel, Reason::Budget) }
    };
    let mut waiting: VecDeque<Draft> = drafts.into();
    let mut ended: Vec<Change> = Vec::new();
    let mut one_by_one = false;
    // Once somebody has opted out meanwhile, each wave looks at its numbers again.
    let mut is_stale = false;
    while !waiting.is_empty() && started.elapsed() < LONGEST_RUN {
        if one_by_one {
            used = meter::used(table, tenant, &month).await?;
        }
        // The lowest limit of what waits: only authentication codes may go beyond it.
        let limit = waiting.iter().filter_map(|draft| settings.limit(draft.message.category())).min();
        let total: i64 = waiting.iter().map(|draft| draft.cost.0).sum();
        let roomy = pot.is_some() || !one_by_one && limit.is_none_or(|limit| used.0 + total <= limit.0);
        let wave = if roomy { wave(&mut waiting) } else { waiting.pop_front().into_iter().collect() };
        let alone = wave.len() == 1;
        if is_stale {
            let numbers: Vec<&PhoneNumber> = wave.iter().map(|draft| &draft.number).collect();
            world.standings.extend(consents::standings(table, tenant, &numbers).await?);
        }
        let limit = if let [draft] = wave.as_slice() { settings.limit(draft.message.category()) } else { limit };

        let mut claims = Vec::new();
        let mut bodies = Vec::new();
        // The lease counts from when this wave starts, however long the run took until here.
        let claimed_at = Instant::now();
        let elapsed = SignedDuration::try_from(claimed_at.duration_since(started)).unwrap_or_default();
        for draft in wave {
            if world.stops(&draft.number, draft.message.category()) {
                ended.push(against(draft.message, None, Reason::OptedOut));
            } else if let Some(reason) = draft.against {
                let channel = draft.message.channel;
                ended.push(against(draft.message, channel, reason));
            } else if let Some(until) = blocked(settings, &mut world, &draft) {
                ended.push(Change::of(deferred(draft.message, until, now)));
            } else if is_capped(settings, &world.counts, &draft) {
                let channel = draft.message.channel;
                ended.push(against(draft.message, channel, Reason::FrequencyCap));
            } else if pot.is_none() && limit.is_some_and(|limit| used.0 + draft.cost.0 > limit.0) {
                ended.push(unpaid(draft.message));
            } else {
                let message = claim::claimed(&draft, &month, &account, now, now + elapsed + LEASE);
                let count = world.read.get(&draft.person).copied().unwrap_or_default();
                let place = claim::place(table, tenant, settings, &draft, count, now)?;
                claims.push(Change::of(message).charging(&month, draft.cost).guarded(place));
                bodies.push(draft);
            }
        }
        if ended.len() >= ENDS {
            write_ends(table, tenant, std::mem::take(&mut ended), touched).await?;
        }
        if claims.is_empty() {
            continue;
        }
        // An opt-out that came since the decisions refuses the whole wave: whose it was is read then.
        let guard = (Guard::Consent, consents::must_be_unchanged(table, tenant, world.consents)?);
        let purse = pot.map_or(Purse::Meter { limit }, |campaign| Purse::Pot { campaign });
        let written = messages::write_if_all(table, tenant, &claims, purse, guard).await?;
        if written.contains(&Written::Guarded(Guard::Consent)) {
            world.consents = consents::changes(table, tenant).await?;
            is_stale = true;
        }
        let mut at_twilio = Vec::new();
        let mut is_pot_empty = false;
        let mut crowded = Vec::new();
        for ((claim, draft), written) in claims.into_iter().zip(bodies).zip(written).rev() {
            match written {
                Written::Won => at_twilio.push(claim.into_message()),
                Written::Lost => {}
                Written::Guarded(guard) => {
                    if guard == Guard::Cap {
                        crowded.push(draft.person.clone());
                    }
                    waiting.push_front(draft);
                }
                // The pot does not hold what they cost now: what is missing is the meter's.
                Written::OverBudget if pot.is_some() => {
                    waiting.push_front(draft);
                    is_pot_empty = true;
                }
                Written::OverBudget if alone => {
                    ended.push(unpaid(draft.message));
                }
                // Somebody else spent meanwhile: again, one by one.
                Written::OverBudget => {
                    waiting.push_front(draft);
                    one_by_one = true;
                }
            }
        }
        at_twilio.reverse();
        let results = hand_over(cx, tenant, settings, &account, at_twilio, claimed_at).await;
        let spent = record(cx, tenant, settings, results, &mut world, touched, run).await?;
        // What comes from the pot the meter has counted before.
        if pot.is_none() {
            used.0 += spent.0;
        }
        if is_pot_empty {
            pot = None;
            used = meter::used(table, tenant, &month).await?;
        }
        // Another run has sent them something meanwhile: their next wave goes by what is counted now.
        if !crowded.is_empty() {
            let crowded: Vec<&str> = crowded.iter().map(String::as_str).collect();
            world.count(accepted::counts_of(table, tenant, &crowded, now).await?);
        }
    }
    write_ends(table, tenant, ended, touched).await?;
    let is_refused = touched.iter().any(|message| message.reason == Some(Reason::Budget));
    watch_budget::tell(cx, tenant, settings, &month, used, is_refused || is_spent, now).await?;
    Ok(is_spent)
}

/// Takes the next messages that have no contact and no number in common; the order of those that do is kept.
fn wave(waiting: &mut VecDeque<Draft>) -> Vec<Draft> {
    let mut taken = Vec::new();
    let mut contacts = HashSet::new();
    let mut numbers = HashSet::new();
    let mut left = VecDeque::new();
    for draft in waiting.drain(..) {
        let new_contact = contacts.insert(draft.person.clone());
        let new_number = numbers.insert(draft.number.clone());
        if new_contact && new_number && taken.len() < WAVE { taken.push(draft) } else { left.push_back(draft) }
    }
    *waiting = left;
    taken
}

fn is_capped(settings: &Settings, counts: &HashMap<String, u32>, draft: &Draft) -> bool {
    let count = counts.get(&draft.person).copied().unwrap_or_default();
    draft.message.counts_towards_cap(settings) && settings.frequency_cap.is_some_and(|cap| count >= cap)
}

/// When a draft may go whose sender's queue at Twilio is full: each a little later than the one before it.
fn blocked(settings: &Settings, world: &mut World, draft: &Draft) -> Option<Timestamp> {
    let channel = draft.message.channel?;
    let until = world.blocked.get_mut(settings.sender(channel)?)?;
    let turn = *until;
    *until += length(settings, channel, draft.units);
    Some(turn)
}

async fn write_ends(
    table: &Table,
    tenant: &TenantId,
    ended: Vec<Change>,
    touched: &mut Vec<Message>,
) -> Result<(), ContextError> {
    let written = messages::write(table, tenant, &ended, None).await?;
    let won = ended.into_iter().zip(written).filter(|(_, written)| *written == Written::Won);
    touched.extend(won.map(|(change, _)| change.into_message()).inspect(|message| moved(Status::Scheduled, message)));
    Ok(())
}
