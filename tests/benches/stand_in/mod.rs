//! AWS and Twilio as a process of their own, so that a bench counts our CPU alone.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use local::clock::Clock;
use local::host::{self, Host, Options};
use shared::context::Context;
use shared::domain::tenant::TenantId;

/// The argument that makes a bench the other process.
const ROLE: &str = "stand-in";

/// User and system CPU of this process so far.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10) // USER_HZ is 100 on every Linux that Rust runs on
}

/// If this process was started as the stand-in: is that until its input ends, and answers true.
pub async fn is_stand_in(now: Timestamp, tenant: &TenantId) -> bool {
    let is = std::env::args().any(|argument| argument == ROLE);
    if is {
        stand_in(now, tenant).await;
    }
    is
}

/// Says where it listens, then answers each line with the table requests since the last.
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
                let requests = serde_json::to_string(&host.aws.requests()).unwrap();
                // Before the answer, which the next requests follow at once.
                host.aws.reset_requests();
                println!("{requests}");
            }
        }
    });
    lines.await.unwrap();
}

/// The other process.
pub struct StandIn {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl StandIn {
    /// Starts this bench once more as the stand-in, and makes a context that reaches it.
    pub fn start() -> (Self, Context) {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let addresses = answers.next().unwrap().unwrap();
        let (aws, twilio) = addresses.split_once(' ').unwrap();
        let mut config = host::config(twilio, "http://127.0.0.1:9");
        config.aws.endpoint = Some(aws.to_string());
        (Self { process, answers }, Context::new(config))
    }

    pub fn stop(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{question}").unwrap();
        self.answers.next().unwrap().unwrap()
    }

    /// Of the table, since the last time.
    pub fn table_requests(&mut self) -> BTreeMap<String, u64> {
        let all: BTreeMap<String, u64> = serde_json::from_str(&self.ask("requests")).unwrap();
        all.into_iter().filter(|(name, _)| name.starts_with("DynamoDB.")).collect()
    }
}
