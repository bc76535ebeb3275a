//! What is counted: each message once, whatever comes twice (`shared/src/telemetry/metrics.rs`); and that
//! `infra/watch.yaml` watches just that.
//!
//! Each of these tests runs on one thread, on which what it counts is kept apart from what the others count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use axum::http::StatusCode;
use jiff::SignedDuration;
use local::host::Host;
use local::twilio::{Callback, Fault, InboundText, Rule};
use serde_json::json;
use shared::domain::message::Status;
use shared::telemetry::Metric;

use crate::machine::capture::take_counted;
use crate::machine::{get, messages_of, post, quiet_machine, root, settle, tenant, unconnected_machine};

const ONE: &str = "+12125550001";
const TWO: &str = "+12125550002";
const SENDER: &str = "+15005550006";
/// Twilio's magic number that nothing can be sent to.
const INVALID: &str = "+15005550001";
/// The one that has opted out there.
const UNSUBSCRIBED: &str = "+15005550004";

fn these(expected: &[(Metric, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(metric, value)| (metric.name().to_string(), *value)).collect()
}

/// What the tick says when there is nothing to say, and `more`.
fn of_tick(more: &[(Metric, u64)]) -> BTreeMap<String, u64> {
    let mut expected = these(&Metric::OF_TICK.map(|metric| (metric, 0)));
    expected.extend(these(more));
    expected
}

async fn send(host: &Host, to: &str) {
    let (status, receipt) = post(host, "staff", "/messages", None, &json!({ "to": to, "body": "Hello" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
}

async fn call(host: &Host, to: &str) {
    let (status, receipt) = post(host, "staff", "/calls", None, &json!({ "to": to, "say": "Hello" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
}

async fn tick_after(host: &Host, wait: SignedDuration) -> BTreeMap<String, u64> {
    host.clock.set(host.clock.now() + wait);
    host.tick(host.clock.now()).await.unwrap();
    take_counted()
}

/// Everything that Twilio has to tell.
fn told(host: &Host) -> Vec<Callback> {
    let mut told = Vec::new();
    while let Some(due) = host.twilio.next_callback_due() {
        host.clock.set(due);
        told.extend(host.twilio.take_callbacks());
    }
    told
}

/// Brings everything three times: in order, backwards, and in order again.
async fn bring_thrice(host: &Host) {
    let told = told(host);
    assert!(!told.is_empty());
    for callback in told.iter().chain(told.iter().rev()).chain(&told) {
        assert_eq!(host.bring(callback, host.clock.now()).await, StatusCode::NO_CONTENT);
    }
}

fn once(fault: Fault, to: &str) -> Rule {
    Rule { fault, to: Some(to.into()), times: Some(1), every: None }
}

#[tokio::test]
async fn a_message_is_accepted_and_delivered_once_however_often_that_is_told() {
    let host = quiet_machine(|_| {}).await;
    take_counted();

    send(&host, ONE).await;
    assert_eq!(take_counted(), these(&[(Metric::Accepted, 1)]));
    bring_thrice(&host).await;
    assert_eq!(take_counted(), these(&[(Metric::Delivered, 1)]));
}

#[tokio::test]
async fn a_callback_that_beats_our_own_write_counts_for_it() {
    let host = quiet_machine(|_| {}).await;
    let (serving, posting) = (host.clone(), host.clone());
    tokio::spawn(async move { serving.serve_webhook().await });
    tokio::spawn(async move { posting.twilio.run_callbacks().await });
    host.twilio.set_faults(vec![once(Fault::CallbackBeforeResponse, ONE)]);
    take_counted();

    send(&host, ONE).await;

    assert_eq!(take_counted(), these(&[(Metric::Accepted, 1), (Metric::Delivered, 1)]));
}

#[tokio::test]
async fn a_message_fails_once_by_twilios_answer_or_by_a_receipt() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![once(Fault::Undelivered(30003), ONE), once(Fault::FailedLater(30008), TWO)]);
    take_counted();

    for to in [ONE, TWO, INVALID] {
        send(&host, to).await;
    }
    assert_eq!(take_counted(), these(&[(Metric::Accepted, 2), (Metric::Failed, 1)]));
    bring_thrice(&host).await;
    assert_eq!(take_counted(), these(&[(Metric::Failed, 2)]));
}

#[tokio::test]
async fn a_call_that_was_taken_is_delivered_and_one_that_nobody_took_is_no_failure() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![once(Fault::Busy, ONE), once(Fault::Undelivered(0), TWO)]);
    take_counted();

    for to in [ONE, TWO] {
        call(&host, to).await;
        bring_thrice(&host).await;
    }
    assert_eq!(take_counted(), these(&[(Metric::Accepted, 2)]));
    call(&host, ONE).await;
    bring_thrice(&host).await;
    assert_eq!(take_counted(), these(&[(Metric::Accepted, 1), (Metric::Delivered, 1)]));
}

#[tokio::test]
async fn what_is_only_simulated_counts_for_nothing() {
    let host = unconnected_machine(|_| {}).await;
    take_counted();

    send(&host, ONE).await;

    let messages = messages_of(&host).await;
    assert!(messages.iter().all(|message| message.simulated && message.status == Status::Delivered), "{messages:?}");
    assert_eq!((messages.len(), take_counted()), (1, these(&[])));
}

#[tokio::test]
async fn what_the_rules_do_not_let_go_is_skipped_at_once_or_by_the_tick() {
    let host = quiet_machine(|_| {}).await;
    let later = json!({ "to": ONE, "body": "Hello", "sendAt": (host.clock.now() + SignedDuration::from_hours(1)).to_string() });
    assert_eq!(post(&host, "staff", "/messages", None, &later).await.0, StatusCode::ACCEPTED);
    take_counted();

    let (status, said) = post(&host, "staff", "/opt-outs", Some("k"), &json!({ "number": ONE })).await;
    assert!(status.is_success(), "{said}");
    post(&host, "staff", "/opt-outs", Some("k"), &json!({ "number": ONE })).await;
    assert_eq!(take_counted(), these(&[(Metric::OptOuts, 1)]));
    send(&host, ONE).await;
    assert_eq!(take_counted(), these(&[(Metric::Skipped, 1)]));
    assert_eq!(tick_after(&host, SignedDuration::from_hours(1)).await, of_tick(&[(Metric::Skipped, 1)]));
    assert_eq!(tick_after(&host, SignedDuration::from_mins(1)).await, of_tick(&[]));
}

#[tokio::test]
async fn a_refusal_with_21610_is_a_failure_and_an_opt_out() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![once(Fault::FailedLater(21610), ONE)]);
    send(&host, ONE).await;
    take_counted();

    bring_thrice(&host).await;

    assert_eq!(take_counted(), these(&[(Metric::Failed, 1), (Metric::OptOuts, 1)]));

    send(&host, UNSUBSCRIBED).await;
    assert_eq!(take_counted(), these(&[(Metric::Failed, 1), (Metric::OptOuts, 1)]));
}

#[tokio::test]
async fn what_twilio_did_not_process_counts_each_time_and_fails_once() {
    let host = quiet_machine(|settings| settings.max_attempts = 2).await;
    let twice = Rule { times: Some(2), ..once(Fault::TooManyRequests, TWO) };
    host.twilio.set_faults(vec![once(Fault::TooManyRequests, ONE), twice]);
    take_counted();

    send(&host, ONE).await;
    send(&host, TWO).await;
    assert_eq!(take_counted(), these(&[(Metric::NotProcessed, 2)]));
    settle(&host, SignedDuration::from_mins(30)).await;

    assert_eq!(take_counted(), of_tick(&[(Metric::Accepted, 1), (Metric::Delivered, 1), (Metric::Failed, 1)]));
}

#[tokio::test]
async fn a_lost_answer_is_unknown_until_the_message_is_found() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![once(Fault::AcceptThenDrop, ONE)]);
    take_counted();

    send(&host, ONE).await;
    assert_eq!(take_counted(), these(&[(Metric::Unknown, 1)]));
    assert_eq!(tick_after(&host, SignedDuration::from_mins(1)).await, of_tick(&[]), "the claim still holds");
    host.clock.set(host.clock.now() + SignedDuration::from_mins(3));
    host.tick(host.clock.now()).await.unwrap();
    bring_thrice(&host).await;
    assert_eq!(take_counted(), of_tick(&[(Metric::Accepted, 1), (Metric::Delivered, 1)]));
}

#[tokio::test]
async fn a_message_is_stuck_while_nobody_finds_out_and_late_when_it_goes_at_last() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![once(Fault::DropBeforeAccept, ONE)]);
    send(&host, ONE).await;
    take_counted();

    assert_eq!(tick_after(&host, SignedDuration::from_mins(4)).await, of_tick(&[(Metric::Stuck, 1)]));
    assert_eq!(tick_after(&host, SignedDuration::from_mins(1)).await, of_tick(&[]), "the next look is a minute away");
    assert_eq!(tick_after(&host, SignedDuration::from_mins(2)).await, of_tick(&[(Metric::NotProcessed, 1)]));
    let after_all = tick_after(&host, SignedDuration::from_mins(1)).await;
    assert_eq!(after_all, of_tick(&[(Metric::Accepted, 1), (Metric::LateSeconds, 8 * 60)]));
}

#[tokio::test]
async fn the_tick_says_how_late_it_is_but_not_of_lists() {
    let host = quiet_machine(|_| {}).await;
    for minutes in [60, 61] {
        let at = host.clock.now() + SignedDuration::from_mins(minutes);
        let asked = json!({ "to": ONE, "body": "Hello", "sendAt": at.to_string() });
        assert_eq!(post(&host, "staff", "/messages", None, &asked).await.0, StatusCode::ACCEPTED);
    }
    take_counted();

    let late = tick_after(&host, SignedDuration::from_secs(61 * 60 + 30)).await;
    assert_eq!(late, of_tick(&[(Metric::Accepted, 2), (Metric::LateSeconds, 90)]));

    let list = json!({ "recipients": format!("{ONE}, {TWO}"), "body": "Hello" });
    let (status, receipt) = post(&host, "staff", "/messages/bulk", None, &list).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    let of_list = tick_after(&host, SignedDuration::from_mins(10)).await;
    assert_eq!(of_list, of_tick(&[(Metric::Accepted, 2)]));
}

#[tokio::test]
async fn what_comes_in_counts_once_and_so_does_who_opts_out() {
    let host = quiet_machine(|settings| _ = settings.keyword_replies.insert("hours".into(), "From nine to five.".into())).await;
    take_counted();

    let hours = host.inbound_text(&tenant(), &InboundText::new(ONE, SENDER, "hours")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(host.bring(&hours, host.clock.now()).await, StatusCode::OK);
    }
    assert_eq!(take_counted(), these(&[(Metric::Inbound, 1), (Metric::Accepted, 1)]), "the answer is a message, too");

    host.clock.set(host.clock.now() + SignedDuration::from_mins(1));
    let stops = ["STOP", "Stop"].map(|stop| InboundText::new(ONE, SENDER, stop));
    for stop in &stops {
        let stop = host.inbound_text(&tenant(), stop).await.unwrap();
        assert_eq!(host.bring(&stop, host.clock.now()).await, StatusCode::OK);
    }
    assert_eq!(take_counted(), these(&[(Metric::Inbound, 2), (Metric::OptOuts, 1)]), "who has stopped stops no second time");
}

#[tokio::test]
async fn a_call_that_comes_in_is_no_message_of_ours() {
    let host = quiet_machine(|_| {}).await;
    take_counted();

    let call = host.inbound_call(&tenant(), ONE, SENDER).await.unwrap();
    let url = format!("{}/twilio/{}/voice", host.webhook_url, tenant());
    let pressed = host.call_step(&call, &url, &[("Digits", "9")]).unwrap();
    let ended = host.call_ended(&tenant(), &call, 30).unwrap();
    for callback in [&call, &pressed, &ended, &ended, &pressed, &call] {
        assert!(host.bring(callback, host.clock.now()).await.is_success());
    }

    assert_eq!(take_counted(), these(&[(Metric::Inbound, 1), (Metric::OptOuts, 1)]));
}

#[tokio::test]
async fn requests_beyond_the_tenants_limit_are_counted() {
    let host = quiet_machine(|settings| settings.requests_per_minute = 10).await;
    take_counted();

    let mut refused = 0;
    for _ in 0..15 {
        let (status, _) = get(&host, "viewer", "/settings").await;
        refused += u64::from(status == StatusCode::TOO_MANY_REQUESTS);
    }

    assert_eq!((refused, take_counted()), (5, these(&[(Metric::LimitedRequests, 5)])));
}

/// The metrics of ours that alarms and the dashboard name.
fn watched(text: &str) -> BTreeSet<&str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let named = lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.strip_prefix("MetricName: ")?)));
    let of_alarms = named.filter_map(|(at, name)| {
        let beside = [lines[at - 1], lines[at + 1]];
        let namespace = beside.iter().find_map(|line| line.strip_prefix("Namespace: "));
        let namespace = namespace.unwrap_or_else(|| panic!("of what namespace is {name} in line {}?", at + 1));
        (namespace == "!Ref MetricsNamespace").then_some(name)
    });
    let of_dashboard = text.split("\"${MetricsNamespace}\", \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    of_alarms.chain(of_dashboard).collect()
}

/// The alarms of a template, as they are written.
fn alarms(text: &str) -> String {
    let mut resources: Vec<String> = Vec::new();
    let within = text.lines().skip_while(|line| *line != "Resources:").skip(1);
    for line in within.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        if line.strip_prefix("  ").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic())) {
            resources.push(String::new());
        }
        if let Some(resource) = resources.last_mut() {
            resource.push_str(line);
            resource.push('\n');
        }
    }
    resources.retain(|resource| resource.contains("\n    Type: AWS::CloudWatch::Alarm\n"));
    resources.concat()
}

#[test]
fn what_is_watched_is_what_is_counted() {
    let text = fs::read_to_string(root().join("infra/watch.yaml")).unwrap();
    let counted: BTreeSet<&str> = Metric::ALL.into_iter().map(Metric::name).collect();

    assert_eq!(watched(&text), counted);

    let example = "Namespace: !Ref MetricsNamespace\nMetricName: Mine\n\nMetricName: Errors\nNamespace: AWS/Lambda\n\
                   [[\"${MetricsNamespace}\", \"Other\", {}]]";
    assert_eq!(watched(example), BTreeSet::from(["Mine", "Other"]));
}

/// The others are only to look at.
#[test]
fn what_somebody_has_to_look_into_rings() {
    use Metric::{Accepted, Delivered, ErrorLines, Failed, LateSeconds, NotProcessed, Stuck, Unknown};
    let text = fs::read_to_string(root().join("infra/watch.yaml")).unwrap();
    let alarms_of_ours = alarms(&text);
    let rings = watched(&alarms_of_ours);

    let ringing = [Accepted, NotProcessed, Unknown, Delivered, Failed, Stuck, LateSeconds, ErrorLines];
    let silent: Vec<&str> = ringing.map(Metric::name).into_iter().filter(|name| !rings.contains(name)).collect();
    assert_eq!(silent, Vec::<&str>::new());
    // Errors, throttles, dead letters, the queue's oldest hint, a webhook that refuses: AWS's own metrics.
    for theirs in ["Errors", "Throttles", "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage", "Url4xxCount"] {
        assert!(alarms_of_ours.contains(&format!("MetricName: {theirs}\n")), "nothing rings for {theirs}");
    }

    let alarm = "  Mine:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      MetricName: Mine\n      \
                 Namespace: !Ref MetricsNamespace\n\n";
    let page = "  # A page.\n  Page:\n    Type: AWS::CloudWatch::Dashboard\n    [[\"${MetricsNamespace}\", \"Other\", {}]]\n";
    let example = format!("Parameters:\n  Page:\n    Type: String\nResources:\n{alarm}{page}Outputs:\n  Mine:\n    Value: 1\n");
    assert_eq!(alarms(&example), format!("{alarm}  # A page.\n"));
}
