//! What a tenant sets up for itself: settings, its account at Twilio; and what it is told when something is amiss.

use axum::body::to_bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use local::gateway;
use local::host::Host;
use local::twilio::{Account, AccountKind, AccountStatus, Fault, Rule, signed};
use serde_json::{Value, json};
use shared::config::Config;
use shared::context::Context;
use shared::domain::lesson::{Lesson, LessonStatus, Students};
use shared::domain::message::Status;
use shared::domain::money::Micros;
use shared::domain::tenant::Senders;
use shared::http_client;
use shared::store::tenants;
use shared::usecases::save_lessons::save_lessons;

use crate::machine::{delete, get, get_text, messages_of, patch, post, put, quiet_machine, settle, tenant, unconnected_machine};

const SID: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "1a2b3c4d5e6f70819a0b1c2d3e4f5061";
const SECOND: &str = "2a2b3c4d5e6f70819a0b1c2d3e4f5062";
const THIRD: &str = "3a2b3c4d5e6f70819a0b1c2d3e4f5063";
const KEY: &str = "SKfedcba9876543210fedcba9876543210";
const SECRET: &str = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF";
const NUMBER: &str = "+12065550142";
/// The sample school's S01, alone at this number.
const KNOWN: &str = "+15550100201";

/// Makes the account known to the local Twilio, or gives it another token there.
fn at_twilio(host: &Host, token: &str) {
    host.twilio.add_account(Account {
        sid: SID.into(),
        auth_token: token.into(),
        api_keys: vec![(KEY.into(), SECRET.into())],
        senders: vec![NUMBER.into()],
        ..Account::default()
    });
}

fn credentials(token: &str) -> Value {
    json!({ "accountSid": SID, "authToken": token })
}

/// A machine whose tenant has connected that account, with its number.
async fn connected_machine() -> Host {
    let host = unconnected_machine(|_| {}).await;
    at_twilio(&host, TOKEN);
    let body = json!({ "accountSid": SID, "authToken": TOKEN, "phoneNumber": NUMBER });
    let (status, view) = put(&host, "admin", "/twilio", &body).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    host
}

fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

fn check<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    let mut checks = diagnosis["checks"].as_array().unwrap().iter();
    checks.find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check '{name}' in {diagnosis}"))
}

async fn diagnosis(host: &Host) -> Value {
    let (status, diagnosis) = get(host, "staff", "/diagnose").await;
    assert_eq!(status, StatusCode::OK, "{diagnosis}");
    diagnosis
}

/// The same machine, whose way to Twilio is cut.
fn without_twilio(host: Host) -> Host {
    let config = Config { twilio_api_base: "http://127.0.0.1:1".into(), ..host.cx.config.clone() };
    let cx = Context::with_transport(config, http_client::new(), host.aws.http_client());
    host.restarted(cx)
}

/// Calls `/settings` as an admin does, with `If-Match`: status, `ETag` and JSON.
async fn settings_call(host: &Host, method: Method, if_match: Option<&str>, body: &Value) -> (StatusCode, String, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    if let Some(tag) = if_match {
        headers.insert("if-match", tag.parse().unwrap());
    }
    let claims = json!({ "tenant": "sample", "role": "admin", "sub": "user-1" });
    let body = body.to_string().into();
    let path = "/v1/tenants/sample/settings";
    let event = gateway::event(&method, path, None, &headers, &body, Some(claims), host.clock.now());
    let (parts, body) = host.functions.api(event).await.into_parts();
    let tag = parts.headers.get("etag").map(|tag| tag.to_str().unwrap().to_string()).unwrap_or_default();
    let json = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap_or(Value::Null);
    (parts.status, tag, json)
}

/// S4-02, S4-05, S4-37, S2-32, S1-72: tried out, stored, wired, and used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_tried_out_before_it_is_stored() {
    let host = unconnected_machine(|settings| settings.senders = Senders::default()).await;
    at_twilio(&host, TOKEN);

    let (status, problem) = put(&host, "admin", "/twilio", &credentials(SECOND)).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("authToken", "authentication_failed")]));
    assert!(problem["detail"].as_str().unwrap().contains("without spaces"), "{problem}");
    let (_, before) = get(&host, "admin", "/twilio").await;
    assert_eq!((&before["connected"], &before["simulated"], &before["accountSid"]), (&json!(false), &json!(true), &Value::Null));

    let pasted =
        json!({ "accountSid": format!(" {SID}\n"), "authToken": format!("\"{TOKEN}\""), "phoneNumber": "(206) 555-0142" });
    let (status, view) = put(&host, "admin", "/twilio", &pasted).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    assert_eq!((&view["connected"], &view["verified"], &view["previousToken"]), (&json!(true), &json!(true), &json!(false)));
    assert_eq!((view["accountSid"].as_str(), view["authToken"].as_str()), (Some("AC01234567..."), Some("Configured")));
    assert_eq!((view["accountStatus"].as_str(), view["accountType"].as_str()), (Some("active"), Some("Full")));
    assert_eq!(view["phoneNumber"], NUMBER);
    assert_eq!(get(&host, "admin", "/twilio").await.1, view);

    let number = host.twilio.numbers_of(SID).pop().unwrap();
    let hook = |path: &str| Some(format!("{}/twilio/sample/{path}#rc=3&rp=5xx,ct,rt", host.webhook_url));
    assert_eq!(
        (number.sms_url, number.voice_url, number.status_callback),
        (hook("inbound"), hook("voice"), hook("voice/status"))
    );
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert_eq!(host.twilio.ledger()[0].from, NUMBER, "the first message leaves at once");
    for role in ["staff", "viewer"] {
        assert_eq!(put(&host, role, "/twilio", &credentials(TOKEN)).await.0, StatusCode::FORBIDDEN);
        assert_eq!(get(&host, role, "/twilio").await.0, StatusCode::FORBIDDEN);
        assert_eq!(post(&host, role, "/twilio/test", None, &json!({})).await.0, StatusCode::FORBIDDEN);
        assert_eq!(delete(&host, role, "/twilio").await.0, StatusCode::FORBIDDEN);
    }
}

/// D9, S1-16, S1-73, S2-12: what cannot be right is said before Twilio is asked, what Twilio says after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_right_is_refused_with_advice_and_nothing_is_stored() {
    let host = unconnected_machine(|_| {}).await;
    at_twilio(&host, TOKEN);
    let hex = &SID[2..];
    let cases = [
        (json!({ "accountSid": format!("OR{hex}"), "authToken": TOKEN }), vec![("accountSid", "invalid")]),
        (json!({ "accountSid": "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "authToken": TOKEN }), vec![("accountSid", "placeholder")]),
        (json!({ "accountSid": SID, "authToken": "your-actual-auth-token-here" }), vec![("authToken", "placeholder")]),
        (
            json!({ "accountSid": "<sid>", "authToken": "changeme" }),
            vec![("accountSid", "placeholder"), ("authToken", "placeholder")],
        ),
        (json!({ "accountSid": SID, "authToken": &TOKEN[1..] }), vec![("authToken", "invalid")]),
        (json!({ "accountSid": SID }), vec![("authToken", "required")]),
        (json!({ "accountSid": SID, "authToken": TOKEN, "fax": "+1" }), vec![("fax", "invalid")]),
        (json!({ "accountSid": SID, "authToken": TOKEN, "phoneNumber": "the office" }), vec![("phoneNumber", "invalid_number")]),
        (json!({ "accountSid": SID, "authToken": TOKEN, "phoneNumber": "+12065550199" }), vec![("phoneNumber", "not_owned")]),
        (
            json!({ "accountSid": SID, "authToken": TOKEN, "whatsappNumber": "whatsapp:" }),
            vec![("whatsappNumber", "invalid_number")],
        ),
        (json!({ "accountSid": SID, "authToken": TOKEN, "messagingServiceSid": SID }), vec![("messagingServiceSid", "invalid")]),
        (
            json!({ "accountSid": SID, "authToken": TOKEN, "apiKey": { "sid": KEY, "secret": SECRET.to_lowercase() } }),
            vec![("apiKey", "authentication_failed")],
        ),
        (
            json!({ "accountSid": SID, "authToken": TOKEN, "apiKey": { "sid": SID, "secret": SECRET } }),
            vec![("apiKey.sid", "invalid")],
        ),
    ];
    for (body, expected) in cases {
        let (status, problem) = put(&host, "admin", "/twilio", &body).await;
        assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, expected), "{body}: {problem}");
        assert!(!problem.to_string().contains(TOKEN) && !problem.to_string().contains(SECRET), "{problem}");
    }
    for status in [AccountStatus::Suspended, AccountStatus::Closed] {
        host.twilio.change_account(SID, |account| account.status = status);
        let (_, problem) = put(&host, "admin", "/twilio", &credentials(TOKEN)).await;
        assert_eq!(errors(&problem), [("accountSid", "account_not_active")], "{problem}");
    }
    assert_eq!(get(&host, "admin", "/twilio").await.1["connected"], false);
}

/// S1-17, S1-88: no answer holds a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_ever_answered() {
    let host = unconnected_machine(|_| {}).await;
    at_twilio(&host, TOKEN);
    let key = json!({ "sid": KEY, "secret": SECRET });
    let body = json!({ "accountSid": SID, "authToken": TOKEN, "phoneNumber": NUMBER, "apiKey": key });

    let mut answers = vec![put(&host, "admin", "/twilio", &body).await.1.to_string()];
    answers.push(post(&host, "admin", "/twilio/test", None, &json!({})).await.1.to_string());
    for path in ["/twilio", "/settings", "/diagnose", "/phone-numbers"] {
        answers.push(get_text(&host, "admin", path).await);
    }

    for answer in answers {
        assert!(answer.len() > 20 && !answer.contains("\"errors\""), "{answer}");
        for secret in [TOKEN, SECRET, SID, KEY] {
            assert!(!answer.contains(secret), "{answer}");
        }
    }
}

async fn text_signed_with(host: &Host, token: &str, number: u32) -> StatusCode {
    let account = Account { sid: SID.into(), auth_token: token.into(), ..Account::default() };
    let sid = format!("SM{number:032}");
    let params = [("AccountSid", SID), ("MessageSid", sid.as_str()), ("From", KNOWN), ("To", NUMBER), ("Body", "Hello")];
    let params = params.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    let url = format!("{}/twilio/{}/inbound", host.webhook_url, tenant());
    host.bring(&signed(&account, &url, params), host.clock.now()).await
}

/// S1-88: what was signed with the token before is believed until the next rotation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_leaves_no_gap() {
    let host = connected_machine().await;
    assert_eq!(text_signed_with(&host, TOKEN, 1).await, StatusCode::OK);

    at_twilio(&host, SECOND);
    for _ in 0..2 {
        let (status, view) = put(&host, "admin", "/twilio", &credentials(SECOND)).await;
        assert_eq!((status, &view["previousToken"]), (StatusCode::OK, &json!(true)), "a repetition changes nothing");
        assert_eq!(text_signed_with(&host, TOKEN, 2).await, StatusCode::OK);
        assert_eq!(text_signed_with(&host, SECOND, 3).await, StatusCode::OK);
    }
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert_eq!(host.twilio.ledger().len(), 1, "it is sent with the new token");

    at_twilio(&host, THIRD);
    assert_eq!(put(&host, "admin", "/twilio", &credentials(THIRD)).await.0, StatusCode::OK);
    assert_eq!(text_signed_with(&host, TOKEN, 4).await, StatusCode::FORBIDDEN, "the oldest is dropped");
    assert_eq!(text_signed_with(&host, SECOND, 5).await, StatusCode::OK);
    assert_eq!(text_signed_with(&host, THIRD, 6).await, StatusCode::OK);

    let other = "ACfedcba9876543210fedcba9876543210";
    host.twilio.add_account(Account { sid: other.into(), auth_token: TOKEN.into(), ..Account::default() });
    let (_, view) = put(&host, "admin", "/twilio", &json!({ "accountSid": other, "authToken": TOKEN })).await;
    assert_eq!((&view["previousToken"], view["accountSid"].as_str()), (&json!(false), Some("ACfedcba98...")));
    assert_eq!(text_signed_with(&host, THIRD, 7).await, StatusCode::FORBIDDEN, "another account replaces it wholly");
}

/// What was sent from with one account is not sent from with another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_another_accounts_senders_none_stays() {
    let host = connected_machine().await;
    let (_, before) = get(&host, "admin", "/settings").await;
    assert_eq!(before["senders"]["sms"], NUMBER);
    let other = "ACfedcba9876543210fedcba9876543210";
    let number = "+12065550144";
    host.twilio.add_account(Account {
        sid: other.into(),
        auth_token: SECOND.into(),
        senders: vec![number.into()],
        ..Account::default()
    });
    let connection = json!({ "accountSid": other, "authToken": SECOND });

    let (status, view) = put(&host, "admin", "/twilio", &connection).await;

    assert_eq!((status, &view["phoneNumber"]), (StatusCode::OK, &Value::Null), "{view}");
    let (_, after) = get(&host, "admin", "/settings").await;
    assert_eq!(after["senders"], json!({ "sms": null, "whatsapp": null, "voice": null }));
    patch(&host, "admin", "/settings", &json!({ "senders": { "sms": number } })).await;
    let (_, again) = put(&host, "admin", "/twilio", &connection).await;
    assert_eq!(again["phoneNumber"], number, "the same account again keeps them");
}

/// What was handed to one account is not looked for in another: it is not there, and would go twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_waits_for_the_account_that_it_is_of() {
    let host = connected_machine().await;
    let (other, number) = ("ACfedcba9876543210fedcba9876543210", "+12065550144");
    host.twilio.add_account(Account {
        sid: other.into(),
        auth_token: SECOND.into(),
        senders: vec![number.into()],
        ..Account::default()
    });
    let connect = async |sid: &str, token: &str, number: &str| {
        let connection = json!({ "accountSid": sid, "authToken": token, "phoneNumber": number });
        let (status, view) = put(&host, "admin", "/twilio", &connection).await;
        assert_eq!(status, StatusCode::OK, "{view}");
    };
    let tick = async || {
        host.clock.set(host.clock.now() + SignedDuration::from_mins(4));
        host.tick(host.clock.now()).await.unwrap();
        messages_of(&host).await.pop().unwrap()
    };
    host.twilio.set_faults(vec![Rule { fault: Fault::AcceptThenDrop, to: None, times: Some(1), every: None }]);
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;

    connect(other, SECOND, number).await;
    for _ in 0..5 {
        let waits = tick().await;
        assert_eq!((waits.status, waits.account.as_deref(), waits.looks), (Status::Sending, Some(SID), 0));
    }
    connect(SID, TOKEN, NUMBER).await;
    let found = tick().await;

    let sids: Vec<String> = host.twilio.ledger().into_iter().map(|entry| entry.sid).collect();
    assert_eq!(sids, [found.sid.unwrap()], "Twilio has it once");
}

/// The inbound wiring of a messaging service is set in Twilio's Console, and cannot be seen from here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_messaging_service_needs_is_said_in_words() {
    let host = connected_machine().await;
    let service = format!("MG{}", "1".repeat(32));
    patch(&host, "admin", "/settings", &json!({ "senders": { "sms": service, "voice": NUMBER } })).await;

    let found = diagnosis(&host).await;

    let sender = check(&found, "sender.sms");
    assert_eq!(sender["ok"], Value::Null, "{sender}");
    let advice = sender["whatToDo"].as_str().unwrap();
    assert!(advice.contains("Send a webhook") && advice.contains("/twilio/sample/inbound"), "{advice}");
}

/// S1-89: an API key sends instead of the token, stays through a rotation, and goes when it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_stays_until_it_is_removed() {
    let host = connected_machine().await;
    let with_key = json!({ "accountSid": SID, "authToken": TOKEN, "apiKey": { "sid": KEY, "secret": SECRET } });
    assert_eq!(put(&host, "admin", "/twilio", &with_key).await.1["apiKeySid"], "SKfedcba98...");

    at_twilio(&host, SECOND);
    assert_eq!(put(&host, "admin", "/twilio", &credentials(SECOND)).await.1["apiKeySid"], "SKfedcba98...");
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert_eq!(host.twilio.ledger().len(), 1);
    let without = json!({ "accountSid": SID, "authToken": SECOND, "apiKey": null });
    assert_eq!(put(&host, "admin", "/twilio", &without).await.1["apiKeySid"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_disconnects_goes_on_simulated() {
    let host = connected_machine().await;

    for _ in 0..2 {
        assert_eq!(delete(&host, "admin", "/twilio").await.0, StatusCode::NO_CONTENT);
    }

    assert_eq!(get(&host, "admin", "/twilio").await.1["simulated"], true);
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert!(host.twilio.ledger().is_empty());
    assert_eq!(put(&host, "admin", "/twilio", &credentials(TOKEN)).await.0, StatusCode::OK);
}

/// S1-21, S1-42, S1-70, S2-33, S2-36.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stored_credentials_are_tried_out_on_request() {
    let host = unconnected_machine(|_| {}).await;
    let test = async || {
        let (status, answer) = post(&host, "admin", "/twilio/test", None, &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    };
    let none = test().await;
    assert_eq!((&none["ok"], &none["simulated"]), (&json!(false), &json!(true)));
    assert!(none["problems"][0]["message"].as_str().unwrap().contains("Twilio is not configured"), "{none}");

    at_twilio(&host, TOKEN);
    let body = json!({ "accountSid": SID, "authToken": TOKEN, "phoneNumber": NUMBER });
    put(&host, "admin", "/twilio", &body).await;
    let good = test().await;
    assert_eq!((&good["ok"], good["balance"].as_str(), good["currency"].as_str()), (&json!(true), Some("100.00"), Some("USD")));
    assert_eq!((&good["accountType"], &good["problems"]), (&json!("Full"), &json!([])));

    host.twilio.change_account(SID, |account| {
        account.kind = AccountKind::Trial;
        account.balance = "0.00".into();
    });
    let broke = test().await;
    assert_eq!((&broke["ok"], broke["problems"].as_array().unwrap().len()), (&json!(false), 2));
    assert!(broke["problems"].to_string().contains("insufficient funds"), "{broke}");

    at_twilio(&host, SECOND);
    let refused = test().await;
    assert_eq!((&refused["ok"], refused["problems"][0]["check"].as_str()), (&json!(false), Some("credentials")));
    let cut = without_twilio(host.clone());
    let (status, silent) = post(&cut, "admin", "/twilio/test", None, &json!({})).await;
    assert_eq!((status, &silent["ok"], &silent["problems"][0]["ok"]), (StatusCode::OK, &json!(false), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_twilio_is_down_is_said_and_nothing_is_stored() {
    let host = without_twilio(unconnected_machine(|_| {}).await);

    let (status, problem) = put(&host, "admin", "/twilio", &credentials(TOKEN)).await;

    assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("twilio_unreachable")));
    assert_eq!(get(&host, "admin", "/twilio").await.1["connected"], false);
}

/// D15, S1-14, S1-50, S1-73, S2-36, S2-56, S3-79, S3-81, S0-107: each thing that is amiss, in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diagnosis_says_what_is_amiss_and_what_to_do() {
    let host = connected_machine().await;
    let good = diagnosis(&host).await;
    assert_eq!((&good["ok"], &good["simulated"]), (&json!(true), &json!(false)), "{good}");
    for name in ["credentials", "account.status", "account.type", "balance", "sender.sms", "sender.voice", "budget", "tenant"] {
        assert_eq!(check(&good, name)["ok"], true, "{name}: {good}");
    }
    assert_eq!(check(&good, &format!("webhook.{NUMBER}"))["ok"], true);
    assert_eq!(check(&good, "sender.whatsapp")["ok"], Value::Null, "approval is a person's work, and theirs to see");
    assert!(good["links"].to_string().contains("https://status.twilio.com"));

    host.twilio.change_account(SID, |account| {
        account.kind = AccountKind::Trial;
        account.balance = "3.00".into();
    });
    let trial = diagnosis(&host).await;
    assert_eq!((&trial["ok"], check(&trial, "account.type")["severity"].as_str()), (&json!(true), Some("warning")));
    assert!(check(&trial, "balance")["message"].as_str().unwrap().contains("only $3.00"), "{trial}");

    host.twilio.change_account(SID, |account| account.balance = "-0.02".into());
    patch(&host, "admin", "/settings", &json!({ "senders": { "sms": "+12065550143" }, "enabled": false })).await;
    let bad = diagnosis(&host).await;
    assert_eq!((&bad["ok"], &bad["checks"][0]["severity"]), (&json!(false), &json!("error")), "errors come first");
    assert!(check(&bad, "balance")["message"].as_str().unwrap().contains("insufficient funds"));
    assert!(check(&bad, "sender.sms")["message"].as_str().unwrap().contains("From number not verified"));
    assert_eq!(check(&bad, "tenant")["ok"], false);

    host.twilio.change_account(SID, |account| account.status = AccountStatus::Suspended);
    assert_eq!(check(&diagnosis(&host).await, "account.status")["ok"], false);
    at_twilio(&host, SECOND);
    let refused = diagnosis(&host).await;
    assert!(check(&refused, "credentials")["message"].as_str().unwrap().contains("authentication failed"));
    let cut = diagnosis(&without_twilio(host)).await;
    assert_eq!((&check(&cut, "credentials")["ok"], check(&cut, "budget")["ok"].as_bool()), (&Value::Null, Some(true)));
}

/// S0-88, S2-33, S2-38: without an account Twilio is not asked, and the rest is looked at all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_tenant_is_diagnosed_without_twilio() {
    let host = without_twilio(unconnected_machine(|settings| settings.budget.monthly_limit = Micros::parse("0")).await);

    let found = diagnosis(&host).await;

    assert_eq!((&found["simulated"], &check(&found, "credentials")["ok"]), (&json!(true), &json!(false)));
    let budget = check(&found, "budget");
    assert!(budget["message"].as_str().unwrap().contains("budget exceeded"), "{budget}");
    assert!(budget["whatToDo"].as_str().unwrap().ends_with("wait for the reset on 2026-04-01"), "{budget}");
}

/// S3-80, S2-35, S3-81: what the last day's messages say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diagnosis_reads_the_log() {
    let host = quiet_machine(|settings| settings.alerts.failure_minimum = 3).await;
    let fault = |fault| vec![Rule { fault, to: None, times: None, every: None }];
    let send = async |to: &str| post(&host, "staff", "/messages", None, &json!({ "to": to, "body": "Hello" })).await;
    host.twilio.set_faults(fault(Fault::FailedLater(30007)));
    for number in 1..=3 {
        send(&format!("+1212555000{number}")).await;
    }
    settle(&host, SignedDuration::from_mins(5)).await;
    post(&host, "staff", "/opt-outs", None, &json!({ "number": KNOWN })).await;
    send(KNOWN).await;
    let late = json!({ "to": "+12125550009", "body": "Hello", "sendAt": host.clock.now() + SignedDuration::from_mins(10) });
    post(&host, "staff", "/messages", None, &late).await;
    host.clock.set(host.clock.now() + SignedDuration::from_mins(30));

    let found = diagnosis(&host).await;
    assert!(check(&found, "failures")["message"].as_str().unwrap().starts_with("3 of 3 messages failed"), "{found}");
    let code = check(&found, "failures.30007");
    assert!(code["whatToDo"].as_str().unwrap().contains("spam trigger"), "{code}");
    assert!(code["link"].as_str().unwrap().ends_with("/30007"));
    assert_eq!(check(&found, "skipped.opted_out")["ok"], true, "as it should be");
    assert_eq!((&check(&found, "waiting")["ok"], &check(&found, "callbacks")["ok"]), (&json!(false), &json!(true)), "{found}");

    let host = quiet_machine(|_| {}).await;
    host.twilio.set_faults(fault(Fault::LostCallbacks));
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    host.clock.set(host.clock.now() + SignedDuration::from_mins(30));
    let found = diagnosis(&host).await;
    assert_eq!((&check(&found, "callbacks")["ok"], &check(&found, "waiting")["ok"]), (&json!(false), &json!(true)), "{found}");
}

/// S0-89, S2-30, S2-34, S2-57: why somebody got nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_number_is_looked_into() {
    let host = quiet_machine(|settings| settings.do_not_call = vec![KNOWN.into()]).await;
    let look = async |number: &str| post(&host, "viewer", "/diagnose/number", None, &json!({ "number": number })).await;
    let (_, sent) = post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    settle(&host, SignedDuration::from_mins(1)).await;
    post(&host, "staff", "/opt-outs", None, &json!({ "number": KNOWN })).await;

    let (status, known) = look("(555) 010-0201").await;
    assert_eq!(status, StatusCode::OK, "{known}");
    assert_eq!((known["formatted"].as_str(), &known["possible"], &known["valid"]), (Some(KNOWN), &json!(true), &json!(false)));
    assert_eq!((&known["optedOut"], &known["doNotCall"], &known["contacts"]), (&json!(true), &json!(true), &json!(["S01"])));
    assert_eq!((&known["lastMessage"]["id"], known["lastMessage"]["state"].as_str()), (&sent["id"], Some("Delivered")));

    let (_, other) = look("212 555 0161").await;
    assert_eq!((&other["valid"], other["country"].as_str(), &other["lastMessage"]), (&json!(true), Some("US"), &Value::Null));
    for nonsense in ["call the office", "", "555", "+0987654321"] {
        let (status, known) = look(nonsense).await;
        assert_eq!(
            (status, &known["possible"], &known["formatted"]),
            (StatusCode::OK, &json!(false), &Value::Null),
            "{nonsense}"
        );
        assert!(known["problem"].as_str().unwrap().contains("10 to 15 digits"), "{known}");
    }
}

/// S0-09..14, S0-19..28, S1-19: the whole document, by the admin alone, each error by its field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_replaced_whole_or_not_at_all() {
    let host = unconnected_machine(|_| {}).await;
    let (_, before) = get(&host, "admin", "/settings").await;
    let mut next = before.clone();
    next["budget"]["monthlyLimit"] = json!("25.00");
    next["types"]["attendance"] = json!({ "enabled": false, "channels": ["sms", "whatsapp"], "template": "Hi {name}: {status}" });
    next["senders"] = json!({ "sms": " +12065550142 ", "whatsapp": "+12065550142", "voice": "" });
    next["trade"] = json!("church");

    let (status, saved) = put(&host, "admin", "/settings", &next).await;
    assert_eq!(status, StatusCode::OK, "{saved}");
    assert_eq!(saved["senders"], json!({ "sms": NUMBER, "whatsapp": format!("whatsapp:{NUMBER}"), "voice": null }));
    assert_eq!((saved["trade"].as_str(), &saved["types"]["attendance"]["enabled"]), (Some("church"), &json!(false)));
    assert_eq!(get(&host, "admin", "/settings").await.1, saved);
    assert_eq!(put(&host, "admin", "/settings", &saved).await.1, saved, "what is read can be written");

    let cases = [
        (json!({ "quiethours": null }), ("quiethours", "unknown_field")),
        (json!({ "timeZone": "Mars/Olympus" }), ("timeZone", "invalid")),
        (json!({ "senders": { "sms": "206 555 0142" } }), ("senders.sms", "invalid")), // S1-18
        (json!({ "senders": { "whatsapp": "whatsapp:12" } }), ("senders.whatsapp", "invalid")), // S0-22
        (json!({ "budget": { "monthlyLimit": 25 } }), ("budget.monthlyLimit", "invalid")),
        (json!({ "types": { "payment_reminder": { "offsets": ["3h"] } } }), ("types.payment_reminder.offsets", "invalid")),
        (json!({ "types": { "attendance": { "template": "Hi {name" } } }), ("types.attendance.template", "invalid")),
        (json!({ "types": { "attendance": { "template": "Hi {nmae}" } } }), ("types.attendance.template", "invalid")),
        (json!({ "alerts": { "failurePercent": 0 } }), ("alerts.failurePercent", "invalid")),
        (json!({ "retention": { "messagesDays": 1 } }), ("retention", "invalid")),
    ];
    for (change, expected) in cases {
        let (status, problem) = patch(&host, "admin", "/settings", &change).await;
        assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![expected]), "{change}: {problem}");
    }
    let (status, problem) = put(&host, "admin", "/settings", &json!({ "name": "x" })).await;
    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("timeZone", "required")]));
    for role in ["staff", "viewer"] {
        assert_eq!(put(&host, role, "/settings", &saved).await.0, StatusCode::FORBIDDEN);
        assert_eq!(patch(&host, role, "/settings", &json!({ "name": "x" })).await.0, StatusCode::FORBIDDEN);
    }
    assert_eq!(get(&host, "admin", "/settings").await.1, saved);
}

/// The month's meter counts in one currency.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_currency_stays_while_the_month_has_used_something() {
    let host = quiet_machine(|_| {}).await;
    let euros = json!({ "budget": { "currency": "EUR" }, "prices": { "sms": "0.05", "whatsapp": "0.04" } });
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert_eq!(host.twilio.ledger().len(), 1);

    let (status, problem) = patch(&host, "admin", "/settings", &euros).await;

    assert_eq!((status, errors(&problem)), (StatusCode::UNPROCESSABLE_ENTITY, vec![("budget.currency", "currency_in_use")]));
    let limit = json!({ "budget": { "monthlyLimit": "30.00" } });
    assert_eq!(patch(&host, "admin", "/settings", &limit).await.0, StatusCode::OK, "the limit may change");
    host.clock.set(host.clock.now() + SignedDuration::from_hours(24 * 30));
    let (status, saved) = patch(&host, "admin", "/settings", &euros).await;
    assert_eq!((status, saved["budget"]["currency"].as_str()), (StatusCode::OK, Some("EUR")), "{saved}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_what_it_names() {
    let host = unconnected_machine(|settings| {
        settings.keyword_replies.insert("hours".into(), "From 9 to 5.".into());
        settings.frequency_cap = Some(3);
    })
    .await;

    let change = json!({
        "enabled": false, "quietHours": { "from": "22:30" }, "frequencyCap": null, "keywordReplies": { "where": "Linden Street.", "hours": null },
        "alerts": { "lowBalance": null }, "suspended": true,
    });
    let (status, saved) = patch(&host, "admin", "/settings", &change).await;
    assert_eq!(status, StatusCode::OK, "{saved}");
    assert_eq!((&saved["enabled"], &saved["frequencyCap"], &saved["suspended"]), (&json!(false), &Value::Null, &Value::Null));
    assert_eq!(saved["quietHours"], json!({ "from": "22:30", "to": "08:00" }));
    assert_eq!(saved["keywordReplies"], json!({ "where": "Linden Street." }));
    assert_eq!((&saved["alerts"]["lowBalance"], &saved["alerts"]["failurePercent"]), (&Value::Null, &json!(20)));

    let (_, saved) = patch(&host, "admin", "/settings", &json!({ "quietHours": null, "enabled": null })).await;
    assert_eq!((&saved["quietHours"], &saved["enabled"]), (&Value::Null, &json!(true)));
    assert_eq!(get(&host, "admin", "/settings").await.1, saved);
}

/// Two admins at once: whoever comes second is told, or both are heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_admins_do_not_undo_each_other() {
    let host = unconnected_machine(|_| {}).await;
    let (_, tag, before) = settings_call(&host, Method::GET, None, &Value::Null).await;
    assert!(tag.len() > 10, "{tag}");
    let mut mine = before.clone();
    mine["name"] = json!("Mine");
    let mut theirs = before.clone();
    theirs["strictNumbers"] = json!(true);

    let (status, next, _) = settings_call(&host, Method::PUT, Some(&tag), &mine).await;
    assert_eq!((status, next == tag), (StatusCode::OK, false));
    let (status, _, problem) = settings_call(&host, Method::PUT, Some(&tag), &theirs).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("changed")));
    let change = json!({ "strictNumbers": true });
    let (status, _, _) = settings_call(&host, Method::PATCH, Some(&tag), &change).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, last, saved) = settings_call(&host, Method::PATCH, Some(&next), &change).await;
    assert_eq!((status, saved["name"].as_str(), &saved["strictNumbers"]), (StatusCode::OK, Some("Mine"), &json!(true)));
    assert_eq!(settings_call(&host, Method::GET, None, &Value::Null).await.1, last);
    assert_eq!(settings_call(&host, Method::PUT, Some("*"), &saved).await.0, StatusCode::OK);

    let changes = [json!({ "name": "A" }), json!({ "enabled": false }), json!({ "frequencyCap": 7 })];
    let [a, b, c] = &changes;
    let (a, b, c) = tokio::join!(
        patch(&host, "admin", "/settings", a),
        patch(&host, "admin", "/settings", b),
        patch(&host, "admin", "/settings", c)
    );
    assert_eq!([a.0, b.0, c.0], [StatusCode::OK; 3]);
    let (_, saved) = get(&host, "admin", "/settings").await;
    assert_eq!((&saved["name"], &saved["enabled"], &saved["frequencyCap"]), (&json!("A"), &json!(false), &json!(7)));
}

/// A tenant cannot lift its own suspension.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_do_not_lift_a_suspension() {
    let host = unconnected_machine(|_| {}).await;
    let (_, whole) = get(&host, "admin", "/settings").await;
    let table = host.cx.table().await.unwrap();
    let mut settings = tenants::settings(table, &tenant()).await.unwrap().unwrap();
    settings.suspended = true;
    tenants::put_settings(table, &tenant(), &settings).await.unwrap();

    // As another process takes it, which does not know of it yet.
    put(&host, "admin", "/settings", &whole).await;
    patch(&host, "admin", "/settings", &json!({ "suspended": false, "name": "x" })).await;

    assert!(tenants::settings(table, &tenant()).await.unwrap().unwrap().suspended);
}

/// D4, S0-12: a reminder that is due within 48 hours by the new settings is planned at once, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_offsets_are_planned_at_once() {
    let host = unconnected_machine(|_| {}).await;
    let now: Timestamp = host.clock.now();
    let zone = host.cx.settings(&tenant(), now).await.unwrap().time_zone.clone();
    let lesson = Lesson {
        id: "L1".into(),
        subject: "Piano".into(),
        teacher: "Ada".into(),
        starts_at: now + SignedDuration::from_hours(10),
        time_zone: zone,
        students: Students { contacts: vec!["S01".into()], groups: Vec::new() },
        course: None,
        duration_minutes: None,
        status: LessonStatus::Scheduled,
        version: 1,
        changed_at: now,
    };
    save_lessons(&host.cx, &tenant(), vec![lesson], now).await.unwrap();
    assert_eq!(messages_of(&host).await.len(), 1, "an hour before; a day before is over");

    let change = json!({ "types": { "lesson_reminder": { "offsets": ["4h", "1h"] } } });
    for _ in 0..2 {
        assert_eq!(patch(&host, "admin", "/settings", &change).await.0, StatusCode::OK);
        let planned = messages_of(&host).await;
        let mut due: Vec<i64> = planned.iter().map(|message| message.due_at.duration_since(now).as_hours()).collect();
        due.sort_unstable();
        assert_eq!(due, [6, 9]);
    }
}
