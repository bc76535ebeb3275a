//! Fuzz targets: whatever comes from outside is read or refused, never stumbled over.
//!
//! A target takes arbitrary inputs, and valid ones that were damaged, and says what must hold of what is made of them:
//! none may panic, and none is only looked at for that. What proptest finds it makes small and prints.
//!
//! | What is read | By | Target |
//! |---|---|---|
//! | a school's CSV files: contacts, lessons, payments | `files/{table,contacts,lessons,payments}.rs` | `files`, through the API `api::imports` |
//! | `events.jsonl`, `tenant.json` | `files/{events,settings}.rs` | `files` |
//! | iCalendar, and the rules in it | `files/calendar/` | `calendars`, through the API `api::imports` |
//! | a campaign's file, in parts | `files/sheet.rs` | its own properties; through the API `api::imports` |
//! | forms with parts | `api/form.rs` | `api::imports` |
//! | JSON bodies, paths, queries, headers of every route | `api/` | `api`; by its own description, `tests/fuzz_api.py` |
//! | cursors | `api/listing.rs`, `records.rs`, `messages.rs`, `contacts.rs`, `templates.rs`, `campaign_rows.rs` | `api::keys` |
//! | claims as API Gateway passes them | `api/access.rs` | `api::keys` |
//! | the tokens of preference pages | `usecases/preferences_link.rs` | `api::keys` |
//! | EventBridge's events, the queue's messages | `schedule.rs`, `domain/school_event.rs`, `queue.rs` | `events` |
//! | numbers, money, days, clocks, starts, zones, lists of recipients, cron, templates, media URLs | `domain/` | `values` |
//! | words and phrases of consent, answers | `domain/consent/`, `answer.rs` | their own properties |
//! | bodies as they are billed | `domain/segments.rs`, `encoded_body.rs` | their own properties; Twilio's vectors, `tests/vectors.rs` |
//! | signatures of webhooks | `twilio/signature.rs` | `seals` |
//! | the bodies of webhooks, signed and not | `api/webhook.rs` | `tests/forged.rs` |
//! | a callback's parameters, a report's text | `twilio/{form,status_callback}.rs`, `domain/report.rs` | `twilio`; the text's own property |
//! | Twilio's answers | `twilio/client.rs` | `twilio` |
//! | sealed fields | `store/seal.rs` | `seals` |
//! | a token of this machine | `infra/local/src/tokens.rs` | `seals` |
//! | TwiML, as the local Twilio obeys it | `infra/local/src/twilio/{twiml,reply}.rs` | `twilio` |
//!
//! The inputs are the same in each run. `FUZZ_SEED=7` takes others, `FUZZ_CASES=1000` a thousand times as many:
//! `FUZZ_CASES=1000 FUZZ_SEED=7 cargo test --release -p tests fuzz::`.

mod api;
mod calendars;
mod events;
mod files;
mod garbage;
mod seals;
mod twilio;
mod values;

use std::path::Path;
use std::str::FromStr;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};
use tokio::runtime::{Builder, Runtime};

use crate::machine::root;

/// Tries what `holds` on so many inputs, as a rule.
fn every<S: Strategy>(usual: u32, inputs: S, holds: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config {
        cases: usual.saturating_mul(asked("FUZZ_CASES").unwrap_or(1)),
        rng_seed: RngSeed::Fixed(asked("FUZZ_SEED").unwrap_or(0)),
        failure_persistence: None,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(&inputs, holds) {
        panic!("{error}");
    }
}

fn asked<N: FromStr>(name: &str) -> Option<N> {
    #[allow(clippy::disallowed_methods)] // how much is tried, nothing of the product
    let asked = std::env::var(name).ok()?;
    Some(asked.parse().unwrap_or_else(|_| panic!("{name} is a number, not {asked}")))
}

/// What waits for a machine in a target, which is not asynchronous.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(root().join(path)).unwrap()
}

/// A file of the sample school.
fn sample(name: &str) -> Vec<u8> {
    read(Path::new("infra/local/sample").join(name))
}

/// The first lines of a table of the sample school.
fn few_rows(name: &str) -> Vec<u8> {
    let text = String::from_utf8(sample(name)).unwrap();
    text.split_inclusive('\n').take(6).collect::<String>().into_bytes()
}

/// How many lines a file has at the most, in whatever encoding.
fn lines(bytes: &[u8]) -> u64 {
    1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64
}
