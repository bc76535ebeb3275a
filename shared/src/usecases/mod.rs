//! What the system does, one verb a file. Each takes the [`Context`](crate::context::Context) first
//! and `now` last, and is safe to repeat.

pub mod save_school;
pub mod receive_event;
pub mod save_lessons;
pub mod save_payments;
pub mod plan_reminders;
pub mod move_lesson;
pub mod cancel_lesson;
pub mod record_attendance;
pub mod settle_payment;
pub mod dispatch;
pub mod resolve_unknown;
pub mod record_status;
pub mod record_inbound;
mod cancel_planned;
