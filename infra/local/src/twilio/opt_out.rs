//! Twilio's own list of who may not be texted from which number.
//!
//! The default filter of long codes (twilio-facts §7): the whole of an SMS is one of its words, in any case.
//! A toll-free number's own, fewer words are not told apart, there is no Advanced Opt-Out, and the text with
//! which Twilio confirms is not sent.

use super::address::is_whatsapp;
use super::ledger::Block;
use super::submission::Submission;
use super::{Account, Callback, LocalTwilio};

const STOP: [&str; 8] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];
const START: [&str; 3] = ["START", "YES", "UNSTOP"];

impl LocalTwilio {
    /// Blocks or unblocks who wrote for the number that they wrote to, if that is what their text says.
    pub(super) fn note_keyword(&self, account: &Account, text: &Callback) {
        let param = |name: &str| text.param(name).unwrap_or_default();
        let (recipient, sender, word) = (param("From"), param("To"), param("Body").trim());
        let is_one_of = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        if is_whatsapp(recipient) || is_whatsapp(sender) || !(is_one_of(&STOP) || is_one_of(&START)) {
            return;
        }
        let block = Block { account_sid: account.sid.clone(), sender: sender.to_owned(), recipient: recipient.to_owned() };
        let mut state = self.state();
        let written = if is_one_of(&STOP) { state.ledger.block(block) } else { state.ledger.unblock(block) };
        drop(state);
        if let Err(error) = written {
            tracing::warn!(%error, "the ledger file could not be written");
        }
    }

    /// Whether the recipient of a submission has blocked its sender; through a messaging service, any sender
    /// of the account.
    pub(super) fn is_blocked(&self, account_sid: &str, submission: &Submission) -> bool {
        let sender = submission.messaging_service_sid.is_none().then_some(submission.from.as_str());
        self.state().ledger.is_blocked(account_sid, sender, &submission.to)
    }
}
