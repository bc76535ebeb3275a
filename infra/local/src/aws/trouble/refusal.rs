//! What AWS says when it does not do what it is asked for.
//!
//! Sources: DynamoDB Developer Guide, "Error handling with DynamoDB" and "Transaction conflict handling"; the API
//! references' "Common errors".

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::dice::Dice;
use crate::aws::{Answer, Failure, content_type, read};

pub(super) fn throttled(service: &str, dice: &mut Dice) -> Answer {
    let code = match service {
        "DynamoDB_20120810" if dice.coin() => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "DynamoDB_20120810" => "com.amazon.coral.availability#ThrottlingException",
        "AmazonSQS" => "RequestThrottled",
        _ => "ThrottlingException",
    };
    Answer::of(content_type(service), Err(Failure::new(code, "Rate exceeded")))
}

pub(super) fn failed(service: &str, dice: &mut Dice) -> Answer {
    let internal = match service {
        "DynamoDB_20120810" => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        "secretsmanager" => "InternalServiceError",
        "AWSEvents" => "InternalException",
        _ => "InternalFailure",
    };
    let (status, code) = if dice.coin() { (500, internal) } else { (503, "ServiceUnavailable") };
    Answer::of(content_type(service), Err(Failure { status, code, message: "Please try again later".into() }))
}

const ONGOING: &str = "Transaction is ongoing for the item";

/// What a write is told whose item is in somebody else's transaction; none if it is no such write.
pub(super) fn conflict(operation: &str, body: &[u8], dice: &mut Dice) -> Option<Answer> {
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => {
            Some(refused("com.amazonaws.dynamodb.v20120810#TransactionConflictException", ONGOING))
        }
        "TransactWriteItems" => transaction_conflict(body, dice),
        _ => None,
    }
}

fn transaction_conflict(body: &[u8], dice: &mut Dice) -> Option<Answer> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Transaction {
        transact_items: Vec<IgnoredAny>,
    }
    let actions = read::<Transaction>(body).ok()?.transact_items.len();
    if actions == 0 {
        return None;
    }
    // As a repetition may be told while DynamoDB is still at the first.
    if dice.below(8) == 0 {
        let message = "The transaction with the given request token is already in progress.";
        return Some(refused("com.amazonaws.dynamodb.v20120810#TransactionInProgressException", message));
    }
    let mut codes = vec!["None"; actions];
    codes[dice.below(actions)] = "TransactionConflict";
    let reasons = codes.iter().map(|code| match *code {
        "None" => json!({ "Code": code }),
        code => json!({ "Code": code, "Message": ONGOING }),
    });
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        ),
        "CancellationReasons": reasons.collect::<Vec<_>>(),
    });
    Some(Answer { status: 400, content_type: content_type("DynamoDB_20120810"), body: body.to_string() })
}

fn refused(code: &'static str, message: &str) -> Answer {
    Answer::of(content_type("DynamoDB_20120810"), Err(Failure::new(code, message)))
}
