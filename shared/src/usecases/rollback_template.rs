//! Brings back what a version of a template said, as a new version; also after a deletion (S3-03).

use jiff::Timestamp;

use super::replace_template::{ChangeError, put_next};
use crate::context::Context;
use crate::domain::template::StoredTemplate;
use crate::domain::tenant::TenantId;
use crate::store::templates;

/// Stores what `version` said as the next version; if it stands so already, it is left as it is.
///
/// # Errors
/// [`ChangeError::NoVersion`] and [`ChangeError::Deletion`] for what cannot be brought back.
pub async fn rollback_template(
    cx: &Context,
    tenant: &TenantId,
    name: &str,
    version: u32,
    by: Option<&str>,
    now: Timestamp,
) -> Result<StoredTemplate, ChangeError> {
    let table = cx.table().await?;
    let seen = templates::get(table, tenant, name).await?.ok_or(ChangeError::Unknown)?;
    let old = templates::version(table, tenant, name, version).await?.ok_or(ChangeError::NoVersion)?;
    if old.deleted {
        return Err(ChangeError::Deletion);
    }
    if !seen.deleted && seen.written == old.written {
        return Ok(seen);
    }
    let next = StoredTemplate::next(Some(&seen), old.written, by, now);
    put_next(cx, tenant, Some(&seen), next).await
}
