//! Whether a message goes, waits or is skipped, when it is due (reminders.md §3, rules 1 to 4).
//!
//! Rules 5 to 7 weigh messages against each other and against money; `dispatch` applies them.

use jiff::{SignedDuration, Timestamp};

use super::channel::Channel;
use super::contact::{Category, Contact, Number};
use super::local_time::{LAWFUL_QUIET_HOURS, QuietHours, Zone, first_allowed};
use super::message::{Facts, Message, Reason};
use super::phone::PhoneNumber;
use super::reminder::Kind;
use super::tenant::Settings;
use super::texts::Topic;

/// What is asked about one message.
pub struct Question<'a> {
    pub settings: &'a Settings,
    pub contact: &'a Contact,
    pub kind: Kind,
    pub category: Category,
    /// The channels that were asked for; empty to let contact and tenant choose.
    pub asked: &'a [Channel],
    /// Decide for this channel only: the others went their own way.
    pub only: Option<Channel>,
    /// Whether it may go at any hour (D12).
    pub at_any_hour: bool,
    /// From this instant on the message is of no use.
    pub deadline: Option<Timestamp>,
}

impl<'a> Question<'a> {
    pub fn about(settings: &'a Settings, contact: &'a Contact, message: &'a Message, deadline: Option<Timestamp>) -> Self {
        Self {
            settings,
            contact,
            kind: message.kind,
            category: message.category(),
            asked: message.direct.as_ref().map_or(&[], |direct| &direct.channels),
            only: message.channel,
            at_any_hour: message.is_exempt_from_quiet_hours(),
            deadline,
        }
    }
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

/// What one rule says.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub rule: &'static str,
    /// `None` for a rule about all channels.
    pub channel: Option<Channel>,
    pub verdict: Verdict,
}

/// Applies rules 1 to 4 at `now`. `is_stopped` tells of a number whether it sent STOP.
pub fn decide(question: &Question<'_>, is_stopped: impl Fn(&PhoneNumber) -> bool, now: Timestamp) -> Decision {
    let general = [tenant_rule(question), type_rule(question), opt_out_rule(question)];
    if let Some(reason) = general.into_iter().find_map(|(_, reason)| reason) {
        return Decision::Skip(reason);
    }
    let channels = match channels(question) {
        Ok(channels) => channels,
        Err(reason) => return Decision::Skip(reason),
    };
    let channels: Vec<_> =
        channels.into_iter().filter(|(channel, _)| question.only.is_none_or(|only| only == *channel)).collect();
    if channels.is_empty() {
        return Decision::Skip(Reason::NoChannel);
    }
    let refusal = |(channel, number): &(Channel, &PhoneNumber)| number_rule(question, *channel, number, &is_stopped);
    let reasons: Vec<Option<Reason>> = channels.iter().map(refusal).collect();
    if let (Some(reason), true) = (reasons[0], reasons.iter().all(Option::is_some)) {
        return Decision::Skip(reason);
    }
    let free = channels.into_iter().zip(reasons).filter(|(_, reason)| reason.is_none());
    Decision::Channels(free.map(|((channel, number), _)| (channel, number.clone(), hours_rule(question, number, now))).collect())
}

/// What every one of rules 1 to 4 says at `now`, also those behind the first that refuses.
pub fn explain(question: &Question<'_>, is_stopped: impl Fn(&PhoneNumber) -> bool, now: Timestamp) -> Vec<Finding> {
    let verdict = |reason: Option<Reason>| reason.map_or(Verdict::Send, Verdict::Skip);
    let general = [tenant_rule(question), type_rule(question), opt_out_rule(question)];
    let mut findings: Vec<Finding> =
        general.into_iter().map(|(rule, reason)| Finding { rule, channel: None, verdict: verdict(reason) }).collect();
    match channels(question) {
        Err(reason) => findings.push(Finding { rule: "channel", channel: None, verdict: Verdict::Skip(reason) }),
        Ok(channels) => {
            for (channel, number) in channels {
                let mut found = |rule, verdict| findings.push(Finding { rule, channel: Some(channel), verdict });
                found("channel", Verdict::Send);
                found("number", verdict(number_rule(question, channel, number, &is_stopped)));
                found("quiet_hours", hours_rule(question, number, now));
            }
        }
    }
    findings
}

/// A test goes out though nothing else does yet: it is how one finds out (S0-99). From a suspended tenant nothing goes.
fn tenant_rule(question: &Question<'_>) -> (&'static str, Option<Reason>) {
    let Question { settings, kind, .. } = *question;
    let off = if kind == Kind::Test { settings.suspended } else { !settings.is_on() };
    ("tenant", off.then_some(Reason::TenantDisabled))
}

fn type_rule(question: &Question<'_>) -> (&'static str, Option<Reason>) {
    let off = question.settings.kind(question.kind).is_some_and(|settings| !settings.enabled);
    ("type", off.then_some(Reason::TypeDisabled))
}

fn opt_out_rule(question: &Question<'_>) -> (&'static str, Option<Reason>) {
    let Question { contact, category, .. } = question;
    let out = contact.opted_out || contact.opted_out_categories.contains(category);
    ("opt_out", out.then_some(Reason::OptedOut))
}

fn number_rule(
    question: &Question<'_>,
    channel: Channel,
    number: &PhoneNumber,
    is_stopped: impl Fn(&PhoneNumber) -> bool,
) -> Option<Reason> {
    if is_stopped(number) {
        return Some(Reason::OptedOut);
    }
    (channel == Channel::Voice && question.settings.is_do_not_call(number)).then_some(Reason::DoNotCall)
}

/// The channels that rule 3 chooses, in order, with the number each reaches.
///
/// # Errors
/// The reason when it chooses none.
pub fn channels<'a>(question: &Question<'a>) -> Result<Vec<(Channel, &'a PhoneNumber)>, Reason> {
    let Question { settings, contact, .. } = *question;
    let of_type = settings.kind(question.kind).map_or(&[Channel::Sms][..], |settings| settings.channels.as_slice());
    let chosen = contact.channel.map_or(of_type, |preference| preference.channels());
    let wanted: Vec<Channel> = if question.asked.is_empty() {
        Channel::BY_CHOICE.into_iter().filter(|channel| chosen.contains(channel)).collect()
    } else {
        question.asked.to_vec()
    };
    let with_sender = || wanted.iter().copied().filter(|channel| settings.sender(*channel).is_some());
    let usable: Vec<_> = with_sender().filter_map(|channel| Some((channel, contact.number(channel)?))).collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    let any_given = with_sender().any(|channel| *contact.number_given(channel) != Number::Absent);
    Err(if any_given { Reason::InvalidNumber } else { Reason::NoChannel })
}

/// Rule 4: now, at the first allowed instant, or never.
fn hours_rule(question: &Question<'_>, number: &PhoneNumber, now: Timestamp) -> Verdict {
    let Question { settings, contact, deadline, .. } = *question;
    let allowed = if question.at_any_hour { Some(now) } else { first_allowed_by_all(settings, contact, number, now) };
    match allowed {
        Some(at) if deadline.is_some_and(|deadline| deadline <= at) => Verdict::Skip(Reason::TooLate),
        Some(at) if at > now => Verdict::Defer(at),
        Some(_) => Verdict::Send,
        None => Verdict::Skip(Reason::TooLate),
    }
}

/// The recipient's zone.
pub fn zone<'a>(settings: &'a Settings, contact: &'a Contact) -> &'a Zone {
    contact.time_zone.as_ref().unwrap_or(&settings.time_zone)
}

/// Of many numbers at once, of which some are North American or none is: those of the contacts come on top.
pub fn quiet_hours_of_many(settings: &Settings, any_north_american: bool) -> Vec<QuietHours> {
    let law = any_north_american.then_some(LAWFUL_QUIET_HOURS);
    [settings.quiet_hours, law].into_iter().flatten().collect()
}

/// Whoever have no minute in common within so long have none: quiet hours repeat daily.
const SEARCH: SignedDuration = SignedDuration::from_hours(24 * 4);

/// The first instant at or after `now` that is in nobody's quiet hours: the tenant's, the contact's and the law's, on the
/// wall clock of each whom `number` reaches.
///
/// `None` if they leave no minute in common.
fn first_allowed_by_all(settings: &Settings, contact: &Contact, number: &PhoneNumber, now: Timestamp) -> Option<Timestamp> {
    let law = number.is_north_american().then_some(LAWFUL_QUIET_HOURS);
    let mut at = now;
    while at.duration_since(now) <= SEARCH {
        let before = at;
        for (own, zone) in contact.hours() {
            let windows: Vec<QuietHours> = [settings.quiet_hours, own, law].into_iter().flatten().collect();
            at = first_allowed(&windows, zone.unwrap_or(&settings.time_zone), at)?;
        }
        if at == before {
            return Some(at);
        }
    }
    None
}

/// The instant from which a message is of no use: `None` for what never comes too late.
pub fn deadline(facts: &Facts, topic: Topic<'_>, tenant_zone: &Zone) -> Option<Timestamp> {
    match (facts, topic) {
        (Facts::Moved { from, to }, _) => Some(*from.max(to)),
        (Facts::Cancelled { start }, _) => Some(*start),
        (Facts::Attendance { .. } | Facts::Direct, _) => None,
        (Facts::Reminder, Topic::Lesson(lesson)) => Some(lesson.starts_at),
        (Facts::Reminder, Topic::Payment(payment)) => {
            let day_after = payment.due_date.tomorrow().unwrap_or(payment.due_date);
            Some(tenant_zone.instant(day_after.to_datetime(jiff::civil::Time::midnight())))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::contact::Wishes;
    use super::*;

    #[test]
    fn a_number_of_several_gets_nothing_in_the_quiet_hours_of_any_each_by_their_clock() {
        let settings: Settings = serde_json::from_str(
            r#"{"name": "S", "timeZone": "America/New_York", "defaultRegion": "GB", "budget": {"currency": "USD"},
                "quietHours": null}"#,
        )
        .unwrap();
        let wishes = |(hours, zone): &(&str, &str)| Wishes {
            quiet_hours: QuietHours::parse(hours),
            time_zone: Zone::parse(zone).ok(),
            ..Wishes::default()
        };
        // No law knows of this one.
        let number = PhoneNumber::from_e164("+447700900123").unwrap();
        // Ten past eight in New York, ten past five in Los Angeles.
        let now: Timestamp = "2026-03-10T12:10:00Z".parse().unwrap();
        let verdict = |known: &[(&str, &str)]| {
            let known: Vec<Wishes> = known.iter().map(wishes).collect();
            let contact = Contact::at_number(number.clone(), &known);
            let question = Question {
                settings: &settings,
                contact: &contact,
                kind: Kind::Message,
                category: Category::General,
                asked: &[Channel::Sms],
                only: None,
                at_any_hour: false,
                deadline: None,
            };
            hours_rule(&question, &number, now)
        };
        let until = |text: &str| Verdict::Defer(text.parse().unwrap());
        let (here, west) = ("America/New_York", "America/Los_Angeles");

        assert_eq!(verdict(&[]), Verdict::Send);
        assert_eq!(verdict(&[("21:00-08:00", here), ("", "")]), Verdict::Send);
        for known in [[("21:00-08:00", west), ("", here)], [("", here), ("21:00-08:00", west)]] {
            assert_eq!(verdict(&known), until("2026-03-10T15:00:00Z"), "{known:?}");
        }
        // What one's hours leave falls into the other's, and the other way round.
        assert_eq!(verdict(&[("11:00-13:00", here), ("21:00-08:00", west)]), until("2026-03-10T17:00:00Z"));
        // Each ends where the next begins, and they are asked in the worst order.
        let stairs: Vec<String> = (8..20).rev().map(|hour| format!("{hour}:00-{}:00", hour + 1)).collect();
        let stairs: Vec<(&str, &str)> = stairs.iter().map(|hours| (hours.as_str(), here)).collect();
        assert_eq!(verdict(&stairs), until("2026-03-11T00:00:00Z"));
        // Half of the day here, and the other half there.
        assert_eq!(verdict(&[("08:00-20:00", here), ("17:00-05:00", west)]), Verdict::Skip(Reason::TooLate));
    }

    #[test]
    fn a_test_goes_before_anything_else_does_and_not_from_a_suspended_tenant() {
        let contact = Contact::unknown(PhoneNumber::from_e164("+12125550001").unwrap());
        let refusal = |enabled: bool, suspended: bool, kind: Kind| {
            let json = format!(
                r#"{{"name": "S", "timeZone": "UTC", "defaultRegion": "US", "budget": {{"currency": "USD"}},
                    "enabled": {enabled}, "suspended": {suspended}}}"#
            );
            let settings: Settings = serde_json::from_str(&json).unwrap();
            let question = Question {
                settings: &settings,
                contact: &contact,
                kind,
                category: Category::General,
                asked: &[Channel::Sms],
                only: None,
                at_any_hour: true,
                deadline: None,
            };
            tenant_rule(&question).1
        };

        assert_eq!(refusal(true, false, Kind::Message), None);
        assert_eq!(refusal(false, false, Kind::Message), Some(Reason::TenantDisabled));
        assert_eq!(refusal(false, false, Kind::Test), None);
        for kind in [Kind::Message, Kind::Test] {
            assert_eq!(refusal(true, true, kind), Some(Reason::TenantDisabled));
        }
    }
}
