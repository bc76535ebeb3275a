//! iCalendar's content lines: unfolded, taken apart, and sorted into the components they stand in.
//!
//! What a property means is not known here. Lines that are no property are passed over.
//! Source: RFC 5545, §3.1 and §3.4.

use std::borrow::Cow;
use std::collections::HashMap;

use encoding_rs::{Encoding, UTF_8};

use super::super::{decode, decode_bytes, physical_lines, trim};

/// `NAME;PARAMETER=value:value`, and its first physical line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property {
    pub line: u64,
    /// In upper case.
    pub name: String,
    /// Names in upper case; values without their quotes.
    parameters: Vec<(String, String)>,
    pub value: String,
}

impl Property {
    /// A parameter that is there and not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name)?;
        Some(trim(&found.1)).filter(|value| !value.is_empty())
    }

    /// The value as text, its escapes resolved.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.value.len());
        let mut chars = self.value.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n' | 'N') => text.push('\n'),
                    Some(escaped) => text.push(escaped),
                    None => {}
                },
                c => text.push(c),
            }
        }
        trim(&text).to_string()
    }
}

/// A `VEVENT`: its own properties, without those of alarms inside it.
#[derive(Debug)]
pub(super) struct Component {
    pub line: u64,
    properties: Vec<Property>,
}

impl Component {
    pub(super) fn first(&self, name: &str) -> Option<&Property> {
        self.all(name).next()
    }

    /// Where a property stands; where the event begins, if it has none.
    pub(super) fn line_of(&self, name: &str) -> u64 {
        self.first(name).map_or(self.line, |property| property.line)
    }

    pub(super) fn all<'c>(&'c self, name: &str) -> impl Iterator<Item = &'c Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }
}

/// What a calendar file holds that matters to us.
#[derive(Debug, Default)]
pub(super) struct Components {
    /// Whether anything says that this is a calendar at all.
    pub is_calendar: bool,
    pub events: Vec<Component>,
    /// Lines of `BEGIN:VEVENT` without an end: the file is cut off, or mixed up.
    pub unended: Vec<u64>,
    /// The IANA names that a calendar's own time zones claim to be, by `TZID`.
    pub locations: HashMap<String, String>,
}

impl Components {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut components = Self::default();
        let mut event: Option<Component> = None;
        let mut depth = 0_usize;
        let (mut zone, mut location) = (None, None);
        for property in properties(bytes) {
            let component = trim(&property.value).to_ascii_uppercase();
            match (property.name.as_str(), component.as_str(), &mut event) {
                ("BEGIN", "VCALENDAR", None) => components.is_calendar = true,
                ("BEGIN", "VEVENT", _) => {
                    components.unended.extend(event.take().map(|cut| cut.line));
                    event = Some(Component { line: property.line, properties: Vec::new() });
                    depth = 0;
                }
                ("END", "VEVENT", _) => components.events.extend(event.take()),
                ("END", "VCALENDAR", _) => components.unended.extend(event.take().map(|cut| cut.line)),
                ("BEGIN", _, Some(_)) => depth += 1,
                ("END", _, Some(_)) => depth = depth.saturating_sub(1),
                (_, _, Some(event)) if depth == 0 => event.properties.push(property),
                (_, _, Some(_)) => {}
                ("BEGIN", "VTIMEZONE", None) => (zone, location) = (None, None),
                ("TZID", _, None) => zone = Some(property.text()),
                ("X-LIC-LOCATION", _, None) => location = Some(property.text()),
                ("END", "VTIMEZONE", None) => components.locations.extend(zone.take().zip(location.take())),
                (_, _, None) => {}
            }
        }
        components.unended.extend(event.map(|cut| cut.line));
        components
    }
}

fn properties(bytes: &[u8]) -> impl Iterator<Item = Property> {
    unfolded(bytes).into_iter().filter_map(|(line, content)| property(line, &decode_bytes(&content)))
}

/// The content lines with the physical line that each begins on.
///
/// Unfolded as bytes, since some programs fold in the middle of a character.
fn unfolded(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
    for (line, content) in physical_lines(&utf8(bytes)) {
        match (content, lines.last_mut()) {
            ([b' ' | b'\t', folded @ ..], Some((_, unfolded))) => unfolded.extend_from_slice(folded),
            ([], _) => {}
            (content, _) => lines.push((line, content.to_vec())),
        }
    }
    lines
}

fn utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    match Encoding::for_bom(bytes) {
        Some((encoding, _)) if encoding != UTF_8 => Cow::Owned(decode(bytes).into_owned().into_bytes()),
        Some((_, bom)) => Cow::Borrowed(&bytes[bom..]),
        None => Cow::Borrowed(bytes),
    }
}

fn property(line: u64, text: &str) -> Option<Property> {
    let name_end = text.find([';', ':'])?;
    let mut parameters = Vec::new();
    let mut rest = &text[name_end..];
    while let Some(parameter) = rest.strip_prefix(';') {
        let end = end_of_parameter(parameter)?;
        let (name, value) = parameter[..end].split_once('=').unwrap_or((&parameter[..end], ""));
        parameters.push((trim(name).to_ascii_uppercase(), parameter_value(value)));
        rest = &parameter[end..];
    }
    let value = rest.strip_prefix(':')?.to_string();
    Some(Property { line, name: trim(&text[..name_end]).to_ascii_uppercase(), parameters, value })
}

/// The first `;` or `:` outside quotes; a quote that is never closed quotes nothing.
fn end_of_parameter(text: &str) -> Option<usize> {
    let mut quoted = false;
    let outside = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        !quoted && matches!(c, ';' | ':')
    });
    outside.map(|(at, _)| at).or_else(|| text.find([';', ':']))
}

/// Without its quotes, and with the escapes of RFC 6868 resolved.
fn parameter_value(value: &str) -> String {
    value.replace('"', "").replace("^'", "\"").replace("^n", " ").replace("^^", "^")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Property> {
        properties(text.as_bytes()).collect()
    }

    #[test]
    fn lines_are_unfolded_and_keep_their_first_line() {
        let properties = read("\u{FEFF}summary:Ear\r\n  Train\r\n\ting\r\n\r\nX:1\nno property\nY:2");

        let found: Vec<_> = properties.iter().map(|p| (p.line, p.name.as_str(), p.value.as_str())).collect();
        assert_eq!(found, [(1, "SUMMARY", "Ear Training"), (5, "X", "1"), (7, "Y", "2")]);
    }

    #[test]
    fn a_character_may_be_folded_in_its_middle() {
        let bytes = b"SUMMARY:Solf\xC3\r\n \xA8ge\r\n";
        assert_eq!(properties(bytes).next().unwrap().value, "Solfège");
    }

    #[test]
    fn quoted_parameters_hold_separators() {
        let properties = read("ORGANIZER;CN=\"Kim; Dr.: Sora\";role=CHAIR:mailto:kim@x.example\nA;CN=\"Kim:mailto:a\n");

        assert_eq!(properties[0].parameter("CN"), Some("Kim; Dr.: Sora"));
        assert_eq!(properties[0].parameter("ROLE"), Some("CHAIR"));
        assert_eq!(properties[0].value, "mailto:kim@x.example");
        assert_eq!((properties[1].parameter("CN"), properties[1].value.as_str()), (Some("Kim"), "mailto:a"));
    }

    #[test]
    fn escaped_text_is_text() {
        assert_eq!(read("SUMMARY: A\\, B\\; C\\\\D\\nE \n")[0].text(), "A, B; C\\D\nE");
    }

    #[test]
    fn alarms_are_skipped_and_cut_off_events_are_known() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Home\nX-LIC-LOCATION:Europe/Berlin\nEND:VTIMEZONE\n\
                    BEGIN:VEVENT\nUID:1\nBEGIN:VALARM\nUID:2\nEND:VALARM\nSUMMARY:S\nEND:VEVENT\nBEGIN:VEVENT\nUID:3\n";

        let components = Components::read(text.as_bytes());

        let event = &components.events[0];
        assert!(components.is_calendar);
        assert_eq!(event.all("UID").map(|uid| uid.value.as_str()).collect::<Vec<_>>(), ["1"]);
        assert_eq!(event.first("SUMMARY").unwrap().value, "S");
        assert_eq!(components.unended, [13]);
        assert_eq!(components.locations["Home"], "Europe/Berlin");
    }
}
