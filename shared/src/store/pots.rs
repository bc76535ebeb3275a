//! Money that is reserved for a campaign ahead of its messages: taken from the month's meter in blocks, and by each
//! message that is claimed from the pot. What is left goes back.
//!
//! The meter counts what lies in a pot as used, so that nobody else can spend it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::campaigns::Campaign;
use super::table::{StoreError, Table, number, string};
use super::transaction::{Patience, Refused, Write, transact, write_all_if};
use super::{keys, meter};
use crate::domain::money::Micros;
use crate::domain::tenant::TenantId;

/// What lies in a pot, and of which month's meter it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pot {
    pub month: String,
    pub held: Micros,
}

pub async fn get(table: &Table, tenant: &TenantId, campaign: &str) -> Result<Pot, StoreError> {
    let item = table.get(&keys::campaign_pot(tenant, campaign)).await?.unwrap_or_default();
    let held = item.get("held").and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default();
    Ok(Pot { month: string(&item, "of_month").to_string(), held: Micros(held) })
}

/// What became of an attempt to fill a pot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    Done,
    /// The month's limit does not cover it.
    OverLimit,
    /// The campaign is no more as it was read: perhaps nobody wants it any more.
    Lost,
}

/// Puts `amount` of the month's meter into the pot of a campaign, if `limit` covers that. A pot of another month must be
/// empty.
pub async fn fill(
    table: &Table,
    tenant: &TenantId,
    campaign: &Campaign,
    month: &str,
    amount: Micros,
    limit: Option<Micros>,
) -> Result<Filled, StoreError> {
    let Some(meter) = meter::add(table, tenant, month, amount, limit)? else { return Ok(Filled::OverLimit) };
    let seen = HashMap::from([(":seen".to_string(), number(campaign.revision))]);
    let unchanged = Write::check(table, &keys::campaign(tenant, &campaign.id), "revision = :seen", seen)?;
    let values = HashMap::from([
        (":month".to_string(), AttributeValue::S(month.to_string())),
        (":amount".to_string(), number(amount.0)),
        (":zero".to_string(), number(0)),
    ]);
    let condition = "attribute_not_exists(held) OR held = :zero OR of_month = :month";
    let pot = Write::update(
        table,
        &keys::campaign_pot(tenant, &campaign.id),
        "SET of_month = :month ADD held :amount",
        Some(condition),
        values,
    )?;
    let mut patience = Patience::default();
    loop {
        match transact(table, vec![meter.clone(), unchanged.clone(), pot.clone()]).await {
            Ok(()) => return Ok(Filled::Done),
            Err(Refused::Conditions(failed)) if failed == [0] => return Ok(Filled::OverLimit),
            Err(Refused::Conditions(_)) => return Ok(Filled::Lost),
            Err(Refused::Busy) => patience.wait().await?,
            Err(Refused::Store(error)) => return Err(error),
        }
    }
}

/// What takes `amount` from a pot for messages that are claimed in `month`, if it is there.
pub(super) fn draw(table: &Table, tenant: &TenantId, campaign: &str, month: &str, amount: Micros) -> Result<Write, StoreError> {
    let values = HashMap::from([
        (":month".to_string(), AttributeValue::S(month.to_string())),
        (":minus".to_string(), number(-amount.0)),
        (":amount".to_string(), number(amount.0)),
    ]);
    let condition = "held >= :amount AND of_month = :month";
    Write::update(table, &keys::campaign_pot(tenant, campaign), "ADD held :minus", Some(condition), values)
}

/// Gives back to its meter what is left in a pot.
pub async fn empty(table: &Table, tenant: &TenantId, campaign: &str) -> Result<Micros, StoreError> {
    loop {
        let Pot { month, held } = get(table, tenant, campaign).await?;
        if held.0 == 0 {
            return Ok(held);
        }
        let values = HashMap::from([(":held".to_string(), number(held.0)), (":zero".to_string(), number(0))]);
        let key = keys::campaign_pot(tenant, campaign);
        let pot = Write::update(table, &key, "SET held = :zero", Some("held = :held"), values)?;
        let meter = meter::add(table, tenant, &month, Micros(-held.0), None)?;
        // Refused if a message was claimed meanwhile: then less is left.
        if write_all_if(table, std::iter::once(pot).chain(meter).collect()).await? {
            return Ok(held);
        }
    }
}
