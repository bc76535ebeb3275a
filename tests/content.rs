//! Texts are not kept where the tenant wants none kept (S0-74); and nothing is kept for longer than it wants (S0-75).

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::host::Host;
use local::twilio::{Fault, InboundMedia, InboundText, Rule};
use serde_json::{Value, json};
use shared::domain::erasure::has_text;
use shared::domain::message::{Message, MessageId, Status};
use shared::domain::tenant::Settings;
use shared::store::erasure::{self, Swept};
use shared::store::{keys, messages, tenants};

use crate::machine::{get, messages_of, post, quiet_machine, settle, tenant};

const ONE: &str = "+12125550001";
const SENDER: &str = "+15005550006";
const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn silent_machine() -> Host {
    quiet_machine(|settings| {
        settings.log_content = false;
        settings.keyword_replies.insert("hours".into(), "From nine to five.".into());
    })
    .await
}

async fn send(host: &Host, path: &str, key: &str, asked: &Value) -> String {
    let (status, receipt) = post(host, "staff", path, Some(key), asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    receipt["id"].as_str().unwrap().to_string()
}

async fn stored(host: &Host, id: &str) -> Message {
    let id = MessageId::parse(id).unwrap();
    let table = host.cx.table().await.unwrap();
    messages::get_many(table, &tenant(), &[id]).await.unwrap().pop().unwrap()
}

async fn bring(host: &Host, text: &InboundText) -> String {
    let callback = host.inbound_text(&tenant(), text).await.unwrap();
    let (status, answer) = host.bring_and_read(&callback, host.clock.now()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    // Twilio may say so twice.
    assert_eq!(host.bring_and_read(&callback, host.clock.now()).await.1, answer);
    answer
}

async fn change(host: &Host, change: impl FnOnce(&mut Settings)) {
    let mut settings = (*host.cx.settings(&tenant(), host.clock.now()).await.unwrap()).clone();
    change(&mut settings);
    tenants::put_settings(host.cx.table().await.unwrap(), &tenant(), &settings).await.unwrap();
    host.cx.forget(&tenant());
}

fn later(host: &Host, length: SignedDuration) {
    host.clock.set(host.clock.now() + length);
}

/// As if the nights until ten days ago were done: a new tenant's first night looks through years of empty days.
async fn swept_until_lately(host: &Host) {
    let lately = keys::day(host.clock.now() - DAY * 10);
    let swept = Swept { messages_before: Some(lately), texts_before: None };
    erasure::note_swept(host.cx.table().await.unwrap(), &tenant(), &swept).await.unwrap();
}

async fn sweep(host: &Host) {
    host.task("sweepExpired", host.clock.now()).await.unwrap();
}

fn bodies(host: &Host) -> Vec<String> {
    host.twilio.ledger().into_iter().map(|entry| entry.body).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_twilio_has_is_kept_no_more() {
    let host = silent_machine().await;
    let content = json!({ "1": "Ana" });
    let asked = [
        ("/messages", json!({ "to": ONE, "body": "For your eyes only" })),
        ("/messages", json!({ "to": ONE, "body": "Look", "mediaUrls": "https://example.com/a.jpg" })),
        ("/messages", json!({ "to": ONE, "contentSid": format!("HX{}", "a".repeat(32)), "contentVariables": content })),
        ("/calls", json!({ "to": ONE, "say": "For your ears only" })),
    ];
    let mut ids = Vec::new();
    for (at, (path, asked)) in asked.iter().enumerate() {
        ids.push(send(&host, path, &format!("k{at}"), asked).await);
    }

    for id in &ids {
        let message = stored(&host, id).await;
        assert!(!has_text(&message) && message.status > Status::Sending, "{message:?}");
    }
    assert_eq!(&bodies(&host)[..2], ["For your eyes only", "Look"], "it went all the same");
    settle(&host, SignedDuration::from_mins(5)).await;
    for (at, (path, asked)) in asked.iter().enumerate() {
        assert_eq!(send(&host, path, &format!("k{at}"), asked).await, ids[at], "the same again is known again");
        let message = stored(&host, &ids[at]).await;
        assert!(!has_text(&message) && message.status >= Status::Completed, "{message:?}");
    }
    assert_eq!(bodies(&host).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_kept_as_long_as_it_may_have_to_go_again() {
    let host = silent_machine().await;
    let (later, lost, refused) = ("+12125550002", "+12125550003", "+12125550004");
    let rule = |fault, to: &str| Rule { fault, to: Some(to.into()), times: Some(1), every: None };
    host.twilio.set_faults(vec![
        rule(Fault::AcceptThenDrop, ONE),
        rule(Fault::TooManyRequests, later),
        rule(Fault::DropBeforeAccept, lost),
    ]);
    let mut ids = Vec::new();
    for to in [ONE, later, lost] {
        ids.push(send(&host, "/messages", to, &json!({ "to": to, "channel": "sms", "body": format!("Once, {to}") })).await);
        let message = stored(&host, ids.last().unwrap()).await;
        assert!(message.status <= Status::Sending && has_text(&message), "{message:?}");
    }

    settle(&host, SignedDuration::from_mins(30)).await;

    for id in &ids {
        let message = stored(&host, id).await;
        assert!(!has_text(&message) && message.status == Status::Delivered, "{message:?}");
    }
    let mut went = bodies(&host);
    went.sort();
    assert_eq!(went, [ONE, later, lost].map(|to| format!("Once, {to}")));

    let no = json!({ "number": refused });
    assert_eq!(post(&host, "staff", "/opt-outs", None, &no).await.0, StatusCode::OK);
    for (to, status) in [(refused, Status::Skipped), ("+15005550004", Status::Failed)] {
        let id = send(&host, "/messages", to, &json!({ "to": to, "body": "In vain" })).await;
        let message = stored(&host, &id).await;
        assert_eq!((message.status, has_text(&message)), (status, false), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_is_understood_and_answered_and_not_kept() {
    let host = silent_machine().await;
    let media = vec![InboundMedia { url: "https://api.twilio.com/x".into(), content_type: "image/jpeg".into() }];
    let params = vec![("ProfileName".to_string(), "Ana".to_string())];
    let asks = InboundText { media, params, ..InboundText::new(ONE, SENDER, "Hours?") };

    assert!(bring(&host, &asks).await.contains("From nine to five."));
    later(&host, SignedDuration::from_secs(1));
    bring(&host, &InboundText::new(ONE, SENDER, "Please stop texting me")).await;
    settle(&host, SignedDuration::from_mins(1)).await;

    let all = messages_of(&host).await;
    assert_eq!(all.iter().filter(|message| message.inbound.is_some()).count(), 2);
    assert_eq!(all.iter().find(|message| has_text(message)), None);
    assert!(all.iter().any(|message| message.inbound.is_none() && message.status == Status::Delivered), "the answer went");
    let (_, inbox) = get(&host, "viewer", "/conversations").await;
    let conversation = &inbox["items"][0];
    assert_eq!((&conversation["lastText"], &conversation["review"]), (&Value::Null, &json!(true)));
    assert_eq!(get(&host, "viewer", &format!("/opt-outs/{ONE}")).await.1["optedOut"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_kept_where_nobody_said_otherwise_and_go_once_somebody_does() {
    let host = quiet_machine(|_| {}).await;
    swept_until_lately(&host).await;
    let list = json!({ "recipients": [{ "to": "+12125550007" }, { "contactId": "S07" }], "body": "For many" });
    let (_, receipt) = post(&host, "staff", "/messages/bulk", None, &list).await;
    let sent = send(&host, "/messages", "k", &json!({ "to": ONE, "body": "Kept, for a while" })).await;
    bring(&host, &InboundText::new(ONE, SENDER, "Thanks")).await;
    settle(&host, SignedDuration::from_mins(1)).await;
    assert_eq!(stored(&host, &sent).await.body.as_deref(), Some("Kept, for a while"));
    let rows = async || {
        let table = host.cx.table().await.unwrap();
        shared::store::batches::rows(table, &tenant(), receipt["id"].as_str().unwrap(), 0).await.unwrap().len()
    };
    assert_eq!(rows().await, 2);
    let waits = json!({ "to": ONE, "body": "Still to go", "sendAt": "2026-03-25T16:00:00Z" });
    let waiting = send(&host, "/messages", "w", &waits).await;

    later(&host, DAY * 3);
    sweep(&host).await;
    assert!(has_text(&stored(&host, &sent).await), "the tenant keeps texts");
    change(&host, |settings| settings.log_content = false).await;
    sweep(&host).await;

    assert_eq!(messages_of(&host).await.iter().find(|message| has_text(message) && message.id.as_str() != waiting), None);
    assert!(has_text(&stored(&host, &waiting).await), "what waits needs its text");
    let (_, inbox) = get(&host, "viewer", "/conversations").await;
    assert_eq!((&inbox["items"][0]["peer"], &inbox["items"][0]["lastText"]), (&json!(ONE), &Value::Null));
    assert_eq!(rows().await, 0, "nor does the list have it");
}

/// S0-75, S3-57.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_the_tenant_keeps_it_goes_and_wishes_stay() {
    let host = quiet_machine(|settings| settings.retention.messages_days = 30).await;
    swept_until_lately(&host).await;
    let old = send(&host, "/messages", "old", &json!({ "to": ONE, "body": "Long ago" })).await;
    let list = json!({ "recipients": [{ "to": "+12125550007" }, { "to": "+12125550008" }], "body": "For many" });
    let list = send(&host, "/messages/bulk", "list", &list).await;
    let rows = async || {
        let table = host.cx.table().await.unwrap();
        shared::store::batches::rows(table, &tenant(), &list, 0).await.unwrap().len()
    };
    bring(&host, &InboundText::new(ONE, SENDER, "STOP")).await;
    settle(&host, SignedDuration::from_mins(1)).await;
    later(&host, DAY * 15);
    sweep(&host).await;
    assert_eq!(rows().await, 2);
    let new = send(&host, "/messages", "new", &json!({ "to": "+12125550002", "body": "Lately" })).await;
    settle(&host, SignedDuration::from_mins(1)).await;
    let status = async |id: &str| get(&host, "viewer", &format!("/messages/{id}")).await.0;

    later(&host, DAY * 15);
    sweep(&host).await;
    assert_eq!((status(&old).await, status(&new).await), (StatusCode::OK, StatusCode::OK), "thirty days old");
    // Some nights nobody ran.
    later(&host, DAY * 5);
    sweep(&host).await;
    assert_eq!((status(&old).await, status(&new).await), (StatusCode::NOT_FOUND, StatusCode::OK));
    let (_, inbox) = get(&host, "viewer", "/conversations?state=handled").await;
    assert_eq!(inbox["items"], json!([]));
    assert_eq!(rows().await, 0, "what was asked for lies in a list's rows, too");
    let standing = get(&host, "viewer", &format!("/opt-outs/{ONE}")).await.1;
    assert_eq!((&standing["optedOut"], standing["history"].as_array().unwrap().len()), (&json!(true), 1));

    change(&host, |settings| settings.retention.messages_days = 7).await;
    sweep(&host).await;
    assert_eq!(status(&new).await, StatusCode::NOT_FOUND, "made shorter, it holds for what is there");
    let swept = erasure::swept(host.cx.table().await.unwrap(), &tenant()).await.unwrap();
    assert_eq!(swept, Swept { messages_before: Some(keys::day(host.clock.now() - DAY * 7)), texts_before: None });
}
