//! A text that comes in, as the signed request that Twilio makes of it.
//!
//! What the webhook answers to it is `reply`'s.

use serde::Deserialize;

use super::{Callback, LocalTwilio, callback};

/// A text from somebody to one of an account's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboundText {
    pub from: String,
    pub to: String,
    pub body: String,
    pub media: Vec<InboundMedia>,
    /// Further parameters of the request. One that the request has already is replaced; one that is given
    /// twice is sent twice.
    pub params: Vec<(String, String)>,
}

/// A picture or the like that comes with a text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundMedia {
    pub url: String,
    pub content_type: String,
}

impl InboundText {
    /// A text and nothing else.
    pub fn new(from: impl Into<String>, to: impl Into<String>, body: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), body: body.into(), ..Self::default() }
    }
}

impl LocalTwilio {
    /// A text from `from` to an account's number, as the signed request that Twilio would send to `url`.
    /// None if there is no such account.
    pub fn inbound(&self, account_sid: &str, url: &str, from: &str, to: &str, body: &str) -> Option<Callback> {
        self.inbound_text(account_sid, url, &InboundText::new(from, to, body))
    }

    /// As `inbound`, with whatever else a text may bring.
    ///
    /// By STOP and START Twilio blocks and unblocks the sender's number before it tells us of them.
    pub fn inbound_text(&self, account_sid: &str, url: &str, text: &InboundText) -> Option<Callback> {
        let account = self.account(account_sid)?;
        let sid = self.inbound_sid(if text.media.is_empty() { "SM" } else { "MM" });
        let segments = if text.media.is_empty() { self.segments(&text.from, &text.body) } else { 1 };
        let callback = callback::inbound(&account, url, &sid, text, segments);
        self.note_keyword(&account, &callback);
        Some(callback)
    }
}
