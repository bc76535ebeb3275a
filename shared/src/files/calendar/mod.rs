//! `lessons.ics`: the timetable as a calendar. Every occurrence in the window becomes a lesson.
//!
//! Events are read one by one, then put together: an event with a `RECURRENCE-ID` replaces one
//! occurrence of the series with its `UID`, wherever in the file it stands.

mod content_lines;
mod event;
mod recurrence;
mod times;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::domain::lesson::{Lesson, Students, first_version};
use crate::domain::tenant::Settings;

use self::content_lines::{Component, Components};
use self::event::Event;
use self::times::{Moment, Times, moment};

use super::roster::{Roster, push_once};
use super::{BadRow, FileError, Note, Report, decode, quoted, trim};

/// Reads a calendar.
///
/// Of a series, the occurrences that start in `window` become lessons; single events and changed
/// occurrences do wherever they are. `lessons` are those of the table: their ids are taken.
///
/// # Errors
/// [`FileError::NotACalendar`] if the file is something else. An empty file is an empty calendar.
pub fn calendar(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    roster: &Roster,
    lessons: &[Lesson],
    window: &Range<Timestamp>,
    report: &mut Report,
) -> Result<Vec<Lesson>, FileError> {
    let components = Components::read(bytes);
    if !components.is_calendar && !trim(&decode(bytes)).is_empty() {
        return Err(FileError::NotACalendar { file: file.to_string() });
    }
    let times = Times::new(&settings.time_zone, &components.locations);
    let mut findings = Findings::default();
    for line in &components.unended {
        findings.bad(*line, "END", "the event has no END:VEVENT".into());
        findings.refused += 1;
    }
    let read = |component| findings.of_event(|findings| Event::read(component, &times, findings));
    let events: Vec<Event<'_>> = components.events.iter().filter_map(read).collect();
    let entries = entries(&events, roster, &mut findings);
    let mut ids: HashSet<String> = lessons.iter().map(|lesson| lesson.id.clone()).collect();
    let mut occurring = Vec::new();
    for (entry, lesson) in expand(&entries, window, &times) {
        if ids.insert(lesson.id.clone()) {
            occurring.push(lesson);
        } else {
            let reason = format!("ignored: there is a lesson {} already", quoted(&lesson.id));
            findings.note(entry.event.component().line, &entry.event.uid, reason);
        }
    }
    findings.hand_over(file, report);
    Ok(occurring)
}

/// An event with all that it needs to be a lesson.
struct Entry<'e> {
    event: &'e Event<'e>,
    /// The event that holds the series' rule, for one that replaces an occurrence.
    series: Option<&'e Event<'e>>,
    original: Option<Moment>,
    subject: String,
    teacher: String,
    students: Students,
}

/// Completes events from the series that they belong to, and reports those that stay incomplete.
fn entries<'e>(events: &'e [Event<'e>], roster: &Roster, findings: &mut Findings) -> Vec<Entry<'e>> {
    let mut by_uid: HashMap<&str, &'e Event<'e>> = HashMap::new();
    for event in events.iter().filter(|event| event.original.is_none()) {
        by_uid.entry(event.uid.as_str()).or_insert(event);
    }
    let mut seen: HashSet<(&str, Option<Timestamp>)> = HashSet::new();
    let mut strangers: HashSet<(&str, String)> = HashSet::new();
    let mut entries = Vec::new();
    for event in events {
        let series = event.original.as_ref().and_then(|_| by_uid.get(event.uid.as_str()).copied());
        let original = event.original.clone().map(|when| moment(when, &series.unwrap_or(event).start));
        if !seen.insert((event.uid.as_str(), original.as_ref().map(Moment::instant))) {
            let reason = format!("an event before has the id {}", quoted(&event.uid));
            findings.bad(event.component().line_of("UID"), "UID", reason);
            findings.refused += 1;
            continue;
        }
        let subject = event.subject.clone().or_else(|| series?.subject.clone());
        let teacher = event.teacher.clone().or_else(|| series?.teacher.clone());
        for (column, is_missing) in [("SUMMARY", subject.is_none()), ("ORGANIZER", teacher.is_none())] {
            if is_missing {
                findings.missing(event.component(), column);
            }
        }
        let (Some(subject), Some(teacher)) = (subject, teacher) else {
            findings.refused += 1;
            continue;
        };
        let mut students = Students::default();
        for address in &event.attendees {
            let contacts = roster.with_email(address);
            for contact in contacts {
                push_once(&mut students.contacts, contact);
            }
            if contacts.is_empty() && strangers.insert((event.uid.as_str(), address.to_lowercase())) {
                findings.note(event.component().line, &event.uid, format!("attendee {} is no contact", quoted(address)));
            }
        }
        entries.push(Entry { event, series, original, subject, teacher, students });
    }
    entries
}

/// The lessons of all entries, in the order of the file, those of a series in their own order.
fn expand<'e>(entries: &'e [Entry<'e>], window: &Range<Timestamp>, times: &Times<'_>) -> Vec<(&'e Entry<'e>, Lesson)> {
    let replaced = |entry: &'e Entry<'e>| Some((entry.event.uid.as_str(), entry.original.as_ref()?.instant()));
    let replaced: BTreeSet<(&str, Timestamp)> = entries.iter().filter_map(replaced).collect();
    let mut lessons = Vec::new();
    for entry in entries {
        let event = entry.event;
        let start = event.start.instant();
        if let Some(original) = &entry.original {
            lessons.push((entry, entry.lesson(entry.replacing(original), start)));
        } else if event.is_series() {
            for (at, wall) in event.occurrences(window, &times.utc) {
                if !replaced.contains(&(event.uid.as_str(), at)) {
                    lessons.push((entry, entry.lesson(occurrence_id(&event.uid, wall), at)));
                }
            }
        } else if !replaced.contains(&(event.uid.as_str(), start)) {
            lessons.push((entry, entry.lesson(event.uid.clone(), start)));
        }
    }
    lessons
}

impl Entry<'_> {
    /// The id of the occurrence that this entry replaces.
    fn replacing(&self, original: &Moment) -> String {
        match self.series {
            Some(single) if !single.is_series() && single.start.instant() == original.instant() => single.uid.clone(),
            Some(series) => occurrence_id(&series.uid, original.wall_in(&series.start.zone)),
            None => occurrence_id(&self.event.uid, original.wall),
        }
    }

    fn lesson(&self, id: String, starts_at: Timestamp) -> Lesson {
        Lesson {
            id,
            subject: self.subject.clone(),
            teacher: self.teacher.clone(),
            starts_at,
            time_zone: self.event.start.lesson_zone.clone(),
            students: self.students.clone(),
            course: None,
            duration_minutes: self.event.duration_minutes,
            status: self.event.status,
            version: first_version(),
            changed_at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// `UID/20260309T150000`.
fn occurrence_id(uid: &str, wall: DateTime) -> String {
    format!("{uid}/{}", wall.strftime("%Y%m%dT%H%M%S"))
}

/// What was found in a calendar. It is read in two passes, and reported in the order of its lines.
#[derive(Default)]
struct Findings {
    bad: Vec<(u64, String, String)>,
    notes: Vec<(u64, String, String)>,
    /// Events in which something is bad: none of them is used.
    refused: u32,
}

impl Findings {
    /// What is read of one event, which counts as refused if anything bad is found in it.
    fn of_event<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.bad.len();
        let read = read(self);
        self.refused += u32::from(self.bad.len() > before);
        read
    }

    fn bad(&mut self, line: u64, column: &str, reason: String) {
        self.bad.push((line, column.to_string(), reason));
    }

    fn missing(&mut self, component: &Component, column: &str) {
        let what = if component.first(column).is_some() { "empty" } else { "missing" };
        // Most calendars that people keep for themselves have none.
        let hint = if column == "ORGANIZER" { "; it names the teacher, and each ATTENDEE a student by e-mail" } else { "" };
        self.bad(component.line_of(column), column, format!("{what}{hint}"));
    }

    fn note(&mut self, line: u64, uid: &str, reason: String) {
        self.notes.push((line, uid.to_string(), reason));
    }

    fn hand_over(mut self, file: &str, report: &mut Report) {
        self.bad.sort_by_key(|(line, ..)| *line);
        self.notes.sort_by_key(|(line, ..)| *line);
        let file = file.to_string();
        report.refused += self.refused;
        report.bad.extend(self.bad.into_iter().map(|(line, column, reason)| BadRow {
            file: file.clone(),
            line,
            column,
            reason,
            refused: true,
        }));
        report.notes.extend(self.notes.into_iter().map(|(_, uid, reason)| Note { file: file.clone(), uid, reason }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
