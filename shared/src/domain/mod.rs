//! The rules, pure: no I/O, no clock, no randomness, no async. Read in this order.

pub mod channel;
pub mod consent;
pub mod contact;
pub mod lesson;
pub mod local_time;
pub mod message;
pub mod money;
pub mod payment;
pub mod phone;
pub mod policy;
pub mod reminder;
pub mod school_event;
pub mod segments;
pub mod smart_encoding;
pub mod template;
pub mod tenant;
pub mod texts;
