//! Finds out what became of messages whose outcome is unknown: the answer was lost, or the process died.
//!
//! Such a message is never resent blindly. Twilio's own list shows whether it has it; only after two
//! looks, minutes apart, that find nothing is it sent again (DESIGN §3).

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::dispatch::run::{LONGEST_RUN, Run};
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
pub(super) const LATEST: SignedDuration = SignedDuration::from_hours(1);
/// So many messages of a number are looked at together.
const PAGE: u32 = 50;
/// Stands before every text of a trial account.
const TRIAL_NOTICE: &str = "Sent from your Twilio trial account - ";
/// Twilio's clock and ours may differ by so much. An index is behind the table by less.
pub(super) const SKEW: SignedDuration = SignedDuration::from_mins(2);

/// Looks once for each of `stuck`: claimed messages whose lease is over. Of how many it is known now what became. What it does
/// not come to stays due, for the next run.
pub async fn resolve_unknown(
    cx: &Context,
    tenant: &TenantId,
    stuck: Vec<Message>,
    touched: &mut Vec<Message>,
    run: Run,
) -> Result<u64, ContextError> {
    let mut known = 0;
    let table = cx.table().await?;
    let settings = cx.settings(tenant, run.now).await?;
    let account = cx.account(tenant, run.now).await?;
    let claim_of = |message: &Message| message.decided_at.unwrap_or(message.due_at);
    // By other messages of this run.
    let mut taken: HashSet<String> = HashSet::new();
    for message in stuck {
        if run.elapsed() > LONGEST_RUN {
            break;
        }
        // One that was claimed when that was not noted is looked for in the account that there is.
        let is_same = message.account.is_none() || message.account.as_deref() == account.sid();
        let credentials = match &account {
            // Nothing left this system: there is nothing to find, and nothing was sent twice.
            Account::Twilio(_) | Account::Simulated if message.simulated => {
                let change = again(table, tenant, &settings, message, run.instant())?;
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
        // Many looks may have gone before, and Twilio took its time: what is two minutes from now counts from now.
        let now = run.instant();
        let candidates = candidates(&settings, &message, &listed, claimed_at);
        // Whose it is may not stand in the index yet.
        if candidates.iter().any(|listed| listed.created().is_some_and(|created| created + SKEW > now)) {
            continue;
        }
        // Asked only if there is something to compare.
        let bound = match candidates.as_slice() {
            [] => Some(HashSet::new()),
            _ => bound_sids(table, tenant, &message, claimed_at - LATEST, now).await?,
        };
        // It stays due: soon it is known what the other came to.
        let Some(bound) = bound else { continue };
        // Meanwhile Twilio may have told what became of it: then what is free is another's.
        let fresh = messages::get_many(table, tenant, std::slice::from_ref(&message.id)).await?.pop();
        let is_stuck = |fresh: &Message| fresh.status == Status::Sending && fresh.lease_until == message.lease_until;
        let Some(message) = fresh.filter(is_stuck) else {
            known += 1;
            continue;
        };
        let is_free = |listed: &&Listed| !bound.contains(&listed.sid) && !taken.contains(&listed.sid);
        let mut free = None;
        // The earliest first: a later one may be the next message's with the same text, for which the earlier is none.
        for candidate in candidates.into_iter().rev().filter(is_free) {
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
pub(super) fn candidates<'a>(
    settings: &Settings,
    message: &Message,
    listed: &'a [Listed],
    claimed_at: Timestamp,
) -> Vec<&'a Listed> {
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
pub(super) async fn bound_sids(
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::message::{Facts, MessageId};
    use crate::domain::reminder::Kind;

    #[test]
    fn what_twilio_made_long_before_or_after_the_claim_is_another() {
        let claimed_at: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();
        let settings = json!({ "name": "S", "timeZone": "UTC", "defaultRegion": "US", "budget": { "currency": "USD" } });
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let id = MessageId::derive(&TenantId::parse("t").unwrap(), &["m"]);
        let message = Message {
            channel: Some(Channel::Sms),
            body: Some("Hello".into()),
            ..Message::waiting(id, Kind::Message, Facts::Direct, claimed_at, Step::new(claimed_at, "asked"))
        };
        let is_candidate = |time: &str| {
            let created = format!("Tue, 10 Mar 2026 {time} +0000");
            let listed = json!({ "sid": "SM1", "status": "queued", "body": "Hello", "date_created": created });
            let listed: Vec<Listed> = vec![serde_json::from_value(listed).unwrap()];
            !candidates(&settings, &message, &listed, claimed_at).is_empty()
        };
        assert_eq!(["15:57:59", "15:58:00", "17:00:00", "17:00:01"].map(is_candidate), [false, true, true, false]);
    }
}
