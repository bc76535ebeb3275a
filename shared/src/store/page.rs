//! Pages of what an index lists, and the places at which they begin.

use super::keys::{self, Index};
use super::table::{Item, Order, Query, StoreError, Table, key_attributes, key_of, string};

/// At most `limit` whole items of a partition of the time index, after the entry `after`; and the entry
/// after which the next page begins, if there is one.
pub async fn of_time(
    table: &Table,
    pk: &str,
    order: Order,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Item>, Option<String>), StoreError> {
    of_index(table, keys::TIME, pk, order, after, limit).await
}

pub async fn of_index(
    table: &Table,
    index: Index,
    pk: &str,
    order: Order,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Item>, Option<String>), StoreError> {
    // `!` and `~` stand before and after whatever an entry may go on with.
    let range = match (after, order) {
        (None, _) => None,
        (Some(after), Order::Earliest) => Some((format!("{after}!"), "~".to_string())),
        (Some(after), Order::Latest) => Some(("!".to_string(), before(after))),
    };
    let limit = Some(limit.clamp(1, 1000) as i32);
    let (entries, next) = table.query(Query { pk, index: Some(index), range, limit, after: None, order }).await?;
    let last = entries.last().map(|entry| string(entry, index.sk).to_string()).filter(|_| next.is_some());
    let keys: Vec<_> = entries.iter().map(key_of).collect();
    let mut items = table.get_many(keys.clone()).await?;
    items.sort_by_cached_key(|item| keys.iter().position(|key| *key == key_of(item)));
    Ok((items, last))
}

/// At most `limit` items of a partition of the table itself, after the sort key `after`; and the sort key after
/// which the next page begins, if there is one.
pub async fn of_partition(
    table: &Table,
    pk: &str,
    order: Order,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Item>, Option<String>), StoreError> {
    let start = after.map(|after| key_attributes(&keys::Key { pk: pk.to_string(), sk: after.to_string() }));
    let limit = Some(limit.clamp(1, 1000) as i32);
    let (items, next) = table.query(Query { pk, index: None, range: None, limit, after: start, order }).await?;
    let last = next.map(|next| string(&next, keys::SK).to_string());
    Ok((items, last))
}

/// The greatest key below `entry` that any entry may have: entries end in hex digits, letters or `_`.
fn before(entry: &str) -> String {
    let mut below = entry.to_string();
    match below.pop() {
        Some(last) => format!("{below}{}~", char::from_u32(u32::from(last).saturating_sub(1)).unwrap_or('!')),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_below_its_entry_and_above_every_other() {
        let at = before("2026-03-06T00:30:00.000Z#ab");
        assert!(at.as_str() < "2026-03-06T00:30:00.000Z#ab");
        assert!(at.as_str() > "2026-03-06T00:30:00.000Z#aa");
        assert!(at.as_str() > "2026-03-06T00:29:59.999Z#ff");
    }
}
