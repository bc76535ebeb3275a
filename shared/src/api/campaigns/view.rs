//! What is shown of a campaign, and of one that is not made yet.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::campaign::Excluded;
use crate::domain::campaign::summary::{Summary, Ucs2};
use crate::domain::channel::Channel;
use crate::domain::contact::Category;
use crate::domain::lint::Warning;
use crate::domain::money::{Currency, Micros};
use crate::domain::tenant::Settings;
use crate::store::campaigns::{Campaign, Pause, Stage};
use crate::usecases::preview_campaign::{ExcludedRow, Outlook, Preview, Sample, estimate};
use crate::usecases::tally_campaign::Progress;

/// A campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    /// `campaign_…`
    id: String,
    name: Option<String>,
    /// `uploading`, `planning` (its rows are looked at), `held` (somebody has to start it), `sending`, `checking` (whether
    /// a message is missing), `done`, `canceled` or `failed` (its file cannot be used).
    #[schema(value_type = String)]
    stage: Stage,
    /// What holds it up: `on_request`, `budget` or `trouble`.
    #[schema(value_type = Option<String>)]
    paused: Option<Pause>,
    /// Why it stands still and what to mend before it is resumed, for people.
    trouble: Option<String>,
    /// Why it failed, for people.
    failure: Option<String>,
    created_at: Timestamp,
    created_by: Option<String>,
    send_at: Option<Timestamp>,
    /// When its first message was made.
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    channel: Channel,
    category: Category,
    /// The template that its text was made from.
    template: Option<String>,
    /// What it says, with variables, and with what was added to it: who sends it, and how to opt out.
    text: String,
    lapsed_after_days: Option<u32>,
    plan: CampaignPlan,
    /// How far its messages are. Only where one campaign is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<CampaignProgress>,
    /// What the month's limit still covers; absent without one. Only where one campaign is asked for that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    room: Option<Micros>,
    /// Whether that covers all of it. Only where one campaign is asked for that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
    /// What is to be said against it. Only where one campaign is asked for that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<CampaignWarning>>,
    /// Nothing leaves, and its cost is nobody's: the tenant has no Twilio account.
    simulated: bool,
    /// When the last message goes, at the sender's rate and outside quiet hours; while that can be said. Where one campaign is
    /// asked for, it goes behind what its sender has taken on already.
    finishes_at: Option<Timestamp>,
}

/// What the rows come to, as far as they were looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPlan {
    /// Blank lines are none.
    rows: u32,
    /// How many get a message.
    going: u32,
    /// How many get none, by reason: `unreadable`, `no_number`, `invalid_number`, `unknown_contact`, `duplicate`,
    /// `opted_out`, `not_lapsed`, `unknown_date`, `missing_variable` and `too_long`.
    excluded: BTreeMap<&'static str, u32>,
    /// What all of it is billed as: segments or messages.
    units: u64,
    /// How many messages have one, two, … segments.
    segments_distribution: BTreeMap<String, u32>,
    #[schema(value_type = String)]
    cost: Micros,
    #[schema(value_type = String)]
    currency: Currency,
    /// Of the first thousand that go: numbers that are possible, but nobody's in their country. They get a message.
    doubtful_numbers: u32,
    ucs2: Ucs2View,
}

/// What characters outside GSM-7 cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ucs2View {
    /// That have any.
    messages: u32,
    /// At most 50, those of the most messages first.
    characters: Vec<CostlyCharacter>,
    /// What replacing all that have a look-alike would save.
    saved_units: u64,
    #[schema(value_type = String)]
    saved_cost: Micros,
}

/// A character outside GSM-7.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostlyCharacter {
    character: String,
    code_point: String,
    /// That have it.
    messages: u32,
    /// Of the file, of the first five of them.
    lines: Vec<u32>,
    /// Its look-alike; empty if it can simply go; `null` if it has none.
    replacement: Option<String>,
}

/// How far a campaign's messages are.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignProgress {
    /// How many rows were looked at.
    rows_planned: u32,
    /// How many messages were made.
    made: u32,
    /// How many of those were missing when it was looked whether all are there.
    mended: u32,
    pending: u32,
    /// Twilio has them; whether they were delivered is not known.
    sent: u32,
    delivered: u32,
    failed: u32,
    skipped: u32,
    /// By status; what was skipped by its reason: `skipped:opted_out`.
    outcomes: BTreeMap<String, u32>,
    /// What it was billed as so far: segments or messages.
    units: u64,
    #[schema(value_type = String)]
    cost: Micros,
}

/// A page of campaigns, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPage {
    pub(super) items: Vec<CampaignView>,
    pub(super) next_cursor: Option<String>,
}

/// What a campaign would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPreview {
    /// What it says, with variables, and with what is added to it: who sends it, and how to opt out.
    text: String,
    plan: CampaignPlan,
    /// The first messages.
    samples: Vec<CampaignSample>,
    /// The first rows that get none.
    excluded: Vec<ExcludedView>,
    /// How many of those that go had as many messages in the last 24 hours as the tenant's frequency cap allows: as things
    /// stand they would be skipped. `null` without a cap.
    capped: Option<u32>,
    /// What is to be said against it.
    warnings: Vec<CampaignWarning>,
    /// When the last message would go, at the sender's rate and outside quiet hours, behind what the sender has taken on
    /// already.
    finishes_at: Option<Timestamp>,
    /// What the month's limit still covers; `null` if there is none.
    #[schema(value_type = Option<String>)]
    room: Option<Micros>,
    /// Whether that covers all of it.
    fits: bool,
    /// Nothing would leave: the tenant has no Twilio account.
    simulated: bool,
}

/// A message as it would go.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignSample {
    line: u32,
    to: String,
    body: String,
}

/// A row that gets no message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExcludedView {
    line: u32,
    /// As it was written; `null` if there is nothing.
    to: Option<String>,
    reason: Excluded,
    /// For people.
    detail: Option<String>,
}

/// Something to be said against a campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignWarning {
    /// Stable; for programs.
    #[schema(value_type = String)]
    code: &'static str,
    /// For people.
    text: String,
}

impl CampaignProgress {
    pub(super) fn of(campaign: &Campaign, progress: Progress) -> Self {
        Self {
            rows_planned: campaign.summary.rows,
            made: campaign.made,
            mended: campaign.mended,
            pending: progress.pending,
            sent: progress.sent,
            delivered: progress.delivered,
            failed: progress.failed,
            skipped: progress.skipped,
            outcomes: progress.outcomes,
            units: progress.units,
            cost: progress.cost,
        }
    }
}

impl CampaignWarning {
    pub(super) fn of((warning, text): (Warning, String)) -> Self {
        Self { code: warning.code(), text }
    }
}

impl CampaignView {
    /// Without what is only said where one is asked for. Its sender is free at `free_at`.
    /// The same, with how far its messages are.
    pub(super) fn so_far(self, progress: CampaignProgress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// The same, while it is held, with what speaks against starting it.
    pub(super) fn with(self, Outlook { warnings, room }: Outlook) -> Self {
        let cost = self.plan.cost;
        let warnings = warnings.into_iter().map(CampaignWarning::of).collect();
        Self { room, fits: Some(fits(room, cost)), warnings: Some(warnings), ..self }
    }

    pub(super) fn of(campaign: Campaign, settings: &Settings, free_at: Timestamp) -> Self {
        Self {
            simulated: campaign.is_simulated,
            finishes_at: finishes_at(&campaign, settings, free_at),
            progress: None,
            room: None,
            fits: None,
            warnings: None,
            plan: CampaignPlan::of(campaign.summary, settings),
            id: campaign.id,
            name: campaign.name,
            stage: campaign.stage,
            paused: campaign.paused,
            trouble: campaign.trouble,
            failure: campaign.failure,
            created_at: campaign.created_at,
            created_by: campaign.created_by,
            send_at: campaign.send_at,
            started_at: campaign.started_at,
            finished_at: campaign.finished_at,
            channel: campaign.terms.channel,
            category: campaign.terms.category,
            template: campaign.terms.template,
            text: campaign.terms.text.text.into(),
            lapsed_after_days: campaign.terms.lapsed_after_days,
        }
    }
}

/// When what is still to be made will have gone, if it goes on at `free_at`, or would if it were started now.
fn finishes_at(campaign: &Campaign, settings: &Settings, free_at: Timestamp) -> Option<Timestamp> {
    let goes_on = matches!(campaign.stage, Stage::Held | Stage::Sending) && campaign.paused.is_none();
    if !goes_on {
        return None;
    }
    let Summary { going, units, north_american, .. } = campaign.summary;
    // The rows that are left are taken for average ones.
    let left = u64::from(going.saturating_sub(campaign.made));
    let units = units.saturating_mul(left).div_ceil(u64::from(going.max(1)));
    let from = campaign.send_at.unwrap_or(free_at).max(free_at);
    estimate(settings, &campaign.terms, units, north_american > 0, from)
}

impl CampaignPlan {
    pub(super) fn of(summary: Summary, settings: &Settings) -> Self {
        Self {
            rows: summary.rows,
            going: summary.going,
            excluded: summary.excluded.into_iter().map(|(why, rows)| (why.word(), rows)).collect(),
            units: summary.units,
            segments_distribution: summary.by_units.into_iter().map(|(units, rows)| (units.to_string(), rows)).collect(),
            cost: summary.cost,
            currency: settings.budget.currency.clone(),
            doubtful_numbers: summary.doubtful,
            ucs2: Ucs2View::of(summary.ucs2),
        }
    }
}

impl Ucs2View {
    pub(super) fn of(ucs2: Ucs2) -> Self {
        let characters = ucs2.characters.into_iter().map(|(character, forcing)| CostlyCharacter {
            character: character.to_string(),
            code_point: format!("U+{:04X}", u32::from(character)),
            messages: forcing.messages,
            lines: forcing.lines,
            replacement: forcing.replacement,
        });
        let mut characters: Vec<CostlyCharacter> = characters.collect();
        characters.sort_by_key(|character| Reverse(character.messages));
        Self { messages: ucs2.messages, characters, saved_units: ucs2.saved_units, saved_cost: ucs2.saved_cost }
    }
}

impl CampaignPreview {
    pub(super) fn of(preview: Preview, settings: &Settings) -> Self {
        let sample = |Sample { line, to, body }: Sample| CampaignSample { line, to: to.e164().to_string(), body };
        let excluded = |row: ExcludedRow| ExcludedView {
            line: row.line,
            to: Some(row.to).filter(|to| !to.is_empty()),
            reason: row.why,
            detail: row.detail,
        };
        Self {
            text: preview.terms.text.text.into(),
            samples: preview.samples.into_iter().map(sample).collect(),
            excluded: preview.excluded.into_iter().map(excluded).collect(),
            capped: preview.capped,
            warnings: preview.warnings.into_iter().map(CampaignWarning::of).collect(),
            finishes_at: preview.finishes_at,
            room: preview.room,
            simulated: preview.is_simulated,
            fits: fits(preview.room, preview.summary.cost),
            plan: CampaignPlan::of(preview.summary, settings),
        }
    }
}

fn fits(room: Option<Micros>, cost: Micros) -> bool {
    room.is_none_or(|room| cost <= room)
}
