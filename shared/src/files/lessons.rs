//! `lessons.csv`: the timetable as a table. The calendar has its own module.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use crate::domain::lesson::{Lesson, LessonStatus, first_version};
use crate::domain::local_time::{Zone, parse_start};
use crate::domain::tenant::Settings;

use super::roster::Roster;
use super::table::{Row, Table, form, word};
use super::{FileError, Report, quoted};

const REQUIRED: [&str; 5] = ["id", "subject", "teacher", "starts_at", "students"];
const OPTIONAL: [&str; 4] = ["course", "duration_minutes", "timezone", "status"];

/// Reads the lessons. An unknown student is reported and the lesson keeps the others.
///
/// # Errors
/// [`FileError::MissingColumns`] if the header lacks one of the five required columns.
pub fn lessons(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    roster: &Roster,
    report: &mut Report,
) -> Result<Vec<Lesson>, FileError> {
    lessons_and_columns(file, bytes, settings, roster, report).map(|(lessons, _)| lessons)
}

/// The lessons, and which columns the file has, by [`attribute_key`](crate::domain::contact::attribute_key).
///
/// # Errors
/// As [`lessons`].
pub fn lessons_and_columns(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    roster: &Roster,
    report: &mut Report,
) -> Result<(Vec<Lesson>, BTreeSet<String>), FileError> {
    let table = Table::read(file, bytes, &REQUIRED, &OPTIONAL)?;
    let mut ids = HashSet::new();
    let mut lessons = Vec::new();
    for mut row in table.rows() {
        let read = lesson(&mut row, &settings.time_zone, roster, &ids);
        if let Some(lesson) = row.finish(read, report) {
            ids.insert(lesson.id.clone());
            lessons.push(lesson);
        }
    }
    Ok((lessons, table.names()))
}

fn lesson(row: &mut Row<'_>, tenant_zone: &Zone, roster: &Roster, ids: &HashSet<String>) -> Option<Lesson> {
    let id = row.new_id(ids);
    let subject = row.required("subject");
    let teacher = row.required("teacher");
    // An unknown zone is reported in its own place; whether the start can be read does not hang on it.
    let start_zone = Zone::parse(row.field("timezone")).unwrap_or_else(|_| tenant_zone.clone());
    let starts_at =
        row.required_as("starts_at", form(|text| parse_start(text, &start_zone), "a date and time (2026-11-23T09:00)"));
    let names = row.list("students");
    if names.is_empty() {
        row.reject("students", "empty");
    }
    let (students, unknown) = roster.students(names);
    for name in unknown {
        row.report("students", format!("no contact or group {}", quoted(name)));
    }
    let course = row.field("course");
    let duration_minutes = row.optional("duration_minutes", form(whole_minutes, "a number"));
    let time_zone = row.optional("timezone", Zone::parse);
    let status = row.optional("status", word(LessonStatus::parse, "scheduled, cancelled"));
    Some(Lesson {
        id: id?,
        subject: subject?.to_string(),
        teacher: teacher?.to_string(),
        starts_at: starts_at?,
        time_zone: time_zone.unwrap_or_else(|| tenant_zone.clone()),
        students,
        course: (!course.is_empty()).then(|| course.to_string()),
        duration_minutes,
        status: status.unwrap_or(LessonStatus::Scheduled),
        version: first_version(),
        changed_at: Timestamp::UNIX_EPOCH,
    })
}

fn whole_minutes(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<u32>().ok().filter(|minutes| digits && *minutes > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::contacts;
    use super::super::tests::{places, tenant};
    use super::*;
    use crate::domain::lesson::Students;

    fn read(text: &str) -> (Vec<Lesson>, Report) {
        let mut report = Report::default();
        let people = "id,name,phone,groups\nS1,Ana,,Choir\nS2,Ben,,\n";
        let roster = Roster::new(&contacts("contacts.csv", people.as_bytes(), &tenant(), &mut report).unwrap());
        let lessons = lessons("lessons.csv", text.as_bytes(), &tenant(), &roster, &mut report).unwrap();
        (lessons, report)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_start_is_read_in_the_lessons_zone() {
        let (lessons, report) = read(
            "id,subject,teacher,starts_at,students,Time Zone,Duration Minutes,status\n\
             L1,Piano,Ms. Rivera,2026-03-09 15:00,S1;Choir;S1,,45,\n\
             L2,Piano,Ms. Rivera,2026-03-09 15:00,\"S2|Choir\",Europe/London,,Canceled\n\
             L3,Piano,Ms. Rivera,2026-03-08T21:15:00Z,S2,,,\n\
             L4,Piano,Ms. Rivera,2026-03-08 02:30,S2,,,\n",
        );

        assert_eq!(report, Report::default());
        let starts: Vec<_> = lessons.iter().map(|lesson| lesson.starts_at).collect();
        let expected = ["2026-03-09T19:00:00Z", "2026-03-09T15:00:00Z", "2026-03-08T21:15:00Z", "2026-03-08T07:30:00Z"];
        assert_eq!(starts, expected.map(at));
        assert_eq!(lessons[0].students, Students { contacts: vec!["S1".into()], groups: vec!["Choir".into()] });
        assert_eq!(lessons[0].duration_minutes, Some(45));
        assert_eq!(lessons[1].time_zone.name(), "Europe/London");
        assert_eq!(lessons[1].status, LessonStatus::Cancelled);
        assert_eq!(lessons[2].time_zone.name(), "America/New_York");
    }

    #[test]
    fn an_unknown_student_is_reported_and_the_others_stay() {
        let (lessons, report) = read(
            "id,subject,teacher,starts_at,students\nL1,Piano,R,2026-03-09 15:00,S2;S99;S99;S98\nL2,Piano,R,2026-03-09 15:00,S97\n",
        );

        assert_eq!(places(&report), ["2 students", "2 students", "3 students"]);
        assert_eq!(report.bad[0].reason, "no contact or group 'S99'");
        assert!(report.refused == 0 && report.bad.iter().all(|bad| !bad.refused));
        assert_eq!(lessons[0].students.contacts, ["S2"]);
        assert_eq!(lessons[1].students, Students::default());
    }

    #[test]
    fn every_bad_column_is_reported_in_order() {
        let (lessons, report) = read(
            "id,subject,teacher,starts_at,students,duration_minutes,timezone,status\n\
             ,,,,;,an hour,America/Gotham,maybe\n\
             L1,Piano,R,2026-03-08 11:00,S1,,America/Gotham,\n\
             L1,Piano,R,2026-02-30 10:00,S1,0,,\n\
             L1,Piano,R,next Tuesday,S1,,,\n\
             L1,Piano,R,2026-03-08 11:00,S1,,,\n\
             L1,Piano,R,2026-03-08 11:00,S1,,,\n",
        );

        assert_eq!(lessons.len(), 1);
        let first =
            ["2 id", "2 subject", "2 teacher", "2 starts_at", "2 students", "2 duration_minutes", "2 timezone", "2 status"];
        assert_eq!(places(&report)[..8], first);
        assert_eq!(places(&report)[8..], ["3 timezone", "4 starts_at", "4 duration_minutes", "5 starts_at", "7 id"]);
        assert_eq!(report.bad[5].reason, "not a number: 'an hour'");
        assert_eq!(report.bad[9].reason, "not a date and time (2026-11-23T09:00): '2026-02-30 10:00'");
    }
}
