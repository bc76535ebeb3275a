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
        super::analytics::engagement,
        super::analytics::summary,
        super::analytics::delivery,
        super::analytics::templates,
        super::analytics::daily,
        super::analytics::live,
        super::audit::list,
        super::audit::export,
        super::bulk::messages,
        super::bulk::calls,
        super::bulk::get,
        super::bulk::release,
        super::contacts::list,
        super::contacts::create,
        super::contacts::get,
        super::contacts::put,
        super::contacts::patch,
        super::contacts::export,
        super::conversations::list,
        super::conversations::get,
        super::conversations::read,
        super::conversations::handled,
        super::conversations::reopen,
        super::conversations::reply,
        super::costs::costs,
        super::costs::report,
        super::costs::estimate,
        super::diagnose::all,
        super::diagnose::number,
        super::docs::get,
        super::groups::list,
        super::groups::get,
        super::groups::put_member,
        super::groups::delete_member,
        super::imports::contacts,
        super::imports::lessons,
        super::imports::payments,
        super::jobs::get,
        super::jobs::errors,
        super::lessons::list,
        super::lessons::save,
        super::lessons::get,
        super::lessons::put,
        super::lessons::move_to,
        super::lessons::cancel,
        super::lessons::attendance,
        super::messages::list,
        super::messages::calls,
        super::messages::get,
        super::messages::call,
        super::campaign_rows::list,
        super::campaign_rows::file,
        super::campaigns::create,
        super::campaigns::preview,
        super::campaigns::list,
        super::campaigns::get,
        super::campaigns::put_part,
        super::campaigns::start,
        super::campaigns::pause,
        super::campaigns::resume,
        super::campaigns::cancel,
        super::opt_outs::list,
        super::opt_outs::check,
        super::opt_outs::opt_out,
        super::opt_outs::opt_in,
        super::opt_outs::export,
        super::payments::list,
        super::payments::save,
        super::payments::get,
        super::payments::put,
        super::payments::settle,
        super::payments::void,
        super::phone_numbers::list,
        super::phone_numbers::search,
        super::phone_numbers::buy,
        super::phone_numbers::wire,
        super::phone_numbers::release,
        super::preferences::get,
        super::preferences::put,
        super::preferences::link,
        super::preferences::own,
        super::preferences::choose,
        super::preferences::submit,
        super::preview::preview,
        super::preview::explain,
        super::rights::export,
        super::rights::forget,
        super::send::message,
        super::send::call,
        super::send::notification,
        super::send::test,
        super::send::cancel,
        super::settings::get,
        super::settings::put,
        super::settings::patch,
        super::templates::list,
        super::templates::create,
        super::templates::get,
        super::templates::replace,
        super::templates::delete,
        super::templates::versions,
        super::templates::version,
        super::templates::rollback,
        super::templates::preview,
        super::tenants::create,
        super::tenants::list,
        super::tenants::get,
        super::tenants::suspend,
        super::tenants::resume,
        super::tenants::delete,
        super::twilio::connect,
        super::twilio::get,
        super::twilio::disconnect,
        super::twilio::test,
        get,
    ),
    components(schemas(Problem, crate::store::messages::LogOrder, crate::twilio::numbers::NumberKind)),
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
    let generated = Api::openapi().to_pretty_json().unwrap_or_default();
    let mut text = generated.lines().map(for_readers).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

/// A line of the document, without what in its text is meant for us.
fn for_readers(line: &str) -> String {
    let names = ["\"description\": ", "\"summary\": "];
    let Some(value) = names.iter().find_map(|name| line.trim_start().strip_prefix(name)) else { return line.to_string() };
    let (literal, comma) = value.strip_suffix(',').map_or((value, ""), |literal| (literal, ","));
    match serde_json::from_str::<String>(literal) {
        Ok(text) => {
            let told = serde_json::Value::from(without_references(&text));
            format!("{}{told}{comma}", &line[..line.len() - value.len()])
        }
        // A field of this name.
        Err(_) => line.to_string(),
    }
}

/// A text without the references to our own documents: ` (S1-46..49)`, ` (D14)`, ` (reminders.md §4)`.
fn without_references(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('(') {
        let Some(length) = rest[open..].find(')') else { break };
        if are_references(&rest[open + 1..open + length]) {
            kept.push_str(rest[..open].trim_end());
            rest = &rest[open + length + 1..];
        } else {
            kept.push_str(&rest[..=open]);
            rest = &rest[open + 1..];
        }
    }
    kept.push_str(rest);
    if are_references(kept.trim_end_matches('.')) { String::new() } else { kept }
}

fn are_references(text: &str) -> bool {
    let mut words = text.split([' ', ',', ';', '\n']).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.all(is_reference)
}

fn is_reference(word: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_requirement = || {
        let parts = word.strip_prefix('S').and_then(|rest| rest.split_once('-'));
        parts.is_some_and(|(source, numbers)| number(source) && numbers.split("..").all(number))
    };
    let is_section = || word.strip_prefix('§').is_some_and(|section| section.split('.').all(number));
    let is_decision = || word.strip_prefix('D').is_some_and(number);
    word == "DESIGN" || word.ends_with(".md") || is_requirement() || is_section() || is_decision()
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "get_openapi", tag = "about", responses((status = 200, description = "As asked", body = Object)), security(()))]
pub async fn get() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_our_own_documents_are_left_out() {
        for (text, told) in [
            ("$15 of a trial are some 2,000 texts (S1-46..49).", "$15 of a trial are some 2,000 texts."),
            (
                "Told at once (S0-05, S0-49), its reminders\nplanned anew (S0-22,\nS1-18).",
                "Told at once, its reminders\nplanned anew.",
            ),
            ("Valid numbers\n(D1). Approved (D14)", "Valid numbers. Approved"),
            ("Why it was not sent (reminders.md §2.3, §3), by design (DESIGN §5).", "Why it was not sent, by design."),
            ("A test (S0-29..32): at any hour.", "A test: at any hour."),
            ("S3-72.", ""),
            ("Taken away (RFC 7396), of `(555) 123`", "Taken away (RFC 7396), of `(555) 123`"),
            ("One (of two (S0-01)) and () and (open", "One (of two) and () and (open"),
            ("Everything; or nothing", "Everything; or nothing"),
        ] {
            assert_eq!(without_references(text), told);
        }
        assert_eq!(for_readers(r#"    "summary": "A \"test\" (S0-29)","#), r#"    "summary": "A \"test\"","#);
        assert_eq!(for_readers(r#"  "description": "Calls (S1-07)""#), r#"  "description": "Calls""#);
        for line in [r#"      "description": {"#, r#"  "title": "(S1-07)","#, "  }"] {
            assert_eq!(for_readers(line), line);
        }
    }
}
