//! `receiveEvents`: EventBridge: lesson moved or cancelled, attendance taken, payment settled.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::{clock, context::Context, schedule};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let cx = &Context::start();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(schedule::receive_events(cx, event.payload, clock::now()).await?)
    }))
    .await
}
