//! Counts how recipients took part: answers to reminders, texts, opt-outs. From the log, so that it is exact
//! however late something came.

use jiff::Timestamp;

use crate::context::{Context, ContextError};
use crate::domain::answer::Answer;
use crate::domain::consent::Wish;
use crate::domain::message::Message;
use crate::domain::tenant::TenantId;
use crate::store::{keys, messages};

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
    let mut day = keys::day(from);
    while day <= keys::day(to) {
        let log = messages::log(table, tenant, day).await?;
        log.iter().filter(|message| (from..=to).contains(&message.due_at)).for_each(|message| counts.count(message));
        day = day.tomorrow().unwrap_or(jiff::civil::Date::MAX);
    }
    Ok(counts)
}

impl Engagement {
    fn count(&mut self, message: &Message) {
        if let Some(inbound) = &message.inbound {
            self.received += 1;
            match inbound.reading.wish {
                Some((Wish::Stop(_), _)) => self.opt_outs += 1,
                Some((Wish::Start(_), _)) => self.opt_ins += 1,
                Some((Wish::Help, _)) | None => {}
            }
            return;
        }
        self.sent += u32::from(message.is_said());
        self.asked += u32::from(message.is_said() && message.asks);
        match message.answer {
            Some(Answer::Confirmed) => self.confirmed += 1,
            Some(Answer::AnotherTime) => self.another_time += 1,
            None => {}
        }
    }
}
