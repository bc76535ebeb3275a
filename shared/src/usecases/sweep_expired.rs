//! Takes away what is older than its tenant keeps it (S0-75, S3-57), and texts where none are kept (S0-74).
//!
//! Each night, from where the last came to: a night that was missed, and a time that was made shorter, are made up
//! for. Wishes stay, since they are evidence of consent, and so do the statistics, which say nothing of anybody.

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::time::Instant;

use super::check_campaign::done_with;
use super::every_tenant::{RunError, ended};
use super::tally_campaign::{SETTLED, settle_tallies};
use super::work_campaign::release;
use crate::context::{Context, ContextError};
use crate::domain::erasure::{has_text, without_text};
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::tenant::TenantId;
use crate::store::batches::{self, Stage};
use crate::store::campaigns::{self, Campaign, Stage as CampaignStage};
use crate::store::erasure::{self, Swept};
use crate::store::messages::{self, Change, Written};
use crate::store::{Table, conversations, keys, tenants};
use crate::telemetry::Chain;

/// No installation has messages of before.
const FIRST_DAY: Date = date(2025, 1, 1);
/// What waits for its end, or for a callback, has its text for so long.
const TEXTS_ARE_NEEDED: SignedDuration = SignedDuration::from_hours(24);
/// Somebody may be at work on a file for so long.
const UPLOAD: SignedDuration = SignedDuration::from_hours(24);
/// So many campaigns are looked at together.
const CAMPAIGNS: u32 = 50;
/// A night's run ends after so long, well within Lambda's limit; the next night goes on.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(240);
/// Callbacks may change messages between our looks so often.
const TRIES: u32 = 3;

/// What a night took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    pub messages: u32,
    pub conversations: u32,
    /// Messages that stay, without their text.
    pub texts: u32,
}

/// Of every tenant.
///
/// # Errors
/// [`RunError::Tenants`] once the others are done: nobody repeats it before the next night.
pub async fn sweep_expired(cx: &Context, now: Timestamp) -> Result<Sweep, RunError> {
    let started = Instant::now();
    let mut all = tenants::all(cx.table().await?).await?;
    // Another first each night: where there is too much for one, nobody waits for ever.
    let first = now.as_second().div_euclid(24 * 60 * 60) as usize % all.len().max(1);
    all.rotate_left(first);
    let (mut sweep, mut failed) = (Sweep::default(), 0);
    for tenant in all {
        // One tenant's trouble does not keep the others waiting; the next night tries it again.
        if let Err(error) = sweep_tenant(cx, &tenant, &mut sweep, started, now).await {
            tracing::error!(%tenant, error = %Chain(&error), "what has expired could not be taken away");
            failed += 1;
        }
    }
    ended(sweep, failed)
}

async fn sweep_tenant(
    cx: &Context,
    tenant: &TenantId,
    sweep: &mut Sweep,
    started: Instant,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let before = erasure::swept(table, tenant).await?;
    let mut swept = before.clone();
    let kept = SignedDuration::from_hours(24 * i64::from(settings.retention.messages_days));
    let oldest = keys::day(now - kept);
    // What became of their messages is counted before those go.
    sweep_campaigns(cx, tenant, kept, started, now).await?;
    let mut day = match swept.messages_before {
        Some(day) => day,
        None => first_day(table, tenant).await?,
    };
    while day < oldest && started.elapsed() < LONGEST_RUN {
        sweep.messages += messages::delete_day(table, tenant, day).await?;
        day = day.tomorrow().unwrap_or(Date::MAX);
        swept.messages_before = Some(day);
    }
    sweep.conversations += conversations::delete_quiet(table, tenant, now - kept).await?;
    let rows_are_kept = if settings.log_content { kept } else { kept.min(TEXTS_ARE_NEEDED) };
    drop_rows(table, tenant, now - rows_are_kept).await?;
    if settings.log_content {
        swept.texts_before = None;
    } else {
        sweep.texts += sweep_texts(table, tenant, &mut swept, started, now).await?;
    }
    if swept != before {
        erasure::note_swept(table, tenant, &swept).await?;
    }
    Ok(())
}

/// The first day of which a tenant may have anything.
async fn first_day(table: &Table, tenant: &TenantId) -> Result<Date, ContextError> {
    let created = tenants::entry(table, tenant).await?.and_then(|entry| entry.created_at);
    // Somebody may have been told of a day before the tenant was made.
    Ok(created.map_or(FIRST_DAY, |at| keys::day(at).saturating_sub(2.days())))
}

/// The rows of lists that were asked for at `until` or before and are done with: their messages exist, or never will.
async fn drop_rows(table: &Table, tenant: &TenantId, until: Timestamp) -> Result<(), ContextError> {
    for batch in batches::all(table, tenant).await? {
        if matches!(batch.stage, Stage::Open | Stage::Canceled) && batch.created_at <= until {
            batches::drop_rows(table, tenant, batch).await?;
        }
    }
    Ok(())
}

async fn sweep_campaigns(
    cx: &Context,
    tenant: &TenantId,
    kept: SignedDuration,
    started: Instant,
    now: Timestamp,
) -> Result<(), ContextError> {
    let mut after = None;
    loop {
        let (page, next) = campaigns::page(cx.table().await?, tenant, after.as_deref(), CAMPAIGNS).await?;
        for campaign in page {
            if started.elapsed() > LONGEST_RUN {
                return Ok(());
            }
            sweep_campaign(cx, tenant, campaign, kept, now).await?;
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

/// Cancels a campaign whose file nobody completes. One that is over says no more than its messages do; it is counted once
/// those have come to an end, and its rows go when they are as old as messages get.
async fn sweep_campaign(
    cx: &Context,
    tenant: &TenantId,
    mut campaign: Campaign,
    kept: SignedDuration,
    now: Timestamp,
) -> Result<(), ContextError> {
    let table = cx.table().await?;
    let age = now.duration_since(campaign.created_at);
    if campaign.stage == CampaignStage::Uploading && age >= UPLOAD {
        campaign.stage = CampaignStage::Canceled;
        campaign.failure = Some("its file was not completed within a day".into());
        campaign.finished_at = Some(now);
        campaign.due_at = now;
        // Unless somebody completes it in this moment.
        if campaigns::update(table, tenant, &mut campaign).await? {
            release(cx, tenant, &mut campaign).await?;
        }
        return Ok(());
    }
    let Some(ended) = campaign.finished_at.filter(|_| campaign.is_over()) else { return Ok(()) };
    let since = now.duration_since(ended);
    while since >= TEXTS_ARE_NEEDED && campaign.checked < campaign.chunks {
        let (first, rows) = campaigns::chunk(table, tenant, &campaign.id, campaign.checked).await?;
        if !done_with(table, tenant, &mut campaign, first, rows).await? {
            // The next night goes on.
            return Ok(());
        }
    }
    if since > SETTLED {
        settle_tallies(cx, tenant, &campaign, now).await?;
        if since > kept {
            erasure::drop_campaign_rows(table, tenant, &campaign).await?;
        }
    }
    Ok(())
}

/// What was said when the tenant still kept texts, and what nobody told the end of, loses its text now. Also of what
/// was decided against.
async fn sweep_texts(
    table: &Table,
    tenant: &TenantId,
    swept: &mut Swept,
    started: Instant,
    now: Timestamp,
) -> Result<u32, ContextError> {
    if swept.texts_before.is_none() {
        conversations::drop_texts(table, tenant).await?;
    }
    let mut texts = 0;
    let end = keys::day(now - TEXTS_ARE_NEEDED);
    let mut day = match swept.texts_before.or(swept.messages_before) {
        Some(day) => day,
        None => first_day(table, tenant).await?,
    };
    while day < end && started.elapsed() < LONGEST_RUN {
        let (count, is_done) = sweep_day(table, tenant, day, started).await?;
        texts += count;
        if !is_done {
            break;
        }
        day = day.tomorrow().unwrap_or(Date::MAX);
        swept.texts_before = Some(day);
    }
    Ok(texts)
}

/// Takes the texts from a day's messages, a part at a time. From how many; and whether from all: else some kept changing,
/// or time was up, and the day is to be done again.
async fn sweep_day(table: &Table, tenant: &TenantId, day: Date, started: Instant) -> Result<(u32, bool), ContextError> {
    let (mut count, mut is_done) = (0, true);
    let mut after = None;
    loop {
        let (part, next) = messages::log_part(table, tenant, day, after.as_deref()).await?;
        let (taken, is_all) = take_texts(table, tenant, part).await?;
        count += taken;
        is_done &= is_all;
        if next.is_none() {
            return Ok((count, is_done));
        }
        if started.elapsed() >= LONGEST_RUN {
            return Ok((count, false));
        }
        after = next;
    }
}

/// Takes the texts from those of `part` that are over. From how many; and whether from all, or some kept changing.
async fn take_texts(table: &Table, tenant: &TenantId, mut part: Vec<Message>) -> Result<(u32, bool), ContextError> {
    let mut count = 0;
    for _ in 0..TRIES {
        part.retain(|message| message.status > Status::Sending && has_text(message));
        let changes: Vec<Change> = part.into_iter().map(|message| Change::of(without_text(message))).collect();
        let written = messages::write(table, tenant, &changes, None).await?;
        let lost = changes.iter().zip(&written).filter(|(_, written)| **written != Written::Won);
        let changed: Vec<MessageId> = lost.map(|(change, _)| change.message().id.clone()).collect();
        count += (written.len() - changed.len()) as u32;
        if changed.is_empty() {
            return Ok((count, true));
        }
        part = messages::get_many(table, tenant, &changed).await?;
    }
    Ok((count, false))
}
