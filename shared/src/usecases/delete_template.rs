//! Takes a template of the tenant's away. Its versions stay, and one of ours of the same name comes forward.

use jiff::Timestamp;

use super::replace_template::{ChangeError, put_next};
use crate::context::Context;
use crate::domain::catalogue::{default_template, type_named};
use crate::domain::template::StoredTemplate;
use crate::domain::tenant::TenantId;
use crate::store::templates;

/// Notes the deletion as the next version. Nothing that waits needs the template any more: bodies are rendered when
/// they are asked for.
///
/// # Errors
/// [`ChangeError::Ours`] and [`ChangeError::OfType`] for what is not the tenant's to delete.
pub async fn delete_template(
    cx: &Context,
    tenant: &TenantId,
    name: &str,
    by: Option<&str>,
    now: Timestamp,
) -> Result<(), ChangeError> {
    match templates::get(cx.table().await?, tenant, name).await? {
        // The same request again.
        Some(seen) if seen.deleted => Ok(()),
        Some(seen) => {
            let written = seen.written.clone();
            let gone = StoredTemplate { deleted: true, ..StoredTemplate::next(Some(&seen), written, by, now) };
            put_next(cx, tenant, Some(&seen), gone).await?;
            Ok(())
        }
        None => match type_named(name) {
            Some(kind) => Err(ChangeError::OfType(kind)),
            None if default_template(name).is_some() => Err(ChangeError::Ours),
            None => Err(ChangeError::Unknown),
        },
    }
}
