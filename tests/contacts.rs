//! `/contacts`, `/groups` and preferences: finding people, changing them together, and what they decide themselves.

use std::collections::BTreeSet;

use axum::body::to_bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use local::gateway;
use local::host::Host;
use serde_json::{Value, json};
use shared::domain::consent::{Scope, Wish};
use shared::domain::contact::{Category, Contact};
use shared::domain::evidence::{Entry, Method as How};
use shared::domain::lesson::{Lesson, LessonStatus, Students};
use shared::domain::message::{Message, Reason, Status};
use shared::domain::phone::PhoneNumber;
use shared::domain::standing::Standing;
use shared::files;
use shared::store::{consents, contacts, lessons};
use shared::usecases::preferences_link::sign_link;

use crate::machine::{delete, get, get_text, messages_of, patch, post, put, quiet_machine, settle, tenant};

/// The sample school's S01, alone at this number.
const KNOWN: &str = "+15550100201";
const SENDER: &str = "+15005550006";
const FORM: &str = "application/x-www-form-urlencoded";

fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::from_e164(text).unwrap()
}

/// A request of `manageTenant` with headers of its own; without claims it is of somebody who has no token.
async fn call(
    host: &Host,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    claims: Option<Value>,
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let event = gateway::event(&method, path, query, &map, &Bytes::from(body.to_string()), claims, host.clock.now());
    let (parts, body) = host.functions.api(event).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Opens a link, or changes what is behind it.
async fn open(host: &Host, method: Method, token: &str, body: &Value) -> (StatusCode, Value) {
    let path = format!("/v1/preferences/{token}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, body) = call(host, method, &path, &[("content-type", "application/json")], None, &body).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

async fn page(host: &Host, token: &str) -> (StatusCode, HeaderMap, String) {
    let accept = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    call(host, Method::GET, &format!("/v1/preferences/{token}"), &accept, None, "").await
}

async fn submit(host: &Host, token: &str, form: &str) -> (StatusCode, String) {
    let path = format!("/v1/preferences/{token}");
    let (status, _, body) = call(host, Method::POST, &path, &[("content-type", FORM)], None, form).await;
    (status, body)
}

/// A link of a contact, as staff asks for it.
async fn token(host: &Host, contact: &str) -> String {
    let (status, link) = post(host, "staff", &format!("/contacts/{contact}/preferences-link"), None, &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{link}");
    link["url"].as_str().unwrap().rsplit('/').next().unwrap().to_string()
}

async fn history(host: &Host, of: &str) -> Vec<Entry> {
    consents::history(host.cx.table().await.unwrap(), &tenant(), &number(of)).await.unwrap()
}

async fn standing(host: &Host, of: &str) -> Standing {
    let table = host.cx.table().await.unwrap();
    consents::standings(table, &tenant(), &[&number(of)]).await.unwrap().remove(&number(of)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_made_once_changed_in_part_and_replaced() {
    let host = quiet_machine(|_| {}).await;
    let body = json!({
        "id": "P-1", "name": " Zoë Hart ", "phone": "(212) 555-0161", "whatsapp": "212-555-0162",
        "email": "zoe@families.example", "channel": "both", "timeZone": "America/Chicago",
        "groups": ["Strings", "Strings", " Theory 1 ", ""], "quietHours": "21:30-7:00",
        "attributes": { "Shoe Size": 38, "member": true, "note": "" },
    });

    let (status, made) = post(&host, "staff", "/contacts", None, &body).await;
    let (_, read) = get(&host, "viewer", "/contacts/P-1").await;
    let (again, problem) = post(&host, "staff", "/contacts", None, &body).await;
    let (viewer, _) = post(&host, "viewer", "/contacts", None, &json!({ "name": "x" })).await;

    assert_eq!((status, &made), (StatusCode::CREATED, &read));
    assert_eq!((again, problem["code"].as_str()), (StatusCode::CONFLICT, Some("exists")));
    assert_eq!(viewer, StatusCode::FORBIDDEN);
    assert_eq!((&read["name"], &read["phone"]["number"]), (&json!("Zoë Hart"), &json!("+12125550161")));
    assert_eq!((&read["whatsapp"]["number"], &read["phone"]["usable"]), (&json!("+12125550162"), &json!(true))); // S0-54
    assert_eq!((&read["groups"], &read["quietHours"]), (&json!(["Strings", "Theory 1"]), &json!("21:30-07:00")));
    assert_eq!(read["attributes"], json!({ "member": "true", "shoesize": "38" }));

    let change = json!({ "whatsapp": null, "channel": null, "attributes": { "shoe-size": null, "Row": "B" } });
    let (status, changed) = patch(&host, "staff", "/contacts/P-1", &change).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!((&changed["whatsapp"], &changed["channel"], &changed["name"]), (&Value::Null, &Value::Null, &json!("Zoë Hart")));
    assert_eq!(changed["attributes"], json!({ "member": "true", "row": "B" }));

    assert_eq!(patch(&host, "staff", "/contacts/P-1", &json!({ "optedOut": false })).await.0, StatusCode::OK, "it is not");
    let opted_out = json!({ "name": "Zoe", "optedOut": true, "optedOutCategories": ["marketing"] });
    let (status, replaced) = put(&host, "staff", "/contacts/P-1", &opted_out).await;
    assert_eq!((status, &replaced["phone"], &replaced["groups"]), (StatusCode::OK, &Value::Null, &json!([])));
    let (_, replaced) = put(&host, "staff", "/contacts/P-1", &json!({ "name": "Zoe" })).await;
    assert_eq!(
        (&replaced["optedOut"], &replaced["optedOutCategories"]),
        (&json!(true), &json!(["marketing"])),
        "nobody is opted in by leaving something out"
    );
    let (status, _) = put(&host, "staff", "/contacts/P-2", &json!({ "name": "Ann" })).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(patch(&host, "staff", "/contacts/nobody", &json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&host, "viewer", "/contacts/nobody").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_id_the_key_makes_one_contact() {
    let host = quiet_machine(|_| {}).await;
    let body = json!({ "name": "Ann", "phone": "2125550161" });

    let first = post(&host, "staff", "/contacts", Some("k"), &body).await;
    let second = post(&host, "staff", "/contacts", Some("k"), &body).await;
    let own = json!({ "id": "own", "name": "Cy" });
    let made = post(&host, "staff", "/contacts", Some("own"), &own).await;
    assert_eq!((made.0, &made), (StatusCode::CREATED, &post(&host, "staff", "/contacts", Some("own"), &own).await));
    let other = json!({ "id": "own", "name": "Di" });
    let (status, problem) = post(&host, "staff", "/contacts", Some("own"), &other).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("exists")));
    let (status, problem) = post(&host, "staff", "/contacts", Some("k"), &json!({ "name": "Ben" })).await;

    assert_eq!((first.0, &first), (StatusCode::CREATED, &second));
    assert!(first.1["id"].as_str().unwrap().starts_with("c_"));
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_right_of_a_contact_is_named_field_by_field() {
    let host = quiet_machine(|_| {}).await;
    let wrong = json!({
        "id": "a/b", "name": " ", "phone": "call me", "whatsapp": "+0987654321", "email": "nobody", "timeZone": "Mars",
        "groups": ["a|b"], "quietHours": "9pm", "attributes": { "Phone": "1" },
    });
    let every = [
        ("id", "invalid"),
        ("name", "required"),
        ("phone", "invalid_number"),
        ("whatsapp", "invalid_number"),
        ("email", "invalid"),
        ("timeZone", "invalid"),
        ("groups[0]", "invalid"),
        ("quietHours", "invalid"),
        ("attributes.Phone", "invalid"),
    ];
    let (status, problem) = post(&host, "staff", "/contacts", None, &wrong).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, every.to_vec()), "{problem}");

    for (body, expected) in [
        (json!({}), ("name", "required")),
        (json!({ "name": "x", "id": "export" }), ("id", "invalid")),
        (json!({ "name": "x", "shoe": 1 }), ("shoe", "invalid")),
        (json!({ "name": "x", "channel": "fax" }), ("channel", "invalid")),
        (json!({ "name": "x".repeat(201) }), ("name", "too_long")),
    ] {
        let (_, problem) = post(&host, "staff", "/contacts", None, &body).await;
        assert_eq!(errors(&problem), [expected], "{body}");
    }
    let (_, problem) = patch(&host, "staff", "/contacts/S01", &json!({ "id": "S02", "channel": "fax" })).await;
    assert_eq!(errors(&problem), [("channel", "invalid")]);
    let (_, problem) = put(&host, "staff", "/contacts/S01", &json!({ "id": "S02", "name": "x" })).await;
    assert_eq!(errors(&problem), [("id", "invalid")]);
    let (_, kept) = patch(&host, "staff", "/contacts/S09", &json!({ "name": "Ida" })).await;
    assert_eq!((&kept["phone"]["number"], &kept["phone"]["usable"]), (&json!("call the office"), &json!(false)));
}

/// S1-27..30, D1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_taken_as_people_write_them_and_strict_tenants_take_valid_ones_only() {
    let host = quiet_machine(|_| {}).await;
    for (given, e164) in [
        ("+1234567890", "+1234567890"),
        ("1234567890", "+11234567890"),
        ("555-123-4567", "+15551234567"),
        ("(555) 123-4567", "+15551234567"),
    ] {
        let (status, view) = put(&host, "staff", "/contacts/N1", &json!({ "name": "Ann", "phone": given })).await;
        assert!(status.is_success(), "{given}: {view}");
        assert_eq!((&view["phone"]["number"], &view["phone"]["valid"]), (&json!(e164), &json!(false)), "{given}");
        assert!(view["phone"]["warning"].is_string());
    }

    let strict = quiet_machine(|settings| settings.strict_numbers = true).await;
    let (status, problem) = post(&strict, "staff", "/contacts", None, &json!({ "name": "Ann", "phone": "5551234567" })).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("phone", "invalid_number")]));
    let (status, view) = patch(&strict, "staff", "/contacts/S01", &json!({ "name": "Ana R." })).await;
    assert_eq!((status, &view["phone"]["number"]), (StatusCode::OK, &json!(KNOWN)), "what is there already stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_found_by_name_id_address_and_number() {
    let host = quiet_machine(|_| {}).await;
    for (search, found) in [
        ("chloe", vec!["S03"]),
        ("LARSEN", vec!["S05", "S06"]),
        ("larsen%20finn", vec!["S06"]),
        ("%2B15550100201", vec!["S01"]),
        ("+15550100201", vec!["S01"]),
        ("(555)%20010-0201", vec!["S01"]),
        ("555.010.0201", vec!["S01"]),
        ("15550100205", vec!["S05", "S06"]),
        ("0214", vec!["S14"]),
        ("nia@", vec!["S14"]),
        ("s13", vec!["S13"]),
        ("zzz", vec![]),
    ] {
        let (status, page) = get(&host, "viewer", &format!("/contacts?search={search}")).await;
        assert_eq!((status, ids(&page)), (StatusCode::OK, found), "{search}: {page}");
    }
    let (_, page) = get(&host, "viewer", "/contacts?search=e&group=Strings").await;
    assert_eq!(ids(&page), ["S01", "S02", "S03", "S14"], "their addresses have an e");
    let (_, page) = get(&host, "viewer", "/contacts?search=5550100205&group=Beginners").await;
    assert_eq!(ids(&page), ["S06"]);

    for (query, every) in [("search=s0&limit=2", 9), ("limit=4", 14), ("group=Strings&limit=1", 4), ("search=zz&limit=1", 0)] {
        let mut seen: Vec<String> = Vec::new();
        let mut cursor = String::new();
        loop {
            let (status, page) = get(&host, "viewer", &format!("/contacts?{query}{cursor}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            seen.extend(ids(&page).into_iter().map(str::to_string));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
        assert_eq!(seen.len(), every, "{query}");
    }
    for query in ["limit=201", "cursor=%3D", "sort=name"] {
        let (status, problem) = get(&host, "viewer", &format!("/contacts?{query}")).await;
        assert_eq!((status, errors(&problem).len()), (StatusCode::UNPROCESSABLE_ENTITY, 1), "{query}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_what_was_not_seen_is_refused() {
    let host = quiet_machine(|_| {}).await;
    let claims = || Some(json!({ "tenant": "sample", "role": "staff", "sub": "user-2" }));
    let path = "/v1/tenants/sample/contacts/S01";
    let (_, headers, body) = call(&host, Method::GET, path, &[], claims(), "").await;
    let seen = headers["etag"].to_str().unwrap().to_string();
    let version = serde_json::from_str::<Value>(&body).unwrap()["version"].as_str().unwrap().to_string();
    assert_eq!(seen, format!("\"{version}\""));
    patch(&host, "staff", "/contacts/S01", &json!({ "email": "new@families.example" })).await;

    let json = ("content-type", "application/json");
    let change = json!({ "name": "Ana R." }).to_string();
    let (late, _, problem) = call(&host, Method::PATCH, path, &[json, ("if-match", seen.as_str())], claims(), &change).await;
    let (_, headers, _) = call(&host, Method::GET, path, &[], claims(), "").await;
    let now = headers["etag"].to_str().unwrap().to_string();
    let (fresh, _, changed) = call(&host, Method::PATCH, path, &[json, ("if-match", now.as_str())], claims(), &change).await;

    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((late, problem["code"].as_str()), (StatusCode::CONFLICT, Some("changed")));
    let changed: Value = serde_json::from_str(&changed).unwrap();
    assert_eq!((fresh, &changed["email"]), (StatusCode::OK, &json!("new@families.example")));
    let (missing, ..) =
        call(&host, Method::PUT, "/v1/tenants/sample/contacts/new", &[json, ("if-match", "*")], claims(), &change).await;
    assert_eq!(missing, StatusCode::CONFLICT, "whoever expects it there does not make it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_change_at_once_is_all_kept() {
    let host = quiet_machine(|_| {}).await;
    let none = json!({});

    let joined = tokio::join!(
        put(&host, "staff", "/groups/A/members/S05", &none),
        put(&host, "staff", "/groups/B/members/S05", &none),
        put(&host, "staff", "/groups/C/members/S05", &none),
    );
    let (five, six) = (json!({ "optedOut": true }), json!({ "optedOutCategories": ["lessons"] }));
    let changed = tokio::join!(patch(&host, "staff", "/contacts/S05", &five), patch(&host, "staff", "/contacts/S06", &six));

    assert_eq!([joined.0.0, joined.1.0, joined.2.0, changed.0.0, changed.1.0], [StatusCode::OK; 5]);
    let (_, contact) = get(&host, "viewer", "/contacts/S05").await;
    let mut groups: Vec<&str> = contact["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["A", "B", "C"]);
    // They share a number, beside which lies what both wish.
    let shared = number("+15550100205");
    let table = host.cx.table().await.unwrap();
    let known = contacts::at_numbers(table, &tenant(), &[&shared]).await.unwrap().remove(&shared).unwrap();
    assert!(known["S05"].opted_out && known["S06"].opted_out_categories.contains(&Category::Lessons), "{known:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_left_keeps_no_wishes_and_is_remembered() {
    let host = quiet_machine(|_| {}).await;
    let table = host.cx.table().await.unwrap();
    let (old, new) = (number(KNOWN), number("+12125550161"));

    patch(&host, "staff", "/contacts/S01", &json!({ "phone": "2125550161", "optedOut": true })).await;
    patch(&host, "staff", "/contacts/S01", &json!({ "phone": null })).await;

    let known = contacts::at_numbers(table, &tenant(), &[&old, &new]).await.unwrap();
    assert!(known.values().all(|contacts| contacts.is_empty()), "{known:?}");
    let contact = contacts::get(table, &tenant(), "S01").await.unwrap().unwrap();
    let hashes = [&old, &new].map(|number| table.keyring().number_hash(number));
    assert_eq!(contact.former_numbers, BTreeSet::from(hashes));
    let mut forged = contact.clone();
    forged.former_numbers.clear();
    contacts::put_many(table, &tenant(), &[forged]).await.unwrap();
    assert_eq!(contacts::get(table, &tenant(), "S01").await.unwrap(), Some(contact.clone()));

    contacts::delete(table, &tenant(), &contact).await.unwrap();
    contacts::delete(table, &tenant(), &contact).await.unwrap();
    assert_eq!(contacts::get(table, &tenant(), "S01").await.unwrap(), None);
    assert!(!contacts::members(table, &tenant(), "Strings").await.unwrap().contains(&"S01".to_string()));
}

fn lesson(host: &Host, id: &str, group: &str) -> Lesson {
    Lesson {
        id: id.into(),
        subject: "Quartet".into(),
        teacher: "Ms. Rivera".into(),
        starts_at: host.clock.now() + SignedDuration::from_hours(25),
        time_zone: "America/New_York".to_string().try_into().unwrap(),
        students: Students { contacts: Vec::new(), groups: vec![group.into()] },
        course: None,
        duration_minutes: None,
        status: LessonStatus::Scheduled,
        version: 1,
        changed_at: Timestamp::UNIX_EPOCH,
    }
}

/// S4-07: a group is whoever is in it when it matters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_a_group_gets_its_reminders_and_whoever_leaves_does_not() {
    let host = quiet_machine(|_| {}).await;
    let table = host.cx.table().await.unwrap();
    let both = [lesson(&host, "L1", "Strings"), lesson(&host, "L2", "Beginners")];
    lessons::put_many(table, &tenant(), &both).await.unwrap();
    let of = async |contact: &str| -> Vec<Message> {
        messages_of(&host).await.into_iter().filter(|message| message.contact.as_deref() == Some(contact)).collect()
    };

    let (status, member) = put(&host, "staff", "/groups/Strings/members/S04", &json!({})).await;
    put(&host, "staff", "/groups/Strings/members/S04", &json!({})).await;
    put(&host, "staff", "/groups/Strings/members/S13", &json!({})).await;

    assert_eq!((status, &member["id"], &member["name"]), (StatusCode::OK, &json!("S04"), &json!("Dai Nakamura")));
    let planned = of("S04").await;
    assert_eq!(planned.iter().map(|message| message.subject.as_str()).collect::<Vec<_>>(), ["L1"; 2], "24 hours and 1 before");
    assert_eq!(messages_of(&host).await.len(), 4, "nobody else is planned for");

    let (status, _) = delete(&host, "staff", "/groups/Strings/members/S04").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&host, "staff", "/groups/Strings/members/S04").await.0, StatusCode::NOT_FOUND);
    settle(&host, SignedDuration::from_hours(2)).await;
    let first = |messages: Vec<Message>| messages.into_iter().min_by_key(|message| message.due_at).unwrap();
    assert_eq!(first(of("S04").await).reason, Some(Reason::NotAttending));
    let went = first(of("S13").await);
    assert_eq!((went.reason, went.status > Status::Sending), (None, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_with_whoever_is_in_them() {
    let host = quiet_machine(|_| {}).await;

    let (_, groups) = get(&host, "viewer", "/groups").await;
    let (_, first) = get(&host, "viewer", "/groups/Strings?limit=3").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let (_, second) = get(&host, "viewer", &format!("/groups/Strings?limit=3&cursor={cursor}")).await;

    assert_eq!(groups["items"], json!([{ "name": "Beginners", "members": 4 }, { "name": "Strings", "members": 4 }]));
    assert_eq!((ids(&first), ids(&second)), (vec!["S01", "S02", "S03"], vec!["S14"]));
    assert_eq!(first["items"][2]["name"], "Chloé Laurent");
    let nothing = [
        get(&host, "viewer", "/groups/Nobody").await.0,
        put(&host, "staff", "/groups/Strings/members/nobody", &json!({})).await.0,
        delete(&host, "staff", "/groups/Strings/members/nobody").await.0,
    ];
    assert_eq!(nothing, [StatusCode::NOT_FOUND; 3]);
    assert_eq!(put(&host, "viewer", "/groups/Strings/members/S04", &json!({})).await.0, StatusCode::FORBIDDEN);
    let (status, problem) = put(&host, "staff", "/groups/a%7Cb/members/S04", &json!({})).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("name", "invalid")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_can_be_imported_and_is_no_formula() {
    let host = quiet_machine(|_| {}).await;
    let odd = json!({
        "phone": "+1234567890", "whatsapp": "212 555 0162", "email": "zoe@families.example",
        "channel": "whatsapp", "timeZone": "Europe/London", "groups": ["Choir", "Théorie, 1"], "quietHours": "20:00-09:30",
        "optedOut": true, "optedOutCategories": ["reservation", "marketing"], "attributes": { "Shoe Size": "38; or 39" },
    });
    let with_name = |name: &str| {
        let mut odd = odd.clone();
        odd["name"] = name.into();
        odd
    };
    put(&host, "staff", "/contacts/Z1", &with_name("Hart; \"Zoë\", no")).await;

    let text = get_text(&host, "admin", "/contacts/export").await;
    let choir = get_text(&host, "admin", "/contacts/export?group=Choir").await;
    let (staff, _) = get(&host, "staff", "/contacts/export").await;

    assert_eq!(staff, StatusCode::FORBIDDEN);
    let settings = host.cx.settings(&tenant(), host.clock.now()).await.unwrap();
    let read = |text: &str| {
        let mut report = files::Report::default();
        let contacts = files::contacts("contacts.csv", text.as_bytes(), &settings, &mut report).unwrap();
        assert_eq!(report, files::Report::default());
        contacts
    };
    let stored = contacts::all(host.cx.table().await.unwrap(), &tenant()).await.unwrap();
    assert_eq!(stored.len(), 15);
    assert!(stored.iter().any(|contact| contact.id == "Z1" && contact.opted_out_categories.contains(&Category::Reservation)));
    assert_eq!(read(&text), stored);
    assert_eq!(read(&choir).iter().map(|contact| contact.id.as_str()).collect::<Vec<_>>(), ["Z1"]);

    put(&host, "staff", "/contacts/Z1", &with_name("=HYPERLINK(\"http://x\")")).await;
    let text = get_text(&host, "admin", "/contacts/export").await;
    assert!(text.contains("\"'=HYPERLINK(") && !text.contains(",=HYPERLINK") && !text.contains("\"=HYPERLINK"), "{text}");
}

/// S3-60.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_lies_in_the_table_in_the_clear() {
    let host = quiet_machine(|_| {}).await;
    let body = json!({
        "name": "Zoë Hartmann", "phone": "+12125550161", "email": "zoe@families.example", "attributes": { "allergy": "peanuts" },
    });
    let (status, _) = put(&host, "staff", "/contacts/Z1", &body).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = token(&host, "Z1").await;
    assert_eq!(open(&host, Method::PUT, &token, &json!({ "optedOut": true })).await.0, StatusCode::OK);

    let items: Vec<String> = host.aws.items().iter().map(Value::to_string).collect();

    assert!(items.iter().any(|item| item.contains("Z1")));
    for word in ["Hartmann", "2125550161", "zoe@families", "peanuts", "Ruiz", "5550100201", "ana@families", "call the office"] {
        assert_eq!(items.iter().find(|item| item.contains(word)), None, "{word}");
    }
}

/// S0-52, S0-53.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_sees_and_sets_preferences() {
    let host = quiet_machine(|_| {}).await;
    let path = "/contacts/S01/preferences";
    let change = json!({
        "channel": "whatsapp", "quietHours": "20:00-09:00", "timeZone": "America/Chicago", "optedOutCategories": ["marketing"],
    });

    let (status, set) = put(&host, "staff", path, &change).await;
    let (_, kept) = put(&host, "staff", path, &json!({ "optedOut": true })).await;
    let (_, cleared) = put(&host, "staff", path, &json!({ "channel": null, "quietHours": null })).await;
    let (refused, problem) = put(&host, "staff", path, &json!({ "quietHours": "08:00-21:00" })).await;

    assert_eq!((status, &set["channel"], &set["quietHours"]), (StatusCode::OK, &json!("whatsapp"), &json!("20:00-09:00")));
    assert_eq!((&kept["channel"], &kept["optedOut"]), (&json!("whatsapp"), &json!(true)));
    assert_eq!((&cleared["channel"], &cleared["quietHours"], &cleared["optedOut"]), (&Value::Null, &Value::Null, &json!(true)));
    assert_eq!((&cleared["timeZone"], &cleared["optedOutCategories"]), (&json!("America/Chicago"), &json!(["marketing"])));
    assert_eq!(
        (refused, errors(&problem)),
        (StatusCode::UNPROCESSABLE_ENTITY, vec![("quietHours", "invalid")]),
        "with the law's own hours that leaves none"
    );
    assert_eq!(get(&host, "viewer", path).await.1, cleared);
    assert_eq!(put(&host, "viewer", path, &change).await.0, StatusCode::FORBIDDEN);
    assert_eq!(get(&host, "viewer", "/contacts/nobody/preferences").await.0, StatusCode::NOT_FOUND);
}

/// S3-54: an opt-in says how it was given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opt_out_is_lifted_with_evidence_alone() {
    let host = quiet_machine(|_| {}).await;
    let none: [&str; 0] = [];
    let (opted_out, categories) = (json!({ "optedOut": false }), json!({ "optedOutCategories": none }));
    let replaced = json!({ "name": "Gus Moreau", "phone": "555-010-0207", "optedOut": false });

    // The sample's S07 wants nothing, and S08 nothing of lessons.
    let refused = [
        patch(&host, "staff", "/contacts/S07", &opted_out).await,
        put(&host, "staff", "/contacts/S07", &replaced).await,
        put(&host, "staff", "/contacts/S07/preferences", &opted_out).await,
        patch(&host, "staff", "/contacts/S08", &categories).await,
        put(&host, "staff", "/contacts/S08/preferences", &categories).await,
    ];

    for (status, problem) in &refused {
        assert_eq!((*status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("opt_in_needed")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("POST /opt-outs/opt-in"), "{problem}");
    }
    let (_, more) = patch(&host, "staff", "/contacts/S08", &json!({ "optedOutCategories": ["lessons", "marketing"] })).await;
    assert_eq!(more["optedOutCategories"], json!(["lessons", "marketing"]));
    let opt_in = json!({ "contactId": "S07", "method": "verbal" });
    assert_eq!(post(&host, "staff", "/opt-outs/opt-in", None, &opt_in).await.0, StatusCode::OK);
    assert_eq!(put(&host, "staff", "/contacts/S07", &replaced).await.1["optedOut"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_numbers_are_all_stopped_is_opted_out_until_they_start_again() {
    let host = quiet_machine(|_| {}).await;
    put(&host, "staff", "/contacts/W1", &json!({ "name": "Wil", "phone": "2125550161", "whatsapp": "2125550162" })).await;
    let stop = async |number: &str| post(&host, "staff", "/opt-outs", None, &json!({ "number": number })).await.0;
    let opted_out = async || get(&host, "viewer", "/contacts/W1").await.1["optedOut"].clone();

    assert_eq!(stop("+12125550161").await, StatusCode::OK);
    assert_eq!(opted_out().await, false, "one of two");
    assert_eq!(stop("+12125550162").await, StatusCode::OK);
    assert_eq!(opted_out().await, true);

    // A form sends back what it was shown.
    let shown = json!({ "name": "Wil B.", "phone": "2125550161", "whatsapp": "2125550162", "optedOut": true });
    assert_eq!(put(&host, "staff", "/contacts/W1", &shown).await.1["optedOut"], true);
    assert_eq!(patch(&host, "staff", "/contacts/W1", &json!({ "optedOut": true })).await.1["optedOut"], true);
    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    let start = json!({ "number": "+12125550161", "method": "verbal" });
    assert_eq!(post(&host, "staff", "/opt-outs/opt-in", None, &start).await.0, StatusCode::OK);
    assert_eq!(opted_out().await, false, "the school's own record never said so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_does_not_open_whoever_comes_after() {
    let host = quiet_machine(|_| {}).await;
    let table = host.cx.table().await.unwrap();
    put(&host, "staff", "/contacts/W1", &json!({ "name": "Wil", "phone": "2125550161" })).await;
    let first = token(&host, "W1").await;
    patch(&host, "staff", "/contacts/W1", &json!({ "name": "Wil B.", "email": "wil@families.example" })).await;
    assert_eq!(open(&host, Method::GET, &first, &Value::Null).await.0, StatusCode::OK);

    let gone = contacts::get(table, &tenant(), "W1").await.unwrap().unwrap();
    contacts::delete(table, &tenant(), &gone).await.unwrap();
    put(&host, "staff", "/contacts/W1", &json!({ "name": "Xena", "phone": "2125550162" })).await;

    assert_eq!(open(&host, Method::GET, &first, &Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(open(&host, Method::PUT, &first, &json!({ "optedOut": true })).await.0, StatusCode::NOT_FOUND);
    assert!(standing(&host, "+12125550162").await.is_open());
    let second = token(&host, "W1").await;
    assert_eq!(open(&host, Method::GET, &second, &Value::Null).await.0, StatusCode::OK);
}

/// S0-50.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_opens_what_it_was_made_for_and_nothing_else() {
    let host = quiet_machine(|_| {}).await;
    let link = "/contacts/S01/preferences-link";
    let (_, made) = post(&host, "staff", link, None, &json!({})).await;
    let url = made["url"].as_str().unwrap();
    let token = url.strip_prefix("http://localhost/v1/preferences/").unwrap();
    assert_eq!(made["expiresAt"], (host.clock.now() + SignedDuration::from_hours(24 * 30)).to_string());
    assert_eq!(post(&host, "viewer", link, None, &json!({})).await.0, StatusCode::FORBIDDEN);
    for days in [0, 91] {
        let (_, problem) = post(&host, "staff", link, None, &json!({ "days": days })).await;
        assert_eq!(errors(&problem), [("days", "invalid")]);
    }

    let (status, own) = open(&host, Method::GET, token, &Value::Null).await;
    assert_eq!((status, &own["firstName"]), (StatusCode::OK, &json!("Ana")));
    assert_eq!(own["phone"]["number"], "+1555•••0201");
    let shown = own.to_string();
    assert!(["Ruiz", "5550100201", "ana@", "Strings", "S01"].iter().all(|word| !shown.contains(word)), "{shown}");

    let (claims, signature) = token.split_once('.').unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let forged = |field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        format!("{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    let later = claims["e"].as_i64().unwrap() + 1;
    let nobody = Contact { id: "nobody".into(), ..Contact::unknown(number(KNOWN)) };
    let in_an_hour = host.clock.now() + SignedDuration::from_hours(1);
    let wrong = [
        forged("c", json!("S02")),
        forged("t", json!("other")),
        forged("e", json!(later)),
        token.replace('.', ""),
        format!("{token}0"),
        "x".into(),
        sign_link(&host.cx, &tenant(), &nobody, in_an_hour).await.unwrap(),
    ];
    for token in &wrong {
        for method in [Method::GET, Method::PUT] {
            let (status, problem) = open(&host, method, token, &json!({ "optedOut": true })).await;
            assert_eq!((status, problem["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")), "{token}");
        }
        assert_eq!(submit(&host, token, "stopped=yes").await.0, StatusCode::NOT_FOUND);
    }
    assert!(history(&host, KNOWN).await.is_empty());
    host.clock.set(host.clock.now() + SignedDuration::from_hours(24 * 30));
    let (status, headers, body) = page(&host, token).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
    assert!(body.contains("Ask whoever sent it"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_of_one_piece_and_nobodys_name_comes_alive_on_it() {
    let host = quiet_machine(|settings| settings.name = "Linden & \"Sons\"".into()).await;
    let body = json!({ "name": "<script>alert(1)</script> Hart", "phone": "2125550161", "quietHours": "20:00-09:00" });
    put(&host, "staff", "/contacts/X1", &body).await;
    let token = token(&host, "X1").await;

    let (status, headers, html) = page(&host, &token).await;

    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script"), "{html}");
    assert!(html.contains("Linden &amp; &quot;Sons&quot;") && !html.contains("Hart"), "{html}");
    assert!(html.contains("+1212•••0161") && !html.contains("2125550161"), "{html}");
    assert!(html.contains("value=\"20:00\"") && html.contains("value=\"09:00\"") && html.contains("America/New_York"));
    assert!(!html.contains("http") && !html.contains("src="), "nothing from elsewhere: {html}");
    let header = |name: &str| headers[name].to_str().unwrap().to_string();
    assert_eq!((header("cache-control"), header("referrer-policy")), ("no-store".into(), "no-referrer".into()));
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(html.matches("name=\"stop\"").count(), 9);
}

/// S0-51, S3-54: what the page says is evidence, and holds at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_opts_out_on_the_page_gets_nothing_more_and_is_recorded_once() {
    let host = quiet_machine(|_| {}).await;
    let token = token(&host, "S01").await;
    let at = (host.clock.now() + SignedDuration::from_hours(1)).to_string();
    let scheduled = json!({ "contactId": "S01", "body": "See you", "channel": "sms", "sendAt": at });
    assert_eq!(post(&host, "staff", "/messages", None, &scheduled).await.0, StatusCode::ACCEPTED);
    let stop = "was_stopped=no&stopped=yes&channel=&quiet_from=&quiet_to=";

    let (first, _) = submit(&host, &token, stop).await;
    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    let (second, _) = submit(&host, &token, stop).await;
    settle(&host, SignedDuration::from_hours(2)).await;

    assert_eq!([first, second], [StatusCode::SEE_OTHER; 2]);
    assert!(host.twilio.ledger().is_empty());
    let messages = messages_of(&host).await;
    assert!(messages.iter().any(|message| message.reason == Some(Reason::OptedOut)), "{messages:?}");
    let said = history(&host, KNOWN).await;
    assert_eq!(said.len(), 1, "a double click says it once");
    assert_eq!((&said[0].wish, said[0].method, &said[0].by), (&Wish::Stop(Scope::All), How::WebForm, &None));
    assert!(page(&host, &token).await.2.contains("name=\"stopped\" value=\"yes\" checked"));

    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    submit(&host, &token, "was_stopped=yes&channel=&quiet_from=&quiet_to=").await;
    assert!(standing(&host, KNOWN).await.is_open());
    host.clock.set(host.clock.now() + SignedDuration::from_secs(1));
    submit(&host, &token, stop).await;
    let wishes: Vec<Wish> = history(&host, KNOWN).await.into_iter().map(|entry| entry.wish).collect();
    assert_eq!(wishes, [Wish::Stop(Scope::All), Wish::Start(Scope::All), Wish::Stop(Scope::All)]);
}

/// Somebody had the page open, and answered STOP in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_page_does_not_undo_what_was_said_since() {
    let host = quiet_machine(|_| {}).await;
    let token = token(&host, "S01").await;
    let stop = host.inbound(&tenant(), KNOWN, SENDER, "Opt out!").await.unwrap();
    assert_eq!(host.bring(&stop, host.clock.now()).await, 200);

    let (status, _) = submit(&host, &token, "was_stopped=no&channel=whatsapp&quiet_from=20%3A00&quiet_to=09%3A00%3A00").await;

    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(standing(&host, KNOWN).await.stopped);
    let (_, set) = get(&host, "viewer", "/contacts/S01/preferences").await;
    assert_eq!((&set["channel"], &set["quietHours"]), (&json!("whatsapp"), &json!("20:00-09:00")));
    for (form, hint) in [
        ("quiet_from=20%3A00&quiet_to=", "Give both times"),
        ("quiet_from=8%3A00&quiet_to=21%3A00", "nothing could reach you"),
        ("channel=pigeon", "Choose one of the ways"),
    ] {
        let (status, html) = submit(&host, &token, form).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(html.contains(hint) && html.contains("role=\"alert\""), "{html}");
    }
}

/// S3-56.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn categories_stop_and_come_again_for_all_numbers_of_a_contact() {
    let host = quiet_machine(|_| {}).await;
    put(&host, "staff", "/contacts/W1", &json!({ "name": "Wil", "phone": "2125550161", "whatsapp": "2125550162" })).await;
    let token = token(&host, "W1").await;

    let (status, own) = open(&host, Method::PUT, &token, &json!({ "optedOutCategories": ["lessons", "marketing"] })).await;
    assert_eq!((status, &own["optedOutCategories"]), (StatusCode::OK, &json!(["lessons", "marketing"])));
    for of in ["+12125550161", "+12125550162"] {
        assert_eq!(standing(&host, of).await.categories, BTreeSet::from([Category::Lessons, Category::Marketing]));
    }
    submit(&host, &token, "was_stopped=no&was=lessons&was=marketing&stop=marketing&stop=orders").await;
    assert_eq!(standing(&host, "+12125550162").await.categories, BTreeSet::from([Category::Marketing]));
    let (_, problem) = open(&host, Method::PUT, &token, &json!({ "timeZone": "Europe/London" })).await;
    assert_eq!(errors(&problem), [("timeZone", "invalid")]);
}

/// The tenant's own record of S07 says that they are opted out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_opts_in_again_on_the_page_lifts_the_tenants_own_record() {
    let host = quiet_machine(|_| {}).await;
    let token = token(&host, "S07").await;
    assert_eq!(open(&host, Method::GET, &token, &Value::Null).await.1["optedOut"], true);

    let (status, own) = open(&host, Method::PUT, &token, &json!({ "optedOut": false })).await;
    let again = open(&host, Method::PUT, &token, &json!({ "optedOut": false })).await;

    assert_eq!((status, &own["optedOut"]), (StatusCode::OK, &json!(false)));
    assert_eq!(again, (status, own));
    assert_eq!(get(&host, "viewer", "/contacts/S07").await.1["optedOut"], false);
    let said = history(&host, "+15550100207").await;
    assert_eq!((said.len(), &said[0].wish, said[0].method), (1, &Wish::Start(Scope::All), How::WebForm));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_keeps_to_the_limit_of_requests_and_serves_suspended_tenants() {
    let host = quiet_machine(|settings| {
        settings.suspended = true;
        settings.requests_per_minute = 10;
    })
    .await;
    let expires_at = host.clock.now() + SignedDuration::from_hours(1);
    let contact = contacts::get(host.cx.table().await.unwrap(), &tenant(), "S01").await.unwrap().unwrap();
    let token = sign_link(&host.cx, &tenant(), &contact, expires_at).await.unwrap();

    assert_eq!(open(&host, Method::PUT, &token, &json!({ "optedOut": true })).await.0, StatusCode::OK);
    assert!(standing(&host, KNOWN).await.stopped);
    for _ in 0..9 {
        assert_eq!(open(&host, Method::GET, &token, &Value::Null).await.0, StatusCode::OK);
    }
    let (status, problem) = open(&host, Method::GET, &token, &Value::Null).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::TOO_MANY_REQUESTS, Some("too_many_requests")));
    let (status, _, html) = page(&host, &token).await;
    assert!(status == StatusCode::TOO_MANY_REQUESTS && html.contains("Try again in a minute"), "{html}");
}
