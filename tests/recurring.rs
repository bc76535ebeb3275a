//! What recurs: an occurrence comes to be together with the arming of the next, and not once it is taken back.

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use local::aws::{Shares, Trouble};
use local::host::Host;
use serde_json::json;
use shared::context::Context;
use shared::domain::message::{Message, MessageId};
use shared::http_client;
use shared::store::{messages, recurring};

use crate::machine::{messages_of, post, quiet_machine, settle, tenant};

/// When the first of [`daily`] goes: nine in New York.
const FIRST: &str = "2026-03-11T13:00:00Z";

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

/// A machine with a message that recurs each day, and its id.
async fn daily() -> (Host, String) {
    let host = quiet_machine(|_| {}).await;
    let daily = json!({ "to": "+12125550001", "body": "Good morning", "repeat": { "cron": "0 9 * * *" } });
    let (status, receipt) = post(&host, "staff", "/messages", Some("k"), &daily).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    let id = receipt["id"].as_str().unwrap().to_string();
    (host, id)
}

/// The due index still shows what was canceled ten seconds before.
#[tokio::test]
async fn what_was_canceled_does_not_recur_though_the_index_still_shows_it() {
    let (host, id) = daily().await;
    let trouble = Trouble::new(1);
    let transport = host.aws.troubled(trouble.clone()).http_client();
    let cx = Context::with_transport(host.cx.config.clone(), http_client::new(), transport);
    let lagging = host.clone().restarted(cx);
    host.clock.set(at(FIRST) - SignedDuration::from_secs(10));
    let (status, canceled) = post(&host, "staff", &format!("/messages/{id}/cancel"), None, &json!({})).await;
    host.clock.set(at(FIRST));

    trouble.set(Shares { stale: 1000, ..Shares::default() });
    tokio::time::pause();
    lagging.tick(at(FIRST)).await.unwrap();
    tokio::time::resume();

    assert_eq!((status, &canceled["canceled"]), (StatusCode::OK, &json!(1)));
    assert!(trouble.happened().contains_key("stale"), "the tick saw what was: {:?}", trouble.happened());
    assert!(messages_of(&host).await.is_empty());
    settle(&host, SignedDuration::from_hours(48)).await;
    assert!(host.twilio.ledger().is_empty());
}

/// As a version left it that wrote one after the other.
#[tokio::test]
async fn of_an_occurrence_that_is_there_already_only_the_next_is_armed() {
    let (host, id) = daily().await;
    let table = host.cx.table().await.unwrap();
    let known = recurring::get(table, &tenant(), &id).await.unwrap().unwrap();
    let occurrence = MessageId::derive(&tenant(), &["occurrence", &id, FIRST]);
    let made = Message { id: occurrence, due_at: at(FIRST), ..known.message };
    messages::create(table, &tenant(), vec![made]).await.unwrap();

    settle(&host, SignedDuration::from_hours(48)).await;

    let sent: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.created.to_string()).collect();
    assert_eq!(sent, [FIRST, "2026-03-12T13:00:00Z"]);
}
