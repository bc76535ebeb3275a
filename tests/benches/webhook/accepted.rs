//! Messages that Twilio has taken, for it to tell of.

use jiff::Timestamp;
use shared::domain::channel::Channel;
use shared::domain::message::{Facts, Message, MessageId, Status, Step};
use shared::domain::money::Micros;
use shared::domain::phone::PhoneNumber;
use shared::domain::reminder::Kind;
use shared::domain::tenant::TenantId;

use crate::webhook::number;

/// The id of the `at`th of them.
pub fn id(tenant: &TenantId, at: usize) -> MessageId {
    MessageId::derive(tenant, &["accepted", &at.to_string()])
}

pub fn accepted(tenant: &TenantId, at: usize, now: Timestamp) -> Message {
    Message {
        status: Status::Queued,
        channel: Some(Channel::Sms),
        to: PhoneNumber::from_e164(&number(at)),
        body: Some("Hi, reminder: You have Piano lesson with Ms. Rivera at 3:00 PM tomorrow.".into()),
        segments: Some(1),
        cost: Some(Micros(7_900)),
        month: Some("2026-03".into()),
        sid: Some(format!("SM{at:032}")),
        decided_at: Some(now),
        ..Message::waiting(id(tenant, at), Kind::Message, Facts::Direct, now, Step::new(now, "asked"))
    }
}
