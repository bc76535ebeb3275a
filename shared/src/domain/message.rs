//! A message: planned or asked for, claimed, accepted by Twilio, delivered, or not. How far: `status.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::direct::{Call, Content, Direct};
pub use super::status::{Reason, Status};

use super::answer::Answer;
use super::campaign;
use super::channel::Channel;
use super::contact::Category;
use super::inbound::Inbound;
use super::money::{Currency, Micros};
use super::phone::PhoneNumber;
use super::reminder::{Kind, Offset};
use super::report::Report;
use super::tenant::{Settings, TenantId};

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
    /// What it says was written by whoever asked for it, [`Message::direct`], or came in, [`Message::inbound`].
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
    /// Of what somebody wrote to us, or a call of theirs: `to` is their number then.
    #[serde(default)]
    pub inbound: Option<Box<Inbound>>,
    /// Whether it asked to confirm, or for another time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub asks: bool,
    /// What its recipient answered, if it asked.
    #[serde(default)]
    pub answer: Option<Answer>,
    pub status: Status,
    pub reason: Option<Reason>,
    /// When it goes, or goes again.
    pub due_at: Timestamp,
    /// While it is claimed: when the claim lapses, so that somebody finds out what became of it.
    #[serde(default)]
    pub lease_until: Option<Timestamp>,
    /// While it is claimed: the account at Twilio that it is for, which alone knows what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
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
    /// What we did. What Twilio said of it stands in `reports`; [`Message::story`] is both.
    pub timeline: Vec<Step>,
    /// Everything that Twilio said, each once: a [`Report`] as text, and when and how it first came.
    #[serde(default)]
    pub reports: BTreeMap<String, Step>,
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
            inbound: None,
            asks: false,
            answer: None,
            status: Status::Scheduled,
            reason: None,
            due_at,
            lease_until: None,
            account: None,
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
            reports: BTreeMap::new(),
        }
    }

    /// The message as all its reports together have it, in whatever order they came.
    pub fn heard(mut self) -> Self {
        let reports: Vec<Report> = self.reports.keys().filter_map(|line| Report::parse(line)).collect();
        let known = reports.iter().filter_map(|report| Some((report.status()?, report.error_code)));
        if let Some((status, code)) = known.max()
            && status >= self.status
        {
            // A code of an attempt that came to nothing is none of what came after it.
            self.error_code = code.or(self.error_code.filter(|_| status == self.status));
            self.status = status;
        }
        let sid = reports.iter().map(|report| &report.sid).min();
        self.sid = self.sid.or_else(|| sid.cloned());
        self.duration = reports.iter().filter_map(Report::duration).max().or(self.duration);
        let answered_by = reports.iter().filter_map(Report::answered_by).max();
        self.answered_by = answered_by.map(str::to_string).or(self.answered_by);
        self
    }

    /// How far it would be without the report `line`.
    pub fn status_but_for(&self, line: &str) -> Status {
        let others = self.reports.keys().filter(|other| *other != line);
        others.filter_map(|other| Report::parse(other)?.status()).fold(self.status, Status::max)
    }

    /// When Twilio first reported `code`, if it did.
    pub fn refused_with(&self, code: u32) -> Option<Timestamp> {
        let with_code = |line: &String| Report::parse(line).is_some_and(|report| report.error_code == Some(code));
        self.reports.iter().filter(|(line, _)| with_code(line)).map(|(_, step)| step.at).min()
    }

    /// What Twilio says in `currency` that it cost, once it says so.
    pub fn told_price(&self, currency: &Currency) -> Option<Micros> {
        let prices = self.reports.keys().filter_map(|line| Report::parse(line)?.price());
        prices.filter(|(_, told)| told == currency).map(|(price, _)| price).max()
    }

    /// Whether Twilio reports on it under more than one id: it was sent twice.
    pub fn is_doubled(&self) -> bool {
        let sids = self.reports.keys().filter_map(|line| Some(Report::parse(line)?.sid));
        sids.chain(self.sid.clone()).collect::<BTreeSet<String>>().len() > 1
    }

    /// What we did and what Twilio said, in the order in which it came.
    pub fn story(&self) -> Vec<Step> {
        let said = self.reports.iter().map(|(line, step)| Step { detail: Some(line.clone()), ..step.clone() });
        let mut story: Vec<Step> = self.timeline.iter().cloned().chain(said).collect();
        story.sort_by_key(|step| step.at);
        story
    }

    /// The address at the other end.
    pub fn peer(&self) -> Option<Cow<'_, str>> {
        match (&self.to, &self.inbound) {
            (Some(number), _) => Some(Cow::Borrowed(number.e164())),
            (None, Some(inbound)) => Some(Cow::Borrowed(inbound.from.trim())),
            (None, None) => None,
        }
    }

    /// Whether a conversation shows it: what was said, and what somebody wrote that did not go.
    pub fn is_of_conversation(&self) -> bool {
        self.is_said() || (self.status == Status::Skipped && self.direct.is_some())
    }

    /// Whether it was handed over, or came in.
    pub fn is_said(&self) -> bool {
        match self.status {
            Status::Scheduled | Status::Skipped | Status::Canceled => false,
            Status::Sending | Status::Accepted | Status::Queued | Status::Sent => true,
            Status::Initiated | Status::Ringing | Status::InProgress => true,
            Status::Busy | Status::NoAnswer | Status::Undelivered | Status::Failed => true,
            Status::Completed | Status::Delivered | Status::Read | Status::Received => true,
        }
    }

    /// Whether it failed before anybody had it: Twilio refused it for good, or took it in no attempt. It has no SID then,
    /// and its money back. What nobody could find out about counts as handed over.
    pub fn is_refused(&self) -> bool {
        self.status.shown() == "Failed" && self.sid.is_none() && self.cost.is_none()
    }

    /// Whether it is a call, also while it waits and has no channel yet.
    pub fn is_call(&self) -> bool {
        self.channel == Some(Channel::Voice) || self.direct.as_ref().is_some_and(|direct| direct.call.is_some())
    }

    /// What it is for.
    pub fn category(&self) -> Category {
        self.direct.as_ref().map_or_else(|| self.kind.category(), |direct| direct.category)
    }

    /// Whether the frequency cap limits and counts it (reminders.md §3.6, S1-64). Schedule changes are
    /// urgent, and what somebody writes himself is his own to judge, unless it is advertising or reminding.
    fn is_capped(&self) -> bool {
        match self.kind {
            Kind::LessonReminder | Kind::PaymentReminder | Kind::Attendance => true,
            Kind::ScheduleChange | Kind::Test | Kind::Inbound => false,
            Kind::Message => matches!(self.category(), Category::Marketing | Category::Reminder),
        }
    }

    /// Whether the tenant's frequency cap, if there is one, limits and counts it.
    pub fn counts_towards_cap(&self, settings: &Settings) -> bool {
        settings.frequency_cap.is_some() && self.is_capped()
    }

    /// Whether it may go at any hour (D12).
    pub fn is_exempt_from_quiet_hours(&self) -> bool {
        self.kind == Kind::Test || self.category() == Category::Authentication
    }

    /// Free text over WhatsApp, which only goes to somebody who wrote within a day (D14). A type's own
    /// text stands for its approved template, whether the tenant named that or not.
    pub fn needs_window(&self, channel: Channel) -> bool {
        let is_written = matches!(self.kind, Kind::Message | Kind::Test);
        let is_free = self.direct.as_ref().is_some_and(|direct| direct.content.is_none());
        is_written && is_free && channel == Channel::Whatsapp
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

    /// Whether somebody has to look at it at [`Message::wakes_at`]: it is not at Twilio yet, or came in and
    /// nobody was told.
    pub fn is_waiting(&self) -> bool {
        let is_untold = self.inbound.as_ref().is_some_and(|inbound| !inbound.told);
        (self.status <= Status::Sending && self.inbound.is_none()) || is_untold
    }

    /// Whether it was asked for with many others, and may wait behind whatever was not.
    pub fn is_bulk(&self) -> bool {
        let has_slot = self.direct.as_ref().is_some_and(|direct| direct.slot_of.is_some());
        has_slot && !matches!(self.category(), Category::Authentication | Category::Schedule)
    }

    /// The campaign that it is of.
    pub fn campaign(&self) -> Option<&str> {
        let of = self.direct.as_ref().map(|direct| direct.fingerprint.as_str());
        of.filter(|id| is_derived(id, campaign::PREFIX))
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
