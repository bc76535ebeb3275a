//! A school's files, read from bytes: what can be used, what is bad and where (reminders.md §5).
//!
//! Pure functions: nobody here opens a file, knows the time or stores anything. A bad row is
//! reported and stops nothing else; only a file without its required columns is refused whole.

pub mod sheet;
mod table;

mod calendar;
mod contacts;
mod events;
mod lessons;
mod payments;
mod roster;
mod settings;

use std::borrow::Cow;
use std::fmt;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use serde::Serialize;

pub use calendar::calendar;
pub use contacts::{contacts, contacts_and_columns};
pub use events::{TimedEvent, events};
pub use lessons::{lessons, lessons_and_columns};
pub use payments::{calendar_date, payments, payments_and_columns};
pub use roster::{Attendee, Roster};
pub use settings::settings;

/// What was wrong in the files, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub bad: Vec<BadRow>,
    /// How many rows, or events of a calendar, are not used.
    pub refused: u32,
    pub notes: Vec<Note>,
}

/// One bad value: somebody should mend the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadRow {
    pub file: String,
    /// The first physical line of the row; the first line of a file is 1.
    pub line: u64,
    /// The column by its name in reminders.md §5, the calendar's property or the event's field.
    pub column: String,
    pub reason: String,
    /// Nothing of its row is used; else the row is used without this value.
    pub refused: bool,
}

/// `contacts.csv:14: timezone: unknown time zone: 'Mars/Olympus_Mons'`.
impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.column, self.reason)
    }
}

/// Something in a calendar that was left out, without being wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub file: String,
    /// The calendar entry's `UID`.
    pub uid: String,
    pub reason: String,
}

/// `lessons.ics: open-day@harbor.example: all-day event ignored`.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.uid, self.reason)
    }
}

/// A file that is refused whole; nothing of it is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The header row must be mended.
    #[error("{file}: the header has no column {}", .columns.join(", "))]
    MissingColumns { file: String, columns: Vec<String> },
    /// The settings do not say what they must; the reason tells line and column as far as known.
    #[error("{file}: {reason}")]
    BadSettings { file: String, reason: String },
    /// Something else lies under the calendar's name.
    #[error("{file}: not an iCalendar file: there is no BEGIN:VCALENDAR")]
    NotACalendar { file: String },
}

/// Whether these bytes are an iCalendar file, whatever they are called.
pub fn is_calendar(bytes: &[u8]) -> bool {
    const BEGIN: &str = "BEGIN:VCALENDAR";
    let text = decode(bytes);
    trim(&text).get(..BEGIN.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEGIN))
}

/// The text of a file: UTF-8 with or without BOM, or UTF-16 with BOM.
///
/// Bytes that are none of these come from an old Excel: Windows-1252.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match Encoding::for_bom(bytes) {
        Some((encoding, bom)) if encoding != UTF_8 => encoding.decode_without_bom_handling(&bytes[bom..]).0,
        Some((_, bom)) => decode_bytes(&bytes[bom..]),
        None => decode_bytes(bytes),
    }
}

fn decode_bytes(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// The physical lines, numbered from 1, each ended by CRLF, LF or a lone CR.
fn physical_lines(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = bytes;
    let mut line = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        line += 1;
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        let (content, tail) = rest.split_at(end);
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        Some((line, content))
    })
}

/// Drops what surrounds a value without being seen: spaces, no-break spaces, zero-width and
/// direction marks, as they are pasted from web pages and phones' address books.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// A value as a reason shows it; the start of it, if a whole paragraph slipped into the column.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 60;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("'{}…'", &value[..end]),
        None => format!("'{value}'"),
    }
}

use crate::domain::school_event::LONGEST_ID;

fn too_long() -> String {
    format!("longer than {LONGEST_ID} bytes")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    pub(super) const SETTINGS: &str = r#"{
        "name": "School", "timeZone": "America/New_York", "defaultRegion": "US",
        "budget": {"currency": "USD"}, "prices": {"sms": "0.0079", "whatsapp": "0.005"}
    }"#;

    pub(super) fn tenant() -> crate::domain::tenant::Settings {
        settings("tenant.json", SETTINGS.as_bytes(), &mut Report::default()).unwrap()
    }

    /// `line column`, in the order reported.
    pub(super) fn places(report: &Report) -> Vec<String> {
        report.bad.iter().map(|bad| format!("{} {}", bad.line, bad.column)).collect()
    }

    pub(super) fn utf16(text: &str) -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn every_encoding_of_a_real_file_is_read() {
        let big_endian: Vec<u8> = std::iter::once(0xFEFF).chain("Zoë".encode_utf16()).flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode("Zoë".as_bytes()), "Zoë");
        assert_eq!(decode("\u{FEFF}Zoë".as_bytes()), "Zoë");
        assert_eq!(decode(&utf16("Zoë")), "Zoë");
        assert_eq!(decode(&big_endian), "Zoë");
        assert_eq!(decode(b"Zo\xEB"), "Zoë");
        assert_eq!(decode(b""), "");
    }

    #[test]
    fn a_calendar_is_told_from_a_table_by_its_beginning() {
        assert!(is_calendar(b"\xEF\xBB\xBF\r\nbegin:vcalendar\r\n"));
        assert!(is_calendar(&utf16("BEGIN:VCALENDAR\r\n")));
        assert!(!is_calendar(b"id,subject\n1,BEGIN:VCALENDAR"));
        assert!(!is_calendar("é".as_bytes()));
    }

    #[test]
    fn lines_end_in_any_way() {
        let lines: Vec<_> = physical_lines(b"a\r\n\nb\rc").collect();
        assert_eq!(lines, [(1, &b"a"[..]), (2, &b""[..]), (3, &b"b"[..]), (4, &b"c"[..])]);
    }

    #[test]
    fn invisible_characters_around_a_value_go() {
        assert_eq!(trim("\u{FEFF}\u{A0} S01\u{200B}\t"), "S01");
    }

    #[test]
    fn reports_read_as_one_line() {
        let (column, reason) = ("timezone".into(), "empty".into());
        let bad = BadRow { file: "contacts.csv".into(), line: 14, column, reason, refused: true };
        assert_eq!(bad.to_string(), "contacts.csv:14: timezone: empty");
        assert!(quoted(&"é".repeat(100)).chars().count() < 70);
    }
}
