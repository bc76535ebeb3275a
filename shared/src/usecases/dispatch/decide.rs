//! Rules 1 to 5 of reminders.md §3 over everything that is due at one instant: what goes, on which
//! channels, and what ends or waits instead.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::super::cancel_planned::canceled;
use super::super::{save_lessons, save_payments};
use crate::context::{Context, ContextError};
use crate::domain::channel::Channel;
use crate::domain::compose::billed_units;
use crate::domain::contact::{Category, Contact, Wishes};
use crate::domain::lesson::Lesson;
use crate::domain::message::{Direct, Facts, Message, MessageId, Reason, Status, Step};
use crate::domain::money::Micros;
use crate::domain::payment::Payment;
use crate::domain::phone::PhoneNumber;
use crate::domain::policy::{self, Decision, Question, Verdict};
use crate::domain::reminder::{Kind, Offset};
use crate::domain::standing::Standing;
use crate::domain::template::MissingVariable;
use crate::domain::tenant::{Settings, TenantId};
use crate::domain::texts::{self, Topic};
use crate::store::accepted::{self, Count};
use crate::store::messages::{self, Change, Written};
use crate::store::{Table, consents, contacts, lessons, payments, sessions};
use crate::telemetry::moved;

/// A message that may go, but for the cap and the budget.
#[derive(Debug)]
pub struct Draft {
    pub message: Message,
    pub number: PhoneNumber,
    /// Whom it counts for under the frequency cap.
    pub person: String,
    /// `None` for what Twilio finds elsewhere.
    pub body: Option<String>,
    /// What it is billed as: segments, messages or minutes.
    pub units: u32,
    pub cost: Micros,
    /// Decided against already, unless its number turns out to have opted out, which is the first reason.
    pub against: Option<Reason>,
}

impl Draft {
    /// `message` as it goes on its channel.
    pub fn new(table: &Table, settings: &Settings, message: Message, number: PhoneNumber, body: Option<String>) -> Self {
        let channel = message.channel.unwrap_or(Channel::Sms);
        let units = billed_units(channel, body.as_deref().unwrap_or_default(), message.direct.as_deref());
        let cost = Micros(settings.price(channel, &number).0 * i64::from(units));
        let person = accepted::person(table, message.contact.as_deref(), &number);
        Self { message, number, person, body, units, cost, against: None }
    }

    fn against(table: &Table, message: Message, number: PhoneNumber, reason: Reason) -> Self {
        let person = accepted::person(table, message.contact.as_deref(), &number);
        Self { message, number, person, body: None, units: 0, cost: Micros::default(), against: Some(reason) }
    }
}

/// What sending changes, and the next decision looks at.
#[derive(Debug, Default)]
pub struct World {
    /// How the numbers stand that ever said anything.
    pub standings: HashMap<PhoneNumber, Standing>,
    /// How often consents had changed before that was read.
    pub consents: u64,
    /// Messages of the last 24 hours by person, where the tenant has a cap.
    pub counts: HashMap<String, u32>,
    /// The same as it was read, without what this run has sent since: what a claim rests on.
    pub read: HashMap<String, Count>,
    /// Senders whose queue at Twilio is full, and when the next message may go to each.
    pub blocked: HashMap<String, Timestamp>,
}

impl World {
    /// Whether `number` wants no message of `category`.
    pub fn stops(&self, number: &PhoneNumber, category: Category) -> bool {
        self.standings.get(number).is_some_and(|standing| standing.stops(category))
    }

    /// Takes in what was read of some persons.
    pub fn count(&mut self, read: HashMap<String, Count>) {
        self.counts.extend(read.iter().map(|(person, count)| (person.clone(), count.of_window)));
        self.read.extend(read);
    }
}

/// Everything that decisions about some messages look at, read in four batches.
struct Records {
    contacts: HashMap<String, Contact>,
    /// Of bare numbers, whom they reach.
    at_numbers: HashMap<PhoneNumber, BTreeMap<String, Wishes>>,
    lessons: HashMap<String, Lesson>,
    payments: HashMap<String, Payment>,
}

impl Records {
    async fn load(cx: &Context, tenant: &TenantId, due: &[Message]) -> Result<Self, ContextError> {
        let table = cx.table().await?;
        let contacts: Vec<&str> = due.iter().filter_map(|message| message.contact.as_deref()).collect();
        let planned = |is_payment: bool| {
            let of_kind = move |message: &&Message| (message.kind == Kind::PaymentReminder) == is_payment;
            let planned = due.iter().filter(|message| message.facts != Facts::Direct).filter(of_kind);
            planned.map(|message| message.subject.as_str()).collect::<Vec<_>>()
        };
        let (payments, lessons) = (planned(true), planned(false));
        let bare = due.iter().filter(|message| message.contact.is_none()).filter_map(|message| message.to.as_ref());
        Ok(Self {
            at_numbers: contacts::at_numbers(table, tenant, &bare.collect::<Vec<_>>()).await?,
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
            Kind::Message | Kind::Test | Kind::Inbound => None,
        }
    }

    /// What a message rests on, or why it rests on nothing any more.
    fn basis(&self, message: &Message) -> Result<Basis<'_>, Reason> {
        let contact = message.contact.as_ref().map(|id| self.contacts.get(id));
        if message.facts == Facts::Direct {
            return match (contact, &message.to) {
                (Some(Some(contact)), _) => Ok(Basis { contact: Cow::Borrowed(contact), topic: None }),
                (None, Some(to)) => {
                    let known = self.at_numbers.get(to).into_iter().flat_map(BTreeMap::values);
                    Ok(Basis { contact: Cow::Owned(Contact::at_number(to.clone(), known)), topic: None })
                }
                (Some(None), _) | (None, None) => Err(Reason::ContactGone),
            };
        }
        let contact = contact.flatten().ok_or(Reason::NotAttending)?;
        let topic = self.topic(message).ok_or_else(|| gone(message.kind))?;
        Ok(Basis { contact: Cow::Borrowed(contact), topic: Some(topic) })
    }
}

/// Why a reminder no longer holds: the net under what a change cancels at once (lessons B11).
fn outdated(message: &Message, basis: &Basis<'_>) -> Option<Reason> {
    if message.facts != Facts::Reminder {
        return None;
    }
    match basis.topic? {
        Topic::Lesson(lesson) => save_lessons::outdated(message, lesson, |id| {
            lesson.students.contacts.iter().any(|known| known == id)
                || lesson.students.groups.iter().any(|group| basis.contact.groups.contains(group))
        }),
        Topic::Payment(payment) => save_payments::outdated(message, payment),
    }
}

/// Whom a message is for, and what it is about unless it says so itself.
struct Basis<'a> {
    contact: Cow<'a, Contact>,
    topic: Option<Topic<'a>>,
}

/// Why a message about a record that no longer exists is canceled.
fn gone(kind: Kind) -> Reason {
    match kind {
        Kind::PaymentReminder => Reason::Paid,
        Kind::LessonReminder | Kind::ScheduleChange | Kind::Attendance => Reason::LessonCancelled,
        Kind::Message | Kind::Test | Kind::Inbound => Reason::ContactGone,
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
    let holds = |message: &Message| {
        let basis = records.basis(message)?;
        outdated(message, &basis).map_or(Ok(basis), Err)
    };
    let bases: Vec<Result<Basis<'_>, Reason>> = due.iter().map(holds).collect();
    let known = || bases.iter().flatten();
    let numbers: Vec<&PhoneNumber> =
        known().flat_map(|basis| Channel::BY_CHOICE.map(|channel| basis.contact.number(channel))).flatten().collect();
    let mut world = World { consents: consents::changes(table, tenant).await?, ..World::default() };
    world.standings = consents::standings(table, tenant, &numbers).await?;
    if settings.frequency_cap.is_some() {
        let persons: HashSet<String> = known()
            .filter_map(|basis| {
                let contact = (!basis.contact.id.is_empty()).then_some(basis.contact.id.as_str());
                Some(accepted::person(
                    table,
                    contact,
                    basis.contact.number(Channel::Sms).or(basis.contact.number(Channel::Whatsapp))?,
                ))
            })
            .collect();
        let persons: Vec<&str> = persons.iter().map(String::as_str).collect();
        world.count(accepted::counts_of(table, tenant, &persons, now).await?);
    }
    let free_texts =
        due.iter().zip(&bases).filter(|(message, _)| message.direct.as_ref().is_some_and(|direct| direct.content.is_none()));
    let over_whatsapp: Vec<&PhoneNumber> =
        free_texts.filter_map(|(_, basis)| basis.as_ref().ok()?.contact.number(Channel::Whatsapp)).collect();
    let in_session = sessions::open_at(table, tenant, &over_whatsapp, now).await?;

    let mut changes = Vec::new();
    let mut going: Vec<(Message, PhoneNumber)> = Vec::new();
    for (message, basis) in due.into_iter().zip(&bases) {
        let basis = match basis {
            Ok(basis) => basis,
            Err(reason) => {
                changes.push((Change::of(canceled(message, *reason, now)), Vec::new()));
                continue;
            }
        };
        let deadline = basis.topic.and_then(|topic| policy::deadline(&message.facts, topic, &settings.time_zone));
        let question = Question::about(settings, &basis.contact, &message, deadline);
        match policy::decide(&question, |number| world.stops(number, question.category), now) {
            Decision::Skip(reason) => changes.push((Change::of(skipped(message, None, reason, now)), Vec::new())),
            Decision::Channels(mut channels) => {
                for (channel, number, verdict) in &mut channels {
                    if *verdict == Verdict::Send && message.needs_window(*channel) && !in_session.contains(number) {
                        *verdict = Verdict::Skip(Reason::OutsideWindow);
                    }
                }
                part(tenant, message, channels, &mut changes, &mut going, now);
            }
        }
    }
    settle(table, tenant, changes, &mut going, touched).await?;

    let beaten = superseded(&going);
    let mut drafts = Vec::with_capacity(going.len());
    for (mut message, number) in going {
        let Ok(basis) = records.basis(&message) else { continue };
        if beaten.contains(&message.id) {
            drafts.push(Draft::against(table, message, number, Reason::Superseded));
            continue;
        }
        drafts.push(match say(settings, &mut message, &basis, now) {
            Ok(body) => Draft::new(table, settings, message, number, body),
            Err(missing) => {
                message.timeline.push(Step::with(now, "missing", missing));
                Draft::against(table, message, number, Reason::MissingVariable)
            }
        });
    }
    Ok((drafts, world))
}

/// What `message` says; a planned one over WhatsApp as the template that the tenant named for its type.
fn say(settings: &Settings, message: &mut Message, basis: &Basis<'_>, now: Timestamp) -> Result<Option<String>, MissingVariable> {
    let Some(topic) = basis.topic else { return Ok(message.body.clone()) };
    if message.channel == Some(Channel::Whatsapp) {
        let content = texts::content(settings, message.kind, &message.facts, topic, &basis.contact, now)?;
        message.direct = content.map(|content| Direct::only_content(message.kind, content));
    }
    message.asks = texts::asks(settings, message.kind);
    texts::render(settings, message.kind, &message.facts, topic, &basis.contact, now).map(Some)
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

/// `message`, to be decided again then.
///
/// What has a slot of its sender keeps its distance to the others of its list.
pub fn deferred(mut message: Message, until: Timestamp, now: Timestamp) -> Message {
    let has_slot = message.direct.as_ref().is_some_and(|direct| direct.slot_of.is_some());
    let is_first = message.timeline.iter().all(|step| step.step != "deferred");
    let asked = message.timeline.first().map_or(now, |step| step.at);
    let distance = message.due_at.duration_since(asked);
    let until = if has_slot && is_first { until + distance } else { until };
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
    let mut message = message;
    message.timeline.push(Step::new(now, "parted"));
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
    table: &Table,
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
            let stays = |message: &Message| {
                message.status != Status::Scheduled || goes_now.iter().all(|(going, _)| going.id != message.id)
            };
            let staying = change.into_messages().into_iter().filter(stays);
            touched.extend(staying.inspect(|message| moved(Status::Scheduled, message)));
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
