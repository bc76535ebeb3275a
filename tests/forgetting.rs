//! A contact's rights (S3-58, S0-73): to be forgotten, here and at Twilio, with a certificate; and to see everything.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::SignedDuration;
use local::host::Host;
use local::twilio::{InboundMedia, InboundText};
use serde_json::{Value, json};
use shared::context::twilio_secret;
use shared::domain::contact::Contact;
use shared::domain::message::{Message, MessageId, Status};
use shared::domain::phone::PhoneNumber;
use shared::secrets;
use shared::store::{contacts, lessons, payments};
use shared::usecases::forget_contact::Certificate;

use crate::machine::{delete, get, messages_of, post, quiet_machine, settle, tenant, unconnected_machine};

const SENDER: &str = "+15005550006";
const ID: &str = "anamaria-9";
const NUMBER: &str = "+12125550177";
/// Somebody else's, in the sample.
const OTHER: &str = "+15550100202";
/// What of theirs is looked for. Every text has the last.
const THEIRS: [&str; 6] = ["2125550177", ID, "Anamaria", "quill@", "Zither", "uartz"];

fn contact(id: &str, number: &str) -> Contact {
    let number = PhoneNumber::from_e164(number).unwrap();
    Contact {
        id: id.into(),
        name: "Anamaria Quill".into(),
        email: Some("quill@families.example".into()),
        groups: vec!["Zither".into()],
        attributes: [("instrument".to_string(), "Quartz flute".to_string())].into(),
        ..Contact::unknown(number)
    }
}

async fn save(host: &Host, contact: Contact) {
    contacts::put_many(host.cx.table().await.unwrap(), &tenant(), &[contact]).await.unwrap();
}

async fn send(host: &Host, path: &str, asked: Value) -> String {
    let (status, receipt) = post(host, "staff", path, None, &asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{asked}: {receipt}");
    receipt["id"].as_str().unwrap().to_string()
}

async fn bring(host: &Host, text: InboundText) {
    let callback = host.inbound_text(&tenant(), &text).await.unwrap();
    assert_eq!(host.bring(&callback, host.clock.now()).await, StatusCode::OK);
}

async fn stored(host: &Host, id: &str) -> Message {
    let table = host.cx.table().await.unwrap();
    let id = MessageId::parse(id).unwrap();
    shared::store::messages::get_many(table, &tenant(), &[id]).await.unwrap().pop().unwrap()
}

pub fn later(host: &Host, length: SignedDuration) {
    host.clock.set(host.clock.now() + length);
}

/// The whole table as text, with everything in it that is sealed opened.
pub async fn opened(host: &Host) -> String {
    let keyring = host.cx.table().await.unwrap().keyring();
    let mut all = String::new();
    for item in host.aws.items() {
        all.push_str(&item.to_string());
        let place = item["pk"]["S"].as_str().unwrap();
        for sealed in item.as_object().unwrap().values().filter_map(|value| value["B"].as_str()) {
            let plain = keyring.open(place, &BASE64.decode(sealed).unwrap()).unwrap();
            all.push_str(&String::from_utf8(plain).unwrap());
        }
        all.push('\n');
    }
    all
}

/// Whether it stands in the table in the clear.
fn opened_has(host: &Host, text: &str) -> bool {
    host.aws.items().iter().any(|item| item["sk"]["S"].as_str().is_some_and(|sk| sk.contains(text)))
}

fn found<'a>(text: &str, wanted: &[&'a str]) -> Vec<&'a str> {
    wanted.iter().copied().filter(|wanted| text.contains(wanted)).collect()
}

async fn forget(host: &Host, id: &str) -> Value {
    let (status, job) = delete(host, "admin", &format!("/contacts/{id}")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    job
}

/// The job as it is now.
async fn job(host: &Host, job: &Value) -> Value {
    let (status, job) = get(host, "admin", &format!("/jobs/{}", job["id"].as_str().unwrap())).await;
    assert_eq!(status, StatusCode::OK, "{job}");
    job
}

async fn certificate(host: &Host, asked: &Value) -> Certificate {
    let job = job(host, asked).await;
    assert_eq!(job["state"], "done", "{job}");
    serde_json::from_value(job["result"].clone()).unwrap()
}

fn cost(messages: &[Message]) -> i64 {
    messages.iter().filter_map(|message| message.cost).map(|cost| cost.0).sum()
}

/// Everything that there can be of a contact.
async fn a_full_life(host: &Host) -> String {
    save(host, contact(ID, NUMBER)).await;
    let lesson = |id: &str, students: Value| json!({ "id": id, "subject": "Flute", "teacher": "Ms. Rivera", "startsAt": "2026-03-12T15:00", "students": students });
    for lesson in [lesson("Q1", json!([ID, "S02"])), lesson("Q2", json!(["S02"]))] {
        assert_eq!(post(host, "staff", "/lessons", None, &lesson).await.0, StatusCode::OK);
    }
    let owed = json!({ "id": "QP1", "contactId": ID, "amount": "45.00", "dueDate": "2026-03-13" });
    assert_eq!(post(host, "staff", "/payments", None, &owed).await.0, StatusCode::OK);
    let photo = json!(["https://example.com/quartz.jpg"]);
    let content = format!("HX{}", "a".repeat(32));
    for asked in [
        json!({ "contactId": ID, "body": "Dear Anamaria, quartz one.", "reference": "quartz", "customerId": "quartz" }),
        json!({ "to": NUMBER, "body": "Quartz two, by number." }),
        json!({ "contactId": ID, "body": "Quartz three.", "mediaUrls": photo }),
        json!({ "to": NUMBER, "contentSid": content, "contentVariables": { "1": "Quartz four" } }),
        json!({ "contactId": ID, "body": "Quartz five, later.", "sendAt": "2026-03-14T15:00:00Z" }),
        json!({ "to": NUMBER, "body": "Quartz six, later by number.", "sendAt": "2026-03-14T15:00:00Z" }),
        json!({ "contactId": ID, "body": "Quartz seven, daily.", "repeat": { "cron": "0 9 * * *" } }),
    ] {
        send(host, "/messages", asked).await;
    }
    send(host, "/calls", json!({ "contactId": ID, "say": "Quartz eight, aloud." })).await;
    let rows = |body: &str| json!([{ "contactId": ID, "body": format!("Quartz {body}.") }, { "to": OTHER, "body": format!("Topaz {body}.") }]);
    send(host, "/messages/bulk", json!({ "recipients": rows("nine") })).await;
    let held = send(host, "/messages/bulk", json!({ "recipients": rows("ten"), "sendImmediately": false })).await;
    settle(host, SignedDuration::from_mins(5)).await;

    let media = vec![InboundMedia { url: "https://api.twilio.com/quartz".into(), content_type: "image/jpeg".into() }];
    bring(host, InboundText { media, ..InboundText::new(NUMBER, SENDER, "Quartz eleven?") }).await;
    bring(host, InboundText::new(format!("whatsapp:{NUMBER}"), format!("whatsapp:{SENDER}"), "Quartz twelve!")).await;
    let call = host.inbound_call(&tenant(), NUMBER, SENDER).await.unwrap();
    assert_eq!(host.bring(&call, host.clock.now()).await, StatusCode::OK);
    let ended = host.call_ended(&tenant(), &call, 14).unwrap();
    assert_eq!(host.bring(&ended, host.clock.now()).await, StatusCode::NO_CONTENT);
    let reason = json!({ "contactId": ID, "categories": ["marketing"], "reason": "Quartz thirteen" });
    assert_eq!(post(host, "staff", "/opt-outs", None, &reason).await.0, StatusCode::OK);
    later(host, SignedDuration::from_secs(1));
    bring(host, InboundText::new(NUMBER, SENDER, "Quartz, a last word")).await;
    later(host, SignedDuration::from_secs(1));
    bring(host, InboundText::new(NUMBER, SENDER, "STOP")).await;
    send(host, "/messages", json!({ "contactId": ID, "body": "Quartz fifteen, in vain." })).await;
    settle(host, SignedDuration::from_mins(5)).await;
    held
}

/// S3-58, S0-72, S0-73: "a search of the raw table and of the local Twilio finds nothing of theirs but the keyed hash".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_forgotten_contact_nothing_is_left_but_the_keyed_hash() {
    let host = quiet_machine(|settings| settings.quiet_hours = None).await;
    let held = a_full_life(&host).await;
    let before = messages_of(&host).await;
    let ledger = host.twilio.ledger().into_iter();
    let mut sids: Vec<String> = ledger.filter(|entry| entry.to.contains(NUMBER)).map(|entry| entry.sid).collect();
    let came: Vec<String> =
        before.iter().filter(|message| message.inbound.is_some()).filter_map(|message| message.sid.clone()).collect();
    assert!(came.len() >= 4 && came.iter().any(|sid| opened_has(&host, sid)), "the wishes name their texts: {came:?}");
    sids.extend(came);
    assert!(sids.len() >= 8 && found(&opened(&host).await, &THEIRS).len() == THEIRS.len());
    assert!(host.twilio.everything().contains("uartz"));
    let path = format!("/contacts/{ID}");
    for role in ["viewer", "staff"] {
        assert_eq!(delete(&host, role, &path).await.0, StatusCode::FORBIDDEN, "{role}");
    }

    let asked = forget(&host, ID).await;
    assert_eq!(get(&host, "admin", &path).await.0, StatusCode::NOT_FOUND, "it goes at once");
    let again = forget(&host, ID).await;
    assert_eq!(again["id"], asked["id"], "asked again, it is the same job");
    settle(&host, SignedDuration::from_mins(2)).await;

    let certificate = certificate(&host, &asked).await;
    let table = opened(&host).await;
    assert_eq!(found(&table, &THEIRS), Vec::<&str>::new());
    assert_eq!(sids.iter().find(|sid| table.contains(*sid)), None, "nor do Twilio's ids lead there");
    assert_eq!(found(&host.twilio.everything(), &THEIRS), Vec::<&str>::new());
    let keyring = host.cx.table().await.unwrap().keyring();
    assert!(table.contains(&keyring.number_hash(&PhoneNumber::from_e164(NUMBER).unwrap())), "what it said is kept under a hash");

    let after = messages_of(&host).await;
    assert_eq!((after.len(), cost(&after)), (before.len(), cost(&before)), "the accounts still add up");
    let statuses = |messages: &[Message], of: Status| messages.iter().filter(|message| message.status == of).count();
    assert_eq!(statuses(&after, Status::Delivered), statuses(&before, Status::Delivered));
    let Certificate { here, twilio, .. } = &certificate;
    assert!(here.messages >= 12 && here.canceled >= 4, "{here:?}");
    assert_eq!((here.conversations, here.lessons, here.payments), (1, 1, 1));
    assert_eq!((here.recurring, here.list_rows, here.wishes, here.shared_numbers), (1, 1, 2, 0));
    assert!(twilio.redacted >= 8 && twilio.media_deleted >= 2 && twilio.deleted >= 10, "{twilio:?}");
    assert_eq!(twilio.not_reached, 0);
    assert_eq!(certificate.requested_by.as_deref(), Some("user-1"));
    assert!(certificate.is_genuine(keyring));
    let forged = Certificate { completed_at: certificate.requested_at, ..certificate.clone() };
    assert!(!forged.is_genuine(keyring));
    let (status, done) = delete(&host, "admin", &path).await;
    assert_eq!((status, &done["id"]), (StatusCode::OK, &asked["id"]));
    assert_eq!(done["result"]["signature"], certificate.signature);
    assert_eq!(delete(&host, "admin", "/contacts/nobody").await.0, StatusCode::NOT_FOUND);

    // The others have what they had, and the list that was kept back still goes to them.
    let table = host.cx.table().await.unwrap();
    let lesson = lessons::get(table, &tenant(), "Q1").await.unwrap().unwrap();
    assert_eq!(lesson.students.contacts, ["S02"]);
    assert_eq!(payments::get(table, &tenant(), "QP1").await.unwrap(), None);
    send_held(&host, &held).await;
    let bodies: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.body).collect();
    assert!(bodies.contains(&"Topaz nine.".to_string()) && bodies.contains(&"Topaz ten.".to_string()), "{bodies:?}");
}

async fn send_held(host: &Host, list: &str) {
    let (status, answer) = post(host, "staff", &format!("/messages/bulk/{list}/send"), None, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    settle(host, SignedDuration::from_mins(5)).await;
}

/// S0-72.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_opt_out_holds_for_a_contact_that_comes_back() {
    let host = quiet_machine(|_| {}).await;
    save(&host, contact(ID, NUMBER)).await;
    bring(&host, InboundText::new(NUMBER, SENDER, "STOP")).await;
    let first = forget(&host, ID).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    certificate(&host, &first).await;

    let (_, listed) = get(&host, "viewer", "/opt-outs").await;
    let item = &listed["items"][0];
    assert_eq!((item["number"].as_str(), item["optedOut"].as_bool()), (Some(""), Some(true)), "{listed}");
    assert!(item["note"].as_str().unwrap().contains("forgotten"), "{listed}");
    let csv = crate::machine::get_text(&host, "admin", "/opt-outs/export").await;
    assert!(csv.lines().nth(1).unwrap().starts_with(",2026-03-10T16:00:00Z,stop,all,keyword,"), "{csv}");

    later(&host, SignedDuration::from_mins(5));
    save(&host, contact(ID, NUMBER)).await;
    let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "contactId": ID, "body": "Welcome back" })).await;
    assert_eq!(receipt["reason"], "opted_out");
    let (_, standing) = get(&host, "viewer", &format!("/opt-outs/{NUMBER}")).await;
    assert_eq!((standing["number"].as_str(), standing["history"].as_array().unwrap().len()), (Some(NUMBER), 1));

    let second = forget(&host, ID).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    assert_ne!(second["id"], first["id"], "who came back is forgotten once more");
    assert_eq!(certificate(&host, &second).await.here.messages, 1);
    assert_eq!(found(&opened(&host).await, &THEIRS), Vec::<&str>::new());
}

/// S0-72: what the school wrote down of somebody holds as what they said themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opt_out_of_the_tenants_own_record_outlives_the_record() {
    let host = quiet_machine(|_| {}).await;
    const SECOND: &str = "+12125550178";
    save(&host, Contact { opted_out: true, ..contact(ID, NUMBER) }).await;
    let some = [shared::domain::contact::Category::General].into();
    save(&host, Contact { opted_out_categories: some, ..contact("second", SECOND) }).await;
    let asked = [forget(&host, ID).await, forget(&host, "second").await];
    settle(&host, SignedDuration::from_mins(2)).await;
    for asked in &asked {
        assert_eq!(certificate(&host, asked).await.here.wishes, 1);
    }
    assert_eq!(found(&opened(&host).await, &THEIRS), Vec::<&str>::new());

    later(&host, SignedDuration::from_mins(5));
    save(&host, contact(ID, NUMBER)).await;
    save(&host, contact("second", SECOND)).await;
    for (id, number, stopped) in [(ID, NUMBER, true), ("second", SECOND, false)] {
        let (_, receipt) = post(&host, "staff", "/messages", None, &json!({ "contactId": id, "body": "Welcome back" })).await;
        assert_eq!(receipt["reason"], "opted_out", "{id}: {receipt}");
        let (_, standing) = get(&host, "viewer", &format!("/opt-outs/{number}")).await;
        assert_eq!((&standing["optedOut"], &standing["history"][0]["method"]), (&json!(stopped), &json!("other")), "{standing}");
    }
}

/// Two share a number, and one of them had another before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_says_what_could_not_be_kept_or_found() {
    let host = quiet_machine(|_| {}).await;
    save(&host, contact("one", "+12125550178")).await;
    save(&host, Contact { opted_out: true, ..contact("one", NUMBER) }).await;
    save(&host, contact("two", NUMBER)).await;

    let asked = forget(&host, "one").await;
    settle(&host, SignedDuration::from_mins(2)).await;

    let certificate = certificate(&host, &asked).await;
    for what in ["opt-out of your own record", "earlier numbers"] {
        assert!(certificate.kept.iter().any(|kept| kept.contains(what)), "{what}: {:?}", certificate.kept);
    }
    let (_, standing) = get(&host, "viewer", &format!("/opt-outs/{NUMBER}")).await;
    assert_eq!((&standing["optedOut"], &standing["history"]), (&json!(false), &json!([])), "the other did not say so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_number_that_two_share_only_what_is_one_s_own_goes() {
    let host = quiet_machine(|_| {}).await;
    for id in ["one", "two"] {
        save(&host, contact(id, NUMBER)).await;
        send(&host, "/messages", json!({ "contactId": id, "body": format!("For {id} alone") })).await;
    }
    send(&host, "/messages", json!({ "to": NUMBER, "body": "For the house" })).await;
    bring(&host, InboundText::new(NUMBER, SENDER, "From the house")).await;
    settle(&host, SignedDuration::from_mins(2)).await;

    let asked = forget(&host, "one").await;
    settle(&host, SignedDuration::from_mins(2)).await;

    let certificate = certificate(&host, &asked).await;
    assert_eq!((certificate.here.messages, certificate.here.shared_numbers, certificate.here.conversations), (1, 1, 0));
    assert_eq!((certificate.twilio.deleted, certificate.here.wishes), (1, 0));
    assert!(certificate.kept.iter().any(|kept| kept.contains("another contact")), "{:?}", certificate.kept);
    let texts = ["For one alone", "For two alone", "For the house", "From the house"];
    assert_eq!(found(&opened(&host).await, &texts), &texts[1..]);
    assert_eq!(found(&host.twilio.everything(), &texts), &texts[1..]);
    let (_, inbox) = get(&host, "viewer", "/conversations").await;
    assert_eq!(inbox["items"][0]["peer"], NUMBER);
}

/// Credentials that Twilio refuses; answers the true ones.
async fn lock_out(host: &Host) -> Value {
    let name = host.cx.config.secret(&twilio_secret(&tenant()));
    let known: Value = secrets::read(&host.cx.secrets, &name).await.unwrap();
    let wrong = json!({ "accountSid": known["accountSid"], "authToken": "f".repeat(32) });
    let_in(host, &wrong).await;
    known
}

async fn let_in(host: &Host, account: &Value) {
    let name = host.cx.config.secret(&twilio_secret(&tenant()));
    secrets::write(&host.cx.secrets, &name, account).await.unwrap();
    host.cx.forget(&tenant());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_erased_at_twilio_now_is_erased_later() {
    let host = quiet_machine(|_| {}).await;
    save(&host, contact(ID, NUMBER)).await;
    let id = send(&host, "/messages", json!({ "contactId": ID, "body": "Quartz, for a while" })).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    let known = lock_out(&host).await;

    let asked = forget(&host, ID).await;
    settle(&host, SignedDuration::from_mins(30)).await;
    assert_eq!(job(&host, &asked).await["state"], "working");
    let waiting = stored(&host, &id).await;
    assert_eq!((waiting.to, waiting.body), (None, None), "here it is gone already");
    assert!(waiting.sid.is_some() && host.twilio.everything().contains("Quartz"));

    let_in(&host, &known).await;
    settle(&host, SignedDuration::from_hours(7)).await;
    let certificate = certificate(&host, &asked).await;
    assert_eq!((certificate.here.messages, certificate.twilio.deleted, certificate.twilio.not_reached), (1, 1, 0));
    assert_eq!(found(&host.twilio.everything(), &THEIRS), Vec::<&str>::new());
    assert_eq!(found(&opened(&host).await, &THEIRS), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_week_the_certificate_says_what_could_not_be_reached() {
    let host = quiet_machine(|_| {}).await;
    save(&host, contact(ID, NUMBER)).await;
    send(&host, "/messages", json!({ "contactId": ID, "body": "Quartz, for ever" })).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    lock_out(&host).await;

    let asked = forget(&host, ID).await;
    settle(&host, SignedDuration::from_hours(24 * 6)).await;
    assert_eq!(job(&host, &asked).await["state"], "working");
    settle(&host, SignedDuration::from_hours(24 * 2)).await;

    let certificate = certificate(&host, &asked).await;
    assert!(certificate.twilio.not_reached >= 1 && certificate.twilio.deleted == 0, "{certificate:?}");
    assert!(certificate.kept.iter().any(|kept| kept.contains("Console")), "{:?}", certificate.kept);
    assert_eq!(found(&opened(&host).await, &THEIRS), Vec::<&str>::new());
}

/// Retention took the message away here; at Twilio it still lies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_twilio_still_knows_is_erased_too() {
    let host = quiet_machine(|_| {}).await;
    save(&host, contact(ID, NUMBER)).await;
    send(&host, "/messages", json!({ "contactId": ID, "body": "Quartz, long ago" })).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    let day = shared::store::keys::day(host.clock.now());
    let table = host.cx.table().await.unwrap();
    assert_eq!(shared::store::messages::delete_day(table, &tenant(), day).await.unwrap(), 1);

    let asked = forget(&host, ID).await;
    settle(&host, SignedDuration::from_mins(2)).await;

    let certificate = certificate(&host, &asked).await;
    assert_eq!((certificate.here.messages, certificate.twilio.deleted), (0, 1));
    assert_eq!(found(&host.twilio.everything(), &THEIRS), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_account_at_twilio_there_is_nothing_to_erase_there() {
    let host = unconnected_machine(|_| {}).await;
    save(&host, contact(ID, NUMBER)).await;
    send(&host, "/messages", json!({ "contactId": ID, "body": "Quartz, pretended" })).await;

    let asked = forget(&host, ID).await;
    settle(&host, SignedDuration::from_mins(2)).await;

    let certificate = certificate(&host, &asked).await;
    assert_eq!((certificate.here.messages, certificate.twilio), (1, Default::default()));
    assert_eq!(found(&opened(&host).await, &THEIRS), Vec::<&str>::new());
}

/// A report on a message that was forgotten brings nothing back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_callback_on_a_forgotten_message_is_kept_no_more() {
    let host = quiet_machine(|_| {}).await;
    save(&host, contact(ID, NUMBER)).await;
    let id = send(&host, "/messages", json!({ "contactId": ID, "body": "Quartz" })).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    let sid = stored(&host, &id).await.sid.unwrap();
    forget(&host, ID).await;
    settle(&host, SignedDuration::from_mins(2)).await;
    let forgotten = stored(&host, &id).await;

    let account = crate::machine::credentials(&host).await;
    let url = format!("{}/twilio/{}/status?message={id}", host.webhook_url, tenant());
    let params = [("AccountSid", account.sid.as_str()), ("MessageSid", &sid), ("MessageStatus", "read"), ("To", NUMBER)];
    let params = params.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    let late = local::twilio::signed(&account, &url, params);
    assert_eq!(host.bring(&late, host.clock.now()).await, StatusCode::NO_CONTENT);

    assert_eq!(stored(&host, &id).await, forgotten);
    assert!(!opened(&host).await.contains(&sid));
}

/// S0-73: everything, both ways; and nothing of whoever has the same number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_everything_of_a_contact() {
    let host = quiet_machine(|settings| settings.quiet_hours = None).await;
    a_full_life(&host).await;
    let path = format!("/contacts/{ID}/export");
    for role in ["viewer", "staff"] {
        assert_eq!(get(&host, role, &path).await.0, StatusCode::FORBIDDEN, "{role}");
    }

    let (status, export) = get(&host, "admin", &path).await;

    assert_eq!(status, StatusCode::OK, "{export}");
    let text = export.to_string();
    let all = "one two three four five six seven eight nine eleven twelve thirteen fifteen".split(' ');
    let missing: Vec<&str> = all.filter(|word| !text.contains(&format!("uartz {word}"))).collect();
    assert_eq!(missing, ["four"], "what Twilio's own template says is not ours to know");
    assert!(text.contains("Quartz, a last word"));
    assert!(!text.contains("Topaz"), "nothing of anybody else");
    let contact = &export["contact"];
    assert_eq!((contact["name"].as_str(), contact["phone"].as_str()), (Some("Anamaria Quill"), Some(NUMBER)));
    assert_eq!(contact["attributes"]["instrument"], "Quartz flute");
    assert_eq!(export["consent"][0]["history"].as_array().unwrap().len(), 2);
    assert_eq!((&export["lessons"][0]["id"], &export["payments"][0]["id"]), (&json!("Q1"), &json!("QP1")));
    let length = |field: &str| export[field].as_array().unwrap().len();
    assert_eq!((length("lessons"), length("payments"), length("recurring"), length("conversations")), (1, 1, 1, 1));
    let messages = export["messages"].as_array().unwrap();
    let of = |direction: &str| messages.iter().filter(|message| message["direction"] == direction).count();
    assert!(of("in") == 5 && of("out") > 8, "{} in, {} out", of("in"), of("out"));
    assert!(messages.iter().any(|message| message["type"] == "lesson_reminder"), "what is planned, too");
    assert!(messages.iter().all(|message| !message["timeline"].as_array().unwrap().is_empty()));
    assert_eq!(export["omittedMessages"], 0);
    assert_eq!(get(&host, "admin", "/contacts/nobody/export").await.0, StatusCode::NOT_FOUND);
}
