//! `GET /settings`: the same JSON as `tenant.json`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::access::Caller;
use super::arrival::Arrival;
use super::problem::{Problem, Refusals};
use crate::context::Context;
use crate::domain::tenant::Settings;

/// The tenant's settings.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/settings", operation_id = "get_settings", tag = "tenant",
    params(("tenant" = String, Path)), responses((status = 200, description = "As asked", body = Object), Refusals)
)]
pub async fn get(State(cx): State<Arc<Context>>, Arrival(now): Arrival, caller: Caller) -> Result<Json<Settings>, Problem> {
    caller.require_admin()?;
    let settings = cx.settings(&caller.tenant, now).await?;
    Ok(Json(Settings::clone(&settings)))
}
