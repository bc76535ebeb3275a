//! Lets a batch go that was kept (S3-26).

use jiff::Timestamp;

use super::open_batch::open_batch;
use super::send_batch::BATCH_PREFIX;
use crate::context::{Context, ContextError};
use crate::domain::message::is_derived;
use crate::domain::tenant::TenantId;
use crate::store::batches::{self, Stage};
use crate::telemetry::Chain;

/// What became of a batch that was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Now, or before.
    Going(Stage),
    Canceled,
    Unknown,
}

/// Lets the batch `id` go, from now on. Doing it again changes nothing.
pub async fn release_batch(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Released, ContextError> {
    let table = cx.table().await?;
    let known = if is_derived(id, BATCH_PREFIX) { batches::get(table, tenant, id).await? } else { None };
    let Some(mut batch) = known else { return Ok(Released::Unknown) };
    match batch.stage {
        Stage::Canceled => Ok(Released::Canceled),
        Stage::Opening | Stage::Open => Ok(Released::Going(batch.stage)),
        Stage::Held => {
            batch.stage = Stage::Opening;
            if batches::update(table, tenant, &mut batch).await?
                && let Err(error) = open_batch(cx, tenant, batch, now).await
            {
                tracing::warn!(%tenant, batch = id, error = %Chain(&error), "a batch could not be opened at once");
            }
            Ok(Released::Going(Stage::Opening))
        }
    }
}
