//! A tenant's Twilio credentials, as they lie in Secrets Manager.

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
}

#[derive(Clone, Debug, Deserialize)]
pub struct ApiKey {
    /// `^SK[0-9a-f]{32}$`.
    pub sid: String,
    pub secret: SecretString,
}

/// What is stored; written only where credentials are connected.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCredentials<'a> {
    pub account_sid: &'a str,
    pub auth_token: &'a str,
}

impl Credentials {
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
