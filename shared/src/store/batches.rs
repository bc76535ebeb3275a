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
use super::transaction::{Patience, Refused, Write, transact, write_if};
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
    /// What is wrong with the others.
    pub refused: Vec<FieldError>,
    pub chunks: u32,
    pub stage: Stage,
    /// How long each sender is busy with it, in milliseconds.
    pub busy: BTreeMap<String, i64>,
    /// When each sender's first slot is, once the slots are taken.
    pub slots: BTreeMap<String, Timestamp>,
    /// Whether its messages wait for slots of their sender; otherwise their instant was chosen.
    pub paced: bool,
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
        let refused: HashSet<u32> = self.refused.iter().filter_map(|error| error.row).collect();
        (0..self.asked).filter(|row| !refused.contains(row)).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Rows {
    rows: Vec<Message>,
    expires: i64,
}

const SEALED: &[&str] = &["refused"];
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

/// Stores a batch with all its rows, or nothing. Fills `chunks`.
pub async fn create(table: &Table, tenant: &TenantId, batch: &mut Batch, rows: &[Message]) -> Result<Created, StoreError> {
    let Some(chunks) = chunks(rows)? else { return Ok(Created::TooLarge) };
    batch.chunks = chunks.len() as u32;
    let expires = (batch.created_at + KEEP).as_second();
    let mut patience = Patience::default();
    loop {
        let mut writes = vec![Write::put(table, item(table, tenant, batch)?, "attribute_not_exists(pk)", HashMap::new())?];
        for (at, chunk) in chunks.iter().enumerate() {
            let key = keys::batch_rows(tenant, &batch.id, at as u32);
            let rows = Rows { rows: chunk.to_vec(), expires };
            let rows = table.item(&key, &rows, SEALED_ROWS)?;
            writes.push(Write::put(table, rows, "attribute_not_exists(pk)", HashMap::new())?);
        }
        match transact(table, writes).await {
            Ok(()) => return Ok(Created::New),
            Err(Refused::Conditions(_)) => return Ok(Created::Known),
            Err(Refused::Busy) => patience.wait().await?,
            Err(Refused::Store(error)) => return Err(error),
        }
    }
}

fn chunks(rows: &[Message]) -> Result<Option<Vec<&[Message]>>, StoreError> {
    let mut chunks = Vec::new();
    let (mut from, mut size, mut total) = (0, 0, 0);
    for (at, row) in rows.iter().enumerate() {
        let length = serde_json::to_vec(row).map_err(|error| StoreError::Unreadable(Box::new(error)))?.len();
        if size + length > LARGEST_CHUNK {
            chunks.push(&rows[from..at]);
            (from, size) = (at, 0);
        }
        size += length;
        total += length;
    }
    chunks.push(&rows[from..]);
    Ok((total <= LARGEST).then_some(chunks))
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Batch>, StoreError> {
    table.get(&keys::batch(tenant, id)).await?.map(|item| batch(table, item)).transpose()
}

/// The rows of one chunk of a batch.
pub async fn rows(table: &Table, tenant: &TenantId, id: &str, chunk: u32) -> Result<Vec<Message>, StoreError> {
    let item = table.get(&keys::batch_rows(tenant, id, chunk)).await?;
    let rows: Option<Rows> = item.map(|item| table.value(item, SEALED_ROWS)).transpose()?;
    Ok(rows.map(|rows| rows.rows).unwrap_or_default())
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
