//! Clocks that give out turns, one item each (GCRA): a sender's, in segments, for single messages and for
//! lists; and that of a tenant's calls of the API.
//!
//! A clock says until when it is busy. Taking a turn moves it on by the turn's length, from now if it
//! was idle. How far ahead of now it may run is the burst that is let through.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use super::keys;
use super::table::{Item, StoreError, Table, key_attributes, number};
use super::transaction::{Patience, Write, write_if};
use crate::domain::tenant::TenantId;

/// What a clock gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The turn begins then.
    From(Timestamp),
    /// The clock is too far ahead; there will be room then.
    Full(Timestamp),
}

/// Whether a clock is ahead of now. Known only by trying: a guess that is wrong costs one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    Idle,
    Busy,
}

impl Guess {
    pub fn other(self) -> Self {
        match self {
            Self::Idle => Self::Busy,
            Self::Busy => Self::Idle,
        }
    }
}

/// The clock of a sender's lists: what is asked for one by one does not wait behind them.
pub fn of_lists(sender: &str) -> String {
    format!("{sender} LISTS")
}

/// However far a clock is ahead.
pub const ANY: SignedDuration = SignedDuration::from_hours(24 * 3660);

const OF_IDLE: (&str, &str) = ("SET busy_until = :after", "attribute_not_exists(busy_until) OR busy_until <= :now");
const OF_BUSY: (&str, &str) = ("ADD busy_until :length", "busy_until > :now AND busy_until <= :latest");

/// Takes a turn of `length` from the clock `name`, if it is at most `ahead` of now.
pub async fn take(
    table: &Table,
    tenant: &TenantId,
    name: &str,
    length: SignedDuration,
    ahead: SignedDuration,
    now: Timestamp,
) -> Result<Turn, StoreError> {
    let mut patience = Patience::default();
    let mut guess = Guess::Busy;
    loop {
        let (expression, condition) = expressions(guess);
        let request = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(key_attributes(&keys::pace(tenant, name))))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values(guess, length, ahead, now)))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => {
                let after = answer.attributes.as_ref().and_then(until);
                return Ok(Turn::From(after.map_or(now, |after| after - length)));
            }
            // A claim is at the same clock.
            Err(error) if is_met(&error) => {}
            Err(error) => {
                let busy = refused(&error).ok_or_else(|| StoreError::unreachable(error))?;
                match busy {
                    Some(busy) if busy > now + ahead => return Ok(Turn::Full(busy - ahead)),
                    Some(busy) if busy > now => guess = Guess::Busy,
                    Some(_) | None => guess = Guess::Idle,
                }
            }
        }
        patience.wait().await?;
    }
}

/// The same as part of a message's own write.
pub fn turn(
    table: &Table,
    tenant: &TenantId,
    name: &str,
    length: SignedDuration,
    ahead: SignedDuration,
    guess: Guess,
    now: Timestamp,
) -> Result<Write, StoreError> {
    let (expression, condition) = expressions(guess);
    Write::update(table, &keys::pace(tenant, name), expression, Some(condition), values(guess, length, ahead, now))
}

/// Gives back what will not be needed of a clock that is ahead of now.
pub async fn give_back(
    table: &Table,
    tenant: &TenantId,
    name: &str,
    length: SignedDuration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let values = HashMap::from([
        (":back".to_string(), number(-(length.as_millis() as i64))),
        (":then".to_string(), number((now + length).as_millisecond())),
    ]);
    let key = keys::pace(tenant, name);
    write_if(table, Write::update(table, &key, "ADD busy_until :back", Some("busy_until >= :then"), values)?).await?;
    Ok(())
}

/// Keeps a clock busy until `until` at least.
pub async fn block(table: &Table, tenant: &TenantId, name: &str, until: Timestamp) -> Result<(), StoreError> {
    let values = HashMap::from([(":until".to_string(), number(until.as_millisecond()))]);
    let condition = "attribute_not_exists(busy_until) OR busy_until < :until";
    let key = keys::pace(tenant, name);
    write_if(table, Write::update(table, &key, "SET busy_until = :until", Some(condition), values)?).await?;
    Ok(())
}

/// Until when the clock `name` is busy, or was; none if nobody ever took a turn.
pub async fn busy_until(table: &Table, tenant: &TenantId, name: &str) -> Result<Option<Timestamp>, StoreError> {
    let item = table.get(&keys::pace(tenant, name)).await?;
    Ok(item.as_ref().and_then(until))
}

fn expressions(guess: Guess) -> (&'static str, &'static str) {
    match guess {
        Guess::Idle => OF_IDLE,
        Guess::Busy => OF_BUSY,
    }
}

fn values(guess: Guess, length: SignedDuration, ahead: SignedDuration, now: Timestamp) -> HashMap<String, AttributeValue> {
    let value = |name: &str, millis: i64| (name.to_string(), number(millis));
    let at = now.as_millisecond();
    match guess {
        Guess::Idle => HashMap::from([value(":now", at), value(":after", (now + length).as_millisecond())]),
        Guess::Busy => HashMap::from([
            value(":now", at),
            value(":length", length.as_millis() as i64),
            value(":latest", (now + ahead).as_millisecond()),
        ]),
    }
}

fn until(item: &Item) -> Option<Timestamp> {
    let millis = item.get("busy_until")?.as_n().ok()?.parse().ok()?;
    Timestamp::from_millisecond(millis).ok()
}

/// Whether a transaction was at the same item.
fn is_met(error: &SdkError<UpdateItemError>) -> bool {
    matches!(error.as_service_error(), Some(UpdateItemError::TransactionConflictException(_)))
}

/// What the clock said when it refused; `None` if it was not the clock that refused.
fn refused(error: &SdkError<UpdateItemError>) -> Option<Option<Timestamp>> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => Some(refused.item().and_then(until)),
        _ => None,
    }
}
