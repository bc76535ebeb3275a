//! Payments, by id and by due date.

use std::collections::HashMap;

use jiff::civil::Date;

use super::keys;
use super::table::{Item, StoreError, Table, key_of};
use crate::domain::payment::Payment;
use crate::domain::tenant::TenantId;

/// Stores payments, replacing what was there.
pub async fn put_many(table: &Table, tenant: &TenantId, payments: &[Payment]) -> Result<(), StoreError> {
    let items = payments.iter().map(|payment| item(table, tenant, payment)).collect::<Result<_, _>>()?;
    table.put_many(items).await
}

fn item(table: &Table, tenant: &TenantId, payment: &Payment) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::payment(tenant, &payment.id), payment, &[])?;
    table.place(&mut item, keys::TIME, keys::payments(tenant), format!("{}#{}", payment.due_date, payment.id));
    Ok(item)
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Payment>, StoreError> {
    table.get(&keys::payment(tenant, id)).await?.map(|item| table.value(item, &[])).transpose()
}

/// Those of `ids` that exist, by id.
pub async fn get_many(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Payment>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::payment(tenant, id)).collect()).await?;
    let payments = items.into_iter().map(|item| table.value::<Payment>(item, &[]));
    payments.map(|payment| payment.map(|payment| (payment.id.clone(), payment))).collect()
}

/// The payments due on a day in `[from, to]`, in order.
pub async fn due_between(table: &Table, tenant: &TenantId, from: Date, to: Date) -> Result<Vec<Payment>, StoreError> {
    let range = (from.to_string(), format!("{to}~"));
    let entries = table.query_all(&keys::payments(tenant), Some(keys::TIME), Some(range)).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut payments: Vec<Payment> = items.into_iter().map(|item| table.value(item, &[])).collect::<Result<_, _>>()?;
    payments.sort_by(|a, b| (a.due_date, &a.id).cmp(&(b.due_date, &b.id)));
    Ok(payments)
}
