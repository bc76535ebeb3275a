//! HTTP through the gateway's events: who may see what, and webhooks that nobody signed.

use axum::body::to_bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use local::gateway::event;
use local::simulate;
use serde_json::{Value, json};

use crate::machine::{machine, sample, tenant};

async fn body(response: axum::response::Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap_or(Value::Null)
}

#[tokio::test]
async fn the_log_shows_what_happened_to_its_own_tenant_only() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();
    simulate::run(&host, &tenant(), &folder, span, span.from, |_| {}).await.unwrap();
    let get = async |path: &str, query: &str, claims: Value| {
        let event = event(&Method::GET, path, Some(query), &HeaderMap::new(), &Bytes::new(), Some(claims), span.from);
        let response = host.functions.api(event).await;
        (response.status(), body(response).await)
    };
    let viewer = json!({ "tenant": "sample", "role": "viewer" });

    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let query = format!("limit=7&from=2026-03-09T00:00:00Z&to=2026-03-13T00:00:00Z&cursor={cursor}");
        let query = query.trim_end_matches("&cursor=");
        let (status, page) = get("/v1/tenants/sample/messages", query, viewer.clone()).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_string()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_string(),
            None => break,
        }
    }
    let total = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), total);
    assert!(total > 40, "{total}");

    let (status, delivered) = get("/v1/tenants/sample/messages", "status=delivered&limit=1", viewer.clone()).await;
    assert_eq!((status, delivered["items"][0]["state"].as_str()), (StatusCode::OK, Some("Delivered")));
    let id = delivered["items"][0]["id"].as_str().unwrap();
    let path = format!("/v1/tenants/sample/messages/{id}");
    let (status, message) = get(&path, "", viewer.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let steps: Vec<&str> = message["timeline"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    let known: Vec<&str> = steps.into_iter().filter(|step| *step != "parted").take(3).collect();
    assert_eq!(known, ["planned", "claimed", "accepted"]);

    let other = json!({ "tenant": "other", "role": "admin" });
    for path in ["/v1/tenants/sample/messages", "/v1/tenants/sample/settings", &path] {
        let (status, problem) = get(path, "", other.clone()).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")), "{path}");
    }
    let (status, _) = get("/v1/tenants/sample/settings", "", viewer).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, settings) = get("/v1/tenants/sample/settings", "", json!({ "tenant": "sample", "role": "admin" })).await;
    assert_eq!((status, settings["timeZone"].as_str()), (StatusCode::OK, Some("America/New_York")));
}

#[tokio::test]
async fn a_webhook_that_twilio_did_not_sign_changes_nothing() {
    let (folder, span) = sample();
    let host = machine(span.from).await;
    simulate::load(&host, &tenant(), &folder, span.from).await.unwrap();
    let sender = folder.school.settings.senders.sms.clone().unwrap();
    let genuine = host.inbound(&tenant(), "+15550100201", &sender, "STOP").await.unwrap();

    let mut forged = genuine.clone();
    forged.signature = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into();
    let mut elsewhere = genuine.clone();
    elsewhere.url = elsewhere.url.replace("/inbound", "/status");
    let mut changed = genuine.clone();
    changed.params.push(("Body".into(), "STOP please".into()));
    host.aws.reset_requests();
    for callback in [&forged, &elsewhere, &changed] {
        assert_eq!(host.bring(callback, span.from).await, 403);
    }

    let writes: Vec<_> =
        host.aws.requests().into_keys().filter(|name| name.contains("Write") || name.contains("Update")).collect();
    assert_eq!(writes, Vec::<String>::new());
    assert_eq!(host.bring(&genuine, span.from).await, 200);
}

#[tokio::test]
async fn what_is_no_route_is_an_honest_404() {
    let (_, span) = sample();
    let host = machine(span.from).await;
    let ask = async |method: Method, path: &str| {
        let event = event(&method, path, None, &HeaderMap::new(), &Bytes::new(), None, span.from);
        if path.starts_with("/twilio") { host.functions.webhook(event).await } else { host.functions.api(event).await }
    };
    let below = "/v1/tenants/sample";
    for (method, path) in [
        (Method::POST, format!("{below}/messages/x/nothing")),
        (Method::GET, format!("{below}/nothing")),
        (Method::GET, "/twilio/nothing".to_string()),
    ] {
        let response = ask(method, &path).await;

        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    // No function is asked: API Gateway's own words.
    let response = ask(Method::GET, "/v2").await;
    assert_eq!((response.status(), body(response).await), (StatusCode::NOT_FOUND, json!({ "message": "Not Found" })));
}
