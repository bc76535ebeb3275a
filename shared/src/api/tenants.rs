//! `/tenants`: the platform makes tenants, suspends them, and deletes them. It sees nothing that is a tenant's own.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::access::Platform;
use super::arrival::Arrival;
use super::listing;
use super::problem::{Problem, Refusals};
use super::request::Input;
use super::settings;
use crate::context::Context;
use crate::domain::tenant::{Settings, TenantId, Trade};
use crate::store::jobs::{self, Job, Stage};
use crate::store::tenants::{self, Entry, TenantState};
use crate::usecases::create_tenant::create_tenant;
use crate::usecases::delete_tenant::{Deletion, delete_tenant};
use crate::usecases::suspend_tenant::{Changed, resume_tenant, suspend_tenant};

/// A tenant to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantRequest {
    /// 1 to 64 of `a-z A-Z 0-9 _ -`. It stands in tokens, paths and webhook URLs, and is never given again.
    pub id: String,
    /// What it calls itself in its messages.
    pub name: String,
    /// An IANA zone: `America/New_York`.
    pub time_zone: String,
    /// The country of numbers that are written without one, as ISO 3166: `US`.
    pub default_region: String,
    /// ISO 4217; `USD` when absent. Another one needs `prices` in `settings`.
    pub currency: Option<String>,
    pub trade: Option<Trade>,
    /// Whatever else `PUT /settings` takes.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Map<String, Value>>,
}

/// Why a tenant is suspended.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuspendRequest {
    pub reason: Option<String>,
}

/// A tenant, as the platform knows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantView {
    id: String,
    /// Gone with a tenant that is deleted.
    name: Option<String>,
    state: TenantState,
    /// Absent of one that was made otherwise than by this call.
    created_at: Option<Timestamp>,
    /// When it was last suspended, resumed or deleted, by whom, and why.
    changed_at: Option<Timestamp>,
    changed_by: Option<String>,
    reason: Option<String>,
    /// How far its deletion is, while that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<DeletionView>,
}

/// How far a deletion is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionView {
    /// `job_…`
    job: String,
    /// Whether nothing is left.
    finished: bool,
    asked_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// Days of its log, and how many of them are gone.
    days: u32,
    days_done: u32,
}

/// A page of tenants, by id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenants {
    items: Vec<TenantView>,
    /// While there is one, there may be more: a page that was filtered may hold few tenants, or none.
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantFilter {
    /// All but those that are deleted when absent.
    state: Option<TenantState>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

impl TenantView {
    fn of(tenant: &TenantId, entry: Entry, deletion: Option<Job>) -> Self {
        let deletion = deletion.map(|job| DeletionView {
            finished: job.stage == Stage::Done,
            asked_at: job.created_at,
            finished_at: job.finished_at,
            days: job.total,
            days_done: if job.stage == Stage::Done { job.total } else { job.done },
            job: job.id,
        });
        Self {
            id: tenant.to_string(),
            name: Some(entry.name).filter(|name| !name.is_empty()),
            state: entry.state,
            created_at: entry.created_at,
            changed_at: entry.changed_at,
            changed_by: entry.changed_by,
            reason: entry.reason,
            deletion,
        }
    }
}

const LONGEST_NAME: usize = 200;
const LONGEST_REASON: usize = 500;

/// Make a tenant. It can be looked at and set up at once, and sends as soon as it has connected its Twilio account.
/// Takes the role `platform`.
#[utoipa::path(
    post, path = "/v1/tenants", operation_id = "create_tenant", tag = "tenants",
    request_body = TenantRequest,
    responses((status = 201, description = "Made; 409 `exists` if the id is or was another's", body = TenantView), Refusals)
)]
pub async fn create(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    platform: Platform,
    Input(asked): Input<TenantRequest>,
) -> Result<(StatusCode, Json<TenantView>), Problem> {
    let tenant = TenantId::parse(&asked.id).map_err(|_| Problem::field("id", "invalid", "1 to 64 of a-z A-Z 0-9 _ -"))?;
    let settings = first_settings(asked)?;
    platform.concerns(&tenant);
    let entry = create_tenant(&cx, &tenant, &settings, platform.subject, now).await?;
    let taken = || Problem::conflict("exists", "this id is taken, or was: an id is never given again");
    Ok((StatusCode::CREATED, Json(TenantView::of(&tenant, entry.ok_or_else(taken)?, None))))
}

/// The settings of a new tenant: what was asked for, and the defaults.
fn first_settings(asked: TenantRequest) -> Result<Settings, Problem> {
    let name = asked.name.trim();
    if name.is_empty() {
        return Err(Problem::field("name", "required", "what the tenant calls itself in its messages"));
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(Problem::field("name", "too_long", format!("at most {LONGEST_NAME} characters")));
    }
    let mut document = asked.settings.unwrap_or_default();
    document.insert("name".into(), name.into());
    document.insert("timeZone".into(), asked.time_zone.into());
    document.insert("defaultRegion".into(), asked.default_region.into());
    if let Some(trade) = asked.trade {
        document.insert("trade".into(), json!(trade));
    }
    if let Value::Object(budget) = document.entry("budget").or_insert_with(|| json!({})) {
        if let Some(currency) = asked.currency {
            budget.insert("currency".into(), currency.into());
        } else {
            budget.entry("currency").or_insert_with(|| "USD".into());
        }
    }
    let document = Value::Object(document);
    let settings = settings::read(document.clone(), &document).map_err(Problem::fields)?;
    Ok(Settings { suspended: false, ..settings })
}

/// Every tenant, by id. Takes the role `platform`.
#[utoipa::path(
    get, path = "/v1/tenants", operation_id = "list_tenants", tag = "tenants",
    params(TenantFilter), responses((status = 200, description = "As asked", body = Tenants), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    _: Platform,
    filter: Result<Query<TenantFilter>, QueryRejection>,
) -> Result<Json<Tenants>, Problem> {
    let Query(filter) = filter.map_err(listing::bad_query)?;
    let limit = listing::limit(filter.limit)?;
    let after = filter.cursor.as_deref().map(listing::entry).transpose()?;
    let after = after.map(|id| TenantId::parse(&id).map_err(|_| listing::foreign())).transpose()?;
    let (page, next) = tenants::page(cx.table().await?, after.as_ref(), limit).await?;
    let is_wanted = |entry: &Entry| match filter.state {
        Some(state) => entry.state == state,
        None => entry.state != TenantState::Deleted,
    };
    let items = page.into_iter().filter(|(_, entry)| is_wanted(entry)).map(|(id, entry)| TenantView::of(&id, entry, None));
    Ok(Json(Tenants { items: items.collect(), next_cursor: next.map(listing::cursor) }))
}

/// One tenant; of one that is being deleted, how far that is. Takes the role `platform`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", operation_id = "get_tenant", tag = "tenants",
    params(("tenant" = String, Path)), responses((status = 200, description = "As asked", body = TenantView), Refusals)
)]
pub async fn get(State(cx): State<Arc<Context>>, _: Platform, Path(tenant): Path<String>) -> Result<Json<TenantView>, Problem> {
    let tenant = parse(&tenant)?;
    let table = cx.table().await?;
    let entry = tenants::entry(table, &tenant).await?.ok_or_else(unknown)?;
    let deletion = match &entry.job {
        Some(job) => jobs::get(table, &tenant, job).await?,
        None => None,
    };
    Ok(Json(TenantView::of(&tenant, entry, deletion)))
}

/// Suspend a tenant. It keeps everything, and its people can read it; nothing is sent, and what falls due is skipped.
/// Within a minute it holds everywhere. Takes the role `platform`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/suspend", operation_id = "suspend_tenant", tag = "tenants",
    params(("tenant" = String, Path)), request_body = SuspendRequest,
    responses((status = 200, description = "As it is now; 409 `deleted` of one that is, or is about to be", body = TenantView), Refusals)
)]
pub async fn suspend(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    platform: Platform,
    Path(tenant): Path<String>,
    Input(asked): Input<SuspendRequest>,
) -> Result<Json<TenantView>, Problem> {
    let tenant = parse(&tenant)?;
    platform.concerns(&tenant);
    let reason = asked.reason.map(|reason| reason.trim().to_string()).filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(Problem::field("reason", "too_long", format!("at most {LONGEST_REASON} characters")));
    }
    changed(&tenant, suspend_tenant(&cx, &tenant, reason, platform.subject, now).await?)
}

/// Let a tenant send again. What was skipped meanwhile stays skipped. Takes the role `platform`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/resume", operation_id = "resume_tenant", tag = "tenants",
    params(("tenant" = String, Path)),
    responses((status = 200, description = "As it is now; 409 `deleted` of one that is, or is about to be", body = TenantView), Refusals)
)]
pub async fn resume(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    platform: Platform,
    Path(tenant): Path<String>,
) -> Result<Json<TenantView>, Problem> {
    let tenant = parse(&tenant)?;
    platform.concerns(&tenant);
    changed(&tenant, resume_tenant(&cx, &tenant, platform.subject, now).await?)
}

/// Delete a suspended tenant with everything of it, for good: within minutes, and told by `GET`. Its account and its
/// numbers at Twilio are its own and stay. Takes the role `platform`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", operation_id = "delete_tenant", tag = "tenants",
    params(("tenant" = String, Path)),
    responses((status = 202, description = "Accepted; 409 `not_suspended` of one that is in use", body = TenantView), Refusals)
)]
pub async fn delete(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    platform: Platform,
    Path(tenant): Path<String>,
) -> Result<(StatusCode, Json<TenantView>), Problem> {
    let tenant = parse(&tenant)?;
    platform.concerns(&tenant);
    match delete_tenant(&cx, &tenant, platform.subject, now).await? {
        Deletion::Begun(entry, job) => Ok((StatusCode::ACCEPTED, Json(TenantView::of(&tenant, *entry, Some(*job))))),
        Deletion::NotSuspended => {
            Err(Problem::conflict("not_suspended", "suspend it first (POST …/suspend): what is in use is not deleted"))
        }
        Deletion::Unknown => Err(unknown()),
    }
}

fn changed(tenant: &TenantId, changed: Changed) -> Result<Json<TenantView>, Problem> {
    match changed {
        Changed::Done(entry) => Ok(Json(TenantView::of(tenant, *entry, None))),
        Changed::Gone => Err(Problem::conflict("deleted", "this tenant is deleted, or about to be: that is for good")),
        Changed::Unknown => Err(unknown()),
    }
}

fn parse(tenant: &str) -> Result<TenantId, Problem> {
    TenantId::parse(tenant).map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("there is no such tenant")
}
