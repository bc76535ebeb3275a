//! Counts the last days of every tenant again, each night: receipts come late, and what is settled is only read.

use jiff::{Timestamp, ToSpan};
use tokio::time::Instant;

use super::count_day;
use super::every_tenant::{RunError, ended};
use crate::context::{Context, ContextError};
use crate::domain::tenant::TenantId;
use crate::store::tenants;
use crate::telemetry::Chain;

/// A day settles on its sixth night; twice as many days make up for nights that were missed.
const DAYS: i64 = 12;
/// A night's run takes no other tenant after so long, well within Lambda's limit; whoever asks counts the rest.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(200);

/// Counts what is over and not settled yet. How many days that were, of all tenants.
///
/// # Errors
/// [`RunError::Tenants`] once the others are counted: nobody repeats it before the next night.
pub async fn recount_days(cx: &Context, now: Timestamp) -> Result<usize, RunError> {
    let started = Instant::now();
    let (mut counted, mut failed) = (0, 0);
    let mut all = tenants::all(cx.table().await?).await?;
    // Another first each night: where there is too much for one, nobody waits for ever.
    let first = now.as_second().div_euclid(24 * 60 * 60) as usize % all.len().max(1);
    all.rotate_left(first);
    for tenant in all {
        if started.elapsed() > LONGEST_RUN {
            tracing::warn!("not every tenant's days could be counted tonight");
            break;
        }
        match recount_of_tenant(cx, &tenant, now).await {
            Ok(days) => counted += days,
            // One tenant's trouble does not keep the others from being counted; the next night tries it again.
            Err(error) => {
                tracing::error!(%tenant, error = %Chain(&error), "days could not be counted");
                failed += 1;
            }
        }
    }
    ended(counted, failed)
}

async fn recount_of_tenant(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<usize, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let today = settings.time_zone.wall(now).date();
    let (from, to) = (today.saturating_sub(DAYS.days()), today.saturating_sub(1.day()));
    count_day::recount(cx, tenant, &settings, from, to, now).await
}
