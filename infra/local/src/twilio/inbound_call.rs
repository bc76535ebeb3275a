//! A call that comes in, as the signed requests that Twilio makes of it, one step after the other.
//!
//! Whoever brings them says what the caller does; nothing is said. The API shows such a call as far as it got:
//! it is in progress until a request says that it has ended. Parameters from twilio-facts §6.

use super::{CallEntry, CallStatus, Callback, LocalTwilio, callback, sid, twiml, view};

impl LocalTwilio {
    /// A call from `from` that rings at an account's number, as the signed request that Twilio would send
    /// to `url`. None if there is no such account.
    pub fn inbound_call(&self, account_sid: &str, url: &str, from: &str, to: &str) -> Option<Callback> {
        let account = self.account(account_sid)?;
        let now = self.0.config.clock.now();
        let mut state = self.state();
        let sid = self.inbound_sid(&state, "CA");
        let call = CallEntry {
            sid: sid.clone(),
            account_sid: account.sid.clone(),
            to: to.to_owned(),
            from: from.to_owned(),
            twiml: None,
            url: None,
            machine_detection: None,
            status: CallStatus::Ringing,
            duration: None,
            status_callback: None,
            status_callback_events: Vec::new(),
            created: now,
            start_time: None,
            date_updated: now,
            inbound: true,
            deleted: false,
        };
        if let Err(error) = state.ledger.receive_call(call) {
            tracing::warn!(%error, "the ledger file could not be written");
        }
        drop(state);
        let ringing = [("CallStatus", CallStatus::Ringing.word())];
        Some(callback::inbound_call(&account, url, &sid, from, to, &ringing))
    }

    /// A later request about the same call, which is in progress unless `extra` has another `CallStatus`.
    ///
    /// `call` is any request about it; a relative `url` is seen from there. Of its parameters only those
    /// stay that say which call it is. None if the account is gone, or the URL is none.
    pub fn call_step(&self, call: &Callback, url: &str, extra: &[(&str, &str)]) -> Option<Callback> {
        let param = |name: &str| call.param(name).unwrap_or_default();
        let account = self.account(param("AccountSid"))?;
        let url = twiml::resolve(&call.url, url)?;
        let mut step = vec![("CallStatus", CallStatus::InProgress.word())];
        step.retain(|(name, _)| extra.iter().all(|(given, _)| given != name));
        step.extend_from_slice(extra);
        let next = callback::inbound_call(&account, &url, param("CallSid"), param("From"), param("To"), &step);
        let secs = next.param("CallDuration").and_then(|secs| secs.parse().ok());
        self.note_progress(&next.message_sid, CallStatus::parse(next.status).unwrap_or(CallStatus::InProgress), secs);
        // One menu may be answered twice by the same digits: two events, and two tokens.
        let idempotency_token = sid::hash(&format!("{}|{url}|{}", call.idempotency_token, next.body()));
        Some(Callback { idempotency_token, ..next })
    }

    /// The report to `url` that the call has ended, after so many seconds.
    pub fn call_ended(&self, call: &Callback, url: &str, secs: u32) -> Option<Callback> {
        let timestamp = view::rfc2822(self.0.config.clock.now());
        let (minutes, secs) = (secs.div_ceil(60).to_string(), secs.to_string());
        let report = [
            ("CallStatus", CallStatus::Completed.word()),
            ("CallDuration", secs.as_str()),
            ("Duration", minutes.as_str()),
            ("Timestamp", timestamp.as_str()),
            ("SequenceNumber", "0"),
            ("CallbackSource", "call-progress-events"),
        ];
        self.call_step(call, url, &report)
    }

    /// Ends the call after so many seconds, without a report.
    pub(super) fn hang_up(&self, call: &Callback, secs: u32) {
        self.note_progress(&call.message_sid, CallStatus::Completed, Some(secs));
    }

    /// Every call that came in, in that order.
    pub fn inbound_calls(&self) -> Vec<CallEntry> {
        self.state().ledger.received_calls().to_vec()
    }

    /// Notes how far a call got that came in.
    fn note_progress(&self, sid: &str, status: CallStatus, secs: Option<u32>) {
        let now = self.0.config.clock.now();
        if let Err(error) = self.state().ledger.advance_received_call(sid, status, secs, now) {
            tracing::warn!(%error, "the ledger file could not be written");
        }
    }
}
