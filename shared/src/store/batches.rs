//! Batches: many messages that were asked for at once.
//!
//! A batch is accepted by one transaction that stores it and all its rows. The messages themselves
//! come to be from the rows, under derived ids, as often as it takes: until they all exist, the batch
//! stands in the due index, where the minute tick finds it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::{self, SK};
use super::table::{Item, StoreError, Table, number, string};
use super::transaction::{Write, write_all_if, write_if};
use crate::domain::compose::FieldError;
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;

/// A batch, without its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// `batch_…`, derived.
    pub id: String,
    pub name: Option<String>,
    pub fingerprint: String,
    pub created_at: Timestamp,
    /// How many rows were asked for; those that are not refused are messages.
    pub asked: u32,
    /// The rows that are refused; what is wrong with them lies beside, as the rows do.
    pub refused: Vec<u32>,
    pub chunks: u32,
    pub chunks_of_errors: u32,
    pub stage: Stage,
    /// How long each sender is busy with it, in milliseconds.
    pub busy: BTreeMap<String, i64>,
    /// When each sender's first slot is, once the slots are taken.
    pub slots: BTreeMap<String, Timestamp>,
    pub revision: u32,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Kept until somebody lets it go (S3-26).
    Held,
    /// Its messages are being made.
    Opening,
    /// They all exist.
    Open,
    Canceled,
}

impl Batch {
    /// The rows that are messages.
    pub fn rows(&self) -> Vec<u32> {
        let refused: HashSet<&u32> = self.refused.iter().collect();
        (0..self.asked).filter(|row| !refused.contains(row)).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Rows<T> {
    rows: Vec<T>,
    expires: i64,
}

const SEALED: &[&str] = &["name"];
const SEALED_ROWS: &[&str] = &["rows"];
/// An item has at most 400 KB, and sealing adds little.
const LARGEST_CHUNK: usize = 300_000;
/// A transaction has at most 4 MB.
const LARGEST: usize = 3_400_000;
/// A batch is kept this long, to be asked about; its messages are kept as any.
const KEEP: SignedDuration = SignedDuration::from_hours(24 * 90);

/// What became of an attempt to store a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    New,
    /// There is one of this id.
    Known,
    /// More than one transaction holds.
    TooLarge,
}

/// Stores a batch with all its rows, what is wrong with the others, and its key; or nothing.
pub async fn create(
    table: &Table,
    tenant: &TenantId,
    batch: &mut Batch,
    rows: &[Message],
    errors: &[FieldError],
    key: Write,
) -> Result<Created, StoreError> {
    let (rows, errors) = (chunks(rows)?, chunks(errors)?);
    if rows.size + errors.size > LARGEST {
        return Ok(Created::TooLarge);
    }
    batch.chunks = rows.chunks.len() as u32;
    batch.chunks_of_errors = errors.chunks.len() as u32;
    let expires = (batch.created_at + KEEP).as_second();
    const NEW: &str = "attribute_not_exists(pk)";
    let mut writes = vec![key, Write::put(table, item(table, tenant, batch)?, NEW, HashMap::new())?];
    for (at, chunk) in rows.chunks.iter().enumerate() {
        let key = keys::batch_rows(tenant, &batch.id, at as u32);
        let item = table.item(&key, &Rows { rows: chunk.to_vec(), expires }, SEALED_ROWS)?;
        writes.push(Write::put(table, item, NEW, HashMap::new())?);
    }
    for (at, chunk) in errors.chunks.iter().enumerate() {
        let key = keys::batch_errors(tenant, &batch.id, at as u32);
        let item = table.item(&key, &Rows { rows: chunk.to_vec(), expires }, SEALED_ROWS)?;
        writes.push(Write::put(table, item, NEW, HashMap::new())?);
    }
    Ok(if write_all_if(table, writes).await? { Created::New } else { Created::Known })
}

/// Parts of a list that fit an item each.
struct Chunks<'a, T> {
    chunks: Vec<&'a [T]>,
    /// Of all together, in bytes.
    size: usize,
}

fn chunks<T: Serialize>(list: &[T]) -> Result<Chunks<'_, T>, StoreError> {
    let mut chunks = Vec::new();
    let (mut from, mut size, mut total) = (0, 0, 0);
    for (at, element) in list.iter().enumerate() {
        let length = serde_json::to_vec(element).map_err(|error| StoreError::Unreadable(Box::new(error)))?.len();
        if size + length > LARGEST_CHUNK {
            chunks.push(&list[from..at]);
            (from, size) = (at, 0);
        }
        size += length;
        total += length;
    }
    if from < list.len() {
        chunks.push(&list[from..]);
    }
    Ok(Chunks { chunks, size: total })
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Batch>, StoreError> {
    table.get(&keys::batch(tenant, id)).await?.map(|item| batch(table, item)).transpose()
}

/// The rows of one chunk of a batch.
pub async fn rows(table: &Table, tenant: &TenantId, id: &str, chunk: u32) -> Result<Vec<Message>, StoreError> {
    let item = table.get(&keys::batch_rows(tenant, id, chunk)).await?;
    let rows: Option<Rows<Message>> = item.map(|item| table.value(item, SEALED_ROWS)).transpose()?;
    Ok(rows.map(|rows| rows.rows).unwrap_or_default())
}

/// What is wrong with the rows that were refused.
pub async fn errors(table: &Table, tenant: &TenantId, batch: &Batch) -> Result<Vec<FieldError>, StoreError> {
    let keys = (0..batch.chunks_of_errors).map(|chunk| keys::batch_errors(tenant, &batch.id, chunk)).collect();
    let mut errors = Vec::new();
    for item in table.get_many(keys).await? {
        errors.extend(table.value::<Rows<FieldError>>(item, SEALED_ROWS)?.rows);
    }
    // In batches items come in no order; each row's errors lie together, in theirs.
    errors.sort_by_key(|error| error.row);
    Ok(errors)
}

/// Writes the next state of a batch that was read at its present revision. Whether that was still so.
pub async fn update(table: &Table, tenant: &TenantId, batch: &mut Batch) -> Result<bool, StoreError> {
    let seen = HashMap::from([(":seen".to_string(), number(batch.revision))]);
    batch.revision += 1;
    write_if(table, Write::put(table, item(table, tenant, batch)?, "revision = :seen", seen)?).await
}

fn item(table: &Table, tenant: &TenantId, batch: &Batch) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::batch(tenant, &batch.id), batch, SEALED)?;
    item.insert("expires".into(), number((batch.created_at + KEEP).as_second()));
    if batch.stage == Stage::Opening {
        let (shard, entry) = keys::due_entry(tenant, &batch.id, batch.created_at);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    Ok(item)
}

pub(super) fn batch(table: &Table, item: Item) -> Result<Batch, StoreError> {
    debug_assert_eq!(string(&item, SK), "BATCH");
    table.value(item, SEALED)
}
