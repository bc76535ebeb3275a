//! Calls of the webhook as Twilio makes them, signed, as events of the function URL.

use axum::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use jiff::Timestamp;
use local::gateway;
use local::twilio::{Account, Callback, signed};
use serde_json::Value;
use shared::domain::message::Message;
use shared::domain::tenant::TenantId;

/// Calls that are under way at once.
const AT_ONCE: usize = 32;

pub const SENDER: &str = "+15005550006";
/// What the stand-in's context says of itself.
const PUBLIC_URL: &str = "http://127.0.0.1:9";

pub fn number(at: usize) -> String {
    format!("+1555{:07}", 2_000_000 + at)
}

pub fn receipt(account: &Account, tenant: &TenantId, message: &Message, word: &str) -> Callback {
    let url = format!("{PUBLIC_URL}/twilio/{tenant}/status?message={}", message.id);
    let sid = message.sid.clone().unwrap();
    let to = message.to.as_ref().unwrap().e164().to_string();
    let params = [
        ("ApiVersion", "2010-04-01"),
        ("AccountSid", &account.sid),
        ("SmsSid", &sid),
        ("MessageSid", &sid),
        ("SmsStatus", word),
        ("MessageStatus", word),
        ("To", &to),
        ("From", SENDER),
        ("RawDlrDoneDate", "2603041801"),
    ];
    signed(account, &url, params.map(|(name, value)| (name.to_string(), value.to_string())).to_vec())
}

pub fn text(account: &Account, tenant: &TenantId, at: usize, body: &str) -> Callback {
    let url = format!("{PUBLIC_URL}/twilio/{tenant}/inbound");
    let (sid, from) = (format!("SM9{at:031}"), number(at));
    let params = [
        ("AccountSid", account.sid.as_str()),
        ("MessageSid", &sid),
        ("From", &from),
        ("To", SENDER),
        ("Body", body),
        ("NumMedia", "0"),
    ];
    signed(account, &url, params.map(|(name, value)| (name.to_string(), value.to_string())).to_vec())
}

pub fn event(callback: &Callback, now: Timestamp) -> Value {
    let rest = callback.url.strip_prefix(PUBLIC_URL).unwrap();
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8"));
    headers.insert("x-twilio-signature", HeaderValue::from_str(&callback.signature).unwrap());
    gateway::event(&Method::POST, path, query, &headers, &Bytes::from(callback.body()), None, now)
}

/// Has all of `calls` answered, some at once; the answers in no order.
pub async fn at_once<F>(calls: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut rest = calls;
    let mut answers = Vec::new();
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(call) = rest.next()
        {
            under_way.spawn(call);
        }
        match under_way.join_next().await {
            Some(answer) => answers.push(answer.unwrap()),
            None => return answers,
        }
    }
}
