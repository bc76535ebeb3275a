//! Sends one message in the request that asks for it: a transaction that stores, claims and reserves
//! it, the call to Twilio, and one write after that.
//!
//! What the waves read beforehand is a condition of the transaction here: an opt-out that comes in the
//! same instant stops the message, whatever was read before.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::claim::{self, LEASE};
use super::decide::{Draft, World, deferred, skipped};
use super::hand_over::hand_over;
use super::pacing::{BURST, length};
use super::record::record;
use super::run::Run;
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::contact::Contact;
use crate::domain::erasure::as_kept;
use crate::domain::message::{Message, Reason, Status};
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Decision, Question, Verdict};
use crate::domain::tenant::{Settings, TenantId};
use crate::store::messages::{self, Change, Guard, Written};
use crate::store::pace::{self, Guess, Turn};
use crate::store::{Table, Write, accepted, consents, meter, sessions};
use crate::telemetry;
use crate::usecases::watch_budget;

/// What became of a message that was asked for.
#[derive(Clone, Debug)]
pub enum Asked {
    New(Message),
    /// There is one of this id already; it may be another than the one that was asked for.
    Known(Message),
}

impl Asked {
    pub fn message(&self) -> &Message {
        match self {
            Self::New(message) | Self::Known(message) => message,
        }
    }
}

/// Stores `message`, which must not be stored yet, and sends it if it is due and may go.
pub async fn send_now(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    message: Message,
    contact: &Contact,
    now: Timestamp,
) -> Result<Asked, ContextError> {
    let table = cx.table().await?;
    if message.due_at > now {
        return store(table, tenant, settings, message).await;
    }
    let question = Question::about(settings, contact, &message, None);
    let (channel, number) = match policy::decide(&question, |_| false, now) {
        Decision::Skip(reason) => return store(table, tenant, settings, skipped(message, None, reason, now)).await,
        Decision::Channels(channels) => match channels.as_slice() {
            [(channel, number, Verdict::Send)] => (*channel, number.clone()),
            [(_, _, Verdict::Defer(until)), rest @ ..]
                if rest.iter().all(|(_, _, verdict)| *verdict == Verdict::Defer(*until)) =>
            {
                return store(table, tenant, settings, deferred(message, *until, now)).await;
            }
            _ => return store_and_dispatch(cx, tenant, settings, message, contact, now).await,
        },
    };
    let message = Message { channel: Some(channel), ..message };
    let body = message.body.clone();
    let draft = Draft::new(table, settings, message, number, body);
    claim_and_send(cx, tenant, settings, draft, now).await
}

async fn claim_and_send(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    draft: Draft,
    now: Timestamp,
) -> Result<Asked, ContextError> {
    let table = cx.table().await?;
    let account = cx.account(tenant, now).await?;
    let channel = draft.message.channel;
    let month = claim::month(settings, account.is_simulated(), now);
    let limit = settings.limit(draft.message.category());
    let sender = channel.and_then(|channel| settings.sender(channel)).unwrap_or_default().to_string();
    let mut guess = guess(cx, tenant, &sender, now);
    let (mut guesses, mut cap_tries) = (0, 0);
    let mut gate = watch_budget::gate(cx, tenant, settings, &month, limit);
    let run = Run::at(now);
    let gone = |draft: Draft, reason| store(table, tenant, settings, skipped(draft.message, channel, reason, now));
    let claimed = loop {
        let mut place = Vec::new();
        if let (true, Some(most)) = (draft.message.counts_towards_cap(settings), settings.frequency_cap) {
            let count = accepted::count_of(table, tenant, &draft.person, now).await?;
            if count.of_window >= most {
                return gone(draft, Reason::FrequencyCap).await;
            }
            place = claim::place(table, tenant, settings, &draft, count, now)?;
        }
        let message = claim::claimed(&draft, &month, &account, now, now + LEASE);
        let change = Change::new(message).charging(&month, draft.cost).guarded(place);
        let change = change.guarded(guards(table, tenant, settings, &draft, &sender, guess, now)?);
        match messages::write(table, tenant, std::slice::from_ref(&change), gate).await?.as_slice() {
            [Written::Won] => break change.into_message(),
            [Written::OverBudget] => {
                let used = meter::used(table, tenant, &month).await?;
                let after = Micros(used.0 + draft.cost.0);
                let fits = limit.is_none_or(|limit| after <= limit);
                // At the limit, or past a share of it: somebody is to be told.
                watch_budget::tell(cx, tenant, settings, &month, if fits { after } else { used }, !fits, now).await?;
                if !fits {
                    return gone(draft, Reason::Budget).await;
                }
                // Whoever was to be told was told, or cannot be: now only the limit holds.
                gate = limit;
            }
            [Written::Guarded(Guard::Cap)] if cap_tries < 20 => cap_tries += 1,
            [Written::Guarded(Guard::Cap)] => return gone(draft, Reason::FrequencyCap).await,
            [Written::Guarded(Guard::Consent)] => return gone(draft, Reason::OptedOut).await,
            [Written::Guarded(Guard::Window)] => return gone(draft, Reason::OutsideWindow).await,
            [Written::Guarded(Guard::Pace)] if guesses < 3 => {
                guesses += 1;
                guess = guess.other();
            }
            [Written::Guarded(Guard::Pace)] => {
                let length = length_of(settings, &draft);
                let turn = pace::take(table, tenant, &sender, length, pace::ANY, now).await?;
                let (Turn::From(at) | Turn::Full(at)) = turn;
                let at = (at - BURST).max(now + SignedDuration::from_secs(1));
                return store(table, tenant, settings, deferred(Message { channel, ..draft.message }, at, now)).await;
            }
            _ => return known(table, tenant, &draft.message).await,
        }
    };
    let length = length_of(settings, &draft);
    let before = cx.beliefs.busy_until.get(tenant, &sender).unwrap_or(now).max(now);
    cx.beliefs.busy_until.set(tenant, &sender, before + length);
    let mut world = World { counts: HashMap::new(), ..World::default() };
    let mut touched = Vec::new();
    let results = hand_over(cx, tenant, settings, &account, vec![claimed.clone()], run.started).await;
    record(cx, tenant, settings, results, &mut world, &mut touched, run).await?;
    touched.iter().for_each(|message| telemetry::message(tenant, message));
    Ok(Asked::New(touched.pop().unwrap_or(claimed)))
}

/// Whether the sender's clock is ahead of now, as far as this process knows.
fn guess(cx: &Context, tenant: &TenantId, sender: &str, now: Timestamp) -> Guess {
    let is_busy = cx.beliefs.busy_until.get(tenant, sender).is_some_and(|until| until > now);
    if is_busy { Guess::Busy } else { Guess::Idle }
}

fn length_of(settings: &Settings, draft: &Draft) -> SignedDuration {
    length(settings, draft.message.channel.unwrap_or(Channel::Sms), draft.units)
}

fn guards(
    table: &Table,
    tenant: &TenantId,
    settings: &Settings,
    draft: &Draft,
    sender: &str,
    guess: Guess,
    now: Timestamp,
) -> Result<Vec<(Guard, Write)>, ContextError> {
    let category = draft.message.category();
    let mut guards = vec![(Guard::Consent, consents::must_be_wanted(table, tenant, &draft.number, category)?)];
    if draft.message.channel.is_some_and(|channel| draft.message.needs_window(channel)) {
        guards.push((Guard::Window, sessions::must_be_open(table, tenant, &draft.number, now)?));
    }
    let length = length_of(settings, draft);
    // A code that somebody waits for goes before any list.
    let ahead = if draft.message.is_exempt_from_quiet_hours() { pace::ANY } else { BURST };
    guards.push((Guard::Pace, pace::turn(table, tenant, sender, length, ahead, guess, now)?));
    Ok(guards)
}

/// Stores a message that does not go now.
async fn store(table: &Table, tenant: &TenantId, settings: &Settings, message: Message) -> Result<Asked, ContextError> {
    let change = Change::new(as_kept(settings, message));
    if messages::write(table, tenant, std::slice::from_ref(&change), None).await? == [Written::Won] {
        let message = change.into_message();
        telemetry::message(tenant, &message);
        telemetry::moved(Status::Scheduled, &message);
        return Ok(Asked::New(message));
    }
    known(table, tenant, change.message()).await
}

/// Several channels are parted as when a message is due: by the row that is stored first.
async fn store_and_dispatch(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    message: Message,
    contact: &Contact,
    now: Timestamp,
) -> Result<Asked, ContextError> {
    let table = cx.table().await?;
    let numbers: Vec<&PhoneNumber> = Channel::BY_CHOICE.into_iter().filter_map(|channel| contact.number(channel)).collect();
    let standings = consents::standings(table, tenant, &numbers).await?;
    let question = Question::about(settings, contact, &message, None);
    let stops = |number: &PhoneNumber| standings.get(number).is_some_and(|standing| standing.stops(question.category));
    if let Decision::Skip(reason) = policy::decide(&question, stops, now) {
        return store(table, tenant, settings, skipped(message, None, reason, now)).await;
    }
    let stored = store(table, tenant, settings, message).await?;
    if let Asked::New(message) = &stored {
        let mut touched = Vec::new();
        Box::pin(super::dispatch_waiting(cx, tenant, settings, vec![message.clone()], &mut touched, Run::at(now))).await?;
        touched.iter().for_each(|message| telemetry::message(tenant, message));
        let dispatched = touched.into_iter().find(|touched| touched.id == message.id);
        return Ok(dispatched.map_or(stored, Asked::New));
    }
    Ok(stored)
}

/// The message that was stored under this id before.
async fn known(table: &Table, tenant: &TenantId, message: &Message) -> Result<Asked, ContextError> {
    let found = messages::get_many(table, tenant, std::slice::from_ref(&message.id)).await?.pop();
    // Gone again in the meantime: what was asked for is as good an answer as any.
    debug_assert!(found.is_some() || message.status != Status::Scheduled);
    Ok(Asked::Known(found.unwrap_or_else(|| message.clone())))
}
