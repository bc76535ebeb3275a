//! Counts what came of a tenant's days, from the log itself: exact, however late receipts came and however often
//! it is done. What was counted is kept, so that a year is read and not counted; today is counted each time.
//!
//! A message belongs to the day of its `due_at` on the tenant's clocks.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::context::{Context, ContextError};
use crate::domain::local_time::Zone;
use crate::domain::statistics::{DayStats, MOST_CELLS};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::statistics::{self, Counted};
use crate::store::{StoreError, Table, keys, messages};

/// Nothing changes any more so long after a day: Twilio is asked about silent messages for four days.
const SETTLES: SignedDuration = SignedDuration::from_hours(24 * 5);
/// So long the count of a day that is not settled is good enough, but of today.
const GOOD_ENOUGH: SignedDuration = SignedDuration::from_mins(1);

/// Days and what came of each.
#[derive(Clone, Debug)]
pub struct Days {
    pub all: BTreeMap<Date, DayStats>,
    /// When the youngest of them that may still change was counted: today is in the moment in which it is asked for.
    /// The others were at most a minute earlier.
    pub as_of: Timestamp,
}

impl Days {
    /// All of them together.
    pub fn sum(&self) -> DayStats {
        let mut sum = DayStats::default();
        self.all.values().for_each(|stats| sum.add(stats));
        sum
    }
}

/// The days from `from` to `to`, both included, by the tenant's calendar.
pub async fn count_days(cx: &Context, tenant: &TenantId, from: Date, to: Date, now: Timestamp) -> Result<Days, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let table = cx.table().await?;
    let zone = &settings.time_zone;
    let today = zone.wall(now).date();
    let wanted = days(from, to);
    let mut known = statistics::get_many(table, tenant, &wanted).await?;
    let mut counted = Days { all: BTreeMap::new(), as_of: now };
    for day in wanted {
        let stats = match known.remove(&day) {
            // Whoever watches it sees each message at once, and nothing is stored for them.
            _ if day == today => {
                counted.as_of = now;
                count(table, tenant, zone, day).await?
            }
            Some(known) if is_settled(&known, &settings, now) => known.stats,
            Some(known) if is_fresh(&known, &settings, now) => {
                counted.as_of = known.at;
                known.stats
            }
            _ => {
                counted.as_of = now;
                count_and_keep(table, tenant, zone, day, now).await?
            }
        };
        counted.all.insert(day, stats);
    }
    Ok(counted)
}

/// Counts those of the days from `from` to `to` again that may still change. How many that were.
pub(super) async fn recount(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    from: Date,
    to: Date,
    now: Timestamp,
) -> Result<usize, ContextError> {
    let table = cx.table().await?;
    let mut wanted = days(from, to);
    let known = statistics::get_many(table, tenant, &wanted).await?;
    wanted.retain(|day| !known.get(day).is_some_and(|known| is_settled(known, settings, now)));
    for day in &wanted {
        count_and_keep(table, tenant, &settings.time_zone, *day, now).await?;
    }
    Ok(wanted.len())
}

fn days(from: Date, to: Date) -> Vec<Date> {
    let next = |day: &Date| day.tomorrow().ok();
    std::iter::successors(Some(from), next).take_while(|day| *day <= to).collect()
}

/// Whether a count is final.
fn is_settled(known: &Counted, settings: &Settings, now: Timestamp) -> bool {
    let zone = &settings.time_zone;
    // The messages of an older day are gone, or going: it cannot be counted again.
    let kept = SignedDuration::from_hours(24 * i64::from(settings.retention.messages_days));
    let is_gone = now.duration_since(begins(zone, known.day)) >= kept;
    let is_late_enough = known.at.duration_since(ends(zone, known.day)) >= SETTLES;
    is_gone || (is_late_enough && known.zone == zone.name())
}

fn is_fresh(known: &Counted, settings: &Settings, now: Timestamp) -> bool {
    now.duration_since(known.at) < GOOD_ENOUGH && known.zone == settings.time_zone.name()
}

async fn count_and_keep(
    table: &Table,
    tenant: &TenantId,
    zone: &Zone,
    day: Date,
    now: Timestamp,
) -> Result<DayStats, StoreError> {
    let stats = count(table, tenant, zone, day).await?;
    let counted = Counted { day, zone: zone.name().to_string(), at: now, stats };
    statistics::put(table, tenant, &counted).await?;
    Ok(counted.stats)
}

/// The log is by UTC days, of which a day of the tenant's has parts of two, or of three.
async fn count(table: &Table, tenant: &TenantId, zone: &Zone, day: Date) -> Result<DayStats, StoreError> {
    let (from, next) = (begins(zone, day), ends(zone, day));
    let last = next.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(next);
    let mut stats = DayStats::default();
    let mut part = keys::day(from);
    while part <= keys::day(last) {
        messages::each_of_log(table, tenant, part, (from, last), |message| stats.count(message)).await?;
        part = part.tomorrow().unwrap_or(Date::MAX);
    }
    Ok(stats.collapsed(MOST_CELLS))
}

/// A day is from its first instant up to the next one's, so that every instant is of one day.
fn begins(zone: &Zone, day: Date) -> Timestamp {
    zone.instant(day.at(0, 0, 0, 0))
}

fn ends(zone: &Zone, day: Date) -> Timestamp {
    day.tomorrow().map_or(Timestamp::MAX, |next| begins(zone, next))
}
