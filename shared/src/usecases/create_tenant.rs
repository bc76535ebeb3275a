//! Makes a tenant, for the platform. It connects its own Twilio account afterwards, and sends nothing before (S4-36).

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::tenants::{self, Entry};

/// Stores a tenant that there never was. What the directory has of it then; `None` if its id is taken.
pub async fn create_tenant(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    by: Option<String>,
    now: Timestamp,
) -> Result<Option<Entry>, ContextError> {
    let table = cx.table().await?;
    if !tenants::create(table, tenant, settings, by, now).await? {
        return Ok(None);
    }
    cx.forget(tenant);
    Ok(tenants::entry(table, tenant).await?)
}
