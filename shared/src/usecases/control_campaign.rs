//! Starts, pauses, resumes and cancels a campaign. Doing one again changes nothing.

use jiff::Timestamp;

use super::tally_campaign::tally_campaign;
use super::work_campaign::release;
use crate::context::{Context, ContextError};
use crate::domain::tenant::TenantId;
use crate::store::StoreError;
use crate::store::campaigns::{self, Campaign, Pause, Stage};

/// Why a campaign stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("there is no such campaign")]
    NoSuchCampaign,
    /// A code for programs, and what to do for people.
    #[error("{1}")]
    NotNow(&'static str, String),
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        Self::Context(error.into())
    }
}

/// The tick may change a campaign at any time; whoever asks tries so often.
const TRIES: u32 = 20;

/// Lets a campaign go that was held.
pub async fn start_campaign(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Campaign, ControlError> {
    change(cx, tenant, id, |campaign| match campaign.stage {
        Stage::Held => {
            campaign.stage = Stage::Sending;
            campaign.is_held = false;
            campaign.due_at = campaign.send_at.unwrap_or(now).max(now);
            Ok(true)
        }
        // It goes on by itself once it is planned.
        Stage::Planning if campaign.is_held => {
            campaign.is_held = false;
            Ok(true)
        }
        Stage::Planning | Stage::Sending | Stage::Checking | Stage::Done => Ok(false),
        Stage::Uploading => refused("not_uploaded", "its file is not complete: say how many parts it has"),
        Stage::Canceled | Stage::Failed => refused("campaign_over", "it is over: make a new campaign"),
    })
    .await
}

/// Holds a campaign up: no further message of it is claimed. What is reserved goes back.
pub async fn pause_campaign(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Campaign, ControlError> {
    let waits = waits(cx, tenant, id, now).await?;
    let mut campaign = change(cx, tenant, id, |campaign| match (campaign.stage, campaign.paused) {
        (Stage::Canceled | Stage::Failed, _) => refused("campaign_over", "it is over: nothing is left to pause"),
        (Stage::Done, None) if !waits => refused("campaign_over", "it is done: everything has gone"),
        (Stage::Uploading, _) => refused("not_uploaded", "its file is not complete, so nothing goes yet"),
        (_, Some(Pause::OnRequest)) => Ok(false),
        (Stage::Planning | Stage::Held | Stage::Sending | Stage::Checking | Stage::Done, _) => {
            campaign.paused = Some(Pause::OnRequest);
            campaign.trouble = None;
            campaign.due_at = campaign.due_at.min(now);
            Ok(true)
        }
    })
    .await?;
    let (stage, released) = (campaign.stage, campaign.released);
    if stage == Stage::Sending && !released {
        // Lost to the tick, which does the same.
        release(cx, tenant, &mut campaign).await?;
    }
    Ok(campaign)
}

/// Whether messages of a campaign wait that is done: put off to somebody's morning, or to be tried again.
async fn waits(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<bool, ControlError> {
    let campaign = campaigns::get(cx.table().await?, tenant, id).await?.ok_or(ControlError::NoSuchCampaign)?;
    Ok(campaign.stage == Stage::Done && tally_campaign(cx, tenant, &campaign, now).await?.pending > 0)
}

/// Lets a campaign go on.
pub async fn resume_campaign(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Campaign, ControlError> {
    change(cx, tenant, id, |campaign| match campaign.stage {
        Stage::Canceled | Stage::Failed => refused("campaign_over", "it is over: make a new campaign"),
        _ if campaign.paused.is_none() => Ok(false),
        _ => {
            campaign.paused = None;
            campaign.trouble = None;
            // It reserves again what it needs.
            campaign.released &= campaign.is_over();
            campaign.due_at = now.max(campaign.send_at.unwrap_or(now));
            Ok(true)
        }
    })
    .await
}

/// Ends a campaign: what Twilio does not have yet does not go. What is reserved goes back.
pub async fn cancel_campaign(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Campaign, ControlError> {
    let waits = waits(cx, tenant, id, now).await?;
    let mut campaign = change(cx, tenant, id, |campaign| match campaign.stage {
        Stage::Canceled => Ok(false),
        Stage::Done if !waits => refused("campaign_over", "it is done: everything has gone"),
        Stage::Failed => refused("campaign_over", "it failed: nothing goes"),
        Stage::Uploading | Stage::Planning | Stage::Held | Stage::Sending | Stage::Checking | Stage::Done => {
            campaign.stage = Stage::Canceled;
            campaign.paused = None;
            campaign.finished_at = Some(now);
            campaign.due_at = now;
            Ok(true)
        }
    })
    .await?;
    if !campaign.released {
        // Lost to the tick, which does the same.
        release(cx, tenant, &mut campaign).await?;
    }
    Ok(campaign)
}

/// Holds a campaign up that cannot go on by itself. One that somebody has paused, or that is over, stays as it is.
pub(super) async fn hold_up(
    cx: &Context,
    tenant: &TenantId,
    id: &str,
    pause: Pause,
    trouble: Option<String>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let held = change(cx, tenant, id, |campaign| {
        let goes_on = campaign.paused.is_none() && !matches!(campaign.stage, Stage::Canceled | Stage::Failed);
        if goes_on {
            campaign.paused = Some(pause);
            campaign.trouble = trouble.clone();
            campaign.due_at = campaign.due_at.min(now);
        }
        Ok(goes_on)
    });
    match held.await {
        Err(ControlError::Context(error)) => Err(error),
        Ok(_) | Err(ControlError::NoSuchCampaign | ControlError::NotNow(..)) => Ok(()),
    }
}

fn refused(code: &'static str, why: &str) -> Result<bool, ControlError> {
    Err(ControlError::NotNow(code, why.to_string()))
}

/// Reads the campaign, changes it and writes it, again and again while somebody else writes it. `change` says whether
/// there is anything to write.
async fn change(
    cx: &Context,
    tenant: &TenantId,
    id: &str,
    mut change: impl FnMut(&mut Campaign) -> Result<bool, ControlError>,
) -> Result<Campaign, ControlError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let mut campaign = campaigns::get(table, tenant, id).await?.ok_or(ControlError::NoSuchCampaign)?;
        if !change(&mut campaign)? || campaigns::update(table, tenant, &mut campaign).await? {
            return Ok(campaign);
        }
    }
    Err(ControlError::NotNow("busy", "it is changing all the time: try again".into()))
}
