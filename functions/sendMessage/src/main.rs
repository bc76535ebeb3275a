//! `sendMessage`: messages, notifications, calls, previews.

use std::sync::Arc;

use shared::{api, context::Context};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let cx = Arc::new(Context::start());
    lambda_http::run(api::send_message(cx)).await
}
