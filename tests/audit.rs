//! The audit trail: who did what, when and from where (S0-71, S3-47, S3-59).

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use jiff::SignedDuration;
use local::host::Host;
use serde_json::{Value, json};

use crate::machine::{get, get_text, post, quiet_machine, tenant};
use crate::tenants::{IP, ask, ask_text, of, platform};

const NUMBER: &str = "+12125550001";

async fn trail(host: &Host, query: &str) -> Vec<Value> {
    let (status, page) = get(host, "admin", &format!("/audit{query}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["items"].as_array().unwrap().clone()
}

/// Method, route and status of each entry.
fn told(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {}", entry["action"].as_str().unwrap(), entry["status"])).collect()
}

/// The trail's items, as they lie in the table.
fn stored(host: &Host) -> Vec<Value> {
    let is_entry = |item: &Value| item["pk"]["S"].as_str().unwrap_or_default().contains("#AUDIT#");
    host.aws.items().into_iter().filter(is_entry).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_and_every_look_at_people_is_written_down() {
    let host = quiet_machine(|_| {}).await;
    let staff = of("sample", "staff");
    let viewer = of("sample", "viewer");
    let at = |path: &str| format!("/v1/tenants/sample{path}");
    let wish = json!({ "number": "(212) 555-0001", "reason": "Moved away" });

    ask(&host, &staff, Method::POST, &at("/opt-outs"), &wish).await;
    ask(&host, &viewer, Method::POST, &at("/opt-outs"), &wish).await;
    ask(&host, &staff, Method::POST, &at("/opt-outs"), &json!({ "number": "12" })).await;
    ask(&host, &viewer, Method::GET, &at(&format!("/opt-outs/{NUMBER}")), &Value::Null).await;
    ask(&host, &viewer, Method::GET, &at("/messages?contact=S01"), &Value::Null).await;
    ask(&host, &viewer, Method::GET, &at("/messages/msg_00000000000000000000000000000000"), &Value::Null).await;

    // Newest first; those of one instant in no order.
    let entries = trail(&host, "").await;
    let seen: BTreeSet<String> = told(&entries).into_iter().collect();
    let expected = [
        "GET /messages 200",
        "GET /messages/{id} 404",
        "GET /opt-outs/{number} 200",
        "POST /opt-outs 200",
        "POST /opt-outs 403",
        "POST /opt-outs 422",
    ];
    assert_eq!(seen, BTreeSet::from(expected.map(str::to_string)));
    let entry = entries.iter().find(|entry| entry["status"] == 200 && entry["action"] == "POST /opt-outs").unwrap();
    assert_eq!((entry["actor"].as_str(), entry["role"].as_str()), (Some("sample-staff"), Some("staff")));
    assert_eq!((entry["ip"].as_str(), entry["userAgent"].as_str()), (Some(IP), Some("tests/1")));
    assert_eq!(entry["at"], "2026-03-10T16:00:00Z");
    assert!(entry["id"].as_str().unwrap().len() > 8);
    // However the number was written, it is the same one; and a contact is found by its id.
    let of_number: BTreeSet<String> = told(&trail(&host, "?number=212-555-0001").await).into_iter().collect();
    let expected = ["GET /opt-outs/{number} 200", "POST /opt-outs 200", "POST /opt-outs 403"];
    assert_eq!(of_number, BTreeSet::from(expected.map(str::to_string)));
    assert_eq!(told(&trail(&host, "?contact=S01").await)[..1], ["GET /messages 200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_shows_nobody_what_says_who_asked_and_who_got_nowhere_are_left_out() {
    let host = quiet_machine(|settings| settings.requests_per_minute = 60).await;
    let admin = of("sample", "admin");
    let at = |path: &str| format!("/v1/tenants/sample{path}");

    ask(&host, &admin, Method::GET, &at("/settings"), &Value::Null).await;
    ask(&host, &admin, Method::GET, &at("/analytics/engagement"), &Value::Null).await;
    let (_, sent) = ask(&host, &admin, Method::POST, &at("/messages"), &json!({ "to": NUMBER, "body": "Hello" })).await;
    ask(&host, &of("other", "admin"), Method::POST, &at("/opt-outs"), &json!({ "number": NUMBER })).await;
    ask(&host, &platform(), Method::GET, &at("/messages"), &Value::Null).await;
    ask(&host, &of("sample", "nonsense"), Method::POST, &at("/opt-outs"), &json!({ "number": NUMBER })).await;
    ask_text(&host, None, Method::POST, &at("/opt-outs"), "application/json", "{}").await;
    ask(&host, &admin, Method::DELETE, &at("/opt-outs"), &Value::Null).await;
    ask(&host, &admin, Method::POST, &at("/nothing"), &json!({})).await;
    let before = stored(&host).len();
    while ask(&host, &admin, Method::POST, &at("/opt-outs"), &json!({})).await.0 != StatusCode::TOO_MANY_REQUESTS {}
    let refused = stored(&host).len();
    ask(&host, &admin, Method::POST, &at("/opt-outs"), &json!({})).await;

    assert_eq!(before, 0);
    assert_eq!(stored(&host).len(), refused, "nobody fills the trail by calling too often");
    host.clock.set(host.clock.now() + SignedDuration::from_mins(2));
    let (_, message) = get(&host, "viewer", &format!("/messages/{}", sent["id"].as_str().unwrap())).await;
    assert_eq!(message["sentBy"], "sample-admin", "a single send says itself who asked");
}

/// Personal data does not lie in the trail: once a contact is forgotten there is nothing to take out of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_holds_no_number_no_contact_and_no_address() {
    let host = quiet_machine(|_| {}).await;
    let staff = of("sample", "staff");
    for (method, path, body) in [
        (Method::POST, "/opt-outs", json!({ "number": NUMBER, "reason": "Ms Elderflower called" })),
        (Method::POST, "/opt-outs", json!({ "contactId": "S01", "reason": "Ms Elderflower called" })),
        (Method::GET, "/opt-outs/212%20555%200001", Value::Null),
        (Method::GET, "/messages?contact=S01", Value::Null),
        (Method::POST, "/messages/preview", json!({ "contactId": "S01", "body": "Ms Elderflower" })),
    ] {
        let (status, answer) = ask(&host, &staff, method, &format!("/v1/tenants/sample{path}"), &body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    }

    let path = "/v1/tenants/sample/phone-numbers/%2B15005550006/wire";
    assert_eq!(ask(&host, &staff, Method::POST, path, &Value::Null).await.0, StatusCode::FORBIDDEN);

    let stored = stored(&host);

    let wired = trail(&host, "?action=wire").await;
    assert_eq!(wired[0]["target"], "+15005550006", "admins see which of their numbers it was");
    assert_eq!(stored.len(), 6);
    for item in &stored {
        let text = item.to_string();
        for personal in ["2125550001", "555", "5005550006", "S01", "Elderflower", IP, "tests/1"] {
            assert!(!item_says(&text, personal), "{personal}: {text}");
        }
        // After 400 days, unless the tenant says otherwise, it expires.
        let expires: i64 = item["expires"]["N"].as_str().unwrap().parse().unwrap();
        assert_eq!(expires, (host.clock.now() + SignedDuration::from_hours(24 * 400)).as_second());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_change_named_is_told_without_the_values() {
    let host = quiet_machine(|_| {}).await;
    let admin = of("sample", "admin");
    let named = async |action: &str| -> Vec<Value> {
        trail(&host, &format!("?action={action}")).await.iter().map(|entry| entry["fields"].clone()).collect()
    };

    let change = json!({ "quietHours": "21:30-07:00", "Ms Elderflower": true });
    ask(&host, &admin, Method::PATCH, "/v1/tenants/sample/settings", &change).await;
    let change = json!({ "name": "Ms Elderflower", "groups": ["Elderflowers"] });
    let (status, answer) = ask(&host, &admin, Method::PATCH, "/v1/tenants/sample/contacts/S01", &change).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    ask(&host, &admin, Method::POST, "/v1/tenants/sample/opt-outs", &json!({ "number": NUMBER, "reason": "Asked" })).await;

    assert_eq!(named("patch%20/settings").await, [json!(["quietHours"])]);
    assert_eq!(named("patch%20/contacts").await, [json!(["groups", "name"])]);
    assert_eq!(named("post%20/opt-outs").await, [json!([])], "what a request does says its route");
    assert!(stored(&host).iter().all(|item| !item.to_string().contains("Elderflower")));
}

/// S0-50: whoever has a link has no token; what they change is written down as the contact's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_contact_changes_by_its_link_is_the_contacts() {
    let host = quiet_machine(|_| {}).await;
    let (_, link) = post(&host, "staff", "/contacts/S01/preferences-link", None, &json!({})).await;
    let token = link["url"].as_str().unwrap().rsplit('/').next().unwrap().to_string();
    let path = format!("/v1/preferences/{token}");
    let choice = json!({ "optedOutCategories": ["marketing"] }).to_string();
    let form = "application/x-www-form-urlencoded";

    let (status, answer) = ask_text(&host, None, Method::PUT, &path, "application/json", &choice).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, _) = ask_text(&host, None, Method::POST, &path, form, "stop=marketing&was=marketing&was_stopped=no").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    // What shows a contact itself, changes nothing, or comes from nobody is none of it.
    ask_text(&host, None, Method::GET, &path, "application/json", "").await;
    ask_text(&host, None, Method::PUT, &path, "application/json", "{").await;
    ask_text(&host, None, Method::PUT, &format!("{path}x"), "application/json", &choice).await;

    let entries = trail(&host, "?contact=S01").await;
    let of_contact: Vec<&Value> = entries.iter().filter(|entry| entry["role"] == "contact").collect();
    let told: BTreeSet<String> = told(&entries).into_iter().filter(|told| told.contains("{token}")).collect();
    let expected = ["POST /preferences/{token} 303", "PUT /preferences/{token} 200"];
    assert_eq!(told, BTreeSet::from(expected.map(str::to_string)));
    assert_eq!(of_contact.len(), 2);
    assert!(of_contact.iter().all(|entry| entry["actor"].is_null() && entry["target"].is_null() && entry["ip"] == IP));
    assert!(stored(&host).iter().all(|item| !item.to_string().contains(&token)), "a link is good for weeks");
}

/// Whether an item says `personal`, but for hashes and ids, whose digits are nobody's.
fn item_says(text: &str, personal: &str) -> bool {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+./".contains(c)));
    words.filter(|word| !(word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit()))).any(|word| word == personal)
        || (personal.len() > 4 && text.contains(personal))
}

/// An entry that is larger than an item may be cannot be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_down_does_not_get_out() {
    let host = quiet_machine(|_| {}).await;
    let claims = |sub: String| json!({ "tenant": "sample", "role": "viewer", "sub": sub });
    let path = "/v1/tenants/sample/opt-outs";

    let (status, shown) = ask(&host, &claims("user-1".into()), Method::GET, path, &Value::Null).await;
    assert_eq!((status, shown["items"].is_array()), (StatusCode::OK, true));
    let (status, withheld) = ask(&host, &claims("x".repeat(450_000)), Method::GET, path, &Value::Null).await;

    assert_eq!((status, withheld["code"].as_str()), (StatusCode::INTERNAL_SERVER_ERROR, Some("internal")));
    assert!(withheld.get("items").is_none());
    assert_eq!(stored(&host).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_is_read_by_page_over_the_months_by_filter_and_as_a_file() {
    let host = quiet_machine(|_| {}).await;
    let at = "/v1/tenants/sample/opt-outs";
    for month in 0..3 {
        for user in ["ann", "ben"] {
            let claims = json!({ "tenant": "sample", "role": "staff", "sub": user });
            let wish = json!({ "number": NUMBER, "reason": format!("month {month}") });
            assert_eq!(ask(&host, &claims, Method::POST, at, &wish).await.0, StatusCode::OK);
            ask(&host, &claims, Method::GET, at, &Value::Null).await;
            host.clock.set(host.clock.now() + SignedDuration::from_mins(1));
        }
        host.clock.set(host.clock.now() + SignedDuration::from_hours(24 * 30));
    }

    let mut all: Vec<Value> = Vec::new();
    let mut query = "?limit=5".to_string();
    loop {
        let (status, page) = get(&host, "admin", &format!("/audit{query}&action=/opt-outs")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => query = format!("?limit=5&cursor={next}"),
            None => break,
        }
    }

    assert_eq!(all.len(), 12);
    let instants: Vec<&str> = all.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(instants.windows(2).all(|pair| pair[0] >= pair[1]), "the latest first: {instants:?}");
    let ids: BTreeSet<&str> = all.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 12, "each once");
    assert_eq!(trail(&host, "?actor=ann&action=post").await.len(), 3);
    assert_eq!(trail(&host, "?from=2026-04-01T00:00:00Z&to=2026-04-30T00:00:00Z&actor=ben").await.len(), 2);
    assert_eq!(trail(&host, &format!("?number={}", NUMBER.replace('+', "%2B"))).await.len(), 6);
    let file = get_text(&host, "admin", "/audit/export?from=2026-03-01T00:00:00Z&actor=ben").await;
    let mut lines = file.lines();
    assert_eq!(lines.next(), Some("at,actor,role,action,target,contact,number,status,ip,userAgent,id,fields"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() == 6 && lines.iter().all(|line| line.contains(",ben,staff,")), "{file}");
    // Of the last 31 days, if nothing is said.
    let file = get_text(&host, "admin", "/audit/export?actor=ben").await;
    assert_eq!(file.lines().count(), 3, "{file}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_is_the_admins_and_what_is_asked_of_it_must_make_sense() {
    let host = quiet_machine(|_| {}).await;
    for role in ["viewer", "staff"] {
        for path in ["/audit", "/audit/export"] {
            assert_eq!(get(&host, role, path).await.0, StatusCode::FORBIDDEN, "{role} {path}");
        }
    }
    for query in [
        "?to=2026-03-01T00:00:00Z&from=2026-03-02T00:00:00Z",
        "?limit=0",
        "?limit=201",
        "?from=yesterday",
        "?cursor=nonsense",
        "?whom=S01",
    ] {
        let (status, problem) = get(&host, "admin", &format!("/audit{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {problem}");
    }
    // A year of which there can be nothing costs no looking for it.
    let (status, page) = get(&host, "admin", "/audit?from=0001-01-01T00:00:00Z&to=9999-01-01T00:00:00Z").await;
    assert_eq!((status, page["nextCursor"].is_null()), (StatusCode::OK, true));
    // Looking into the trail is written down too.
    let (_, page) = get(&host, "admin", "/audit?action=GET%20/audit").await;
    assert!(page["items"].as_array().unwrap().len() >= 10);
    let nobody = post(&host, "admin", "/audit", None, &json!({})).await;
    assert_eq!(nobody.0, StatusCode::METHOD_NOT_ALLOWED, "nobody writes into it for {}", tenant());
}
