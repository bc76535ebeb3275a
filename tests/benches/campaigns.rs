//! What a campaign costs: CPU and memory to weigh the rows of a messy file, table requests to plan, make and send them.
//!
//! `cargo bench -p tests --bench campaigns`. Bounded: under a minute.

#![allow(clippy::unwrap_used)]

#[path = "../messy.rs"]
#[allow(dead_code)] // what the tests alone ask of it
mod messy;
mod stand_in;

use std::collections::{BTreeMap, HashSet};
use std::process::Command;
use std::time::Duration;

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
use shared::usecases::control_campaign::start_campaign;
use shared::usecases::create_campaign::{CampaignRequest, Rails, Source, TextOf, create_campaign};
use stand_in::{StandIn, cpu};

use messy::{BODY, HEADER, LAPSED_AFTER_DAYS, Messy, TENANT};

/// Rows that are weighed, as a preview does it.
const WEIGHED: u32 = 100_000;
const RUNS: u32 = 5;
/// Rows that come as a stream.
const STREAMED: u32 = 1_000_000;
/// Rows that are planned and sent over the table.
const SENT: u32 = 20_000;
/// Of a file, in bytes, as it is uploaded.
const PART: usize = 2 * 1024 * 1024;
/// Rows that are read at once, as planning does it.
const CHUNK: usize = 1_000;
/// The argument that makes this process the one whose memory is looked at.
const ROLE: &str = "streamed";

const TODAY: Date = date(2026, 3, 4);
const TICK: SignedDuration = SignedDuration::from_secs(5);

/// The contract's: CPU to preview `WEIGHED` rows; memory of `STREAMED`; table requests to plan a row.
const MOST_CPU: Duration = Duration::from_millis(500);
const MOST_MEGABYTES: f64 = 150.0;
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
        text: NamedTemplate {
            name: "bench".into(),
            category: Category::Marketing,
            text: Template::parse(BODY).unwrap(),
            active: true,
            content_sid: None,
            content_variables: Vec::new(),
        },
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

fn preview() {
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
    assert!(each <= MOST_CPU, "too slow");
}

/// The most memory that this process ever had, in megabytes.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// In a process of its own.
fn stream() {
    let summary = weigh(Parts::of(file_of(STREAMED)));
    assert_eq!(summary.rows, STREAMED);
    println!("{STREAMED} messy rows as a stream, in parts of 2 MiB: {} go", summary.going);
    println!("  {:.1} s CPU with making them, {:.0} MB at most (at most {MOST_MEGABYTES:.0})", cpu().as_secs_f64(), peak());
    assert!(peak() <= MOST_MEGABYTES, "too much memory");
}

fn stream_elsewhere() {
    assert!(Command::new(std::env::current_exe().unwrap()).arg(ROLE).status().unwrap().success());
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

async fn run(now: Timestamp, tenant: &TenantId) {
    let (mut stand_in, cx) = StandIn::start();
    tenants::put_settings(cx.table().await.unwrap(), tenant, &settings()).await.unwrap();
    let messy = file_of(SENT);
    let going = going(&messy);
    let request = CampaignRequest {
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
        source: Source::File(Bytes::from(messy.file())),
    };

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
    assert!(requests(&planning, rows) <= MOST_REQUESTS, "too many requests");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let now: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let tenant = TenantId::parse("bench").unwrap();
    if stand_in::is_stand_in(now, &tenant).await {
        return;
    }
    if std::env::args().any(|argument| argument == ROLE) {
        stream();
        return;
    }
    preview();
    stream_elsewhere();
    run(now, &tenant).await;
}
