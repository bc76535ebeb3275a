//! Batches: many messages that were asked for at once.
//!
//! A batch is accepted by one transaction that stores it and all its rows. The messages themselves
//! come to be from the rows, under derived ids, as often as it takes: until they all exist, the batch
//! stands in the due index, where the minute tick finds it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::{self, Lane, SK};
use super::rows;
use super::table::{Item, StoreError, Table, key_of, number, string};
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
    /// How many rows were asked for; those that are not refused are messages, but for contacts that were forgotten
    /// before their messages were made.
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

const SEALED: &[&str] = &["name"];
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
    let (rows, errors) = (rows::chunks(rows)?, rows::chunks(errors)?);
    if rows.size.saturating_add(errors.size) > rows::LARGEST {
        return Ok(Created::TooLarge);
    }
    batch.chunks = rows.chunks.len() as u32;
    batch.chunks_of_errors = errors.chunks.len() as u32;
    let expires = batch.created_at + KEEP;
    const NEW: &str = "attribute_not_exists(pk)";
    let mut writes = vec![key, Write::put(table, item(table, tenant, batch)?, NEW, HashMap::new())?];
    writes.extend(rows::writes(table, &rows, |chunk| keys::batch_rows(tenant, &batch.id, chunk), expires)?);
    writes.extend(rows::writes(table, &errors, |chunk| keys::batch_errors(tenant, &batch.id, chunk), expires)?);
    Ok(if write_all_if(table, writes).await? { Created::New } else { Created::Known })
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Batch>, StoreError> {
    table.get(&keys::batch(tenant, id)).await?.map(|item| batch(table, item)).transpose()
}

/// The rows of one chunk of a batch.
pub async fn rows(table: &Table, tenant: &TenantId, id: &str, chunk: u32) -> Result<Vec<Message>, StoreError> {
    rows::read(table, &keys::batch_rows(tenant, id, chunk)).await
}

/// What is wrong with the rows that were refused.
pub async fn errors(table: &Table, tenant: &TenantId, batch: &Batch) -> Result<Vec<FieldError>, StoreError> {
    let keys = (0..batch.chunks_of_errors).map(|chunk| keys::batch_errors(tenant, &batch.id, chunk)).collect();
    let mut errors: Vec<FieldError> = rows::read_many(table, keys).await?;
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

/// Every batch that is still kept, the earliest first.
pub async fn all(table: &Table, tenant: &TenantId) -> Result<Vec<Batch>, StoreError> {
    let entries = table.query_all(&keys::batches(tenant), Some(keys::TIME), None).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut all = items.into_iter().map(|item| batch(table, item)).collect::<Result<Vec<Batch>, _>>()?;
    all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(all)
}

/// Takes the rows of a batch away whose messages all exist, or never will: they say no more than those.
pub async fn drop_rows(table: &Table, tenant: &TenantId, mut batch: Batch) -> Result<(), StoreError> {
    debug_assert!(matches!(batch.stage, Stage::Open | Stage::Canceled));
    if batch.chunks == 0 {
        return Ok(());
    }
    table.delete_many((0..batch.chunks).map(|chunk| keys::batch_rows(tenant, &batch.id, chunk)).collect()).await?;
    batch.chunks = 0;
    // Lost to somebody who changed it meanwhile, which does no harm: a chunk that is not there has no rows.
    update(table, tenant, &mut batch).await?;
    Ok(())
}

/// Takes those rows out of a batch that `is_out` says, if the batch is still as it was read. How many they are, or
/// `None` if it is not.
pub async fn drop_some(
    table: &Table,
    tenant: &TenantId,
    mut batch: Batch,
    is_out: impl Fn(&Message) -> bool,
) -> Result<Option<u32>, StoreError> {
    let expires = batch.created_at + KEEP;
    let mut dropped = 0;
    for chunk in 0..batch.chunks {
        let all = rows(table, tenant, &batch.id, chunk).await?;
        let kept: Vec<Message> = all.iter().filter(|row| !is_out(row)).cloned().collect();
        if kept.len() == all.len() {
            continue;
        }
        // One transaction takes an item only once: what stays goes behind the other chunks.
        let first = batch.chunks;
        let chunks = rows::chunks(&kept)?;
        let mut writes = vec![Write::delete(table, &keys::batch_rows(tenant, &batch.id, chunk))?];
        writes.extend(rows::writes(table, &chunks, |at| keys::batch_rows(tenant, &batch.id, first + at), expires)?);
        batch.chunks += chunks.chunks.len() as u32;
        let seen = HashMap::from([(":seen".to_string(), number(batch.revision))]);
        batch.revision += 1;
        writes.push(Write::put(table, item(table, tenant, &batch)?, "revision = :seen", seen)?);
        if !write_all_if(table, writes).await? {
            return Ok(None);
        }
        dropped += (all.len() - kept.len()) as u32;
    }
    Ok(Some(dropped))
}

fn item(table: &Table, tenant: &TenantId, batch: &Batch) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::batch(tenant, &batch.id), batch, SEALED)?;
    item.insert("expires".into(), number((batch.created_at + KEEP).as_second()));
    table.place(&mut item, keys::TIME, keys::batches(tenant), keys::instant_and(batch.created_at, &batch.id));
    if batch.stage == Stage::Opening {
        let (shard, entry) = keys::due_entry(tenant, &batch.id, batch.created_at, Lane::First);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    Ok(item)
}

pub(super) fn batch(table: &Table, item: Item) -> Result<Batch, StoreError> {
    debug_assert_eq!(string(&item, SK), "BATCH");
    table.value(item, SEALED)
}
