//! The API's description is the handlers', and describes every route.

use std::collections::BTreeSet;
use std::fs;

use axum::http::StatusCode;
use serde_json::Value;
use shared::api::openapi;

use crate::machine::{get, quiet_machine, root};

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
        let full = if path.starts_with("/v1") { path.to_string() } else { format!("/v1/tenants/{{tenant}}{path}") };
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

    let response = local::gateway::invoke(shared::api::manage_tenant(host.cx.clone()), event).await;

    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(get(&host, "viewer", "/nothing").await.0, StatusCode::NOT_FOUND);
}
