//! Counts how recipients took part: answers to reminders, texts, opt-outs. From the log, so that it is exact
//! however late something came.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::answer::Answer;
use crate::domain::consent::Wish;
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
    pub opt_outs: u32,
    pub opt_ins: u32,
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
    let mut asked = HashSet::new();
    let mut day = keys::day(from);
    while day <= keys::day(to) {
        let log = messages::log(table, tenant, day).await?;
        let within = log.iter().filter(|message| (from..=to).contains(&message.due_at));
        within.for_each(|message| counts.count(message, &mut asked));
        day = day.tomorrow().unwrap_or(jiff::civil::Date::MAX);
    }
    // However they came: by text, by key, by refusal, or entered by somebody.
    for entry in consents::all_wishes(table, tenant, Some(from), Some(to)).await? {
        match entry.wish {
            Wish::Stop(_) => counts.opt_outs += 1,
            Wish::Start(_) => counts.opt_ins += 1,
            Wish::Help => {}
        }
    }
    Ok(counts)
}

impl Engagement {
    /// `asked`: what was asked about already, on another channel.
    fn count(&mut self, message: &Message, asked: &mut HashSet<String>) {
        if message.inbound.is_some() {
            self.received += 1;
            return;
        }
        self.sent += u32::from(message.is_said());
        let question = format!("{:?} {:?} {:?}", message.subject, message.contact, message.offset);
        if !message.asks || !message.is_said() || !asked.insert(question) {
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
