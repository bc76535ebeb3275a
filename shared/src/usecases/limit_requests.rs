//! How often a tenant may call the API (S1-90, S4-43).
//!
//! The tenant's clock in the table gives out calls by the block, so that most requests cost nothing
//! and all processes together keep to the limit.

use jiff::{SignedDuration, Timestamp};

use crate::context::{Allowance, Context, ContextError};
use crate::domain::tenant::TenantId;
use crate::store::pace::{self, Turn};
use crate::telemetry::{Metric, count};

const CLOCK: &str = "REQUESTS";
/// A minute's calls may come at once.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);
const FIRST_BLOCK: u32 = 10;
const LARGEST_BLOCK: u32 = 100;

/// Whether one more request may be served; if not, when it may come again.
pub async fn limit_requests(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<Result<(), Timestamp>, ContextError> {
    let take_one = |allowance: &mut Allowance| {
        let had = allowance.left;
        allowance.left = had.saturating_sub(1);
        (had > 0, allowance.block)
    };
    let (is_allowed, last) = cx.beliefs.allowance.change(tenant, CLOCK, take_one);
    if is_allowed {
        return Ok(Ok(()));
    }
    let per_minute = cx.settings(tenant, now).await?.requests_per_minute.max(1);
    // The busier the process, the larger the block; an idle one keeps few from the others.
    let block = (last * 2).max(FIRST_BLOCK).min(per_minute / 60).clamp(1, LARGEST_BLOCK);
    let length = SignedDuration::from_millis(60_000 * i64::from(block) / i64::from(per_minute));
    match pace::take(cx.table().await?, tenant, CLOCK, length, AHEAD - length, now).await? {
        Turn::From(_) => {
            cx.beliefs.allowance.change(tenant, CLOCK, |allowance| {
                *allowance = Allowance { left: allowance.left + block - 1, block };
            });
            Ok(Ok(()))
        }
        Turn::Full(at) => {
            count(Metric::LimitedRequests);
            Ok(Err(at))
        }
    }
}
