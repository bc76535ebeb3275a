//! Requests of several parts that are done in part: the rest is given back, or said to have failed.
//!
//! Sources: the API references of BatchGetItem, BatchWriteItem, SendMessageBatch and PutEvents. DynamoDB does something
//! of a batch or refuses it; of the other two every entry may fail.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::dice::Dice;
use crate::aws::{Answer, content_type};

/// Does some of a request by `perform`; none if it has no parts, or is refused anyway.
pub(super) fn answer(operation: &str, body: &[u8], dice: &mut Dice, perform: impl FnOnce(&[u8]) -> Answer) -> Option<Answer> {
    let request: Value = serde_json::from_slice(body).ok()?;
    match operation {
        "BatchGetItem" => batch(request, "UnprocessedKeys", dice, perform),
        "BatchWriteItem" => batch(request, "UnprocessedItems", dice, perform),
        "PutEvents" => events(request, dice, perform),
        "SendMessageBatch" => messages(request, dice, perform),
        _ => None,
    }
}

/// Leaves some of what is asked of a table undone.
fn batch(mut request: Value, unprocessed: &str, dice: &mut Dice, perform: impl FnOnce(&[u8]) -> Answer) -> Option<Answer> {
    let tables = request.get_mut("RequestItems")?.as_object_mut()?;
    let several = tables.iter_mut().find_map(|(table, asked)| (parts(asked)?.len() > 1).then_some((table.clone(), asked)));
    let (table, asked) = several?;
    let mut left = asked.clone();
    let asked = parts(asked)?;
    let count = 1 + dice.below(asked.len() - 1);
    let (done, undone) = split(asked, &dice.positions(asked.len(), count));
    *asked = done;
    *parts(&mut left)? = undone;

    let mut told = performed(&request, perform)?;
    let given_back = &mut told[unprocessed][table.as_str()];
    match parts(given_back) {
        Some(own) => own.append(parts(&mut left)?),
        None => *given_back = left,
    }
    Some(Answer::of(content_type("DynamoDB_20120810"), Ok(told)))
}

/// The keys or the writes that are asked of a table.
fn parts(asked: &mut Value) -> Option<&mut Vec<Value>> {
    match asked {
        Value::Array(writes) => Some(writes),
        reads => reads.get_mut("Keys")?.as_array_mut(),
    }
}

fn events(mut request: Value, dice: &mut Dice, perform: impl FnOnce(&[u8]) -> Answer) -> Option<Answer> {
    let entries = request.get_mut("Entries")?.as_array_mut()?;
    let length = entries.len();
    let failing = some_or_all(length, dice)?;
    let (done, _) = split(entries, &failing);
    let mut told = if done.is_empty() {
        json!({ "Entries": [] })
    } else {
        *entries = done;
        performed(&request, perform)?
    };
    // The place of an answer says whose it is.
    let mut done = std::mem::take(told["Entries"].as_array_mut()?).into_iter();
    let answers = (0..length).map(|at| if failing.contains(&at) { Some(failed_event(dice)) } else { done.next() });
    let answers: Vec<Value> = answers.collect::<Option<_>>()?;
    told["FailedEntryCount"] = json!(answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count());
    told["Entries"] = Value::Array(answers);
    Some(Answer::of(content_type("AWSEvents"), Ok(told)))
}

fn failed_event(dice: &mut Dice) -> Value {
    let code = if dice.coin() { "ThrottlingException" } else { "InternalFailure" };
    json!({ "ErrorCode": code, "ErrorMessage": "Please try again later" })
}

fn messages(mut request: Value, dice: &mut Dice, perform: impl FnOnce(&[u8]) -> Answer) -> Option<Answer> {
    let entries = request.get_mut("Entries")?.as_array_mut()?;
    let failing = some_or_all(entries.len(), dice)?;
    let (done, failed) = split(entries, &failing);
    let mut told = if done.is_empty() {
        json!({ "Successful": [], "Failed": [] })
    } else {
        *entries = done;
        performed(&request, perform)?
    };
    told["Failed"].as_array_mut()?.extend(failed.iter().map(failed_message));
    Some(Answer::of(content_type("AmazonSQS"), Ok(told)))
}

fn failed_message(entry: &Value) -> Value {
    json!({ "Id": entry["Id"], "SenderFault": false, "Code": "InternalError", "Message": "Please try again later" })
}

fn some_or_all(length: usize, dice: &mut Dice) -> Option<BTreeSet<usize>> {
    if length == 0 {
        return None;
    }
    let count = 1 + dice.below(length);
    Some(dice.positions(length, count))
}

/// What is not at `positions` of a list, and what is.
fn split(list: &[Value], positions: &BTreeSet<usize>) -> (Vec<Value>, Vec<Value>) {
    let (mut rest, mut taken) = (Vec::new(), Vec::new());
    for (at, part) in list.iter().enumerate() {
        let side = if positions.contains(&at) { &mut taken } else { &mut rest };
        side.push(part.clone());
    }
    (rest, taken)
}

/// What a service says to a request that it does not refuse.
fn performed(request: &Value, perform: impl FnOnce(&[u8]) -> Answer) -> Option<Value> {
    let answer = perform(request.to_string().as_bytes());
    if answer.status == 200 { serde_json::from_str(&answer.body).ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::aws::Shares;
    use crate::aws::trouble::tests::{aws, call, trouble};
    use crate::names::TABLE;

    fn some() -> Shares {
        Shares { partial: 1000, ..Shares::default() }
    }

    fn key(number: usize) -> Value {
        json!({ "pk": { "S": format!("item {number}") }, "sk": { "S": "-" } })
    }

    fn list(of: &Value) -> Vec<Value> {
        of.as_array().cloned().unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_writes_is_done_or_given_back() {
        let aws = aws();
        let met = aws.troubled(trouble(1, some()));
        let mut left: Vec<Value> = (0..25).map(|number| json!({ "PutRequest": { "Item": key(number) } })).collect();

        while !left.is_empty() {
            let asked = std::mem::take(&mut left);
            let before = aws.items().len();
            let request = json!({ "RequestItems": { TABLE: asked } });
            let (status, told) = call(&met, "DynamoDB_20120810.BatchWriteItem", &request).await;

            left = list(&told["UnprocessedItems"][TABLE]);
            assert_eq!((status, aws.items().len() - before), (200, asked.len() - left.len()));
            assert!(left.len() < asked.len() && (asked.len() == 1 || !left.is_empty()));
            assert!(left.iter().all(|write| asked.contains(write)));
        }

        assert_eq!(aws.items().len(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_reads_is_answered_or_given_back_with_how_to_read() {
        let aws = aws();
        for number in 0..25 {
            call(&aws, "DynamoDB_20120810.PutItem", &json!({ "TableName": TABLE, "Item": key(number) })).await;
        }
        let met = aws.troubled(trouble(1, some()));

        let all: Vec<Value> = (0..25).map(key).collect();
        let request = json!({ "RequestItems": { TABLE: { "Keys": all, "ConsistentRead": true } } });
        let (_, told) = call(&met, "DynamoDB_20120810.BatchGetItem", &request).await;

        let (read, left) = (list(&told["Responses"][TABLE]), list(&told["UnprocessedKeys"][TABLE]["Keys"]));
        assert_eq!(told["UnprocessedKeys"][TABLE]["ConsistentRead"], true);
        assert!(!read.is_empty() && !left.is_empty() && read.len() + left.len() == all.len());
        assert!(all.iter().all(|key| read.contains(key) != left.contains(key)));
    }

    #[tokio::test(start_paused = true)]
    async fn some_or_all_events_fail_each_in_its_place() {
        let aws = aws();
        let met = aws.troubled(trouble(1, some()));
        let entry = |number: usize| json!({ "Source": "s", "DetailType": "t", "Detail": format!("{{\"number\":{number}}}") });

        for length in 1..=10 {
            let request = json!({ "Entries": (0..length).map(entry).collect::<Vec<_>>() });
            let (_, told) = call(&met, "AWSEvents.PutEvents", &request).await;

            let put: BTreeMap<String, Value> = aws.take_events().into_iter().map(|event| (event.id, event.detail)).collect();
            let answers = list(&told["Entries"]);
            assert_eq!(answers.len(), length);
            assert_eq!(told["FailedEntryCount"], length - put.len());
            assert!(put.len() < length);
            for (at, answer) in answers.iter().enumerate() {
                match answer["EventId"].as_str() {
                    Some(id) => assert_eq!(put[id]["number"], at),
                    None => assert!(answer["ErrorCode"].is_string()),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn some_or_all_messages_of_a_batch_fail() {
        let aws = aws();
        let met = aws.troubled(trouble(1, some()));

        for length in 1..=10 {
            let entries: Vec<Value> =
                (0..length).map(|id| json!({ "Id": id.to_string(), "MessageBody": id.to_string() })).collect();
            let request = json!({ "QueueUrl": "http://local/q", "Entries": entries });
            let (_, told) = call(&met, "AmazonSQS.SendMessageBatch", &request).await;

            let ids =
                |of: &Value| -> Vec<String> { list(of).iter().map(|told| told["Id"].as_str().unwrap().to_owned()).collect() };
            let sent: Vec<String> = aws.take("q", 10).into_iter().map(|message| message.body).collect();
            let failed = ids(&told["Failed"]);
            assert_eq!(sent, ids(&told["Successful"]));
            assert!(!failed.is_empty() && sent.len() + failed.len() == length);
            assert!(failed.iter().all(|id| !sent.contains(id)));
        }
    }
}
