//! EventBridge: events are recorded, and the host takes them for whoever listens.
//!
//! No buses, rules or patterns: the host knows which function wants which event.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Aws, Failure, lock, read};
use crate::names::{ACCOUNT, REGION};

/// An event that was put.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    pub id: String,
    pub source: String,
    pub detail_type: String,
    pub detail: Value,
    pub time: Timestamp,
    pub resources: Vec<String>,
    pub event_bus: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    source: String,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: String,
    /// Seconds since 1970.
    time: Option<f64>,
    #[serde(default)]
    resources: Vec<String>,
    event_bus_name: Option<String>,
}

impl Aws {
    /// Takes every event that was put since the last time, in order.
    pub fn take_events(&self) -> Vec<RecordedEvent> {
        std::mem::take(&mut *lock(&self.0.events))
    }

    /// Refuses every event from now on, or no more.
    pub fn refuse_events(&self, refused: bool) {
        self.0.events_refused.store(refused, Ordering::SeqCst);
    }

    /// Woken by every event.
    pub fn event_arrived(&self) -> &Notify {
        &self.0.event_arrived
    }

    pub(super) fn answer_events(&self, operation: &str, body: &[u8]) -> Result<Value, Failure> {
        if operation != "PutEvents" {
            return Err(Failure::unknown_operation());
        }
        if self.0.events_refused.load(Ordering::SeqCst) {
            return Err(Failure::new("AccessDeniedException", "the test refuses events"));
        }
        let request: PutEvents = read(body)?;
        if !(1..=10).contains(&request.entries.len()) {
            return Err(Failure::new("ValidationException", "entries must have between 1 and 10 members"));
        }
        let answers: Vec<Value> = request.entries.into_iter().map(|entry| self.put(entry)).collect();
        let failed = answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count();
        Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    fn put(&self, entry: Entry) -> Value {
        if entry.source.is_empty() || entry.detail_type.is_empty() {
            return json!({ "ErrorCode": "InvalidArgument", "ErrorMessage": "Source and DetailType are required." });
        }
        let detail = match serde_json::from_str(&entry.detail) {
            Ok(detail @ Value::Object(_)) => detail,
            _ => return json!({ "ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed." }),
        };
        let time = entry.time.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        let event = RecordedEvent {
            id: self.next_id(),
            source: entry.source,
            detail_type: entry.detail_type,
            detail,
            time: time.unwrap_or_else(|| self.0.clock.now()),
            resources: entry.resources,
            event_bus: entry.event_bus_name,
        };
        let answer = json!({ "EventId": event.id });
        lock(&self.0.events).push(event);
        self.0.event_arrived.notify_one();
        answer
    }
}

impl RecordedEvent {
    /// The event as EventBridge hands it to a function.
    pub fn envelope(&self) -> Value {
        let time = Timestamp::from_second(self.time.as_second()).unwrap_or(self.time);
        json!({
            "version": "0",
            "id": self.id,
            "detail-type": self.detail_type,
            "source": self.source,
            "account": ACCOUNT,
            "time": time.to_string(),
            "region": REGION,
            "resources": self.resources,
            "detail": self.detail,
        })
    }
}
