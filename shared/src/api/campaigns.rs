//! `/campaigns`: one text for everybody in a file, a list or groups (S2-14, S2-23..25): looked at beforehand, started,
//! paused, resumed and canceled, and how far it is.

mod asked;
mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use jiff::Timestamp;

use super::access::Caller;
use super::arrival::Arrival;
use super::form;
use super::listing::{self, Listing};
use super::problem::{Problem, Refusals};
use super::request::{IdempotencyKey, Input};
use crate::context::Context;
use crate::domain::campaign::layout::LARGEST_PART;
use crate::domain::tenant::TenantId;
use crate::store::campaigns::{self, Campaign, Stage};
use crate::usecases::complete_upload::{complete_upload, put_campaign_part};
use crate::usecases::control_campaign::{ControlError, cancel_campaign, pause_campaign, resume_campaign, start_campaign};
use crate::usecases::create_campaign::{Source, create_campaign};
use crate::usecases::preview_campaign::{free_from, outlook, preview_campaign};
use crate::usecases::tally_campaign::tally_campaign;
use asked::{CampaignForm, CampaignRequest, FILE, StartRequest, Whole};
use view::{CampaignPage, CampaignPreview, CampaignProgress, CampaignView};

type Accepted = (StatusCode, Json<CampaignView>);

/// Say something to everybody in a file, a list or groups. Takes the role `staff` or `admin`.
///
/// The rows are looked at in the background, and each that can be sent gets one message; the report of the rows says what
/// became of every one. Marketing goes to nobody who opted out of it, names its sender and says how to opt out. A request
/// has at most 3 MiB: of a larger file, ask with `upload: true`, PUT it in parts, and start. A file has at most 128 MiB and
/// 2,000,000 rows. Over WhatsApp a campaign takes a template with `contentSid`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns", operation_id = "create_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key makes one")),
    request_body(content((CampaignRequest = "application/json"), (CampaignForm = "multipart/form-data"))),
    responses((status = 202, description = "Accepted, and stored for good", body = CampaignView), Refusals)
)]
pub async fn create(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    Whole { mut asked, file, fingerprint }: Whole,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let source = asked.source(file)?.ok_or_else(|| {
        Problem::field(FILE, "required", "say whom it is for: give customerList, recipients, groups or upload: true")
    })?;
    let request = asked.into_request(source)?;
    let (tenant, by) = (&caller.tenant, caller.subject.as_deref());
    let campaign = create_campaign(&cx, tenant, &request, &key.0, &fingerprint, by, now).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&cx, tenant, campaign, now).await?)))
}

/// See a campaign before it goes: how many get it and how many do not and why, what it costs, what makes it dearer than it
/// need be, and when it will be through. Nothing is written. Takes the role `staff` or `admin`.
///
/// Without `customerList`, `recipients` and `groups`: the text alone. At most 100,000 rows, beyond which it is 422
/// `too_many_rows`: create the campaign with `hold: true`, of a large file with `upload: true` too, and see its plan.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/preview", operation_id = "preview_campaign", tag = "campaigns",
    params(("tenant" = String, Path)),
    request_body(content((CampaignRequest = "application/json"), (CampaignForm = "multipart/form-data"))),
    responses((status = 200, description = "As asked", body = CampaignPreview), Refusals)
)]
pub async fn preview(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Whole { mut asked, file, .. }: Whole,
) -> Result<Json<CampaignPreview>, Problem> {
    caller.require_staff()?;
    let source = asked.source(file)?.unwrap_or(Source::Upload);
    let request = asked.into_request(source)?;
    let preview = preview_campaign(&cx, &caller.tenant, &request, now).await?;
    let settings = cx.settings(&caller.tenant, now).await?;
    Ok(Json(CampaignPreview::of(preview, &settings)))
}

/// The campaigns of the last 90 days, the latest first.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/campaigns", operation_id = "list_campaigns", tag = "campaigns",
    params(("tenant" = String, Path), Listing),
    responses((status = 200, description = "As asked", body = CampaignPage), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<CampaignPage>, Problem> {
    let listing = listing::read(listing)?;
    let settings = cx.settings(&caller.tenant, now).await?;
    let (page, next) = campaigns::page(cx.table().await?, &caller.tenant, listing.after.as_deref(), listing.limit).await?;
    let items = page.into_iter().map(|campaign| CampaignView::of(campaign, &settings, now)).collect();
    Ok(Json(CampaignPage { items, next_cursor: next.map(listing::cursor) }))
}

/// A campaign, and how far its messages are (S2-24, S2-31); of one that is held, what is to be known before it is started.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/campaigns/{id}", operation_id = "get_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = CampaignView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    let campaign = found(&cx, &caller.tenant, &id).await?;
    let tenant = &caller.tenant;
    let settings = cx.settings(tenant, now).await?;
    let progress = tally_campaign(&cx, tenant, &campaign, now).await?;
    let progress = CampaignProgress::of(&campaign, progress);
    let free_at = free_from(&cx, tenant, &settings, campaign.terms.channel, now).await?;
    // Whom its messages are for is said where the rows are: this is looked at each second, and nobody is told of it.
    let known = match campaign.stage {
        Stage::Held => Some(outlook(&cx, tenant, &campaign, now).await?),
        _ => None,
    };
    let view = CampaignView::of(campaign, &settings, free_at).so_far(progress);
    Ok(Json(match known {
        None => view,
        Some(outlook) => view.with(outlook),
    }))
}

/// Send a part of a campaign's file, in place of what was there under this number. Takes the role `staff` or `admin`.
///
/// The parts are the file's bytes, cut anywhere, and come in any order, each as often as it takes.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/campaigns/{id}/file/{part}", operation_id = "put_campaign_part", tag = "campaigns",
    params(
        ("tenant" = String, Path), ("id" = String, Path),
        ("part" = u32, Path, description = "Counted from 0; at most 64 in all")
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "At most 2 MiB, of any type"),
    responses((status = 204, description = "Stored"), Refusals)
)]
pub async fn put_part(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id, part)): Path<(String, String, String)>,
    request: Request,
) -> Result<StatusCode, Problem> {
    caller.require_staff()?;
    let campaign = found(&cx, &caller.tenant, &id).await?;
    let part: u32 = part.parse().map_err(|_| Problem::not_found("parts are numbered from 0 on"))?;
    if form::is_form(request.headers()) {
        let reason = "the part itself is the body, not a form with it";
        return Err(Problem::field("Content-Type", "invalid", reason));
    }
    let bytes = form::whole(request.into_body(), LARGEST_PART, "cut the file into smaller parts").await?;
    if campaign.stage != Stage::Uploading {
        return Err(Problem::conflict("not_uploading", "its file is complete: what is in it cannot be changed any more"));
    }
    put_campaign_part(&cx, &caller.tenant, &campaign, part, &bytes, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say that all parts of a campaign's file are there, or let a campaign go that was kept. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/start", operation_id = "start_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = StartRequest,
    responses((status = 202, description = "It goes on by itself", body = CampaignView), Refusals)
)]
pub async fn start(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Input(asked): Input<StartRequest>,
) -> Result<Accepted, Problem> {
    caller.require_staff()?;
    let tenant = &caller.tenant;
    let campaign = match asked.parts {
        Some(parts) => complete_upload(&cx, tenant, found(&cx, tenant, &id).await?, parts, now).await?,
        None => start_campaign(&cx, tenant, &id, now).await.map_err(refused)?,
    };
    Ok((StatusCode::ACCEPTED, Json(view(&cx, tenant, campaign, now).await?)))
}

/// Hold a campaign up: what Twilio does not have yet stays. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/pause", operation_id = "pause_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "Paused; 409 `campaign_over` if nothing is left to go", body = CampaignView), Refusals)
)]
pub async fn pause(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    caller.require_staff()?;
    let campaign = pause_campaign(&cx, &caller.tenant, &id, now).await.map_err(refused)?;
    Ok(Json(view(&cx, &caller.tenant, campaign, now).await?))
}

/// Let a campaign go on that was paused: by somebody, by the month's limit, or because of what `trouble` says. Takes the role
/// `staff` or `admin`.
///
/// Of one that is not paused, done or not, nothing changes.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/resume", operation_id = "resume_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses(
        (
            status = 200, description = "Paused no longer; 409 `campaign_over` of one that was canceled or failed",
            body = CampaignView
        ),
        Refusals
    )
)]
pub async fn resume(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    caller.require_staff()?;
    let campaign = resume_campaign(&cx, &caller.tenant, &id, now).await.map_err(refused)?;
    Ok(Json(view(&cx, &caller.tenant, campaign, now).await?))
}

/// End a campaign: what Twilio does not have yet does not go, and what was reserved for it goes back to the month's limit.
/// Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/campaigns/{id}/cancel", operation_id = "cancel_campaign", tag = "campaigns",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "Canceled; 409 `campaign_over` if everything has gone", body = CampaignView), Refusals)
)]
pub async fn cancel(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<CampaignView>, Problem> {
    caller.require_staff()?;
    let campaign = cancel_campaign(&cx, &caller.tenant, &id, now).await.map_err(refused)?;
    Ok(Json(view(&cx, &caller.tenant, campaign, now).await?))
}

/// A campaign of the tenant's.
pub(super) async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<Campaign, Problem> {
    campaigns::get(cx.table().await?, tenant, id).await?.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("there is no such campaign")
}

/// Without how far its messages are, which takes a look at them.
async fn view(cx: &Context, tenant: &TenantId, campaign: Campaign, now: Timestamp) -> Result<CampaignView, Problem> {
    let settings = cx.settings(tenant, now).await?;
    Ok(CampaignView::of(campaign, &settings, now))
}

fn refused(error: ControlError) -> Problem {
    match error {
        ControlError::NoSuchCampaign => missing(),
        ControlError::NotNow(code, why) => Problem::conflict(code, why),
        ControlError::Context(error) => error.into(),
    }
}
