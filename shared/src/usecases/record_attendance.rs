//! Somebody was present, late or absent: they are told at once (S0-04, S0-48).

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::lesson::Lesson;
use crate::domain::message::{Facts, Message, MessageId, Plan};
use crate::domain::reminder::Kind;
use crate::domain::tenant::TenantId;
use crate::store::messages;

/// Writes the message to `contact`; the same event again is the same message, a correction another.
pub async fn record_attendance(
    cx: &Context,
    tenant: &TenantId,
    lesson: &Lesson,
    contact: &str,
    status: &str,
    recorded_at: Timestamp,
    now: Timestamp,
) -> Result<MessageId, ContextError> {
    let plan = Plan {
        kind: Kind::Attendance,
        subject: &lesson.id,
        version: lesson.version,
        contact,
        offset: None,
        facts: Facts::Attendance { start: lesson.starts_at, status: status.to_string(), recorded_at },
    };
    let message = Message::planned(tenant, plan, now, now);
    let id = message.id.clone();
    messages::create(cx.table().await?, tenant, vec![message]).await?;
    Ok(id)
}
