//! Analytics: every figure is what a naive recount of the local Twilio's ledger comes to. The log's filters, and
//! alerts.

use std::collections::{BTreeMap, HashMap};

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use local::host::Host;
use local::twilio::{CallStatus, Callback, Fault, Rule, Status, signed};
use serde_json::{Value, json};
use shared::domain::message::MessageId;
use shared::domain::money::Micros;
use shared::domain::tenant::{Alerts, Prices};
use shared::store::{messages, meter, statistics, tenants};
use shared::usecases::recount_days::recount_days;
use shared::usecases::watch_health::watch_health;

use crate::machine::{credentials, get, get_text, post, quiet_machine, settle, tenant, unconnected_machine};

const ONE: &str = "+12125550001";
const TWO: &str = "+12125550002";
const THREE: &str = "+12125550003";
const SENDER: &str = "+15005550006";
/// Twilio refuses it with 21211, as a call with 21217.
const INVALID: &str = "+15005550001";

async fn ask(host: &Host, path: &str, body: &Value) -> Value {
    let (status, receipt) = post(host, "staff", path, None, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
    receipt
}

async fn look(host: &Host, path: &str) -> Value {
    let (status, view) = get(host, "viewer", path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {view}");
    view
}

fn pass(host: &Host, length: SignedDuration) {
    host.clock.set(host.clock.now() + length);
}

fn secs(secs: i64) -> SignedDuration {
    SignedDuration::from_secs(secs)
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn fault(fault: Fault, to: &str) -> Rule {
    Rule { fault, to: Some(to.into()), times: None, every: None }
}

/// Brings what Twilio has to tell by now, the last first and each twice; notes when a receipt first came.
async fn bring(host: &Host, told: &mut HashMap<String, Timestamp>) {
    let now = host.clock.now();
    for callback in host.twilio.take_callbacks().iter().rev() {
        for _ in 0..2 {
            assert!(host.bring(callback, now).await.is_success());
        }
        let word = callback.param("MessageStatus").or(callback.param("CallStatus")).unwrap_or_default();
        if ["delivered", "in-progress", "completed"].contains(&word) {
            told.entry(callback.message_sid().to_string()).or_insert(now);
        }
    }
}

/// What the ledger has of some messages and calls.
#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    sent: u64,
    delivered: u64,
    failed: u64,
    segments: u64,
    cost: i64,
    seconds: Vec<i64>,
}

impl Naive {
    fn add(&mut self, delivered: bool, failed: bool, units: u32, price: i64) {
        self.sent += 1;
        self.delivered += u64::from(delivered);
        self.failed += u64::from(failed);
        self.segments += u64::from(units);
        self.cost += i64::from(units) * price;
    }

    fn all<'a>(parts: impl Iterator<Item = &'a Naive>) -> Self {
        let mut all = Naive::default();
        for part in parts {
            all.sent += part.sent;
            all.delivered += part.delivered;
            all.failed += part.failed;
            all.segments += part.segments;
            all.cost += part.cost;
            all.seconds.extend(&part.seconds);
        }
        all
    }

    /// Nearest rank.
    fn percentile(&self, percent: usize) -> Value {
        let mut seconds = self.seconds.clone();
        seconds.sort_unstable();
        json!(seconds[(seconds.len() * percent).div_ceil(100).max(1) - 1])
    }

    fn rate(part: u64, whole: u64) -> Value {
        json!((part as f64 / whole as f64 * 10_000.0).round() / 10_000.0)
    }
}

type ByDayAndChannel = BTreeMap<(String, &'static str), Naive>;

/// By local day and channel. New York is so far behind in March 2026 that a day begins at four.
fn ledger(host: &Host, told: &HashMap<String, Timestamp>) -> ByDayAndChannel {
    let mut naive = ByDayAndChannel::new();
    let day = |created: Timestamp| (created - SignedDuration::from_hours(4)).to_string()[..10].to_string();
    let seconds = |sid: &str, created: Timestamp| {
        let secs = told.get(sid)?.duration_since(created).as_secs();
        Some(if secs > 3_600 { secs - secs % 60 } else { secs })
    };
    for entry in host.twilio.ledger() {
        let (channel, price) = match (entry.to.starts_with("whatsapp:"), entry.num_media) {
            (true, _) => ("whatsapp", 5_000),
            (false, 0) => ("sms", 7_900),
            (false, _) => ("mms", 20_000),
        };
        let part = naive.entry((day(entry.created), channel)).or_default();
        let is_failed = matches!(entry.status, Status::Undelivered | Status::Failed);
        part.add(entry.status == Status::Delivered, is_failed, entry.num_segments, price);
        part.seconds.extend(seconds(&entry.sid, entry.created).filter(|_| entry.status == Status::Delivered));
    }
    for call in host.twilio.calls() {
        let part = naive.entry((day(call.created), "voice")).or_default();
        let minutes = call.duration.unwrap_or_default().div_ceil(60);
        let is_delivered = call.status == CallStatus::Completed;
        part.add(is_delivered, call.status > CallStatus::Completed, minutes, 13_000);
        part.seconds.extend(seconds(&call.sid, call.created).filter(|_| is_delivered));
    }
    naive
}

const FIRST: &str = "2026-03-10";
const SECOND: &str = "2026-03-11";
const SPAN: &str = "from=2026-03-10&to=2026-03-11";

/// What Twilio refuses of it for good, which is in no ledger.
const REFUSED: u64 = 4;

/// Two days of everything: four channels, several categories, failures at once and later, receipts twice, in
/// reverse and a day late.
async fn two_days() -> (Host, ByDayAndChannel, String) {
    let host = quiet_machine(|_| {}).await;
    let mut told = HashMap::new();
    host.twilio.set_faults(vec![
        fault(Fault::Undelivered(30003), "+12125550005"),
        fault(Fault::FailedLater(30008), "+12125550006"),
        fault(Fault::DuplicateCallbacks, "+12125550007"),
        fault(Fault::ReorderedCallbacks, "+12125550008"),
        fault(Fault::Busy, "+12125550009"),
    ]);
    let stop = host.inbound(&tenant(), "+12125550099", SENDER, "STOP").await.unwrap();
    assert_eq!(host.bring(&stop, host.clock.now()).await, 200);
    let order = json!({ "customer_name": "Ann", "order_number": 7, "restaurant_name": "Luigi's" });
    let mut asks = vec![
        ("/messages", json!({ "to": ONE, "body": "Hello", "category": "reservation" })),
        ("/messages", json!({ "to": TWO, "body": "long ".repeat(70) })),
        ("/messages", json!({ "to": INVALID, "body": "Hello" })),
        ("/messages", json!({ "to": INVALID, "body": "Hello again" })),
        ("/messages", json!({ "to": ONE, "template": "Order-Ready", "variables": order })),
        ("/messages", json!({ "to": TWO, "body": "Look", "mediaUrls": "https://example.com/a.jpg" })),
        ("/messages", json!({ "to": ONE, "contentSid": format!("HX{}", "a".repeat(32)), "contentVariables": { "1": "Ana" } })),
        ("/calls", json!({ "to": THREE, "say": "Hello, this is the school. ".repeat(20) })),
        ("/calls", json!({ "to": "+12125550009", "say": "Hello" })),
        ("/calls", json!({ "to": INVALID, "say": "Hello" })),
        ("/messages", json!({ "to": "+12125550099", "body": "You wanted nothing" })),
    ];
    for number in 5..=8 {
        let category = if number % 2 == 0 { "marketing" } else { "reminder" };
        asks.push(("/messages", json!({ "to": format!("+1212555000{number}"), "body": "Hello", "category": category })));
    }
    for (position, (path, body)) in asks.iter().enumerate() {
        ask(&host, path, body).await;
        pass(&host, SignedDuration::from_millis(2_300 + 700 * position as i64));
        if position % 3 == 2 {
            bring(&host, &mut told).await;
        }
    }
    // A message that Twilio does not process at first, and the first count of this day.
    host.twilio.set_faults(vec![Rule { times: Some(1), ..fault(Fault::TooManyRequests, "+12125550010") }]);
    ask(&host, "/messages", &json!({ "to": "+12125550010", "body": "Hello" })).await;
    look(&host, "/analytics/daily").await;
    pass(&host, secs(30));
    host.tick(host.clock.now()).await.unwrap();

    // Its last receipts come a day late.
    host.clock.set(at("2026-03-11T16:00:00Z"));
    bring(&host, &mut told).await;
    for (position, to) in [ONE, TWO, THREE, INVALID].into_iter().enumerate() {
        ask(&host, "/messages", &json!({ "to": to, "body": "Good morning", "category": "marketing" })).await;
        pass(&host, secs(3 + position as i64));
        bring(&host, &mut told).await;
    }
    let list = ask(&host, "/messages/bulk", &json!({ "recipients": "+12125550031\n+12125550032", "body": "For all" })).await;
    for _ in 0..8 {
        pass(&host, secs(5));
        host.drain_queue(host.clock.now()).await.unwrap();
        host.tick(host.clock.now()).await.unwrap();
    }
    bring(&host, &mut told).await;
    // Still the eleventh in New York, and something that waits for later that evening.
    host.clock.set(at("2026-03-12T00:30:00Z"));
    ask(&host, "/messages", &json!({ "to": ONE, "body": "Good night" })).await;
    ask(&host, "/messages", &json!({ "to": ONE, "body": "Later", "sendAt": "2026-03-12T02:00:00Z" })).await;
    pass(&host, secs(5));
    bring(&host, &mut told).await;

    let naive = ledger(&host, &told);
    (host, naive, list["id"].as_str().unwrap().to_string())
}

fn micros(value: &Value) -> i64 {
    Micros::parse(value.as_str().unwrap()).unwrap().0
}

fn sums(items: &Value) -> (u64, i64) {
    let items = items.as_array().unwrap();
    let messages = items.iter().map(|item| item["messages"].as_u64().unwrap()).sum();
    (messages, items.iter().map(|item| micros(&item["cost"])).sum())
}

fn find<'a>(items: &'a Value, field: &str, value: impl Into<Value>) -> &'a Value {
    let value = value.into();
    let found = items.as_array().unwrap().iter().find(|item| item[field] == value);
    found.unwrap_or_else(|| panic!("no {field} {value} in {items}"))
}

/// S0-58, S0-81..84, S1-10, S2-48..50, S3-71..73, S3-75..77, S4-46..48.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_is_a_naive_recount_of_the_ledger() {
    let (host, naive, list) = two_days().await;
    let all = Naive::all(naive.values());
    let table = host.cx.table().await.unwrap();
    let used = meter::used(table, &tenant(), "2026-03").await.unwrap();
    assert_eq!(used.0, all.cost, "the naive recount and the meter agree");

    let summary = look(&host, &format!("/analytics/summary?{SPAN}")).await;
    let span = &summary["span"];
    for (field, expected) in [
        ("sent", json!(all.sent)),
        ("delivered", json!(all.delivered)),
        ("failed", json!(all.failed)),
        ("refused", json!(REFUSED)),
        ("pending", json!(1)),
        ("skipped", json!(1)),
        ("total", json!(all.sent + REFUSED + 2)),
        ("received", json!(1)),
        ("simulated", json!(0)),
        ("cost", json!(used.to_string())),
        ("simulatedCost", json!("0.00")),
        ("deliveryRate", Naive::rate(all.delivered, all.sent)),
        ("failureRate", Naive::rate(all.failed, all.sent)),
        ("attempts", json!(all.sent + REFUSED + 1)),
    ] {
        assert_eq!(span[field], expected, "{field} of {span}");
    }
    let each = |count: u64| (all.cost + count as i64 / 2) / count as i64;
    assert_eq!(micros(&span["costPerMessage"]), each(all.sent));
    assert_eq!(micros(&span["costPerDelivered"]), each(all.delivered));
    assert_eq!(micros(&span["costPerAttempt"]), each(all.sent + REFUSED + 1), "the retry counts too");
    assert_eq!(
        span["byState"],
        json!({
            "pending": 1,
            "sent": all.sent - all.delivered - all.failed,
            "delivered": all.delivered,
            "failed": all.failed + REFUSED,
            "skipped": 1,
        })
    );
    assert_eq!((&summary["optOuts"], &summary["optOutsPerDelivered"]), (&json!(1), &Naive::rate(1, all.delivered)));
    let second = Naive::all(naive.iter().filter(|((day, _), _)| day == SECOND).map(|(_, part)| part));
    assert_eq!((&summary["today"]["sent"], &summary["today"]["delivered"]), (&json!(second.sent), &json!(second.delivered)));

    for channel in ["sms", "mms", "whatsapp", "voice"] {
        let part = Naive::all(naive.iter().filter(|((_, of), _)| *of == channel).map(|(_, part)| part));
        let view = find(&span["channels"], "channel", channel);
        let counts = [&view["sent"], &view["delivered"], &view["failed"], &view["segments"]];
        assert_eq!(
            counts,
            [part.sent, part.delivered, part.failed, part.segments].map(|count| json!(count)).each_ref(),
            "{channel}"
        );
        assert_eq!(micros(&view["cost"]), part.cost, "{channel}");
        assert_eq!(view["share"], Naive::rate(part.sent, all.sent), "{channel}");
    }

    let daily = look(&host, "/analytics/daily").await;
    let days = daily["items"].as_array().unwrap();
    assert_eq!((days.len(), days[0]["date"].as_str(), days[1]["date"].as_str()), (30, Some(SECOND), Some(FIRST)));
    assert_eq!(
        days[2],
        json!({
            "date": "2026-03-09", "total": 0, "sent": 0, "delivered": 0, "failed": 0, "refused": 0, "pending": 0,
            "skipped": 0, "received": 0, "cost": "0.00",
        })
    );
    // What opted out, and what waits, beside what was refused.
    for (day, refused, others) in [(FIRST, 3, 1), (SECOND, 1, 1)] {
        let part = Naive::all(naive.iter().filter(|((of, _), _)| of == day).map(|(_, part)| part));
        let view = find(&daily["items"], "date", day);
        let counts = [&view["total"], &view["sent"], &view["delivered"], &view["failed"]];
        let total = part.sent + refused + others;
        assert_eq!(counts, [total, part.sent, part.delivered, part.failed].map(|count| json!(count)).each_ref());
        assert_eq!(view["refused"], json!(refused), "{day}");
        assert_eq!(micros(&view["cost"]), part.cost, "{day}");
    }

    for by in ["day", "category", "channel", "template", "campaign", "provider", "type"] {
        let costs = look(&host, &format!("/analytics/costs?{SPAN}&by={by}")).await;
        assert_eq!(sums(&costs["items"]), (all.sent, all.cost), "{by}: {costs}");
        assert_eq!((&costs["by"], micros(&costs["cost"]), &costs["currency"]), (&json!(by), all.cost, &json!("USD")));
        let month = &costs["month"];
        assert_eq!((&month["month"], micros(&month["used"])), (&json!("2026-03"), all.cost));
        assert_eq!(micros(&month["remaining"]), 1_000_000_000 - all.cost);
        assert!(micros(&month["projected"]) > 2 * all.cost, "eleven days of thirty-one: {month}");
    }
    let campaigns = look(&host, &format!("/analytics/costs?{SPAN}&by=campaign")).await;
    let campaign = find(&campaigns["items"], "key", list.as_str());
    assert_eq!((&campaign["messages"], &campaign["delivered"], &campaign["cost"]), (&json!(2), &json!(2), &json!("0.0158")));
    let providers = look(&host, &format!("/analytics/costs?{SPAN}&by=provider")).await;
    assert_eq!(providers["items"].as_array().unwrap().len(), 1, "{providers}");
    assert_eq!((&providers["items"][0]["key"], &providers["items"][0]["share"]), (&json!("twilio"), &json!(1.0)));

    let templates = look(&host, "/analytics/templates").await;
    let used = &templates["items"][0];
    assert_eq!(templates["items"].as_array().unwrap().len(), 1, "{templates}");
    assert_eq!((&used["name"], &used["category"], &used["usageCount"]), (&json!("order_ready"), &json!("order"), &json!(1)));
    assert_eq!((&used["deliveryRate"], &used["cost"]), (&json!(1.0), &json!("0.0079")));
}

/// S1-12, S2-53, S3-36, S3-72.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_times_and_failures_are_those_that_twilio_told() {
    let (host, naive, _) = two_days().await;
    let all = Naive::all(naive.values());

    let delivery = look(&host, &format!("/analytics/delivery?{SPAN}")).await;

    let check = |view: &Value, part: &Naive| {
        assert_eq!((&view["sent"], &view["delivered"]), (&json!(part.sent), &json!(part.delivered)));
        assert_eq!(view["failed"], json!(part.failed));
        assert_eq!(view["timed"], json!(part.seconds.len()));
        assert_eq!((&view["medianSeconds"], &view["p95Seconds"]), (&part.percentile(50), &part.percentile(95)));
        let average = part.seconds.iter().sum::<i64>() as f64 / part.seconds.len() as f64;
        assert!((view["averageSeconds"].as_f64().unwrap() - average).abs() < 0.0001, "{view}");
    };
    assert!(all.seconds.iter().any(|secs| *secs > 80_000), "one came a day late: {:?}", all.seconds);
    check(&delivery["overall"], &all);
    assert_eq!(delivery["overall"]["refused"], json!(REFUSED));
    for channel in ["sms", "mms", "whatsapp", "voice"] {
        let part = Naive::all(naive.iter().filter(|((_, of), _)| *of == channel).map(|(_, part)| part));
        check(&find(&delivery["channels"], "channel", channel)["delivery"], &part);
    }
    let failures: BTreeMap<String, u64> = delivery["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            assert!(!failure["advice"].as_str().unwrap().is_empty() && !failure["title"].as_str().unwrap().is_empty());
            let key = failure["word"].as_str().map_or_else(|| failure["code"].to_string(), str::to_string);
            (key, failure["count"].as_u64().unwrap())
        })
        .collect();
    let expected = [("21211", 3), ("21217", 1), ("30003", 1), ("30008", 1), ("busy", 1)];
    assert_eq!(failures, BTreeMap::from(expected.map(|(key, count)| (key.to_string(), count))));
    assert_eq!(delivery["failures"][0]["class"], "permanent_recipient");
    assert_eq!((&delivery["skips"][0]["reason"], &delivery["skips"][0]["count"]), (&json!("opted_out"), &json!(1)));
}

/// S2-47, S3-35, S3-68.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_report_adds_up_and_is_the_admins() {
    let (host, naive, _) = two_days().await;
    let all = Naive::all(naive.values());

    let text = get_text(&host, "admin", "/analytics/costs/report?month=2026-03").await;

    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap().join(" "), "date channel category provider messages segments cost currency");
    let lines: Vec<Vec<&str>> = lines.collect();
    let (total, parts) = lines.split_last().unwrap();
    let cost = |line: &Vec<&str>| Micros::parse(line[6]).unwrap().0;
    let count = |line: &Vec<&str>, at: usize| line[at].parse::<u64>().unwrap();
    assert_eq!((total[0], total[3], total[7]), ("total", "twilio", "USD"));
    assert_eq!((count(total, 4), count(total, 5), cost(total)), (all.sent, all.segments, all.cost));
    assert_eq!(parts.iter().map(|line| count(line, 4)).sum::<u64>(), all.sent);
    assert_eq!(parts.iter().map(|line| count(line, 5)).sum::<u64>(), all.segments);
    assert_eq!(parts.iter().map(cost).sum::<i64>(), all.cost);
    for ((day, channel), part) in &naive {
        let of = parts.iter().filter(|line| line[0] == day && line[1] == *channel);
        assert_eq!(of.map(cost).sum::<i64>(), part.cost, "{day} {channel}");
    }
    for role in ["viewer", "staff"] {
        assert_eq!(get(&host, role, "/analytics/costs/report").await.0, StatusCode::FORBIDDEN);
    }
    let empty = get_text(&host, "admin", "/analytics/costs/report?month=2026-04").await;
    assert_eq!(empty.lines().nth(1), Some("total,,,twilio,0,0,0.00,USD"));
}

/// The report of a delivery, signed as Twilio signs.
async fn receipt(host: &Host, id: &str) -> Callback {
    let id = MessageId::parse(id).unwrap();
    let table = host.cx.table().await.unwrap();
    let message = messages::get_many(table, &tenant(), std::slice::from_ref(&id)).await.unwrap().pop().unwrap();
    let account = credentials(host).await;
    let params = [
        ("MessageSid", message.sid.unwrap()),
        ("MessageStatus", "delivered".to_string()),
        ("AccountSid", account.sid.clone()),
        ("To", ONE.to_string()),
        ("From", SENDER.to_string()),
    ];
    let url = format!("{}/twilio/{}/status?message={id}", host.webhook_url, tenant());
    signed(&account, &url, params.map(|(name, value)| (name.to_string(), value)).to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_receipt_counts_until_its_day_is_settled() {
    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(vec![Rule { fault: Fault::LostCallbacks, to: None, times: None, every: None }]);
    let mut ids = Vec::new();
    for to in [ONE, TWO] {
        let receipt = ask(&host, "/messages", &json!({ "to": to, "body": "Hello" })).await;
        ids.push(receipt["id"].as_str().unwrap().to_string());
    }
    let path = format!("/analytics/daily?from={FIRST}&to={FIRST}");
    let delivered = async || {
        let daily = look(&host, &path).await;
        let day = &daily["items"][0];
        assert_eq!((&day["date"], &day["sent"]), (&json!(FIRST), &json!(2)));
        (day["delivered"].as_u64().unwrap(), at(daily["asOf"].as_str().unwrap()))
    };
    host.clock.set(at("2026-03-11T16:00:00Z"));
    let counted_at = host.clock.now();
    assert_eq!(delivered().await, (0, counted_at));

    let late = receipt(&host, &ids[0]).await;
    assert_eq!(host.bring(&late, host.clock.now()).await, 204);
    pass(&host, secs(50));
    assert_eq!(delivered().await, (0, counted_at), "what was counted a moment ago is good enough, and says so");
    pass(&host, secs(10));
    assert_eq!(delivered().await, (1, host.clock.now()));

    // Five days after its end.
    host.clock.set(at("2026-03-16T12:00:00Z"));
    recount_days(&host.cx, host.clock.now()).await.unwrap();
    assert_eq!(recount_days(&host.cx, host.clock.now()).await.unwrap(), 5, "what is settled is not counted again");
    let too_late = receipt(&host, &ids[1]).await;
    assert_eq!(host.bring(&too_late, host.clock.now()).await, 204);
    pass(&host, SignedDuration::from_mins(2));
    host.aws.reset_requests();
    assert_eq!(delivered().await.0, 1);
    assert!(!host.aws.requests().contains_key("DynamoDB.Query"), "it is read: {:?}", host.aws.requests());
}

/// Whoever looks again in the same moment sees what came meanwhile, and as of when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn today_is_counted_each_time() {
    let host = quiet_machine(|_| {}).await;
    for count in 1..=3 {
        ask(&host, "/messages", &json!({ "to": ONE, "body": format!("Hello {count}") })).await;
        for path in ["/analytics/summary", "/analytics/live"] {
            let view = look(&host, path).await;
            assert_eq!(view["today"]["sent"], json!(count), "{path}: {view}");
            assert_eq!(at(view["asOf"].as_str().unwrap()), host.clock.now(), "{path}");
        }
        pass(&host, secs(1));
    }
    let table = host.cx.table().await.unwrap();
    let today = FIRST.parse().unwrap();
    assert!(statistics::get_many(table, &tenant(), &[today]).await.unwrap().is_empty(), "nothing is stored of what changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_was_sent_there_is_no_rate_and_bad_questions_are_told() {
    let host = quiet_machine(|_| {}).await;

    let summary = look(&host, "/analytics/summary").await;
    assert_eq!((summary["from"].as_str(), summary["to"].as_str()), (Some("2026-02-09"), Some(FIRST)));
    let span = &summary["span"];
    for field in ["deliveryRate", "failureRate", "costPerMessage", "costPerDelivered", "attemptsPerMessage", "costPerAttempt"] {
        assert_eq!(span[field], Value::Null, "{field}");
    }
    assert_eq!((&span["cost"], &span["channels"], &summary["optOutsPerDelivered"]), (&json!("0.00"), &json!([]), &Value::Null));
    let delivery = look(&host, "/analytics/delivery").await;
    let overall = &delivery["overall"];
    assert_eq!((&overall["medianSeconds"], &overall["averageSeconds"]), (&Value::Null, &Value::Null));
    assert_eq!((&delivery["failures"], &delivery["skips"]), (&json!([]), &json!([])));

    for (path, field) in [
        ("/analytics/summary?from=2026-03-11&to=2026-03-10", "to"),
        ("/analytics/daily?from=2025-02-01&to=2026-03-08", "to"),
        ("/analytics/delivery?from=1026-03-11", "from"),
        ("/analytics/live?limit=0", "limit"),
        ("/analytics/live?limit=201", "limit"),
        ("/analytics/estimate?amount=much", "amount"),
        ("/analytics/estimate?amount=15&currency=EUR", "currency"),
        ("/analytics/costs/report?month=2026-3", "month"),
        ("/analytics/costs/report?month=2026-03&from=2026-03-01", "month"),
        ("/messages?number=nobody", "number"),
    ] {
        let (status, problem) = get(&host, "admin", path).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{path}");
    }
    for path in ["/analytics/daily?from=yesterday", "/analytics/costs?by=colour", "/analytics/estimate", "/messages?order=newest"]
    {
        assert_eq!(get(&host, "viewer", path).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
}

/// S1-46, S1-47, S1-49.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_buys_so_many_texts_and_minutes() {
    let host = quiet_machine(|settings| settings.prices = Prices::default()).await;

    let trial = look(&host, "/analytics/estimate?amount=15&currency=usd").await;

    assert_eq!((&trial["sms"]["count"], &trial["sms"]["price"]), (&json!(2_000), &json!("0.0075")));
    assert_eq!((&trial["voice"]["count"], &trial["voice"]["price"]), (&json!(1_153), &json!("0.013")));
    assert_eq!((trial["amount"].as_str(), trial["currency"].as_str()), (Some("15.00"), Some("USD")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_simulated_costs_nothing_and_is_counted_apart() {
    let host = unconnected_machine(|_| {}).await;
    ask(&host, "/messages", &json!({ "to": ONE, "body": "Hello" })).await;

    let summary = look(&host, "/analytics/summary").await;
    let costs = look(&host, "/analytics/costs?by=provider").await;

    let today = &summary["today"];
    assert_eq!((&today["sent"], &today["delivered"], &today["simulated"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&today["cost"], &today["simulatedCost"]), (&json!("0.00"), &json!("0.0079")));
    assert_eq!(today["costPerMessage"], Value::Null);
    let item = &costs["items"][0];
    assert_eq!((&item["key"], &item["cost"], &item["simulatedCost"]), (&json!("simulated"), &json!("0.00"), &json!("0.0079")));
    assert_eq!((&costs["month"]["used"], &costs["month"]["simulatedUsed"]), (&json!("0.00"), &json!("0.0079")));
}

/// S3-74, S0-85, S2-51.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engagement_is_of_the_different_recipients() {
    let host = quiet_machine(|_| {}).await;
    for to in [ONE, TWO, TWO, THREE] {
        ask(&host, "/messages", &json!({ "to": to, "body": "Hello" })).await;
    }
    pass(&host, secs(30));
    for (from, body) in
        [(ONE, "Thank you"), (ONE, "See you"), (TWO, "STOP"), (TWO, "STOP"), (TWO, "UNSUBSCRIBE"), ("+12125550077", "STOP")]
    {
        pass(&host, secs(1));
        let text = host.inbound(&tenant(), from, SENDER, body).await.unwrap();
        assert_eq!(host.bring(&text, host.clock.now()).await, 200);
    }

    let engagement = look(&host, "/analytics/engagement").await;

    let counts = [&engagement["sent"], &engagement["recipients"], &engagement["received"], &engagement["optOuts"]];
    assert_eq!(counts, [&json!(4), &json!(3), &json!(6), &json!(2)], "who says it again says nothing new");
    assert_eq!((&engagement["responseRate"], &engagement["optOutRate"]), (&json!(0.6667), &json!(0.3333)));
}

async fn ids(host: &Host, path: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = look(host, &format!("{path}{cursor}")).await;
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_string()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

/// S0-76, S1-03, S1-07, S1-34, S1-35, S1-40, S1-41.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_filtered_and_read_from_either_end() {
    let host = quiet_machine(|_| {}).await;
    let order = json!({ "customer_name": "Ann", "order_number": 7, "restaurant_name": "Luigi's" });
    let mut sent = Vec::new();
    for (instant, path, body) in [
        ("2026-03-10T16:00:00Z", "/messages", json!({ "to": ONE, "body": "Hello", "category": "marketing", "reference": "r-1" })),
        (
            "2026-03-10T23:00:00Z",
            "/messages",
            json!({ "to": TWO, "template": "order ready", "variables": order, "reference": "r-2" }),
        ),
        ("2026-03-11T16:00:00Z", "/calls", json!({ "to": ONE, "say": "Hello", "reference": "r-1" })),
        ("2026-03-11T23:00:00Z", "/messages", json!({ "to": THREE, "body": "Hello" })),
        ("2026-03-12T00:10:00Z", "/messages", json!({ "to": INVALID, "body": "Hello" })),
    ] {
        host.clock.set(at(instant));
        sent.push(ask(&host, path, &body).await["id"].as_str().unwrap().to_string());
    }
    pass(&host, secs(60));
    let text = host.inbound(&tenant(), TWO, SENDER, "Thanks").await.unwrap();
    assert_eq!(host.bring(&text, host.clock.now()).await, 200);
    let span = "from=2026-03-10T00:00:00Z&to=2026-03-13T00:00:00Z";

    let earliest = ids(&host, &format!("/messages?{span}&limit=2")).await;
    let mut latest = ids(&host, &format!("/messages?{span}&limit=2&order=latest")).await;

    assert_eq!(earliest[..5], sent[..]);
    assert_eq!(earliest.len(), 6);
    latest.reverse();
    assert_eq!(latest, earliest);
    for (filter, expected) in [
        ("category=marketing", vec![0]),
        ("template=Order-Ready", vec![1]),
        ("reference=r-1", vec![0, 2]),
        ("reference=r-1&channel=sms", vec![0]),
        ("number=%28212%29%20555-0002", vec![1, 5]),
        ("number=+12125550003", vec![3]),
        ("status=failed", vec![4]),
        ("campaign=batch_0123456789abcdef0123456789abcdef", vec![]),
    ] {
        for order in ["earliest", "latest"] {
            let mut found = ids(&host, &format!("/messages?{span}&{filter}&order={order}&limit=1")).await;
            if order == "latest" {
                found.reverse();
            }
            let expected: Vec<String> = expected.iter().map(|at: &usize| earliest[*at].clone()).collect();
            assert_eq!(found, expected, "{filter} {order}");
        }
    }
    assert_eq!(ids(&host, &format!("/calls?{span}&order=latest")).await, [sent[2].clone()]);

    let live = look(&host, "/analytics/live?limit=3").await;
    let shown: Vec<&str> = live["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(shown, [&earliest[5], &earliest[4], &earliest[3]]);
    let says_nothing = |item: &Value| {
        let inbound = &item["inbound"];
        item["body"].is_null()
            && item["mediaUrls"] == json!([])
            && (inbound.is_null() || (inbound["params"] == json!({}) && inbound["media"] == json!([])))
    };
    assert!(live["items"].as_array().unwrap().iter().all(says_nothing), "{live}");
    assert_eq!(live["items"][0]["direction"], "in");
    let failed = &live["items"][1];
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("Failed"), &json!(21211)));
    assert_eq!((&live["today"]["failed"], &live["received"]), (&json!(1), &json!(1)));
}

/// A list's rows are found by its id, and what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_list_are_found_by_its_id() {
    let host = quiet_machine(|_| {}).await;
    let list = ask(&host, "/messages/bulk", &json!({ "recipients": [{ "to": ONE }, { "to": TWO }], "body": "For all" })).await;
    ask(&host, "/messages", &json!({ "to": ONE, "body": "For all" })).await;
    settle(&host, SignedDuration::from_mins(5)).await;

    let (_, rows) = get(&host, "viewer", &format!("/messages?campaign={}", list["id"].as_str().unwrap())).await;

    let rows = rows["items"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["list"] == list["id"] && row["state"] == "Delivered"), "{rows:?}");
}

fn alerts(host: &Host) -> Vec<(String, Value)> {
    let ours = host.aws.take_events().into_iter().filter(|event| event.detail_type.starts_with("alert."));
    ours.map(|event| (event.detail_type, event.detail)).collect()
}

/// S4-49, S3-79.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_told_once_until_it_is_over() {
    let host = quiet_machine(|settings| {
        settings.alerts =
            Alerts { failure_percent: Some(50), failure_minimum: 10, slow_seconds: Some(60), low_balance: Micros::parse("150") };
    })
    .await;
    let mut told = HashMap::new();
    for at in 0..5 {
        ask(&host, "/messages", &json!({ "to": format!("+1212555001{at}"), "body": "Hello" })).await;
        ask(&host, "/messages", &json!({ "to": INVALID, "body": format!("Hello {at}") })).await;
    }
    pass(&host, secs(120));
    bring(&host, &mut told).await;
    host.aws.refuse_events(true);
    assert_eq!(watch_health(&host.cx, host.clock.now()).await.unwrap(), 0);
    host.aws.refuse_events(false);
    alerts(&host);

    watch_health(&host.cx, host.clock.now()).await.unwrap();

    let events: BTreeMap<String, Value> = alerts(&host).into_iter().collect();
    assert_eq!(events.keys().collect::<Vec<_>>(), ["alert.failure_rate", "alert.low_balance", "alert.slow_delivery"]);
    let failing = &events["alert.failure_rate"];
    assert_eq!((&failing["failed"], &failing["messages"], &failing["percent"]), (&json!(5), &json!(10), &json!(50)));
    assert_eq!((&failing["tenant"], &failing["code"], &failing["threshold"]), (&json!("sample"), &json!(21211), &json!(50)));
    assert!(failing["advice"].as_str().unwrap().contains("format"), "{failing}");
    assert_eq!(events["alert.low_balance"]["balance"], "100.00");
    assert_eq!(events["alert.slow_delivery"]["medianSeconds"], 120);
    pass(&host, SignedDuration::from_mins(10));
    watch_health(&host.cx, host.clock.now()).await.unwrap();
    assert!(alerts(&host).is_empty(), "once is enough");

    // An hour in which nothing was sent says nothing.
    pass(&host, SignedDuration::from_hours(2));
    watch_health(&host.cx, host.clock.now()).await.unwrap();
    assert!(alerts(&host).is_empty());
    let mut settings = (*host.cx.settings(&tenant(), host.clock.now()).await.unwrap()).clone();
    settings.alerts.low_balance = Micros::parse("50");
    tenants::put_settings(host.cx.table().await.unwrap(), &tenant(), &settings).await.unwrap();
    host.cx.forget(&tenant());
    ask(&host, "/messages", &json!({ "to": ONE, "body": "Hello" })).await;
    pass(&host, secs(5));
    bring(&host, &mut told).await;
    watch_health(&host.cx, host.clock.now()).await.unwrap();
    let over = alerts(&host);
    let mut which: Vec<&str> = over.iter().map(|(_, detail)| detail["alert"].as_str().unwrap()).collect();
    which.sort_unstable();
    assert_eq!(which, ["alert.failure_rate", "alert.low_balance", "alert.slow_delivery"]);
    assert!(over.iter().all(|(name, detail)| name == "alert.recovered" && detail["since"].is_string()), "{over:?}");
    watch_health(&host.cx, host.clock.now()).await.unwrap();
    assert!(alerts(&host).is_empty());
}
