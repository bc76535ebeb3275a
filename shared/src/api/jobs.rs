//! `/jobs`: how far an import is, or a contact or tenant that is to be forgotten, and what is wrong with a file's rows.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::access::Caller;
use super::problem::{Problem, Refusals};
use super::spreadsheet;
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::tenant::TenantId;
use crate::store::jobs::{self, Job, JobKind, Stage};

/// Long work that one request asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// `job_…`
    id: String,
    kind: JobKind,
    state: Stage,
    /// How much there is to do, and how much of it is done: rows that can be used, messages.
    total: u32,
    done: u32,
    /// So many rows of the file, or events of the calendar, are not used.
    refused: u32,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// What is wrong with a file's rows, by line: at most 1000.
    errors: Vec<RowError>,
    /// What came of it, if it leaves something to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
}

/// What is wrong with a row of a file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RowError {
    /// The line on which the row begins; the first of a file is 1.
    line: Option<u32>,
    /// The column's name, or the calendar's property; of a note, the event's `UID`.
    column: String,
    /// `refused`: nothing of the row is used. `kept`: the row is used without this value. `note`: something of the
    /// calendar was left out without being wrong.
    code: String,
    /// For people.
    reason: String,
}

impl RowError {
    fn of(error: FieldError) -> Self {
        Self { line: error.row, column: error.field, code: error.code, reason: error.reason }
    }
}

/// A job as callers see it, with what is wrong with the rows of its file.
pub(super) fn view(job: Job, errors: Vec<FieldError>) -> JobView {
    JobView {
        result: job.state.get("certificate").filter(|certificate| !certificate.is_null()).cloned(),
        id: job.id,
        kind: job.kind,
        state: job.stage,
        total: job.total,
        done: job.done,
        refused: job.refused,
        created_at: job.created_at,
        finished_at: job.finished_at,
        errors: errors.into_iter().map(RowError::of).collect(),
    }
}

/// How far a job is.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/jobs/{id}", operation_id = "get_job", tag = "jobs",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = JobView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<JobView>, Problem> {
    let (job, errors) = found(&cx, &caller.tenant, &id).await?;
    Ok(Json(view(job, errors)))
}

/// What is wrong with the rows of an import's file, as CSV. Takes the role `staff` or `admin`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/jobs/{id}/errors", operation_id = "export_job_errors", tag = "jobs",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = String, content_type = "text/csv"), Refusals)
)]
pub async fn errors(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.require_staff()?;
    let (_, errors) = found(&cx, &caller.tenant, &id).await?;
    let row = |error: FieldError| {
        let line = error.row.map(|line| line.to_string()).unwrap_or_default();
        vec![line, error.field, error.code, error.reason]
    };
    Ok(spreadsheet::file("errors.csv", &["line", "column", "code", "reason"], errors.into_iter().map(row)))
}

async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<(Job, Vec<FieldError>), Problem> {
    let table = cx.table().await?;
    let job = jobs::get(table, tenant, id).await?.ok_or_else(|| Problem::not_found("there is no such job"))?;
    let errors = jobs::errors(table, tenant, &job).await?;
    Ok((job, errors))
}
