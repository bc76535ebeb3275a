//! HTTP: one router a function, one file a resource. Everything that is not a route is 404.

mod access;
mod analytics;
mod arrival;
mod bulk;
mod conversations;
mod listing;
mod messages;
pub mod openapi;
mod opt_outs;
mod preview;
mod problem;
mod request;
mod send;
mod settings;
mod spreadsheet;
mod webhook;
mod wishes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

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

/// `manageTenant`.
pub fn manage_tenant(cx: Arc<Context>) -> Router {
    let tenant = Router::new()
        .route("/settings", get(settings::get))
        .route("/messages", get(messages::list))
        .route("/messages/bulk/{id}", get(bulk::get))
        .route("/messages/{id}", get(messages::get))
        .route("/calls", get(messages::calls))
        .route("/calls/{id}", get(messages::call))
        .route("/analytics/engagement", get(analytics::engagement))
        .route("/conversations", get(conversations::list))
        .route("/conversations/{id}", get(conversations::get))
        .route("/conversations/{id}/read", post(conversations::read))
        .route("/conversations/{id}/handled", post(conversations::handled))
        .route("/conversations/{id}/reopen", post(conversations::reopen))
        .route("/opt-outs", get(opt_outs::list).post(opt_outs::opt_out))
        .route("/opt-outs/opt-in", post(opt_outs::opt_in))
        .route("/opt-outs/export", get(opt_outs::export))
        .route("/opt-outs/{number}", get(opt_outs::check));
    routes(Router::new().nest("/v1/tenants/{tenant}", tenant).route("/v1/openapi.json", get(openapi::get)), cx)
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
        .with_state(cx)
}
