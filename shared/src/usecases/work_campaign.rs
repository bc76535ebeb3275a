//! Goes on with a campaign, one step at a time: plans a chunk, makes and sends a piece, checks a chunk, or gives back what
//! is reserved. A step may be repeated; each is written with how far it got.

use jiff::Timestamp;

use super::check_campaign::check_step;
use super::open_campaign::{Chunk, Opened, open_step};
use super::plan_campaign::{Memory, plan_step};
use crate::context::{Context, ContextError};
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{self, Campaign, Stage};
use crate::store::pots;

/// What a run remembers of a campaign between its steps.
#[derive(Default)]
pub struct AtHand {
    planning: Memory,
    sending: Chunk,
}

/// What a step did.
pub enum Worked {
    /// Somebody else has changed the campaign, who goes on with it.
    Lost,
    /// These messages are made, and due now.
    Done(Vec<Message>),
}

pub async fn work_step(
    cx: &Context,
    tenant: &TenantId,
    campaign: &mut Campaign,
    at_hand: &mut AtHand,
    now: Timestamp,
) -> Result<Worked, ContextError> {
    let is_ours = match campaign.stage {
        Stage::Planning => plan_step(cx, tenant, campaign, &mut at_hand.planning, now).await?,
        Stage::Sending if campaign.paused.is_some() => release(cx, tenant, campaign).await?,
        Stage::Sending => match open_step(cx, tenant, campaign, &mut at_hand.sending, now).await? {
            Opened::Made(made) => return Ok(Worked::Done(made)),
            Opened::Lost => false,
        },
        Stage::Checking => check_step(cx, tenant, campaign, now).await?,
        Stage::Done | Stage::Canceled | Stage::Failed => release(cx, tenant, campaign).await?,
        Stage::Uploading | Stage::Held => false,
    };
    Ok(if is_ours { Worked::Done(Vec::new()) } else { Worked::Lost })
}

/// Gives back what is reserved for a campaign that is over or stands still, and takes away what is left of its file.
pub(super) async fn release(cx: &Context, tenant: &TenantId, campaign: &mut Campaign) -> Result<bool, ContextError> {
    let table = cx.table().await?;
    pots::empty(table, tenant, &campaign.id).await?;
    campaigns::drop_file(table, tenant, campaign).await?;
    campaign.released = true;
    Ok(campaigns::update(table, tenant, campaign).await?)
}
