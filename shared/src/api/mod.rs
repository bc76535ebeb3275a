//! HTTP: one router a function, one file a resource. Everything that is not a route is 404.

mod access;
mod analytics;
mod arrival;
mod audit;
mod bulk;
mod campaign_rows;
mod campaigns;
mod contacts;
mod conversations;
mod costs;
mod diagnose;
mod docs;
mod form;
mod groups;
mod imports;
mod jobs;
mod lessons;
mod listing;
mod messages;
pub mod openapi;
mod opt_outs;
mod payments;
mod phone_numbers;
mod preferences;
mod preview;
mod problem;
mod records;
mod request;
mod rights;
mod send;
mod settings;
mod spreadsheet;
mod templates;
mod tenants;
mod twilio;
mod webhook;
mod wishes;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};

use crate::context::Context;
use problem::Problem;

/// `sendMessage`: everything that is posted to be sent, and previews of it.
pub fn send_message(cx: Arc<Context>) -> Router {
    let tenant = Router::new()
        .route("/messages", post(send::message))
        .route("/messages/bulk", post(bulk::messages))
        .route("/messages/bulk/{id}/send", post(bulk::release))
        .route("/messages/preview", post(preview::preview))
        .route("/messages/explain", post(preview::explain))
        .route("/messages/test", post(send::test))
        .route("/messages/{id}/cancel", post(send::cancel))
        .route("/notifications", post(send::notification))
        .route("/calls", post(send::call))
        .route("/calls/bulk", post(bulk::calls))
        .route("/conversations/{id}/reply", post(conversations::reply));
    routes(Router::new().nest("/v1/tenants/{tenant}", tenant), cx)
}

/// `manageTenant`: everything else.
pub fn manage_tenant(cx: Arc<Context>) -> Router {
    let tenant = set_up().merge(people()).merge(records()).merge(campaigning()).merge(log());
    let tenants = Router::new()
        .route("/v1/tenants", get(tenants::list).post(tenants::create))
        .route("/v1/tenants/{tenant}", get(tenants::get).delete(tenants::delete))
        .route("/v1/tenants/{tenant}/suspend", post(tenants::suspend))
        .route("/v1/tenants/{tenant}/resume", post(tenants::resume));
    let open = Router::new()
        .route("/v1/openapi.json", get(openapi::get))
        .route("/docs", get(docs::get))
        .route("/v1/preferences/{token}", get(preferences::own).put(preferences::choose).post(preferences::submit));
    routes(Router::new().nest("/v1/tenants/{tenant}", tenant).merge(tenants).merge(open), cx)
}

fn set_up() -> Router<Arc<Context>> {
    Router::new()
        .route("/settings", get(settings::get).put(settings::put).patch(settings::patch))
        .route("/twilio", get(twilio::get).put(twilio::connect).delete(twilio::disconnect))
        .route("/twilio/test", post(twilio::test))
        .route("/diagnose", get(diagnose::all))
        .route("/diagnose/number", post(diagnose::number))
        .route("/phone-numbers", get(phone_numbers::list).post(phone_numbers::buy))
        .route("/phone-numbers/search", get(phone_numbers::search))
        .route("/phone-numbers/{number}", delete(phone_numbers::release))
        .route("/phone-numbers/{number}/wire", post(phone_numbers::wire))
        .route("/templates", get(templates::list).post(templates::create))
        .route("/templates/{name}", get(templates::get).put(templates::replace).delete(templates::delete))
        .route("/templates/{name}/versions", get(templates::versions))
        .route("/templates/{name}/versions/{version}", get(templates::version))
        .route("/templates/{name}/rollback", post(templates::rollback))
        .route("/templates/{name}/preview", post(templates::preview))
}

fn people() -> Router<Arc<Context>> {
    Router::new()
        .route("/contacts", get(contacts::list).post(contacts::create))
        .route("/contacts/import", post(imports::contacts))
        .route("/contacts/export", get(contacts::export))
        .route("/contacts/{id}", get(contacts::get).put(contacts::put).patch(contacts::patch).delete(rights::forget))
        .route("/contacts/{id}/export", get(rights::export))
        .route("/contacts/{id}/preferences", get(preferences::get).put(preferences::put))
        .route("/contacts/{id}/preferences-link", post(preferences::link))
        .route("/groups", get(groups::list))
        .route("/groups/{name}", get(groups::get))
        .route("/groups/{name}/members/{contact}", put(groups::put_member).delete(groups::delete_member))
        .route("/opt-outs", get(opt_outs::list).post(opt_outs::opt_out))
        .route("/opt-outs/opt-in", post(opt_outs::opt_in))
        .route("/opt-outs/export", get(opt_outs::export))
        .route("/opt-outs/{number}", get(opt_outs::check))
}

fn records() -> Router<Arc<Context>> {
    Router::new()
        .route("/lessons", get(lessons::list).post(lessons::save))
        .route("/lessons/import", post(imports::lessons))
        .route("/lessons/{id}", get(lessons::get).put(lessons::put))
        .route("/lessons/{id}/move", post(lessons::move_to))
        .route("/lessons/{id}/cancel", post(lessons::cancel))
        .route("/lessons/{id}/attendance", post(lessons::attendance))
        .route("/payments", get(payments::list).post(payments::save))
        .route("/payments/import", post(imports::payments))
        .route("/payments/{id}", get(payments::get).put(payments::put))
        .route("/payments/{id}/settle", post(payments::settle))
        .route("/payments/{id}/void", post(payments::void))
        .route("/jobs/{id}", get(jobs::get))
        .route("/jobs/{id}/errors", get(jobs::errors))
}

fn campaigning() -> Router<Arc<Context>> {
    Router::new()
        .route("/campaigns", get(campaigns::list).post(campaigns::create))
        .route("/campaigns/preview", post(campaigns::preview))
        .route("/campaigns/{id}", get(campaigns::get))
        .route("/campaigns/{id}/rows", get(campaign_rows::list))
        .route("/campaigns/{id}/rows.csv", get(campaign_rows::file))
        .route("/campaigns/{id}/file/{part}", put(campaigns::put_part))
        .route("/campaigns/{id}/start", post(campaigns::start))
        .route("/campaigns/{id}/pause", post(campaigns::pause))
        .route("/campaigns/{id}/resume", post(campaigns::resume))
        .route("/campaigns/{id}/cancel", post(campaigns::cancel))
}

fn log() -> Router<Arc<Context>> {
    Router::new()
        .route("/messages", get(messages::list))
        .route("/messages/bulk/{id}", get(bulk::get))
        .route("/messages/{id}", get(messages::get))
        .route("/calls", get(messages::calls))
        .route("/calls/{id}", get(messages::call))
        .route("/conversations", get(conversations::list))
        .route("/conversations/{id}", get(conversations::get))
        .route("/conversations/{id}/read", post(conversations::read))
        .route("/conversations/{id}/handled", post(conversations::handled))
        .route("/conversations/{id}/reopen", post(conversations::reopen))
        .route("/analytics/summary", get(analytics::summary))
        .route("/analytics/delivery", get(analytics::delivery))
        .route("/analytics/templates", get(analytics::templates))
        .route("/analytics/daily", get(analytics::daily))
        .route("/analytics/live", get(analytics::live))
        .route("/analytics/engagement", get(analytics::engagement))
        .route("/analytics/costs", get(costs::costs))
        .route("/analytics/costs/report", get(costs::report))
        .route("/analytics/estimate", get(costs::estimate))
        .route("/audit", get(audit::list))
        .route("/audit/export", get(audit::export))
}

/// `twilioWebhook`.
pub fn twilio_webhook(cx: Arc<Context>) -> Router {
    let webhooks = Router::new()
        .route("/twilio/{tenant}/status", post(webhook::status))
        .route("/twilio/{tenant}/voice/status", post(webhook::voice_status))
        .route("/twilio/{tenant}/voice", post(webhook::voice))
        .route("/twilio/{tenant}/inbound", post(webhook::inbound));
    routes(webhooks, cx)
}

fn routes(router: Router<Arc<Context>>, cx: Arc<Context>) -> Router {
    router
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(cx.clone(), audit::record))
        .layer(from_fn(well_formed))
        .with_state(cx)
}

/// A path that is no text names nothing; axum would answer it in words of its own.
async fn well_formed(request: Request, next: Next) -> Response {
    let mut bytes = Vec::with_capacity(request.uri().path().len());
    let mut rest = request.uri().path();
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.extend(byte);
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    if std::str::from_utf8(&bytes).is_err() {
        return Problem::not_found("there is nothing at this path").into_response();
    }
    next.run(request).await
}
