//! The rules, pure: no I/O, no clock, no randomness, no async. Read in this order.

pub mod tenant;
pub mod contact;
pub mod lesson;
pub mod payment;
pub mod phone;
pub mod channel;
pub mod money;
pub mod local_time;
pub mod template;
pub mod texts;
pub mod segments;
pub mod smart_encoding;
pub mod reminder;
pub mod school_event;
pub mod consent;
pub mod message;
pub mod policy;
