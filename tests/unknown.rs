//! What becomes of messages of which nobody knows whether Twilio has them: each is with Twilio once in the end, whatever else was
//! under way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use local::aws::{Shares, Trouble};
use local::host::Host;
use local::twilio::{Callback, Fault, Rule};
use serde_json::json;
use shared::context::Context;
use shared::domain::message::{Message, MessageId, Status};
use shared::http_client::Client;
use shared::store::found;

use crate::machine::{messages_of, paused_machine, post, quiet_machine, tenant};

const ONE: &str = "+12125550001";
const MINUTE: Duration = Duration::from_secs(60);

fn rule(fault: Fault, times: u32) -> Rule {
    Rule { fault, to: None, times: Some(times), every: None }
}

fn first(fault: Fault, times: u32) -> Vec<Rule> {
    vec![rule(fault, times)]
}

async fn say_hello(host: &Host, key: &str, to: &str) {
    post(host, "staff", "/messages", Some(key), &json!({ "to": to, "body": "Hello" })).await;
}

/// Ticks at the beginning of each minute, or as soon as the tick before has ended.
async fn tick_for(host: &Host, minutes: u32) {
    let mut every = tokio::time::interval(MINUTE);
    for _ in 0..minutes {
        every.tick().await;
        host.tick(host.clock.now()).await.unwrap();
    }
}

fn sids(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().filter_map(|message| message.sid.clone()).collect()
}

/// `host`, whose requests to Twilio go through `with` first.
fn through<W: Future<Output = ()> + Send>(host: Host, with: impl Fn(Method, String) -> W + Send + Sync + 'static) -> Host {
    let (twilio, with) = (host.twilio.handler(), Arc::new(with));
    let client = Client::through(Arc::new(move |request| {
        let (twilio, with) = (twilio.clone(), with.clone());
        Box::pin(async move {
            with(request.method().clone(), request.url().to_string()).await;
            twilio(request).await
        })
    }));
    let cx = Context::with_transport(host.cx.config.clone(), client, host.aws.http_client());
    host.restarted(cx)
}

#[tokio::test(start_paused = true)]
async fn two_looks_are_two_minutes_apart_however_long_the_looks_before_took() {
    const MESSAGES: usize = 12;
    const LOST: usize = MESSAGES / 4;
    let asked: Arc<Mutex<Vec<(Timestamp, Method, String)>>> = Arc::default();
    let host = paused_machine(|_| {}).await;
    let (clock, seen) = (host.clock.clone(), asked.clone());
    let host = through(host, move |method, url| {
        let is_list = method == Method::GET;
        seen.lock().unwrap().push((clock.now(), method, url));
        async move {
            if is_list {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        }
    });
    // Most are found at the first look: the others' second comes soon after.
    let lost = Rule { every: Some(4), ..rule(Fault::DropBeforeAccept, LOST as u32) };
    host.twilio.set_faults(vec![lost, rule(Fault::AcceptThenDrop, (MESSAGES - LOST) as u32)]);
    let to = |at: usize| format!("+121255501{at:02}");
    for at in 0..MESSAGES {
        say_hello(&host, &at.to_string(), &to(at)).await;
    }
    tokio::time::sleep(MINUTE * 4).await;

    tick_for(&host, 15).await;

    let asked = asked.lock().unwrap().clone();
    let mut twice = 0;
    for number in (0..MESSAGES).map(to) {
        let looks = asked.iter().filter(|(_, method, url)| method == Method::GET && url.contains(&number[1..]));
        match looks.map(|(at, ..)| *at).collect::<Vec<_>>()[..] {
            [_] => {}
            [first, second] => {
                twice += 1;
                assert!(second.duration_since(first) >= SignedDuration::from_mins(2), "{number}: {first} {second}");
            }
            ref looks => panic!("{number}: {looks:?}"),
        }
    }
    assert_eq!((twice, host.twilio.ledger().len()), (LOST, MESSAGES));
}

/// Twilio tells of one of two while its list is on its way to whoever looks for either.
#[tokio::test(start_paused = true)]
async fn who_is_told_of_a_message_while_twilio_is_asked_about_it_leaves_the_others_alone() {
    // Several, for whichever of two is looked at first.
    let numbers: Vec<String> = (0..8).map(|at| format!("+121255500{at:02}")).collect();
    for told in [0, 1] {
        let listening: Arc<OnceLock<Host>> = Arc::default();
        let host = paused_machine(|_| {}).await;
        let (later, held) = (listening.clone(), Arc::<Mutex<Vec<Callback>>>::default());
        let host = through(host, move |method, url| {
            let host = later.get().filter(|_| method == Method::GET).cloned();
            let held = held.clone();
            async move {
                let Some(host) = host else { return };
                let ledger = host.twilio.ledger();
                let of_number = ledger.iter().filter(|entry| url.contains(&entry.to[1..])).nth(told);
                let sid = of_number.map(|entry| entry.sid.as_str());
                let callbacks: Vec<Callback> = {
                    let mut held = held.lock().unwrap();
                    held.extend(host.twilio.take_callbacks());
                    held.iter().filter(|callback| callback.param("MessageSid") == sid).cloned().collect()
                };
                for callback in callbacks {
                    assert!(host.bring(&callback, host.clock.now()).await.is_success());
                }
            }
        });
        listening.set(host.clone()).ok().unwrap();
        host.twilio.set_faults(first(Fault::AcceptThenDrop, 16));
        for key in ["first", "second"] {
            for number in &numbers {
                say_hello(&host, &format!("{key} {number}"), number).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(MINUTE * 4).await;

        tick_for(&host, 15).await;

        assert_eq!(host.twilio.ledger().len(), 16, "told of {told}");
        assert_eq!(sids(&messages_of(&host).await).len(), 16, "told of {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_the_index_does_not_show_yet_keeps_its_place_at_twilio() {
    let host = paused_machine(|_| {}).await;
    host.twilio.set_faults(first(Fault::DropBeforeAccept, 1));
    say_hello(&host, "first", ONE).await;
    tokio::time::sleep(Duration::from_secs(3 * 60 + 5)).await;
    // Every query of an index is behind.
    let trouble = Trouble::new(1);
    trouble.set(Shares { stale: 1_000, ..Shares::default() });
    let aws = host.aws.troubled(trouble).http_client();
    let behind = Context::with_transport(host.cx.config.clone(), Client::through(host.twilio.handler()), aws);
    let behind = host.clone().restarted(behind);

    say_hello(&host, "second", ONE).await;
    behind.tick(host.clock.now()).await.unwrap();
    tokio::time::sleep(MINUTE).await;
    tick_for(&host, 15).await;

    assert_eq!(host.twilio.ledger().len(), 2);
    assert_eq!(sids(&messages_of(&host).await).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_the_same_text_at_two_times_each_finds_its_own() {
    let host = paused_machine(|_| {}).await;
    // Several, for whichever of two is looked at first.
    let numbers: Vec<String> = (0..8).map(|at| format!("+121255500{at:02}")).collect();
    host.twilio.set_faults(first(Fault::AcceptThenDrop, 16));
    for key in ["first", "second"] {
        for number in &numbers {
            say_hello(&host, &format!("{key} {number}"), number).await;
        }
        tokio::time::sleep(MINUTE * 10).await;
    }

    tick_for(&host, 15).await;

    assert_eq!(host.twilio.ledger().len(), 16);
    assert_eq!(sids(&messages_of(&host).await).len(), 16);
}

/// While the second of two is in somebody's hands, what Twilio lists may be either's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twilio_lists_is_nobodys_while_the_same_text_is_being_sent() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(first(Fault::AcceptThenDrop, 2));
    let later = || host.clock.set(host.clock.now() + SignedDuration::from_mins(2));
    let in_doubt = async || messages_of(&host).await.into_iter().filter(|message| message.status == Status::Sending).count();

    say_hello(&host, "first", ONE).await;
    later();
    say_hello(&host, "second", ONE).await;
    later();
    host.tick(host.clock.now()).await.unwrap();
    let before = in_doubt().await;
    later();
    host.tick(host.clock.now()).await.unwrap();

    assert_eq!((before, in_doubt().await), (2, 0));
    assert_eq!((sids(&messages_of(&host).await).len(), host.twilio.ledger().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_at_twilio_is_one_messages() {
    let host = quiet_machine(|_| {}).await;
    let (table, now) = (host.cx.table().await.unwrap(), host.clock.now());
    let [one, other] = ["one", "other"].map(|key| MessageId::derive(&tenant(), &["found", key]));
    let is_taken = async |id: &MessageId| found::take(table, &tenant(), "SM1", id, now).await.unwrap();

    assert!(is_taken(&one).await);
    assert!(!is_taken(&other).await);
    assert!(is_taken(&one).await, "whoever has it finds it again");
}

/// Twilio takes so long that the turn of some comes when their claim is nearly over: they wait, and that was no attempt.
#[tokio::test(start_paused = true)]
async fn whoever_did_not_get_a_turn_at_twilio_has_lost_no_attempt() {
    const NUMBERS: usize = 320;
    let host = paused_machine(|settings| {
        settings.max_attempts = 1;
        settings.pacing.sms = Some(1_000);
    })
    .await;
    // At first it wants less at once.
    host.twilio.set_faults(first(Fault::TooManyRequests, 3));
    for key in ["a", "b", "c"] {
        say_hello(&host, key, ONE).await;
    }
    host.twilio.set_faults(vec![Rule { fault: Fault::Slow(14_500), to: None, times: None, every: None }]);
    let numbers: Vec<String> = (0..NUMBERS).map(|at| format!("+12125550{at:03}")).collect();
    let list = json!({ "recipients": numbers, "body": "The hall is closed.", "category": "authentication" });

    post(&host, "staff", "/messages/bulk", Some("k"), &list).await;
    tick_for(&host, 60).await;

    let mut messages = messages_of(&host).await;
    messages.retain(|message| message.body.as_deref() != Some("Hello"));
    let had_no_turn = messages.iter().filter(|message| message.timeline.iter().any(|step| step.step == "not_processed")).count();
    assert!(had_no_turn > 10, "{had_no_turn}: Twilio was quicker than this test is for");
    assert_eq!(sids(&messages).len(), NUMBERS);
    assert_eq!(host.twilio.ledger().len(), NUMBERS);
}
