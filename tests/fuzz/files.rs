//! A school's files but its calendar: tables, what happens during a run, settings.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;
use shared::domain::school_event::is_id;
use shared::domain::tenant::Settings;
use shared::files::{self, FileError, Report, Roster};

use super::garbage::{Raw, damage, damaged, twists};
use super::{every, few_rows, lines, sample};

pub static SETTINGS: LazyLock<Settings> =
    LazyLock::new(|| files::settings("tenant.json", &sample("tenant.json"), &mut Report::default()).unwrap());
pub static ROSTER: LazyLock<Roster> = LazyLock::new(|| {
    let contacts = files::contacts("contacts.csv", &sample("contacts.csv"), &SETTINGS, &mut Report::default());
    Roster::new(&contacts.unwrap())
});

/// Of each row that is used its id, and what was read of it.
type Rows = Vec<(String, String)>;
type Read = fn(&[u8], &mut Report) -> Result<Rows, FileError>;

const TABLES: [(&str, Read); 3] = [("contacts.csv", contacts), ("lessons.csv", lessons), ("payments.csv", payments)];

fn contacts(bytes: &[u8], report: &mut Report) -> Result<Rows, FileError> {
    let (rows, _) = files::contacts_and_columns("contacts.csv", bytes, &SETTINGS, report)?;
    Ok(rows.iter().map(|row| (row.id.clone(), format!("{row:?}"))).collect())
}

fn lessons(bytes: &[u8], report: &mut Report) -> Result<Rows, FileError> {
    let (rows, _) = files::lessons_and_columns("lessons.csv", bytes, &SETTINGS, &ROSTER, report)?;
    Ok(rows.iter().map(|row| (row.id.clone(), format!("{row:?}"))).collect())
}

fn payments(bytes: &[u8], report: &mut Report) -> Result<Rows, FileError> {
    let (rows, _) = files::payments_and_columns("payments.csv", bytes, &SETTINGS, &ROSTER, report)?;
    Ok(rows.iter().map(|row| (row.id.clone(), format!("{row:?}"))).collect())
}

/// Every row is used or refused, and stands on a line of its own below the header.
#[test]
fn a_damaged_table_is_told_row_by_row() {
    for (file, read) in TABLES {
        every(120, damaged(vec![few_rows(file)]), |Raw(bytes)| {
            let mut report = Report::default();
            let Ok(rows) = read(&bytes, &mut report) else { return Ok(()) };
            let ids: HashSet<&String> = rows.iter().map(|(id, _)| id).collect();
            prop_assert!(ids.len() == rows.len() && ids.iter().all(|id| is_id(id)), "{ids:?}");
            let refused: HashSet<u64> = report.bad.iter().filter(|bad| bad.refused).map(|bad| bad.line).collect();
            prop_assert_eq!(refused.len(), report.refused as usize);
            let last = lines(&bytes);
            prop_assert!(report.bad.iter().all(|bad| (2..=last).contains(&bad.line)), "{:?}", report.bad);
            prop_assert!(((rows.len() + refused.len()) as u64) < last);
            Ok(())
        });
    }
}

#[test]
fn a_table_says_the_same_in_every_encoding() {
    for (file, read) in TABLES {
        every(50, (damaged(vec![few_rows(file)]), 0usize..3), |(Raw(bytes), encoding)| {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_start_matches('\u{feff}');
            let read = |bytes: &[u8]| {
                let mut report = Report::default();
                (read(bytes, &mut report), report)
            };
            prop_assert_eq!(read(&encoded(text, encoding)), read(text.as_bytes()));
            Ok(())
        });
    }
}

/// In UTF-8 with a mark, and in UTF-16 either way round.
fn encoded(text: &str, encoding: usize) -> Vec<u8> {
    let units = || "\u{feff}".encode_utf16().chain(text.encode_utf16());
    match encoding {
        0 => format!("\u{feff}{text}").into_bytes(),
        1 => units().flat_map(u16::to_le_bytes).collect(),
        _ => units().flat_map(u16::to_be_bytes).collect(),
    }
}

/// Whatever stands in a cell: what is told of it shows its beginning.
#[test]
fn what_is_told_of_a_cell_is_short() {
    let contact = (
        contacts as Read,
        "id,name,phone,whatsapp,email,channel,timezone,groups,quiet_hours,opted_out,opted_out_categories",
        "A,Ana,2125550161,,,sms,UTC,Choir,21:00-08:00,no,lessons",
    );
    let lesson = (
        lessons as Read,
        "id,subject,teacher,starts_at,students,course,duration_minutes,timezone,status",
        "L,Piano,Kim,2026-03-09 15:00,S01,,60,UTC,scheduled",
    );
    let payment = (payments as Read, "id,student,amount,due_date,currency,course,status", "P,S01,5.00,2026-03-09,USD,,due");
    let long = "x".repeat(5_000);
    for (read, header, row) in [contact, lesson, payment] {
        let cells: Vec<&str> = row.split(',').collect();
        for column in 0..cells.len() {
            let mut cells = cells.clone();
            cells[column] = &long;
            let mut report = Report::default();
            read(format!("{header}\n{}\n", cells.join(",")).as_bytes(), &mut report).unwrap();
            for bad in report.bad {
                assert!(bad.reason.chars().count() <= 200, "{}: {:.100}…", bad.column, bad.reason);
            }
        }
    }
}

#[test]
fn damaged_events_are_told_line_by_line() {
    let created =
        br#"{"at": "2026-03-09T18:02:30Z", "event": "lesson.created", "lesson": "L99", "subject": "Harp", "teacher": "Kim",
        "startsAt": "2026-03-12T09:00", "students": ["S01", "Strings"], "durationMinutes": 45, "timezone": "Europe/London"}"#;
    let created: Vec<u8> = created.iter().copied().filter(|byte| *byte != b'\n').collect();
    every(400, damaged(vec![sample("events.jsonl"), created]), |Raw(bytes)| {
        let mut report = Report::default();
        let events = files::events("events.jsonl", &bytes, &mut report);
        prop_assert!(events.is_sorted_by_key(|event| event.at));
        let last = lines(&bytes);
        let used: HashSet<u64> = events.iter().map(|event| event.line).collect();
        prop_assert!(used.len() == events.len() && used.iter().all(|line| (1..=last).contains(line)), "{used:?}");
        for bad in &report.bad {
            prop_assert!((1..=last).contains(&bad.line) && !used.contains(&bad.line), "{bad}");
            prop_assert!(bad.reason.chars().count() <= 200, "{bad}");
        }
        for event in &events {
            let mut line = event.detail.clone();
            line["at"] = json!(event.at.to_string());
            line["event"] = json!(event.name);
            let again = files::events("events.jsonl", line.to_string().as_bytes(), &mut Report::default());
            prop_assert_eq!(again.first().map(|again| (again.at, &again.name)), Some((event.at, &event.name)));
        }
        Ok(())
    });
}

#[test]
fn settings_that_are_accepted_are_the_same_once_they_were_written() {
    let whole = serde_json::to_value(&*SETTINGS).unwrap();
    every(300, (twists(), damage(), 0u8..4), |(twists, damage, is_damaged)| {
        let twisted = twists.done_to(&whole).to_string().into_bytes();
        let Raw(bytes) = if is_damaged == 0 { damage.done_to(&twisted) } else { Raw(twisted) };
        let Ok(settings) = files::settings("tenant.json", &bytes, &mut Report::default()) else { return Ok(()) };
        let written = serde_json::to_vec(&settings).unwrap();
        let mut report = Report::default();
        prop_assert_eq!(files::settings("tenant.json", &written, &mut report), Ok(settings));
        prop_assert_eq!(report, Report::default());
        Ok(())
    });
}
