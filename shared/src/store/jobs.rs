//! Jobs: work that one request asks for and that takes longer than a request may.
//!
//! A job is stored whole, with its rows, by one transaction. Until it is done it stands in the due index, where
//! the minute tick finds it; each step notes how far it got, so that a crash repeats one step and loses none.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::{self, Lane};
use super::rows;
use super::table::{Item, StoreError, Table, number};
use super::transaction::{Write, write_all_if, write_if};
use crate::domain::compose::FieldError;
use crate::domain::message::{derived, is_derived};
use crate::domain::tenant::TenantId;

/// What callers know a job by begins so.
pub const PREFIX: &str = "job_";

/// A job, without its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// `job_…`, derived.
    pub id: String,
    pub kind: JobKind,
    /// Of the request: another one under the same key is a conflict.
    pub fingerprint: String,
    pub created_at: Timestamp,
    pub created_by: Option<String>,
    pub stage: Stage,
    /// How much there is to do, and how much of it is done: rows, messages.
    pub total: u32,
    pub done: u32,
    /// Rows that were refused; what is wrong with them lies beside.
    pub refused: u32,
    pub chunks: u32,
    pub chunks_of_errors: u32,
    /// Where it goes on, and in the end what came of it: of the kind's own making. Sealed.
    pub state: serde_json::Value,
    /// When it goes on.
    pub due_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub revision: u32,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    ImportContacts,
    ImportLessons,
    ImportPayments,
    /// Everything of a contact goes, here and at Twilio.
    ForgetContact,
    /// Everything of a tenant goes.
    DeleteTenant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Working,
    Done,
}

/// What a step left of its job. It has set the job's counts and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more, at once.
    More,
    /// There is more, at this instant.
    Later(Timestamp),
    Done,
}

/// A job is kept this long once it is made, to be asked about.
const KEEP: SignedDuration = SignedDuration::from_hours(24 * 90);
const SEALED: &[&str] = &["state"];
const NEW: &str = "attribute_not_exists(pk)";

impl Job {
    /// A job that begins at once. `key` is the request's: the second try meets the first.
    pub fn new(tenant: &TenantId, kind: JobKind, key: &str, fingerprint: String, by: Option<String>, now: Timestamp) -> Self {
        Self {
            id: format!("{PREFIX}{}", derived(tenant, &["job", key])),
            kind,
            fingerprint,
            created_at: now,
            created_by: by,
            stage: Stage::Working,
            total: 0,
            done: 0,
            refused: 0,
            chunks: 0,
            chunks_of_errors: 0,
            state: serde_json::Value::Null,
            due_at: now,
            finished_at: None,
            revision: 1,
        }
    }

    /// Nothing is left to do.
    pub fn finish(&mut self, now: Timestamp) {
        self.stage = Stage::Done;
        self.finished_at = Some(now);
    }
}

/// What became of an attempt to store a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    New(Box<Job>),
    /// There is one of this id, perhaps of another request: see its fingerprint.
    Known(Box<Job>),
    /// More than one transaction holds.
    TooLarge,
}

/// Stores a job with its rows and what is wrong with others, or nothing.
pub async fn create<T: Serialize + Clone>(
    table: &Table,
    tenant: &TenantId,
    mut job: Job,
    list: &[T],
    errors: &[FieldError],
) -> Result<Created, StoreError> {
    let (list, errors) = (rows::chunks(list)?, rows::chunks(errors)?);
    let is_large = job.state.to_string().len() > rows::LARGEST_CHUNK;
    if is_large || list.size.saturating_add(errors.size) > rows::LARGEST {
        return Ok(Created::TooLarge);
    }
    job.chunks = list.chunks.len() as u32;
    job.chunks_of_errors = errors.chunks.len() as u32;
    let expires = job.created_at + KEEP;
    let mut writes = vec![Write::put(table, item(table, tenant, &job)?, NEW, HashMap::new())?];
    writes.extend(rows::writes(table, &list, |chunk| keys::job_rows(tenant, &job.id, chunk), expires)?);
    writes.extend(rows::writes(table, &errors, |chunk| keys::job_errors(tenant, &job.id, chunk), expires)?);
    if write_all_if(table, writes).await? {
        return Ok(Created::New(Box::new(job)));
    }
    let known = get(table, tenant, &job.id).await?;
    Ok(known.map_or(Created::TooLarge, |known| Created::Known(Box::new(known))))
}

/// A job, if `id` is one.
pub async fn get(table: &Table, tenant: &TenantId, id: &str) -> Result<Option<Job>, StoreError> {
    if !is_derived(id, PREFIX) {
        return Ok(None);
    }
    table.get(&keys::job(tenant, id)).await?.map(|item| job(table, item)).transpose()
}

/// The rows of one chunk of a job.
pub async fn rows<T: DeserializeOwned>(table: &Table, tenant: &TenantId, id: &str, chunk: u32) -> Result<Vec<T>, StoreError> {
    rows::read(table, &keys::job_rows(tenant, id, chunk)).await
}

/// What is wrong with the rows that were refused, in the order of the rows.
pub async fn errors(table: &Table, tenant: &TenantId, job: &Job) -> Result<Vec<FieldError>, StoreError> {
    let keys = (0..job.chunks_of_errors).map(|chunk| keys::job_errors(tenant, &job.id, chunk)).collect();
    let mut errors: Vec<FieldError> = rows::read_many(table, keys).await?;
    errors.sort_by_key(|error| error.row);
    Ok(errors)
}

/// Takes the rows of a job away: they are personal, and done with.
pub async fn drop_rows(table: &Table, tenant: &TenantId, job: &Job) -> Result<(), StoreError> {
    table.delete_many((0..job.chunks).map(|chunk| keys::job_rows(tenant, &job.id, chunk)).collect()).await
}

/// Writes the next state of a job that was read at its present revision. Whether that was still so.
pub async fn update(table: &Table, tenant: &TenantId, job: &mut Job) -> Result<bool, StoreError> {
    let seen = HashMap::from([(":seen".to_string(), number(job.revision))]);
    job.revision += 1;
    write_if(table, Write::put(table, item(table, tenant, job)?, "revision = :seen", seen)?).await
}

fn item(table: &Table, tenant: &TenantId, job: &Job) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::job(tenant, &job.id), job, SEALED)?;
    item.insert("expires".into(), number((job.created_at + KEEP).as_second()));
    table.place(&mut item, keys::TIME, keys::jobs(tenant), keys::instant_and(job.created_at, &job.id));
    if job.stage == Stage::Working {
        let (shard, entry) = keys::due_entry(tenant, &job.id, job.due_at, Lane::First);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    Ok(item)
}

pub(super) fn job(table: &Table, mut item: Item) -> Result<Job, StoreError> {
    // What the table leaves out says null.
    item.entry("state".into()).or_insert(aws_sdk_dynamodb::types::AttributeValue::Null(true));
    table.value(item, SEALED)
}
