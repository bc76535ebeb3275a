//! Rules 1 to 5 of reminders.md §3 over everything that is due at one instant: what goes, on which
//! channels, and what ends or waits instead.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::super::cancel_planned::canceled;
use super::super::{save_lessons, save_payments};
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::contact::Contact;
use crate::domain::lesson::Lesson;
use crate::domain::message::{Facts, Message, MessageId, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::payment::Payment;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Decision, Question, Verdict};
use crate::domain::reminder::{Kind, Offset};
use crate::domain::segments::segments;
use crate::domain::tenant::{Settings, TenantId};
use crate::domain::texts::{self, Topic};
use crate::store::messages::{self, Change, Written};
use crate::store::{accepted, consents, contacts, lessons, payments};

/// A message that may go, but for the cap and the budget.
#[derive(Debug)]
pub struct Draft {
    pub message: Message,
    pub number: PhoneNumber,
    pub body: String,
    pub segments: u32,
    pub cost: Micros,
    /// Decided against already, unless its number turns out to have opted out, which is the first reason.
    pub against: Option<Reason>,
}

impl Draft {
    fn against(message: Message, number: PhoneNumber, reason: Reason) -> Self {
        Self { message, number, body: String::new(), segments: 0, cost: Micros::default(), against: Some(reason) }
    }
}

/// What sending changes, and the next decision looks at.
#[derive(Debug, Default)]
pub struct World {
    pub stopped: HashSet<PhoneNumber>,
    /// Messages of the last 24 hours by contact, where the tenant has a cap.
    pub counts: HashMap<String, u32>,
}

/// Everything that decisions about some messages look at, read in four batches.
struct Records {
    contacts: HashMap<String, Contact>,
    lessons: HashMap<String, Lesson>,
    payments: HashMap<String, Payment>,
}

impl Records {
    async fn load(cx: &Context, tenant: &TenantId, due: &[Message]) -> Result<Self, ContextError> {
        let table = cx.table().await?;
        let is_payment = |message: &&Message| message.kind == Kind::PaymentReminder;
        let contacts: Vec<&str> = due.iter().map(|message| message.contact.as_str()).collect();
        let payments: Vec<&str> = due.iter().filter(is_payment).map(|message| message.subject.as_str()).collect();
        let lessons: Vec<&str> =
            due.iter().filter(|message| !is_payment(message)).map(|message| message.subject.as_str()).collect();
        Ok(Self {
            contacts: contacts::get_many(table, tenant, &contacts).await?,
            lessons: lessons::get_many(table, tenant, &lessons).await?,
            payments: payments::get_many(table, tenant, &payments).await?,
        })
    }

    fn topic(&self, message: &Message) -> Option<Topic<'_>> {
        match message.kind {
            Kind::PaymentReminder => self.payments.get(&message.subject).map(Topic::Payment),
            Kind::LessonReminder | Kind::ScheduleChange | Kind::Attendance => {
                self.lessons.get(&message.subject).map(Topic::Lesson)
            }
        }
    }

    /// Why a reminder no longer holds: the net under what a change cancels at once (lessons B11).
    fn outdated(&self, message: &Message, contact: Option<&Contact>) -> Option<Reason> {
        let Some(contact) = contact else { return Some(Reason::NotAttending) };
        if message.facts != Facts::Reminder {
            return None;
        }
        match self.topic(message) {
            Some(Topic::Lesson(lesson)) => save_lessons::outdated(message, lesson, |id| {
                lesson.students.contacts.iter().any(|known| known == id)
                    || lesson.students.groups.iter().any(|group| contact.groups.contains(group))
            }),
            Some(Topic::Payment(payment)) => save_payments::outdated(message, payment),
            None => Some(gone(message.kind)),
        }
    }
}

/// Why a message about a record that no longer exists is canceled.
fn gone(kind: Kind) -> Reason {
    match kind {
        Kind::PaymentReminder => Reason::Paid,
        Kind::LessonReminder | Kind::ScheduleChange | Kind::Attendance => Reason::LessonCancelled,
    }
}

/// Decides about `due`. What ends or waits is written and goes to `touched`; the rest is drafted in
/// the order in which it is to go.
pub async fn decide(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    mut due: Vec<Message>,
    touched: &mut Vec<Message>,
    now: Timestamp,
) -> Result<(Vec<Draft>, World), ContextError> {
    let table = cx.table().await?;
    due.sort_by(|a, b| a.order().cmp(&b.order()));
    let records = Records::load(cx, tenant, &due).await?;
    let numbers: Vec<&PhoneNumber> =
        records.contacts.values().flat_map(|contact| Channel::ALL.map(|channel| contact.number(channel))).flatten().collect();
    let mut world = World { stopped: consents::stopped(table, tenant, &numbers).await?, counts: HashMap::new() };
    if settings.frequency_cap.is_some() {
        let contacts: Vec<&str> = records.contacts.keys().map(String::as_str).collect();
        world.counts = accepted::counts(table, tenant, &contacts, now).await?;
    }

    let mut changes = Vec::new();
    let mut going: Vec<(Message, PhoneNumber)> = Vec::new();
    for message in due {
        let contact = records.contacts.get(&message.contact);
        if let Some(reason) = records.outdated(&message, contact) {
            changes.push((Change::of(canceled(message, reason, now)), Vec::new()));
            continue;
        }
        let (Some(contact), Some(topic)) = (contact, records.topic(&message)) else {
            let reason = gone(message.kind);
            changes.push((Change::of(canceled(message, reason, now)), Vec::new()));
            continue;
        };
        let deadline = policy::deadline(&message.facts, topic, &settings.time_zone);
        let question = Question { settings, contact, kind: message.kind, only: message.channel, deadline };
        match policy::decide(&question, |number| world.stopped.contains(number), now) {
            Decision::Skip(reason) => changes.push((Change::of(skipped(message, None, reason, now)), Vec::new())),
            Decision::Channels(channels) => part(tenant, message, channels, &mut changes, &mut going, now),
        }
    }
    settle(table, tenant, changes, &mut going, touched).await?;

    let beaten = superseded(&going);
    let mut drafts = Vec::with_capacity(going.len());
    for (mut message, number) in going {
        let (Some(contact), Some(topic), Some(channel)) =
            (records.contacts.get(&message.contact), records.topic(&message), message.channel)
        else {
            continue;
        };
        let draft = if beaten.contains(&message.id) {
            Draft::against(message, number, Reason::Superseded)
        } else {
            match texts::render(settings, message.kind, &message.facts, topic, contact, now) {
                Ok(body) => draft(settings, message, number, body, channel),
                Err(missing) => {
                    message.timeline.push(Step::with(now, "missing", missing));
                    Draft::against(message, number, Reason::MissingVariable)
                }
            }
        };
        drafts.push(draft);
    }
    Ok((drafts, world))
}

fn draft(settings: &Settings, message: Message, number: PhoneNumber, body: String, channel: Channel) -> Draft {
    let segments = match channel {
        Channel::Sms => segments(&body),
        Channel::Whatsapp => 1,
    };
    let cost = Micros(settings.price(channel).0 * i64::from(segments));
    Draft { message, number, body, segments, cost, against: None }
}

/// `message`, decided against.
pub fn skipped(mut message: Message, channel: Option<Channel>, reason: Reason, now: Timestamp) -> Message {
    message.status = Status::Skipped;
    message.channel = channel;
    message.reason = Some(reason);
    message.decided_at = Some(now);
    message.timeline.push(Step::with(now, "skipped", reason.word()));
    message
}

fn deferred(mut message: Message, until: Timestamp, now: Timestamp) -> Message {
    message.due_at = until;
    message.timeline.push(Step::with(now, "deferred", until));
    message
}

/// One write and the messages that come to be by it, each with its number if it goes now.
type Parted = (Change, Vec<(Message, PhoneNumber)>);

/// Gives each channel its own row. A message for one channel that goes now needs no write yet: the
/// claim names the channel. One whose channels all wait for the same instant stays whole.
fn part(
    tenant: &TenantId,
    message: Message,
    channels: Vec<(Channel, PhoneNumber, Verdict)>,
    changes: &mut Vec<Parted>,
    going: &mut Vec<(Message, PhoneNumber)>,
    now: Timestamp,
) {
    if let [(channel, number, Verdict::Send)] = channels.as_slice() {
        going.push((Message { channel: Some(*channel), ..message }, number.clone()));
        return;
    }
    let first = channels[0].2;
    if let (Verdict::Defer(until), true) = (first, channels.iter().all(|(_, _, verdict)| *verdict == first)) {
        changes.push((Change::of(deferred(message, until, now)), Vec::new()));
        return;
    }
    let row = |message: Message, channel: Channel, verdict: Verdict| match verdict {
        Verdict::Send => Message { channel: Some(channel), ..message },
        Verdict::Defer(until) => deferred(Message { channel: Some(channel), ..message }, until, now),
        Verdict::Skip(reason) => skipped(message, Some(channel), reason, now),
    };
    let mut rest = channels.into_iter();
    let Some((channel, number, verdict)) = rest.next() else { return };
    let mut goes_now = Vec::new();
    let siblings: Vec<Message> = rest
        .map(|(channel, number, verdict)| {
            let sibling = row(message.for_channel(tenant, channel), channel, verdict);
            if verdict == Verdict::Send {
                goes_now.push((sibling.clone(), number));
            }
            sibling
        })
        .collect();
    let change = Change::of(row(message, channel, verdict)).creating(siblings);
    if verdict == Verdict::Send {
        goes_now.insert(0, (change.message().clone(), number));
    }
    changes.push((change, goes_now));
}

/// Writes changes. Those that lost were changed by somebody else meanwhile, who sees to them.
async fn settle(
    table: &crate::store::Table,
    tenant: &TenantId,
    parted: Vec<Parted>,
    going: &mut Vec<(Message, PhoneNumber)>,
    touched: &mut Vec<Message>,
) -> Result<(), ContextError> {
    let (changes, goes_now): (Vec<Change>, Vec<_>) = parted.into_iter().unzip();
    let written = messages::write(table, tenant, &changes, None).await?;
    let before = going.len();
    for ((change, goes_now), written) in changes.into_iter().zip(goes_now).zip(written) {
        if written == Written::Won {
            touched.extend(change.into_messages().into_iter().filter(|message| {
                message.status != Status::Scheduled || goes_now.iter().all(|(going, _)| going.id != message.id)
            }));
            going.extend(goes_now);
        }
    }
    if going.len() > before {
        going.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    }
    Ok(())
}

/// Rule 5: of several reminders of one thing to one contact on one channel, only the shortest offset
/// goes. Answers the others.
fn superseded(going: &[(Message, PhoneNumber)]) -> HashSet<MessageId> {
    // `24h` and `1d` are as long as each other; one of them goes.
    let length = |offset: Offset| (offset.minutes(), offset.to_string());
    let mut shortest = HashMap::new();
    let mut beaten = HashSet::new();
    for (message, _) in going {
        let Some(offset) = message.offset else { continue };
        let place = (message.kind, &message.subject, &message.contact, message.channel);
        let (least, id) = shortest.entry(place).or_insert_with(|| (length(offset), &message.id));
        if length(offset) < *least {
            beaten.insert((*id).clone());
            (*least, *id) = (length(offset), &message.id);
        } else if *id != &message.id {
            beaten.insert(message.id.clone());
        }
    }
    beaten
}
