//! Campaigns and what is owed to others: a forgotten contact is in none (S3-58), a deleted tenant leaves none, a suspended
//! one sends none; nothing is kept for longer than its tenant keeps it (S0-75); and each row that goes has its message.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};

use jiff::SignedDuration;
use local::host::Host;
use serde_json::{Value, json};
use shared::domain::campaign::{Excluded, Fate, Row, row_id};
use shared::domain::contact::Contact;
use shared::domain::phone::PhoneNumber;
use shared::store::campaigns::{self, Campaign, Stage, Tally};
use shared::store::erasure::{self, Swept};
use shared::store::{contacts, due, keys, messages};
use shared::usecases::forget_contact::Certificate;
use shared::usecases::tally_campaign::{Progress, tally_campaign};
use shared::usecases::work_campaign::{AtHand, work_step};

use crate::forgetting::{later, opened};
use crate::machine::{delete, get, messages_of, post, put_bytes, quiet_machine, settle, tenant};
use crate::tenants::{ask, items_of, platform};

const ID: &str = "anamaria-9";
const NUMBER: &str = "+12125550177";
const OTHER: &str = "+12125550188";
/// What of theirs is looked for.
const THEIRS: [&str; 4] = ["2125550177", ID, "Anamaria", "quill@"];
const DAY: SignedDuration = SignedDuration::from_hours(24);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Theirs and somebody else's; once more, and in a cell with another.
const FILE: &str = "phone,name\n+12125550177,Anamaria Quill\n+12125550188,Topaz\n(212) 555-0177,Anamaria Quill\n\
                    212-555-0177 and 212-555-0199,Anamaria Quill\n";

async fn machine() -> Host {
    let host = quiet_machine(|settings| {
        settings.pacing.sms = Some(100);
        settings.retention.messages_days = 7;
    })
    .await;
    let contact = Contact {
        id: ID.into(),
        name: "Anamaria Quill".into(),
        email: Some("quill@families.example".into()),
        groups: vec!["Flutes".into()],
        ..Contact::unknown(PhoneNumber::from_e164(NUMBER).unwrap())
    };
    contacts::put_many(host.cx.table().await.unwrap(), &tenant(), &[contact]).await.unwrap();
    host
}

/// Asks for a campaign with this text, for whom `more` says.
async fn begin(host: &Host, body: &str, more: Value) -> String {
    let mut asked = json!({ "body": body });
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, campaign) = post(host, "staff", "/campaigns", None, &asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{campaign}");
    campaign["id"].as_str().unwrap().to_string()
}

/// Asks for one whose file follows, and sends its first part.
async fn begin_upload(host: &Host) -> String {
    let id = begin(host, "News for {name}", json!({ "upload": true })).await;
    let path = format!("/campaigns/{id}/file/0");
    assert_eq!(put_bytes(host, "staff", &path, FILE.as_bytes()).await.0, StatusCode::NO_CONTENT);
    id
}

async fn stored(host: &Host, id: &str) -> Campaign {
    campaigns::get(host.cx.table().await.unwrap(), &tenant(), id).await.unwrap().unwrap()
}

async fn rows(host: &Host, id: &str) -> Vec<Row> {
    campaigns::chunk(host.cx.table().await.unwrap(), &tenant(), id, 0).await.unwrap().1
}

/// How many rows still hold what their messages say.
async fn saying(host: &Host, id: &str) -> usize {
    let says = |row: &&Row| matches!(&row.fate, Fate::Goes { values, .. } if !values.is_empty());
    rows(host, id).await.iter().filter(says).count()
}

async fn progress(host: &Host, id: &str) -> Progress {
    let campaign = stored(host, id).await;
    tally_campaign(&host.cx, &tenant(), &campaign, host.clock.now()).await.unwrap()
}

/// How often each number was sent to.
fn reached(host: &Host) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in host.twilio.ledger() {
        *counts.entry(entry.to).or_default() += 1;
    }
    counts
}

fn once(numbers: &[&str]) -> BTreeMap<String, usize> {
    numbers.iter().map(|number| (number.to_string(), 1)).collect()
}

fn theirs(text: &str) -> Vec<&'static str> {
    THEIRS.into_iter().filter(|wanted| text.contains(wanted)).collect()
}

async fn nothing_is_left(host: &Host) {
    assert_eq!(theirs(&opened(host).await), Vec::<&str>::new());
    assert_eq!(theirs(&host.twilio.everything()), Vec::<&str>::new());
}

async fn forget(host: &Host) -> Value {
    let (status, job) = delete(host, "admin", &format!("/contacts/{ID}")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    job
}

/// The job as it is now.
async fn job(host: &Host, asked: &Value) -> Value {
    get(host, "admin", &format!("/jobs/{}", asked["id"].as_str().unwrap())).await.1
}

async fn certificate(host: &Host, asked: &Value) -> Certificate {
    let job = job(host, asked).await;
    assert_eq!(job["state"], "done", "{job}");
    serde_json::from_value(job["result"].clone()).unwrap()
}

fn is_whole(campaign: &Campaign) -> bool {
    campaign.summary.rows == campaign.summary.going + campaign.summary.excluded.values().sum::<u32>()
}

/// S3-58: rows that have not gone yet go to nobody, by number and by contact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_is_forgotten_before_a_campaign_goes_is_not_in_it() {
    let host = machine().await;
    let tomorrow = json!("2026-03-11T15:00:00Z");
    let by_number = begin(&host, "News for {name}", json!({ "customerList": FILE, "sendAt": tomorrow })).await;
    let of_group = begin(&host, "News for all", json!({ "groups": ["Flutes"], "sendAt": tomorrow })).await;
    let held = begin(&host, "More for {name}", json!({ "customerList": FILE, "hold": true })).await;
    settle(&host, MINUTE * 2).await;
    let stages = [stored(&host, &by_number).await.stage, stored(&host, &of_group).await.stage, stored(&host, &held).await.stage];
    assert_eq!(stages, [Stage::Sending, Stage::Sending, Stage::Held]);
    let before = stored(&host, &by_number).await.summary;
    assert_eq!((before.rows, before.going), (4, 2), "{before:?}");
    assert_eq!(stored(&host, &of_group).await.summary.going, 1);
    assert_eq!(theirs(&opened(&host).await).len(), THEIRS.len());

    let asked = forget(&host).await;
    settle(&host, MINUTE * 2).await;

    assert_eq!(certificate(&host, &asked).await.here.list_rows, 3);
    nothing_is_left(&host).await;
    let after = stored(&host, &by_number).await;
    assert_eq!((after.summary.rows, after.summary.going, is_whole(&after)), (4, 1, true), "{:?}", after.summary);
    assert_eq!((after.summary.units, after.summary.cost.0), (before.units / 2, before.cost.0 / 2));
    let unknown = Fate::Excluded { why: Excluded::UnknownContact, detail: None };
    let rows = rows(&host, &by_number).await;
    assert_eq!(rows[0], Row { line: 2, to: String::new(), contact: None, fate: unknown });
    assert!(rows[2].to.is_empty() && rows[3].to.is_empty(), "however it is written: {rows:?}");

    settle(&host, DAY).await;
    assert_eq!(reached(&host), once(&[OTHER]));
    let stages = [stored(&host, &by_number).await.stage, stored(&host, &of_group).await.stage];
    assert_eq!(stages, [Stage::Done, Stage::Done]);
    let sent = progress(&host, &by_number).await;
    assert_eq!((sent.delivered, sent.pending, sent.skipped), (1, 0, 0), "{sent:?}");
    assert_eq!(progress(&host, &of_group).await, Progress::default());
}

/// S3-58: what went is still counted, and says of nobody that it went to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_is_forgotten_after_a_campaign_leaves_only_a_count() {
    let host = machine().await;
    let id = begin(&host, "News for {name}", json!({ "customerList": FILE })).await;
    settle(&host, MINUTE * 5).await;
    let before = (stored(&host, &id).await.summary, progress(&host, &id).await);
    assert_eq!((stored(&host, &id).await.stage, before.1.delivered), (Stage::Done, 2), "{:?}", before.1);
    assert!(theirs(&host.twilio.everything()).contains(&"Anamaria"));

    let asked = forget(&host).await;
    settle(&host, MINUTE * 2).await;

    assert_eq!(certificate(&host, &asked).await.here.list_rows, 0);
    nothing_is_left(&host).await;
    assert_eq!((stored(&host, &id).await.summary, progress(&host, &id).await), before);
    let rows = rows(&host, &id).await;
    assert_eq!(rows[0], Row { to: String::new(), ..rows[0].clone() });
    assert!(rows[0].units().is_some() && rows[1].to == OTHER, "{rows:?}");
    let (status, report) = get(&host, "viewer", &format!("/campaigns/{id}/rows")).await;
    assert_eq!((status, report["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(4)), "{report}");
    assert!(report.to_string().contains(OTHER) && theirs(&report.to_string()).is_empty());
}

/// Of a number that somebody else has too, nobody knows whose the row was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_a_number_that_two_have_stays() {
    let host = machine().await;
    let other = Contact { id: "second".into(), ..Contact::unknown(PhoneNumber::from_e164(NUMBER).unwrap()) };
    contacts::put_many(host.cx.table().await.unwrap(), &tenant(), &[other]).await.unwrap();
    let tomorrow = json!("2026-03-11T15:00:00Z");
    let by_number = begin(&host, "News", json!({ "recipients": [NUMBER, OTHER], "sendAt": tomorrow })).await;
    let of_group = begin(&host, "News", json!({ "groups": ["Flutes"], "sendAt": tomorrow })).await;
    settle(&host, MINUTE * 2).await;

    let asked = forget(&host).await;
    settle(&host, MINUTE * 2).await;

    let certificate = certificate(&host, &asked).await;
    assert_eq!((certificate.here.list_rows, certificate.here.shared_numbers), (1, 1));
    let going = (stored(&host, &by_number).await.summary.going, stored(&host, &of_group).await.summary.going);
    assert_eq!(going, (2, 0));
}

/// A file that is not read yet: the certificate waits for it, and for what is made of it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgetting_waits_until_a_file_is_read() {
    let host = machine().await;
    let id = begin_upload(&host).await;
    let asked = forget(&host).await;
    settle(&host, MINUTE * 20).await;
    assert_ne!(job(&host, &asked).await["state"], "done", "it may be in the file");
    assert_eq!(get(&host, "admin", &format!("/contacts/{ID}")).await.0, StatusCode::NOT_FOUND, "it is gone all the same");

    let (status, started) = post(&host, "staff", &format!("/campaigns/{id}/start"), None, &json!({ "parts": 1 })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    settle(&host, SignedDuration::from_hours(3)).await;

    let certificate = certificate(&host, &asked).await;
    assert!(certificate.kept.iter().all(|kept| !kept.contains("file")), "{:?}", certificate.kept);
    nothing_is_left(&host).await;
    assert_eq!((stored(&host, &id).await.stage, reached(&host).get(OTHER)), (Stage::Done, Some(&1)));
}

/// What nobody completes ends by itself, and with it the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_nobody_completes_is_canceled_after_a_day() {
    let host = machine().await;
    let id = begin_upload(&host).await;
    swept_until_lately(&host).await;
    let asked = forget(&host).await;
    settle(&host, MINUTE * 2).await;

    later(&host, SignedDuration::from_hours(20));
    sweep(&host).await;
    assert_eq!(stored(&host, &id).await.stage, Stage::Uploading, "somebody may be at work on it");
    later(&host, SignedDuration::from_hours(5));
    sweep(&host).await;
    let canceled = stored(&host, &id).await;
    assert_eq!((canceled.stage, canceled.finished_at), (Stage::Canceled, Some(host.clock.now())));
    assert!(!host.aws.items().iter().any(|item| item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("FILE#"))));
    let (status, _) = post(&host, "staff", &format!("/campaigns/{id}/start"), None, &json!({ "parts": 1 })).await;
    assert_ne!(status, StatusCode::ACCEPTED);
    settle(&host, MINUTE * 10).await;
    certificate(&host, &asked).await;
    nothing_is_left(&host).await;
}

/// As if the nights until ten days ago were done: a new tenant's first night looks through years of empty days.
async fn swept_until_lately(host: &Host) {
    let lately = keys::day(host.clock.now() - DAY * 10);
    let swept = Swept { messages_before: Some(lately), texts_before: None };
    erasure::note_swept(host.cx.table().await.unwrap(), &tenant(), &swept).await.unwrap();
}

async fn sweep(host: &Host) {
    host.task("sweepExpired", host.clock.now()).await.unwrap();
}

/// S0-75: rows go with the messages; what they came to stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_kept_as_long_as_messages_and_their_counts_longer() {
    let host = machine().await;
    let done = begin(&host, "News for {name}", json!({ "customerList": FILE })).await;
    let canceled = begin(&host, "More for {name}", json!({ "customerList": FILE, "hold": true })).await;
    settle(&host, MINUTE * 5).await;
    assert_eq!(post(&host, "staff", &format!("/campaigns/{canceled}/cancel"), None, &json!({})).await.0, StatusCode::OK);
    swept_until_lately(&host).await;
    assert_eq!((saying(&host, &done).await, saying(&host, &canceled).await), (0, 2), "a message says it");
    let (sent, day) = (progress(&host, &done).await, keys::day(host.clock.now()));

    later(&host, DAY * 6);
    sweep(&host).await;
    assert_eq!(saying(&host, &canceled).await, 0, "nobody is told it any more");
    assert_eq!((rows(&host, &done).await.len(), rows(&host, &canceled).await.len()), (4, 4));
    later(&host, DAY * 3);
    sweep(&host).await;

    let table = host.cx.table().await.unwrap();
    assert!(messages::log(table, &tenant(), day).await.unwrap().is_empty());
    assert_eq!((rows(&host, &done).await.len(), rows(&host, &canceled).await.len()), (0, 0));
    assert_eq!((sent.delivered, progress(&host, &done).await), (2, sent));
    let kept = progress(&host, &canceled).await;
    assert_eq!((kept.skipped, kept.outcomes.get("canceled")), (2, Some(&2)), "{kept:?}");
}

/// What one look does not count is as it was last counted, or pending if it never was; every row is told of once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_a_large_campaign_counts_a_part_of_it_and_adds_up() {
    let host = machine().await;
    let id = begin(&host, "News for {name}", json!({ "customerList": FILE })).await;
    settle(&host, MINUTE * 5).await;
    let mut large = stored(&host, &id).await;
    assert_eq!((large.stage, large.chunks, large.summary.going), (Stage::Done, 1, 2));
    // Thirty chunks more, of one row each whose message is kept no longer.
    (large.chunks, large.next.chunk, large.summary.going) = (31, 31, 32);
    let (table, tenant, now) = (host.cx.table().await.unwrap(), tenant(), host.clock.now());
    let look = || tally_campaign(&host.cx, &tenant, &large, now);

    let first = look().await.unwrap();
    assert_eq!((first.delivered, first.pending, first.counted_at), (2, 30, Some(large.created_at)), "{first:?}");
    let second = look().await.unwrap();
    assert_eq!((second.delivered, second.pending, second.counted_at), (2, 0, None), "{second:?}");
    assert_eq!(second.outcomes.get("gone"), Some(&30));

    // As if each had been counted while its message was there, the first of them the longest ago.
    let counted = |chunk: u32| Tally {
        outcomes: BTreeMap::from([("sent".to_string(), 1)]),
        counted_at: now - MINUTE * (40 - chunk as i32),
        ..Tally::default()
    };
    let tallies: BTreeMap<u32, Tally> = (1..31).map(|chunk| (chunk, counted(chunk))).collect();
    campaigns::put_tallies(table, &tenant, &large, &tallies).await.unwrap();
    let third = look().await.unwrap();
    assert_eq!((third.delivered, third.sent, third.pending), (2, 30, 0), "{third:?}");
    assert_eq!(third.counted_at, Some(now - MINUTE * 14), "of the five that were counted last");
    assert_eq!(look().await.unwrap(), Progress { counted_at: None, ..third });
}

/// Works on a campaign until all its messages are made, and none has gone.
async fn made(host: &Host, id: &str) -> Campaign {
    let mut at_hand = AtHand::default();
    for _ in 0..20 {
        let mut campaign = stored(host, id).await;
        if campaign.stage == Stage::Checking {
            return campaign;
        }
        work_step(&host.cx, &tenant(), &mut campaign, &mut at_hand, host.clock.now()).await.unwrap();
    }
    panic!("its messages are not made: {:?}", stored(host, id).await);
}

/// Takes the message of a row out of the table, as if it had never been written.
async fn lose(host: &Host, campaign: &str, row: u32) {
    let key = keys::message(&tenant(), &row_id(&tenant(), campaign, row));
    let request = json!({ "TableName": host.cx.config.table, "Key": { "pk": { "S": key.pk }, "sk": { "S": key.sk } } });
    let answer = host.aws.handle("DynamoDB_20120810.DeleteItem", request.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn guests(count: usize) -> (String, Vec<String>) {
    let numbers: Vec<String> = (0..count).map(|at| format!("+1212555{at:04}")).collect();
    let rows: String = numbers.iter().enumerate().map(|(at, number)| format!("{number},Guest {at}\n")).collect();
    (format!("phone,name\n{rows}"), numbers)
}

/// B13: a row without its message is found, and goes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_missing_are_made_and_sent_once() {
    let host = machine().await;
    let (file, numbers) = guests(8);
    let id = begin(&host, "News for {name}", json!({ "customerList": file })).await;
    assert_eq!(made(&host, &id).await.made, 8);
    for row in [1, 3, 6] {
        lose(&host, &id, row).await;
    }
    assert_eq!((messages_of(&host).await.len(), reached(&host).len()), (5, 0));

    settle(&host, MINUTE * 5).await;

    let done = stored(&host, &id).await;
    assert_eq!((done.stage, done.mended, done.checked), (Stage::Done, 3, 1));
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(reached(&host), once(&numbers));
    let sent = progress(&host, &id).await;
    assert_eq!((sent.delivered, sent.units, sent.cost), (8, done.summary.units, done.summary.cost), "as it was planned");
    assert_eq!((rows(&host, &id).await.len(), saying(&host, &id).await), (8, 0), "what they say stands in their messages");
}

/// A campaign that was held up for longer than messages are kept: those that have gone are not missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_kept_no_longer_is_not_sent_again() {
    let host = machine().await;
    let id = begin(&host, "News for {name}", json!({ "customerList": FILE })).await;
    made(&host, &id).await;
    lose(&host, &id, 0).await;
    let swept = Swept { messages_before: keys::day(host.clock.now()).tomorrow().ok(), texts_before: None };
    erasure::note_swept(host.cx.table().await.unwrap(), &tenant(), &swept).await.unwrap();

    settle(&host, MINUTE * 5).await;

    let done = stored(&host, &id).await;
    assert_eq!((done.stage, done.mended), (Stage::Done, 0));
    assert_eq!(reached(&host), once(&[OTHER]));
    assert_eq!(progress(&host, &id).await.outcomes.get("gone"), Some(&1));
}

/// A tenant that is switched off loses no row: the campaign waits as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_of_a_suspended_tenant_waits() {
    let host = machine().await;
    let soon = host.clock.now() + SignedDuration::from_hours(1);
    let id = begin(&host, "News for {name}", json!({ "customerList": FILE, "sendAt": soon })).await;
    settle(&host, MINUTE * 2).await;
    let suspended = ask(&host, &platform(), Method::POST, "/v1/tenants/sample/suspend", &json!({})).await;
    assert_eq!(suspended.0, StatusCode::OK);

    settle(&host, SignedDuration::from_hours(2)).await;
    assert_eq!((stored(&host, &id).await.made, reached(&host).len()), (0, 0));
    let resumed = ask(&host, &platform(), Method::POST, "/v1/tenants/sample/resume", &Value::Null).await;
    assert_eq!(resumed.0, StatusCode::OK);
    settle(&host, MINUTE * 30).await;

    assert_eq!(reached(&host), once(&[NUMBER, OTHER]));
}

/// Whatever it is at: waiting for its hour, held, with a file, or done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_tenant_leaves_nothing_of_its_campaigns() {
    let host = machine().await;
    let in_an_hour = host.clock.now() + SignedDuration::from_hours(1);
    let waiting = begin(&host, "Soon for {name}", json!({ "customerList": FILE, "sendAt": in_an_hour })).await;
    begin(&host, "Held for {name}", json!({ "customerList": FILE, "hold": true })).await;
    let done = begin(&host, "News for all", json!({ "recipients": [OTHER] })).await;
    let upload = begin_upload(&host).await;
    settle(&host, MINUTE * 5).await;
    assert_eq!((stored(&host, &waiting).await.stage, stored(&host, &done).await.stage), (Stage::Sending, Stage::Done));
    let table = host.cx.table().await.unwrap();
    // More than goes in one step.
    for part in 1..260 {
        campaigns::put_part(table, &tenant(), &upload, part, b"+12125550199", host.clock.now()).await.unwrap();
    }
    let lies_of_campaigns = |item: &&Value| item["pk"]["S"].as_str().is_some_and(|pk| pk.contains("#CAMPAIGN#"));
    assert!(items_of(&host, "sample").iter().filter(lies_of_campaigns).count() > 520);

    ask(&host, &platform(), Method::POST, "/v1/tenants/sample/suspend", &json!({})).await;
    let (status, begun) = ask(&host, &platform(), Method::DELETE, "/v1/tenants/sample", &Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let mut told = Value::Null;
    for _ in 0..10 {
        later(&host, MINUTE * 2);
        host.tick(host.clock.now()).await.unwrap();
        told = ask(&host, &platform(), Method::GET, "/v1/tenants/sample", &Value::Null).await.1;
        if told["state"] == "deleted" {
            break;
        }
    }

    assert_eq!(told["state"], "deleted", "{told}");
    let left: Vec<String> = items_of(&host, "sample").iter().map(|item| item["pk"]["S"].to_string()).collect();
    assert_eq!(left.len(), 2, "the job and the entry tell of it: {left:?}");
    assert_eq!(due::next_due(table, &tenant()).await.unwrap(), None);
    later(&host, DAY);
    host.tick(host.clock.now()).await.unwrap();
    assert_eq!(reached(&host), once(&[OTHER]), "nothing more goes");
}
