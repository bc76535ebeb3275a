//! Asks Twilio about messages of which it has told no end: callbacks get lost, and some never come.
//!
//! Once a night is what Twilio advises (docs/messaging/guides/outbound-message-logging). What it answers is a
//! report like any other.
//!
//! An answer to a text (`record_inbound.rs`) is Twilio's to send, and has no id of Twilio's before the first callback. It is
//! looked for as `resolve_unknown.rs` looks, once: it is not sent again. What Twilio's list does not have, Twilio never took.

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use tokio::time::Instant;

use super::every_tenant::{RunError, ended};
use super::record_status::heed;
use super::resolve_unknown::{LATEST, SKEW, bound_sids, candidates};
use crate::context::{Account, Context, ContextError};
use crate::domain::erasure::as_kept;
use crate::domain::message::{Message, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::messages::{self, Change, Merged, Whose, Written};
use crate::store::{StoreError, Table, found, keys, tenants};
use crate::telemetry::{self, Chain};
use crate::twilio::client::{self, ListError, Listed, Resource};

/// Twilio has so long to tell by itself.
const PATIENCE: SignedDuration = SignedDuration::from_hours(12);
/// Older ones are asked about no more: `sent` may be the last word of a network without receipts.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 4);
/// A night's run ends after so long, well within Lambda's limit; the next night goes on.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(240);

/// Asks about every tenant's messages. How many went further by it.
///
/// # Errors
/// [`RunError::Tenants`] once the others are asked about: nobody repeats it before the next night.
pub async fn ask_about_silent(cx: &Context, now: Timestamp) -> Result<usize, RunError> {
    let started = Instant::now();
    let (mut further, mut failed) = (0, 0);
    let mut all = tenants::all(cx.table().await?).await?;
    // Another first each night: where there is too much for one, nobody waits for ever.
    let first = now.as_second().div_euclid(24 * 60 * 60) as usize % all.len().max(1);
    all.rotate_left(first);
    for tenant in all {
        match ask_of_tenant(cx, &tenant, started, now).await {
            Ok(count) => further += count,
            // One tenant's trouble does not keep the others waiting; the next night tries it again.
            Err(error) => {
                tracing::error!(%tenant, error = %Chain(&error), "Twilio could not be asked about silent messages");
                failed += 1;
            }
        }
    }
    ended(further, failed)
}

async fn ask_of_tenant(cx: &Context, tenant: &TenantId, started: Instant, now: Timestamp) -> Result<usize, ContextError> {
    let Account::Twilio(credentials) = cx.account(tenant, now).await? else { return Ok(0) };
    let settings = cx.settings(tenant, now).await?;
    let (table, http, base) = (cx.table().await?, &cx.http, &cx.config.twilio_api_base);
    let mut further = 0;
    let mut day = keys::day(now - OLDEST);
    let mut after = None;
    while day <= keys::day(now) && started.elapsed() < LONGEST_RUN {
        let (part, next) = messages::log_part(table, tenant, day, after.as_deref()).await?;
        for message in part.into_iter().filter(|message| is_silent(message, now)) {
            if started.elapsed() >= LONGEST_RUN {
                return Ok(further);
            }
            let resource = Resource::of(message.channel);
            let asked = match &message.sid {
                Some(sid) => client::fetch(http, base, &credentials, resource, sid).await.map(|told| vec![told]),
                None if is_answer(&message, &credentials.account_sid) => {
                    let went = went(&message);
                    // Somebody is sending the same text: another night.
                    let Some(bound) = bound_sids(table, tenant, &message, went - LATEST, now).await? else { continue };
                    let is_free = |listed: &&Listed| !bound.contains(&listed.sid);
                    let to = client::address(&message);
                    let listed = client::list(http, base, &credentials, resource, &to, went - SKEW).await;
                    // The earliest first: a later one may be the next answer with the same text.
                    listed.map(|listed| {
                        candidates(&settings, &message, &listed, went).into_iter().rev().filter(is_free).cloned().collect()
                    })
                }
                None => continue,
            };
            let listed = match asked {
                Ok(listed) => listed,
                // It has too much to do: another night.
                Err(ListError::Refused(StatusCode::TOO_MANY_REQUESTS)) => return Ok(further),
                Err(error) => {
                    tracing::warn!(%tenant, id = %message.id, error = %Chain(&error), "Twilio could not be asked about a message");
                    continue;
                }
            };
            let Some(found) = own(table, tenant, &message, listed, now).await? else {
                further += usize::from(give_up(table, tenant, &settings, message, now).await?);
                continue;
            };
            let whose = if message.inbound.is_some() { Whose::Theirs } else { Whose::Ours };
            let step = if message.sid.is_some() { "asked" } else { "found" };
            let merged = messages::merge(table, tenant, &message.id, &found.report(), whose, step, now).await?;
            heed(cx, tenant, &message.id, &merged, now).await?;
            further += usize::from(matches!(merged, Merged::Forward(..)));
        }
        if next.is_none() {
            day = day.tomorrow().unwrap_or(jiff::civil::Date::MAX);
        }
        after = next;
    }
    Ok(further)
}

/// Which of `listed` is `message`: what was asked for by its id, or else the first that is no other message's.
async fn own(
    table: &Table,
    tenant: &TenantId,
    message: &Message,
    listed: Vec<Listed>,
    now: Timestamp,
) -> Result<Option<Listed>, StoreError> {
    for one in listed {
        if message.sid.is_some() || found::take(table, tenant, &one.sid, &message.id, now).await? {
            return Ok(Some(one));
        }
    }
    Ok(None)
}

/// Ends an answer that Twilio never took, and gives its money back, unless something was heard of it meanwhile. Whether it
/// ended.
async fn give_up(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    mut message: Message,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (before, paid) = (message.status, message.cost.take().unwrap_or_default());
    let month = message.month.clone().unwrap_or_default();
    message.status = Status::Failed;
    message.reason = Some(Reason::NotProcessed);
    message.timeline.push(Step::new(now, "not_found"));
    let change = Change::of(as_kept(settings, message)).charging(&month, Micros(-paid.0));
    if messages::write(table, tenant, std::slice::from_ref(&change), None).await? != [Written::Won] {
        return Ok(false);
    }
    telemetry::message(tenant, change.message());
    telemetry::moved(before, change.message());
    Ok(true)
}

/// Whether Twilio has `message`, or was to send it for an answer of ours, and has told no end of it for long.
fn is_silent(message: &Message, now: Timestamp) -> bool {
    let is_open = message.status > Status::Sending && !message.status.is_final() && !message.simulated;
    is_open && went(message) + PATIENCE <= now
}

/// Whether `message`, which has no id of Twilio's, is an answer of this account to a text, and can be told from others. What was
/// forgotten has neither number nor text.
fn is_answer(message: &Message, account: &str) -> bool {
    let is_its = message.account.as_deref().is_none_or(|sid| sid == account);
    is_its && message.inbound.is_none() && message.to.is_some() && message.body.is_some()
}

fn went(message: &Message) -> Timestamp {
    message.decided_at.unwrap_or(message.due_at)
}
