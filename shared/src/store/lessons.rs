//! Lessons, by id and by start.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

pub use super::agenda::Seen;
use super::table::{Item, StoreError, Table, key_of};
use super::transaction::write_if;
use super::{agenda, keys};
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
    agenda::tag(&mut item, lesson)?;
    Ok(item)
}

/// Stores each of `lessons`, which have different ids, in the place of the one that was `seen`; new where none was. The ids
/// of those for which somebody else was faster: nothing of them was written.
pub async fn replace_many(
    table: &Table,
    tenant: &TenantId,
    lessons: &[Lesson],
    seen: &HashMap<String, Seen<Lesson>>,
) -> Result<HashSet<String>, StoreError> {
    let write = |lesson: &Lesson| agenda::replacing(table, item(table, tenant, lesson)?, seen.get(&lesson.id));
    let lost = agenda::write_each(table, lessons.iter().map(write).collect::<Result<_, _>>()?).await?;
    Ok(lost.into_iter().filter_map(|at| lessons.get(at)).map(|lesson| lesson.id.clone()).collect())
}

/// Stores a lesson in the place of the one that was `seen`. Whether that still stood there.
pub async fn replace(table: &Table, tenant: &TenantId, lesson: &Lesson, seen: &Seen<Lesson>) -> Result<bool, StoreError> {
    write_if(table, agenda::replacing(table, item(table, tenant, lesson)?, Some(seen))?).await
}

/// Those of `ids` that exist, by id, as [`replace_many`] takes them.
pub async fn seen(table: &Table, tenant: &TenantId, ids: &[&str]) -> Result<HashMap<String, Seen<Lesson>>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::lesson(tenant, id)).collect()).await?;
    let seen = items.into_iter().map(|item| agenda::seen::<Lesson>(table, item));
    seen.map(|seen| seen.map(|seen| (seen.value.id.clone(), seen))).collect()
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

/// A page of the lessons that start in `[from, to]`, by start and id: at most `limit`, after the entry `after`, and
/// the entry after which the next page begins. `None` if `after` is not within the bounds.
pub async fn page(
    table: &Table,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    after: Option<&str>,
    limit: u32,
) -> Result<Option<(Vec<Lesson>, Option<String>)>, StoreError> {
    let range = (keys::instant(from), keys::up_to(to));
    if after.is_some_and(|after| after < range.0.as_str() || after > range.1.as_str()) {
        return Ok(None);
    }
    let place = agenda::place(after, |id| keys::lesson(tenant, id));
    let (items, next) = agenda::page(table, &keys::lessons(tenant), range, place, limit).await?;
    let mut lessons: Vec<Lesson> = items.into_iter().map(|item| table.value(item, &[])).collect::<Result<_, _>>()?;
    lessons.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
    Ok(Some((lessons, next)))
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
