//! One `VEVENT`, read: when it is, who holds it, who comes, and how it repeats.
//! Source: RFC 5545, §3.6.1 and §3.8.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::civil::DateTime;
use jiff::{Span, SpanRelativeTo, Timestamp, Unit};

use crate::domain::lesson::LessonStatus;
use crate::domain::local_time::Zone;

use super::super::trim;
use super::Findings;
use super::content_lines::{Component, Property};
use super::recurrence::Rule;
use super::times::{Moment, Times, When};

/// An event with a time. What another event of its series may lend it is still optional.
pub(super) struct Event<'c> {
    component: &'c Component,
    pub uid: String,
    pub start: Moment,
    /// Which occurrence this one replaces, if it replaces one.
    pub original: Option<When>,
    pub subject: Option<String>,
    pub teacher: Option<String>,
    /// Addresses, as written.
    pub attendees: Vec<String>,
    pub status: LessonStatus,
    pub duration_minutes: Option<u32>,
    rules: Vec<Rule>,
    extra: Vec<Moment>,
    except: Vec<Moment>,
}

/// What an occurrence's id has beyond that of its series.
const OCCURRENCE: &str = "/20260309T150000";

impl<'c> Event<'c> {
    /// `None` if there is nothing to use: all-day events are noted, bad ones reported.
    pub(super) fn read(component: &'c Component, times: &Times<'_>, findings: &mut Findings) -> Option<Self> {
        let uid = component.first("UID").map(|uid| trim(&uid.value).to_string()).filter(|uid| !uid.is_empty());
        if uid.is_none() {
            findings.missing(component, "UID");
        }
        let fits = uid.as_ref().is_none_or(|uid| uid.len() + OCCURRENCE.len() <= super::super::LONGEST_ID);
        if !fits {
            findings.bad(component.line_of("UID"), "UID", super::super::too_long());
        }
        let mut good = uid.is_some() && fits;
        let mut time_of = |name: &str, findings: &mut Findings| {
            let read = times.when(component.first(name)?);
            good &= read.is_ok();
            read.map_err(|reason| findings.bad(component.line_of(name), name, reason)).ok()
        };
        let original = time_of("RECURRENCE-ID", findings);
        let start = time_of("DTSTART", findings);
        let start = match start.or_else(|| original.clone().filter(|_| component.first("DTSTART").is_none())) {
            Some(When::At(start)) => Some(start),
            Some(When::Day(_)) => {
                findings.note(component.line, &uid?, "all-day event ignored".into());
                return None;
            }
            None => {
                if component.first("DTSTART").is_none() {
                    findings.missing(component, "DTSTART");
                }
                None
            }
        };
        let (uid, start) = (uid.filter(|_| good)?, start?);
        let mut event = Self {
            component,
            uid,
            original,
            subject: component.first("SUMMARY").map(Property::text).filter(|subject| !subject.is_empty()),
            teacher: component.first("ORGANIZER").and_then(teacher),
            attendees: component.all("ATTENDEE").filter_map(address).map(str::to_string).collect(),
            status: status(component),
            duration_minutes: duration_minutes(component, times, &start),
            start,
            rules: Vec::new(),
            extra: Vec::new(),
            except: Vec::new(),
        };
        event.read_recurrence(times, findings).then_some(event)
    }

    /// Whether all of it could be read.
    fn read_recurrence(&mut self, times: &Times<'_>, findings: &mut Findings) -> bool {
        let component = self.component;
        if self.original.is_some() {
            let range = component.first("RECURRENCE-ID").and_then(|original| original.parameter("RANGE"));
            if range.is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE")) {
                let reason = "RANGE=THISANDFUTURE is not supported: only this occurrence is changed";
                findings.note(component.line, &self.uid, reason.into());
            }
            return true;
        }
        if component.first("EXRULE").is_some() {
            findings.note(component.line, &self.uid, "EXRULE is not supported: its occurrences take place".into());
        }
        let mut good = true;
        for property in component.all("RRULE") {
            match Rule::parse(&property.value, &self.start, &times.utc) {
                Ok(rule) => self.rules.push(rule),
                Err(reason) => {
                    findings.bad(property.line, "RRULE", reason);
                    good = false;
                }
            }
        }
        for (name, moments) in [("RDATE", &mut self.extra), ("EXDATE", &mut self.except)] {
            for property in component.all(name) {
                match times.moments(property, &self.start) {
                    Ok(read) => moments.extend(read),
                    Err(reason) => {
                        findings.bad(property.line, name, reason);
                        good = false;
                    }
                }
            }
        }
        good
    }

    pub(super) fn component(&self) -> &'c Component {
        self.component
    }

    pub(super) fn is_series(&self) -> bool {
        !self.rules.is_empty() || !self.extra.is_empty()
    }

    /// When this series takes place within `window`: instants, and the series' own wall clocks.
    pub(super) fn occurrences(&self, window: &Range<Timestamp>, utc: &Zone) -> BTreeMap<Timestamp, DateTime> {
        let zone = &self.start.zone;
        let first = self.rules.is_empty().then_some(self.start.wall);
        let ruled = self.rules.iter().flat_map(|rule| rule.walls(window, utc));
        let extra = self.extra.iter().map(|moment| moment.wall_in(zone));
        let except: BTreeSet<Timestamp> = self.except.iter().map(Moment::instant).collect();
        let all = first.into_iter().chain(ruled).chain(extra).map(|wall| (zone.instant(wall), wall));
        all.filter(|(at, _)| window.contains(at) && !except.contains(at)).collect()
    }
}

/// The organizer's name, else the address.
fn teacher(organizer: &Property) -> Option<String> {
    organizer.parameter("CN").or_else(|| address(organizer)).map(str::to_string)
}

/// The address behind `mailto:`, or in the parameter that holds it where the value is something else.
fn address(property: &Property) -> Option<&str> {
    let value = trim(&property.value);
    let is_mailto = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let address = if is_mailto { trim(&value[7..]) } else { property.parameter("EMAIL").unwrap_or(value) };
    (!address.is_empty()).then_some(address)
}

/// Tentative lessons take place, until they are cancelled.
fn status(component: &Component) -> LessonStatus {
    match component.first("STATUS") {
        Some(status) if trim(&status.value).eq_ignore_ascii_case("CANCELLED") => LessonStatus::Cancelled,
        _ => LessonStatus::Scheduled,
    }
}

/// From `DTEND` or `DURATION`; `None` if neither can be read: no message needs it.
fn duration_minutes(component: &Component, times: &Times<'_>, start: &Moment) -> Option<u32> {
    let minutes = if let Some(end) = component.first("DTEND") {
        match times.when(end).ok()? {
            When::At(end) => end.instant().duration_since(start.instant()).as_mins(),
            When::Day(_) => return None,
        }
    } else {
        let span: Span = trim(&component.first("DURATION")?.value).parse().ok()?;
        span.total((Unit::Minute, SpanRelativeTo::days_are_24_hours())).ok()? as i64
    };
    u32::try_from(minutes).ok().filter(|minutes| *minutes > 0)
}
