//! Whether the reason is true for which a message did not go.

use jiff::{SignedDuration, Timestamp};
use shared::domain::message::{Reason, Status, Step};

use super::case::{Case, Row};
use super::expected::{Asked, Sort};
use super::money::{in_pots, may_lack, price};
use super::times::{CLOCKS, TOLERANCE, next_allowed};
use crate::chaos::plan::{MOST_ATTEMPTS, SMS};

/// The recipient has unsubscribed at Twilio.
const UNSUBSCRIBED: u32 = 21610;

/// Whether what `row` says of itself is so: it ended without going, for a reason that the inputs and the ledger bear out.
///
/// Lenient by as much as instants are unsure, always for the row: a lie is found where the inputs leave no doubt.
pub fn is_true(case: &Case<'_>, row: &Row<'_>, asked: &Asked) -> bool {
    let at = row.decided();
    let (status, holds) = match row.message.reason {
        // Twilio refuses nothing else that is sent here.
        None => (Status::Failed, row.message.error_code == Some(UNSUBSCRIBED) && is_blocked(case, row, asked)),
        Some(reason) => match reason {
            // Somebody looked after `at`, in a run that may have gone on for a while.
            Reason::OptedOut => {
                let may_be = case.wishes.may_be_stopped(row.school, asked.phone(), at - CLOCKS, at + TOLERANCE);
                (Status::Skipped, may_be || was_refused(case, row, asked))
            }
            // By the very instant that it was decided at.
            Reason::TooLate => (Status::Skipped, asked.deadline.is_some_and(|end| end <= next_allowed(&asked.zone, at))),
            Reason::Superseded => (Status::Skipped, is_superseded(case, row)),
            Reason::FrequencyCap => (Status::Skipped, is_capped(case, row, asked)),
            Reason::Budget => {
                let more = price(row.message) + in_pots(case, row.school, at);
                (Status::Skipped, may_lack(case, row.school, more, at, at))
            }
            Reason::OutsideWindow => (Status::Skipped, asked.is_out_of_window()),
            Reason::Moved | Reason::LessonCancelled | Reason::Paid => {
                let is_ended = |(by, first): &(Reason, Timestamp)| *by == reason && *first <= at + TOLERANCE;
                (Status::Canceled, asked.ended_by.iter().any(is_ended))
            }
            // Of a campaign that stands still for want of money: there is nothing else to be done with it.
            Reason::OnRequest => {
                let is_stuck = asked.sort == Sort::Campaign && may_lack(case, row.school, SMS, asked.from, at);
                (Status::Canceled, is_stuck)
            }
            Reason::NotProcessed => {
                let came_to_nothing = |step: &&Step| matches!(step.step.as_str(), "not_processed" | "not_found");
                let failed = row.message.timeline.iter().filter(came_to_nothing).count();
                (Status::Failed, row.message.attempt >= MOST_ATTEMPTS && failed >= MOST_ATTEMPTS as usize)
            }
            // Nobody switches anything off, has no number, or goes away.
            Reason::TenantDisabled | Reason::TypeDisabled | Reason::InvalidNumber | Reason::NoChannel => (Status::Skipped, false),
            Reason::MissingVariable | Reason::DoNotCall => (Status::Skipped, false),
            Reason::NotAttending | Reason::ContactGone => (Status::Canceled, false),
        },
    };
    row.message.status == status && holds
}

/// Twilio had refused another for that number, which said START before that was written down: it is stopped again then.
fn was_refused(case: &Case<'_>, row: &Row<'_>, asked: &Asked) -> bool {
    let is_refusal = |other: &Row<'_>| {
        let is_same = other.school == row.school && other.asked.is_some_and(|other| other.phone() == asked.phone());
        let at = other.decided();
        let is_crossed = || case.wishes.may_have_started(row.school, asked.phone(), at - CLOCKS, at + TOLERANCE);
        is_same && other.message.error_code == Some(UNSUBSCRIBED) && at <= row.decided() + TOLERANCE && is_crossed()
    };
    case.rows.iter().any(is_refusal)
}

/// Twilio blocks SMS alone.
fn is_blocked(case: &Case<'_>, row: &Row<'_>, asked: &Asked) -> bool {
    let at = row.decided();
    asked.to == asked.phone() && case.wishes.may_be_blocked(row.school, asked.phone(), at - CLOCKS, at + TOLERANCE)
}

/// A reminder nearer to the same was due as well, and was not through with by then.
fn is_superseded(case: &Case<'_>, row: &Row<'_>) -> bool {
    let place = |row: &Row<'_>| {
        let message = row.message;
        (row.school, message.kind, message.subject.clone(), message.version, message.contact.clone())
    };
    let length = |row: &Row<'_>| row.message.offset.map(|offset| offset.minutes());
    let nearer = case.rows.iter().filter(|other| length(other) < length(row) && place(other) == place(row));
    let is_due = |other: &Row<'_>| other.asked.is_some_and(|asked| asked.from <= row.decided());
    nearer.filter(|other| is_due(other)).any(|other| other.decided() + TOLERANCE >= row.decided())
}

/// As many as may be had been claimed for the same person within a day, those included that came to nothing since.
fn is_capped(case: &Case<'_>, row: &Row<'_>, asked: &Asked) -> bool {
    let Some(cap) = case.evidence.plan.schools[row.school].cap else { return false };
    let at = row.decided();
    let since = at - SignedDuration::from_hours(24);
    let is_counted = |other: &Asked| {
        let is_same = other.person == asked.person && (other.person.is_some() || other.to == asked.to);
        other.is_capped() && is_same && other.identity != asked.identity
    };
    let others = case.rows.iter().filter(|other| other.school == row.school && other.asked.is_some_and(is_counted));
    let counted = others.filter(|other| other.claims.iter().any(|claim| claim.at > since && claim.at <= at + TOLERANCE)).count();
    asked.is_capped() && counted >= cap as usize
}
