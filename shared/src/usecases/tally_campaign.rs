//! What became of a campaign's messages, counted. Chunks whose messages have all come to an end are counted once and for
//! all; the messages of the others are read.

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

/// How far the rows of a campaign are that go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Messages by the word of their status, and what was skipped by its reason too: `skipped:budget`. Messages that are
    /// kept no longer, and were not counted before, are `gone`.
    pub outcomes: BTreeMap<String, u32>,
    /// Not sent yet, whether their messages are made or not.
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

/// Counts what became of `campaign`, as it was read. What is final is noted.
pub async fn tally_campaign(
    cx: &Context,
    tenant: &TenantId,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Progress, ContextError> {
    let table = cx.table().await?;
    let known = campaigns::tallies(table, tenant, campaign).await?;
    let is_old = campaign.finished_at.is_some_and(|at| now.duration_since(at) > SETTLED);
    let mut progress = Progress::default();
    for chunk in 0..begun(campaign) {
        if let Some(tally) = known.get(&chunk) {
            progress.add(tally);
            continue;
        }
        let (tally, is_settled) = count(table, tenant, campaign, chunk).await?;
        if chunk < campaign.next.chunk && (is_settled || is_old) {
            campaigns::put_tally(table, tenant, campaign, chunk, &tally).await?;
        }
        progress.add(&tally);
    }
    let counted: u32 = progress.outcomes.values().sum();
    let rest = campaign.summary.going.saturating_sub(counted);
    match campaign.stage {
        _ if rest == 0 => {}
        Stage::Canceled | Stage::Failed => progress.count(Status::Canceled.word(), rest),
        Stage::Done => progress.count(GONE, rest),
        // Their messages are not made yet.
        Stage::Uploading | Stage::Planning | Stage::Held | Stage::Sending | Stage::Checking => progress.pending += rest,
    }
    Ok(progress)
}

/// How many chunks may have messages: those that are made, and the one at which it is.
fn begun(campaign: &Campaign) -> u32 {
    match campaign.stage {
        Stage::Uploading | Stage::Planning | Stage::Held | Stage::Failed => 0,
        Stage::Sending | Stage::Checking | Stage::Done | Stage::Canceled => campaign.chunks.min(campaign.next.chunk + 1),
    }
}

/// What became of the messages of a chunk that there are, and whether all of them are there and have come to an end.
async fn count(table: &Table, tenant: &TenantId, campaign: &Campaign, chunk: u32) -> Result<(Tally, bool), StoreError> {
    let (first, rows) = campaigns::numbered_chunk(table, tenant, &campaign.id, chunk).await?;
    let going = (first..).zip(&rows).filter(|(_, row)| row.units().is_some());
    let ids: Vec<MessageId> = going.map(|(number, _)| row_id(tenant, &campaign.id, number)).collect();
    let all = messages::get_many(table, tenant, &ids).await?;
    Ok((tally(&all), all.len() == ids.len() && all.iter().all(|message| message.status.is_final())))
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
}
