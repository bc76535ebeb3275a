//! What the system does, one verb a file. Each takes the [`Context`](crate::context::Context) first
//! and `now` last, and is safe to repeat.

pub mod cancel_lesson;
mod cancel_planned;
pub mod dispatch;
pub mod move_lesson;
pub mod plan_reminders;
pub mod receive_event;
pub mod record_attendance;
pub mod record_inbound;
pub mod record_status;
pub mod resolve_unknown;
pub mod save_lessons;
pub mod save_payments;
pub mod save_school;
pub mod settle_payment;
