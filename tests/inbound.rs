//! What comes in: texts, media and calls, stored once, obeyed at once, answered where nobody else answers.

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::host::Host;
use local::twilio::{InboundMedia, InboundText};
use serde_json::{Value, json};
use shared::domain::message::Status;

use crate::machine::{get, messages_of, post, quiet_machine, settle, tenant};

/// The sample school's S01, alone at this number.
const KNOWN: &str = "+15550100201";
const STRANGER: &str = "+12125550001";
const SENDER: &str = "+15005550006";

/// Brings a text to the webhook, and answers what the webhook answered.
async fn text(host: &Host, from: &str, body: &str) -> String {
    bring(host, &InboundText::new(from, on_channel(from), body)).await
}

fn on_channel(from: &str) -> String {
    if from.starts_with("whatsapp:") { format!("whatsapp:{SENDER}") } else { SENDER.to_string() }
}

async fn bring(host: &Host, text: &InboundText) -> String {
    let callback = host.inbound_text(&tenant(), text).await.unwrap();
    let (status, body) = host.bring_and_read(&callback, host.clock.now()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

fn events(host: &Host) -> Vec<(String, Value)> {
    let ours = host.aws.take_events().into_iter().filter(|event| event.source == "carillon");
    ours.map(|event| (event.detail_type.clone(), event.detail.clone())).collect()
}

async fn conversation(host: &Host, at: usize) -> Value {
    let (status, inbox) = get(host, "viewer", "/conversations").await;
    assert_eq!(status, StatusCode::OK, "{inbox}");
    inbox["items"][at].clone()
}

async fn standing(host: &Host, number: &str) -> Value {
    get(host, "viewer", &format!("/opt-outs/{number}")).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_stored_once_and_told_once_however_often_it_comes() {
    let host = quiet_machine(|_| {}).await;
    let media = vec![InboundMedia { url: "https://api.twilio.com/x/ME1".into(), content_type: "image/jpeg".into() }];
    let params = vec![("ProfileName".to_string(), "Ann".to_string()), ("BrandNew".into(), "yes".into())];
    let photo = InboundText { media, params, ..InboundText::new(KNOWN, SENDER, "Is this the right book?") };
    let callback = host.inbound_text(&tenant(), &photo).await.unwrap();

    for _ in 0..3 {
        let (status, body) = host.bring_and_read(&callback, host.clock.now()).await;
        assert_eq!((status.as_u16(), body.as_str()), (200, "<Response/>"));
    }

    let (_, log) = get(&host, "viewer", "/messages?direction=in").await;
    let item = &log["items"][0];
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    assert_eq!((item["status"].as_str(), item["state"].as_str()), (Some("received"), Some("Received")));
    assert_eq!((item["from"].as_str(), item["to"].as_str()), (Some(KNOWN), Some(SENDER)));
    assert_eq!((item["contact"].as_str(), item["channel"].as_str()), (Some("S01"), Some("mms")));
    assert_eq!(item["inbound"]["media"][0]["contentType"], "image/jpeg");
    assert_eq!(
        (&item["inbound"]["params"]["ProfileName"], &item["inbound"]["params"]["BrandNew"]),
        (&json!("Ann"), &json!("yes"))
    );
    let told = events(&host);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0.as_str(), &told[0].1["message"]), ("message.received", &item["id"]));
    assert!(!told[0].1.to_string().contains(KNOWN), "an event names ids, not numbers");
    let conversation = conversation(&host, 0).await;
    assert_eq!((conversation["unread"].as_u64(), conversation["contacts"][0]["id"].as_str()), (Some(1), Some("S01")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_could_be_told_of_is_told_by_the_minute_tick() {
    let host = quiet_machine(|_| {}).await;
    host.aws.refuse_events(true);
    text(&host, KNOWN, "Hello").await;
    assert_eq!(events(&host).len(), 0);

    host.aws.refuse_events(false);
    host.tick(host.clock.now()).await.unwrap();
    host.tick(host.clock.now()).await.unwrap();

    assert_eq!(events(&host).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_is_kept_also_when_nobody_knows_them() {
    let host = quiet_machine(|_| {}).await;

    text(&host, STRANGER, "Do you teach the oboe?").await;
    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    let answer = text(&host, "22395", "Your parcel, and not a word of STOP").await;
    assert_eq!(text(&host, "800FLOWERS", "STOP").await, "<Response/>", "a name is nobody's number");
    assert_eq!(get(&host, "viewer", "/opt-outs").await.1["items"], json!([]));

    assert_eq!(answer, "<Response/>", "nobody answers a short code");
    let stranger = conversation(&host, 1).await;
    assert_eq!((stranger["peer"].as_str(), stranger["contacts"].as_array().unwrap().len()), (Some(STRANGER), 0));
    let code = conversation(&host, 0).await;
    assert_eq!(code["peer"], "22395");
    let path = format!("/conversations/{}/reply", code["id"].as_str().unwrap());
    let (status, problem) = post(&host, "staff", &path, None, &json!({ "body": "Hello?" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("no_number")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_came_as_base64_is_read() {
    use base64::Engine;
    let host = quiet_machine(|_| {}).await;
    let written = "Please stop texting me, we have moved away and I told you so twice.";

    text(&host, KNOWN, &base64::engine::general_purpose::STANDARD.encode(written)).await;

    let (_, log) = get(&host, "viewer", "/messages?direction=in").await;
    assert_eq!(log["items"][0]["body"], written);
    assert_eq!(standing(&host, KNOWN).await["optedOut"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_obeyed_and_answered_only_where_twilio_does_not() {
    let host = quiet_machine(|settings| {
        settings.consent.languages = vec![shared::domain::consent::Language::Fr];
        settings.consent.stop_words = vec!["Genug".into()];
    })
    .await;
    let answered = |answer: &str| answer.contains("<Message");
    let cases = [
        // from, body, opted out then, answered
        (KNOWN, "stop", true, false),
        (KNOWN, "START", false, false),
        (KNOWN, "help", false, false),
        (KNOWN, "Stop.", true, true),
        (KNOWN, "unstop", false, false),
        (KNOWN, "Arrêt", true, true),
        (KNOWN, "yes", false, false),
        (KNOWN, "genug!", true, true),
        (KNOWN, "Start", false, false),
        ("whatsapp:+15550100201", "STOP", true, true),
        ("whatsapp:+15550100201", "START", false, true),
        ("whatsapp:+15550100201", "HELP", false, true),
        (KNOWN, "Please stop texting me", true, true),
        (KNOWN, "start", false, false),
        (KNOWN, "Can we stop by at five?", false, false),
        (KNOWN, "Please don't stop these", false, false),
    ];
    for (from, body, stopped, is_answered) in cases {
        // Far enough apart for the guard against loops.
        host.clock.set(host.clock.now() + SignedDuration::from_mins(11));
        let answer = text(&host, from, body).await;
        assert_eq!(answered(&answer), is_answered, "{body}: {answer}");
        assert_eq!(standing(&host, KNOWN).await["optedOut"], stopped, "{body}");
    }
    assert_eq!(conversation(&host, 0).await["review"], true, "a sentence was taken for an opt-out: somebody looks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twilio_says_it_took_a_text_for_counts() {
    let host = quiet_machine(|_| {}).await;
    let typed = |body: &str, kind: &str| InboundText {
        params: vec![("OptOutType".into(), kind.into())],
        ..InboundText::new(format!("whatsapp:{KNOWN}"), format!("whatsapp:{SENDER}"), body)
    };

    assert_eq!(bring(&host, &typed("Kündigen", "STOP")).await, "<Response/>", "Twilio has answered");
    assert_eq!(standing(&host, KNOWN).await["optedOut"], true);
    assert_eq!(bring(&host, &typed("Wieder da", "START")).await, "<Response/>");
    assert_eq!(standing(&host, KNOWN).await["optedOut"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_category_is_stopped_and_the_others_go_on() {
    let host = quiet_machine(|_| {}).await;
    let send = async |category: &str| {
        let asked = json!({ "to": STRANGER, "body": format!("About {category}"), "category": category });
        post(&host, "staff", "/messages", None, &asked).await.1["state"].clone()
    };

    let answer = text(&host, STRANGER, "Stop lessons").await;
    assert!(answer.contains("lesson"), "{answer}");
    assert_eq!((send("lessons").await, send("payments").await), (json!("Skipped"), json!("Pending")));
    assert_eq!(standing(&host, STRANGER).await["categories"], json!(["lessons"]));

    text(&host, STRANGER, "START LESSONS").await;
    assert_eq!(send("lessons").await, json!("Pending"));
    let (_, export) = get(&host, "viewer", "/opt-outs").await;
    assert_eq!(export["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_by_itself_is_a_message_like_any_other() {
    let host = quiet_machine(|settings| {
        settings.keyword_replies.insert("hours".into(), "We are open from 9 to 5.".into());
    })
    .await;

    let answer = text(&host, STRANGER, "Hours?").await;
    settle(&host, SignedDuration::from_mins(1)).await;

    assert!(answer.contains("We are open from 9 to 5."), "{answer}");
    let reply = messages_of(&host).await.into_iter().find(|message| message.inbound.is_none()).unwrap();
    assert_eq!((reply.status, reply.segments), (Status::Delivered, Some(1)));
    let entry = &host.twilio.ledger()[0];
    assert_eq!((Some(&entry.sid), entry.to.as_str()), (reply.sid.as_ref(), STRANGER));
    let table = host.cx.table().await.unwrap();
    let used = shared::store::meter::used(table, &tenant(), "2026-03").await.unwrap();
    assert_eq!(used, reply.cost.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_by_itself_stops_at_the_limit() {
    let host = quiet_machine(|settings| {
        settings.keyword_replies.insert("hours".into(), "We are open from 9 to 5.".into());
        settings.budget.monthly_limit = shared::domain::money::Micros::parse("0.01");
    })
    .await;

    assert!(text(&host, STRANGER, "Hours").await.contains("<Message"));
    assert_eq!(text(&host, KNOWN, "Hours").await, "<Response/>");
    assert_eq!(messages_of(&host).await.len(), 3, "both texts are stored, one is answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_machines_do_not_answer_each_other_for_ever() {
    let host = quiet_machine(|settings| {
        settings.keyword_replies.insert("ping".into(), "pong".into());
    })
    .await;
    let mut answers = 0;
    for _ in 0..40 {
        host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
        answers += usize::from(text(&host, STRANGER, "ping").await.contains("<Message"));
    }
    assert_eq!(answers, 4);
    assert_eq!(text(&host, SENDER, "ping").await, "<Response/>", "nobody answers himself");
    assert_eq!(host.twilio.ledger().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_is_read_answered_and_seen_to() {
    let host = quiet_machine(|_| {}).await;
    text(&host, STRANGER, "Hello").await;
    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    text(&host, "whatsapp:+15550100201", "Bonjour").await;
    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    text(&host, STRANGER, "Anybody?").await;

    let (_, inbox) = get(&host, "viewer", "/conversations?limit=1").await;
    let first = &inbox["items"][0];
    assert_eq!(
        (first["peer"].as_str(), first["unread"].as_u64(), first["lastText"].as_str()),
        (Some(STRANGER), Some(2), Some("Anybody?"))
    );
    let cursor = inbox["nextCursor"].as_str().unwrap();
    let (_, second) = get(&host, "viewer", &format!("/conversations?limit=1&cursor={cursor}")).await;
    let second = &second["items"][0];
    assert_eq!((second["peer"].as_str(), second["channel"].as_str()), (Some(KNOWN), Some("whatsapp")));

    let path = |of: &Value, what: &str| format!("/conversations/{}{what}", of["id"].as_str().unwrap());
    let reply = json!({ "body": "Yes, here we are." });
    let (status, receipt) = post(&host, "staff", &path(first, "/reply"), Some("r1"), &reply).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    let (_, again) = post(&host, "staff", &path(first, "/reply"), Some("r1"), &reply).await;
    assert_eq!(receipt, again);
    post(&host, "staff", &path(second, "/reply"), Some("r2"), &json!({ "body": "Bonjour !" })).await;
    settle(&host, SignedDuration::from_mins(1)).await;
    let to: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.to).collect();
    assert_eq!(to, [STRANGER, "whatsapp:+15550100201"]);

    let (_, talk) = get(&host, "viewer", &path(first, "")).await;
    let said: Vec<(&str, &str)> = talk["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["direction"].as_str().unwrap(), item["body"].as_str().unwrap()))
        .collect();
    assert_eq!(said, [("out", "Yes, here we are."), ("in", "Anybody?"), ("in", "Hello")]);
    assert_eq!(talk["conversation"]["unread"], 0);
    let (_, over_whatsapp) = get(&host, "viewer", &path(second, "")).await;
    assert!(over_whatsapp["whatsappUntil"].is_string());

    let (status, _) = post(&host, "viewer", &path(first, "/handled"), None, &json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    post(&host, "staff", &path(first, "/handled"), None, &json!({})).await;
    let (_, open) = get(&host, "viewer", "/conversations").await;
    let (_, handled) = get(&host, "viewer", "/conversations?state=handled").await;
    assert_eq!((open["items"].as_array().unwrap().len(), handled["items"].as_array().unwrap().len()), (1, 1));
    text(&host, STRANGER, "Thanks").await;
    let (_, open) = get(&host, "viewer", "/conversations").await;
    assert_eq!(open["items"].as_array().unwrap().len(), 2, "whoever writes again is open again");
    assert_eq!(get(&host, "viewer", "/conversations/conv_00000000000000000000000000000000").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_greeted_and_opts_out_by_a_key() {
    let host = quiet_machine(|settings| settings.greeting.text = Some("Welcome to {name} & friends.".into())).await;
    let call = host.inbound_call(&tenant(), KNOWN, SENDER).await.unwrap();

    let (status, greeting) = host.bring_and_read(&call, host.clock.now()).await;
    let (_, again) = host.bring_and_read(&call, host.clock.now()).await;
    assert_eq!((status.as_u16(), &again), (200, &greeting));
    assert!(greeting.contains("Welcome to Sample") || greeting.contains("&amp; friends."), "{greeting}");
    assert!(greeting.contains("<Gather numDigits=\"1\""), "{greeting}");
    let url = format!("{}/twilio/{}/voice", host.webhook_url, tenant());
    let pressed = host.call_step(&call, &url, &[("Digits", "9")]).unwrap();
    for _ in 0..2 {
        let (_, said) = host.bring_and_read(&pressed, host.clock.now()).await;
        assert!(said.contains("<Hangup/>"), "{said}");
    }
    let ended = host.call_ended(&tenant(), &call, 14).unwrap();
    assert_eq!(host.bring(&ended, host.clock.now()).await, 204);

    let standing = standing(&host, KNOWN).await;
    assert_eq!((standing["optedOut"].as_bool(), standing["history"].as_array().unwrap().len()), (Some(true), 1));
    assert_eq!(standing["history"][0]["method"], "keypress");
    let (_, calls) = get(&host, "viewer", "/calls").await;
    let item = &calls["items"][0];
    assert_eq!(
        (item["direction"].as_str(), item["status"].as_str(), item["duration"].as_u64()),
        (Some("in"), Some("completed"), Some(14))
    );
    assert_eq!((item["contact"].as_str(), item["cost"].as_str()), (Some("S01"), None));
    assert_eq!((item["state"].as_str(), item["inbound"]["wish"].as_str()), (Some("Received"), Some("stop")));
    assert_eq!(get(&host, "viewer", "/analytics/engagement").await.1["optOuts"], 1);
    assert_eq!(events(&host).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["call.received", "opt_out.recorded"]);
    let (_, next) = post(&host, "staff", "/calls", None, &json!({ "to": KNOWN, "say": "Hello" })).await;
    assert_eq!(next["reason"], "opted_out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_opts_nobody_out() {
    let host = quiet_machine(|_| {}).await;
    let call = host.inbound_call(&tenant(), "anonymous", SENDER).await.unwrap();
    assert_eq!(host.bring(&call, host.clock.now()).await, 200);
    let url = format!("{}/twilio/{}/voice", host.webhook_url, tenant());
    for key in ["1", "#", "9"] {
        let pressed = host.call_step(&call, &url, &[("Digits", key)]).unwrap();
        assert_eq!(host.bring(&pressed, host.clock.now()).await, 200);
    }
    assert_eq!(get(&host, "viewer", "/opt-outs").await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_opt_out_and_in_and_every_wish_is_kept() {
    let host = quiet_machine(|_| {}).await;
    let out = json!({ "number": "(212) 555-0001", "reason": "=asked by phone", "method": "verbal" });
    let (status, _) = post(&host, "viewer", "/opt-outs", None, &out).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    for _ in 0..2 {
        let (status, views) = post(&host, "staff", "/opt-outs", Some("k1"), &out).await;
        assert_eq!((status, views[0]["optedOut"].as_bool()), (StatusCode::OK, Some(true)), "{views}");
    }
    let (_, skipped) = post(&host, "staff", "/messages", None, &json!({ "to": STRANGER, "body": "Hello" })).await;
    assert_eq!(skipped["reason"], "opted_out");
    let later = || host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    later();
    let (status, _) = post(&host, "staff", "/opt-outs/opt-in", None, &json!({ "number": STRANGER })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "an opt-in says how it was given");
    let (_, views) = post(&host, "staff", "/opt-outs/opt-in", None, &json!({ "number": STRANGER, "method": "web_form" })).await;
    assert_eq!((views[0]["optedOut"].as_bool(), views[0]["note"].is_null()), (Some(false), true));
    later();
    let (_, views) = post(&host, "staff", "/opt-outs", None, &json!({ "contactId": "S01", "categories": ["marketing"] })).await;
    assert_eq!((views[0]["optedOut"].as_bool(), &views[0]["categories"]), (Some(false), &json!(["marketing"])));

    for number in ["%2B12125550001", "+12125550001", "%2012125550001", "2125550001"] {
        let (status, check) = get(&host, "viewer", &format!("/opt-outs/{number}")).await;
        assert_eq!((status, check["history"].as_array().unwrap().len()), (StatusCode::OK, 2), "{number}: {check}");
    }
    assert_eq!(get(&host, "staff", "/opt-outs/export").await.0, StatusCode::FORBIDDEN);
    let csv = crate::machine::get_text(&host, "admin", "/opt-outs/export").await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "number,at,wish,categories,method,source,by,reason");
    assert_eq!(lines.len(), 4);
    assert!(lines[1].starts_with("+12125550001,2026-03-10T16:00:00Z,stop,all,verbal,entered_"), "{}", lines[1]);
    assert!(lines[1].ends_with(",user-1,'=asked by phone"), "{}", lines[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_texted_stop_is_told_to_be_blocked_at_twilio_too() {
    let host = quiet_machine(|_| {}).await;
    text(&host, STRANGER, "STOP").await;

    let (_, views) = post(&host, "staff", "/opt-outs/opt-in", None, &json!({ "number": STRANGER, "method": "verbal" })).await;

    assert_eq!(views[0]["optedOut"], false);
    assert!(views[0]["note"].as_str().unwrap().contains("START"), "{views}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_tenants_own_record_forbids_only_the_tenant_lifts() {
    // The sample's S07 is opted out in the school's file.
    const FORBIDDEN: &str = "+15550100207";
    let host = quiet_machine(|_| {}).await;
    let send = async || post(&host, "staff", "/messages", None, &json!({ "contactId": "S07", "body": "Hello" })).await.1;

    let answer = text(&host, &format!("whatsapp:{FORBIDDEN}"), "START").await;
    assert_eq!(answer, "<Response/>", "nothing is promised");
    assert_eq!(send().await["reason"], "opted_out");
    assert_eq!(conversation(&host, 0).await["review"], true);
    let views = standing(&host, FORBIDDEN).await;
    assert_eq!((views["optedOut"].as_bool(), &views["optedOutContacts"][0]["id"]), (Some(false), &json!("S07")));

    let opt_in = json!({ "contactId": "S07", "method": "in_person" });
    assert_eq!(post(&host, "staff", "/opt-outs/opt-in", None, &opt_in).await.0, StatusCode::OK);
    assert_eq!(send().await["state"], "Pending");
    assert_eq!(standing(&host, FORBIDDEN).await["optedOutContacts"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_for_one_wish_and_nobody_enters_what_only_machines_hear() {
    let host = quiet_machine(|_| {}).await;
    let out = json!({ "number": STRANGER });

    assert_eq!(post(&host, "staff", "/opt-outs", Some("k"), &out).await.0, StatusCode::OK);
    assert_eq!(post(&host, "staff", "/opt-outs", Some("k"), &out).await.0, StatusCode::OK);
    let back = json!({ "number": STRANGER, "method": "verbal" });
    let (status, problem) = post(&host, "staff", "/opt-outs/opt-in", Some("k"), &back).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")));
    let (status, _) = post(&host, "staff", "/messages", Some("k"), &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert_eq!(status, StatusCode::CONFLICT, "also of a message");
    for method in ["keyword", "phrase", "keypress", "refusal"] {
        let (status, _) = post(&host, "staff", "/opt-outs/opt-in", None, &json!({ "number": STRANGER, "method": method })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{method}");
    }
    assert_eq!(standing(&host, STRANGER).await["history"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_says_what_was_written_and_one_that_does_not_go_answers_nothing() {
    let host = quiet_machine(|_| {}).await;
    text(&host, KNOWN, "Which room?").await;
    let path = format!("/conversations/{}", conversation(&host, 0).await["id"].as_str().unwrap());

    let (status, receipt) = post(&host, "staff", &format!("{path}/reply"), None, &json!({ "body": "{room} {{7}}" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    assert_eq!(host.twilio.ledger()[0].body, "{room} {{7}}");
    host.clock.set(host.clock.now() + SignedDuration::from_secs(30));
    text(&host, KNOWN, "Please stop texting me. Thanks anyway").await;
    host.clock.set(host.clock.now() + SignedDuration::from_secs(30));
    let (_, refused) = post(&host, "staff", &format!("{path}/reply"), None, &json!({ "body": "Sorry!" })).await;

    assert_eq!(refused["reason"], "opted_out");
    let (_, talk) = get(&host, "viewer", &path).await;
    assert_eq!((talk["conversation"]["unread"].as_u64(), talk["conversation"]["optedOut"].as_bool()), (Some(1), Some(true)));
    assert_eq!((&talk["items"][0]["body"], &talk["items"][0]["state"]), (&json!("Sorry!"), &json!("Skipped")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_listing_gave_is_no_cursor() {
    let host = quiet_machine(|_| {}).await;
    text(&host, KNOWN, "Hello").await;
    let path = format!("/conversations/{}", conversation(&host, 0).await["id"].as_str().unwrap());
    for listing in ["/conversations", "/opt-outs", &path, "/messages"] {
        for cursor in ["IQ", "IA", "eHh4", "", "%00", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            let (status, problem) = get(&host, "viewer", &format!("{listing}?cursor={cursor}")).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{listing} {cursor}: {problem}");
        }
    }
    let backwards = "/opt-outs/export?from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z";
    assert_eq!(get(&host, "admin", backwards).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_to_something_else_is_no_wish_and_lies_in_the_inbox() {
    let host = quiet_machine(|_| {}).await;
    text(&host, STRANGER, "STOP OFFERS").await;
    assert_eq!(get(&host, "viewer", "/conversations").await.1["items"], json!([]), "obeyed: nobody has to see to it");
    events(&host);

    for yes in ["Yes!", "yes", "START"] {
        host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
        let answer = text(&host, &format!("whatsapp:{STRANGER}"), yes).await;
        assert_eq!(answer.contains("<Message"), yes == "START", "{yes}: {answer}");
        let categories = standing(&host, STRANGER).await["categories"].clone();
        assert_eq!(categories, if yes == "START" { json!([]) } else { json!(["marketing"]) }, "{yes}");
    }

    let names: Vec<String> = events(&host).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["message.received", "message.received", "message.received", "opt_in.recorded"]);
    assert_eq!(conversation(&host, 0).await["unread"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opt_out_is_confirmed_once() {
    let host = quiet_machine(|_| {}).await;
    let mut answers = 0;
    for stop in ["Stop!", "opt out", "please stop texting me", "Stop."] {
        answers += usize::from(text(&host, STRANGER, stop).await.contains("<Message"));
        host.clock.set(host.clock.now() + SignedDuration::from_mins(20));
    }
    assert_eq!(answers, 1);
    assert_eq!(standing(&host, STRANGER).await["history"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_that_says_stop_stops_whatever_it_is_called() {
    let host = quiet_machine(|_| {}).await;
    let pressed = InboundText {
        params: vec![("ButtonText".into(), "STOP".into()), ("ButtonPayload".into(), "btn_3".into())],
        ..InboundText::new(format!("whatsapp:{KNOWN}"), format!("whatsapp:{SENDER}"), "STOP")
    };

    bring(&host, &pressed).await;

    assert_eq!(standing(&host, KNOWN).await["optedOut"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_could_be_told_of_is_told_though_it_has_ended() {
    let host = quiet_machine(|_| {}).await;
    host.aws.refuse_events(true);
    let call = host.inbound_call(&tenant(), KNOWN, SENDER).await.unwrap();
    host.bring(&call, host.clock.now()).await;
    let ended = host.call_ended(&tenant(), &call, 14).unwrap();
    assert_eq!(host.bring(&ended, host.clock.now()).await, 204);

    host.aws.refuse_events(false);
    host.tick(host.clock.now()).await.unwrap();

    assert_eq!(events(&host).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["call.received"]);
}
