//! Tables: the rows of a CSV file with their line numbers, and what is wrong with each.
//!
//! Which columns there are, and what they mean, is decided by the file that asks.

use std::collections::{BTreeSet, HashMap, HashSet};

use csv::{ReaderBuilder, StringRecord};

use crate::domain::contact::attribute_key;

use super::{BadRow, FileError, Report, decode, is_invisible, quoted, trim};

/// A file's rows under its header. Blank rows are left out.
pub(super) struct Table {
    file: String,
    /// The first column of each name, by [`attribute_key`].
    columns: HashMap<String, usize>,
    /// Columns that nobody asked for, in the order of the file.
    extra: Vec<(String, usize)>,
    rows: Vec<(u64, StringRecord)>,
}

impl Table {
    /// # Errors
    /// [`FileError::MissingColumns`] names every one of `required` that the header does not have.
    pub(super) fn read(file: &str, bytes: &[u8], required: &[&str], optional: &[&str]) -> Result<Self, FileError> {
        let text = decode(bytes);
        let known: HashSet<String> = required.iter().chain(optional).map(|column| attribute_key(column)).collect();
        let mut records = Records::new(&text, delimiter(&text, &known));
        let mut columns = HashMap::new();
        let mut extra = Vec::new();
        for (index, name) in headers(&mut records).into_iter().enumerate() {
            if name.is_empty() || columns.contains_key(&name) {
                continue;
            }
            if !known.contains(&name) {
                extra.push((name.clone(), index));
            }
            columns.insert(name, index);
        }
        let missing = |column: &&&str| !columns.contains_key(&attribute_key(column));
        let missing: Vec<String> = required.iter().filter(missing).map(ToString::to_string).collect();
        if !missing.is_empty() {
            return Err(FileError::MissingColumns { file: file.to_string(), columns: missing });
        }
        Ok(Self { file: file.to_string(), columns, extra, rows: records.collect() })
    }

    /// The columns that the file has, by [`attribute_key`].
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.columns.keys().cloned().collect()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(move |(line, record)| Row { table: self, line: *line, record, bad: Vec::new(), rejected: false })
    }
}

/// One row while it is read. Ask for the columns in the order of reminders.md §5: what is wrong
/// is reported in the order in which it is found.
pub(super) struct Row<'t> {
    table: &'t Table,
    line: u64,
    record: &'t StringRecord,
    bad: Vec<BadRow>,
    rejected: bool,
}

impl<'t> Row<'t> {
    /// The trimmed value; empty if the row is too short or the file has no such column.
    pub(super) fn field(&self, column: &str) -> &'t str {
        self.table.columns.get(&attribute_key(column)).map_or("", |index| self.value(*index))
    }

    fn value(&self, index: usize) -> &'t str {
        self.record.get(index).map_or("", trim)
    }

    /// The values of a list. `|` separates as `;` does, for files whose delimiter is `;`.
    pub(super) fn list(&self, column: &str) -> Vec<&'t str> {
        self.field(column).split([';', '|']).map(trim).filter(|value| !value.is_empty()).collect()
    }

    /// Values of the columns that nobody asked for, by [`attribute_key`].
    pub(super) fn extra(&self) -> impl Iterator<Item = (String, String)> {
        let values = self.table.extra.iter().map(move |(name, index)| (name.clone(), self.value(*index).to_string()));
        values.filter(|(_, value)| !value.is_empty())
    }

    /// Reports the value and keeps the row.
    pub(super) fn report(&mut self, column: &str, reason: impl Into<String>) {
        let (file, line) = (self.table.file.clone(), self.line);
        self.bad.push(BadRow { file, line, column: column.to_string(), reason: reason.into(), refused: false });
    }

    /// Reports the value; the row is not used.
    pub(super) fn reject(&mut self, column: &str, reason: impl Into<String>) {
        self.report(column, reason);
        self.rejected = true;
    }

    pub(super) fn required(&mut self, column: &str) -> Option<&'t str> {
        let value = self.field(column);
        if value.is_empty() {
            self.reject(column, "empty");
            return None;
        }
        Some(value)
    }

    /// The `id`, which no accepted row may have had before.
    pub(super) fn new_id(&mut self, taken: &HashSet<String>) -> Option<String> {
        let id = self.required("id")?;
        if taken.contains(id) {
            self.reject("id", format!("a row before has the id {}", quoted(id)));
            return None;
        }
        if id.len() > super::LONGEST_ID {
            self.reject("id", super::too_long());
            return None;
        }
        Some(id.to_string())
    }

    /// Reads a value that must be there; `read` says why it cannot be read.
    pub(super) fn required_as<T>(&mut self, column: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.required(column)?;
        self.read(column, value, read)
    }

    /// Reads a value unless it is empty; `read` says why it cannot be read.
    pub(super) fn optional<T>(&mut self, column: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.field(column);
        if value.is_empty() {
            return None;
        }
        self.read(column, value, read)
    }

    fn read<T>(&mut self, column: &str, value: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match read(value) {
            Ok(read) => Some(read),
            Err(reason) => {
                self.reject(column, reason);
                None
            }
        }
    }

    /// Hands over what was found wrong, and what was read unless that rejects the row.
    pub(super) fn finish<T>(mut self, read: Option<T>, report: &mut Report) -> Option<T> {
        for bad in &mut self.bad {
            bad.refused = self.rejected;
        }
        report.refused += u32::from(self.rejected);
        report.bad.append(&mut self.bad);
        read.filter(|_| !self.rejected)
    }
}

/// One of some words: `not one of sms, whatsapp, both: 'pigeon'`.
pub(super) fn word<T>(read: impl FnOnce(&str) -> Option<T>, words: &str) -> impl FnOnce(&str) -> Result<T, String> {
    move |value| read(value).ok_or_else(|| format!("not one of {words}: {}", quoted(value)))
}

/// A value of some form: `not HH:MM-HH:MM: '9pm-8am'`.
pub(super) fn form<T>(read: impl FnOnce(&str) -> Option<T>, form: &str) -> impl FnOnce(&str) -> Result<T, String> {
    move |value| read(value).ok_or_else(|| format!("not {form}: {}", quoted(value)))
}

/// The delimiter under which the header has the most columns we know, then the most columns.
fn delimiter(text: &str, known: &HashSet<String>) -> u8 {
    let mut best = (b',', (0, 0));
    for delimiter in [b',', b';', b'\t'] {
        let names = headers(&mut Records::new(text, delimiter));
        let score = (names.iter().filter(|name| known.contains(*name)).count(), names.len());
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// The names of the columns, as they are compared: without case, spaces, `_` and `-`.
fn headers(records: &mut Records<'_>) -> Vec<String> {
    let header = records.next().map(|(_, header)| header).unwrap_or_default();
    header.iter().map(|name| attribute_key(&name.replace(is_invisible, ""))).collect()
}

/// Records that hold anything, each with its first physical line.
struct Records<'t> {
    reader: csv::Reader<&'t [u8]>,
    text: &'t [u8],
    /// How far lines have been counted, and the line there.
    counted: usize,
    line: u64,
}

impl<'t> Records<'t> {
    fn new(text: &'t str, delimiter: u8) -> Self {
        let text = text.as_bytes();
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text);
        Self { reader, text, counted: 0, line: 1 }
    }

    /// The physical line that a record read from `offset` begins on.
    ///
    /// The reader's own line numbers do not do: it reads blank lines, and the LF of a CRLF, as
    /// part of the next record, and does not count a lone CR.
    fn line_at(&mut self, offset: usize) -> u64 {
        let mut start = offset.min(self.text.len());
        while matches!(self.text.get(start), Some(b'\r' | b'\n')) {
            start += 1;
        }
        let ends_line = |at: &usize| match self.text[*at] {
            b'\n' => true,
            b'\r' => self.text.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += (self.counted..start).filter(ends_line).count() as u64;
        self.counted = self.counted.max(start);
        self.line
    }
}

impl Iterator for Records<'_> {
    type Item = (u64, StringRecord);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut record = StringRecord::new();
            if !self.reader.read_record(&mut record).ok()? {
                return None;
            }
            let holds_anything = record.iter().any(|field| !trim(field).is_empty());
            if holds_anything {
                let offset = record.position().map_or(0, csv::Position::byte);
                let line = self.line_at(usize::try_from(offset).unwrap_or(usize::MAX));
                return Some((line, record));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::utf16;
    use super::*;

    fn rows(text: &[u8]) -> Vec<(u64, String, String)> {
        let table = Table::read("t.csv", text, &["id", "due_date"], &["note"]).unwrap();
        table.rows().map(|row| (row.line, row.field("id").to_string(), row.field("due_date").to_string())).collect()
    }

    fn row(line: u64, id: &str, due: &str) -> (u64, String, String) {
        (line, id.to_string(), due.to_string())
    }

    #[test]
    fn delimiters_line_ends_and_encodings_are_told_apart() {
        for text in [
            "id,Due Date\nA,1\nB,2\n",
            "\u{FEFF}ID;DUE-DATE;x,y\r\nA;1\r\nB;2",
            "id\tdue_date\rA\t1\rB\t2\r",
            "\"\u{200B}id\u{A0}\",\"due_\u{FEFF}date\"\r\nA,1,more,fields\r\n B ,\u{A0}2\u{200B}\r\n",
            "note;id;due_date\n;A;1\n;B;2\n",
        ] {
            assert_eq!(rows(text.as_bytes()), [row(2, "A", "1"), row(3, "B", "2")], "{text}");
        }
        assert_eq!(rows(&utf16("id;due date\r\nZoë;1\r\n")), [row(2, "Zoë", "1")]);
    }

    #[test]
    fn a_row_stands_on_its_first_physical_line() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = [
                "",
                "id,due_date,note",
                "",
                "A,1,\"two",
                "\"\"quoted\"\" lines\"",
                " , ,",
                "",
                "B",
                "\"C",
                "c\",3",
                "",
                "D,4",
                "",
            ];
            let text = lines.join(end);
            let expected = [row(4, "A", "1"), row(8, "B", ""), row(9, &format!("C{end}c"), "3"), row(12, "D", "4")];
            assert_eq!(rows(text.as_bytes()), expected, "{end:?}");
        }
    }

    #[test]
    fn all_missing_columns_are_named_and_the_first_of_two_counts() {
        let error = Table::read("t.csv", b"name,phone\n1,2\n", &["id", "name", "due_date"], &[]).err().unwrap();
        assert_eq!(error.to_string(), "t.csv: the header has no column id, due_date");
        assert!(Table::read("t.csv", b"", &["id"], &[]).is_err());
        assert_eq!(rows(b"id,due_date,ID\nA,1,B\n"), [row(2, "A", "1")]);
    }

    #[test]
    fn no_bytes_are_too_strange() {
        for bytes in
            [&b"id,due_date\n\"A,1\nB"[..], b"\xFF\xFE\x00", b"\xEF\xBB\xBF", b"\0\0\0", b"id,due_date\n\"\"\"\r\r\n\"\n\xFF"]
        {
            if let Ok(table) = Table::read("t.csv", bytes, &["id", "due_date"], &[]) {
                assert!(table.rows().all(|row| row.line >= 2));
            }
        }
    }
}
