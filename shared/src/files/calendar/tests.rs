//! Calendars as schools have them, from bytes to lessons.

use jiff::Timestamp;

use super::super::tests::{places, tenant, utf16};
use super::super::{FileError, Report, Roster, contacts};
use super::calendar;
use crate::domain::lesson::{Lesson, LessonStatus};

fn roster() -> Roster {
    let people = "id,name,phone,email\nS1,Ana,,ana@x.example\nS2,Ben,,home@x.example\nS3,Cleo,,Home@x.example\n";
    Roster::new(&contacts("contacts.csv", people.as_bytes(), &tenant(), &mut Report::default()).unwrap())
}

fn try_read(bytes: &[u8], lessons: &[Lesson]) -> Result<(Vec<Lesson>, Report), FileError> {
    let window = at("2026-03-05T00:00:00Z")..at("2026-03-16T00:00:00Z");
    let mut report = Report::default();
    let lessons = calendar("lessons.ics", bytes, &tenant(), &roster(), lessons, &window, &mut report)?;
    Ok((lessons, report))
}

/// Each event by its lines, apart from `BEGIN` and `END`; the first event's `BEGIN` is line 2.
fn file(events: &[&str]) -> String {
    let events: Vec<String> = events.iter().map(|event| format!("BEGIN:VEVENT\n{event}\nEND:VEVENT\n")).collect();
    format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", events.concat())
}

fn read(events: &[&str]) -> (Vec<Lesson>, Report) {
    try_read(file(events).as_bytes(), &[]).unwrap()
}

/// A complete event, `U` in its id, with these lines too.
fn event(lines: &str) -> String {
    format!("UID:U\nSUMMARY:Strings\nORGANIZER;CN=\"Kim, Dr. Sora\":mailto:kim@x.example\n{lines}")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// `id instant` of each lesson, without year and seconds; cancelled ones in brackets.
fn times(lessons: &[Lesson]) -> Vec<String> {
    let shown = |lesson: &Lesson| match lesson.status {
        LessonStatus::Scheduled => format!("{} {}", lesson.id, lesson.starts_at.strftime("%m-%dT%H:%MZ")),
        LessonStatus::Cancelled => format!("[{} {}]", lesson.id, lesson.starts_at.strftime("%m-%dT%H:%MZ")),
    };
    lessons.iter().map(shown).collect()
}

#[test]
fn an_event_becomes_a_lesson() {
    let (lessons, report) = read(&[&event(
        "DTSTART;TZID=Europe/London:20260308T113000\nDTEND;TZID=Europe/London:20260308T121500\n\
         SUMMARY:ignored second\nATTENDEE;RSVP=TRUE:MAILTO:ANA@x.example\nATTENDEE:mailto:home@x.example\n\
         BEGIN:VALARM\nATTENDEE:mailto:alarm@x.example\nSUMMARY:Not the subject\nDTSTART:20990101T000000\nEND:VALARM",
    )]);

    assert_eq!(report, Report::default());
    let lesson = &lessons[0];
    assert_eq!(times(&lessons), ["U 03-08T11:30Z"]);
    assert_eq!((lesson.subject.as_str(), lesson.teacher.as_str()), ("Strings", "Kim, Dr. Sora"));
    assert_eq!(lesson.time_zone.name(), "Europe/London");
    assert_eq!(lesson.students.contacts, ["S1", "S2", "S3"]);
    assert_eq!(lesson.duration_minutes, Some(45));
}

#[test]
fn floating_and_utc_times_have_the_tenants_zone() {
    let (lessons, _) =
        read(&[&event("DTSTART:20260307T173000"), &event("DTSTART:20260308T171000Z\nDURATION:PT1H").replace("UID:U", "UID:V")]);

    assert_eq!(times(&lessons), ["U 03-07T22:30Z", "V 03-08T17:10Z"]);
    assert!(lessons.iter().all(|lesson| lesson.time_zone.name() == "America/New_York"));
    assert_eq!(lessons[1].duration_minutes, Some(60));
}

#[test]
fn a_series_keeps_its_wall_clock_over_a_dst_change() {
    let rule = "DTSTART;TZID=America/New_York:20260109T163000\nRRULE:FREQ=WEEKLY;BYDAY=FR,SA,SU,MO;UNTIL=20260601T035959Z\n\
                EXDATE;TZID=America/New_York:20260307T163000\nEXDATE:20260314T203000Z,20260313T203000Z";
    let (lessons, report) = read(&[&event(rule)]);

    assert_eq!(report, Report::default());
    let expected = [
        "U/20260306T163000 03-06T21:30Z",
        "U/20260308T163000 03-08T20:30Z",
        "U/20260309T163000 03-09T20:30Z",
        "U/20260315T163000 03-15T20:30Z",
    ];
    assert_eq!(times(&lessons), expected);
}

#[test]
fn a_utc_series_steps_in_utc() {
    let (lessons, _) = read(&[&event("DTSTART:20260301T163000Z\nRRULE:FREQ=WEEKLY")]);
    assert_eq!(times(&lessons), ["U/20260308T163000 03-08T16:30Z", "U/20260315T163000 03-15T16:30Z"]);
}

#[test]
fn a_skipped_wall_clock_names_the_occurrence_that_moves_forward() {
    let (lessons, _) = read(&[&event("DTSTART;TZID=America/New_York:20260308T023000\nRRULE:FREQ=DAILY;COUNT=2")]);
    assert_eq!(times(&lessons), ["U/20260308T023000 03-08T07:30Z", "U/20260309T023000 03-09T06:30Z"]);
}

#[test]
fn an_override_keeps_the_id_of_its_original_wherever_it_stands() {
    let moved =
        event("RECURRENCE-ID:20260308T203000Z\nDTSTART;TZID=America/New_York:20260320T180000\nATTENDEE:mailto:ana@x.example");
    let series = event("DTSTART;TZID=America/New_York:20260308T163000\nRRULE:FREQ=DAILY;COUNT=3\nATTENDEE:mailto:home@x.example");
    let cancelled = "UID:U\nRECURRENCE-ID;TZID=America/New_York:20260309T163000\nSTATUS:cancelled\nDTSTART;TZID=America/New_York:20260309T163000";
    let extra = event("RECURRENCE-ID;TZID=America/New_York:20260312T100000\nDTSTART;TZID=America/New_York:20260312T110000");
    let (lessons, report) = read(&[&moved, &series, cancelled, &extra]);

    assert_eq!(report, Report::default());
    assert_eq!(
        times(&lessons),
        [
            "U/20260308T163000 03-20T22:00Z",
            "U/20260310T163000 03-10T20:30Z",
            "[U/20260309T163000 03-09T20:30Z]",
            "U/20260312T100000 03-12T15:00Z"
        ]
    );
    assert_eq!(lessons[0].students.contacts, ["S1"]);
    assert_eq!(lessons[1].students.contacts, ["S2", "S3"]);
    assert_eq!((lessons[2].subject.as_str(), lessons[2].students.contacts.len()), ("Strings", 0));
}

#[test]
fn a_cancelled_series_is_cancelled_but_for_its_overrides() {
    let series = event("STATUS:CANCELLED\nDTSTART:20260310T100000\nRRULE:FREQ=DAILY;COUNT=2");
    let kept = event("RECURRENCE-ID:20260311T100000\nDTSTART:20260311T120000");
    assert_eq!(times(&read(&[&series, &kept]).0), ["[U/20260310T100000 03-10T14:00Z]", "U/20260311T100000 03-11T16:00Z"]);
}

#[test]
fn extra_dates_belong_to_the_series() {
    let (lessons, _) = read(&[&event(
        "DTSTART;TZID=America/New_York:20260310T100000\nRDATE:20260312T150000Z\nRDATE;VALUE=DATE:20260314\nEXDATE;VALUE=DATE:20260310",
    )]);
    assert_eq!(times(&lessons), ["U/20260312T110000 03-12T15:00Z", "U/20260314T100000 03-14T14:00Z"]);
}

#[test]
fn what_is_left_out_is_noted_once() {
    let day = event("DTSTART;VALUE=DATE:20260308\nATTENDEE:mailto:grandma@x.example");
    let series =
        event("DTSTART:20260310T100000\nRRULE:FREQ=DAILY;COUNT=3\nATTENDEE:mailto:Grandma@x.example").replace("UID:U", "UID:V");
    let future =
        event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260311T100000\nDTSTART:20260311T120000\nATTENDEE:mailto:grandma@x.example")
            .replace("UID:U", "UID:V");
    let (lessons, report) = read(&[&day, &series, &future]);

    assert_eq!(lessons.len(), 3);
    let notes: Vec<String> = report.notes.iter().map(|note| format!("{} {}", note.uid, note.reason)).collect();
    assert_eq!(
        notes,
        [
            "U all-day event ignored",
            "V attendee 'Grandma@x.example' is no contact",
            "V RANGE=THISANDFUTURE is not supported: only this occurrence is changed"
        ]
    );
    assert!(report.bad.is_empty());
}

#[test]
fn one_bad_event_does_not_stop_the_others() {
    let (lessons, report) = read(&[
        "SUMMARY:No id\nORGANIZER:mailto:kim@x.example\nDTSTART:20260310T100000",
        "UID:A\nSUMMARY:\nDTSTART:20260310T100000",
        "UID:B\nSUMMARY:B\nORGANIZER:mailto:kim@x.example\nDTSTART;TZID=America/Gotham:20260310T100000",
        "UID:C\nSUMMARY:C\nORGANIZER:mailto:kim@x.example\nDTSTART:soon",
        "UID:D\nSUMMARY:D\nORGANIZER:mailto:kim@x.example\nDTSTART:20260310T100000\nRRULE:FREQ=SECONDLY",
        "UID:E\nSUMMARY:E\nORGANIZER:mailto:kim@x.example",
        "UID:F\nSUMMARY:F\nORGANIZER:mailto:kim@x.example\nDTSTART:20260310T100000",
        "UID:F\nSUMMARY:F again\nORGANIZER:mailto:kim@x.example\nDTSTART:20260310T100000",
    ]);

    assert_eq!(times(&lessons), ["F 03-10T14:00Z"]);
    assert_eq!(lessons[0].teacher, "kim@x.example");
    assert_eq!(
        places(&report),
        ["2 UID", "7 ORGANIZER", "9 SUMMARY", "16 DTSTART", "22 DTSTART", "29 RRULE", "31 DTSTART", "43 UID"]
    );
    assert_eq!(report.bad[3].reason, "unknown time zone: 'America/Gotham'");
    assert_eq!(report.bad[1].reason, "missing; it names the teacher, and each ATTENDEE a student by e-mail");
    assert_eq!(report.refused, 7, "an event counts once, whatever is bad in it");
}

#[test]
fn ids_of_the_table_are_taken() {
    let bytes = file(&[&event("DTSTART:20260310T100000")]);
    let (first, _) = try_read(bytes.as_bytes(), &[]).unwrap();

    let (second, report) = try_read(bytes.as_bytes(), &first).unwrap();

    assert!(second.is_empty());
    assert_eq!((report.bad.len(), report.notes.len()), (0, 1));
}

#[test]
fn any_encoding_and_any_bytes_are_read() {
    let text = file(&[&event("DTSTART:20260310T100000").replace('\n', "\r\n")]);
    for bytes in [text.clone().into_bytes(), format!("\u{FEFF}{text}").into_bytes(), utf16(&text)] {
        assert_eq!(times(&try_read(&bytes, &[]).unwrap().0), ["U 03-10T14:00Z"]);
    }
    assert!(try_read(b"\r\n", &[]).unwrap().0.is_empty());
    assert!(matches!(try_read(b"id,subject\n", &[]), Err(FileError::NotACalendar { .. })));
    for end in 0..text.len() {
        let _ = try_read(&text.as_bytes()[..end], &[]);
    }
}
