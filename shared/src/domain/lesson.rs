//! A lesson: what is taught, when, to whom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::local_time::Zone;

/// A lesson as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// The tenant's own id; a calendar's occurrence is `UID/20260309T150000`.
    pub id: String,
    pub subject: String,
    pub teacher: String,
    pub starts_at: Timestamp,
    /// The zone that wall-clock times of this lesson are read in.
    pub time_zone: Zone,
    pub students: Students,
    pub course: Option<String>,
    pub duration_minutes: Option<u32>,
    pub status: LessonStatus,
    /// Grows when the start changes, and when a cancelled lesson is scheduled again.
    #[serde(default = "first_version")]
    pub version: u32,
    /// When this lesson last changed, by the change's own time; an older event comes too late.
    #[serde(default)]
    pub changed_at: Timestamp,
}

/// Who attends: contacts, and groups whose members are looked up when it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Students {
    pub contacts: Vec<String>,
    pub groups: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LessonStatus {
    Scheduled,
    Cancelled,
}

impl LessonStatus {
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "scheduled" => Some(Self::Scheduled),
            "cancelled" | "canceled" => Some(Self::Cancelled),
            _ => None,
        }
    }
}

pub fn first_version() -> u32 {
    1
}
