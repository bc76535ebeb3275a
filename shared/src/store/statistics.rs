//! What was counted of a tenant's days. Nothing personal, so nothing sealed, and it stays when the messages go.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::keys;
use super::table::{StoreError, Table, number};
use super::transaction::{Write, write_if};
use crate::domain::statistics::{DayStats, MOST_CELLS};
use crate::domain::tenant::TenantId;

/// One day as it was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    pub day: Date,
    /// By whose clocks it began and ended.
    pub zone: String,
    /// When the counting began: what came later may not be in it.
    pub at: Timestamp,
    pub stats: DayStats,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    day: Date,
    zone: String,
    /// Milliseconds since 1970, which compare as they run.
    counted_at: i64,
    /// JSON: an item of maps within maps would be larger, and slower.
    stats: String,
}

/// An item has at most 400 KB.
const LARGEST: usize = 350_000;

/// Those of `days` that were ever counted.
pub async fn get_many(table: &Table, tenant: &TenantId, days: &[Date]) -> Result<BTreeMap<Date, Counted>, StoreError> {
    let items = table.get_many(days.iter().map(|day| keys::statistics(tenant, *day)).collect()).await?;
    let mut known = BTreeMap::new();
    for item in items {
        let Stored { day, zone, counted_at, stats } = table.value(item, &[])?;
        // What another version wrote, and this one cannot read, is counted again.
        let stats = serde_json::from_str(&stats).ok();
        if let (Some(stats), Ok(at)) = (stats, Timestamp::from_millisecond(counted_at)) {
            known.insert(day, Counted { day, zone, at, stats });
        }
    }
    Ok(known)
}

/// Stores a count, unless a later one is there already.
pub async fn put(table: &Table, tenant: &TenantId, counted: &Counted) -> Result<(), StoreError> {
    let counted_at = counted.at.as_millisecond();
    let stored = Stored { day: counted.day, zone: counted.zone.clone(), counted_at, stats: text(&counted.stats)? };
    let item = table.item(&keys::statistics(tenant, counted.day), &stored, &[])?;
    let at = HashMap::from([(":at".to_string(), number(counted_at))]);
    write_if(table, Write::put(table, item, "attribute_not_exists(pk) OR counted_at <= :at", at)?).await?;
    Ok(())
}

/// As JSON that fits an item, with fewer cells if it must be.
fn text(stats: &DayStats) -> Result<String, StoreError> {
    let mut most = MOST_CELLS;
    loop {
        let text = serde_json::to_string(&stats.clone().collapsed(most));
        let text = text.map_err(|error| StoreError::Unreadable(Box::new(error)))?;
        if text.len() <= LARGEST || most == 0 {
            return Ok(text);
        }
        most /= 2;
    }
}
