//! The judge itself: it finds nothing where all is right, and what is wrong by its name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use local::twilio::{self, Attempt, Entry};
use serde_json::json;
use shared::domain::channel::Channel;
use shared::domain::contact::Category;
use shared::domain::message::{self, Direct, Facts, Message, MessageId, Reason, Status, Step};
use shared::domain::money::Micros;
use shared::domain::phone::PhoneNumber;
use shared::domain::reminder::{Kind, Offset};
use shared::domain::tenant::TenantId;

use super::{judge, times};
use crate::chaos::evidence::{Evidence, Heard, Stored};
use crate::chaos::plan::{Happening, Person, Plan, SMS, Says, School, What};

const PHONE: &str = "+12125550001";
const REMINDER: usize = 0;
const SINGLE: usize = 1;
const NONE: [&str; 0] = [];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn tenant() -> TenantId {
    TenantId::parse("t0").unwrap()
}

fn school() -> School {
    let ada = Person { id: "p00".into(), name: "Ada0".into(), phone: PHONE.into(), whatsapp: false, zone: None };
    School {
        id: "t0".into(),
        zone: "America/New_York",
        region: "US",
        sender: "+15005551000".into(),
        limit: Some(2 * SMS),
        cap: Some(1),
        offsets: vec![1],
        people: vec![ada],
    }
}

/// A message that waits.
fn asked(key: &str, asked_at: Timestamp, body: &str) -> Message {
    let id = MessageId::derive(&tenant(), &["asked", key]);
    Message {
        contact: Some("p00".into()),
        direct: Some(Box::new(Direct::of(Category::General))),
        body: Some(body.into()),
        ..Message::waiting(id, Kind::Message, Facts::Direct, asked_at, Step::new(asked_at, "asked"))
    }
}

fn planned(kind: Kind, offset: Option<Offset>, facts: Facts, due: Timestamp, now: Timestamp) -> Message {
    let plan = message::Plan { kind, subject: "T0L0", version: 1, contact: "p00", offset, facts };
    Message::planned(&tenant(), plan, due, now)
}

/// The same, delivered.
fn delivered(message: Message, claimed: Timestamp, body: &str, sid: &str) -> Message {
    let mut timeline = message.timeline.clone();
    timeline.push(Step::with(claimed, "claimed", "attempt 1"));
    timeline.push(Step::with(claimed, "accepted", format!("queued {sid}")));
    let report = |word: &str| (format!("{word} {sid}"), Step::new(claimed, "callback"));
    Message {
        channel: Some(Channel::Sms),
        status: Status::Delivered,
        attempt: 1,
        decided_at: Some(claimed),
        to: PhoneNumber::from_e164(PHONE),
        body: Some(body.into()),
        segments: Some(1),
        cost: Some(Micros(SMS)),
        month: Some("2026-05".into()),
        sid: Some(sid.into()),
        timeline,
        reports: ["sent", "delivered"].map(report).into_iter().collect(),
        ..message
    }
}

/// What Twilio has of a message that was delivered.
fn entry(message: &Message) -> Entry {
    let created = message.decided_at.unwrap();
    Entry {
        sid: message.sid.clone().unwrap(),
        account_sid: "AC0".into(),
        to: PHONE.into(),
        from: "+15005551000".into(),
        messaging_service_sid: None,
        body: message.body.clone().unwrap(),
        num_media: 0,
        media_urls: Vec::new(),
        media_types: Vec::new(),
        content_sid: None,
        content_variables: None,
        num_segments: 1,
        status: twilio::Status::Delivered,
        status_callback: Some(format!("https://carillon.example/twilio/t0/status?message={}#rc=3&rp=5xx,ct,rt", message.id)),
        created,
        date_sent: Some(created),
        date_updated: created,
        error_code: None,
        deleted: false,
        in_reply_to: None,
    }
}

fn attempts(entry: &Entry) -> [Attempt; 2] {
    let url = entry.status_callback.as_deref().and_then(|url| url.split('#').next()).unwrap();
    ["sent", "delivered"].map(|status| Attempt {
        message_sid: entry.sid.clone(),
        status,
        url: url.to_string(),
        answer: Some(204),
        at: entry.created,
    })
}

/// A lesson with a reminder an hour before, and a message that somebody wrote; both delivered.
fn evidence() -> Evidence {
    let (start, asked_at, due) = (at("2026-05-12T14:00:00Z"), at("2026-05-12T15:00:00Z"), at("2026-05-12T19:00:00Z"));
    let lesson = What::Lesson { school: 0, number: 0, starts: at("2026-05-12T20:00:00Z"), students: vec![0] };
    let single = What::Single { school: 0, number: 0, person: 0, category: "general", send_at: None };
    let reminder = planned(Kind::LessonReminder, Some(Offset::Hours(1)), Facts::Reminder, due, start);
    let reminder = delivered(reminder, due, "Ada0: T0L0 at 4:00 PM today.", "SM00");
    let note = delivered(asked("single", asked_at, "Note T0S0."), asked_at, "Note T0S0.", "SM01");
    let ledger = vec![entry(&note), entry(&reminder)];
    let mut evidence = Evidence {
        plan: Plan { seed: 0, start, calm: at("2026-05-13T14:00:00Z"), schools: vec![school()], happenings: Vec::new() },
        heard: BTreeMap::new(),
        attempts: ledger.iter().flat_map(attempts).collect(),
        ledger,
        stored: Vec::new(),
        struck: BTreeMap::new(),
    };
    happen(&mut evidence, start, lesson, json!({}));
    happen(&mut evidence, asked_at, single, json!({ "id": note.id.as_str() }));
    let used = BTreeMap::from([("2026-05".to_string(), 2 * SMS)]);
    evidence.stored.push(Stored { account: "AC0".into(), messages: vec![reminder, note], used, reports: BTreeMap::new() });
    evidence
}

/// Something that was acknowledged at once.
fn happen(evidence: &mut Evidence, at: Timestamp, what: What, answer: serde_json::Value) {
    evidence.heard.insert(evidence.plan.happenings.len(), Heard { first: at, at, answer });
    evidence.plan.happenings.push(Happening { at, what });
}

/// Somebody texts, and it is stored.
fn text(evidence: &mut Evidence, now: Timestamp, says: Says, body: &str, sid: &str) {
    happen(evidence, now, What::Text { school: 0, number: 0, person: 0, says }, json!(sid));
    let id = MessageId::derive(&tenant(), &["inbound", sid]);
    evidence.stored[0].messages.push(Message {
        channel: Some(Channel::Sms),
        status: Status::Received,
        decided_at: Some(now),
        to: PhoneNumber::from_e164(PHONE),
        body: Some(body.into()),
        sid: Some(sid.into()),
        ..Message::waiting(id, Kind::Inbound, Facts::Direct, now, Step::new(now, "received"))
    });
}

/// One of the two messages ended without going.
fn end(evidence: &mut Evidence, place: usize, status: Status, reason: Reason, decided: Timestamp) {
    let stored = &mut evidence.stored[0];
    let message = &mut stored.messages[place];
    let sid = message.sid.take().unwrap();
    message.timeline.truncate(1);
    message.timeline.push(Step::with(decided, status.word(), reason.word()));
    message.reports.clear();
    (message.status, message.reason, message.decided_at) = (status, Some(reason), Some(decided));
    (message.attempt, message.cost, message.month) = (0, None, None);
    evidence.ledger.retain(|entry| entry.sid != sid);
    evidence.attempts.retain(|attempt| attempt.message_sid != sid);
    *stored.used.get_mut("2026-05").unwrap() -= SMS;
}

/// Which rules are broken once `change` is made, each once.
fn broken(change: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let mut evidence = evidence();
    change(&mut evidence);
    let rules: BTreeSet<&str> = judge(&evidence).iter().map(|breach| breach.rule).collect();
    rules.into_iter().collect()
}

fn skipped(reason: Reason) -> Vec<&'static str> {
    broken(|evidence| end(evidence, SINGLE, Status::Skipped, reason, at("2026-05-12T15:00:00Z")))
}

#[test]
fn where_all_is_right_the_judge_finds_nothing() {
    let breaches: Vec<String> = judge(&evidence()).iter().map(ToString::to_string).collect();
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn a_message_that_went_twice_is_found() {
    let rules = broken(|evidence| {
        evidence.ledger.push(Entry { sid: "SM02".into(), ..evidence.ledger[0].clone() });
        evidence.plan.schools[0].limit = None;
        *evidence.stored[0].used.get_mut("2026-05").unwrap() += SMS;
    });
    assert_eq!(rules, ["twice"]);
}

#[test]
fn a_message_that_went_twice_under_two_ids_is_found() {
    let rules = broken(|evidence| {
        let other = asked("other", at("2026-05-12T15:00:00Z"), "Note T0S0.");
        let other = delivered(other, at("2026-05-12T15:00:00Z"), "Note T0S0.", "SM02");
        evidence.ledger.push(entry(&other));
        evidence.stored[0].messages.push(other);
        evidence.plan.schools[0].limit = None;
        *evidence.stored[0].used.get_mut("2026-05").unwrap() += SMS;
    });
    assert_eq!(rules, ["twice", "unasked"]);
}

#[test]
fn a_row_that_is_missing_is_found() {
    assert_eq!(broken(|evidence| drop(evidence.stored[0].messages.remove(SINGLE))), ["lost"]);
}

#[test]
fn a_reminder_that_was_never_planned_is_found() {
    let rules = broken(|evidence| {
        end(evidence, REMINDER, Status::Skipped, Reason::TooLate, at("2026-05-12T19:00:00Z"));
        evidence.stored[0].messages.remove(REMINDER);
    });
    assert_eq!(rules, ["lost"]);
}

#[test]
fn what_was_never_acknowledged_is_found() {
    let unheard = Happening { at: at("2026-05-12T16:00:00Z"), what: What::Settled { school: 0, number: 0 } };
    assert_eq!(broken(|evidence| evidence.plan.happenings.push(unheard)), ["lost"]);
}

#[test]
fn a_text_that_nobody_asked_for_is_found() {
    assert_eq!(broken(|evidence| evidence.ledger[0].body = "Note T0S1.".into()), ["unasked"]);
}

#[test]
fn a_reminder_an_hour_too_early_is_found() {
    assert_eq!(broken(|evidence| evidence.ledger[1].created = at("2026-05-12T18:00:00Z")), ["unasked"]);
}

#[test]
fn a_message_after_a_stop_is_found_and_one_after_a_start_is_not() {
    let rules = |says: &[(&str, Says, &str, &str)]| {
        broken(|evidence| says.iter().for_each(|(now, says, body, sid)| text(evidence, at(now), *says, body, sid)))
    };
    let stop = ("2026-05-12T18:30:00Z", Says::Stop, "STOP", "SM90");
    let start = ("2026-05-12T18:40:00Z", Says::Start, "START", "SM91");
    assert_eq!(rules(&[stop]), ["opted out"]);
    assert_eq!(rules(&[stop, start]), NONE);
    // It was claimed in the same minute.
    assert_eq!(rules(&[("2026-05-12T18:59:30Z", Says::Stop, "STOP", "SM90")]), NONE);
}

#[test]
fn a_message_by_night_is_found_and_a_code_is_not() {
    let by_night = |category: &'static str| {
        broken(|evidence| {
            let night = at("2026-05-13T02:30:00Z");
            let single = What::Single { school: 0, number: 0, person: 0, category, send_at: Some(night) };
            evidence.plan.happenings[SINGLE].what = single;
            let note = &evidence.stored[0].messages[SINGLE];
            let note = delivered(Message { timeline: note.timeline[..1].to_vec(), ..note.clone() }, night, "Note T0S0.", "SM01");
            evidence.ledger[0] = entry(&note);
            evidence.stored[0].messages[SINGLE] = note;
        })
    };
    assert_eq!(by_night("general"), ["quiet hours"]);
    assert_eq!(by_night("authentication"), NONE);
}

#[test]
fn a_limit_that_was_passed_is_found() {
    assert_eq!(broken(|evidence| evidence.plan.schools[0].limit = Some(2 * SMS - 1)), ["over budget"]);
}

#[test]
fn a_meter_that_is_off_by_one_is_found() {
    assert_eq!(broken(|evidence| *evidence.stored[0].used.get_mut("2026-05").unwrap() += 1), ["meter"]);
    assert_eq!(broken(|evidence| evidence.stored[0].messages[SINGLE].cost = None), ["meter"]);
}

#[test]
fn a_message_that_is_still_on_its_way_is_found() {
    assert_eq!(broken(|evidence| evidence.stored[0].messages[SINGLE].status = Status::Sent), ["not final"]);
    assert_eq!(broken(|evidence| evidence.ledger[0].status = twilio::Status::Undelivered), ["not final"]);
}

#[test]
fn another_account_another_tenants_webhook_and_a_strangers_number_are_found() {
    assert_eq!(broken(|evidence| evidence.ledger[0].account_sid = "AC1".into()), ["crossing"]);
    let elsewhere = |url: String| url.replace("/t0/", "/t1/");
    let rules = broken(|evidence| evidence.ledger[0].status_callback = evidence.ledger[0].status_callback.take().map(elsewhere));
    assert_eq!(rules, ["crossing"]);
    let stranger = PhoneNumber::from_e164("+12125550009");
    assert_eq!(broken(|evidence| evidence.stored[0].messages[SINGLE].to = stranger), ["crossing"]);
}

#[test]
fn a_story_that_misses_something_is_found() {
    let rules = broken(|evidence| drop(evidence.stored[0].messages[SINGLE].reports.remove("delivered SM01")));
    assert_eq!(rules, ["timeline"]);
    assert_eq!(broken(|evidence| evidence.stored[0].messages[SINGLE].attempt = 2), ["timeline"]);
    let earlier = SignedDuration::from_mins(20);
    let rules = broken(|evidence| {
        let steps = &mut evidence.stored[0].messages[SINGLE].timeline;
        steps[2].at = steps[1].at - earlier;
    });
    assert_eq!(rules, ["timeline"]);
}

#[test]
fn a_text_is_stored_once() {
    fn words(evidence: &mut Evidence) {
        text(evidence, at("2026-05-12T16:00:00Z"), Says::Words, "I am late T0N0", "SM90");
    }
    assert_eq!(broken(words), NONE);
    let rules = broken(|evidence| {
        words(evidence);
        evidence.stored[0].messages.pop();
    });
    assert_eq!(rules, ["texts"]);
    let rules = broken(|evidence| {
        words(evidence);
        evidence.plan.happenings.pop();
        evidence.heard.pop_last();
    });
    assert_eq!(rules, ["texts"]);
}

#[test]
fn reasons_that_nothing_bears_out_are_found() {
    for reason in [Reason::OptedOut, Reason::TooLate, Reason::Superseded, Reason::Budget, Reason::OutsideWindow] {
        assert_eq!(skipped(reason), ["untrue reason"], "{reason:?}");
    }
    for reason in [Reason::FrequencyCap, Reason::InvalidNumber, Reason::MissingVariable] {
        assert_eq!(skipped(reason), ["untrue reason"], "{reason:?}");
    }
    let due = at("2026-05-12T19:00:00Z");
    for reason in [Reason::Moved, Reason::LessonCancelled, Reason::Paid, Reason::OnRequest] {
        let rules = broken(|evidence| end(evidence, REMINDER, Status::Canceled, reason, due));
        assert_eq!(rules, ["untrue reason"], "{reason:?}");
    }
    let rules = broken(|evidence| end(evidence, SINGLE, Status::Failed, Reason::NotProcessed, due));
    assert_eq!(rules, ["untrue reason"]);
}

#[test]
fn reasons_that_the_inputs_bear_out_are_true() {
    let now = at("2026-05-12T15:00:00Z");
    let stopped = broken(|evidence| {
        text(evidence, at("2026-05-12T14:30:00Z"), Says::Stop, "STOP", "SM90");
        text(evidence, at("2026-05-12T16:30:00Z"), Says::Start, "START", "SM91");
        end(evidence, SINGLE, Status::Skipped, Reason::OptedOut, now);
    });
    assert_eq!(stopped, NONE);
    let poor = broken(|evidence| {
        evidence.plan.schools[0].limit = Some(SMS);
        end(evidence, SINGLE, Status::Skipped, Reason::Budget, at("2026-05-12T19:10:00Z"));
    });
    assert_eq!(poor, NONE);
    let capped = broken(|evidence| {
        let single = What::Single { school: 0, number: 0, person: 0, category: "reminder", send_at: None };
        evidence.plan.happenings[SINGLE].what = single;
        end(evidence, SINGLE, Status::Skipped, Reason::FrequencyCap, at("2026-05-12T19:10:00Z"));
    });
    assert_eq!(capped, NONE);
    // When the night is over its lesson has been.
    let late = broken(|evidence| end(evidence, REMINDER, Status::Skipped, Reason::TooLate, at("2026-05-13T01:10:00Z")));
    assert_eq!(late, NONE);
}

#[test]
fn a_cancelled_lesson_takes_its_reminder_back_and_tells_of_it() {
    fn cancel(evidence: &mut Evidence) {
        let (now, start) = (at("2026-05-12T16:00:00Z"), at("2026-05-12T20:00:00Z"));
        happen(evidence, now, What::Cancelled { school: 0, number: 0 }, json!({}));
        let told = planned(Kind::ScheduleChange, None, Facts::Cancelled { start }, now, now);
        let body = "Important: Your T0L0 lesson on May 12, 2026 at 4:00 PM has been cancelled.";
        let told = delivered(told, now, body, "SM03");
        evidence.ledger.push(entry(&told));
        evidence.stored[0].messages.push(told);
        *evidence.stored[0].used.get_mut("2026-05").unwrap() += SMS;
    }
    let rules = broken(|evidence| {
        cancel(evidence);
        end(evidence, REMINDER, Status::Canceled, Reason::LessonCancelled, at("2026-05-12T16:00:00Z"));
    });
    assert_eq!(rules, NONE);
    let rules = broken(|evidence| {
        evidence.plan.schools[0].limit = None;
        cancel(evidence);
    });
    assert_eq!(rules, ["unasked"], "reminded of a lesson that does not take place");
}

#[test]
fn more_than_the_cap_allows_is_found() {
    let single = What::Single { school: 0, number: 0, person: 0, category: "reminder", send_at: None };
    assert_eq!(broken(|evidence| evidence.plan.happenings[SINGLE].what = single.clone()), ["cap"]);
    let allowed = broken(|evidence| {
        evidence.plan.happenings[SINGLE].what = single;
        evidence.plan.schools[0].cap = Some(2);
    });
    assert_eq!(allowed, NONE);
}

#[test]
fn whoever_was_told_the_end_and_asks_on_is_found() {
    let rules = broken(|evidence| {
        let asked = Step::new(at("2026-05-13T04:30:00Z"), "asked");
        evidence.stored[0].messages[SINGLE].reports.insert("delivered SM01 again".into(), asked);
    });
    assert_eq!(rules, ["timeline"]);
}

#[test]
fn a_sid_that_two_rows_have_is_found() {
    assert!(broken(|evidence| evidence.stored[0].messages[SINGLE].sid = Some("SM00".into())).contains(&"twice"));
}

#[test]
fn a_campaigns_row_without_a_line_is_found() {
    let rules = broken(|evidence| {
        let campaign = What::Campaign { school: 0, number: 0, rows: 1 };
        happen(evidence, at("2026-05-12T16:00:00Z"), campaign, json!({ "id": "c" }));
    });
    assert_eq!(rules, ["lost"]);
}

#[test]
fn the_night_ends_at_eight_whatever_the_clocks_do() {
    let zone = times::zone("America/New_York");
    for (now, allowed) in [
        ("2026-03-08T02:00:00Z", "2026-03-08T12:00:00Z"),
        ("2026-10-31T23:59:00Z", "2026-10-31T23:59:00Z"),
        ("2026-11-01T02:00:00Z", "2026-11-01T13:00:00Z"),
        ("2026-11-01T12:59:59Z", "2026-11-01T13:00:00Z"),
    ] {
        assert_eq!(times::next_allowed(&zone, at(now)), at(allowed), "{now}");
    }
    assert_eq!(times::moment(&zone, at("2026-03-08T19:05:00Z")), "Sun, Mar 8 at 3:05 PM");
}
