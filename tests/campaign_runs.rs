//! Campaigns while they go: as their preview said, held, paused and canceled, through the night and the end of the month, out
//! of money, and who goes before them. What stands in their way: `campaign_trouble`.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use local::host::Host;
use local::twilio::{Fault, Rule};
use serde_json::{Value, json};
use shared::domain::contact::Contact;
use shared::domain::local_time::Zone;
use shared::domain::money::Micros;
use shared::domain::phone::PhoneNumber;
use shared::domain::tenant::TenantId;
use shared::store::{contacts, meter, pots, tenants};

use crate::campaigns::{
    PRICE, SECOND, SENDER, TICK, act, begin, count, counts, finish, guests, look, money, number, outcomes, pass, plan, preview,
    quick_machine, reached, receive, report, rows, sent, text, used,
};
use crate::machine::{get_text, messages_of, patch, post, quiet_machine, sample, tenant, unconnected_machine};
use crate::tenants::{ask, of};

pub const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// As many as the sender takes in half a minute: they may be on their way when somebody stops a campaign.
const PIECE: usize = 30;

fn asked(count: usize) -> Value {
    json!({ "body": "Linden: hi {name}. Reply STOP.", "customerList": guests(count) })
}

fn with(mut asked: Value, field: &str, value: Value) -> Value {
    asked[field] = value;
    asked
}

/// So many guests got it, each once.
pub fn assert_each_once(host: &Host, count: usize) {
    let mut expected: Vec<String> = (0..count).map(number).collect();
    expected.sort();
    assert_eq!(reached(host), expected);
}

fn created(host: &Host) -> Vec<Timestamp> {
    let mut all: Vec<Timestamp> = host.twilio.ledger().iter().map(|entry| entry.created).collect();
    all.sort();
    all
}

pub async fn reserved(host: &Host, id: &str) -> Micros {
    pots::get(host.cx.table().await.unwrap(), &tenant(), id).await.unwrap().held
}

fn assert_refused(answer: &(StatusCode, Value)) {
    let is_said = ["code", "detail"].iter().all(|field| answer.1[*field].as_str().is_some_and(|said| !said.is_empty()));
    assert!(answer.0 == StatusCode::CONFLICT && is_said, "{answer:?}");
}

/// Each guest's name is one of four kinds: in GSM-7, with a look-alike there, without one, and with an emoji.
fn guests_in_unicode(count: usize) -> String {
    let names = ["Ana", "O’Brien", "Zoë", "Nia 🎻 – Park"];
    let mut file: String =
        (0..count).fold("phone,name\n".into(), |file, at| file + &format!("{},{}\n", number(at), names[at % 4]));
    file += "2125550000,the first again\n12345,short\n+15550100207,opted out\n2125550999,\n";
    file
}

fn forcing(view: &Value) -> BTreeMap<String, (u64, Vec<u64>, Option<String>)> {
    let characters = plan(view)["ucs2"]["characters"].as_array().unwrap().iter();
    let told = |one: &Value| {
        let lines: Vec<u64> = one["lines"].as_array().unwrap().iter().map(count).collect();
        (count(&one["messages"]), lines, one["replacement"].as_str().map(str::to_string))
    };
    characters.map(|one| (text(one, "character").to_string(), told(one))).collect()
}

/// S3-09, S3-10, S3-64, S1-55, S2-46: which characters of which rows cost money, and that replacing them saves what
/// it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_tells_what_unicode_costs_and_replacing_it_saves_just_that() {
    let host = quiet_machine(|_| {}).await;
    let said = "Linden Street: hi {name}, our spring concert is on Sunday at six, and it is free. \
                Bring all your friends and your family along. Reply STOP.";
    let quoted = said.replace("it is", "it’s");
    let asked = |body: &str, file: &str| json!({ "body": body, "customerList": file });
    let file = guests_in_unicode(40);

    let plain = preview(&host, &asked(said, &file)).await;
    let dear = preview(&host, &asked(&quoted, &file)).await;

    let characters = forcing(&plain);
    // The lines of the first five rows of each kind; the header is line 1.
    let lines = |kind: u64| (0..5).map(|at| 2 + kind + 4 * at).collect::<Vec<u64>>();
    assert_eq!(characters["’"], (10, lines(1), Some("'".into())));
    assert_eq!(characters["ë"], (10, lines(2), None));
    assert_eq!(characters["🎻"], (10, lines(3), None));
    assert_eq!(characters["–"], (10, lines(3), Some("-".into())));
    assert_eq!(characters.len(), 4, "{characters:?}");
    assert_eq!(count(&plan(&plain)["ucs2"]["messages"]), 30);
    assert_eq!(forcing(&dear)["’"].0, 40);
    assert_eq!(forcing(&dear)["’"].1, [2, 3, 4, 5, 6]);
    assert_eq!(count(&plan(&dear)["ucs2"]["messages"]), 40);
    for (body, before) in [(said, &plain), (&quoted, &dear)] {
        let (mut body, mut file) = (body.to_string(), file.clone());
        for (character, (_, _, replacement)) in forcing(before) {
            if let Some(replacement) = replacement {
                (body, file) = (body.replace(&character, &replacement), file.replace(&character, &replacement));
            }
        }
        let after = preview(&host, &asked(&body, &file)).await;
        let saved = |field: &str| count(&plan(before)[field]) - count(&plan(&after)[field]);
        let ucs2 = &plan(before)["ucs2"];
        assert_eq!(count(&ucs2["savedUnits"]), saved("units"), "{before}");
        assert!(saved("units") >= 20, "it is worth it: {before}");
        assert_eq!(money(&ucs2["savedCost"]).0, money(&plan(before)["cost"]).0 - money(&plan(&after)["cost"]).0);
        assert_eq!(count(&plan(&after)["ucs2"]["savedUnits"]), 0);
    }
}

/// S2-07, S2-46, S1-55: what was shown is what goes, to the last segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_preview_is_the_plan_and_the_plan_is_what_goes() {
    let host = quick_machine(|_| {}).await;
    let before = used(&host).await;
    let body = "Linden Street: come to our spring concert on Sunday at six, {name}! Bring your friends.";
    let asked = json!({ "body": body, "customerList": guests_in_unicode(40) });

    let shown = preview(&host, &asked).await;
    let id = begin(&host, &asked).await;
    let done = finish(&host, &id).await;

    assert_eq!(plan(&done), plan(&shown));
    let summary = plan(&shown);
    let excluded = json!({ "duplicate": 1, "invalid_number": 1, "opted_out": 1, "missing_variable": 1 });
    assert_eq!((count(&summary["rows"]), count(&summary["going"]), &summary["excluded"]), (44, 40, &excluded));
    let ledger = host.twilio.ledger();
    let mut by_segments: BTreeMap<String, u64> = BTreeMap::new();
    ledger.iter().for_each(|entry| *by_segments.entry(entry.num_segments.to_string()).or_default() += 1);
    assert!(by_segments.len() > 1, "{by_segments:?}");
    assert_eq!(summary["segmentsDistribution"], json!(by_segments));
    let segments: u64 = ledger.iter().map(|entry| u64::from(entry.num_segments)).sum();
    assert_eq!((ledger.len(), count(&summary["units"])), (40, segments));
    let cost = Micros(segments as i64 * PRICE);
    assert_eq!((money(&summary["cost"]), money(&done["progress"]["cost"])), (cost, cost));
    assert_eq!(used(&host).await.0 - before.0, cost.0);
    let mut told = outcomes(&rows(&host, &id).await);
    assert_eq!(told.remove("sent"), Some(40));
    let reasons: BTreeMap<String, usize> =
        excluded.as_object().unwrap().keys().map(|why| (format!("excluded: {why}"), 1)).collect();
    assert_eq!(told, reasons);
    for sample in shown["samples"].as_array().unwrap() {
        assert!(sent(&host).contains(&(text(sample, "to").to_string(), text(sample, "body").to_string())), "{sample}");
    }
}

/// S3-26.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_campaign_waits_for_somebody() {
    let host = quick_machine(|_| {}).await;
    let id = begin(&host, &with(asked(5), "hold", json!(true))).await;

    pass(&host, MINUTE * 60, MINUTE * 5).await;
    let held = look(&host, &id).await;
    assert_eq!((held["stage"].as_str(), sent(&host).len()), (Some("held"), 0), "{held}");
    assert_eq!((count(&plan(&held)["going"]), count(&held["progress"]["pending"])), (5, 5), "{held}");
    assert_eq!(act(&host, &id, "start").await.0, StatusCode::ACCEPTED);
    assert_eq!(act(&host, &id, "start").await.0, StatusCode::ACCEPTED);
    let done = finish(&host, &id).await;

    assert_eq!(done["stage"], "done");
    assert_each_once(&host, 5);
    assert_refused(&act(&host, &id, "pause").await);
    assert_refused(&act(&host, &id, "cancel").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_held_and_canceled_never_goes() {
    let host = quick_machine(|_| {}).await;
    let id = begin(&host, &with(asked(5), "hold", json!(true))).await;
    pass(&host, TICK, TICK).await;

    let (status, canceled) = act(&host, &id, "cancel").await;
    for verb in ["start", "pause", "resume"] {
        assert_refused(&act(&host, &id, verb).await);
    }
    pass(&host, MINUTE * 60, MINUTE * 5).await;

    assert_eq!((status, canceled["stage"].as_str()), (StatusCode::OK, Some("canceled")), "{canceled}");
    assert_eq!(outcomes(&rows(&host, &id).await), counts([("canceled", 5)]));
    assert_eq!((sent(&host).len(), used(&host).await), (0, Micros(0)));
}

/// S3-07, S3-65.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_before_its_instant() {
    let host = quiet_machine(|_| {}).await;
    let at: Timestamp = "2026-03-10T18:30:00Z".parse().unwrap();
    let later = with(asked(20), "sendAt", json!(at.to_string()));

    let told: Timestamp = preview(&host, &later).await["finishesAt"].as_str().unwrap().parse().unwrap();
    let id = begin(&host, &later).await;
    pass(&host, MINUTE * 149, MINUTE).await;
    assert_eq!(sent(&host).len(), 0);
    pass(&host, MINUTE * 3, TICK).await;

    assert_each_once(&host, 20);
    let all = created(&host);
    assert!(all[0] >= at && all[0] < at + MINUTE, "{}", all[0]);
    assert!(told.duration_since(all[19]).abs() <= MINUTE, "{told} {}", all[19]);
    assert_eq!(finish(&host, &id).await["stage"], "done");
}

/// S1-59, S1-75, S0-14: a segment a second, and none at night.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_the_preview_said_by_day_and_through_the_night() {
    // Nine in the evening and eight in the morning in New York.
    let (evening, morning): (Timestamp, Timestamp) =
        ("2026-03-11T01:00:00Z".parse().unwrap(), "2026-03-11T12:00:00Z".parse().unwrap());
    for begins in [evening - MINUTE * 60, evening - SECOND * 30, evening + MINUTE * 60] {
        let host = quiet_machine(|_| {}).await;
        host.clock.set(begins);

        let told: Timestamp = preview(&host, &asked(90)).await["finishesAt"].as_str().unwrap().parse().unwrap();
        let id = begin(&host, &asked(90)).await;
        pass(&host, MINUTE * 3, TICK).await;
        if begins + MINUTE * 3 > evening {
            pass(&host, MINUTE * 60 * 4, MINUTE * 30).await;
            host.clock.set(morning - MINUTE);
            pass(&host, MINUTE * 4, TICK).await;
        }

        assert_each_once(&host, 90);
        let all = created(&host);
        assert!(all.iter().all(|at| *at < evening || *at >= morning), "{all:?}");
        assert!(told.duration_since(all[89]).abs() <= MINUTE, "{begins}: {told} {}", all[89]);
        for (at, created) in all.iter().enumerate() {
            let since = created.duration_since(all[0]).as_secs();
            assert!(at as i64 <= since + 60, "{begins}: {at} within {since} seconds: Twilio spreads a minute's, no more");
        }
        assert_eq!(finish(&host, &id).await["stage"], "done");
    }
}

/// S1-59: between two ticks of the minute a quick sender stands still no longer than it takes a piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quick_sender_keeps_its_rate_though_ticks_are_a_minute_apart() {
    // A table that is not built fast takes too long for as many as show it best.
    let (count, rate): (usize, u32) = if cfg!(debug_assertions) { (700, 10) } else { (1_900, 19) };
    let host = unconnected_machine(|settings| settings.pacing.sms = Some(rate)).await;
    let length = SECOND * (count as i32 / rate as i32);

    let told: Timestamp = preview(&host, &asked(count)).await["finishesAt"].as_str().unwrap().parse().unwrap();
    let began = host.clock.now();
    begin(&host, &asked(count)).await;
    pass(&host, MINUTE * 4, MINUTE).await;

    let mut went: Vec<Timestamp> = messages_of(&host).await.iter().filter_map(|message| message.decided_at).collect();
    went.sort();
    assert_eq!(went.len(), count);
    let last = went[count - 1];
    assert!(last <= began + length + MINUTE + SECOND * 10, "{length} from {began}, and a tick: {last}");
    assert!(told.duration_since(last).abs() <= MINUTE * 2, "{told} {last}");
    for (at, went) in went.iter().enumerate() {
        let since = went.duration_since(began).as_secs();
        assert!(at as i64 <= i64::from(rate) * (since + 60), "{at} within {since} seconds: Twilio spreads a minute's, no more");
    }
}

/// S1-75: whoever is asleep gets it in their morning, and then one after another too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_two_zones_each_gets_it_by_day_and_at_the_senders_rate() {
    const HERE: usize = 5;
    let host = quiet_machine(|_| {}).await;
    // Where it is one at night now; it is eight in the morning there at seven in the evening here.
    let (tokyo, morning) = (Zone::parse("Asia/Tokyo").unwrap(), "2026-03-10T23:00:00Z".parse::<Timestamp>().unwrap());
    let guest = |at: usize| Contact {
        id: format!("P-{at:03}"),
        name: format!("Guest {at}"),
        groups: vec!["Guests".into()],
        time_zone: (at >= HERE).then(|| tokyo.clone()),
        ..Contact::unknown(PhoneNumber::from_e164(&number(at)).unwrap())
    };
    let all: Vec<Contact> = (0..HERE + 100).map(guest).collect();
    contacts::put_many(host.cx.table().await.unwrap(), &tenant(), &all).await.unwrap();

    let id = begin(&host, &json!({ "body": "Linden Street: we are back. Reply STOP.", "groups": ["Guests"] })).await;
    pass(&host, MINUTE * 4, TICK).await;
    let by_day = reached(&host);
    host.clock.set(morning - MINUTE);
    pass(&host, MINUTE * 5, TICK).await;

    assert_eq!(by_day, (0..HERE).map(number).collect::<Vec<_>>());
    assert_each_once(&host, HERE + 100);
    for (at, created) in created(&host)[HERE..].iter().enumerate() {
        let since = created.duration_since(morning).as_secs();
        assert!(since >= 0 && at as i64 <= since + 60, "{at} within {since} seconds of the morning");
    }
    assert_eq!(finish(&host, &id).await["stage"], "done");
    assert_eq!(reserved(&host, &id).await, Micros(0));
}

/// D13: each message is the month's in which it went, and so is each that was given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_end_of_the_month_each_pays_for_its_own() {
    // The law's quiet hours are North America's.
    let host = quiet_machine(|settings| settings.quiet_hours = None).await;
    let retried = Rule { fault: Fault::TooManyRequests, to: None, times: Some(12), every: Some(9) };
    host.twilio.set_faults(vec![retried]);
    let april: Timestamp = "2026-04-01T04:00:00Z".parse().unwrap();
    host.clock.set(april - MINUTE);
    let file = (0..180).fold("phone,name\n".to_string(), |file, at| file + &format!("+447700{},Guest {at}\n", 900_000 + at));

    let id = begin(&host, &json!({ "body": "Linden Street: hi {name}. Reply STOP.", "customerList": file })).await;
    pass(&host, MINUTE * 5, TICK).await;
    let done = finish(&host, &id).await;

    let ledger = host.twilio.ledger();
    let (late, early): (Vec<_>, Vec<_>) = ledger.iter().partition(|entry| entry.created >= april);
    assert!(early.len() > 30 && late.len() > 30, "{} before, {} after", early.len(), late.len());
    assert_eq!((ledger.len(), outcomes(&rows(&host, &id).await)), (180, counts([("sent", 180)])));
    let table = host.cx.table().await.unwrap();
    for (month, entries) in [("2026-03", early), ("2026-04", late)] {
        let segments: u32 = entries.iter().map(|entry| entry.num_segments).sum();
        let used = meter::used(table, &tenant(), month).await.unwrap();
        assert_eq!(used, Micros(i64::from(segments) * PRICE), "{month}");
    }
    assert_eq!((done["stage"].as_str(), money(&done["progress"]["cost"])), (Some("done"), Micros(180 * PRICE)));
    assert_eq!(reserved(&host, &id).await, Micros(0));
}

/// S1-54.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_campaign_stands_still_and_goes_on_where_it_stood() {
    let host = quiet_machine(|_| {}).await;
    let id = begin(&host, &asked(150)).await;
    pass(&host, SECOND * 25, SECOND * 5).await;
    let before = sent(&host).len();
    assert!((15..=90).contains(&before), "{before}");

    let (status, paused) = act(&host, &id, "pause").await;
    let again = act(&host, &id, "pause").await;
    assert_eq!((status, paused["paused"].as_str(), again.0), (StatusCode::OK, Some("on_request"), StatusCode::OK), "{paused}");
    pass(&host, MINUTE * 30, MINUTE).await;
    let went = sent(&host).len();
    assert!(went <= before + PIECE, "{before} before, {went} after");
    let standing = look(&host, &id).await;
    assert_eq!((standing["stage"].as_str(), standing["paused"].as_str()), (Some("sending"), Some("on_request")));
    assert_eq!(count(&standing["progress"]["pending"]), 150 - went as u64, "{standing}");

    let (status, resumed) = act(&host, &id, "resume").await;
    assert_eq!((status, &resumed["paused"]), (StatusCode::OK, &Value::Null), "{resumed}");
    // Two ticks at once, as after a slow one.
    for _ in 0..30 {
        let now = host.clock.now();
        let (first, second) = tokio::join!(host.tick(now), host.tick(now));
        first.and(second).unwrap();
        host.clock.set(now + TICK);
    }
    let done = finish(&host, &id).await;

    assert_each_once(&host, 150);
    assert_eq!((done["stage"].as_str(), outcomes(&rows(&host, &id).await)), (Some("done"), counts([("sent", 150)])));
    assert_eq!(used(&host).await, Micros(150 * PRICE));
}

/// S2-47.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canceled_campaign_gives_back_what_it_did_not_spend() {
    let host = quiet_machine(|_| {}).await;
    let id = begin(&host, &asked(150)).await;
    pass(&host, SECOND * 25, SECOND * 5).await;
    let before = sent(&host).len();
    assert!(reserved(&host, &id).await.0 > 0, "it has something to give back");

    let (first, second) = tokio::join!(act(&host, &id, "cancel"), act(&host, &id, "cancel"));
    assert!(first.0 == StatusCode::OK || second.0 == StatusCode::OK, "{first:?} {second:?}");
    pass(&host, MINUTE * 30, MINUTE).await;

    let went = sent(&host).len();
    assert!((15..=before + PIECE).contains(&went), "{before} before, {went} after");
    assert_eq!((reserved(&host, &id).await, used(&host).await), (Micros(0), Micros(went as i64 * PRICE)));
    let canceled = look(&host, &id).await;
    assert_eq!((canceled["stage"].as_str(), canceled["finishedAt"].is_string()), (Some("canceled"), true), "{canceled}");
    assert_eq!(money(&canceled["progress"]["cost"]), Micros(went as i64 * PRICE));
    assert_eq!(outcomes(&rows(&host, &id).await), counts([("canceled", 150 - went), ("sent", went)]));
    assert_eq!(report(&host, &id, "&outcome=canceled", 50).await.len(), 150 - went);
    for verb in ["start", "pause", "resume"] {
        assert_refused(&act(&host, &id, verb).await);
    }
    // The sender is free again.
    let next = begin(&host, &json!({ "body": "Linden: hello. Reply STOP.", "recipients": number(900) })).await;
    pass(&host, TICK, TICK).await;
    assert!(reached(&host).contains(&number(900)), "{}", look(&host, &next).await);
}

/// S0-57, S2-47, D13.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_stops_it_and_more_money_lets_it_go_on() {
    // What is left over covers no message.
    let host = quick_machine(|settings| settings.budget.monthly_limit = Some(Micros(100 * PRICE + PRICE / 2))).await;

    let shown = preview(&host, &asked(300)).await;
    let id = begin(&host, &asked(300)).await;
    pass(&host, MINUTE * 5, TICK).await;

    assert_eq!(sent(&host).len(), 100);
    let paused = look(&host, &id).await;
    assert_eq!((paused["stage"].as_str(), paused["paused"].as_str()), (Some("sending"), Some("budget")), "{paused}");
    let progress = &paused["progress"];
    assert_eq!((count(&progress["sent"]), count(&progress["pending"]), count(&progress["skipped"])), (100, 200, 0), "{progress}");
    assert_eq!((used(&host).await, reserved(&host, &id).await), (Micros(100 * PRICE), Micros(0)));
    assert_eq!(money(&shown["room"]), Micros(100 * PRICE + PRICE / 2), "it was said before: {shown}");
    // Again in vain, as long as there is no more.
    assert_eq!(act(&host, &id, "resume").await.0, StatusCode::OK);
    pass(&host, MINUTE, TICK).await;
    assert_eq!((sent(&host).len(), look(&host, &id).await["paused"].as_str()), (100, Some("budget")));

    let (status, changed) = patch(&host, "admin", "/settings", &json!({ "budget": { "monthlyLimit": "10.00" } })).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(act(&host, &id, "resume").await.0, StatusCode::OK);
    let done = finish(&host, &id).await;

    assert_eq!(done["stage"], "done");
    assert_each_once(&host, 300);
    assert_eq!(used(&host).await, Micros(300 * PRICE));
    assert_eq!(outcomes(&rows(&host, &id).await), counts([("sent", 300)]));
}

fn other() -> TenantId {
    TenantId::parse("other").unwrap()
}

/// Another tenant, whose sender takes so many segments a second.
async fn make_other(host: &Host, rate: u32) {
    let (folder, _) = sample();
    let mut settings = folder.school.settings;
    settings.pacing.sms = Some(rate);
    settings.budget.monthly_limit = None;
    settings.frequency_cap = None;
    tenants::put_settings(host.cx.table().await.unwrap(), &other(), &settings).await.unwrap();
    host.connect(&other(), vec![SENDER.into()]).await.unwrap();
}

async fn ask_as(host: &Host, tenant: &str, path: &str, asked: &Value) -> Value {
    let path = format!("/v1/tenants/{tenant}{path}");
    let (status, answer) = ask(host, &of(tenant, "staff"), Method::POST, &path, asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    answer
}

/// B15: neither the tenant's own urgent messages nor another tenant's wait behind a campaign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_meanwhile_goes_within_the_minute() {
    let host = quiet_machine(|_| {}).await;
    make_other(&host, 1).await;
    // It goes for ten minutes.
    let id = begin(&host, &asked(600)).await;
    pass(&host, MINUTE * 2, MINUTE).await;
    let due = host.clock.now() + SECOND * 90;
    let mut expected: BTreeMap<String, Timestamp> = BTreeMap::new();
    for (at, tenant) in ["sample", "other"].into_iter().enumerate() {
        for (kind, category) in ["reminder", "authentication", "general"].into_iter().enumerate() {
            let body = format!("{tenant} asks for {category}");
            let single =
                json!({ "to": number(1_000 + 10 * at + kind), "body": body, "category": category, "sendAt": due.to_string() });
            ask_as(&host, tenant, "/messages", &single).await;
            expected.insert(body, due);
            let body = format!("{tenant} wants {category} now");
            let single = json!({ "to": number(2_000 + 10 * at + kind), "body": body, "category": category });
            ask_as(&host, tenant, "/messages", &single).await;
            expected.insert(body, host.clock.now());
        }
    }
    let theirs = json!({ "body": "Linden: theirs. Reply STOP.", "recipients": (3_000..3_020).map(number).collect::<Vec<_>>() });
    ask_as(&host, "other", "/campaigns", &theirs).await;

    pass(&host, MINUTE * 4, MINUTE).await;

    let ledger = host.twilio.ledger();
    for (body, due) in &expected {
        let entry = ledger.iter().find(|entry| entry.body == *body).unwrap_or_else(|| panic!("{body} did not go"));
        let late = entry.created.duration_since(*due);
        assert!((SignedDuration::ZERO..=MINUTE).contains(&late), "{body}: {late}");
    }
    let of_theirs = ledger.iter().filter(|entry| entry.body == "Linden: theirs. Reply STOP.").count();
    let of_ours = ledger.iter().filter(|entry| entry.body.starts_with("Linden: hi Guest")).count();
    assert_eq!(of_theirs, 20);
    assert!((200..600).contains(&of_ours), "it still goes: {of_ours}");
    assert_eq!(look(&host, &id).await["stage"], "sending");
}

/// B15: turn by turn, also within a tick.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_small_campaign_is_through_within_two_ticks() {
    const THEIRS: &str = "Linden Street: theirs. Reply STOP.";
    let host = quick_machine(|_| {}).await;
    make_other(&host, 100).await;
    begin(&host, &asked(450)).await;
    let theirs = json!({ "body": THEIRS, "recipients": (3_000..3_060).map(number).collect::<Vec<_>>() });
    ask_as(&host, "other", "/campaigns", &theirs).await;

    pass(&host, SECOND * 5, SECOND * 5).await;

    let ledger = host.twilio.ledger();
    let of_theirs: Vec<usize> = (0..ledger.len()).filter(|at| ledger[*at].body == THEIRS).collect();
    assert_eq!((of_theirs.len(), ledger.len()), (60, 510));
    let behind = ledger.len() - 1 - of_theirs[59];
    assert!(behind >= 100, "only {behind} of the large one went after the last of the small one");
}

/// B11: a lesson that is moved waits behind no campaign, however many students it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_about_the_timetable_waits_before_campaigns() {
    for (category, lane) in [("schedule", "DUE#"), ("marketing", "BULK#")] {
        let host = quiet_machine(|_| {}).await;
        let to = (0..20).map(number).collect::<Vec<_>>().join("\n");
        let list = json!({ "recipients": to, "body": "Linden Street: see our new times. Reply STOP.", "category": category });

        let (status, receipt) = post(&host, "staff", "/messages/bulk", None, &list).await;
        host.tick(host.clock.now()).await.unwrap();

        assert_eq!(status, StatusCode::ACCEPTED, "{receipt}");
        let all = messages_of(&host).await;
        assert_eq!(all.len(), 20);
        assert!(all.iter().all(|message| message.is_bulk() == (category == "marketing")), "{category}");
        let items = host.aws.items();
        let of_messages = items.iter().filter(|item| item["sk"]["S"] == "MESSAGE");
        let waiting: Vec<&str> = of_messages.filter_map(|item| item["due_pk"]["S"].as_str()).collect();
        assert!(waiting.len() >= 10 && waiting.iter().all(|shard| shard.starts_with(lane)), "{category}: {waiting:?}");
    }
}

/// S2-06, S2-31, S2-52..55: what Twilio refuses stops nothing and costs nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_is_told_with_its_code() {
    let host = quick_machine(|_| {}).await;
    let undelivered = Rule { fault: Fault::Undelivered(30003), to: Some(number(1)), times: None, every: None };
    host.twilio.set_faults(vec![undelivered]);
    // Twilio takes the first of these for no number, and says that the second has unsubscribed.
    let file = format!("{}+15005550001,Kit\n+15005550004,Lou\n", guests(3));
    let id = begin(&host, &with(asked(0), "customerList", json!(file))).await;
    finish(&host, &id).await;
    receive(&host).await;

    let all = rows(&host, &id).await;

    let told: Vec<(&str, u64)> = all.iter().map(|row| (row["outcome"].as_str().unwrap(), count(&row["errorCode"]))).collect();
    let failed = |code: u64| ("failed", code);
    assert_eq!(told, [("delivered", 0), failed(30003), ("delivered", 0), failed(21211), failed(21610)]);
    let view = look(&host, &id).await;
    let progress = &view["progress"];
    assert_eq!((count(&progress["delivered"]), count(&progress["failed"])), (2, 3), "{progress}");
    assert_eq!((money(&progress["cost"]), used(&host).await), (Micros(3 * PRICE), Micros(3 * PRICE)));
    assert_eq!(report(&host, &id, "&outcome=failed", 2).await.len(), 3);
    let file = get_text(&host, "viewer", &format!("/campaigns/{id}/rows.csv")).await;
    assert!(["30003", "21211", "21610"].iter().all(|code| file.contains(code)), "{file}");
}

/// B1, B2, B7: whatever happens to the requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_and_full_queues_neither_double_nor_lose_a_row() {
    let host = quick_machine(|_| {}).await;
    let every = |fault, every| Rule { fault, to: None, times: Some(3), every: Some(every) };
    host.twilio.set_faults(vec![
        every(Fault::AcceptThenDrop, 7),
        every(Fault::DropBeforeAccept, 11),
        every(Fault::TooManyRequests, 13),
    ]);
    let id = begin(&host, &asked(60)).await;

    pass(&host, MINUTE * 40, MINUTE).await;
    let done = finish(&host, &id).await;

    assert_each_once(&host, 60);
    assert_eq!((done["stage"].as_str(), outcomes(&rows(&host, &id).await)), (Some("done"), counts([("sent", 60)])));
    assert_eq!(used(&host).await, Micros(60 * PRICE));
    assert_eq!(reserved(&host, &id).await, Micros(0));
}

/// D14.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_whatsapp_it_goes_as_twilios_template() {
    let host = quick_machine(|_| {}).await;
    let sid = format!("HX{}", "0a".repeat(16));
    let template = json!({
        "name": "spring_offer", "category": "marketing", "text": "Linden: hi {name}, {offer}. Reply STOP.",
        "contentSid": sid, "contentVariables": ["offer", "name"],
    });
    assert_eq!(post(&host, "staff", "/templates", None, &template).await.0, StatusCode::CREATED);
    let asked = json!({
        "template": "Spring Offer", "channel": "whatsapp", "variables": { "offer": "20% off" }, "customerList": guests(3),
    });

    let shown = preview(&host, &asked).await;
    let id = begin(&host, &asked).await;
    finish(&host, &id).await;

    let mut ledger = host.twilio.ledger();
    ledger.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(ledger.len(), 3);
    for (at, entry) in ledger.iter().enumerate() {
        assert_eq!((entry.to.clone(), entry.content_sid.as_deref()), (format!("whatsapp:{}", number(at)), Some(sid.as_str())));
        let filled: Value = serde_json::from_str(entry.content_variables.as_deref().unwrap()).unwrap();
        assert_eq!(filled, json!({ "1": "20% off", "2": format!("Guest {at}") }));
    }
    assert_eq!(shown["samples"][0]["body"], "Linden: hi Guest 0, 20% off. Reply STOP.");
    assert_eq!((count(&plan(&shown)["units"]), money(&plan(&shown)["cost"])), (3, Micros(15_000)));
    assert_eq!(used(&host).await, Micros(15_000));
}

/// S4-10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_makes_it_one_mms_however_long_the_text_is() {
    let host = quick_machine(|settings| settings.pacing.mms = Some(100)).await;
    let asked = json!({
        "body": format!("Linden: hi {{name}}. {} Reply STOP.", "Look at this 🎻. ".repeat(20)),
        "mediaUrls": ["https://example.com/a.jpg"], "channel": "mms", "customerList": guests(3),
    });

    let shown = preview(&host, &asked).await;
    let id = begin(&host, &asked).await;
    let done = finish(&host, &id).await;

    assert_each_once(&host, 3);
    let ledger = host.twilio.ledger();
    assert!(ledger.iter().all(|entry| entry.media_urls == ["https://example.com/a.jpg"]), "{ledger:?}");
    assert_eq!((count(&plan(&shown)["units"]), &plan(&shown)["segmentsDistribution"]), (3, &json!({ "1": 3 })));
    assert_eq!(money(&plan(&shown)["cost"]), Micros(60_000));
    assert_eq!((money(&done["progress"]["cost"]), used(&host).await), (Micros(60_000), Micros(60_000)));
}

/// S2-03, S2-37..40.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_account_everything_works_and_nothing_leaves() {
    let host = unconnected_machine(|settings| settings.pacing.sms = Some(100)).await;

    let shown = preview(&host, &asked(20)).await;
    let id = begin(&host, &asked(20)).await;
    let done = finish(&host, &id).await;

    assert!(host.twilio.ledger().is_empty());
    assert_eq!((done["stage"].as_str(), &done["simulated"], &shown["simulated"]), (Some("done"), &json!(true), &json!(true)));
    assert_eq!(outcomes(&rows(&host, &id).await), counts([("delivered", 20)]));
    let cost = Micros(20 * PRICE);
    assert_eq!((money(&plan(&shown)["cost"]), money(&done["progress"]["cost"])), (cost, cost));
    assert_eq!(used(&host).await, Micros(0), "nobody's money");
    let table = host.cx.table().await.unwrap();
    assert_eq!(meter::used(table, &tenant(), "simulated-2026-03").await.unwrap(), cost);
    assert_eq!(get_text(&host, "viewer", &format!("/campaigns/{id}/rows.csv")).await.lines().count(), 21);
}
