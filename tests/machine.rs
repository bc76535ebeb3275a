//! A machine for tests, and the programs that a test runs as real processes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jiff::Timestamp;
use local::clock::Clock;
use local::host::{Host, Options};
use local::school_folder::{self, SchoolFolder};
use local::simulate::{self, Span};
use shared::domain::message::Message;
use shared::domain::tenant::TenantId;
use shared::store::{keys, messages};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The sample school, as its files are written, and the span of its `run.txt`.
pub fn sample() -> (SchoolFolder, Span) {
    folder(&root().join("infra/local/sample"))
}

pub fn folder(path: &Path) -> (SchoolFolder, Span) {
    let span = span(path);
    (school_folder::read(path, span.from, span.until).unwrap(), span)
}

pub fn span(path: &Path) -> Span {
    let run = std::fs::read_to_string(path.join("run.txt")).unwrap();
    let (from, length) = run.trim().split_once(' ').unwrap();
    let from: Timestamp = from.parse().unwrap();
    Span { from, until: from + simulate::parse_length(length).unwrap() }
}

pub fn tenant() -> TenantId {
    TenantId::parse("sample").unwrap()
}

/// A machine in memory whose clock stands at `now`.
pub async fn machine(now: Timestamp) -> Host {
    Host::start(Options::in_memory(Clock::at(now))).await.unwrap()
}

/// Every message of a tenant that is due in `span` or a week after.
pub async fn all_messages(host: &Host, tenant: &TenantId, span: Span) -> Vec<Message> {
    let table = host.cx.table().await.unwrap();
    let mut all = Vec::new();
    let mut day = keys::day(span.from);
    while day <= keys::day(span.until + jiff::SignedDuration::from_hours(24 * 7)) {
        all.extend(messages::log(table, tenant, day).await.unwrap());
        day = day.tomorrow().unwrap();
    }
    all
}

/// How often each message (recipient and text) was accepted by the local Twilio.
pub fn ledger(host: &Host) -> HashMap<(String, String), usize> {
    let mut counts = HashMap::new();
    for entry in host.twilio.ledger() {
        *counts.entry((entry.to, entry.body)).or_default() += 1;
    }
    counts
}

/// The workspace's programs, built once in the profile of this test.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let release = !cfg!(debug_assertions);
        let mut build = Command::new(env!("CARGO"));
        // With the tests, so that the dependencies are those that `cargo test` has built, feature for feature.
        build.current_dir(root()).args(["build", "--workspace", "--bins", "--tests", "--quiet"]);
        if release {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the programs do not build");
        // This test lies in <target>/<profile>/deps.
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf()
    });
    folder.join(name)
}
