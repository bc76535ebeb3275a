//! The queue: a hint that messages are due at once. The table is the truth; what the queue loses
//! the minute tick finds.

pub use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde::{Deserialize, Serialize};

use crate::domain::message::MessageId;
use crate::domain::tenant::TenantId;

/// What a queue message says: these of this tenant are due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    pub tenant: TenantId,
    pub ids: Vec<MessageId>,
}

#[derive(Debug, thiserror::Error)]
#[error("the queue could not be reached")]
pub struct QueueError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// How many messages one hint names: about 4 KB.
const IDS: usize = 100;
/// SQS's limit of one batch.
const BATCH: usize = 10;

/// Says that these messages are due now.
///
/// # Errors
/// [`QueueError`]: the caller may go on, since the minute tick finds them too.
pub async fn hint(client: &Client, queue_url: &str, tenant: &TenantId, ids: &[MessageId]) -> Result<(), QueueError> {
    let hints: Vec<Hint> = ids.chunks(IDS).map(|ids| Hint { tenant: tenant.clone(), ids: ids.to_vec() }).collect();
    for batch in hints.chunks(BATCH) {
        let mut request = client.send_message_batch().queue_url(queue_url);
        for (at, hint) in batch.iter().enumerate() {
            let body = serde_json::to_string(hint).map_err(|error| QueueError(error.into()))?;
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(body)
                // Fair queues: one tenant's flood does not delay another's reminder (lessons B15).
                .message_group_id(tenant.as_str())
                .build()
                .map_err(|error| QueueError(error.into()))?;
            request = request.entries(entry);
        }
        request.send().await.map_err(|error| QueueError(Box::new(error)))?;
    }
    Ok(())
}
