//! Asks Twilio for something that sends nothing, as the tenant's account: and what may come of that.

use crate::context::{Context, ContextError, twilio_secret};
use crate::domain::compose::FieldError;
use crate::domain::tenant::TenantId;
use crate::secrets::{self, SecretsError};
use crate::store::StoreError;
use crate::twilio::credentials::Credentials;
use crate::twilio::rest::{Rest, RestError};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the tenant has connected no account")]
    NotConnected,
    /// Something that was given cannot be right, or Twilio says that it is not.
    #[error("{} of the request's fields cannot be right", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the number is not one of the account's")]
    NotOwned,
    #[error("the number is the account's already")]
    AlreadyOwned,
    /// Somebody else has it, or it was given back.
    #[error("the number is not for sale")]
    Gone,
    #[error("the key stands for another request already")]
    KeyTaken,
    /// Twilio said no, for good, with this code.
    #[error("Twilio refused with {0}")]
    Refused(u32),
    /// Twilio could not be asked, or what it did is not known: asking again is safe.
    #[error("Twilio could not be asked")]
    Unreachable(#[source] RestError),
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl From<RestError> for AskError {
    fn from(error: RestError) -> Self {
        match error.refusal() {
            Some(code) => Self::Refused(code),
            None => Self::Unreachable(error),
        }
    }
}

impl From<StoreError> for AskError {
    fn from(error: StoreError) -> Self {
        Self::Context(error.into())
    }
}

impl From<SecretsError> for AskError {
    fn from(error: SecretsError) -> Self {
        Self::Context(error.into())
    }
}

/// One thing that is wrong.
pub(super) fn invalid(field: &str, code: &str, reason: impl ToString) -> AskError {
    AskError::Invalid(vec![FieldError::new(field, code, reason)])
}

/// The tenant's credentials as they are stored now: somebody may have connected the account a moment ago, elsewhere.
pub async fn stored_credentials(cx: &Context, tenant: &TenantId) -> Result<Option<Credentials>, ContextError> {
    match secrets::read(&cx.secrets, &cx.config.secret(&twilio_secret(tenant))).await {
        Ok(credentials) => Ok(Some(credentials)),
        Err(SecretsError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The credentials of a tenant that must have connected an account.
pub(super) async fn connected(cx: &Context, tenant: &TenantId) -> Result<Credentials, AskError> {
    stored_credentials(cx, tenant).await?.ok_or(AskError::NotConnected)
}

pub(super) fn rest<'a>(cx: &'a Context, credentials: &'a Credentials) -> Rest<'a> {
    Rest { http: &cx.http, base: &cx.config.twilio_api_base, credentials }
}
