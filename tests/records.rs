//! `/lessons` and `/payments`: saved, moved, cancelled, settled; planned anew at once, and the students told.

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::aws::{Shares, Trouble};
use local::host::Host;
use serde_json::{Value, json};
use shared::context::Context;
use shared::domain::message::{Message, Reason, Status};
use shared::domain::reminder::{Kind, Offset};
use shared::http_client;

use crate::machine::{get, messages_of, post, put, quiet_machine, settle};

/// The clock of these machines stands at noon in New York, on Tuesday, 10 March 2026.
fn lesson(id: &str, starts_at: &str, students: Value) -> Value {
    json!({ "id": id, "subject": "Piano", "teacher": "Ms. Rivera", "startsAt": starts_at, "students": students })
}

/// What is planned of a lesson or payment: offset, instant and contact of each reminder.
fn planned(view: &Value) -> Vec<(&str, &str, &str)> {
    let planned = view["planned"].as_array().unwrap_or_else(|| panic!("{view}"));
    planned.iter().map(|one| (text(one, "offset"), text(one, "dueAt"), text(one, "contact"))).collect()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}

fn errors(problem: &Value) -> Vec<(Option<u64>, &str, &str)> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|at| (at["row"].as_u64(), at["field"].as_str().unwrap(), at["code"].as_str().unwrap())).collect()
}

async fn texts(host: &Host) -> Vec<String> {
    host.drain_queue(host.clock.now()).await.unwrap();
    host.twilio.ledger().into_iter().map(|entry| entry.body).collect()
}

/// S0-05, S0-46, S0-49, S0-64.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lesson_is_planned_when_it_is_saved_and_moving_it_tells_its_students() {
    let host = quiet_machine(|_| {}).await;
    let (status, saved) = post(&host, "staff", "/lessons", None, &lesson("L1", "2026-03-11T15:00", json!(["S01"]))).await;
    assert_eq!((status, &saved["lessons"][0]["startsAt"]), (StatusCode::OK, &json!("2026-03-11T19:00:00Z")), "{saved}");
    let (_, before) = get(&host, "viewer", "/lessons/L1").await;
    assert_eq!(planned(&before), [("24h", "2026-03-10T19:00:00Z", "S01"), ("1h", "2026-03-11T18:00:00Z", "S01")]);

    let to = json!({ "startsAt": "2026-03-12 09:30" });
    let (status, moved) = post(&host, "staff", "/lessons/L1/move", None, &to).await;
    let (_, again) = post(&host, "staff", "/lessons/L1/move", None, &to).await;

    assert_eq!((status, &moved["lesson"]["version"]), (StatusCode::ACCEPTED, &json!(2)), "{moved}");
    assert_eq!(planned(&moved["lesson"]), [("24h", "2026-03-11T13:30:00Z", "S01"), ("1h", "2026-03-12T12:30:00Z", "S01")]);
    assert_eq!((moved["messages"].as_array().unwrap().len(), again["messages"].as_array().unwrap().len()), (1, 0));
    let texts = texts(&host).await;
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("Wed, Mar 11 at 3:00 PM") && texts[0].contains("Thu, Mar 12 at 9:30 AM"), "{texts:?}");
    let all = messages_of(&host).await;
    let taken_back: Vec<_> = all.iter().filter(|message| message.status == Status::Canceled).collect();
    assert_eq!(taken_back.len(), 2);
    assert!(taken_back.iter().all(|message| message.reason == Some(Reason::Moved)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lesson_is_not_moved_into_the_past_nor_while_it_is_cancelled() {
    let host = quiet_machine(|_| {}).await;
    for (id, start) in [("L1", "2026-03-11T15:00"), ("begun", "2026-03-10T11:30")] {
        post(&host, "staff", "/lessons", None, &lesson(id, start, json!(["S01"]))).await;
    }
    let to = |start: &str| json!({ "startsAt": start });

    let (status, problem) = post(&host, "staff", "/lessons/L1/move", None, &to("2026-03-10T11:00")).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![(None, "startsAt", "past")]));
    let (status, set_right) = post(&host, "staff", "/lessons/begun/move", None, &to("2026-03-10T11:00")).await;
    assert_eq!((status, &set_right["lesson"]["version"]), (StatusCode::ACCEPTED, &json!(2)), "{set_right}");
    post(&host, "staff", "/lessons/L1/cancel", None, &json!({})).await;
    let (status, problem) = post(&host, "staff", "/lessons/L1/move", None, &to("2026-03-12T15:00")).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("cancelled")));
    let (_, still) = get(&host, "viewer", "/lessons/L1").await;
    assert_eq!((&still["startsAt"], &still["status"]), (&json!("2026-03-11T19:00:00Z"), &json!("cancelled")));
}

/// Two of the staff at once: each change is made on what the other has made, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_a_lesson_at_once_do_not_undo_each_other() {
    let host = quiet_machine(|_| {}).await;
    for id in ["L1", "L2"] {
        post(&host, "staff", "/lessons", None, &lesson(id, "2026-03-11T15:00", json!(["S01"]))).await;
    }
    let (nine, ten) = (json!({ "startsAt": "2026-03-12T09:00" }), json!({ "startsAt": "2026-03-12T10:00" }));

    let (first, second) =
        tokio::join!(post(&host, "staff", "/lessons/L1/move", None, &nine), post(&host, "staff", "/lessons/L1/move", None, &ten));

    assert_eq!((first.0, second.0), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{first:?} {second:?}");
    let (_, moved) = get(&host, "viewer", "/lessons/L1").await;
    assert_eq!(moved["version"], 3, "one after the other: {moved}");
    let last = if moved["startsAt"] == "2026-03-12T13:00:00Z" { "9:00 AM" } else { "10:00 AM" };
    let told = texts(&host).await;
    assert_eq!(told.len(), 2, "each is told once: {told:?}");
    let news = format!("rescheduled to Thu, Mar 12 at {last}");
    assert_eq!(told.iter().filter(|text| text.contains(&news)).count(), 1, "{told:?}");

    let mut other = lesson("L2", "2026-03-11T15:00", json!(["S01"]));
    other["teacher"] = json!("Mr. Ono");
    let nothing = json!({});
    let (saved, cancelled) =
        tokio::join!(put(&host, "staff", "/lessons/L2", &other), post(&host, "staff", "/lessons/L2/cancel", None, &nothing));
    assert_eq!((saved.0, cancelled.0), (StatusCode::OK, StatusCode::ACCEPTED));
    let (_, both) = get(&host, "viewer", "/lessons/L2").await;
    assert_eq!((&both["teacher"], &both["status"]), (&json!("Mr. Ono"), &json!("cancelled")), "{both}");
    assert!(planned(&both).is_empty(), "{both}");
}

/// Whoever was taken off a lesson by mistake is reminded once put back; so is whoever owes a payment again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_put_back_is_reminded_as_before() {
    let host = quiet_machine(|_| {}).await;
    let taught = async |students: Value| {
        let (status, answer) = post(&host, "staff", "/lessons", None, &lesson("L1", "2026-03-11T15:00", students)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let (_, view) = get(&host, "viewer", "/lessons/L1").await;
        planned(&view).len()
    };
    let owed = async |contact: &str| {
        let body = json!({ "id": "P1", "contactId": contact, "amount": "49.00", "dueDate": "2026-03-12" });
        let (status, answer) = post(&host, "staff", "/payments", None, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let all = messages_of(&host).await;
        let planned = all.iter().filter(|message| message.kind == Kind::PaymentReminder && message.is_waiting());
        planned.map(|message| message.contact.clone().unwrap()).collect::<Vec<_>>()
    };

    assert_eq!((taught(json!(["S01"])).await, taught(json!([])).await, taught(json!(["S01"])).await), (2, 0, 2));
    assert_eq!(
        (owed("S01").await, owed("S02").await, owed("S01").await),
        (vec!["S01".into()], vec!["S02".into()], vec!["S01".into()])
    );
}

/// The same machine, on which requests to AWS take seconds of the runtime's time.
fn slow(host: &Host) -> Host {
    let trouble = Trouble::new(1);
    trouble.set(Shares { slow: 1000, ..Shares::default() });
    let transport = host.aws.troubled(trouble).http_client();
    let cx = Context::with_transport(host.cx.config.clone(), http_client::new(), transport);
    host.clone().restarted(cx)
}

/// What tells students that a lesson has changed.
async fn news(host: &Host) -> Vec<Message> {
    messages_of(host).await.into_iter().filter(|message| message.kind == Kind::ScheduleChange).collect()
}

/// Saves `lesson` two seconds later, in the moment in which somebody is to be told of a change.
async fn save_once_told(host: &Host, lesson: &Value) -> StatusCode {
    for _ in 0..6000 {
        if !news(host).await.is_empty() {
            host.clock.set(host.clock.now() + SignedDuration::from_secs(2));
            return put(host, "staff", "/lessons/L1", lesson).await.0;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("nobody is to be told");
}

/// The lesson is saved, with the same start, between telling its students and writing the change: that is dropped.
#[tokio::test]
async fn of_a_change_that_is_dropped_nobody_is_told_until_it_is_asked_for_again() {
    let to = json!({ "startsAt": "2026-03-12T09:00" });
    for (path, asked, says) in [
        ("/lessons/L1/cancel", json!({}), "has been cancelled"),
        ("/lessons/L1/move", to, "rescheduled to Thu, Mar 12 at 9:00 AM"),
    ] {
        let host = quiet_machine(|_| {}).await;
        let mut taught = lesson("L1", "2026-03-11T15:00", json!(["S01"]));
        post(&host, "staff", "/lessons", None, &taught).await;
        taught["teacher"] = json!("Mr. Ono");

        let slow = slow(&host);
        tokio::time::pause();
        let (dropped, saved) = tokio::join!(post(&slow, "staff", path, None, &asked), save_once_told(&host, &taught));
        tokio::time::resume();

        assert_eq!((dropped.0, dropped.1["code"].as_str(), saved), (StatusCode::CONFLICT, Some("changed"), StatusCode::OK));
        host.tick(host.clock.now()).await.unwrap();
        assert!(host.twilio.ledger().is_empty(), "{path}");
        let taken_back: Vec<_> = news(&host).await.into_iter().map(|message| (message.status, message.reason)).collect();
        assert_eq!(taken_back, [(Status::Canceled, Some(Reason::Moved))], "{path}");
        let (_, stands) = get(&host, "viewer", "/lessons/L1").await;
        assert_eq!((&stands["teacher"], &stands["status"]), (&json!("Mr. Ono"), &json!("scheduled")), "{stands}");
        assert_eq!((&stands["startsAt"], planned(&stands).len()), (&json!("2026-03-11T19:00:00Z"), 2), "{stands}");

        for told in [1, 0] {
            let (status, answer) = post(&host, "staff", path, None, &asked).await;
            assert_eq!((status, answer["messages"].as_array().map(Vec::len)), (StatusCode::ACCEPTED, Some(told)), "{answer}");
        }
        let texts = texts(&host).await;
        assert!(matches!(texts.as_slice(), [text] if text.contains(says)), "{path}: {texts:?}");
    }
}

/// S0-12, S0-46, S0-47, S3-07: the tenant's own offsets, and a reminder that goes at its instant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_are_planned_by_the_tenants_offsets_and_go_when_they_are_due() {
    let host = quiet_machine(|settings| {
        settings.types.lesson_reminder.offsets = Some(vec![Offset::Days(1), Offset::Minutes(90)]);
        settings.types.payment_reminder.offsets = Some(vec![Offset::Days(2)]);
    })
    .await;
    let owed = json!({ "id": "P1", "contactId": "S01", "amount": "5", "dueDate": "2026-03-13", "course": "Piano" });
    post(&host, "staff", "/lessons", None, &lesson("L1", "2026-03-11T15:00", json!(["S01"]))).await;
    post(&host, "staff", "/payments", None, &owed).await;

    let (_, taught) = get(&host, "viewer", "/lessons/L1").await;
    let (_, payment) = get(&host, "viewer", "/payments/P1").await;
    settle(&host, SignedDuration::from_hours(24)).await;

    assert_eq!(planned(&taught), [("1d", "2026-03-10T19:00:00Z", "S01"), ("90m", "2026-03-11T17:30:00Z", "S01")]);
    assert_eq!(planned(&payment), [("2d", "2026-03-11T14:00:00Z", "S01")]);
    let sent: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.created.to_string()).collect();
    assert_eq!(sent, ["2026-03-10T19:00:00Z", "2026-03-11T14:00:00Z"]);
    let (_, later) = get(&host, "viewer", "/lessons/L1").await;
    assert_eq!(planned(&later), [("90m", "2026-03-11T17:30:00Z", "S01")]);
}

/// S0-05, S0-64.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_lesson_tells_its_group_and_stays_cancelled_until_somebody_says_otherwise() {
    let host = quiet_machine(|_| {}).await;
    post(&host, "staff", "/lessons", None, &lesson("L1", "2026-03-11T15:00", json!({ "groups": ["Strings"] }))).await;
    let (_, before) = get(&host, "viewer", "/lessons/L1").await;
    assert_eq!(planned(&before).len(), 8, "two reminders of four students");

    let (status, cancelled) = post(&host, "staff", "/lessons/L1/cancel", None, &json!({})).await;
    let (_, again) = post(&host, "staff", "/lessons/L1/cancel", None, &json!({})).await;

    assert_eq!((status, &cancelled["lesson"]["status"]), (StatusCode::ACCEPTED, &json!("cancelled")));
    assert_eq!((cancelled["messages"].as_array().unwrap().len(), again["messages"].as_array().unwrap().len()), (4, 0));
    assert!(planned(&cancelled["lesson"]).is_empty());
    let bodies = texts(&host).await;
    assert!(!bodies.is_empty() && bodies.iter().all(|body| body.contains("has been cancelled")), "{bodies:?}");

    let (_, renamed) = put(&host, "staff", "/lessons/L1", &lesson("L1", "2026-03-11T15:00", json!(["S01"]))).await;
    assert_eq!((&renamed["status"], planned(&renamed).len()), (&json!("cancelled"), 0));
    let mut back = lesson("L1", "2026-03-11T15:00", json!(["S01"]));
    back["status"] = json!("scheduled");
    let (_, back) = put(&host, "staff", "/lessons/L1", &back).await;
    assert_eq!((&back["version"], planned(&back).len()), (&json!(2), 2));
    assert_eq!(texts(&host).await.len(), bodies.len(), "saving tells nobody");
}

/// S0-04, S0-48, S0-64.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attendance_is_told_at_once_and_once() {
    let host = quiet_machine(|_| {}).await;
    post(&host, "staff", "/lessons", None, &lesson("L1", "2026-03-10T11:00", json!(["S01"]))).await;
    let record = |contact: &str, status: &str| json!({ "contactId": contact, "status": status });
    let path = "/lessons/L1/attendance";

    let (status, first) = post(&host, "staff", path, Some("k"), &record("S01", "Present")).await;
    let (_, again) = post(&host, "staff", path, Some("k"), &record("S01", "Present")).await;
    let (taken, problem) = post(&host, "staff", path, Some("k"), &record("S01", "Absent")).await;
    let (_, corrected) = post(&host, "staff", path, Some("l"), &record("S01", "Late")).await;
    let (unknown, nobody) = post(&host, "staff", path, None, &record("S99", " ")).await;
    let (missing, _) = post(&host, "staff", "/lessons/L9/attendance", None, &record("S01", "Present")).await;

    assert_eq!((status, &first["messages"]), (StatusCode::ACCEPTED, &again["messages"]));
    assert_eq!((taken, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")));
    assert_ne!(first["messages"], corrected["messages"]);
    assert_eq!(unknown, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(errors(&nobody), [(None, "contactId", "unknown_contact"), (None, "status", "required")]);
    assert_eq!(missing, StatusCode::NOT_FOUND);
    let at = json!({ "contactId": "S01", "status": "Present", "recordedAt": "2026-03-10T15:59:00Z" });
    for _ in 0..2 {
        assert_eq!(post(&host, "staff", path, None, &at).await.0, StatusCode::ACCEPTED);
    }
    let texts = texts(&host).await;
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().any(|text| text.contains("Late")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_the_wall_clock_of_the_lessons_zone_whatever_the_clocks_do() {
    let host = quiet_machine(|_| {}).await;
    let starts = [
        // Skipped by the change of the clocks, doubled by it, and on either side of London's.
        ("2026-03-08T02:30", None, "2026-03-08T07:30:00Z", "2026-03-08T03:30:00"),
        ("2026-11-01T01:30", None, "2026-11-01T05:30:00Z", "2026-11-01T01:30:00"),
        ("2026-03-28T15:00", Some("Europe/London"), "2026-03-28T15:00:00Z", "2026-03-28T15:00:00"),
        ("2026-03-29T15:00", Some("Europe/London"), "2026-03-29T14:00:00Z", "2026-03-29T15:00:00"),
        ("2026-03-11T15:00:00-04:00", None, "2026-03-11T19:00:00Z", "2026-03-11T15:00:00"),
    ];
    let lessons: Vec<Value> = starts
        .iter()
        .enumerate()
        .map(|(at, (start, zone, ..))| {
            let mut lesson = lesson(&format!("D{at}"), start, json!([]));
            lesson["timeZone"] = json!(zone);
            lesson
        })
        .collect();

    let (status, saved) = post(&host, "staff", "/lessons", None, &json!({ "lessons": lessons })).await;
    let (_, moved) = post(&host, "staff", "/lessons/D2/move", None, &json!({ "startsAt": "2026-03-30T15:00" })).await;

    assert_eq!(status, StatusCode::OK, "{saved}");
    for (at, (start, _, instant, local)) in starts.iter().enumerate() {
        let lesson = &saved["lessons"][at];
        assert_eq!((lesson["startsAt"].as_str(), lesson["startsAtLocal"].as_str()), (Some(*instant), Some(*local)), "{start}");
    }
    assert_eq!(moved["lesson"]["startsAt"], "2026-03-30T14:00:00Z");
    // Its zone stays when nobody names one.
    let (_, kept) = put(&host, "staff", "/lessons/D3", &lesson("D3", "2026-03-29T16:00", json!([]))).await;
    assert_eq!((kept["timeZone"].as_str(), kept["startsAt"].as_str()), (Some("Europe/London"), Some("2026-03-29T15:00:00Z")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_right_is_named_row_by_row_and_nothing_is_saved() {
    let host = quiet_machine(|_| {}).await;
    let good = lesson("A", "2026-03-11T15:00", json!(["S01", "Strings"]));
    let mut bad = lesson("B", "next Tuesday", json!(["S01", "nobody"]));
    for (field, value) in
        [("subject", json!(" ")), ("timeZone", json!("Mars/Base")), ("status", json!("maybe")), ("durationMinutes", json!(0))]
    {
        bad[field] = value;
    }
    let apart = lesson("C", "2026-03-11T15:00", json!({ "contacts": ["Strings"], "groups": ["S01"] }));
    let lessons = json!({ "lessons": [good, bad, good, { "id": "D" }, "E", apart] });
    let owed = |id: &str| json!({ "id": id, "contactId": "S01", "amount": "150.00", "dueDate": "2026-03-13" });
    let wrong = json!({ "contactId": "S99", "amount": "12O.00", "currency": "dollars", "dueDate": "3/9/2026", "status": "owed" });

    let (status, problem) = post(&host, "staff", "/lessons", None, &lessons).await;
    let (refused, payments) = post(&host, "staff", "/payments", None, &json!({ "payments": [owed("P1"), wrong] })).await;

    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        errors(&problem),
        [
            (Some(1), "subject", "required"),
            (Some(1), "timeZone", "invalid"),
            (Some(1), "startsAt", "invalid"),
            (Some(1), "students", "unknown_student"),
            (Some(1), "durationMinutes", "invalid"),
            (Some(1), "status", "invalid"),
            (Some(2), "id", "duplicate"),
            (Some(3), "subject", "required"),
            (Some(4), "", "invalid"),
            (Some(5), "students", "unknown_student"),
            (Some(5), "students", "unknown_student"),
        ]
    );
    assert!(problem.to_string().contains("no contact or group 'nobody'"), "{problem}");
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        errors(&payments),
        [
            (Some(1), "contactId", "unknown_contact"),
            (Some(1), "amount", "invalid"),
            (Some(1), "currency", "invalid"),
            (Some(1), "dueDate", "invalid"),
            (Some(1), "status", "invalid"),
            (Some(1), "id", "required"),
        ]
    );
    for path in ["/lessons/A", "/payments/P1"] {
        assert_eq!(get(&host, "viewer", path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let many: Vec<Value> = (0..501).map(|at| lesson(&at.to_string(), "2026-03-11T15:00", json!([]))).collect();
    for (body, expected) in [
        (json!({ "lessons": many }), StatusCode::PAYLOAD_TOO_LARGE),
        (json!({ "lessons": [] }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "lesson": good }), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(post(&host, "staff", "/lessons", None, &body).await.0, expected);
    }
    assert_eq!(post(&host, "viewer", "/lessons", None, &good).await.0, StatusCode::FORBIDDEN);
    let (status, problem) = put(&host, "staff", "/lessons/Z", &good).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![(None, "id", "invalid")]));
    let (status, problem) = post(&host, "staff", "/lessons/A/move", None, &json!({ "startsAt": "soon" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
}

/// S0-03, S0-47.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_planned_until_it_is_settled_or_given_up() {
    let host = quiet_machine(|_| {}).await;
    let owed = |id: &str, due: &str| json!({ "id": id, "contactId": "S01", "amount": "1,250.50", "dueDate": due });
    let two = json!({ "payments": [owed("P1", "2026-03-13"), owed("P2", "2026-03-14")] });

    let (status, saved) = post(&host, "staff", "/payments", None, &two).await;

    assert_eq!((status, &saved["payments"][0]["amount"]), (StatusCode::OK, &json!("1250.50")), "{saved}");
    assert_eq!((&saved["payments"][1]["id"], &saved["payments"][1]["currency"]), (&json!("P2"), &json!("USD")));
    let (_, first) = get(&host, "viewer", "/payments/P1").await;
    let (_, second) = get(&host, "viewer", "/payments/P2").await;
    assert_eq!(planned(&first), [("1d", "2026-03-12T14:00:00Z", "S01")]);
    assert_eq!(planned(&second), [("3d", "2026-03-11T14:00:00Z", "S01")]);

    let (status, paid) = post(&host, "staff", "/payments/P1/settle", None, &json!({})).await;
    assert_eq!((status, &paid["status"], planned(&paid).len()), (StatusCode::OK, &json!("paid"), 0));
    assert_eq!(post(&host, "staff", "/payments/P1/settle", None, &json!({})).await, (status, paid));
    let (status, problem) = post(&host, "staff", "/payments/P1/void", None, &json!({})).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("closed")));
    let (_, void) = post(&host, "staff", "/payments/P2/void", None, &json!({})).await;
    assert_eq!((&void["status"], planned(&void).len()), (&json!("void"), 0));

    let (_, still) = put(&host, "staff", "/payments/P1", &owed("P1", "2026-03-13")).await;
    assert_eq!((&still["status"], planned(&still).len()), (&json!("paid"), 0));
    let mut again = owed("P1", "2026-03-13");
    again["status"] = json!("due");
    let (_, again) = put(&host, "staff", "/payments/P1", &again).await;
    assert_eq!((&again["version"], planned(&again).len()), (&json!(2), 1));
    assert_eq!(post(&host, "viewer", "/payments/P1/settle", None, &json!({})).await.0, StatusCode::FORBIDDEN);
}

/// All items of a listing, two a page.
async fn listed(host: &Host, path: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = get(host, "viewer", &format!("{path}limit=2{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_string()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_go_by_time_page_by_page_whatever_the_ids_hold() {
    let host = quiet_machine(|_| {}).await;
    let noon = "2026-03-11T12:00";
    let (last, over) = ("2026-04-09T12:00", "2026-04-20T12:00");
    let starts = [("a b", noon), ("a", noon), ("Ü/1#x", noon), ("b", last), ("past", "2026-03-10T11:00"), ("later", over)];
    let lessons: Vec<Value> = starts.iter().map(|(id, start)| lesson(id, start, json!([]))).collect();
    post(&host, "staff", "/lessons", None, &json!({ "lessons": lessons })).await;
    let owed = |id: &str, due: &str| json!({ "id": id, "contactId": "S01", "amount": "5", "dueDate": due });
    let payments = [owed("é", "2026-03-10"), owed("p", "2026-03-10"), owed("q", "2026-03-31"), owed("old", "2026-03-09")];
    post(&host, "staff", "/payments", None, &json!({ "payments": payments })).await;

    assert_eq!(listed(&host, "/lessons?").await, ["a", "a b", "Ü/1#x", "b"]);
    let span = "/lessons?from=2026-03-10T00:00:00Z&to=2026-03-12T00:00:00Z&";
    assert_eq!(listed(&host, span).await, ["past", "a", "a b", "Ü/1#x"]);
    assert_eq!(listed(&host, "/payments?").await, ["p", "é", "q"]);
    assert_eq!(listed(&host, "/payments?from=2026-03-01&to=2026-03-10&").await, ["old", "p", "é"]);
    for path in ["/lessons/%C3%9C%252F1%23x", "/lessons/%C3%9C%2F1%23x"] {
        let (status, lesson) = get(&host, "viewer", path).await;
        assert_eq!((status, lesson["id"].as_str()), (StatusCode::OK, Some("Ü/1#x")), "{path}");
    }
    for path in [
        "/lessons?cursor=x",
        "/lessons?from=2026-03-12T00:00:00Z&to=2026-03-11T00:00:00Z",
        "/lessons?limit=0",
        "/payments?from=3/9/2026",
        "/payments?from=2026-03-12&to=2026-03-11",
    ] {
        assert_eq!(get(&host, "viewer", path).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
}
