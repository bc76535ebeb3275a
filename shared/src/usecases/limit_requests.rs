//! How often a tenant may call the API (S1-90, S4-43).
//!
//! The tenant's clock in the table gives out calls by the block, so that most requests cost nothing
//! and all processes together keep to the limit.

use jiff::{SignedDuration, Timestamp};

use crate::context::{Context, ContextError};
use crate::domain::tenant::TenantId;
use crate::store::pace::{self, Turn};

const CLOCK: &str = "REQUESTS";
/// A minute's calls may come at once.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);
const LARGEST_BLOCK: u32 = 100;

/// Whether one more request may be served; if not, when it may come again.
pub async fn limit_requests(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<Result<(), Timestamp>, ContextError> {
    let take_one = |left: &mut u32| {
        let had = *left;
        *left = left.saturating_sub(1);
        had > 0
    };
    if cx.beliefs.allowance.change(tenant, CLOCK, take_one) == Some(true) {
        return Ok(Ok(()));
    }
    let per_minute = cx.settings(tenant, now).await?.requests_per_minute.max(1);
    let block = (per_minute / 60).clamp(1, LARGEST_BLOCK);
    let length = SignedDuration::from_millis(60_000 * i64::from(block) / i64::from(per_minute));
    match pace::take(cx.table().await?, tenant, CLOCK, length, AHEAD - length, now).await? {
        Turn::From(_) => {
            cx.beliefs.allowance.set(tenant, CLOCK, block - 1);
            Ok(Ok(()))
        }
        Turn::Full(at) => Ok(Err(at)),
    }
}
