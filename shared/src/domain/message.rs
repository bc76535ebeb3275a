//! A message and its life: planned, claimed, accepted by Twilio, delivered, or not, and why.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::contact::Category;
use super::money::Micros;
use super::phone::PhoneNumber;
use super::reminder::{Kind, Offset};
use super::tenant::TenantId;

/// How far a message got. **Declaration order is the life-cycle**: what Twilio reports is merged
/// by `max`, so callbacks may come late, twice or in any order.
///
/// Before Twilio has accepted, the only moves are compare-and-set on the message's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Ours: waits for its `due_at`.
    Scheduled,
    /// Ours: claimed by one worker, with a lease.
    Sending,
    Accepted,
    Queued,
    /// Of calls, as the next two.
    Initiated,
    Ringing,
    InProgress,
    Sent,
    /// Ours, an end: decided against, see the reason.
    Skipped,
    Canceled,
    /// Of calls, as the next.
    Busy,
    NoAnswer,
    Undelivered,
    Failed,
    /// Of calls: somebody, or something, took it.
    Completed,
    Delivered,
    Read,
}

impl Status {
    /// Every status in life-cycle order.
    pub const ALL: [Status; 17] = [
        Status::Scheduled,
        Status::Sending,
        Status::Accepted,
        Status::Queued,
        Status::Initiated,
        Status::Ringing,
        Status::InProgress,
        Status::Sent,
        Status::Skipped,
        Status::Canceled,
        Status::Busy,
        Status::NoAnswer,
        Status::Undelivered,
        Status::Failed,
        Status::Completed,
        Status::Delivered,
        Status::Read,
    ];

    /// What Twilio's word means to us; `None` for a word that is not known.
    pub fn from_twilio(word: &str) -> Option<Self> {
        match word {
            "accepted" | "scheduled" => Some(Self::Accepted),
            // `sending` comes in no callback; fetched, it says no more than `queued`.
            "queued" | "sending" => Some(Self::Queued),
            "sent" => Some(Self::Sent),
            "delivered" => Some(Self::Delivered),
            "undelivered" | "partially_delivered" => Some(Self::Undelivered),
            "failed" => Some(Self::Failed),
            "canceled" => Some(Self::Canceled),
            "read" => Some(Self::Read),
            "initiated" => Some(Self::Initiated),
            "ringing" => Some(Self::Ringing),
            "in-progress" => Some(Self::InProgress),
            "busy" => Some(Self::Busy),
            "no-answer" => Some(Self::NoAnswer),
            "completed" => Some(Self::Completed),
            _ => None,
        }
    }

    /// Place in the life-cycle, for the table's conditions.
    pub fn rank(self) -> u32 {
        self as u32
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }

    /// Whether nothing more is expected (a `delivered` WhatsApp message may still be `read`).
    pub fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::Sending | Self::Accepted | Self::Queued => false,
            Self::Initiated | Self::Ringing | Self::InProgress | Self::Sent => false,
            Self::Skipped | Self::Canceled | Self::Undelivered | Self::Failed | Self::Delivered | Self::Read => true,
            Self::Busy | Self::NoAnswer | Self::Completed => true,
        }
    }

    /// The four words that users see, and Skipped (S0-77..80).
    pub fn shown(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Sending => "Pending",
            Self::Accepted | Self::Queued | Self::Sent => "Sent",
            Self::Initiated | Self::Ringing | Self::InProgress => "Sent",
            Self::Delivered | Self::Read | Self::Completed => "Delivered",
            Self::Undelivered | Self::Failed | Self::Busy | Self::NoAnswer => "Failed",
            Self::Skipped | Self::Canceled => "Skipped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a message was not sent (reminders.md §2.3, §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    TenantDisabled,
    TypeDisabled,
    OptedOut,
    InvalidNumber,
    NoChannel,
    TooLate,
    Superseded,
    /// The template asks for what the contact, lesson or payment does not have.
    MissingVariable,
    FrequencyCap,
    Budget,
    Moved,
    LessonCancelled,
    Paid,
    NotAttending,
    /// Twilio did not take it, time after time.
    NotProcessed,
    /// Somebody took it back.
    OnRequest,
    /// The contact it was for is gone.
    ContactGone,
    /// WhatsApp takes free text only for 24 hours after the recipient wrote (D14).
    OutsideWindow,
    DoNotCall,
}

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Self::TenantDisabled => "tenant_disabled",
            Self::TypeDisabled => "type_disabled",
            Self::OptedOut => "opted_out",
            Self::InvalidNumber => "invalid_number",
            Self::NoChannel => "no_channel",
            Self::TooLate => "too_late",
            Self::Superseded => "superseded",
            Self::MissingVariable => "missing_variable",
            Self::FrequencyCap => "frequency_cap",
            Self::Budget => "budget",
            Self::Moved => "moved",
            Self::LessonCancelled => "lesson_cancelled",
            Self::Paid => "paid",
            Self::NotAttending => "not_attending",
            Self::NotProcessed => "not_processed",
            Self::OnRequest => "on_request",
            Self::ContactGone => "contact_gone",
            Self::OutsideWindow => "outside_window",
            Self::DoNotCall => "do_not_call",
        }
    }
}

/// What happened that the message tells of, as it was when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facts {
    /// Nothing yet: the lesson or payment is read again when the reminder is due.
    Reminder,
    Moved {
        from: Timestamp,
        to: Timestamp,
    },
    Cancelled {
        start: Timestamp,
    },
    Attendance {
        start: Timestamp,
        status: String,
        recorded_at: Timestamp,
    },
    /// What it says was written by whoever asked for it: [`Message::direct`].
    Direct,
}

const MESSAGE_PREFIX: &str = "msg_";

/// 128 bits of SHA-256 over tenant and parts, each with its length, so that no two lists collide; in hex.
pub fn derived(tenant: &TenantId, parts: &[&str]) -> String {
    let mut input = Vec::with_capacity(128);
    for part in std::iter::once(&tenant.as_str()).chain(parts) {
        input.extend_from_slice(&(part.len() as u32).to_be_bytes());
        input.extend_from_slice(part.as_bytes());
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &input);
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` is `prefix` and what [`derived`] makes.
pub fn is_derived(text: &str, prefix: &str) -> bool {
    let hex = text.strip_prefix(prefix);
    hex.is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()))
}

/// Our id of a message, derived from what it is about: the second try meets the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    pub fn derive(tenant: &TenantId, parts: &[&str]) -> Self {
        Self(format!("{MESSAGE_PREFIX}{}", derived(tenant, parts)))
    }

    /// An id as it comes back in a callback URL; anything else is no id of ours.
    pub fn parse(text: &str) -> Option<Self> {
        is_derived(text, MESSAGE_PREFIX).then(|| Self(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of a message's story, stored as one: `2026-03-06T00:30:00Z callback delivered SM…`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Step {
    pub at: Timestamp,
    /// `planned`, `deferred`, `claimed`, `accepted`, `callback`, …: one word.
    pub step: String,
    pub detail: Option<String>,
}

impl TryFrom<String> for Step {
    type Error = jiff::Error;

    fn try_from(line: String) -> Result<Self, jiff::Error> {
        let mut parts = line.splitn(3, ' ');
        let at = parts.next().unwrap_or_default().parse()?;
        Ok(Self { at, step: parts.next().unwrap_or_default().to_string(), detail: parts.next().map(str::to_string) })
    }
}

impl From<Step> for String {
    fn from(step: Step) -> Self {
        match step.detail {
            Some(detail) => format!("{} {} {detail}", step.at, step.step),
            None => format!("{} {}", step.at, step.step),
        }
    }
}

impl Step {
    pub fn new(at: Timestamp, step: &str) -> Self {
        Self { at, step: step.to_string(), detail: None }
    }

    pub fn with(at: Timestamp, step: &str, detail: impl fmt::Display) -> Self {
        Self { detail: Some(detail.to_string()), ..Self::new(at, step) }
    }
}

/// What whoever asked for a message wants of it, beyond its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    pub category: Category,
    /// The channels it goes over; empty to let contact and tenant choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// An approved template of Twilio's, instead of free text (D14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The template of ours that its text was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The caller's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it belongs to at the caller's: `customerId`, `orderId`, … (S3-48).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Who asked (S3-47).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_by: Option<String>,
    /// Fingerprint of the request: the same key with another request is a conflict.
    pub fingerprint: String,
    /// The sender whose clock gave it its `due_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_of: Option<String>,
}

impl Direct {
    /// Of a message that was planned, which wants nothing but the content template of its type.
    pub fn only_content(kind: Kind, content: Content) -> Box<Self> {
        Box::new(Self { content: Some(content), ..Self::of(kind.category()) })
    }

    /// Nothing but a category.
    fn of(category: Category) -> Self {
        Self {
            category,
            channels: Vec::new(),
            media_urls: Vec::new(),
            content: None,
            call: None,
            template: None,
            reference: None,
            links: BTreeMap::new(),
            sent_by: None,
            fingerprint: String::new(),
            slot_of: None,
        }
    }
}

/// A Content template and what fills it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// `HX…`.
    pub sid: String,
    pub variables: BTreeMap<String, String>,
}

/// How a call goes. What is said is the message's body, unless TwiML elsewhere says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// TwiML that somebody else serves (S1-78).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twiml_url: Option<String>,
    /// Twilio's name of a voice: `alice`, `Polly.Joanna`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// BCP 47: `en-US`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether Twilio is to tell a machine from a person.
    #[serde(default)]
    pub detect_machine: bool,
    /// It is ended after so many minutes, and may cost as many.
    #[serde(default)]
    pub max_minutes: u32,
}

/// A message as stored.
///
/// A planned message has no channel: that is decided when it is due. Decided for one channel it
/// keeps its row; for several, the first keeps the row and each other gets one of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub kind: Kind,
    /// The lesson's or payment's id.
    pub subject: String,
    /// The lesson's or payment's version that it was planned for.
    pub version: u32,
    /// The contact's id; `None` for a bare number.
    pub contact: Option<String>,
    pub offset: Option<Offset>,
    pub channel: Option<Channel>,
    pub facts: Facts,
    #[serde(default)]
    pub direct: Option<Box<Direct>>,
    pub status: Status,
    pub reason: Option<Reason>,
    /// When it goes, or goes again.
    pub due_at: Timestamp,
    /// While it is claimed: when the claim lapses, so that somebody finds out what became of it.
    #[serde(default)]
    pub lease_until: Option<Timestamp>,
    /// Grows with every write; each write names the one it saw.
    pub revision: u32,
    /// How often Twilio was called for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// How often the resolver has looked for it at Twilio since the last attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub looks: u32,
    /// When it was last handed to Twilio, or decided.
    pub decided_at: Option<Timestamp>,
    pub to: Option<PhoneNumber>,
    pub body: Option<String>,
    pub segments: Option<u32>,
    /// Reserved on the meter of [`Message::month`].
    pub cost: Option<Micros>,
    pub month: Option<String>,
    /// Twilio's id, once it has accepted.
    pub sid: Option<String>,
    /// How long a call lasted, in seconds.
    #[serde(default)]
    pub duration: Option<u32>,
    /// Who took a call, in Twilio's word, if it was to find out: `human`, `machine_start`, …
    #[serde(default)]
    pub answered_by: Option<String>,
    /// Nothing left this system: the tenant has no Twilio account (S2-37..40).
    #[serde(default, skip_serializing_if = "is_false")]
    pub simulated: bool,
    pub error_code: Option<u32>,
    pub timeline: Vec<Step>,
}

impl Message {
    /// A message of `kind` that waits for `due_at`.
    pub fn planned(tenant: &TenantId, plan: Plan<'_>, due_at: Timestamp, now: Timestamp) -> Self {
        let offset = plan.offset.map(|offset| offset.to_string()).unwrap_or_default();
        let (fact, detail) = match &plan.facts {
            Facts::Reminder => ("reminder", String::new()),
            Facts::Moved { to, .. } => ("moved", to.to_string()),
            Facts::Cancelled { .. } => ("cancelled", String::new()),
            Facts::Attendance { status, recorded_at, .. } => ("attendance", format!("{recorded_at} {status}")),
            Facts::Direct => ("direct", String::new()),
        };
        let version = plan.version.to_string();
        let identity = [plan.kind.word(), plan.subject, &version, plan.contact, &offset, fact, &detail];
        let id = MessageId::derive(tenant, &identity);
        Self {
            subject: plan.subject.to_string(),
            version: plan.version,
            contact: Some(plan.contact.to_string()),
            offset: plan.offset,
            ..Self::waiting(id, plan.kind, plan.facts, due_at, Step::new(now, "planned"))
        }
    }

    /// A message that waits for `due_at`, whose story begins with `first`.
    pub fn waiting(id: MessageId, kind: Kind, facts: Facts, due_at: Timestamp, first: Step) -> Self {
        Self {
            id,
            kind,
            subject: String::new(),
            version: 0,
            contact: None,
            offset: None,
            channel: None,
            facts,
            direct: None,
            status: Status::Scheduled,
            reason: None,
            due_at,
            lease_until: None,
            revision: 1,
            attempt: 0,
            looks: 0,
            decided_at: None,
            to: None,
            body: None,
            segments: None,
            cost: None,
            month: None,
            sid: None,
            duration: None,
            answered_by: None,
            simulated: false,
            error_code: None,
            timeline: vec![first],
        }
    }

    /// What it is for.
    pub fn category(&self) -> Category {
        self.direct.as_ref().map_or_else(|| self.kind.category(), |direct| direct.category)
    }

    /// Whether the frequency cap limits and counts it (reminders.md §3.6, S1-64). Schedule changes are
    /// urgent, and what somebody writes himself is his own to judge, unless it is advertising or reminding.
    pub fn is_capped(&self) -> bool {
        match self.kind {
            Kind::LessonReminder | Kind::PaymentReminder | Kind::Attendance => true,
            Kind::ScheduleChange | Kind::Test => false,
            Kind::Message => matches!(self.category(), Category::Marketing | Category::Reminder),
        }
    }

    /// Whether it may go at any hour (D12).
    pub fn is_exempt_from_quiet_hours(&self) -> bool {
        self.kind == Kind::Test || self.category() == Category::Authentication
    }

    /// Free text over WhatsApp, which only goes to somebody who wrote within a day (D14). A type's own
    /// text stands for its approved template, whether the tenant named that or not.
    pub fn needs_window(&self) -> bool {
        let is_written = matches!(self.kind, Kind::Message | Kind::Test);
        let is_free = self.direct.as_ref().is_some_and(|direct| direct.content.is_none());
        is_written && is_free && self.channel == Some(Channel::Whatsapp)
    }

    /// Until when it was put off in the moment in which it was asked for.
    pub fn deferred_at_once(&self) -> Option<Timestamp> {
        let [first, second, ..] = self.timeline.as_slice() else { return None };
        let at_once = second.step == "deferred" && second.at == first.at;
        second.detail.as_ref().filter(|_| at_once)?.parse().ok()
    }

    /// Why it was decided against in the moment in which it was asked for.
    pub fn refused_at_once(&self) -> Option<Reason> {
        let [first, second, ..] = self.timeline.as_slice() else { return None };
        self.reason.filter(|_| second.step == "skipped" && second.at == first.at)
    }

    /// No message, but something in the place of one: what was asked for under its key was something else.
    pub fn stand_in(id: MessageId, fingerprint: &str, now: Timestamp) -> Self {
        let direct = Direct { fingerprint: fingerprint.to_string(), ..Direct::of(Category::General) };
        let waiting = Self::waiting(id, Kind::Message, Facts::Direct, now, Step::new(now, "asked"));
        Self { status: Status::Canceled, direct: Some(Box::new(direct)), ..waiting }
    }

    /// When somebody has to look at it next, while it is not at Twilio.
    pub fn wakes_at(&self) -> Timestamp {
        self.lease_until.unwrap_or(self.due_at)
    }

    /// The same message for one more channel.
    pub fn for_channel(&self, tenant: &TenantId, channel: Channel) -> Self {
        Self {
            id: MessageId::derive(tenant, &[self.id.as_str(), channel.word()]),
            channel: Some(channel),
            revision: 1,
            ..self.clone()
        }
    }

    /// The order in which messages of one instant are decided (reminders.md §3): strings, null first;
    /// of two changes of one lesson, what happened first.
    pub fn order(&self) -> (&'static str, &str, Option<&str>, Option<String>, Option<&'static str>, Happened) {
        let offset = self.offset.map(|offset| offset.to_string());
        (self.kind.word(), &self.subject, self.contact.as_deref(), offset, self.channel.map(Channel::word), self.happened())
    }

    /// When what it tells of happened, to put equal ones in order.
    pub fn happened(&self) -> Happened {
        let planned = self.timeline.first().map_or(self.due_at, |step| step.at);
        let fact = match self.facts {
            Facts::Reminder | Facts::Attendance { .. } | Facts::Direct => 0,
            Facts::Moved { .. } => 1,
            Facts::Cancelled { .. } => 2,
        };
        (planned, self.version, fact)
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Instant, version, and a cancellation after the move that it follows.
pub type Happened = (Timestamp, u32, u8);

/// What a message is planned for.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub kind: Kind,
    pub subject: &'a str,
    pub version: u32,
    pub contact: &'a str,
    pub offset: Option<Offset>,
    pub facts: Facts,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_listed_in_life_cycle_order() {
        assert!(Status::ALL.is_sorted());
        for status in Status::ALL {
            assert_eq!(Status::ALL[status.rank() as usize], status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        }
    }

    #[test]
    fn a_step_is_one_line_and_back() {
        let at = "2026-03-06T00:30:00Z".parse().unwrap();
        for step in [Step::new(at, "planned"), Step::with(at, "callback", "delivered SM1 30003")] {
            assert_eq!(Step::try_from(String::from(step.clone())).unwrap(), step);
        }
    }

    #[test]
    fn ids_are_derived_injectively_and_survive_a_round_trip() {
        let tenant = TenantId::parse("t").unwrap();
        let id = MessageId::derive(&tenant, &["ab", "c"]);
        assert_ne!(id, MessageId::derive(&tenant, &["a", "bc"]));
        assert_ne!(id, MessageId::derive(&TenantId::parse("u").unwrap(), &["ab", "c"]));
        assert_eq!(MessageId::parse(id.as_str()), Some(id));
        assert_eq!(MessageId::parse("msg_../../x"), None);
    }
}
