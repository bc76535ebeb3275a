//! The media of a message: listed, never fetched.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::error::ApiError;
use super::ledger::Entry;
use super::view::{API_VERSION, rfc2822};
use super::{LocalTwilio, messages, sid};

/// `GET …/Messages/{sid}/Media.json`. A message has ten at most, so there is one page.
pub(super) async fn list(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, message_sid)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let state = twilio.state();
    let entry = messages::of_account(&state.ledger, &account, &message_sid, &uri)?;
    let media: Vec<Value> = (0..entry.media_urls.len()).map(|index| medium(entry, index)).collect();
    let page = format!("{}?PageSize=50&Page=0", uri.path());
    let body = json!({
        "end": media.len().saturating_sub(1),
        "first_page_uri": page,
        "media_list": media,
        "next_page_uri": null,
        "page": 0,
        "page_size": 50,
        "previous_page_uri": null,
        "start": 0,
        "uri": page,
    });
    Ok(Json(body).into_response())
}

/// One medium as the API shows it. Nobody has looked at it, so it is taken for a picture.
fn medium(entry: &Entry, index: usize) -> Value {
    let sid = format!("ME{}", sid::hash(&format!("{}|media|{index}", entry.sid)));
    json!({
        "account_sid": entry.account_sid,
        "content_type": "image/jpeg",
        "date_created": rfc2822(entry.created),
        "date_updated": rfc2822(entry.created),
        "parent_sid": entry.sid,
        "sid": sid,
        "uri": format!("/{API_VERSION}/Accounts/{}/Messages/{}/Media/{sid}.json", entry.account_sid, entry.sid),
    })
}
