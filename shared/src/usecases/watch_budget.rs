//! Tells of a budget that is nearly spent: an event for each share that the tenant set (S3-70).
//!
//! The meter notes what was told. An event may come twice, as EventBridge's own do, never not at all.

use jiff::Timestamp;
use serde_json::json;

use crate::context::{Context, ContextError};
use crate::domain::money::Micros;
use crate::domain::tenant::{Settings, TenantId};
use crate::events;
use crate::store::meter;
use crate::telemetry::Chain;

/// The event's name.
pub const BUDGET_ALERT: &str = "budget.alert";

/// Up to what the meter may go without anybody being told: less than the next share, and the limit.
pub fn gate(cx: &Context, tenant: &TenantId, settings: &Settings, month: &str, limit: Option<Micros>) -> Option<Micros> {
    let told = cx.beliefs.told.get(tenant, month).unwrap_or_default();
    let next = settings.budget.alerts.iter().filter(|share| !told.contains(share)).min();
    let before = next.and_then(|share| threshold(settings, *share)).map(|threshold| Micros(threshold.0 - 1));
    match (limit, before) {
        (Some(limit), Some(before)) => Some(limit.min(before)),
        (limit, _) => limit,
    }
}

/// Tells of every share that `used` has reached and nobody was told of, and of the whole when a message
/// was refused for money. Costs nothing while there is nothing new to tell.
pub async fn tell(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    month: &str,
    used: Micros,
    is_refused: bool,
    now: Timestamp,
) -> Result<(), ContextError> {
    let mut told = cx.beliefs.told.get(tenant, month).unwrap_or_default();
    let reached = |share: u8| threshold(settings, share).is_some_and(|threshold| used >= threshold) || share == 100 && is_refused;
    let new: Vec<u8> = settings.budget.alerts.iter().copied().filter(|share| !told.contains(share) && reached(*share)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let table = cx.table().await?;
    let known = meter::reading(table, tenant, month).await?.alerted;
    for share in new {
        if !known.contains(&share) {
            let detail = json!({
                "tenant": tenant,
                "month": month,
                "share": share,
                "used": used,
                "limit": settings.budget.monthly_limit,
                "currency": settings.budget.currency,
                "refused": is_refused,
                "at": now,
            });
            if let Err(error) = events::publish(&cx.events, &cx.config.event_bus, &[(BUDGET_ALERT, detail)]).await {
                // Not noted, so the next message tells again.
                tracing::error!(%tenant, share, error = %Chain(&error), "nobody could be told that the budget is nearly spent");
                return Ok(());
            }
            meter::note_alert(table, tenant, month, share).await?;
        }
        told.push(share);
    }
    cx.beliefs.told.set(tenant, month, told);
    Ok(())
}

/// The same of whatever the meter says now; it is read only if somebody may have to be told.
pub async fn tell_if_near(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    month: &str,
    now: Timestamp,
) -> Result<(), ContextError> {
    if settings.budget.monthly_limit.is_none() || settings.budget.alerts.is_empty() {
        return Ok(());
    }
    let used = meter::used(cx.table().await?, tenant, month).await?;
    tell(cx, tenant, settings, month, used, false, now).await
}

/// What `share` percent of the month's limit are, rounded up.
fn threshold(settings: &Settings, share: u8) -> Option<Micros> {
    let limit = settings.budget.monthly_limit?.0;
    Some(Micros(limit.saturating_mul(i64::from(share)).saturating_add(99) / 100))
}
