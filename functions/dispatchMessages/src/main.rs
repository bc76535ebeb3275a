//! `dispatchMessages`: SQS (send these) and EventBridge every minute (what is due, what is stuck).

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::{clock, config::Config, context::Context, schedule, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let cx = &Context::new(Config::from_env()?);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(schedule::dispatch_messages(cx, event.payload, clock::now()).await?)
    }))
    .await
}
