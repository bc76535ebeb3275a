//! `events.jsonl`: what happens during a run, one JSON object a line.
//!
//! Whether the lessons, contacts and payments they name exist is seen when they happen.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::local_time::{Zone, parse_start};
use crate::domain::school_event::{EventError, SchoolEvent};

use super::{BadRow, Report, decode, physical_lines, quoted, trim};

/// A text to the tenant's number; the other names are [`SchoolEvent`]'s.
const INBOUND: &str = "inbound";

/// One event and its instant.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    pub at: Timestamp,
    /// `lesson.moved`, …, or `inbound`.
    pub name: String,
    /// The line's object without `at` and `event`.
    pub detail: Value,
    /// Where it stands in the file.
    pub line: u64,
}

/// Reads the events, in the order in which they happen; those of one instant in file order.
pub fn events(file: &str, bytes: &[u8], report: &mut Report) -> Vec<TimedEvent> {
    let text = decode(bytes);
    let mut events = Vec::new();
    for (line, content) in physical_lines(text.as_bytes()) {
        match event(line, content) {
            Ok(event) => events.extend(event),
            Err(bad) => report.bad.extend(bad.into_iter().map(|(column, reason)| BadRow {
                file: file.to_string(),
                line,
                column: column.to_string(),
                reason,
                refused: true,
            })),
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

type Bad = (&'static str, String);

/// `Ok(None)` for a blank line.
fn event(line: u64, content: &[u8]) -> Result<Option<TimedEvent>, Vec<Bad>> {
    let content = decode(content);
    let content = trim(&content);
    if content.is_empty() {
        return Ok(None);
    }
    let mut detail: Map<String, Value> =
        serde_json::from_str(content).map_err(|error| vec![("json", format!("not a JSON object: {error}"))])?;
    let at = instant(detail.remove("at"));
    let name = name(detail.remove("event"));
    let detail = Value::Object(detail);
    let problem = name.as_ref().ok().and_then(|name| problem(name, &detail));
    match (at, name, problem) {
        (Ok(at), Ok(name), None) => Ok(Some(TimedEvent { at, name, detail, line })),
        (at, name, problem) => Err([at.err(), name.err(), problem].into_iter().flatten().collect()),
    }
}

fn instant(at: Option<Value>) -> Result<Timestamp, Bad> {
    match at {
        None => Err(("at", "missing".into())),
        Some(Value::String(text)) => text.trim().parse().map_err(|_| ("at", format!("not an instant: {}", quoted(&text)))),
        Some(other) => Err(("at", format!("not an instant: {}", quoted(&other.to_string())))),
    }
}

fn name(event: Option<Value>) -> Result<String, Bad> {
    match event {
        None => Err(("event", "missing".into())),
        Some(Value::String(name)) => Ok(name),
        Some(other) => Err(("event", format!("not a name: {}", quoted(&other.to_string())))),
    }
}

/// What is wrong with the event `name` having this detail, if anything.
fn problem(name: &str, detail: &Value) -> Option<Bad> {
    if name == INBOUND {
        let missing = ["from", "body"].into_iter().find(|field| !detail[*field].is_string())?;
        return Some(("detail", format!("'{missing}' is no text")));
    }
    match SchoolEvent::parse(name, detail) {
        Ok(SchoolEvent::LessonCreated(created)) => {
            bad_start(&created.starts_at).or_else(|| created.time_zone.as_deref().and_then(bad_zone))
        }
        Ok(SchoolEvent::LessonMoved(moved)) => bad_start(&moved.starts_at),
        Ok(SchoolEvent::LessonCancelled(_) | SchoolEvent::AttendanceRecorded(_) | SchoolEvent::PaymentSettled(_)) => None,
        Err(EventError::UnknownName(name)) => Some(("event", format!("unknown event {}", quoted(&name)))),
        Err(EventError::BadDetail(error)) => Some(("detail", error.to_string())),
        Err(error @ EventError::BadId) => Some(("detail", error.to_string())),
    }
}

fn bad_start(text: &str) -> Option<Bad> {
    // Which zone it is read in does not change whether it can be read.
    let utc = Zone::parse("UTC").ok()?;
    parse_start(text, &utc).is_none().then(|| ("startsAt", format!("not a date and time: {}", quoted(text))))
}

fn bad_zone(name: &str) -> Option<Bad> {
    Zone::parse(name).err().map(|reason| ("timeZone", reason))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{places, utf16};
    use super::*;
    use serde_json::json;

    const MOVED: &str =
        r#"{"at": "2026-03-07T03:40:10Z", "event": "lesson.moved", "lesson": "L1", "startsAt": "2026-03-07 07:30"}"#;
    const EARLIER: &str =
        r#"{"at": "2026-03-06T21:00:00-05:00", "event": "inbound", "from": "+15550101205", "body": " STOP \n"}"#;

    #[test]
    fn events_come_in_the_order_of_their_instants() {
        let text = format!("\u{FEFF}{MOVED}\r\n\r\n{EARLIER}\r\n");
        for bytes in [text.clone().into_bytes(), utf16(&text[3..])] {
            let mut report = Report::default();

            let events = events("events.jsonl", &bytes, &mut report);

            assert_eq!(report, Report::default());
            assert_eq!(events.iter().map(|event| event.line).collect::<Vec<_>>(), [3, 1]);
            assert_eq!(events[0].at, "2026-03-07T02:00:00Z".parse().unwrap());
            assert_eq!(events[0].detail, json!({"from": "+15550101205", "body": " STOP \n"}));
            assert_eq!(events[1].name, "lesson.moved");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        let lines = [
            "not json",
            "[1]",
            r#"{"event": "payment.settled", "payment": "P1"}"#,
            r#"{"at": "soon", "event": "payment.paid"}"#,
            r#"{"at": "2026-03-06T21:00:00Z", "event": "payment.settled"}"#,
            r#"{"at": "2026-03-06T21:00:00Z", "event": "inbound", "from": "+15550101205"}"#,
            r#"{"at": "2026-03-06T21:00:00Z", "event": "lesson.moved", "lesson": "L1", "startsAt": "later"}"#,
            r#"{"at": "2026-03-06T21:00:00Z", "event": 7}"#,
            MOVED,
        ];
        let mut report = Report::default();

        let events = events("events.jsonl", lines.join("\n").as_bytes(), &mut report);

        assert_eq!(events.len(), 1);
        assert_eq!(
            places(&report),
            ["1 json", "2 json", "3 at", "4 at", "4 event", "5 detail", "6 detail", "7 startsAt", "8 event"]
        );
    }
}
