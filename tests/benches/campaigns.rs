//! What a campaign costs: CPU and memory to weigh the rows of a messy file, memory to plan a large one over the table, and
//! table requests to plan, make and send rows.
//!
//! `cargo bench -p tests --bench campaigns`. Bounded: under four minutes, of which planning a million rows takes the most, and
//! of that the embedded table.

#![allow(clippy::unwrap_used)]

#[path = "../messy.rs"]
#[allow(dead_code)] // what the tests alone ask of it
mod messy;
mod stand_in;

use std::collections::{BTreeMap, HashSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use local::host::scheduled;
use shared::context::Context;
use shared::domain::campaign::Terms;
use shared::domain::campaign::assess::{Known, Recipe, Seen};
use shared::domain::campaign::summary::Summary;
use shared::domain::channel::Channel;
use shared::domain::contact::Category;
use shared::domain::template::{NamedTemplate, Template};
use shared::domain::tenant::{Settings, TenantId};
use shared::files::sheet::{self, Fields};
use shared::schedule;
use shared::store::campaigns::{self, Stage};
use shared::store::tenants;
use shared::usecases::complete_upload::{complete_upload, put_campaign_part};
use shared::usecases::control_campaign::start_campaign;
use shared::usecases::create_campaign::{CampaignRequest, Rails, Source, TextOf, create_campaign};
use stand_in::{StandIn, cpu};

use messy::{BODY, HEADER, LAPSED_AFTER_DAYS, Messy, TENANT};

/// Rows that are weighed, as a preview does it.
const WEIGHED: u32 = 100_000;
const RUNS: u32 = 5;
/// Rows that come as a stream, without the table.
const STREAMED: u32 = 1_000_000;
/// Rows that are uploaded in parts and planned over the table, as a tick does it: so many, and so few to compare.
const PLANNED: u32 = 1_000_000;
const PLANNED_FEW: u32 = 100_000;
/// Rows that are planned and sent over the table.
const SENT: u32 = 20_000;
/// Of a file, in bytes, as it is uploaded.
const PART: usize = 2 * 1024 * 1024;
/// Rows that are read at once, as planning does it.
const CHUNK: usize = 1_000;
/// The arguments that make a process one whose memory is looked at, each with how many rows.
const STREAM: &str = "streamed";
const PLAN: &str = "planned";

const TODAY: Date = date(2026, 3, 4);
const TICK: SignedDuration = SignedDuration::from_secs(5);

/// The contract's: CPU to preview `WEIGHED` rows; memory of `STREAMED` and of `PLANNED`; table requests to plan a row.
const MOST_CPU: Duration = Duration::from_millis(500);
const MOST_MEGABYTES: f64 = 150.0;
/// All that grows with the rows is the numbers that go, each with its line: 16 bytes, as they are read from the table and
/// once more in a hash table, which has room to spare and is there twice while it grows.
const MOST_BYTES_A_ROW: f64 = 80.0;
const MOST_REQUESTS: f64 = 0.2;

fn file_of(rows: u32) -> Messy {
    Messy { rows, seed: 4, today: TODAY }
}

fn settings() -> Settings {
    serde_json::from_value(serde_json::json!({
        "name": TENANT, "timeZone": "America/New_York", "defaultRegion": "US",
        "senders": { "sms": "+15005550006" },
        "budget": { "monthlyLimit": "10000.00", "currency": "USD" },
        "prices": { "sms": "0.0079" },
        "pacing": { "sms": 1000 },
    }))
    .unwrap()
}

fn terms() -> Terms {
    Terms {
        channel: Channel::Sms,
        category: Category::Marketing,
        text: NamedTemplate::new("bench", Category::Marketing, Template::parse(BODY).unwrap()),
        template: None,
        variables: BTreeMap::new(),
        media_urls: Vec::new(),
        phone_column: None,
        lapsed_after_days: Some(LAPSED_AFTER_DAYS),
    }
}

/// A file as it is uploaded: in parts that end wherever they do, in the middle of a row or of a letter.
struct Parts {
    messy: Messy,
    /// The next row.
    at: u32,
    rest: Vec<u8>,
}

impl Parts {
    fn of(messy: Messy) -> Self {
        Self { messy, at: 0, rest: HEADER.as_bytes().to_vec() }
    }
}

impl Iterator for Parts {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.rest.len() < PART && self.at < self.messy.rows {
            self.rest.extend_from_slice(self.messy.row(self.at).text.as_bytes());
            self.at += 1;
        }
        let next = self.rest.split_off(self.rest.len().min(PART));
        Some(std::mem::replace(&mut self.rest, next)).filter(|part| !part.is_empty())
    }
}

/// Reads, validates, renders and counts every row: all that a preview does but for asking the table.
fn weigh(parts: impl Iterator<Item = Vec<u8>>) -> Summary {
    let (settings, terms) = (settings(), terms());
    let mut parts = parts.peekable();
    let mut bytes = parts.next().unwrap();
    let (layout, mut place) = sheet::layout(&bytes, &settings.default_region, None).unwrap();
    let recipe = Recipe::new(&settings, &terms, &layout, TODAY).unwrap();
    let (mut seen, mut summary) = (Seen::default(), Summary::default());
    loop {
        let is_last = parts.peek().is_none();
        let next = sheet::read(&layout, &bytes, place, is_last, CHUNK, &mut |line: u32, fields: Option<Fields<'_>>| {
            let candidate = match &fields {
                Some(fields) => recipe.read(line, |column| fields.get(column)),
                None => Recipe::unreadable(line),
            };
            recipe.weigh(candidate, Known { contact: None, opted_out: false }, &mut seen, &mut summary);
        });
        if next != place {
            place = next;
            continue;
        }
        let Some(more) = parts.next() else { return summary };
        bytes.drain(..place.offset as usize);
        bytes.extend(more);
        place.offset = 0;
    }
}

fn going(messy: &Messy) -> usize {
    messy::going(&messy.expected(&HashSet::new())).len()
}

/// Whether it is quick enough.
fn preview() -> bool {
    let messy = file_of(WEIGHED);
    let parts: Vec<Vec<u8>> = Parts::of(messy).collect();
    let megabytes = parts.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    let before = cpu();
    let summaries: Vec<Summary> = (0..RUNS).map(|_| weigh(parts.iter().cloned())).collect();
    let each = (cpu() - before) / RUNS;

    assert!(summaries.iter().all(|summary| summary.going as usize == going(&messy)), "what goes is what the rows were made for");
    assert_eq!(summaries[0].rows, WEIGHED);
    let rate = f64::from(WEIGHED) / each.max(Duration::from_millis(1)).as_secs_f64();
    println!("{WEIGHED} messy rows, {megabytes:.1} MB: read, validated, rendered and counted, without the table");
    println!("  {rate:.0} rows a CPU-second, {:.3} s CPU (at most {:.1})", each.as_secs_f64(), MOST_CPU.as_secs_f64());
    each <= MOST_CPU
}

/// The most memory that this process ever had, in megabytes.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// What a process came to that did one thing.
struct Alone {
    rows: u32,
    /// Rows that go.
    going: u32,
    cpu: f64,
    elapsed: f64,
    megabytes: f64,
}

/// Has a process of its own do it.
fn alone(role: &str, rows: u32) -> Alone {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([role, &rows.to_string()]).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{role} {rows}");
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [going, cpu, elapsed, megabytes] = numbers[..] else { panic!("{role} {rows}: {said}") };
    Alone { rows, going: going as u32, cpu, elapsed, megabytes }
}

/// What [`alone`] reads.
fn tell(going: u32, begun: Instant) {
    println!("{going} {} {} {}", cpu().as_secs_f64(), begun.elapsed().as_secs_f64(), peak());
}

/// In a process of its own.
fn stream(rows: u32) {
    let begun = Instant::now();
    let summary = weigh(Parts::of(file_of(rows)));
    assert_eq!(summary.rows, rows);
    tell(summary.going, begun);
}

/// In a process of its own, with the table in another: uploads a file in parts, as it is made, and has the tick plan it, which
/// begins anew every half a minute and then remembers nothing.
async fn plan(rows: u32, now: Timestamp, tenant: &TenantId) {
    let (stand_in, cx) = StandIn::start();
    tenants::put_settings(cx.table().await.unwrap(), tenant, &settings()).await.unwrap();
    let begun = Instant::now();
    let asked = request(Source::Upload);
    let campaign = create_campaign(&cx, tenant, &asked, "bench", "bench", None, now).await.unwrap();
    let id = campaign.id.clone();
    let mut parts = 0;
    for (number, part) in (0..).zip(Parts::of(file_of(rows))) {
        put_campaign_part(&cx, tenant, &campaign, number, &part, now).await.unwrap();
        parts = number + 1;
    }
    complete_upload(&cx, tenant, campaign, parts, now).await.unwrap();
    tick_until(&cx, tenant, &id, Stage::Held, now).await;
    let summary = campaigns::get(cx.table().await.unwrap(), tenant, &id).await.unwrap().unwrap().summary;
    assert_eq!(summary.rows, rows);
    tell(summary.going, begun);
    stand_in.stop();
}

/// Whether a large file takes no more memory than it may, and hardly more than a small one.
fn memory() -> bool {
    let streamed = alone(STREAM, STREAMED);
    println!("{STREAMED} messy rows as a stream, in parts of 2 MiB, without the table: {} go", streamed.going);
    println!("  {:.1} s CPU with making them, {:.0} MB at most (at most {MOST_MEGABYTES:.0})", streamed.cpu, streamed.megabytes);
    let (few, many) = (alone(PLAN, PLANNED_FEW), alone(PLAN, PLANNED));
    println!("rows uploaded in parts of 2 MiB and planned by the tick; AWS is another process");
    for Alone { rows, going, cpu, elapsed, megabytes } in [&few, &many] {
        println!("  {rows}, of which {going} go: {megabytes:.0} MB at most (at most {MOST_MEGABYTES:.0}), {cpu:.1} s CPU with");
        println!("    making them, {elapsed:.0} s with the embedded table");
    }
    let bytes = (many.megabytes - few.megabytes).max(0.0) * 1e6 / f64::from(many.rows - few.rows);
    println!("  {bytes:.0} bytes more for each more row (at most {MOST_BYTES_A_ROW:.0})");
    let is_little = [&streamed, &few, &many].iter().all(|alone| alone.megabytes <= MOST_MEGABYTES);
    is_little && bytes <= MOST_BYTES_A_ROW
}

async fn tick(cx: &Context, now: Timestamp) {
    schedule::dispatch_messages(cx, scheduled(now), now).await.unwrap();
}

/// Ticks until the campaign has come to `stage`; answers when.
async fn tick_until(cx: &Context, tenant: &TenantId, id: &str, stage: Stage, mut now: Timestamp) -> Timestamp {
    for _ in 0..1_000 {
        tick(cx, now).await;
        now += TICK;
        if campaigns::get(cx.table().await.unwrap(), tenant, id).await.unwrap().unwrap().stage == stage {
            return now;
        }
    }
    panic!("the campaign does not come to {stage:?}");
}

/// A campaign that waits once it is planned.
fn request(source: Source) -> CampaignRequest {
    CampaignRequest {
        name: None,
        text: TextOf::Body(BODY.into()),
        variables: BTreeMap::new(),
        channel: Channel::Sms,
        category: None,
        media_urls: Vec::new(),
        phone_column: None,
        lapsed_after_days: Some(LAPSED_AFTER_DAYS),
        send_at: None,
        is_held: true,
        rails: Rails { opt_out_text: None, names_sender: None },
        source,
    }
}

/// Whether planning asks the table no more often than it may.
async fn run(now: Timestamp, tenant: &TenantId) -> bool {
    let (mut stand_in, cx) = StandIn::start();
    tenants::put_settings(cx.table().await.unwrap(), tenant, &settings()).await.unwrap();
    let messy = file_of(SENT);
    let going = going(&messy);
    let request = request(Source::File(Bytes::from(messy.file())));

    stand_in.table_requests();
    let before = cpu();
    let id = create_campaign(&cx, tenant, &request, "bench", "bench", None, now).await.unwrap().id;
    let now = tick_until(&cx, tenant, &id, Stage::Held, now).await;
    let (planned, planning) = (cpu(), stand_in.table_requests());
    start_campaign(&cx, tenant, &id, now).await.unwrap();
    let mut at = now;
    while stand_in.ask("accepted").parse::<usize>().unwrap() < going {
        assert!(at.duration_since(now) < SignedDuration::from_hours(1), "not everything goes");
        tick(&cx, at).await;
        at += TICK;
    }
    let (sent, sending) = (cpu(), stand_in.table_requests());
    tick_until(&cx, tenant, &id, Stage::Done, at).await;
    let (checked, checking) = (cpu(), stand_in.table_requests());

    assert_eq!(stand_in.ask("accepted"), going.to_string(), "each row that goes was accepted once");
    stand_in.stop();
    let requests = |all: &BTreeMap<String, u64>, count: usize| all.values().sum::<u64>() as f64 / count as f64;
    let millis = |spent: Duration, count: usize| spent.as_secs_f64() * 1000.0 / count as f64;
    let rows = SENT as usize;
    println!("{SENT} messy rows planned, {going} messages made, sent and checked; AWS and Twilio are another process");
    println!(
        "  plan: {:.4} table requests a row (at most {MOST_REQUESTS}), {:.3} ms CPU",
        requests(&planning, rows),
        millis(planned - before, rows)
    );
    println!("    {planning:?}");
    println!(
        "  make and send: {:.4} table requests a message, {:.3} ms CPU",
        requests(&sending, going),
        millis(sent - planned, going)
    );
    println!("    {sending:?}");
    println!("  check: {:.4} table requests a message, {:.3} ms CPU", requests(&checking, going), millis(checked - sent, going));
    println!("    {checking:?}");
    requests(&planning, rows) <= MOST_REQUESTS
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let now: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let tenant = TenantId::parse("bench").unwrap();
    if stand_in::is_stand_in(now, &tenant).await {
        return;
    }
    let arguments: Vec<String> = std::env::args().collect();
    let rows_of = |role: &str| {
        let at = arguments.iter().position(|argument| argument == role)?;
        Some(arguments.get(at + 1)?.parse::<u32>().unwrap())
    };
    if let Some(rows) = rows_of(STREAM) {
        return stream(rows);
    }
    if let Some(rows) = rows_of(PLAN) {
        return plan(rows, now, &tenant).await;
    }
    // All figures first: what is not held is said at the end.
    let is_quick = preview();
    let is_little = memory();
    let is_seldom = run(now, &tenant).await;
    assert!(
        is_quick && is_little && is_seldom,
        "quick enough: {is_quick}; little memory: {is_little}; few requests: {is_seldom}"
    );
}
