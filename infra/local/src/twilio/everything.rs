//! What the API would still tell of anybody, for tests that look for what was to be erased.

use serde_json::{Value, json};

use super::{LocalTwilio, view};

impl LocalTwilio {
    /// All messages, calls and numbers that the API knows, of every account and in both directions, with the
    /// URLs of the media: as JSON text, to be searched for a person's number or words.
    ///
    /// Twilio's list of opt-outs is not in it: the API does not tell of it, and cannot erase it.
    pub fn everything(&self) -> String {
        let state = self.state();
        let messages = state.ledger.entries().iter().chain(state.ledger.received()).filter(|entry| !entry.deleted);
        let messages = messages.map(|entry| {
            let mut shown = view::message(entry);
            shown["media"] = json!(entry.media_urls);
            shown
        });
        let calls = state.ledger.calls().iter().chain(state.ledger.received_calls()).filter(|call| !call.deleted);
        let numbers = state.accounts.iter().flat_map(|account| state.numbers_of(account));
        let everything = json!({
            "messages": messages.collect::<Vec<Value>>(),
            "calls": calls.map(view::call).collect::<Vec<Value>>(),
            "numbers": numbers.map(|number| view::number(&number)).collect::<Vec<Value>>(),
        });
        everything.to_string()
    }
}
