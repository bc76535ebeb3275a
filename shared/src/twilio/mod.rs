//! Twilio: the client with its four outcomes, and what comes back by webhook.

pub mod client;
pub mod credentials;
pub mod form;
pub mod signature;
