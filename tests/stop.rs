//! STOP while much is on its way: what was claimed before it may arrive, nothing that was not.

use jiff::SignedDuration;
use local::host::Host;
use serde_json::{Value, json};
use shared::domain::message::{Message, Reason, Status};

use crate::machine::{messages_of, post, quiet_machine, settle, tenant};

const ONE: &str = "+12125550001";
const SENDER: &str = "+15005550006";
const MANY: usize = 1_000;

/// A thousand messages to one number, scheduled an hour ahead.
async fn scheduled() -> Host {
    let host = quiet_machine(|_| {}).await;
    let at = (host.clock.now() + SignedDuration::from_hours(1)).to_string();
    let rows: Vec<Value> = (0..MANY).map(|at| json!({ "to": ONE, "body": format!("Message {at}") })).collect();
    let (_, list) = post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": rows, "sendAt": at })).await;
    assert_eq!(list["accepted"], MANY, "{list}");
    settle(&host, SignedDuration::from_mins(30)).await;
    assert_eq!(ours(&host).await.iter().filter(|message| message.status == Status::Scheduled).count(), MANY);
    host
}

async fn ours(host: &Host) -> Vec<Message> {
    messages_of(host)
        .await
        .into_iter()
        .filter(|message| message.body.as_deref().is_some_and(|body| body.starts_with("Message ")))
        .collect()
}

/// How many went out, but for the confirmation of the opt-out.
fn sent(host: &Host) -> usize {
    host.twilio.ledger().iter().filter(|entry| entry.in_reply_to.is_none()).count()
}

/// In words that only we understand: Twilio would refuse what we send after one of its own.
async fn stop(host: &Host) {
    let stop = host.inbound(&tenant(), ONE, SENDER, "Opt out!").await.unwrap();
    assert_eq!(host.bring(&stop, host.clock.now()).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_a_thousand_are_scheduled_stops_all_of_them() {
    let host = scheduled().await;

    stop(&host).await;
    settle(&host, SignedDuration::from_hours(2)).await;

    assert_eq!(sent(&host), 0);
    let skipped = ours(&host).await.into_iter().filter(|message| message.reason == Some(Reason::OptedOut));
    assert_eq!(skipped.count(), MANY);
}

/// All of them due at once, and the STOP in the middle of the run that sends them, on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_the_run_that_sends_them_stops_the_rest() {
    let host = scheduled().await;
    host.clock.set(host.clock.now() + SignedDuration::from_hours(2));
    let running = tokio::spawn({
        let host = host.clone();
        async move { host.tick(host.clock.now()).await.unwrap() }
    });
    while sent(&host) < 50 {
        tokio::task::yield_now().await;
    }

    stop(&host).await;
    let went = sent(&host);
    running.await.unwrap();

    let after = sent(&host);
    // One to a number is under way at once: it may have been claimed before, and arrive after.
    assert!(after <= went + 1, "{went} before, {after} after");
    assert!(after < MANY / 2, "the run had only begun: {after}");
    let all = ours(&host).await;
    let skipped = all.iter().filter(|message| message.reason == Some(Reason::OptedOut)).count();
    assert_eq!((skipped, skipped + after), (MANY - after, MANY));
}
