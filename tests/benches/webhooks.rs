//! What a webhook call costs: CPU and table requests, through the function URL's event and the real handler.
//!
//! `cargo bench -p tests --bench webhooks`. Bounded: some seconds.

#![allow(clippy::unwrap_used)]

#[path = "webhook/accepted.rs"]
mod accepted;
mod stand_in;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use accepted::accepted;
use axum::http::StatusCode;
use jiff::Timestamp;
use local::gateway::Functions;
use local::twilio::Account;
use serde_json::Value;
use shared::domain::message::Message;
use shared::domain::tenant::{Settings, TenantId};
use shared::store::{messages, tenants};
use stand_in::{StandIn, cpu};
use webhook::{SENDER, at_once, event, receipt, text};

const RECEIPTS: usize = 10_000;
const TEXTS: usize = 2_000;
const THANKS: &str = "Thank you, see you tomorrow!";

/// CPU and table requests of `events`, all answered with `expected`.
async fn measure(
    cx: &Arc<shared::context::Context>,
    stand_in: &mut StandIn,
    what: &str,
    events: Vec<Value>,
    expected: StatusCode,
) {
    let count = events.len();
    let functions = Functions::new(cx);
    stand_in.table_requests();
    let before = cpu();
    let call = |event: Value| {
        let functions = functions.clone();
        async move { functions.webhook(event).await.status() }
    };
    for status in at_once(events.into_iter().map(call)).await {
        assert_eq!(status, expected);
    }
    let spent = cpu() - before;
    let requests: BTreeMap<String, u64> = stand_in.table_requests();
    let each = requests.values().sum::<u64>() as f64 / count as f64;
    let rate = count as f64 / spent.max(Duration::from_millis(1)).as_secs_f64();
    println!("{what}: {rate:.0} calls a CPU-second, {:.3} ms each, {each:.4} table requests each", 1000.0 / rate);
    println!("  {requests:?}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let now: Timestamp = "2026-03-04T18:00:00Z".parse().unwrap();
    let tenant = TenantId::parse("bench").unwrap();
    if stand_in::is_stand_in(now, &tenant).await {
        return;
    }
    let (mut stand_in, cx) = StandIn::start();
    let cx = Arc::new(cx);
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "name": "Bench", "timeZone": "America/New_York", "defaultRegion": "US", "senders": { "sms": SENDER },
        "budget": { "currency": "USD" },
    }))
    .unwrap();
    let table = cx.table().await.unwrap();
    tenants::put_settings(table, &tenant, &settings).await.unwrap();
    let messages: Vec<Message> = (0..RECEIPTS).map(|at| accepted(&tenant, at, now)).collect();
    messages::create(table, &tenant, messages.clone()).await.unwrap();
    let known = cx.credentials(&tenant, now).await.unwrap();
    let auth_token = known.signing_tokens().next().unwrap().to_string();
    let account = Account { sid: known.account_sid.clone(), auth_token, ..Account::default() };

    let events = |word: &str| -> Vec<Value> {
        messages.iter().map(|message| event(&receipt(&account, &tenant, message, word), now)).collect()
    };
    let (delivered, sent) = (events("delivered"), events("sent"));
    measure(&cx, &mut stand_in, "receipts", delivered.clone(), StatusCode::NO_CONTENT).await;
    measure(&cx, &mut stand_in, "late receipts", sent, StatusCode::NO_CONTENT).await;
    measure(&cx, &mut stand_in, "repeated receipts", delivered, StatusCode::NO_CONTENT).await;
    let texts: Vec<Value> = (0..TEXTS).map(|at| event(&text(&account, &tenant, at, THANKS), now)).collect();
    measure(&cx, &mut stand_in, "texts", texts, StatusCode::OK).await;
    let forger = Account { auth_token: "another token".into(), ..account.clone() };
    let forged = messages.iter().map(|message| event(&receipt(&forger, &tenant, message, "sent"), now)).collect();
    measure(&cx, &mut stand_in, "forged", forged, StatusCode::FORBIDDEN).await;
    stand_in.stop();
}
