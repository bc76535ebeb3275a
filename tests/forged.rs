//! What anybody can post to an open URL: nothing that Twilio did not sign does anything, and nothing breaks it.

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use local::gateway;
use local::host::Host;
use local::twilio::{Callback, InboundText, sign, signed};
use serde_json::{Value, json};
use shared::context::twilio_secret;
use shared::secrets;

use crate::machine::{credentials, post, quiet_machine, settle, tenant};

const KNOWN: &str = "+15550100201";
const SENDER: &str = "+15005550006";

/// A machine to which everything has come once: a receipt, a text, a call, a key pressed in it, its end.
async fn machine_with_traffic() -> (Host, Vec<Callback>) {
    let host = quiet_machine(|settings| {
        settings.keyword_replies.insert("hours".into(), "From 9 to 5.".into());
    })
    .await;
    post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    let mut genuine = Vec::new();
    while let Some(due) = host.twilio.next_callback_due() {
        host.clock.set(due.max(host.clock.now()));
        genuine.extend(host.twilio.take_callbacks());
    }
    assert_eq!(genuine.len(), 2);
    for body in ["Hours", "STOP LESSONS", "Hello"] {
        let text = InboundText::new(format!("whatsapp:{KNOWN}"), format!("whatsapp:{SENDER}"), body);
        genuine.push(host.inbound_text(&tenant(), &text).await.unwrap());
    }
    let call = host.inbound_call(&tenant(), KNOWN, SENDER).await.unwrap();
    let voice = format!("{}/twilio/{}/voice", host.webhook_url, tenant());
    genuine.push(host.call_step(&call, &voice, &[("Digits", "9")]).unwrap());
    genuine.push(host.call_ended(&tenant(), &call, 10).unwrap());
    genuine.insert(5, call);
    for callback in &genuine {
        assert!(host.bring(callback, host.clock.now()).await.is_success());
    }
    settle(&host, jiff::SignedDuration::from_mins(2)).await;
    (host, genuine)
}

/// The table, but for what only says that somebody asked.
fn table(host: &Host) -> Vec<String> {
    let mut items: Vec<String> = host.aws.items().iter().map(Value::to_string).collect();
    items.sort();
    items
}

/// Posts to the webhook as the function URL does.
async fn post_raw(host: &Host, url: &str, kind: &str, signature: Option<&str>, body: Bytes) -> (StatusCode, String) {
    let rest = url.strip_prefix(&host.webhook_url).unwrap();
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", kind.parse().unwrap());
    if let Some(signature) = signature {
        headers.insert("x-twilio-signature", signature.parse().unwrap());
    }
    let event = gateway::event(&Method::POST, path, query, &headers, &body, None, host.clock.now());
    let response = host.functions.webhook(event).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forged_cut_changed_or_replayed_writes_nothing() {
    let (host, genuine) = machine_with_traffic().await;
    let before = table(&host);
    assert!(before.len() > 10);

    for callback in &genuine {
        let Callback { url, params, signature, .. } = callback;
        let body = callback.body();
        let raw = |url: String, signature: Option<String>, body: String| {
            let host = host.clone();
            async move { post_raw(&host, &url, FORM, signature.as_deref(), body.into()).await.0 }
        };
        let same = Some(signature.clone());
        let other_token = sign("another token", url, params);
        let refused = [
            ("unsigned", raw(url.clone(), None, body.clone()).await),
            ("no base64", raw(url.clone(), Some("§".replace('§', "!!")), body.clone()).await),
            ("another's token", raw(url.clone(), Some(other_token), body.clone()).await),
            ("cut", raw(url.clone(), same.clone(), body[..body.len() / 2].to_string()).await),
            ("empty", raw(url.clone(), same.clone(), String::new()).await),
            ("more", raw(url.clone(), same.clone(), format!("{body}&Body=STOP")).await),
            ("changed", raw(url.clone(), same.clone(), body.replace("15550100201", "15550100202")).await),
            (
                "another message",
                raw(format!("{url}{}message=msg_0", if url.contains('?') { "&" } else { "?" }), same.clone(), body.clone()).await,
            ),
            ("another tenant", raw(url.replace("/sample/", "/other/"), same.clone(), body.clone()).await),
            ("no tenant", raw(url.replace("/sample/", "/..%2F/"), same.clone(), body.clone()).await),
            ("cut signature", raw(url.clone(), Some(signature[..10].to_string()), body.clone()).await),
        ];
        for (what, status) in refused {
            assert_eq!(status, StatusCode::FORBIDDEN, "{what} {url}");
        }
        // Written another way, it is the same request; come again, it changes nothing.
        let shouted: String = body.replace("%2B", "%2b");
        let mut pairs: Vec<&str> = body.split('&').collect();
        pairs.reverse();
        let doubled = format!("{body}&{}", body.split('&').next().unwrap());
        for again in [body.clone(), shouted, pairs.join("&"), doubled] {
            let status = raw(url.clone(), same.clone(), again).await;
            assert!(status.is_success(), "{status} {url}");
        }
    }

    let after = table(&host);
    let changed: Vec<_> = after.iter().filter(|item| !before.contains(item)).collect();
    assert_eq!(changed, Vec::<&String>::new());
    assert_eq!(before.len(), after.len());
}

/// A little randomness that is the same each time: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

fn random_body(dice: &mut Dice, account: &str, genuine: &[Callback]) -> Vec<u8> {
    const NAMES: [&str; 22] = [
        "MessageSid",
        "SmsSid",
        "CallSid",
        "AccountSid",
        "From",
        "To",
        "Body",
        "NumMedia",
        "MediaUrl0",
        "MediaContentType0",
        "MessageStatus",
        "CallStatus",
        "ErrorCode",
        "CallDuration",
        "Digits",
        "Direction",
        "OptOutType",
        "ButtonPayload",
        "Price",
        "PriceUnit",
        "OriginalRepliedMessageSid",
        "",
    ];
    const VALUES: [&str; 24] = [
        "",
        "SM00000000000000000000000000000001",
        "CA00000000000000000000000000000002",
        "STOP",
        "START LESSONS",
        "C",
        "9",
        "-1",
        "99999999999999999999",
        "+15550100201",
        "whatsapp:+15550100201",
        "whatsapp:",
        "+",
        "22395",
        "delivered",
        "completed",
        "failed",
        "21610",
        "USD",
        "NaN",
        "\u{0}\u{fffe}",
        "🛑",
        "</Response>",
        "%%%",
    ];
    match dice.roll(5) {
        0 => (0..dice.roll(300)).map(|_| dice.roll(256) as u8).collect(),
        1 => {
            let body = dice.pick(genuine).body();
            body.as_bytes()[..dice.roll(body.len() + 1)].to_vec()
        }
        2 => {
            let mut body = dice.pick(genuine).body().into_bytes();
            for _ in 0..dice.roll(6) {
                let at = dice.roll(body.len());
                body[at] = dice.roll(256) as u8;
            }
            body
        }
        3 => json!({ "AccountSid": account, *dice.pick(&NAMES): *dice.pick(&VALUES), "Body": *dice.pick(&VALUES) })
            .to_string()
            .into_bytes(),
        _ => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("AccountSid", account);
            for _ in 0..dice.roll(14) {
                let (name, value) = (*dice.pick(&NAMES), *dice.pick(&VALUES));
                form.append_pair(name, value);
            }
            form.finish().into_bytes()
        }
    }
}

/// Signed or not: 10,000 bodies of which most are nonsense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_bodies_cause_no_panic_and_no_5xx() {
    let (host, genuine) = machine_with_traffic().await;
    let account = credentials(&host).await;
    let base = format!("{}/twilio/{}", host.webhook_url, tenant());
    let message = genuine[0].url.split_once('?').unwrap().1.to_string();
    let urls = [
        format!("{base}/status?{message}"),
        format!("{base}/status"),
        format!("{base}/inbound"),
        format!("{base}/voice"),
        format!("{base}/voice/status"),
        format!("{base}/voice/status?{message}"),
        format!("{base}/nothing?%"),
    ];
    let mut dice = Dice(0x00c0_ffee);
    let mut seen = std::collections::BTreeMap::<(bool, u16), usize>::new();
    for round in 0..10_000 {
        let body = random_body(&mut dice, &account.sid, &genuine);
        let url = dice.pick(&urls).clone();
        let is_signed = dice.roll(2) == 0;
        let params: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let (kind, url, params) = match dice.roll(4) {
            0 => {
                let hash = ring::digest::digest(&ring::digest::SHA256, &body);
                let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                (
                    "application/json; charset=utf-8",
                    format!("{url}{}bodySHA256={hash}", if url.contains('?') { "&" } else { "?" }),
                    Vec::new(),
                )
            }
            1 => ("text/plain", url, params),
            _ => (FORM, url, params),
        };
        let signature = sign(if is_signed { &account.auth_token } else { "another token" }, &url, &params);
        let (status, answer) = post_raw(&host, &url, kind, Some(&signature), body.clone().into()).await;
        assert!(status.as_u16() < 500, "round {round}: {status} {answer} to {}", String::from_utf8_lossy(&body));
        *seen.entry((is_signed, status.as_u16())).or_default() += 1;
    }
    let of = |signed, status| seen.get(&(signed, status)).copied().unwrap_or_default();
    assert_eq!(of(false, 200) + of(false, 204), 0, "{seen:?}");
    assert!(of(true, 200) > 500 && of(true, 204) > 500 && of(false, 403) > 3_000, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_believed_by_the_hash_of_its_bytes() {
    let host = quiet_machine(|_| {}).await;
    let account = credentials(&host).await;
    let body = json!({
        "AccountSid": account.sid, "MessageSid": "SM00000000000000000000000000000009", "From": KNOWN, "To": SENDER, "Body": "STOP", "NumMedia": 0,
    })
    .to_string();
    let hash = |body: &str| -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let url = format!("{}/twilio/{}/inbound", host.webhook_url, tenant());
    let signed_url = format!("{url}?bodySHA256={}", hash(&body));
    let signature = sign(&account.auth_token, &signed_url, &[]);

    let changed = body.replace("STOP", "GO");
    assert_eq!(post_raw(&host, &signed_url, "application/json", Some(&signature), changed.into()).await.0, 403);
    let unhashed = sign(&account.auth_token, &url, &[]);
    assert_eq!(post_raw(&host, &url, "application/json", Some(&unhashed), body.clone().into()).await.0, 403);
    assert_eq!(post_raw(&host, &signed_url, "application/json", Some(&signature), body.into()).await.0, 200);

    let (_, skipped) = post(&host, "staff", "/messages", None, &json!({ "to": KNOWN, "body": "Hello" })).await;
    assert_eq!(skipped["reason"], "opted_out");
}

/// A rotation without a gap (S1-89): the token that was, the token that is, and one stored a moment ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_is_believed_at_once_and_the_previous_one_still() {
    let host = quiet_machine(|_| {}).await;
    let account = credentials(&host).await;
    let url = format!("{}/twilio/{}/inbound", host.webhook_url, tenant());
    let text = async |token: &str, sid: &str, account_sid: &str| {
        let account = local::twilio::Account { auth_token: token.into(), sid: account_sid.into(), ..Default::default() };
        let params = [("AccountSid", account_sid), ("MessageSid", sid), ("From", KNOWN), ("To", SENDER), ("Body", "Hello")];
        let params = params.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
        host.bring(&signed(&account, &url, params), host.clock.now()).await
    };
    let sid = |number: u32| format!("SM{number:032}");
    assert_eq!(text(&account.auth_token, &sid(1), &account.sid).await, 200);

    let new = json!({ "accountSid": account.sid, "authToken": "the new token", "previousAuthToken": account.auth_token });
    secrets::write(&host.cx.secrets, &host.cx.config.secret(&twilio_secret(&tenant())), &new).await.unwrap();

    assert_eq!(text("the new token", &sid(2), &account.sid).await, 200, "one look at the secret for one that does not fit");
    assert_eq!(text(&account.auth_token, &sid(3), &account.sid).await, 200);
    assert_eq!(text("the new token", &sid(4), "AC00000000000000000000000000000000").await, 403, "another account's");
    host.aws.reset_requests();
    for _ in 0..20 {
        assert_eq!(text("guessed", &sid(5), &account.sid).await, 403);
    }
    let looks = host.aws.requests().get("secretsmanager.GetSecretValue").copied().unwrap_or_default();
    assert_eq!(looks, 0, "whoever guesses makes us look once a minute at most");
}
