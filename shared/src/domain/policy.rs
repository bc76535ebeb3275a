//! Whether a message goes, waits or is skipped, when it is due (reminders.md §3, rules 1 to 4).
//!
//! Rules 5 to 7 weigh messages against each other and against money; `dispatch` applies them.

use jiff::Timestamp;

use super::channel::Channel;
use super::contact::{Contact, Number};
use super::local_time::{LAWFUL_QUIET_HOURS, QuietHours, Zone, first_allowed};
use super::message::{Facts, Reason};
use super::phone::PhoneNumber;
use super::reminder::Kind;
use super::tenant::Settings;
use super::texts::Topic;

/// What is asked about one message.
pub struct Question<'a> {
    pub settings: &'a Settings,
    pub contact: &'a Contact,
    pub kind: Kind,
    /// Decide for this channel only: the others went their own way.
    pub only: Option<Channel>,
    /// From this instant on the message is of no use.
    pub deadline: Option<Timestamp>,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Not on any channel.
    Skip(Reason),
    /// On each of these channels; at least one.
    Channels(Vec<(Channel, PhoneNumber, Verdict)>),
}

/// What becomes of a message on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Send,
    Defer(Timestamp),
    Skip(Reason),
}

/// Applies rules 1 to 4 at `now`. `is_stopped` tells of a number whether it sent STOP.
pub fn decide(question: &Question<'_>, is_stopped: impl Fn(&PhoneNumber) -> bool, now: Timestamp) -> Decision {
    let Question { settings, contact, kind, .. } = *question;
    if !settings.enabled {
        return Decision::Skip(Reason::TenantDisabled);
    }
    if !settings.kind(kind).enabled {
        return Decision::Skip(Reason::TypeDisabled);
    }
    if contact.opted_out || contact.opted_out_categories.contains(&kind.category()) {
        return Decision::Skip(Reason::OptedOut);
    }
    let channels = match channels(settings, contact, kind) {
        Ok(channels) => channels,
        Err(reason) => return Decision::Skip(reason),
    };
    let channels: Vec<_> =
        channels.into_iter().filter(|(channel, _)| question.only.is_none_or(|only| only == *channel)).collect();
    if channels.is_empty() {
        return Decision::Skip(Reason::NoChannel);
    }
    let free: Vec<_> = channels.into_iter().filter(|(_, number)| !is_stopped(number)).collect();
    if free.is_empty() {
        return Decision::Skip(Reason::OptedOut);
    }
    let zone = contact.time_zone.as_ref().unwrap_or(&settings.time_zone);
    let verdict = |number: &PhoneNumber| when(settings, contact, number, zone, question.deadline, now);
    Decision::Channels(free.into_iter().map(|(channel, number)| (channel, number.clone(), verdict(number))).collect())
}

/// The channels that rule 3 chooses, in order, with the number each reaches.
///
/// # Errors
/// The reason when it chooses none.
pub fn channels<'a>(settings: &Settings, contact: &'a Contact, kind: Kind) -> Result<Vec<(Channel, &'a PhoneNumber)>, Reason> {
    let of_type = settings.kind(kind).channels.as_slice();
    let wanted = contact.channel.map_or(of_type, |preference| preference.channels());
    let with_sender =
        || Channel::ALL.into_iter().filter(|channel| wanted.contains(channel) && settings.sender(*channel).is_some());
    let usable: Vec<_> = with_sender().filter_map(|channel| Some((channel, contact.number(channel)?))).collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    let any_given = with_sender().any(|channel| *contact.number_given(channel) != Number::Absent);
    Err(if any_given { Reason::InvalidNumber } else { Reason::NoChannel })
}

/// Rule 4: now, at the first allowed instant, or never.
fn when(
    settings: &Settings,
    contact: &Contact,
    number: &PhoneNumber,
    zone: &Zone,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Verdict {
    let law = number.is_north_american().then_some(LAWFUL_QUIET_HOURS);
    let windows: Vec<QuietHours> = [settings.quiet_hours, contact.quiet_hours, law].into_iter().flatten().collect();
    match first_allowed(&windows, zone, now) {
        Some(at) if deadline.is_some_and(|deadline| deadline <= at) => Verdict::Skip(Reason::TooLate),
        Some(at) if at > now => Verdict::Defer(at),
        Some(_) => Verdict::Send,
        None => Verdict::Skip(Reason::TooLate),
    }
}

/// The instant from which a message is of no use: `None` for what never comes too late.
pub fn deadline(facts: &Facts, topic: Topic<'_>, tenant_zone: &Zone) -> Option<Timestamp> {
    match (facts, topic) {
        (Facts::Moved { from, to }, _) => Some(*from.max(to)),
        (Facts::Cancelled { start }, _) => Some(*start),
        (Facts::Attendance { .. }, _) => None,
        (Facts::Reminder, Topic::Lesson(lesson)) => Some(lesson.starts_at),
        (Facts::Reminder, Topic::Payment(payment)) => {
            let day_after = payment.due_date.tomorrow().unwrap_or(payment.due_date);
            Some(tenant_zone.instant(day_after.to_datetime(jiff::civil::Time::midnight())))
        }
    }
}
