//! The media of a message: listed, shown and deleted, never fetched.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
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
    let media: Vec<Value> = entry.media().map(|index| medium(entry, index)).collect();
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

/// `GET …/Messages/{sid}/Media/{sid}.json`
pub(super) async fn fetch(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, message_sid, file)): Path<(String, String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let state = twilio.state();
    let entry = messages::of_account(&state.ledger, &account, &message_sid, &uri)?;
    let index = place(entry, &file, &uri)?;
    Ok(Json(medium(entry, index)).into_response())
}

/// `DELETE …/Messages/{sid}/Media/{sid}.json`
pub(super) async fn delete(
    State(twilio): State<LocalTwilio>,
    Path((account_sid, message_sid, file)): Path<(String, String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let account = twilio.authenticate(&headers, &account_sid, &uri)?;
    let mut state = twilio.state();
    let entry = messages::of_account(&state.ledger, &account, &message_sid, &uri)?;
    let index = place(entry, &file, &uri)?;
    state.ledger.delete_medium(&message_sid, index).map_err(|error| ApiError::not_written(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Where in a message the medium of a request's path stands.
fn place(entry: &Entry, file: &str, uri: &Uri) -> Result<usize, ApiError> {
    let sid = file.strip_suffix(".json").unwrap_or_default();
    entry.media().find(|index| sid_of(entry, *index) == sid).ok_or_else(|| ApiError::not_found(uri.path()))
}

fn sid_of(entry: &Entry, index: usize) -> String {
    format!("ME{}", sid::hash(&format!("{}|media|{index}", entry.sid)))
}

/// One medium as the API shows it. What nobody has said to be something else is taken for a picture.
fn medium(entry: &Entry, index: usize) -> Value {
    let sid = sid_of(entry, index);
    json!({
        "account_sid": entry.account_sid,
        "content_type": entry.media_types.get(index).map_or("image/jpeg", String::as_str),
        "date_created": rfc2822(entry.created),
        "date_updated": rfc2822(entry.created),
        "parent_sid": entry.sid,
        "sid": sid,
        "uri": format!("/{API_VERSION}/Accounts/{}/Messages/{}/Media/{sid}.json", entry.account_sid, entry.sid),
    })
}
