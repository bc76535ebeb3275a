//! A campaign's file, read row by row: a part of it at a time, from any row on.
//!
//! It is split here and not by the `csv` crate, which does not tell a row that is cut off from one that is ended, and for
//! which a quote that is never closed is a row to the end of the file. Wherever a file is cut into parts, the same rows
//! come out of it.

use std::borrow::Cow;
use std::collections::HashSet;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use crate::domain::campaign::cells::without_fraction;
use crate::domain::campaign::layout::{Layout, Place, TextEncoding, Whom};
use crate::domain::contact::attribute_key;
use crate::domain::phone::{PhoneNumber, Region, Strictness};

use super::{decode_bytes, is_invisible, quoted, trim};

/// A row that is longer, in bytes of UTF-8, is not one: somewhere in it a quote was not closed.
const LONGEST: usize = 64 * 1024;
/// So much of a file in UTF-16 is made UTF-8 at once. A row of the longest fits twice.
const WINDOW: usize = 4 * LONGEST;
/// In so much of a file one sees whether it is text.
const HEAD: usize = 4096;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// ASCII's unit separator, which no table of ours is written with.
const NO_DELIMITER: u8 = 0x1F;

/// What a column of phone numbers is called, in letters and digits alone; the first of these that a file has is it.
const PHONE_COLUMNS: &[&str] = &[
    // Mobiles before any phone: a landline takes no text.
    "mobilephone",
    "mobilephonenumber",
    "mobilenumber",
    "mobileno",
    "mobile",
    "phonemobile",
    "cellphone",
    "cellphonenumber",
    "cellnumber",
    "cellno",
    "cell",
    "cellular",
    "handynummer",
    "handynr",
    "handy",
    "mobilnummer",
    "mobilnr",
    "mobiltelefon",
    "mobilfunknummer",
    "mobil",
    "mobiel",
    "gsm",
    "teléfonomóvil",
    "telefonomovil",
    "móvil",
    "movil",
    "teléfonocelular",
    "telefonocelular",
    "celular",
    "cellulare",
    "téléphoneportable",
    "telephoneportable",
    "téléphonemobile",
    "telephonemobile",
    "portable",
    "telemóvel",
    "telemovel",
    // The phone.
    "phone",
    "phonenumber",
    "phonenumbers",
    "phoneno",
    "phonenum",
    "phone1value",
    "phone1",
    "phonenumber1",
    "primaryphone",
    "primaryphonenumber",
    "customerphone",
    "customerphonenumber",
    "clientphone",
    "guestphone",
    "userphone",
    "recipientphone",
    "contactphone",
    "contactphonenumber",
    "contactnumber",
    "contactno",
    "billingphone",
    "defaultaddressphone",
    "homephone",
    "telephone",
    "telephonenumber",
    "telephoneno",
    "telephone1",
    "tel",
    "telno",
    "telnumber",
    "tel1",
    "téléphone",
    "numérodetéléphone",
    "numerodetelephone",
    "teléfono",
    "telefono",
    "númerodeteléfono",
    "numerodetelefono",
    "telefon",
    "telefonnummer",
    "telefonnr",
    "telefone",
    "telefoon",
    "telefoonnummer",
    "rufnummer",
    "msisdn",
    "e164",
    // A way to write to somebody; it may as well say whether that is wanted.
    "smsnumber",
    "smsphonenumber",
    "textnumber",
    "whatsappnumber",
    "sms",
    "whatsapp",
    // Anything may be called so.
    "recipient",
    "recipients",
    "to",
    "number",
    "numbers",
    "número",
    "numero",
    "nummer",
];
/// What a column of the ids of stored contacts is called.
const CONTACT_COLUMN: &str = "contactid";

/// Why no row of a file can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    #[error("the file is empty")]
    Empty,
    #[error("this is {0}, not a CSV file: save it as CSV (in Excel: Save As, CSV UTF-8) and send that file")]
    NotText(&'static str),
    #[error("the first row cannot be read: it is longer than 64 KB, or a quote in it is never closed")]
    BrokenHeader,
    #[error(
        "no column has the phone numbers: none is called phone, mobile, cell, telephone or the like, nor contact_id; the first \
         row says {has}. Name the column there, or say which it is (phoneColumn)"
    )]
    NoPhoneColumn { has: String },
    #[error("there is no column {asked}; the first row says {has}")]
    NoSuchColumn { asked: String, has: String },
}

/// One row while it is read.
#[derive(Clone, Copy)]
pub struct Fields<'r> {
    text: &'r str,
    unescaped: &'r str,
    spans: &'r [Span],
}

impl<'r> Fields<'r> {
    /// A value without what surrounds it unseen; empty if the row has no such column.
    pub fn get(&self, column: usize) -> &'r str {
        let Some(span) = self.spans.get(column) else { return "" };
        let text = if span.is_escaped { self.unescaped } else { self.text };
        text.get(span.start..span.end).map_or("", trim)
    }

    fn is_blank(&self) -> bool {
        (0..self.spans.len()).all(|column| self.get(column).is_empty())
    }
}

/// Where a field is. One that is not as it is written, for its quotes, is in the text beside the row's.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    is_escaped: bool,
}

/// How a file is laid out, read off the head of it, and where its first row is.
///
/// `bytes` begin with the file and have the whole header row. `phone_column` is the column of the numbers, whatever the
/// others are called. A file whose first row holds a usable number has no header: that column is `phone`, the others have no
/// name. Of columns that are there twice, the first counts; the others have no name.
///
/// # Errors
/// [`SheetError`] says what the file is, or what its header has.
pub fn layout(bytes: &[u8], region: &Region, phone_column: Option<&str>) -> Result<(Layout, Place), SheetError> {
    let (encoding, bom) = encoding(bytes);
    if let Some(kind) = other_kind(&bytes[bom..], encoding) {
        return Err(SheetError::NotText(kind));
    }
    let mut start = Place { part: 0, offset: offset(bom), line: 1 };
    let mut delimiters = DELIMITERS.to_vec();
    let line = first_row(bytes, encoding, NO_DELIMITER, start).ok_or(SheetError::Empty)?;
    if let Some(delimiter) = line.cells.as_ref().and_then(|cells| cells.first()).and_then(|cell| excel_delimiter(cell)) {
        delimiters = vec![delimiter];
        start = line.next;
    }
    let asked = phone_column.map(key).filter(|asked| !asked.is_empty());
    let mut best: Option<Head> = None;
    for delimiter in delimiters {
        let row = first_row(bytes, encoding, delimiter, start).ok_or(SheetError::Empty)?;
        let Some(cells) = row.cells else { continue };
        let head = head(delimiter, cells, row.next, region, asked.as_deref());
        if best.as_ref().is_none_or(|best| head.score() > best.score()) {
            best = Some(head);
        }
    }
    let head = best.ok_or(SheetError::BrokenHeader)?;
    let Some(whom) = head.whom else {
        let has = listed(&head.cells);
        return Err(match phone_column.filter(|_| asked.is_some()) {
            Some(asked) => SheetError::NoSuchColumn { asked: quoted(asked), has },
            None => SheetError::NoPhoneColumn { has },
        });
    };
    let place = if head.is_data { start } else { head.next };
    Ok((Layout { encoding, delimiter: head.delimiter, columns: head.columns, whom }, place))
}

/// Calls `each` with the first physical line and the fields of at most `most` rows that are not blank; without fields for
/// one that cannot be made out, after which the next line is read.
///
/// `bytes` are the file from the beginning of part `place.part` on, with which it ends if it `is_last`. Answers where the
/// next row begins, in the same bytes: no further than what can be read of them. Of a line that is longer than any row
/// may be, what is at hand is passed over, so that no more of it need be kept.
pub fn read(
    layout: &Layout,
    bytes: &[u8],
    place: Place,
    is_last: bool,
    most: usize,
    each: &mut dyn FnMut(u32, Option<Fields<'_>>),
) -> Place {
    let mut run = Run { delimiter: layout.delimiter, line: place.line, left: most, spans: Vec::new(), unescaped: String::new() };
    let mut at = (place.offset as usize).min(bytes.len());
    if layout.encoding == TextEncoding::Bytes {
        at += run.read(&bytes[at..], is_last, each);
    } else {
        loop {
            let rest = &bytes[at..];
            let window = &rest[..rest.len().min(WINDOW)];
            let is_end = is_last && window.len() == rest.len();
            let text = decode_utf16(window, layout.encoding, is_end);
            let read = run.read(text.as_bytes(), is_end, each);
            // Half a unit at the end of the file goes with what is before it.
            let read = if is_end && read == text.len() { window.len() } else { utf16_bytes(&text.as_bytes()[..read]) };
            at += read;
            if read == 0 || run.left == 0 {
                break;
            }
        }
    }
    Place { part: place.part, offset: offset(at), line: run.line }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What goes along from row to row.
struct Run {
    delimiter: u8,
    line: u32,
    /// How many rows may still be read.
    left: usize,
    spans: Vec<Span>,
    unescaped: String,
}

impl Run {
    /// How far rows were read.
    fn read(&mut self, text: &[u8], is_last: bool, each: &mut dyn FnMut(u32, Option<Fields<'_>>)) -> usize {
        let mut at = 0;
        while self.left > 0 && at < text.len() {
            let rest = &text[at..];
            let window = &rest[..rest.len().min(LONGEST)];
            match scan(window, self.delimiter, is_last && window.len() == rest.len(), &mut self.spans) {
                Scan::Row { end, next, lines } => {
                    self.row(&window[..end], each);
                    self.line += lines;
                    at += next;
                }
                Scan::Open if rest.len() <= LONGEST => break,
                Scan::Open | Scan::Broken => {
                    let Some(next) = line_end(rest, is_last) else {
                        // Enough is kept for the line to be seen as too long, whatever follows and though a character
                        // of up to four bytes were cut here.
                        at += rest.len().saturating_sub(LONGEST + 4);
                        break;
                    };
                    each(self.line, None);
                    self.left -= 1;
                    self.line += 1;
                    at += next;
                }
            }
        }
        at
    }

    /// Hands over the row that was scanned last, unless it is blank.
    fn row(&mut self, raw: &[u8], each: &mut dyn FnMut(u32, Option<Fields<'_>>)) {
        let text = decode_bytes(raw);
        if let Cow::Owned(text) = &text {
            // The same fields are elsewhere now.
            scan(text.as_bytes(), self.delimiter, true, &mut self.spans);
        }
        self.unescaped.clear();
        for span in self.spans.iter_mut().filter(|span| span.is_escaped) {
            let start = self.unescaped.len();
            unescape(text.get(span.start..span.end).unwrap_or_default(), &mut self.unescaped);
            (span.start, span.end) = (start, self.unescaped.len());
        }
        let fields = Fields { text: &text, unescaped: &self.unescaped, spans: &self.spans };
        if !fields.is_blank() {
            each(self.line, Some(fields));
            self.left -= 1;
        }
    }
}

/// What a text begins with.
enum Scan {
    /// A row up to `end`; the next begins at `next`, so many lines on.
    Row { end: usize, next: usize, lines: u32 },
    /// A quote that was opened on its first line is not closed, or not where a field ends.
    Broken,
    /// The text ends before the row does.
    Open,
}

/// Finds the fields of the row that a text begins with. Nothing follows a text that `is_whole`.
fn scan(text: &[u8], delimiter: u8, is_whole: bool, spans: &mut Vec<Span>) -> Scan {
    spans.clear();
    let (mut at, mut lines) = (0, 0);
    loop {
        let opening = past_spaces(text, at, delimiter);
        if text.get(opening) == Some(&b'"') {
            let quoted = closing_quote(text, opening + 1);
            lines += quoted.breaks;
            let after = quoted.close.map_or(text.len(), |close| past_spaces(text, close + 1, delimiter));
            if after == text.len() && !is_whole {
                return Scan::Open;
            }
            let end = field_end(text, after, delimiter);
            let is_closed = quoted.close.is_some() && end == after;
            if !is_closed && quoted.breaks > 0 {
                return Scan::Broken;
            }
            spans.push(match quoted.close {
                Some(close) if is_closed && !quoted.is_doubled => Span { start: opening + 1, end: close, is_escaped: false },
                _ => Span { start: opening, end, is_escaped: true },
            });
            at = end;
        } else {
            let end = field_end(text, at, delimiter);
            spans.push(Span { start: at, end, is_escaped: false });
            at = end;
        }
        match text.get(at) {
            Some(b'\n' | b'\r') => {
                let Some(next) = past_break(text, at, is_whole) else { return Scan::Open };
                return Scan::Row { end: at, next, lines: lines + 1 };
            }
            Some(_) => at += 1,
            None if is_whole => return Scan::Row { end: at, next: at, lines },
            None => return Scan::Open,
        }
    }
}

struct Quoted {
    close: Option<usize>,
    /// Quotes are written double in it.
    is_doubled: bool,
    /// How many lines end in it.
    breaks: u32,
}

/// Reads on behind an opening quote.
fn closing_quote(text: &[u8], from: usize) -> Quoted {
    let mut quoted = Quoted { close: None, is_doubled: false, breaks: 0 };
    let mut at = from;
    while let Some(byte) = text.get(at) {
        let next = text.get(at + 1);
        match byte {
            b'"' if next == Some(&b'"') => {
                quoted.is_doubled = true;
                at += 1;
            }
            b'"' => {
                quoted.close = Some(at);
                break;
            }
            b'\n' => quoted.breaks += 1,
            b'\r' if next != Some(&b'\n') => quoted.breaks += 1,
            _ => {}
        }
        at += 1;
    }
    quoted
}

fn field_end(text: &[u8], from: usize, delimiter: u8) -> usize {
    let ends = |byte: &u8| *byte == delimiter || *byte == b'\n' || *byte == b'\r';
    text[from..].iter().position(ends).map_or(text.len(), |length| from + length)
}

fn past_spaces(text: &[u8], from: usize, delimiter: u8) -> usize {
    let is_space = |byte: &&u8| (**byte == b' ' || **byte == b'\t') && **byte != delimiter;
    from + text[from..].iter().take_while(is_space).count()
}

/// Where the next line begins, if that can be said.
fn line_end(text: &[u8], is_whole: bool) -> Option<usize> {
    match text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(at) => past_break(text, at, is_whole),
        None => is_whole.then_some(text.len()),
    }
}

/// Past the CRLF, LF or lone CR that begins at `at`. The LF of a CR may be still to come.
fn past_break(text: &[u8], at: usize, is_whole: bool) -> Option<usize> {
    match (text.get(at), text.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Some(at + 2),
        (Some(b'\r'), None) if !is_whole => None,
        _ => Some(at + 1),
    }
}

/// What a field says that begins with a quote: doubled quotes are one, and what follows the closing one belongs to it.
fn unescape(field: &str, into: &mut String) {
    let mut rest = field.strip_prefix('"').unwrap_or(field);
    while let Some((before, after)) = rest.split_once('"') {
        into.push_str(before);
        let Some(doubled) = after.strip_prefix('"') else {
            rest = after;
            break;
        };
        into.push('"');
        rest = doubled;
    }
    into.push_str(rest);
}

/// How the file is encoded, and how long its byte order mark is, which some programs write twice.
fn encoding(bytes: &[u8]) -> (TextEncoding, usize) {
    match Encoding::for_bom(bytes) {
        Some((encoding, bom)) if encoding == UTF_16LE => (TextEncoding::Utf16Le, bom),
        Some((encoding, bom)) if encoding == UTF_16BE => (TextEncoding::Utf16Be, bom),
        _ => (TextEncoding::Bytes, 3 * bytes.chunks(3).take_while(|chunk| *chunk == b"\xEF\xBB\xBF").count()),
    }
}

/// Half a character at the end is left out, unless nothing follows. Half of one elsewhere becomes a U+FFFD, which is one
/// unit as well.
fn decode_utf16(bytes: &[u8], encoding: TextEncoding, is_whole: bool) -> String {
    let unit: fn([u8; 2]) -> u16 = if encoding == TextEncoding::Utf16Be { u16::from_be_bytes } else { u16::from_le_bytes };
    let (pairs, _) = bytes.as_chunks::<2>();
    let pairs = match pairs.split_last() {
        Some((last, before)) if !is_whole && (0xD800..0xDC00).contains(&unit(*last)) => before,
        _ => pairs,
    };
    let characters = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    characters.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// How many bytes a text in UTF-8 has in UTF-16. A character that is cut off counts as a whole one.
fn utf16_bytes(text: &[u8]) -> usize {
    let characters = text.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
    let pairs = text.iter().filter(|byte| **byte >= 0xF0).count();
    2 * (characters + pairs)
}

/// What it is, if it is no text.
fn other_kind(bytes: &[u8], encoding: TextEncoding) -> Option<&'static str> {
    const KINDS: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
        (b"\xD0\xCF\x11\xE0", "an old Excel workbook"),
        (b"%PDF", "a PDF"),
        // What some programs export as a spreadsheet.
        (b"<", "a web page"),
    ];
    let known = KINDS.iter().find(|(start, _)| bytes.trim_ascii_start().starts_with(start));
    let head = &bytes[..bytes.len().min(HEAD)];
    let has_nul = match encoding {
        TextEncoding::Bytes => head.contains(&0),
        TextEncoding::Utf16Le | TextEncoding::Utf16Be => decode_utf16(head, encoding, false).contains('\0'),
    };
    known.map(|(_, kind)| *kind).or(has_nul.then_some("binary data"))
}

/// The first row that holds anything.
struct FirstRow {
    /// `None`: it cannot be made out.
    cells: Option<Vec<String>>,
    next: Place,
}

fn first_row(bytes: &[u8], encoding: TextEncoding, delimiter: u8, from: Place) -> Option<FirstRow> {
    let layout = Layout { encoding, delimiter, columns: Vec::new(), whom: Whom::Number(0) };
    let mut first: Option<Option<Vec<String>>> = None;
    let next = read(&layout, bytes, from, true, 1, &mut |_, fields| {
        let cells =
            |fields: Fields<'_>| (0..fields.spans.len()).map(|column| fields.get(column).replace(is_invisible, "")).collect();
        first = Some(fields.map(cells));
    });
    first.map(|cells| FirstRow { cells, next })
}

/// The delimiter that a line `sep=;` tells Excel. Of `sep=` and a tab, the tab is not seen.
fn excel_delimiter(line: &str) -> Option<u8> {
    let (start, rest) = line.split_at_checked(4)?;
    match rest.as_bytes() {
        _ if !start.eq_ignore_ascii_case("sep=") => None,
        [] => Some(b'\t'),
        [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Some(*byte),
        _ => None,
    }
}

/// The first row as it is read with one delimiter.
struct Head {
    delimiter: u8,
    cells: Vec<String>,
    columns: Vec<String>,
    whom: Option<Whom>,
    /// It is a row like the others: the file has no header.
    is_data: bool,
    next: Place,
}

impl Head {
    fn score(&self) -> (bool, usize) {
        (self.whom.is_some(), self.cells.len())
    }
}

fn head(delimiter: u8, cells: Vec<String>, next: Place, region: &Region, asked: Option<&str>) -> Head {
    let mut names = HashSet::new();
    let unique = |name: String| if names.insert(name.clone()) { name } else { String::new() };
    let columns: Vec<String> = cells.iter().map(|cell| key(cell)).map(unique).collect();
    let whom = whom(&columns, asked);
    // No header has a number with its country; without that, a number may be anything else where the header is plain.
    let number = number(&cells, region).filter(|number| whom.is_none() || number.has_country && asked.is_none());
    match number {
        Some(number) => {
            let name = |at: usize| if at == number.column { "phone".to_string() } else { String::new() };
            let columns: Vec<String> = (0..cells.len()).map(name).collect();
            let whom = self::whom(&columns, asked);
            Head { delimiter, cells, columns, whom, is_data: true, next }
        }
        None => Head { delimiter, cells, columns, whom, is_data: false, next },
    }
}

fn key(name: &str) -> String {
    attribute_key(&name.replace(is_invisible, ""))
}

/// The column that says whom a row is for: the one asked for, else one of numbers, else one of contacts.
fn whom(columns: &[String], asked: Option<&str>) -> Option<Whom> {
    if let Some(asked) = asked {
        return columns.iter().position(|column| column == asked).map(Whom::Number);
    }
    let words: Vec<String> = columns.iter().map(|column| column.chars().filter(|c| c.is_alphanumeric()).collect()).collect();
    let called = |name: &str| words.iter().position(|word| word == name);
    let number = PHONE_COLUMNS.iter().find_map(|name| called(name));
    number.map(Whom::Number).or_else(|| called(CONTACT_COLUMN).map(Whom::Contact))
}

struct NumberCell {
    column: usize,
    has_country: bool,
}

/// The cell of a row that is somebody's number: the first with a `+`, else the only one that can be. Where there are more,
/// none is guessed, because strangers would be written to.
fn number(cells: &[String], region: &Region) -> Option<NumberCell> {
    let numbers = cells.iter().enumerate().filter(|(_, cell)| is_number(cell, region));
    let numbers: Vec<NumberCell> = numbers.map(|(column, cell)| NumberCell { column, has_country: cell.contains('+') }).collect();
    let is_only = numbers.len() == 1;
    numbers.into_iter().find(|number| number.has_country || is_only)
}

fn is_number(cell: &str, region: &Region) -> bool {
    // As in `whatsapp:+15551234567`.
    let cell = without_fraction(cell.rsplit(':').next().unwrap_or_default());
    !cell.chars().any(char::is_alphabetic) && !is_date(cell) && PhoneNumber::parse(cell, region, Strictness::Possible).is_ok()
}

/// `2026-01-15`, `15.1.2026`: in some countries a number.
fn is_date(cell: &str) -> bool {
    let groups = cell.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|length| *length > 0);
    let groups: Vec<usize> = groups.collect();
    matches!(groups[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4]) && !cell.contains('+')
}

/// The cells of a first row, for people. It may hold somebody's data where a header should be: what looks like an address
/// or a number is not shown.
fn listed(cells: &[String]) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&String> = cells.iter().filter(|cell| !cell.is_empty()).collect();
    let shown = names.iter().take(SHOWN).map(|name| {
        let is_personal = name.contains('@') || name.chars().filter(char::is_ascii_digit).count() > 6;
        if is_personal { "'…'".to_string() } else { quoted(&name.split_whitespace().collect::<Vec<_>>().join(" ")) }
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::utf16;
    use super::*;
    use encoding_rs::WINDOWS_1252;
    use proptest::prelude::*;

    type Rows = Vec<(u32, Option<Vec<String>>)>;

    fn us() -> Region {
        Region::try_from("US".to_string()).unwrap()
    }

    fn laid_out(text: &str) -> Layout {
        layout(text.as_bytes(), &us(), None).unwrap().0
    }

    fn refused(text: &str, phone_column: Option<&str>) -> String {
        layout(text.as_bytes(), &us(), phone_column).unwrap_err().to_string()
    }

    /// A text in UTF-8 without and with a byte order mark, UTF-16 in both orders, and Windows-1252.
    fn files(text: &str) -> [Vec<u8>; 5] {
        let little = utf16(text);
        let big = little.chunks(2).flat_map(|unit| unit.iter().rev().copied().collect::<Vec<u8>>()).collect();
        let old = WINDOWS_1252.encode(text).0.into_owned();
        [text.as_bytes().to_vec(), [&b"\xEF\xBB\xBF"[..], text.as_bytes()].concat(), little, big, old]
    }

    fn read_into(rows: &mut Rows, layout: &Layout, bytes: &[u8], place: Place, is_last: bool, most: usize) -> Place {
        read(layout, bytes, place, is_last, most, &mut |line, fields| {
            let values = |fields: Fields<'_>| (0..fields.spans.len()).map(|column| fields.get(column).to_string()).collect();
            rows.push((line, fields.map(values)));
        })
    }

    fn whole(layout: &Layout, bytes: &[u8], place: Place) -> Rows {
        let mut rows = Vec::new();
        let end = read_into(&mut rows, layout, bytes, place, true, usize::MAX);
        assert_eq!(end.offset as usize, bytes.len());
        rows
    }

    fn rows(text: &str) -> Rows {
        let (layout, place) = layout(text.as_bytes(), &us(), None).unwrap();
        whole(&layout, text.as_bytes(), place)
    }

    /// The rows of a file in two parts: what was not read of the first is read with the second.
    fn cut(layout: &Layout, bytes: &[u8], place: Place, at: usize) -> Rows {
        let mut rows = Vec::new();
        let place = read_into(&mut rows, layout, &bytes[..at], place, false, usize::MAX);
        let left = &bytes[place.offset as usize..];
        let end = read_into(&mut rows, layout, left, Place { part: 1, offset: 0, line: place.line }, true, usize::MAX);
        assert_eq!((end.part, end.offset as usize), (1, left.len()));
        rows
    }

    /// The rows of a file in many parts, and how many bytes of it were at hand at the most.
    fn in_parts(layout: &Layout, bytes: &[u8], mut place: Place, size: usize) -> (Rows, usize) {
        let (mut rows, mut at_hand, mut most) = (Vec::new(), Vec::new(), 0usize);
        let mut parts = bytes[place.offset as usize..].chunks(size).peekable();
        while let Some(part) = parts.next() {
            at_hand.extend_from_slice(part);
            most = most.max(at_hand.len());
            place.offset = 0;
            place = read_into(&mut rows, layout, &at_hand, place, parts.peek().is_none(), usize::MAX);
            at_hand.drain(..place.offset as usize);
        }
        assert!(at_hand.is_empty());
        (rows, most)
    }

    fn one_by_one(layout: &Layout, bytes: &[u8], mut place: Place) -> Rows {
        let mut rows = Vec::new();
        loop {
            let before = rows.len();
            let next = read_into(&mut rows, layout, bytes, place, true, 1);
            assert!(rows.len() <= before + 1);
            if next == place {
                return rows;
            }
            place = next;
        }
    }

    fn row(line: u32, values: &[&str]) -> (u32, Option<Vec<String>>) {
        (line, Some(values.iter().map(ToString::to_string).collect()))
    }

    const NASTY: &str = concat!(
        "\r\nPhone,Name,Note\r\n",
        "+14155550100,Zoë,\"two\r\nlines, \"\"quoted\"\"\"\r\n",
        "\r\n,\"\" ,\r\n",
        " +14155550101 , \"Müller, Jan\" ,a,b\r\r\n",
        "\"+14155550102\"\n",
        "+14155550103,\"O\"Hara\",x\r",
        "+14155550104,\"broken\nby a \"quote\" in it\n",
        "+14155550105,5\" pipe\n",
        "+14155550106,\"ün",
    );

    #[test]
    fn every_encoding_and_every_cut_give_the_same_rows() {
        let expected = [
            row(3, &["+14155550100", "Zoë", "two\r\nlines, \"quoted\""]),
            row(7, &["+14155550101", "Müller, Jan", "a", "b"]),
            row(9, &["+14155550102"]),
            row(10, &["+14155550103", "OHara\"", "x"]),
            (11, None),
            row(12, &["by a \"quote\" in it"]),
            row(13, &["+14155550105", "5\" pipe"]),
            row(14, &["+14155550106", "ün"]),
        ];
        for bytes in files(NASTY) {
            let (layout, place) = layout(&bytes, &us(), None).unwrap();
            assert_eq!((place.part, place.line), (0, 3));
            assert_eq!((layout.delimiter, layout.whom), (b',', Whom::Number(0)));
            assert_eq!(layout.columns, ["phone", "name", "note"]);
            assert_eq!(whole(&layout, &bytes, place), expected);
            assert_eq!(one_by_one(&layout, &bytes, place), expected);
            for at in place.offset as usize..=bytes.len() {
                assert_eq!(cut(&layout, &bytes, place, at), expected, "cut at {at}");
            }
            for size in [1, 2, 3, 7, 50] {
                assert_eq!(in_parts(&layout, &bytes, place, size).0, expected, "parts of {size}");
            }
        }
    }

    #[test]
    fn a_row_that_is_not_ended_waits_for_the_rest() {
        let layout = laid_out("phone\n");
        let place = Place { part: 3, offset: 2, line: 7 };
        for text in ["x\n", "x\n+1415", "x\n+1415\r", "x\n\"+1415\"", "x\n\"+14\n15\n"] {
            let mut rows = Rows::new();
            assert_eq!(read_into(&mut rows, &layout, text.as_bytes(), place, false, 9), place, "{text:?}");
            assert!(rows.is_empty());
        }
        let mut rows = Rows::new();
        let next = read_into(&mut rows, &layout, b"x\n+1415\n\n+1416\n", place, false, 1);
        assert_eq!(next, Place { part: 3, offset: 8, line: 8 });
        assert_eq!(rows, [row(7, &["+1415"])]);
    }

    #[test]
    fn a_row_of_an_old_excel_among_rows_of_utf8() {
        let bytes = b"phone,name\n+14155550100,Zo\xEB,\xC3\n+14155550101,Zo\xC3\xAB\n+14155550102,\"\xC3\",\"\xA9\"\n";
        let (layout, place) = layout(bytes, &us(), None).unwrap();
        let expected =
            [row(2, &["+14155550100", "Zoë", "Ã"]), row(3, &["+14155550101", "Zoë"]), row(4, &["+14155550102", "Ã", "©"])];
        assert_eq!(whole(&layout, bytes, place), expected);
    }

    #[test]
    fn columns_are_compared_without_what_is_not_seen() {
        let layout = laid_out("\u{FEFF}\u{FEFF}\"Phone\u{200B} Number\";\"First-Name\";;first_name;\"Last\nOrder Date\"\n");
        assert_eq!(layout.columns, ["phonenumber", "firstname", "", "", "lastorderdate"]);
        let layout = laid_out("Last_Order Date\t\u{200E}Tel.\u{A0}\tTel\r");
        assert_eq!((layout.delimiter, layout.whom), (b'\t', Whom::Number(1)));
        assert_eq!(layout.columns, ["lastorderdate", "tel.", "tel"]);
    }

    #[test]
    fn the_column_of_the_numbers_is_found() {
        for (header, column) in [
            ("phone", 0),
            ("customer_name,phone_number,last_order_date", 1), // S2-16
            ("name,Phone Number *", 1),
            ("name|MOBILE|mail", 1),
            ("Name;Handynummer", 1),
            ("Nom;Téléphone", 1),
            ("Nom;Te\u{301}le\u{301}phone", 1),
            ("Nombre,Móvil", 1),
            ("Name,Phone 1 - Type,Phone 1 - Value,Phone 2 - Value", 2),
            ("name,whatsapp", 1),
            ("To,Body", 0),
            // The better of several.
            ("number,to,phone", 2),
            ("Home Phone,Fax,Mobile Phone", 2),
            ("Telefon;Mobil", 1),
            ("order number,number,cell", 2),
            ("id,whatsapp,sms,phone", 3),
            ("contact_id,phone", 1),
            ("phone,name,phone", 0),
        ] {
            assert_eq!(laid_out(header).whom, Whom::Number(column), "{header}");
        }
        assert_eq!(laid_out("name,Contact ID").whom, Whom::Contact(1));
        let (chosen, _) = layout(b"phone,Work - Line,contact_id", &us(), Some("work_line")).unwrap();
        assert_eq!(chosen.whom, Whom::Number(1));
        let (chosen, _) = layout(b"phone,name", &us(), Some(" ")).unwrap();
        assert_eq!(chosen.whom, Whom::Number(0));
    }

    #[test]
    fn a_header_without_it_is_told() {
        let error = refused("Name,Fax,bob@example.com,415 555 0100 0,\"two\nlines\"\n", None);
        assert!(error.ends_with(
            "nor contact_id; the first row says 'Name', 'Fax', '…', '…', 'two lines'. Name the column there, or say which it is \
             (phoneColumn)"
        ));
        assert_eq!(refused("phone,name\n", Some("Mobile")), "there is no column 'Mobile'; the first row says 'phone', 'name'");
        let many: Vec<String> = (0..30).map(|column| format!("{}{column}", "x".repeat(200))).collect();
        let error = refused(&many.join(","), None);
        assert!(error.contains("and 10 more") && error.chars().count() < 20 * 80, "{error}");
        assert_eq!(refused("\"phone\n,name\n", None), SheetError::BrokenHeader.to_string());
        assert_eq!(refused(&"x".repeat(LONGEST + 1), None), SheetError::BrokenHeader.to_string());
    }

    #[test]
    fn a_file_may_have_no_header() {
        let cases: [(&str, u8, &[&str]); 5] = [
            ("+14155550100\n+14155550101\n", b',', &["phone"]),
            ("\n(415) 555-0100;Bob;2026-01-15\n", b';', &["phone", "", ""]),
            ("Bob,Cell,+14155550100\n", b',', &["", "", "phone"]),
            ("1234567890,whatsapp:+14155550100\n", b',', &["", "phone"]),
            ("Bob;4155550100.0\n", b';', &["", "phone"]),
        ];
        for (text, delimiter, columns) in cases {
            let (layout, place) = layout(text.as_bytes(), &us(), None).unwrap();
            assert_eq!(layout.delimiter, delimiter);
            assert_eq!(layout.columns, columns);
            let number = columns.iter().position(|column| *column == "phone").unwrap();
            assert_eq!((layout.whom, place.offset, place.line), (Whom::Number(number), 0, 1));
            assert!(whole(&layout, text.as_bytes(), place)[0].1.as_ref().unwrap()[number].contains("555"));
        }
        assert_eq!(layout(b"Bob,+14155550100\n", &us(), Some("Phone")).unwrap().0.whom, Whom::Number(1));
        assert!(refused("Bob,+14155550100\n", Some("mobile")).contains("'Bob', '…'"));
        // Two that may be one: the header has to say which.
        assert!(layout(b"4155550100,Bob,4155550101\n", &us(), None).is_err());
        // A name that could be a number does not make a header a row, and a date is no number.
        assert_eq!(laid_out("phone,4155550100\n").columns, ["phone", "4155550100"]);
        let germany = Region::try_from("DE".to_string()).unwrap();
        assert!(layout(b"Jan,15.01.2026\n", &germany, None).is_err());
    }

    #[test]
    fn excel_is_told_the_delimiter_in_a_line_of_its_own() {
        for (text, delimiter) in [
            ("sep=;\r\nphone;a,b,c,d\r\n", b';'),
            ("\"SEP=|\"\nphone|a\n", b'|'),
            ("sep=\t\nphone\ta\n", b'\t'),
            ("sep=^\nphone^a\n", b'^'),
        ] {
            for bytes in files(text) {
                let (layout, place) = layout(&bytes, &us(), None).unwrap();
                assert_eq!((layout.delimiter, layout.columns.len(), place.line), (delimiter, 2, 3), "{text}");
                assert_eq!(place.offset as usize, bytes.len());
            }
        }
        assert_eq!(refused("sep=;\n\n", None), SheetError::Empty.to_string());
    }

    #[test]
    fn what_is_no_table_is_told() {
        let cases: [(&[u8], &str); 11] = [
            (b"PK\x03\x04\x14\x00", "an Excel workbook or a ZIP archive, not a CSV file: save it as CSV"),
            (b"\xD0\xCF\x11\xE0\xA1", "an old Excel workbook"),
            (b"%PDF-1.7\n", "a PDF"),
            (b"\xEF\xBB\xBF\n<html><table>", "a web page"),
            (b"p\0h\0o\0n\0e\0\n\0", "binary data"),
            (b"\xFF\xFE\0\0p\0\0\0", "binary data"),
            (b"", "the file is empty"),
            (b"\xEF\xBB\xBF", "the file is empty"),
            (b"\xFF\xFE", "the file is empty"),
            (b"\xFF\xFE\n", "the file is empty"),
            (b" \r\n\r\n ;;\n", "the file is empty"),
        ];
        for (bytes, what) in cases {
            let error = layout(bytes, &us(), None).unwrap_err().to_string();
            assert!(error.contains(what), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_its_line_alone() {
        let expected = [(2, None), row(3, &["+14155550101", "Al"]), row(4, &["+14155550102", "Cy, C"])];
        assert_eq!(rows("phone,name\n+14155550100,\"Bob\n+14155550101,Al\n+14155550102,\"Cy, C\"\n"), expected);
        assert_eq!(rows("phone,name\n+14155550100,\"Bob\n+14155550101,Al\n+14155550102,Cy\n")[..2], expected[..2]);
        assert_eq!(rows("phone,name\n+14155550100,\"Bob"), [row(2, &["+14155550100", "Bob"])]);

        let text = format!("phone,name\n+14155550100,\"Bob\n{}", "+14155550101,Al\n".repeat(5000));
        let (layout, place) = layout(text.as_bytes(), &us(), None).unwrap();
        let mut read = Rows::new();
        let end = read_into(&mut read, &layout, text.as_bytes(), place, false, usize::MAX);
        assert_eq!((end.offset as usize, end.line), (text.len(), 5003));
        assert_eq!((read.len(), &read[..2]), (5001, &expected[..2]));
        for at in [20, 30, LONGEST, LONGEST + 11, LONGEST + 12, LONGEST + 13, 75_000] {
            assert_eq!(cut(&layout, text.as_bytes(), place, at), read, "cut at {at}");
        }
    }

    #[test]
    fn a_line_without_end_is_one_bad_row_and_is_not_kept() {
        let text = format!("phone,name\n{}\r\n+14155550101,Al\r\n{}", "x,😀".repeat(40_000), "y".repeat(LONGEST + 1));
        let expected = [(2, None), row(3, &["+14155550101", "Al"]), (4, None)];
        for (bytes, width) in [(text.clone().into_bytes(), 1), (utf16(&text), 2)] {
            let (layout, place) = layout(&bytes, &us(), None).unwrap();
            assert_eq!(whole(&layout, &bytes, place), expected);
            let (rows, most) = in_parts(&layout, &bytes, place, 20_011);
            assert_eq!(rows, expected);
            assert!(most <= width * (LONGEST + 8) + 20_011, "{most}");
        }
    }

    #[test]
    fn a_row_may_be_as_long_as_the_longest() {
        let layout = laid_out("phone\n");
        for (length, is_row) in [(LONGEST - 1, true), (LONGEST, true), (LONGEST + 1, false)] {
            let bytes = "x".repeat(length).into_bytes();
            let place = Place { part: 0, offset: 0, line: 2 };
            assert_eq!(whole(&layout, &bytes, place)[0].1.is_some(), is_row, "{length}");
            for at in [length - 1, length] {
                assert_eq!(cut(&layout, &bytes, place, at).len(), 1);
                assert_eq!(cut(&layout, &bytes, place, at)[0].1.is_some(), is_row, "{length} cut at {at}");
            }
        }
    }

    #[test]
    fn a_long_file_in_utf16_is_read_as_one_in_utf8() {
        let mut text = "phone,name\n".to_string();
        for number in 0..8000 {
            text.push_str(&format!("+1415555{number:04},Zoë 😀 {number}\n"));
        }
        assert!(utf16(&text).len() > WINDOW);
        let [plain, _, little, big, _] = files(&text);
        let (layout_of_plain, start) = layout(&plain, &us(), None).unwrap();
        let expected = whole(&layout_of_plain, &plain, start);
        assert_eq!(expected.len(), 8000);
        for bytes in [little, big] {
            let (layout, place) = layout(&bytes, &us(), None).unwrap();
            assert!(whole(&layout, &bytes, place) == expected);
            let mut some = Rows::new();
            let next = read_into(&mut some, &layout, &bytes, place, false, 6000);
            assert_eq!((some.len(), next.line), (6000, 6002));
            assert!(whole(&layout, &bytes, next) == expected[6000..]);
        }
    }

    fn nasty() -> impl Strategy<Value = String> {
        let pieces = ["+14155550100", ",", ";", "\"", "\"\"", "\n", "\r", "\r\n", " ", "é", "😀", "\u{200B}", "x"];
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(text in nasty(), file in 0usize..5, cut_at: proptest::sample::Index, size in 1usize..20) {
            let bytes = files(&format!("phone,x\n{text}"))[file].clone();
            let (layout, place) = layout(&bytes, &us(), None).unwrap();
            let expected = whole(&layout, &bytes, place);
            let start = place.offset as usize;
            prop_assert_eq!(&cut(&layout, &bytes, place, start + cut_at.index(bytes.len() - start + 1)), &expected);
            prop_assert_eq!(&in_parts(&layout, &bytes, place, size).0, &expected);
            prop_assert_eq!(&one_by_one(&layout, &bytes, place), &expected);
        }

        #[test]
        fn what_is_written_is_read(
            written in proptest::collection::vec(proptest::collection::vec(nasty(), 2..4), 0..6),
            delimiter in proptest::sample::select(DELIMITERS.to_vec()),
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(Vec::new());
            for values in &written {
                writer.write_record(values).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let layout = Layout { encoding: TextEncoding::Bytes, delimiter, columns: Vec::new(), whom: Whom::Number(0) };
            let place = Place { part: 0, offset: 0, line: 1 };
            let read: Vec<Vec<String>> = whole(&layout, &bytes, place).into_iter().filter_map(|(_, values)| values).collect();
            let values = |values: &Vec<String>| values.iter().map(|value| trim(value).to_string()).collect::<Vec<_>>();
            let mut expected: Vec<Vec<String>> = written.iter().map(values).collect();
            expected.retain(|values| values.iter().any(|value| !value.is_empty()));
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>, text in nasty()) {
            let marked = |mark: &[u8]| [mark, &bytes[..]].concat();
            for bytes in [bytes.clone(), text.into_bytes(), marked(b"\xFF\xFE"), marked(b"\xFE\xFF")] {
                if let Ok((layout, place)) = layout(&bytes, &us(), None) {
                    whole(&layout, &bytes, place);
                }
                for encoding in [TextEncoding::Bytes, TextEncoding::Utf16Le, TextEncoding::Utf16Be] {
                    let layout = Layout { encoding, delimiter: b';', columns: Vec::new(), whom: Whom::Number(0) };
                    let place = Place { part: 0, offset: 0, line: 1 };
                    prop_assert_eq!(cut(&layout, &bytes, place, bytes.len() / 2), whole(&layout, &bytes, place));
                }
            }
        }
    }
}
