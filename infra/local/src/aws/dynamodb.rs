//! DynamoDB: the embedded engine behind the wire protocol.
//!
//! Follows dynoxide's own server (`server/mod.rs`, `serde_errors.rs`); only the operations that we call.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Answer, Failure, lock};

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

/// What requests to the table consumed, in request units.
///
/// The engine counts them, by rules that its authors read off DynamoDB: a write by the larger of the item before and
/// after it, twice in a transaction; what an index stores only where that changes, and twice where it moves; of what an
/// index takes in a transaction AWS's pages do not say that it counts twice, and it is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capacity {
    pub read: f64,
    /// Of the table and of its indexes.
    pub write: f64,
    /// The indexes' share of it.
    pub index_write: f64,
    /// Writes whose condition did not hold. DynamoDB charges them by the items that are there (Developer Guide, "DynamoDB
    /// read and write operations"); the engine does not, so `write` has of each the least that it may have been.
    pub refused: u64,
}

/// Answers a request and, if `capacity` is counted, adds what it consumed. Who did not ask for that is not told.
pub(super) fn answer(
    database: &Database,
    tokens: &Tokens,
    capacity: &Mutex<Option<Capacity>>,
    operation: &str,
    body: &[u8],
) -> Answer {
    let is_read = match operation {
        "GetItem" | "Query" | "Scan" | "BatchGetItem" | "TransactGetItems" => true,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => false,
        _ => return perform(database, tokens, operation, body),
    };
    let is_counted = lock(capacity).is_some();
    let Some(Value::Object(mut request)) = is_counted.then(|| serde_json::from_slice::<Value>(body).ok()).flatten() else {
        return perform(database, tokens, operation, body);
    };
    let is_told = matches!(request.get(ASKS_CAPACITY).and_then(Value::as_str), Some("TOTAL" | "INDEXES"));
    if !is_told {
        request.insert(ASKS_CAPACITY.into(), "INDEXES".into());
    }
    let actions = request.get("TransactItems").and_then(Value::as_array).map(Vec::len);
    let mut answer = perform(database, tokens, operation, Value::Object(request).to_string().as_bytes());
    let Ok(mut told) = serde_json::from_str::<Value>(&answer.body) else { return answer };
    let consumed = if answer.status == 200 { consumed(&told, is_read) } else { refused(&told, actions) };
    if let Some(capacity) = &mut *lock(capacity) {
        capacity.read += consumed.read;
        capacity.write += consumed.write;
        capacity.index_write += consumed.index_write;
        capacity.refused += consumed.refused;
    }
    if let (false, Value::Object(fields)) = (is_told, &mut told)
        && fields.remove(CAPACITY).is_some()
    {
        answer.body = told.to_string();
    }
    answer
}

const ASKS_CAPACITY: &str = "ReturnConsumedCapacity";
const CAPACITY: &str = "ConsumedCapacity";

/// What the engine says that a request consumed: of one table, or of each.
fn consumed(answer: &Value, is_read: bool) -> Capacity {
    let tables = match &answer[CAPACITY] {
        Value::Array(tables) => tables.as_slice(),
        table => std::slice::from_ref(table),
    };
    let units = |of: &Value| of["CapacityUnits"].as_f64().unwrap_or_default();
    let of_indexes = |table: &Value| -> f64 {
        table["GlobalSecondaryIndexes"].as_object().into_iter().flat_map(|indexes| indexes.values()).map(units).sum()
    };
    let all: f64 = tables.iter().map(units).sum();
    if is_read {
        return Capacity { read: all, ..Capacity::default() };
    }
    Capacity { write: all, index_write: tables.iter().map(of_indexes).sum(), ..Capacity::default() }
}

/// The least that a write may have consumed which was refused by a condition: a unit an action, two in a transaction.
fn refused(answer: &Value, actions: Option<usize>) -> Capacity {
    let kind = answer["__type"].as_str().unwrap_or_default();
    let units = match actions {
        Some(actions) if kind.ends_with("TransactionCanceledException") => 2.0 * actions as f64,
        None if kind.ends_with("ConditionalCheckFailedException") => 1.0,
        _ => return Capacity::default(),
    };
    Capacity { write: units, refused: 1, ..Capacity::default() }
}

fn perform(database: &Database, tokens: &Tokens, operation: &str, body: &[u8]) -> Answer {
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
    let mut request = serde_json::json!({ "TableName": crate::names::TABLE });
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::TABLE;
    use crate::table;

    #[test]
    fn what_requests_consume_is_counted_and_only_told_to_who_asks() {
        let (database, tokens) = (Database::memory().unwrap(), Tokens::default());
        table::create(&database).unwrap();
        let capacity = Mutex::new(Some(Capacity::default()));
        let ask = |operation: &str, request: Value| -> Value {
            let answer = answer(&database, &tokens, &capacity, operation, request.to_string().as_bytes());
            serde_json::from_str(&answer.body).unwrap()
        };
        let key = json!({ "pk": { "S": "a" }, "sk": { "S": "b" } });
        let mut item = key.clone();
        item["time_pk"] = json!({ "S": "day" });
        item["time_sk"] = json!({ "S": "1" });
        item["text"] = json!({ "S": "x".repeat(1_500) });

        // Two for 1.5 KB, and one for the index's keys.
        let silent = ask("PutItem", json!({ "TableName": TABLE, "Item": item }));
        // Four for the same in a transaction, and two where the index's entry moves.
        item["time_sk"] = json!({ "S": "2" });
        ask("TransactWriteItems", json!({ "TransactItems": [{ "Put": { "TableName": TABLE, "Item": item } }] }));
        // One, since the item is there.
        let new = "attribute_not_exists(pk)";
        ask("PutItem", json!({ "TableName": TABLE, "Item": item, "ConditionExpression": new }));
        // One for up to 4 KB, and half of it for what may be a moment old.
        let get = json!({ "TableName": TABLE, "Key": key, "ConsistentRead": true, "ReturnConsumedCapacity": "TOTAL" });
        let told = ask("GetItem", get);
        ask("BatchGetItem", json!({ "RequestItems": { TABLE: { "Keys": [key] } } }));

        let counted = capacity.lock().unwrap().unwrap();
        assert_eq!(counted, Capacity { read: 1.5, write: 10.0, index_write: 3.0, refused: 1 });
        assert_eq!((silent.get(CAPACITY), &told[CAPACITY]["CapacityUnits"]), (None, &json!(1.0)));
    }
}
