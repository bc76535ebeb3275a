//! The report of a campaign: a line for each row of its file, and what Twilio and the table have of it.

use local::twilio::Status as AtTwilio;
use serde_json::Value;
use shared::domain::message::{Message, Reason, Status};

use super::Breach;
use super::case::Case;
use super::money::may_lack;
use crate::chaos::evidence::Heard;
use crate::chaos::plan::{LONGEST, Plan, SMS, What};

/// Each row has its line, which says what became of it; one without a message says why there is none.
pub fn reports(case: &Case<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (place, happening) in case.evidence.plan.happenings.iter().enumerate() {
        let What::Campaign { school, number, rows } = happening.what else { continue };
        let Some(heard) = case.evidence.heard.get(&place) else { continue };
        let report = case.evidence.stored[school].reports.get(&number).map_or(&[][..], Vec::as_slice);
        for row in 0..rows {
            let lines: Vec<&Value> = report.iter().filter(|line| line["row"] == row).collect();
            let wrong = match lines.as_slice() {
                [line] => of_row(case, heard, (school, row), line),
                lines => Some(Breach::new("lost", format!("row {row} has {} lines in its report", lines.len()))),
            };
            breaches.extend(wrong);
        }
        if report.len() > rows as usize {
            breaches.push(Breach::new("unasked", format!("{} lines for {rows} rows", report.len())));
        }
    }
    breaches
}

fn of_row(case: &Case<'_>, heard: &Heard, (school, row): (usize, u32), line: &Value) -> Option<Breach> {
    let guest = Plan::guest(school, row);
    if line["to"] != guest.as_str() {
        return Some(Breach::new("lost", format!("row {row} is for {guest}, and its line says {line}")));
    }
    let Some(id) = line["messageId"].as_str() else {
        let is_waiting = line["outcome"] == "pending" || line["outcome"] == "canceled";
        let is_stuck = may_lack(case, school, SMS, heard.first, case.evidence.plan.calm + LONGEST);
        return (!is_waiting || !is_stuck).then(|| Breach::new("lost", format!("row {row} has no message: {line}")));
    };
    let known = case.rows.iter().find(|known| known.school == school && known.message.id.as_str() == id)?;
    let went = known.sent.first().map(|entry| entry.status);
    let is_so = line["outcome"] == outcome(went, known.message.status) && line["reason"] == reason(known.message);
    (!is_so).then(|| Breach::new("untrue reason", format!("{} is said to be {line}", known.name())))
}

/// By Twilio's word; of what it does not have, by ours.
fn outcome(went: Option<AtTwilio>, ours: Status) -> &'static str {
    match (went, ours) {
        (Some(AtTwilio::Delivered), _) => "delivered",
        (Some(AtTwilio::Undelivered | AtTwilio::Failed), _) | (None, Status::Failed) => "failed",
        (Some(_), _) => "sent",
        (None, Status::Canceled) => "canceled",
        (None, Status::Skipped) => "skipped",
        (None, _) => "pending",
    }
}

/// Of what was taken back the outcome says it all.
fn reason(message: &Message) -> Value {
    let said = message.reason.filter(|reason| *reason != Reason::OnRequest);
    said.map_or(Value::Null, |reason| reason.word().into())
}
