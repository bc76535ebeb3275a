//! What came of a run: all that the judge may look at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use local::twilio::{Attempt, Entry};
use serde_json::Value;
use shared::domain::message::Message;

use super::plan::Plan;

/// The inputs, the local Twilio's ledger, and the table.
#[derive(Debug)]
pub struct Evidence {
    pub plan: Plan,
    /// Of what people do, by its place in the plan's happenings.
    pub heard: BTreeMap<usize, Heard>,
    /// Every message that Twilio accepted, answers to texts included.
    pub ledger: Vec<Entry>,
    /// Every try to bring a callback, with what the webhook answered.
    pub attempts: Vec<Attempt>,
    /// Of each school.
    pub stored: Vec<Stored>,
    /// How often each fault struck. No evidence of anything, but that there was something to withstand.
    pub struck: BTreeMap<String, u64>,
}

/// When somebody first tried something, and when it was acknowledged.
#[derive(Clone, Debug)]
pub struct Heard {
    pub first: Timestamp,
    pub at: Timestamp,
    /// What was answered then: of the API its JSON, of a text the SID that Twilio gave it.
    pub answer: Value,
}

/// What lies in the table of a school.
#[derive(Debug)]
pub struct Stored {
    /// Twilio's id of its account.
    pub account: String,
    pub messages: Vec<Message>,
    /// By month, in micro-units.
    pub used: BTreeMap<String, i64>,
    /// The rows of its campaigns' reports, by the campaign's number.
    pub reports: BTreeMap<u32, Vec<Value>>,
}
