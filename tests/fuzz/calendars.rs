//! Calendars: as programs write them, as they arrive, and what rules may ask for.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use shared::domain::lesson::Lesson;
use shared::domain::school_event::{LONGEST_ID, is_id};
use shared::files::{self, Report};

use super::files::{ROSTER, SETTINGS};
use super::garbage::{Raw, damaged};
use super::{every, lines, sample};

/// A series in a zone of the calendar's own, with all that a series may have, and one of its occurrences changed.
pub const SERIES: &str = concat!(
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n",
    "BEGIN:VTIMEZONE\r\nTZID:Home\r\nX-LIC-LOCATION:Europe/Berlin\r\nEND:VTIMEZONE\r\n",
    "BEGIN:VEVENT\r\nUID:weekly@linden.example\r\nDTSTART;TZID=Home:20260302T160000\r\nDURATION:PT45M\r\n",
    "RRULE:FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20260401T000000Z\r\nEXDATE;TZID=Home:20260305T160000\r\n",
    "RDATE:20260310T090000Z,20260311\r\nSUMMARY:Theory\\, first\r\n  year\r\n",
    "ORGANIZER;CN=\"Kim; Dr.: Sora\":mailto:kim@linden.example\r\n",
    "ATTENDEE;CN=Ana;ROLE=REQ-PARTICIPANT:mailto:ana@families.example\r\n",
    "BEGIN:VALARM\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\n",
    "BEGIN:VEVENT\r\nUID:weekly@linden.example\r\nRECURRENCE-ID;TZID=Home:20260309T160000\r\n",
    "DTSTART;TZID=Home:20260309T170000\r\nSTATUS:CANCELLED\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
);

/// The lessons around the sample's time; none if it is no calendar.
fn read(bytes: &[u8], known: &[Lesson]) -> Option<(Vec<Lesson>, Report)> {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let window = at("2026-03-05T00:00:00Z")..at("2026-03-20T00:00:00Z");
    let mut report = Report::default();
    let lessons = files::calendar("lessons.ics", bytes, &SETTINGS, &ROSTER, known, &window, &mut report).ok()?;
    Some((lessons, report))
}

/// A calendar of one event with these lines.
fn of_one(more: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:one@linden.example\r\nDTSTART:20260306T090000\r\nSUMMARY:Harp\r\n\
         ORGANIZER:mailto:kim@linden.example\r\n{more}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

#[test]
fn a_damaged_calendar_is_told_line_by_line() {
    every(250, damaged(vec![sample("lessons.ics"), SERIES.into()]), |Raw(bytes)| {
        let Some((lessons, report)) = read(&bytes, &[]) else { return Ok(()) };
        let ids: HashSet<&String> = lessons.iter().map(|lesson| &lesson.id).collect();
        prop_assert!(ids.len() == lessons.len() && ids.iter().all(|id| is_id(id)), "{ids:?}");
        let last = lines(&bytes);
        for bad in &report.bad {
            prop_assert!((1..=last).contains(&bad.line) && bad.reason.chars().count() <= 200, "{bad}");
        }
        // Read again beside its own lessons, it has none that are new.
        prop_assert_eq!(read(&bytes, &lessons).map(|(lessons, _)| lessons), Some(Vec::new()));
        Ok(())
    });
}

/// RFC 5545, §3.1: anywhere, also in the middle of a character.
#[test]
fn wherever_a_calendar_is_folded_it_says_the_same() {
    let whole = SERIES.as_bytes();
    let (expected, _) = read(whole, &[]).unwrap();
    assert_eq!(expected.len(), 6);
    every(120, vec(any::<Index>(), 0..20), |places| {
        let is_within = |at: &usize| *at > 0 && !matches!(whole[*at - 1], b'\r' | b'\n');
        let places: BTreeSet<usize> = places.iter().map(|at| at.index(whole.len())).filter(is_within).collect();
        let mut folded = Vec::new();
        for (at, byte) in whole.iter().enumerate() {
            if places.contains(&at) {
                folded.extend_from_slice(b"\r\n ");
            }
            folded.push(*byte);
        }
        prop_assert_eq!(read(&folded, &[]).map(|(lessons, _)| lessons), Some(expected.clone()));
        Ok(())
    });
}

/// Parts that can all hold at once, and parts that no rule has.
const PARTS: &[&str] = &[
    "FREQ=DAILY",
    "FREQ=WEEKLY",
    "FREQ=MONTHLY",
    "FREQ=YEARLY",
    "FREQ=HOURLY",
    "FREQ=SECONDLY",
    "freq = weekly",
    "COUNT=3",
    "COUNT=0",
    "COUNT=99999999999999999999",
    "INTERVAL=2",
    "INTERVAL=0",
    "INTERVAL=65535",
    "INTERVAL=-1",
    "UNTIL=20260310",
    "UNTIL=20260310T120000Z",
    "UNTIL=soon",
    "BYDAY=MO,WE",
    "BYDAY=2WE",
    "BYDAY=99SU",
    "BYDAY=",
    "BYDAY=é1",
    "BYDAY=€",
    "BYMONTH=3",
    "BYMONTH=13",
    "BYMONTHDAY=11",
    "BYMONTHDAY=0",
    "BYHOUR=1,2",
    "BYMINUTE=59",
    "BYSECOND=60",
    "BYSETPOS=1",
    "BYSETPOS=367",
    "BYWEEKNO=11",
    "BYYEARDAY=70",
    "WKST=SU",
    "WKST=é",
    "X-OWN=1",
    "RSCALE=HEBREW",
    "FREQ",
    "=",
    "",
];

#[test]
fn any_rule_is_followed_or_refused() {
    every(200, vec(select(PARTS), 1..5), |parts| {
        let rule = parts.join(";");
        let (lessons, report) = read(of_one(&format!("RRULE:{rule}")).as_bytes(), &[]).unwrap();
        let is_refused = report.refused > 0;
        prop_assert!(is_refused != report.bad.is_empty() && (!is_refused || lessons.is_empty()), "{:?}", report.bad);
        prop_assert!(lessons.iter().all(|lesson| lesson.id.starts_with("one@linden.example/")));
        Ok(())
    });
}

/// Lessons every minute are nobody's timetable, and make more of a short file than there is room for.
#[test]
fn a_rule_for_every_minute_is_refused_however_it_is_written() {
    let all = |end: u32| (0..end).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    let (hours, minutes) = (all(24), all(60));
    for rule in [
        "FREQ=MINUTELY".to_string(),
        format!("FREQ=HOURLY;BYMINUTE={minutes}"),
        format!("FREQ=MONTHLY;BYMONTHDAY=10;BYHOUR={hours};BYMINUTE={minutes}"),
        format!("FREQ=MONTHLY;BYMONTHDAY=10;BYHOUR=9;BYMINUTE={minutes};BYSECOND={minutes}"),
    ] {
        let (lessons, report) = read(of_one(&format!("RRULE:{rule}")).as_bytes(), &[]).unwrap();
        assert!(lessons.is_empty(), "{} lessons", lessons.len());
        assert_eq!(report.bad.iter().map(|bad| bad.column.as_str()).collect::<Vec<_>>(), ["RRULE"]);
    }
    for rule in [
        format!("FREQ=DAILY;COUNT=3;BYHOUR={hours};BYMINUTE=0,15,30,45"),
        "FREQ=HOURLY;COUNT=3;BYHOUR=9,10,11;BYMINUTE=0,30".into(),
    ] {
        let (lessons, report) = read(of_one(&format!("RRULE:{rule}")).as_bytes(), &[]).unwrap();
        assert_eq!((lessons.len(), report.bad.len()), (3, 0), "{rule}");
    }
}

/// Keys, paths and cursors take no longer ones.
#[test]
fn the_id_of_an_occurrence_is_no_longer_than_an_id_may_be() {
    for length in [LONGEST_ID - 20, LONGEST_ID - 10, LONGEST_ID, LONGEST_ID + 1] {
        let file = of_one("RRULE:FREQ=DAILY;COUNT=3").replace("one@linden.example", &"u".repeat(length));
        let (lessons, report) = read(file.as_bytes(), &[]).unwrap();
        assert!(lessons.iter().all(|lesson| is_id(&lesson.id)), "a UID of {length} bytes");
        assert_eq!(lessons.is_empty(), report.refused == 1);
    }
}

#[test]
fn what_is_told_of_an_attendee_is_short() {
    let (_, report) = read(of_one(&format!("ATTENDEE:mailto:{}@x.example", "x".repeat(5_000))).as_bytes(), &[]).unwrap();
    assert_eq!(report.notes.len(), 1);
    assert!(report.notes[0].reason.chars().count() <= 200, "{:.100}…", report.notes[0].reason);
}
