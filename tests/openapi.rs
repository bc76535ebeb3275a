//! The API's description is the handlers', and describes every route.

use std::collections::BTreeSet;
use std::fs;

use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::api::openapi;

use crate::machine::{get, quiet_machine, root, sample};

#[test]
fn the_checked_in_document_is_what_the_handlers_say() {
    let checked_in = fs::read_to_string(root().join("shared/src/api/openapi.json")).unwrap();

    assert!(checked_in == openapi::document(), "cargo run -q -- openapi > shared/src/api/openapi.json");
}

/// Every `.route("…", post(…))` of the two functions behind the gateway; Twilio's webhooks are no API of ours.
#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let source = fs::read_to_string(root().join("shared/src/api/mod.rs")).unwrap();
    let source = &source[..source.find("/// `twilioWebhook`").unwrap()];
    let mut routes = BTreeSet::new();
    for line in source.split(".route(\"").skip(1) {
        let (path, rest) = line.split_once('"').unwrap();
        let verbs = rest.split(".route(").next().unwrap();
        let full =
            if path.starts_with("/v1") || path == "/docs" { path.to_string() } else { format!("/v1/tenants/{{tenant}}{path}") };
        for verb in ["get", "post", "put", "delete", "patch"] {
            if verbs.contains(&format!(" {verb}(")) || verbs.contains(&format!(".{verb}(")) {
                routes.insert((full.clone(), verb.to_string()));
            }
        }
    }
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, verbs)| verbs.as_object().unwrap().keys().map(move |verb| (path.clone(), verb.clone())))
        .collect();
    assert!(routes.len() > 10);
    assert_eq!(routes, described);
}

/// What the schema says of a field.
fn field<'a>(document: &'a Value, schema: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let known = &document["components"]["schemas"][reference.rsplit('/').next().unwrap()];
        return field(document, known, name);
    }
    let free = schema.get("additionalProperties").filter(|free| free.is_object());
    let own = schema["properties"].get(name).or(free);
    let mut variants = ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|of| schema[of].as_array().into_iter().flatten());
    own.or_else(|| variants.find_map(|variant| field(document, variant, name)))
}

fn note_undescribed(document: &Value, schema: &Value, value: &Value, path: &str, missing: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match field(document, schema, name) {
            Some(known) => note_undescribed(document, known, value, &path, missing),
            None => missing.push(path),
        }
    }
}

#[test]
fn every_setting_is_described() {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut settings = serde_json::to_value(&sample().0.school.settings).unwrap();
    settings["prices"] = json!({ "sms": "0.01", "byPrefix": { "+44": { "sms": "0.04" } } });
    settings["quietHours"] = json!({ "from": "21:00", "to": "08:00" });
    for method in ["put", "patch"] {
        let content = &document["paths"]["/v1/tenants/{tenant}/settings"][method]["requestBody"]["content"];
        let schema = &content.as_object().unwrap().values().next().unwrap()["schema"];
        let mut missing = Vec::new();
        note_undescribed(&document, schema, &settings, method, &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
        note_undescribed(&document, schema, &json!({ "budget": { "colour": 1 } }), method, &mut missing);
        assert_eq!(missing, [format!("{method}.budget.colour")]);
    }
}

#[test]
fn nothing_refers_to_our_own_documents() {
    let document = openapi::document();

    for reference in ["(S0-", "(S1-", "(S2-", "(S3-", "(S4-", "(D1", "DESIGN", ".md"] {
        assert!(!document.contains(reference), "{reference}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let host = quiet_machine(|_| {}).await;
    let event = local::gateway::event(
        &axum::http::Method::GET,
        "/v1/openapi.json",
        None,
        &Default::default(),
        &Default::default(),
        None,
        host.clock.now(),
    );

    let response = host.functions.api(event).await;

    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(get(&host, "viewer", "/nothing").await.0, StatusCode::NOT_FOUND);
}
