//! Writes the next version of a template (S3-03). The first of one of ours makes it the tenant's own.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::catalogue::{default_template, template_key, type_named};
use crate::domain::compose::FieldError;
use crate::domain::reminder::Kind;
use crate::domain::template::{Draft, StoredTemplate};
use crate::domain::tenant::TenantId;
use crate::store::{StoreError, templates};

/// Why a template was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("{} of the template's fields cannot be right", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the tenant has a template of this name")]
    Exists,
    /// The caller looks at it again.
    #[error("somebody else has changed the template")]
    Changed,
    #[error("there is no template of this name")]
    Unknown,
    #[error("the template has no such version")]
    NoVersion,
    /// The version says that there was no template.
    #[error("the version is a deletion")]
    Deletion,
    /// The caller changes it in the settings.
    #[error("the name is that of a type of message")]
    OfType(Kind),
    /// The caller replaces it by an inactive one of its own.
    #[error("the template is one of ours")]
    Ours,
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Context(error.into())
    }
}

/// Stores `draft` as the next version of the template `name`; what says the same already is left as it is. With
/// `version` only if that is still the present one: 0 as long as there is but ours.
///
/// # Errors
/// [`ChangeError::Changed`] if it is not, or if somebody else writes at the same moment.
pub async fn replace_template(
    cx: &Context,
    tenant: &TenantId,
    name: &str,
    draft: Draft,
    version: Option<u32>,
    by: Option<&str>,
    now: Timestamp,
) -> Result<StoredTemplate, ChangeError> {
    if let Some(kind) = type_named(name) {
        return Err(ChangeError::OfType(kind));
    }
    let seen = templates::get(cx.table().await?, tenant, name).await?;
    let own = seen.as_ref().filter(|seen| !seen.deleted);
    let written_as = match (own, default_template(name)) {
        (Some(own), _) => own.written.template.name.as_str(),
        (None, Some(ours)) => ours.name,
        (None, None) => return Err(ChangeError::Unknown),
    };
    let title = draft.name.clone().unwrap_or_else(|| written_as.to_string());
    if template_key(&title) != template_key(name) {
        let reason = "not the template's name: to give it another, create that one and delete this";
        return Err(ChangeError::Invalid(vec![FieldError::new("name", "another_name", reason)]));
    }
    let written = draft.check(&title).map_err(ChangeError::Invalid)?;
    match own {
        // The same request again, though it names the version before.
        Some(own) if own.written == written => return Ok(own.clone()),
        own if version.is_some_and(|version| version != own.map_or(0, |own| own.version)) => return Err(ChangeError::Changed),
        Some(_) | None => {}
    }
    let next = StoredTemplate::next(seen.as_ref(), written, by, now);
    put_next(cx, tenant, seen.as_ref(), next).await
}

/// Stores what follows on `seen`, and believes nothing older any more.
pub(super) async fn put_next(
    cx: &Context,
    tenant: &TenantId,
    seen: Option<&StoredTemplate>,
    next: StoredTemplate,
) -> Result<StoredTemplate, ChangeError> {
    let was_seen = templates::put_next(cx.table().await?, tenant, seen, &next).await?;
    cx.forget_template(tenant, &next.written.template.name);
    if was_seen { Ok(next) } else { Err(ChangeError::Changed) }
}
