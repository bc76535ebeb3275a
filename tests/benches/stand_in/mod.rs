//! AWS and Twilio as a process of their own, so that a bench counts our CPU alone.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use local::aws::sqs_event;
use local::clock::Clock;
use local::host::{self, Host, Options};
use local::names::{QUEUE, TABLE};
use serde_json::{Value, json};
use shared::context::Context;
use shared::domain::tenant::TenantId;
use tokio::runtime::Handle;

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

/// Says where it listens, then answers each line of its input with one.
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
            // What is counted begins anew before the answer, which the next requests follow at once.
            let answer = match line.unwrap().as_str() {
                "accepted" => json!(host.twilio.ledger().len()),
                "cpu" => json!(cpu()),
                "consumed" => consumed(&host),
                "queued" => queued(&host),
                "stored" => Handle::current().block_on(stored(&host)),
                _ => {
                    let requests = json!(host.aws.requests());
                    host.aws.reset_requests();
                    requests
                }
            };
            println!("{answer}");
        }
    });
    lines.await.unwrap();
}

/// Everything that was asked of AWS since the last time, and what it consumed of the table: that is counted from the first
/// time on. And how many messages Twilio has.
fn consumed(host: &Host) -> Value {
    let capacity = host.aws.capacity();
    let consumed = json!({
        "requests": host.aws.requests(),
        "readUnits": capacity.read,
        "writeUnits": capacity.write,
        "indexWriteUnits": capacity.index_write,
        "refusedWrites": capacity.refused,
        "events": host.aws.take_events().len(),
        "accepted": host.twilio.ledger().len(),
    });
    host.aws.reset_requests();
    host.aws.count_capacity();
    consumed
}

/// The next messages of the queue as the event of a function, or null.
fn queued(host: &Host) -> Value {
    let messages = host.aws.take(QUEUE, 10);
    if messages.is_empty() { Value::Null } else { sqs_event(&messages) }
}

/// Items and bytes of the table, and of all its indexes.
async fn stored(host: &Host) -> Value {
    let request = json!({ "TableName": TABLE }).to_string();
    let answer = host.aws.handle("DynamoDB_20120810.DescribeTable", request.as_bytes()).await;
    let description: Value = serde_json::from_str(&answer.body).unwrap();
    let table = &description["Table"];
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap();
    let of_indexes = |figure: &str| indexes.iter().map(|index| index[figure].as_u64().unwrap()).sum::<u64>();
    json!({
        "items": table["ItemCount"],
        "bytes": table["TableSizeBytes"],
        "indexItems": of_indexes("ItemCount"),
        "indexBytes": of_indexes("IndexSizeBytes"),
    })
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
