//! What the API says of a campaign, and how that is told on a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};
use jiff::Timestamp;
use serde::Deserialize;
use shared::store::campaigns::{Pause, Stage};

/// So many costly characters, rows that are left out and warnings are shown.
const MOST_SHOWN: usize = 10;

/// A campaign. Amounts stay as they are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Campaign {
    pub id: String,
    pub name: Option<String>,
    pub stage: Stage,
    pub paused: Option<Pause>,
    /// Why it stands still.
    pub trouble: Option<String>,
    pub failure: Option<String>,
    pub created_at: Timestamp,
    pub send_at: Option<Timestamp>,
    pub channel: String,
    pub text: String,
    pub plan: Plan,
    pub progress: Option<Progress>,
    pub finishes_at: Option<Timestamp>,
    /// Of one that is held, as in a preview.
    room: Option<String>,
    fits: Option<bool>,
    #[serde(default)]
    warnings: Vec<Warning>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub rows: u32,
    pub going: u32,
    excluded: BTreeMap<String, u32>,
    units: u64,
    segments_distribution: BTreeMap<u32, u32>,
    pub cost: String,
    pub currency: String,
    ucs2: Ucs2,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ucs2 {
    messages: u32,
    characters: Vec<Costly>,
    saved_units: u64,
    saved_cost: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Costly {
    character: String,
    code_point: String,
    messages: u32,
    lines: Vec<u32>,
    replacement: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    pub pending: u32,
    pub sent: u32,
    delivered: u32,
    failed: u32,
    skipped: u32,
    outcomes: BTreeMap<String, u32>,
    cost: String,
}

/// What a campaign would be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preview {
    text: String,
    plan: Plan,
    samples: Vec<Sample>,
    excluded: Vec<LeftOut>,
    capped: Option<u32>,
    warnings: Vec<Warning>,
    finishes_at: Option<Timestamp>,
    room: Option<String>,
    fits: bool,
}

#[derive(Debug, Deserialize)]
struct Sample {
    line: u32,
    body: String,
}

#[derive(Debug, Deserialize)]
struct LeftOut {
    line: u32,
    reason: String,
    detail: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Warning {
    text: String,
}

impl Campaign {
    /// How many of its messages wait no longer.
    pub(super) fn gone(&self) -> u32 {
        self.progress.as_ref().map_or(0, |progress| self.plan.going.saturating_sub(progress.pending))
    }

    /// Whether nothing is to be heard of its messages any more.
    pub(super) fn is_settled(&self) -> bool {
        self.progress.as_ref().is_none_or(|progress| progress.pending + progress.sent == 0)
    }

    /// Whether nothing happened since `before`.
    pub(super) fn is_as(&self, before: &Campaign) -> bool {
        let what = |of: &Campaign| (of.stage, of.paused, of.plan.rows);
        what(self) == what(before) && self.progress == before.progress
    }

    /// What it is billed by.
    fn unit(&self) -> &'static str {
        unit(&self.channel)
    }
}

/// The stage, and what it means.
pub(super) fn stage(campaign: &Campaign) -> &'static str {
    match (campaign.stage, campaign.paused) {
        (Stage::Done, _) => "done",
        (Stage::Canceled, _) => "canceled",
        (Stage::Failed, _) => "failed",
        (_, Some(Pause::OnRequest)) => "paused by somebody",
        (_, Some(Pause::Budget)) => "paused: the month's limit does not cover the next message",
        (_, Some(Pause::Trouble)) => "paused: none of its messages can go as things stand",
        (Stage::Uploading, None) => "its file is not complete",
        (Stage::Planning, None) => "its rows are being looked at",
        (Stage::Held, None) => "held: nothing goes before it is started",
        (Stage::Sending, None) => "sending",
        (Stage::Checking, None) => "all messages are made; whether one is missing is being looked at",
    }
}

/// What segments or messages are.
fn unit(channel: &str) -> &'static str {
    if channel == "sms" { "segments" } else { "messages" }
}

pub(super) fn count(number: impl Into<u64>) -> String {
    HumanCount(number.into()).to_string()
}

/// Beside the bar.
pub(super) fn beside(campaign: &Campaign, now: Timestamp) -> String {
    let Some(progress) = &campaign.progress else { return String::new() };
    let waits = campaign.send_at.filter(|at| *at > now && campaign.gone() == 0);
    if let Some(at) = waits {
        return format!("from {}", when(at, now));
    }
    let Progress { sent, delivered, failed, cost, .. } = progress;
    let (sent, delivered, failed) = (count(*sent), count(*delivered), count(*failed));
    format!("sent {sent}, delivered {delivered}, failed {failed}, {cost} {}", campaign.plan.currency)
}

/// The instant, and how far it is.
fn when(at: Timestamp, now: Timestamp) -> String {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    format!("{}, in about {}", at.strftime("%Y-%m-%d %H:%M UTC"), HumanDuration(wait))
}

/// A line of a name and a value.
fn line(out: &mut String, name: &str, value: impl fmt::Display) {
    let _ = writeln!(out, "{name:<11}{value}");
}

/// The plan of a campaign, before it goes.
pub(super) fn plan(campaign: &Campaign, now: Timestamp) -> String {
    let mut out = String::new();
    line(&mut out, "campaign", &campaign.id);
    add_plan(&mut out, &campaign.text, &campaign.plan, campaign.unit());
    let begins = campaign.send_at.filter(|at| *at > now);
    add_end(&mut out, begins, campaign.finishes_at, now);
    if let Some(fits) = campaign.fits {
        add_limit(&mut out, campaign.room.as_deref(), fits, &campaign.plan.currency);
    }
    add_warnings(&mut out, &campaign.warnings);
    out
}

/// All that is known of a campaign.
pub(super) fn whole(campaign: &Campaign, now: Timestamp) -> String {
    let mut out = String::new();
    if let Some(name) = &campaign.name {
        line(&mut out, "name", name);
    }
    line(&mut out, "asked", campaign.created_at.strftime("%Y-%m-%d %H:%M UTC"));
    out.push_str(&plan(campaign, now));
    line(&mut out, "stage", stage(campaign));
    for why in [&campaign.trouble, &campaign.failure].into_iter().flatten() {
        line(&mut out, "", why);
    }
    out.push_str(&result(campaign));
    out
}

/// What came of a campaign so far.
pub(super) fn result(campaign: &Campaign) -> String {
    let mut out = String::new();
    let Some(progress) = &campaign.progress else { return out };
    let Progress { pending, sent, delivered, failed, skipped, outcomes, cost } = progress;
    line(&mut out, "delivered", count(*delivered));
    let rest = [("on the way", sent), ("failed", failed), ("skipped", skipped), ("waiting", pending)];
    for (name, number) in rest.into_iter().filter(|(_, number)| **number > 0) {
        line(&mut out, name, count(*number));
        if name == "skipped" {
            let why = outcomes.iter().filter_map(|(outcome, number)| Some((outcome.strip_prefix("skipped:")?, number)));
            for (reason, number) in why {
                let _ = writeln!(out, "{:>19}  {}", count(*number), words(reason));
            }
        }
    }
    line(&mut out, "billed", format!("{cost} {}", campaign.plan.currency));
    out
}

/// What a campaign would be, to which `channel` was asked for.
pub(super) fn preview(preview: &Preview, channel: &str, now: Timestamp) -> String {
    let mut out = String::new();
    add_plan(&mut out, &preview.text, &preview.plan, unit(channel));
    add_end(&mut out, None, preview.finishes_at, now);
    add_limit(&mut out, preview.room.as_deref(), preview.fits, &preview.plan.currency);
    if let Some(capped) = preview.capped.filter(|capped| *capped > 0) {
        let capped = count(capped);
        line(&mut out, "capped", format!("{capped} had as many messages in 24 hours as the frequency cap allows: not now"));
    }
    add_warnings(&mut out, &preview.warnings);
    for sample in &preview.samples {
        line(&mut out, "sample", format!("line {}: {}", sample.line, sample.body));
    }
    for row in preview.excluded.iter().take(MOST_SHOWN) {
        let detail = row.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        line(&mut out, "left out", format!("line {}: {}{detail}", row.line, words(&row.reason)));
    }
    let left_out: u32 = preview.plan.excluded.values().sum();
    let more = left_out.saturating_sub(preview.excluded.len().min(MOST_SHOWN) as u32);
    if more > 0 {
        line(&mut out, "", format!("and {} more", count(more)));
    }
    out
}

fn add_plan(out: &mut String, text: &str, plan: &Plan, unit: &str) {
    line(out, "text", text);
    line(out, "rows", count(plan.rows));
    line(out, "going", count(plan.going));
    let left_out: u32 = plan.excluded.values().sum();
    line(out, "left out", count(left_out));
    for (reason, rows) in &plan.excluded {
        let _ = writeln!(out, "{:>19}  {}", count(*rows), words(reason));
    }
    let each = plan.segments_distribution.iter().map(|(units, messages)| format!("{} of {units}", count(*messages)));
    let each: Vec<String> = each.collect();
    let each = if each.is_empty() { String::new() } else { format!(": {}", each.join(", ")) };
    line(out, unit, format!("{}{each}", count(plan.units)));
    line(out, "cost", format!("{} {}", plan.cost, plan.currency));
    add_ucs2(out, plan, unit);
}

/// Which characters make messages dear, and what can be done about it.
fn add_ucs2(out: &mut String, plan: &Plan, unit: &str) {
    let ucs2 = &plan.ucs2;
    if ucs2.messages == 0 {
        return;
    }
    line(out, "UCS-2", format!("{} messages have characters that make segments short:", count(ucs2.messages)));
    for costly in ucs2.characters.iter().take(MOST_SHOWN) {
        let lines: Vec<String> = costly.lines.iter().map(ToString::to_string).collect();
        let instead = match costly.replacement.as_deref() {
            None => "nothing looks like it".to_string(),
            Some("") => "can be left out".to_string(),
            Some(replacement) => format!("could be {replacement}"),
        };
        let Costly { character, code_point, messages, .. } = costly;
        let (messages, lines) = (count(*messages), lines.join(", "));
        let _ = writeln!(out, "{messages:>19}  {character} {code_point}, {instead}; on lines {lines}");
    }
    if ucs2.saved_units > 0 {
        let saved = count(ucs2.saved_units);
        line(out, "", format!("replacing what can be saves {saved} {unit}: {} {}", ucs2.saved_cost, plan.currency));
    }
}

/// What is left of the month's limit, if there is one.
fn add_limit(out: &mut String, room: Option<&str>, fits: bool, currency: &str) {
    let Some(room) = room else { return };
    let fits = if fits { "covers all of it" } else { "does not cover it: it would be paused" };
    line(out, "limit", format!("{room} {currency} are left of the month's limit, which {fits}"));
}

fn add_warnings(out: &mut String, warnings: &[Warning]) {
    for warning in warnings.iter().take(MOST_SHOWN) {
        line(out, "warning", &warning.text);
    }
}

fn add_end(out: &mut String, begins: Option<Timestamp>, finishes: Option<Timestamp>, now: Timestamp) {
    if let Some(at) = begins {
        line(out, "begins", when(at, now));
    }
    if let Some(at) = finishes {
        line(out, "finishes", when(at, now));
    }
}

/// `not_lapsed` → `not lapsed`.
fn words(word: &str) -> String {
    word.replace('_', " ")
}
