//! How a campaign's file is laid out, a place in it, and how large it may be. Read by `files::sheet`.

use serde::{Deserialize, Serialize};

use crate::domain::consent::normalised;

/// Bytes of a part: a request carries it well.
pub const LARGEST_PART: usize = 2 * 1024 * 1024;
/// Of one file.
pub const MOST_PARTS: u32 = 64;
/// Bytes of a file, 128 MiB: however it is cut, its parts hold no more.
pub const LARGEST_FILE: usize = MOST_PARTS as usize * LARGEST_PART;
/// Of one file: while it is planned, the numbers of all rows that go are remembered.
pub const MOST_ROWS: u32 = 2_000_000;

/// How the rows of a file are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub encoding: TextEncoding,
    pub delimiter: u8,
    /// The columns by [`attribute_key`](crate::domain::contact::attribute_key), in the order of the file; empty for one
    /// without a name.
    pub columns: Vec<String>,
    pub whom: Whom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoding {
    /// UTF-8; a row that is not is Windows-1252, of an old Excel.
    Bytes,
    Utf16Le,
    Utf16Be,
}

/// The column that says whom a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    Number(usize),
    /// The id of a stored contact.
    Contact(usize),
}

/// Where the next row of a file begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The part of the file, counted from 0.
    pub part: u32,
    /// In bytes from the beginning of that part.
    pub offset: u32,
    /// The physical line, counted from 1.
    pub line: u32,
}

/// The name of a column in letters and digits alone, without case and accents.
pub(super) fn plain(name: &str) -> String {
    normalised(name).replace(' ', "")
}
