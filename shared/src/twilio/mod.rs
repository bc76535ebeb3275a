//! Twilio: the client with its four outcomes, and what comes back by webhook.

pub mod credentials;
pub mod client;
pub mod signature;
pub mod form;
