//! Sending where it is easily got wrong: who must not get it, what a key stands for, and what is too much.

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use local::twilio::{Fault, Rule};
use serde_json::{Value, json};
use shared::domain::channel::Channel;
use shared::domain::message::{Reason, Status};
use shared::domain::money::Micros;
use shared::store::meter;
use tokio::task::JoinSet;

use crate::machine::{get, messages_of, post, post_raw, quiet_machine, settle, tenant};

const ONE: &str = "+12125550001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_opted_out_gets_nothing_at_its_bare_number_either() {
    let host = quiet_machine(|_| {}).await;

    let (_, single) = post(&host, "staff", "/messages", None, &json!({ "to": "555-010-0207", "body": "Hello" })).await;
    let (_, list) =
        post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": "555-010-0207\n+12125550001", "body": "Hello" }))
            .await;
    settle(&host, SignedDuration::from_mins(5)).await;

    assert_eq!((single["state"].as_str(), single["reason"].as_str()), (Some("Skipped"), Some("opted_out")));
    assert_eq!(list["accepted"], 2);
    let to: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.to).collect();
    assert_eq!(to, [ONE]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_two_gets_nothing_in_the_quiet_hours_of_either_each_where_they_are() {
    let host = quiet_machine(|_| {}).await;
    let here = json!({ "id": "N1", "name": "Nora Quist", "phone": ONE, "timeZone": "America/New_York" });
    let west = json!({
        "id": "N2", "name": "Nils Quist", "phone": ONE, "timeZone": "America/Los_Angeles", "quietHours": "21:00-08:00",
    });
    for contact in [here, west] {
        assert_eq!(post(&host, "staff", "/contacts", None, &contact).await.0, StatusCode::CREATED);
    }
    // Ten past eight in New York, ten past five in Los Angeles.
    host.clock.set("2026-03-11T12:10:00Z".parse().unwrap());

    let (_, explained) = post(&host, "viewer", "/messages/explain", None, &json!({ "to": ONE })).await;
    let (_, single) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    let (_, list) = post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": ONE, "body": "Good morning" })).await;
    settle(&host, SignedDuration::from_hours(6)).await;

    let morning: Timestamp = "2026-03-11T15:00:00Z".parse().unwrap();
    assert_eq!((explained["verdict"].as_str(), single["dueAt"].as_str()), (Some("defer"), Some("2026-03-11T15:00:00Z")));
    assert_eq!(list["accepted"], 1);
    let mut bodies: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["Good morning", "Hello"]);
    for entry in host.twilio.ledger() {
        let after = entry.created.duration_since(morning);
        assert!((SignedDuration::ZERO..SignedDuration::from_mins(1)).contains(&after), "{}: {after}", entry.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_a_list_goes_stops_what_is_left_of_it() {
    let host = quiet_machine(|_| {}).await;
    let rows: Vec<Value> = (0..60).map(|at| json!({ "to": ONE, "body": format!("Message {at}") })).collect();
    post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": rows })).await;
    settle(&host, SignedDuration::from_secs(20)).await;
    let before = host.twilio.ledger().len();

    let stop = host.inbound(&tenant(), ONE, "+15005550006", "stop").await.unwrap();
    host.bring(&stop, host.clock.now()).await;
    settle(&host, SignedDuration::from_mins(10)).await;

    assert!((15..=25).contains(&before), "{before}");
    assert_eq!(host.twilio.ledger().len(), before);
    let skipped = messages_of(&host).await.into_iter().filter(|message| message.reason == Some(Reason::OptedOut)).count();
    assert_eq!(skipped, 60 - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_unknown_ends_with_a_true_reason_and_costs_nothing() {
    let host = quiet_machine(|settings| settings.max_attempts = 3).await;
    host.twilio.set_faults(vec![Rule { fault: Fault::ServerErrorBeforeAccept, to: None, times: None, every: None }]);

    post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    settle(&host, SignedDuration::from_hours(6)).await;

    let message = messages_of(&host).await.pop().unwrap();
    assert_eq!((message.status, message.reason, message.attempt), (Status::Failed, Some(Reason::NotProcessed), 3));
    assert_eq!(meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap(), Micros(0));
    assert_eq!(message.timeline.iter().filter(|step| step.step == "not_found").count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_for_one_thing_whatever_was_asked_for_under_it() {
    let host = quiet_machine(|_| {}).await;
    let single = json!({ "to": ONE, "body": "Hello" });
    let recurs = json!({ "to": ONE, "body": "Hello", "repeat": { "cron": "0 9 * * *" } });
    let list = json!({ "recipients": ONE, "body": "Hello" });
    let paths = ["/messages", "/messages", "/messages/bulk"];
    let bodies = [single, recurs, list];

    for first in 0..3 {
        let key = format!("k{first}");
        assert_eq!(post(&host, "staff", paths[first], Some(&key), &bodies[first]).await.0, StatusCode::ACCEPTED);
        for second in (0..3).filter(|second| *second != first) {
            let (status, problem) = post(&host, "staff", paths[second], Some(&key), &bodies[second]).await;
            assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")), "{first} {second}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_which_much_is_wrong_is_still_accepted_for_the_rest_and_answered_again() {
    let host = quiet_machine(|_| {}).await;
    let mut rows: Vec<Value> = (0..1_900).map(|_| json!({ "contactId": "S01" })).collect();
    rows.insert(7, json!({ "contactId": "S01", "body": "fine" }));
    let body = json!({ "recipients": rows, "template": "marketing_promotion" });

    let (status, first) = post(&host, "staff", "/messages/bulk", Some("k"), &body).await;
    let (_, second) = post(&host, "staff", "/messages/bulk", Some("k"), &body).await;
    settle(&host, SignedDuration::from_mins(1)).await;

    assert_eq!((status, first["accepted"].as_u64(), first["refused"].as_u64()), (StatusCode::ACCEPTED, Some(1), Some(1_900)));
    assert!(first == second);
    assert_eq!(host.twilio.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_keeps_its_answer_when_its_groups_change() {
    let host = quiet_machine(|_| {}).await;
    let body = json!({ "groups": ["Strings"], "body": "At six", "channel": "sms" });
    let first = post(&host, "staff", "/messages/bulk", Some("k"), &body).await;
    let table = host.cx.table().await.unwrap();
    let ids = shared::store::contacts::members(table, &tenant(), "Strings").await.unwrap();
    let known: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut contacts: Vec<_> = shared::store::contacts::get_many(table, &tenant(), &known).await.unwrap().into_values().collect();
    contacts.iter_mut().for_each(|contact| contact.groups.clear());
    shared::store::contacts::put_many(table, &tenant(), &contacts).await.unwrap();

    let second = post(&host, "staff", "/messages/bulk", Some("k"), &body).await;

    assert_eq!(first.0, StatusCode::ACCEPTED, "{}", first.1);
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paced_at_a_chosen_instant_and_after_a_quiet_night() {
    let host = quiet_machine(|_| {}).await;
    let numbers = |from: u32| (from..from + 20).map(|at| format!("+1212555{at:04}")).collect::<Vec<_>>().join(",");
    let chosen = json!({ "recipients": numbers(0), "body": "Later", "sendAt": "2026-03-10T20:00:00Z" });
    post(&host, "staff", "/messages/bulk", None, &chosen).await;
    settle(&host, SignedDuration::from_hours(6)).await;
    host.clock.set("2026-03-11T05:00:00Z".parse().unwrap());
    post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": numbers(100), "body": "At night" })).await;
    settle(&host, SignedDuration::from_hours(12)).await;

    let ledger = host.twilio.ledger();
    for (sent, begins) in ledger.chunks(20).zip(["2026-03-10T20:00:00Z", "2026-03-11T12:00:00Z"]) {
        let begins: Timestamp = begins.parse().unwrap();
        let after: Vec<i64> = sent.iter().map(|entry| entry.created.duration_since(begins).as_secs()).collect();
        assert_eq!(after, (0..20).collect::<Vec<i64>>());
    }
    assert_eq!(ledger.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_taken_back_gives_its_time_to_the_next() {
    let host = quiet_machine(|_| {}).await;
    let rows: Vec<Value> = (0..500).map(|at| json!({ "to": format!("+1212{:07}", 5_550_000 + at) })).collect();
    let (_, first) = post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": rows, "body": "Hello" })).await;
    let cancel = format!("/messages/{}/cancel", first["id"].as_str().unwrap());
    post(&host, "staff", &cancel, None, &json!({})).await;

    post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": "+12125559999", "body": "Next" })).await;
    settle(&host, SignedDuration::from_secs(30)).await;

    assert!(host.twilio.ledger().iter().any(|entry| entry.body == "Next"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_at_once_do_not_exceed_a_cap_of_one() {
    let host = quiet_machine(|settings| settings.frequency_cap = Some(1)).await;
    let mut calls = JoinSet::new();
    for at in 0..10 {
        let host = host.clone();
        let body = json!({ "contactId": "S01", "body": format!("Offer {at}. STOP ends this."), "category": "marketing" });
        calls.spawn(async move { post(&host, "staff", "/messages", Some(&at.to_string()), &body).await.1 });
    }

    let answers = calls.join_all().await;

    assert_eq!(host.twilio.ledger().len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer["reason"] == "frequency_cap").count(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_knows_every_channel_and_stays_within_the_calendar() {
    let host = quiet_machine(|settings| settings.do_not_call = vec![ONE.into()]).await;

    let (_, call) = post(&host, "viewer", "/messages/explain", None, &json!({ "to": ONE, "channel": "voice" })).await;
    let (_, picture) = post(&host, "viewer", "/messages/explain", None, &json!({ "to": ONE, "channel": "mms" })).await;

    assert_eq!((call["verdict"].as_str(), picture["verdict"].as_str()), (Some("skip"), Some("send")));
    for at in ["9999-12-30T21:59:59Z", "-009999-01-02T01:59:59Z", "2036-01-01T00:00:00Z"] {
        let (status, problem) = post(&host, "viewer", "/messages/explain", None, &json!({ "to": ONE, "at": at })).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("at")), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_long_too_large_and_forged_are_refused_as_what_they_are() {
    let host = quiet_machine(|_| {}).await;
    let long = "a".repeat(3_000);
    for path in [
        format!("/messages/bulk/batch_{long}/send"),
        format!("/messages/batch_{long}/cancel"),
        format!("/messages/rec_{long}/cancel"),
        format!("/messages/{long}/cancel"),
    ] {
        assert_eq!(post(&host, "staff", &path, None, &json!({})).await.0, StatusCode::NOT_FOUND);
    }
    let forged = "LTAwOTk5OS0wMS0wMlQwMjowMDowMFogbXNnX2FhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh";
    let (status, _) = get(&host, "viewer", &format!("/messages?cursor={forged}")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let huge = "v".repeat(500_000);
    let refused = [
        ("/messages", json!({ "to": ONE, "contentSid": format!("HX{}", "a".repeat(32)), "contentVariables": { "1": huge } })),
        ("/messages", json!({ "to": ONE, "template": huge })),
        ("/messages", json!({ "to": ONE, "template": "order_ready", "variables": { "order_number": huge } })),
        ("/messages/bulk", json!({ "recipients": ONE, "body": "Hello", "name": huge })),
        ("/messages/bulk", json!({ "recipients": ONE, "body": huge })),
        ("/messages/bulk", json!({ "groups": [huge], "body": "Hello" })),
        ("/messages", json!({ "to": ONE, "contentVariables": { "1": "x" } })),
        ("/messages", json!({ "to": ONE, "body": "\u{200b}" })),
        ("/calls", json!({ "to": ONE, "say": "Hello", "maxMinutes": 241 })),
    ];
    for (path, body) in refused {
        let (status, problem) = post(&host, "staff", path, None, &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {}", problem["detail"]);
    }
    for body in [r#"["+12125550001", null, "hi"]"#, r#"{"recipients": [["+12125550001"]], "body": "x"}"#] {
        let path = if body.starts_with('[') { "/messages" } else { "/messages/bulk" };
        assert_eq!(post_raw(&host, "staff", path, None, body.into()).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    assert!(host.twilio.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placeholder_is_filled_or_refused_never_sent() {
    let host = quiet_machine(|_| {}).await;
    let refused = [
        (json!({ "to": ONE, "body": "Hi {name}" }), "missing_variable"),
        (json!({ "contactId": "S01", "body": "Hi {name} :-{" }), "bad_template"),
        (json!({ "contactId": "S01", "body": "{a b} {name}" }), "bad_template"),
    ];
    for (body, code) in refused {
        let (status, problem) = post(&host, "staff", "/messages", None, &body).await;
        assert_eq!((status, problem["errors"][0]["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some(code)), "{body}");
    }
    let filled = json!({ "contactId": "S01", "body": "Hi {name}, hi {{nick}}", "variables": { "nick": "A" } });
    for body in [filled, json!({ "contactId": "S01", "body": "So sad :-{" }), json!({ "to": ONE, "body": "{ 1, 2 }" })] {
        assert_eq!(post(&host, "staff", "/messages", None, &body).await.1["state"], "Pending", "{body}");
    }
    let bodies: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    assert_eq!(bodies, ["Hi Ana Ruiz, hi A", "So sad :-{", "{ 1, 2 }"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_cannot_cost_more_than_was_reserved_and_tells_who_took_it() {
    let host = quiet_machine(|settings| settings.prices.every_country.voice = Micros::parse("0.01")).await;
    let body = json!({ "to": ONE, "twimlUrl": "https://example.com/twiml", "maxMinutes": 3, "detectMachine": true });

    let (_, receipt) = post(&host, "staff", "/calls", None, &body).await;
    let reserved = messages_of(&host).await.pop().unwrap();
    settle(&host, SignedDuration::from_mins(5)).await;

    assert_eq!((reserved.channel, reserved.cost), (Some(Channel::Voice), Some(Micros(30_000))));
    let (_, view) = get(&host, "viewer", &format!("/calls/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!((view["answeredBy"].as_str(), view["cost"].as_str()), (Some("human"), Some("0.01")), "ten seconds are a minute");
    assert_eq!(meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap(), Micros(10_000));
    let (status, _) = get(&host, "viewer", "/calls?limit=5").await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_list_reaches_a_number_once_by_whatever_name_and_unreadable_rows_stop_nothing() {
    let host = quiet_machine(|_| {}).await;
    // S05 and S06 are siblings on one phone.
    let recipients = json!([
        { "to": "+15550100201" }, { "contactId": "S01" }, { "contactId": "S05" }, { "contactId": "S06" }, { "contactId": "S06" },
        "555-010-0205", "+12125550001", { "phone": "+12125550002" }, { "to": 12 }, 7, { "to": "+12125550003", "name": "Ben" },
    ]);

    let (status, receipt) =
        post(&host, "staff", "/messages/bulk", None, &json!({ "recipients": recipients, "body": "Hi" })).await;
    settle(&host, SignedDuration::from_mins(5)).await;

    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    let wrong: Vec<(u64, &str, &str)> = receipt["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["id"].is_null())
        .map(|row| {
            let error = &row["errors"][0];
            (row["row"].as_u64().unwrap(), error["field"].as_str().unwrap(), error["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        wrong,
        [
            (1, "to", "duplicate"),
            (4, "to", "duplicate"),
            (5, "to", "duplicate"),
            (7, "phone", "invalid"),
            (8, "to", "invalid"),
            (9, "", "invalid"),
            (10, "name", "invalid"),
        ]
    );
    assert_eq!(receipt["rows"][4]["errors"][0]["reason"], "the same as row 3, which goes");
    let mut to: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.to).collect();
    to.sort();
    assert_eq!(to, ["+12125550001", "+15550100201", "+15550100205", "+15550100205"]);
    let list = receipt["id"].as_str().unwrap();
    let (_, page) = get(&host, "viewer", "/messages").await;
    assert!(page["items"].as_array().unwrap().iter().all(|item| item["list"] == list), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_callers_mistake_is_told_in_their_words() {
    let host = quiet_machine(|_| {}).await;
    let whatsapp = format!("whatsapp:{ONE}");

    let (_, address) = post(&host, "staff", "/messages", None, &json!({ "to": whatsapp, "body": "Hello" })).await;
    let (both, _) = post(&host, "staff", "/messages", None, &json!({ "to": whatsapp, "body": "Hello", "channel": "sms" })).await;
    let (_, missing) = post(&host, "staff", "/messages/test", None, &json!({})).await;
    let (_, instant) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "x", "sendAt": "tomorrow" })).await;
    let (_, preview) = post(&host, "viewer", "/messages/preview", None, &json!({ "contactId": "S07", "body": "Hello" })).await;

    assert_eq!(address["reason"], "outside_window");
    assert_eq!(both, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((missing["errors"][0]["field"].as_str(), missing["errors"][0]["code"].as_str()), (Some("to"), Some("required")));
    assert!(instant["errors"][0]["reason"].as_str().unwrap().contains("2026-03-10T15:00:00Z"), "{instant}");
    assert_eq!((preview["verdict"].as_str(), preview["reason"].as_str()), (Some("skip"), Some("opted_out")));
    for query in ["state=Delivered", "limit=0", "limit=201", "from=2026-11-21", "status=gone"] {
        let (status, problem) = get(&host, "viewer", &format!("/messages?{query}")).await;
        assert_eq!((status, problem["errors"].is_array()), (StatusCode::UNPROCESSABLE_ENTITY, true), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_of_an_attempt_that_came_to_nothing_is_gone_when_the_next_is_taken() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![Rule { fault: Fault::TooManyRequests, to: None, times: Some(1), every: None }]);

    post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    settle(&host, SignedDuration::from_mins(10)).await;

    let message = messages_of(&host).await.pop().unwrap();
    assert_eq!((message.status, message.error_code, message.attempt), (Status::Delivered, None, 2));
    assert!(message.timeline.iter().any(|step| step.step == "not_processed" && step.detail.as_deref() == Some("20429")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_messaging_service_sends_for_the_tenant() {
    let service = format!("MG{}", "a".repeat(32));
    let host = quiet_machine(|settings| settings.senders.sms = Some(format!("MG{}", "a".repeat(32)))).await;

    let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    settle(&host, SignedDuration::from_mins(5)).await;

    let entry = host.twilio.ledger().pop().unwrap();
    assert_eq!(entry.messaging_service_sid, Some(service));
    let (_, view) = get(&host, "viewer", &format!("/messages/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!((view["status"].as_str(), view["cost"].as_str()), (Some("delivered"), Some("0.0079")));
    let (_, call) = post(&host, "staff", "/calls", None, &json!({ "to": ONE, "say": "Hello" })).await;
    assert_eq!(call["reason"], "no_channel", "a messaging service cannot call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_holds_back_whatever_its_sender_sends_next() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![Rule { fault: Fault::QueueFull, to: None, times: Some(1), every: None }]);

    post(&host, "staff", "/messages", Some("a"), &json!({ "to": ONE, "body": "First" })).await;
    let (_, next) = post(&host, "staff", "/messages", Some("b"), &json!({ "to": "+12125550002", "body": "Next" })).await;
    let (_, list) =
        post(&host, "staff", "/messages/bulk", Some("c"), &json!({ "recipients": "+12125550003", "body": "List" })).await;
    settle(&host, SignedDuration::from_mins(9)).await;

    assert!(host.twilio.ledger().is_empty(), "nobody is called while the queue drains");
    assert!(next["dueAt"].as_str().unwrap() >= "2026-03-10T16:10:00Z", "{next}");
    assert_eq!(list["accepted"], 1);
    settle(&host, SignedDuration::from_hours(3)).await;
    let mut bodies: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["First", "List", "Next"]);
}
