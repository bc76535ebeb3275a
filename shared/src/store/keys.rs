//! Every key of the table, on one page. No other file builds one.
//!
//! | Entity | pk | sk | index |
//! |---|---|---|---|
//! | Directory of tenants | `TENANTS` | `t` | |
//! | Settings | `TENANT#t` | `SETTINGS` | |
//! | Contact | `TENANT#t#CONTACTS` | id | |
//! | Group member | `TENANT#t#GROUP#g` | contact id | |
//! | Template, as it is now | `TENANT#t#TEMPLATES` | name | |
//! | Its versions | `TENANT#t#TEMPLATE#name` | `0003` | |
//! | How often consent has changed | `TENANT#t` | `CONSENTS` | |
//! | Consent of a number | `TENANT#t#PHONE#<keyed hash>` | `CONSENT` | time (sparse, what is stopped): `TENANT#t#OPTOUTS` × since |
//! | What it said about that, and when | `TENANT#t#PHONE#<keyed hash>` | `WISH#instant#source` | time: `TENANT#t#WISHES` × instant |
//! | Conversation with a number, or whoever wrote | `TENANT#t#PHONE#<keyed hash>` | `CONVERSATION` | time: `TENANT#t#INBOX#state` × last heard of |
//! | Wishes of the contacts of a number | `TENANT#t#PHONE#<keyed hash>` | `CONTACTS` | |
//! | WhatsApp session of a number | `TENANT#t#PHONE#<keyed hash>` | `SESSION` | |
//! | Lesson | `TENANT#t#LESSONS` | id | time: the same pk × start |
//! | Payment | `TENANT#t#PAYMENTS` | id | time: the same pk × due date |
//! | Message | `TENANT#t#MESSAGE#id` | `MESSAGE` | time (the log): `TENANT#t#LOG#day` × due · about: while it waits `TENANT#t#ABOUT#kind#subject` × id, once it went or came `TENANT#t#PHONE#<keyed hash>` × instant · due (sparse): `DUE#shard` × due, of what was asked for in bulk `BULK#shard` × due |
//! | An id that a key stands for, of no message | `TENANT#t#MESSAGE#id` | `MESSAGE` | time: `TENANT#t#TAKEN` × instant |
//! | Meter of a month | `TENANT#t#METER` | `2026-11` | |
//! | Clock of a sender, or of the API's requests | `TENANT#t#PACE` | sender, `REQUESTS` | |
//! | Batch of messages asked for at once | `TENANT#t#BATCH#id` | `BATCH` | time: `TENANT#t#BATCHES` × asked for · due (sparse): as a message, until its rows exist |
//! | Rows of a batch; what is wrong with the others | `TENANT#t#BATCH#id` | `ROWS#0001`; `ERRORS#0001` | |
//! | Recurring message | `TENANT#t#RECURRING#id` | `RECURRING` | time: `TENANT#t#RECURRINGS` × asked for · due: as a message |
//! | Job: an import, a contact or tenant to forget | `TENANT#t#JOB#id` | `JOB` | time: `TENANT#t#JOBS` × asked for · due (sparse): until it is done |
//! | Rows of a job; what is wrong with the others | `TENANT#t#JOB#id` | `ROWS#0001`; `ERRORS#0001` | |
//! | Campaign | `TENANT#t#CAMPAIGN#id` | `CAMPAIGN` | time: `TENANT#t#CAMPAIGNS` × asked for · due (sparse): while there is work on it |
//! | Its file, until it is planned: parts, and pieces of them | `TENANT#t#CAMPAIGN#id` | `PART#0001`; `FILE#0001#0001` | |
//! | Its rows as planned; which numbers go, until it is planned; what became of a settled chunk | `TENANT#t#CAMPAIGN#id` | `CHUNK#00001`; `SEEN#00001`; `TALLY#00001` | |
//! | Money that is reserved for it | `TENANT#t#CAMPAIGN#id` | `POT` | |
//! | What was counted of a day | `TENANT#t#STATS` | `2026-11-21` (the tenant's zone) | |
//! | Who did what | `TENANT#t#AUDIT#2026-11` (UTC) | instant, id | |
//! | A purchase of a number | `TENANT#t#PURCHASES` | id of the key | |
//! | Whose a SID is that was found at Twilio | `TENANT#t#FOUND` | SID | |
//! | What was told of its health; how far it is swept | `TENANT#t` | `HEALTH`; `SWEPT` | |
//! | Accepted on a day, for the frequency cap | `TENANT#t#ACCEPTED#contact` | `2026-11-21` (UTC) | |
//!
//! Tenant ids hold no `#`, and at most one other part of a key is free text, at its end: keys of
//! different things never collide.

use std::hash::Hasher;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::DateTimePrinter;

use crate::domain::message::{Message, MessageId};
use crate::domain::tenant::TenantId;

pub const PK: &str = "pk";
pub const SK: &str = "sk";

/// The due index: everything that waits, by instant. Sparse; projects whole items.
pub const DUE: Index = Index { name: "due", pk: "due_pk", sk: "due_sk" };
/// Lessons, payments, the message log, opt-outs and the inbox by time. Projects keys.
pub const TIME: Index = Index { name: "time", pk: "time_pk", sk: "time_sk" };
/// Waiting reminders by the lesson or payment they are about; then all messages by the number that they
/// went to or came from. Sparse; projects keys.
pub const ABOUT: Index = Index { name: "about", pk: "about_pk", sk: "about_sk" };

/// A global secondary index and its key attributes.
#[derive(Clone, Copy, Debug)]
pub struct Index {
    pub name: &'static str,
    pub pk: &'static str,
    pub sk: &'static str,
}

/// A primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

/// How many partitions the due index is spread over. One minute tick asks each of them once.
pub const DUE_SHARDS: u32 = 4;

pub fn directory() -> String {
    "TENANTS".into()
}

pub fn tenant_entry(tenant: &TenantId) -> Key {
    Key { pk: directory(), sk: tenant.to_string() }
}

pub fn settings(tenant: &TenantId) -> Key {
    Key { pk: format!("TENANT#{tenant}"), sk: "SETTINGS".into() }
}

pub fn templates(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#TEMPLATES")
}

/// `name` as `catalogue` compares names.
pub fn template(tenant: &TenantId, name: &str) -> Key {
    Key { pk: templates(tenant), sk: name.into() }
}

pub fn template_versions(tenant: &TenantId, name: &str) -> String {
    format!("TENANT#{tenant}#TEMPLATE#{name}")
}

pub fn template_version(tenant: &TenantId, name: &str, version: u32) -> Key {
    Key { pk: template_versions(tenant, name), sk: format!("{version:04}") }
}

/// Every job that is kept, by when it was asked for.
pub fn jobs(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#JOBS")
}

pub fn job(tenant: &TenantId, id: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#JOB#{id}"), sk: "JOB".into() }
}

pub fn job_rows(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    Key { pk: format!("TENANT#{tenant}#JOB#{id}"), sk: format!("ROWS#{chunk:04}") }
}

pub fn job_errors(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    Key { pk: format!("TENANT#{tenant}#JOB#{id}"), sk: format!("ERRORS#{chunk:04}") }
}

/// `day` in the tenant's zone.
pub fn statistics(tenant: &TenantId, day: Date) -> Key {
    Key { pk: format!("TENANT#{tenant}#STATS"), sk: day.to_string() }
}

/// A UTC month of the audit trail.
pub fn audit(tenant: &TenantId, day: Date) -> String {
    format!("TENANT#{tenant}#AUDIT#{:04}-{:02}", day.year(), day.month())
}

pub fn audit_entry(tenant: &TenantId, at: Timestamp, id: &str) -> Key {
    Key { pk: audit(tenant, day(at)), sk: instant_and(at, id) }
}

pub fn found(tenant: &TenantId, sid: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#FOUND"), sk: sid.into() }
}

pub fn purchase(tenant: &TenantId, id: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#PURCHASES"), sk: id.into() }
}

/// What was last told of the tenant's health.
pub fn health(tenant: &TenantId) -> Key {
    Key { pk: format!("TENANT#{tenant}"), sk: "HEALTH".into() }
}

/// Up to which day what is too old has been taken away.
pub fn swept(tenant: &TenantId) -> Key {
    Key { pk: format!("TENANT#{tenant}"), sk: "SWEPT".into() }
}

/// Changes with every wish of any number: whoever sends many at once asks this one item.
pub fn consents(tenant: &TenantId) -> Key {
    Key { pk: format!("TENANT#{tenant}"), sk: "CONSENTS".into() }
}

pub fn contacts(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#CONTACTS")
}

pub fn contact(tenant: &TenantId, id: &str) -> Key {
    Key { pk: contacts(tenant), sk: id.into() }
}

pub fn group(tenant: &TenantId, group: &str) -> String {
    format!("TENANT#{tenant}#GROUP#{group}")
}

pub fn group_member(tenant: &TenantId, name: &str, contact: &str) -> Key {
    Key { pk: group(tenant, name), sk: contact.into() }
}

pub fn consent(tenant: &TenantId, number_hash: &str) -> Key {
    Key { pk: phone(tenant, number_hash), sk: "CONSENT".into() }
}

pub fn number_contacts(tenant: &TenantId, number_hash: &str) -> Key {
    Key { pk: phone(tenant, number_hash), sk: "CONTACTS".into() }
}

/// One wish of a number's. `source` tells it from others of the same instant.
pub fn wish(tenant: &TenantId, number_hash: &str, at: Timestamp, source: &str) -> Key {
    Key { pk: phone(tenant, number_hash), sk: format!("WISH#{}", instant_and(at, source)) }
}

/// Bounds of a number's wishes within its partition.
pub fn wishes() -> (String, String) {
    ("WISH#".into(), "WISH#~".into())
}

/// Every wish of a tenant's numbers, by time.
pub fn all_wishes(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#WISHES")
}

/// The numbers that are stopped, by since when.
pub fn opt_outs(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#OPTOUTS")
}

pub fn conversation(tenant: &TenantId, number_hash: &str) -> Key {
    Key { pk: phone(tenant, number_hash), sk: "CONVERSATION".into() }
}

/// The conversations in one state, by when they were last heard of.
pub fn inbox(tenant: &TenantId, state: &str) -> String {
    format!("TENANT#{tenant}#INBOX#{state}")
}

/// Everything that lies beside a number; in the about index: what went to it and came from it.
pub fn phone(tenant: &TenantId, number_hash: &str) -> String {
    format!("TENANT#{tenant}#PHONE#{number_hash}")
}

/// The hash of a partition made by [`phone`].
pub fn phone_hash(pk: &str) -> &str {
    pk.rsplit('#').next().unwrap_or_default()
}

pub fn session(tenant: &TenantId, number_hash: &str) -> Key {
    Key { pk: phone(tenant, number_hash), sk: "SESSION".into() }
}

pub fn pace(tenant: &TenantId, sender: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#PACE"), sk: sender.into() }
}

/// Every batch that is kept, by when it was asked for.
pub fn batches(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#BATCHES")
}

pub fn batch(tenant: &TenantId, id: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#BATCH#{id}"), sk: "BATCH".into() }
}

pub fn batch_rows(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    Key { pk: format!("TENANT#{tenant}#BATCH#{id}"), sk: format!("ROWS#{chunk:04}") }
}

pub fn batch_errors(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    Key { pk: format!("TENANT#{tenant}#BATCH#{id}"), sk: format!("ERRORS#{chunk:04}") }
}

/// Every campaign that is kept, by when it was asked for.
pub fn campaigns(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#CAMPAIGNS")
}

pub fn campaign(tenant: &TenantId, id: &str) -> Key {
    of_campaign(tenant, id, "CAMPAIGN".into())
}

fn of_campaign(tenant: &TenantId, id: &str, sk: String) -> Key {
    Key { pk: format!("TENANT#{tenant}#CAMPAIGN#{id}"), sk }
}

pub fn campaign_part(tenant: &TenantId, id: &str, part: u32) -> Key {
    of_campaign(tenant, id, format!("PART#{part:04}"))
}

/// Bounds of the parts of a campaign's file within its partition.
pub fn campaign_parts() -> (String, String) {
    ("PART#".into(), "PART#~".into())
}

/// Which part of a file the head is of that has this sort key.
pub fn part_number(sk: &str) -> Option<u32> {
    sk.strip_prefix("PART#")?.parse().ok()
}

pub fn campaign_piece(tenant: &TenantId, id: &str, part: u32, piece: u32) -> Key {
    of_campaign(tenant, id, format!("FILE#{part:04}#{piece:04}"))
}

pub fn campaign_chunk(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    of_campaign(tenant, id, format!("CHUNK#{chunk:05}"))
}

pub fn campaign_seen(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    of_campaign(tenant, id, format!("SEEN#{chunk:05}"))
}

pub fn campaign_tally(tenant: &TenantId, id: &str, chunk: u32) -> Key {
    of_campaign(tenant, id, format!("TALLY#{chunk:05}"))
}

pub fn campaign_pot(tenant: &TenantId, id: &str) -> Key {
    of_campaign(tenant, id, "POT".into())
}

/// Everything that recurs or did, by when it was asked for.
pub fn recurrings(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#RECURRINGS")
}

pub fn recurring(tenant: &TenantId, id: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#RECURRING#{id}"), sk: "RECURRING".into() }
}

pub fn lessons(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#LESSONS")
}

pub fn lesson(tenant: &TenantId, id: &str) -> Key {
    Key { pk: lessons(tenant), sk: id.into() }
}

pub fn payments(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#PAYMENTS")
}

pub fn payment(tenant: &TenantId, id: &str) -> Key {
    Key { pk: payments(tenant), sk: id.into() }
}

pub fn message(tenant: &TenantId, id: &MessageId) -> Key {
    Key { pk: format!("TENANT#{tenant}#MESSAGE#{id}"), sk: "MESSAGE".into() }
}

/// The ids that stand for something else than a message, by when they were taken.
pub fn taken(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}#TAKEN")
}

/// `month` as `2026-11`, in the tenant's zone.
pub fn meter(tenant: &TenantId, month: &str) -> Key {
    Key { pk: format!("TENANT#{tenant}#METER"), sk: month.into() }
}

pub fn accepted(tenant: &TenantId, contact: &str, day: Date) -> Key {
    Key { pk: format!("TENANT#{tenant}#ACCEPTED#{contact}"), sk: day.to_string() }
}

/// A partition of the message log.
pub fn log(tenant: &TenantId, day: Date) -> String {
    format!("TENANT#{tenant}#LOG#{day}")
}

pub fn log_entry(tenant: &TenantId, message: &Message) -> (String, String) {
    (log(tenant, day(message.due_at)), instant_and(message.due_at, message.id.as_str()))
}

/// What messages are about: a lesson or a payment; or only whom, once it is decided that they go to no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    Lesson(&'a str),
    Payment(&'a str),
    Contact(&'a str),
}

pub fn about(tenant: &TenantId, subject: Subject<'_>) -> String {
    match subject {
        Subject::Lesson(id) => format!("TENANT#{tenant}#ABOUT#LESSON#{id}"),
        Subject::Payment(id) => format!("TENANT#{tenant}#ABOUT#PAYMENT#{id}"),
        Subject::Contact(id) => format!("TENANT#{tenant}#ABOUT#CONTACT#{id}"),
    }
}

/// What waits stands in two lanes, so that nothing urgent stands behind what was asked for in bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Reminders, single messages, codes, changes of a lesson, and all that is no message.
    First,
    /// Lists and campaigns.
    Bulk,
}

impl Lane {
    pub const ALL: [Lane; 2] = [Lane::First, Lane::Bulk];
}

/// A tenant's waiting messages of a lane lie in one partition, so that they are found in one piece.
pub fn due_shard(tenant: &TenantId, lane: Lane) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(tenant.as_str().as_bytes());
    due_partition((hash.finish() % u64::from(DUE_SHARDS)) as u32, lane)
}

pub fn due_partition(shard: u32, lane: Lane) -> String {
    match lane {
        Lane::First => format!("DUE#{shard}"),
        Lane::Bulk => format!("BULK#{shard}"),
    }
}

/// The tenant stands in the key: the index is the one place that knows no tenant beforehand.
pub fn due_entry(tenant: &TenantId, id: &str, at: Timestamp, lane: Lane) -> (String, String) {
    (due_shard(tenant, lane), instant_and(at, &format!("{tenant}#{id}")))
}

/// The tenant of an entry of the due index.
pub fn due_tenant(sort_key: &str) -> Option<TenantId> {
    TenantId::parse(sort_key.split('#').nth(1)?).ok()
}

/// What an entry of the due index is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Message,
    Batch,
    Recurring,
    Job,
    Campaign,
}

/// Of an item, by its sort key.
pub fn waiting(sk: &str) -> Option<Waiting> {
    match sk {
        "MESSAGE" => Some(Waiting::Message),
        "BATCH" => Some(Waiting::Batch),
        "RECURRING" => Some(Waiting::Recurring),
        "JOB" => Some(Waiting::Job),
        "CAMPAIGN" => Some(Waiting::Campaign),
        _ => None,
    }
}

/// Bounds a range over sort keys that begin with an instant: everything at or before `at`.
pub fn up_to(at: Timestamp) -> String {
    format!("{}~", instant(at))
}

/// An instant as it sorts: milliseconds, fixed width.
pub fn instant(at: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    PRINTER.timestamp_to_string(&at)
}

/// The instant at the head of a sort key.
pub fn head_instant(sort_key: &str) -> Option<Timestamp> {
    sort_key.split('#').next()?.parse().ok()
}

pub fn instant_and(at: Timestamp, id: &str) -> String {
    format!("{}#{id}", instant(at))
}

/// The UTC day of an instant.
pub fn day(at: Timestamp) -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(at).date()
}

/// FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_instant_sorts_as_it_runs() {
        let at = |text: &str| instant(text.parse().unwrap());
        assert_eq!(at("2026-03-06T00:30:00Z"), "2026-03-06T00:30:00.000Z");
        assert!(at("2026-03-06T00:30:00Z") < at("2026-03-06T00:30:00.001Z"));
        assert!(instant_and("2026-03-06T00:30:00Z".parse().unwrap(), "zzz") < up_to("2026-03-06T00:30:00Z".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn keys_of_different_things_differ(a in "[a-z0-9-]{1,8}", b in ".{0,8}", c in "[a-z0-9-]{1,8}", d in ".{0,8}") {
            prop_assume!((&a, &b) != (&c, &d));
            let (t, u) = (TenantId::parse(&a).unwrap(), TenantId::parse(&c).unwrap());
            prop_assert_ne!(contact(&t, &b), contact(&u, &d));
            prop_assert_ne!(lesson(&t, &b), lesson(&u, &d));
            prop_assert_ne!(lesson(&t, &b), payment(&u, &d));
            prop_assert_ne!(group(&t, &b), group(&u, &d));
            prop_assert_ne!(about(&t, Subject::Lesson(&b)), about(&u, Subject::Lesson(&d)));
            prop_assert_ne!(about(&t, Subject::Lesson(&b)), about(&u, Subject::Payment(&d)));
            let today = "2026-11-21".parse().unwrap();
            prop_assert_ne!(accepted(&t, &b, today), accepted(&u, &d, today));
        }
    }
}
