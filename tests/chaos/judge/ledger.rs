//! What Twilio accepted: nothing twice, nothing that nobody asked for, nothing against anybody's wish, by night, or of
//! another school.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use local::twilio::Entry;

use super::Breach;
use super::case::{Case, Row, named};
use super::times::{CLOCKS, TOLERANCE, is_quiet};
use crate::chaos::plan::{Plan, What};

/// What Twilio accepted, by number and text, is compared with how often that was asked for: no id of ours is needed for it.
pub fn twice(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("twice", what));
    let mut left: BTreeMap<(usize, &str), BTreeMap<&str, u32>> = BTreeMap::new();
    for asked in case.asked {
        let texts = left.entry((asked.school, asked.to.as_str())).or_default();
        *texts.entry(asked.begins.as_str()).or_default() += 1;
    }
    for sent in case.sent.iter().filter(|sent| sent.entry.in_reply_to.is_none()) {
        let Entry { sid, to, body, .. } = sent.entry;
        // What is not found nobody asked for.
        let Some(school) = sent.school else { continue };
        let Some(texts) = left.get_mut(&(school, to.as_str())) else { continue };
        let Some((_, count)) = texts.iter_mut().find(|(begins, _)| body.starts_with(**begins)) else { continue };
        match count.checked_sub(1) {
            Some(less) => *count = less,
            None => push(format!("{sid} says '{body}' to {to}, once too often")),
        }
    }
    let mut holders: BTreeMap<&str, u32> = BTreeMap::new();
    let mut identities = BTreeSet::new();
    for row in &case.rows {
        if row.sent.len() > 1 {
            push(format!("{} went {} times", row.name(), row.sent.len()));
        }
        // A twin may have one of them: how often they went together is counted above.
        if row.message.is_doubled() && row.twins.is_empty() {
            push(format!("{} has several SIDs", row.name()));
        }
        if let Some(asked) = row.asked.filter(|asked| !identities.insert((asked.school, asked.identity.as_str()))) {
            push(format!("{} has another row: {}", row.name(), asked.identity));
        }
        if let Some(sid) = row.message.sid.as_deref() {
            *holders.entry(sid).or_default() += 1;
        }
    }
    for (sid, rows) in holders.into_iter().filter(|(_, rows)| *rows > 1) {
        push(format!("{rows} rows have {sid}"));
    }
    breaches
}

/// Everything that went, and every row, is something that somebody asked for, and wanted still.
pub fn unasked(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("unasked", what));
    for sent in case.sent.iter().filter(|sent| sent.entry.in_reply_to.is_none()) {
        let Entry { sid, to, body, created, .. } = sent.entry;
        match sent.row.map(|at| &case.rows[at]) {
            Some(Row { asked: Some(asked), .. }) => {
                if !asked.is(sent.entry) {
                    push(format!("{sid} says '{body}' to {to}, and not '{}' to {}", asked.begins, asked.to));
                }
                if *created < asked.from - CLOCKS {
                    push(format!("{sid} '{body}' to {to} went at {created}, before {}", asked.from));
                }
                // Whoever decided before that may have sent it after that.
                if let Some(until) = asked.until.filter(|until| *created > *until + TOLERANCE) {
                    push(format!("{sid} '{body}' to {to} went at {created}, and nobody wants it since {until}"));
                }
                if let Some(end) = asked.deadline.filter(|end| *created > *end + TOLERANCE) {
                    push(format!("{sid} '{body}' to {to} went at {created}, and is of no use since {end}"));
                }
                if asked.is_out_of_window() {
                    push(format!("{sid} '{body}' went to {to}, who never wrote there"));
                }
            }
            // The row is told of below.
            Some(_) => {}
            None => {
                let is_known = case.asked.iter().any(|asked| Some(asked.school) == sent.school && asked.is(sent.entry));
                if !is_known {
                    push(format!("{sid} says '{body}' to {to}"));
                }
            }
        }
    }
    for row in case.rows.iter().filter(|row| row.is_ours() && row.asked.is_none()) {
        push(format!("{}: {:?}", row.name(), row.message.body));
    }
    breaches
}

/// Nothing is claimed for a number after its STOP was acknowledged, and nothing goes that was not claimed before.
pub fn opted_out(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for row in &case.rows {
        let Some(asked) = row.asked else { continue };
        let stopped = |at| case.wishes.stopped_since(row.school, asked.phone(), at);
        // The claim was written until so much later; by then somebody may have said START.
        let claims = row.claims.iter().map(|claim| claim.at);
        let late_claims = claims.filter(|at| stopped(*at + TOLERANCE).is_some_and(|since| *at > since + CLOCKS));
        // What was claimed just before the STOP goes.
        let sent = row.sent.iter().map(|entry| entry.created);
        let late_sent = sent.filter(|at| stopped(*at).is_some_and(|since| *at > since + TOLERANCE));
        let late: Vec<String> = late_claims.chain(late_sent).map(|at| at.to_string()).collect();
        if !late.is_empty() {
            breaches.push(Breach::new("opted out", format!("{} at {}", row.name(), late.join(", "))));
        }
    }
    breaches
}

/// Nobody gets more within a day than the school's cap allows.
pub fn capped(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut claimed: BTreeMap<(usize, Option<usize>, &str), Vec<Timestamp>> = BTreeMap::new();
    for row in case.rows.iter().filter(|row| !row.sent.is_empty()) {
        let Some(asked) = row.asked.filter(|asked| asked.is_capped()) else { continue };
        // Somebody of the school is one person, whatever the address; a guest is an address.
        let address = if asked.person.is_some() { "" } else { asked.to.as_str() };
        claimed.entry((row.school, asked.person, address)).or_default().extend(row.claims.iter().map(|claim| claim.at).max());
    }
    for ((school, person, address), mut at) in claimed {
        let school = &case.evidence.plan.schools[school];
        let Some(cap) = school.cap else { continue };
        at.sort_unstable();
        // Runs look back from the instant at which they began.
        let day = SignedDuration::from_hours(24) - TOLERANCE;
        if let Some(too_many) = at.windows(cap as usize + 1).find(|some| some[cap as usize].duration_since(some[0]) < day) {
            breaches.push(Breach::new("cap", format!("{} sent {person:?} {address} more than {cap}: {too_many:?}", school.id)));
        }
    }
    breaches
}

/// Nothing is claimed, and nothing that was claimed by day goes so late, by night.
pub fn quiet_hours(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for row in &case.rows {
        let Some(asked) = row.asked.filter(|asked| !asked.goes_at_any_hour()) else { continue };
        // A claim bears the very instant that was looked at.
        let claims = row.claims.iter().map(|claim| claim.at).filter(|at| is_quiet(&asked.zone, *at));
        // Twilio's clock is another: what was claimed before the night may come in it, and what was claimed after it may come
        // just before its end.
        let is_of_night =
            |entry: &&Entry| is_quiet(&asked.zone, entry.created - TOLERANCE) && is_quiet(&asked.zone, entry.created + CLOCKS);
        let sent = row.sent.iter().copied().filter(is_of_night).map(|entry| entry.created);
        let by_night: Vec<String> = claims.chain(sent).map(|at| at.to_string()).collect();
        if !by_night.is_empty() {
            breaches.push(Breach::new("quiet hours", format!("{} at {}", row.name(), by_night.join(", "))));
        }
    }
    breaches
}

/// Accounts, callbacks, texts, numbers and SIDs are all of one school.
pub fn crossing(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut push = |what: String| breaches.push(Breach::new("crossing", what));
    let plan = &case.evidence.plan;
    let numbers: Vec<BTreeSet<String>> = (0..plan.schools.len()).map(|school| numbers(plan, school)).collect();
    for sent in &case.sent {
        let Entry { sid, account_sid, to, body, status_callback, .. } = sent.entry;
        let Some(school) = sent.school else {
            push(format!("{sid} is of {account_sid}, which is nobody's"));
            continue;
        };
        let id = &plan.schools[school].id;
        if *account_sid != case.evidence.stored[school].account {
            push(format!("{sid} is of {account_sid}, and not of {id}'s account"));
        }
        if !status_callback.as_deref().is_some_and(|url| url.contains(&format!("/twilio/{id}/"))) {
            push(format!("{sid} of {id} reports to {status_callback:?}"));
        }
        if is_of_another(plan, school, body) {
            push(format!("{sid} of {id} says '{body}'"));
        }
        if !numbers[school].contains(to.strip_prefix("whatsapp:").unwrap_or(to)) {
            push(format!("{sid} of {id} went to {to}"));
        }
    }
    for row in &case.rows {
        let stored = &case.evidence.stored[row.school];
        if row.message.to.as_ref().is_some_and(|to| !numbers[row.school].contains(to.e164())) {
            push(format!("{} is for somebody else's number", row.name()));
        }
        let sid = row.message.sid.as_deref().filter(|_| !row.is_inbound());
        let Some(entry) = sid.and_then(|sid| case.by_sid.get(sid)) else { continue };
        if entry.account_sid != stored.account {
            push(format!("{} has {}, which is another account's", row.name(), entry.sid));
        }
        let named = entry.status_callback.as_deref().and_then(named);
        if named != Some(row.message.id.as_str()) && !named.is_some_and(|id| row.twins.contains(id)) {
            push(format!("{} has {}, which is another message's", row.name(), entry.sid));
        }
    }
    breaches
}

/// Everybody's whom a school writes to.
fn numbers(plan: &Plan, school: usize) -> BTreeSet<String> {
    let people = plan.schools[school].people.iter().map(|person| person.phone.clone());
    let rows = plan.happenings.iter().map(|happening| match happening.what {
        What::Campaign { school: at, rows, .. } if at == school => rows,
        _ => 0,
    });
    people.chain((0..rows.max().unwrap_or_default()).map(|row| Plan::guest(school, row))).collect()
}

/// Whether a text is about something of another school's.
fn is_of_another(plan: &Plan, school: usize, body: &str) -> bool {
    let others = plan.schools.iter().enumerate().filter(|(at, _)| *at != school);
    let mut tokens = others.flat_map(|(_, other)| ["L", "P", "S", "B", "C"].map(|sort| other.id.to_uppercase() + sort));
    tokens.any(|token| body.contains(&token))
}
