//! `/contacts/import`, `/lessons/import`, `/payments/import`: a file as the request's body becomes a job.
//!
//! The file is read at once, in any encoding; what is wrong with its rows is told by line, and stops no other row. A
//! file of a few hundred rows is saved when the answer comes; of a larger one the minute tick saves the rest.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::access::Caller;
use super::arrival::Arrival;
use super::jobs::{JobView, view};
use super::problem::{Problem, Refusals};
use super::request::IdempotencyKey;
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::tenant::TenantId;
use crate::files::{self, FileError, Report, Roster};
use crate::store::contacts;
use crate::store::jobs::{self, Created, Job, JobKind};
use crate::telemetry::Chain;
use crate::usecases::import::begin;
use crate::usecases::work_job::work_job;

/// Lambda takes no more than 6 MB, and bytes that are no text grow by a third on their way.
const LARGEST: usize = 3 * 1024 * 1024;
/// So many errors are kept, and shown by the answer to the file itself.
const MOST_ERRORS: usize = 1_000;
const SHOWN: usize = 100;
/// Of a calendar's series, the occurrences that start in so much time before and after now become lessons.
const BEHIND: SignedDuration = SignedDuration::from_hours(24);
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 90);

/// A file as it came.
pub struct Upload {
    content_type: String,
    bytes: Bytes,
}

impl FromRequest<Arc<Context>> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Context>) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let too_large = || Problem::too_large(format!("a file has at most {LARGEST} bytes: send it in parts"));
        let bytes = axum::body::to_bytes(request.into_body(), LARGEST).await.map_err(|_| too_large())?;
        let is_wrapped = ["multipart/", "application/json", "application/x-www-form-urlencoded"];
        if is_wrapped.iter().any(|wrapped| content_type.starts_with(wrapped)) {
            let reason = "the file itself is the body, as text/csv or text/calendar";
            return Err(Problem::field("Content-Type", "invalid", reason));
        }
        // Every Office file is a ZIP.
        if bytes.starts_with(b"PK\x03\x04") {
            return Err(Problem::field("", "invalid", "an Excel file: save it as CSV UTF-8 and send that"));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(Problem::field("", "required", "the file is empty"));
        }
        Ok(Self { content_type, bytes })
    }
}

impl Upload {
    /// Whether it says so, or looks so: many programs call every file `application/octet-stream`.
    fn is_calendar(&self) -> bool {
        self.content_type.starts_with("text/calendar") || files::is_calendar(&self.bytes)
    }

    /// # Errors
    /// 422, for a calendar where there are none.
    fn require_table(&self) -> Result<(), Problem> {
        if self.is_calendar() {
            return Err(Problem::field("", "invalid", "a calendar: POST it to /lessons/import"));
        }
        Ok(())
    }
}

type Answer = (StatusCode, Json<JobView>);

/// Import contacts: CSV with the columns id, name, phone. Takes the role `staff` or `admin`.
///
/// A row replaces the contact of its id, but a column that the file lacks changes nothing. A file never lifts an
/// opt-out: record an opt-in for that. Columns besides: whatsapp, email, channel, timezone, groups, quiet_hours,
/// opted_out, opted_out_categories; any other becomes an attribute. A number that cannot be used is told, and
/// kept with its contact: nothing is sent to it. Whoever was forgotten since the file came is left out. Bytes that are
/// not UTF-8 come as `application/octet-stream`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/contacts/import", operation_id = "import_contacts", tag = "contacts",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key imports once")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 202, description = "A job: how far it is, and the first 100 errors", body = JobView), Refusals)
)]
pub async fn contacts(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    upload: Upload,
) -> Result<Answer, Problem> {
    caller.require_staff()?;
    upload.require_table()?;
    let job = asked(&caller, &key, JobKind::ImportContacts, &upload, now);
    if let Some(known) = known(&cx, &caller.tenant, &job).await? {
        return Ok(known);
    }
    let settings = cx.settings(&caller.tenant, now).await?;
    let mut report = Report::default();
    let read = files::contacts_and_columns("contacts.csv", &upload.bytes, &settings, &mut report);
    let (rows, columns) = read.map_err(refused)?;
    import(&cx, &caller.tenant, job, &rows, columns, report, now).await
}

/// Import lessons: CSV with the columns id, subject, teacher, starts_at, students; or an iCalendar feed.
/// Takes the role `staff` or `admin`.
///
/// Of a calendar's series, the occurrences from a day ago to 90 days ahead become lessons: send it again before they
/// are over. A column that the file lacks changes nothing, and a lesson that was cancelled takes place again only by a
/// column `status` that says so. Columns besides: course, duration_minutes, timezone. Reminders are planned anew;
/// students are not told of changes.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/lessons/import", operation_id = "import_lessons", tag = "lessons",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key imports once")),
    request_body(content((String = "text/csv"), (String = "text/calendar"))),
    responses((status = 202, description = "A job: how far it is, and the first 100 errors", body = JobView), Refusals)
)]
pub async fn lessons(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    upload: Upload,
) -> Result<Answer, Problem> {
    caller.require_staff()?;
    let job = asked(&caller, &key, JobKind::ImportLessons, &upload, now);
    if let Some(known) = known(&cx, &caller.tenant, &job).await? {
        return Ok(known);
    }
    let settings = cx.settings(&caller.tenant, now).await?;
    let roster = Roster::new(&contacts::all(cx.table().await?, &caller.tenant).await?);
    let mut report = Report::default();
    let (rows, columns) = if upload.is_calendar() {
        let window = now - BEHIND..now + AHEAD;
        let read = files::calendar("lessons.ics", &upload.bytes, &settings, &roster, &[], &window, &mut report);
        // A calendar knows how long a lesson is, and not what course it is of. That it does not take place it says;
        // that it does is no news.
        (read.map_err(refused)?, BTreeSet::from(["durationminutes".to_string()]))
    } else {
        let read = files::lessons_and_columns("lessons.csv", &upload.bytes, &settings, &roster, &mut report);
        read.map_err(refused)?
    };
    import(&cx, &caller.tenant, job, &rows, columns, report, now).await
}

/// Import payments: CSV with the columns id, student, amount, due_date. Takes the role `staff` or `admin`.
///
/// A column that the file lacks changes nothing: what was settled meanwhile is due again only by a column `status` that
/// says so. Columns besides: currency, course. Reminders are planned anew.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/payments/import", operation_id = "import_payments", tag = "payments",
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key imports once")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 202, description = "A job: how far it is, and the first 100 errors", body = JobView), Refusals)
)]
pub async fn payments(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    key: IdempotencyKey,
    upload: Upload,
) -> Result<Answer, Problem> {
    caller.require_staff()?;
    upload.require_table()?;
    let job = asked(&caller, &key, JobKind::ImportPayments, &upload, now);
    if let Some(known) = known(&cx, &caller.tenant, &job).await? {
        return Ok(known);
    }
    let settings = cx.settings(&caller.tenant, now).await?;
    let roster = Roster::new(&contacts::all(cx.table().await?, &caller.tenant).await?);
    let mut report = Report::default();
    let read = files::payments_and_columns("payments.csv", &upload.bytes, &settings, &roster, &mut report);
    let (rows, columns) = read.map_err(refused)?;
    import(&cx, &caller.tenant, job, &rows, columns, report, now).await
}

/// The job that a request asks for.
fn asked(caller: &Caller, key: &IdempotencyKey, kind: JobKind, upload: &Upload, now: Timestamp) -> Job {
    let digest = ring::digest::digest(&ring::digest::SHA256, &upload.bytes);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Job::new(&caller.tenant, kind, &key.0, format!("{kind:?} {digest}"), caller.subject.clone(), now)
}

/// What became of the same request before, if it came before.
///
/// # Errors
/// 409, if another came under the key.
async fn known(cx: &Context, tenant: &TenantId, job: &Job) -> Result<Option<Answer>, Problem> {
    match jobs::get(cx.table().await?, tenant, &job.id).await? {
        Some(known) if known.fingerprint == job.fingerprint => Ok(Some(answer(cx, tenant, known).await?)),
        Some(_) => Err(taken()),
        None => Ok(None),
    }
}

fn taken() -> Problem {
    Problem::conflict("key_taken", "this Idempotency-Key stands for another request; take a new one")
}

/// Stores the job with its rows, and begins.
async fn import<T: Serialize + Clone>(
    cx: &Context,
    tenant: &TenantId,
    mut job: Job,
    rows: &[T],
    columns: BTreeSet<String>,
    report: Report,
    now: Timestamp,
) -> Result<Answer, Problem> {
    job.total = rows.len() as u32;
    job.refused = report.refused;
    job.state = begin(columns);
    let (id, fingerprint) = (job.id.clone(), job.fingerprint.clone());
    let table = cx.table().await?;
    match jobs::create(table, tenant, job, rows, &errors(report)).await? {
        Created::TooLarge => {
            return Err(Problem::too_large(format!("{} rows are more than one import takes: send them in parts", rows.len())));
        }
        Created::Known(known) if known.fingerprint != fingerprint => return Err(taken()),
        Created::Known(_) => {}
        Created::New(job) => {
            // It is stored: whatever happens now, it is finished.
            if let Err(error) = Box::pin(work_job(cx, tenant, *job, now)).await {
                tracing::error!(%tenant, error = %Chain(&error), "an import did not begin at once: the minute tick goes on");
            }
        }
    }
    let job = jobs::get(table, tenant, &id).await?.ok_or_else(|| Problem::not_found("the job is gone"))?;
    answer(cx, tenant, job).await
}

async fn answer(cx: &Context, tenant: &TenantId, job: Job) -> Result<Answer, Problem> {
    let mut errors = jobs::errors(cx.table().await?, tenant, &job).await?;
    errors.truncate(SHOWN);
    Ok((StatusCode::ACCEPTED, Json(view(job, errors))))
}

/// What is wrong with the rows, by line in the place of the row.
fn errors(report: Report) -> Vec<FieldError> {
    let code = |refused| if refused { "refused" } else { "kept" };
    let bad = report.bad.into_iter().map(|bad| FieldError {
        row: u32::try_from(bad.line).ok(),
        ..FieldError::new(bad.column, code(bad.refused), bad.reason)
    });
    let notes = report.notes.into_iter().map(|note| FieldError::new(note.uid, "note", note.reason));
    bad.chain(notes).take(MOST_ERRORS).collect()
}

/// A file that is refused whole.
fn refused(error: FileError) -> Problem {
    match error {
        FileError::MissingColumns { columns, .. } => {
            let missing = |column: String| FieldError::new(column, "required", "the file's header has no such column");
            Problem::fields(columns.into_iter().map(missing).collect())
        }
        FileError::NotACalendar { .. } => Problem::field("", "invalid", "not an iCalendar file: there is no BEGIN:VCALENDAR"),
        FileError::BadSettings { reason, .. } => Problem::field("", "invalid", reason),
    }
}
