//! What a reminder costs: CPU and table requests, planned and sent, through the whole path.
//!
//! `cargo bench -p tests --bench reminders`. Bounded: some seconds.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use local::clock::Clock;
use local::host::{self, Host, Options, scheduled};
use shared::context::Context;
use shared::domain::contact::{Contact, Number};
use shared::domain::lesson::{Lesson, LessonStatus, Students};
use shared::domain::phone::PhoneNumber;
use shared::domain::tenant::{Settings, TenantId};
use shared::schedule;
use shared::store::{due, lessons};
use shared::usecases::save_school::{School, save_school};

const CONTACTS: usize = 10_000;
/// Contacts of one lesson.
const CLASS: usize = 20;

/// User and system CPU of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10) // USER_HZ is 100 on every Linux that Rust runs on
}

fn school(start: Timestamp) -> School {
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "name": "Bench", "timeZone": "America/New_York", "defaultRegion": "US",
        "senders": { "sms": "+15005550006" },
        "budget": { "monthlyLimit": "10000.00", "currency": "USD" },
        "types": { "lesson_reminder": { "offsets": ["24h"] } },
        "prices": { "sms": "0.0079", "whatsapp": "0.0050" },
    }))
    .unwrap();
    let contact = |number: usize| Contact {
        id: format!("C{number:05}"),
        name: format!("Student {number}"),
        phone: Number::Usable(
            PhoneNumber::parse(&format!("+1555{:07}", 2_000_000 + number), &settings.default_region, settings.strictness())
                .unwrap(),
        ),
        whatsapp: Number::Absent,
        email: None,
        channel: None,
        time_zone: None,
        groups: Vec::new(),
        quiet_hours: None,
        opted_out: false,
        opted_out_categories: Default::default(),
        attributes: BTreeMap::new(),
    };
    let lesson = |number: usize| Lesson {
        id: format!("L{number:05}"),
        subject: "Piano".into(),
        teacher: "Ms. Rivera".into(),
        starts_at: start,
        time_zone: settings.time_zone.clone(),
        students: Students {
            contacts: (number * CLASS..(number + 1) * CLASS).map(|contact| format!("C{contact:05}")).collect(),
            groups: Vec::new(),
        },
        course: None,
        duration_minutes: None,
        status: LessonStatus::Scheduled,
        version: 1,
        changed_at: Timestamp::UNIX_EPOCH,
    };
    School {
        contacts: (0..CONTACTS).map(contact).collect(),
        lessons: (0..CONTACTS / CLASS).map(lesson).collect(),
        payments: Vec::new(),
        settings,
    }
}

/// AWS and Twilio as a process of their own, so that their CPU is not ours. Says where it listens, then
/// answers each line with the table requests since the last.
async fn stand_in(now: Timestamp, tenant: &TenantId) {
    let host = Host::start(Options::in_memory(Clock::at(now))).await.unwrap();
    host.connect(tenant, vec!["+15005550006".into()]).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{} {}", listener.local_addr().unwrap(), host.twilio_url);
    let aws = host.aws.clone();
    tokio::spawn(async move { aws.serve(listener).await });
    host.aws.reset_requests();
    let lines = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            if line.unwrap() == "accepted" {
                println!("{}", host.twilio.ledger().len());
            } else {
                println!("{}", serde_json::to_string(&host.aws.requests()).unwrap());
                host.aws.reset_requests();
            }
        }
    });
    lines.await.unwrap();
}

struct StandIn {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl StandIn {
    fn ask(&mut self, question: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{question}").unwrap();
        self.answers.next().unwrap().unwrap()
    }

    fn table_requests(&mut self) -> BTreeMap<String, u64> {
        let all: BTreeMap<String, u64> = serde_json::from_str(&self.ask("requests")).unwrap();
        all.into_iter().filter(|(name, _)| name.starts_with("DynamoDB.")).collect()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let now: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let due = now + jiff::SignedDuration::from_hours(1);
    let tenant = TenantId::parse("bench").unwrap();
    if std::env::args().any(|argument| argument == "stand-in") {
        return stand_in(now, &tenant).await;
    }
    let mut process = Command::new(std::env::current_exe().unwrap())
        .arg("stand-in")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
    let addresses = answers.next().unwrap().unwrap();
    let (aws, twilio) = addresses.split_once(' ').unwrap();
    let mut config = host::config(twilio, "http://127.0.0.1:9");
    config.aws.endpoint = Some(aws.to_string());
    let cx = Context::new(config);
    let mut stand_in = StandIn { process, answers };

    let school = school(due + jiff::SignedDuration::from_hours(24));
    // Records first, planned by the job: what loading costs is not the question.
    let records = School { lessons: Vec::new(), ..school.clone() };
    save_school(&cx, &tenant, &records, now).await.unwrap();
    lessons::put_many(cx.table().await.unwrap(), &tenant, &school.lessons).await.unwrap();

    stand_in.table_requests();
    let before = cpu();
    schedule::lesson_reminders(&cx, scheduled(now)).await.unwrap();
    let planned = cpu();
    let planning = stand_in.table_requests();
    schedule::dispatch_messages(&cx, scheduled(due), due).await.unwrap();
    let sent = cpu();
    let sending = stand_in.table_requests();

    assert_eq!(stand_in.ask("accepted"), CONTACTS.to_string(), "each reminder was accepted once");
    assert_eq!(due::next_due(cx.table().await.unwrap(), &tenant).await.unwrap(), None);
    stand_in.process.kill().unwrap();
    stand_in.process.wait().unwrap();
    let each = |total: Duration| total.as_secs_f64() * 1000.0 / CONTACTS as f64;
    let rate = |requests: &BTreeMap<String, u64>| requests.values().sum::<u64>() as f64 / CONTACTS as f64;
    println!("{CONTACTS} reminders, planned by the daily job and sent by one tick; AWS and Twilio are another process.");
    println!(
        "CPU a reminder: {:.3} ms (plan {:.3}, send {:.3})",
        each(sent - before),
        each(planned - before),
        each(sent - planned)
    );
    println!("table requests a reminder: {:.4}", rate(&planning) + rate(&sending));
    println!("  plan {:.4} {planning:?}", rate(&planning));
    println!("  send {:.4} {sending:?}", rate(&sending));
}
