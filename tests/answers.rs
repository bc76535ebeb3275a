//! Replies that act: a reminder asks, and what is answered stands on it. And what we answer by ourselves, as far as Twilio
//! takes it.

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use local::gateway;
use local::host::Host;
use local::twilio::{Fault, InboundText, Rule, signed};
use serde_json::{Value, json};
use shared::domain::answer::Answer;
use shared::domain::channel::Channel;
use shared::domain::lesson::{Lesson, LessonStatus, Students};
use shared::domain::message::{Message, Reason, Status};
use shared::domain::money::Micros;
use shared::domain::reminder::Kind;
use shared::store::{lessons, meter};

use crate::machine::{credentials, get, messages_of, quiet_machine, settle, tenant};

/// The sample school's S01.
const KNOWN: &str = "+15550100201";
const SENDER: &str = "+15005550006";

/// A school that asks; S01 has these lessons tomorrow, and was reminded of each.
async fn reminded(subjects: &[&str]) -> Host {
    let host = quiet_machine(|settings| {
        settings.types.lesson_reminder.asks_for_answer = true;
        settings.answers.confirmed_text = Some("See you then!".into());
    })
    .await;
    remind(host, subjects, 1).await
}

/// S01 has these lessons tomorrow, and was reminded of each on so many channels.
async fn remind(host: Host, subjects: &[&str], channels: usize) -> Host {
    let now = host.clock.now();
    let settings = host.cx.settings(&tenant(), now).await.unwrap();
    let lesson = |(at, subject): (usize, &&str)| Lesson {
        id: format!("L{at}"),
        subject: subject.to_string(),
        teacher: "Ms. Rivera".into(),
        starts_at: now + SignedDuration::from_hours(24) + SignedDuration::from_mins(at as i64),
        time_zone: settings.time_zone.clone(),
        students: Students { contacts: vec!["S01".into()], groups: Vec::new() },
        course: None,
        duration_minutes: None,
        status: LessonStatus::Scheduled,
        version: 1,
        changed_at: Timestamp::UNIX_EPOCH,
    };
    let all: Vec<Lesson> = subjects.iter().enumerate().map(lesson).collect();
    lessons::put_many(host.cx.table().await.unwrap(), &tenant(), &all).await.unwrap();
    host.plan_lessons(now).await.unwrap();
    settle(&host, SignedDuration::from_mins(subjects.len() as i64 + 1)).await;
    assert_eq!(host.twilio.ledger().len(), subjects.len() * channels);
    host
}

async fn text(host: &Host, text: &InboundText) -> String {
    host.clock.set(host.clock.now() + SignedDuration::from_secs(30));
    let callback = host.inbound_text(&tenant(), text).await.unwrap();
    let (status, body) = host.bring_and_read(&callback, host.clock.now()).await;
    assert_eq!(status, 200);
    body
}

async fn says(host: &Host, body: &str) -> String {
    text(host, &InboundText::new(KNOWN, SENDER, body)).await
}

async fn reminder_of(host: &Host, lesson: &str) -> Message {
    let is_it = |message: &Message| message.kind == Kind::LessonReminder && message.subject == lesson && message.sid.is_some();
    messages_of(host).await.into_iter().find(is_it).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_stands_on_the_reminder_and_is_told() {
    let host = reminded(&["Piano"]).await;
    assert!(host.twilio.ledger()[0].body.ends_with("Reply C to confirm, R for another time."));

    let thanks = says(&host, " c. ").await;
    assert!(thanks.contains("See you then!"), "{thanks}");
    assert_eq!(reminder_of(&host, "L0").await.answer, Some(Answer::Confirmed));
    says(&host, "R").await;

    let reminder = reminder_of(&host, "L0").await;
    assert_eq!(reminder.answer, Some(Answer::AnotherTime), "who thinks again is heard");
    assert_eq!(reminder.status, Status::Delivered);
    let told: Vec<(String, Value)> = host
        .aws
        .take_events()
        .into_iter()
        .filter(|event| event.detail_type.starts_with("lesson."))
        .map(|event| (event.detail_type, event.detail["reminder"].clone()))
        .collect();
    let id = json!(reminder.id);
    assert_eq!(told, [("lesson.confirmed".to_string(), id.clone()), ("lesson.another_time".to_string(), id)]);
    let (_, view) = get(&host, "viewer", &format!("/messages/{}", reminder.id)).await;
    assert_eq!(view["answer"], "another_time");
    let (_, engagement) = get(&host, "viewer", "/analytics/engagement").await;
    assert_eq!(
        (
            &engagement["asked"],
            &engagement["answered"],
            &engagement["confirmed"],
            &engagement["anotherTime"],
            &engagement["received"]
        ),
        (&json!(1), &json!(1), &json!(0), &json!(1), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_reminders_the_latest_without_an_answer_is_meant_or_the_one_replied_to() {
    let host = reminded(&["Piano", "Violin", "Drums"]).await;
    let answers = async |host: &Host| {
        [reminder_of(host, "L0").await.answer, reminder_of(host, "L1").await.answer, reminder_of(host, "L2").await.answer]
    };

    says(&host, "C").await;
    assert_eq!(answers(&host).await, [None, None, Some(Answer::Confirmed)]);
    says(&host, "r").await;
    assert_eq!(answers(&host).await, [None, Some(Answer::AnotherTime), Some(Answer::Confirmed)]);
    let sid = reminder_of(&host, "L2").await.sid.unwrap();
    let swiped = InboundText { params: vec![("OriginalRepliedMessageSid".into(), sid)], ..InboundText::new(KNOWN, SENDER, "R") };
    text(&host, &swiped).await;
    assert_eq!(answers(&host).await, [None, Some(Answer::AnotherTime), Some(Answer::AnotherTime)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_about_the_lesson_on_whatever_channel_it_was_asked() {
    let host = quiet_machine(|settings| {
        settings.types.lesson_reminder.asks_for_answer = true;
        settings.types.lesson_reminder.channels = vec![Channel::Sms, Channel::Whatsapp];
    })
    .await;
    let host = remind(host, &["Piano"], 2).await;

    says(&host, "C").await;
    says(&host, "R").await;

    let answers: Vec<_> =
        messages_of(&host).await.into_iter().filter(|message| message.asks).map(|message| message.answer).collect();
    assert_eq!(answers, [Some(Answer::AnotherTime); 2]);
    let (_, engagement) = get(&host, "viewer", "/analytics/engagement").await;
    assert_eq!((&engagement["asked"], &engagement["anotherTime"]), (&json!(1), &json!(1)));
    let (_, log) = get(&host, "viewer", "/messages?answer=another_time").await;
    assert_eq!(log["items"].as_array().unwrap().len(), 3, "both reminders, and the text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pressed_button_is_an_answer() {
    let host = reminded(&["Piano"]).await;
    let pressed = InboundText {
        params: vec![("ButtonText".into(), "I will come".into()), ("ButtonPayload".into(), "CONFIRM".into())],
        ..InboundText::new(format!("whatsapp:{KNOWN}"), format!("whatsapp:{SENDER}"), "I will come")
    };

    text(&host, &pressed).await;

    assert_eq!(reminder_of(&host, "L0").await.answer, Some(Answer::Confirmed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_is_stop_and_yes_after_it_opts_in_whatever_was_asked() {
    let host = reminded(&["Piano"]).await;

    says(&host, "Stop").await;
    says(&host, "YES").await;
    assert_eq!(reminder_of(&host, "L0").await.answer, None, "YES lifted the opt-out, and answered nothing");
    assert_eq!(get(&host, "viewer", "/opt-outs").await.1["items"], json!([]));
    says(&host, "yes").await;
    assert_eq!(reminder_of(&host, "L0").await.answer, Some(Answer::Confirmed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ok_is_about_what_was_written_last() {
    let host = reminded(&["Piano"]).await;
    crate::machine::post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Please bring your own book." })).await;

    says(&host, "Ok").await;
    assert_eq!(reminder_of(&host, "L0").await.answer, None);
    assert_eq!(get(&host, "viewer", "/conversations").await.1["items"][0]["lastText"], "Ok");
    says(&host, "C").await;
    assert_eq!(reminder_of(&host, "L0").await.answer, Some(Answer::Confirmed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lesson_that_was_cancelled_or_moved_is_not_confirmed() {
    let host = reminded(&["Piano", "Violin"]).await;
    let table = host.cx.table().await.unwrap();
    let mut lessons = lessons::get_many(table, &tenant(), &["L0", "L1"]).await.unwrap();
    let cancelled = Lesson { status: LessonStatus::Cancelled, ..lessons.remove("L0").unwrap() };
    let moved = lessons.remove("L1").unwrap();
    let moved = Lesson { version: 2, starts_at: moved.starts_at + SignedDuration::from_hours(26), ..moved };
    lessons::put_many(table, &tenant(), &[cancelled, moved]).await.unwrap();

    assert_eq!(says(&host, "C").await, "<Response/>");

    assert_eq!([reminder_of(&host, "L0").await.answer, reminder_of(&host, "L1").await.answer], [None, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_once_the_lesson_has_begun_or_where_nobody_asked() {
    let host = reminded(&["Piano"]).await;
    host.clock.set(host.clock.now() + SignedDuration::from_hours(25));
    assert_eq!(says(&host, "C").await, "<Response/>");
    assert_eq!(reminder_of(&host, "L0").await.answer, None);

    let quiet = quiet_machine(|_| {}).await;
    assert_eq!(says(&quiet, "C").await, "<Response/>");
    let (_, log) = get(&quiet, "viewer", "/messages?direction=in").await;
    assert_eq!(log["items"][0]["body"], "C");
}

/// A school that answers a word by itself.
async fn answering() -> Host {
    quiet_machine(|settings| {
        settings.keyword_replies.insert("hours".into(), "We are open from 9 to 5.".into());
    })
    .await
}

/// As `says`, and Twilio never gets what the webhook answers.
async fn says_in_vain(host: &Host, body: &str) {
    host.clock.set(host.clock.now() + SignedDuration::from_secs(30));
    let callback = host.inbound(&tenant(), KNOWN, SENDER, body).await.unwrap();
    let path = callback.url.strip_prefix(&host.webhook_url).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    headers.insert("x-twilio-signature", callback.signature.parse().unwrap());
    let body = Bytes::from(callback.body());
    let event = gateway::event(&Method::POST, path, None, &headers, &body, None, host.clock.now());
    assert_eq!(host.functions.webhook(event).await.status(), 200);
}

/// The next night, in which Twilio is asked about what it told no end of.
async fn night(host: &Host) {
    settle(host, SignedDuration::from_mins(5)).await;
    host.clock.set(host.clock.now() + SignedDuration::from_hours(13));
    host.task("askAboutSilent", host.clock.now()).await.unwrap();
}

/// What we answered by ourselves, the earliest first.
async fn replies(host: &Host) -> Vec<Message> {
    messages_of(host).await.into_iter().filter(|message| message.inbound.is_none()).collect()
}

async fn spent(host: &Host) -> Micros {
    meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_twilio_never_took_fails_and_costs_nothing_unless_twilio_says_otherwise() {
    let host = answering().await;
    says_in_vain(&host, "Hours?").await;
    let paid = spent(&host).await;
    assert!(paid > Micros(0));
    let account = credentials(&host).await;
    let set_token = |token: &str| host.twilio.change_account(&account.sid, |account| account.auth_token = token.to_string());

    assert!(set_token("not the one that we have"));
    night(&host).await;
    let reply = replies(&host).await.remove(0);
    assert_eq!((reply.status, reply.cost), (Status::Accepted, Some(paid)), "no answer of Twilio's is no evidence");
    assert!(set_token(&account.auth_token));
    night(&host).await;
    night(&host).await;

    let reply = replies(&host).await.remove(0);
    assert_eq!((reply.status, reply.reason, reply.cost), (Status::Failed, Some(Reason::NotProcessed), None));
    let story: Vec<String> = reply.story().into_iter().map(|step| step.step).collect();
    assert_eq!(story, ["replied", "not_found"]);
    assert_eq!((host.twilio.ledger().len(), spent(&host).await), (0, Micros(0)));

    let url = format!("{}/twilio/{}/status?message={}", host.webhook_url, tenant(), reply.id);
    let sid = format!("SM{}", "7".repeat(32));
    let params = [("AccountSid", account.sid.as_str()), ("MessageSid", sid.as_str()), ("MessageStatus", "delivered")];
    let params = params.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(host.bring(&signed(&account, &url, params), host.clock.now()).await, 204);
    let reply = replies(&host).await.remove(0);
    assert_eq!((reply.status, reply.cost, spent(&host).await), (Status::Delivered, Some(paid), paid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_answers_with_one_text_as_many_are_found_as_twilio_took() {
    let host = answering().await;
    host.twilio.set_faults(vec![Rule { fault: Fault::LostCallbacks, to: None, times: None, every: None }]);
    let later = || host.clock.set(host.clock.now() + SignedDuration::from_mins(10));
    says(&host, "Hours?").await;
    later();
    says_in_vain(&host, "Hours?").await;
    later();
    says(&host, "Hours?").await;

    night(&host).await;

    let replies = replies(&host).await;
    let mut found: Vec<&str> = replies.iter().filter_map(|reply| reply.sid.as_deref()).collect();
    let ledger = host.twilio.ledger();
    let mut taken: Vec<&str> = ledger.iter().map(|entry| entry.sid.as_str()).collect();
    found.sort_unstable();
    taken.sort_unstable();
    assert_eq!((replies.len(), taken.len(), found), (3, 2, taken));
    for reply in &replies {
        let (end, is_paid) = if reply.sid.is_some() { (Status::Delivered, true) } else { (Status::Failed, false) };
        assert_eq!((reply.status, reply.cost.is_some()), (end, is_paid));
    }
    assert_eq!(spent(&host).await, Micros(replies.iter().filter_map(|reply| reply.cost).map(|cost| cost.0).sum()));
}
