//! Prices and suppositions, each by name, and what work comes to by them. Everything else in the table is measured.
//!
//! List prices of us-east-1 in US dollars, before any free tier or discount, as AWS's own price pages had them in [`AS_OF`]
//! (aws.amazon.com/<service>/pricing, as articles of March to June 2026 repeat them). They change seldom; look again
//! before you rely on them.

use local::template::{Function, template};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::work::{Work, Works};

pub const AS_OF: &str = "June 2026";

const MILLION: f64 = 1e6;
pub const GIGABYTE: f64 = 1_073_741_824.0;

// aws.amazon.com/lambda/pricing: arm64, the first tier.
const LAMBDA_REQUEST: f64 = 0.20 / MILLION;
const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
// aws.amazon.com/api-gateway/pricing: HTTP APIs, the first 300 million, up to 512 KB each.
const API_REQUEST: f64 = 1.00 / MILLION;
// aws.amazon.com/dynamodb/pricing/on-demand: the standard class, since November 2024.
pub const WRITE_UNIT: f64 = 0.625 / MILLION;
pub const READ_UNIT: f64 = 0.125 / MILLION;
const STORED_GB: f64 = 0.25;
/// Point-in-time recovery, of the table without its indexes.
const RECOVERABLE_GB: f64 = 0.20;
/// Added to each item and each entry of an index.
const BYTES_PER_ITEM: f64 = 100.0;
// aws.amazon.com/sqs/pricing: standard queues. A queue whose messages name groups is a fair queue, and costs 0.10 more.
pub const QUEUE_POLL: f64 = 0.40 / MILLION;
const QUEUE_REQUEST: f64 = 0.50 / MILLION;
// aws.amazon.com/eventbridge/pricing: custom events; schedules and deliveries within the account are free.
const EVENT: f64 = 1.00 / MILLION;
// aws.amazon.com/secrets-manager/pricing
pub const SECRET: f64 = 0.40;
const SECRET_REQUEST: f64 = 0.05 / 10_000.0;
// aws.amazon.com/kms/pricing: a customer managed key. Its first and its second yearly rotation add as much each.
pub const KEY: f64 = 1.00;
pub const KEY_REQUEST: f64 = 0.03 / 10_000.0;
// aws.amazon.com/cloudwatch/pricing: logs of the standard class, by the gigabyte that comes in.
const LOGGED_GB: f64 = 0.50;
/// The first 10,000.
pub const METRIC: f64 = 0.30;
/// Of standard resolution, for each metric that it looks at.
pub const ALARM_METRIC: f64 = 0.10;
pub const COMPOSITE_ALARM: f64 = 0.50;
pub const DASHBOARD: f64 = 3.00;
// aws.amazon.com/xray/pricing
pub const TRACE: f64 = 5.00 / MILLION;

/// Hours, minutes and seconds of a month.
pub const MONTH_HOURS: f64 = 730.0;
pub const MONTH_MINUTES: f64 = MONTH_HOURS * 60.0;
pub const MONTH_SECONDS: f64 = MONTH_MINUTES * 60.0;
pub const MONTH_DAYS: f64 = MONTH_HOURS / 24.0;

/// So much memory has one CPU to itself; less has as much less of it (Lambda Developer Guide, "Configure Lambda function
/// memory").
const MEMORY_OF_A_CPU: f64 = 1769.0;

// ---- What nobody can measure without AWS: suppositions.

/// A request to the table, but for transactions.
pub const TABLE_WAIT_MS: f64 = 5.0;
pub const TRANSACTION_WAIT_MS: f64 = 20.0;
/// A request to Secrets Manager, SQS or EventBridge.
pub const CALL_WAIT_MS: f64 = 15.0;
pub const TWILIO_WAIT_MS: f64 = 150.0;
/// So many requests to Twilio are under way at once: the window's first size (`twilio/concurrency.rs`).
pub const TWILIO_AT_ONCE: f64 = 32.0;
/// What Lambda's runtime takes of each invocation, and what rounding up to whole milliseconds adds.
pub const RUNTIME_MS: f64 = 1.5;
/// Lambda's own lines of an invocation, in JSON: its start and its report.
pub const PLATFORM_LOG_BYTES: f64 = 600.0;
/// A line of the API's access log.
pub const ACCESS_LOG_BYTES: f64 = 450.0;
/// An event in the log group that keeps what we tell.
pub const EVENT_LOG_BYTES: f64 = 700.0;
/// Lambda traces the first invocation of a second and 5 % of the others (Lambda Developer Guide, "Visualize Lambda function
/// invocations using AWS X-Ray").
pub const TRACED: f64 = 0.05;
/// Lambda's pollers of the queue, each of which asks for 20 seconds at most (Lambda Developer Guide, "Configuring scaling
/// behavior for SQS event source mappings").
pub const POLLERS: f64 = 5.0;
pub const POLLS_A_MINUTE: f64 = 3.0;
/// DynamoDB asks for the table's key again after 5 minutes, for each caller (Developer Guide, "DynamoDB encryption at rest
/// usage notes").
pub const KEY_REQUESTS_AN_HOUR: f64 = 12.0;

/// Dollars, by what they are for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dollars {
    pub lambda: f64,
    pub table: f64,
    /// The API, the queue, the bus and the secrets.
    pub requests: f64,
    pub logs: f64,
    /// At [`TRACED`].
    pub traces: f64,
}

impl Dollars {
    pub fn sum(self) -> f64 {
        let Self { lambda, table, requests, logs, traces } = self;
        lambda + table + requests + logs + traces
    }
}

/// How long `work` waits for others, if nothing but requests to Twilio is under way at once.
pub fn wait_ms(work: &Work) -> f64 {
    let transactions = work.requests.get("DynamoDB.TransactWriteItems").copied().unwrap_or_default();
    let calls = work.requests.values().sum::<f64>() - work.table_requests();
    let at_once = (work.twilio / work.invocations.max(1.0)).clamp(1.0, TWILIO_AT_ONCE);
    (work.table_requests() - transactions) * TABLE_WAIT_MS
        + transactions * TRANSACTION_WAIT_MS
        + calls * CALL_WAIT_MS
        + work.twilio / at_once * TWILIO_WAIT_MS
}

/// Of `function`, in megabytes, as the template has it.
pub fn memory(function: Function) -> f64 {
    of_function(function, "MemorySize").as_f64().unwrap()
}

/// Whether `function` is traced.
pub fn is_traced(function: Function) -> bool {
    of_function(function, "Tracing") == "Active"
}

fn of_function(function: Function, property: &str) -> &'static Value {
    function.properties().get(property).unwrap_or(&template()["Globals"]["Function"][property])
}

/// So long Lambda bills it.
pub fn billed_ms(function: Function, work: &Work) -> f64 {
    // More than one CPU does not make one of our invocations faster.
    let slowed = (MEMORY_OF_A_CPU / memory(function)).max(1.0);
    work.cpu_ms * slowed + work.wait_ms + work.invocations * RUNTIME_MS
}

pub fn gb_seconds(works: &Works) -> f64 {
    works.0.iter().map(|(function, work)| billed_ms(*function, work) / 1000.0 * memory(*function) / 1024.0).sum()
}

/// Requests of the HTTP API: one for each invocation of the functions behind it.
pub fn api_requests(works: &Works) -> f64 {
    works.of(Function::SendMessage).invocations + works.of(Function::ManageTenant).invocations
}

/// Requests to SQS: ours, and two of Lambda's poller for each batch that it brings.
pub fn queue_requests(works: &Works) -> f64 {
    let work = works.sum();
    work.requests_to("AmazonSQS") + 2.0 * work.of_queue
}

pub fn log_bytes(works: &Works) -> f64 {
    let work = works.sum();
    work.log_bytes
        + work.invocations * PLATFORM_LOG_BYTES
        + api_requests(works) * ACCESS_LOG_BYTES
        + work.events * EVENT_LOG_BYTES
}

pub fn dollars(works: &Works) -> Dollars {
    let work = works.sum();
    let traced = works.0.iter().filter(|(function, _)| is_traced(**function)).map(|(_, work)| work.invocations).sum::<f64>();
    Dollars {
        lambda: work.invocations * LAMBDA_REQUEST + gb_seconds(works) * LAMBDA_GB_SECOND,
        table: work.write_units * WRITE_UNIT + work.read_units * READ_UNIT,
        requests: api_requests(works) * API_REQUEST
            + queue_requests(works) * QUEUE_REQUEST
            + work.events * EVENT
            + work.requests_to("secretsmanager") * SECRET_REQUEST,
        logs: log_bytes(works) / GIGABYTE * LOGGED_GB,
        traces: traced * TRACED * TRACE,
    }
}

/// What tracing costs in a month if invocations come evenly: of each function one a second, and 5 % of the others.
pub fn most_traces(works: &Works) -> f64 {
    let traced = |(function, work): (&Function, &Work)| {
        let first = work.invocations.min(MONTH_SECONDS);
        if is_traced(*function) { first + (work.invocations - first) * TRACED } else { 0.0 }
    };
    works.0.iter().map(traced).sum::<f64>() * TRACE
}

/// What lies in the table and in its indexes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    pub items: f64,
    pub bytes: f64,
    pub index_items: f64,
    pub index_bytes: f64,
}

impl Stored {
    pub fn without(self, other: Self) -> Self {
        Self {
            items: self.items - other.items,
            bytes: self.bytes - other.bytes,
            index_items: self.index_items - other.index_items,
            index_bytes: self.index_bytes - other.index_bytes,
        }
    }

    pub fn times(self, factor: f64) -> Self {
        Self {
            items: self.items * factor,
            bytes: self.bytes * factor,
            index_items: self.index_items * factor,
            index_bytes: self.index_bytes * factor,
        }
    }

    /// With what DynamoDB adds to each item and entry.
    pub fn billed_bytes(self) -> f64 {
        self.bytes + self.index_bytes + (self.items + self.index_items) * BYTES_PER_ITEM
    }

    /// To keep it for a month.
    pub fn dollars(self) -> f64 {
        let of_table = self.bytes + self.items * BYTES_PER_ITEM;
        self.billed_bytes() / GIGABYTE * STORED_GB + of_table / GIGABYTE * RECOVERABLE_GB
    }
}
