//! `/lessons`: what is taught, when, to whom; saved, moved, cancelled, attended (S0-02, S0-04, S0-05, S0-64).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing;
use super::problem::{Problem, Refusals};
use super::records::{self, PlannedReminder, Row, Wrong};
use super::request::{IdempotencyKey, Input};
use crate::context::Context;
use crate::domain::compose::FieldError;
use crate::domain::lesson::{Lesson, LessonStatus, Students, first_version};
use crate::domain::local_time::{Zone, parse_start};
use crate::domain::message::MessageId;
use crate::domain::tenant::{Settings, TenantId};
use crate::files::Roster;
use crate::store::keys::Subject;
use crate::store::lessons::Seen;
use crate::store::{contacts, lessons};
use crate::usecases::cancel_lesson::cancel_lesson;
use crate::usecases::find_students::find_students;
use crate::usecases::hint_due::hint_due;
use crate::usecases::move_lesson::move_lesson;
use crate::usecases::record_attendance::{Attendance, Recorded, record_attendance};
use crate::usecases::save_lessons::save_seen_lessons;

/// Without `to`, a listing ends so long after its beginning.
const SPAN: SignedDuration = SignedDuration::from_hours(24 * 31);
/// When a lesson may start: 1970 to 2200. Anything else is a slip of the pen.
const LAST_START: Timestamp = Timestamp::constant(7_258_118_400, 0);
const MOST_STUDENTS: usize = 1_000;
const LONGEST_LESSON: u32 = 100_000;
/// Others may change a lesson between our looks so often.
const TRIES: u32 = 8;
/// Of an attendance's status, in characters.
const LONGEST_STATUS: usize = 64;

/// Which lessons. Without `from`: those that start from now on; without `to`: the 31 days after.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LessonFilter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// One lesson, or up to 500.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LessonsRequest {
    Many(LessonList),
    #[schema(value_type = LessonRequest)]
    One(Value),
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LessonList {
    #[schema(value_type = Vec<LessonRequest>)]
    pub lessons: Vec<Value>,
}

/// A lesson as it is to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LessonRequest {
    /// The tenant's own. Where the path names it, it may be left out.
    pub id: Option<String>,
    pub subject: String,
    pub teacher: String,
    /// The wall clock in the lesson's zone, `2026-03-09T15:00`, or an instant: `2026-03-09T19:00:00Z`.
    pub starts_at: String,
    /// `America/New_York`. When absent: as it is; the tenant's, of a new lesson.
    pub time_zone: Option<String>,
    pub students: StudentsRequest,
    pub course: Option<String>,
    pub duration_minutes: Option<u32>,
    /// `scheduled` or `cancelled`. When absent: as it is; scheduled, of a new lesson.
    pub status: Option<String>,
}

/// Who attends: contact ids and group names in one list, or apart from each other.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a list of contact ids and group names, or an object with contacts and groups")]
pub enum StudentsRequest {
    Names(Vec<String>),
    Apart(StudentLists),
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StudentLists {
    pub contacts: Option<Vec<String>>,
    pub groups: Option<Vec<String>>,
}

/// Another start.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveRequest {
    /// The wall clock in the lesson's zone, or an instant.
    pub starts_at: String,
}

/// Who was there, or not.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttendanceRequest {
    pub contact_id: String,
    /// As the school words it: Present, Late, Absent.
    pub status: String,
    /// When it was taken: the same again is told once. Without it the `Idempotency-Key` tells one record from another.
    pub recorded_at: Option<Timestamp>,
}

/// A lesson as callers see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LessonView {
    id: String,
    subject: String,
    teacher: String,
    starts_at: Timestamp,
    /// The same on the wall clock of its zone: `2026-03-09T15:00:00`.
    starts_at_local: String,
    #[schema(value_type = String)]
    time_zone: Zone,
    students: StudentsView,
    course: Option<String>,
    duration_minutes: Option<u32>,
    /// `scheduled` or `cancelled`.
    #[schema(value_type = String)]
    status: LessonStatus,
    /// Grows with the start, and when a cancelled lesson comes back; reminders are of one version.
    version: u32,
    changed_at: Timestamp,
    /// The reminders that wait. What was planned in the last moments may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<Vec<PlannedReminder>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StudentsView {
    contacts: Vec<String>,
    groups: Vec<String>,
}

/// A page of lessons, by start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LessonPage {
    items: Vec<LessonView>,
    next_cursor: Option<String>,
}

/// What was saved, in the order in which it was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct SavedLessons {
    lessons: Vec<LessonView>,
}

/// A lesson, and the messages that tell of what happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct LessonTold {
    lesson: LessonView,
    /// Ids: how far each is, says `GET /messages/{id}`.
    #[schema(value_type = Vec<String>)]
    messages: Vec<MessageId>,
}

/// The lessons of a span, by start.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/lessons", operation_id = "list_lessons", tag = "lessons",
    params(("tenant" = String, Path), LessonFilter),
    responses((status = 200, description = "As asked", body = LessonPage), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<LessonFilter>, QueryRejection>,
) -> Result<Json<LessonPage>, Problem> {
    let Query(filter) = filter.map_err(listing::bad_query)?;
    let limit = listing::limit(filter.limit)?;
    let after = records::entry(filter.cursor.as_deref())?;
    let begin = filter.from.unwrap_or(now);
    let to = filter.to.unwrap_or_else(|| begin.checked_add(SPAN).unwrap_or(Timestamp::MAX));
    // The page before may have begun at an earlier now.
    let reached: Option<Timestamp> = after.as_deref().and_then(|entry| entry.split('#').next()?.parse().ok());
    let from = filter.from.unwrap_or_else(|| reached.map_or(begin, |reached| reached.min(begin)));
    if to < from {
        return Err(Problem::field("to", "invalid", "not before from"));
    }
    let page = lessons::page(cx.table().await?, &caller.tenant, (from, to), after.as_deref(), limit).await?;
    let (lessons, next) = page.ok_or_else(listing::foreign)?;
    Ok(Json(LessonPage { items: lessons.into_iter().map(LessonView::of).collect(), next_cursor: next.map(listing::cursor) }))
}

/// Create or replace lessons: all of them, or none if anything is wrong with one. Takes the role `staff` or `admin`.
///
/// Reminders are planned anew at once. Students are not told of a change: `/move` and `/cancel` do that.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/lessons", operation_id = "save_lessons", tag = "lessons",
    params(("tenant" = String, Path)), request_body = LessonsRequest,
    responses((status = 200, description = "As they are now", body = SavedLessons), Refusals)
)]
pub async fn save(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<LessonsRequest>,
) -> Result<Json<SavedLessons>, Problem> {
    caller.require_staff()?;
    let rows = match asked {
        LessonsRequest::Many(list) => records::numbered(list.lessons)?,
        LessonsRequest::One(lesson) => vec![(None, lesson)],
    };
    let mut wrong = Wrong::default();
    let asked = wrong.read(rows);
    let saved = save_all(&cx, &caller.tenant, asked, wrong, now).await?;
    Ok(Json(SavedLessons { lessons: saved.into_iter().map(LessonView::of).collect() }))
}

/// One lesson, with the reminders that are planned. A `/` of its id is encoded twice in the path: `%252F`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/lessons/{id}", operation_id = "get_lesson", tag = "lessons",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "As asked", body = LessonView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<LessonView>, Problem> {
    let lesson = found(&cx, &caller.tenant, &id).await?;
    with_planned(&cx, &caller.tenant, lesson).await.map(Json)
}

/// Create or replace a lesson. Takes the role `staff` or `admin`. Students are not told: see `/move` and `/cancel`.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/lessons/{id}", operation_id = "put_lesson", tag = "lessons",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = LessonRequest,
    responses((status = 200, description = "As it is now", body = LessonView), Refusals)
)]
pub async fn put(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Input(mut asked): Input<LessonRequest>,
) -> Result<Json<LessonView>, Problem> {
    caller.require_staff()?;
    asked.id = Some(records::only_id(&id, asked.id.as_deref())?);
    let mut saved = save_all(&cx, &caller.tenant, vec![(None, asked)], Wrong::default(), now).await?;
    let lesson = saved.pop().ok_or_else(missing)?;
    with_planned(&cx, &caller.tenant, lesson).await.map(Json)
}

/// Give a lesson another start: its students are told at once (S0-05, S0-49), its reminders planned anew.
/// Takes the role `staff` or `admin`.
///
/// A lesson that is cancelled is not moved: 409 `cancelled`. One that has not begun is not moved to what is over:
/// 422 `past`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/lessons/{id}/move", operation_id = "move_lesson", tag = "lessons",
    params(("tenant" = String, Path), ("id" = String, Path)), request_body = MoveRequest,
    responses((status = 202, description = "Moved; the messages go now", body = LessonTold), Refusals)
)]
pub async fn move_to(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    Input(asked): Input<MoveRequest>,
) -> Result<(StatusCode, Json<LessonTold>), Problem> {
    caller.require_staff()?;
    let lesson = found(&cx, &caller.tenant, &id).await?;
    let mut errors = Vec::new();
    let Some(to) = start(&asked.starts_at, &lesson.time_zone, &mut errors) else { return Err(Problem::fields(errors)) };
    if lesson.status == LessonStatus::Cancelled {
        let detail = "this lesson is cancelled: PUT it with its new start and the status scheduled, if it takes place after all";
        return Err(Problem::conflict("cancelled", detail));
    }
    // Of one that has begun the start may be set right.
    if to < now && lesson.starts_at > now {
        let reason = "this is over: nobody can come then any more; PUT the lesson to change its start without telling anybody";
        return Err(Problem::field("startsAt", "past", reason));
    }
    let lesson = Lesson { changed_at: now, ..lesson };
    let id = lesson.id.clone();
    let told = Box::pin(move_lesson(&cx, &caller.tenant, lesson, to, now)).await?;
    let (status, Json(told)) = going(&cx, &caller.tenant, &id, told).await?;
    if told.messages.is_empty() && told.lesson.starts_at != to {
        return Err(changed());
    }
    Ok((status, Json(told)))
}

/// Cancel a lesson: its students are told at once, its reminders canceled. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/lessons/{id}/cancel", operation_id = "cancel_lesson", tag = "lessons",
    params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 202, description = "Cancelled; the messages go now", body = LessonTold), Refusals)
)]
pub async fn cancel(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<LessonTold>), Problem> {
    caller.require_staff()?;
    let lesson = Lesson { changed_at: now, ..found(&cx, &caller.tenant, &id).await? };
    let id = lesson.id.clone();
    let told = Box::pin(cancel_lesson(&cx, &caller.tenant, lesson, now)).await?;
    let (status, Json(told)) = going(&cx, &caller.tenant, &id, told).await?;
    if told.messages.is_empty() && told.lesson.status != LessonStatus::Cancelled {
        return Err(changed());
    }
    Ok((status, Json(told)))
}

/// Record who attended: they are told at once (S0-04, S0-48). Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/lessons/{id}/attendance", operation_id = "record_attendance", tag = "lessons",
    params(
        ("tenant" = String, Path), ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is told once, where there is no recordedAt")
    ),
    request_body = AttendanceRequest,
    responses((status = 202, description = "Recorded; the message goes now", body = LessonTold), Refusals)
)]
pub async fn attendance(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, id)): Path<(String, String)>,
    key: IdempotencyKey,
    Input(asked): Input<AttendanceRequest>,
) -> Result<(StatusCode, Json<LessonTold>), Problem> {
    caller.require_staff()?;
    let lesson = found(&cx, &caller.tenant, &id).await?;
    let mut errors = Vec::new();
    let contact = asked.contact_id.as_str();
    if contacts::get_many(cx.table().await?, &caller.tenant, &[contact]).await?.is_empty() {
        errors.push(FieldError::new("contactId", "unknown_contact", "there is no such contact"));
    }
    let status = asked.status.trim();
    if status.is_empty() {
        errors.push(FieldError::new("status", "required", "as your school words it: Present, Late, Absent"));
    } else if status.chars().count() > LONGEST_STATUS {
        errors.push(FieldError::new("status", "too_long", format!("at most {LONGEST_STATUS} characters")));
    }
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    let recorded_at = asked.recorded_at.unwrap_or(now);
    let key = asked.recorded_at.is_none().then_some(key.0.as_str());
    let attendance = Attendance { contact, status, recorded_at, key };
    match record_attendance(&cx, &caller.tenant, &lesson, attendance, now).await? {
        Recorded::Told(message) => going(&cx, &caller.tenant, &lesson.id, vec![message]).await,
        Recorded::KeyTaken => {
            Err(Problem::conflict("key_taken", "this Idempotency-Key stands for another record; take a new one"))
        }
    }
}

impl LessonView {
    fn of(lesson: Lesson) -> Self {
        let Students { contacts, groups } = lesson.students;
        Self {
            starts_at_local: lesson.time_zone.wall(lesson.starts_at).to_string(),
            id: lesson.id,
            subject: lesson.subject,
            teacher: lesson.teacher,
            starts_at: lesson.starts_at,
            time_zone: lesson.time_zone,
            students: StudentsView { contacts, groups },
            course: lesson.course,
            duration_minutes: lesson.duration_minutes,
            status: lesson.status,
            version: lesson.version,
            changed_at: lesson.changed_at,
            planned: None,
        }
    }
}

fn missing() -> Problem {
    Problem::not_found("there is no such lesson; a / of its id is encoded twice in the path: %252F")
}

async fn found(cx: &Context, tenant: &TenantId, id: &str) -> Result<Lesson, Problem> {
    // What is too long for a key is nobody's.
    let id = records::path_id(id);
    let known = lessons::get_many(cx.table().await?, tenant, &[&id]).await?;
    known.into_values().next().ok_or_else(missing)
}

async fn with_planned(cx: &Context, tenant: &TenantId, lesson: Lesson) -> Result<LessonView, Problem> {
    let planned = records::planned(cx, tenant, Subject::Lesson(&lesson.id)).await?;
    Ok(LessonView { planned: Some(planned), ..LessonView::of(lesson) })
}

/// The answer to what tells somebody: the lesson as it is now, and the messages, which go at once.
async fn going(
    cx: &Context,
    tenant: &TenantId,
    id: &str,
    messages: Vec<MessageId>,
) -> Result<(StatusCode, Json<LessonTold>), Problem> {
    hint_due(cx, tenant, &messages).await;
    let lesson = lessons::get(cx.table().await?, tenant, id).await?.ok_or_else(missing)?;
    let lesson = with_planned(cx, tenant, lesson).await?;
    Ok((StatusCode::ACCEPTED, Json(LessonTold { lesson, messages })))
}

/// Saves all of `asked`, or nothing if anything is wrong. The lessons as they are then, in the same order.
async fn save_all(
    cx: &Context,
    tenant: &TenantId,
    asked: Vec<Row<LessonRequest>>,
    wrong: Wrong,
    now: Timestamp,
) -> Result<Vec<Lesson>, Problem> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let ids: Vec<&str> = asked.iter().filter_map(|(_, asked)| asked.id.as_deref()).map(str::trim).collect();
    let (names, groups) = everybody(&asked);
    let roster = find_students(cx, tenant, &names, &groups).await?;
    let mut known = lessons::seen(table, tenant, &ids).await?;
    let mut lessons_now = read_all(&asked, &settings, &roster, &known, wrong, now)?;
    for _ in 0..TRIES {
        if Box::pin(save_seen_lessons(cx, tenant, lessons_now, &known, now)).await?.is_empty() {
            let mut saved = lessons::get_many(table, tenant, &ids).await?;
            return Ok(ids.iter().filter_map(|id| saved.remove(*id)).collect());
        }
        // Somebody was faster: what is not named here is now as they have it.
        known = lessons::seen(table, tenant, &ids).await?;
        lessons_now = read_all(&asked, &settings, &roster, &known, Wrong::default(), now)?;
    }
    Err(changed())
}

/// The lessons that are `asked` for, in the place of those that are `known`; or everything that is wrong.
fn read_all(
    asked: &[Row<LessonRequest>],
    settings: &Settings,
    roster: &Roster,
    known: &HashMap<String, Seen<Lesson>>,
    mut wrong: Wrong,
    now: Timestamp,
) -> Result<Vec<Lesson>, Problem> {
    let mut seen = HashSet::new();
    let mut lessons_now = Vec::with_capacity(asked.len());
    for (row, asked) in asked {
        let before = asked.id.as_deref().and_then(|id| known.get(id.trim())).map(|known| &known.value);
        match asked.clone().lesson(settings, roster, before, now) {
            Ok(lesson) => {
                wrong.once(&mut seen, *row, &lesson.id);
                lessons_now.push(lesson);
            }
            Err(errors) => wrong.add(*row, errors),
        }
    }
    wrong.refuse()?;
    Ok(lessons_now)
}

fn changed() -> Problem {
    Problem::conflict("changed", "somebody else has changed the lesson meanwhile: read it again, and change that")
}

/// Every name that some lessons give, and those that are given as groups.
fn everybody(asked: &[Row<LessonRequest>]) -> (Vec<&str>, Vec<&str>) {
    let (mut names, mut groups) = (Vec::new(), Vec::new());
    for (_, lesson) in asked {
        match &lesson.students {
            StudentsRequest::Names(all) => names.extend(all.iter().map(String::as_str)),
            StudentsRequest::Apart(lists) => {
                names.extend(lists.contacts.iter().flatten().map(String::as_str));
                groups.extend(lists.groups.iter().flatten().map(String::as_str));
            }
        }
    }
    (names, groups)
}

impl LessonRequest {
    /// The lesson in the place of `before`; or everything that is wrong with it.
    fn lesson(
        self,
        settings: &Settings,
        roster: &Roster,
        before: Option<&Lesson>,
        now: Timestamp,
    ) -> Result<Lesson, Vec<FieldError>> {
        let mut errors = Vec::new();
        let id = records::id(self.id.as_deref(), &mut errors);
        let subject = records::required("subject", &self.subject, &mut errors);
        let teacher = records::required("teacher", &self.teacher, &mut errors);
        let usual = before.map_or(&settings.time_zone, |before| &before.time_zone);
        let time_zone = zone(self.time_zone.as_deref(), usual, &mut errors);
        let starts_at = start(&self.starts_at, &time_zone, &mut errors);
        let students = attending(self.students, roster, &mut errors);
        let course = records::optional("course", self.course.as_deref(), &mut errors);
        if self.duration_minutes.is_some_and(|minutes| !(1..=LONGEST_LESSON).contains(&minutes)) {
            errors.push(FieldError::new("durationMinutes", "invalid", format!("1 to {LONGEST_LESSON}")));
        }
        let status = match self.status.as_deref() {
            None => Some(before.map_or(LessonStatus::Scheduled, |before| before.status)),
            Some(word) => LessonStatus::parse(word.trim()),
        };
        if status.is_none() {
            errors.push(FieldError::new("status", "invalid", "scheduled or cancelled"));
        }
        let (Some(id), Some(subject), Some(teacher), Some(starts_at), Some(status), true) =
            (id, subject, teacher, starts_at, status, errors.is_empty())
        else {
            return Err(errors);
        };
        Ok(Lesson {
            id,
            subject,
            teacher,
            starts_at,
            time_zone,
            students,
            course,
            duration_minutes: self.duration_minutes,
            status,
            version: first_version(),
            changed_at: now,
        })
    }
}

fn zone(name: Option<&str>, usual: &Zone, errors: &mut Vec<FieldError>) -> Zone {
    let read = name.map(Zone::parse).transpose().map_err(|reason| FieldError::new("timeZone", "invalid", reason));
    match read {
        Ok(zone) => zone.unwrap_or_else(|| usual.clone()),
        Err(error) => {
            errors.push(error);
            usual.clone()
        }
    }
}

fn start(text: &str, zone: &Zone, errors: &mut Vec<FieldError>) -> Option<Timestamp> {
    let start = parse_start(text, zone).filter(|start| (Timestamp::UNIX_EPOCH..LAST_START).contains(start));
    if start.is_none() {
        let reason = "the wall clock in the lesson's zone, 2026-03-09T15:00, or an instant: 2026-03-09T19:00:00Z";
        errors.push(FieldError::new("startsAt", "invalid", reason));
    }
    start
}

fn attending(given: StudentsRequest, roster: &Roster, errors: &mut Vec<FieldError>) -> Students {
    let (students, unknown) = match given {
        StudentsRequest::Names(names) => {
            let (students, unknown) = roster.students(names.iter().map(String::as_str));
            (students, unknown.into_iter().map(str::to_string).collect())
        }
        StudentsRequest::Apart(lists) => {
            let (contacts, mut unknown) = apart(lists.contacts, |id| roster.is_contact(id));
            let (groups, no_groups) = apart(lists.groups, |name| roster.is_group(name));
            unknown.extend(no_groups);
            (Students { contacts, groups }, unknown)
        }
    };
    for name in unknown {
        let shown: String = name.chars().take(60).collect();
        errors.push(FieldError::new("students", "unknown_student", format!("no contact or group '{shown}'")));
    }
    if students.contacts.len() + students.groups.len() > MOST_STUDENTS {
        errors.push(FieldError::new("students", "too_many", format!("at most {MOST_STUDENTS}: make a group of them")));
    }
    students
}

/// The names that are known, each once, and the others.
fn apart(names: Option<Vec<String>>, is_known: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    let mut seen = HashSet::new();
    let each_once = names.unwrap_or_default().into_iter().filter(|name| seen.insert(name.clone()));
    each_once.partition(|name| is_known(name))
}
