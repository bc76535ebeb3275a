//! The evidence side by side: each row with what asked for it and with what Twilio accepted in its name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use local::twilio::Entry;
use shared::domain::message::Message;
use shared::domain::reminder::Kind;

use super::expected::{Asked, identity};
use super::times::{self, Month, TOLERANCE};
use super::wishes::Wishes;
use crate::chaos::evidence::Evidence;

/// What the rules look at.
pub struct Case<'a> {
    pub evidence: &'a Evidence,
    pub asked: &'a [Asked],
    pub wishes: Wishes,
    pub rows: Vec<Row<'a>>,
    pub sent: Vec<Sent<'a>>,
    /// What Twilio accepted, by its SID.
    pub by_sid: BTreeMap<&'a str, &'a Entry>,
}

/// A message in a school's table.
pub struct Row<'a> {
    pub school: usize,
    pub message: &'a Message,
    /// What it fulfils.
    pub asked: Option<&'a Asked>,
    /// What Twilio accepted in its name; of twins, as they have shared it out.
    pub sent: Vec<&'a Entry>,
    /// Messages of the same school with the same text to the same address, itself included: two people have one phone. Twilio's
    /// list does not say which of them it has, and neither they nor we can tell.
    pub twins: BTreeSet<&'a str>,
    pub claims: Vec<Claim>,
}

/// Money was reserved for a message; usually Twilio was called then.
pub struct Claim {
    pub at: Timestamp,
    /// In which month, at the earliest and at the latest.
    pub months: [Month; 2],
}

/// What Twilio accepted.
pub struct Sent<'a> {
    pub entry: &'a Entry,
    /// The row that its status callback names, by its place.
    pub row: Option<usize>,
    /// Whose it is: that row's school's, or else its account's.
    pub school: Option<usize>,
}

impl<'a> Case<'a> {
    pub fn new(evidence: &'a Evidence, asked: &'a [Asked]) -> Self {
        let mut accepted: BTreeMap<&str, Vec<&'a Entry>> = BTreeMap::new();
        for entry in &evidence.ledger {
            if let Some(id) = entry.status_callback.as_deref().and_then(named) {
                accepted.entry(id).or_default().push(entry);
            }
        }
        let by_identity: BTreeMap<(usize, &str), &'a Asked> =
            asked.iter().map(|asked| ((asked.school, asked.identity.as_str()), asked)).collect();
        let mut rows = Vec::new();
        for (school, stored) in evidence.stored.iter().enumerate() {
            let zone = times::zone(evidence.plan.schools[school].zone);
            for message in &stored.messages {
                let identity = identity(message);
                rows.push(Row {
                    school,
                    message,
                    asked: by_identity.get(&(school, identity.as_str())).copied(),
                    sent: accepted.remove(message.id.as_str()).unwrap_or_default(),
                    twins: BTreeSet::new(),
                    claims: claims(message, &zone),
                });
            }
        }
        share_out(&mut rows);
        let places: BTreeMap<&str, usize> = rows.iter().enumerate().map(|(at, row)| (row.message.id.as_str(), at)).collect();
        let sent = |entry: &'a Entry| {
            let row = entry.status_callback.as_deref().and_then(named).and_then(|id| places.get(id)).copied();
            let of_account = evidence.stored.iter().position(|stored| stored.account == entry.account_sid);
            Sent { entry, row, school: row.map(|at| rows[at].school).or(of_account) }
        };
        let sent = evidence.ledger.iter().map(sent).collect();
        let by_sid = evidence.ledger.iter().map(|entry| (entry.sid.as_str(), entry)).collect();
        Self { evidence, asked, wishes: Wishes::of(evidence), rows, sent, by_sid }
    }
}

/// Of twins each has what its SID says, whosever name Twilio was told.
fn share_out(rows: &mut [Row<'_>]) {
    let mut twins: BTreeMap<(usize, &str, &str), Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(asked) = row.asked {
            twins.entry((row.school, &asked.to, &asked.begins)).or_default().push(at);
        }
    }
    for places in twins.into_values().filter(|places| places.len() > 1) {
        let ids: BTreeSet<&str> = places.iter().map(|at| rows[*at].message.id.as_str()).collect();
        for &at in &places {
            rows[at].twins = ids.clone();
            for entry in std::mem::take(&mut rows[at].sent) {
                let holder = places.iter().find(|holder| rows[**holder].message.sid.as_deref() == Some(&entry.sid));
                rows[holder.copied().unwrap_or(at)].sent.push(entry);
            }
        }
    }
}

impl Row<'_> {
    /// Whether it came in.
    pub fn is_inbound(&self) -> bool {
        self.message.kind == Kind::Inbound
    }

    /// Whether it answers what came in, without anybody asking.
    pub fn is_reply(&self) -> bool {
        self.message.timeline.first().is_some_and(|step| step.step == "replied")
    }

    /// Whether it is there because somebody asked for it.
    pub fn is_ours(&self) -> bool {
        !self.is_inbound() && !self.is_reply()
    }

    /// The instant that it was last decided by.
    pub fn decided(&self) -> Timestamp {
        self.message.decided_at.unwrap_or(self.message.due_at)
    }

    /// For people.
    pub fn name(&self) -> String {
        let Message { id, status, .. } = self.message;
        match self.asked {
            Some(asked) => format!("{id} '{}' to {}, {status}", asked.begins, asked.to),
            None => format!("{id}, {status}"),
        }
    }
}

/// The message that the URL of a status callback names.
pub fn named(url: &str) -> Option<&str> {
    let (_, id) = url.split_once("message=")?;
    id.split(['&', '#']).next()
}

fn claims(message: &Message, zone: &TimeZone) -> Vec<Claim> {
    let reserving = message.timeline.iter().filter(|step| matches!(step.step.as_str(), "claimed" | "replied"));
    let claim = |at: Timestamp| Claim { at, months: [times::month(zone, at - TOLERANCE), times::month(zone, at + TOLERANCE)] };
    reserving.map(|step| claim(step.at)).collect()
}
