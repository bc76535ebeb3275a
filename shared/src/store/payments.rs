//! Payments, by id and by due date.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;

pub use super::agenda::Seen;
use super::table::{Item, StoreError, Table, key_of};
use super::{agenda, keys};
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
    agenda::tag(&mut item, payment)?;
    Ok(item)
}

/// Stores each of `payments`, which have different ids, in the place of the one that was `seen`; new where none was. The ids
/// of those for which somebody else was faster: nothing of them was written.
pub async fn replace_many(
    table: &Table,
    tenant: &TenantId,
    payments: &[Payment],
    seen: &HashMap<String, Seen<Payment>>,
) -> Result<HashSet<String>, StoreError> {
    let write = |payment: &Payment| agenda::replacing(table, item(table, tenant, payment)?, seen.get(&payment.id));
    let lost = agenda::write_each(table, payments.iter().map(write).collect::<Result<_, _>>()?).await?;
    Ok(lost.into_iter().filter_map(|at| payments.get(at)).map(|payment| payment.id.clone()).collect())
}

/// Those of `ids` that exist, by id, as [`replace_many`] takes them.
pub async fn seen(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Seen<Payment>>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::payment(tenant, id)).collect()).await?;
    let seen = items.into_iter().map(|item| agenda::seen::<Payment>(table, item));
    seen.map(|seen| seen.map(|seen| (seen.value.id.clone(), seen))).collect()
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

/// A page of the payments due on a day in `[from, to]`, by day and id: at most `limit`, after the entry `after`, and
/// the entry after which the next page begins. `None` if `after` is not within the bounds.
pub async fn page(
    table: &Table,
    tenant: &TenantId,
    (from, to): (Date, Date),
    after: Option<&str>,
    limit: u32,
) -> Result<Option<(Vec<Payment>, Option<String>)>, StoreError> {
    let range = days(from, to);
    if after.is_some_and(|after| after < range.0.as_str() || after > range.1.as_str()) {
        return Ok(None);
    }
    let place = agenda::place(after, |id| keys::payment(tenant, id));
    let (items, next) = agenda::page(table, &keys::payments(tenant), range, place, limit).await?;
    let mut payments: Vec<Payment> = items.into_iter().map(|item| table.value(item, &[])).collect::<Result<_, _>>()?;
    payments.sort_by(|a, b| (a.due_date, &a.id).cmp(&(b.due_date, &b.id)));
    Ok(Some((payments, next)))
}

fn days(from: Date, to: Date) -> (String, String) {
    (from.to_string(), format!("{to}~"))
}

/// The payments due on a day in `[from, to]`, in order.
pub async fn due_between(table: &Table, tenant: &TenantId, from: Date, to: Date) -> Result<Vec<Payment>, StoreError> {
    let range = days(from, to);
    let entries = table.query_all(&keys::payments(tenant), Some(keys::TIME), Some(range)).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut payments: Vec<Payment> = items.into_iter().map(|item| table.value(item, &[])).collect::<Result<_, _>>()?;
    payments.sort_by(|a, b| (a.due_date, &a.id).cmp(&(b.due_date, &b.id)));
    Ok(payments)
}
