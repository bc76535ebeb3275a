//! The bulk lane: lists and campaigns, after everything else, and turn by turn, so that nobody's hundred thousand rows
//! stand before another's hundred.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::super::cancel_planned::canceled;
use super::super::work_campaign::{AtHand, Worked, work_step};
use super::{Dispatched, MOST, Run, dispatch_tenant};
use crate::context::{Context, ContextError};
use crate::domain::message::{Message, Reason};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::campaigns::{self, Campaign, Stage};
use crate::store::due::{self, Due};
use crate::store::keys::Lane;
use crate::store::messages::{self, Change, Written};
use crate::telemetry::Chain;

/// A run gives the lane so long: the next minute's reminders do not wait for it.
const LONGEST: Duration = Duration::from_secs(30);
/// Messages of one turn of a tenant.
const TURN: usize = 320;
/// A message of a campaign that is paused is looked at again.
const HOLD: SignedDuration = SignedDuration::from_mins(5);

/// Whose turn it is, and for what.
enum Turn {
    Messages(TenantId, VecDeque<Message>),
    Campaign(TenantId, Box<Campaign>, AtHand),
}

/// Sends what is due of the bulk lane, and goes on with campaigns, as far as there is time.
pub(super) async fn work_off(
    cx: &Context,
    shards: impl Iterator<Item = u32>,
    dispatched: &mut Dispatched,
    run: Run,
) -> Result<(), ContextError> {
    let started = Instant::now();
    let mut turns: VecDeque<Turn> = VecDeque::new();
    for shard in shards {
        let mut by_tenant: BTreeMap<TenantId, VecDeque<Message>> = BTreeMap::new();
        for (tenant, due) in due::due(cx.table().await?, shard, Lane::Bulk, MOST, run.now).await? {
            match due {
                Due::Message(message) => by_tenant.entry(tenant).or_default().push_back(*message),
                Due::Campaign(campaign) => turns.push_back(Turn::Campaign(tenant, campaign, AtHand::default())),
                // Nothing else is ever put there.
                Due::Batch(_) | Due::Recurring(_) | Due::Job(_) => {}
            }
        }
        for (tenant, waiting) in by_tenant {
            // What is made already goes before more is made.
            turns.push_front(Turn::Messages(tenant, waiting));
        }
    }
    while let Some(turn) = turns.pop_front() {
        if started.elapsed() > LONGEST {
            return Ok(());
        }
        match turn {
            Turn::Messages(tenant, mut waiting) => {
                let now = waiting.drain(..waiting.len().min(TURN)).collect();
                if let Err(error) = dispatch_tenant(cx, &tenant, now, dispatched, run).await {
                    tracing::error!(%tenant, error = %Chain(&error), "messages that are due could not be dispatched");
                } else if !waiting.is_empty() {
                    turns.push_back(Turn::Messages(tenant, waiting));
                }
            }
            Turn::Campaign(tenant, mut campaign, mut at_hand) => {
                match take_turn(cx, &tenant, &mut campaign, &mut at_hand, dispatched, run).await {
                    Ok(true) => turns.push_back(Turn::Campaign(tenant, campaign, at_hand)),
                    Ok(false) => {}
                    // The next tick tries again.
                    Err(error) => tracing::error!(%tenant, error = %Chain(&error), "a campaign could not go on"),
                }
            }
        }
    }
    Ok(())
}

/// One step of a campaign, and the messages of it that are due. Whether there is more to do now.
async fn take_turn(
    cx: &Context,
    tenant: &TenantId,
    campaign: &mut Campaign,
    at_hand: &mut AtHand,
    dispatched: &mut Dispatched,
    run: Run,
) -> Result<bool, ContextError> {
    let Worked::Done(made) = Box::pin(work_step(cx, tenant, campaign, at_hand, run.now)).await? else { return Ok(false) };
    dispatch_tenant(cx, tenant, made, dispatched, run).await?;
    Ok(campaign.is_working() && campaign.due_at <= run.now)
}

/// Messages of one campaign, or of none.
pub(super) struct Of {
    pub campaign: Option<String>,
    pub messages: Vec<Message>,
}

/// Parts `waiting` by campaign. What a campaign holds back, or takes back, is written and goes to `touched`.
pub(super) async fn by_campaign(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    waiting: Vec<Message>,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<Vec<Of>, ContextError> {
    let ids: HashSet<&str> = waiting.iter().filter_map(Message::campaign).collect();
    if ids.is_empty() {
        return Ok(vec![Of { campaign: None, messages: waiting }]);
    }
    let table = cx.table().await?;
    let campaigns = campaigns::get_many(table, tenant, &ids).await?;
    let mut parts: HashMap<Option<String>, Vec<Message>> = HashMap::new();
    let mut changes = Vec::new();
    for message in waiting {
        let campaign = message.campaign().and_then(|id| campaigns.get(id));
        match campaign {
            Some(campaign) if campaign.stage == Stage::Canceled => {
                changes.push(Change::of(canceled(message, Reason::OnRequest, now)));
            }
            // What its tenant has switched off waits with the rest of its campaign.
            Some(campaign) if campaign.paused.is_some() || !settings.is_on() => {
                changes.push(Change::of(Message { due_at: now + HOLD, ..message }));
            }
            // One that is not kept any more holds nothing back.
            campaign => parts.entry(campaign.map(|campaign| campaign.id.clone())).or_default().push(message),
        }
    }
    let written = messages::write(table, tenant, &changes, None).await?;
    let won = changes.into_iter().zip(written).filter(|(_, written)| *written == Written::Won);
    touched.extend(won.map(|(change, _)| change.into_message()));
    let mut parts: Vec<Of> = parts.into_iter().map(|(campaign, messages)| Of { campaign, messages }).collect();
    parts.sort_by(|a, b| a.campaign.cmp(&b.campaign));
    Ok(parts)
}
