//! Campaigns over a messy file whose process is killed, or whose ticks are cut off: each row that may goes exactly once, the
//! report accounts for every row, and the meter says what went.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::host::Host;
use serde_json::{Value, json};
use shared::domain::local_time::Zone;
use shared::domain::money::Micros;
use shared::store::meter;

use crate::campaigns;
use crate::crash::{Server, serve};
use crate::machine::{get_text, post, put_bytes, quiet_machine, settle, tenant};
use crate::messy::{self, BODY, Expected, LAPSED_AFTER_DAYS, Messy, TENANT};

/// Of a segment to anybody.
const PRICE: Micros = Micros(7_900);
/// The contract's proof takes a hundred thousand, and minutes.
const ROWS: u32 = 1_000;
const SEED: u64 = 2_026;

/// So many rows has the file of [`a_campaign_killed_in_every_stage_reaches_each_row_once_and_accounts_for_all`].
fn rows() -> u32 {
    #[allow(clippy::disallowed_methods)] // how long the test may take, nothing of the product
    let asked = std::env::var("CAMPAIGN_ROWS").ok();
    asked.map_or(ROWS, |rows| rows.parse().unwrap())
}

/// The line, and what becomes of it: `goes`, or why not.
fn told(row: &Value) -> (u64, String) {
    let word = |field: &str| row[field].as_str().unwrap_or_default();
    let outcome = match word("outcome") {
        "excluded" => word("reason"),
        "sent" | "delivered" => "goes",
        other => other,
    };
    (row["line"].as_u64().unwrap_or_default(), outcome.to_string())
}

/// Every row, in the order of the file, with what it was made to become.
fn assert_accounted(report: &[Value], expected: &[Expected]) {
    for (row, expected) in report.iter().zip(expected) {
        assert_eq!(told(row), (u64::from(expected.line), expected.outcome.word().to_string()), "{row}");
        if let messy::Outcome::Goes { to, .. } = &expected.outcome {
            assert_eq!(row["to"].as_str(), Some(to.as_str()), "{row}");
        }
    }
    assert_eq!(report.len(), expected.len());
}

/// Each number once, with its text, and nobody else.
fn assert_once(mut sent: Vec<(String, String)>, expected: &[Expected]) {
    sent.sort();
    let due: Vec<(String, String)> = messy::going(expected).into_iter().collect();
    let first = sent.iter().zip(&due).find(|(sent, due)| sent != due);
    assert_eq!((first, sent.len()), (None, due.len()), "sent, due");
}

/// `rows`, `going` and each reason, as a plan has them.
fn assert_planned(plan: &Value, expected: &[Expected]) {
    let mut counts = messy::counts(expected);
    let going = counts.remove("goes").unwrap_or_default();
    let excluded: BTreeMap<&str, u32> = counts;
    assert_eq!((&plan["rows"], &plan["going"]), (&json!(expected.len()), &json!(going)), "{plan}");
    let told = plan["excluded"].as_object().unwrap().iter().filter(|(_, count)| count.as_u64() != Some(0));
    let told: BTreeMap<&str, u32> = told.map(|(why, count)| (why.as_str(), count.as_u64().unwrap() as u32)).collect();
    assert_eq!(told, excluded, "{plan}");
}

fn money(value: &Value) -> Micros {
    Micros::parse(value.as_str().unwrap_or_default()).unwrap_or_else(|| panic!("no amount: {value}"))
}

fn opt_out_request(opt_out: &messy::OptOut) -> Value {
    match opt_out.category {
        Some(category) => json!({ "number": opt_out.number, "categories": [category] }),
        None => json!({ "number": opt_out.number }),
    }
}

/// A zone in which it is ten in the morning: no quiet hours are near, which are law for these numbers.
fn zone_of_morning(now: Timestamp) -> String {
    let ahead = 10 - i32::from(TimeZone::UTC.to_datetime(now).hour());
    let ahead = if ahead < -12 { ahead + 24 } else { ahead };
    // In these names the sign is the other way round.
    format!("Etc/GMT{:+}", -ahead)
}

/// A folder of a restaurant without records, whose sender takes `rate` segments a second.
fn restaurant(folder: &Path, zone: &str, rate: u32) -> PathBuf {
    let settings = json!({
        "name": TENANT, "timeZone": zone, "defaultRegion": "US", "senders": { "sms": "+15005550006" },
        "budget": { "monthlyLimit": "100000.00", "currency": "USD" }, "prices": { "sms": PRICE },
        "quietHours": null, "pacing": { "sms": rate }, "requestsPerMinute": 1_000_000,
    });
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tenant.json"), settings.to_string()).unwrap();
    std::fs::write(data.join("contacts.csv"), "id,name,phone\n").unwrap();
    data
}

/// A request to a server, which may die before it answers.
struct Call {
    method: Method,
    url: String,
    token: String,
    key: Option<&'static str>,
    body: Vec<u8>,
}

impl Call {
    fn new(server: &Server, method: Method, path: &str) -> Self {
        let url = format!("{}/v1/tenants/sample{path}", server.api);
        Self { method, url, token: server.token.clone(), key: None, body: Vec::new() }
    }

    fn with(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    async fn send(self) -> Option<(u16, Value)> {
        let request = shared::http_client::new().request(self.method, self.url).bearer_auth(self.token);
        let request = match self.key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let answer = request.header("content-type", "application/json").body(self.body).send().await.ok()?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// What it answers, which must be `status`.
    async fn expect(self, status: u16) -> Value {
        let asked = format!("{} {}", self.method, self.url);
        let (answered, body) = self.send().await.unwrap_or_else(|| panic!("{asked}: no answer"));
        assert_eq!(answered, status, "{asked}: {body}");
        body
    }
}

/// Looks at the campaign until `is_so`.
async fn until(server: &Server, campaign: &str, every: Duration, patience: Instant, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let view = Call::new(server, Method::GET, campaign).expect(200).await;
        if is_so(&view) {
            return view;
        }
        assert!(Instant::now() < patience, "{view}");
        tokio::time::sleep(every).await;
    }
}

/// The file of the local Twilio's ledger, read on from where it was read last.
struct Ledger {
    path: PathBuf,
    read: u64,
    accepted: usize,
}

/// After so long without a message a tick is over: nothing is on its way to Twilio.
const REST: Duration = Duration::from_millis(1500);

impl Ledger {
    /// How many messages were accepted so far.
    fn accepted(&mut self) -> usize {
        let Ok(mut file) = File::open(&self.path) else { return 0 };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_end(&mut text).unwrap();
        // The rest is just being written.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..whole].split(|byte| *byte == b'\n');
        self.accepted += lines.filter(|line| line.starts_with(b"{\"message\"")).count();
        self.read += whole as u64;
        self.accepted
    }

    /// Waits until `count` messages were accepted.
    async fn reach(&mut self, count: usize, patience: Instant) {
        while self.accepted() < count {
            assert!(Instant::now() < patience, "{} of {count} were sent", self.accepted);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing is on its way any more.
    async fn rest(&mut self) {
        let mut last = Instant::now();
        while last.elapsed() < REST {
            let before = self.accepted;
            if self.accepted() > before {
                last = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whom all messages went to and what they say, and what they cost.
    fn messages(&self) -> (Vec<(String, String)>, Micros) {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let (mut sent, mut cost) = (Vec::new(), 0);
        for line in text.lines().filter(|line| line.starts_with("{\"message\"")) {
            let line: Value = serde_json::from_str(line).unwrap();
            let message = &line["message"];
            sent.push((message["to"].as_str().unwrap().to_string(), message["body"].as_str().unwrap().to_string()));
            cost += message["num_segments"].as_i64().unwrap() * PRICE.0;
        }
        (sent, Micros(cost))
    }
}

/// So much may be spent in a month.
async fn limit(server: &Server, limit: Micros) {
    let settings = json!({ "budget": { "monthlyLimit": limit } }).to_string();
    Call::new(server, Method::PATCH, "/settings").with(settings).expect(200).await;
}

/// Starts or resumes.
async fn go(server: &Server, campaign: &str, verb: &str, status: u16) {
    Call::new(server, Method::POST, &format!("{campaign}/{verb}")).with("{}").expect(status).await;
}

async fn report(server: &Server, campaign: &str) -> Vec<Value> {
    let first = format!("{campaign}/rows?limit=200");
    let (mut rows, mut path) = (Vec::new(), first.clone());
    loop {
        let mut page = Call::new(server, Method::GET, &path).expect(200).await;
        rows.append(page["items"].as_array_mut().unwrap());
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => return rows,
        }
    }
}

/// The real server, killed while a part of the file is on its way, while rows are planned, and twice before all messages are
/// sent. The plan of the held campaign, which somebody sees before it is started, is what comes out in the end.
///
/// `CAMPAIGN_ROWS=100000 cargo test --release -p tests campaign_killed` does it for a hundred thousand rows and kills in the
/// middle of a tick; without it the file is small, and the process is killed where the month's limit has stopped it, so that
/// nobody waits for a claim to lapse. [`a_tick_that_is_cut_off_anywhere_sends_nothing_twice`] has that on the virtual clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_killed_in_every_stage_reaches_each_row_once_and_accounts_for_all() {
    let rows = rows();
    let is_small = rows <= ROWS;
    let patience = Instant::now() + Duration::from_secs(600) + Duration::from_millis(20) * rows;
    let now = shared::clock::now();
    let zone = zone_of_morning(now);
    let messy = Messy { rows, seed: SEED, today: Zone::parse(&zone).unwrap().wall(now).date() };
    let expected = messy.expected(&messy.stopped());
    let going = messy::counts(&expected)["goes"] as usize;
    let folder = tempfile::tempdir().unwrap();
    let data = restaurant(folder.path(), &zone, (rows / 20).clamp(100, 1_000));
    let state = folder.path().join("state");
    let mut server = serve(&state, Some(&data));
    for opt_out in messy.opt_outs() {
        Call::new(&server, Method::POST, "/opt-outs").with(opt_out_request(&opt_out).to_string()).expect(200).await;
    }
    let asked = json!({ "body": BODY, "lapsedAfterDays": LAPSED_AFTER_DAYS, "upload": true, "hold": true });
    let asked = asked.to_string();
    let asked = Call { key: Some("k"), ..Call::new(&server, Method::POST, "/campaigns").with(asked) };
    let id = asked.expect(202).await["id"].as_str().unwrap().to_string();
    let campaign = format!("/campaigns/{id}");

    let file = messy.file();
    let parts: Vec<&[u8]> = file.chunks((file.len() / 6 + 1).min(2 * 1024 * 1024)).collect();
    for (at, part) in parts.iter().enumerate() {
        let put = |server: &Server| Call::new(server, Method::PUT, &format!("{campaign}/file/{at}")).with(*part);
        if at == parts.len() / 2 {
            let under_way = tokio::spawn(put(&server).send());
            tokio::time::sleep(Duration::from_millis(5)).await;
            server.kill();
            under_way.await.unwrap();
            server = serve(&state, None);
        }
        put(&server).expect(204).await;
    }
    let start = json!({ "parts": parts.len() }).to_string();
    Call::new(&server, Method::POST, &format!("{campaign}/start")).with(start).expect(202).await;
    let has_begun = |view: &Value| view["plan"]["rows"].as_u64() > Some(0) || view["stage"] != "planning";
    until(&server, &campaign, Duration::from_millis(10), patience, has_begun).await;
    server.kill();
    server = serve(&state, None);
    let mut ledger = Ledger { path: state.join("twilio.jsonl"), read: 0, accepted: 0 };
    let held = until(&server, &campaign, Duration::from_millis(50), patience, |view| view["stage"] == "held").await;
    let whole = money(&held["plan"]["cost"]);
    assert_eq!(ledger.accepted(), 0, "nobody has started it");
    for (share, verb, status) in [(4, "start", 202), (2, "resume", 200)] {
        if is_small {
            limit(&server, Micros(whole.0 / share)).await;
        }
        go(&server, &campaign, verb, status).await;
        if is_small {
            until(&server, &campaign, Duration::from_millis(100), patience, |view| view["paused"] == "budget").await;
            ledger.rest().await;
        } else {
            ledger.reach(going / share as usize, patience).await;
        }
        server.kill();
        let accepted = ledger.accepted();
        assert!((1..going).contains(&accepted), "{accepted} of {going}: it was killed too late to show anything, or too early");
        server = serve(&state, None);
    }
    if is_small {
        limit(&server, Micros(whole.0 * 2)).await;
        go(&server, &campaign, "resume", 200).await;
    }
    ledger.reach(going, patience).await;
    let is_done = |view: &Value| view["stage"] == "done" && view["progress"]["pending"].as_u64() == Some(0);
    let done = until(&server, &campaign, Duration::from_millis(500), patience, is_done).await;
    // One more tick: it finds nothing to do.
    tokio::time::sleep(Duration::from_secs(6)).await;

    let (sent, cost) = ledger.messages();
    assert_once(sent, &expected);
    assert_accounted(&report(&server, &campaign).await, &expected);
    assert_planned(&done["plan"], &expected);
    assert_eq!(done["plan"], held["plan"], "what was shown before is what came out");
    let costs = Call::new(&server, Method::GET, "/analytics/costs").expect(200).await;
    assert_eq!(money(&costs["month"]["used"]), cost, "what was reserved and not needed is given back");
    assert_eq!((money(&done["plan"]["cost"]), money(&done["progress"]["cost"])), (cost, cost), "{done}");
}

/// A machine on the virtual clock, a file of so many rows, and whoever has opted out.
async fn in_process(rows: u32, rate: u32) -> (Host, Messy) {
    let host = quiet_machine(|settings| {
        settings.name = TENANT.into();
        settings.pacing.sms = Some(rate);
        settings.prices.every_country.sms = Some(PRICE);
    })
    .await;
    let today = host.cx.settings(&tenant(), host.clock.now()).await.unwrap().time_zone.wall(host.clock.now()).date();
    let messy = Messy { rows, seed: SEED, today };
    for opt_out in messy.opt_outs() {
        let (status, answer) = post(&host, "staff", "/opt-outs", None, &opt_out_request(&opt_out)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    (host, messy)
}

fn asked(messy: &Messy) -> Value {
    let file = String::from_utf8(messy.file()).unwrap();
    json!({ "body": BODY, "lapsedAfterDays": LAPSED_AFTER_DAYS, "customerList": file })
}

/// What the local Twilio has, the plan, the report and the meter, all against how the rows were made.
async fn assert_all_is_as_made(host: &Host, id: &str, expected: &[Expected]) -> Value {
    let ledger = host.twilio.ledger();
    let cost = Micros(ledger.iter().map(|entry| i64::from(entry.num_segments) * PRICE.0).sum());
    assert_once(ledger.into_iter().map(|entry| (entry.to, entry.body)).collect(), expected);
    let view = campaigns::look(host, id).await;
    assert_eq!(view["stage"], "done", "{view}");
    assert_planned(&view["plan"], expected);
    assert_accounted(&campaigns::rows(host, id).await, expected);
    assert_eq!(meter::used(host.cx.table().await.unwrap(), &tenant(), "2026-03").await.unwrap(), cost);
    assert_eq!((money(&view["plan"]["cost"]), money(&view["progress"]["cost"])), (cost, cost), "{view}");
    view
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messy_rows_become_what_they_were_made_to() {
    let (host, messy) = in_process(1_000, 1_000).await;
    let expected = messy.expected(&messy.stopped());

    let (previewed, shown) = post(&host, "staff", "/campaigns/preview", None, &asked(&messy)).await;
    let (accepted, campaign) = post(&host, "staff", "/campaigns", Some("k"), &asked(&messy)).await;
    assert_eq!((previewed, accepted), (StatusCode::OK, StatusCode::ACCEPTED), "{shown} {campaign}");
    settle(&host, SignedDuration::from_mins(10)).await;

    let id = campaign["id"].as_str().unwrap();
    let done = assert_all_is_as_made(&host, id, &expected).await;
    assert_eq!(shown["plan"], done["plan"], "the preview says what the run does");
    assert_eq!(done["progress"]["delivered"], done["plan"]["going"]);
    let csv = get_text(&host, "viewer", &format!("/campaigns/{id}/rows.csv")).await;
    assert_eq!(csv.lines().count(), 1 + expected.len(), "a header and a line for each row");
}

fn table_requests(host: &Host) -> u64 {
    host.aws.requests().into_iter().filter(|(name, _)| name.starts_with("DynamoDB.")).map(|(_, count)| count).sum()
}

/// A tick whose process dies once it has asked the table so often.
async fn cut_off(host: &Host, after: u64) {
    let until = table_requests(host) + after;
    let running = tokio::spawn({
        let host = host.clone();
        async move { host.tick(host.clock.now()).await }
    });
    while table_requests(host) < until && !running.is_finished() {
        tokio::task::yield_now().await;
    }
    running.abort();
    // Cut off, or done before that.
    let _ = running.await;
}

/// Planning, making messages, claiming them, handing them over, writing what Twilio said, checking: wherever a tick ends,
/// the next goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_that_is_cut_off_anywhere_sends_nothing_twice() {
    let (host, messy) = in_process(400, 2).await;
    let expected = messy.expected(&messy.stopped());
    // In parts: what comes with its request is planned there, if it is small.
    let asked = json!({ "body": BODY, "lapsedAfterDays": LAPSED_AFTER_DAYS, "upload": true });
    let (status, begun) = post(&host, "staff", "/campaigns", Some("k"), &asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let id = begun["id"].as_str().unwrap();
    let file = messy.file();
    let parts: Vec<&[u8]> = file.chunks(file.len() / 3 + 1).collect();
    for (at, part) in parts.iter().enumerate() {
        let (status, answer) = put_bytes(&host, "staff", &format!("/campaigns/{id}/file/{at}"), part).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    }
    let start = json!({ "parts": parts.len() });
    let (status, answer) = post(&host, "staff", &format!("/campaigns/{id}/start"), None, &start).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");

    for after in 1..40 {
        cut_off(&host, 8 + 2 * after).await;
        host.clock.set(host.clock.now() + SignedDuration::from_secs(5));
        let some = host.twilio.take_callbacks().into_iter().step_by(2);
        for callback in some.collect::<Vec<_>>() {
            assert!(host.bring(&callback, host.clock.now()).await.is_success());
        }
    }
    assert!(!host.twilio.ledger().is_empty(), "it came to sending while it was cut off");
    settle(&host, SignedDuration::from_mins(30)).await;

    assert_all_is_as_made(&host, id, &expected).await;
}
