//! Suspends a tenant, and resumes it, for the platform.
//!
//! A suspended tenant keeps everything and can be read; nothing of it is sent, and what falls due meanwhile is
//! skipped. Processes believe settings for a minute, so for a minute at most a message may still go.

use jiff::Timestamp;

use super::save_settings::adjust_settings;
use crate::context::{Context, ContextError};
use crate::domain::tenant::TenantId;
use crate::store::StoreError;
use crate::store::tenants::{self, Entry, TenantState};

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// It is so now, or was before.
    Done(Box<Entry>),
    /// It is deleted, or about to be.
    Gone,
    Unknown,
}

/// Others may change the directory between our looks so often.
const TRIES: u32 = 8;

pub async fn suspend_tenant(
    cx: &Context,
    tenant: &TenantId,
    reason: Option<String>,
    by: Option<String>,
    now: Timestamp,
) -> Result<Changed, ContextError> {
    change(cx, tenant, TenantState::Suspended, reason, by, now).await
}

pub async fn resume_tenant(cx: &Context, tenant: &TenantId, by: Option<String>, now: Timestamp) -> Result<Changed, ContextError> {
    change(cx, tenant, TenantState::Active, None, by, now).await
}

async fn change(
    cx: &Context,
    tenant: &TenantId,
    state: TenantState,
    reason: Option<String>,
    by: Option<String>,
    now: Timestamp,
) -> Result<Changed, ContextError> {
    let table = cx.table().await?;
    for _ in 0..TRIES {
        let Some(known) = tenants::entry(table, tenant).await? else { return Ok(Changed::Unknown) };
        if !known.state.is_there() {
            return Ok(Changed::Gone);
        }
        let mut entry = known.clone();
        if known.state != state {
            entry = Entry { state, changed_at: Some(now), changed_by: by.clone(), reason: reason.clone(), ..known };
            if !tenants::update_entry(table, tenant, &mut entry).await? {
                continue;
            }
        }
        // Also by whoever asks again: the first may have come no further than the directory.
        adjust_settings(cx, tenant, |settings| settings.suspended = state == TenantState::Suspended).await?;
        return Ok(Changed::Done(Box::new(entry)));
    }
    Err(StoreError::Unreachable("the directory kept changing".into()).into())
}
