//! What Twilio says, and what it is told in an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use local::clock::Clock;
use local::twilio::{Account, CALLBACK_DELAYS, Config, InboundText, LocalTwilio, Receipts, WebhookAnswer, lost};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shared::domain::channel::Channel;
use shared::domain::message::{Facts, Message, MessageId, Step};
use shared::domain::phone::PhoneNumber;
use shared::domain::reminder::Kind;
use shared::domain::report::Report;
use shared::domain::segments::segments;
use shared::http_client::{self, Client, Handler};
use shared::twilio::client::{self, Outcome, Outgoing, Resource, is_sid};
use shared::twilio::credentials::Credentials;
use shared::twilio::form::Form;
use shared::twilio::status_callback::{self, Of};
use shared::twilio::twiml;

use super::garbage::{Raw, WORDS, damaged, raw, text, twists};
use super::{every, runtime};
use crate::machine::tenant;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const SID: &str = "SM00000000000000000000000000000001";
const SENDER: &str = "+15005550006";
const SOMEBODY: &str = "+12125550188";

fn now() -> Timestamp {
    "2026-03-10T16:00:00Z".parse().unwrap()
}

fn written(pairs: &[(String, String)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes()
}

#[test]
fn parameters_are_read_as_they_were_written() {
    every(300, (vec((text(2), text(4)), 0..8), raw()), |(pairs, Raw(bytes))| {
        for form in [Form::parse(&bytes), Form::parse_json(&bytes)] {
            prop_assert!(form.0.iter().all(|(name, _)| form.get(name) != Some("")));
            prop_assert_eq!(Form::parse(&written(&form.0)).0, form.0);
        }
        prop_assert_eq!(Form::parse(&written(&pairs)).0, pairs.clone());
        let object: BTreeMap<String, String> = pairs.into_iter().collect();
        let json = serde_json::to_vec(&object).unwrap();
        prop_assert_eq!(Form::parse_json(&json).0, object.into_iter().collect::<Vec<_>>());
        Ok(())
    });
}

/// Whatever parameters Twilio adds: what is kept fits, is read again, and is of no person.
#[test]
fn what_is_kept_of_a_callback_shows_nobody() {
    const NAMES: &[&str] =
        &["To", "From", "Body", "CallerName", "ToCity", "ProfileName", "WaId", "ButtonPayload", "AnsweredBy", "NewThing"];
    const PERSONAL: &[&str] = &["Ann Lee", "Lee, Ann", SOMEBODY, "12125550188", "whatsapp:+12125550188", "Lee (2125550188)"];
    const OWN: &[(&str, &str)] = &[
        ("Price", "-0.00750"),
        ("PriceUnit", "USD"),
        ("CallDuration", "61"),
        ("RawDlrDoneDate", "2603060130"),
        ("MessagingServiceSid", "MG00000000000000000000000000000001"),
    ];
    let name = prop_oneof![3 => select(NAMES).prop_map(str::to_string), 1 => "[A-K][a-k]{1,45}"];
    let value = prop_oneof![
        2 => select(PERSONAL).prop_map(str::to_string),
        1 => select(WORDS).prop_map(str::to_string),
        1 => text(3),
    ];
    let own = select(OWN).prop_map(|(name, value)| (name.to_string(), value.to_string()));
    let params = vec(prop_oneof![3 => (name, value), 1 => own], 0..12);
    let word = select(vec!["queued", "delivered", "undelivered", "completed", "brand-new"]);
    every(400, (params, word, any::<bool>()), |(params, word, is_call)| {
        let (of, sid, status) =
            if is_call { (Of::Call, "CallSid", "CallStatus") } else { (Of::Message, "MessageSid", "MessageStatus") };
        let known = [(sid, SID), (status, word)].map(|(name, value)| (name.to_string(), value.to_string()));
        let report = status_callback::report(&Form(known.into_iter().chain(params).collect()), of).unwrap();
        let line = report.to_string();
        prop_assert!(line.len() <= 250, "{line}");
        prop_assert!(!line.contains("Lee") && !line.contains("2125550188"), "{line}");
        prop_assert_eq!(Report::parse(&line), Some(report));
        Ok(())
    });
}

#[test]
fn a_callback_of_garbage_says_nothing() {
    every(300, raw(), |Raw(bytes)| {
        for form in [Form::parse(&bytes), Form::parse_json(&bytes)] {
            prop_assert_eq!(status_callback::report(&form, Of::Message), None);
            prop_assert_eq!(status_callback::report(&form, Of::Call), None);
        }
        Ok(())
    });
}

/// A Twilio with one account.
fn local_twilio() -> LocalTwilio {
    let twilio = LocalTwilio::new(Config {
        ledger_file: None,
        segments,
        clock: Clock::at(now()),
        callback_delays: CALLBACK_DELAYS,
        receipts: Receipts::Each,
        seed: 0,
        http: http_client::new().into(),
    })
    .unwrap();
    let senders = vec![SENDER.to_string()];
    twilio.add_account(Account { sid: ACCOUNT.to_string(), auth_token: "token".to_string(), senders, ..Account::default() });
    twilio
}

/// What is sent to somebody whose text is answered so.
fn sent(twilio: &LocalTwilio, status: u16, content_type: &str, body: String) -> Vec<String> {
    let before = twilio.ledger().len();
    let text = InboundText::new(SOMEBODY, SENDER, "Hello");
    let callback = twilio.inbound_text(ACCOUNT, "https://hooks.example/twilio/sample/inbound", &text).unwrap();
    twilio.brought(&callback, &WebhookAnswer { status, content_type: Some(content_type.to_string()), body });
    twilio.ledger().into_iter().skip(before).map(|entry| entry.body).collect()
}

const CALLBACK: &str = "https://hooks.example/twilio/sample/status?message=msg_1&x='1'#rc=3&rp=5xx,ct,rt";

/// Two readings of XML: ours writes, the stand-in reads.
#[test]
fn an_answer_is_sent_as_it_was_written_but_for_what_no_xml_can_hold() {
    let twilio = local_twilio();
    every(300, text(12), |text| {
        let is_said = |c: &char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        let said: String = text.chars().filter(is_said).filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
        let expected: Vec<String> = Some(said.trim().to_string()).into_iter().filter(|said| !said.is_empty()).collect();
        prop_assert_eq!(sent(&twilio, 200, "text/xml", twiml::message(&text, CALLBACK)), expected);
        Ok(())
    });
}

#[test]
fn of_a_damaged_answer_no_more_is_sent_than_it_has_messages() {
    let several = "<?xml version=\"1.0\"?><!-- two --><Response><Message><Body>One</Body><Media>https://example.com/a.jpg</Media>\
                   </Message><Message to=\"+12125550189\" action='/status'><![CDATA[<Two>]]>&#33;</Message></Response>";
    let documents = [twiml::message("Hello & good-bye", CALLBACK), twiml::nothing(), several.to_string(), "Hello".to_string()];
    let documents = damaged(documents.map(String::into_bytes).to_vec());
    let content_types =
        select(vec!["text/xml", "application/xml; charset=utf-8", "text/html", "text/plain", "application/json", ""]);
    let twilio = local_twilio();
    every(
        300,
        (documents, content_types, select(vec![200u16, 200, 204, 302, 404, 500])),
        |(Raw(bytes), content_type, status)| {
            let document = String::from_utf8_lossy(&bytes).into_owned();
            let most = if (200..300).contains(&status) { document.matches("<Message").count().max(1) } else { 0 };
            let sent = sent(&twilio, status, content_type, document);
            prop_assert!(sent.len() <= most, "{sent:?}");
            Ok(())
        },
    );
}

/// What Twilio answers.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    retry_after: Option<&'static str>,
    body: Raw,
}

impl Answer {
    fn response(self) -> Response<Vec<u8>> {
        let mut response = Response::new(self.body.0);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert("retry-after", HeaderValue::from_static(wait));
        }
        response
    }
}

/// What the next request is answered; without it, the connection is lost.
type Said = Arc<Mutex<Option<Answer>>>;

fn answering() -> (Client, Said) {
    let said = Said::default();
    let next = said.clone();
    let handler: Handler = Arc::new(move |_| {
        let answer = next.lock().unwrap().clone();
        Box::pin(async move { answer.map_or_else(lost, |answer| answer.response().into()) })
    });
    (Client::through(handler), said)
}

const BASE: &str = "https://twilio.invalid";

fn credentials() -> Credentials {
    serde_json::from_value(json!({ "accountSid": ACCOUNT, "authToken": "token" })).unwrap()
}

/// Valid JSON that says something else, JSON that is none any more, no JSON.
fn body(whole: Vec<Value>) -> impl Strategy<Value = Raw> {
    let texts = whole.iter().map(|value| value.to_string().into_bytes()).collect();
    let twisted = (select(whole), twists()).prop_map(|(whole, twists)| Raw(twists.done_to(&whole).to_string().into_bytes()));
    prop_oneof![2 => twisted, 2 => damaged(texts), 1 => raw()]
}

/// What decides whether a message goes again: it never does unless Twilio says that it has not gone.
#[test]
fn an_answer_to_a_message_is_never_taken_for_more_than_it_says() {
    const WAITS: &[&str] = &["5", "7200", "99999999999999999999", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", ""];
    let error = |code: u32| json!({ "code": code, "message": "No", "more_info": "https://www.twilio.com/docs", "status": 400 });
    let answers = vec![
        json!({ "sid": SID, "status": "queued", "num_segments": "2", "body": "Hello", "error_code": null }),
        error(21211),
        error(20429),
        error(21611),
        error(20003),
        error(30001),
    ];
    let statuses = select(vec![200u16, 201, 201, 204, 302, 400, 400, 401, 404, 429, 500, 503]);
    let answer = (statuses, option::of(select(WAITS)), body(answers)).prop_map(|(status, retry_after, body)| Answer {
        status,
        retry_after,
        body,
    });
    let message = Message {
        to: PhoneNumber::from_e164(SOMEBODY),
        body: Some("Hello".to_string()),
        channel: Some(Channel::Sms),
        ..Message::waiting(
            MessageId::derive(&tenant(), &["fuzz"]),
            Kind::Message,
            Facts::Direct,
            now(),
            Step::new(now(), "asked"),
        )
    };
    let outgoing = Outgoing::new(&message, SENDER, CALLBACK.to_string());
    let (credentials, runtime) = (credentials(), runtime());
    let (http, said) = answering();
    every(500, option::weighted(0.95, answer), |answer| {
        *said.lock().unwrap() = answer.clone();
        let outcome = runtime.block_on(client::send(&http, BASE, &credentials, &outgoing));
        let status = answer.as_ref().map(|answer| answer.status);
        let is_success = status.is_some_and(|status| (200..300).contains(&status));
        let is_broken = status.is_none_or(|status| status >= 500);
        let names = |sid: &str| answer.as_ref().is_some_and(|answer| String::from_utf8_lossy(&answer.body.0).contains(sid));
        let is_right = match &outcome {
            Outcome::Accepted { sid, .. } => is_success && is_sid(sid) && names(sid),
            Outcome::NotProcessed { wait, .. } => status.is_some() && !is_success && *wait <= Duration::from_secs(3600),
            Outcome::Refused { .. } => !is_success && !is_broken,
            Outcome::Unknown { .. } => is_success || is_broken,
            Outcome::NotAsked => false,
        };
        prop_assert!(is_right, "{outcome:?}");
        Ok(())
    });
}

/// Texts of other people stand in what Twilio lists.
#[test]
fn a_listed_message_is_read_or_refused_without_its_words() {
    const FIELDS: &[&str] =
        &["sid", "status", "body", "date_created", "error_code", "from", "price", "price_unit", "num_segments"];
    const TEXT: &str = "Lee will be late";
    let listed = json!({
        "sid": SID, "status": "delivered", "body": TEXT, "date_created": "Mon, 09 Mar 2026 18:02:30 +0000", "error_code": null,
        "from": SENDER, "price": "-0.00750", "price_unit": "USD", "duration": null, "answered_by": null,
    });
    let misplaced = FIELDS.iter().map(|field| {
        let mut listed = listed.clone();
        listed[*field] = json!(TEXT);
        listed
    });
    let bodies = body(misplaced.chain([listed.clone()]).collect());
    let (credentials, runtime) = (credentials(), runtime());
    let (http, said) = answering();
    every(400, bodies, |body| {
        *said.lock().unwrap() = Some(Answer { status: 200, retry_after: None, body });
        match runtime.block_on(client::fetch(&http, BASE, &credentials, Resource::Messages, SID)) {
            Ok(listed) => {
                let line = listed.report().to_string();
                prop_assert!(line.len() <= 250, "{line}");
                prop_assert_eq!(Report::parse(&line), Some(listed.report()));
                prop_assert!(listed.created().is_none_or(|created| created.to_string().ends_with('Z')));
            }
            Err(error) => {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains("Lee"), "{shown}");
            }
        }
        Ok(())
    });
}
