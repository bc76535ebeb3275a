//! Two tenants side by side, and roles: no call, cursor, id, webhook or export of one ever shows or changes what is
//! the other's (S4-09, S4-36, S4-59), and every route asks for its role (S0-70). Every route of the API's description
//! is walked: one that is new is walked too, and must stand in the table of roles.

use axum::http::{Method, StatusCode};
use jiff::SignedDuration;
use local::host::Host;
use local::twilio::{Account, signed};
use serde_json::{Map, Value, json};
use shared::api::openapi;
use shared::domain::compose::FieldError;
use shared::domain::contact::{Category, Contact, Number};
use shared::domain::lesson::Lesson;
use shared::domain::payment::Payment;
use shared::domain::phone::PhoneNumber;
use shared::domain::template::{NamedTemplate, Template};
use shared::domain::tenant::TenantId;
use shared::store::jobs::{self, Job, JobKind};
use shared::store::{contacts, lessons, payments, templates, tenants};

use crate::machine::{credentials, get, post, quiet_machine, sample, settle, tenant};
use crate::tenants::{ask, ask_text, items_of, of, platform};

/// Stands in everything that the other tenant has, but in no id of it.
const MARKER: &str = "Zebedee";
const OTHER_CONTACT: &str = "o-contact-1";
const OTHER_GROUP: &str = "o-group";
const OTHER_NUMBER: &str = "+12125559901";
const SENDER: &str = "+15005550006";

/// What answers about a number that anybody may have, or puts something under an id that is free here.
const FREE: [(&str, &str); 6] = [
    ("GET", "/opt-outs/{number}"),
    ("DELETE", "/phone-numbers/{number}"),
    ("POST", "/phone-numbers/{number}/wire"),
    ("PUT", "/contacts/{id}"),
    ("PUT", "/lessons/{id}"),
    ("PUT", "/payments/{id}"),
];

fn document() -> Value {
    serde_json::from_str(&openapi::document()).unwrap()
}

/// A route of the description.
struct Route {
    method: Method,
    path: String,
    call: Value,
}

impl Route {
    /// Without what all of a tenant's begin with.
    fn short(&self) -> &str {
        self.path.strip_prefix("/v1/tenants/{tenant}").unwrap_or(&self.path)
    }

    fn is_of_tenant(&self) -> bool {
        self.path.starts_with("/v1/tenants/{tenant}")
    }

    /// Whether its path names more than the tenant.
    fn names_something(&self) -> bool {
        self.short().contains('{')
    }

    /// Whether what it names must be there, and another tenant's therefore is not.
    fn names_what_is(&self) -> bool {
        self.names_something() && !FREE.contains(&(self.method.as_str(), self.short()))
    }

    /// Its path at `tenant`, with `id` for what else it names.
    fn at(&self, tenant: &str, id: &str) -> String {
        let part = |part: &str| match part {
            "{tenant}" => tenant.to_string(),
            "{version}" => "1".into(),
            "{contact}" => OTHER_CONTACT.into(),
            part if part.starts_with('{') => id.replace('+', "%2B"),
            part => part.to_string(),
        };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    fn takes(&self, parameter: &str) -> bool {
        self.call["parameters"].as_array().is_some_and(|all| all.iter().any(|known| known["name"] == parameter))
    }

    /// A body that can be read, and its type; `named` are the fields that are filled, wherever they may stand.
    fn body(&self, document: &Value, named: &Map<String, Value>) -> (String, String) {
        let Some((kind, content)) = self.call["requestBody"]["content"].as_object().and_then(|all| all.iter().next()) else {
            return ("application/json".into(), String::new());
        };
        if kind.contains("json") {
            return (kind.clone(), example(document, &content["schema"], named, 0).to_string());
        }
        (
            kind.clone(),
            "id,name,phone,student,start,amount,due_date\nx,X,+12125550001,x,2026-03-20 15:00,1.00,2026-03-20\n".into(),
        )
    }
}

fn routes(document: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            routes.push(Route { method, path: path.clone(), call: call.clone() });
        }
    }
    routes
}

/// The least that a schema takes.
fn example(document: &Value, schema: &Value, named: &Map<String, Value>, depth: usize) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let known = &document["components"]["schemas"][reference.rsplit('/').next().unwrap()];
        return example(document, known, named, depth);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for variants in ["oneOf", "anyOf"] {
        let mut variants = schema[variants].as_array().into_iter().flatten();
        if let Some(first) = variants.find(|variant| variant["type"] != "null") {
            return example(document, first, named, depth);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match (kind, schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => json!("2026-03-20T15:00:00Z"),
        (Some("string"), Some("date")) => json!("2026-03-20"),
        (Some("string"), _) => json!("x"),
        (Some("integer" | "number"), _) => json!(1),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) if depth > 4 => json!([]),
        (Some("array"), _) => json!([example(document, &schema["items"], named, depth + 1)]),
        _ => {
            let mut object = Map::new();
            for part in schema["allOf"].as_array().into_iter().flatten() {
                if let Value::Object(fields) = example(document, part, named, depth + 1) {
                    object.extend(fields);
                }
            }
            let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(value) = named.get(name) {
                    object.insert(name.clone(), value.clone());
                } else if required.contains(&name.as_str()) && depth <= 4 {
                    object.insert(name.clone(), example(document, field, named, depth + 1));
                }
            }
            Value::Object(object)
        }
    }
}

fn other() -> TenantId {
    TenantId::parse("other").unwrap()
}

/// The other tenant, with something of everything, each marked; and the ids of it all.
async fn make_other(host: &Host) -> Vec<String> {
    let table = host.cx.table().await.unwrap();
    let (folder, _) = sample();
    let mut settings = folder.school.settings.clone();
    settings.name = format!("{MARKER} Academy");
    settings.types = shared::domain::tenant::Types::default();
    settings.keyword_replies.insert("hours".into(), format!("{MARKER} is open."));
    tenants::put_settings(table, &other(), &settings).await.unwrap();
    host.connect(&other(), vec![SENDER.into()]).await.unwrap();
    let people: Vec<Contact> = (1..=3)
        .map(|at| Contact {
            id: format!("o-contact-{at}"),
            name: format!("{MARKER} Quill {at}"),
            email: Some(format!("{MARKER}{at}@families.example")),
            groups: vec![OTHER_GROUP.into()],
            ..Contact::unknown(PhoneNumber::from_e164(&format!("+1212555990{at}")).unwrap())
        })
        .collect();
    assert!(matches!(&people[0].phone, Number::Usable(number) if number.e164() == OTHER_NUMBER));
    contacts::put_many(table, &other(), &people).await.unwrap();
    let lesson = |at: usize| Lesson {
        id: format!("o-lesson-{at}"),
        subject: format!("{MARKER}'s oboe"),
        ..folder.school.lessons[at].clone()
    };
    lessons::put_many(table, &other(), &[lesson(0), lesson(1)]).await.unwrap();
    let payment = |at: usize| Payment {
        id: format!("o-payment-{at}"),
        contact: OTHER_CONTACT.into(),
        course: Some(format!("{MARKER}'s oboe")),
        ..folder.school.payments[at].clone()
    };
    payments::put_many(table, &other(), &[payment(0), payment(1)]).await.unwrap();
    for name in ["o_template", "o_template_two"] {
        let template = NamedTemplate {
            name: name.into(),
            category: Category::General,
            text: Template::parse(&format!("{MARKER} greets you")).unwrap(),
            active: true,
            content_sid: None,
            content_variables: Vec::new(),
        };
        templates::put(table, &other(), &template).await.unwrap();
    }
    let mut job = Job::new(&other(), JobKind::ImportContacts, "a file", "print".into(), Some(MARKER.into()), host.clock.now());
    // Nobody works it off: the test looks at it as it is.
    job.due_at = host.clock.now() + SignedDuration::from_hours(24 * 365);
    let job_id = job.id.clone();
    let errors = [FieldError { row: Some(2), ..FieldError::new("phone", "refused", format!("{MARKER}'s number")) }];
    jobs::create(table, &other(), job, &[MARKER.to_string()], &errors).await.unwrap();

    let staff = of("other", "staff");
    let asked = async |path: &str, body: Value| -> String {
        let (status, answer) = ask(host, &staff, Method::POST, &format!("/v1/tenants/other{path}"), &body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer["id"].as_str().unwrap_or_default().to_string()
    };
    let body = format!("{MARKER} says hello");
    let mut ids = vec![
        asked("/messages", json!({ "contactId": OTHER_CONTACT, "body": body })).await,
        asked("/messages", json!({ "contactId": "o-contact-2", "body": body, "sendAt": "2026-03-12T16:00:00Z" })).await,
        asked("/calls", json!({ "to": OTHER_NUMBER, "say": body })).await,
        asked("/calls", json!({ "to": "+12125559902", "say": body })).await,
        asked("/messages/bulk", json!({ "name": MARKER, "recipients": OTHER_NUMBER, "body": body, "sendImmediately": false }))
            .await,
        asked("/messages", json!({ "to": OTHER_NUMBER, "body": body, "repeat": { "cron": "0 9 * * *" } })).await,
    ];
    for at in [2, 3] {
        asked("/opt-outs", json!({ "contactId": format!("o-contact-{at}"), "reason": MARKER })).await;
    }
    for from in ["+12125559901", "+12125559903"] {
        let text = host.inbound(&other(), from, SENDER, &body).await.unwrap();
        assert!(host.bring(&text, host.clock.now()).await.is_success());
    }
    settle(host, SignedDuration::from_mins(5)).await;
    let (_, inbox) = ask(host, &staff, Method::GET, "/v1/tenants/other/conversations", &Value::Null).await;
    let talks: Vec<String> =
        inbox["items"].as_array().unwrap().iter().map(|talk| talk["id"].as_str().unwrap().to_string()).collect();
    assert_eq!(talks.len(), 2);
    ids.extend(talks);
    ids.extend([job_id, OTHER_CONTACT.into(), OTHER_GROUP.into(), OTHER_NUMBER.into()]);
    ids.extend(["o_template", "o-lesson-0", "o-payment-0"].map(str::to_string));
    assert!(ids.iter().all(|id| !id.is_empty() && !id.contains(MARKER)));
    ids
}

fn sorted(items: Vec<Value>) -> Vec<String> {
    let mut items: Vec<String> = items.iter().map(Value::to_string).collect();
    items.sort();
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_token_finds_nothing_at_any_route() {
    let host = quiet_machine(|_| {}).await;
    make_other(&host).await;
    let (document, admin) = (document(), of("other", "admin"));
    let before = sorted(items_of(&host, "sample"));
    let mut walked = 0;

    for route in routes(&document).iter().filter(|route| route.is_of_tenant()) {
        for id in ["S01", "x"] {
            let (kind, body) = route.body(&document, &Map::new());
            for body in [body.as_str(), "", "{"] {
                let path = route.at("sample", id);
                let (status, answer) = ask_text(&host, Some(&admin), route.method.clone(), &path, &kind, body).await;
                let problem: Value = serde_json::from_str(&answer).unwrap_or_default();
                let told = (status, problem["code"].as_str());
                assert_eq!(told, (StatusCode::NOT_FOUND, Some("not_found")), "{} {path}: {answer}", route.method);
                walked += 1;
            }
        }
    }

    assert!(walked > 150, "{walked}");
    assert_eq!(sorted(items_of(&host, "sample")), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_ids_and_cursors_show_nothing_and_change_nothing() {
    let host = quiet_machine(|_| {}).await;
    let ids = make_other(&host).await;
    let (document, admin, others) = (document(), of("sample", "admin"), of("other", "admin"));
    let routes = routes(&document);
    let reading = || routes.iter().filter(|route| route.is_of_tenant() && route.method == Method::GET);
    let shows_nothing = |what: &str, answer: &str| assert!(!answer.contains(MARKER), "{what}: {answer}");

    // Whatever the other's own people can page through, they first do.
    let (mut cursors, mut seen) = (Vec::new(), 0);
    for route in reading().filter(|route| !route.names_something()) {
        let query = if route.takes("limit") { "?limit=1" } else { "" };
        let (_, answer) = ask_text(&host, Some(&others), Method::GET, &(route.at("other", "") + query), "text/plain", "").await;
        seen += usize::from(answer.contains(MARKER));
        let page: Value = serde_json::from_str(&answer).unwrap_or_default();
        if let Some(cursor) = page["nextCursor"].as_str() {
            cursors.push((route.at("sample", ""), cursor.to_string()));
        }
    }
    // The mark is there to be seen, and the cursors to be tried.
    assert!(seen >= 6, "{seen}");
    assert!(cursors.len() >= 4, "{cursors:?}");
    let before = sorted(items_of(&host, "other"));

    for (path, cursor) in &cursors {
        let path = format!("{path}?cursor={cursor}");
        let (status, answer) = ask_text(&host, Some(&admin), Method::GET, &path, "text/plain", "").await;
        assert!(status == StatusCode::OK || status == StatusCode::UNPROCESSABLE_ENTITY, "{path}: {status} {answer}");
        shows_nothing(&path, &answer);
    }
    for route in reading() {
        if !route.names_something() {
            let path = route.at("sample", "");
            let (_, answer) = ask_text(&host, Some(&admin), Method::GET, &path, "text/plain", "").await;
            shows_nothing(&path, &answer);
            let theirs = ids.iter().find(|id| answer.contains(id.as_str()));
            assert_eq!(theirs, None, "{path}: {answer}");
            continue;
        }
        for id in &ids {
            let path = route.at("sample", id);
            let (status, answer) = ask_text(&host, Some(&admin), Method::GET, &path, "text/plain", "").await;
            assert!(!status.is_server_error(), "{path}: {answer}");
            assert!(status == StatusCode::NOT_FOUND || !route.names_what_is(), "{path}: {status} {answer}");
            shows_nothing(&path, &answer);
        }
    }
    let both = json!({ "contactId": OTHER_CONTACT, "template": "o_template" });
    let (status, preview) = post(&host, "admin", "/messages/preview", None, &both).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{preview}");
    // From here on our tenant may have things of its own under the same ids.
    let named =
        json!({ "contactId": OTHER_CONTACT, "contact": OTHER_CONTACT, "template": "o_template", "groups": [OTHER_GROUP] });
    let named = [Map::new(), named.as_object().unwrap().clone()];
    let mut writing: Vec<&Route> = routes.iter().filter(|route| route.is_of_tenant() && route.method != Method::GET).collect();
    // While it has not, what must be there is not found.
    writing.sort_by_key(|route| !route.names_what_is());
    assert!(writing.iter().filter(|route| route.names_what_is()).count() > 15);
    for route in writing {
        for named in named.iter().skip(usize::from(route.names_something())) {
            let (kind, body) = route.body(&document, named);
            for id in ids.iter().take(if route.names_something() { ids.len() } else { 1 }) {
                let path = route.at("sample", id);
                let (status, answer) = ask_text(&host, Some(&admin), route.method.clone(), &path, &kind, &body).await;
                assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{} {path} {body}: {answer}", route.method);
                let is_missing = status == StatusCode::NOT_FOUND;
                assert!(is_missing || !route.names_what_is(), "{} {path} {body}: {status} {answer}", route.method);
                shows_nothing(&path, &answer);
            }
        }
    }

    assert_eq!(sorted(items_of(&host, "other")), before);
}

/// What Twilio signs for one account is nothing to another tenant, and a report names messages of its own alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_webhooks_are_refused_and_anothers_messages_stay_as_they_are() {
    let host = quiet_machine(|_| {}).await;
    let ids = make_other(&host).await;
    let now = host.clock.now();
    let ours = credentials(&host).await;
    let known = host.cx.credentials(&other(), now).await.unwrap();
    let auth_token = known.signing_tokens().next().unwrap().to_string();
    let theirs = Account { sid: known.account_sid.clone(), auth_token, ..Account::default() };
    let report = |account: &Account, tenant: &str, message: &str| {
        let url = format!("{}/twilio/{tenant}/status?message={message}", host.webhook_url);
        let params = [("AccountSid", account.sid.as_str()), ("MessageSid", "SM00000000000000000000000000000001")];
        let params = params.into_iter().chain([("MessageStatus", "failed"), ("ErrorCode", "21610")]);
        signed(account, &url, params.map(|(name, value)| (name.to_string(), value.to_string())).collect())
    };
    let (_, own) = post(&host, "staff", "/messages", None, &json!({ "to": "+12125550001", "body": "Ours" })).await;
    let own = own["id"].as_str().unwrap().to_string();
    let (before_ours, before_theirs) = (sorted(items_of(&host, "sample")), sorted(items_of(&host, "other")));

    for message in [&own, &ids[0]] {
        assert_eq!(host.bring(&report(&theirs, "sample", message), now).await, 403);
        assert_eq!(host.bring(&report(&ours, "other", message), now).await, 403);
        // The other's account, with a token of ours, and the other way round.
        let mixed = Account { auth_token: ours.auth_token.clone(), ..theirs.clone() };
        assert_eq!(host.bring(&report(&mixed, "sample", message), now).await, 403);
        assert_eq!(host.bring(&report(&mixed, "other", message), now).await, 403);
    }
    // Its own account may say so, and nothing of the other's is meant by it.
    assert_eq!(host.bring(&report(&ours, "sample", &ids[0]), now).await, 204);

    assert_eq!(sorted(items_of(&host, "sample")), before_ours);
    assert_eq!(sorted(items_of(&host, "other")), before_theirs);
    let stop = host.inbound(&other(), "+12125550001", SENDER, "STOP").await.unwrap();
    assert!(host.bring(&stop, now).await.is_success());
    let (_, standing) = get(&host, "viewer", "/opt-outs/+12125550001").await;
    assert_eq!(standing["optedOut"], false, "who stops the other does not stop us: {standing}");
    assert_eq!(host.cx.credentials(&tenant(), now).await.unwrap().account_sid, ours.sid);
}

/// The least role of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    /// No token at all.
    Open,
    Viewer,
    Staff,
    Admin,
    /// The platform's people, and nobody else.
    Platform,
}

use Least::{Admin, Open, Platform, Staff, Viewer};

/// Every route, below the tenant's path, and the least role that it takes. A new one is told here.
const ROLES: &[(&str, &str, Least)] = &[
    ("GET", "/docs", Open),
    ("GET", "/v1/openapi.json", Open),
    ("GET", "/v1/preferences/{token}", Open),
    ("PUT", "/v1/preferences/{token}", Open),
    ("POST", "/v1/preferences/{token}", Open),
    ("GET", "/v1/tenants", Platform),
    ("POST", "/v1/tenants", Platform),
    ("GET", "", Platform),
    ("DELETE", "", Platform),
    ("POST", "/suspend", Platform),
    ("POST", "/resume", Platform),
    ("GET", "/analytics/costs", Viewer),
    ("GET", "/analytics/costs/report", Admin),
    ("GET", "/analytics/daily", Viewer),
    ("GET", "/analytics/delivery", Viewer),
    ("GET", "/analytics/engagement", Viewer),
    ("GET", "/analytics/estimate", Viewer),
    ("GET", "/analytics/live", Viewer),
    ("GET", "/analytics/summary", Viewer),
    ("GET", "/analytics/templates", Viewer),
    ("GET", "/audit", Admin),
    ("GET", "/audit/export", Admin),
    ("GET", "/calls", Viewer),
    ("POST", "/calls", Staff),
    ("POST", "/calls/bulk", Staff),
    ("GET", "/calls/{id}", Viewer),
    ("GET", "/campaigns", Viewer),
    ("POST", "/campaigns", Staff),
    ("POST", "/campaigns/preview", Staff),
    ("GET", "/campaigns/{id}", Viewer),
    ("POST", "/campaigns/{id}/cancel", Staff),
    ("PUT", "/campaigns/{id}/file/{part}", Staff),
    ("POST", "/campaigns/{id}/pause", Staff),
    ("POST", "/campaigns/{id}/resume", Staff),
    ("GET", "/campaigns/{id}/rows", Viewer),
    ("GET", "/campaigns/{id}/rows.csv", Viewer),
    ("POST", "/campaigns/{id}/start", Staff),
    ("GET", "/contacts", Viewer),
    ("POST", "/contacts", Staff),
    ("GET", "/contacts/export", Admin),
    ("POST", "/contacts/import", Staff),
    ("GET", "/contacts/{id}", Viewer),
    ("PUT", "/contacts/{id}", Staff),
    ("PATCH", "/contacts/{id}", Staff),
    ("DELETE", "/contacts/{id}", Admin),
    ("GET", "/contacts/{id}/export", Admin),
    ("GET", "/contacts/{id}/preferences", Viewer),
    ("PUT", "/contacts/{id}/preferences", Staff),
    ("POST", "/contacts/{id}/preferences-link", Staff),
    ("GET", "/conversations", Viewer),
    ("GET", "/conversations/{id}", Viewer),
    ("POST", "/conversations/{id}/handled", Staff),
    ("POST", "/conversations/{id}/read", Staff),
    ("POST", "/conversations/{id}/reopen", Staff),
    ("POST", "/conversations/{id}/reply", Staff),
    ("GET", "/diagnose", Staff),
    ("POST", "/diagnose/number", Viewer),
    ("GET", "/groups", Viewer),
    ("GET", "/groups/{name}", Viewer),
    ("PUT", "/groups/{name}/members/{contact}", Staff),
    ("DELETE", "/groups/{name}/members/{contact}", Staff),
    ("GET", "/jobs/{id}", Viewer),
    ("GET", "/jobs/{id}/errors", Staff),
    ("GET", "/lessons", Viewer),
    ("POST", "/lessons", Staff),
    ("POST", "/lessons/import", Staff),
    ("GET", "/lessons/{id}", Viewer),
    ("PUT", "/lessons/{id}", Staff),
    ("POST", "/lessons/{id}/attendance", Staff),
    ("POST", "/lessons/{id}/cancel", Staff),
    ("POST", "/lessons/{id}/move", Staff),
    ("GET", "/messages", Viewer),
    ("POST", "/messages", Staff),
    ("POST", "/messages/bulk", Staff),
    ("GET", "/messages/bulk/{id}", Viewer),
    ("POST", "/messages/bulk/{id}/send", Staff),
    ("POST", "/messages/explain", Viewer),
    ("POST", "/messages/preview", Viewer),
    ("POST", "/messages/test", Staff),
    ("GET", "/messages/{id}", Viewer),
    ("POST", "/messages/{id}/cancel", Staff),
    ("POST", "/notifications", Staff),
    ("GET", "/opt-outs", Viewer),
    ("POST", "/opt-outs", Staff),
    ("GET", "/opt-outs/export", Admin),
    ("POST", "/opt-outs/opt-in", Staff),
    ("GET", "/opt-outs/{number}", Viewer),
    ("GET", "/payments", Viewer),
    ("POST", "/payments", Staff),
    ("POST", "/payments/import", Staff),
    ("GET", "/payments/{id}", Viewer),
    ("PUT", "/payments/{id}", Staff),
    ("POST", "/payments/{id}/settle", Staff),
    ("POST", "/payments/{id}/void", Staff),
    ("GET", "/phone-numbers", Admin),
    ("POST", "/phone-numbers", Admin),
    ("GET", "/phone-numbers/search", Admin),
    ("DELETE", "/phone-numbers/{number}", Admin),
    ("POST", "/phone-numbers/{number}/wire", Admin),
    ("GET", "/settings", Admin),
    ("PUT", "/settings", Admin),
    ("PATCH", "/settings", Admin),
    ("GET", "/templates", Viewer),
    ("POST", "/templates", Staff),
    ("GET", "/templates/{name}", Viewer),
    ("PUT", "/templates/{name}", Staff),
    ("DELETE", "/templates/{name}", Staff),
    ("POST", "/templates/{name}/preview", Viewer),
    ("POST", "/templates/{name}/rollback", Staff),
    ("GET", "/templates/{name}/versions", Viewer),
    ("GET", "/templates/{name}/versions/{version}", Viewer),
    ("GET", "/twilio", Admin),
    ("PUT", "/twilio", Admin),
    ("DELETE", "/twilio", Admin),
    ("POST", "/twilio/test", Admin),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_asks_for_its_role() {
    let host = quiet_machine(|_| {}).await;
    let document = document();
    let routes = routes(&document);
    assert!(routes.len() > 30);

    for route in &routes {
        let name = format!("{} {}", route.method, route.path);
        let known = ROLES.iter().find(|(method, path, _)| *method == route.method.as_str() && *path == route.short());
        let Some((_, _, least)) = known else { panic!("tell the least role of {name} in ROLES") };
        let (kind, body) = route.body(&document, &Map::new());
        for (role, word) in [(Some(Viewer), "viewer"), (Some(Staff), "staff"), (Some(Admin), "admin"), (None, "nonsense")] {
            let path = route.at("sample", "x");
            let (status, answer) = ask_text(&host, Some(&of("sample", word)), route.method.clone(), &path, &kind, &body).await;
            let may = *least == Open || (*least != Platform && role.is_some_and(|role| role >= *least));
            assert_eq!(status != StatusCode::FORBIDDEN, may, "{word} at {name}: {status} {answer}");
            assert!(!matches!(status.as_u16(), 401 | 429 | 500), "{word} at {name}: {status} {answer}");
        }
        // A tenant that is not there, or it would be suspended in the end.
        let (status, answer) =
            ask_text(&host, Some(&platform()), route.method.clone(), &route.at("nobody", "x"), &kind, &body).await;
        match least {
            Open | Platform => assert!(!matches!(status.as_u16(), 401 | 403), "{name}: {status} {answer}"),
            Viewer | Staff | Admin => assert_eq!(status, StatusCode::NOT_FOUND, "the platform at {name}: {answer}"),
        }
        let (status, answer) = ask_text(&host, None, route.method.clone(), &route.at("sample", "x"), &kind, &body).await;
        assert_eq!(status == StatusCode::UNAUTHORIZED, *least != Open, "nobody at {name}: {status} {answer}");
    }
}
