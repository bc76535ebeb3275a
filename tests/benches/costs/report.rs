//! The tables of the runbook.

use std::fmt::Write as _;
use std::path::Path;

use local::template::Function;
use shared::domain::price_list::rates;
use shared::domain::tenant::Retention;
use shared::telemetry::Metric;

use crate::prices::{
    self, ALARM_METRIC, COMPOSITE_ALARM, DASHBOARD, Dollars, KEY, KEY_REQUEST, KEY_REQUESTS_AN_HOUR, METRIC, MONTH_DAYS,
    MONTH_HOURS, MONTH_MINUTES, POLLERS, POLLS_A_MINUTE, QUEUE_POLL, SECRET, Stored, dollars,
};
use crate::webhook::number;
use crate::work::{Work, Works};

/// Messages of a month, in the table of months.
const MONTHLY: f64 = 1e6;

/// A kind of work.
pub struct Row {
    pub name: &'static str,
    /// What one of it takes.
    pub one: Works,
    /// What of it stays in the table.
    pub kept: Stored,
    /// Rows of the log that it makes.
    pub messages: f64,
}

/// Prints everything: `after` is what is done with each message after it went, `idle` and `with_tenant` a month of a stack
/// with nothing to do.
pub fn print(rows: &[Row], after: &Works, idle: &Works, with_tenant: &Works) {
    let fixed = fixed(idle);
    let fixed_sum: f64 = fixed.iter().map(|item| item.dollars).sum();
    let tenant = dollars(&with_tenant.without(idle)).sum() + SECRET;
    println!("{}", prose(tenant));
    println!("{}", counts(rows, after));
    println!("{}", thousands(rows, after));
    println!("{}", months(rows, after, fixed_sum));
    println!("{}", fixed_table(&fixed, fixed_sum));
    println!("{}", operations(rows, after));
}

fn prose(tenant: f64) -> String {
    format!(
        "What follows is printed by `cargo bench -p tests --bench costs`. Counts are measured: the functions' code over the \
         local AWS and Twilio, each function with a memory of its own, one message a second where messages come one by one; \
         three reports a message. Units of the table are those that the embedded engine counts by DynamoDB's rules: what an \
         index takes in a transaction is counted once, since AWS's pages do not say otherwise, and a write that was refused \
         with the least that it may cost. CPU is of this machine at full speed, as if a CPU of Lambda's were as fast.\n\n\
         Prices are list prices of {as_of} in us-east-1 for arm64, in US dollars, before any free tier. Supposed are: {table} ms \
         a request to the table and {transaction} ms a transaction, one after another; {call} ms for Secrets Manager, SQS and \
         EventBridge; {twilio} ms for Twilio, of which {at_once} at once if so many are due; {runtime} ms of Lambda's own and \
         for rounding up; CPU by the functions' memory in `template.yaml`; {platform} bytes of Lambda's own log lines an \
         invocation, {access} of the API's access log a request and {event} of the log that keeps events; traces of {traced} % \
         of the invocations. Not counted: cold \
         starts (a new process reads one secret, and another for each tenant), data out to the internet, keeping logs, and \
         whoever looks at things.\n\n\
         A tenant that does nothing costs ${tenant:.2} a month, of which its Twilio secret is ${secret:.2}.\n",
        as_of = prices::AS_OF,
        table = prices::TABLE_WAIT_MS,
        transaction = prices::TRANSACTION_WAIT_MS,
        call = prices::CALL_WAIT_MS,
        twilio = prices::TWILIO_WAIT_MS,
        at_once = prices::TWILIO_AT_ONCE,
        runtime = prices::RUNTIME_MS,
        platform = prices::PLATFORM_LOG_BYTES,
        access = prices::ACCESS_LOG_BYTES,
        event = prices::EVENT_LOG_BYTES,
        traced = prices::TRACED * 100.0,
        secret = SECRET,
    )
}

/// All rows, each per thousand, and what is done with a thousand messages afterwards.
fn per_thousand(rows: &[Row], after: &Works) -> impl Iterator<Item = (&'static str, Works)> {
    let rows = rows.iter().map(|row| (row.name, row.one.times(1000.0)));
    rows.chain([("afterwards: watched, counted, and in the end taken away", after.times(1000.0))])
}

fn counts(rows: &[Row], after: &Works) -> String {
    let mut table = heading(&[
        "A thousand of",
        "invocations",
        "table requests",
        "write units (of indexes)",
        "read units",
        "Twilio",
        "API",
        "SQS",
        "events",
        "secrets",
        "CPU ms",
        "billed ms",
        "GB-s",
        "KB of log",
    ]);
    for (name, works) in per_thousand(rows, after) {
        let work = works.sum();
        let billed: f64 = works.0.iter().map(|(function, work)| prices::billed_ms(*function, work)).sum();
        line(
            &mut table,
            &[
                name.into(),
                invocations(&works),
                count(work.table_requests()),
                format!("{} ({})", count(work.write_units), count(work.index_write_units)),
                count(work.read_units),
                count(work.twilio),
                count(prices::api_requests(&works)),
                count(prices::queue_requests(&works)),
                count(work.events),
                count(work.requests_to("secretsmanager")),
                count(work.cpu_ms),
                count(billed),
                count(prices::gb_seconds(&works)),
                count(prices::log_bytes(&works) / 1024.0),
            ],
        );
    }
    table + "\nMinute ticks are part of what a stack costs that has nothing to do: here is what they do beyond that.\n"
}

/// Which functions are invoked how often.
fn invocations(works: &Works) -> String {
    let often = |(function, work): (&Function, &Work)| {
        let is_some = work.invocations >= 0.005;
        is_some.then(|| format!("{} {}", function.name(), count(work.invocations)))
    };
    works.0.iter().filter_map(often).collect::<Vec<_>>().join(", ")
}

fn thousands(rows: &[Row], after: &Works) -> String {
    let mut table = heading(&["Dollars a thousand", "Lambda", "table", "API, SQS, events, secrets", "logs", "traces", "all"]);
    for (name, works) in per_thousand(rows, after) {
        let all = dollars(&works);
        let Dollars { lambda, table: of_table, requests, logs, traces } = all;
        let figures = [lambda, of_table, requests, logs, traces, all.sum()];
        let cells: Vec<String> =
            std::iter::once(name.to_string()).chain(figures.iter().map(|figure| format!("{figure:.5}"))).collect();
        line(&mut table, &cells);
    }
    table
}

fn months(rows: &[Row], after: &Works, fixed: f64) -> String {
    let days = Retention::default().messages_days;
    let kept = format!("what is kept for {days} days");
    let mut table = heading(&[
        "A million a month of",
        "as they go",
        "afterwards",
        kept.as_str(),
        "traces, at most",
        "the stack itself",
        "all in, AWS",
        "Twilio's list price",
        "AWS, of both",
    ]);
    let sms = rates(&number(0)).sms.0 as f64 / 1e6;
    for row in rows {
        let works = row.one.times(MONTHLY);
        let going = dollars(&works);
        // Traces are told by themselves: how many depends on when.
        let going = going.sum() - going.traces;
        let afterwards = dollars(&after.times(MONTHLY * row.messages)).sum();
        // Once as much is taken away each month as comes.
        let kept = row.kept.times(MONTHLY).dollars() * f64::from(days) / MONTH_DAYS;
        let traces = prices::most_traces(&works);
        let all = going + afterwards + kept + traces + fixed;
        let twilio = MONTHLY * sms;
        let mut cells = vec![row.name.to_string()];
        cells.extend([going, afterwards, kept, traces, fixed, all].map(|figure| format!("${figure:.2}")));
        cells.push(format!("${}", count(twilio)));
        cells.push(format!("{:.1} %", all / (all + twilio) * 100.0));
        line(&mut table, &cells);
    }
    let bytes = rows.iter().map(|row| format!("{} {:.0}", row.name, row.kept.billed_bytes())).collect::<Vec<_>>().join("; ");
    table
        + &format!(
            "\nTwilio's price is the built-in list's for a segment in the United States and Canada, ${sms:.4}, of what goes out. \
             Traces are at most so many: where messages come evenly over the month nearly every invocation is the first of \
             its second; where they come together it is 5 %. Bytes in the table and its indexes: {bytes}.\n"
        )
}

/// Something that a stack costs in a month.
struct Item {
    name: &'static str,
    many: f64,
    dollars: f64,
}

/// What a stack costs in a month that has nothing to do, and no tenant.
fn fixed(idle: &Works) -> Vec<Item> {
    let resources = Resources::read();
    let Dollars { lambda, table, requests, logs, traces: _ } = dollars(idle);
    let work = idle.sum();
    let polls = POLLERS * POLLS_A_MINUTE * MONTH_MINUTES;
    let key_requests = Function::ALL.len() as f64 * KEY_REQUESTS_AN_HOUR * MONTH_HOURS;
    // One namespace, no dimensions.
    let metrics = Metric::ALL.len() as f64;
    let item = |name: &'static str, many: f64, dollars: f64| Item { name, many, dollars };
    vec![
        item("invocations: each minute, hour and night", work.invocations, lambda),
        item("their units of the table", work.read_units + work.write_units, table),
        item("their other requests", work.requests.values().sum::<f64>() - work.table_requests(), requests),
        item("megabytes of their logs", prices::log_bytes(idle) / 1e6, logs),
        item("traces of them", work.invocations, prices::most_traces(idle)),
        item("polls of the queue", polls, polls * QUEUE_POLL),
        item("secrets of the stack", resources.secrets, resources.secrets * SECRET),
        item("keys, in their first year", resources.keys, resources.keys * KEY),
        item("requests for the table's key, at most", key_requests, key_requests * KEY_REQUEST),
        item("metrics of our own", metrics, metrics * METRIC),
        item("metrics that alarms look at", resources.alarm_metrics, resources.alarm_metrics * ALARM_METRIC),
        item("alarms of alarms", resources.composite_alarms, resources.composite_alarms * COMPOSITE_ALARM),
        item("dashboards", resources.dashboards, resources.dashboards * DASHBOARD),
    ]
}

fn fixed_table(items: &[Item], sum: f64) -> String {
    let mut table = heading(&["A month of a stack with nothing to do", "how many", "dollars"]);
    for item in items {
        line(&mut table, &[item.name.into(), count(item.many), format!("{:.2}", item.dollars)]);
    }
    line(&mut table, &["all".into(), String::new(), format!("{sum:.2}")]);
    table
}

/// What costs money by being there, counted in the templates.
struct Resources {
    secrets: f64,
    keys: f64,
    alarm_metrics: f64,
    composite_alarms: f64,
    dashboards: f64,
}

impl Resources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text: String = ["template.yaml", "infra/watch.yaml"]
            .iter()
            .map(|file| std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
            .collect();
        let of_type = |kind: &str| {
            let wanted = format!("Type: {kind}");
            text.lines().filter(|line| line.trim() == wanted).count() as f64
        };
        // An alarm looks at one metric, or at each that its formula names.
        let alarms = text.split("Type: AWS::CloudWatch::Alarm\n").skip(1);
        let alarm_metrics: usize = alarms.map(|alarm| alarm.matches("MetricStat:").count().max(1)).sum();
        Self {
            secrets: of_type("AWS::SecretsManager::Secret"),
            keys: of_type("AWS::KMS::Key"),
            alarm_metrics: alarm_metrics as f64,
            composite_alarms: of_type("AWS::CloudWatch::CompositeAlarm"),
            dashboards: of_type("AWS::CloudWatch::Dashboard"),
        }
    }
}

/// Requests to the table by operation, and writes that were refused.
fn operations(rows: &[Row], after: &Works) -> String {
    let mut list = String::from("Requests to the table by operation, a thousand of each:\n\n");
    for (name, works) in per_thousand(rows, after) {
        let work = works.sum();
        let of_table = work.requests.iter().filter_map(|(name, often)| Some((name.strip_prefix("DynamoDB.")?, *often)));
        let named = of_table.filter(|(_, often)| *often >= 0.005).map(|(name, often)| format!("{name} {}", count(often)));
        let named = named.collect::<Vec<_>>().join(", ");
        let _ = write!(list, "- {name}: {named}");
        if work.refused_writes > 0.0 {
            let _ = write!(list, "; of these refused {}", count(work.refused_writes));
        }
        list.push('\n');
    }
    list
}

fn heading(names: &[&str]) -> String {
    format!("| {} |\n|---{}|\n", names.join(" | "), "|---:".repeat(names.len() - 1))
}

fn line(table: &mut String, cells: &[String]) {
    let _ = writeln!(table, "| {} |", cells.join(" | "));
}

/// A number with as many digits as say something.
fn count(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}
