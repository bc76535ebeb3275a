//! `/campaigns`: what is accepted, for whom and what it says. Their files: `campaign_files`; how they go: `campaign_runs`.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use local::host::Host;
use serde_json::{Value, json};
use shared::domain::campaign::layout::{LARGEST_PART, MOST_PARTS, MOST_ROWS};
use shared::domain::money::Micros;
use shared::domain::tenant::{Senders, Settings};
use shared::store::{campaigns, meter, pace};

use crate::machine::{capture, get, patch, post, post_multipart, put_bytes, quiet_machine, tenant, unconnected_machine};

pub const SENDER: &str = "+15005550006";
/// Of a segment to anybody, by the sample's own prices.
pub const PRICE: i64 = 7_900;
pub const SECOND: SignedDuration = SignedDuration::from_secs(1);
pub const TICK: SignedDuration = SignedDuration::from_secs(10);

pub fn number(at: usize) -> String {
    format!("+1212{:07}", 5_550_000 + at)
}

/// A file of so many guests, each with a number of its own.
pub fn guests(count: usize) -> String {
    let rows = (0..count).map(|at| format!("{},Guest {at}\n", number(at)));
    std::iter::once("phone,name\n".to_string()).chain(rows).collect()
}

/// A machine whose sender is no bottleneck.
pub async fn quick_machine(change: impl FnOnce(&mut Settings)) -> Host {
    quiet_machine(|settings| {
        settings.pacing.sms = Some(100);
        change(settings);
    })
    .await
}

/// Asks for a campaign, and answers its id.
pub async fn begin(host: &Host, asked: &Value) -> String {
    let (status, campaign) = post(host, "staff", "/campaigns", None, asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{campaign}");
    campaign["id"].as_str().unwrap().to_string()
}

pub async fn look(host: &Host, id: &str) -> Value {
    let (status, campaign) = get(host, "viewer", &format!("/campaigns/{id}")).await;
    assert_eq!(status, StatusCode::OK, "{campaign}");
    campaign
}

pub async fn preview(host: &Host, asked: &Value) -> Value {
    let (status, preview) = post(host, "staff", "/campaigns/preview", None, asked).await;
    assert_eq!(status, StatusCode::OK, "{preview}");
    preview
}

/// Starts, pauses, resumes or cancels.
pub async fn act(host: &Host, id: &str, verb: &str) -> (StatusCode, Value) {
    post(host, "staff", &format!("/campaigns/{id}/{verb}"), None, &json!({})).await
}

/// The rows of a report, `limit` at a time.
pub async fn report(host: &Host, id: &str, query: &str, limit: u32) -> Vec<Value> {
    let first = format!("/campaigns/{id}/rows?limit={limit}{query}");
    let (mut rows, mut path) = (Vec::new(), first.clone());
    loop {
        let (status, page) = get(host, "viewer", &path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit as usize, "{page}");
        rows.extend(items.iter().cloned());
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => return rows,
        }
    }
}

pub async fn rows(host: &Host, id: &str) -> Vec<Value> {
    report(host, id, "", 200).await
}

/// How many rows there are of each outcome, and of each reason.
pub fn outcomes(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        let text = |field: &str| row[field].as_str();
        let word = text("outcome").unwrap().to_string();
        let word = text("reason").map_or(word.clone(), |reason| format!("{word}: {reason}"));
        *counts.entry(word).or_default() += 1;
    }
    counts
}

pub fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(word, count)| (word.to_string(), count)).collect()
}

/// Lets time pass. What is due within a `step` goes at its end, as between two ticks.
pub async fn pass(host: &Host, length: SignedDuration, step: SignedDuration) {
    let until = host.clock.now() + length;
    loop {
        let now = host.clock.now();
        host.drain_queue(now).await.unwrap();
        host.tick(now).await.unwrap();
        if now >= until {
            capture::keep_ledger(host);
            return;
        }
        host.clock.set((now + step).min(until));
    }
}

/// Lets time pass until a campaign is over and nothing of it waits; it must be soon.
pub async fn finish(host: &Host, id: &str) -> Value {
    for _ in 0..60 {
        pass(host, TICK, TICK).await;
        let campaign = look(host, id).await;
        match campaign["stage"].as_str() {
            Some("done") if count(&campaign["progress"]["pending"]) > 0 => {}
            Some("done" | "failed") => return campaign,
            _ => {}
        }
    }
    panic!("still not over: {}", look(host, id).await);
}

/// Brings the receipts of all that has gone.
pub async fn receive(host: &Host) {
    host.clock.set(host.clock.now() + SECOND * 2);
    for callback in host.twilio.take_callbacks() {
        assert!(host.bring(&callback, host.clock.now()).await.is_success());
    }
}

/// Whom messages went to and what they say, by number, but for the answers to texts.
pub fn sent(host: &Host) -> Vec<(String, String)> {
    let entries = host.twilio.ledger().into_iter().filter(|entry| entry.in_reply_to.is_none());
    let mut sent: Vec<(String, String)> = entries.map(|entry| (entry.to, entry.body)).collect();
    sent.sort();
    sent
}

/// Whom messages went to.
pub fn reached(host: &Host) -> Vec<String> {
    sent(host).into_iter().map(|(to, _)| to).collect()
}

pub async fn used(host: &Host) -> Micros {
    meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap()
}

pub fn money(value: &Value) -> Micros {
    Micros::parse(value.as_str().unwrap_or_else(|| panic!("no amount: {value}"))).unwrap()
}

/// What the rows come to, of a preview and of a campaign alike.
pub fn plan(view: &Value) -> &Value {
    &view["plan"]
}

pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn warnings(preview: &Value) -> Vec<&str> {
    preview["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

pub fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

pub async fn put_part(host: &Host, id: &str, part: usize, bytes: &[u8]) -> StatusCode {
    put_bytes(host, "staff", &format!("/campaigns/{id}/file/{part}"), bytes).await.0
}

/// Lets an upload go that has so many parts.
pub async fn complete(host: &Host, id: &str, parts: usize) -> (StatusCode, Value) {
    post(host, "staff", &format!("/campaigns/{id}/start"), None, &json!({ "parts": parts })).await
}

const LUIGI: [(&str, &str); 3] = [("restaurantName", "Luigi's"), ("offer", "Get 20% off!"), ("offerCode", "BACK20")];
/// S2-16, S2-17.
const LAPSED: &str =
    "customer_name,phone_number,last_order_date\nJohn Doe,+1234567890,2024-01-15\nJane Smith,1987654321,2024-01-10\n";

/// S2-01, S2-08, S2-14..17, S2-22..24, S2-31, S2-45, S2-46, S2-50.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_with_the_sample_file_sends_the_win_back_text() {
    capture::keep_secret(&["John Doe", "Jane Smith"]);
    let host = quiet_machine(|settings| {
        settings.name = "Luigi's".into();
        settings.prices.every_country.sms = Micros::parse("0.0075");
    })
    .await;
    let file = Some(("customers.csv", LAPSED.as_bytes()));

    let (previewed, shown) = post_multipart(&host, "staff", "/campaigns/preview", None, &LUIGI, file).await;
    let (status, campaign) = post_multipart(&host, "staff", "/campaigns", Some("k"), &LUIGI, file).await;

    assert_eq!((previewed, status), (StatusCode::OK, StatusCode::ACCEPTED), "{shown} {campaign}");
    let id = campaign["id"].as_str().unwrap();
    let done = finish(&host, id).await;
    let expected = [("+1234567890", "John Doe"), ("+11987654321", "Jane Smith")].map(|(to, name)| {
        let body = format!("Hi {name}! We miss you at Luigi's! Get 20% off! Use code BACK20. Reply STOP to unsubscribe.");
        (to.to_string(), body)
    });
    let mut by_number = expected.clone();
    by_number.sort();
    assert_eq!(sent(&host), by_number);
    let samples: Vec<(&str, &str)> =
        shown["samples"].as_array().unwrap().iter().map(|sample| (text(sample, "to"), text(sample, "body"))).collect();
    assert_eq!(samples, expected.each_ref().map(|(to, body)| (to.as_str(), body.as_str())));
    assert!(id.starts_with("campaign_") && done["stage"] == "done", "{done}");
    let progress = &done["progress"];
    assert_eq!((count(&progress["sent"]), count(&progress["failed"])), (2, 0), "{progress}");
    assert_eq!((money(&progress["cost"]), money(&plan(&shown)["cost"])), (Micros(15_000), Micros(15_000)));
    receive(&host).await;
    assert_eq!(count(&look(&host, id).await["progress"]["delivered"]), 2);
}

/// S2-25: without a file a preview is of the text alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_needs_no_file_and_writes_nothing() {
    let host = quiet_machine(|_| {}).await;

    let (status, form) = post_multipart(&host, "staff", "/campaigns/preview", None, &LUIGI, None).await;
    let json = preview(&host, &json!({ "body": "Hi {name}, the spring concert is on Sunday." })).await;
    preview(&host, &json!({ "body": "Hi {name}", "customerList": guests(20) })).await;

    assert_eq!(status, StatusCode::OK, "{form}");
    for view in [&form, &json] {
        assert_eq!((count(&plan(view)["rows"]), count(&plan(view)["going"])), (0, 0), "{view}");
    }
    assert!(form.to_string().contains("We miss you at "), "{form}");
    let (_, page) = get(&host, "viewer", "/campaigns").await;
    assert_eq!(page["items"], json!([]));
    assert!(!host.aws.items().iter().any(|item| item["pk"]["S"].as_str().unwrap_or_default().contains("#CAMPAIGN#")));
}

/// S2-04, S2-18..21, S2-43.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_become_e164() {
    let host = quiet_machine(|_| {}).await;
    for (given, e164) in [
        ("1234567890", "+11234567890"),
        ("+1234567890", "+1234567890"),
        ("(123) 456-7890", "+11234567890"),
        ("123-456-7890", "+11234567890"),
        ("1987654321", "+11987654321"),
        ("\u{a0}+44 7700 900213\u{200b}", "+447700900213"),
        ("12125550001.", "+12125550001"),
    ] {
        let file = format!("phone\n{given}\n");
        let shown = preview(&host, &json!({ "body": "Hello", "customerList": file })).await;
        assert_eq!(shown["samples"][0]["to"], e164, "{given}: {shown}");
    }
}

/// S1-02, S1-25..30, S4-07, S4-08.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_source_reaches_everybody_once() {
    let host = quick_machine(|_| {}).await;
    let zoe = json!({ "id": "P-1", "name": "Zoe Hart", "phone": "(212) 555-0161", "groups": ["Beginners", "Choir"] });
    assert!(post(&host, "staff", "/contacts", None, &zoe).await.0.is_success());
    let with = |field: &str, value: Value| json!({ "body": "Linden: hello. Reply STOP.", field: value });
    let pasted = "\u{feff}+12125550011, 2125550012\r\n\n212-555-0013;(212) 555-0014\nnonsense\n+1 212 555 0011";

    let list = begin(&host, &with("customerList", json!(guests(3)))).await;
    let text_of_numbers = begin(&host, &with("recipients", json!(pasted))).await;
    let numbers = begin(&host, &with("recipients", json!(["+12125550021", "2125550022"]))).await;
    let mut groups = with("groups", json!(["Beginners", "Choir"]));
    groups["body"] = json!("Linden: hello {name}, {instrument|music} at six. Reply STOP.");
    let groups = begin(&host, &groups).await;
    for id in [&list, &text_of_numbers, &numbers, &groups] {
        assert_eq!(finish(&host, id).await["stage"], "done");
    }

    assert_eq!(outcomes(&rows(&host, &list).await), counts([("sent", 3)]));
    let excluded = [("excluded: duplicate", 1), ("excluded: invalid_number", 1), ("sent", 4)];
    assert_eq!(outcomes(&rows(&host, &text_of_numbers).await), counts(excluded));
    assert_eq!(outcomes(&rows(&host, &numbers).await), counts([("sent", 2)]));
    let members: Vec<(String, String)> = rows(&host, &groups)
        .await
        .iter()
        .map(|row| (text(row, "contactId").to_string(), format!("{}{}", text(row, "outcome"), text(row, "reason"))))
        .collect();
    let expected =
        [("P-1", "sent"), ("S06", "sent"), ("S07", "excludedopted_out"), ("S08", "sent"), ("S09", "excludedinvalid_number")];
    assert_eq!(members, expected.map(|(id, outcome)| (id.to_string(), outcome.to_string())));
    let mut to: Vec<String> = [0, 1, 2, 11, 12, 13, 14, 21, 22, 161].map(number).to_vec();
    to.extend(["+15550100205", "+15550100208"].map(str::to_string));
    to.sort();
    assert_eq!(reached(&host), to);
    let finn = sent(&host).into_iter().find(|(to, _)| to == "+15550100205").unwrap();
    assert_eq!(finn.1, "Linden: hello Finn Larsen, guitar at six. Reply STOP.");
    let zoe = sent(&host).into_iter().find(|(to, _)| *to == number(161)).unwrap();
    assert_eq!(zoe.1, "Linden: hello Zoe Hart, music at six. Reply STOP.");
}

/// D2, S2-08: what a row lacks the request may say for all, and the text for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rows_own_value_comes_first_then_the_requests_then_the_texts_default() {
    let host = quick_machine(|_| {}).await;
    let asked = json!({
        "body": "Linden: hi {{first_name}} in {town|town}, {Offer}. Reply STOP.",
        "customerList": "First Name,phone,town\nAna,2125550001,Rome\n,2125550002,\nBen,2125550003,\n",
        "variables": { "firstName": "friend", "offer": "20% off" },
    });

    let id = begin(&host, &asked).await;
    finish(&host, &id).await;

    let said: Vec<String> = sent(&host).into_iter().map(|(_, body)| body).collect();
    let expected = ["hi Ana in Rome", "hi friend in town", "hi Ben in town"];
    assert_eq!(said, expected.map(|hi| format!("Linden: {hi}, 20% off. Reply STOP.")));
}

/// S2-15, D11. Thirty days before the tenth of March is the eighth of February.
const ORDERS: &str = concat!(
    "name,phone,last_order_date\n",
    "A,2125550001,2026-02-09\n",
    "B,2125550002,2026-02-08\n",
    "C,2125550003,2026-02-07\n",
    "D,2125550004,last summer\n",
    "E,2125550005,\n",
    "F,2125550006,2027-01-01\n",
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_lapsed_customers_get_it_and_the_others_are_told() {
    let host = quick_machine(|_| {}).await;
    let asked = |days: Option<u32>| {
        let mut asked = json!({ "body": "Linden: we miss you. Reply STOP.", "customerList": ORDERS });
        if let Some(days) = days {
            asked["lapsedAfterDays"] = json!(days);
        }
        asked
    };
    let excluded = |view: &Value| (count(&plan(view)["going"]), plan(view)["excluded"].clone());
    let usual = (2, json!({ "not_lapsed": 2, "unknown_date": 2 }));
    for (days, expected) in [
        (None, usual.clone()),
        (Some(30), usual.clone()),
        (Some(29), (3, json!({ "not_lapsed": 1, "unknown_date": 2 }))),
        (Some(31), (1, json!({ "not_lapsed": 3, "unknown_date": 2 }))),
        (Some(0), (6, json!({}))),
    ] {
        assert_eq!(excluded(&preview(&host, &asked(days)).await), expected, "{days:?}");
    }
    let no_dates = json!({ "body": "Hello", "customerList": guests(2) });
    assert_eq!(count(&plan(&preview(&host, &no_dates).await)["going"]), 2, "nobody's date is asked for");
    let mut lacking = no_dates;
    lacking["lapsedAfterDays"] = json!(30);
    for path in ["/campaigns/preview", "/campaigns"] {
        let (status, problem) = post(&host, "staff", path, None, &lacking).await;
        assert_eq!((status, text(&problem["errors"][0], "field")), (StatusCode::UNPROCESSABLE_ENTITY, "lapsedAfterDays"));
    }

    let id = begin(&host, &asked(None)).await;
    let done = finish(&host, &id).await;
    assert_eq!(excluded(&done), usual);
    assert_eq!(reached(&host), [2, 3].map(number));
    // It is still the tenth in New York, and the eleventh in Greenwich.
    host.clock.set("2026-03-11T03:30:00Z".parse().unwrap());
    assert_eq!(excluded(&preview(&host, &asked(None)).await), usual);
}

async fn stop(host: &Host, from: &str) {
    let text = host.inbound(&tenant(), from, SENDER, "Opt out!").await.unwrap();
    assert!(host.bring(&text, host.clock.now()).await.is_success());
}

/// S1-56, S0-102, S3-56.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_it_who_does_not_want_it() {
    let host = quick_machine(|_| {}).await;
    let refuses = json!({ "id": "P-1", "name": "Ida", "phone": number(3), "optedOutCategories": ["marketing"] });
    assert!(post(&host, "staff", "/contacts", None, &refuses).await.0.is_success());
    for (at, category) in [(1, "marketing"), (2, "lessons")] {
        let no = json!({ "number": number(at), "categories": [category] });
        assert_eq!(post(&host, "staff", "/opt-outs", None, &no).await.0, StatusCode::OK);
    }
    stop(&host, &number(0)).await;
    // S07 of the school's own records.
    let file = format!("{}+15550100207,Gus\n", guests(6));
    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": file, "hold": true });

    let shown = preview(&host, &asked).await;
    let id = begin(&host, &asked).await;
    pass(&host, TICK, TICK).await;
    let held = look(&host, &id).await;
    // Held back, it is time to change one's mind.
    stop(&host, &number(4)).await;
    assert_eq!(act(&host, &id, "start").await.0, StatusCode::ACCEPTED);
    let done = finish(&host, &id).await;

    assert_eq!(plan(&shown)["excluded"], json!({ "opted_out": 4 }), "{shown}");
    assert_eq!(held["stage"], "held");
    assert_eq!(plan(&held), plan(&shown));
    let lines: Vec<(u64, u64)> = rows(&host, &id)
        .await
        .iter()
        .filter(|row| row["reason"] == "opted_out")
        .map(|row| (count(&row["line"]), u64::from(row["outcome"] == "skipped")))
        .collect();
    assert_eq!(lines, [(2, 0), (3, 0), (5, 0), (6, 1), (8, 0)]);
    assert_eq!(reached(&host), [2, 5].map(number));
    assert_eq!(count(&done["progress"]["skipped"]), 1, "{done}");
    // What is no advertising they get.
    let mut reminder = asked;
    reminder["category"] = json!("lessons");
    let other = preview(&host, &reminder).await;
    assert_eq!(plan(&other)["excluded"], json!({ "opted_out": 4 }), "two stopped, S07 and the one of lessons: {other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_for_one_campaign() {
    let host = quick_machine(|_| {}).await;
    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": guests(5) });
    let with_key = async |key: &'static str, asked: &Value| post(&host, "staff", "/campaigns", Some(key), asked).await;

    let (first, second) = tokio::join!(with_key("k", &asked), with_key("k", &asked));
    let third = with_key("k", &asked).await;
    let file = Some(("customers.csv", LAPSED.as_bytes()));
    let form = post_multipart(&host, "staff", "/campaigns", Some("f"), &LUIGI, file).await;
    let form_again = post_multipart(&host, "staff", "/campaigns", Some("f"), &LUIGI, file).await;

    assert_eq!((first.0, second.0, third.0), (StatusCode::ACCEPTED, StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{}", first.1);
    let id = first.1["id"].as_str().unwrap();
    assert_eq!((second.1["id"].as_str(), third.1["id"].as_str()), (Some(id), Some(id)));
    assert_eq!((form.0, form_again.0), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{}", form_again.1);
    assert_eq!(form.1["id"], form_again.1["id"], "a browser draws another boundary");
    let taken = |answer: (StatusCode, Value)| {
        assert_eq!((answer.0, answer.1["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")))
    };
    let mut other = asked.clone();
    other["customerList"] = json!(guests(6));
    taken(with_key("k", &other).await);
    let single = json!({ "to": number(1), "body": "Hello" });
    assert_eq!(post(&host, "staff", "/messages", Some("m"), &single).await.0, StatusCode::ACCEPTED);
    taken(with_key("m", &asked).await);
    taken(post(&host, "staff", "/messages", Some("k"), &single).await);
    finish(&host, id).await;
    assert_eq!(with_key("k", &asked).await.1["id"], id, "long after, too");
    let (_, page) = get(&host, "viewer", "/campaigns").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2, "{page}");
    let to = reached(&host);
    assert_eq!(to.iter().filter(|to| to.starts_with("+1212")).count(), 6, "five, and the single one: {to:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaigns_are_listed_the_newest_first() {
    let host = quick_machine(|_| {}).await;
    let mut ids = Vec::new();
    for at in 0..3 {
        let asked = json!({ "name": format!("Spring {at}"), "body": "Linden: hello. Reply STOP.", "recipients": number(at) });
        ids.push(begin(&host, &asked).await);
        pass(&host, TICK, TICK).await;
    }
    ids.reverse();

    let (_, first) = get(&host, "viewer", "/campaigns?limit=2").await;
    let next = first["nextCursor"].as_str().unwrap();
    let (_, second) = get(&host, "viewer", &format!("/campaigns?limit=2&cursor={next}")).await;

    let items = |page: &Value| page["items"].as_array().unwrap().clone();
    let all: Vec<Value> = items(&first).into_iter().chain(items(&second)).collect();
    assert_eq!(all.iter().map(|one| text(one, "id")).collect::<Vec<_>>(), ids);
    assert_eq!((items(&first).len(), text(&all[0], "name"), &second["nextCursor"]), (2, "Spring 2", &Value::Null));
}

/// S1-57, S1-60, S1-61, S1-63.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advertising_names_its_sender_and_the_way_out() {
    let host = quick_machine(|_| {}).await;
    let name = "Linden Street School of Music";
    let shown = async |asked: Value| {
        let mut asked = asked;
        asked["recipients"] = json!(number(1));
        let shown = preview(&host, &asked).await;
        let said = shown["samples"][0]["body"].as_str().unwrap().to_string();
        (said, shown)
    };

    let (said, view) = shown(json!({ "body": "Come on Sunday." })).await;
    assert!(said.contains("Come on Sunday.") && said.contains(name) && said.ends_with("Reply STOP to opt out."), "{said}");
    assert_eq!(warnings(&view), Vec::<&str>::new());
    // Twice would be once too often.
    for own in ["Linden Street: come on Sunday. Text STOP to end.", "Linden Street: come. To unsubscribe, text END"] {
        assert_eq!(shown(json!({ "body": own })).await.0, own);
    }
    let none = json!({ "body": "Come on Sunday.", "optOutText": null, "namesSender": false });
    let (said, view) = shown(none).await;
    assert_eq!(said, "Come on Sunday.");
    assert_eq!(warnings(&view), ["no_opt_out_text", "sender_not_named"]);
    let own = json!({ "body": "Linden Street: come on Sunday.", "optOutText": "Unsubscribe: text STOP." });
    let (said, _) = shown(own).await;
    assert!(said.starts_with("Linden Street: come on Sunday.") && said.ends_with("Unsubscribe: text STOP."), "{said}");
    // What is no advertising is left alone.
    assert_eq!(shown(json!({ "body": "No lessons today.", "category": "schedule" })).await.0, "No lessons today.");
    let (_, spam) = shown(json!({ "body": "Linden Street: you are a WINNER, act now!!! Reply STOP." })).await;
    assert!(warnings(&spam).contains(&"spam_triggers"), "{spam}");
    let why = spam["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == "spam_triggers").unwrap();
    assert!(["winner", "act now", "!!!"].iter().all(|word| text(why, "text").contains(word)), "{why}");

    let settings = json!({ "campaigns": { "optOutText": "Text STOP to leave.", "namesSender": false } });
    let (status, changed) = patch(&host, "admin", "/settings", &settings).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    let (said, _) = shown(json!({ "body": "Come on Sunday." })).await;
    assert!(said.starts_with("Come on Sunday.") && said.ends_with("Text STOP to leave."), "{said}");
    let id = begin(&host, &json!({ "body": "Come on Sunday.", "recipients": number(1) })).await;
    finish(&host, &id).await;
    assert_eq!(sent(&host), [(number(1), said)]);
    let bad = json!({ "campaigns": { "optOutText": "Good bye." } });
    assert_eq!(patch(&host, "admin", "/settings", &bad).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

/// S1-64.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_had_advertising_today_gets_no_more() {
    let host = quick_machine(|settings| settings.frequency_cap = Some(1)).await;
    let single = json!({ "to": number(0), "body": "Linden: today only. Reply STOP.", "category": "marketing" });
    assert_eq!(post(&host, "staff", "/messages", None, &single).await.0, StatusCode::ACCEPTED);

    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": guests(3) });
    let shown = preview(&host, &asked).await;
    let mut schedule = asked.clone();
    schedule["category"] = json!("schedule");
    let urgent = preview(&host, &schedule).await;
    let id = begin(&host, &asked).await;
    let done = finish(&host, &id).await;
    let (status, changed) = patch(&host, "admin", "/settings", &json!({ "frequencyCap": null })).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    let free = preview(&host, &asked).await;

    assert_eq!((&shown["capped"], &urgent["capped"], &free["capped"]), (&json!(1), &json!(0), &Value::Null));
    assert_eq!(count(&plan(&shown)["going"]), 3, "it may be otherwise when it goes: {shown}");
    assert_eq!(outcomes(&rows(&host, &id).await), counts([("sent", 2), ("skipped: frequency_cap", 1)]));
    assert_eq!((count(&done["progress"]["skipped"]), count(&done["progress"]["sent"])), (1, 2), "{done}");
    assert_eq!(reached(&host), [0, 1, 2].map(number), "the first had the single one");
}

fn is_refused(answer: &(StatusCode, Value), word: &str) -> bool {
    let errors = answer.1["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told =
        |error: &Value| format!("{} {} {}", text(error, "field"), text(error, "code"), text(error, "reason")).contains(word);
    answer.0 == StatusCode::UNPROCESSABLE_ENTITY && errors.iter().any(told)
}

/// S2-05, S3-80: what cannot be right is said before anything is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_right_is_refused_with_what_to_do() {
    let host = quiet_machine(|_| {}).await;
    let with = |changes: Value| {
        let mut asked = json!({ "body": "Hi {name}", "customerList": guests(2) });
        for (field, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => _ = asked.as_object_mut().unwrap().remove(field),
                value => asked[field] = value.clone(),
            }
        }
        asked
    };
    let cases = [
        (json!({ "customerList": "customer,town\nAna,Rome\n" }), "town"),
        (json!({ "phoneColumn": "handy" }), "handy"),
        (json!({ "customerList": "" }), "customerList"),
        (json!({ "customerList": "\u{feff}\r\n\r\n" }), "customerList"),
        (json!({ "body": null, "template": "no such thing" }), "unknown_template"),
        (json!({ "template": "win_back" }), "exclusive"),
        (json!({ "body": "Hi {surname}" }), "surname"),
        (json!({ "body": "Hi {sur name}" }), "bad_template"),
        (json!({ "body": " " }), "body"),
        (json!({ "body": "x".repeat(1_601) }), "body"),
        (json!({ "recipients": number(1) }), "recipients"),
        (json!({ "customerList": null, "groups": ["nobody"], "body": "Hi" }), "unknown_group"),
        (json!({ "customerList": null, "recipients": " \n", "body": "Hi" }), "recipients"),
        (json!({ "lapsedAfterDays": 7 }), "lapsedAfterDays"),
        (json!({ "channel": "mms" }), "mediaUrls"),
        (json!({ "channel": "voice" }), "channel"),
        (json!({ "channel": "whatsapp" }), "needs_content"),
        (json!({ "category": "adverts" }), "category"),
        (json!({ "mediaUrls": ["ftp://example.com/a.jpg"], "channel": "mms" }), "mediaUrls"),
        (json!({ "sendAt": "2026-03-09T16:00:00Z" }), "sendAt"),
        (json!({ "optOutText": "Good bye." }), "optOutText"),
        (json!({ "colour": "red" }), "colour"),
    ];
    for (changes, word) in cases {
        for path in ["/campaigns/preview", "/campaigns"] {
            let answer = post(&host, "staff", path, None, &with(changes.clone())).await;
            assert!(is_refused(&answer, word), "{path} {changes}: {answer:?}");
        }
    }
    let nobody = post(&host, "staff", "/campaigns", None, &with(json!({ "customerList": null }))).await;
    assert!(is_refused(&nobody, "customerList"), "{nobody:?}");
    let excel = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xb5U0#\xf4\0\0\0";
    for bytes in [&excel[..], &b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old workbook"[..]] {
        let form = post_multipart(&host, "staff", "/campaigns", None, &LUIGI, Some(("a.xlsx", bytes))).await;
        assert!(is_refused(&form, "CSV"), "{form:?}");
    }
    assert!(is_refused(
        &post_multipart(&host, "staff", "/campaigns", None, &LUIGI, Some(("a.csv", &b""[..]))).await,
        "customerList"
    ));
    let large = vec![b'x'; 3 * 1024 * 1024 + 1];
    let form = post_multipart(&host, "staff", "/campaigns", None, &LUIGI, Some(("a.csv", large.as_slice()))).await;
    assert_eq!(form.0, StatusCode::PAYLOAD_TOO_LARGE, "{}", form.1);

    let (_, page) = get(&host, "viewer", "/campaigns").await;
    assert_eq!(page["items"], json!([]));
    assert!(!host.aws.items().iter().any(|item| item["pk"]["S"].as_str().unwrap_or_default().contains("#CAMPAIGN#")));
}

/// S2-37: as long as there is no account, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_without_a_sender() {
    let host = unconnected_machine(|settings| settings.senders = Senders::default()).await;
    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": guests(1) });

    for path in ["/campaigns/preview", "/campaigns"] {
        let answer = post(&host, "staff", path, None, &asked).await;
        assert!(is_refused(&answer, "channel no_sender") && is_refused(&answer, "senders.sms"), "{answer:?}");
    }
    let (status, changed) = patch(&host, "admin", "/settings", &json!({ "senders": { "sms": SENDER } })).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(count(&plan(&preview(&host, &asked).await)["going"]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_with_what_to_do() {
    let host = quiet_machine(|_| {}).await;
    let rows = "1\n".repeat(100_001);
    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": format!("phone\n{rows}") });
    let answer = post(&host, "staff", "/campaigns/preview", None, &asked).await;
    assert!(is_refused(&answer, "too_many_rows") && is_refused(&answer, "upload: true"), "{answer:?}");

    for (before, stage) in [(MOST_ROWS - 2, "held"), (MOST_ROWS - 1, "failed")] {
        let id = begin(&host, &json!({ "body": "Linden: hello. Reply STOP.", "upload": true, "hold": true })).await;
        assert_eq!(put_part(&host, &id, 0, guests(2).as_bytes()).await, StatusCode::NO_CONTENT);
        // So many rows of it are planned already.
        let table = host.cx.table().await.unwrap();
        let mut campaign = campaigns::get(table, &tenant(), &id).await.unwrap().unwrap();
        campaign.summary.rows = before;
        assert!(campaigns::update(table, &tenant(), &mut campaign).await.unwrap());
        assert_eq!(complete(&host, &id, 1).await.0, StatusCode::ACCEPTED);
        pass(&host, TICK, TICK).await;
        let campaign = look(&host, &id).await;
        assert_eq!(campaign["stage"], stage, "{campaign}");
        assert_eq!(text(&campaign, "failure").contains("split it"), stage == "failed", "{campaign}");
    }
}

/// S1-55, S2-46: before it is started, what the preview says of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_campaign_says_what_speaks_against_it() {
    let host = quiet_machine(|settings| settings.budget.monthly_limit = Some(Micros(PRICE))).await;
    let body = "Linden Street: you are a WINNER, act now!!! Reply STOP.";
    let asked = json!({ "body": body, "customerList": guests(3), "hold": true });

    let shown = preview(&host, &asked).await;
    let id = begin(&host, &asked).await;
    pass(&host, TICK, TICK).await;
    let held = look(&host, &id).await;

    assert_eq!((held["stage"].as_str(), &held["fits"]), (Some("held"), &json!(false)), "{held}");
    assert!(warnings(&held).contains(&"spam_triggers"), "{held}");
    for field in ["room", "fits", "warnings"] {
        assert_eq!(held[field], shown[field], "{field}");
    }
    let (_, page) = get(&host, "viewer", "/campaigns").await;
    assert_eq!(page["items"][0].get("fits"), None);
    assert_eq!(act(&host, &id, "start").await.0, StatusCode::ACCEPTED);
    assert_eq!(look(&host, &id).await.get("fits"), None);
}

/// What the sender has taken on already goes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_finishes_when_its_sender_comes_to_it() {
    let host = quiet_machine(|_| {}).await;
    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": guests(1), "hold": true });
    let id = begin(&host, &asked).await;
    pass(&host, TICK, TICK).await;
    let busy = host.clock.now() + SECOND * 600;
    pace::block(host.cx.table().await.unwrap(), &tenant(), &pace::of_lists(SENDER), busy).await.unwrap();

    for view in [preview(&host, &asked).await, look(&host, &id).await] {
        let told: Timestamp = view["finishesAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(told, busy + SECOND, "{view}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_ids_are_asked_for() {
    let host = quick_machine(|_| {}).await;
    let asked = json!({ "body": "Linden: hello. Reply STOP.", "customerList": guests(1), "hold": true });
    let id = begin(&host, &asked).await;
    let upload = begin(&host, &json!({ "body": "Linden: hello. Reply STOP.", "upload": true })).await;
    pass(&host, TICK, TICK).await;

    for path in ["/campaigns", "/campaigns/preview"] {
        assert_eq!(post(&host, "viewer", path, None, &asked).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    for verb in ["start", "pause", "resume", "cancel"] {
        let path = format!("/campaigns/{id}/{verb}");
        assert_eq!(post(&host, "viewer", &path, None, &json!({})).await.0, StatusCode::FORBIDDEN, "{verb}");
        for unknown in [format!("campaign_{}", "0".repeat(32)), "nonsense".into()] {
            assert_eq!(act(&host, &unknown, verb).await.0, StatusCode::NOT_FOUND, "{verb}");
        }
    }
    let file = format!("/campaigns/{upload}/file/0");
    assert_eq!(put_bytes(&host, "viewer", &file, b"phone\n").await.0, StatusCode::FORBIDDEN);
    assert_eq!(put_part(&host, "nonsense", 0, b"phone\n").await, StatusCode::NOT_FOUND);
    assert_eq!(put_part(&host, &upload, MOST_PARTS as usize, b"phone\n").await, StatusCode::UNPROCESSABLE_ENTITY);
    let too_many = complete(&host, &upload, MOST_PARTS as usize + 1).await;
    assert!(is_refused(&too_many, "parts invalid"), "{too_many:?}");
    assert_eq!(put_part(&host, &upload, 0, &vec![b'x'; LARGEST_PART + 1]).await, StatusCode::PAYLOAD_TOO_LARGE);
    for path in ["", "/rows", "/rows.csv"] {
        assert_eq!(get(&host, "viewer", &format!("/campaigns/nonsense{path}")).await.0, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(get(&host, "viewer", &format!("/campaigns/{id}{path}")).await.0, StatusCode::OK, "{path}");
    }
    let (status, problem) = get(&host, "viewer", &format!("/campaigns/{id}/rows?outcome=lost")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(look(&host, &id).await["stage"], "held");
    let asked_at: Timestamp = look(&host, &id).await["createdAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(asked_at.to_string(), "2026-03-10T16:00:00Z");
    assert!(sent(&host).is_empty());
}
