//! `/contacts/import`, `/lessons/import`, `/payments/import`: files as schools have them, in jobs that end.

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use jiff::SignedDuration;
use local::gateway;
use local::host::Host;
use serde_json::{Value, json};
use shared::store::jobs::{self, Stage};
use shared::store::{contacts, lessons};
use shared::usecases::import::import_step;

use crate::machine::{delete, get, get_text, messages_of, post, put, quiet_machine, settle, tenant};

/// A file as the body of a request.
async fn upload(
    host: &Host,
    role: &str,
    path: &str,
    content_type: &str,
    key: Option<&str>,
    file: impl AsRef<[u8]>,
) -> (StatusCode, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type.parse().unwrap());
    if let Some(key) = key {
        headers.insert("idempotency-key", key.parse().unwrap());
    }
    let claims = json!({ "tenant": "sample", "role": role, "sub": "user-1" });
    let (path, file) = (format!("/v1/tenants/sample{path}"), Bytes::copy_from_slice(file.as_ref()));
    let event = gateway::event(&Method::POST, &path, None, &headers, &file, Some(claims), host.clock.now());
    let response = host.functions.api(event).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn csv(host: &Host, path: &str, file: &str) -> Value {
    let (status, job) = upload(host, "staff", path, "text/csv; charset=utf-8", None, file).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    job
}

/// `line column code` of each error.
fn errors(job: &Value) -> Vec<String> {
    let errors = job["errors"].as_array().unwrap().iter();
    errors.map(|at| format!("{} {} {}", at["line"], at["column"].as_str().unwrap(), at["code"].as_str().unwrap())).collect()
}

fn counts(job: &Value) -> (&str, u64, u64, u64) {
    let count = |field: &str| job[field].as_u64().unwrap();
    (job["state"].as_str().unwrap(), count("total"), count("done"), count("refused"))
}

async fn contact(host: &Host, id: &str) -> shared::domain::contact::Contact {
    contacts::get_many(host.cx.table().await.unwrap(), &tenant(), &[id]).await.unwrap().remove(id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_in_any_encoding_and_a_bad_row_stops_nothing() {
    let host = quiet_machine(|_| {}).await;
    let file = |id: &str| format!("ID;Name;Phone\r\n{id};Zoë Müller;(212) 555-0161\r\n;Nobody;\r\n");
    let utf16: Vec<u8> = format!("\u{FEFF}{}", file("Z2")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let windows: Vec<u8> = file("Z3").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let files = [
        ("Z1", "text/csv", format!("\u{FEFF}{}", file("Z1")).into_bytes()),
        ("Z2", "application/octet-stream", utf16),
        ("Z3", "application/vnd.ms-excel", windows),
    ];

    for (id, content_type, bytes) in files {
        let (status, job) = upload(&host, "staff", "/contacts/import", content_type, None, bytes).await;

        assert_eq!((status, counts(&job)), (StatusCode::ACCEPTED, ("done", 1, 1, 1)), "{job}");
        assert_eq!((errors(&job), &job["errors"][0]["reason"]), (vec!["3 id refused".to_string()], &json!("empty")));
        assert_eq!(contact(&host, id).await.name, "Zoë Müller");
        let path = format!("/jobs/{}", job["id"].as_str().unwrap());
        assert_eq!(get(&host, "viewer", &path).await, (StatusCode::OK, job));
        assert_eq!(get_text(&host, "staff", &format!("{path}/errors")).await, "line,column,code,reason\n3,id,refused,empty\n");
    }
    assert_eq!(get(&host, "viewer", "/jobs/job_1").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_finished_by_the_minute_tick_also_after_a_crash() {
    let host = quiet_machine(|_| {}).await;
    let table = host.cx.table().await.unwrap();
    let known = contacts::all(table, &tenant()).await.unwrap().len();
    let row = |at: u32| {
        let phone = if at.is_multiple_of(20) { format!("+1212{:07}", 5_550_000 + at) } else { String::new() };
        format!("C{at:04},Person number {at:04} of a large school,{phone}\n")
    };
    let file: String = std::iter::once("id,name,phone\n".to_string()).chain((0..2000).map(row)).collect();

    let (status, job) = upload(&host, "staff", "/contacts/import", "text/csv", Some("k"), &file).await;

    assert_eq!((status, counts(&job)), (StatusCode::ACCEPTED, ("working", 2000, 500, 0)));
    let id = job["id"].as_str().unwrap();
    let stored = jobs::get(table, &tenant(), id).await.unwrap().unwrap();
    assert!(stored.chunks > 1, "{}", stored.chunks);
    // A process that dies after it saved some rows and before it notes that.
    host.clock.set(host.clock.now() + SignedDuration::from_mins(1));
    let now = host.clock.now();
    import_step(&host.cx, &tenant(), &mut stored.clone(), now).await.unwrap();
    let again = upload(&host, "staff", "/contacts/import", "text/csv", Some("k"), &file).await;
    assert_eq!(again, (StatusCode::ACCEPTED, job.clone()), "the same key is the same job");

    let (first, second) = tokio::join!(host.tick(now), host.tick(now));
    first.and(second).unwrap();
    host.tick(now).await.unwrap();

    let (_, job) = get(&host, "viewer", &format!("/jobs/{id}")).await;
    assert_eq!(counts(&job), ("done", 2000, 2000, 0));
    assert_eq!(contacts::all(table, &tenant()).await.unwrap().len(), known + 2000);
    assert_eq!(contact(&host, "C1999").await.name, "Person number 1999 of a large school");
    let stored = jobs::get(table, &tenant(), id).await.unwrap().unwrap();
    assert_eq!(stored.stage, Stage::Done);
    for chunk in 0..stored.chunks {
        let rows: Vec<Value> = jobs::rows(table, &tenant(), id, chunk).await.unwrap();
        assert!(rows.is_empty(), "rows are personal, and done with");
    }
}

/// S3-58: the file is older than the wish to be forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_forgotten_since_the_file_came_does_not_come_back_by_it() {
    let host = quiet_machine(|_| {}).await;
    let table = host.cx.table().await.unwrap();
    let row = |at: u32| format!("C{at:04},Person number {at:04},\n");
    let file: String = std::iter::once("id,name,phone\n".to_string()).chain((0..602).map(row)).collect();
    let (_, job) = upload(&host, "staff", "/contacts/import", "text/csv", None, &file).await;
    assert_eq!(counts(&job), ("working", 602, 500, 0));
    host.clock.set(host.clock.now() + SignedDuration::from_secs(5));

    // One that a part of the file has made, one that it would make again, and one that somebody else made.
    put(&host, "staff", "/contacts/C0600", &json!({ "name": "Old name" })).await;
    put(&host, "staff", "/contacts/C0601", &json!({ "name": "Old name" })).await;
    for id in ["C0001", "C0600"] {
        assert_eq!(delete(&host, "admin", &format!("/contacts/{id}")).await.0, StatusCode::ACCEPTED);
    }
    settle(&host, SignedDuration::from_mins(2)).await;

    let (_, job) = get(&host, "viewer", &format!("/jobs/{}", job["id"].as_str().unwrap())).await;
    assert_eq!(counts(&job), ("done", 602, 602, 0));
    let known = contacts::get_many(table, &tenant(), &["C0001", "C0599", "C0600", "C0601"]).await.unwrap();
    let mut ids: Vec<&str> = known.keys().map(String::as_str).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["C0599", "C0601"]);
    assert_eq!(known["C0601"].name, "Person number 0601");

    // A file that comes later means it.
    csv(&host, "/contacts/import", "id,name,phone\nC0600,Came back,\n").await;
    assert_eq!(contact(&host, "C0600").await.name, "Came back");
}

/// S4-07.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_file_puts_into_a_group_gets_its_reminders() {
    let host = quiet_machine(|_| {}).await;
    let lesson = json!({
        "id": "L1", "subject": "Choir", "teacher": "Ms. Rivera", "startsAt": "2026-03-11T15:00", "students": ["Strings"],
    });
    assert_eq!(post(&host, "staff", "/lessons", None, &lesson).await.0, StatusCode::OK);
    let before = messages_of(&host).await.len();

    let file = "id,name,phone,groups\nN1,Nora,2125550161,Strings\nN2,Nils,2125550162,\nS04,Dai N.,555.010.0204,Strings\n";
    csv(&host, "/contacts/import", file).await;
    csv(&host, "/contacts/import", file).await;

    let planned = messages_of(&host).await;
    let of = |id: &str| planned.iter().filter(|message| message.contact.as_deref() == Some(id)).count();
    assert_eq!((of("N1"), of("N2"), of("S04"), planned.len()), (2, 0, 2, before + 4), "{planned:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_cannot_be_used_is_kept_and_told() {
    let host = quiet_machine(|_| {}).await;

    let job = csv(&host, "/contacts/import", "id,name,phone\nN1,Nora,call the office\nN2,Nils,\n").await;

    assert_eq!((counts(&job), errors(&job)), (("done", 2, 2, 0), vec!["2 phone kept".to_string()]));
    assert!(job["errors"][0]["reason"].as_str().unwrap().contains("not a phone number"), "{job}");
    assert_eq!(contact(&host, "N1").await.phone.text(), Some("call the office"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_takes_nothing_that_it_does_not_speak_of_and_lifts_no_opt_out() {
    let host = quiet_machine(|_| {}).await;
    let (gus, hana, eve) = (contact(&host, "S07").await, contact(&host, "S08").await, contact(&host, "S05").await);
    assert!(gus.opted_out && hana.opted_out_categories.len() == 1 && eve.quiet_hours.is_some());

    let file = "id,name,phone\nS07,Gus M.,555-010-0207\nS08,Hana P.,555-010-0208\nS05,Eve L.,15550100205\n";
    csv(&host, "/contacts/import", file).await;

    for before in [gus, hana, eve] {
        let mut after = contact(&host, &before.id).await;
        assert_ne!(after.name, before.name);
        after.name.clone_from(&before.name);
        assert_eq!(after, before);
    }

    let file = "id,name,phone,opted_out,groups,instrument\n\
                S07,Gus M.,555-010-0207,no,Strings,\n\
                S05,Eve L.,15550100205,yes,,piano\n";
    csv(&host, "/contacts/import", file).await;

    let (gus, eve) = (contact(&host, "S07").await, contact(&host, "S05").await);
    assert!(gus.opted_out && eve.opted_out);
    assert_eq!((gus.groups, gus.attributes.len(), eve.attributes.len()), (vec!["Strings".to_string()], 0, 1));
    let members = contacts::members(host.cx.table().await.unwrap(), &tenant(), "Beginners").await.unwrap();
    assert!(!members.contains(&"S07".to_string()), "{members:?}");
    let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "contactId": "S07", "body": "Hello" })).await;
    assert_eq!((receipt["state"].as_str(), receipt["reason"].as_str()), (Some("Skipped"), Some("opted_out")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lessons_and_payments_are_planned_and_what_was_closed_since_stays_closed() {
    let host = quiet_machine(|_| {}).await;
    let table = "id,subject,teacher,starts_at,students\n\
                 L1,Piano,Ms. Rivera,2026-03-11 15:00,S01;nobody\n\
                 L2,Piano,,2026-03-11 15:00,S01\n";
    let owed = "id,student,amount,due_date\nP1,S01,150,2026-03-13\nP2,S98,12O,soon\n";
    let planned = |view: &Value| view["planned"].as_array().unwrap().len();

    let job = csv(&host, "/lessons/import", table).await;
    let due = csv(&host, "/payments/import", owed).await;

    assert_eq!((counts(&job), &job["kind"]), (("done", 1, 1, 1), &json!("import_lessons")));
    assert_eq!(errors(&job), ["2 students kept", "3 teacher refused"]);
    assert_eq!((counts(&due), errors(&due).len()), (("done", 1, 1, 1), 3));
    assert_eq!(planned(&get(&host, "viewer", "/lessons/L1").await.1), 2);
    assert_eq!(planned(&get(&host, "viewer", "/payments/P1").await.1), 1);

    post(&host, "staff", "/lessons/L1/cancel", None, &json!({})).await;
    post(&host, "staff", "/payments/P1/settle", None, &json!({})).await;
    csv(&host, "/lessons/import", table).await;
    csv(&host, "/payments/import", owed).await;
    let (_, lesson) = get(&host, "viewer", "/lessons/L1").await;
    let (_, payment) = get(&host, "viewer", "/payments/P1").await;
    assert_eq!((&lesson["status"], planned(&lesson)), (&json!("cancelled"), 0));
    assert_eq!((&payment["status"], planned(&payment)), (&json!("paid"), 0));

    let says_so = "id,subject,teacher,starts_at,students,status\nL1,Piano,Ms. Rivera,2026-03-11 15:00,S01,scheduled\n";
    csv(&host, "/lessons/import", says_so).await;
    let (_, lesson) = get(&host, "viewer", "/lessons/L1").await;
    assert_eq!((&lesson["status"], planned(&lesson), &lesson["version"]), (&json!("scheduled"), 2, &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendars_occurrences_of_ninety_days_become_lessons() {
    let host = quiet_machine(|_| {}).await;
    let feed = "BEGIN:VCALENDAR\r\n\
                BEGIN:VEVENT\r\nUID:choir@linden.example\r\nDTSTART;TZID=America/New_York:20260309T173000\r\n\
                DURATION:PT45M\r\nRRULE:FREQ=WEEKLY;COUNT=30\r\nEXDATE;TZID=America/New_York:20260316T173000\r\n\
                SUMMARY:Choir\r\nORGANIZER;CN=Dr. Kim:mailto:kim@linden.example\r\n\
                ATTENDEE:mailto:Ben@families.example\r\nATTENDEE:mailto:who@families.example\r\nEND:VEVENT\r\n\
                BEGIN:VEVENT\r\nUID:open-day\r\nDTSTART;VALUE=DATE:20260401\r\nSUMMARY:Open day\r\nEND:VEVENT\r\n\
                BEGIN:VEVENT\r\nUID:broken\r\nDTSTART:soon\r\nSUMMARY:Broken\r\nEND:VEVENT\r\n\
                END:VCALENDAR\r\n";

    let (status, job) = upload(&host, "staff", "/lessons/import", "text/calendar", None, feed).await;

    // Mondays from 9 March to 1 June without 16 March; 8 June is later than 90 days from now.
    assert_eq!((status, counts(&job)), (StatusCode::ACCEPTED, ("done", 12, 12, 1)), "{job}");
    let codes = errors(&job);
    assert!(codes.contains(&"null choir@linden.example note".to_string()), "{codes:?}");
    assert!(codes.contains(&"null open-day note".to_string()), "{codes:?}");
    assert_eq!(codes.iter().filter(|code| code.ends_with("refused")).count(), 1, "{codes:?}");
    let path = "/lessons/choir@linden.example%252F20260323T173000";
    let (_, choir) = get(&host, "viewer", path).await;
    assert_eq!((&choir["startsAt"], &choir["durationMinutes"]), (&json!("2026-03-23T21:30:00Z"), &json!(45)), "{choir}");
    assert_eq!(choir["students"], json!({ "contacts": ["S02"], "groups": [] }));
    let (_, page) = get(&host, "viewer", "/lessons").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 3);

    // Cancelled here, and not there: the next feed does not bring it back, whatever its program calls it.
    post(&host, "staff", &format!("{path}/cancel"), None, &json!({})).await;
    let (status, again) = upload(&host, "staff", "/lessons/import", "application/octet-stream", None, feed).await;
    assert_eq!((status, counts(&again)), (StatusCode::ACCEPTED, ("done", 12, 12, 1)));
    assert_eq!(get(&host, "viewer", path).await.1["status"], "cancelled");
    let called_off = feed.replace("SUMMARY:Choir", "STATUS:CANCELLED\r\nSUMMARY:Choir");
    upload(&host, "staff", "/lessons/import", "text/calendar", None, called_off).await;
    let (from, to) = ("2026-03-01T00:00:00Z".parse().unwrap(), "2026-12-01T00:00:00Z".parse().unwrap());
    let all = lessons::starting(host.cx.table().await.unwrap(), &tenant(), from, to).await.unwrap();
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|lesson| lesson.status == shared::domain::lesson::LessonStatus::Cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_for_one_file_and_what_is_no_table_is_refused_whole() {
    let host = quiet_machine(|_| {}).await;
    let file = "id,name,phone\nN1,Nora,\n";
    let first = upload(&host, "staff", "/contacts/import", "text/csv", Some("k"), file).await;
    let second = upload(&host, "staff", "/contacts/import", "text/csv", Some("k"), file).await;
    assert_eq!(first, second);
    for (path, file) in [("/contacts/import", "id,name,phone\nN2,Nils,\n"), ("/payments/import", file)] {
        let (status, problem) = upload(&host, "staff", path, "text/csv", Some("k"), file).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")), "{problem}");
    }

    let cases: [(&str, &str, &[u8], &str, &str); 7] = [
        ("/contacts/import", "text/csv", b"name,mobile\nAna,1\n", "id", "required"),
        ("/payments/import", "text/csv", b"id\nP1\n", "student", "required"),
        ("/contacts/import", "text/csv", b" \r\n", "", "required"),
        ("/contacts/import", "application/octet-stream", b"PK\x03\x04...", "", "invalid"),
        ("/contacts/import", "multipart/form-data; boundary=x", b"--x\r\n", "Content-Type", "invalid"),
        ("/contacts/import", "text/csv", b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", "", "invalid"),
        ("/lessons/import", "text/calendar", b"id,subject\n", "", "invalid"),
    ];
    for (path, content_type, bytes, field, code) in cases {
        let (status, problem) = upload(&host, "staff", path, content_type, None, bytes).await;
        let error = &problem["errors"][0];
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!((error["field"].as_str(), error["code"].as_str()), (Some(field), Some(code)), "{problem}");
    }
    let (status, problem) = upload(&host, "viewer", "/contacts/import", "text/csv", None, file).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("forbidden")));
    let large = vec![b'x'; 3 * 1024 * 1024 + 1];
    assert_eq!(upload(&host, "staff", "/contacts/import", "text/csv", None, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(contacts::get_many(host.cx.table().await.unwrap(), &tenant(), &["N2"]).await.unwrap().is_empty());
}
