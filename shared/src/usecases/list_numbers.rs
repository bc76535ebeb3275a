//! The numbers that a tenant's account has, and those that it could buy.

use super::ask_twilio::{AskError, connected, rest};
use crate::context::Context;
use crate::domain::tenant::TenantId;
use crate::twilio::numbers::{self, Offered, Owned, Search};

/// Every number of the account.
pub async fn list_numbers(cx: &Context, tenant: &TenantId) -> Result<Vec<Owned>, AskError> {
    let credentials = connected(cx, tenant).await?;
    Ok(numbers::list(rest(cx, &credentials)).await?)
}

/// Numbers that are for sale (S4-23).
pub async fn search_numbers(cx: &Context, tenant: &TenantId, search: &Search) -> Result<Vec<Offered>, AskError> {
    let credentials = connected(cx, tenant).await?;
    Ok(numbers::search(rest(cx, &credentials), search).await?)
}
