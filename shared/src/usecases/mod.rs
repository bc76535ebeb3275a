//! What the system does, one verb a file. Each takes the [`Context`](crate::context::Context) first
//! and `now` last, and is safe to repeat.

pub mod ask_about_silent;
pub mod cancel_lesson;
pub mod cancel_message;
mod cancel_planned;
pub mod count_engagement;
pub mod dispatch;
pub mod explain_message;
pub mod limit_requests;
pub mod move_lesson;
pub mod open_batch;
pub mod plan_reminders;
pub mod preview_message;
pub mod receive_event;
pub mod record_attendance;
pub mod record_call;
pub mod record_inbound;
mod record_refusal;
pub mod record_status;
pub mod record_wish;
pub mod release_batch;
pub mod repeat_message;
pub mod resolve_unknown;
pub mod save_lessons;
pub mod save_payments;
pub mod save_school;
pub mod send_batch;
pub mod send_message;
mod settle;
pub mod settle_payment;
mod tell_of_inbound;
pub mod watch_budget;
