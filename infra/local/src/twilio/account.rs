//! Who may call, and what the account and its balance look like.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::ApiError;
use super::view::API_VERSION;
use super::{Account, LocalTwilio};

/// Whether an account may be used. Here it is only shown: nothing is refused for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    Active,
    Suspended,
    Closed,
}

/// Whether an account is paid for. Here it is only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountKind {
    Full,
    Trial,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            sid: String::new(),
            auth_token: String::new(),
            api_keys: Vec::new(),
            senders: Vec::new(),
            inbound_url: None,
            voice_url: None,
            voice_status_url: None,
            status: AccountStatus::Active,
            kind: AccountKind::Full,
            balance: "100.00".to_owned(),
            currency: "USD".to_owned(),
        }
    }
}

/// Whether a user and a password are good for an account.
type Admits = fn(&Account, &str, &str) -> bool;

impl LocalTwilio {
    /// The account of a request's path, if the request's credentials are good for it.
    pub(super) fn authenticate(&self, headers: &HeaderMap, account_sid: &str, uri: &Uri) -> Result<Arc<Account>, ApiError> {
        self.admit(headers, account_sid, uri, |account, user, password| {
            has_token(account, user, password) || has_key(account, user, password)
        })
    }

    fn admit(&self, headers: &HeaderMap, account_sid: &str, uri: &Uri, admits: Admits) -> Result<Arc<Account>, ApiError> {
        let (user, password) = basic(headers).ok_or_else(ApiError::unauthenticated)?;
        let state = self.state();
        let account = state.accounts.iter().find(|account| admits(account, &user, &password));
        let account = account.ok_or_else(ApiError::unauthenticated)?;
        if account.sid != account_sid {
            return Err(ApiError::not_found(uri.path()));
        }
        Ok(Arc::clone(account))
    }
}

/// `GET …/Accounts/{sid}.json`: not for a standard API key, which is good for anything else.
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path(file): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let sid = file.strip_suffix(".json").ok_or_else(|| ApiError::not_found(uri.path()))?;
    let account = twilio.admit(&headers, sid, &uri, has_token)?;
    let base = format!("/{API_VERSION}/Accounts/{sid}");
    let body = json!({
        "auth_token": account.auth_token,
        "date_created": "Thu, 30 Jul 2015 20:00:00 +0000",
        "date_updated": "Thu, 30 Jul 2015 20:00:00 +0000",
        "friendly_name": "Local Twilio",
        "owner_account_sid": sid,
        "sid": sid,
        "status": account.status,
        "subresource_uris": {
            "messages": format!("{base}/Messages.json"),
            "calls": format!("{base}/Calls.json"),
            "balance": format!("{base}/Balance.json"),
            "available_phone_numbers": format!("{base}/AvailablePhoneNumbers.json"),
            "incoming_phone_numbers": format!("{base}/IncomingPhoneNumbers.json"),
        },
        "type": account.kind,
        "uri": format!("{base}.json"),
    });
    Ok(Json(body).into_response())
}

/// `GET …/Balance.json`. Nothing is charged: it is what somebody has set it to.
pub(super) async fn balance(
    State(twilio): State<LocalTwilio>,
    Path(sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &sid, &uri)?;
    let body = json!({ "account_sid": account.sid, "balance": account.balance, "currency": account.currency });
    Ok(Json(body).into_response())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let credentials = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn has_token(account: &Account, user: &str, password: &str) -> bool {
    account.sid == user && account.auth_token == password
}

fn has_key(account: &Account, user: &str, password: &str) -> bool {
    account.api_keys.iter().any(|(sid, secret)| sid == user && secret == password)
}
