//! iCalendar's times: wall clocks in a named zone, in UTC, or floating; and whole days.
//! Source: RFC 5545, §3.3.4, §3.3.5 and §3.2.19.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

use crate::domain::local_time::Zone;

use super::super::{quoted, trim};
use super::content_lines::Property;

/// A `DATE` or a `DATE-TIME`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum When {
    Day(Date),
    At(Moment),
}

/// A wall clock and the zone that it hangs in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    pub wall: DateTime,
    /// UTC for a time ending in `Z`.
    pub zone: Zone,
    /// What wall clocks of this lesson are read in: the tenant's zone for UTC and floating times.
    pub lesson_zone: Zone,
}

impl Moment {
    pub(super) fn instant(&self) -> Timestamp {
        self.zone.instant(self.wall)
    }

    /// The wall clock that this instant has in `zone`.
    pub(super) fn wall_in(&self, zone: &Zone) -> DateTime {
        if *zone == self.zone { self.wall } else { zone.wall(self.instant()) }
    }

    /// This moment's time of day, on another day.
    fn on(&self, day: Date) -> Self {
        Self { wall: day.to_datetime(self.wall.time()), ..self.clone() }
    }
}

/// The zones of one calendar.
pub(super) struct Times<'t> {
    tenant: &'t Zone,
    pub utc: Zone,
    locations: &'t HashMap<String, String>,
}

impl<'t> Times<'t> {
    pub(super) fn new(tenant: &'t Zone, locations: &'t HashMap<String, String>) -> Self {
        let utc = Zone::parse("UTC").expect("every time zone database has UTC");
        Self { tenant, utc, locations }
    }

    /// Reads the one time of `DTSTART` and the like. Floating times are in the tenant's zone.
    pub(super) fn when(&self, property: &Property) -> Result<When, String> {
        self.read(&property.value, property, self.tenant)
    }

    /// Reads the times of `EXDATE` and `RDATE` for a series that begins at `start`, whose zone is
    /// that of floating times, and whose time of day is that of whole days.
    pub(super) fn moments(&self, property: &Property, start: &Moment) -> Result<Vec<Moment>, String> {
        let values = property.value.split(',').filter(|value| !trim(value).is_empty());
        values.map(|value| self.read(value, property, &start.lesson_zone).map(|when| moment(when, start))).collect()
    }

    fn read(&self, value: &str, property: &Property, floating: &Zone) -> Result<When, String> {
        // A PERIOD of an RDATE begins where the lesson does.
        let text = trim(value.split('/').next().unwrap_or_default()).to_ascii_uppercase();
        if let Some(day) = date(&text) {
            return Ok(When::Day(day));
        }
        let unreadable = || format!("not a date and time: {}", quoted(&text));
        if let Some(utc) = text.strip_suffix('Z') {
            let wall = date_time(utc).ok_or_else(unreadable)?;
            return Ok(When::At(Moment { wall, zone: self.utc.clone(), lesson_zone: self.tenant.clone() }));
        }
        let wall = date_time(&text).ok_or_else(unreadable)?;
        let zone = match property.parameter("TZID") {
            Some(id) => self.zone(id).ok_or_else(|| format!("unknown time zone: {}", quoted(id)))?,
            None => floating.clone(),
        };
        Ok(When::At(Moment { wall, lesson_zone: zone.clone(), zone }))
    }

    fn zone(&self, id: &str) -> Option<Zone> {
        let location = self.locations.get(id).map(String::as_str);
        iana_zone(id).or_else(|| location.and_then(iana_zone)).or_else(|| windows_zone(id))
    }
}

/// Whole days take the time of day of `start`.
pub(super) fn moment(when: When, start: &Moment) -> Moment {
    match when {
        When::Day(day) => start.on(day),
        When::At(moment) => moment,
    }
}

/// Reads `20260309`.
pub(super) fn date(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, [4, 2, 2])?;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Reads `20260309T150000`.
pub(super) fn date_time(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once('T')?;
    let [hour, minute, second] = numbers(time, [2, 2, 2])?.map(|part| i8::try_from(part).unwrap_or(i8::MAX));
    // A leap second is the second before it, to us as to POSIX.
    Some(date(day)?.to_datetime(Time::new(hour, minute, second.min(59), 0).ok()?))
}

fn numbers(text: &str, lengths: [usize; 3]) -> Option<[i16; 3]> {
    if text.len() != lengths.iter().sum::<usize>() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (first, rest) = text.split_at(lengths[0]);
    let (second, third) = rest.split_at(lengths[1]);
    Some([first.parse().ok()?, second.parse().ok()?, third.parse().ok()?])
}

/// An IANA name, which some programs put behind a path of their own:
/// `/mozilla.org/20070129_1/America/New_York`.
fn iana_zone(id: &str) -> Option<Zone> {
    let parts: Vec<&str> = id.split('/').filter(|part| !part.is_empty()).collect();
    let last = |count: usize| parts.len().checked_sub(count).map(|from| parts[from..].join("/"));
    [parts.len(), 3, 2].into_iter().filter_map(last).find_map(|name| Zone::parse(&name).ok())
}

/// What Outlook and Exchange call the zones that schools live in.
/// Source: Unicode CLDR, windowsZones.xml.
fn windows_zone(id: &str) -> Option<Zone> {
    let name = match id {
        "UTC" => "Etc/UTC",
        "GMT Standard Time" => "Europe/London",
        "W. Europe Standard Time" => "Europe/Berlin",
        "Romance Standard Time" => "Europe/Paris",
        "Central Europe Standard Time" => "Europe/Budapest",
        "Central European Standard Time" => "Europe/Warsaw",
        "E. Europe Standard Time" => "Europe/Chisinau",
        "FLE Standard Time" => "Europe/Kyiv",
        "GTB Standard Time" => "Europe/Bucharest",
        "Israel Standard Time" => "Asia/Jerusalem",
        "India Standard Time" => "Asia/Kolkata",
        "Singapore Standard Time" => "Asia/Singapore",
        "China Standard Time" => "Asia/Shanghai",
        "Tokyo Standard Time" => "Asia/Tokyo",
        "AUS Eastern Standard Time" => "Australia/Sydney",
        "New Zealand Standard Time" => "Pacific/Auckland",
        "E. South America Standard Time" => "America/Sao_Paulo",
        "Newfoundland Standard Time" => "America/St_Johns",
        "Atlantic Standard Time" => "America/Halifax",
        "Eastern Standard Time" => "America/New_York",
        "Central Standard Time" => "America/Chicago",
        "Central Standard Time (Mexico)" => "America/Mexico_City",
        "Mountain Standard Time" => "America/Denver",
        "US Mountain Standard Time" => "America/Phoenix",
        "Pacific Standard Time" => "America/Los_Angeles",
        "Alaskan Standard Time" => "America/Anchorage",
        "Hawaiian Standard Time" => "Pacific/Honolulu",
        _ => return None,
    };
    Zone::parse(name).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::civil::date as day;

    #[test]
    fn zones_are_found_under_their_many_names() {
        let (tenant, locations) = (Zone::parse("Asia/Tokyo").unwrap(), HashMap::from([("Home".into(), "Europe/Berlin".into())]));
        let times = Times::new(&tenant, &locations);
        for (id, name) in [
            ("America/New_York", "America/New_York"),
            ("/America/New_York", "America/New_York"),
            ("/mozilla.org/20070129_1/America/Indiana/Knox", "America/Indiana/Knox"),
            ("Eastern Standard Time", "America/New_York"),
            ("Home", "Europe/Berlin"),
        ] {
            assert_eq!(times.zone(id).as_ref().map(Zone::name), Some(name), "{id}");
        }
        assert!(times.zone("America/Gotham").is_none());
        assert!(times.zone("/").is_none());
    }

    #[test]
    fn dates_and_times_are_read_strictly() {
        assert_eq!(date("20260309"), Some(day(2026, 3, 9)));
        assert_eq!(date_time("20260309T150001"), Some(day(2026, 3, 9).at(15, 0, 1, 0)));
        for text in ["2026-03-09", "20260230", "2026030", "+2026309", ""] {
            assert_eq!(date(text), None, "{text}");
        }
        for text in ["20260309T1500", "20260309", "20260309T250000", "T", "20260309T-10000"] {
            assert_eq!(date_time(text), None, "{text}");
        }
    }
}
