//! Tells when a tenant's messages fail or are slow, or its balance at Twilio runs low (S4-49, S3-79): an event
//! when it begins, and one when it is over.
//!
//! The table notes what was told. An event may come twice, as EventBridge's own do, never not at all.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::every_tenant::{RunError, ended};
use crate::context::{Account, Context, ContextError};
use crate::domain::message::Message;
use crate::domain::money::Money;
use crate::domain::report::Report;
use crate::domain::statistics::{Times, delivery_seconds};
use crate::domain::tenant::{Alerts, TenantId};
use crate::events;
use crate::store::health::{self, Raised};
use crate::store::messages::{self, LogEntry};
use crate::store::{StoreError, Table, keys, tenants};
use crate::telemetry::Chain;
use crate::twilio::rest::Rest;
use crate::twilio::{account, error_codes};

/// The events' names.
pub const FAILURE_RATE: &str = "alert.failure_rate";
pub const SLOW_DELIVERY: &str = "alert.slow_delivery";
pub const LOW_BALANCE: &str = "alert.low_balance";
pub const RECOVERED: &str = "alert.recovered";

/// What is looked at: messages that went or ended within it.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The log is by due date; what was due before is not looked for.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(6);
/// Fewer deliveries are no sign of a slow network: somebody's phone was off.
const FEWEST_DELIVERIES: u32 = 5;
/// What shows neither way any more, because nothing is sent, is over after so long.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(24);
/// A run takes no other tenant after so long; the next hour begins with another.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(200);
const PAGE: u32 = 1000;

/// Looks at every tenant. How many events were told.
///
/// # Errors
/// [`RunError::Tenants`] once the others are looked at: nobody repeats it before the next hour.
pub async fn watch_health(cx: &Context, now: Timestamp) -> Result<usize, RunError> {
    let started = Instant::now();
    let (mut told, mut failed) = (0, 0);
    let mut all = tenants::all(cx.table().await?).await?;
    let first = now.as_second().div_euclid(60 * 60) as usize % all.len().max(1);
    all.rotate_left(first);
    for tenant in all {
        if started.elapsed() > LONGEST_RUN {
            tracing::warn!("not every tenant's health could be looked at this hour");
            break;
        }
        match watch_tenant(cx, &tenant, now).await {
            Ok(events) => told += events,
            // One tenant's trouble does not keep the others from being looked at; the next hour tries it again.
            Err(error) => {
                tracing::error!(%tenant, error = %Chain(&error), "a tenant's health could not be looked at");
                failed += 1;
            }
        }
    }
    ended(told, failed)
}

/// What an hour showed of one alert.
enum Finding {
    /// What to tell of it.
    Bad(Value),
    Fine,
    /// Too little to tell by.
    Unknown,
}

async fn watch_tenant(cx: &Context, tenant: &TenantId, now: Timestamp) -> Result<usize, ContextError> {
    let settings = cx.settings(tenant, now).await?;
    let table = cx.table().await?;
    let alerts = &settings.alerts;
    let lately = of_last_hour(table, tenant, now).await?;
    let findings = [
        (FAILURE_RATE, failure_rate(alerts, &lately)),
        (SLOW_DELIVERY, slow_delivery(alerts, &lately, now)),
        (LOW_BALANCE, low_balance(cx, tenant, alerts, now).await),
    ];
    let before = health::get(table, tenant).await?;
    let mut after = before.clone();
    let mut news: Vec<(&str, Value)> = Vec::new();
    for (alert, finding) in findings {
        let raised = before.raised.get(alert).copied();
        match (finding, raised) {
            (Finding::Bad(detail), None) => {
                news.push((alert, about(tenant, detail, now)));
                after.raised.insert(alert.to_string(), Raised { since: now, seen_at: now });
            }
            (Finding::Bad(_), Some(raised)) => {
                after.raised.insert(alert.to_string(), Raised { seen_at: now, ..raised });
            }
            (Finding::Unknown, Some(raised)) if now.duration_since(raised.seen_at) < FORGOTTEN => {}
            (Finding::Fine | Finding::Unknown, Some(raised)) => {
                let advice = "nothing is to be done: it is over, as far as the last hour shows";
                let detail = json!({ "alert": alert, "since": raised.since, "advice": advice });
                news.push((RECOVERED, about(tenant, detail, now)));
                after.raised.remove(alert);
            }
            (Finding::Fine | Finding::Unknown, None) => {}
        }
    }
    if !news.is_empty()
        && let Err(error) = events::publish(&cx.events, &cx.config.event_bus, &news).await
    {
        // Not noted, so the next hour tells again.
        tracing::error!(%tenant, error = %Chain(&error), "nobody could be told of a tenant's health");
        return Ok(0);
    }
    // Lost to another run, it is that one's to note.
    if after != before {
        health::update(table, tenant, after).await?;
    }
    Ok(news.len())
}

fn about(tenant: &TenantId, mut detail: Value, now: Timestamp) -> Value {
    if let Value::Object(detail) = &mut detail {
        detail.insert("tenant".into(), json!(tenant));
        detail.insert("at".into(), json!(now));
    }
    detail
}

/// The messages that went, or came to their end, within the last hour.
async fn of_last_hour(table: &Table, tenant: &TenantId, now: Timestamp) -> Result<Vec<Message>, StoreError> {
    let span = (now - LOOK_BACK, now);
    let is_lately = |at: Option<Timestamp>| at.is_some_and(|at| at > now - WINDOW && at <= now);
    let is_meant = |message: &Message| {
        message.inbound.is_none()
            && !message.simulated
            && matches!(message.status.shown(), "Sent" | "Delivered" | "Failed")
            && (is_lately(message.decided_at) || is_lately(ended_at(message)))
    };
    let mut found = Vec::new();
    let mut day = keys::day(span.0);
    while day <= keys::day(now) {
        let mut before: Option<LogEntry> = None;
        loop {
            let (page, is_last) = messages::log_page_back(table, tenant, day, span, before.as_ref(), PAGE).await?;
            let Some(earliest) = page.last() else { break };
            before = Some(LogEntry { due_at: earliest.due_at, id: earliest.id.clone() });
            found.extend(page.into_iter().filter(is_meant));
            if is_last {
                break;
            }
        }
        day = day.tomorrow().unwrap_or(jiff::civil::Date::MAX);
    }
    Ok(found)
}

/// When a message came to its end: by the first report that says so, or at once.
fn ended_at(message: &Message) -> Option<Timestamp> {
    let state = message.status.shown();
    let says_so = |line: &str| {
        let status = Report::parse(line).and_then(|report| report.status());
        status.is_some_and(|status| status.shown() == state)
    };
    let first = message.reports.iter().filter(|(line, _)| says_so(line)).map(|(_, step)| step.at).min();
    first.or(message.decided_at).filter(|_| message.status.is_final())
}

fn failure_rate(alerts: &Alerts, lately: &[Message]) -> Finding {
    let Some(threshold) = alerts.failure_percent else { return Finding::Fine };
    let failed: Vec<&Message> = lately.iter().filter(|message| message.status.shown() == "Failed").collect();
    let (failures, all) = (failed.len() as u64, lately.len() as u64);
    if all == 0 {
        return Finding::Unknown;
    }
    if failures * 100 < u64::from(threshold) * all {
        return Finding::Fine;
    }
    if all < u64::from(alerts.failure_minimum) {
        return Finding::Unknown;
    }
    // What most of them failed with says what to do.
    let mut codes: BTreeMap<u32, u32> = BTreeMap::new();
    failed.iter().filter_map(|message| message.error_code).for_each(|code| *codes.entry(code).or_default() += 1);
    let code = codes.into_iter().max_by_key(|(_, times)| *times).map(|(code, _)| code);
    let meaning = code.map(error_codes::meaning);
    let advice = meaning.map_or("see analytics/delivery for what they failed with", |meaning| meaning.advice);
    Finding::Bad(json!({
        "alert": FAILURE_RATE,
        "failed": failures,
        "messages": all,
        "percent": failures * 100 / all,
        "threshold": threshold,
        "code": code,
        "title": meaning.map(|meaning| meaning.title),
        "advice": advice,
    }))
}

fn slow_delivery(alerts: &Alerts, lately: &[Message], now: Timestamp) -> Finding {
    let Some(threshold) = alerts.slow_seconds else { return Finding::Fine };
    let mut times = Times::default();
    let ended = lately.iter().filter(|message| ended_at(message).is_some_and(|at| at > now - WINDOW));
    ended.filter_map(delivery_seconds).for_each(|seconds| times.note(seconds));
    match times.percentile(50) {
        None => Finding::Unknown,
        Some(median) if median <= threshold => Finding::Fine,
        Some(_) if times.count() < FEWEST_DELIVERIES => Finding::Unknown,
        Some(median) => Finding::Bad(json!({
            "alert": SLOW_DELIVERY,
            "medianSeconds": median,
            "messages": times.count(),
            "threshold": threshold,
            "advice": "see status.twilio.com for trouble of a network, and whether one sender has more to send than its rate allows",
        })),
    }
}

/// What is left at Twilio. That it cannot be asked is no alert: sending would tell.
async fn low_balance(cx: &Context, tenant: &TenantId, alerts: &Alerts, now: Timestamp) -> Finding {
    let Some(threshold) = alerts.low_balance else { return Finding::Fine };
    let credentials = match cx.account(tenant, now).await {
        Ok(Account::Twilio(credentials)) => credentials.without_key(),
        Ok(Account::Simulated) => return Finding::Unknown,
        Err(error) => {
            tracing::warn!(%tenant, error = %Chain(&error), "the credentials could not be read to ask for the balance");
            return Finding::Unknown;
        }
    };
    let rest = Rest { http: &cx.http, base: &cx.config.twilio_api_base, credentials: &credentials };
    let Money { amount: left, currency } = match account::balance(rest).await {
        Ok(balance) => balance,
        Err(error) => {
            tracing::warn!(%tenant, error = %Chain(&error), "Twilio could not be asked for the balance");
            return Finding::Unknown;
        }
    };
    if left >= threshold {
        return Finding::Fine;
    }
    Finding::Bad(json!({
        "alert": LOW_BALANCE,
        "balance": left,
        "currency": currency.to_string(),
        "threshold": threshold,
        "advice": "add funds in Twilio's Console, or switch auto-recharge on there: at nothing, nothing goes",
    }))
}
