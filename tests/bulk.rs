//! `POST /messages/bulk` and `/calls/bulk`: each row its own outcome; refused whole or finished whole.

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::message::{Reason, Status};
use shared::domain::money::Micros;
use shared::store::batches::{self, Stage};

use crate::machine::{get, messages_of, post, quiet_machine, settle, tenant};

fn rows(receipt: &Value) -> Vec<(bool, Option<&str>)> {
    let rows = receipt["rows"].as_array().unwrap().iter();
    rows.map(|row| (row["id"].is_string(), row["errors"][0]["code"].as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_list_goes_one_after_another_and_a_bad_row_stops_nothing() {
    let host = quiet_machine(|_| {}).await;
    let pasted = "\u{feff}+12125550001, (212) 555-0002\r\n\nnot a number;2125550003\n+12125550001";
    let body = json!({ "recipients": pasted, "body": "School is closed today." });

    let first = post(&host, "staff", "/messages/bulk", Some("k"), &body).await;
    let second = post(&host, "staff", "/messages/bulk", Some("k"), &body).await;
    settle(&host, SignedDuration::from_mins(10)).await;

    assert_eq!(first.0, StatusCode::ACCEPTED, "{}", first.1);
    assert_eq!(first, second);
    let receipt = first.1;
    assert_eq!(
        rows(&receipt),
        [(true, None), (true, None), (false, Some("invalid_number")), (true, None), (false, Some("duplicate"))]
    );
    assert_eq!((receipt["accepted"].as_u64(), receipt["refused"].as_u64()), (Some(3), Some(2)));
    let began = "2026-03-10T16:00:00Z".parse::<Timestamp>().unwrap();
    let sent: Vec<(String, i64)> =
        host.twilio.ledger().into_iter().map(|entry| (entry.to, entry.created.duration_since(began).as_secs())).collect();
    assert_eq!(sent, [("+12125550001".into(), 0), ("+12125550002".into(), 1), ("+12125550003".into(), 2)]);
    let other = json!({ "recipients": "+12125550009", "body": "Another." });
    let (status, problem) = post(&host, "staff", "/messages/bulk", Some("k"), &other).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_have_their_own_templates_and_variables_and_groups_fan_out() {
    let host = quiet_machine(|_| {}).await;
    let body = json!({
        "name": "orders",
        "recipients": [
            { "to": "+12125550001", "template": "order_ready", "variables": { "order_number": 1 }, "orderId": "o-1" },
            { "to": "+12125550002", "variables": { "name": "Ben" } },
            { "to": "+12125550003", "template": "order_ready" },
            { "contactId": "S01", "body": "For you alone" },
        ],
        "body": "For all",
        "variables": { "customer_name": "friend" },
    });
    let (_, receipt) = post(&host, "staff", "/messages/bulk", None, &body).await;
    let (_, group) =
        post(&host, "staff", "/messages/bulk", None, &json!({ "groups": ["Strings"], "body": "Strings at six" })).await;
    let (status, unknown) = post(&host, "staff", "/messages/bulk", None, &json!({ "groups": ["nobody"], "body": "x" })).await;
    settle(&host, SignedDuration::from_mins(10)).await;

    assert_eq!(rows(&receipt), [(true, None), (true, None), (false, Some("missing_variable")), (true, None)]);
    assert_eq!(group["accepted"].as_u64(), Some(4), "{group}");
    assert_eq!((status, unknown["errors"][0]["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("unknown_group")));
    let bodies: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    assert!(bodies[0].starts_with("Hi friend, your order #1 is ready"), "{bodies:?}");
    assert_eq!((bodies[1].as_str(), bodies[2].as_str()), ("For all", "For you alone"));
    assert_eq!(bodies.iter().filter(|body| *body == "Strings at six").count(), 3);
    let outside: Vec<_> = messages_of(&host).await.into_iter().filter(|message| message.status == Status::Skipped).collect();
    assert_eq!((outside.len(), outside[0].reason), (1, Some(Reason::OutsideWindow)), "Chloé takes WhatsApp only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_list_writes_nothing() {
    let host = quiet_machine(|_| {}).await;
    host.aws.reset_requests();

    let (status, problem) =
        post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": "abc\ndef", "body": "Hello" })).await;
    let (empty, _) = post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": " \n", "body": "Hello" })).await;
    let many: Vec<Value> = (0..2001).map(|at| json!({ "to": format!("+1212{:07}", 5_550_000 + at) })).collect();
    let (large, _) = post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": many, "body": "Hello" })).await;
    let (viewer, _) = post(&host, "viewer", "/messages/bulk", None, &json!({ "recipients": "+12125550001", "body": "x" })).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors: Vec<(u64, &str)> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["row"].as_u64().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [(0, "invalid_number"), (1, "invalid_number")]);
    assert_eq!((empty, large, viewer), (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::FORBIDDEN));
    let writes: Vec<String> =
        host.aws.requests().into_keys().filter(|name| name.contains("Transact") || name.contains("BatchWrite")).collect();
    assert_eq!(writes, Vec::<String>::new());
}

/// What a process leaves that dies after it accepted a list: the list, and none of its messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_list_is_finished_by_the_minute_tick_if_its_process_dies() {
    let host = quiet_machine(|_| {}).await;
    let many: Vec<Value> = (0..700).map(|at| json!({ "to": format!("+1212{:07}", 5_550_000 + at) })).collect();
    let body = json!({ "recipients": many, "body": "Hello ".repeat(150), "sendImmediately": false });
    let (status, receipt) = post(&host, "staff", "/messages/bulk", None, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    let table = host.cx.table().await.unwrap();
    let id = receipt["id"].as_str().unwrap();
    let mut batch = batches::get(table, &tenant(), id).await.unwrap().unwrap();
    assert!(batch.chunks > 1);
    assert!(messages_of(&host).await.is_empty());
    batch.stage = Stage::Opening;
    assert!(batches::update(table, &tenant(), &mut batch).await.unwrap());

    let now = host.clock.now();
    let (first, second) = tokio::join!(host.tick(now), host.tick(now));
    first.and(second).unwrap();
    settle(&host, SignedDuration::from_hours(3)).await;

    let ledger = host.twilio.ledger();
    let mut to: Vec<&str> = ledger.iter().map(|entry| entry.to.as_str()).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!((ledger.len(), to.len()), (700, 700));
    assert!(messages_of(&host).await.iter().all(|message| message.status == Status::Delivered));
    let last = ledger.last().unwrap().created.duration_since(now).as_secs();
    assert!((699 * 6 - 10..=699 * 6 + 10).contains(&last), "six segments each, one a second: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_may_be_kept_let_go_and_taken_back() {
    let host = quiet_machine(|_| {}).await;
    let kept = |to: &str| json!({ "recipients": [{ "to": to }], "body": "Hello", "sendImmediately": false });
    let (_, goes) = post(&host, "staff", "/messages/bulk", None, &kept("+12125550001")).await;
    let (_, stays) = post(&host, "staff", "/messages/bulk", None, &kept("+12125550002")).await;
    settle(&host, SignedDuration::from_hours(1)).await;
    assert!(host.twilio.ledger().is_empty());
    let path = |receipt: &Value, verb: &str| match verb {
        "send" => format!("/messages/bulk/{}/send", receipt["id"].as_str().unwrap()),
        _ => format!("/messages/{}/cancel", receipt["id"].as_str().unwrap()),
    };

    assert_eq!(post(&host, "staff", &path(&goes, "send"), None, &json!({})).await.0, StatusCode::ACCEPTED);
    assert_eq!(post(&host, "staff", &path(&goes, "send"), None, &json!({})).await.0, StatusCode::ACCEPTED);
    assert_eq!(post(&host, "staff", &path(&stays, "cancel"), None, &json!({})).await.0, StatusCode::OK);
    assert_eq!(post(&host, "staff", &path(&stays, "send"), None, &json!({})).await.0, StatusCode::CONFLICT);
    settle(&host, SignedDuration::from_hours(1)).await;

    let to: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.to).collect();
    assert_eq!(to, ["+12125550001"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_list_is_taken_back_as_far_as_it_has_not_gone() {
    let host = quiet_machine(|_| {}).await;
    let many: Vec<Value> = (0..200).map(|at| json!({ "to": format!("+1212{:07}", 5_550_000 + at) })).collect();
    let (_, receipt) = post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": many, "body": "Hello" })).await;
    settle(&host, SignedDuration::from_secs(50)).await;
    let gone = host.twilio.ledger().len();

    let cancel = format!("/messages/{}/cancel", receipt["id"].as_str().unwrap());
    let (status, answer) = post(&host, "staff", &cancel, None, &json!({})).await;
    settle(&host, SignedDuration::from_hours(1)).await;

    let (_, view) = get(&host, "viewer", &format!("/messages/bulk/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!((view["stage"].as_str(), view["states"]["Skipped"].as_u64()), (Some("canceled"), Some(200 - gone as u64)));
    assert_eq!(view["states"]["Delivered"].as_u64(), Some(gone as u64));
    assert!((45..=55).contains(&gone), "{gone}");
    assert_eq!((status, answer["canceled"].as_u64()), (StatusCode::OK, Some(200 - gone as u64)));
    assert_eq!(host.twilio.ledger().len(), gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_take_a_word_about_their_cost_and_go_a_second_apart() {
    let host = quiet_machine(|settings| settings.prices.every_country.voice = Micros::parse("0.013")).await;
    let mut body = json!({ "recipients": "+12125550001\n+12125550002\n+12125550003", "say": "School is closed." });

    let (status, problem) = post(&host, "staff", "/calls/bulk", None, &body).await;
    body["confirmCost"] = json!(true);
    let (accepted, receipt) = post(&host, "staff", "/calls/bulk", None, &body).await;
    settle(&host, SignedDuration::from_mins(10)).await;

    assert_eq!((status, problem["errors"][0]["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("confirm_cost")));
    assert!(problem["errors"][0]["reason"].as_str().unwrap().contains("0.039 USD"), "{problem}");
    assert_eq!((accepted, receipt["accepted"].as_u64()), (StatusCode::ACCEPTED, Some(3)));
    let calls = host.twilio.calls();
    let at: Vec<i64> = calls.iter().map(|call| call.created.duration_since(calls[0].created).as_secs()).collect();
    assert_eq!(at, [0, 1, 2]);
    let (_, page) = get(&host, "viewer", "/messages?channel=voice&status=completed").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 3, "{page}");
}
