//! What a number said about being messaged: STOP or START, when, and how we learnt it.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::table::{StoreError, Table};
use super::transaction::{Write, write_if};
use super::{keys, numbers};
use crate::domain::consent::Keyword;
use crate::domain::phone::PhoneNumber;
use crate::domain::tenant::TenantId;

/// How a number's wish reached us.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// An inbound message, by Twilio's id.
    Inbound(&'a str),
    /// Twilio refused with 21610: the number had opted out there.
    Refusal(u32),
}

/// Records a wish. The same inbound message again changes nothing, whatever came in between.
pub async fn record(
    table: &Table,
    tenant: &TenantId,
    number: &PhoneNumber,
    wish: Keyword,
    source: Source<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    write_if(table, write(table, tenant, number, wish, source, now)?).await?;
    Ok(())
}

/// The write that records a wish; part of a message's own change where Twilio's refusal tells it.
pub fn write(
    table: &Table,
    tenant: &TenantId,
    number: &PhoneNumber,
    wish: Keyword,
    source: Source<'_>,
    now: Timestamp,
) -> Result<Write, StoreError> {
    let stopped = wish == Keyword::Stop;
    let (origin, condition) = match &source {
        Source::Inbound(sid) => (format!("inbound {sid}"), Some("NOT contains(seen, :origin)")),
        Source::Refusal(code) => (format!("refused {code}"), None),
    };
    let step = HashMap::from([
        ("at".to_string(), AttributeValue::S(now.to_string())),
        ("stopped".to_string(), AttributeValue::Bool(stopped)),
        ("origin".to_string(), AttributeValue::S(origin.clone())),
    ]);
    let mut values = HashMap::from([
        (":stopped".to_string(), AttributeValue::Bool(stopped)),
        (":none".to_string(), AttributeValue::L(Vec::new())),
        (":step".to_string(), AttributeValue::L(vec![AttributeValue::M(step)])),
        (":seen".to_string(), AttributeValue::Ss(vec![origin.clone()])),
    ]);
    if condition.is_some() {
        values.insert(":origin".to_string(), AttributeValue::S(origin));
    }
    let key = keys::consent(tenant, &table.keyring().number_hash(number));
    let expression = "SET stopped = :stopped, history = list_append(if_not_exists(history, :none), :step) ADD seen :seen";
    Write::update(table, &key, expression, condition, values)
}

/// Lets a message go only if `number` has not opted out.
pub fn must_not_be_stopped(table: &Table, tenant: &TenantId, number: &PhoneNumber) -> Result<Write, StoreError> {
    let key = keys::consent(tenant, &table.keyring().number_hash(number));
    let no = HashMap::from([(":no".to_string(), AttributeValue::Bool(false))]);
    Write::check(table, &key, "attribute_not_exists(stopped) OR stopped = :no", no)
}

/// Those of `numbers` that have opted out.
pub async fn stopped(table: &Table, tenant: &TenantId, numbers: &[&PhoneNumber]) -> Result<HashSet<PhoneNumber>, StoreError> {
    let consents = numbers::beside(table, tenant, numbers, keys::consent).await?;
    let stopped = consents.into_iter().filter(|(_, item)| item.get("stopped") == Some(&AttributeValue::Bool(true)));
    Ok(stopped.map(|(number, _)| number).collect())
}
