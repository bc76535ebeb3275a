//! Counts how recipients took part: answers to reminders, texts, opt-outs (S0-85, S2-51, S3-74). From the log, so
//! that it is exact however late something came.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::answer::Answer;
use crate::domain::consent::{Scope, Wish};
use crate::domain::contact::Category;
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;
use crate::store::{consents, keys, messages};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Engagement {
    /// Messages that were handed over.
    pub sent: u32,
    /// Reminders among them that asked.
    pub asked: u32,
    pub confirmed: u32,
    pub another_time: u32,
    /// Texts and calls that came in.
    pub received: u32,
    /// Different wishes: a number that says the same again has one. Of a number that was forgotten each counts.
    pub opt_outs: u32,
    pub opt_ins: u32,
    /// Numbers that something was handed over for.
    pub recipients: u32,
    /// Those of them that wrote or called.
    pub responded: u32,
    /// Those of them that opted out, wholly or of a category.
    pub opted_out: u32,
}

/// Who took part, by number. Only while it is counted.
#[derive(Default)]
struct People {
    recipients: HashSet<String>,
    writers: HashSet<String>,
    opted_out: HashSet<String>,
    /// What was asked about already, on another channel.
    asked: HashSet<String>,
    /// What each has wished already; a stop, or a start; of everything, or of some categories.
    wishes: BTreeSet<(String, bool, Option<BTreeSet<Category>>)>,
}

/// Of everything that was due, or came in, from `from` up to `to`.
pub async fn count_engagement(
    cx: &Context,
    tenant: &TenantId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Engagement, ContextError> {
    let table = cx.table().await?;
    let mut counts = Engagement::default();
    let mut people = People::default();
    let mut day = keys::day(from);
    while day <= keys::day(to) {
        messages::each_of_log(table, tenant, day, (from, to), |message| counts.count(message, &mut people)).await?;
        day = day.tomorrow().unwrap_or(jiff::civil::Date::MAX);
    }
    // However they came: by text, by key, by refusal, or entered by somebody.
    for entry in consents::all_wishes(table, tenant, Some(from), Some(to)).await? {
        let (is_stop, scope) = match entry.wish {
            Wish::Stop(scope) => (true, scope),
            Wish::Start(scope) => (false, scope),
            Wish::Help => continue,
        };
        let of = match scope {
            Scope::All => None,
            Scope::Only(categories) => Some(categories),
        };
        let number = entry.number.map(|number| number.e164().to_string());
        let is_new = number.clone().is_none_or(|number| people.wishes.insert((number, is_stop, of)));
        if is_stop {
            counts.opt_outs += u32::from(is_new);
            people.opted_out.extend(number);
        } else {
            counts.opt_ins += u32::from(is_new);
        }
    }
    counts.recipients = people.recipients.len() as u32;
    counts.responded = people.recipients.intersection(&people.writers).count() as u32;
    counts.opted_out = people.recipients.intersection(&people.opted_out).count() as u32;
    Ok(counts)
}

impl Engagement {
    fn count(&mut self, message: &Message, people: &mut People) {
        let peer = message.peer().map(|peer| peer.into_owned());
        if message.inbound.is_some() {
            self.received += 1;
            people.writers.extend(peer);
            return;
        }
        let was_handed_over = message.is_said() && !message.is_refused();
        self.sent += u32::from(was_handed_over);
        people.recipients.extend(peer.filter(|_| was_handed_over));
        let question = format!("{:?} {:?} {:?}", message.subject, message.contact, message.offset);
        if !message.asks || !was_handed_over || !people.asked.insert(question) {
            return;
        }
        self.asked += 1;
        match message.answer {
            Some(Answer::Confirmed) => self.confirmed += 1,
            Some(Answer::AnotherTime) => self.another_time += 1,
            None => {}
        }
    }
}
