//! `scheduleLessonReminders`: EventBridge, daily 09:00 UTC: plans lesson reminders.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::{context::Context, schedule};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let cx = &Context::start();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(schedule::lesson_reminders(cx, event.payload).await?)
    }))
    .await
}
