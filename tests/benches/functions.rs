//! How big each function's release program is, and how long it takes to ask for its first event.
//!
//! `cargo bench -p tests --bench functions`. Builds the release programs if they are not built.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FUNCTIONS: [&str; 7] = [
    "send-message",
    "manage-tenant",
    "schedule-lesson-reminders",
    "schedule-payment-reminders",
    "dispatch-messages",
    "receive-events",
    "twilio-webhook",
];
const RUNS: usize = 21;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root).args(["build", "--release", "--quiet"]);
    for name in FUNCTIONS {
        build.args(["-p", name]);
    }
    assert!(build.status().unwrap().success());
    // This bench lies in <target>/release/deps.
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf();
    println!("{:<28} {:>8} {:>30}", "function", "MB", "spawn to first /next, ms (median)");
    for name in FUNCTIONS {
        let program = folder.join(name);
        let megabytes = std::fs::metadata(&program).unwrap().len() as f64 / 1e6;
        let mut times: Vec<Duration> = (0..RUNS).map(|_| first_next(&program)).collect();
        times.sort();
        println!("{name:<28} {megabytes:>8.2} {:>30.2}", times[RUNS / 2].as_secs_f64() * 1000.0);
    }
}

/// From spawn to the program's first request, which must be for an event: it makes no other.
fn first_next(program: &Path) -> Duration {
    let runtime = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = runtime.local_addr().unwrap().to_string();
    let started = Instant::now();
    let mut process = Command::new(program)
        .env_clear()
        .envs([
            ("TABLE_NAME", "carillon"),
            ("QUEUE_URL", "http://127.0.0.1:9/queue"),
            ("EVENT_BUS", "carillon"),
            ("PUBLIC_URL", "https://hooks.example.com"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_LAMBDA_RUNTIME_API", &address),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut connection, _) = runtime.accept().unwrap();
    let mut head = [0; 64];
    let length = connection.read(&mut head).unwrap();
    let elapsed = started.elapsed();
    assert!(head[..length].starts_with(b"GET /2018-06-01/runtime/invocation/next"));
    process.kill().unwrap();
    process.wait().unwrap();
    let _ = connection.flush();
    elapsed
}
