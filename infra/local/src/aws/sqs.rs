//! SQS: in-memory queues that the host empties into the functions as Lambda events.
//!
//! A taken message is gone; whoever fails on it puts it back, as a visibility time-out would. Nothing
//! survives a restart: in this system the queue is only a hint, and the minute tick finds the rest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Aws, Failure, lock, read};
use crate::names::{ACCOUNT, REGION};

/// A message that waits in a queue, or was taken from one.
#[derive(Clone, Debug)]
pub struct QueuedMessage {
    pub message_id: String,
    /// The queue's name, the last part of its URL.
    pub queue: String,
    pub body: String,
    pub attributes: BTreeMap<String, MessageAttribute>,
    pub sent: Timestamp,
    /// How often it has been taken.
    pub receive_count: u32,
}

/// A message attribute as it came; binary values stay base64.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    pub string_value: Option<String>,
    pub binary_value: Option<String>,
    pub data_type: String,
}

/// Messages by the instant they become visible and the order they came in.
#[derive(Default)]
pub(super) struct Queues {
    by_name: HashMap<String, BTreeMap<(Timestamp, u64), QueuedMessage>>,
    arrived: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage {
    queue_url: String,
    #[serde(flatten)]
    message: NewMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessageBatch {
    queue_url: String,
    entries: Vec<BatchEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchEntry {
    id: String,
    #[serde(flatten)]
    message: NewMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewMessage {
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
    #[serde(default)]
    message_attributes: BTreeMap<String, MessageAttribute>,
}

impl Aws {
    /// Takes up to `max` visible messages, the oldest first, from a queue named by its URL or name.
    pub fn take(&self, queue: &str, max: usize) -> Vec<QueuedMessage> {
        let now = self.0.clock.now();
        let mut queues = lock(&self.0.queues);
        let Some(waiting) = queues.by_name.get_mut(queue_name(queue)) else { return Vec::new() };
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(first) = waiting.first_entry()
            && first.key().0 <= now
        {
            let mut message = first.remove();
            message.receive_count += 1;
            taken.push(message);
        }
        taken
    }

    /// Puts a taken message back, to be visible again after `delay`.
    pub fn put_back(&self, message: QueuedMessage, delay: Duration) {
        self.enqueue(message, self.0.clock.now() + delay);
    }

    /// When the next waiting message of any queue becomes visible; in the past if one already is.
    pub fn next_message_due(&self) -> Option<Timestamp> {
        let queues = lock(&self.0.queues);
        queues.by_name.values().filter_map(|waiting| waiting.first_key_value()).map(|((due, _), _)| *due).min()
    }

    /// Woken by every message that is sent or put back, whether visible yet or not.
    pub fn message_arrived(&self) -> &Notify {
        &self.0.message_arrived
    }

    pub(super) fn answer_sqs(&self, operation: &str, body: &[u8]) -> Result<Value, Failure> {
        match operation {
            "SendMessage" => {
                let request: SendMessage = read(body)?;
                let id = self.send(&request.queue_url, request.message)?;
                // Without MD5OfMessageBody: the Rust SDK does not verify it.
                Ok(json!({ "MessageId": id }))
            }
            "SendMessageBatch" => self.send_batch(read(body)?),
            _ => Err(Failure::unknown_operation()),
        }
    }

    fn send_batch(&self, request: SendMessageBatch) -> Result<Value, Failure> {
        let ids: HashSet<&str> = request.entries.iter().map(|entry| entry.id.as_str()).collect();
        match request.entries.len() {
            0 => return Err(Failure::new("EmptyBatchRequest", "There should be at least one entry in the request.")),
            1..=10 => {}
            _ => return Err(Failure::new("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.")),
        }
        if ids.len() < request.entries.len() {
            return Err(Failure::new("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id."));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in request.entries {
            match self.send(&request.queue_url, entry.message) {
                Ok(id) => successful.push(json!({ "Id": entry.id, "MessageId": id })),
                Err(failure) => {
                    failed.push(json!({ "Id": entry.id, "SenderFault": true, "Code": failure.code, "Message": failure.message }));
                }
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    fn send(&self, queue_url: &str, new: NewMessage) -> Result<String, Failure> {
        let delay = u64::try_from(new.delay_seconds)
            .ok()
            .filter(|seconds| *seconds <= 900)
            .ok_or_else(|| Failure::new("InvalidParameterValue", "DelaySeconds must be >= 0 and <= 900"))?;
        let now = self.0.clock.now();
        let message = QueuedMessage {
            message_id: self.next_id(),
            queue: queue_name(queue_url).to_owned(),
            body: new.message_body,
            attributes: new.message_attributes,
            sent: now,
            receive_count: 0,
        };
        let id = message.message_id.clone();
        self.enqueue(message, now + Duration::from_secs(delay));
        Ok(id)
    }

    fn enqueue(&self, message: QueuedMessage, due: Timestamp) {
        let mut queues = lock(&self.0.queues);
        queues.arrived += 1;
        let key = (due, queues.arrived);
        queues.by_name.entry(message.queue.clone()).or_default().insert(key, message);
        drop(queues);
        self.0.message_arrived.notify_one();
    }
}

impl QueuedMessage {
    /// The message as a record of the event that Lambda gives a function.
    pub fn record(&self) -> Value {
        let attributes: BTreeMap<&str, Value> =
            self.attributes.iter().map(|(name, value)| (name.as_str(), value.json())).collect();
        json!({
            "messageId": self.message_id,
            "receiptHandle": format!("{}-{}", self.message_id, self.receive_count),
            "body": self.body,
            "attributes": {
                "ApproximateReceiveCount": self.receive_count.to_string(),
                "SentTimestamp": self.sent.as_millisecond().to_string(),
                "SenderId": ACCOUNT,
                "ApproximateFirstReceiveTimestamp": self.sent.as_millisecond().to_string(),
            },
            "messageAttributes": attributes,
            // Nobody checks it here, and MD5 for that alone is not worth a dependency.
            "md5OfBody": null,
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", self.queue),
            "awsRegion": REGION,
        })
    }
}

impl MessageAttribute {
    fn json(&self) -> Value {
        json!({
            "stringValue": self.string_value,
            "binaryValue": self.binary_value,
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": self.data_type,
        })
    }
}

/// The event that Lambda makes of a batch of messages.
pub fn sqs_event(messages: &[QueuedMessage]) -> Value {
    json!({ "Records": messages.iter().map(QueuedMessage::record).collect::<Vec<_>>() })
}

fn queue_name(url_or_name: &str) -> &str {
    url_or_name.rsplit('/').next().unwrap_or(url_or_name)
}
