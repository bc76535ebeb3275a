//! What is counted: one line an invocation, in CloudWatch's embedded metric format. Without dimensions: it tells of the
//! whole deployment, and of nobody in it. What is only simulated counts for nothing: trying out hides no trouble.
//!
//! It goes through `tracing`, so that nobody has to hand a counter down, and only a function writes the lines.
//! Source: CloudWatch User Guide, "Specification: Embedded metric format".

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock;
use crate::domain::message::{Message, Status};

/// The target of what is counted.
pub const METRICS: &str = "carillon::metrics";

/// What `infra/watch.yaml` watches, by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Messages that Twilio took, our answers to texts among them. Each once.
    Accepted,
    /// Attempts that Twilio did not process, or that it turned out never to have had: the message is tried again. Not one
    /// that was given up before Twilio was asked.
    NotProcessed,
    /// Attempts whose outcome was lost, and is being found out.
    Unknown,
    /// Messages that were delivered or read, and calls that were taken. Each once.
    Delivered,
    /// Messages and calls that failed or were undelivered, by Twilio's answer or by a receipt. Each once; a call that
    /// nobody took is no failure of ours.
    Failed,
    /// Messages that the rules did not let go.
    Skipped,
    /// Texts and calls that came in.
    Inbound,
    /// Numbers that opted out.
    OptOuts,
    /// Requests that were answered 429, by their tenant's own limit.
    LimitedRequests,
    /// Of each minute tick, also 0: messages whose claim had lapsed, and of which it did not find out what became.
    Stuck,
    /// Of each minute tick, also 0: how long the message that waited longest in the first lane had been due.
    LateSeconds,
    /// Lines at level ERROR, each of which somebody should look at: counted by being logged, in an invocation.
    ErrorLines,
}

impl Metric {
    pub const ALL: [Metric; 12] = [
        Metric::Accepted,
        Metric::NotProcessed,
        Metric::Unknown,
        Metric::Delivered,
        Metric::Failed,
        Metric::Skipped,
        Metric::Inbound,
        Metric::OptOuts,
        Metric::LimitedRequests,
        Metric::Stuck,
        Metric::LateSeconds,
        Metric::ErrorLines,
    ];

    /// What each minute tick tells, also 0: that they come is how anybody knows that it runs, and an alarm over a share
    /// needs both its sides.
    pub const OF_TICK: [Metric; 7] = [
        Metric::Accepted,
        Metric::NotProcessed,
        Metric::Unknown,
        Metric::Delivered,
        Metric::Failed,
        Metric::Stuck,
        Metric::LateSeconds,
    ];

    /// Its name and its unit in CloudWatch.
    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepted => ("Accepted", "Count"),
            Self::NotProcessed => ("NotProcessed", "Count"),
            Self::Unknown => ("Unknown", "Count"),
            Self::Delivered => ("Delivered", "Count"),
            Self::Failed => ("Failed", "Count"),
            Self::Skipped => ("Skipped", "Count"),
            Self::Inbound => ("Inbound", "Count"),
            Self::OptOuts => ("OptOuts", "Count"),
            Self::LimitedRequests => ("LimitedRequests", "Count"),
            Self::Stuck => ("Stuck", "Count"),
            Self::LateSeconds => ("LateSeconds", "Seconds"),
            Self::ErrorLines => ("ErrorLines", "Count"),
        }
    }

    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub fn unit(self) -> &'static str {
        self.row().1
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// One more of `metric`.
pub fn count(metric: Metric) {
    measure(metric, 1);
}

/// Tells `value` of `metric`, also 0. What an invocation tells of one metric is added up.
pub fn measure(metric: Metric, value: u64) {
    tracing::info!(target: METRICS, metric = metric.name(), value);
}

/// Counts what became of `message`, which was `from` before. Told of each change of its status where that is written, so
/// that whatever comes twice is counted once.
pub fn moved(from: Status, message: &Message) {
    for metric in of_move(from, message) {
        count(metric);
    }
}

fn of_move(from: Status, message: &Message) -> impl Iterator<Item = Metric> {
    let to = message.status;
    let is_ours = message.inbound.is_none() && !message.simulated;
    let was_claimed = from == Status::Sending;
    let was_waiting = from == Status::Scheduled;
    let is_taken = to > Status::Sending && message.sid.is_some();
    let holds = [
        (Metric::Accepted, (was_waiting || was_claimed) && is_taken),
        (Metric::NotProcessed, was_claimed && to == Status::Scheduled),
        (Metric::Unknown, was_claimed && to == Status::Sending),
        (Metric::Delivered, is_delivered(to) && !is_delivered(from)),
        (Metric::Failed, has_failed(to) && !has_failed(from)),
        (Metric::Skipped, was_waiting && to == Status::Skipped),
    ];
    holds.into_iter().filter(move |(_, holds)| is_ours && *holds).map(|(metric, _)| metric)
}

fn is_delivered(status: Status) -> bool {
    matches!(status, Status::Delivered | Status::Read | Status::Completed)
}

fn has_failed(status: Status) -> bool {
    matches!(status, Status::Undelivered | Status::Failed)
}

/// Adds up what is counted in a span, and writes it when the span ends; what is counted outside of any, at once.
pub(super) struct Embedded<W> {
    namespace: String,
    write: W,
}

impl<W: Fn(&str) + 'static> Embedded<W> {
    pub(super) fn new(namespace: String, write: W) -> Self {
        Self { namespace, write }
    }

    fn tell(&self, invocation: &Invocation) {
        if !invocation.values.is_empty() {
            (self.write)(&invocation.document(&self.namespace).to_string());
        }
    }
}

/// What was counted since `since`.
struct Invocation {
    since: Timestamp,
    request_id: Option<String>,
    values: BTreeMap<Metric, u64>,
}

impl Invocation {
    fn begun() -> Self {
        Self { since: clock::now(), request_id: None, values: BTreeMap::new() }
    }

    fn add(&mut self, metric: Metric, value: u64) {
        *self.values.entry(metric).or_default() += value;
    }

    fn document(&self, namespace: &str) -> Value {
        let definition = |metric: &Metric| json!({ "Name": metric.name(), "Unit": metric.unit() });
        let metrics: Vec<Value> = self.values.keys().map(definition).collect();
        let directive = json!({ "Namespace": namespace, "Dimensions": [[]], "Metrics": metrics });
        let mut document = json!({ "_aws": { "Timestamp": self.since.as_millisecond(), "CloudWatchMetrics": [directive] } });
        if let Some(id) = &self.request_id {
            document["requestId"] = json!(id);
        }
        for (metric, value) in &self.values {
            document[metric.name()] = json!(value);
        }
        document
    }
}

impl Visit for Invocation {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "requestId" {
            self.request_id = Some(value.to_string());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// One event of [`measure`], read.
#[derive(Default)]
struct Told {
    metric: Option<Metric>,
    value: u64,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "metric" {
            self.metric = Metric::named(value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "value" {
            self.value = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// What an event counts for, and for how much.
fn counted(event: &Event<'_>) -> Option<(Metric, u64)> {
    if *event.metadata().level() == Level::ERROR {
        return Some((Metric::ErrorLines, 1));
    }
    if event.metadata().target() != METRICS {
        return None;
    }
    let mut told = Told::default();
    event.record(&mut told);
    Some((told.metric?, told.value))
}

impl<S, W> Layer<S> for Embedded<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| span.parent().is_none()) else { return };
        let mut invocation = Invocation::begun();
        attributes.record(&mut invocation);
        span.extensions_mut().insert(invocation);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some((metric, value)) = counted(event) else { return };
        let outermost = context.event_scope(event).and_then(|scope| scope.from_root().next());
        let Some(span) = outermost else {
            // An error outside of any invocation kept the function from starting, which Lambda counts.
            if metric != Metric::ErrorLines {
                let mut alone = Invocation::begun();
                alone.add(metric, value);
                self.tell(&alone);
            }
            return;
        };
        if let Some(invocation) = span.extensions_mut().get_mut::<Invocation>() {
            invocation.add(metric, value);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let invocation = span.extensions_mut().remove::<Invocation>();
        if let Some(invocation) = invocation {
            self.tell(&invocation);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::domain::message::{Facts, MessageId, Step};
    use crate::domain::reminder::Kind;
    use crate::domain::tenant::TenantId;

    /// The lines that are written while `work` is done.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let written = Arc::clone(&lines);
        let write = move |line: &str| written.lock().unwrap().push(serde_json::from_str(line).unwrap());
        let subscriber = tracing_subscriber::registry().with(Embedded::new("Carillon/test".into(), write));
        tracing::subscriber::with_default(subscriber, work);
        std::mem::take(&mut *lines.lock().unwrap())
    }

    /// As `lambda_runtime` opens it.
    fn invocation(id: &str) -> tracing::Span {
        tracing::info_span!("Lambda runtime invoke", requestId = id, xrayTraceId = "Root=1")
    }

    #[test]
    fn an_invocation_is_one_document_with_the_sum_of_each_metric() {
        let mut lines = lines(|| {
            invocation("r-1").in_scope(|| {
                count(Metric::Accepted);
                // Whatever opens a span of its own counts for the invocation.
                tracing::info_span!("within").in_scope(|| count(Metric::Accepted));
                measure(Metric::LateSeconds, 61);
                measure(Metric::Stuck, 0);
                tracing::info!(target: "carillon::other", metric = "Failed", value = 1_u64);
            });
        });

        let mut line = lines.pop().unwrap();
        let at = line["_aws"]["Timestamp"].take();
        assert!(at.as_i64().unwrap() > 1_700_000_000_000, "milliseconds: {at}");
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": null,
                    "CloudWatchMetrics": [{
                        "Namespace": "Carillon/test",
                        "Dimensions": [[]],
                        "Metrics": [
                            { "Name": "Accepted", "Unit": "Count" },
                            { "Name": "Stuck", "Unit": "Count" },
                            { "Name": "LateSeconds", "Unit": "Seconds" },
                        ],
                    }],
                },
                "requestId": "r-1",
                "Accepted": 2,
                "Stuck": 0,
                "LateSeconds": 61,
            })
        );
        assert_eq!(lines, Vec::<Value>::new());
    }

    #[test]
    fn each_invocation_counts_for_itself_and_one_that_counts_nothing_says_nothing() {
        let lines = lines(|| {
            invocation("r-1").in_scope(|| count(Metric::Inbound));
            invocation("r-2").in_scope(|| tracing::info!("nothing to count"));
            invocation("r-3").in_scope(|| count(Metric::OptOuts));
            count(Metric::Failed);
        });

        let told: Vec<(&Value, &Value, &Value, &Value)> =
            lines.iter().map(|line| (&line["requestId"], &line["Inbound"], &line["OptOuts"], &line["Failed"])).collect();
        let (one, null) = (&json!(1), &Value::Null);
        assert_eq!(told, [(&json!("r-1"), one, null, null), (&json!("r-3"), null, one, null), (null, null, null, one)]);
    }

    #[test]
    fn an_error_counts_for_its_invocation() {
        let lines = lines(|| {
            tracing::error!("nobody's");
            invocation("r-1").in_scope(|| {
                tracing::error!("one");
                tracing::info_span!("within").in_scope(|| tracing::error!(error = "why", "another"));
                tracing::warn!("none");
            });
        });

        let told: Vec<(&Value, &Value)> = lines.iter().map(|line| (&line["requestId"], &line["ErrorLines"])).collect();
        assert_eq!(told, [(&json!("r-1"), &json!(2))]);
    }

    #[test]
    fn every_metric_is_listed_once_and_found_by_its_name() {
        assert!(Metric::ALL.is_sorted());
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!((metric as usize, Metric::named(metric.name())), (at, Some(metric)));
        }
    }

    fn message(status: Status, sid: Option<&str>) -> Message {
        let id = MessageId::derive(&TenantId::parse("t").unwrap(), &["m"]);
        let now = Timestamp::UNIX_EPOCH;
        let waiting = Message::waiting(id, Kind::Message, Facts::Direct, now, Step::new(now, "asked"));
        Message { status, sid: sid.map(str::to_string), ..waiting }
    }

    #[test]
    fn what_a_move_counts_for() {
        use Metric::{Accepted, Delivered, Failed, NotProcessed, Skipped, Unknown};
        use Status::{Busy, Canceled, Completed, Queued, Read, Scheduled, Sending, Sent, Undelivered};
        let sid = Some("SM1");
        let cases: [(Status, Status, Option<&str>, &[Metric]); 19] = [
            (Sending, Queued, sid, &[Accepted]),
            (Sending, Status::Delivered, sid, &[Accepted, Delivered]),
            (Sending, Status::Failed, None, &[Failed]),
            (Sending, Status::Failed, sid, &[Accepted, Failed]),
            (Sending, Scheduled, None, &[NotProcessed]),
            (Sending, Sending, None, &[Unknown]),
            // Found to have gone after all, when it was to be tried again.
            (Scheduled, Queued, sid, &[Accepted]),
            (Scheduled, Status::Skipped, None, &[Skipped]),
            (Scheduled, Scheduled, None, &[]),
            (Scheduled, Canceled, None, &[]),
            (Queued, Sent, sid, &[]),
            (Sent, Status::Delivered, sid, &[Delivered]),
            (Status::Delivered, Read, sid, &[]),
            (Sent, Undelivered, sid, &[Failed]),
            (Undelivered, Status::Failed, sid, &[]),
            (Status::Failed, Status::Delivered, sid, &[Delivered]),
            (Queued, Completed, Some("CA1"), &[Delivered]),
            (Queued, Busy, Some("CA1"), &[]),
            (Status::Failed, Queued, sid, &[]),
        ];
        for (from, to, sid, expected) in cases {
            let counted: Vec<Metric> = of_move(from, &message(to, sid)).collect();
            assert_eq!(counted, expected, "{from} to {to}");
            let simulated = Message { simulated: true, ..message(to, sid) };
            assert_eq!(of_move(from, &simulated).count(), 0, "simulated {from} to {to}");
        }
    }
}
