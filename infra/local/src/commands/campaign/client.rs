//! The API, as a command calls it: what passes is tried again, and a refusal is told so that people can act on it.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::domain::tenant::TenantId;
use shared::http_client;
use shared::telemetry::Chain;

const KEY: &str = "idempotency-key";
/// A part of a file, or the preview of one, may take longer than what a function asks of others.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An API that answered before is asked so often: about half a minute.
const MOST_TRIES: u32 = 9;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The API's limit of requests asks for no longer wait.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// What is wrong with a request is told so far.
const MOST_ERRORS: usize = 20;

/// One tenant at one API.
pub(super) struct Api {
    http: Client,
    base: String,
    tenant: TenantId,
    token: String,
    has_answered: Cell<bool>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The API said no; told for people.
    #[error("{told}")]
    Refused { status: StatusCode, told: String, codes: Vec<String>, retry_after: Option<Duration> },
    #[error("nobody answers at {0}: start the API there, on this machine with `cargo run`, or give another address with --api")]
    Nobody(String),
    /// Whether it was done is not known.
    #[error("the API at {api} could not be reached ({why}): the same command goes on where this one stopped")]
    Unreachable { api: String, why: String },
    #[error("such a request cannot be made: are --token and --key plain text? ({0})")]
    Unmakable(String),
    #[error("the API's answer could not be read: is it a Carillon of this version?")]
    Unreadable(#[source] serde_json::Error),
}

impl CallError {
    /// Whether the API said no because of this.
    pub(super) fn says(&self, code: &str) -> bool {
        matches!(self, Self::Refused { codes, .. } if codes.iter().any(|said| said == code))
    }

    /// How long to wait before it is tried again, for what may pass by itself.
    fn wait(&self, backoff: Duration, has_answered: bool) -> Option<Duration> {
        match self {
            Self::Refused { status: StatusCode::TOO_MANY_REQUESTS, retry_after, .. } => {
                Some(retry_after.unwrap_or(backoff).min(LONGEST_ASKED))
            }
            Self::Refused { status, .. } if status.is_server_error() => Some(backoff),
            Self::Nobody(_) | Self::Unreachable { .. } if has_answered => Some(backoff),
            Self::Refused { .. } | Self::Nobody(_) | Self::Unreachable { .. } => None,
            Self::Unmakable(_) | Self::Unreadable(_) => None,
        }
    }
}

/// What the API answered, if it did what it was asked.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(CallError::Unreadable)
    }
}

impl Api {
    /// # Errors
    /// For an address that is none of a web server, and for a tenant's id that cannot be one.
    pub(super) fn new(api: &str, tenant: &str, token: String) -> Result<Self, Box<dyn Error>> {
        let is_http = Url::parse(api).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_http {
            return Err(format!("--api: '{api}' is no address; one is http://127.0.0.1:8787").into());
        }
        Ok(Self {
            http: http_client::new(),
            base: api.trim_end_matches('/').to_string(),
            tenant: TenantId::parse(tenant)?,
            token,
            has_answered: Cell::new(false),
        })
    }

    /// `path` is below the tenant: `/campaigns`.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, CallError> {
        self.call(Method::GET, path, |request| request).await
    }

    /// With a key, it is done once however often it is asked for.
    pub(super) async fn post(&self, path: &str, key: Option<&str>, json: &str) -> Result<Answer, CallError> {
        self.call(Method::POST, path, |request| {
            let request = request.header(CONTENT_TYPE, "application/json").body(json.to_string());
            match key {
                Some(key) => request.header(KEY, key),
                None => request,
            }
        })
        .await
    }

    pub(super) async fn put(&self, path: &str, bytes: Bytes) -> Result<Answer, CallError> {
        self.call(Method::PUT, path, |request| request.header(CONTENT_TYPE, "application/octet-stream").body(bytes.clone())).await
    }

    /// What passes is tried again. All that is called may be repeated.
    async fn call(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, CallError> {
        let url = format!("{}/v1/tenants/{}{path}", self.base, self.tenant);
        let mut backoff = FIRST_WAIT;
        let mut tries = 1;
        loop {
            let request = self.http.request(method.clone(), &url).bearer_auth(&self.token).timeout(TIMEOUT);
            let error = match self.once(with(request)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.wait(backoff, self.has_answered.get()) {
                Some(wait) if tries < MOST_TRIES => tokio::time::sleep(wait).await,
                _ => return Err(error),
            }
            backoff = (backoff * 2).min(LONGEST_WAIT);
            tries += 1;
        }
    }

    async fn once(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        let answer = request.send().await.map_err(|error| self.failed(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| self.failed(&error))?.to_vec();
        self.has_answered.set(true);
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        let codes = problem.errors.iter().map(|wrong| wrong.code.clone()).collect();
        let retry_after = seconds.map(Duration::from_secs);
        Err(CallError::Refused { status, told: self.told(status, problem), codes, retry_after })
    }

    fn failed(&self, error: &reqwest::Error) -> CallError {
        let api = self.base.clone();
        if error.is_connect() {
            return CallError::Nobody(api);
        }
        if error.is_builder() {
            return CallError::Unmakable(Chain(error).to_string());
        }
        CallError::Unreachable { api, why: Chain(error).to_string() }
    }

    /// A refusal, and what to do.
    fn told(&self, status: StatusCode, problem: Problem) -> String {
        match (status, problem.told()) {
            (StatusCode::UNAUTHORIZED, _) => format!(
                "the API at {} does not believe this token: give one with --token, or with --state the folder of the \
                 installation that runs there",
                self.base
            ),
            (StatusCode::NOT_FOUND, told) => {
                let told = told.unwrap_or_else(|| "there is nothing at this path".into());
                format!("{told} (tenant {}; --tenant names another)", self.tenant)
            }
            (_, Some(told)) if told.starts_with("variables.") => format!("{told}; here that is --var NAME=VALUE"),
            (_, Some(told)) => told,
            (_, None) => format!("the API at {} answered HTTP {status}", self.base),
        }
    }
}

/// `application/problem+json`, or the gateway's own answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    detail: String,
    message: String,
    errors: Vec<Wrong>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wrong {
    field: String,
    code: String,
    reason: String,
}

impl Problem {
    fn told(self) -> Option<String> {
        let said = if self.detail.is_empty() { self.message } else { self.detail };
        // The detail of a single one says it already.
        let listed = if self.errors.len() > 1 { self.errors.as_slice() } else { &[] };
        let lines = listed.iter().take(MOST_ERRORS).map(|wrong| format!("\n  {}: {}", wrong.field, wrong.reason));
        let told: String = std::iter::once(said).chain(lines).collect();
        (!told.is_empty()).then_some(told)
    }
}
