//! `twilioWebhook`: status callbacks and inbound messages, at a function URL.

use std::sync::Arc;

use shared::{api, context::Context};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let cx = Arc::new(Context::start());
    lambda_http::run(api::twilio_webhook(cx)).await
}
