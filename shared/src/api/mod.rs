//! HTTP: one router a function, one file a resource. Everything that is not a route is 404.

mod access;
mod arrival;
mod messages;
mod problem;
mod settings;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;
use problem::Problem;

/// `sendMessage`: its routes come with the use cases behind them.
pub fn send_message(cx: Arc<Context>) -> Router {
    routes(Router::new(), cx)
}

/// `manageTenant`.
pub fn manage_tenant(cx: Arc<Context>) -> Router {
    let tenant = Router::new()
        .route("/settings", get(settings::get))
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(messages::get));
    routes(Router::new().nest("/v1/tenants/{tenant}", tenant), cx)
}

/// `twilioWebhook`.
pub fn twilio_webhook(cx: Arc<Context>) -> Router {
    let webhooks = Router::new()
        .route("/twilio/{tenant}/status", post(webhook::status))
        .route("/twilio/{tenant}/inbound", post(webhook::inbound));
    routes(webhooks, cx)
}

fn routes(router: Router<Arc<Context>>, cx: Arc<Context>) -> Router {
    router
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(cx)
}
