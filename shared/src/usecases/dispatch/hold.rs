//! What a campaign holds back, takes back, or lets go one after another, of messages that are made and due.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::super::cancel_planned::canceled;
use super::pacing::length;
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::compose::billed_units;
use crate::domain::message::{Message, Reason, Step};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::campaigns::{self, Stage};
use crate::store::messages::{self, Change, Written};
use crate::store::pace::{self, Turn};

/// What is held back is looked at again after a quarter of its age, and no sooner or later than these.
const SOONEST: SignedDuration = SignedDuration::from_mins(5);
const LATEST: SignedDuration = SignedDuration::from_mins(30);
/// Slots this near go now: Twilio spreads them.
const NEAR: SignedDuration = SignedDuration::from_secs(30);
/// The step of a message that was given a slot after it had been put off.
const PACED: &str = "paced";

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
    let mut put_off: Vec<Message> = Vec::new();
    let mut changes = Vec::new();
    for message in waiting {
        let campaign = message.campaign().and_then(|id| campaigns.get(id));
        match campaign {
            Some(campaign) if campaign.stage == Stage::Canceled => {
                changes.push(Change::of(canceled(message, Reason::OnRequest, now)));
            }
            // What its tenant has switched off waits with the rest of its campaign.
            Some(campaign) if campaign.paused.is_some() || !settings.is_on() => changes.push(held(message, now)),
            Some(_) if message.timeline.last().is_some_and(|step| step.step == "deferred") => put_off.push(message),
            // One that is not kept any more holds nothing back.
            campaign => parts.entry(campaign.map(|campaign| campaign.id.clone())).or_default().push(message),
        }
    }
    for message in in_turn(cx, tenant, settings, put_off, &mut changes, now).await? {
        parts.entry(message.campaign().map(str::to_string)).or_default().push(message);
    }
    let written = messages::write(table, tenant, &changes, None).await?;
    let won = changes.into_iter().zip(written).filter(|(_, written)| *written == Written::Won);
    touched.extend(won.map(|(change, _)| change.into_message()));
    let mut parts: Vec<Of> = parts.into_iter().map(|(campaign, messages)| Of { campaign, messages }).collect();
    parts.sort_by(|a, b| a.campaign.cmp(&b.campaign));
    Ok(parts)
}

/// `message`, to be looked at again later. Its story does not grow by that.
pub(super) fn held(message: Message, now: Timestamp) -> Change {
    let age = message.timeline.first().map_or(SignedDuration::ZERO, |step| now.duration_since(step.at));
    Change::of(Message { due_at: now + (age / 4).clamp(SOONEST, LATEST), ..message })
}

/// What was put off to an instant wakes with all that was put off to it: each takes its turn of the sender's clock. Those
/// whose turn is now.
async fn in_turn(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    put_off: Vec<Message>,
    changes: &mut Vec<Change>,
    now: Timestamp,
) -> Result<Vec<Message>, ContextError> {
    let mut by_channel: BTreeMap<Channel, Vec<(Message, SignedDuration)>> = BTreeMap::new();
    for message in put_off {
        let asked = message.direct.as_ref().and_then(|direct| direct.channels.first()).copied();
        let channel = message.channel.or(asked).unwrap_or(Channel::Sms);
        let units = billed_units(channel, message.body.as_deref().unwrap_or_default(), message.direct.as_deref());
        by_channel.entry(channel).or_default().push((message, length(settings, channel, units)));
    }
    let mut going = Vec::new();
    for (channel, messages) in by_channel {
        let total = messages.iter().map(|(_, length)| *length).sum();
        let clock = pace::of_lists(settings.sender(channel).unwrap_or_default());
        let (Turn::From(mut slot) | Turn::Full(mut slot)) =
            pace::take(cx.table().await?, tenant, &clock, total, pace::ANY, now).await?;
        for (mut message, length) in messages {
            if slot <= now + NEAR {
                going.push(message);
            } else {
                message.due_at = slot;
                message.timeline.push(Step::with(now, PACED, slot));
                changes.push(Change::of(message));
            }
            slot += length;
        }
    }
    Ok(going)
}
