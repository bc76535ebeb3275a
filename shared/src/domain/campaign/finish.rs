//! When a campaign is done, by its sender's rate and the hours when nothing goes.

use jiff::{SignedDuration, Timestamp};

use crate::domain::local_time::{QuietHours, Zone, first_allowed, first_forbidden};

const DAY_HOURS: i64 = 24;
/// What takes longer never ends.
const CENTURY: SignedDuration = SignedDuration::from_hours(36_525 * DAY_HOURS);

/// When sending is done that takes `length` in all, begins at `from`, and stands still in `quiet` hours.
///
/// `None` if the hours leave no minute of the day, or too little to be done within a century.
pub fn finishes_at(length: SignedDuration, quiet: &[QuietHours], zone: &Zone, from: Timestamp) -> Option<Timestamp> {
    if length <= SignedDuration::ZERO {
        return Some(from);
    }
    let give_up = from.checked_add(CENTURY).ok()?;
    let (mut at, mut left) = (from, length);
    while at < give_up {
        at = first_allowed(quiet, zone, at)?;
        let Some(until) = first_forbidden(quiet, zone, at) else { return at.checked_add(left).ok() };
        let open = until.duration_since(at);
        if left <= open {
            return at.checked_add(left).ok();
        }
        // Until the clocks are changed one day is like the other: all but the last of them at once.
        let alike = zone.next_change(at).unwrap_or(give_up).min(give_up).duration_since(at).as_hours() / DAY_HOURS;
        let a_day = if alike > 0 { open_in_a_day(quiet, zone, at) } else { CENTURY };
        match ((left.as_secs() - 1) / a_day.as_secs().max(1)).min(alike) {
            days @ 1.. => {
                at += SignedDuration::from_hours(days * DAY_HOURS);
                left -= SignedDuration::from_secs(days * a_day.as_secs());
            }
            _ => {
                at = until;
                left -= open;
            }
        }
    }
    None
}

/// How much of the 24 hours from `from`, an allowed instant, is allowed. Whole minutes: windows begin and end with one.
fn open_in_a_day(quiet: &[QuietHours], zone: &Zone, from: Timestamp) -> SignedDuration {
    let end = from + SignedDuration::from_hours(DAY_HOURS);
    let mut open = SignedDuration::ZERO;
    let mut at = from;
    while at < end {
        let until = first_forbidden(quiet, zone, at).unwrap_or(end).min(end);
        open += until.duration_since(at);
        at = first_allowed(quiet, zone, until).unwrap_or(end);
    }
    open
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn new_york() -> Zone {
        Zone::parse("America/New_York").unwrap()
    }

    fn quiet(windows: &[&str]) -> Vec<QuietHours> {
        windows.iter().map(|window| QuietHours::parse(window).unwrap()).collect()
    }

    /// Counted minute by minute.
    fn counted(minutes: i64, quiet: &[QuietHours], zone: &Zone, from: Timestamp) -> Timestamp {
        let (mut at, mut left) = (from, minutes);
        while left > 0 {
            left -= i64::from(first_allowed(quiet, zone, at) == Some(at));
            at += SignedDuration::from_mins(1);
        }
        at
    }

    #[test]
    fn sending_stands_still_in_the_quiet_hours() {
        let night = quiet(&["21:00-08:00"]);
        let hours = SignedDuration::from_hours;
        let end = |length, from| finishes_at(length, &night, &new_york(), at(from)).unwrap();

        // From 20:00 on the eve of the change of the clocks.
        assert_eq!(end(hours(1), "2026-03-08T01:00:00Z"), at("2026-03-08T02:00:00Z"));
        assert_eq!(end(hours(2), "2026-03-08T01:00:00Z"), at("2026-03-08T13:00:00Z"));
        assert_eq!(end(hours(2), "2026-03-08T03:00:00Z"), at("2026-03-08T14:00:00Z"));
        assert_eq!(end(SignedDuration::ZERO, "2026-03-08T03:00:00Z"), at("2026-03-08T03:00:00Z"));
        assert_eq!(end(SignedDuration::from_millis(1500), "2026-06-01T15:00:00Z"), at("2026-06-01T15:00:01.5Z"));
        // Of whole days the last ends at 21:00, in summer and in winter.
        assert_eq!(end(hours(13 * 100), "2026-06-01T12:00:00Z"), at("2026-09-09T01:00:00Z"));
        assert_eq!(end(hours(13 * 170), "2026-06-01T12:00:00Z"), at("2026-11-18T02:00:00Z"));
        let slightly_more = hours(13 * 100) + SignedDuration::from_millis(1);
        assert_eq!(end(slightly_more, "2026-06-01T12:00:00Z"), at("2026-09-09T12:00:00.001Z"));
    }

    #[test]
    fn it_is_what_counting_the_minutes_gives() {
        let cases: [&[&str]; 4] = [&["21:00-08:00", "12:00-13:30"], &["01:30-02:30"], &["03:00-22:00"], &["02:10-02:50"]];
        for windows in cases {
            let quiet = quiet(windows);
            // Two days before the clocks are changed, in both directions.
            for from in ["2026-03-06T17:20:00Z", "2026-10-30T17:20:00Z"] {
                for minutes in [1, 59, 600, 777, 1_560, 4_000] {
                    let length = SignedDuration::from_mins(minutes);
                    let expected = counted(minutes, &quiet, &new_york(), at(from));
                    assert_eq!(
                        finishes_at(length, &quiet, &new_york(), at(from)),
                        Some(expected),
                        "{windows:?} {from} {minutes}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_quiet_hours_it_takes_as_long_as_it_takes_and_without_others_for_ever() {
        let from = at("2026-06-01T12:00:00Z");
        let days = SignedDuration::from_hours(24 * 400);

        assert_eq!(finishes_at(days, &[], &new_york(), from), Some(from + days));
        assert_eq!(finishes_at(days, &quiet(&["21:00-08:00", "08:00-21:00"]), &new_york(), from), None);
        let a_minute_a_day = quiet(&["08:01-08:00"]);
        assert_eq!(finishes_at(days, &a_minute_a_day, &new_york(), from), None);
        let utc = Zone::parse("UTC").unwrap();
        let year = SignedDuration::from_mins(365);
        assert_eq!(finishes_at(year, &a_minute_a_day, &utc, from), Some(at("2027-06-01T08:01:00Z")));
    }
}
