//! The meter of a tenant's month: what is reserved and spent, in micro-units of its currency.
//!
//! It only ever grows by a reservation whose condition holds, so that any number of workers
//! together never overshoot the limit (D13).

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::keys;
use super::table::{StoreError, Table, number};
use super::transaction::{Write, write_if};
use crate::domain::money::Micros;
use crate::domain::tenant::TenantId;

/// What the month has used.
pub async fn used(table: &Table, tenant: &TenantId, month: &str) -> Result<Micros, StoreError> {
    Ok(reading(table, tenant, month).await?.used)
}

/// What a meter says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub used: Micros,
    /// The shares of the limit, in percent, that were told of.
    pub alerted: Vec<u8>,
}

pub async fn reading(table: &Table, tenant: &TenantId, month: &str) -> Result<Reading, StoreError> {
    let item = table.get(&keys::meter(tenant, month)).await?.unwrap_or_default();
    let used = item.get("used").and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok());
    let alerted = item.get("alerted").and_then(|value| value.as_ns().ok()).map_or(&[][..], Vec::as_slice);
    Ok(Reading {
        used: Micros(used.unwrap_or_default()),
        alerted: alerted.iter().filter_map(|share| share.parse().ok()).collect(),
    })
}

/// Notes that it was told that `share` percent of the limit are used.
pub async fn note_alert(table: &Table, tenant: &TenantId, month: &str, share: u8) -> Result<(), StoreError> {
    let shares = HashMap::from([(":share".to_string(), AttributeValue::Ns(vec![share.to_string()]))]);
    write_if(table, Write::update(table, &keys::meter(tenant, month), "ADD alerted :share", None, shares)?).await?;
    Ok(())
}

/// Adds `amount`, which may be negative; if it is not and there is a `limit`, only within it.
///
/// `None` if the amount alone exceeds the limit.
pub fn add(
    table: &Table,
    tenant: &TenantId,
    month: &str,
    amount: Micros,
    limit: Option<Micros>,
) -> Result<Option<Write>, StoreError> {
    let mut values = HashMap::from([(":amount".to_string(), number(amount.0))]);
    let condition = match limit {
        Some(limit) if amount.0 > 0 => {
            if amount > limit {
                return Ok(None);
            }
            values.insert(":room".to_string(), number(limit.0 - amount.0));
            Some("attribute_not_exists(used) OR used <= :room")
        }
        _ => None,
    };
    Write::update(table, &keys::meter(tenant, month), "ADD used :amount", condition, values).map(Some)
}
