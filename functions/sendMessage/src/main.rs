//! `sendMessage`: messages, notifications, calls, previews.

use std::sync::Arc;

use shared::{api, config::Config, context::Context, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let cx = Arc::new(Context::new(Config::from_env()?));
    lambda_http::run(api::send_message(cx)).await
}
