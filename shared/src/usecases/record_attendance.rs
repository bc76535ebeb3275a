//! Somebody was present, late or absent: they are told at once (S0-04, S0-48).

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::lesson::Lesson;
use crate::domain::message::{Facts, Message, MessageId, Plan};
use crate::domain::reminder::Kind;
use crate::domain::tenant::TenantId;
use crate::store::messages;

/// What was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Attendance<'a> {
    pub contact: &'a str,
    /// As the school words it: Present, Late, Absent.
    pub status: &'a str,
    pub recorded_at: Timestamp,
    /// Of the request that records it, where that tells it from another record. Else its instant does.
    pub key: Option<&'a str>,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// This message tells of it.
    Told(MessageId),
    /// Something else was recorded under the key.
    KeyTaken,
}

/// Writes the message to the contact; the same record again is the same message, a correction another.
pub async fn record_attendance(
    cx: &Context,
    tenant: &TenantId,
    lesson: &Lesson,
    attendance: Attendance<'_>,
    now: Timestamp,
) -> Result<Recorded, ContextError> {
    let Attendance { contact, status, recorded_at, key } = attendance;
    let plan = Plan {
        kind: Kind::Attendance,
        subject: &lesson.id,
        version: lesson.version,
        contact,
        offset: None,
        facts: Facts::Attendance { start: lesson.starts_at, status: status.to_string(), recorded_at },
    };
    let mut message = Message::planned(tenant, plan, now, now);
    if let Some(key) = key {
        message.id = MessageId::derive(tenant, &["attendance", key]);
    }
    let id = message.id.clone();
    let table = cx.table().await?;
    messages::create(table, tenant, vec![message]).await?;
    if key.is_some() {
        let written = messages::get_many(table, tenant, std::slice::from_ref(&id)).await?.pop();
        if !written.is_some_and(|written| tells(&written, lesson, contact, status)) {
            return Ok(Recorded::KeyTaken);
        }
    }
    Ok(Recorded::Told(id))
}

fn tells(message: &Message, lesson: &Lesson, contact: &str, status: &str) -> bool {
    let is_same = matches!(&message.facts, Facts::Attendance { status: told, .. } if told == status);
    is_same && message.subject == lesson.id && message.contact.as_deref() == Some(contact)
}
