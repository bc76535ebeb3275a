//! Requests to Twilio's API that send nothing: what an account is and has, and what is taken from it.
//!
//! What sends is in `client.rs`, whose outcomes decide about sending again.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::credentials::Credentials;
use crate::http_client::Client;

/// Why Twilio did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Whether it was done is not known.
    #[error("Twilio could not be reached")]
    Unreachable(#[source] reqwest::Error),
    /// `code` is Twilio's own, or the HTTP status where it gave none. See `error_codes`.
    #[error("Twilio refused with {code} (HTTP {status})")]
    Refused { status: StatusCode, code: u32 },
    #[error("Twilio's answer could not be read")]
    Unreadable,
}

impl RestError {
    /// Twilio's code, if it refused.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Unreachable(_) | Self::Unreadable => None,
        }
    }

    /// Twilio's code, if it looked at the request and said no. `None` where it may yet be done, or was.
    pub fn refusal(&self) -> Option<u32> {
        match self {
            Self::Refused { status, code } if status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS => Some(*code),
            Self::Refused { .. } | Self::Unreachable(_) | Self::Unreadable => None,
        }
    }

    /// There is no such thing at Twilio, or no more.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

/// One account at one base URL, and what authenticates requests to it.
#[derive(Clone, Copy)]
pub struct Rest<'a> {
    pub http: &'a Client,
    pub base: &'a str,
    pub credentials: &'a Credentials,
}

impl Rest<'_> {
    /// `path` below `/2010-04-01/Accounts/{AccountSid}`: `/Balance.json`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, RestError> {
        let query = encoded(query);
        let path = if query.is_empty() { path.to_string() } else { format!("{path}?{query}") };
        read(self.request(Method::GET, &path, None).await?).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, form: &[(&str, &str)]) -> Result<T, RestError> {
        read(self.request(Method::POST, path, Some(encoded(form))).await?).await
    }

    /// Whether it was there.
    pub async fn delete(&self, path: &str) -> Result<bool, RestError> {
        match self.request(Method::DELETE, path, None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn request(&self, method: Method, path: &str, form: Option<String>) -> Result<Response, RestError> {
        let (user, password) = self.credentials.basic();
        let url = format!("{}/2010-04-01/Accounts/{}{path}", self.base, self.credentials.account_sid);
        let mut request = self.http.request(method, url).basic_auth(user, Some(password));
        if let Some(form) = form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        // Its URL may name a number.
        let response = self.http.send(request).await.map_err(|error| RestError::Unreachable(error.without_url()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        #[derive(Deserialize)]
        struct Failure {
            code: Option<u32>,
        }
        let body = response.bytes().await.unwrap_or_default();
        let code = serde_json::from_slice::<Failure>(&body).ok().and_then(|failure| failure.code);
        Err(RestError::Refused { status, code: code.unwrap_or(u32::from(status.as_u16())) })
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, RestError> {
    let body = response.bytes().await.map_err(|error| RestError::Unreachable(error.without_url()))?;
    serde_json::from_slice(&body).map_err(|_| RestError::Unreadable)
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
