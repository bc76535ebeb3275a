//! Wall clocks and instants: zones, DST, quiet windows, and how times are written in a message.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

/// An IANA time zone, looked up once in the bundled database.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// # Errors
    /// Names a zone that the IANA database does not have.
    pub fn parse(name: &str) -> Result<Self, String> {
        // Whatever somebody wrote there is told back to him, but not all of a file.
        let unknown = || format!("unknown time zone: '{}'", name.chars().take(60).collect::<String>());
        let zone = TimeZone::get(name.trim()).map_err(|_| unknown())?;
        let name = zone.iana_name().ok_or_else(unknown)?.to_string();
        Ok(Self { name, zone })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant of a wall-clock time. One that a DST change skips moves forward by the gap;
    /// one that occurs twice means the first (reminders.md §1.1).
    pub fn instant(&self, wall: DateTime) -> Timestamp {
        self.zone.to_ambiguous_timestamp(wall).compatible().unwrap_or(Timestamp::MAX)
    }

    pub fn wall(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    pub fn zoned(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// The first instant after `at` at which this zone's offset changes, if it ever does.
    pub(super) fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.zone.following(at).next().map(|transition| transition.timestamp())
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::parse(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reads `2026-03-09 15:00` (a wall clock in `zone`) or RFC 3339 (an instant).
///
/// `None` for anything else, a date alone included.
pub fn parse_start(text: &str, zone: &Zone) -> Option<Timestamp> {
    let text = text.trim();
    let clock = text.get(10..)?;
    if !clock.starts_with([' ', 'T', 't']) || !clock.contains(':') || text.contains('[') {
        return None;
    }
    if text.ends_with(['Z', 'z']) || clock.contains(['+', '-']) {
        return text.parse().ok();
    }
    text.parse().ok().map(|wall| zone.instant(wall))
}

/// A wall-clock time of day, to the minute: `21:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Clock(pub Time);

impl Clock {
    pub const fn new(hour: i8, minute: i8) -> Self {
        Self(Time::constant(hour, minute, 0, 0))
    }

    /// Reads `21:30` or `9:05`.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
            lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(hour, 1..=2) || !digits(minute, 2..=2) {
            return None;
        }
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok().map(Self)
    }
}

impl TryFrom<String> for Clock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text.trim()).ok_or_else(|| format!("not a time of day (HH:MM): '{text}'"))
    }
}

impl From<Clock> for String {
    fn from(clock: Clock) -> Self {
        format!("{:02}:{:02}", clock.0.hour(), clock.0.minute())
    }
}

/// A forbidden window of wall-clock time, `from ≤ t < to`; it may wrap midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QuietHours {
    /// A time of day: `21:00`.
    #[schema(value_type = String, example = "21:00")]
    pub from: Clock,
    /// The first minute that is not in it.
    #[schema(value_type = String, example = "08:00")]
    pub to: Clock,
}

impl QuietHours {
    pub const fn new(from: Clock, to: Clock) -> Self {
        Self { from, to }
    }

    /// Reads `21:30-07:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(['-', '–'])?;
        Some(Self { from: Clock::parse(from.trim())?, to: Clock::parse(to.trim())? })
    }

    fn forbids(&self, wall: Time) -> bool {
        let (from, to) = (self.from.0, self.to.0);
        if from <= to { from <= wall && wall < to } else { from <= wall || wall < to }
    }
}

/// The default quiet hours, and the law's for North American numbers (47 CFR 64.1200(c)(1)).
pub const LAWFUL_QUIET_HOURS: QuietHours = QuietHours::new(Clock::new(21, 0), Clock::new(8, 0));

/// After this long without an allowed instant there is none: windows repeat daily, and no change
/// of the clocks hides the same minute on four days in a row.
const SEARCH_DAYS: i64 = 4;

/// The first instant at or after `at` that no window forbids on `zone`'s wall clock.
///
/// `None` if the windows together leave no minute of the day.
pub fn first_allowed(windows: &[QuietHours], zone: &Zone, at: Timestamp) -> Option<Timestamp> {
    let give_up = at + SignedDuration::from_hours(24 * SEARCH_DAYS);
    let mut candidate = at;
    loop {
        let wall = zone.wall(candidate).time();
        let Some(window) = windows.iter().find(|window| window.forbids(wall)) else {
            return Some(candidate);
        };
        // The clock reads `to` that much later, unless it is changed before: then look again there.
        let at_end = candidate + until(wall, window.to.0);
        let changes = zone.next_change(candidate).unwrap_or(Timestamp::MAX);
        candidate = at_end.min(changes);
        if candidate > give_up {
            return None;
        }
    }
}

/// The first instant at or after `at` that a window forbids on `zone`'s wall clock.
///
/// `None` if no window forbids anything.
pub fn first_forbidden(windows: &[QuietHours], zone: &Zone, at: Timestamp) -> Option<Timestamp> {
    let give_up = at + SignedDuration::from_hours(24 * SEARCH_DAYS);
    let mut candidate = at;
    while candidate <= give_up {
        let wall = zone.wall(candidate).time();
        if windows.iter().any(|window| window.forbids(wall)) {
            return Some(candidate);
        }
        let real = windows.iter().filter(|window| window.from != window.to);
        let at_begin = candidate + real.map(|window| until(wall, window.from.0)).min()?;
        // As above: the clock may be changed before.
        candidate = at_begin.min(zone.next_change(candidate).unwrap_or(Timestamp::MAX));
    }
    None
}

fn until(wall: Time, end: Time) -> SignedDuration {
    let ahead = end.duration_since(wall);
    if ahead > SignedDuration::ZERO { ahead } else { ahead + SignedDuration::from_hours(24) }
}

/// `wall − n calendar days` at the same wall clock, as an instant.
pub fn days_before(zone: &Zone, start: Timestamp, days: i32) -> Option<Timestamp> {
    let wall = zone.wall(start).checked_sub(days.days()).ok()?;
    Some(zone.instant(wall))
}

/// `3:00 PM`.
pub fn time_text(wall: DateTime) -> String {
    let (hour, half) = match wall.hour() {
        0 => (12, "AM"),
        hour @ 1..=11 => (hour, "AM"),
        12 => (12, "PM"),
        hour => (hour - 12, "PM"),
    };
    format!("{hour}:{:02} {half}", wall.minute())
}

/// `Jan 15, 2024`.
pub fn date_text(date: Date) -> String {
    date.strftime("%b %-d, %Y").to_string()
}

/// `Mon, Jan 15 at 3:00 PM`.
pub fn moment_text(wall: DateTime) -> String {
    format!("{} at {}", wall.strftime("%a, %b %-d"), time_text(wall))
}

/// `today`, `tomorrow`, a weekday within 6 days, else the date.
pub fn day_text(day: Date, today: Date) -> String {
    match (day - today).get_days() {
        0 => "today".into(),
        1 => "tomorrow".into(),
        2..=6 => day.strftime("%A").to_string(),
        _ => date_text(day),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::civil::{date, datetime};

    fn new_york() -> Zone {
        Zone::parse("America/New_York").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn quiet(text: &str) -> QuietHours {
        QuietHours::parse(text).unwrap()
    }

    #[test]
    fn a_skipped_wall_time_moves_forward_and_a_double_one_is_the_first() {
        assert_eq!(new_york().instant(datetime(2026, 3, 8, 2, 30, 0, 0)), at("2026-03-08T07:30:00Z"));
        assert_eq!(new_york().instant(datetime(2026, 11, 1, 1, 30, 0, 0)), at("2026-11-01T05:30:00Z"));
    }

    #[test]
    fn a_start_is_a_wall_clock_or_an_instant() {
        let start = |text: &str| parse_start(text, &new_york());
        assert_eq!(start("2026-03-09 15:00"), Some(at("2026-03-09T19:00:00Z")));
        assert_eq!(start("2026-03-09T15:00:30"), Some(at("2026-03-09T19:00:30Z")));
        assert_eq!(start("2026-03-08T16:00:00-04:00"), Some(at("2026-03-08T20:00:00Z")));
        assert_eq!(start("2026-03-08T21:15:00Z"), Some(at("2026-03-08T21:15:00Z")));
        for text in ["", "2026-03-09", "2026-02-30 10:00", "next Tuesday", "2026-03-09 25:00", "3/9/2026 10:00", "2026-03-09 15"]
        {
            assert_eq!(start(text), None, "{text}");
        }
    }

    #[test]
    fn quiet_hours_end_by_the_wall_clock_of_the_day() {
        let night = [quiet("22:00-07:00")];
        assert_eq!(first_allowed(&night, &new_york(), at("2026-03-08T04:30:00Z")), Some(at("2026-03-08T11:00:00Z")));
        assert_eq!(first_allowed(&night, &new_york(), at("2026-11-01T04:30:00Z")), Some(at("2026-11-01T12:00:00Z")));
        assert_eq!(first_allowed(&night, &new_york(), at("2026-03-08T11:00:00Z")), Some(at("2026-03-08T11:00:00Z")));
        assert_eq!(first_allowed(&night, &new_york(), at("2026-03-09T01:59:59Z")), Some(at("2026-03-09T01:59:59Z")));
    }

    #[test]
    fn an_hour_that_occurs_twice_is_forbidden_twice() {
        // 01:00–02:00 occurs at 05:00Z and again at 06:00Z.
        let window = [quiet("01:15-01:45")];
        assert_eq!(first_allowed(&window, &new_york(), at("2026-11-01T05:20:00Z")), Some(at("2026-11-01T05:45:00Z")));
        assert_eq!(first_allowed(&window, &new_york(), at("2026-11-01T06:20:00Z")), Some(at("2026-11-01T06:45:00Z")));
    }

    #[test]
    fn windows_add_up_and_may_leave_nothing() {
        let two = [quiet("21:00-08:00"), quiet("08:00-09:30")];
        assert_eq!(first_allowed(&two, &new_york(), at("2026-06-01T02:00:00Z")), Some(at("2026-06-01T13:30:00Z")));
        assert_eq!(first_allowed(&[quiet("21:00-08:00"), quiet("08:00-21:00")], &new_york(), at("2026-06-01T02:00:00Z")), None);
    }

    #[test]
    fn the_next_quiet_hours_begin_by_the_wall_clock_of_the_day() {
        let forbidden = |windows: &[QuietHours], from: &str| first_forbidden(windows, &new_york(), at(from));
        let night = [quiet("22:00-07:00")];
        // The night before the clocks go forward, and the evening after.
        assert_eq!(forbidden(&night, "2026-03-08T04:30:00Z"), Some(at("2026-03-08T04:30:00Z")));
        assert_eq!(forbidden(&night, "2026-03-08T11:00:00Z"), Some(at("2026-03-09T02:00:00Z")));
        assert_eq!(forbidden(&[night[0], quiet("12:00-13:00")], "2026-03-08T11:00:00Z"), Some(at("2026-03-08T16:00:00Z")));
        // 02:10 to 02:50 does not occur on that day; 01:15 to 01:45 occurs twice when they go back.
        assert_eq!(forbidden(&[quiet("02:10-02:50")], "2026-03-08T05:00:00Z"), Some(at("2026-03-09T06:10:00Z")));
        assert_eq!(forbidden(&[quiet("01:15-01:45")], "2026-11-01T05:45:00Z"), Some(at("2026-11-01T06:15:00Z")));
        assert_eq!(forbidden(&[], "2026-03-08T11:00:00Z"), None);
        assert_eq!(forbidden(&[quiet("09:00-09:00")], "2026-03-08T11:00:00Z"), None);
    }

    #[test]
    fn times_read_as_in_reminders_md() {
        assert_eq!(time_text(datetime(2024, 1, 15, 15, 0, 0, 0)), "3:00 PM"); // S0-36
        assert_eq!(time_text(datetime(2024, 1, 15, 0, 5, 0, 0)), "12:05 AM");
        assert_eq!(date_text(date(2024, 1, 15)), "Jan 15, 2024"); // S0-37
        assert_eq!(date_text(date(2026, 3, 8)), "Mar 8, 2026");
        assert_eq!(moment_text(datetime(2024, 1, 15, 15, 0, 0, 0)), "Mon, Jan 15 at 3:00 PM");
        let monday = date(2026, 3, 9);
        assert_eq!(day_text(monday, date(2026, 3, 9)), "today");
        assert_eq!(day_text(monday, date(2026, 3, 8)), "tomorrow");
        assert_eq!(day_text(monday, date(2026, 3, 3)), "Monday");
        assert_eq!(day_text(monday, date(2026, 3, 2)), "Mar 9, 2026");
    }
}
