//! Recurrence rules: the wall clocks at which a series takes place, within a window.
//!
//! The `rrule` crate counts the days. It is fed wall clocks dressed up as UTC, so that there is
//! one time zone database and one rule for the hours that DST skips or doubles: [`Zone::instant`].
//! Source: RFC 5545, §3.3.10.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use rrule::RRuleSet;

use crate::domain::local_time::Zone;

use super::super::quoted;
use super::times::{Moment, date, date_time};

/// How far a rule is followed from its start: two centuries of days.
const MAX_STEPS: usize = 80_000;

/// Every quarter of an hour: more often is nobody's timetable, and much to count.
const MOST_TIMES_A_DAY: usize = 96;

/// A rule of one series, known to be readable.
pub(super) struct Rule {
    start: Moment,
    set: RRuleSet,
    count: Option<usize>,
    /// Inclusive.
    until: Option<Timestamp>,
}

impl Rule {
    /// Reads an `RRULE` of the series that begins at `start`.
    ///
    /// # Errors
    /// Says what cannot be followed.
    pub(super) fn parse(value: &str, start: &Moment, utc: &Zone) -> Result<Self, String> {
        // The crate cuts it by bytes.
        if !value.is_ascii() {
            return Err(format!("not a recurrence rule: {}", quoted(value)));
        }
        let (mut count, mut until, mut parts) = (None, None, Vec::new());
        let (mut of_day, mut by_hour, mut of_hour) = (1, None, 1);
        let text: String = value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let bad = || format!("not a recurrence rule: {}", quoted(part));
            match part.split_once('=').ok_or_else(bad)? {
                ("COUNT", number) => count = Some(number.parse::<usize>().ok().filter(|count| *count > 0).ok_or_else(bad)?),
                ("UNTIL", end) => until = Some(last_instant(end, start, utc).ok_or_else(bad)?),
                ("INTERVAL", number) if number.bytes().all(|b| b == b'0') => return Err(bad()),
                ("FREQ", "SECONDLY" | "MINUTELY") => return Err(bad()),
                ("FREQ", "HOURLY") => {
                    of_day = 24;
                    parts.push(part);
                }
                ("BYHOUR", hours) => {
                    by_hour = Some(hours.split(',').count());
                    parts.push(part);
                }
                ("BYMINUTE" | "BYSECOND", times) => {
                    of_hour *= times.split(',').count();
                    parts.push(part);
                }
                (name, _) if name.starts_with("X-") => {}
                _ => parts.push(part),
            }
        }
        if by_hour.unwrap_or(of_day) * of_hour > MOST_TIMES_A_DAY {
            return Err(format!("more than {MOST_TIMES_A_DAY} times a day: {}", quoted(value)));
        }
        let rule = format!("DTSTART:{}Z\nRRULE:{}", start.wall.strftime("%Y%m%dT%H%M%S"), parts.join(";"));
        let set: RRuleSet = rule.parse().map_err(|_| format!("not a recurrence rule: {}", quoted(value)))?;
        Ok(Self { start: start.clone(), set: set.limit(), count, until })
    }

    /// The wall clocks of this rule whose instants lie in `window`.
    ///
    /// The start is always the first of the series, and counts, also where the rule would not
    /// have chosen it.
    pub(super) fn walls(&self, window: &Range<Timestamp>, utc: &Zone) -> Vec<DateTime> {
        let start = self.start.wall;
        let following = self.set.into_iter().filter_map(|at| Timestamp::from_second(at.timestamp()).ok());
        let following = following.map(|at| utc.wall(at)).filter(|wall| *wall > start);
        let mut walls = Vec::new();
        for wall in std::iter::once(start).chain(following).take(self.count.unwrap_or(MAX_STEPS).min(MAX_STEPS)) {
            let at = self.start.zone.instant(wall);
            if at >= window.end || self.until.is_some_and(|until| at > until) {
                break;
            }
            if window.contains(&at) {
                walls.push(wall);
            }
        }
        walls
    }
}

/// The last instant that `UNTIL` allows: in UTC, on the series' own wall clock, or all of a day.
fn last_instant(text: &str, start: &Moment, utc: &Zone) -> Option<Timestamp> {
    if let Some(day) = date(text) {
        return Some(start.zone.instant(day.to_datetime(Time::constant(23, 59, 59, 0))));
    }
    match text.strip_suffix('Z') {
        Some(text) => Some(utc.instant(date_time(text)?)),
        None => Some(start.zone.instant(date_time(text)?)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn utc() -> Zone {
        Zone::parse("UTC").unwrap()
    }

    fn rule(start: &str, zone: &str, value: &str) -> Result<Rule, String> {
        let zone = Zone::parse(zone).unwrap();
        Rule::parse(value, &Moment { wall: date_time(start).unwrap(), zone: zone.clone(), lesson_zone: zone }, &utc())
    }

    /// Wall clocks in March and November 2026, without the year.
    fn walls(start: &str, zone: &str, value: &str) -> Vec<String> {
        let window = "2026-03-01T00:00:00Z".parse().unwrap().."2026-12-01T00:00:00Z".parse().unwrap();
        let walls = rule(start, zone, value).unwrap().walls(&window, &utc());
        walls.iter().map(|wall| wall.strftime("%m-%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn wall_clocks_stay_when_the_clocks_change() {
        let walls = walls("20260301T163000", "America/New_York", "FREQ=WEEKLY;COUNT=3");
        assert_eq!(walls, ["03-01T16:30", "03-08T16:30", "03-15T16:30"]);
    }

    #[test]
    fn until_in_utc_ends_on_the_local_day() {
        // The 3rd at 23:00 in New York is the 4th at 04:00 in UTC.
        let includes = walls("20260301T230000", "America/New_York", "FREQ=DAILY;UNTIL=20260304T040000Z");
        let excludes = walls("20260301T230000", "America/New_York", "FREQ=DAILY;UNTIL=20260304T035959Z");
        assert_eq!(includes, ["03-01T23:00", "03-02T23:00", "03-03T23:00"]);
        assert_eq!(excludes, ["03-01T23:00", "03-02T23:00"]);
        assert_eq!(walls("20260301T230000", "America/New_York", "FREQ=DAILY;UNTIL=20260303"), includes);
        assert_eq!(walls("20260301T230000", "America/New_York", "FREQ=DAILY;UNTIL=20260303T230000"), includes);
        assert!(walls("20260301T230000", "America/New_York", "FREQ=DAILY;UNTIL=20260201T000000Z").is_empty());
    }

    #[test]
    fn old_series_reach_the_window() {
        assert_eq!(walls("19700101T090000", "UTC", "FREQ=DAILY;UNTIL=20260302T235959Z"), ["03-01T09:00", "03-02T09:00"]);
        assert_eq!(
            walls("20260105T090000", "UTC", "freq=weekly; interval=2; byday=mo,fr; until=20260313;")[..2],
            ["03-02T09:00", "03-06T09:00"]
        );
        assert_eq!(walls("20200114T090000", "UTC", "FREQ=MONTHLY;BYDAY=2TU;UNTIL=20260501"), ["03-10T09:00", "04-14T09:00"]);
    }

    #[test]
    fn the_start_is_the_first_of_its_series() {
        assert_eq!(walls("20260303T090000", "UTC", "FREQ=WEEKLY;BYDAY=WE;COUNT=2"), ["03-03T09:00", "03-04T09:00"]);
    }

    #[test]
    fn absurd_rules_end() {
        assert!(walls("20250101T090000", "UTC", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30").is_empty());
        assert!(!walls("20260301T090000", "UTC", "FREQ=HOURLY").is_empty());
        for value in [
            "",
            "FREQ=SECONDLY",
            "FREQ=DAILY;INTERVAL=0",
            "FREQ=DAILY;COUNT=0",
            "FREQ=DAILY;UNTIL=soon",
            "FREQ=SOMETIMES",
            "BYDAY=MO",
            "weekly",
        ] {
            assert!(rule("20260301T090000", "UTC", value).is_err(), "{value}");
        }
    }
}
