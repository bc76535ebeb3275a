//! The platform's calls: making a tenant, suspending it, deleting it; and how others are kept from them.

use axum::http::{HeaderMap, Method, StatusCode};
use jiff::SignedDuration;
use local::gateway;
use local::host::Host;
use serde_json::{Value, json};
use shared::context::twilio_secret;
use shared::domain::message::{Reason, Status};
use shared::domain::tenant::TenantId;
use shared::secrets::{self, SecretsError};

use crate::machine::{get, messages_of, post, quiet_machine, settle, tenant};

/// The address that requests of tests come from.
pub const IP: &str = "203.0.113.7";

/// Somebody of the platform.
pub fn platform() -> Value {
    json!({ "role": "platform", "sub": "ops-1" })
}

/// Somebody of a tenant.
pub fn of(tenant: &str, role: &str) -> Value {
    json!({ "tenant": tenant, "role": role, "sub": format!("{tenant}-{role}") })
}

/// A request with these claims and, unless it is null, this body, through the events of the gateway.
pub async fn ask(host: &Host, claims: &Value, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = ask_text(host, Some(claims), method, path, "application/json", &text).await;
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

/// The same with any body, or without claims, and as the answer was written.
pub async fn ask_text(
    host: &Host,
    claims: Option<&Value>,
    method: Method,
    path: &str,
    content_type: &str,
    body: &str,
) -> (StatusCode, String) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type.parse().unwrap());
    headers.insert("x-forwarded-for", IP.parse().unwrap());
    headers.insert("user-agent", "tests/1".parse().unwrap());
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let body = body.to_string().into();
    let event = gateway::event(&method, path, query, &headers, &body, claims.cloned(), host.clock.now());
    let response = host.functions.api(event).await;
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

/// The items whose keys begin as those of `tenant` do, and its entry in the directory.
pub fn items_of(host: &Host, tenant: &str) -> Vec<Value> {
    let prefix = format!("TENANT#{tenant}");
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap_or_default().to_string();
    let is_of = |item: &Value| {
        let pk = text(item, "pk");
        pk == prefix || pk.starts_with(&format!("{prefix}#")) || (pk == "TENANTS" && text(item, "sk") == tenant)
    };
    host.aws.items().into_iter().filter(is_of).collect()
}

fn code(problem: &Value) -> Option<&str> {
    problem["code"].as_str()
}

fn other() -> Value {
    json!({ "id": "other", "name": "Other Church", "timeZone": "Europe/Paris", "defaultRegion": "FR", "trade": "church" })
}

async fn make_other(host: &Host) {
    let (status, made) = ask(host, &platform(), Method::POST, "/v1/tenants", &other()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_makes_a_tenant_with_defaults_and_an_id_is_given_once() {
    let host = quiet_machine(|_| {}).await;

    let (status, made) = ask(&host, &platform(), Method::POST, "/v1/tenants", &other()).await;

    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!((made["id"].as_str(), made["state"].as_str()), (Some("other"), Some("active")));
    assert_eq!(made["createdAt"], "2026-03-10T16:00:00Z");
    let (status, settings) = ask(&host, &of("other", "admin"), Method::GET, "/v1/tenants/other/settings", &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((settings["name"].as_str(), settings["budget"]["currency"].as_str()), (Some("Other Church"), Some("USD")));
    assert_eq!((settings["enabled"].as_bool(), settings["trade"].as_str()), (Some(true), Some("church")));
    let (status, taken) = ask(&host, &platform(), Method::POST, "/v1/tenants", &other()).await;
    assert_eq!((status, code(&taken)), (StatusCode::CONFLICT, Some("exists")));

    let (_, first) = ask(&host, &platform(), Method::GET, "/v1/tenants?limit=1", &Value::Null).await;
    let next = format!("/v1/tenants?cursor={}", first["nextCursor"].as_str().unwrap());
    let (_, second) = ask(&host, &platform(), Method::GET, &next, &Value::Null).await;
    let named = |page: &Value| page["items"][0]["id"].as_str().unwrap().to_string();
    assert_eq!((named(&first), named(&second)), ("other".into(), "sample".into()));
    // Somebody of the platform did it: the tenant's own admins can see that.
    let (_, trail) = ask(&host, &of("other", "admin"), Method::GET, "/v1/tenants/other/audit", &Value::Null).await;
    let made = trail["items"].as_array().unwrap().iter().find(|entry| entry["status"] == 201).unwrap();
    assert_eq!((made["action"].as_str(), made["actor"].as_str()), (Some("POST /tenants"), Some("ops-1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tenant_cannot_be_is_named_by_its_field() {
    let host = quiet_machine(|_| {}).await;
    let with = |field: &str, value: Value| {
        let mut asked = other();
        asked[field] = value;
        asked
    };
    for (asked, field) in [
        (with("id", json!("no spaces")), "id"),
        (with("id", json!("")), "id"),
        (with("name", json!("  ")), "name"),
        (with("timeZone", json!("Mars/Base")), "timeZone"),
        (with("defaultRegion", json!("Mars")), "defaultRegion"),
        (with("currency", json!("euros")), "budget.currency"),
        (with("settings", json!({ "quitHours": null })), "quitHours"),
    ] {
        let (status, problem) = ask(&host, &platform(), Method::POST, "/v1/tenants", &asked).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {problem}");
        assert_eq!(problem["errors"][0]["field"].as_str(), Some(field), "{problem}");
    }
    let (status, _) = ask(&host, &platform(), Method::POST, "/v1/tenants", &with("colour", json!("red"))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let own = json!({ "settings": { "quietHours": null, "prices": { "sms": "0.05", "whatsapp": "0.04" } }, "currency": "EUR" });
    let mut asked = other();
    asked.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());

    let (status, made) = ask(&host, &platform(), Method::POST, "/v1/tenants", &asked).await;

    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (_, settings) = ask(&host, &of("other", "admin"), Method::GET, "/v1/tenants/other/settings", &Value::Null).await;
    assert_eq!((&settings["budget"]["currency"], &settings["quietHours"]), (&json!("EUR"), &Value::Null));
}

/// The platform sees nothing of a tenant's, and tenants do nothing of the platform's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_the_others_keys() {
    let host = quiet_machine(|_| {}).await;
    make_other(&host).await;
    let admin = of("sample", "admin");

    for path in ["/settings", "/messages", "/conversations", "/audit"] {
        let (status, _) = ask(&host, &platform(), Method::GET, &format!("/v1/tenants/sample{path}"), &Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        // Whatever tenant its token names.
        let claims = json!({ "tenant": "sample", "role": "platform", "sub": "ops-1" });
        let (status, _) = ask(&host, &claims, Method::GET, &format!("/v1/tenants/sample{path}"), &Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    for (method, path, expected) in [
        (Method::POST, "/v1/tenants", StatusCode::FORBIDDEN),
        (Method::GET, "/v1/tenants", StatusCode::FORBIDDEN),
        (Method::GET, "/v1/tenants/sample", StatusCode::FORBIDDEN),
        (Method::POST, "/v1/tenants/sample/suspend", StatusCode::FORBIDDEN),
        (Method::DELETE, "/v1/tenants/sample", StatusCode::FORBIDDEN),
        (Method::GET, "/v1/tenants/other", StatusCode::NOT_FOUND),
        (Method::POST, "/v1/tenants/other/suspend", StatusCode::NOT_FOUND),
        (Method::POST, "/v1/tenants/other/resume", StatusCode::NOT_FOUND),
        (Method::DELETE, "/v1/tenants/other", StatusCode::NOT_FOUND),
    ] {
        let body = if method == Method::POST { other() } else { Value::Null };
        let (status, problem) = ask(&host, &admin, method.clone(), path, &body).await;
        assert_eq!(status, expected, "{method} {path}: {problem}");
    }
    let (_, known) = ask(&host, &platform(), Method::GET, "/v1/tenants/other", &Value::Null).await;
    assert_eq!(known["state"], "active");
    let (status, _) = ask_text(&host, None, Method::GET, "/v1/tenants", "text/plain", "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenant_is_read_and_obeyed_and_sends_nothing_until_it_is_resumed() {
    let host = quiet_machine(|_| {}).await;
    let text = |to: &str| json!({ "to": to, "body": "Hello" });
    let later = json!({ "to": "+12125550001", "body": "Later", "sendAt": "2026-03-10T17:00:00Z" });
    let (_, planned) = post(&host, "staff", "/messages", Some("later"), &later).await;
    let before = get(&host, "admin", "/settings").await.1;

    let why = json!({ "reason": "unpaid" });
    let (status, suspended) = ask(&host, &platform(), Method::POST, "/v1/tenants/sample/suspend", &why).await;

    assert_eq!(status, StatusCode::OK, "{suspended}");
    assert_eq!(
        (suspended["state"].as_str(), suspended["reason"].as_str(), suspended["changedBy"].as_str()),
        (Some("suspended"), Some("unpaid"), Some("ops-1"))
    );
    let again = ask(&host, &platform(), Method::POST, "/v1/tenants/sample/suspend", &json!({})).await;
    assert_eq!((again.0, &again.1["reason"]), (StatusCode::OK, &json!("unpaid")), "the first one counts");
    assert_eq!(get(&host, "viewer", "/messages").await.0, StatusCode::OK);
    for (path, body) in [("/messages", text("+12125550002")), ("/messages/test", text("+12125550002"))] {
        let (status, problem) = post(&host, "admin", path, None, &body).await;
        assert_eq!((status, code(&problem)), (StatusCode::FORBIDDEN, Some("suspended")), "{path}");
    }
    // What it owes to others it may still do.
    let (status, wish) = post(&host, "staff", "/opt-outs", None, &json!({ "number": "+12125550003" })).await;
    assert_eq!(status, StatusCode::OK, "{wish}");
    let stop = host.inbound(&tenant(), "+12125550004", "+15005550006", "STOP").await.unwrap();
    assert!(host.bring(&stop, host.clock.now()).await.is_success());
    settle(&host, SignedDuration::from_hours(2)).await;
    let message = messages_of(&host).await.into_iter().find(|message| message.id.as_str() == planned["id"]).unwrap();
    assert_eq!((message.status, message.reason), (Status::Skipped, Some(Reason::TenantDisabled)));
    assert!(host.twilio.ledger().is_empty());

    let (status, resumed) = ask(&host, &platform(), Method::POST, "/v1/tenants/sample/resume", &Value::Null).await;

    assert_eq!((status, &resumed["state"], &resumed["reason"]), (StatusCode::OK, &json!("active"), &Value::Null));
    assert_eq!(get(&host, "admin", "/settings").await.1, before, "its settings are as they were");
    let (status, _) = post(&host, "staff", "/messages", None, &text("+12125550002")).await;
    assert_eq!((status, host.twilio.ledger().len()), (StatusCode::ACCEPTED, 1));
    let (_, number) = get(&host, "viewer", "/opt-outs/+12125550004").await;
    assert_eq!(number["optedOut"], true);
    // The tenant's own trail tells of it.
    let (_, trail) = get(&host, "admin", "/audit?action=/tenants/").await;
    let actions: Vec<&str> = trail["items"].as_array().unwrap().iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["POST /tenants/{tenant}/resume", "POST /tenants/{tenant}/suspend", "POST /tenants/{tenant}/suspend"]);
}

/// What a tenant changes of itself does not lift its suspension, nor touch its entry but for the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_stored_do_not_lift_a_suspension() {
    let host = quiet_machine(|_| {}).await;
    make_other(&host).await;
    ask(&host, &platform(), Method::POST, "/v1/tenants/other/suspend", &json!({ "reason": "unpaid" })).await;
    let id = TenantId::parse("other").unwrap();
    let table = host.cx.table().await.unwrap();
    let known = shared::store::tenants::stored(table, &id).await.unwrap().unwrap();
    let mut renamed = known.settings.clone();
    renamed.name = "Other Chapel".into();

    assert!(shared::store::tenants::replace_settings(table, &id, &renamed, &known).await.unwrap());

    let (_, entry) = ask(&host, &platform(), Method::GET, "/v1/tenants/other", &Value::Null).await;
    assert_eq!((&entry["state"], &entry["name"]), (&json!("suspended"), &json!("Other Chapel")));
    assert_eq!((&entry["reason"], &entry["createdAt"]), (&json!("unpaid"), &json!("2026-03-10T16:00:00Z")));
}

/// A tenant of which there is something of everything.
async fn make_full(host: &Host) {
    make_other(host).await;
    let id = TenantId::parse("other").unwrap();
    let sender = "+15005550006";
    host.connect(&id, vec![sender.into()]).await.unwrap();
    let table = host.cx.table().await.unwrap();
    let (folder, _) = crate::machine::sample();
    let mut settings = folder.school.settings.clone();
    settings.frequency_cap = Some(50);
    shared::store::tenants::put_settings(table, &id, &settings).await.unwrap();
    host.cx.forget(&id);
    let school = shared::usecases::save_school::School { settings, ..folder.school.clone() };
    shared::usecases::save_school::save_school(&host.cx, &id, &school, host.clock.now()).await.unwrap();

    let staff = of("other", "staff");
    let post = async |path: &str, body: Value| {
        let (status, answer) = ask(host, &staff, Method::POST, &format!("/v1/tenants/other{path}"), &body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    };
    post("/messages", json!({ "to": "+12125550001", "body": "Now" })).await;
    post("/messages", json!({ "contactId": "S01", "body": "Now" })).await;
    post("/messages", json!({ "to": "+12125550001", "body": "Later", "sendAt": "2026-09-10T16:00:00Z" })).await;
    let again = json!({ "to": "+12125550001", "body": "Again", "repeat": { "cron": "0 9 * * *" } });
    post("/messages", again.clone()).await;
    let canceled = post("/messages", again).await["id"].as_str().unwrap().to_string();
    post(&format!("/messages/{canceled}/cancel"), Value::Null).await;
    post("/messages/bulk", json!({ "recipients": "+12125550001,nobody", "body": "List" })).await;
    post("/messages/bulk", json!({ "recipients": "+12125550001", "body": "Held", "sendImmediately": false })).await;
    post("/opt-outs", json!({ "number": "+12125550009" })).await;
    for body in ["Hello", "STOP"] {
        let text = host.inbound(&id, "+12125550007", sender, body).await.unwrap();
        assert!(host.bring(&text, host.clock.now()).await.is_success());
    }
    let path = "/v1/tenants/other/conversations";
    assert_eq!(ask(host, &staff, Method::GET, path, &Value::Null).await.0, StatusCode::OK);
    settle(host, SignedDuration::from_mins(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_tenant_leaves_nothing_but_word_of_it() {
    let host = quiet_machine(|_| {}).await;
    post(&host, "staff", "/messages", None, &json!({ "to": "+12125550001", "body": "Of the sample" })).await;
    settle(&host, SignedDuration::from_mins(10)).await;
    make_full(&host).await;
    let of_sample = |host: &Host| {
        let mut items: Vec<String> = items_of(host, "sample").iter().map(Value::to_string).collect();
        items.sort();
        items
    };
    let before = of_sample(&host);
    assert!(items_of(&host, "other").len() > 40, "{}", items_of(&host, "other").len());
    let delete = async || ask(&host, &platform(), Method::DELETE, "/v1/tenants/other", &Value::Null).await;

    let (status, problem) = delete().await;
    assert_eq!((status, code(&problem)), (StatusCode::CONFLICT, Some("not_suspended")));
    ask(&host, &platform(), Method::POST, "/v1/tenants/other/suspend", &json!({})).await;
    let (status, begun) = delete().await;
    assert_eq!((status, begun["state"].as_str()), (StatusCode::ACCEPTED, Some("deleting")), "{begun}");
    let (status, again) = delete().await;
    assert_eq!((status, &again["deletion"]), (StatusCode::ACCEPTED, &begun["deletion"]));
    let (status, problem) = ask(&host, &platform(), Method::POST, "/v1/tenants/other/resume", &Value::Null).await;
    assert_eq!((status, code(&problem)), (StatusCode::CONFLICT, Some("deleted")));

    let told = once_deleted(&host).await;

    assert_eq!((&told["state"], &told["name"]), (&json!("deleted"), &Value::Null), "{told}");
    assert_eq!((&told["deletion"]["finished"], &told["deletion"]["job"]), (&json!(true), &begun["deletion"]["job"]));
    let mut left: Vec<String> =
        items_of(&host, "other").iter().map(|item| item["sk"]["S"].as_str().unwrap_or_default().to_string()).collect();
    left.sort();
    assert_eq!(left, ["JOB", "other"]);
    assert_eq!(of_sample(&host), before, "the other tenant is as it was");
    let secret = host.cx.config.secret(&twilio_secret(&TenantId::parse("other").unwrap()));
    let gone = secrets::read::<Value>(&host.cx.secrets, &secret).await;
    assert!(matches!(gone, Err(SecretsError::Missing(_))));
    let (status, _) = ask(&host, &of("other", "admin"), Method::GET, "/v1/tenants/other/settings", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, taken) = ask(&host, &platform(), Method::POST, "/v1/tenants", &other()).await;
    assert_eq!((status, code(&taken)), (StatusCode::CONFLICT, Some("exists")));
    let (_, listed) = ask(&host, &platform(), Method::GET, "/v1/tenants", &Value::Null).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // The nights go on without it.
    host.tick(host.clock.now()).await.unwrap();
}

/// What the platform is told of the other tenant once the minute ticks have deleted it, if they do.
async fn once_deleted(host: &Host) -> Value {
    let mut told = Value::Null;
    for _ in 0..10 {
        host.clock.set(host.clock.now() + SignedDuration::from_mins(2));
        host.tick(host.clock.now()).await.unwrap();
        told = ask(host, &platform(), Method::GET, "/v1/tenants/other", &Value::Null).await.1;
        if told["state"] == "deleted" {
            break;
        }
    }
    told
}

#[tokio::test]
async fn a_tenant_that_never_had_an_account_is_deleted_too() {
    let host = quiet_machine(|_| {}).await;
    make_other(&host).await;

    ask(&host, &platform(), Method::POST, "/v1/tenants/other/suspend", &json!({})).await;
    ask(&host, &platform(), Method::DELETE, "/v1/tenants/other", &Value::Null).await;

    assert_eq!(once_deleted(&host).await["state"], "deleted");
}

/// S0-107, S1-92, S1-93, S3-82: the page comes without a token and brings nothing from elsewhere.
#[tokio::test]
async fn the_documentation_is_one_page_for_everybody() {
    let host = quiet_machine(|_| {}).await;

    let (status, page) = ask_text(&host, None, Method::GET, "/docs", "text/plain", "").await;

    assert_eq!(status, StatusCode::OK);
    for link in ["/v1/openapi.json", "https://status.twilio.com", "https://help.twilio.com", "https://www.twilio.com/docs"] {
        assert!(page.contains(link), "{link}");
    }
    assert!(page.contains("MIT License") && page.contains("Apache License"));
    for fetched in ["src=", "<link", "@import"] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}
