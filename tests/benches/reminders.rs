//! What a reminder costs: CPU and table requests, planned and sent, through the whole path.
//!
//! `cargo bench -p tests --bench reminders`. Bounded: some seconds.

#![allow(clippy::unwrap_used)]

mod school;
mod stand_in;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use local::host::scheduled;
use shared::domain::tenant::{Settings, TenantId};
use shared::schedule;
use shared::store::{due, lessons};
use shared::usecases::save_school::{School, save_school};
use stand_in::{StandIn, cpu};

const CONTACTS: usize = 10_000;
/// Contacts of one lesson.
const CLASS: usize = 20;

fn records(start: Timestamp) -> School {
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "name": "Bench", "timeZone": "America/New_York", "defaultRegion": "US",
        "senders": { "sms": "+15005550006" },
        "budget": { "monthlyLimit": "10000.00", "currency": "USD" },
        "types": { "lesson_reminder": { "offsets": ["24h"] } },
        "prices": { "sms": "0.0079", "whatsapp": "0.0050" },
    }))
    .unwrap();
    let lesson = |number: usize| school::lesson(&settings, number, number * CLASS..(number + 1) * CLASS, start);
    School {
        contacts: school::contacts(&settings, 0..CONTACTS),
        lessons: (0..CONTACTS / CLASS).map(lesson).collect(),
        payments: Vec::new(),
        settings,
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let now: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let due = now + jiff::SignedDuration::from_hours(1);
    let tenant = TenantId::parse("bench").unwrap();
    if stand_in::is_stand_in(now, &tenant).await {
        return;
    }
    let (mut stand_in, cx) = StandIn::start();

    let school = records(due + jiff::SignedDuration::from_hours(24));
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
    stand_in.stop();
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
