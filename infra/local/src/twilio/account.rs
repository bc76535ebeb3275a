//! Who may call, and what the account and its balance look like.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};
use serde_json::json;

use super::error::ApiError;
use super::view::API_VERSION;
use super::{Account, LocalTwilio};

impl LocalTwilio {
    /// The account of a request's path, if the request's credentials are good for it.
    pub(super) fn authenticate(&self, headers: &HeaderMap, account_sid: &str, uri: &Uri) -> Result<Arc<Account>, ApiError> {
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

/// `GET …/Accounts/{sid}.json`
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path(file): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let sid = file.strip_suffix(".json").ok_or_else(|| ApiError::not_found(uri.path()))?;
    let account = twilio.authenticate(&headers, sid, &uri)?;
    let base = format!("/{API_VERSION}/Accounts/{sid}");
    let body = json!({
        "auth_token": account.auth_token,
        "date_created": "Thu, 30 Jul 2015 20:00:00 +0000",
        "date_updated": "Thu, 30 Jul 2015 20:00:00 +0000",
        "friendly_name": "Local Twilio",
        "owner_account_sid": sid,
        "sid": sid,
        "status": "active",
        "subresource_uris": {
            "messages": format!("{base}/Messages.json"),
            "calls": format!("{base}/Calls.json"),
            "balance": format!("{base}/Balance.json"),
        },
        "type": "Full",
        "uri": format!("{base}.json"),
    });
    Ok(Json(body).into_response())
}

/// `GET …/Balance.json`. Nothing is charged, so it never changes.
pub(super) async fn balance(
    State(twilio): State<LocalTwilio>,
    Path(sid): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &sid, &uri)?;
    Ok(Json(json!({ "account_sid": account.sid, "balance": "100.00", "currency": "USD" })).into_response())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let credentials = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn admits(account: &Account, user: &str, password: &str) -> bool {
    (account.sid == user && account.auth_token == password)
        || account.api_keys.iter().any(|(sid, secret)| sid == user && secret == password)
}
