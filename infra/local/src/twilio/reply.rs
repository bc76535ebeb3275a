//! What a webhook answers to a text: the messages that Twilio sends for it.
//!
//! TwiML's `<Message>`, and plain text as it stands (twilio-facts §3). `<Redirect>` is not followed. One
//! text is answered once: after a 2xx, whatever comes of a repeated request is not looked at.

use super::address::{number, on_channel_of};
use super::submission::{self, Form, Submission};
use super::twiml::{self, Element};
use super::{Account, Callback, LocalTwilio, WebhookAnswer};

/// A message to send.
#[derive(Default)]
struct Reply {
    /// By default who wrote.
    to: Option<String>,
    /// By default the number that was written to.
    from: Option<String>,
    body: String,
    media_urls: Vec<String>,
    /// As it stands in the TwiML; maybe relative.
    status_callback: Option<String>,
}

impl LocalTwilio {
    /// Sends what a webhook answered to a text. To anything else nothing is sent.
    pub(super) fn obey(&self, callback: &Callback, answer: &WebhookAnswer) {
        let Some(sid) = callback.text_sid().filter(|_| answer.is_success()) else { return };
        let is_first = self.state().answered.insert(sid.to_owned());
        if !is_first {
            return;
        }
        let Some(account) = self.account(callback.param("AccountSid").unwrap_or_default()) else { return };
        for reply in replies(answer) {
            self.send_reply(&account, callback, sid, reply);
        }
    }

    /// Submits a reply. When it is refused there is nobody to tell.
    fn send_reply(&self, account: &Account, text: &Callback, text_sid: &str, reply: Reply) {
        let own = text.param("To").unwrap_or_default();
        // What is written to is the account's.
        let mut senders = self.state().senders(account, |can| can.sms);
        senders.push(own.to_owned());
        let submission = match submission::check(&reply.form(text), &senders) {
            Ok(submission) => Submission { in_reply_to: Some(text_sid.to_owned()), ..submission },
            Err(error) => {
                tracing::warn!(code = error.code, "a reply to a text was refused");
                return;
            }
        };
        if self.is_blocked(&account.sid, &submission) {
            tracing::info!(code = 21610, "a reply to a text was refused");
            return;
        }
        let fault = self.state().script.strike_reply(&submission.to);
        if let Err(error) = self.accept(account, submission, fault) {
            tracing::warn!(%error, "the ledger file could not be written");
        }
    }
}

impl Reply {
    fn of(message: &Element) -> Self {
        let attribute = |name: &str| message.attribute(name).map(str::to_owned);
        let bodies: Vec<&str> = message.children("Body").map(|body| body.text.as_str()).collect();
        Self {
            to: attribute("to"),
            from: attribute("from"),
            body: if bodies.is_empty() { message.text.trim().to_owned() } else { bodies.concat() },
            media_urls: message.children("Media").map(|media| media.text.trim().to_owned()).collect(),
            status_callback: attribute("statusCallback").or_else(|| attribute("action")),
        }
    }

    /// The submission that says the same.
    fn form(self, text: &Callback) -> Form {
        // What is no URL is left as it is, to be refused.
        let resolved = |url: String| twiml::resolve(&text.url, &url).unwrap_or(url);
        let to = self.to.unwrap_or_else(|| text.param("From").unwrap_or_default().to_owned());
        let own = text.param("To").unwrap_or_default();
        let from = self.from.unwrap_or_else(|| on_channel_of(&to, number(own)));
        let mut fields = vec![("To", to), ("From", from), ("Body", self.body)];
        fields.extend(self.media_urls.into_iter().filter(|url| !url.is_empty()).map(|url| ("MediaUrl", resolved(url))));
        fields.extend(self.status_callback.map(|url| ("StatusCallback", resolved(url))));
        Form::of(fields)
    }
}

fn replies(answer: &WebhookAnswer) -> Vec<Reply> {
    if let Some(response) = answer.twiml() {
        return response.children("Message").map(Reply::of).collect();
    }
    if answer.media_type() == "text/plain" && !answer.body.trim().is_empty() {
        return vec![Reply { body: answer.body.clone(), ..Reply::default() }];
    }
    Vec::new()
}
