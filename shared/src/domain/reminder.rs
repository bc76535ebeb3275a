//! Kinds of message, offsets, and when the reminders of a lesson or payment are due.

use std::fmt;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::contact::Category;
use super::lesson::{Lesson, LessonStatus};
use super::local_time::{self, Clock, Zone};
use super::payment::{Payment, PaymentStatus};

/// What a message is about. The words are the API's; they also order messages of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    LessonReminder,
    PaymentReminder,
    ScheduleChange,
    Attendance,
    /// What somebody wrote and asked to be sent.
    Message,
    /// Somebody tries whether messages arrive (S0-29..32).
    Test,
    /// What somebody wrote to us, or a call of theirs.
    Inbound,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::LessonReminder => "lesson_reminder",
            Kind::PaymentReminder => "payment_reminder",
            Kind::ScheduleChange => "schedule_change",
            Kind::Attendance => "attendance",
            Kind::Message => "message",
            Kind::Test => "test",
            Kind::Inbound => "inbound",
        }
    }

    pub fn category(self) -> Category {
        match self {
            Kind::LessonReminder => Category::Lessons,
            Kind::PaymentReminder => Category::Payments,
            Kind::ScheduleChange => Category::Schedule,
            Kind::Attendance => Category::Attendance,
            Kind::Message | Kind::Test | Kind::Inbound => Category::General,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How long before the lesson or due date a reminder goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Offset {
    /// Elapsed time.
    Hours(u16),
    /// Elapsed time.
    Minutes(u16),
    /// Calendar days at the same wall-clock time.
    Days(u16),
}

impl Offset {
    /// Nominal length, to tell which of several offsets is the shortest.
    pub fn minutes(self) -> u32 {
        match self {
            Offset::Minutes(n) => u32::from(n),
            Offset::Hours(n) => u32::from(n) * 60,
            Offset::Days(n) => u32::from(n) * 24 * 60,
        }
    }
}

impl TryFrom<String> for Offset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.len().checked_sub(1).and_then(|cut| text.split_at_checked(cut)).and_then(|(count, unit)| {
            let count: u16 = count.parse().ok().filter(|&n| n <= 1000)?;
            match unit {
                "m" => Some(Offset::Minutes(count)),
                "h" => Some(Offset::Hours(count)),
                "d" => Some(Offset::Days(count)),
                _ => None,
            }
        });
        parsed.ok_or_else(|| format!("not an offset (90m, 24h, 3d): '{text}'"))
    }
}

impl From<Offset> for String {
    fn from(offset: Offset) -> Self {
        offset.to_string()
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Offset::Minutes(n) => write!(f, "{n}m"),
            Offset::Hours(n) => write!(f, "{n}h"),
            Offset::Days(n) => write!(f, "{n}d"),
        }
    }
}

/// How far ahead a plan reaches (reminders.md §2.1).
pub const HORIZON: SignedDuration = SignedDuration::from_hours(48);

/// The reminders of `lesson` that are due in `[now, now + 48 h)`.
pub fn lesson_reminders(lesson: &Lesson, offsets: &[Offset], now: Timestamp) -> Vec<(Offset, Timestamp)> {
    match lesson.status {
        LessonStatus::Scheduled => within_horizon(offsets, now, |offset| lesson_due(lesson, offset)),
        LessonStatus::Cancelled => Vec::new(),
    }
}

/// The reminders of `payment` that are due in `[now, now + 48 h)`.
pub fn payment_reminders(
    payment: &Payment,
    offsets: &[Offset],
    at: Clock,
    zone: &Zone,
    now: Timestamp,
) -> Vec<(Offset, Timestamp)> {
    match payment.status {
        PaymentStatus::Due => within_horizon(offsets, now, |offset| payment_due(payment.due_date, offset, at, zone)),
        PaymentStatus::Paid | PaymentStatus::Void => Vec::new(),
    }
}

fn within_horizon(offsets: &[Offset], now: Timestamp, due: impl Fn(Offset) -> Option<Timestamp>) -> Vec<(Offset, Timestamp)> {
    offsets
        .iter()
        .filter_map(|&offset| Some((offset, due(offset)?)))
        .filter(|&(_, due)| now <= due && due < now + HORIZON)
        .collect()
}

fn lesson_due(lesson: &Lesson, offset: Offset) -> Option<Timestamp> {
    match offset {
        Offset::Minutes(_) | Offset::Hours(_) => {
            lesson.starts_at.checked_sub(SignedDuration::from_mins(i64::from(offset.minutes()))).ok()
        }
        Offset::Days(days) => local_time::days_before(&lesson.time_zone, lesson.starts_at, i32::from(days)),
    }
}

fn payment_due(due_date: Date, offset: Offset, at: Clock, zone: &Zone) -> Option<Timestamp> {
    let days = match offset {
        Offset::Days(days) => i32::from(days),
        Offset::Minutes(_) | Offset::Hours(_) => return None,
    };
    let day = due_date.checked_sub(jiff::ToSpan::days(days)).ok()?;
    Some(zone.instant(day.to_datetime(at.0)))
}
