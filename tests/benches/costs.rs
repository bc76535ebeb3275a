//! What a message costs on AWS: requests, consumed capacity, milliseconds and dollars per thousand of each kind, what a stack
//! costs that has nothing to do, and what a million messages a month come to. Prints what stands in `infra/RUNBOOK.md`.
//!
//! `cargo bench -p tests --bench costs`. Bounded: under a minute. What is measured is a process of its own, of which each
//! function has its own memory, as a Lambda process has; its output is read as CloudWatch reads it. AWS and Twilio are
//! another. Prices, and what had to be supposed, are in `costs/prices.rs`.

#![allow(clippy::unwrap_used)]

#[path = "costs/prices.rs"]
mod prices;
#[path = "costs/report.rs"]
mod report;
#[path = "costs/said.rs"]
mod said;
mod school;
#[path = "costs/stack.rs"]
mod stack;
#[allow(dead_code)] // what the other benches ask of it
mod stand_in;
mod webhook;
#[path = "costs/work.rs"]
mod work;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use local::template::Function;
use shared::domain::tenant::TenantId;

use prices::Stored;
use report::Row;
use said::{COUNT, HOURS_AFTER, Kind, MARK, NIGHTS_AFTER, Said};
use work::{Work, Works};

/// The argument that makes a process the one that is measured.
const MEASURED: &str = "measured";

/// What was measured, for each single unit.
#[derive(Default)]
struct Measured {
    works: BTreeMap<Kind, Works>,
    kept: BTreeMap<Kind, Stored>,
}

impl Measured {
    /// Has a process measure, and counts what it logs.
    fn read() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap()).arg(MEASURED).stdout(Stdio::piped()).spawn().unwrap();
        let mut measured = Self::default();
        let mut log_bytes = 0;
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(said) = line.strip_prefix(MARK) else {
                log_bytes += line.len();
                if line.contains(r#""level":"ERROR""#) {
                    eprintln!("{line}");
                }
                continue;
            };
            match serde_json::from_str(said).unwrap() {
                Said::Begun => log_bytes = 0,
                Said::Done { kind, function, units, work } => {
                    let work = Work { log_bytes: log_bytes as f64, ..work };
                    let function = Function::named(&function).unwrap();
                    measured.works.entry(kind).or_default().add(function, &work.times(1.0 / units as f64));
                }
                Said::Kept { kind, units, stored } => {
                    measured.kept.insert(kind, stored.times(1.0 / units as f64));
                }
            }
        }
        assert!(process.wait().unwrap().success());
        measured
    }

    /// One of a kind. What ticks do anyhow is no part of it.
    fn one(&self, kind: Kind) -> Works {
        let mut works = self.works[&kind].clone();
        if kind == Kind::LoneReminder {
            let planned = self.works[&Kind::Reminder].of(Function::ScheduleLessonReminders);
            works.add(Function::ScheduleLessonReminders, &planned);
        }
        if let Some(work) = works.0.get_mut(&Function::DispatchMessages) {
            let ticks = work.invocations - work.of_queue;
            *work = work.without(&self.tick().times(ticks));
        }
        works
    }

    fn tick(&self) -> Work {
        self.works[&Kind::Tick].of(Function::DispatchMessages)
    }

    /// What is done with a message after it went: it is looked at, counted, and in the end taken away.
    fn after(&self) -> Works {
        let often = |times: usize| times as f64 / COUNT as f64;
        let hours = self.works[&Kind::Hour(1)].times(often(HOURS_AFTER));
        let nights = self.works[&Kind::Night(1)].times(often(NIGHTS_AFTER));
        let looked_at = self.works[&Kind::HoursAfter].without(&hours);
        let counted = self.works[&Kind::NightsAfter].without(&nights);
        looked_at.plus(&counted).plus(&self.works[&Kind::Expired])
    }

    /// A month of a stack that has so many tenants and nothing to do.
    fn idle(&self, tenants: u32) -> Works {
        let mut ticks = Works::default();
        ticks.add(Function::DispatchMessages, &self.tick().times(prices::MONTH_MINUTES));
        let hours = self.works[&Kind::Hour(tenants)].times(prices::MONTH_HOURS);
        let nights = self.works[&Kind::Night(tenants)].times(prices::MONTH_DAYS);
        ticks.plus(&hours).plus(&nights)
    }
}

/// Requests to the table: of a unit's own functions, and of the webhook; as docs/figures.md has them, with some room for
/// what processes ask once a minute. A text that comes in takes one more than there, for the month's limit.
const MOST_REQUESTS: [(Kind, f64, f64); 6] = [
    (Kind::Single, 3.1, 3.5),
    (Kind::Reminder, 0.15, 3.5),
    (Kind::LoneReminder, 9.0, 3.5),
    (Kind::Listed, 0.3, 3.5),
    (Kind::OfCampaign, 0.4, 3.5),
    (Kind::Answered, 0.0, 8.5),
];
/// Of a tick with nothing to do: two lanes of four partitions.
const MOST_OF_TICK: f64 = 8.0;

fn too_many(measured: &Measured) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, requests: f64, most: f64| {
        if requests > most + 1e-9 {
            wrong.push(format!("{what}: {requests:.3} requests to the table, at most {most}"));
        }
    };
    for (kind, most, most_of_webhook) in MOST_REQUESTS {
        let one = measured.one(kind);
        let of_webhook = one.of(Function::TwilioWebhook).table_requests();
        check(format!("{kind:?}"), one.sum().table_requests() - of_webhook, most);
        check(format!("{kind:?}, the webhook"), of_webhook, most_of_webhook);
    }
    check("an idle tick".into(), measured.tick().table_requests(), MOST_OF_TICK);
    wrong
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let now: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let tenant = TenantId::parse("bench").unwrap();
    if stand_in::is_stand_in(now, &tenant).await {
        return;
    }
    if std::env::args().any(|argument| argument == MEASURED) {
        return stack::measure(now, &tenant).await;
    }
    let measured = Measured::read();
    let row = |kind: Kind, name: &'static str, messages: f64| {
        // Those that are due alone lie there as the others do.
        let kept = measured.kept[&if kind == Kind::LoneReminder { Kind::Reminder } else { kind }];
        Row { name, one: measured.one(kind), kept, messages }
    };
    let rows = [
        row(Kind::Single, "a single text by the API", 1.0),
        row(Kind::Reminder, "a planned reminder, one of 1,000 of a minute", 1.0),
        row(Kind::LoneReminder, "a planned reminder, alone in its minute", 1.0),
        row(Kind::Listed, "a text of a list of 1,000", 1.0),
        row(Kind::OfCampaign, "a text of a campaign of 1,000 rows", 1.0),
        row(Kind::Answered, "a text that comes in, and its automatic answer", 2.0),
    ];
    report::print(&rows, &measured.after(), &measured.idle(0), &measured.idle(1));
    // All figures first: what is not held is said at the end.
    let wrong = too_many(&measured);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
