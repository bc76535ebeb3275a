//! Asks Twilio about messages of which it has told no end: callbacks get lost, and some never come.
//!
//! Once a night is what Twilio advises (docs/messaging/guides/outbound-message-logging). What it answers is a
//! report like any other.

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use tokio::time::Instant;

use super::every_tenant::{RunError, ended};
use super::record_status::heed;
use crate::context::{Account, Context, ContextError};
use crate::domain::message::{Message, Status};
use crate::domain::tenant::TenantId;
use crate::store::messages::{self, Merged, Whose};
use crate::store::{keys, tenants};
use crate::telemetry::Chain;
use crate::twilio::client::{self, ListError, Resource};

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
    let table = cx.table().await?;
    let mut further = 0;
    let mut day = keys::day(now - OLDEST);
    let mut after = None;
    while day <= keys::day(now) && started.elapsed() < LONGEST_RUN {
        let (part, next) = messages::log_part(table, tenant, day, after.as_deref()).await?;
        for message in part.into_iter().filter(|message| is_silent(message, now)) {
            let Some(sid) = message.sid.as_deref().filter(|_| started.elapsed() < LONGEST_RUN) else { continue };
            let resource = Resource::of(message.channel);
            let found = match client::fetch(&cx.http, &cx.config.twilio_api_base, &credentials, resource, sid).await {
                Ok(found) => found,
                // It has too much to do: another night.
                Err(ListError::Refused(StatusCode::TOO_MANY_REQUESTS)) => return Ok(further),
                Err(error) => {
                    tracing::warn!(%tenant, id = %message.id, error = %Chain(&error), "Twilio could not be asked about a message");
                    continue;
                }
            };
            let whose = if message.inbound.is_some() { Whose::Theirs } else { Whose::Ours };
            let merged = messages::merge(table, tenant, &message.id, &found.report(), whose, "asked", now).await?;
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

/// Whether Twilio has `message`, and has told no end of it for long.
fn is_silent(message: &Message, now: Timestamp) -> bool {
    let went = message.decided_at.unwrap_or(message.due_at);
    message.status > Status::Sending && !message.status.is_final() && !message.simulated && went + PATIENCE <= now
}
