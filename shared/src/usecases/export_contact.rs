//! Everything that is known of a contact, in one piece (S0-73, S3-58): what the person may ask the tenant for.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::context::{Context, ContextError};
use crate::domain::contact::Contact;
use crate::domain::conversation::Conversation;
use crate::domain::evidence::Entry;
use crate::domain::lesson::Lesson;
use crate::domain::message::{Message, MessageId};
use crate::domain::payment::Payment;
use crate::domain::phone::PhoneNumber;
use crate::domain::reminder::HORIZON;
use crate::domain::standing::Standing;
use crate::domain::tenant::TenantId;
use crate::store::conversations::{self, ConversationId};
use crate::store::recurring::{self, Recurring};
use crate::store::{Table, consents, contacts, erasure, keys, lessons, messages, payments};

/// Everything of a contact. What only stands in the rows of a list or a campaign is not said to anybody yet: once it is a
/// message, it is here.
#[derive(Clone, Debug)]
pub struct Export {
    pub contact: Contact,
    pub consent: Vec<Consent>,
    /// With its numbers, but for those that another contact has too.
    pub conversations: Vec<Conversation>,
    /// Out and in, by the instant each was due, the earliest first: the latest [`MOST_MESSAGES`].
    pub messages: Vec<Message>,
    /// Older ones that were left out.
    pub omitted: u32,
    /// That it attends or attended.
    pub lessons: Vec<Lesson>,
    pub payments: Vec<Payment>,
    pub recurring: Vec<Recurring>,
}

/// What one of its numbers said about being messaged.
#[derive(Clone, Debug)]
pub struct Consent {
    pub number: PhoneNumber,
    pub standing: Standing,
    pub since: Option<Timestamp>,
    pub history: Vec<Entry>,
}

/// So many messages fit an answer: Lambda's has at most 6 MB.
pub const MOST_MESSAGES: usize = 4_000;
/// So many are read at once.
const PAGE: u32 = 200;

/// `None` if there is no such contact.
pub async fn export_contact(cx: &Context, tenant: &TenantId, id: &str, now: Timestamp) -> Result<Option<Export>, ContextError> {
    let table = cx.table().await?;
    let Some(contact) = contacts::get(table, tenant, id).await? else { return Ok(None) };
    let mut numbers = Numbers::default();
    for number in contact.numbers() {
        numbers.add(table, tenant, table.keyring().number_hash(number), id).await?;
    }
    for hash in &contact.former_numbers {
        numbers.add(table, tenant, hash.clone(), id).await?;
    }
    let mut consent = Vec::new();
    for number in contact.numbers() {
        let known = consents::of(table, tenant, &[number]).await?.remove(number).unwrap_or_default();
        let history = consents::history(table, tenant, number).await?;
        consent.push(Consent { number: number.clone(), standing: known.standing, since: known.since, history });
    }
    let mut conversations = Vec::new();
    for hash in numbers.own() {
        conversations.extend(conversations::get(table, tenant, &ConversationId::of_hash(hash)).await?);
    }
    let (messages, omitted) = messages_of(table, tenant, id, &numbers, now).await?;
    let mut lessons = lessons::starting(table, tenant, Timestamp::UNIX_EPOCH, Timestamp::MAX).await?;
    lessons.retain(|lesson| {
        let is_of_group = lesson.students.groups.iter().any(|group| contact.groups.contains(group));
        is_of_group || lesson.students.contacts.iter().any(|student| student == id)
    });
    let mut payments = payments::due_between(table, tenant, Date::ZERO, Date::MAX).await?;
    payments.retain(|payment| payment.contact == id);
    let mut recurring = recurring::all(table, tenant).await?;
    recurring.retain(|recurring| recurring.message.contact.as_deref() == Some(id));
    Ok(Some(Export { contact, consent, conversations, messages, omitted, lessons, payments, recurring }))
}

/// The keyed hashes of a contact's numbers, present and former, and whether somebody else has each.
#[derive(Default)]
struct Numbers(BTreeMap<String, bool>);

impl Numbers {
    async fn add(&mut self, table: &Table, tenant: &TenantId, hash: String, contact: &str) -> Result<(), ContextError> {
        let is_shared = erasure::is_shared(table, tenant, &hash, contact).await?;
        self.0.insert(hash, is_shared);
        Ok(())
    }

    fn all(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn own(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, is_shared)| !**is_shared).map(|(hash, _)| hash.as_str())
    }

    fn is_own(&self, hash: &str) -> bool {
        self.0.get(hash) == Some(&false)
    }
}

/// The messages of a contact, and how many older ones were left out.
async fn messages_of(
    table: &Table,
    tenant: &TenantId,
    id: &str,
    numbers: &Numbers,
    now: Timestamp,
) -> Result<(Vec<Message>, u32), ContextError> {
    let is_theirs = |message: &Message| match &message.contact {
        Some(contact) => contact == id,
        // Of a number that several share, nobody knows whose it was.
        None => message.peer().is_some_and(|peer| numbers.is_own(&table.keyring().address_hash(&peer))),
    };
    let mut found: BTreeMap<(Timestamp, MessageId), Message> = BTreeMap::new();
    let mut omitted = 0;
    let mut keep = |messages: Vec<Message>| {
        for message in messages.into_iter().filter(&is_theirs) {
            found.insert((message.due_at, message.id.clone()), message);
        }
        while found.len() > MOST_MESSAGES {
            found.pop_first();
            omitted += 1;
        }
    };
    for place in erasure::places(tenant, id, &numbers.all()) {
        let mut after = None;
        loop {
            let (page, next) = erasure::messages_at(table, &place, after.as_deref(), PAGE).await?;
            keep(page);
            match next {
                None => break,
                next => after = next,
            }
        }
    }
    // Reminders that wait stand under their lesson or payment, and in the log.
    let mut day = keys::day(now - SignedDuration::from_hours(24));
    let mut after = None;
    while day <= keys::day(now + HORIZON + SignedDuration::from_hours(48)) {
        let (part, next) = messages::log_part(table, tenant, day, after.as_deref()).await?;
        keep(part);
        if next.is_none() {
            day = day.tomorrow().unwrap_or(Date::MAX);
        }
        after = next;
    }
    Ok((found.into_values().collect(), omitted))
}
