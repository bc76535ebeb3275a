//! `POST /messages` and its like: channels, templates, times, previews, and what is refused.

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::contact::Category;
use shared::domain::message::{MessageId, Reason, Status};
use shared::domain::money::Micros;
use shared::domain::template::{NamedTemplate, Template};
use shared::store::{messages, meter, templates};
use shared::usecases::watch_budget::BUDGET_ALERT;

use crate::machine::{get, messages_of, post, post_raw, quiet_machine, settle, tenant, unconnected_machine};

const ONE: &str = "+12125550001";

fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_right_is_named_field_by_field() {
    let host = quiet_machine(|_| {}).await;
    let cases = [
        (json!({}), vec![("to", "required"), ("body", "required")]),
        (json!({ "to": ONE, "contactId": "S01", "body": "x" }), vec![("to", "exclusive")]),
        (json!({ "contactId": "nobody", "body": "x" }), vec![("contactId", "unknown_contact")]),
        (json!({ "to": ONE, "body": " " }), vec![("body", "required")]),
        (json!({ "to": ONE, "body": "x".repeat(1601) }), vec![("body", "too_long")]),
        (json!({ "to": ONE, "body": "😀".repeat(801) }), vec![("body", "too_long")]),
        (json!({ "to": ONE, "body": "x", "template": "order_ready" }), vec![("body", "exclusive")]),
        (json!({ "to": ONE, "template": "no_such" }), vec![("template", "unknown_template")]),
        (
            json!({ "to": ONE, "template": "order_ready" }),
            vec![("variables.customer_name", "missing_variable"), ("variables.order_number", "missing_variable")],
        ),
        (json!({ "to": ONE, "body": "x", "sendAt": "2026-03-09T16:00:00Z" }), vec![("sendAt", "in_the_past")]),
        (json!({ "to": ONE, "body": "x", "sendAt": "2036-03-09T16:00:00Z" }), vec![("sendAt", "too_far")]),
        (json!({ "to": ONE, "body": "x", "mediaUrls": "http://10.0.0.1/x.jpg" }), vec![("mediaUrls[0]", "bad_url")]),
        (json!({ "to": ONE, "body": "x", "mediaUrls": vec!["https://example.com/x.jpg"; 11] }), vec![("mediaUrls", "too_many")]),
        (json!({ "to": ONE, "channel": "mms", "body": "x" }), vec![("mediaUrls", "required")]),
        (json!({ "to": ONE, "contentSid": "HX1" }), vec![("contentSid", "invalid")]),
        (json!({ "to": ONE, "body": "x", "repeat": { "cron": "now and then" } }), vec![("repeat.cron", "invalid")]),
        (json!({ "to": ONE, "body": "x", "repeat": { "cron": "0 0 30 2 *" } }), vec![("repeat", "never")]),
        (json!({ "to": ONE, "body": "x", "sendat": "2026-03-09T16:00:00Z" }), vec![("sendat", "invalid")]),
        (json!({ "to": ONE, "body": "x", "channel": "fax" }), vec![("channel", "invalid")]),
        (json!({ "to": ONE, "body": 7 }), vec![("body", "invalid")]),
    ];
    for (body, expected) in cases {
        let (status, problem) = post(&host, "staff", "/messages", None, &body).await;
        assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, expected), "{body}: {problem}");
    }
    for (body, code) in [("{", "not_json"), ("", "required"), ("{} {}", "not_json"), ("[1]", "invalid")] {
        let (status, problem) = post_raw(&host, "staff", "/messages", None, body.into()).await;
        assert_eq!((status, errors(&problem)[0].1), (StatusCode::UNPROCESSABLE_ENTITY, code), "{body}: {problem}");
    }
    let (status, problem) = post_raw(&host, "staff", "/messages", None, vec![b' '; 3 * 1024 * 1024 + 1].into()).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::PAYLOAD_TOO_LARGE, Some("too_large")));
    let (status, problem) = post(&host, "staff", "/messages", Some(&"k".repeat(256)), &json!({})).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("Idempotency-Key", "invalid")]));
    assert!(messages_of(&host).await.is_empty() && host.twilio.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_send_nothing_and_a_tenant_keeps_to_its_limit_of_requests() {
    let host = quiet_machine(|settings| settings.requests_per_minute = 10).await;

    let (status, problem) = post(&host, "viewer", "/messages", None, &json!({ "to": ONE, "body": "x" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("forbidden")));
    for _ in 0..9 {
        assert_eq!(get(&host, "viewer", "/messages").await.0, StatusCode::OK);
    }
    let (status, problem) = get(&host, "viewer", "/messages").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::TOO_MANY_REQUESTS, Some("too_many_requests")));
    let wait: i64 = problem["retryAfter"].as_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    host.clock.set(host.clock.now() + SignedDuration::from_secs(wait));
    assert_eq!(get(&host, "viewer", "/messages").await.0, StatusCode::OK);
    assert!(host.twilio.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_with_media_is_an_mms_and_costs_as_one() {
    let host = quiet_machine(|settings| settings.prices.every_country.mms = Micros::parse("0.02")).await;
    let body = json!({ "to": ONE, "body": "Look", "mediaUrls": "https://example.com/a.jpg" });

    let (status, _) = post(&host, "staff", "/messages", None, &body).await;
    let (_, picture) =
        post(&host, "staff", "/messages", None, &json!({ "to": ONE, "mediaUrls": ["https://example.com/b.png"] })).await;

    assert_eq!(status, StatusCode::ACCEPTED);
    let ledger = host.twilio.ledger();
    assert_eq!((ledger[0].sid[..2].to_string(), ledger[0].num_media, ledger[0].body.as_str()), ("MM".into(), 1, "Look"));
    assert_eq!((ledger[1].num_media, ledger[1].body.as_str()), (1, ""));
    let (_, view) = get(&host, "viewer", &format!("/messages/{}", picture["id"].as_str().unwrap())).await;
    assert_eq!((view["channel"].as_str(), view["cost"].as_str()), (Some("mms"), Some("0.02")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_text_over_whatsapp_takes_an_open_window_and_a_template_does_not() {
    let host = quiet_machine(|_| {}).await;
    let free = json!({ "to": ONE, "channel": "whatsapp", "body": "Hello" });
    let content = json!({ "to": ONE, "contentSid": format!("HX{}", "a".repeat(32)), "contentVariables": { "1": "Ana" } });

    let (_, closed) = post(&host, "staff", "/messages", Some("closed"), &free).await;
    let (_, template) = post(&host, "staff", "/messages", Some("template"), &content).await;
    let inbound = host.inbound(&tenant(), &format!("whatsapp:{ONE}"), "whatsapp:+15005550006", "Hi").await.unwrap();
    assert_eq!(host.bring(&inbound, host.clock.now()).await, 200);
    let (_, open) = post(&host, "staff", "/messages", Some("open"), &free).await;
    host.clock.set(host.clock.now() + SignedDuration::from_hours(24));
    let (_, over) = post(&host, "staff", "/messages", Some("over"), &free).await;

    assert_eq!((closed["state"].as_str(), closed["reason"].as_str()), (Some("Skipped"), Some("outside_window")));
    assert_eq!((template["state"].as_str(), open["state"].as_str()), (Some("Pending"), Some("Pending")));
    assert_eq!(over["reason"], "outside_window");
    let ledger = host.twilio.ledger();
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger[0].content_variables.as_deref(), Some(r#"{"1":"Ana"}"#));
    assert_eq!((ledger[1].to.as_str(), ledger[1].body.as_str()), ("whatsapp:+12125550001", "Hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_channels_get_a_message_each_and_the_second_try_changes_nothing() {
    let host = quiet_machine(|_| {}).await;
    let inbound = host.inbound(&tenant(), &format!("whatsapp:{ONE}"), "whatsapp:+15005550006", "Hi").await.unwrap();
    host.bring(&inbound, host.clock.now()).await;
    let body = json!({ "to": ONE, "channel": "both", "body": "Hello" });

    let first = post(&host, "staff", "/messages", Some("k"), &body).await;
    let second = post(&host, "staff", "/messages", Some("k"), &body).await;

    assert_eq!(first, second);
    let mut to: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.to).collect();
    to.sort();
    assert_eq!(to, ["+12125550001", "whatsapp:+12125550001"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_says_what_was_written_and_is_charged_by_its_minutes() {
    let host = quiet_machine(|settings| settings.prices.every_country.voice = Micros::parse("0.013")).await;
    let say = format!("School is closed today. Call 212 555 0100. {}", "Stay at home. ".repeat(70));
    let body = json!({ "to": ONE, "say": format!("{say}<&>"), "voice": "alice", "language": "en-GB", "detectMachine": true });

    let (status, receipt) = post(&host, "staff", "/calls", Some("k"), &body).await;
    let again = post(&host, "staff", "/calls", Some("k"), &body).await;
    settle(&host, SignedDuration::from_mins(10)).await;

    assert_eq!((status, &receipt), (again.0, &again.1));
    let calls = host.twilio.calls();
    assert_eq!(calls.len(), 1);
    let twiml = calls[0].twiml.as_deref().unwrap();
    assert!(twiml.starts_with("<Response><Say voice=\"alice\" language=\"en-GB\">School"), "{twiml}");
    assert!(twiml.ends_with("&lt;&amp;&gt;</Say></Response>"), "{twiml}");
    let minutes = i64::from(calls[0].duration.unwrap().div_ceil(60));
    let (_, view) = get(&host, "viewer", &format!("/messages/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!((view["status"].as_str(), view["state"].as_str()), (Some("completed"), Some("Delivered")));
    assert!(minutes > 1);
    let used = meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap();
    assert_eq!(used.0, minutes * 13_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_the_do_not_call_list_is_texted_but_not_called() {
    let host = quiet_machine(|settings| settings.do_not_call = vec!["(212) 555-0001".into()]).await;

    let (_, call) = post(&host, "staff", "/calls", None, &json!({ "to": ONE, "twimlUrl": "https://example.com/twiml" })).await;
    let (_, text) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;

    assert_eq!((call["reason"].as_str(), text["state"].as_str()), (Some("do_not_call"), Some("Pending")));
    assert_eq!((host.twilio.calls().len(), host.twilio.ledger().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_later_goes_then_unless_it_is_taken_back() {
    let host = quiet_machine(|_| {}).await;
    let later = json!({ "to": ONE, "body": "Later", "sendAt": "2026-03-11T15:00:00Z" });
    let (_, goes) = post(&host, "staff", "/messages", Some("a"), &later).await;
    let (_, taken) = post(&host, "staff", "/messages", Some("b"), &later).await;
    let cancel = format!("/messages/{}/cancel", taken["id"].as_str().unwrap());

    assert_eq!(goes["dueAt"], "2026-03-11T15:00:00Z");
    assert_eq!(post(&host, "staff", &cancel, None, &json!({})).await, (StatusCode::OK, json!({ "canceled": 1 })));
    assert_eq!(post(&host, "staff", &cancel, None, &json!({})).await, (StatusCode::OK, json!({ "canceled": 1 })));
    settle(&host, SignedDuration::from_hours(48)).await;

    assert_eq!(host.twilio.ledger().len(), 1);
    let sent_at = host.twilio.ledger()[0].created;
    assert_eq!(sent_at, "2026-03-11T15:00:00Z".parse::<Timestamp>().unwrap());
    let too_late = format!("/messages/{}/cancel", goes["id"].as_str().unwrap());
    let (status, problem) = post(&host, "staff", &too_late, None, &json!({})).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("too_late")));
    let (status, _) = post(&host, "staff", "/messages/msg_1/cancel", None, &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // The same key again, when the instant is long over: the same answer.
    assert_eq!(post(&host, "staff", "/messages", Some("a"), &later).await, (StatusCode::ACCEPTED, goes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_recurs_goes_each_day_until_it_is_taken_back() {
    let host = quiet_machine(|_| {}).await;
    let daily = json!({ "to": ONE, "body": "Good morning", "repeat": { "cron": "0 9 * * *" } });
    let (_, receipt) = post(&host, "staff", "/messages", Some("k"), &daily).await;
    let again = post(&host, "staff", "/messages", Some("k"), &daily).await;

    settle(&host, SignedDuration::from_hours(24 * 3)).await;

    assert_eq!(again, (StatusCode::ACCEPTED, receipt.clone()));
    let sent: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.created.to_string()).collect();
    assert_eq!(sent, ["2026-03-11T13:00:00Z", "2026-03-12T13:00:00Z", "2026-03-13T13:00:00Z"]);
    let cancel = format!("/messages/{}/cancel", receipt["id"].as_str().unwrap());
    assert_eq!(post(&host, "staff", &cancel, None, &json!({})).await.0, StatusCode::OK);
    settle(&host, SignedDuration::from_hours(24 * 3)).await;
    assert_eq!(host.twilio.ledger().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_night_a_message_waits_and_a_code_or_a_test_does_not() {
    let host = quiet_machine(|_| {}).await;
    host.clock.set("2026-03-11T06:00:00Z".parse().unwrap());
    let code = json!({ "to": ONE, "template": "authentication_code", "variables": { "code": "123456" } });

    let (_, waits) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    let (_, code) = post(&host, "staff", "/messages", None, &code).await;
    let (_, test) = post(&host, "staff", "/messages/test", None, &json!({ "to": ONE })).await;

    // The sample's quiet hours end at eight in New York.
    assert_eq!((waits["state"].as_str(), waits["dueAt"].as_str()), (Some("Pending"), Some("2026-03-11T12:00:00Z")));
    assert_eq!((code["state"].as_str(), test["state"].as_str()), (Some("Pending"), Some("Pending")));
    assert_eq!(host.twilio.ledger().len(), 2);
    settle(&host, SignedDuration::from_hours(12)).await;
    assert_eq!(host.twilio.ledger().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_texted_stop_gets_nothing_and_explain_says_why() {
    let host = quiet_machine(|_| {}).await;
    let sender = "+15005550006";
    let stop = host.inbound(&tenant(), ONE, sender, "STOP").await.unwrap();
    host.bring(&stop, host.clock.now()).await;

    let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;
    let (_, explained) = post(&host, "viewer", "/messages/explain", None, &json!({ "to": ONE })).await;
    let (_, free) =
        post(&host, "viewer", "/messages/explain", None, &json!({ "contactId": "S01", "at": "2026-03-11T06:00:00Z" })).await;

    assert_eq!((receipt["state"].as_str(), receipt["reason"].as_str()), (Some("Skipped"), Some("opted_out")));
    let number = explained["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "number").unwrap();
    assert_eq!((explained["verdict"].as_str(), number["reason"].as_str()), (Some("skip"), Some("opted_out")));
    assert_eq!(free["verdict"], "defer", "{free}");
    assert!(host.twilio.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_refusals_are_told_in_words_and_21610_is_an_opt_out() {
    let host = quiet_machine(|_| {}).await;

    let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "to": "+15005550004", "body": "Hello" })).await;
    let (_, again) = post(&host, "staff", "/messages", None, &json!({ "to": "+15005550004", "body": "Hello?" })).await;

    let (_, view) = get(&host, "viewer", &format!("/messages/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!((view["state"].as_str(), view["error"]["code"].as_u64()), (Some("Failed"), Some(21610)));
    assert_eq!(view["error"]["class"], "opt_out");
    assert!(view["error"]["advice"].as_str().unwrap().contains("START"), "{view}");
    assert_eq!(again["reason"], "opted_out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_says_text_encoding_segments_cost_and_what_is_wrong_with_it() {
    let host = quiet_machine(|_| {}).await;
    let body = "Act now!!! It\u{2019}s 20% off \u{2013} caf\u{e9} \u{1f600}";
    let asked = json!({ "to": "+15551234567", "body": body, "category": "marketing" });

    let (status, preview) = post(&host, "viewer", "/messages/preview", None, &asked).await;

    assert_eq!((status, preview["encoding"].as_str(), preview["segments"].as_u64()), (StatusCode::OK, Some("UCS-2"), Some(1)));
    let forcing: Vec<(&str, Option<&str>)> = preview["ucs2Characters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|character| (character["codePoint"].as_str().unwrap(), character["replacement"].as_str()))
        .collect();
    assert_eq!(forcing, [("U+2019", Some("'")), ("U+2013", Some("-")), ("U+1F600", None)]);
    assert_eq!(preview["cost"], "0.0079");
    let codes: Vec<&str> =
        preview["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
    for code in ["ucs2", "no_opt_out_text", "sender_not_named", "spam_triggers", "number_not_valid"] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    let (_, spoken) = post(&host, "viewer", "/messages/preview", None, &json!({ "to": ONE, "say": "word ".repeat(120) })).await;
    let codes = spoken["warnings"].to_string();
    assert!(codes.contains("speech_too_long"), "{codes}");
    assert!(messages_of(&host).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_spent_budget_is_told_once_a_share_and_codes_have_their_reserve() {
    let host = quiet_machine(|settings| {
        settings.budget.monthly_limit = Micros::parse("0.0790");
        settings.budget.authentication_reserve = Micros::parse("0.0158").unwrap();
    })
    .await;
    let text = |at: u32| json!({ "to": format!("+1212555{at:04}"), "body": "Hello" });
    let alerts = || {
        let events = host.aws.take_events().into_iter().filter(|event| event.detail_type == BUDGET_ALERT);
        events.map(|event| event.detail["share"].as_u64().unwrap()).collect::<Vec<_>>()
    };

    for at in 0..7 {
        post(&host, "staff", "/messages", None, &text(at)).await;
    }
    assert_eq!(alerts(), Vec::<u64>::new());
    post(&host, "staff", "/messages", None, &text(7)).await;
    assert_eq!(alerts(), [80]);
    let (_, refused) = post(&host, "staff", "/messages", None, &text(8)).await;
    assert_eq!(refused["reason"], "budget");
    let code = json!({ "to": ONE, "template": "authentication_code", "variables": { "code": "1" } });
    for _ in 0..2 {
        assert_eq!(post(&host, "staff", "/messages", None, &code).await.1["state"], "Pending");
    }
    assert_eq!(post(&host, "staff", "/messages", None, &code).await.1["reason"], "budget");
    assert_eq!(alerts(), [100]);
    assert_eq!(host.twilio.ledger().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_go_by_the_longest_prefix_that_the_tenant_names() {
    let host = quiet_machine(|settings| {
        settings.prices.every_country.sms = None;
        let rates = shared::domain::tenant::OwnRates { sms: Micros::parse("0.04"), ..Default::default() };
        settings.prices.by_prefix.insert("+44".into(), rates);
    })
    .await;
    let cost = async |to: &str| {
        let (_, preview) = post(&host, "viewer", "/messages/preview", None, &json!({ "to": to, "body": "Hello" })).await;
        preview["cost"].as_str().unwrap().to_string()
    };

    assert_eq!(cost("+447700900123").await, "0.04");
    assert_eq!(cost("+12125550001").await, "0.0075");
    assert_eq!(cost("+4915112345678").await, "0.05");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_account_everything_works_and_nothing_leaves() {
    let host = unconnected_machine(|_| {}).await;

    let (status, receipt) = post(&host, "staff", "/messages", None, &json!({ "to": ONE, "body": "Hello" })).await;

    assert_eq!(status, StatusCode::ACCEPTED);
    let (_, view) = get(&host, "viewer", &format!("/messages/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!(
        (view["state"].as_str(), view["simulated"].as_bool(), view["cost"].as_str()),
        (Some("Delivered"), Some(true), Some("0.0079"))
    );
    assert!(host.twilio.ledger().is_empty());
    let table = host.cx.table().await.unwrap();
    assert_eq!(meter::used(table, &tenant(), "2026-03").await.unwrap(), Micros(0));
    assert_eq!(meter::used(table, &tenant(), "simulated-2026-03").await.unwrap(), Micros(7_900));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_go_in_the_tenants_text_and_templates_of_its_own_come_first() {
    let host = quiet_machine(|settings| {
        settings.types.attendance.template = Some(Template::parse("{name}: {status}!").unwrap());
        settings.types.payment_reminder.enabled = false;
    })
    .await;
    let own = NamedTemplate {
        name: "Order Ready".into(),
        category: Category::Order,
        text: Template::parse("Come, {customer_name}: {order_number}").unwrap(),
        active: true,
        content_sid: None,
        content_variables: Vec::new(),
    };
    templates::put(host.cx.table().await.unwrap(), &tenant(), &own).await.unwrap();
    let notify = |kind: &str| json!({ "contactId": "S01", "type": kind, "variables": { "status": "Present" } });

    let (status, _) = post(&host, "staff", "/notifications", None, &notify("attendance")).await;
    let (_, off) = post(&host, "staff", "/notifications", None, &notify("payment_reminder")).await;
    let (_, moved) = post(&host, "staff", "/notifications", None, &notify("schedule_change")).await;
    let body = json!({ "contactId": "S01", "template": "order-ready", "variables": { "order_number": 7 }, "orderId": "o-7" });
    let (_, receipt) = post(&host, "staff", "/messages", None, &body).await;

    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(errors(&off)[0].1, "missing_variable");
    assert!(errors(&moved).contains(&("variables.new_time", "missing_variable")));
    let texts: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    assert!(texts[0].ends_with(": Present!"), "{texts:?}");
    assert!(texts[1].starts_with("Come, ") && texts[1].ends_with(": 7"), "{texts:?}");
    let (_, view) = get(&host, "viewer", &format!("/messages/{}", receipt["id"].as_str().unwrap())).await;
    assert_eq!((view["links"]["orderId"].as_str(), view["sentBy"].as_str()), (Some("o-7"), Some("user-1")));
    assert_eq!((view["category"].as_str(), view["template"].as_str()), (Some("order"), Some("order-ready")));
    let id = MessageId::parse(receipt["id"].as_str().unwrap()).unwrap();
    let stored = messages::get_many(host.cx.table().await.unwrap(), &tenant(), &[id]).await.unwrap();
    assert_eq!((stored[0].status > Status::Sending, stored[0].reason), (true, None::<Reason>));
}
