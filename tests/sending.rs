//! Sending through the API under every fault of Twilio: each message exactly once, or ended with a true
//! reason, and the meter as the ledger has it.

use std::collections::HashMap;

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::aws::{Shares, Trouble};
use local::host::Host;
use local::twilio::{Fault, Rule};
use serde_json::{Value, json};
use shared::context::Context;
use shared::domain::message::{Message, Reason, Status};
use shared::domain::money::Micros;
use shared::http_client;
use shared::store::{meter, pace};
use tokio::task::JoinSet;

use crate::machine::{get, messages_of, paused_machine, post, quiet_machine, settle, tenant};

const SENDS: usize = 1_000;
const AT_ONCE: usize = 50;

/// A number of its own for each send.
fn number(at: usize) -> String {
    format!("+1212555{at:04}")
}

fn text(to: &str) -> Value {
    json!({ "to": to, "channel": "sms", "body": format!("Your code for the door is {}.", &to[8..]) })
}

/// Posts `requests`, fifty at a time, each under a key of its own; answers in their order.
async fn post_all(host: &Host, requests: Vec<Value>) -> Vec<(StatusCode, Value)> {
    let mut answers = Vec::new();
    for (chunk, requests) in requests.chunks(AT_ONCE).enumerate() {
        let mut calls = JoinSet::new();
        for (at, body) in requests.iter().cloned().enumerate() {
            let (host, key) = (host.clone(), format!("{chunk}-{at}"));
            calls.spawn(async move { (at, post(&host, "staff", "/messages", Some(&key), &body).await) });
        }
        let mut of_chunk = calls.join_all().await;
        of_chunk.sort_by_key(|(at, _)| *at);
        answers.extend(of_chunk.into_iter().map(|(_, answer)| answer));
    }
    answers
}

/// What the local Twilio's ledger says that was spent, at the price of a segment.
fn spent(host: &Host, price: i64) -> i64 {
    host.twilio.ledger().iter().map(|entry| i64::from(entry.num_segments) * price).sum()
}

async fn used(host: &Host) -> Micros {
    meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap()
}

fn counted<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut counts = HashMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

/// A thousand sends while `fault` strikes every other one of them; then everything that is to happen.
async fn thousand_sends_under(fault: Fault) -> (Host, Vec<Message>) {
    let host = quiet_machine(|_| {}).await;
    if fault == Fault::CallbackBeforeResponse {
        let serving = host.clone();
        tokio::spawn(async move { serving.serve_webhook().await });
        let posting = host.clone();
        tokio::spawn(async move { posting.twilio.run_callbacks().await });
    }
    host.twilio.set_faults(vec![Rule { fault, to: None, times: None, every: Some(2) }]);

    let answers = post_all(&host, (0..SENDS).map(|at| text(&number(at))).collect()).await;
    for (status, body) in answers {
        assert_eq!((status, body["state"].as_str()), (StatusCode::ACCEPTED, Some("Pending")), "{body}");
    }
    // Faults strike while messages are sent; what is sent again later finds Twilio well.
    host.twilio.set_faults(Vec::new());
    settle(&host, SignedDuration::from_hours(6)).await;
    let messages = messages_of(&host).await;
    (host, messages)
}

async fn assert_each_once(fault: Fault) {
    let (host, messages) = thousand_sends_under(fault).await;

    assert_eq!(messages.len(), SENDS, "{fault:?}");
    let accepted = counted(host.twilio.ledger().into_iter().map(|entry| entry.to));
    for message in &messages {
        let times = accepted.get(message.to.as_ref().unwrap().e164()).copied().unwrap_or_default();
        let delivered = message.status == Status::Delivered && message.sid.is_some();
        assert!(delivered && times == 1, "{fault:?}: {times} times, {message:?}");
    }
    assert_eq!(used(&host).await.0, spent(&host, 7_900), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_whose_answers_are_lost_arrive_once_each() {
    assert_each_once(Fault::AcceptThenDrop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_that_are_lost_on_the_way_arrive_once_each() {
    assert_each_once(Fault::DropBeforeAccept).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_in_a_burst_of_429_arrive_once_each() {
    assert_each_once(Fault::TooManyRequests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_to_a_full_queue_arrive_once_each() {
    assert_each_once(Fault::QueueFull).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_through_server_errors_arrive_once_each() {
    assert_each_once(Fault::ServerErrorBeforeAccept).await;
    assert_each_once(Fault::ServerErrorAfterAccept).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_to_a_slow_twilio_arrive_once_each() {
    assert_each_once(Fault::Slow(40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_whose_callbacks_come_first_arrive_once_each() {
    assert_each_once(Fault::CallbackBeforeResponse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_without_callbacks_go_once_each() {
    let (host, messages) = thousand_sends_under(Fault::LostCallbacks).await;

    let accepted = counted(host.twilio.ledger().into_iter().map(|entry| entry.to));
    assert_eq!((accepted.len(), messages.len()), (SENDS, SENDS));
    assert!(accepted.values().all(|times| *times == 1));
    // Nobody told how half of them ended; that they were taken is known of all.
    assert!(messages.iter().all(|message| message.sid.is_some()));
    assert_eq!(messages.iter().filter(|message| message.status == Status::Delivered).count(), SENDS / 2);
    assert_eq!(used(&host).await.0, spent(&host, 7_900));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_that_twilio_never_takes_end_with_a_true_reason() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![Rule { fault: Fault::TooManyRequests, to: None, times: None, every: None }]);

    post_all(&host, (0..100).map(|at| text(&number(at))).collect()).await;
    settle(&host, SignedDuration::from_hours(12)).await;

    let messages = messages_of(&host).await;
    assert_eq!(messages.len(), 100);
    for message in &messages {
        assert_eq!((message.status, message.reason), (Status::Failed, Some(Reason::NotProcessed)), "{message:?}");
        assert_eq!((message.attempt, message.error_code), (8, Some(20429)));
    }
    assert_eq!((host.twilio.ledger().len(), used(&host).await), (0, Micros(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_senders_spend_a_budget_for_a_hundred_messages_and_no_more() {
    let host = quiet_machine(|settings| settings.budget.monthly_limit = Micros::parse("0.79")).await;

    let answers = post_all(&host, (0..400).map(|at| text(&number(at))).collect()).await;

    let skipped = answers.iter().filter(|(_, body)| body["reason"] == "budget").count();
    assert_eq!((host.twilio.ledger().len(), skipped), (100, 300));
    assert_eq!(used(&host).await, Micros::parse("0.79").unwrap());
    settle(&host, SignedDuration::from_hours(1)).await;
    assert_eq!(host.twilio.ledger().len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_message_and_one_answer() {
    let host = quiet_machine(|_| {}).await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let host = host.clone();
        calls.spawn(async move { post(&host, "staff", "/messages", Some("k"), &text("+12125550001")).await });
    }

    let answers = calls.join_all().await;

    assert_eq!(answers[0].0, StatusCode::ACCEPTED);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(host.twilio.ledger().len(), 1);
    let (status, problem) = post(&host, "staff", "/messages", Some("k"), &text("+12125550002")).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")));
    // And the same again much later, when it has long been delivered.
    settle(&host, SignedDuration::from_hours(1)).await;
    host.clock.set(host.clock.now() + SignedDuration::from_hours(2));
    let late = post(&host, "staff", "/messages", Some("k"), &text("+12125550001")).await;
    assert_eq!(late, answers[0]);
    assert_eq!(host.twilio.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_send_takes_three_requests_to_the_table() {
    let host = quiet_machine(|_| {}).await;
    let bodies = [
        text("+12125550001"),
        json!({ "contactId": "S01", "body": "Your violin is ready." }),
        json!({ "contactId": "S01", "template": "order_ready", "variables": { "order_number": 7 } }),
    ];
    // Settings, credentials and templates are remembered for a minute.
    for (at, body) in bodies.iter().enumerate() {
        post(&host, "staff", "/messages", Some(&format!("warm {at}")), body).await;
    }

    for (at, body) in bodies.iter().enumerate() {
        host.aws.reset_requests();
        let (status, receipt) = post(&host, "staff", "/messages", Some(&format!("key {at}")), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
        let requests: u64 = host.aws.requests().values().sum();
        assert!(requests <= 3, "{:?}", host.aws.requests());
    }
    assert_eq!(host.twilio.ledger().len(), 6);
}

/// D1, S1-27..30, S1-43..45, S2-17..21, and what is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_seed_number_goes_to_the_number_that_d1_says() {
    let host = quiet_machine(|_| {}).await;
    let accepted = [
        ("+15551234567", "+15551234567"),
        ("5551234567", "+15551234567"),
        ("15551234567", "+15551234567"),
        ("555-123-4567", "+15551234567"),
        ("(555) 123-4567", "+15551234567"),
        ("+1234567890", "+1234567890"),
        ("1234567890", "+11234567890"),
        ("(123) 456-7890", "+11234567890"),
        ("123-456-7890", "+11234567890"),
        ("1987654321", "+11987654321"),
    ];
    for (at, (written, e164)) in accepted.iter().enumerate() {
        let body = json!({ "to": written, "body": "Hello" });
        let (status, receipt) = post(&host, "staff", "/messages", Some(&at.to_string()), &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{written}: {receipt}");
        assert_eq!(host.twilio.ledger().last().unwrap().to, *e164, "{written}");
        let (_, preview) = post(&host, "staff", "/messages/preview", None, &body).await;
        let warned = preview["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "number_not_valid");
        assert_eq!((warned, preview["channels"][0]["to"].as_str()), (true, Some(*e164)), "{preview}");
    }
    for written in ["+0987654321", "abc", "", "+1234567890123456", "12"] {
        let (status, problem) = post(&host, "staff", "/messages", None, &json!({ "to": written, "body": "Hello" })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{written}");
        assert_eq!(
            (problem["errors"][0]["field"].as_str(), problem["errors"][0]["code"].as_str()),
            (Some("to"), Some("invalid_number"))
        );
    }
    let (_, message) = get(&host, "viewer", "/messages?limit=1").await;
    assert!(message["items"][0]["to"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_senders_clock_that_a_transaction_is_at_is_waited_for() {
    let host = paused_machine(|_| {}).await;
    let trouble = Trouble::new(1);
    trouble.set(Shares { conflicts: 300, ..Shares::default() });
    let aws = host.aws.troubled(trouble.clone()).http_client();
    let cx = Context::with_transport(host.cx.config.clone(), http_client::new(), aws);
    let (table, now) = (cx.table().await.unwrap(), host.clock.now());

    for _ in 0..20 {
        pace::take(table, &tenant(), "s", SignedDuration::from_secs(1), pace::ANY, now).await.unwrap();
        pace::block(table, &tenant(), "s", now).await.unwrap();
    }

    assert!(trouble.happened()["conflicts"] > 5);
}
