//! Lessons, by id and by start.

use std::collections::HashMap;

use jiff::Timestamp;

use super::keys;
use super::table::{Item, StoreError, Table, key_of};
use crate::domain::lesson::Lesson;
use crate::domain::tenant::TenantId;

/// Stores lessons, replacing what was there.
pub async fn put_many(table: &Table, tenant: &TenantId, lessons: &[Lesson]) -> Result<(), StoreError> {
    let items = lessons.iter().map(|lesson| item(table, tenant, lesson)).collect::<Result<_, _>>()?;
    table.put_many(items).await
}

fn item(table: &Table, tenant: &TenantId, lesson: &Lesson) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::lesson(tenant, &lesson.id), lesson, &[])?;
    table.place(&mut item, keys::TIME, keys::lessons(tenant), keys::instant_and(lesson.starts_at, &lesson.id));
    Ok(item)
}

pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Lesson>, StoreError> {
    table.get(&keys::lesson(tenant, id)).await?.map(|item| table.value(item, &[])).transpose()
}

/// Those of `ids` that exist, by id.
pub async fn get_many(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Lesson>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::lesson(tenant, id)).collect()).await?;
    let lessons = items.into_iter().map(|item| table.value::<Lesson>(item, &[]));
    lessons.map(|lesson| lesson.map(|lesson| (lesson.id.clone(), lesson))).collect()
}

/// The lessons that start in `[from, to]`, in order of their start.
pub async fn starting(table: &Table, tenant: &TenantId, from: Timestamp, to: Timestamp) -> Result<Vec<Lesson>, StoreError> {
    let range = (keys::instant(from), keys::up_to(to));
    let entries = table.query_all(&keys::lessons(tenant), Some(keys::TIME), Some(range)).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut lessons: Vec<Lesson> = items.into_iter().map(|item| table.value(item, &[])).collect::<Result<_, _>>()?;
    lessons.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
    Ok(lessons)
}
