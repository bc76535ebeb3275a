//! Twilio: the client with its four outcomes, and what comes back by webhook.

pub mod account;
pub mod client;
pub mod concurrency;
pub mod credentials;
pub mod erase;
pub mod error_codes;
pub mod form;
pub mod numbers;
pub mod rest;
pub mod signature;
pub mod status_callback;
pub mod twiml;
