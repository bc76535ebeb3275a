//! What a school tells us: lessons moved, attendance taken, payments settled.
//!
//! The same JSON arrives as the `detail` of an EventBridge event (source `school`, detail-type the
//! event's name) and as a line of `events.jsonl`.

use serde::Deserialize;

/// Ids stand in the table's keys, which hold 1,024 bytes.
pub const LONGEST_ID: usize = 500;

/// Whether a text can be an id.
pub fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
}

/// One fact, by its detail-type.
#[derive(Clone, Debug, PartialEq)]
pub enum SchoolEvent {
    LessonCreated(LessonCreated),
    LessonMoved(LessonMoved),
    LessonCancelled(LessonCancelled),
    AttendanceRecorded(AttendanceRecorded),
    PaymentSettled(PaymentSettled),
}

/// Also replaces a known lesson.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LessonCreated {
    pub lesson: String,
    pub subject: String,
    pub teacher: String,
    /// Wall clock in the lesson's zone, or RFC 3339.
    pub starts_at: String,
    /// Contact ids or group names.
    pub students: Vec<String>,
    #[serde(default)]
    pub course: Option<String>,
    #[serde(default)]
    pub duration_minutes: Option<u32>,
    #[serde(default, alias = "timezone")]
    pub time_zone: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LessonMoved {
    pub lesson: String,
    pub starts_at: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LessonCancelled {
    pub lesson: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttendanceRecorded {
    pub lesson: String,
    pub contact: String,
    /// As the school words it: Present, Late, Absent.
    pub status: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSettled {
    pub payment: String,
}

/// An event that cannot be read; the sender must mend it, a retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("no event of this name is known")]
    UnknownName(String),
    /// The source quotes the detail: it is for whoever wrote that, and not for the log.
    #[error("the event's detail does not fit its name")]
    BadDetail(#[source] serde_path_to_error::Error<serde_json::Error>),
    #[error("an id is empty or longer than {LONGEST_ID} bytes")]
    BadId,
}

impl SchoolEvent {
    /// # Errors
    /// [`EventError`], when the name or the detail is none that we know.
    pub fn parse(name: &str, detail: &serde_json::Value) -> Result<Self, EventError> {
        let event = match name {
            "lesson.created" => Self::LessonCreated(read(detail)?),
            "lesson.moved" => Self::LessonMoved(read(detail)?),
            "lesson.cancelled" => Self::LessonCancelled(read(detail)?),
            "attendance.recorded" => Self::AttendanceRecorded(read(detail)?),
            "payment.settled" => Self::PaymentSettled(read(detail)?),
            _ => return Err(EventError::UnknownName(name.to_string())),
        };
        if event.ids().into_iter().all(is_id) { Ok(event) } else { Err(EventError::BadId) }
    }

    fn ids(&self) -> Vec<&str> {
        match self {
            Self::LessonCreated(event) => std::iter::once(&event.lesson).chain(&event.students).map(String::as_str).collect(),
            Self::LessonMoved(event) => vec![&event.lesson],
            Self::LessonCancelled(event) => vec![&event.lesson],
            Self::AttendanceRecorded(event) => vec![&event.lesson, &event.contact],
            Self::PaymentSettled(event) => vec![&event.payment],
        }
    }
}

fn read<'a, T: Deserialize<'a>>(detail: &'a serde_json::Value) -> Result<T, EventError> {
    serde_path_to_error::deserialize(detail).map_err(EventError::BadDetail)
}
