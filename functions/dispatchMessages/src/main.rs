//! `dispatchMessages`: SQS (send these) and EventBridge every minute (what is due, what is stuck).

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::{clock, context::Context, schedule};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let cx = &Context::start();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(schedule::dispatch_messages(cx, event.payload, clock::now()).await?)
    }))
    .await
}
