//! The sample school, moved so that its story begins now: the files in `sample/` are written for
//! one afternoon in New York, and are given another day, and the zone where it is afternoon now.

use std::fs;
use std::io;
use std::path::Path;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, Unit};
use shared::domain::local_time::Zone;

const FILES: [(&str, &str); 6] = [
    ("tenant.json", include_str!("../sample/tenant.json")),
    ("contacts.csv", include_str!("../sample/contacts.csv")),
    ("lessons.csv", include_str!("../sample/lessons.csv")),
    ("lessons.ics", include_str!("../sample/lessons.ics")),
    ("payments.csv", include_str!("../sample/payments.csv")),
    ("events.jsonl", include_str!("../sample/events.jsonl")),
];

/// When and where the files' story begins: 14:00.
const BEGIN: &str = "2026-03-09T18:00:00Z";
const ZONE: &str = "America/New_York";

/// Somewhere on earth it is afternoon.
const ZONES: [&str; 24] = [
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    ZONE,
    "America/Halifax",
    "America/Sao_Paulo",
    "Atlantic/South_Georgia",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Pacific/Guadalcanal",
    "Pacific/Auckland",
    "Pacific/Tongatapu",
];

/// When a story that is started at `now` begins: at the next ten seconds that leave time to start.
pub fn beginning(now: Timestamp) -> Timestamp {
    let round = jiff::TimestampRound::new().smallest(Unit::Second).increment(10).mode(jiff::RoundMode::Ceil);
    (now + SignedDuration::from_secs(5)).round(round).unwrap_or(now)
}

/// Writes the school's files, their story beginning at `begin`.
pub fn write(folder: &Path, begin: Timestamp) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let shift = Shift::to(begin).map_err(io::Error::other)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), shift.text(text))?;
    }
    Ok(())
}

/// How far the story moves.
struct Shift {
    instants: SignedDuration,
    walls: SignedDuration,
    days: i32,
    zone: &'static str,
}

impl Shift {
    fn to(begin: Timestamp) -> Result<Self, String> {
        let original: Timestamp = BEGIN.parse().map_err(|error: jiff::Error| error.to_string())?;
        let from = Zone::parse(ZONE)?.wall(original);
        let mut best: Option<(i64, &'static str, DateTime)> = None;
        for name in ZONES {
            let wall = Zone::parse(name)?.wall(begin);
            let off = (wall.time() - from.time()).total(Unit::Minute).map_err(|error| error.to_string())?.abs() as i64;
            if best.as_ref().is_none_or(|(least, _, _)| off < *least) {
                best = Some((off, name, wall));
            }
        }
        let (_, zone, wall) = best.ok_or("no zone is known")?;
        Ok(Self {
            instants: begin.duration_since(original),
            walls: wall.duration_since(from),
            days: (wall.date() - from.date()).get_days(),
            zone,
        })
    }

    /// Moves every date and time in `text`.
    fn text(&self, text: &str) -> String {
        let text = text.replace(ZONE, self.zone);
        let mut moved = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            moved.push_str(&rest[..at]);
            rest = &rest[at..];
            let (length, replacement) = self.moment(rest).unwrap_or_else(|| {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                (digits, rest[..digits].to_string())
            });
            moved.push_str(&replacement);
            rest = &rest[length..];
        }
        moved.push_str(rest);
        moved
    }

    /// A date or time at the head of `text`: its length, and what stands there instead.
    fn moment(&self, text: &str) -> Option<(usize, String)> {
        let head = |length: usize| text.get(..length);
        if let Some(instant) = head(20).filter(|head| head.ends_with('Z')).and_then(|head| head.parse::<Timestamp>().ok()) {
            return Some((20, (instant + self.instants).to_string()));
        }
        if let Some(wall) = head(16).filter(|head| head.as_bytes()[10] == b' ').and_then(|head| head.parse::<DateTime>().ok()) {
            return Some((16, (wall + self.walls).strftime("%Y-%m-%d %H:%M:%S").to_string()));
        }
        if let Some(wall) = head(15).and_then(|head| DateTime::strptime("%Y%m%dT%H%M%S", head).ok()) {
            return Some((15, (wall + self.walls).strftime("%Y%m%dT%H%M%S").to_string()));
        }
        let date: Date = head(10).filter(|head| head.as_bytes()[4] == b'-').and_then(|head| head.parse().ok())?;
        let moved = date.checked_add(jiff::ToSpan::days(self.days)).ok()?;
        Some((10, moved.to_string()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_story_moves_whole_and_stays_in_the_afternoon() {
        for hour in 0..24 {
            let begin: Timestamp = format!("2026-11-21T{hour:02}:20:10Z").parse().unwrap();
            let shift = Shift::to(begin).unwrap();
            let wall = Zone::parse(shift.zone).unwrap().wall(begin);
            assert!((12..=16).contains(&wall.hour()), "{} {wall}", shift.zone);
            assert_eq!(shift.text("2026-03-09T18:00:00Z"), begin.to_string());
            assert_eq!(shift.text("a,2026-03-09 14:00,15"), format!("a,{},15", wall.strftime("%Y-%m-%d %H:%M:%S")));
            assert_eq!(shift.text("P01,2026-03-09,5550100201"), format!("P01,{},5550100201", wall.date()));
        }
    }
}
