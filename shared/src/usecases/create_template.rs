//! Makes a template that the tenant does not have (S3-27). One of ours of the same name stands back for it.

use jiff::Timestamp;

use super::replace_template::{ChangeError, put_next};
use crate::context::Context;
use crate::domain::catalogue::type_named;
use crate::domain::template::{Draft, StoredTemplate};
use crate::domain::tenant::TenantId;
use crate::store::templates;

/// Stores `draft` as a new template. After a deletion its versions count on.
///
/// # Errors
/// [`ChangeError::Exists`] when the tenant has one of this name.
pub async fn create_template(
    cx: &Context,
    tenant: &TenantId,
    draft: Draft,
    by: Option<&str>,
    now: Timestamp,
) -> Result<StoredTemplate, ChangeError> {
    let name = draft.name.clone().unwrap_or_default();
    let written = draft.check(&name).map_err(ChangeError::Invalid)?;
    if let Some(kind) = type_named(&name) {
        return Err(ChangeError::OfType(kind));
    }
    let seen = templates::get(cx.table().await?, tenant, &name).await?;
    if seen.as_ref().is_some_and(|seen| !seen.deleted) {
        return Err(ChangeError::Exists);
    }
    let next = StoredTemplate::next(seen.as_ref(), written, by, now);
    match put_next(cx, tenant, seen.as_ref(), next).await {
        // Somebody made one just now.
        Err(ChangeError::Changed) => Err(ChangeError::Exists),
        created => created,
    }
}
