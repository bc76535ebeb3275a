//! `/analytics`: what came of what was sent, counted from the log itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::{self, Span};
use super::problem::{Problem, Refusals};
use crate::context::Context;
use crate::usecases::count_engagement::{Engagement, count_engagement};

/// How recipients took part.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngagementView {
    from: Timestamp,
    to: Timestamp,
    /// Messages that were handed over.
    sent: u32,
    /// Reminders among them that asked to confirm, or for another time.
    asked: u32,
    /// Of those, how many were answered, and how.
    answered: u32,
    confirmed: u32,
    another_time: u32,
    /// Texts and calls that came in.
    received: u32,
    /// Of those, how many opted out, wholly or of a category, and how many in.
    opt_outs: u32,
    opt_ins: u32,
}

/// Answers to reminders, texts and opt-outs in a span of at most 31 days: the last 7, if nothing is said.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/analytics/engagement", operation_id = "get_engagement", tag = "analytics",
    params(("tenant" = String, Path), Span), responses((status = 200, description = "As asked", body = EngagementView), Refusals)
)]
pub async fn engagement(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Json<EngagementView>, Problem> {
    let Query(span) = span.map_err(listing::bad_query)?;
    let to = span.to.unwrap_or(now);
    let from = span.from.unwrap_or(to.saturating_sub(SignedDuration::from_hours(24 * 7)).unwrap_or(Timestamp::MIN));
    listing::bounded(from, to)?;
    let Engagement { sent, asked, confirmed, another_time, received, opt_outs, opt_ins } =
        count_engagement(&cx, &caller.tenant, from, to).await?;
    let answered = confirmed + another_time;
    Ok(Json(EngagementView { from, to, sent, asked, answered, confirmed, another_time, received, opt_outs, opt_ins }))
}
