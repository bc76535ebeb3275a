//! Campaigns in whose way something stands: they stand still and say what is to be mended, no row is lost to it, and each goes
//! once when they are resumed. Those whose time comes late; and what a file or a text means that does not say it plainly.

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use local::host::Host;
use local::twilio::{Fault, Rule};
use serde_json::{Value, json};
use shared::domain::money::Micros;

use crate::campaign_runs::{MINUTE, assert_each_once, reserved};
use crate::campaigns::{
    PRICE, SECOND, SENDER, TICK, act, begin, count, counts, finish, guests, look, number, outcomes, pass, plan, preview,
    quick_machine, reached, rows, sent, text, used,
};
use crate::machine::{credentials, patch, post, quiet_machine};

/// As many go within two and a half minutes at the usual rate.
const GUESTS: usize = 150;

fn asked(count: usize) -> Value {
    json!({ "body": "Linden Street: hi {name}. Reply STOP.", "customerList": guests(count) })
}

async fn change(host: &Host, settings: Value) {
    let (status, changed) = patch(host, "admin", "/settings", &settings).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
}

async fn resume(host: &Host, id: &str) {
    let (status, resumed) = act(host, id, "resume").await;
    assert_eq!((status, &resumed["paused"], &resumed["trouble"]), (StatusCode::OK, &Value::Null, &Value::Null), "{resumed}");
}

/// A campaign that has begun, and how many of its messages have gone.
async fn begun(host: &Host) -> (String, usize) {
    let id = begin(host, &asked(GUESTS)).await;
    pass(host, SECOND * 15, SECOND * 5).await;
    let went = sent(host).len();
    assert!((1..GUESTS).contains(&went), "{went}");
    (id, went)
}

/// Of `count` rows so many went, and the others are still to go.
async fn assert_stands(host: &Host, id: &str, paused: &str, count_of_all: usize) -> Value {
    let view = look(host, id).await;
    assert_eq!(view["paused"], paused, "{view}");
    let says_why = text(&view, "trouble").chars().any(char::is_alphabetic);
    assert_eq!(says_why, paused == "trouble", "{view}");
    let progress = &view["progress"];
    assert_eq!((count(&progress["skipped"]), count(&progress["failed"])), (0, 0), "{view}");
    assert_eq!(count(&progress["pending"]) as usize, count_of_all - sent(host).len(), "{view}");
    view
}

/// Each row went once, and no money is kept back.
async fn assert_all_go(host: &Host, id: &str, count: usize) {
    let done = finish(host, id).await;
    assert_eq!(done["stage"], "done", "{done}");
    assert_each_once(host, count);
    assert_eq!(outcomes(&rows(host, id).await), counts([("sent", count)]));
    assert_eq!(reserved(host, id).await, Micros(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_sender_is_taken_away_waits_for_another() {
    let host = quiet_machine(|_| {}).await;
    let (id, before) = begun(&host).await;

    change(&host, json!({ "senders": { "sms": null } })).await;
    pass(&host, MINUTE * 10, MINUTE).await;
    assert_stands(&host, &id, "trouble", GUESTS).await;
    assert_eq!(sent(&host).len(), before);
    // In vain, as long as there is none.
    resume(&host, &id).await;
    pass(&host, MINUTE, TICK).await;
    assert_stands(&host, &id, "trouble", GUESTS).await;
    change(&host, json!({ "senders": { "sms": SENDER } })).await;
    resume(&host, &id).await;

    assert_all_go(&host, &id, GUESTS).await;
    assert_eq!(used(&host).await, Micros(GUESTS as i64 * PRICE));
}

/// With the law's for North American numbers there is no minute left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_around_the_clock_skip_nobody() {
    let quiet_by_day = json!({ "from": "08:00", "to": "21:00" });
    let host = quick_machine(|settings| settings.quiet_hours = serde_json::from_value(quiet_by_day).unwrap()).await;

    let id = begin(&host, &asked(20)).await;
    pass(&host, MINUTE * 2, TICK).await;
    assert_stands(&host, &id, "trouble", 20).await;
    assert!(sent(&host).is_empty());
    change(&host, json!({ "quietHours": { "from": "21:00", "to": "08:00" } })).await;
    resume(&host, &id).await;

    assert_all_go(&host, &id, 20).await;
}

/// S1-72: what Twilio takes from nobody is no reason to offer it all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_cost_no_row() {
    let host = quiet_machine(|_| {}).await;
    let account = credentials(&host).await;
    let (id, before) = begun(&host).await;

    assert!(host.twilio.change_account(&account.sid, |known| known.auth_token = "0123456789abcdef".repeat(2)));
    pass(&host, MINUTE * 3, TICK).await;
    let made = count(&assert_stands(&host, &id, "trouble", GUESTS).await["progress"]["made"]);
    assert!(made as usize <= before + 60, "{before} before, {made} made: a piece is enough to see it");
    pass(&host, MINUTE * 20, MINUTE).await;
    let standing = assert_stands(&host, &id, "trouble", GUESTS).await;
    assert_eq!((count(&standing["progress"]["made"]), sent(&host).len()), (made, before), "{standing}");
    assert!(host.twilio.change_account(&account.sid, |known| known.auth_token = account.auth_token.clone()));
    resume(&host, &id).await;
    // What was refused is looked at again after a while.
    pass(&host, MINUTE * 10, SECOND * 30).await;

    assert_all_go(&host, &id, GUESTS).await;
    assert_eq!(used(&host).await, Micros(GUESTS as i64 * PRICE));
}

/// S0-57, D13: what was made for less than it costs now waits for more money, and is not given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_that_rises_skips_nobody_for_the_budget() {
    const COUNT: usize = 60;
    let limit = Micros(30 * PRICE + PRICE / 2);
    let host = quiet_machine(|settings| settings.budget.monthly_limit = Some(limit)).await;
    // These are made, and not taken yet.
    host.twilio.set_faults(vec![Rule { fault: Fault::TooManyRequests, to: None, times: Some(40), every: None }]);
    let id = begin(&host, &asked(COUNT)).await;
    pass(&host, SignedDuration::ZERO, TICK).await;
    let made = count(&look(&host, &id).await["progress"]["made"]) as usize;
    assert!(made > sent(&host).len(), "{made} made, {} sent", sent(&host).len());

    change(&host, json!({ "prices": { "sms": Micros(2 * PRICE) } })).await;
    pass(&host, MINUTE * 20, SECOND * 30).await;
    assert_stands(&host, &id, "budget", COUNT).await;
    let went = sent(&host).len();
    assert!(went < 31 && used(&host).await <= limit, "{went}, {:?}", used(&host).await);
    change(&host, json!({ "budget": { "monthlyLimit": "10.00" } })).await;
    resume(&host, &id).await;
    pass(&host, MINUTE * 10, SECOND * 30).await;

    assert_all_go(&host, &id, COUNT).await;
}

/// What lies below the campaign's key.
fn items(host: &Host, id: &str) -> Vec<Value> {
    let below = format!("#CAMPAIGN#{id}");
    host.aws.items().into_iter().filter(|item| text(&item["pk"], "S").ends_with(&below)).collect()
}

/// S3-07: the table takes nothing away that is still to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_half_a_year_ahead_goes_on_its_day() {
    let host = quick_machine(|_| {}).await;
    let at = host.clock.now() + SignedDuration::from_hours(24 * 200);
    let mut later = asked(20);
    later["sendAt"] = json!(at.to_string());

    let id = begin(&host, &later).await;
    pass(&host, TICK, TICK).await;
    let waiting = items(&host, &id);
    let of_kind = |kind: &'static str| waiting.iter().filter(move |item| text(&item["sk"], "S").starts_with(kind));
    assert_eq!((of_kind("CAMPAIGN").count(), of_kind("CHUNK#").count()), (1, 1), "its rows are planned");
    assert!(of_kind("C").all(|item| item["expires"].is_null()), "{waiting:?}");
    host.clock.set(at - MINUTE);
    pass(&host, SECOND * 50, SECOND * 50).await;
    assert!(sent(&host).is_empty());
    host.clock.set(at);
    pass(&host, TICK, TICK).await;

    assert_all_go(&host, &id, 20).await;
    let over = items(&host, &id);
    let campaign = over.iter().find(|item| item["sk"]["S"] == "CAMPAIGN").unwrap();
    let expires: i64 = campaign["expires"]["N"].as_str().unwrap().parse().unwrap();
    assert!(expires > host.clock.now().as_second(), "it can still be asked about");
}

/// A campaign for somebody in New York, where it is noon, and for two in Tokyo, where it is one at night: it is done, and
/// two of its messages are put off to the morning.
async fn done_but_for_tokyo(host: &Host) -> String {
    for (at, zone) in ["America/New_York", "Asia/Tokyo", "Asia/Tokyo"].into_iter().enumerate() {
        let guest = json!({
            "id": format!("P-{at}"), "name": format!("Guest {at}"), "phone": number(at), "timeZone": zone, "groups": ["Guests"],
        });
        let (status, answer) = post(host, "staff", "/contacts", None, &guest).await;
        assert!(status.is_success(), "{answer}");
    }
    let id = begin(host, &json!({ "body": "Linden Street: we are back. Reply STOP.", "groups": ["Guests"] })).await;
    pass(host, MINUTE * 3, TICK).await;
    let view = look(host, &id).await;
    assert_eq!((view["stage"].as_str(), count(&view["progress"]["pending"])), (Some("done"), 2), "{view}");
    assert_eq!(reached(host), [number(0)]);
    id
}

/// Eight o'clock in Tokyo, and seven in the evening in New York.
fn morning() -> Timestamp {
    "2026-03-10T23:00:00Z".parse().unwrap()
}

/// S2-47.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_off_can_be_taken_back() {
    let host = quiet_machine(|_| {}).await;
    let id = done_but_for_tokyo(&host).await;

    let (status, canceled) = act(&host, &id, "cancel").await;
    host.clock.set(morning());
    pass(&host, MINUTE * 10, MINUTE).await;

    assert_eq!((status, canceled["stage"].as_str()), (StatusCode::OK, Some("canceled")), "{canceled}");
    assert_eq!(reached(&host), [number(0)]);
    let all = rows(&host, &id).await;
    let told: Vec<&str> = all.iter().map(|row| text(row, "outcome")).collect();
    assert_eq!(told, ["sent", "canceled", "canceled"]);
    assert_eq!((used(&host).await, reserved(&host, &id).await), (Micros(PRICE), Micros(0)));
}

/// S1-54.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_off_can_be_held_up() {
    let host = quiet_machine(|_| {}).await;
    let id = done_but_for_tokyo(&host).await;

    let (status, paused) = act(&host, &id, "pause").await;
    assert_eq!((status, paused["paused"].as_str()), (StatusCode::OK, Some("on_request")), "{paused}");
    host.clock.set(morning());
    pass(&host, MINUTE * 20, MINUTE).await;
    assert_eq!(reached(&host), [number(0)]);
    resume(&host, &id).await;
    pass(&host, MINUTE * 40, MINUTE).await;

    assert_all_go(&host, &id, 3).await;
    // Now there is nothing left to hold up.
    assert_eq!(act(&host, &id, "pause").await.0, StatusCode::CONFLICT);
}

/// D14: to nobody who has not written today, so not to a list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_text_over_whatsapp_is_refused_before_anything_is_stored() {
    let host = quiet_machine(|_| {}).await;
    let own = json!({ "name": "spring", "category": "marketing", "text": "Linden Street: spring is here. Reply STOP." });
    let (status, answer) = post(&host, "staff", "/templates", None, &own).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");

    for said in [json!({ "body": "Linden Street: hello. Reply STOP." }), json!({ "template": "spring" })] {
        for path in ["/campaigns/preview", "/campaigns"] {
            let mut asked = said.clone();
            asked["channel"] = json!("whatsapp");
            asked["recipients"] = json!(number(1));
            let (status, problem) = post(&host, "staff", path, None, &asked).await;
            let codes: Vec<&str> = problem["errors"].as_array().into_iter().flatten().map(|error| text(error, "code")).collect();
            assert_eq!((status, codes), (StatusCode::UNPROCESSABLE_ENTITY, vec!["needs_content"]), "{problem}");
        }
    }
    assert!(!host.aws.items().iter().any(|item| text(&item["pk"], "S").contains("#CAMPAIGN#")));
}

/// S1-57, S1-60, S1-61.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_to_stop_by_is_no_way_out_and_pizza_no_name() {
    let host = quick_machine(|settings| settings.name = "Pizza Palace".into()).await;
    let said = async |body: &str| {
        let shown = preview(&host, &json!({ "body": body, "recipients": number(1) })).await;
        text(&shown["samples"][0], "body").to_string()
    };

    let way_out = "Reply STOP to opt out.";
    assert_eq!(
        said("Pizza Palace: two for one. Stop by this weekend!").await,
        format!("Pizza Palace: two for one. Stop by this weekend! {way_out}")
    );
    assert_eq!(said("Free pizza tonight. Reply STOP to end.").await, "Pizza Palace: Free pizza tonight. Reply STOP to end.");
    for body in ["Stop by this weekend!", "Free pizza tonight"] {
        let whole = said(body).await;
        assert!(whole.starts_with("Pizza Palace: ") && whole.contains(body) && whole.ends_with(way_out), "{whole}");
    }
}

/// S1-56: what shops and tills write of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_opted_out_by_the_file_gets_nothing() {
    let host = quick_machine(|_| {}).await;
    let columns = [("opted_out", "yes", "no"), ("Accepts SMS Marketing", "no", "yes")];

    for (at, (header, out, wants)) in columns.into_iter().enumerate() {
        let (ana, ben) = (number(2 * at), number(2 * at + 1));
        let file = format!("name,phone,{header}\nAna,{ana},{out}\nBen,{ben},{wants}\n");
        let asked = json!({ "body": "Linden Street: hi {name}. Reply STOP.", "customerList": file });
        let shown = preview(&host, &asked).await;
        assert_eq!((&plan(&shown)["excluded"], count(&plan(&shown)["going"])), (&json!({ "opted_out": 1 }), 1), "{header}");
        let first = &shown["excluded"][0];
        assert_eq!((count(&first["line"]), text(first, "reason")), (2, "opted_out"), "{header}: {first}");
        let id = begin(&host, &asked).await;
        finish(&host, &id).await;
        assert_eq!(outcomes(&rows(&host, &id).await), counts([("excluded: opted_out", 1), ("sent", 1)]), "{header}");
    }

    assert_eq!(reached(&host), [1, 3].map(number));
}
