//! The API's description, OpenAPI 3.1. Generated from the handlers, checked in, and served as it lies there.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::Problem;

/// What `carillon openapi` last wrote; a test holds it to the handlers.
const DOCUMENT: &str = include_str!("openapi.json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Carillon",
        version = "1",
        description = "Messages of schools, churches, restaurants and small businesses, through their own Twilio accounts.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        super::send::message,
        super::send::test,
        super::send::notification,
        super::send::call,
        super::send::cancel,
        super::bulk::messages,
        super::bulk::calls,
        super::bulk::release,
        super::bulk::get,
        super::preview::preview,
        super::preview::explain,
        super::messages::list,
        super::messages::get,
        super::messages::calls,
        super::messages::call,
        super::analytics::engagement,
        super::conversations::list,
        super::conversations::get,
        super::conversations::read,
        super::conversations::handled,
        super::conversations::reopen,
        super::conversations::reply,
        super::opt_outs::list,
        super::opt_outs::check,
        super::opt_outs::opt_out,
        super::opt_outs::opt_in,
        super::opt_outs::export,
        super::settings::get,
        get,
    ),
    components(schemas(Problem)),
    modifiers(&Tokens),
    security(("token" = []))
)]
struct Api;

/// Every route but the description's own takes a token.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The description, generated.
pub fn document() -> String {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "get_openapi", tag = "about", responses((status = 200, description = "As asked", body = Object)), security(()))]
pub async fn get() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
