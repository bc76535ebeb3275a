//! What was spent, by Twilio's own count: never more than the limit, and what the meters say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use local::twilio::Entry;
use shared::domain::channel::Channel;
use shared::domain::message::Message;

use super::Breach;
use super::case::{Case, Sent};
use super::expected::{Asked, Sort};
use super::times::{self, Month, TOLERANCE};
use crate::chaos::plan::{SMS, WHATSAPP, What};

/// In the order in which Twilio accepted, answers included.
pub fn over_budget(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (at, school) in case.evidence.plan.schools.iter().enumerate() {
        let Some(limit) = school.limit else { continue };
        let mut spent: BTreeMap<String, i64> = BTreeMap::new();
        for sent in of_school(case, at) {
            let spent = spent.entry(month(case, at, sent)).or_default();
            let before = *spent;
            *spent += cost(sent.entry);
            // Told once a month.
            if before <= limit && *spent > limit {
                let sid = &sent.entry.sid;
                breaches.push(Breach::new("over budget", format!("{} spends {spent} of {limit} by {sid}", school.id)));
            }
        }
    }
    breaches
}

/// Each month's meter, and each message's cost, is what Twilio accepted.
pub fn meter(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("meter", what));
    for (at, stored) in case.evidence.stored.iter().enumerate() {
        let mut spent: BTreeMap<String, i64> = stored.used.keys().map(|month| (month.clone(), 0)).collect();
        for sent in of_school(case, at) {
            *spent.entry(month(case, at, sent)).or_default() += cost(sent.entry);
        }
        for (month, spent) in spent {
            let used = stored.used.get(&month).copied().unwrap_or_default();
            if used != spent {
                push(format!("{} has {used} for {month}, and spent {spent}", case.evidence.plan.schools[at].id));
            }
        }
    }
    for row in &case.rows {
        let charged = row.message.cost.unwrap_or_default().0;
        match row.sent.as_slice() {
            [] if charged != 0 => push(format!("{} is charged {charged} for nothing", row.name())),
            [entry] if charged != cost(entry) => push(format!("{} is charged {charged}, not {}", row.name(), cost(entry))),
            // What went twice is told of elsewhere.
            _ => {}
        }
    }
    breaches
}

fn of_school<'a>(case: &'a Case<'a>, school: usize) -> impl Iterator<Item = &'a Sent<'a>> {
    case.sent.iter().filter(move |sent| sent.school == Some(school))
}

/// As its row has it: it was decided in that month, and may have gone in the next.
fn month(case: &Case<'_>, school: usize, sent: &Sent<'_>) -> String {
    let of_row = sent.row.and_then(|at| case.rows[at].message.month.clone());
    of_row.unwrap_or_else(|| {
        let zone = times::zone(case.evidence.plan.schools[school].zone);
        times::name(times::month(&zone, sent.entry.created))
    })
}

fn cost(entry: &Entry) -> i64 {
    if entry.to.starts_with("whatsapp:") { WHATSAPP } else { SMS * i64::from(entry.num_segments) }
}

/// What a message costs that did not go; all our texts fit one segment.
pub fn price(message: &Message) -> i64 {
    if message.channel == Some(Channel::Whatsapp) { WHATSAPP } else { SMS * i64::from(message.segments.unwrap_or(1)) }
}

/// Whether the school's limit may have left no room for `more`, at some instant between these two. Lenient: whatever was
/// reserved by then counts in full, also what was given back before.
pub fn may_lack(case: &Case<'_>, school: usize, more: i64, from: Timestamp, to: Timestamp) -> bool {
    let Some(limit) = case.evidence.plan.schools[school].limit else { return false };
    let zone = times::zone(case.evidence.plan.schools[school].zone);
    let months = [from - TOLERANCE, to + TOLERANCE].map(|at| times::month(&zone, at));
    months.into_iter().any(|month| reserved(case, school, month, to + TOLERANCE) + more > limit)
}

fn reserved(case: &Case<'_>, school: usize, month: Month, until: Timestamp) -> i64 {
    let rows = case.rows.iter().filter(|row| row.school == school);
    let reserving = rows.filter(|row| row.claims.iter().any(|claim| claim.at <= until && claim.months.contains(&month)));
    reserving.map(|row| row.message.cost.map_or_else(|| price(row.message), |cost| cost.0)).sum()
}

/// What may lie in the pots of campaigns at an instant, for rows that have not gone yet.
pub fn in_pots(case: &Case<'_>, school: usize, at: Timestamp) -> i64 {
    let until = at + TOLERANCE;
    let happenings = case.evidence.plan.happenings.iter().enumerate();
    let rows = happenings.map(|(place, happening)| match happening.what {
        What::Campaign { school: of, rows, .. } if of == school => {
            let is_begun = case.evidence.heard.get(&place).is_some_and(|heard| heard.first <= until);
            if is_begun { i64::from(rows) } else { 0 }
        }
        _ => 0,
    });
    let is_row = |asked: &Asked| asked.school == school && asked.sort == Sort::Campaign;
    let made = case.rows.iter().filter(|row| row.asked.is_some_and(is_row));
    let gone = made.filter(|row| row.claims.iter().any(|claim| claim.at <= until)).count() as i64;
    SMS * (rows.sum::<i64>() - gone)
}
