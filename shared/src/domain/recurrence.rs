//! Sends that recur by a cron expression, on the wall clock of a zone (S1-82).

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::local_time::Zone;

/// When something recurs.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recurrence {
    /// Minute, hour, day of month, month, day of week: `0 9 * * *`.
    cron: String,
    time_zone: Zone,
    /// Nothing goes after this instant.
    until: Option<Timestamp>,
}

impl Recurrence {
    /// # Errors
    /// Says what is wrong with `cron`.
    pub fn parse(cron: &str, time_zone: Zone, until: Option<Timestamp>) -> Result<Self, String> {
        let cron = cron.trim();
        read(cron)?;
        Ok(Self { cron: cron.to_string(), time_zone, until })
    }

    /// The first occurrence after `at`; `None` when there is none any more.
    ///
    /// A wall-clock time that a change of the clocks skips happens when the clocks have changed.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let from = self.time_zone.zoned(at);
        let next = read(&self.cron).ok()?.find_next_occurrence(&from, false).ok()?.timestamp();
        self.until.is_none_or(|until| next <= until).then_some(next)
    }
}

fn read(cron: &str) -> Result<Cron, String> {
    // Longer ones are no schedule of anybody's.
    if cron.len() > 100 {
        return Err("a cron expression has at most 100 characters".into());
    }
    // The parser takes a field of commas alone for one, and would look for its instant for millennia.
    let has_something = |field: &str| field.contains(|c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '?'));
    if !cron.split_whitespace().all(has_something) {
        return Err("not a cron expression of five fields (0 9 * * *): one of them is empty".into());
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(cron).map_err(|error| format!("not a cron expression of five fields (0 9 * * *): {error}"))
}

impl fmt::Debug for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cron, self.time_zone.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn recurrence(cron: &str, until: Option<&str>) -> Recurrence {
        Recurrence::parse(cron, Zone::parse("America/New_York").unwrap(), until.map(at)).unwrap()
    }

    #[test]
    fn nine_oclock_is_nine_oclock_in_summer_and_winter() {
        let daily = recurrence("0 9 * * *", None);

        assert_eq!(daily.next_after(at("2026-03-06T14:00:00Z")), Some(at("2026-03-07T14:00:00Z")));
        assert_eq!(daily.next_after(at("2026-03-07T14:00:00Z")), Some(at("2026-03-08T13:00:00Z")));
    }

    #[test]
    fn a_skipped_time_still_happens_once() {
        let nightly = recurrence("30 2 * * *", None);

        let first = nightly.next_after(at("2026-03-07T08:00:00Z")).unwrap();
        let second = nightly.next_after(first).unwrap();

        assert_eq!(first, at("2026-03-08T07:00:00Z"), "02:30 does not exist on that day: at three");
        assert_eq!(second, at("2026-03-09T06:30:00Z"));
    }

    #[test]
    fn it_ends_when_it_was_told_to() {
        let daily = recurrence("0 9 * * *", Some("2026-03-07T14:00:00Z"));

        assert_eq!(daily.next_after(at("2026-03-06T14:00:00Z")), Some(at("2026-03-07T14:00:00Z")));
        assert_eq!(daily.next_after(at("2026-03-07T14:00:00Z")), None);
    }

    #[test]
    fn what_is_no_schedule_says_so() {
        for cron in ["", "9", "* * * * * *", "61 9 * * *", "0 9 * * monday-ish", "0 9 31 2 * 2030"] {
            let zone = Zone::parse("UTC").unwrap();
            assert!(Recurrence::parse(cron, zone, None).is_err(), "{cron}");
        }
        assert_eq!(recurrence("0 0 30 2 *", None).next_after(at("2026-03-06T14:00:00Z")), None, "there is no 30 February");
    }
}
