//! The phone numbers of a tenant: searched, bought once, wired, released.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use local::host::Host;
use local::twilio::Account;
use serde_json::{Value, json};
use shared::config::Config;
use shared::context::Context;
use shared::domain::tenant::{Senders, Settings};
use shared::http_client;
use tokio::net::TcpListener;

use crate::machine::{delete, get, post, put, tenant, unconnected_machine};

const SID: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "1a2b3c4d5e6f70819a0b1c2d3e4f5061";
/// The account's own, wired to nobody.
const OLD: &str = "+12065550142";
/// For sale.
const NEW: &str = "+12065550150";

/// A machine whose tenant has connected an account with one number.
async fn connected_machine(change: impl FnOnce(&mut Settings)) -> Host {
    let host = unconnected_machine(change).await;
    host.twilio.add_account(Account {
        sid: SID.into(),
        auth_token: TOKEN.into(),
        senders: vec![OLD.into()],
        ..Account::default()
    });
    let (status, view) = put(&host, "admin", "/twilio", &json!({ "accountSid": SID, "authToken": TOKEN })).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    host
}

async fn without_senders() -> Host {
    connected_machine(|settings| settings.senders = Senders::default()).await
}

fn numbers(answer: &Value) -> Vec<&str> {
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item["phoneNumber"].as_str().unwrap()).collect()
}

/// How often the account has a number at Twilio.
fn owned(host: &Host, number: &str) -> usize {
    host.twilio.numbers_of(SID).iter().filter(|owned| owned.phone_number == number).count()
}

async fn buy(host: &Host, key: &str, body: Value) -> (StatusCode, Value) {
    post(host, "admin", "/phone-numbers", Some(key), &body).await
}

async fn senders(host: &Host) -> Value {
    get(host, "admin", "/settings").await.1["senders"].clone()
}

fn error(problem: &Value) -> (&str, &str) {
    let error = &problem["errors"][0];
    (error["field"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())
}

/// S4-23: by country, kind, area, digits and what they can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_for_sale_are_searched() {
    let host = connected_machine(|_| {}).await;
    let search = async |query: &str| get(&host, "admin", &format!("/phone-numbers/search?{query}")).await;

    let (status, local) = search("country=us&type=local&areaCode=206&limit=3").await;
    assert_eq!((status, numbers(&local).len()), (StatusCode::OK, 3), "{local}");
    assert!(numbers(&local).iter().all(|number| number.starts_with("+1206")), "{local}");
    assert_eq!(local["items"][0]["capabilities"], json!({ "sms": true, "mms": true, "voice": true }));
    assert_eq!(local["items"][0]["country"], "US");
    assert_eq!(numbers(&search("").await.1).len(), 20, "the tenant's own country, and twenty");
    assert!(numbers(&search("type=tollfree&areaCode=888").await.1)[0].starts_with("+1888"));
    assert!(numbers(&search("country=GB&type=mobile").await.1)[0].starts_with("+447"));
    let (_, calls) = search("areaCode=206&sms=false&voice=true").await;
    assert!(!numbers(&calls).is_empty() && numbers(&calls).iter().all(|number| number.ends_with('9')), "{calls}");
    assert_eq!(numbers(&search("areaCode=206&contains=50155").await.1), ["+12065550155"]);
    for nothing in ["country=DE&type=mobile", "areaCode=533", "country=FR"] {
        let (status, answer) = search(nothing).await;
        assert_eq!((status, &answer["items"]), (StatusCode::OK, &json!([])), "{nothing}");
    }

    for (query, field) in [
        ("country=USA", "country"),
        ("country=GB&areaCode=206", "areaCode"),
        ("areaCode=20", "areaCode"),
        ("contains=%26x", "contains"),
        ("limit=0", "limit"),
        ("type=satellite", "type"),
        ("zip=98101", "zip"),
    ] {
        let (status, problem) = search(query).await;
        assert_eq!((status, error(&problem).0), (StatusCode::UNPROCESSABLE_ENTITY, field), "{query}: {problem}");
    }
    let (status, problem) = search("areaCode=123").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("twilio_refused")));
    assert!(problem["detail"].as_str().unwrap().starts_with("Twilio search error: 21451"), "{problem}"); // S4-25
    assert_eq!(get(&host, "staff", "/phone-numbers/search").await.0, StatusCode::FORBIDDEN);
}

/// S4-24: bought once, wired, and sent from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_bought_once_however_often_its_key_asks() {
    let host = without_senders().await;

    for _ in 0..3 {
        let (status, bought) = buy(&host, "k1", json!({ "phoneNumber": "(206) 555-0150" })).await;
        assert_eq!((status, bought["phoneNumber"].as_str()), (StatusCode::CREATED, Some(NEW)), "{bought}");
        assert_eq!((&bought["wired"], &bought["senderOf"]), (&json!(true), &json!(["sms"])));
        assert_eq!(owned(&host, NEW), 1);
    }
    assert_eq!(senders(&host).await, json!({ "sms": NEW, "whatsapp": null, "voice": null }));
    let (_, list) = get(&host, "admin", "/phone-numbers").await;
    assert_eq!(numbers(&list).len(), 2, "{list}");
    let wired: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| (&item["phoneNumber"], &item["wired"])).collect();
    assert!(wired.contains(&(&json!(NEW), &json!(true))) && wired.contains(&(&json!(OLD), &json!(false))), "{list}");

    let (status, problem) = buy(&host, "k1", json!({ "phoneNumber": "+12065550151" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("key_taken")));
    for _ in 0..2 {
        let (status, problem) = buy(&host, "k2", json!({ "phoneNumber": NEW })).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("already_owned")));
    }
    post(&host, "staff", "/messages", None, &json!({ "to": "+12125550001", "body": "Hello" })).await;
    assert_eq!(host.twilio.ledger()[0].from, NEW);
    let text = host.inbound(&tenant(), "+12125550001", NEW, "Hello").await.unwrap();
    assert_eq!(host.bring(&text, host.clock.now()).await, StatusCode::OK);
    assert_eq!(post(&host, "staff", "/phone-numbers", Some("k3"), &json!({ "phoneNumber": NEW })).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_used_as_it_was_asked() {
    let host = connected_machine(|_| {}).await;

    let (_, kept) = buy(&host, "k1", json!({ "phoneNumber": NEW })).await;
    assert_eq!(kept["senderOf"], json!([]), "there are senders already");
    let (_, voice) = buy(&host, "k2", json!({ "phoneNumber": "+12065550151", "useAs": "voice" })).await;
    assert_eq!(voice["senderOf"], json!(["voice"]));
    let (_, both) = buy(&host, "k3", json!({ "phoneNumber": "+12065550152", "useAs": "both" })).await;
    assert_eq!(both["senderOf"], json!(["sms", "voice"]));
    assert_eq!(senders(&host).await["sms"], "+12065550152");
}

/// A number that cannot text is not bought to text with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_cannot_do_what_it_is_for_is_not_bought() {
    const MUTE: &str = "+12065550159";
    let host = without_senders().await;
    for use_as in ["sms", "both"] {
        let (status, problem) = buy(&host, "k1", json!({ "phoneNumber": MUTE, "useAs": use_as })).await;
        assert_eq!((status, error(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, ("useAs", "not_capable")), "{problem}");
    }
    assert_eq!(owned(&host, MUTE), 0, "nothing was bought");

    let (status, calls) = buy(&host, "k1", json!({ "phoneNumber": MUTE, "useAs": "voice" })).await;

    assert_eq!((status, &calls["senderOf"]), (StatusCode::CREATED, &json!(["voice"])), "{calls}");
    assert_eq!(owned(&host, MUTE), 1);
}

/// S4-25: what Twilio does not sell, in words; and nothing was bought.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_bought_says_why() {
    let host = without_senders().await;
    let before = host.twilio.numbers_of(SID).len();

    for _ in 0..2 {
        let (status, problem) = buy(&host, "gone", json!({ "phoneNumber": "+15005550000" })).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("number_gone")));
        assert!(problem["detail"].as_str().unwrap().starts_with("Twilio purchase error"), "{problem}");
    }
    let cases = [
        (json!({ "phoneNumber": "+15005550001" }), ("phoneNumber", "invalid_number")),
        (json!({ "phoneNumber": "the office" }), ("phoneNumber", "invalid_number")),
        (json!({ "phoneNumber": "+493023125050" }), ("addressSid", "address_required")),
        (json!({ "phoneNumber": NEW, "addressSid": "AD1" }), ("addressSid", "invalid")),
        (json!({ "phoneNumber": NEW, "useAs": "fax" }), ("useAs", "invalid")),
        (json!({}), ("phoneNumber", "required")),
    ];
    for (at, (body, expected)) in cases.into_iter().enumerate() {
        let (status, problem) = buy(&host, &format!("k{at}"), body).await;
        assert_eq!((status, error(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, expected), "{problem}");
    }
    assert_eq!(host.twilio.numbers_of(SID).len(), before);
    assert_eq!(senders(&host).await["sms"], Value::Null);

    let address = format!("AD{}", "1a".repeat(16));
    let body = json!({ "phoneNumber": "+493023125050", "addressSid": address });
    assert_eq!(buy(&host, "with an address", body).await.0, StatusCode::CREATED);
}

/// The same machine, whose first purchase is made, but whose answer is lost on the way.
async fn losing_the_answer(host: Host) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let is_lost = Arc::new(AtomicBool::new(false));
    let (http, base) = (host.cx.http.clone(), host.twilio_url.clone());
    let proxy = Router::new().fallback(move |request: Request| {
        let (http, base, is_lost) = (http.clone(), base.clone(), is_lost.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let is_purchase = parts.method == Method::POST && parts.uri.path().ends_with("/IncomingPhoneNumbers.json");
            let url = format!("{base}{}", parts.uri.path_and_query().unwrap());
            let mut forwarded = http.request(parts.method, url).body(body);
            for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
                if let Some(value) = parts.headers.get(&name) {
                    forwarded = forwarded.header(name, value);
                }
            }
            let answer = forwarded.send().await.unwrap();
            let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
            if is_purchase && !is_lost.swap(true, Ordering::SeqCst) {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            (status, bytes).into_response()
        }
    });
    tokio::spawn(async move { axum::serve(listener, proxy).await });
    let config = Config { twilio_api_base: format!("http://{address}"), ..host.cx.config.clone() };
    let cx = Context::with_transport(config, http_client::new(), host.aws.http_client());
    host.restarted(cx)
}

/// B1: after an answer that was lost, the same key looks first, and buys nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_whose_answer_was_lost_is_found_by_its_key() {
    let host = losing_the_answer(without_senders().await).await;
    let body = json!({ "phoneNumber": NEW });

    let (status, problem) = buy(&host, "k1", body.clone()).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("twilio_unreachable")), "{problem}");
    assert_eq!((owned(&host, NEW), &senders(&host).await["sms"]), (1, &Value::Null), "bought, and nobody knows");
    let (status, problem) = buy(&host, "k2", body.clone()).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("already_owned")));

    let (status, bought) = buy(&host, "k1", body).await;

    assert_eq!((status, &bought["wired"], &bought["senderOf"]), (StatusCode::CREATED, &json!(true), &json!(["sms"])), "{bought}");
    assert_eq!((owned(&host, NEW), &senders(&host).await["sms"]), (1, &json!(NEW)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_released_and_sent_from_no_more() {
    let host = without_senders().await;
    for role in ["viewer", "staff"] {
        assert_eq!(get(&host, role, "/phone-numbers").await.0, StatusCode::FORBIDDEN);
    }
    buy(&host, "k1", json!({ "phoneNumber": NEW, "useAs": "both" })).await;

    assert_eq!(delete(&host, "staff", &format!("/phone-numbers/{NEW}")).await.0, StatusCode::FORBIDDEN);
    for unconfirmed in ["", "?confirm=false"] {
        let (status, problem) = delete(&host, "admin", &format!("/phone-numbers/{NEW}{unconfirmed}")).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("last_sender")), "{problem}");
    }
    assert_eq!(owned(&host, NEW), 1, "texts are sent from it");
    assert_eq!(delete(&host, "admin", &format!("/phone-numbers/{NEW}?confirm=true")).await.0, StatusCode::NO_CONTENT);
    assert_eq!((owned(&host, NEW), senders(&host).await), (0, json!({ "sms": null, "whatsapp": null, "voice": null })));
    let (status, problem) = delete(&host, "admin", &format!("/phone-numbers/{NEW}")).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    assert_eq!(owned(&host, OLD), 1, "no other");
    let (status, problem) = buy(&host, "k1", json!({ "phoneNumber": NEW, "useAs": "both" })).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("number_gone")), "a key stands for one purchase");
    assert_eq!(buy(&host, "k2", json!({ "phoneNumber": NEW })).await.0, StatusCode::CREATED, "another key for another");
}

/// S3-81, S4-35: a number that was wired elsewhere is wired to us.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_wired_again() {
    let host = connected_machine(|settings| settings.senders.sms = Some(OLD.into())).await;
    let webhook = async || {
        let (_, diagnosis) = get(&host, "staff", "/diagnose").await;
        let checks = diagnosis["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["check"] == format!("webhook.{OLD}")).unwrap()
    };
    let before = webhook().await;
    assert_eq!((&before["ok"], before["severity"].as_str()), (&json!(false), Some("error")));
    assert!(before["whatToDo"].as_str().unwrap().contains("/wire"), "{before}");

    for _ in 0..2 {
        let (status, number) = post(&host, "admin", &format!("/phone-numbers/{OLD}/wire"), None, &json!({})).await;
        assert_eq!((status, &number["wired"], &number["senderOf"]), (StatusCode::OK, &json!(true), &json!(["sms"])), "{number}");
    }

    assert_eq!(webhook().await["ok"], true);
    let (status, _) = post(&host, "admin", "/phone-numbers/+12065550199/wire", None, &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_account_there_are_no_numbers() {
    let host = unconnected_machine(|_| {}).await;
    let number = format!("/phone-numbers/{NEW}");
    let answers = [
        get(&host, "admin", "/phone-numbers").await,
        get(&host, "admin", "/phone-numbers/search").await,
        buy(&host, "k1", json!({ "phoneNumber": NEW })).await,
        delete(&host, "admin", &number).await,
        post(&host, "admin", &format!("{number}/wire"), None, &json!({})).await,
    ];
    for (status, problem) in answers {
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("not_connected")), "{problem}");
    }
}
