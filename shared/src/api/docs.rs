//! `/docs`: the API's description for people. One page without anything from elsewhere, which reads
//! `/v1/openapi.json` and shows it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const PAGE: &str = include_str!("docs.html");
/// Nothing but from here, even if somebody smuggles a link into the description.
const POLICY: &str = "default-src 'self' 'unsafe-inline'";

/// This description, for people.
#[utoipa::path(
    get, path = "/docs", operation_id = "get_docs", tag = "about",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")), security(())
)]
pub async fn get() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PAGE).into_response()
}
