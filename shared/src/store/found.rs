//! What the resolver found at Twilio: each SID is one message's, whoever else looks at the same instant.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::keys;
use super::table::{StoreError, Table};
use super::transaction::{Write, write_if};
use crate::domain::message::MessageId;
use crate::domain::tenant::TenantId;

/// Long after nobody looks for the same message any more.
const KEEP: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Serialize)]
struct Found<'a> {
    holder: &'a MessageId,
    expires: i64,
}

/// Gives `sid` to the message `id`, unless another has it. Whether it is this one's now, or was before.
pub async fn take(table: &Table, tenant: &TenantId, sid: &str, id: &MessageId, now: Timestamp) -> Result<bool, StoreError> {
    let found = Found { holder: id, expires: (now + KEEP).as_second() };
    let item = table.item(&keys::found(tenant, sid), &found, &[])?;
    let values = HashMap::from([(":holder".to_string(), AttributeValue::S(id.to_string()))]);
    write_if(table, Write::put(table, item, "attribute_not_exists(pk) OR holder = :holder", values)?).await
}
