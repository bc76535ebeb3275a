//! What a run came to: a line for each message, and the sums.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use shared::context::{Context, ContextError};
use shared::domain::channel::Channel;
use shared::domain::contact::Contact;
use shared::domain::message::{Happened, Message, Reason, Status};
use shared::domain::money::{Micros, Money};
use shared::domain::policy::{self, Question};
use shared::domain::reminder::{HORIZON, Kind};
use shared::domain::tenant::{Settings, TenantId};
use shared::store::{keys, messages};

use crate::simulate::Span;

/// One message, as `--json` writes it. The fields are in the order of the output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub kind: Kind,
    pub subject: String,
    pub contact: String,
    pub offset: Option<String>,
    pub channel: Option<Channel>,
    pub outcome: Status,
    pub reason: Option<Reason>,
    pub at: Timestamp,
    pub to: Option<String>,
    pub body: Option<String>,
    pub segments: Option<u32>,
    /// Tells two changes of one lesson apart, in the order in which they came.
    #[serde(skip)]
    happened: Happened,
}

/// Every message of a run, in the order of reminders.md §6.
pub struct Outcome {
    pub lines: Vec<Line>,
    pub summary: Summary,
}

/// The sums of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub sent: usize,
    pub by_status: BTreeMap<Status, usize>,
    pub skipped: BTreeMap<Reason, usize>,
    pub canceled: BTreeMap<Reason, usize>,
    pub deferred: usize,
    pub segments: u32,
    pub cost: Option<Money>,
}

/// A deferral moves a message at most so far beyond the plan's horizon.
const LONGEST_DEFERRAL_HOURS: i64 = 24 * 5;

/// Reads what became of everything that was planned in `span`.
pub async fn read(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    contacts: &HashMap<String, Contact>,
    span: Span,
) -> Result<Outcome, ContextError> {
    let table = cx.table().await?;
    let mut outcome = Outcome { lines: Vec::new(), summary: Summary::default() };
    let mut cost = 0;
    let last = keys::day(span.until + HORIZON + jiff::SignedDuration::from_hours(LONGEST_DEFERRAL_HOURS));
    let mut day = keys::day(span.from);
    while day <= last {
        for message in messages::log(table, tenant, day).await? {
            cost += message.cost.filter(|_| message.status > Status::Sending).unwrap_or_default().0;
            // The lines are what was planned: not who wrote, nor what was answered at once.
            if message.inbound.is_some() || message.kind == Kind::Message {
                continue;
            }
            outcome.summary.deferred += usize::from(message.timeline.iter().any(|step| step.step == "deferred"));
            add_lines(&mut outcome.lines, message, settings, contacts);
        }
        day = day.tomorrow().unwrap_or(jiff::civil::Date::MAX);
    }
    let order = |line: &Line| {
        (line.at, line.kind.word(), line.subject.clone(), line.contact.clone(), line.offset.clone(), line.channel, line.happened)
    };
    outcome.lines.sort_by_cached_key(order);
    for line in &outcome.lines {
        outcome.summary.add(line);
    }
    outcome.summary.cost = Some(Money { amount: Micros(cost), currency: settings.budget.currency.clone() });
    Ok(outcome)
}

fn add_lines(lines: &mut Vec<Line>, message: Message, settings: &Settings, contacts: &HashMap<String, Contact>) {
    let sent = matches!(message.status, Status::Delivered | Status::Read | Status::Undelivered | Status::Failed);
    let at = match message.status {
        Status::Scheduled => message.due_at,
        _ => message.decided_at.unwrap_or(message.due_at),
    };
    let happened = message.happened();
    let line = Line {
        kind: message.kind,
        subject: message.subject,
        contact: message.contact.unwrap_or_default(),
        offset: message.offset.map(|offset| offset.to_string()),
        channel: message.channel,
        outcome: message.status,
        reason: message.reason.filter(|_| !sent),
        at,
        to: message.to.filter(|_| sent).map(|to| to.e164().to_string()),
        body: message.body.filter(|_| sent),
        segments: message.segments.filter(|_| sent),
        happened,
    };
    let undecided = matches!(message.status, Status::Scheduled | Status::Canceled) && line.channel.is_none();
    let chosen = contacts.get(&line.contact).filter(|_| undecided);
    let asked = |contact| Question {
        settings,
        contact,
        kind: line.kind,
        category: line.kind.category(),
        asked: &[],
        only: None,
        at_any_hour: false,
        deadline: None,
    };
    match chosen.map(|contact| policy::channels(&asked(contact))) {
        Some(Ok(channels)) => {
            lines.extend(channels.into_iter().map(|(channel, _)| Line { channel: Some(channel), ..line.clone() }));
        }
        Some(Err(_)) | None => lines.push(line),
    }
}

impl Summary {
    fn add(&mut self, line: &Line) {
        *self.by_status.entry(line.outcome).or_default() += 1;
        match (line.outcome, line.reason) {
            (Status::Skipped, Some(reason)) => *self.skipped.entry(reason).or_default() += 1,
            (Status::Canceled, Some(reason)) => *self.canceled.entry(reason).or_default() += 1,
            _ => {}
        }
        if line.to.is_some() && line.outcome != Status::Failed {
            self.sent += 1;
            self.segments += line.segments.unwrap_or_default();
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |status| self.by_status.get(&status).copied().unwrap_or_default();
        let reasons = |of: &BTreeMap<Reason, usize>| {
            let each: Vec<String> = of.iter().map(|(reason, count)| format!("{} {count}", reason.word())).collect();
            if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
        };
        writeln!(f, "sent       {}", self.sent)?;
        writeln!(f, "delivered  {}", count(Status::Delivered) + count(Status::Read))?;
        writeln!(f, "failed     {}", count(Status::Failed) + count(Status::Undelivered))?;
        writeln!(f, "skipped    {}{}", count(Status::Skipped), reasons(&self.skipped))?;
        writeln!(f, "canceled   {}{}", count(Status::Canceled), reasons(&self.canceled))?;
        writeln!(f, "scheduled  {}", count(Status::Scheduled))?;
        writeln!(f, "deferred   {}", self.deferred)?;
        writeln!(f, "segments   {}", self.segments)?;
        match &self.cost {
            // Fractions of a cent matter here; `Money` shows what people pay.
            Some(cost) => write!(f, "cost       {} {}", cost.amount, cost.currency),
            None => Ok(()),
        }
    }
}
