//! What lessons and payments have in common: they are replaced only as somebody saw them, and listed in pages of the
//! time index between two bounds, lessons by start, payments by due date. An entry is the time, `#`, the id.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{self, Key};
use super::table::{Item, Order, Query, StoreError, Table, key_attributes, key_of, string};
use super::transaction::{Patience, Refused, Write, transact};

/// Something as it was read, and what tells it from whatever else is written in its place.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    pub value: T,
    /// Empty of what was written before there were any.
    etag: String,
}

const ETAG: &str = "etag";
/// So many are written at once: in larger transactions others stand more often in each other's way.
const AT_ONCE: usize = 50;

/// Notes in `item` what tells `value` from others: a hash of it.
pub(super) fn tag(item: &mut Item, value: &impl Serialize) -> Result<(), StoreError> {
    let text = serde_json::to_vec(value).map_err(|error| StoreError::Unreadable(Box::new(error)))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    let etag: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    item.insert(ETAG.to_string(), AttributeValue::S(etag));
    Ok(())
}

pub(super) fn seen<T: DeserializeOwned>(table: &Table, item: Item) -> Result<Seen<T>, StoreError> {
    let etag = string(&item, ETAG).to_string();
    Ok(Seen { value: table.value(item, &[])?, etag })
}

/// Puts `item` if what was `seen` still stands in its place; nothing, if nothing was.
pub(super) fn replacing<T>(table: &Table, item: Item, seen: Option<&Seen<T>>) -> Result<Write, StoreError> {
    let (unchanged, values) = match seen {
        None => ("attribute_not_exists(pk)", HashMap::new()),
        Some(seen) if seen.etag.is_empty() => ("attribute_exists(pk) AND attribute_not_exists(etag)", HashMap::new()),
        Some(seen) => ("etag = :seen", HashMap::from([(":seen".to_string(), AttributeValue::S(seen.etag.clone()))])),
    };
    Write::put(table, item, unchanged, values)
}

/// Writes each of `writes` whose condition holds; all are of different items. The positions of the others.
pub(super) async fn write_each(table: &Table, writes: Vec<Write>) -> Result<HashSet<usize>, StoreError> {
    let mut lost = HashSet::new();
    let numbered: Vec<(usize, Write)> = writes.into_iter().enumerate().collect();
    for chunk in numbered.chunks(AT_ONCE) {
        let mut left = chunk.to_vec();
        let mut patience = Patience::default();
        loop {
            let together = left.iter().map(|(_, write)| write.clone()).collect();
            match transact(table, together).await {
                Ok(()) => break,
                Err(Refused::Conditions(failed)) => {
                    lost.extend(failed.iter().filter_map(|at| left.get(*at)).map(|(number, _)| *number));
                    let others = left.into_iter().enumerate().filter(|(at, _)| !failed.contains(at));
                    left = others.map(|(_, numbered)| numbered).collect();
                }
                Err(Refused::Busy) => patience.wait().await?,
                Err(Refused::Store(error)) => return Err(error),
            }
        }
    }
    Ok(lost)
}

/// Where a listing goes on: after this entry, which is of the item under this key.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub key: Key,
    pub entry: String,
}

/// At most `limit` items between the bounds, both inclusive, in no order; and the entry after which the next page
/// begins, if there is one. The place must be between the bounds.
pub(super) async fn page(
    table: &Table,
    pk: &str,
    range: (String, String),
    after: Option<Place>,
    limit: u32,
) -> Result<(Vec<Item>, Option<String>), StoreError> {
    let start = after.map(|place| {
        let mut start = key_attributes(&place.key);
        table.place(&mut start, keys::TIME, pk.to_string(), place.entry);
        start
    });
    let limit = Some(limit.clamp(1, 1000) as i32);
    let order = Order::Earliest;
    let query = Query { pk, index: Some(keys::TIME), range: Some(range), limit, after: start, order };
    let (entries, next) = table.query(query).await?;
    let last = entries.last().map(|entry| string(entry, keys::TIME.sk).to_string()).filter(|_| next.is_some());
    Ok((table.get_many(entries.iter().map(key_of).collect()).await?, last))
}

/// The place behind an entry: its id follows the first `#`.
pub(super) fn place(entry: Option<&str>, key: impl FnOnce(&str) -> Key) -> Option<Place> {
    let entry = entry?;
    let (_, id) = entry.split_once('#')?;
    Some(Place { key: key(id), entry: entry.to_string() })
}
