//! Finds out what became of messages whose outcome is unknown: the answer was lost, or the process died.
//!
//! Such a message is never resent blindly. Twilio's own list shows whether it has it; only after two
//! looks, minutes apart, that find nothing is it sent again (DESIGN §3).

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::record_status::heed;
use crate::context::{Account, Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::erasure::sids;
use crate::domain::message::{Message, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::smart_encoding::smart_encoded;
use crate::domain::tenant::{Settings, TenantId};
use crate::store::conversations::{self, ConversationId};
use crate::store::messages::{self, Change, Merged, Whose, Written};
use crate::store::{StoreError, Table, accepted, found};
use crate::telemetry::{Chain, moved};
use crate::twilio::client::{self, Listed, Resource};

/// Looks that must find nothing before a message is sent again, and the time between them.
const LOOKS: u32 = 2;
const BETWEEN: SignedDuration = SignedDuration::from_mins(2);
/// A message is with Twilio so long after its claim at most, if ever; and much sooner as a rule.
const LATEST: SignedDuration = SignedDuration::from_hours(1);
/// So many messages of a number are looked at together.
const PAGE: u32 = 50;
/// Stands before every text of a trial account.
const TRIAL_NOTICE: &str = "Sent from your Twilio trial account - ";
/// Twilio's clock and ours may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(2);

/// Looks once for each of `stuck`: claimed messages whose lease is over. Of how many it is known now what became.
pub async fn resolve_unknown(
    cx: &Context,
    tenant: &TenantId,
    stuck: Vec<Message>,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<u64, ContextError> {
    let mut known = 0;
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let account = cx.account(tenant, now).await?;
    let claim_of = |message: &Message| message.decided_at.unwrap_or(message.due_at);
    // By other messages of this run.
    let mut taken: HashSet<String> = HashSet::new();
    for message in stuck {
        // One that was claimed when that was not noted is looked for in the account that there is.
        let is_same = message.account.is_none() || message.account.as_deref() == account.sid();
        let credentials = match &account {
            // Nothing left this system: there is nothing to find, and nothing was sent twice.
            Account::Twilio(_) | Account::Simulated if message.simulated => {
                let change = again(table, tenant, &settings, message, now)?;
                if write(table, tenant, change, touched).await? {
                    known += 1;
                }
                continue;
            }
            Account::Twilio(credentials) if is_same => credentials,
            Account::Twilio(_) | Account::Simulated => {
                // It went to an account that we cannot ask any more: never sent again blindly.
                tracing::warn!(%tenant, id = %message.id, "an unknown outcome of an account that is gone");
                continue;
            }
        };
        let claimed_at = claim_of(&message);
        let (resource, to) = (Resource::of(message.channel), client::address(&message));
        let base = &cx.config.twilio_api_base;
        let listed = client::list(&cx.http, base, credentials, resource, &to, claimed_at - SKEW).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                // No answer is no evidence: the message stays due, and the next tick looks again.
                tracing::warn!(%tenant, id = %message.id, error = %Chain(&error), "an unknown outcome could not be looked up");
                continue;
            }
        };
        let candidates = candidates(&settings, &message, &listed, claimed_at);
        // Asked only if there is something to compare.
        let bound = match candidates.as_slice() {
            [] => Some(HashSet::new()),
            _ => bound_sids(table, tenant, &message, claimed_at - LATEST, now).await?,
        };
        // It stays due: soon it is known what the other came to.
        let Some(bound) = bound else { continue };
        let is_free = |listed: &&Listed| !bound.contains(&listed.sid) && !taken.contains(&listed.sid);
        let mut free = None;
        for candidate in candidates.into_iter().filter(is_free) {
            // Another run may have found the same for another message with the same text.
            if found::take(table, tenant, &candidate.sid, &message.id, now).await? {
                free = Some(candidate);
                break;
            }
        }
        match free {
            Some(found) => {
                taken.insert(found.sid.clone());
                let merged = messages::merge(table, tenant, &message.id, &found.report(), Whose::Ours, "found", now).await?;
                heed(cx, tenant, &message.id, &merged, now).await?;
                known += 1;
                if let Merged::Forward(merged, _) = merged {
                    touched.push(*merged);
                }
            }
            None => {
                let change = not_found(table, tenant, &settings, message, now)?;
                if write(table, tenant, change, touched).await? {
                    known += 1;
                }
            }
        }
    }
    Ok(known)
}

/// Writes what a look came to, unless somebody was faster. Whether the message is claimed no more.
async fn write(table: &Table, tenant: &TenantId, change: Change, touched: &mut Vec<Message>) -> Result<bool, StoreError> {
    let written = messages::write(table, tenant, std::slice::from_ref(&change), None).await?;
    let message = change.into_message();
    let is_free = message.status != Status::Sending;
    if written == [Written::Won] {
        if is_free {
            moved(Status::Sending, &message);
        }
        touched.push(message);
    }
    Ok(is_free)
}

/// What of the list may be `message`: created since the claim and not long after it, with the same text.
///
/// A call has no text, and a content template's is Twilio's own: there the sender must be ours.
fn candidates<'a>(settings: &Settings, message: &Message, listed: &'a [Listed], claimed_at: Timestamp) -> Vec<&'a Listed> {
    let of_then = claimed_at - SKEW..=claimed_at + LATEST;
    let since = |listed: &&Listed| listed.created().is_some_and(|created| of_then.contains(&created));
    let sender = message.channel.and_then(|channel| settings.sender(channel)).unwrap_or_default();
    let is_content = message.direct.as_ref().is_some_and(|direct| direct.content.is_some());
    let has_own_text = message.channel != Some(Channel::Voice) && !(is_content && message.channel == Some(Channel::Whatsapp));
    let ours = smart_encoded(message.body.as_deref().unwrap_or_default());
    let same = |listed: &&Listed| {
        let theirs = smart_encoded(listed.body.as_deref().unwrap_or_default());
        match (has_own_text, ours.is_empty()) {
            (true, true) => theirs.is_empty(),
            // Twilio may have replaced look-alikes.
            (true, false) => theirs.strip_prefix(TRIAL_NOTICE).unwrap_or(&theirs) == ours,
            // A messaging service picks the sender later.
            (false, _) => listed.from.as_deref().is_none_or(|from| from == sender || sender.starts_with("MG")),
        }
    };
    listed.iter().filter(since).filter(same).collect()
}

/// The SIDs that other messages of ours have, of all that went to the number of `message`, or came from it, at `since` or
/// later. Twilio was asked about that number, so no other message can have what it listed; and however much goes out on
/// a day, one number's part of it is small. `None` while somebody is sending one with the same text, and may have its SID
/// in hand already.
async fn bound_sids(
    table: &Table,
    tenant: &TenantId,
    message: &Message,
    since: Timestamp,
    now: Timestamp,
) -> Result<Option<HashSet<String>>, StoreError> {
    let mut bound = HashSet::new();
    let Some(peer) = message.peer() else { return Ok(Some(bound)) };
    let is_under_way = |other: &Message| {
        let is_held = other.lease_until.is_some_and(|until| until > now);
        other.id != message.id && other.status == Status::Sending && is_held && other.looks == 0 && other.body == message.body
    };
    let with = ConversationId::of(table, &peer);
    let mut after = None;
    loop {
        let (page, next) = conversations::messages(table, tenant, &with, after.as_deref(), PAGE).await?;
        let is_past = page.last().is_some_and(|oldest| oldest.decided_at.unwrap_or(oldest.due_at) < since);
        if page.iter().any(is_under_way) {
            return Ok(None);
        }
        bound.extend(page.iter().filter(|other| other.id != message.id).flat_map(sids));
        if is_past || next.is_none() {
            return Ok(Some(bound));
        }
        after = next;
    }
}

/// One more look that found nothing: look again later, or send again.
fn not_found(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    mut message: Message,
    now: Timestamp,
) -> Result<Change, ContextError> {
    message.looks += 1;
    message.timeline.push(Step::with(now, "not_found", format_args!("look {} of {LOOKS}", message.looks)));
    if message.looks < LOOKS {
        message.lease_until = Some(now + BETWEEN);
        return Ok(Change::of(message));
    }
    again(table, tenant, settings, message, now)
}

/// Back to waiting, or failed after too many attempts; with money and place in the cap given back.
fn again(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    mut message: Message,
    now: Timestamp,
) -> Result<Change, ContextError> {
    let reserved = message.cost.take().unwrap_or_default();
    let month = message.month.clone().unwrap_or_default();
    let claimed_at = message.decided_at.unwrap_or(now);
    message.lease_until = None;
    message.account = None;
    if message.attempt >= settings.max_attempts {
        message.status = Status::Failed;
        message.reason = Some(Reason::NotProcessed);
    } else {
        message.status = Status::Scheduled;
    }
    let person = message.to.as_ref().map(|to| accepted::person(table, message.contact.as_deref(), to));
    let uncount = person
        .filter(|_| message.counts_towards_cap(settings))
        .map(|person| accepted::uncount(table, tenant, &person, &message.id, claimed_at))
        .transpose()?;
    Ok(Change::of(message).charging(&month, Micros(-reserved.0)).along_with(uncount))
}
