//! DynamoDB: the embedded engine behind the wire protocol.
//!
//! Follows dynoxide's own server (`server/mod.rs`, `serde_errors.rs`); only the operations that we call.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Failure};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The transactions that were done last, by their idempotency token, with their answers.
///
/// The engine keeps every token for ten minutes and walks through all of them in each transaction,
/// which is too much for a simulator that runs a week in a minute.
#[derive(Default)]
pub(super) struct Tokens(Mutex<VecDeque<(String, String)>>);

impl Tokens {
    const KEPT: usize = 256;

    /// Does a transaction unless it was done; the lock makes a repetition wait for the first.
    fn once(&self, token: Option<String>, transact: impl FnOnce() -> dynoxide::Result<String>) -> dynoxide::Result<String> {
        let Some(token) = token else { return transact() };
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = done.iter().find(|(known, _)| *known == token) {
            return Ok(answer.clone());
        }
        let answer = transact()?;
        if done.len() == Self::KEPT {
            done.pop_front();
        }
        done.push_back((token, answer.clone()));
        Ok(answer)
    }
}

pub(super) fn answer(database: &Database, tokens: &Tokens, operation: &str, body: &[u8]) -> Answer {
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
        "TransactWriteItems" => transact(database, tokens, body),
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

fn transact(database: &Database, tokens: &Tokens, body: &[u8]) -> dynoxide::Result<String> {
    let mut request: TransactWriteItemsRequest = read(body)?;
    let token = request.client_request_token.take();
    tokens.once(token, || write(&database.transact_write_items(request)?))
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    call: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<String> {
    write(&call(read(body)?)?)
}

fn read<Request: DeserializeOwned>(body: &[u8]) -> dynoxide::Result<Request> {
    serde_json::from_slice(body).map_err(|error| refusal(&error.to_string()))
}

fn write(response: &impl Serialize) -> dynoxide::Result<String> {
    serde_json::to_string(response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
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

/// Every item of the table, in DynamoDB's JSON.
pub(super) fn items(database: &Database) -> Vec<serde_json::Value> {
    let mut items = Vec::new();
    let mut request = serde_json::json!({ "TableName": crate::table::TABLE });
    loop {
        let page = serde_json::from_value(request.clone()).ok().and_then(|request| database.scan(request).ok());
        let Some(page) = page.and_then(|page| serde_json::to_value(page).ok()) else { return items };
        items.extend(page["Items"].as_array().cloned().unwrap_or_default());
        match &page["LastEvaluatedKey"] {
            serde_json::Value::Object(key) => request["ExclusiveStartKey"] = serde_json::Value::Object(key.clone()),
            _ => return items,
        }
    }
}
