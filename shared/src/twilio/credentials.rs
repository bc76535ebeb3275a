//! A tenant's Twilio credentials, as they lie in Secrets Manager.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// An account, what authenticates requests to it, and what verifies its webhooks.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// `^AC[0-9a-f]{32}$` (D9).
    pub account_sid: String,
    pub auth_token: SecretString,
    /// Still accepted in signatures while a rotation is under way.
    #[serde(default)]
    pub previous_auth_token: Option<SecretString>,
    /// An API key pair to send with instead of the token (S1-89). It cannot verify webhooks.
    #[serde(default)]
    pub api_key: Option<ApiKey>,
    /// What Twilio said of the account when these were connected; nothing of those that somebody else stored.
    #[serde(default)]
    pub seen: Option<Seen>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ApiKey {
    /// `^SK[0-9a-f]{32}$`.
    pub sid: String,
    pub secret: SecretString,
}

/// What Twilio said of an account, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Trial` or `Full`.
    #[serde(rename = "type")]
    pub kind: String,
    pub at: Timestamp,
}

/// All of [`Credentials`], as they are stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredCredentials<'a> {
    account_sid: &'a str,
    auth_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<StoredKey<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<&'a Seen>,
}

#[derive(Serialize)]
struct StoredKey<'a> {
    sid: &'a str,
    secret: &'a str,
}

impl Credentials {
    /// These, as they are to be stored: the one way by which a secret of theirs leaves this process but to Twilio.
    pub fn stored(&self) -> StoredCredentials<'_> {
        StoredCredentials {
            account_sid: &self.account_sid,
            auth_token: self.auth_token.expose_secret(),
            previous_auth_token: self.previous_auth_token.as_ref().map(|token| token.expose_secret()),
            api_key: self.api_key.as_ref().map(|key| StoredKey { sid: &key.sid, secret: key.secret.expose_secret() }),
            seen: self.seen.as_ref(),
        }
    }

    /// These, in the place of `known`: a token of the same account is still accepted in signatures, until the next
    /// one takes its place (S1-88). The same again changes nothing.
    pub fn in_place_of(mut self, known: Option<&Credentials>) -> Self {
        let Some(known) = known.filter(|known| known.account_sid == self.account_sid) else { return self };
        let is_same = known.auth_token.expose_secret() == self.auth_token.expose_secret();
        self.previous_auth_token = if is_same { known.previous_auth_token.clone() } else { Some(known.auth_token.clone()) };
        self
    }

    /// The account's own SID and token: no API key may ask about an account.
    pub fn without_key(&self) -> Self {
        Self { api_key: None, ..self.clone() }
    }

    /// Name and password of Basic authentication.
    pub fn basic(&self) -> (&str, &str) {
        match &self.api_key {
            Some(key) => (&key.sid, key.secret.expose_secret()),
            None => (&self.account_sid, self.auth_token.expose_secret()),
        }
    }

    /// The tokens that may have signed a webhook, the current first.
    pub fn signing_tokens(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.auth_token).chain(&self.previous_auth_token).map(|token| token.expose_secret())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn credentials(account_sid: &str, token: &str) -> Credentials {
        serde_json::from_value(serde_json::json!({ "accountSid": account_sid, "authToken": token })).unwrap()
    }

    fn tokens(credentials: &Credentials) -> Vec<&str> {
        credentials.signing_tokens().collect()
    }

    #[test]
    fn a_rotation_keeps_one_token_back_and_a_repetition_the_same() {
        let first = credentials("AC1", "one");
        let second = credentials("AC1", "two").in_place_of(Some(&first));
        let again = credentials("AC1", "two").in_place_of(Some(&second));
        let third = credentials("AC1", "three").in_place_of(Some(&again));

        assert_eq!(tokens(&second), ["two", "one"]);
        assert_eq!(tokens(&again), ["two", "one"]);
        assert_eq!(tokens(&third), ["three", "two"]);
        assert_eq!(tokens(&credentials("AC2", "two").in_place_of(Some(&first))), ["two"]);
        assert_eq!(tokens(&credentials("AC1", "two").in_place_of(None)), ["two"]);
    }

    #[test]
    fn what_is_stored_is_read_back_and_never_shown() {
        let key = serde_json::json!({ "sid": "SK1", "secret": "w0rd" });
        let json = serde_json::json!({
            "accountSid": "AC1", "authToken": "n0w", "previousAuthToken": "bef0re", "apiKey": key,
            "seen": { "status": "active", "type": "Full", "at": "2026-03-10T16:00:00Z" },
        });
        let credentials: Credentials = serde_json::from_value(json.clone()).unwrap();

        assert_eq!(serde_json::to_value(credentials.stored()).unwrap(), json);
        assert_eq!(credentials.basic(), ("SK1", "w0rd"));
        assert_eq!(credentials.without_key().basic(), ("AC1", "n0w"));
        let shown = format!("{credentials:?}");
        assert!(["n0w", "bef0re", "w0rd"].iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
}
