//! Campaigns: their terms and how far they are, their file while it is read, and their rows as planned.
//!
//! A file comes in parts and lies in pieces that fit an item each. It is planned chunk by chunk: each chunk's rows are
//! written in one transaction with the campaign that says it has them, so a crash repeats one chunk and skips none. The
//! messages come to be from the rows, under derived ids.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::{self, Key, Lane};
use super::page;
use super::table::{Item, Order, StoreError, Table, key_attributes, key_of, number};
use super::transaction::{Write, write_all_if, write_if};
use crate::domain::campaign::layout::{Layout, Place};
use crate::domain::campaign::summary::Summary;
use crate::domain::campaign::{PREFIX, Row, Terms};
use crate::domain::message::is_derived;
use crate::domain::money::Micros;
use crate::domain::tenant::TenantId;

/// A campaign, without its file and its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// `campaign_…`, derived.
    pub id: String,
    pub name: Option<String>,
    pub fingerprint: String,
    pub created_at: Timestamp,
    pub created_by: Option<String>,
    pub terms: Terms,
    /// Nothing goes before.
    pub send_at: Option<Timestamp>,
    /// Once planned it waits for somebody to let it go.
    pub is_held: bool,
    pub stage: Stage,
    /// Set while somebody, the budget or trouble holds it up.
    pub paused: Option<Pause>,
    /// What has to be mended before it goes on, for people.
    pub trouble: Option<String>,
    /// Why it failed, for people.
    pub failure: Option<String>,
    /// Of its file, once all are there.
    pub parts: u32,
    /// Read off the head of the file.
    pub layout: Option<Layout>,
    /// Where planning goes on.
    pub place: Place,
    /// How many chunks are planned.
    pub chunks: u32,
    pub summary: Summary,
    /// Which row's message is made next.
    pub next: Cursor,
    /// How many messages are made.
    pub made: u32,
    /// How many chunks the reconciler has been through, and how many messages it found missing and made.
    pub checked: u32,
    pub mended: u32,
    /// When it goes on.
    pub due_at: Timestamp,
    /// When the first message was made; when the last was checked, or it was canceled.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Nothing leaves: the tenant had no account when it was asked for, or the last messages were made.
    pub is_simulated: bool,
    /// Nothing is reserved for it any more.
    pub released: bool,
    pub revision: u32,
}

/// A row, by its chunk, its place in that, and its number in the file; all counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub chunk: u32,
    pub at: u32,
    pub row: u32,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Parts of its file are still to come.
    Uploading,
    /// Its rows are being weighed.
    Planning,
    /// All rows are weighed; somebody has to start it.
    Held,
    /// Its messages are being made and sent.
    Sending,
    /// All messages are made; whether one is missing is being looked at.
    Checking,
    Done,
    Canceled,
    /// Its file cannot be used.
    Failed,
}

/// Who holds a campaign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// Somebody asked for it.
    OnRequest,
    /// The month's limit does not cover the next message.
    Budget,
    /// None of its messages can go as things stand: [`Campaign::trouble`] says why.
    Trouble,
}

impl Campaign {
    /// Whether there is work on it that needs nobody.
    pub fn is_working(&self) -> bool {
        match self.stage {
            Stage::Planning | Stage::Checking => true,
            // One that stands still gives back what is reserved for it.
            Stage::Sending => self.paused.is_none() || !self.released,
            Stage::Uploading | Stage::Held => false,
            Stage::Done | Stage::Canceled | Stage::Failed => !self.released,
        }
    }

    /// When it may go. Nothing of it goes by itself while it may still be sent, however late that is.
    fn expires(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Uploading => Some(self.created_at + KEEP),
            Stage::Planning | Stage::Held | Stage::Sending | Stage::Checking => None,
            Stage::Done | Stage::Canceled | Stage::Failed => Some(self.finished_at.unwrap_or(self.created_at) + KEEP),
        }
    }

    /// Whether nothing will change it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Canceled | Stage::Failed)
    }
}

const SEALED: &[&str] = &["name", "terms", "layout", "failure", "summary"];
/// A campaign that is over and its rows are kept this long, to be asked about; its messages are kept as any.
const KEEP: SignedDuration = SignedDuration::from_hours(24 * 90);
/// A file that nobody finishes is kept this long.
const KEEP_FILE: SignedDuration = SignedDuration::from_hours(24 * 7);
/// An item has at most 400 KB, and sealing adds little.
const PIECE: usize = 300_000;
/// Rows of a chunk, in bytes of JSON: so many fit an item.
pub const LARGEST_CHUNK: usize = 300_000;
const NEW: &str = "attribute_not_exists(pk)";
/// The number of a chunk's first row.
const FIRST: &str = "first";

/// Stores a campaign and its key, or nothing. Whether neither was there.
pub async fn create(table: &Table, tenant: &TenantId, campaign: &Campaign, key: Write) -> Result<bool, StoreError> {
    let put = Write::put(table, item(table, tenant, campaign)?, NEW, HashMap::new())?;
    write_all_if(table, vec![key, put]).await
}

/// A campaign, if `id` is one.
pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Campaign>, StoreError> {
    if !is_derived(id, PREFIX) {
        return Ok(None);
    }
    table.get(&keys::campaign(tenant, id)).await?.map(|item| campaign(table, item)).transpose()
}

/// Those of `ids` that exist, by id.
pub async fn get_many(table: &Table, tenant: &TenantId, ids: &HashSet<&str>) -> Result<HashMap<String, Campaign>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::campaign(tenant, id)).collect()).await?;
    items.into_iter().map(|item| campaign(table, item).map(|campaign| (campaign.id.clone(), campaign))).collect()
}

/// At most `limit` campaigns, the latest first, after the entry `after`; and the entry after which the next page begins.
pub async fn page(
    table: &Table,
    tenant: &TenantId,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Campaign>, Option<String>), StoreError> {
    let (items, next) = page::of_time(table, &keys::campaigns(tenant), Order::Latest, after, limit).await?;
    let campaigns = items.into_iter().map(|item| campaign(table, item)).collect::<Result<_, _>>()?;
    Ok((campaigns, next))
}

/// Writes the next state of a campaign that was read at its present revision. Whether that was still so.
pub async fn update(table: &Table, tenant: &TenantId, campaign: &mut Campaign) -> Result<bool, StoreError> {
    let write = next(table, tenant, campaign)?;
    write_if(table, write).await
}

fn next(table: &Table, tenant: &TenantId, campaign: &mut Campaign) -> Result<Write, StoreError> {
    let seen = HashMap::from([(":seen".to_string(), number(campaign.revision))]);
    campaign.revision += 1;
    Write::put(table, item(table, tenant, campaign)?, "revision = :seen", seen)
}

/// A part's head: it is there before any of its pieces, so that they are found by it.
#[derive(Serialize, Deserialize)]
struct Part {
    pieces: u32,
    /// All of them are there.
    is_whole: bool,
    expires: i64,
}

/// Stores a part of a file, in place of what was there.
pub async fn put_part(
    table: &Table,
    tenant: &TenantId,
    id: &str,
    part: u32,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    let expires = (now + KEEP_FILE).as_second();
    let head = keys::campaign_part(tenant, id, part);
    let before = match table.get(&head).await? {
        Some(item) => table.value::<Part>(item, &[])?.pieces,
        None => 0,
    };
    let pieces = bytes.len().div_ceil(PIECE) as u32;
    let begun = Part { pieces: pieces.max(before), is_whole: false, expires };
    table.put_many(vec![table.item(&head, &begun, &[])?]).await?;
    for (piece, bytes) in (0..).zip(bytes.chunks(PIECE)) {
        let key = keys::campaign_piece(tenant, id, part, piece);
        let mut item = key_attributes(&key);
        item.insert("bytes".into(), AttributeValue::B(table.keyring().seal(&key.pk, bytes).into()));
        item.insert("expires".into(), number(expires));
        table.put_many(vec![item]).await?;
    }
    table.delete_many((pieces..before).map(|piece| keys::campaign_piece(tenant, id, part, piece)).collect()).await?;
    table.put_many(vec![table.item(&head, &Part { pieces, is_whole: true, expires }, &[])?]).await
}

/// A part of a file, if it is there.
pub async fn part(table: &Table, tenant: &TenantId, id: &str, part: u32) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(head) = table.get(&keys::campaign_part(tenant, id, part)).await? else { return Ok(None) };
    let Part { pieces, is_whole, .. } = table.value(head, &[])?;
    if !is_whole {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(pieces as usize * PIECE);
    for piece in 0..pieces {
        let key = keys::campaign_piece(tenant, id, part, piece);
        let Some(item) = table.get(&key).await? else { return Ok(None) };
        bytes.extend(opened_bytes(table, &key, &item, "bytes")?);
    }
    Ok(Some(bytes))
}

/// Which of the first `parts` parts of a file are not there.
pub async fn missing_parts(table: &Table, tenant: &TenantId, id: &str, parts: u32) -> Result<Vec<u32>, StoreError> {
    let mut missing: Vec<u32> = (0..parts).collect();
    for head in table.get_many(missing.iter().map(|part| keys::campaign_part(tenant, id, *part)).collect()).await? {
        let part = keys::part_number(&key_of(&head).sk);
        if table.value::<Part>(head, &[])?.is_whole {
            missing.retain(|missing| Some(*missing) != part);
        }
    }
    Ok(missing)
}

/// Takes the file away, once all its rows are planned or never will be. By its keys: nothing of it is read.
pub async fn drop_file(table: &Table, tenant: &TenantId, campaign: &Campaign) -> Result<(), StoreError> {
    let id = &campaign.id;
    let heads = keys::campaign_parts();
    for head in table.query_all(&keys::campaign(tenant, id).pk, None, Some(heads)).await? {
        let key = key_of(&head);
        let Some(part) = keys::part_number(&key.sk) else { continue };
        let pieces = table.value::<Part>(head, &[])?.pieces;
        // The head goes last: who comes again finds what is left by it.
        table.delete_many((0..pieces).map(|piece| keys::campaign_piece(tenant, id, part, piece)).collect()).await?;
        table.delete_many(vec![key]).await?;
    }
    table.delete_many((0..campaign.chunks).map(|chunk| keys::campaign_seen(tenant, id, chunk)).collect()).await
}

/// Writes the rows of the next chunk, and which numbers of them go at which line, together with the campaign that
/// counts it; or nothing, if the campaign is no more as it was read.
pub async fn add_chunk(
    table: &Table,
    tenant: &TenantId,
    campaign: &mut Campaign,
    rows: &[Row],
    seen: &[(u64, u32)],
) -> Result<bool, StoreError> {
    let chunk = campaign.chunks;
    campaign.chunks += 1;
    let expires = campaign.created_at + KEEP;
    // The campaign has counted these already.
    let first = campaign.summary.rows.saturating_sub(rows.len() as u32);
    let rows = chunk_item(table, tenant, campaign, chunk, first, rows)?;
    let numbers = sealed(table, &keys::campaign_seen(tenant, &campaign.id, chunk), "numbers", &seen, Some(expires))?;
    let campaign = next(table, tenant, campaign)?;
    // Whatever lies under these keys is of a try that the campaign does not count.
    let put = |item| Write::put(table, item, None, HashMap::new());
    write_all_if(table, vec![campaign, put(rows)?, put(numbers)?]).await
}

/// The rows of a chunk, and the number of the first of them, counted from 0 in the order of the file; none if it is not
/// there.
pub async fn chunk(table: &Table, tenant: &TenantId, id: &str, chunk: u32) -> Result<(u32, Vec<Row>), StoreError> {
    let key = keys::campaign_chunk(tenant, id, chunk);
    let Some(item) = table.get(&key).await? else { return Ok((0, Vec::new())) };
    let first = item.get(FIRST).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default();
    Ok((first, opened(table, &key, &item, "rows")?))
}

/// Writes the rows of a chunk, of which the first is the row `first`, in place of those that were there, for what is
/// forgotten or done with; together with the campaign, or nothing, if that is no more as it was read: whoever changed it
/// may have written the rows, and nobody brings back what the other took away.
pub async fn replace_chunk(
    table: &Table,
    tenant: &TenantId,
    campaign: &mut Campaign,
    chunk: u32,
    first: u32,
    rows: &[Row],
) -> Result<bool, StoreError> {
    let rows = chunk_item(table, tenant, campaign, chunk, first, rows)?;
    let campaign = next(table, tenant, campaign)?;
    write_all_if(table, vec![campaign, Write::put(table, rows, None, HashMap::new())?]).await
}

fn chunk_item(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    chunk: u32,
    first: u32,
    rows: &[Row],
) -> Result<Item, StoreError> {
    let key = keys::campaign_chunk(tenant, &campaign.id, chunk);
    // Rows that may still go do not go by themselves.
    let is_done_with = chunk < campaign.checked || campaign.is_over();
    let last = campaign.finished_at.or(campaign.started_at).unwrap_or(campaign.created_at);
    let mut item = sealed(table, &key, "rows", &rows, is_done_with.then_some(last + KEEP))?;
    item.insert(FIRST.into(), number(first));
    Ok(item)
}

/// The numbers that go by the chunks that are planned, each with its line.
pub async fn seen(table: &Table, tenant: &TenantId, campaign: &Campaign) -> Result<Vec<(u64, u32)>, StoreError> {
    let mut all = Vec::new();
    for chunk in 0..campaign.chunks {
        let key = keys::campaign_seen(tenant, &campaign.id, chunk);
        if let Some(item) = table.get(&key).await? {
            all.extend(opened::<Vec<(u64, u32)>>(table, &key, &item, "numbers")?);
        }
    }
    Ok(all)
}

/// What became of the messages of a chunk, as it was last counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// By status, and what was skipped by its reason: `skipped:budget`.
    pub outcomes: BTreeMap<String, u32>,
    pub units: u64,
    pub cost: Micros,
    #[serde(default)]
    pub counted_at: Timestamp,
    /// All of them are there and have come to an end, or nobody expects another word of them.
    #[serde(default)]
    pub is_settled: bool,
}

/// The tallies of those chunks that were ever counted, by chunk.
pub async fn tallies(table: &Table, tenant: &TenantId, campaign: &Campaign) -> Result<BTreeMap<u32, Tally>, StoreError> {
    let keys: Vec<Key> = (0..campaign.chunks).map(|chunk| keys::campaign_tally(tenant, &campaign.id, chunk)).collect();
    let numbers: HashMap<Key, u32> = keys.iter().cloned().zip(0..).collect();
    let items = table.get_many(keys).await?;
    let tally = |item: Item| {
        let chunk = numbers.get(&key_of(&item)).copied().unwrap_or_default();
        Ok((chunk, table.value(item, &[])?))
    };
    items.into_iter().map(tally).collect()
}

/// Notes tallies, by chunk, in place of those that were there. Without condition: all of it can be counted again.
pub async fn put_tallies(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    tallies: &BTreeMap<u32, Tally>,
) -> Result<(), StoreError> {
    let item = |(chunk, tally): (&u32, &Tally)| {
        let mut item = table.item(&keys::campaign_tally(tenant, &campaign.id, *chunk), tally, &[])?;
        // Not before the campaign itself, however long that takes.
        let expires = campaign.finished_at.map_or(tally.counted_at + KEEP * 2, |finished| finished + KEEP);
        item.insert("expires".into(), number(expires.as_second()));
        Ok(item)
    };
    let items: Vec<Item> = tallies.iter().map(item).collect::<Result<_, StoreError>>()?;
    table.put_many(items).await
}

fn item(table: &Table, tenant: &TenantId, campaign: &Campaign) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::campaign(tenant, &campaign.id), campaign, SEALED)?;
    if let Some(expires) = campaign.expires() {
        item.insert("expires".into(), number(expires.as_second()));
    }
    table.place(&mut item, keys::TIME, keys::campaigns(tenant), keys::instant_and(campaign.created_at, &campaign.id));
    if campaign.is_working() {
        let (shard, entry) = keys::due_entry(tenant, &campaign.id, campaign.due_at, Lane::Bulk);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    Ok(item)
}

pub(super) fn campaign(table: &Table, item: Item) -> Result<Campaign, StoreError> {
    table.value(item, SEALED)
}

/// An item of `value` alone, sealed: without the detour over attributes that a small item takes.
fn sealed(table: &Table, key: &Key, field: &str, value: &impl Serialize, expires: Option<Timestamp>) -> Result<Item, StoreError> {
    let plain = serde_json::to_vec(value).map_err(|error| StoreError::Unreadable(Box::new(error)))?;
    let mut item = key_attributes(key);
    item.insert(field.into(), AttributeValue::B(table.keyring().seal(&key.pk, &plain).into()));
    if let Some(expires) = expires {
        item.insert("expires".into(), number(expires.as_second()));
    }
    Ok(item)
}

fn opened<T: serde::de::DeserializeOwned>(table: &Table, key: &Key, item: &Item, field: &str) -> Result<T, StoreError> {
    let plain = opened_bytes(table, key, item, field)?;
    serde_json::from_slice(&plain).map_err(|error| StoreError::unreadable(&error))
}

fn opened_bytes(table: &Table, key: &Key, item: &Item, field: &str) -> Result<Vec<u8>, StoreError> {
    match item.get(field) {
        Some(AttributeValue::B(bytes)) => Ok(table.keyring().open(&key.pk, bytes.as_ref())?),
        _ => Err(StoreError::Unreadable(format!("an item without {field}").into())),
    }
}
