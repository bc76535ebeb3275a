//! A text that comes in, as the signed request that Twilio makes of it and as the API shows it.
//!
//! What the webhook answers to it is `reply`'s.

use serde::Deserialize;

use super::ledger::{Entry, Status};
use super::{Account, Callback, LocalTwilio, callback};

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
        let segments = if text.media.is_empty() { self.segments(&text.from, &text.body) } else { 1 };
        let mut state = self.state();
        let sid = self.inbound_sid(&state, if text.media.is_empty() { "SM" } else { "MM" });
        let callback = callback::inbound(&account, url, &sid, text, segments);
        let received = self.received(&account, &callback, text, segments);
        if let Err(error) = state.ledger.receive(received) {
            tracing::warn!(%error, "the ledger file could not be written");
        }
        drop(state);
        self.note_keyword(&account, &callback);
        Some(callback)
    }

    /// Every text that came in, in that order.
    pub fn inbound_texts(&self) -> Vec<Entry> {
        self.state().ledger.received().to_vec()
    }

    /// What the API has of the text that `callback` brings.
    fn received(&self, account: &Account, callback: &Callback, text: &InboundText, segments: u32) -> Entry {
        let now = self.0.config.clock.now();
        let param = |name: &str| callback.param(name).unwrap_or_default().to_owned();
        Entry {
            sid: callback.message_sid.clone(),
            account_sid: account.sid.clone(),
            to: param("To"),
            from: param("From"),
            messaging_service_sid: None,
            body: param("Body"),
            num_media: text.media.len() as u32,
            media_urls: text.media.iter().map(|medium| medium.url.clone()).collect(),
            media_types: text.media.iter().map(|medium| medium.content_type.clone()).collect(),
            content_sid: None,
            content_variables: None,
            num_segments: segments,
            status: Status::Received,
            status_callback: None,
            created: now,
            date_sent: Some(now),
            date_updated: now,
            error_code: None,
            deleted: false,
            in_reply_to: None,
        }
    }
}
