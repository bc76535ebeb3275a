//! Says to the queue that messages are due at once.

use crate::context::Context;
use crate::domain::message::MessageId;
use crate::domain::tenant::TenantId;
use crate::queue;
use crate::telemetry::Chain;

/// Hints that `ids` are due now. Where that fails, the minute tick finds them.
pub async fn hint_due(cx: &Context, tenant: &TenantId, ids: &[MessageId]) {
    if ids.is_empty() {
        return;
    }
    if let Err(error) = queue::hint(&cx.queue, &cx.config.queue_url, tenant, ids).await {
        tracing::warn!(%tenant, error = %Chain(&error), "no hint was queued: the minute tick sends these");
    }
}
