//! No auth token, no text, no whole number in any log line; and none of them readable in the table (S0-73, S3-60).
//!
//! The search itself runs with every test, see `machine/capture.rs`: here is what shows that it finds something.

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::host::Host;
use local::simulate::school_event;
use local::twilio::{Fault, InboundMedia, InboundText, Rule};
use serde_json::{Value, json};

use crate::machine::capture::{self, Secrets, leaks};
use crate::machine::{credentials, get, messages_of, post, post_raw, quiet_machine, settle, tenant};

const SENDER: &str = "+15005550006";

#[test]
fn what_stands_in_a_line_is_found() {
    let mut secrets = Secrets::default();
    assert!(secrets.add("Dear Ana,\nyour lesson is \"off\" today.") && secrets.add_number("+12125550177"));
    assert!(!secrets.add("Dear Ana,"), "known already");
    assert!(!secrets.add("Hello") && !secrets.add("00000000000000"), "too little to be known again");
    let line = |field: &str| format!(r#"{{"timestamp":"2026-03-10T16:00:00.000000Z","level":"INFO","fields":{{{field}}}}}"#);
    let id = "msg_0123456789abcdef0123456789abcdef";

    for field in [
        r#""to":"+12125550188""#,
        r#""to":"whatsapp:+447700900117""#,
        r#""path":"/opt-outs/%2B12125550188""#,
        r#""to":"2125550177""#,
        r#""to":"(1)2125550177x""#,
        r#""said":"Dear Ana,\nyour lesson""#,
        r#""error":"0123456789abcdef0123456789abcdef""#,
        r#""error":"token=0123456789ABCDEF0123456789ABCDEF was refused""#,
    ] {
        assert!(leaks(&line(field), &secrets).is_some(), "{field}");
    }
    for field in [
        r#""dear":"Ana","due":"2026-03-10T16:00:00+05:30""#,
        &format!(r#""id":"{id}","to":"+1212•••0177","why":"30003""#),
        r#""sid":"SM0123456789abcdef0123456789abcdef","account":"AC0123456789abcdef0123456789abcdef""#,
        r#""list":"batch_0123456789abcdef0123456789abcdef""#,
        r#""digest":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef""#,
    ] {
        assert_eq!(leaks(&line(field), &secrets), None, "{field}");
    }
}

fn number(at: usize) -> String {
    format!("+1212555{:04}", 300 + at)
}

async fn bring(host: &Host, text: &InboundText) {
    capture::keep_secret(&[&text.from, &text.body]);
    let callback = host.inbound_text(&tenant(), text).await.unwrap();
    assert_eq!(host.bring(&callback, host.clock.now()).await, StatusCode::OK);
}

/// Everything that can go well or wrong, with what is secret in it.
async fn busy_run(host: &Host) -> Vec<String> {
    let account = credentials(host).await;
    let mut secrets = vec![account.auth_token.clone()];
    let faults = [
        Fault::AcceptThenDrop,
        Fault::DropBeforeAccept,
        Fault::TooManyRequests,
        Fault::ServerErrorAfterAccept,
        Fault::Unavailable,
        Fault::QueueFull,
        Fault::LostCallbacks,
        Fault::DuplicateCallbacks,
        Fault::Undelivered(30003),
        Fault::FailedLater(21610),
        Fault::Busy,
    ];
    let rules =
        faults.iter().enumerate().map(|(at, fault)| Rule { fault: *fault, to: Some(number(at)), times: Some(1), every: None });
    host.twilio.set_faults(rules.collect());
    for at in 0..faults.len() + 2 {
        let body = format!("Quicksilver {at} for nobody's eyes");
        let asked = json!({ "to": number(at), "body": body, "reference": format!("r{at}") });
        let (status, _) = post(host, "staff", "/messages", None, &asked).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let aloud = json!({ "to": number(at), "say": format!("Vermilion {at}") });
        let (status, _) = post(host, "staff", "/calls", None, &aloud).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        secrets.extend([number(at)[2..].to_string(), "Quicksilver".into(), "Vermilion".into()]);
    }
    // Twilio's own refusals: a number that is none, one that has opted out there.
    for (to, body) in [("+15005550001", "Cinnabar one"), ("+15005550004", "Cinnabar two"), ("S01", "Cinnabar three")] {
        post(host, "staff", "/messages", None, &json!({ "to": to, "body": body })).await;
        post(host, "staff", "/messages", None, &json!({ "contactId": "S02", "body": body, "sendAt": to })).await;
    }
    let list = json!({ "recipients": "+12125550391, 2125550392; nonsense", "body": "Cinnabar for many" });
    post(host, "staff", "/messages/bulk", None, &list).await;
    post_raw(host, "staff", "/messages", None, format!("{{\"to\": \"{}\", \"body\": ", number(1)).into()).await;
    post(host, "viewer", "/messages", None, &json!({ "to": number(1), "body": "Cinnabar four" })).await;
    post(host, "staff", "/opt-outs", None, &json!({ "number": number(2), "reason": "Cinnabar five" })).await;
    for path in ["/messages?contact=S01", &format!("/opt-outs/{}", number(2)), "/messages?from=nonsense", "/nothing"] {
        get(host, "viewer", path).await;
    }
    secrets.push("Cinnabar".into());

    host.aws.refuse_events(true);
    let media = vec![InboundMedia { url: "https://api.twilio.com/orpiment".into(), content_type: "image/jpeg".into() }];
    let params = vec![("ProfileName".to_string(), "Orpiment Jones".to_string())];
    bring(host, &InboundText { media, params, ..InboundText::new(number(3), SENDER, "Orpiment, please?") }).await;
    bring(host, &InboundText::new(number(4), SENDER, "Please stop texting me, Orpiment")).await;
    bring(host, &InboundText::new(number(5), SENDER, "STOP")).await;
    host.aws.refuse_events(false);
    secrets.extend(["rpiment".into(), "ProfileName".into()]);
    let call = host.inbound_call(&tenant(), &number(6), SENDER).await.unwrap();
    host.bring(&call, host.clock.now()).await;
    let url = format!("{}/twilio/{}/voice", host.webhook_url, tenant());
    let pressed = host.call_step(&call, &url, &[("Digits", "9")]).unwrap();
    host.bring(&pressed, host.clock.now()).await;

    // What nobody signed, and what is about nothing.
    let mut forged = host.inbound(&tenant(), &number(7), SENDER, "Orpiment forged").await.unwrap();
    forged.signature = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into();
    assert_eq!(host.bring(&forged, host.clock.now()).await, StatusCode::FORBIDDEN);
    let status = format!("{}/twilio/{}/status?message=msg_{}", host.webhook_url, tenant(), "0".repeat(32));
    let nothing = [("MessageSid", "SM00000000000000000000000000000009"), ("MessageStatus", "teleported"), ("To", SENDER)];
    let nothing = nothing.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    host.bring(&local::twilio::signed(&account, &status, nothing), host.clock.now()).await;
    settle(host, SignedDuration::from_mins(30)).await;
    secrets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_busy_run_is_readable_in_its_log_lines_or_in_the_table() {
    let host = quiet_machine(|settings| {
        settings.requests_per_minute = 1_000_000;
        settings.keyword_replies.insert("hours".into(), "From nine to five.".into());
    })
    .await;

    let secrets = busy_run(&host).await;

    let messages = messages_of(&host).await;
    assert!(messages.len() > 25, "{}", messages.len());
    let lines = capture::lines_of(&messages.iter().map(|message| message.id.to_string()).collect());
    assert!(lines.len() > messages.len(), "{} lines", lines.len());
    assert!(lines.iter().any(|line| line.contains("•••")), "numbers are shown, but masked");
    let found = |text: &str| secrets.iter().find(|secret| text.contains(secret.as_str())).cloned();
    for line in &lines {
        assert_eq!((found(line), leaks(line, &Secrets::default())), (None, None), "{line}");
    }
    let names = ["Ana Ruiz", "families.example", "5550100201", "5550100203"];
    for item in host.aws.items() {
        let text = without_sealed(&item).to_string();
        let name = names.iter().find(|name| text.contains(*name));
        assert_eq!((found(&text), name), (None, None), "{text}");
    }
}

/// An error of a parser's quotes what it stumbled over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_quoted_in_no_line() {
    const NAME: &str = "Annabel Quillfeather";
    capture::keep_secret(&[NAME]);
    let host = quiet_machine(|_| {}).await;
    let lesson = |students: Value| {
        let mut lesson = json!({ "lesson": "L1", "subject": "Violin", "teacher": "Ada", "startsAt": "2026-03-12 16:00" });
        lesson["students"] = students;
        lesson
    };
    let events = [("lesson.created", lesson(json!(NAME))), ("lesson.created", lesson(json!([NAME]))), (NAME, lesson(json!([])))];

    for (name, detail) in events {
        let event = school_event(&tenant(), name, &detail, host.clock.now());
        let answer = host.receive(event, host.clock.now()).await.unwrap();
        assert!(!answer.to_string().contains(NAME), "{answer}");
    }
    // As `lambda_runtime` logs it.
    let failure = host.task(NAME, host.clock.now()).await.unwrap_err();
    assert!(!format!("{failure:?}").contains(NAME), "{failure:?}");
}

/// An item without its sealed fields: nobody reads in those, but by chance base64 may spell anything.
fn without_sealed(item: &Value) -> Value {
    let mut item = item.clone();
    if let Value::Object(fields) = &mut item {
        fields.retain(|_, value| value.get("B").is_none());
    }
    item
}
