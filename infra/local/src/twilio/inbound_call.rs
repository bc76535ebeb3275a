//! A call that comes in, as the signed requests that Twilio makes of it, one step after the other.
//!
//! Whoever brings them says what the caller does; nothing is said, and the API does not show such a call.
//! Parameters from twilio-facts §6.

use super::{CallStatus, Callback, LocalTwilio, callback, sid, twiml, view};

impl LocalTwilio {
    /// A call from `from` that rings at an account's number, as the signed request that Twilio would send
    /// to `url`. None if there is no such account.
    pub fn inbound_call(&self, account_sid: &str, url: &str, from: &str, to: &str) -> Option<Callback> {
        let account = self.account(account_sid)?;
        let sid = self.inbound_sid("CA");
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
}
