//! Imports what a file holds: contacts, lessons, payments, slice by slice (S0-02..05).
//!
//! A row replaces what is there, but for what its file does not speak of: a column that the file lacks changes
//! nothing. Nor does a file lift an opt-out, or open what was cancelled or closed meanwhile, unless it says so. Whoever
//! was forgotten since the file came does not come back by it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::forget_contact::forgotten_since;
use super::save_contact::{Joined, change_contact, plan_joined};
use super::save_lessons::save_lessons;
use super::save_payments::save_payments;
use crate::context::{Context, ContextError};
use crate::domain::contact::Contact;
use crate::domain::lesson::{Lesson, LessonStatus};
use crate::domain::money::Money;
use crate::domain::payment::Payment;
use crate::domain::tenant::TenantId;
use crate::store::jobs::{self, Job, JobKind, Step};
use crate::store::{StoreError, contacts, lessons, payments};

/// How many rows a step saves.
const SLICE: usize = 100;
/// So many rows are saved within the request that brings the file; the minute tick goes on.
const AT_ONCE: u32 = 500;
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// How far an import is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Progress {
    chunk: u32,
    /// How many rows of the chunk are saved.
    offset: u32,
    columns: BTreeSet<String>,
}

/// The state of a job that imports a file of these columns and has not begun.
pub fn begin(columns: BTreeSet<String>) -> Value {
    Progress { chunk: 0, offset: 0, columns }.into_state()
}

impl Progress {
    fn of(job: &Job) -> Result<Self, StoreError> {
        serde_json::from_value(job.state.clone()).map_err(|error| StoreError::unreadable(&error))
    }

    fn into_state(self) -> Value {
        serde_json::json!({ "chunk": self.chunk, "offset": self.offset, "columns": self.columns })
    }

    /// Whether the file has this column, as [`attribute_key`](crate::domain::contact::attribute_key) writes it.
    fn has(&self, column: &str) -> bool {
        self.columns.contains(column)
    }
}

/// Saves the next rows of the file. Saving them again changes nothing.
pub async fn import_step(cx: &Context, tenant: &TenantId, job: &mut Job, now: Timestamp) -> Result<Step, ContextError> {
    let mut progress = Progress::of(job)?;
    if progress.chunk >= job.chunks {
        job.done = job.total;
        return Ok(Step::Done);
    }
    let saved = match job.kind {
        JobKind::ImportContacts => import_contacts(cx, tenant, job, &progress, now).await?,
        JobKind::ImportLessons => import_lessons(cx, tenant, job, &progress, now).await?,
        JobKind::ImportPayments => import_payments(cx, tenant, job, &progress, now).await?,
        JobKind::ForgetContact | JobKind::DeleteTenant => return Ok(Step::Done),
    };
    job.done = job.total.min(job.done + saved.rows);
    if saved.is_last {
        (progress.chunk, progress.offset) = (progress.chunk + 1, 0);
    } else {
        progress.offset += saved.rows;
    }
    let is_done = progress.chunk >= job.chunks;
    job.state = progress.into_state();
    if is_done {
        job.done = job.total;
        return Ok(Step::Done);
    }
    let is_asked_for = now <= job.created_at;
    Ok(if is_asked_for && job.done >= AT_ONCE { Step::Later(now + PAUSE) } else { Step::More })
}

/// What a step did.
struct Saved {
    rows: u32,
    /// Whether these were the last rows of their chunk.
    is_last: bool,
}

/// The rows of the next step. None are there only if the job was finished before, and that was not noted.
async fn slice<T: DeserializeOwned>(
    cx: &Context,
    tenant: &TenantId,
    job: &Job,
    progress: &Progress,
) -> Result<(Vec<T>, Saved), ContextError> {
    let mut rows: Vec<T> = jobs::rows(cx.table().await?, tenant, &job.id, progress.chunk).await?;
    let from = rows.len().min(progress.offset as usize);
    rows.drain(..from);
    let is_last = rows.len() <= SLICE;
    rows.truncate(SLICE);
    let saved = Saved { rows: rows.len() as u32, is_last };
    Ok((rows, saved))
}

async fn import_contacts(
    cx: &Context,
    tenant: &TenantId,
    job: &Job,
    progress: &Progress,
    now: Timestamp,
) -> Result<Saved, ContextError> {
    let (rows, saved) = slice::<Contact>(cx, tenant, job, progress).await?;
    let table = cx.table().await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let known = contacts::get_many(table, tenant, &ids).await?;
    let (old, mut new): (Vec<Contact>, Vec<Contact>) = rows.into_iter().partition(|row| known.contains_key(&row.id));
    // Asked after the contacts were read: a contact goes only once it is written down that it is to be forgotten.
    let ids: Vec<&str> = new.iter().map(|row| row.id.as_str()).collect();
    let forgotten = forgotten_since(table, tenant, &ids, job.created_at).await?;
    new.retain(|row| !forgotten.contains(&row.id));
    let (made, left) = contacts::create_many(table, tenant, new).await?;
    let mut joined: Vec<Joined> = Vec::with_capacity(made.len() + old.len());
    for Contact { id, groups, .. } in made {
        joined.push(Joined { contact: id, groups: groups.into_iter().collect() });
    }
    for row in old.into_iter().chain(left) {
        joined.extend(merge(cx, tenant, job, progress, &row).await?);
    }
    plan_joined(cx, tenant, &joined, now).await;
    Ok(saved)
}

/// Why a row is not merged with its contact.
enum Missed {
    Gone,
    Failed(ContextError),
}

impl From<ContextError> for Missed {
    fn from(error: ContextError) -> Self {
        Self::Failed(error)
    }
}

/// Saves a row with what its contact has now: nothing that somebody changes meanwhile is lost, an opt-out least of
/// all. The groups that the contact joined; `None` if it was forgotten since the file came.
async fn merge(
    cx: &Context,
    tenant: &TenantId,
    job: &Job,
    progress: &Progress,
    row: &Contact,
) -> Result<Option<Joined>, ContextError> {
    let change = |before: Option<&Contact>| match before {
        Some(_) => Ok(contact(row.clone(), before, progress)),
        None => Err(Missed::Gone),
    };
    match change_contact(cx, tenant, &row.id, change).await {
        Ok((_, joined)) => return Ok(Some(joined)),
        Err(Missed::Failed(error)) => return Err(error),
        Err(Missed::Gone) => {}
    }
    if !forgotten_since(cx.table().await?, tenant, &[&row.id], job.created_at).await?.is_empty() {
        return Ok(None);
    }
    let change = |before: Option<&Contact>| Ok::<_, ContextError>(contact(row.clone(), before, progress));
    let (_, joined) = change_contact(cx, tenant, &row.id, change).await?;
    Ok(Some(joined))
}

async fn import_lessons(
    cx: &Context,
    tenant: &TenantId,
    job: &Job,
    progress: &Progress,
    now: Timestamp,
) -> Result<Saved, ContextError> {
    let (rows, saved) = slice::<Lesson>(cx, tenant, job, progress).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let known = lessons::get_many(cx.table().await?, tenant, &ids).await?;
    let mut merged = Vec::with_capacity(rows.len());
    for row in rows {
        let before = known.get(&row.id);
        // Somebody has changed it since the file came: that is newer.
        if before.is_none_or(|before| before.changed_at <= job.created_at) {
            merged.push(Lesson { changed_at: job.created_at, ..lesson(row, before, progress) });
        }
    }
    save_lessons(cx, tenant, merged, now).await?;
    Ok(saved)
}

async fn import_payments(
    cx: &Context,
    tenant: &TenantId,
    job: &Job,
    progress: &Progress,
    now: Timestamp,
) -> Result<Saved, ContextError> {
    let (rows, saved) = slice::<Payment>(cx, tenant, job, progress).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let known = payments::get_many(cx.table().await?, tenant, &ids).await?;
    let mut merged = Vec::with_capacity(rows.len());
    for row in rows {
        let before = known.get(&row.id);
        if before.is_none_or(|before| before.changed_at <= job.created_at) {
            merged.push(Payment { changed_at: job.created_at, ..payment(row, before, progress) });
        }
    }
    save_payments(cx, tenant, merged, now).await?;
    Ok(saved)
}

/// A contact as the file has it. That it was opted out stays: only an opt-in, which says how it was given, lifts that.
fn contact(row: Contact, before: Option<&Contact>, file: &Progress) -> Contact {
    let Some(before) = before else { return row };
    let kept = before.attributes.iter().filter(|(name, _)| !file.has(name));
    let mut attributes: BTreeMap<String, String> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    attributes.extend(row.attributes);
    let mut opted_out_categories = before.opted_out_categories.clone();
    opted_out_categories.extend(row.opted_out_categories);
    Contact {
        id: row.id,
        name: row.name,
        phone: row.phone,
        whatsapp: if file.has("whatsapp") { row.whatsapp } else { before.whatsapp.clone() },
        email: if file.has("email") { row.email } else { before.email.clone() },
        channel: if file.has("channel") { row.channel } else { before.channel },
        time_zone: if file.has("timezone") { row.time_zone } else { before.time_zone.clone() },
        groups: if file.has("groups") { row.groups } else { before.groups.clone() },
        quiet_hours: if file.has("quiethours") { row.quiet_hours } else { before.quiet_hours },
        opted_out: row.opted_out || before.opted_out,
        opted_out_categories,
        attributes,
        ..before.clone()
    }
}

/// A lesson as the file has it. One that was cancelled takes place again only if the file has a column that says so.
fn lesson(row: Lesson, before: Option<&Lesson>, file: &Progress) -> Lesson {
    let Some(before) = before else { return row };
    Lesson {
        course: if file.has("course") { row.course } else { before.course.clone() },
        duration_minutes: if file.has("durationminutes") { row.duration_minutes } else { before.duration_minutes },
        status: if file.has("status") || row.status == LessonStatus::Cancelled { row.status } else { before.status },
        ..row
    }
}

/// A payment as the file has it. One that was paid is due again only if the file has a column that says so.
fn payment(row: Payment, before: Option<&Payment>, file: &Progress) -> Payment {
    let Some(before) = before else { return row };
    let currency = if file.has("currency") { row.amount.currency } else { before.amount.currency.clone() };
    Payment {
        amount: Money { amount: row.amount.amount, currency },
        course: if file.has("course") { row.course } else { before.course.clone() },
        status: if file.has("status") { row.status } else { before.status },
        ..row
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::channel::ChannelPreference;
    use crate::domain::contact::{Category, Number};
    use crate::domain::local_time::{QuietHours, Zone};
    use crate::domain::money::{Currency, Micros};
    use crate::domain::payment::PaymentStatus;
    use crate::domain::phone::PhoneNumber;

    fn file(columns: &[&str]) -> Progress {
        Progress { chunk: 0, offset: 0, columns: columns.iter().map(ToString::to_string).collect() }
    }

    fn person(name: &str) -> Contact {
        let number = PhoneNumber::from_e164("+12125550161").unwrap();
        Contact { id: "S1".into(), name: name.into(), ..Contact::unknown(number) }
    }

    #[test]
    fn a_column_that_the_file_lacks_changes_nothing() {
        let before = Contact {
            email: Some("ana@x.example".into()),
            channel: Some(ChannelPreference::Both),
            time_zone: Some(Zone::parse("Europe/London").unwrap()),
            groups: vec!["Choir".into()],
            quiet_hours: QuietHours::parse("21:30-07:00"),
            attributes: BTreeMap::from([("shoesize".into(), "38".into()), ("house".into(), "Red".into())]),
            former_numbers: BTreeSet::from(["abc".into()]),
            ..person("Ana")
        };
        let row = Contact { phone: Number::Absent, ..person("Ana Ruiz") };

        let short = contact(row.clone(), Some(&before), &file(&["id", "name", "phone"]));
        let long = contact(row.clone(), Some(&before), &file(&["id", "name", "phone", "email", "groups", "quiethours", "house"]));

        assert_eq!(short, Contact { name: "Ana Ruiz".into(), phone: Number::Absent, ..before.clone() });
        assert_eq!((long.email, long.groups.len(), long.quiet_hours), (None, 0, None));
        assert_eq!((long.channel, &long.time_zone), (before.channel, &before.time_zone));
        assert_eq!(long.attributes.keys().collect::<Vec<_>>(), ["shoesize"]);
        assert_eq!(contact(row.clone(), None, &file(&[])), row);
    }

    #[test]
    fn a_file_opts_out_and_never_in() {
        let before = Contact { opted_out: true, opted_out_categories: [Category::Lessons].into(), ..person("Ana") };
        let row = Contact { opted_out_categories: [Category::Marketing].into(), ..person("Ana") };

        let merged = contact(row.clone(), Some(&before), &file(&["optedout", "optedoutcategories"]));
        let other = contact(before.clone(), Some(&row), &file(&["optedout"]));

        assert_eq!((merged.opted_out, merged.opted_out_categories.len()), (true, 2));
        assert!(other.opted_out);
    }

    #[test]
    fn what_was_cancelled_or_paid_stays_so_unless_the_file_says_otherwise() {
        let taught = Lesson {
            id: "L1".into(),
            subject: "Piano".into(),
            teacher: "R".into(),
            starts_at: Timestamp::UNIX_EPOCH,
            time_zone: Zone::parse("UTC").unwrap(),
            students: Default::default(),
            course: None,
            duration_minutes: None,
            status: LessonStatus::Scheduled,
            version: 1,
            changed_at: Timestamp::UNIX_EPOCH,
        };
        let off = Lesson { status: LessonStatus::Cancelled, course: Some("Piano 1".into()), ..taught.clone() };
        let due = Payment {
            id: "P1".into(),
            contact: "S1".into(),
            amount: Money { amount: Micros(150_000_000), currency: Currency::usd() },
            due_date: jiff::civil::date(2026, 3, 9),
            course: None,
            status: PaymentStatus::Due,
            version: 1,
            changed_at: Timestamp::UNIX_EPOCH,
        };
        let euros = Money { amount: Micros(100_000_000), currency: Currency::parse("EUR").unwrap() };
        let paid = Payment { status: PaymentStatus::Paid, amount: euros, ..due.clone() };

        assert_eq!(lesson(taught.clone(), Some(&off), &file(&[])), off);
        assert_eq!(lesson(taught.clone(), Some(&off), &file(&["status", "course"])), taught);
        assert_eq!(lesson(off.clone(), Some(&taught), &file(&[])).status, LessonStatus::Cancelled);
        let merged = payment(due.clone(), Some(&paid), &file(&[]));
        assert_eq!((merged.status, merged.amount.to_string()), (PaymentStatus::Paid, "€150.00".into()));
        assert_eq!(payment(due.clone(), Some(&paid), &file(&["status", "currency"])), due);
    }
}
