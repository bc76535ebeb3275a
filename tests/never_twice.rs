//! Never twice, never lost: everything that AWS and Twilio may repeat, repeated.

use jiff::{SignedDuration, Timestamp};
use local::host::Host;
use local::simulate::{self, Span};
use local::twilio::{Fault, Rule};
use serde_json::{Value, json};
use shared::domain::channel::Channel;
use shared::domain::message::{MessageId, Reason, Status};
use shared::domain::money::Micros;
use shared::store::{accepted, due, meter, write_all_if};

use crate::machine::{all_messages, ledger, machine, messages_of, post, quiet_machine, sample, tenant};

/// Plans twice at once and ticks thrice at once, wherever the run stops; then brings every callback
/// twice, the last first.
async fn run_with_everything_doubled(host: &Host, span: Span) {
    let tenant = tenant();
    let mut now = span.from;
    while now < span.until {
        host.clock.set(now);
        let (first, second) = tokio::join!(host.plan_lessons(now), host.plan_lessons(now));
        first.and(second).unwrap();
        host.plan_payments(now).await.unwrap();
        let (a, b, c) = tokio::join!(host.tick(now), host.tick(now), host.tick(now));
        a.and(b).and(c).unwrap();
        let due = due::next_due(host.cx.table().await.unwrap(), &tenant).await.unwrap();
        now = due.unwrap_or(span.until).max(now + SignedDuration::from_secs(1));
    }
    host.clock.set(span.until);
    let mut callbacks = Vec::new();
    while let Some(due) = host.twilio.next_callback_due() {
        host.clock.set(due);
        callbacks.extend(host.twilio.take_callbacks());
    }
    for callback in callbacks.iter().rev().chain(&callbacks) {
        assert_eq!(host.bring(callback, span.until).await, 204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_repeated_sends_each_message_once() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();

    run_with_everything_doubled(&host, span).await;

    let twice: Vec<_> = ledger(&host).into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(twice, []);
    let sent: Vec<_> = host.twilio.ledger().into_iter().map(|entry| entry.sid).collect();
    let all = all_messages(&host, &tenant(), span).await;
    let bound: Vec<_> = all.iter().filter_map(|message| message.sid.clone()).collect();
    assert!(sent.len() > 20, "the sample is worth a test");
    assert_eq!(sent.len(), bound.len());
    assert!(sent.iter().all(|sid| bound.contains(sid)));
    for message in all.iter().filter(|message| message.due_at < span.until) {
        assert!(message.status.is_final(), "{message:?}");
        assert_eq!(message.sid.is_some(), message.status == Status::Delivered, "{message:?}");
    }
}

/// Runs the sample with a fault at Twilio, long enough for everything to be settled.
async fn run_with(fault: Fault, times: u32) -> (Host, Span) {
    let (mut folder, span) = sample();
    // Nobody opts out here: a message that goes again minutes later must find the same world.
    folder.events.retain(|event| event.name != "inbound");
    let host = machine(span.from).await;
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();
    host.twilio.set_faults(vec![Rule { fault, to: None, times: Some(times), every: None }]);
    simulate::run(&host, &tenant(), &folder, span, span.from, |_| {}).await.unwrap();
    (host, span)
}

/// Each eligible message once, whatever Twilio did to the requests; the money is what was accepted.
async fn assert_exactly_once(host: &Host, span: Span) {
    let (clean, _) = run_with(Fault::LostCallbacks, 0).await;
    let expected = ledger(&clean);
    let actual = ledger(host);
    assert!(actual.values().all(|count| *count == 1), "{actual:?}");
    // A late message may read `today` for `tomorrow`; who gets how many does not change.
    let recipients = |ledger: &std::collections::HashMap<(String, String), usize>| {
        let mut to: Vec<String> = ledger.keys().map(|(to, _)| to.clone()).collect();
        to.sort();
        to
    };
    assert_eq!(recipients(&actual), recipients(&expected));
    let all = all_messages(host, &tenant(), span).await;
    let spent: i64 = all.iter().filter_map(|message| message.cost).map(|cost| cost.0).sum();
    let month = span.from.strftime("%Y-%m").to_string();
    assert_eq!(meter::used(host.cx.table().await.unwrap(), &tenant(), &month).await.unwrap().0, spent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_message_whose_answer_was_lost_is_found_not_resent() {
    let (host, span) = run_with(Fault::AcceptThenDrop, 4).await;

    assert_exactly_once(&host, span).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_request_is_sent_again_after_two_looks() {
    let (host, span) = run_with(Fault::DropBeforeAccept, 4).await;

    assert_exactly_once(&host, span).await;
    let resent = all_messages(&host, &tenant(), span).await.into_iter().filter(|message| message.attempt == 2).count();
    assert!(resent >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twilio_did_not_process_goes_again() {
    for fault in [Fault::TooManyRequests, Fault::ServerErrorBeforeAccept, Fault::ServerErrorAfterAccept] {
        let (host, span) = run_with(fault, 4).await;

        assert_exactly_once(&host, span).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_stops_at_the_limit_and_a_cheaper_message_may_still_fit() {
    let (mut folder, span) = sample();
    folder.school.settings.budget.monthly_limit = Micros::parse("0.1000");
    let host = machine(span.from).await;
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();

    simulate::run(&host, &tenant(), &folder, span, span.from, |_| {}).await.unwrap();

    let all = all_messages(&host, &tenant(), span).await;
    let used = meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap();
    let spent: i64 =
        all.iter().filter(|message| message.sid.is_some()).filter_map(|message| message.cost).map(|cost| cost.0).sum();
    assert_eq!(used.0, spent);
    assert!(used.0 <= 100_000, "{used}");
    let refused: Vec<_> = all.iter().filter(|message| message.reason == Some(Reason::Budget)).collect();
    assert!(!refused.is_empty());
    assert!(used.0 + 5_000 > 100_000, "no WhatsApp message would fit any more: {used}");
    let first_refusal = refused.iter().filter_map(|message| message.decided_at).min().unwrap();
    let ours = |message: &&&shared::domain::message::Message| message.sid.is_some() && message.inbound.is_none();
    let later = |message: &&shared::domain::message::Message| message.decided_at > Some(first_refusal);
    assert!(all.iter().filter(|message| ours(&message)).filter(later).all(|message| message.channel == Some(Channel::Whatsapp)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_between_plan_and_due_instant_is_obeyed_and_start_lifts_it() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();
    let sender = folder.school.settings.senders.sms.clone().unwrap();
    let stop = host.inbound(&tenant(), "+15550100201", &sender, " Stop\n").await.unwrap();
    assert_eq!(host.bring(&stop, span.from).await, 200);

    simulate::run(&host, &tenant(), &folder, span, span.from, |_| {}).await.unwrap();

    assert!(host.twilio.ledger().iter().all(|entry| entry.to != "+15550100201"));
    let start = host.inbound(&tenant(), "whatsapp:+15550100201", &sender, "START").await.unwrap();
    assert_eq!(host.bring(&start, span.until).await, 200);
    // The stop comes once more, late: it is the same text, and changes nothing.
    assert_eq!(host.bring(&stop, span.until).await, 200);
    let number = shared::domain::phone::PhoneNumber::parse(
        "+15550100201",
        &folder.school.settings.default_region,
        shared::domain::phone::Strictness::Possible,
    )
    .unwrap();
    let table = host.cx.table().await.unwrap();
    let standings = shared::store::consents::standings(table, &tenant(), &[&number]).await.unwrap();
    assert!(standings[&number].is_open());
}

/// Asks for so many messages to one contact that the frequency cap limits, all due at one instant.
async fn offer(host: &Host, count: usize, at: Timestamp) {
    for number in 0..count {
        let body = format!("Offer {number}. STOP ends this.");
        let wish = json!({ "contactId": "S01", "body": body, "category": "marketing", "sendAt": at });
        let (status, answer) = post(host, "staff", "/messages", None, &wish).await;
        assert!(status.is_success(), "{answer}");
    }
}

/// How many messages Twilio has, and why the others ended.
async fn sent_and_reasons(host: &Host) -> (usize, Vec<Reason>) {
    (host.twilio.ledger().len(), messages_of(host).await.into_iter().filter_map(|message| message.reason).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_at_once_do_not_exceed_the_cap_together() {
    let host = quiet_machine(|settings| settings.frequency_cap = Some(2)).await;
    let due: Timestamp = "2026-03-10T17:00:00Z".parse().unwrap();
    // Several in each shard, so that both runs are at messages that one of them has counted and the other has not.
    offer(&host, 24, due).await;
    host.clock.set(due);
    host.twilio.set_faults(vec![Rule { fault: Fault::Slow(100), to: None, times: None, every: None }]);

    let (first, second) = tokio::join!(host.tick(due), host.tick(due));
    first.and(second).unwrap();

    assert_eq!(sent_and_reasons(&host).await, (2, vec![Reason::FrequencyCap; 22]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_near_midnight_fills_the_cap_to_its_last_place() {
    let host = quiet_machine(|settings| settings.frequency_cap = Some(3)).await;
    let due: Timestamp = "2026-03-10T23:59:30Z".parse().unwrap();
    offer(&host, 4, due).await;
    host.clock.set(due);

    host.tick(due).await.unwrap();

    assert_eq!(sent_and_reasons(&host).await, (3, vec![Reason::FrequencyCap]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_clock_that_is_ahead_counted_after_midnight_is_seen_before_it() {
    let host = quiet_machine(|settings| settings.frequency_cap = Some(1)).await;
    offer(&host, 1, "2026-03-10T23:59:30Z".parse().unwrap()).await;
    host.clock.set("2026-03-11T00:00:20Z".parse().unwrap());
    let wish = json!({ "contactId": "S01", "body": "Today only. STOP ends this.", "category": "marketing" });
    let (_, ahead) = post(&host, "staff", "/messages", None, &wish).await;

    host.tick("2026-03-10T23:59:40Z".parse().unwrap()).await.unwrap();

    assert_eq!(ahead["reason"], Value::Null, "{ahead}");
    assert_eq!(sent_and_reasons(&host).await, (1, vec![Reason::FrequencyCap]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_on_either_side_of_midnight_only_one_takes_the_last_place() {
    let host = quiet_machine(|_| {}).await;
    let (table, tenant) = (host.cx.table().await.unwrap(), tenant());
    let before: Timestamp = "2026-03-10T23:59:59.9Z".parse().unwrap();
    let after: Timestamp = "2026-03-11T00:00:00.1Z".parse().unwrap();

    for (person, first, second) in [("S01", before, after), ("S02", after, before)] {
        let count_at = |at: Timestamp| accepted::count_of(table, &tenant, person, at);
        let (of_first, of_second) = (count_at(first).await.unwrap(), count_at(second).await.unwrap());
        let place = |count: accepted::Count, at: Timestamp| {
            let id = MessageId::derive(&tenant, &[person, &at.to_string()]);
            accepted::must_have_room(table, &tenant, person, (count, 1), &id, at).unwrap()
        };

        assert!(write_all_if(table, place(of_first, first)).await.unwrap());
        assert!(!write_all_if(table, place(of_second, second)).await.unwrap());
        assert_eq!(count_at(second).await.unwrap().of_window, 1);
    }
}
