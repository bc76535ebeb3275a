//! Messages: created once, changed by compare-and-set until Twilio has them, merged from then on.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::keys::{self, Key, Lane, Subject};
use super::meter;
use super::page;
use super::pots;
use super::table::{Item, Order, Query, StoreError, Table, key_attributes, key_of, number};
use super::transaction::{ACTIONS, Patience, Refused, Write, transact};
use crate::domain::answer::Answer;
use crate::domain::erasure::{is_forgotten, is_only_at_twilio};
use crate::domain::message::{Facts, Message, MessageId, Status, Step};
use crate::domain::money::Micros;
use crate::domain::reminder::Kind;
use crate::domain::report::Report;
use crate::domain::tenant::TenantId;
use crate::telemetry::Chain;

const SEALED: &[&str] = &["to", "body", "direct", "inbound"];
const REPORTS: &str = "reports";
const NEW: &str = "attribute_not_exists(pk)";
const UNCHANGED: &str = "revision = :seen";

fn item(table: &Table, tenant: &TenantId, message: &Message) -> Result<Item, StoreError> {
    let mut item = table.item(&keys::message(tenant, &message.id), message, SEALED)?;
    let (log, entry) = keys::log_entry(tenant, message);
    table.place(&mut item, keys::TIME, log, entry);
    if let Some((about, entry)) = about(table, tenant, message) {
        table.place(&mut item, keys::ABOUT, about, entry);
    }
    if is_forgotten(message) {
        // Whatever Twilio still says of it finds no place: it would bring Twilio's id back.
        item.remove(REPORTS);
    }
    if message.is_waiting() {
        let lane = if message.is_bulk() { Lane::Bulk } else { Lane::First };
        let (shard, entry) = keys::due_entry(tenant, message.id.as_str(), message.wakes_at(), lane);
        table.place(&mut item, keys::DUE, shard, entry);
    }
    Ok(item)
}

/// Where a message is found by what it is about: a reminder by what it waits for; then, what was said by the number;
/// anything else by whom it is for, so that all of a contact is found when the contact is to be forgotten.
fn about(table: &Table, tenant: &TenantId, message: &Message) -> Option<(String, String)> {
    if is_forgotten(message) {
        return None;
    }
    let id = message.id.to_string();
    if let Some(subject) = awaits(message) {
        return Some((keys::about(tenant, subject), id));
    }
    let peer = message.peer().map(|peer| table.keyring().address_hash(&peer));
    match (&message.contact, peer) {
        (contact, Some(hash)) if message.is_of_conversation() && (contact.is_none() || !is_only_at_twilio(message)) => {
            let at = keys::instant_and(message.decided_at.unwrap_or(message.due_at), message.id.as_str());
            Some((keys::phone(tenant, &hash), at))
        }
        (Some(contact), _) => Some((keys::about(tenant, Subject::Contact(contact)), id)),
        (None, Some(hash)) => Some((keys::about(tenant, Subject::Contact(&nobody(&hash))), id)),
        (None, None) => None,
    }
}

/// Stands for the contact of a number that nobody is known by.
pub(super) fn nobody(number_hash: &str) -> String {
    format!("+{number_hash}")
}

/// What a reminder waits for, while it can still be taken back.
fn awaits(message: &Message) -> Option<Subject<'_>> {
    match (message.kind, message.status) {
        _ if message.facts != Facts::Reminder => None,
        (Kind::LessonReminder, Status::Scheduled) => Some(Subject::Lesson(&message.subject)),
        (Kind::PaymentReminder, Status::Scheduled) => Some(Subject::Payment(&message.subject)),
        _ => None,
    }
}

pub(super) fn message(table: &Table, item: Item) -> Result<Message, StoreError> {
    Ok(table.value::<Message>(item, SEALED)?.heard())
}

/// Creates those of `messages` that do not exist yet, and tells how many those were.
pub async fn create(table: &Table, tenant: &TenantId, messages: Vec<Message>) -> Result<usize, StoreError> {
    let mut seen = HashSet::new();
    let messages: Vec<Message> = messages.into_iter().filter(|message| seen.insert(message.id.clone())).collect();
    let mut created = 0;
    for chunk in messages.chunks(ACTIONS) {
        let existing = table.existing(chunk.iter().map(|message| keys::message(tenant, &message.id)).collect()).await?;
        let is_new = |message: &&Message| !existing.contains(&keys::message(tenant, &message.id));
        let mut new: Vec<&Message> = chunk.iter().filter(is_new).collect();
        let mut patience = Patience::default();
        loop {
            let put = |message: &&Message| Write::put(table, item(table, tenant, message)?, NEW, HashMap::new());
            match transact(table, new.iter().map(put).collect::<Result<_, StoreError>>()?).await {
                Ok(()) => break,
                // Another planner was faster with some of them.
                Err(Refused::Conditions(failed)) => drop_at(&mut new, &failed),
                Err(Refused::Busy) => patience.wait().await?,
                Err(Refused::Store(error)) => return Err(error),
            }
        }
        created += new.len();
    }
    Ok(created)
}

fn drop_at<T>(list: &mut Vec<T>, positions: &[usize]) {
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        !positions.contains(&(at - 1))
    });
}

/// Takes `id` for something else than a message: no message of it can come to be any more.
pub fn taken(table: &Table, tenant: &TenantId, id: &MessageId, fingerprint: &str, now: Timestamp) -> Result<Write, StoreError> {
    let stand_in = Message::stand_in(id.clone(), fingerprint, now);
    let mut item = table.item(&keys::message(tenant, id), &stand_in, SEALED)?;
    // In no log: it is no message. Only so that it is found when its tenant goes.
    table.place(&mut item, keys::TIME, keys::taken(tenant), keys::instant_and(now, id.as_str()));
    Write::put(table, item, NEW, HashMap::new())
}

/// One message's next state, with what must be written along with it.
pub struct Change {
    message: Message,
    /// The revision that was read; `None` for a message that must not exist yet.
    seen: Option<u32>,
    money: Option<(String, Micros)>,
    also: Vec<Write>,
    guards: Vec<(Guard, Write)>,
    created: Vec<Message>,
}

/// Something beside the message itself that must hold in the instant of the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Its number has not opted out.
    Consent,
    /// Its number wrote over WhatsApp within a day.
    Window,
    /// Its recipient has had fewer messages than the cap allows.
    Cap,
    /// Its sender's clock stands where we thought, and not too far ahead.
    Pace,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Won,
    /// The message had changed meanwhile: read it again.
    Lost,
    /// The month's limit does not cover it; nothing was written.
    OverBudget,
    /// A guard did not hold; nothing was written.
    Guarded(Guard),
}

impl Change {
    /// The next state of a message that was read at its present revision.
    pub fn of(mut message: Message) -> Self {
        let seen = Some(message.revision);
        message.revision += 1;
        Self { message, seen, money: None, also: Vec::new(), guards: Vec::new(), created: Vec::new() }
    }

    /// A message that comes to be.
    pub fn new(message: Message) -> Self {
        Self { message, seen: None, money: None, also: Vec::new(), guards: Vec::new(), created: Vec::new() }
    }

    /// Messages that come to be with this change or not at all.
    pub fn creating(mut self, messages: Vec<Message>) -> Self {
        self.created = messages;
        self
    }

    /// Adds to the month's meter, or gives back.
    pub fn charging(mut self, month: &str, amount: Micros) -> Self {
        self.money = (amount != Micros::default()).then(|| (month.to_string(), amount));
        self
    }

    pub fn along_with(mut self, write: impl IntoIterator<Item = Write>) -> Self {
        self.also.extend(write);
        self
    }

    pub fn guarded(mut self, guards: impl IntoIterator<Item = (Guard, Write)>) -> Self {
        self.guards.extend(guards);
        self
    }

    pub fn message(&self) -> &Message {
        &self.message
    }

    pub fn into_message(self) -> Message {
        self.message
    }

    /// The message and those that came to be with it.
    pub fn into_messages(self) -> Vec<Message> {
        std::iter::once(self.message).chain(self.created).collect()
    }

    fn actions(&self) -> usize {
        1 + self.also.len() + self.guards.len() + self.created.len()
    }
}

/// Writes changes in as few transactions as possible; each wins or loses by itself. The answers
/// are in the order of `changes`. Changes of one call touch different items.
pub async fn write(
    table: &Table,
    tenant: &TenantId,
    changes: &[Change],
    limit: Option<Micros>,
) -> Result<Vec<Written>, StoreError> {
    let mut outcomes = vec![Written::Lost; changes.len()];
    write_chunks(table, tenant, changes, Purse::Meter { limit }, None, &mut outcomes).await?;
    Ok(outcomes)
}

/// Where the money of messages comes from, and goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse<'a> {
    /// The month's meter; what is taken, only within the limit.
    Meter { limit: Option<Micros> },
    /// What is reserved for this campaign. What is taken is there: the meter counts it already.
    Pot { campaign: &'a str },
}

/// The same, each transaction only if `guard` holds too. If one of them fails after others have won, its changes and those after
/// them count as lost: whoever claims must go on with what is claimed already.
pub async fn write_if_all(
    table: &Table,
    tenant: &TenantId,
    changes: &[Change],
    purse: Purse<'_>,
    guard: (Guard, Write),
) -> Result<Vec<Written>, StoreError> {
    let mut outcomes = vec![Written::Lost; changes.len()];
    match write_chunks(table, tenant, changes, purse, Some(guard), &mut outcomes).await {
        Err(error) if outcomes.contains(&Written::Won) => {
            tracing::error!(%tenant, error = %Chain(&error), "a part of a write failed");
        }
        written => written?,
    }
    Ok(outcomes)
}

async fn write_chunks(
    table: &Table,
    tenant: &TenantId,
    changes: &[Change],
    purse: Purse<'_>,
    guard: Option<(Guard, Write)>,
    outcomes: &mut [Written],
) -> Result<(), StoreError> {
    let mut start = 0;
    while start < changes.len() {
        let mut end = start;
        let mut actions = 2; // the meter's and the guard's
        let mut month = None;
        while end < changes.len() && actions + changes[end].actions() <= ACTIONS {
            let other = changes[end].money.as_ref().map(|(month, _)| month);
            if other.is_some() && month.is_some() && other != month {
                break;
            }
            month = month.or(other);
            actions += changes[end].actions();
            end += 1;
        }
        write_chunk(table, tenant, changes, (start..end).collect(), purse, guard.as_ref(), outcomes).await?;
        start = end;
    }
    Ok(())
}

async fn write_chunk(
    table: &Table,
    tenant: &TenantId,
    changes: &[Change],
    mut members: Vec<usize>,
    purse: Purse<'_>,
    guard: Option<&(Guard, Write)>,
    outcomes: &mut [Written],
) -> Result<(), StoreError> {
    let mut patience = Patience::default();
    while !members.is_empty() {
        let mut writes = Vec::with_capacity(ACTIONS);
        let mut owners = Vec::with_capacity(ACTIONS);
        for &member in &members {
            let change = &changes[member];
            let (condition, seen) = match change.seen {
                Some(seen) => (UNCHANGED, HashMap::from([(":seen".to_string(), number(seen))])),
                None => (NEW, HashMap::new()),
            };
            writes.push(Write::put(table, item(table, tenant, &change.message)?, condition, seen)?);
            for created in &change.created {
                writes.push(Write::put(table, item(table, tenant, created)?, NEW, HashMap::new())?);
            }
            writes.extend(change.also.iter().cloned());
            owners.resize(writes.len(), (member, None));
            for (guard, write) in &change.guards {
                writes.push(write.clone());
                owners.push((member, Some(*guard)));
            }
        }
        let money = members.iter().filter_map(|&member| changes[member].money.as_ref());
        let total = Micros(money.clone().map(|(_, amount)| amount.0).sum());
        let month = money.map(|(month, _)| month).next();
        if let Some(month) = month {
            let money = match purse {
                Purse::Meter { limit } => meter::add(table, tenant, month, total, limit)?,
                Purse::Pot { campaign } => Some(pots::draw(table, tenant, campaign, month, total)?),
            };
            match money {
                Some(write) => writes.push(write),
                None => {
                    mark(outcomes, &members, Written::OverBudget);
                    return Ok(());
                }
            }
        }
        let guarded_at = writes.len();
        writes.extend(guard.map(|(_, write)| write.clone()));
        match transact(table, writes).await {
            Ok(()) => {
                mark(outcomes, &members, Written::Won);
                return Ok(());
            }
            Err(Refused::Conditions(failed)) if failed.contains(&guarded_at) => {
                let guard = guard.map_or(Guard::Consent, |(guard, _)| *guard);
                mark(outcomes, &members, Written::Guarded(guard));
                return Ok(());
            }
            Err(Refused::Busy) => patience.wait().await?,
            Err(Refused::Store(error)) => return Err(error),
            Err(Refused::Conditions(failed)) => {
                let losers: Vec<(usize, Option<Guard>)> = failed.iter().filter_map(|&at| owners.get(at).copied()).collect();
                // Whoever lost the message itself need not know what else did not hold.
                for &(member, guard) in losers.iter().rev() {
                    outcomes[member] = guard.map_or(Written::Lost, Written::Guarded);
                }
                if losers.is_empty() {
                    // Only the meter's condition stands behind the messages'.
                    mark(outcomes, &members, Written::OverBudget);
                    return Ok(());
                }
                members.retain(|member| losers.iter().all(|(loser, _)| loser != member));
            }
        }
    }
    Ok(())
}

fn mark(outcomes: &mut [Written], members: &[usize], written: Written) {
    for &member in members {
        outcomes[member] = written;
    }
}

/// What became of a report.
#[derive(Clone, Debug)]
pub enum Merged {
    /// It took the message further, from this status.
    Forward(Box<Message>, Status),
    /// The message was further already, or the word is none that we know; the report is kept.
    Late(Box<Message>),
    /// The same report again, or one on a message that was forgotten. Nothing was written.
    Duplicate(Box<Message>),
    /// There is no such message.
    Unknown,
}

/// So many reports are kept of one message. Twilio makes about ten, of a call.
const MOST_REPORTS: u32 = 60;

/// Who a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A message of ours: once Twilio has it, nobody waits to send it.
    Ours,
    /// A call that came in: whoever has to be told of it still has to.
    Theirs,
}

/// Adds a report to those of a message, in one write: what they come to is read off all of them
/// ([`Message::heard`]), so their order is nothing. `step` says how we learnt it: `callback`, `found`, `asked`.
pub async fn merge(
    table: &Table,
    tenant: &TenantId,
    id: &MessageId,
    report: &Report,
    whose: Whose,
    step: &str,
    now: Timestamp,
) -> Result<Merged, StoreError> {
    let line = report.to_string();
    let said = String::from(Step::new(now, step));
    let no_more_due = match whose {
        Whose::Ours => " REMOVE due_pk, due_sk",
        Whose::Theirs => "",
    };
    let request = table
        .client
        .update_item()
        .table_name(&table.name)
        .set_key(Some(key_attributes(&keys::message(tenant, id))))
        .condition_expression("attribute_exists(pk) AND attribute_not_exists(reports.#line) AND size(reports) < :most")
        .update_expression(format!("SET reports.#line = :said ADD revision :one{no_more_due}"))
        .expression_attribute_names("#line", &line)
        .expression_attribute_values(":said", AttributeValue::S(said))
        .expression_attribute_values(":most", number(MOST_REPORTS))
        .expression_attribute_values(":one", number(1))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let mut patience = Patience::default();
    loop {
        let error = match request.clone().send().await {
            Ok(answer) => {
                let merged: Message = table.value(answer.attributes.unwrap_or_default(), SEALED)?;
                let before = merged.status_but_for(&line);
                let merged = Box::new(merged.heard());
                return Ok(if merged.status > before { Merged::Forward(merged, before) } else { Merged::Late(merged) });
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            // A transaction is at the same item: a claim, or our own write of Twilio's answer.
            Some(UpdateItemError::TransactionConflictException(_)) => patience.wait().await?,
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let Some(old) = refused.item().filter(|item| !item.is_empty()) else { return Ok(Merged::Unknown) };
                let is_closed = !old.contains_key(REPORTS);
                let old = message(table, old.clone())?;
                if !is_closed && !old.reports.contains_key(&line) {
                    tracing::warn!(%tenant, %id, "Twilio reports on a message without end: no more is kept");
                }
                return Ok(Merged::Duplicate(Box::new(old)));
            }
            _ => return Err(StoreError::unreachable(error)),
        }
    }
}

/// What puts `message`, which must not be there yet; part of whatever else it brings about.
pub fn creating(table: &Table, tenant: &TenantId, message: &Message) -> Result<Write, StoreError> {
    Write::put(table, item(table, tenant, message)?, NEW, HashMap::new())
}

/// What notes the answer to a reminder; the latest counts.
pub fn answering(table: &Table, tenant: &TenantId, id: &MessageId, answer: Answer, at: Timestamp) -> Result<Write, StoreError> {
    let step = String::from(Step::with(at, "answered", answer.word()));
    let values = HashMap::from([
        (":answer".to_string(), AttributeValue::S(answer.word().into())),
        (":step".to_string(), AttributeValue::L(vec![AttributeValue::S(step)])),
        (":one".to_string(), number(1)),
    ]);
    let expression = "SET answer = :answer, timeline = list_append(timeline, :step) ADD revision :one";
    Write::update(table, &keys::message(tenant, id), expression, Some("attribute_exists(pk)"), values)
}

/// Those of `ids` that exist.
pub async fn get_many(table: &Table, tenant: &TenantId, ids: &[MessageId]) -> Result<Vec<Message>, StoreError> {
    let items = table.get_many(ids.iter().map(|id| keys::message(tenant, id)).collect()).await?;
    items.into_iter().map(|item| message(table, item)).collect()
}

/// Which of `ids` are there, without reading them.
pub async fn existing(table: &Table, tenant: &TenantId, ids: &[MessageId]) -> Result<HashSet<MessageId>, StoreError> {
    let by_key: HashMap<Key, &MessageId> = ids.iter().map(|id| (keys::message(tenant, id), id)).collect();
    let found = table.existing(by_key.keys().cloned().collect()).await?;
    Ok(found.iter().filter_map(|key| by_key.get(key)).map(|id| (*id).clone()).collect())
}

/// The reminders of a lesson or payment that still wait. May miss what was written in the last moments.
pub async fn waiting_for(table: &Table, tenant: &TenantId, subject: Subject<'_>) -> Result<Vec<Message>, StoreError> {
    let entries = table.query_all(&keys::about(tenant, subject), Some(keys::ABOUT), None).await?;
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    items.into_iter().map(|item| message(table, item)).collect()
}

/// Takes away everything that was due, or came in, on a UTC day. Answers how much that was.
pub async fn delete_day(table: &Table, tenant: &TenantId, day: Date) -> Result<u32, StoreError> {
    let partition = keys::log(tenant, day);
    let mut count = 0;
    let mut after = None;
    loop {
        let query =
            Query { pk: &partition, index: Some(keys::TIME), range: None, limit: Some(PART), after, order: Order::Earliest };
        let (entries, next) = table.query(query).await?;
        count += entries.len() as u32;
        table.delete_many(entries.iter().map(key_of).collect()).await?;
        if next.is_none() {
            return Ok(count);
        }
        after = next;
    }
}

/// The log of one UTC day, by the instant each message was due. All of it at once: for days that are known to be small.
pub async fn log(table: &Table, tenant: &TenantId, day: Date) -> Result<Vec<Message>, StoreError> {
    let entries = table.query_all(&keys::log(tenant, day), Some(keys::TIME), None).await?;
    by_time(table, entries).await
}

/// A part of that log, after the entry `after`; and the entry after which the next begins. However many messages a day
/// has, a part takes no more memory.
pub async fn log_part(
    table: &Table,
    tenant: &TenantId,
    day: Date,
    after: Option<&str>,
) -> Result<(Vec<Message>, Option<String>), StoreError> {
    let (items, next) = page::of_time(table, &keys::log(tenant, day), Order::Earliest, after, PART as u32).await?;
    Ok((items.into_iter().map(|item| message(table, item)).collect::<Result<_, _>>()?, next))
}

/// Shows `each` message of that log that was due in `span`, both ends included. A part at a time, so that it takes no
/// more memory however many there are.
pub async fn each_of_log(
    table: &Table,
    tenant: &TenantId,
    day: Date,
    span: (Timestamp, Timestamp),
    mut each: impl FnMut(&Message),
) -> Result<(), StoreError> {
    let partition = keys::log(tenant, day);
    let (from, to) = span;
    let mut after = None;
    loop {
        let range = Some((keys::instant(from), keys::up_to(to)));
        let query = Query { pk: &partition, index: Some(keys::TIME), range, limit: Some(PART), after, order: Order::Earliest };
        let (entries, next) = table.query(query).await?;
        // What was put off meanwhile is of another instant.
        let part = by_time(table, entries).await?;
        part.iter().filter(|message| (from..=to).contains(&message.due_at)).for_each(&mut each);
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

/// So many messages of a log are looked at together.
const PART: i32 = 500;

/// A page of that log: at most `limit` messages due in `span`, both ends included, and after the entry `after`; and
/// whether it is the last of that day.
pub async fn log_page(
    table: &Table,
    tenant: &TenantId,
    day: Date,
    span: (Timestamp, Timestamp),
    after: Option<&LogEntry>,
    limit: u32,
) -> Result<(Vec<Message>, bool), StoreError> {
    let partition = keys::log(tenant, day);
    let (from, to) = span;
    let start =
        after.map_or_else(|| keys::instant(from), |entry| format!("{}!", keys::instant_and(entry.due_at, entry.id.as_str())));
    let end = keys::up_to(to);
    if start > end {
        // The entry was put off meanwhile, beyond the span.
        return Ok((Vec::new(), true));
    }
    let range = Some((start, end));
    let limit = Some(limit.min(1000) as i32);
    let (entries, next) =
        table.query(Query { pk: &partition, index: Some(keys::TIME), range, limit, after: None, order: Order::Earliest }).await?;
    Ok((by_time(table, entries).await?, next.is_none()))
}

/// A page of that log from its end: at most so many messages due in `span`, the latest first, and before the entry
/// `before`; and whether it is the last of that day.
pub async fn log_page_back(
    table: &Table,
    tenant: &TenantId,
    day: Date,
    span: (Timestamp, Timestamp),
    before: Option<&LogEntry>,
    limit: u32,
) -> Result<(Vec<Message>, bool), StoreError> {
    let partition = keys::log(tenant, day);
    let (from, to) = span;
    let end = before.map_or_else(|| keys::up_to(to), |entry| keys::instant_and(entry.due_at, entry.id.as_str()));
    let range = Some((keys::instant(from), end));
    // A range includes its ends: the entry itself is read again, and left out.
    let limit = Some(limit.min(1000) as i32 + 1);
    let (entries, next) =
        table.query(Query { pk: &partition, index: Some(keys::TIME), range, limit, after: None, order: Order::Latest }).await?;
    let mut messages = by_time(table, entries).await?;
    messages.retain(|message| before.is_none_or(|entry| message.id != entry.id));
    messages.reverse();
    Ok((messages, next.is_none()))
}

/// Which end of the log a listing begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogOrder {
    #[default]
    Earliest,
    Latest,
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub due_at: Timestamp,
    pub id: MessageId,
}

async fn by_time(table: &Table, entries: Vec<Item>) -> Result<Vec<Message>, StoreError> {
    let items = table.get_many(entries.iter().map(key_of).collect()).await?;
    let mut messages: Vec<Message> = items.into_iter().map(|item| message(table, item)).collect::<Result<_, _>>()?;
    messages.sort_by(|a, b| (a.due_at, &a.id).cmp(&(b.due_at, &b.id)));
    Ok(messages)
}
