//! Rules 6 and 7, the claim, and the call to Twilio: in waves, so that one transaction claims many.
//!
//! A wave holds each contact and each number at most once. Within it nothing depends on what
//! becomes of the rest, so waves end as one by one would; only near the limit of the budget,
//! where a refusal may make room for the next, it is one by one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::decide::{Draft, World, skipped};
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::consent::Keyword;
use crate::domain::message::{Message, MessageId, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::consents::{self, Source};
use crate::store::messages::{self, Change, Written};
use crate::store::{Table, accepted, meter};
use crate::twilio::client::{self, Outcome, Outgoing};
use crate::twilio::credentials::Credentials;
use crate::usecases::record_status::UNSUBSCRIBED;

/// A claim holds this long: well beyond the request's own deadline.
const LEASE: SignedDuration = SignedDuration::from_mins(3);
/// Messages of one wave, and how many of them are at Twilio at once: the last of them is answered or
/// given up while its lease holds, at 15 seconds a request.
const WAVE: usize = 320;
const AT_ONCE: usize = 32;
/// So many decisions against are written at once.
const ENDS: usize = 90;
/// After so many attempts that Twilio did not process, a message fails.
const ATTEMPTS: u32 = 8;
/// The longest pause of the exponential back-off.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Sends `drafts`, in order, as far as cap and budget let them.
pub async fn send(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    drafts: Vec<Draft>,
    mut world: World,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<(), ContextError> {
    if drafts.is_empty() {
        return Ok(());
    }
    let table = cx.table().await?;
    let credentials = cx.credentials(tenant, now).await?;
    let started = tokio::time::Instant::now();
    let month = month(settings, now);
    let limit = settings.budget.monthly_limit;
    let mut used = match limit {
        Some(_) => meter::used(table, tenant, &month).await?,
        None => Micros::default(),
    };
    let mut waiting: VecDeque<Draft> = drafts.into();
    let mut ended = Vec::new();
    let mut one_by_one = false;
    while !waiting.is_empty() {
        if one_by_one {
            used = meter::used(table, tenant, &month).await?;
        }
        let total: i64 = waiting.iter().map(|draft| draft.cost.0).sum();
        let roomy = !one_by_one && limit.is_none_or(|limit| used.0 + total <= limit.0);
        let wave = if roomy { wave(&mut waiting) } else { waiting.pop_front().into_iter().collect() };
        let alone = wave.len() == 1;

        let mut claims = Vec::new();
        let mut bodies = Vec::new();
        // The lease counts from when this wave starts, however long the ones before it took.
        let elapsed = SignedDuration::try_from(started.elapsed()).unwrap_or_default();
        for draft in wave {
            if world.stopped.contains(&draft.number) {
                ended.push(Change::of(skipped(draft.message, None, Reason::OptedOut, now)));
            } else if let Some(reason) = draft.against {
                let channel = draft.message.channel;
                ended.push(Change::of(skipped(draft.message, channel, reason, now)));
            } else if is_capped(settings, &world.counts, &draft.message) {
                let channel = draft.message.channel;
                ended.push(Change::of(skipped(draft.message, channel, Reason::FrequencyCap, now)));
            } else if limit.is_some_and(|limit| used.0 + draft.cost.0 > limit.0) {
                let channel = draft.message.channel;
                ended.push(Change::of(skipped(draft.message, channel, Reason::Budget, now)));
            } else {
                claims.push(claim(table, tenant, settings, &draft, &month, now, now + elapsed + LEASE)?);
                bodies.push(draft);
            }
        }
        if ended.len() >= ENDS {
            write_ends(table, tenant, std::mem::take(&mut ended), touched).await?;
        }
        if claims.is_empty() {
            continue;
        }
        let written = messages::write(table, tenant, &claims, limit).await?;
        let mut at_twilio = Vec::new();
        for ((claim, draft), written) in claims.into_iter().zip(bodies).zip(written).rev() {
            match written {
                Written::Won => at_twilio.push(claim.into_message()),
                Written::Lost => {}
                Written::OverBudget if alone => {
                    let channel = draft.message.channel;
                    ended.push(Change::of(skipped(draft.message, channel, Reason::Budget, now)));
                }
                // Somebody else spent meanwhile: again, one by one.
                Written::OverBudget => {
                    waiting.push_front(draft);
                    one_by_one = true;
                }
            }
        }
        at_twilio.reverse();
        let results = hand_over(cx, tenant, settings, &credentials, at_twilio).await;
        let spent = record(cx, tenant, settings, results, &mut world, touched, now).await?;
        used.0 += spent.0;
    }
    write_ends(table, tenant, ended, touched).await
}

/// The calendar month that money counts for, in the tenant's zone: `2026-11`.
fn month(settings: &Settings, now: Timestamp) -> String {
    settings.time_zone.wall(now).strftime("%Y-%m").to_string()
}

/// Takes the next messages that have no contact and no number in common; the order of those that do is kept.
fn wave(waiting: &mut VecDeque<Draft>) -> Vec<Draft> {
    let mut taken = Vec::new();
    let mut contacts = HashSet::new();
    let mut numbers = HashSet::new();
    let mut left = VecDeque::new();
    for draft in waiting.drain(..) {
        let new_contact = contacts.insert(draft.message.contact.clone());
        let new_number = numbers.insert(draft.number.clone());
        if new_contact && new_number && taken.len() < WAVE { taken.push(draft) } else { left.push_back(draft) }
    }
    *waiting = left;
    taken
}

fn is_capped(settings: &Settings, counts: &HashMap<String, u32>, message: &Message) -> bool {
    let count = counts.get(&message.contact).copied().unwrap_or_default();
    settings.counts_towards_cap(message.kind) && settings.frequency_cap.is_some_and(|cap| count >= cap)
}

/// Scheduled → sending: whoever writes this sends the message, nobody else.
fn claim(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    draft: &Draft,
    month: &str,
    now: Timestamp,
    lease: Timestamp,
) -> Result<Change, ContextError> {
    let mut message = draft.message.clone();
    message.status = Status::Sending;
    message.attempt += 1;
    message.looks = 0;
    message.lease_until = Some(lease);
    message.decided_at = Some(now);
    message.to = Some(draft.number.clone());
    message.body = Some(draft.body.clone());
    message.segments = Some(draft.segments);
    message.cost = Some(draft.cost);
    message.month = Some(month.to_string());
    message.timeline.push(Step::with(now, "claimed", format_args!("attempt {}", message.attempt)));
    let counted = settings
        .counts_towards_cap(message.kind)
        .then(|| accepted::count(table, tenant, &message.contact, &message.id, now))
        .transpose()?;
    let change = Change::of(message).charging(month, draft.cost);
    Ok(change.along_with(counted))
}

async fn write_ends(
    table: &Table,
    tenant: &TenantId,
    ended: Vec<Change>,
    touched: &mut Vec<Message>,
) -> Result<(), ContextError> {
    let written = messages::write(table, tenant, &ended, None).await?;
    let won = ended.into_iter().zip(written).filter(|(_, written)| *written == Written::Won);
    touched.extend(won.map(|(change, _)| change.into_message()));
    Ok(())
}

/// Calls Twilio for each claimed message, some at a time; the answers come in the messages' order.
async fn hand_over(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    credentials: &Arc<Credentials>,
    claimed: Vec<Message>,
) -> Vec<(Message, Outcome)> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for (at, message) in claimed.into_iter().enumerate() {
        let (gate, http, credentials) = (gate.clone(), cx.http.clone(), credentials.clone());
        let base = cx.config.twilio_api_base.clone();
        let callback = status_callback(&cx.config.public_url, tenant, &message);
        let from = message.channel.and_then(|channel| settings.sender(channel)).unwrap_or_default().to_string();
        calls.spawn(async move {
            let _turn = gate.acquire_owned().await;
            let outgoing = Outgoing {
                from: &from,
                to: client::address(&message),
                body: message.body.as_deref().unwrap_or_default(),
                status_callback: callback,
            };
            let outcome = client::send(&http, &base, &credentials, &outgoing).await;
            (at, message, outcome)
        });
    }
    let mut answers = calls.join_all().await;
    answers.sort_by_key(|(at, _, _)| *at);
    answers.into_iter().map(|(_, message, outcome)| (message, outcome)).collect()
}

/// The URL carries our own id, so a callback that beats our write of the SID still lands (lessons B3).
/// The fragment asks Twilio to repeat what we could not take (twilio-facts §4).
fn status_callback(public_url: &str, tenant: &TenantId, message: &Message) -> String {
    format!("{public_url}/twilio/{tenant}/status?message={}#rc=3&rp=5xx,ct,rt", message.id)
}

/// Writes what Twilio answered, and tells what was spent.
async fn record(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    results: Vec<(Message, Outcome)>,
    world: &mut World,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<Micros, ContextError> {
    let table = cx.table().await?;
    let mut spent = 0;
    let mut changes = Vec::with_capacity(results.len());
    let mut taken = Vec::with_capacity(results.len());
    for (message, outcome) in results {
        let reserved = message.cost.unwrap_or_default();
        let counts = settings.counts_towards_cap(message.kind);
        taken.push(matches!(outcome, Outcome::Accepted { .. }).then(|| outcome.clone()));
        let change = match outcome {
            Outcome::Accepted { sid, status, segments } => {
                let cost = settled(settings, &message, segments);
                spent += cost.0;
                if counts {
                    *world.counts.entry(message.contact.clone()).or_default() += 1;
                }
                accept(message, sid, status, segments, cost, now)
            }
            Outcome::Refused { code } => {
                let number = message.to.clone();
                let mut change = release(table, tenant, failed(message, code, now), reserved, counts, now)?;
                if let (UNSUBSCRIBED, Some(number)) = (code, number) {
                    change =
                        change.along_with([consents::write(table, tenant, &number, Keyword::Stop, Source::Refusal(code), now)?]);
                    world.stopped.insert(number);
                }
                change
            }
            Outcome::NotProcessed { wait, code } => {
                if code.is_some() {
                    // Maybe the credentials were changed meanwhile.
                    cx.forget(tenant);
                }
                release(table, tenant, again(message, wait, code, now), reserved, counts, now)?
            }
            Outcome::Unknown { why } => {
                spent += reserved.0;
                if counts {
                    *world.counts.entry(message.contact.clone()).or_default() += 1;
                }
                let mut message = message;
                message.timeline.push(Step::with(now, "unknown", why));
                Change::of(message)
            }
        };
        changes.push(change);
    }
    let written = messages::write(table, tenant, &changes, None).await?;
    for ((change, written), taken) in changes.into_iter().zip(written).zip(taken) {
        let message = change.into_message();
        match (written, taken) {
            (Written::Won, _) => touched.push(message),
            (_, Some(outcome)) => accept_again(table, tenant, settings, &message.id, outcome, touched, now).await?,
            (_, None) => tracing::warn!(%tenant, message = %message.id, "changed by somebody else while it was at Twilio"),
        }
    }
    Ok(Micros(spent))
}

/// A callback was faster than our write: what it knew stays, what the answer knew is added.
async fn accept_again(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    id: &MessageId,
    outcome: Outcome,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<(), ContextError> {
    let Outcome::Accepted { sid, status, segments } = outcome else { return Ok(()) };
    for _ in 0..ATTEMPTS {
        let Some(fresh) = messages::get_many(table, tenant, std::slice::from_ref(id)).await?.pop() else { return Ok(()) };
        let cost = settled(settings, &fresh, segments);
        let change = accept(fresh, sid.clone(), status, segments, cost, now);
        if messages::write(table, tenant, std::slice::from_ref(&change), None).await? == [Written::Won] {
            touched.push(change.into_message());
            return Ok(());
        }
    }
    // Every callback keeps the SID; only a difference in segments goes unsettled.
    tracing::warn!(%tenant, message = %id, "callbacks kept changing the message");
    Ok(())
}

/// What it really costs: by Twilio's count of segments, once there is one.
fn settled(settings: &Settings, message: &Message, segments: Option<u32>) -> Micros {
    match (message.channel, segments) {
        (Some(Channel::Sms), Some(segments)) => Micros(settings.price(Channel::Sms).0 * i64::from(segments)),
        _ => message.cost.unwrap_or_default(),
    }
}

fn accept(mut message: Message, sid: String, status: Status, segments: Option<u32>, cost: Micros, now: Timestamp) -> Change {
    let reserved = message.cost.unwrap_or_default();
    message.timeline.push(Step::with(now, "accepted", format_args!("{status} {sid}")));
    message.status = status.max(message.status);
    message.lease_until = None;
    message.sid.get_or_insert(sid);
    message.segments = segments.filter(|_| message.channel == Some(Channel::Sms)).or(message.segments);
    message.cost = Some(cost);
    let month = message.month.clone().unwrap_or_default();
    Change::of(message).charging(&month, Micros(cost.0 - reserved.0))
}

fn failed(mut message: Message, code: u32, now: Timestamp) -> Message {
    message.timeline.push(Step::with(now, "refused", code));
    message.status = Status::Failed;
    message.lease_until = None;
    message.error_code = Some(code);
    message
}

/// Back to waiting, or failed after too many attempts.
fn again(mut message: Message, wait: Duration, code: Option<u32>, now: Timestamp) -> Message {
    message.error_code = code;
    message.lease_until = None;
    let detail = code.map_or("could not connect".to_string(), |code| code.to_string());
    message.timeline.push(Step::with(now, "not_processed", detail));
    if message.attempt >= ATTEMPTS {
        message.status = Status::Failed;
        message.reason = Some(Reason::NotProcessed);
    } else {
        message.status = Status::Scheduled;
        message.due_at = now + backoff(&message, wait);
    }
    message
}

/// Exponential with full jitter, never less than Twilio asked for. The jitter comes from the
/// message's id, so that a run can be repeated.
fn backoff(message: &Message, wait: Duration) -> SignedDuration {
    let ceiling = Duration::from_secs(1 << message.attempt.min(10)).min(LONGEST_WAIT);
    let spread =
        message.id.as_str().bytes().fold(u64::from(message.attempt), |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    let jitter = Duration::from_millis(spread % (ceiling.as_millis() as u64 + 1));
    SignedDuration::try_from(wait + jitter).unwrap_or(SignedDuration::from_mins(10))
}

/// Gives the reserved money back, and the place in the frequency cap.
fn release(
    table: &Table,
    tenant: &TenantId,
    mut message: Message,
    reserved: Micros,
    counts: bool,
    now: Timestamp,
) -> Result<Change, ContextError> {
    let month = message.month.clone().unwrap_or_default();
    message.cost = None;
    let uncount = counts.then(|| accepted::uncount(table, tenant, &message.contact, &message.id, now)).transpose()?;
    Ok(Change::of(message).charging(&month, Micros(-reserved.0)).along_with(uncount))
}
