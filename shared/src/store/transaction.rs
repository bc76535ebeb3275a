//! All-or-nothing writes, and which conditions refused them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};

use super::keys::Key;
use super::table::{Item, StoreError, Table, key_attributes};

/// DynamoDB's limit of one transaction.
pub(super) const ACTIONS: usize = 100;

/// One conditional write.
#[derive(Clone, Debug)]
pub struct Write(TransactWriteItem);

/// Why a transaction wrote nothing.
#[derive(Debug)]
pub(super) enum Refused {
    /// The writes, by position, whose conditions did not hold; at least one.
    Conditions(Vec<usize>),
    /// Another transaction was at the same items: again, after a moment.
    Busy,
    Store(StoreError),
}

impl Write {
    /// Puts `item` if `condition` holds, or in any case without one; `values` fill its placeholders.
    pub(super) fn put<'a>(
        table: &Table,
        item: Item,
        condition: impl Into<Option<&'a str>>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<Self, StoreError> {
        let values = (!values.is_empty()).then_some(values);
        let put = Put::builder()
            .table_name(&table.name)
            .set_item(Some(item))
            .set_condition_expression(condition.into().map(str::to_string))
            .set_expression_attribute_values(values)
            .build()
            .map_err(StoreError::unreachable)?;
        Ok(Self(TransactWriteItem::builder().put(put).build()))
    }

    pub(super) fn update(
        table: &Table,
        key: &Key,
        expression: &str,
        condition: Option<&str>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<Self, StoreError> {
        let update = Update::builder()
            .table_name(&table.name)
            .set_key(Some(key_attributes(key)))
            .update_expression(expression)
            .set_condition_expression(condition.map(str::to_string))
            .set_expression_attribute_values(Some(values))
            .build()
            .map_err(StoreError::unreachable)?;
        Ok(Self(TransactWriteItem::builder().update(update).build()))
    }
}

impl Write {
    /// Takes an item away, whether it is there or not.
    pub(super) fn delete(table: &Table, key: &Key) -> Result<Self, StoreError> {
        let delete = Delete::builder().table_name(&table.name).set_key(Some(key_attributes(key))).build();
        Ok(Self(TransactWriteItem::builder().delete(delete.map_err(StoreError::unreachable)?).build()))
    }

    /// Writes nothing, but lets nothing be written unless `condition` holds of the item.
    pub(super) fn check(
        table: &Table,
        key: &Key,
        condition: &str,
        values: HashMap<String, AttributeValue>,
    ) -> Result<Self, StoreError> {
        let values = (!values.is_empty()).then_some(values);
        let check = ConditionCheck::builder()
            .table_name(&table.name)
            .set_key(Some(key_attributes(key)))
            .condition_expression(condition)
            .set_expression_attribute_values(values)
            .build()
            .map_err(StoreError::unreachable)?;
        Ok(Self(TransactWriteItem::builder().condition_check(check).build()))
    }
}

/// Waits between tries of a transaction that met another.
#[derive(Debug, Default)]
pub(super) struct Patience(u32);

impl Patience {
    const TRIES: u32 = 10;
    const FIRST_PAUSE: Duration = Duration::from_millis(5);

    /// # Errors
    /// When it took too often: a conflict passes in milliseconds.
    pub async fn wait(&mut self) -> Result<(), StoreError> {
        self.0 += 1;
        if self.0 > Self::TRIES {
            return Err(StoreError::Unreachable("transactions kept meeting each other".into()));
        }
        // Not in step with the others that met.
        let pause = Self::FIRST_PAUSE * 2u32.pow(self.0);
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        Ok(())
    }
}

/// Writes all of `writes` or none. At most [`ACTIONS`].
pub(super) async fn transact(table: &Table, writes: Vec<Write>) -> Result<(), Refused> {
    debug_assert!(writes.len() <= ACTIONS);
    if writes.is_empty() {
        return Ok(());
    }
    let items = writes.into_iter().map(|write| write.0).collect();
    let error = match table.client.transact_write_items().set_transact_items(Some(items)).send().await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match refusals(&error) {
        Some(failed) if !failed.is_empty() => Err(Refused::Conditions(failed)),
        Some(_) => Err(Refused::Busy),
        None => Err(Refused::Store(StoreError::unreachable(error))),
    }
}

/// Writes one thing. Whether its condition held.
pub(super) async fn write_if(table: &Table, write: Write) -> Result<bool, StoreError> {
    write_all_if(table, vec![write]).await
}

/// Writes all of `writes` or none. Whether every condition held.
pub async fn write_all_if(table: &Table, writes: Vec<Write>) -> Result<bool, StoreError> {
    let mut patience = Patience::default();
    loop {
        match transact(table, writes.clone()).await {
            Ok(()) => return Ok(true),
            Err(Refused::Conditions(_)) => return Ok(false),
            Err(Refused::Busy) => patience.wait().await?,
            Err(Refused::Store(error)) => return Err(error),
        }
    }
}

/// The failed conditions of a cancelled transaction; none if it was cancelled for something that passes.
fn refusals(error: &SdkError<TransactWriteItemsError>) -> Option<Vec<usize>> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(canceled) => {
            let reasons = canceled.cancellation_reasons();
            // What can never be written is no conflict that passes.
            if reasons.iter().any(|reason| reason.code() == Some("ValidationError")) {
                return None;
            }
            let failed = |code: Option<&str>| code == Some("ConditionalCheckFailed");
            Some(reasons.iter().enumerate().filter(|(_, reason)| failed(reason.code())).map(|(at, _)| at).collect())
        }
        TransactWriteItemsError::TransactionInProgressException(_) => Some(Vec::new()),
        _ => None,
    }
}
