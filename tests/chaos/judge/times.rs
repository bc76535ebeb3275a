//! Instants and wall clocks, by the zones alone: how far apart two stories of the same may be, when nobody is texted, and how
//! times are written.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::chaos::plan::MOST_SKEW;

/// So much do the clocks of two processes differ at most; either from Twilio's by half of it.
pub const CLOCKS: SignedDuration = SignedDuration::from_secs(2 * MOST_SKEW.as_secs());
/// What a run writes bears the instant at which the run began. It claims until 120 seconds after that, calls Twilio until 155
/// seconds after a claim, and its clock is not Twilio's.
pub const TOLERANCE: SignedDuration = SignedDuration::from_secs(120 + 155 + CLOCKS.as_secs());

/// Year and month: what a meter is for.
pub type Month = (i16, i8);

pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// From 21:00 to 08:00 nobody is texted: every school says so, and so does the law of numbers that begin with +1.
pub fn is_quiet(zone: &TimeZone, at: Timestamp) -> bool {
    !(8..21).contains(&zone.to_datetime(at).hour())
}

/// The first instant from `at` on that is not quiet.
pub fn next_allowed(zone: &TimeZone, at: Timestamp) -> Timestamp {
    if !is_quiet(zone, at) {
        return at;
    }
    let wall = zone.to_datetime(at);
    let day = if wall.hour() < 8 { wall.date() } else { wall.date().tomorrow().unwrap() };
    instant(zone, day, 8)
}

/// The full hour of a day.
pub fn instant(zone: &TimeZone, day: Date, hour: i8) -> Timestamp {
    zone.to_timestamp(day.at(hour, 0, 0, 0)).unwrap()
}

pub fn month(zone: &TimeZone, at: Timestamp) -> Month {
    let day = zone.to_datetime(at).date();
    (day.year(), day.month())
}

/// As the meters are called: `2026-05`.
pub fn name((year, month): Month) -> String {
    format!("{year:04}-{month:02}")
}

/// `3:00 PM`
pub fn time(zone: &TimeZone, at: Timestamp) -> String {
    zone.to_datetime(at).strftime("%-I:%M %p").to_string()
}

/// `Jan 15, 2024`
pub fn date(zone: &TimeZone, at: Timestamp) -> String {
    zone.to_datetime(at).strftime("%b %-d, %Y").to_string()
}

/// `Mon, Jan 15 at 3:00 PM`
pub fn moment(zone: &TimeZone, at: Timestamp) -> String {
    zone.to_datetime(at).strftime("%a, %b %-d at %-I:%M %p").to_string()
}
