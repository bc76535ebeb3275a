//! `/templates`: making, changing, looking at and taking away, and that what is sent follows.

use axum::http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::domain::template::Template;
use shared::domain::tenant::Trade;
use shared::store::templates;

use crate::machine::{delete, get, post, put, quiet_machine, tenant, unconnected_machine};

const ONE: &str = "+12125550001";

fn codes(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn warnings(view: &Value) -> Vec<&str> {
    view["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

fn brunch(text: &str) -> Value {
    json!({ "name": "Sunday Brunch", "category": "reservation", "text": text })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_made_found_by_any_spelling_and_sent() {
    let host = quiet_machine(|_| {}).await;
    let sid = format!("HX{}", "0a".repeat(16));
    let asked = json!({
        "name": " Sunday Brunch ", "category": "reservation", "description": "Each week.",
        "text": "Linden: {{customer_name|friend}}, brunch at {time} for {party_size}.",
        "contentSid": sid, "contentVariables": ["time", "party_size"], "trade": "restaurant",
    });

    let (status, made) = post(&host, "staff", "/templates", None, &asked).await;
    let found = get(&host, "viewer", "/templates/sunday-BRUNCH").await;
    let send =
        json!({ "to": ONE, "channel": "sms", "template": "sunday brunch", "variables": { "time": "10:30", "party_size": 4 } });
    let (sent, _) = post(&host, "staff", "/messages", None, &send).await;

    assert_eq!((status, sent), (StatusCode::CREATED, StatusCode::ACCEPTED), "{made}");
    assert_eq!(found, (StatusCode::OK, made.clone()));
    let expected = json!({
        "name": "Sunday Brunch", "category": "reservation", "description": "Each week.", "trade": "restaurant",
        "source": "own", "type": null, "text": asked["text"],
        "variables": [
            { "name": "customer_name", "default": "friend" },
            { "name": "time", "default": null },
            { "name": "party_size", "default": null },
        ],
        "active": true, "version": 1, "updatedAt": "2026-03-10T16:00:00Z", "updatedBy": "user-1",
        "contentSid": sid, "contentVariables": ["time", "party_size"], "segmentsWithSamples": 1, "warnings": [],
    });
    assert_eq!(made, expected); // S3-27, S3-30
    assert_eq!(host.twilio.ledger()[0].body, "Linden: friend, brunch at 10:30 AM for 4."); // S3-50
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_template_is_named_field_by_field() {
    let host = quiet_machine(|_| {}).await;
    let with = |field: &str, value: Value| {
        let mut asked = brunch("Come at {time}");
        asked[field] = value;
        asked
    };
    let sid = format!("HX{}", "a".repeat(32));
    let cases = [
        (with("name", Value::Null), vec![("name", "required")]),
        (with("name", json!("a/b")), vec![("name", "invalid")]),
        (with("name", json!("a#b")), vec![("name", "invalid")]),
        (with("name", json!("a\u{7}b")), vec![("name", "invalid")]),
        (with("name", json!("n".repeat(101))), vec![("name", "too_long")]),
        (with("text", json!("Come at {time")), vec![("text", "bad_template")]),
        (with("text", json!("x".repeat(1601))), vec![("text", "too_long")]),
        (with("category", json!("brunch")), vec![("category", "invalid")]),
        (with("contentSid", json!("HX12")), vec![("contentSid", "invalid")]),
        (with("contentVariables", json!(["time"])), vec![("contentSid", "required")]),
        (
            json!({
                "name": "a", "category": "order", "text": "Hi {name}", "contentSid": sid, "contentVariables": ["name", "nam"],
            }),
            vec![("contentVariables[1]", "unknown_variable")],
        ),
        (with("template_body", json!("x")), vec![("template_body", "invalid")]),
        (json!({ "name": "", "category": "order", "text": " " }), vec![("name", "required"), ("text", "required")]),
    ];

    for (asked, expected) in cases {
        let (status, problem) = post(&host, "staff", "/templates", None, &asked).await;
        assert_eq!((status, codes(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, expected), "{asked}: {problem}");
    }
    let (_, problem) = post(&host, "staff", "/templates", None, &brunch("Café {ti me}")).await;
    assert!(problem["detail"].as_str().unwrap().contains("'ti me' at character 6"), "{problem}");
    let stored = templates::all(host.cx.table().await.unwrap(), &tenant()).await.unwrap();
    assert_eq!(stored, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marketing_without_a_way_out_is_stored_with_a_warning() {
    let host = quiet_machine(|_| {}).await;
    let asked = |name: &str, text: &str| json!({ "name": name, "category": "marketing", "text": text });

    let (status, silent) = post(&host, "staff", "/templates", None, &asked("a", "20% off on {date}")).await;
    let (_, named) =
        post(&host, "staff", "/templates", None, &asked("b", "{school_name}: 20% off. Reply STOP to unsubscribe.")).await;
    let (_, dear) =
        post(&host, "staff", "/templates", None, &asked("c", &format!("Linden \u{1f600} STOP {}", "x".repeat(60)))).await;

    assert_eq!((status, warnings(&silent)), (StatusCode::CREATED, vec!["no_opt_out_text", "sender_not_named"])); // S1-57, S1-60
    assert_eq!(warnings(&named), Vec::<&str>::new()); // S1-61
    // S0-106, S3-64
    assert_eq!((warnings(&dear), dear["segmentsWithSamples"].as_u64()), (vec!["over_one_segment", "ucs2"], Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_look_and_change_nothing() {
    let host = quiet_machine(|_| {}).await;
    let asked = brunch("Come at {time}");
    post(&host, "staff", "/templates", None, &asked).await;

    let refused = [
        post(&host, "viewer", "/templates", None, &asked).await,
        put(&host, "viewer", "/templates/sunday_brunch", &brunch("Stay at home")).await,
        delete(&host, "viewer", "/templates/sunday_brunch").await,
        post(&host, "viewer", "/templates/sunday_brunch/rollback", None, &json!({ "version": 1 })).await,
    ];
    let (_, versions) = get(&host, "viewer", "/templates/sunday_brunch/versions").await;
    let (preview, _) = post(&host, "viewer", "/templates/sunday_brunch/preview", None, &json!({})).await;

    assert!(refused.iter().all(|(status, _)| *status == StatusCode::FORBIDDEN), "{refused:?}");
    assert_eq!((versions["items"].as_array().unwrap().len(), preview), (1, StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_a_version_that_can_be_brought_back() {
    let host = quiet_machine(|_| {}).await;
    let path = "/templates/sunday_brunch";
    post(&host, "staff", "/templates", None, &brunch("One")).await;
    host.clock.set(host.clock.now() + SignedDuration::from_hours(1));

    let (_, second) = put(&host, "staff", path, &brunch("Two")).await;
    let (_, same) = put(&host, "staff", path, &brunch("Two")).await;
    let (_, third) = post(&host, "staff", &format!("{path}/rollback"), None, &json!({ "version": 1 })).await;
    let (_, again) = post(&host, "staff", &format!("{path}/rollback"), None, &json!({ "version": 1 })).await;

    assert_eq!((second["version"].as_u64(), second["text"].as_str()), (Some(2), Some("Two")));
    assert_eq!(second["updatedAt"], "2026-03-10T17:00:00Z");
    assert_eq!((&same, &again), (&second, &third)); // no change, no version
    assert_eq!((third["version"].as_u64(), third["text"].as_str()), (Some(3), Some("One")));
    let (_, first_page) = get(&host, "viewer", &format!("{path}/versions?limit=2")).await;
    let cursor = first_page["nextCursor"].as_str().unwrap();
    let (_, last_page) = get(&host, "viewer", &format!("{path}/versions?limit=2&cursor={cursor}")).await;
    let texts = |page: &Value| -> Vec<(u64, String)> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| (item["version"].as_u64().unwrap(), item["text"].as_str().unwrap().to_string())).collect()
    };
    assert_eq!(texts(&first_page), [(3, "One".to_string()), (2, "Two".to_string())]);
    assert_eq!(texts(&last_page), [(1, "One".to_string())]);
    assert_eq!(last_page["items"][0]["updatedBy"], "user-1");
    let (_, version) = get(&host, "viewer", &format!("{path}/versions/2")).await;
    assert_eq!((version["text"].as_str(), version["updatedAt"].as_str()), (Some("Two"), Some("2026-03-10T17:00:00Z")));
    for missing in ["9", "x", "-1"] {
        assert_eq!(get(&host, "viewer", &format!("{path}/versions/{missing}")).await.0, StatusCode::NOT_FOUND);
    }
    let (status, problem) = post(&host, "staff", &format!("{path}/rollback"), None, &json!({ "version": 9 })).await;
    assert_eq!((status, codes(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("version", "unknown_version")]));
    let (status, problem) = get(&host, "viewer", &format!("{path}/versions?cursor=AAAA")).await;
    assert_eq!((status, codes(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("cursor", "invalid")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_template_is_gone_and_can_be_brought_back() {
    let host = quiet_machine(|_| {}).await;
    let path = "/templates/sunday_brunch";
    let send = json!({ "to": ONE, "template": "Sunday Brunch" });
    post(&host, "staff", "/templates", None, &brunch("Brunch!")).await;
    let (before, _) = post(&host, "staff", "/messages", None, &send).await;

    let gone = delete(&host, "staff", path).await;
    let again = delete(&host, "staff", path).await;

    assert_eq!((gone.0, again.0, before), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT, StatusCode::ACCEPTED));
    assert_eq!(get(&host, "viewer", path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put(&host, "staff", path, &brunch("x")).await.0, StatusCode::NOT_FOUND);
    let (_, page) = get(&host, "viewer", "/templates?search=brunch").await;
    assert_eq!(names(&page), Vec::<&str>::new());
    let (_, problem) = post(&host, "staff", "/messages", None, &send).await;
    assert_eq!(codes(&problem), [("template", "unknown_template")]);
    let (_, versions) = get(&host, "viewer", &format!("{path}/versions")).await;
    let deletions: Vec<_> = versions["items"].as_array().unwrap().iter().map(|item| item["deleted"].as_bool().unwrap()).collect();
    assert_eq!(deletions, [true, false]); // who and when, and once only
    let (_, problem) = post(&host, "staff", &format!("{path}/rollback"), None, &json!({ "version": 2 })).await;
    assert_eq!(codes(&problem), [("version", "deletion")]);

    let (status, back) = post(&host, "staff", &format!("{path}/rollback"), None, &json!({ "version": 1 })).await;

    assert_eq!((status, back["version"].as_u64(), back["text"].as_str()), (StatusCode::OK, Some(3), Some("Brunch!")));
    assert_eq!(post(&host, "staff", "/messages", None, &send).await.0, StatusCode::ACCEPTED);
    delete(&host, "staff", path).await;
    let (status, anew) = post(&host, "staff", "/templates", None, &brunch("Brunch!")).await;
    assert_eq!((status, anew["version"].as_u64()), (StatusCode::CREATED, Some(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_default_is_made_ones_own_and_comes_back_when_that_is_deleted() {
    let host = quiet_machine(|_| {}).await;
    let path = "/templates/order_ready";
    let send = json!({ "contactId": "S01", "template": "Order Ready", "variables": { "order_number": 7 } });
    let own = json!({ "category": "order", "text": "{restaurant_name}: order {order_number} waits.", "version": 0 });

    let (_, ours) = get(&host, "viewer", path).await;
    let (status, mine) = put(&host, "staff", path, &own).await;
    let changed = put(&host, "staff", path, &json!({ "category": "order", "text": "Other", "version": 0 })).await;
    post(&host, "staff", "/messages", None, &send).await;
    let off = json!({ "category": "order", "text": "Off", "active": false });
    let (_, inactive) = put(&host, "staff", path, &off).await;
    let (_, refused) = post(&host, "staff", "/messages", None, &send).await;
    let gone = delete(&host, "staff", path).await;
    post(&host, "staff", "/messages", None, &send).await;

    assert_eq!(
        (ours["source"].as_str(), ours["version"].as_u64(), ours["trade"].as_str()),
        (Some("default"), Some(0), Some("restaurant"))
    );
    assert_eq!(
        (status, mine["source"].as_str(), mine["version"].as_u64(), mine["name"].as_str()),
        (StatusCode::OK, Some("own"), Some(1), Some("order_ready"))
    );
    assert_eq!((changed.0, changed.1["code"].as_str()), (StatusCode::CONFLICT, Some("changed")));
    assert_eq!((inactive["active"].as_bool(), inactive["version"].as_u64()), (Some(false), Some(2)));
    assert_eq!(codes(&refused), [("template", "inactive_template")]);
    assert_eq!(gone.0, StatusCode::NO_CONTENT);
    let texts: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    assert_eq!(texts[0], "Linden Street School of Music: order 7 waits.");
    assert!(texts[1].ends_with("your order #7 is ready for pickup at Linden Street School of Music!"), "{texts:?}"); // S3-42
    let (_, again) = get(&host, "viewer", path).await;
    assert_eq!(again, ours);
    let (status, problem) = delete(&host, "staff", "/templates/win_back").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("default")));
    let (status, versions) = get(&host, "viewer", "/templates/win_back/versions").await;
    assert_eq!((status, versions["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(0)));
    let endless = format!("/templates/{}", "n".repeat(1500));
    for path in ["/templates/no_such", "/templates/no_such/versions", "/templates/%20", endless.as_str()] {
        assert_eq!(get(&host, "viewer", path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_write_at_once_one_is_told() {
    let host = quiet_machine(|_| {}).await;
    let path = "/templates/sunday_brunch";

    let [one, two] = ["One", "Two"].map(brunch);
    let made = tokio::join!(post(&host, "staff", "/templates", None, &one), post(&host, "admin", "/templates", None, &two));
    let mut outcomes = [made.0.0, made.1.0];
    outcomes.sort();
    assert_eq!(outcomes, [StatusCode::CREATED, StatusCode::CONFLICT]);
    let (_, problem) = post(&host, "staff", "/templates", None, &one).await;
    assert_eq!(problem["code"], "exists");

    let based_on_1 = |text: &str| json!({ "category": "order", "text": text, "version": 1 });
    let (first, second) = (based_on_1("First"), based_on_1("Second"));
    let written = tokio::join!(put(&host, "staff", path, &first), put(&host, "admin", path, &second));
    let mut outcomes = [written.0.0, written.1.0];
    outcomes.sort();
    assert_eq!(outcomes, [StatusCode::OK, StatusCode::CONFLICT]);
    let winner = if written.0.0 == StatusCode::OK { first } else { second };
    // The answer was lost, and the same comes again.
    let (status, repeated) = put(&host, "staff", path, &winner).await;
    assert_eq!((status, repeated["version"].as_u64(), &repeated["text"]), (StatusCode::OK, Some(2), &winner["text"]));
    assert_eq!(repeated["name"], "Sunday Brunch");
    let (_, versions) = get(&host, "viewer", &format!("{path}/versions")).await;
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_has_defaults_of_every_trade_and_what_is_filtered_for() {
    let host = quiet_machine(|settings| settings.trade = Some(Trade::Church)).await;
    let own = json!({
        "name": "choir", "category": "reminder", "description": "Practice for {day}", "text": "Choir at {time}", "active": false,
    });
    post(&host, "staff", "/templates", None, &own).await;
    let list = async |query: &str| get(&host, "viewer", &format!("/templates?{query}")).await.1;

    let all = list("limit=200").await;
    let first: Vec<&str> = names(&all).into_iter().take(5).collect();
    assert_eq!(first, ["choir", "event_announcement", "prayer_request_received", "service_reminder", "volunteer_reminder"]);
    for name in ["reservation_confirmation", "win_back", "appointment_reminder", "school_closed", "lesson_reminder"] {
        assert!(names(&all).contains(&name), "{name}"); // S0, S1-09, S2-22, S3-40..45
    }
    assert_eq!(names(&list("category=order&active=true").await), ["order_delivered", "order_ready"]); // S3-28
    assert_eq!(names(&list("active=false").await), ["choir"]);
    assert_eq!(names(&list("trade=business").await), ["choir", "appointment_reminder", "call_back", "follow_up"]);
    assert_eq!(names(&list("search=PRACTICE").await), ["choir"]);
    assert_eq!(names(&list("search=Win%20Back").await), ["win_back"]);
    let mut paged = Vec::new();
    let mut query = "limit=7".to_string();
    loop {
        let page = list(&query).await;
        paged.extend(names(&page).into_iter().map(str::to_string));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("limit=7&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, names(&all));
    for query in ["category=brunch", "limit=0", "cursor=!", "cursor=YWI", "what=1"] {
        let (status, _) = get(&host, "viewer", &format!("/templates?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_texts_of_types_are_shown_and_changed_in_the_settings() {
    let host = quiet_machine(|settings| {
        settings.types.attendance.template = Some(Template::parse("Linden: {name} was {status} on {date}.").unwrap());
        settings.types.attendance.enabled = false;
        settings.types.lesson_reminder.asks_for_answer = true;
    })
    .await;
    let path = "/templates/lesson_reminder";

    let (_, lesson) = get(&host, "viewer", path).await;
    let (_, attendance) = get(&host, "viewer", "/templates/attendance").await;
    let (_, shown) = post(&host, "viewer", &format!("{path}/preview"), None, &json!({})).await;
    let (_, present) = post(&host, "viewer", "/templates/attendance/preview", None, &json!({})).await;
    let own = json!({ "name": "Lesson Reminder", "category": "lessons", "text": "x" });
    let refused = [
        post(&host, "admin", "/templates", None, &own).await,
        put(&host, "admin", path, &own).await,
        delete(&host, "admin", path).await,
    ];

    assert_eq!((lesson["source"].as_str(), lesson["type"].as_str()), (Some("type"), Some("lesson_reminder")));
    assert_eq!(lesson["text"], "Hi {name}, reminder: You have {subject} lesson with {teacher} at {time} {day}."); // S0-42
    assert_eq!((attendance["active"].as_bool(), attendance["category"].as_str()), (Some(false), Some("attendance"))); // S0-25
    let expected = "Hi John Smith, reminder: You have Mathematics lesson with Ms. Johnson at 3:00 PM tomorrow. \
                    Reply C to confirm, R for another time.";
    assert_eq!(shown["body"], expected); // S0-33..36
    assert_eq!(present["body"], "Linden: John Smith was Present on Jan 15, 2024."); // S0-27, S0-37, S0-40
    for (status, problem) in refused {
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("read_only")));
        assert!(problem["detail"].as_str().unwrap().contains("types.lesson_reminder"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_fills_in_samples_and_says_which() {
    let host = quiet_machine(|_| {}).await;
    let text = "{restaurant_name}: {customer_name}, it\u{2019}s {pickup_time}. {discount} today! {greeting|Bye}";
    let asked = json!({ "name": "Pick up", "category": "marketing", "text": text, "active": false });
    post(&host, "staff", "/templates", None, &asked).await;
    let preview = async |body: Value| post(&host, "viewer", "/templates/pick_up/preview", None, &body).await;

    let (status, bare) = preview(json!({})).await;
    let (_, given) =
        preview(json!({ "contactId": "S01", "variables": { "discount": "5%", "Pickup-Time": "12:00", "dicsount": 1 } })).await;
    let (_, unsaved) =
        preview(json!({ "text": "{restaurant_name} {discount}", "category": "general", "to": "+447700900123" })).await;
    let (_, broken) = preview(json!({ "text": "{discount" })).await;
    let (_, nobody) = preview(json!({ "contactId": "nobody" })).await;
    let (none, _) = post(&host, "viewer", "/templates/no_such/preview", None, &json!({})).await;
    let (anew, _) = post(&host, "viewer", "/templates/no_such/preview", None, &json!({ "text": "Hi" })).await;

    let body = "Linden Street School of Music: John Smith, it\u{2019}s 06:30 PM. 20% off today! Bye"; // S3-29, S3-52
    assert_eq!((status, bare["body"].as_str()), (StatusCode::OK, Some(body)));
    assert_eq!(bare["samples"], json!({ "customer_name": "John Smith", "pickup_time": "18:30", "discount": "20% off" }));
    assert_eq!(
        (bare["encoding"].as_str(), bare["segments"].as_u64(), bare["cost"].as_str()),
        (Some("UCS-2"), Some(2), Some("0.0158"))
    );
    assert_eq!((&bare["ucs2Characters"][0]["codePoint"], &bare["replaced"]["segments"]), (&json!("U+2019"), &json!(1)));
    assert_eq!(warnings(&bare), ["over_one_segment", "ucs2", "no_opt_out_text"]);
    assert_eq!((&given["samples"], &given["unused"]), (&json!({}), &json!(["dicsount"])));
    assert!(given["body"].as_str().unwrap().contains("12:00 PM. 5% today!"), "{given}"); // S3-50
    assert_eq!(unsaved["body"], "Linden Street School of Music 20% off");
    assert_eq!(unsaved["channels"][0]["to"], "+447700900123");
    assert_eq!((codes(&broken), codes(&nobody)), (vec![("text", "bad_template")], vec![("contactId", "unknown_contact")]));
    assert_eq!((none, anew), (StatusCode::NOT_FOUND, StatusCode::OK));
    assert!(host.twilio.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_works_before_anything_is_connected() {
    let host = unconnected_machine(|settings| {
        settings.senders.sms = None;
        settings.senders.whatsapp = None;
        settings.strict_numbers = true;
    })
    .await;

    let (status, preview) = post(&host, "viewer", "/templates/reservation-confirmation/preview", None, &json!({})).await;

    let expected = "Hi John Smith, your table for 4 at Linden Street School of Music is confirmed for January 15, 2024 at \
                    03:00 PM. Confirmation code: K7P2Q9.";
    assert_eq!((status, preview["body"].as_str()), (StatusCode::OK, Some(expected)), "{preview}"); // S3-40
    assert_eq!((preview["segments"].as_u64(), preview["simulated"].as_bool()), (Some(1), Some(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_elsewhere_is_sent_within_a_minute() {
    let host = quiet_machine(|_| {}).await;
    let send = json!({ "to": ONE, "template": "Reservation Confirmation", "variables": {
        "customer_name": "Ana", "party_size": 4, "date": "2026-03-12", "time": "18:30", "confirmation_code": "X1" } });
    post(&host, "staff", "/messages", None, &send).await;
    let table = host.cx.table().await.unwrap();
    // As another process would, of which this one knows nothing.
    let mut own = shared::domain::catalogue::list(&host.cx.settings(&tenant(), host.clock.now()).await.unwrap(), Vec::new())
        .into_iter()
        .find(|listed| listed.written.template.name == "reservation_confirmation")
        .unwrap()
        .written
        .template;
    own.text = Template::parse("{customer_name}: booked.").unwrap();
    templates::put(table, &tenant(), &own).await.unwrap();

    host.clock.set(host.clock.now() + SignedDuration::from_secs(61));
    post(&host, "staff", "/messages", None, &send).await;

    let texts: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    let first = "Hi Ana, your table for 4 at Linden Street School of Music is confirmed for March 12, 2026 at 06:30 PM. \
                 Confirmation code: X1.";
    assert_eq!(texts, [first, "Ana: booked."]); // S3-40, S3-49, S3-50
}
