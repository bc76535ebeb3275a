//! What became of a campaign's messages, counted. Chunks whose messages have all come to an end are counted once and for
//! all; of the others a look counts so many again, and takes the rest as last counted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::context::{Context, ContextError};
use crate::domain::campaign::row_id;
use crate::domain::message::{Message, MessageId, Status};
use crate::domain::money::Micros;
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{self, Campaign, Stage, Tally};
use crate::store::{StoreError, Table, messages};

/// So long after a campaign's end nobody expects another word of its messages.
pub(super) const SETTLED: SignedDuration = SignedDuration::from_hours(24 * 5);
/// What became of a message that is kept no longer.
const GONE: &str = "gone";
/// So many chunks are counted in one look, so that it is over in seconds: 25,000 messages.
const A_LOOK: usize = 25;
/// Where a look cannot count all, it leaves those as they are that were counted so lately.
const FRESH: SignedDuration = SignedDuration::from_secs(10);
/// So many chunks are counted at the same time.
const AT_ONCE: usize = 4;

/// How far the rows of a campaign are that go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Messages by the word of their status, and what was skipped by its reason too: `skipped:budget`. Messages that are
    /// kept no longer, and were not counted before, are `gone`.
    pub outcomes: BTreeMap<String, u32>,
    /// Not sent yet, whether their messages are made or not; and what is not counted yet.
    pub pending: u32,
    pub sent: u32,
    /// Delivered, or read.
    pub delivered: u32,
    pub failed: u32,
    /// Decided against, or canceled.
    pub skipped: u32,
    /// What is billed so far: segments or messages.
    pub units: u64,
    pub cost: Micros,
    /// When the oldest part of it was counted that may be different by now; `None` if all of it is as of this look.
    pub counted_at: Option<Timestamp>,
}

impl Progress {
    fn add(&mut self, tally: &Tally) {
        for (outcome, count) in &tally.outcomes {
            self.count(outcome, *count);
        }
        self.units += tally.units;
        self.cost.0 += tally.cost.0;
    }

    fn count(&mut self, outcome: &str, count: u32) {
        *self.outcomes.entry(outcome.to_string()).or_default() += count;
        match shown(outcome) {
            Some("Pending") => self.pending += count,
            Some("Sent") => self.sent += count,
            Some("Delivered") => self.delivered += count,
            Some("Failed") => self.failed += count,
            Some("Skipped") => self.skipped += count,
            _ => {}
        }
    }
}

/// The group of an outcome's status, as users see it.
fn shown(outcome: &str) -> Option<&'static str> {
    let word = outcome.split(':').next();
    Status::ALL.into_iter().find(|status| Some(status.word()) == word).map(Status::shown)
}

fn outcome(message: &Message) -> String {
    match (message.status, message.reason) {
        (Status::Skipped, Some(reason)) => format!("{}:{}", Status::Skipped.word(), reason.word()),
        (status, _) => status.word().to_string(),
    }
}

/// What became of `campaign`, as it was read: exactly, unless more of it is still to settle than one look counts.
pub async fn tally_campaign(
    cx: &Context,
    tenant: &TenantId,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Progress, ContextError> {
    let table = cx.table().await?;
    let tallies = recount(table, tenant, campaign, A_LOOK, now).await?;
    Ok(progress(campaign, &tallies, now))
}

/// Notes for good what became of a campaign that was over more than [`SETTLED`] ago, while its messages are there.
pub(super) async fn settle_tallies(
    cx: &Context,
    tenant: &TenantId,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<(), ContextError> {
    recount(cx.table().await?, tenant, campaign, usize::MAX, now).await?;
    Ok(())
}

/// The tallies of a campaign's chunks, after at most `most` of them were counted again, which is noted.
async fn recount(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    most: usize,
    now: Timestamp,
) -> Result<BTreeMap<u32, Tally>, StoreError> {
    let mut tallies = campaigns::tallies(table, tenant, campaign).await?;
    let is_old = campaign.finished_at.is_some_and(|at| now.duration_since(at) > SETTLED);
    let mut counted = BTreeMap::new();
    for together in to_count(&tallies, begun(campaign), most, now).chunks(AT_ONCE) {
        let nth = |at: usize| Box::pin(count(table, tenant, campaign, together.get(at).copied()));
        let (a, b, c, d) = tokio::try_join!(nth(0), nth(1), nth(2), nth(3))?;
        for (chunk, tally) in [a, b, c, d].into_iter().flatten() {
            let is_settled = is_old || (tally.is_settled && chunk < campaign.next.chunk);
            let tally = Tally { counted_at: now, is_settled, ..tally };
            counted.insert(chunk, later(tallies.remove(&chunk), tally));
        }
    }
    campaigns::put_tallies(table, tenant, campaign, &counted).await?;
    tallies.append(&mut counted);
    Ok(tallies)
}

/// Which of the first `begun` chunks are to be counted: all that may still change, if those are at most `most`; else as
/// many of them, those first that were never counted or longest ago.
fn to_count(tallies: &BTreeMap<u32, Tally>, begun: u32, most: usize, now: Timestamp) -> Vec<u32> {
    let is_open = |chunk: &u32| tallies.get(chunk).is_none_or(|tally| !tally.is_settled);
    let mut open: Vec<u32> = (0..begun).filter(is_open).collect();
    if open.len() > most {
        let counted_at = |chunk: &u32| tallies.get(chunk).map(|tally| tally.counted_at);
        open.retain(|chunk| counted_at(chunk).is_none_or(|at| now.duration_since(at) > FRESH));
        open.sort_by_key(counted_at);
        open.truncate(most);
    }
    open
}

/// The tally that holds of a chunk that was counted before and now. If there are fewer messages than there were, some are
/// kept no longer, and what is known of them is what was counted before.
fn later(before: Option<Tally>, now: Tally) -> Tally {
    match before {
        Some(before) if total(&before) > total(&now) => Tally { is_settled: true, ..before },
        Some(_) | None => now,
    }
}

fn total(tally: &Tally) -> u32 {
    tally.outcomes.values().sum()
}

/// What `tallies` come to. Every row that goes is in it once: what has no message that is counted is pending, until it is
/// known to get none.
fn progress(campaign: &Campaign, tallies: &BTreeMap<u32, Tally>, now: Timestamp) -> Progress {
    let begun = begun(campaign);
    let counted_at = oldest(tallies, begun, campaign.created_at, now);
    let mut progress = Progress { counted_at, ..Progress::default() };
    (0..begun).filter_map(|chunk| tallies.get(&chunk)).for_each(|tally| progress.add(tally));
    let counted: u32 = progress.outcomes.values().sum();
    let rest = campaign.summary.going.saturating_sub(counted);
    // Whether no message came to be after it was counted.
    let is_all = counted_at.is_none_or(|at| campaign.finished_at.is_some_and(|finished| finished < at));
    match campaign.stage {
        _ if rest == 0 => {}
        Stage::Canceled | Stage::Failed if is_all => progress.count(Status::Canceled.word(), rest),
        Stage::Done if is_all => progress.count(GONE, rest),
        // Their messages are not made yet, or not counted.
        _ => progress.pending += rest,
    }
    progress
}

/// When the oldest of those tallies was made that may be different by now and are not of `now`. A chunk that was never
/// counted is as it was when the campaign was asked for, at `created_at`.
fn oldest(tallies: &BTreeMap<u32, Tally>, begun: u32, created_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let counted_at = |chunk: u32| match tallies.get(&chunk) {
        Some(tally) => Some(tally.counted_at).filter(|at| !tally.is_settled && *at != now),
        None => Some(created_at),
    };
    (0..begun).filter_map(counted_at).min()
}

/// How many chunks may have messages: those that are made, and the one at which it is.
fn begun(campaign: &Campaign) -> u32 {
    // Whoever paused it may have kept somebody from noting what he had made.
    let is_untouched = campaign.started_at.is_none() && campaign.paused.is_none();
    match campaign.stage {
        Stage::Uploading | Stage::Planning | Stage::Held | Stage::Failed => 0,
        Stage::Sending if is_untouched => 0,
        Stage::Sending | Stage::Checking | Stage::Done | Stage::Canceled => {
            campaign.chunks.min(campaign.next.chunk.saturating_add(1))
        }
    }
}

/// What became of the messages of a chunk that there are; settled if all of them are there and have come to an end.
async fn count(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    chunk: Option<u32>,
) -> Result<Option<(u32, Tally)>, StoreError> {
    let Some(chunk) = chunk else { return Ok(None) };
    let (first, rows) = campaigns::chunk(table, tenant, &campaign.id, chunk).await?;
    let going = (first..).zip(&rows).filter(|(_, row)| row.units().is_some());
    let ids: Vec<MessageId> = going.map(|(number, _)| row_id(tenant, &campaign.id, number)).collect();
    let all = messages::get_many(table, tenant, &ids).await?;
    let is_settled = all.len() == ids.len() && all.iter().all(|message| message.status.is_final());
    Ok(Some((chunk, Tally { is_settled, ..tally(&all) })))
}

fn tally(messages: &[Message]) -> Tally {
    let mut tally = Tally::default();
    for message in messages {
        *tally.outcomes.entry(outcome(message)).or_default() += 1;
        // What was not taken, or given back, costs nothing.
        if let Some(cost) = message.cost {
            tally.cost.0 += cost.0;
            tally.units += u64::from(message.segments.unwrap_or_default());
        }
    }
    tally
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::message::{Facts, Reason, Step};
    use crate::domain::reminder::Kind;

    fn message(status: Status, reason: Option<Reason>, cost: Option<i64>) -> Message {
        let now: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();
        let id = MessageId::derive(&TenantId::parse("t").unwrap(), &["m"]);
        let waiting = Message::waiting(id, Kind::Message, Facts::Direct, now, Step::new(now, "asked"));
        Message { status, reason, cost: cost.map(Micros), segments: Some(2), ..waiting }
    }

    #[test]
    fn outcomes_are_grouped_as_users_see_them() {
        let messages = [
            message(Status::Scheduled, None, None),
            message(Status::Sending, None, Some(20)),
            message(Status::Queued, None, Some(20)),
            message(Status::Delivered, None, Some(20)),
            message(Status::Read, None, Some(20)),
            message(Status::Undelivered, None, Some(20)),
            message(Status::Failed, None, None),
            message(Status::Skipped, Some(Reason::Budget), None),
            message(Status::Skipped, Some(Reason::OptedOut), None),
            message(Status::Canceled, Some(Reason::OnRequest), None),
        ];
        let mut progress = Progress::default();

        progress.add(&tally(&messages));
        progress.add(&tally(&messages[3..4]));
        progress.count(GONE, 1);

        let Progress { pending, sent, delivered, failed, skipped, .. } = progress;
        assert_eq!((pending, sent, delivered, failed, skipped), (2, 1, 3, 2, 3));
        assert_eq!((progress.units, progress.cost), (12, Micros(120)));
        assert_eq!(progress.outcomes.get("delivered"), Some(&2));
        assert_eq!(progress.outcomes.get("skipped:budget"), Some(&1));
        assert_eq!(progress.outcomes.get("canceled"), Some(&1));
        assert_eq!(progress.outcomes.values().sum::<u32>(), 12);
    }

    const NOW: i64 = 1_800_000_000;

    fn at(seconds_ago: i64) -> Timestamp {
        Timestamp::from_second(NOW - seconds_ago).unwrap()
    }

    fn counted(count: u32, seconds_ago: i64, is_settled: bool) -> Tally {
        let outcomes = BTreeMap::from([("sent".to_string(), count)]);
        Tally { outcomes, counted_at: at(seconds_ago), is_settled, ..Tally::default() }
    }

    #[test]
    fn a_look_counts_what_may_have_changed_and_no_more_than_it_can() {
        let known = |chunk: u32| match chunk {
            0 => Some((chunk, counted(9, 900, true))),
            4 => None,
            _ => Some((chunk, counted(1, i64::from(chunk) * 5, false))),
        };
        let tallies: BTreeMap<u32, Tally> = (0..8).filter_map(known).collect();

        assert_eq!(to_count(&tallies, 8, 7, at(0)), [1, 2, 3, 4, 5, 6, 7], "all that are not settled, however fresh");
        assert_eq!(to_count(&tallies, 8, 6, at(0)), [4, 7, 6, 5, 3], "the longest ago first, and none of ten seconds");
        assert_eq!(to_count(&tallies, 8, 3, at(0)), [4, 7, 6]);
        assert_eq!(to_count(&tallies, 3, 25, at(0)), [1, 2], "none of which no message is made");
        assert_eq!(to_count(&tallies, 8, 0, at(0)), Vec::<u32>::new());
    }

    #[test]
    fn the_oldest_count_is_told_that_may_be_different_by_now() {
        let asked = at(5000);
        let tallies = BTreeMap::from([(0, counted(9, 900, true)), (1, counted(9, 30, false)), (2, counted(9, 0, false))]);
        assert_eq!(oldest(&tallies, 3, asked, at(0)), Some(at(30)));
        assert_eq!(oldest(&tallies, 4, asked, at(0)), Some(asked), "one was never counted");
        assert_eq!(oldest(&tallies, 1, asked, at(0)), None, "settled");
        assert_eq!(oldest(&tallies, 0, asked, at(0)), None);
    }

    #[test]
    fn what_is_kept_no_longer_is_as_it_was_counted_last() {
        let before = counted(9, 900, false);
        assert_eq!(later(Some(before.clone()), counted(4, 0, false)), Tally { is_settled: true, ..before.clone() });
        assert_eq!(later(Some(before.clone()), counted(9, 0, true)), counted(9, 0, true));
        assert_eq!(later(None, before.clone()), before);
    }
}
