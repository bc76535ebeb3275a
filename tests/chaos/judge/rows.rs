//! The table: nothing is missing in it, everything has come to its end, for true, and tells its story.

use std::collections::{BTreeMap, BTreeSet};

use super::Breach;
use super::case::{Case, Row, named};
use super::reasons;
use super::times::TOLERANCE;
use crate::chaos::plan::{Says, What};

/// Everything that must be there has a row, whatever has a SID is at Twilio, and whatever is at Twilio has a row.
pub fn lost(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("lost", what));
    for (place, happening) in case.evidence.plan.happenings.iter().enumerate() {
        if !happening.what.is_fault() && !case.evidence.heard.contains_key(&place) {
            push(format!("never acknowledged: {:?}", happening.what));
        }
    }
    let known: BTreeSet<(usize, &str)> =
        case.rows.iter().filter_map(|row| Some((row.school, row.asked?.identity.as_str()))).collect();
    for asked in case.asked.iter().filter(|asked| asked.is_sure) {
        if !known.contains(&(asked.school, asked.identity.as_str())) {
            push(format!("there is no row of '{}' to {}: {}", asked.begins, asked.to, asked.identity));
        }
    }
    for row in case.rows.iter().filter(|row| !row.is_inbound()) {
        if let Some(sid) = row.message.sid.as_deref().filter(|sid| !case.by_sid.contains_key(sid)) {
            push(format!("{} has {sid}, which Twilio does not know", row.name()));
        }
    }
    for sent in case.sent.iter().filter(|sent| sent.row.is_none()) {
        push(format!("nobody knows of {} '{}' to {}", sent.entry.sid, sent.entry.body, sent.entry.to));
    }
    breaches
}

/// Every message has come to its end; what Twilio has, to the end that it has there.
pub fn not_final(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for row in case.rows.iter().filter(|row| !row.is_inbound()) {
        let entry = row.message.sid.as_deref().and_then(|sid| case.by_sid.get(sid));
        let is_told = entry
            .is_none_or(|entry| entry.status.word() == row.message.status.word() && entry.error_code == row.message.error_code);
        if !row.message.status.is_final() || !is_told {
            let told = entry.map(|entry| (entry.status.word(), entry.error_code));
            let code = row.message.error_code;
            breaches.push(Breach::new("not final", format!("{} with code {code:?}; at Twilio {told:?}", row.name())));
        }
    }
    breaches
}

/// What ended without going says truly why, and did not go. What went has no reason not to.
pub fn untrue_reason(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("untrue reason", what));
    for row in case.rows.iter().filter(|row| row.is_ours() && row.message.status.is_final()) {
        let (reason, code) = (row.message.reason.map(|reason| reason.word()), row.message.error_code);
        if row.message.sid.is_some() {
            if let Some(reason) = reason {
                push(format!("{} went in spite of {reason}", row.name()));
            }
            continue;
        }
        if let Some(entry) = row.sent.first() {
            push(format!("{} for {reason:?}, and Twilio has it as {}", row.name(), entry.sid));
        }
        if row.asked.is_some_and(|asked| !reasons::is_true(case, row, asked)) {
            push(format!("{} for {reason:?}, code {code:?}, at {}", row.name(), row.decided()));
        }
    }
    breaches
}

/// A story begins with its beginning, has every attempt and every word of Twilio's that we acknowledged, in order.
pub fn timeline(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("timeline", what));
    for row in &case.rows {
        let message = row.message;
        let steps = &message.timeline;
        let first = steps.first().map(|step| step.step.as_str());
        let begins_well = match first {
            Some("planned") => message.direct.is_none(),
            Some("asked") => message.direct.is_some(),
            Some("received") => row.is_inbound(),
            Some("replied") => message.direct.is_some(),
            _ => false,
        };
        if !begins_well {
            push(format!("{} begins with {first:?}", row.name()));
        }
        let claimed = steps.iter().filter(|step| step.step == "claimed").count();
        if claimed != message.attempt as usize {
            push(format!("{} was claimed {claimed} times for {} attempts", row.name(), message.attempt));
        }
        // A run writes the instant at which it began, when another may have been and gone.
        let goes_back = steps.windows(2).find(|pair| pair[1].at + TOLERANCE < pair[0].at);
        if let Some([before, after]) = goes_back {
            push(format!("{} goes back from {before:?} to {after:?}", row.name()));
        }
        // Who has been told the end asks no more.
        let said = |how: &'static str| message.reports.iter().filter(move |(_, step)| step.step == how);
        let end = said("callback").filter(|(line, _)| is_end(line)).map(|(_, step)| step.at).min();
        if let Some(end) = end.filter(|end| said("asked").any(|(_, step)| step.at > *end + TOLERANCE)) {
            push(format!("{} was told its end at {end}, and asks about it", row.name()));
        }
        if let Some(sid) = message.sid.as_deref().filter(|_| !row.is_inbound()) {
            let is_accepted = steps.iter().any(|step| step.detail.as_deref().is_some_and(|detail| detail.ends_with(sid)));
            let is_reported = message.reports.keys().any(|line| line.split(' ').nth(1) == Some(sid));
            if !is_accepted && !is_reported {
                push(format!("{} does not tell how it came to {sid}", row.name()));
            }
        }
    }
    let by_id: BTreeMap<&str, &Row<'_>> = case.rows.iter().map(|row| (row.message.id.as_str(), row)).collect();
    for attempt in &case.evidence.attempts {
        let is_taken = attempt.answer.is_some_and(|status| (200..300).contains(&status));
        let row = named(&attempt.url).and_then(|id| by_id.get(id));
        // A text that came in names no message, and whatever nobody has a row of is lost.
        let Some(row) = row.filter(|_| is_taken) else { continue };
        let said = (attempt.status, attempt.message_sid.as_str());
        let is_kept = row.message.reports.keys().any(|line| {
            line.split_once(' ').is_some_and(|(word, rest)| (word, rest.split(' ').next().unwrap_or_default()) == said)
        });
        if !is_kept {
            push(format!("{} does not tell what it was told at {}: {said:?}", row.name(), attempt.at));
        }
    }
    breaches
}

/// Whether a report has one of Twilio's last words.
fn is_end(line: &str) -> bool {
    matches!(line.split(' ').next(), Some("delivered" | "undelivered" | "failed"))
}

/// Each text that came in is stored once, at the school that it was sent to, and answered once at most.
pub fn texts(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("texts", what));
    let mut known = BTreeSet::new();
    for (place, happening) in case.evidence.plan.happenings.iter().enumerate() {
        let What::Text { school, number, person, says } = happening.what else { continue };
        let Some(sid) = case.evidence.heard.get(&place).and_then(|heard| heard.answer.as_str()) else { continue };
        let from = &case.evidence.plan.schools[school];
        let words = match says {
            Says::Stop => "STOP".to_string(),
            Says::Start => "START".to_string(),
            Says::Words => format!("I am late {}", from.token('N', number)),
        };
        known.insert((school, sid));
        let stored = case.rows.iter().filter(|row| row.is_inbound() && row.message.sid.as_deref() == Some(sid));
        let stored: Vec<&Row<'_>> = stored.collect();
        let phone = from.people[person].phone.as_str();
        let is_it = |row: &Row<'_>| {
            let number = row.message.to.as_ref().map(|to| to.e164());
            row.school == school && number == Some(phone) && row.message.body.as_deref() == Some(words.as_str())
        };
        if !matches!(stored.as_slice(), [row] if is_it(row)) {
            push(format!("'{words}' from {phone} to {} is stored {} times: {sid}", from.id, stored.len()));
        }
        let answers = case.sent.iter().filter(|sent| sent.entry.in_reply_to.as_deref() == Some(sid)).count();
        if answers > 1 {
            push(format!("'{words}' from {phone} to {} is answered {answers} times: {sid}", from.id));
        }
    }
    for row in case.rows.iter().filter(|row| row.is_inbound()) {
        if row.message.sid.as_deref().is_none_or(|sid| !known.contains(&(row.school, sid))) {
            push(format!("nobody sent {}: {:?}", row.name(), row.message.body));
        }
    }
    for sent in &case.sent {
        let Some(text) = sent.entry.in_reply_to.as_deref() else { continue };
        if sent.school.is_none_or(|school| !known.contains(&(school, text))) {
            push(format!("{} answers {text}, which nobody sent", sent.entry.sid));
        }
    }
    breaches
}
