//! EventBridge: what we tell the world.

pub use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::Value;

/// The source of every event of ours.
pub const SOURCE: &str = "carillon";

#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    #[error("the event bus could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the event bus refused {0} of the events")]
    Refused(i32),
}

/// EventBridge's limit of one call.
const BATCH: usize = 10;

/// Publishes events: a name (the detail-type) and its detail each.
pub async fn publish(client: &Client, bus: &str, events: &[(&str, Value)]) -> Result<(), EventsError> {
    for batch in events.chunks(BATCH) {
        let mut request = client.put_events();
        for (name, detail) in batch {
            let entry = PutEventsRequestEntry::builder()
                .event_bus_name(bus)
                .source(SOURCE)
                .detail_type(*name)
                .detail(detail.to_string())
                .build();
            request = request.entries(entry);
        }
        let answer = request.send().await.map_err(|error| EventsError::Unreachable(Box::new(error)))?;
        if answer.failed_entry_count() > 0 {
            return Err(EventsError::Refused(answer.failed_entry_count()));
        }
    }
    Ok(())
}
