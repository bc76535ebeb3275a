//! Events without HTTP: what a school tells, what the queue says, what a schedule brings.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shared::schedule::{self, EventFailure};

use super::garbage::{Raw, damaged, raw, twists};
use super::{every, read, runtime};
use crate::machine::{post, quiet_machine};

const PERSON: &str = "Ann Lee";

/// Each event of a school's, in EventBridge's envelope.
fn school_events() -> Vec<Value> {
    let envelope: Value = serde_json::from_slice(&read("functions/receiveEvents/event.json")).unwrap();
    let created = json!({
        "tenant": "sample", "lesson": "L1", "subject": "Harp", "teacher": PERSON, "startsAt": "2026-03-12T09:00",
        "students": ["S01", "Strings"], "durationMinutes": 45, "timezone": "Europe/London",
    });
    let attended = json!({ "tenant": "sample", "lesson": "L1", "contact": "S01", "status": PERSON });
    let events = [
        ("lesson.created", created),
        ("lesson.moved", json!({ "tenant": "sample", "lesson": "L1", "startsAt": "2026-03-12 18:15" })),
        ("lesson.cancelled", json!({ "tenant": "sample", "lesson": "L1" })),
        ("attendance.recorded", attended),
        ("payment.settled", json!({ "tenant": "sample", "payment": "P1" })),
    ];
    let of_school = events.map(|(name, detail)| {
        let mut event = envelope.clone();
        event["detail-type"] = json!(name);
        event["detail"] = detail;
        event
    });
    of_school.to_vec()
}

/// Whoever sends it mends it: an event is no reason to try again, and what is said of it names nobody.
#[test]
fn an_event_of_a_school_is_followed_or_ignored() {
    const PLACES: &[&str] = &["", "/time", "/detail", "/detail-type", "/detail/tenant", "/detail/startsAt", "/detail/students"];
    let runtime = runtime();
    let host = runtime.block_on(quiet_machine(|_| {}));
    let payment = json!({ "id": "P1", "contactId": "S01", "amount": "12.50", "dueDate": "2026-03-13" });
    assert!(runtime.block_on(post(&host, "staff", "/payments", None, &payment)).0.is_success());
    let misplaced = (select(school_events()), select(PLACES)).prop_map(|(mut event, place)| {
        if let Some(there) = event.pointer_mut(place) {
            *there = json!(PERSON);
        }
        event
    });
    let twisted = (select(school_events()), twists()).prop_map(|(event, twists)| twists.done_to(&event));
    every(250, prop_oneof![4 => twisted, 1 => misplaced], |event| {
        let said = match runtime.block_on(host.receive(event, host.clock.now())) {
            Ok(answer) => {
                prop_assert!(answer["messages"].is_u64() || answer["ignored"].is_string(), "{answer}");
                answer.to_string()
            }
            Err(error) => {
                prop_assert!(matches!(error, EventFailure::NotOurs(_)), "{error:?}");
                error.to_string()
            }
        };
        prop_assert!(!said.contains(PERSON) && said.len() <= 500, "{said}");
        prop_assert_eq!(host.twilio.ledger().len() + host.twilio.calls().len(), 0);
        Ok(())
    });
}

/// A hint that cannot be read is dropped: the tick finds what it was about. A repetition would not make sense of it.
#[test]
fn a_message_of_the_queue_is_never_asked_for_again() {
    let hint = json!({ "tenant": "sample", "ids": ["msg_00000000000000000000000000000000"] });
    let whole = hint.to_string().into_bytes();
    let twisted = twists().prop_map(move |twists| Raw(twists.done_to(&hint).to_string().into_bytes()));
    let runtime = runtime();
    let host = runtime.block_on(quiet_machine(|_| {}));
    every(250, prop_oneof![2 => twisted, 2 => damaged(vec![whole]), 1 => raw()], |Raw(body)| {
        let body = String::from_utf8_lossy(&body);
        let event = json!({ "Records": [{ "messageId": "m-1", "body": body }] });
        let answer = runtime.block_on(schedule::dispatch_messages(&host.cx, event, host.clock.now()));
        let is_through = answer.as_ref().is_ok_and(|answer| *answer == json!({ "batchItemFailures": [] }));
        prop_assert!(is_through, "{answer:?}");
        Ok(())
    });
}

#[test]
fn what_is_no_event_of_a_schedule_is_refused() {
    let seeds = ["scheduleLessonReminders", "schedulePaymentReminders"];
    let seeds: [Value; 2] =
        seeds.map(|function| serde_json::from_slice(&read(format!("functions/{function}/event.json"))).unwrap());
    let twisted = (select(seeds.to_vec()), twists()).prop_map(|(event, twists)| twists.done_to(&event));
    let runtime = runtime();
    let host = runtime.block_on(quiet_machine(|_| {}));
    every(120, (twisted, 0u8..3), |(event, function)| {
        let answer = runtime.block_on(async {
            match function {
                0 => schedule::lesson_reminders(&host.cx, event).await,
                1 => schedule::payment_reminders(&host.cx, event).await,
                _ => schedule::dispatch_messages(&host.cx, event, host.clock.now()).await,
            }
        });
        prop_assert!(is_dealt_with(&answer), "{answer:?}");
        Ok(())
    });
}

fn is_dealt_with(answer: &Result<Value, EventFailure>) -> bool {
    match answer {
        Ok(answer) => *answer == json!({ "planned": 0 }) || *answer == json!({ "dispatched": 0 }),
        Err(error) => matches!(error, EventFailure::NotOurs(_)),
    }
}

/// They are instants that can be read: at both ends of what an instant may be, and where keys sort backwards.
#[test]
fn a_time_out_of_this_world_plans_nothing() {
    let runtime = runtime();
    let host = runtime.block_on(quiet_machine(|_| {}));
    for time in ["9999-12-30T21:59:59Z", "-009999-01-03T00:00:00Z", "-009998-12-31T12:00:00Z"] {
        let event = json!({ "time": time });
        let lessons = runtime.block_on(schedule::lesson_reminders(&host.cx, event.clone()));
        let payments = runtime.block_on(schedule::payment_reminders(&host.cx, event));
        assert!(is_dealt_with(&lessons) && is_dealt_with(&payments), "{time}: {lessons:?}, {payments:?}");
    }
}
