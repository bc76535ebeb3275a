//! DynamoDB: the embedded engine behind the wire protocol.
//!
//! Follows dynoxide's own server (`server/mod.rs`, `serde_errors.rs`); only the operations that we call.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Failure};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

pub(super) fn answer(database: &Database, operation: &str, body: &[u8]) -> Answer {
    let result = match operation {
        "CreateTable" => run(body, |request| database.create_table(request)),
        "DescribeTable" => run(body, |request| database.describe_table(request)),
        "GetItem" => run(body, |request| database.get_item(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        "DeleteItem" => run(body, |request| database.delete_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "Scan" => run(body, |request| database.scan(request)),
        "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => run(body, |request| database.batch_write_item(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "TransactGetItems" => run(body, |request| database.transact_get_items(request)),
        "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
        "DescribeTimeToLive" => run(body, |request| database.describe_time_to_live(request)),
        _ => return Answer::of(CONTENT_TYPE, Err(Failure::unknown_operation())),
    };
    match result {
        Ok(body) => Answer { status: 200, content_type: CONTENT_TYPE, body },
        Err(error) => Answer { status: error.status_code(), content_type: CONTENT_TYPE, body: error.to_json() },
    }
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    call: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<String> {
    let request = serde_json::from_slice(body).map_err(|error| refusal(&error.to_string()))?;
    let response = call(request)?;
    serde_json::to_string(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The engine's request types say by a marker before the message which error DynamoDB would give.
fn refusal(message: &str) -> DynoxideError {
    if let Some(text) = message.strip_prefix("SERIALIZATION_AS_READ:") {
        return DynoxideError::SerializationException(text.to_owned());
    }
    if let Some(text) = message.strip_prefix("VALIDATION_AS_READ:") {
        return DynoxideError::ValidationException(text.to_owned());
    }
    let message = message.rfind(" at line ").map_or(message, |end| &message[..end]);
    if let Some(text) = message.strip_prefix("SERIALIZATION:") {
        return DynoxideError::SerializationException(text.to_owned());
    }
    let marked = message.strip_prefix("VALIDATION_REQUEST:").or_else(|| message.strip_prefix("VALIDATION:"));
    match marked {
        Some(text) => DynoxideError::ValidationException(text.to_owned()),
        None => DynoxideError::ValidationException(message.to_owned()),
    }
}
