//! Long lists beside an item: cut into chunks that fit an item each, sealed, and written with it or not at all.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::Key;
use super::table::{StoreError, Table};
use super::transaction::Write;

#[derive(Serialize, Deserialize)]
struct Rows<T> {
    rows: Vec<T>,
    expires: i64,
}

const SEALED: &[&str] = &["rows"];
/// An item has at most 400 KB, and sealing adds little.
pub(super) const LARGEST_CHUNK: usize = 300_000;
/// More than this is not written in one transaction, which has at most 4 MB.
pub(super) const LARGEST: usize = 3_400_000;
const NEW: &str = "attribute_not_exists(pk)";

/// Parts of a list that fit an item each.
pub(super) struct Chunks<'a, T> {
    pub chunks: Vec<&'a [T]>,
    /// Of all together, in bytes; more than there can be, if one of them fits no item.
    pub size: usize,
}

pub(super) fn chunks<T: Serialize>(list: &[T]) -> Result<Chunks<'_, T>, StoreError> {
    let mut chunks = Vec::new();
    let (mut from, mut size, mut total) = (0, 0, 0);
    for (at, element) in list.iter().enumerate() {
        let length = serde_json::to_vec(element).map_err(|error| StoreError::Unreadable(Box::new(error)))?.len();
        if size + length > LARGEST_CHUNK {
            chunks.push(&list[from..at]);
            (from, size) = (at, 0);
        }
        size += length;
        total = if length > LARGEST_CHUNK { usize::MAX } else { total.saturating_add(length) };
    }
    if from < list.len() {
        chunks.push(&list[from..]);
    }
    Ok(Chunks { chunks, size: total })
}

/// What writes `chunks`, each under its key, to be kept until `expires`.
pub(super) fn writes<T: Serialize + Clone>(
    table: &Table,
    chunks: &Chunks<'_, T>,
    key: impl Fn(u32) -> Key,
    expires: Timestamp,
) -> Result<Vec<Write>, StoreError> {
    let write = |(at, chunk): (usize, &&[T])| {
        let rows = Rows { rows: chunk.to_vec(), expires: expires.as_second() };
        Write::put(table, table.item(&key(at as u32), &rows, SEALED)?, NEW, HashMap::new())
    };
    chunks.chunks.iter().enumerate().map(write).collect()
}

/// The rows of one chunk; none if it is not there.
pub(super) async fn read<T: DeserializeOwned>(table: &Table, key: &Key) -> Result<Vec<T>, StoreError> {
    let rows: Option<Rows<T>> = table.get(key).await?.map(|item| table.value(item, SEALED)).transpose()?;
    Ok(rows.map(|rows| rows.rows).unwrap_or_default())
}

/// The rows of many chunks, in no order of the chunks.
pub(super) async fn read_many<T: DeserializeOwned>(table: &Table, keys: Vec<Key>) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    for item in table.get_many(keys).await? {
        rows.extend(table.value::<Rows<T>>(item, SEALED)?.rows);
    }
    Ok(rows)
}
