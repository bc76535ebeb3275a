//! Status callbacks through the webhook: any order, any repetition, words that nobody knows, and one write each.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::host::Host;
use local::twilio::{Callback, Fault, Rule, signed};
use serde_json::{Value, json};
use shared::domain::message::{Message, MessageId, Status};
use shared::store::{consents, messages, meter};

use crate::machine::{credentials, get, post, quiet_machine, settle, tenant};

const ONE: &str = "+12125550001";
const SENDER: &str = "+15005550006";

/// A message at Twilio, of which nothing was reported yet.
async fn at_twilio(host: &Host, key: &str) -> Message {
    let (status, receipt) = post(host, "staff", "/messages", Some(key), &json!({ "to": ONE, "body": "Hello" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    let message = stored(host, receipt["id"].as_str().unwrap()).await;
    assert_eq!(message.status, Status::Queued);
    message
}

async fn stored(host: &Host, id: &str) -> Message {
    let table = host.cx.table().await.unwrap();
    messages::get_many(table, &tenant(), &[MessageId::parse(id).unwrap()]).await.unwrap().pop().unwrap()
}

/// What Twilio says of a message, signed as Twilio signs.
async fn report(host: &Host, message: &Message, params: &[(&str, &str)]) -> Callback {
    let resource = if message.is_call() { "voice/status" } else { "status" };
    let url = format!("{}/twilio/{}/{resource}?message={}", host.webhook_url, tenant(), message.id);
    let account = credentials(host).await;
    let sid = message.sid.clone().unwrap();
    let mut all =
        vec![("AccountSid".to_string(), account.sid.clone()), ("To".into(), ONE.into()), ("From".into(), SENDER.into())];
    all.push((if message.is_call() { "CallSid" } else { "MessageSid" }.to_string(), sid));
    all.extend(params.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    signed(&account, &url, all)
}

/// What a message comes to, but for when and in what order it was told.
fn state(message: &Message) -> Value {
    let mut story: Vec<String> = message.story().into_iter().map(|step| format!("{} {:?}", step.step, step.detail)).collect();
    story.sort();
    let sid = message.sid.clone().unwrap();
    let story: Vec<String> = story.into_iter().map(|line| line.replace(&sid, "SM")).collect();
    json!([message.status, message.error_code, message.cost, message.segments, message.duration, message.answered_by, story])
}

fn permutations(of: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..of {
        all = all
            .into_iter()
            .flat_map(|begun: Vec<usize>| {
                (0..of).filter(|at| !begun.contains(at)).map(|at| [begun.clone(), vec![at]].concat()).collect::<Vec<_>>()
            })
            .collect();
    }
    all
}

/// Every order of these reports, each twice now and then, ends in one state: which it is.
async fn every_order_ends_alike(call: bool, reports: &[&[(&str, &str)]]) -> Message {
    let host = quiet_machine(|settings| settings.requests_per_minute = 1_000_000).await;
    let mut ends: BTreeMap<String, Message> = BTreeMap::new();
    for (at, order) in permutations(reports.len()).into_iter().enumerate() {
        let message = if call {
            let asked = json!({ "to": ONE, "say": "Hello, this is the school. ".repeat(20), "detectMachine": true });
            let (_, receipt) = post(&host, "staff", "/calls", Some(&format!("call {at}")), &asked).await;
            stored(&host, receipt["id"].as_str().unwrap()).await
        } else {
            at_twilio(&host, &format!("message {at}")).await
        };
        host.clock.set(host.clock.now() + SignedDuration::from_mins(2));
        for (position, which) in order.iter().enumerate() {
            let callback = report(&host, &message, reports[*which]).await;
            assert_eq!(host.bring(&callback, host.clock.now()).await, 204);
            if (at + position) % 3 == 0 {
                assert_eq!(host.bring(&callback, host.clock.now() + SignedDuration::from_secs(1)).await, 204);
            }
        }
        let message = stored(&host, message.id.as_str()).await;
        ends.insert(state(&message).to_string(), message);
    }
    assert_eq!(ends.len(), 1, "{:#?}", ends.keys());
    let (_, end) = ends.pop_first().unwrap();
    let table = host.cx.table().await.unwrap();
    let spent = meter::used(table, &tenant(), "2026-03").await.unwrap();
    let all = permutations(reports.len()).len() as i64;
    assert_eq!(spent.0, end.cost.unwrap().0 * all, "the meter has what the messages cost");
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_a_messages_callbacks_ends_in_the_same_state() {
    let end = every_order_ends_alike(
        false,
        &[
            &[("MessageStatus", "queued")],
            &[("MessageStatus", "sent")],
            &[("MessageStatus", "delivered"), ("RawDlrDoneDate", "2603101601")],
            &[("MessageStatus", "read"), ("EventType", "READ")],
            &[("MessageStatus", "teleported")],
        ],
    )
    .await;

    assert_eq!((end.status, end.error_code), (Status::Read, None));
    assert_eq!(end.reports.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_on_the_way_and_came_after_all_is_delivered_in_every_order() {
    let end = every_order_ends_alike(
        false,
        &[
            &[("MessageStatus", "sent")],
            &[("MessageStatus", "undelivered"), ("ErrorCode", "30003")],
            &[("MessageStatus", "undelivered"), ("ErrorCode", "30005")],
            &[("MessageStatus", "failed"), ("ErrorCode", "30008")],
            &[("MessageStatus", "delivered")],
        ],
    )
    .await;
    assert_eq!((end.status, end.error_code), (Status::Delivered, None));

    let end = every_order_ends_alike(
        false,
        &[
            &[("MessageStatus", "sent")],
            &[("MessageStatus", "undelivered"), ("ErrorCode", "30003")],
            &[("MessageStatus", "undelivered"), ("ErrorCode", "30005")],
        ],
    )
    .await;
    assert_eq!((end.status, end.error_code), (Status::Undelivered, Some(30005)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_a_calls_callbacks_costs_the_same_minutes() {
    let end = every_order_ends_alike(
        true,
        &[
            &[("CallStatus", "initiated"), ("SequenceNumber", "0")],
            &[("CallStatus", "ringing"), ("SequenceNumber", "1")],
            &[("CallStatus", "in-progress"), ("SequenceNumber", "2"), ("AnsweredBy", "human")],
            &[("CallStatus", "completed"), ("SequenceNumber", "3"), ("CallDuration", "61"), ("AnsweredBy", "human")],
        ],
    )
    .await;

    assert_eq!((end.status, end.duration, end.segments), (Status::Completed, Some(61), Some(2)));
    assert_eq!(end.answered_by.as_deref(), Some("human"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_that_twilio_tells_is_what_is_charged() {
    let end = every_order_ends_alike(
        false,
        &[
            &[("MessageStatus", "sent")],
            &[("MessageStatus", "delivered"), ("Price", "-0.0200"), ("PriceUnit", "USD")],
            &[("MessageStatus", "delivered"), ("Price", "-1.0"), ("PriceUnit", "EUR"), ("ErrorCode", "1")],
        ],
    )
    .await;

    assert_eq!(end.cost.unwrap().0, 20_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_callback_costs_one_write_and_no_read() {
    let host = quiet_machine(|_| {}).await;
    let message = at_twilio(&host, "one").await;
    let forward = report(&host, &message, &[("MessageStatus", "delivered")]).await;
    let late = report(&host, &message, &[("MessageStatus", "sent")]).await;
    let unknown_word = report(&host, &message, &[("MessageStatus", "teleported")]).await;
    let other = Message { id: MessageId::derive(&tenant(), &["nobody's"]), ..message.clone() };
    let unknown_message = report(&host, &other, &[("MessageStatus", "sent")]).await;

    for (what, callback) in [
        ("forward", &forward),
        ("late", &late),
        ("again", &forward),
        ("unknown word", &unknown_word),
        ("unknown message", &unknown_message),
    ] {
        host.aws.reset_requests();
        assert_eq!(host.bring(callback, host.clock.now()).await, 204, "{what}");
        let requests: Vec<(String, u64)> =
            host.aws.requests().into_iter().filter(|(name, _)| name.starts_with("DynamoDB")).collect();
        assert_eq!(requests, [("DynamoDB.UpdateItem".to_string(), 1)], "{what}");
    }

    assert_eq!(stored(&host, message.id.as_str()).await.status, Status::Delivered);
    assert!(messages::get_many(host.cx.table().await.unwrap(), &tenant(), &[other.id]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_with_21610_records_the_opt_out() {
    let host = quiet_machine(|_| {}).await;
    let message = at_twilio(&host, "one").await;

    let callback = report(&host, &message, &[("MessageStatus", "failed"), ("ErrorCode", "21610")]).await;
    assert_eq!(host.bring(&callback, host.clock.now()).await, 204);

    let table = host.cx.table().await.unwrap();
    let to = message.to.unwrap();
    assert!(consents::standings(table, &tenant(), &[&to]).await.unwrap()[&to].stopped);
    let (_, next) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello again" })).await;
    assert_eq!((next["state"].as_str(), next["reason"].as_str()), (Some("Skipped"), Some("opted_out")));
    let (_, check) = get(&host, "viewer", &format!("/opt-outs/{}", ONE.replace('+', "%2B"))).await;
    assert_eq!((check["optedOut"].as_bool(), check["history"][0]["method"].as_str()), (Some(true), Some("refusal")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twilio_sends_twice_and_in_reverse_converges_by_itself() {
    for fault in [Fault::DuplicateCallbacks, Fault::ReorderedCallbacks, Fault::CallbackBeforeResponse] {
        let host = quiet_machine(|_| {}).await;
        host.twilio.set_faults(vec![Rule { fault, to: None, times: None, every: None }]);
        let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
        settle(&host, SignedDuration::from_mins(1)).await;
        assert_eq!(stored(&host, receipt["id"].as_str().unwrap()).await.status, Status::Delivered, "{fault:?}");
    }
}

/// Callbacks that never come: Twilio is asked once a night.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_twilio_never_told_of_is_asked_for_at_night() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![Rule { fault: Fault::LostCallbacks, to: None, times: None, every: None }]);
    let (_, message) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    let (_, call) = post(&host, "staff", "/calls", None, &json!({ "to": ONE, "say": "Hello" })).await;
    settle(&host, SignedDuration::from_mins(5)).await;
    let ids = [message["id"].as_str().unwrap(), call["id"].as_str().unwrap()];
    host.task("askAboutSilent", host.clock.now()).await.unwrap();
    assert_eq!(stored(&host, ids[0]).await.status, Status::Queued, "Twilio has half a day to tell by itself");

    host.clock.set(host.clock.now() + SignedDuration::from_hours(13));
    host.task("askAboutSilent", host.clock.now()).await.unwrap();

    let (message, call) = (stored(&host, ids[0]).await, stored(&host, ids[1]).await);
    assert_eq!((message.status, call.status), (Status::Delivered, Status::Completed));
    assert_eq!(message.story().last().unwrap().step, "asked");
    let table = host.cx.table().await.unwrap();
    let spent = message.cost.unwrap().0 + call.cost.unwrap().0;
    assert_eq!(meter::used(table, &tenant(), "2026-03").await.unwrap().0, spent);
}

/// Twilio judged before they opted in again: neither a repetition nor a late refusal opts them out once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_opts_out_once_and_never_against_a_later_start() {
    let host = quiet_machine(|_| {}).await;
    let (one, two) = (at_twilio(&host, "one").await, at_twilio(&host, "two").await);
    let refused = [("MessageStatus", "failed"), ("ErrorCode", "21610")];
    let first = report(&host, &one, &refused).await;
    host.bring(&first, host.clock.now()).await;
    host.clock.set(host.clock.now() + SignedDuration::from_mins(1));
    let start = host.inbound(&tenant(), ONE, SENDER, "START").await.unwrap();
    host.bring(&start, host.clock.now()).await;
    host.clock.set(host.clock.now() + SignedDuration::from_mins(1));
    let before = host.aws.items().len();

    host.bring(&first, host.clock.now()).await;
    let late = report(&host, &two, &refused).await;
    host.bring(&late, host.clock.now()).await;

    assert_eq!(host.aws.items().len(), before);
    let (_, check) = get(&host, "viewer", &format!("/opt-outs/{ONE}")).await;
    assert_eq!((check["optedOut"].as_bool(), check["history"].as_array().unwrap().len()), (Some(false), 2), "{check}");
}

/// Through a messaging service 21610 comes later, by a callback that may get lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_is_only_learnt_at_night_opts_out_too() {
    let host = quiet_machine(|_| {}).await;
    let message = at_twilio(&host, "one").await;
    let table = host.cx.table().await.unwrap();
    let found = shared::domain::report::Report::new("failed", message.sid.as_deref().unwrap(), Some(21610));
    let whose = messages::Whose::Ours;
    messages::merge(table, &tenant(), &message.id, &found, whose, "asked", host.clock.now()).await.unwrap();

    // Whatever is reported next draws the consequences of all that was said.
    let next = report(&host, &message, &[("MessageStatus", "queued")]).await;
    host.bring(&next, host.clock.now()).await;

    assert_eq!(get(&host, "viewer", &format!("/opt-outs/{ONE}")).await.1["optedOut"], true);
}
