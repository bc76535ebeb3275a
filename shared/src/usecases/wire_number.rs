//! Points what comes in at a number of the tenant's to our webhooks.

use super::ask_twilio::{AskError, connected, rest};
use crate::context::Context;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;
use crate::twilio::numbers::{self, Hooks, Owned};
use crate::twilio::rest::{Rest, RestError};

/// Points the webhooks of `number` to us, wherever they pointed.
///
/// # Errors
/// [`AskError::NotOwned`] for a number that the account does not have.
pub async fn wire_number(cx: &Context, tenant: &TenantId, number: &PhoneNumber) -> Result<Owned, AskError> {
    let credentials = connected(cx, tenant).await?;
    let rest = rest(cx, &credentials);
    let owned = numbers::find(rest, number.e164()).await?.ok_or(AskError::NotOwned)?;
    Ok(numbers::wire(rest, &owned, &Hooks::of(&cx.config.public_url, tenant)).await?)
}

/// The number, its webhooks pointed to us if they were not.
pub(super) async fn wired(rest: Rest<'_>, owned: Owned, hooks: &Hooks) -> Result<Owned, RestError> {
    if owned.is_wired(hooks) { Ok(owned) } else { numbers::wire(rest, &owned, hooks).await }
}
