//! The rules, pure: no I/O, no clock, no randomness, no async.

pub mod catalogue;
pub mod channel;
pub mod compose;
pub mod consent;
pub mod contact;
pub mod direct;
pub mod lesson;
pub mod lint;
pub mod local_time;
pub mod media;
pub mod message;
pub mod money;
pub mod payment;
pub mod phone;
pub mod policy;
pub mod price_list;
pub mod recipients;
pub mod recurrence;
pub mod reminder;
pub mod school_event;
pub mod segments;
pub mod smart_encoding;
pub mod status;
pub mod template;
pub mod tenant;
pub mod texts;
