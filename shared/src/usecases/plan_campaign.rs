//! Plans a campaign: weighs the rows of its file, chunk by chunk. A crash repeats a chunk and skips none.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::weigh_rows::{Scales, Stretch, day, weigh_rows};
use crate::context::{Context, ContextError};
use crate::domain::campaign::Row;
use crate::domain::campaign::assess::Seen;
use crate::domain::campaign::layout::{MOST_ROWS, Place};
use crate::domain::tenant::{Settings, TenantId};
use crate::files::sheet;
use crate::store::StoreError;
use crate::store::campaigns::{self, Campaign, Stage};

/// Of a file whose first parts are tiny, so much is read to find its header.
const HEAD: usize = 64 * 1024;
/// Somebody who puts a part once more has it back after this long; what is missing then has been kept too long.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What a run remembers between steps.
#[derive(Default)]
pub struct Memory {
    /// Of which campaign it is, and how many of its chunks were planned then.
    of: Option<(String, u32)>,
    seen: Option<Seen>,
    window: Window,
}

/// Why no rows can be planned.
enum Trouble {
    /// For people.
    Unusable(String),
    /// The part of this number is not there.
    Missing(u32),
    Context(ContextError),
}

impl From<ContextError> for Trouble {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Context(error.into())
    }
}

/// Plans the next chunk; after the last, the campaign is held or goes. A file that cannot be used makes it fail. Answers
/// whether the campaign was still as it was read: if not, nothing is written, and whoever was faster goes on with it.
pub async fn plan_step(
    cx: &Context,
    tenant: &TenantId,
    campaign: &mut Campaign,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<bool, ContextError> {
    let table = cx.table().await?;
    let settings = cx.settings(tenant, now).await?;
    let at_hand = Some((campaign.id.clone(), campaign.chunks));
    if memory.of != at_hand {
        *memory = Memory { of: at_hand, ..Memory::default() };
    }
    // What is not written in the end is not remembered either.
    let mut seen = match memory.seen.take() {
        Some(seen) => seen,
        None => Seen::new(campaigns::seen(table, tenant, campaign).await?),
    };
    let mut next = campaign.clone();
    let rows = match next_rows(cx, tenant, &settings, &mut next, &mut memory.window, &mut seen, now).await {
        Ok(rows) => rows,
        Err(Trouble::Context(error)) => return Err(error),
        Err(Trouble::Unusable(why)) => {
            next = failed(campaign, why, now);
            Vec::new()
        }
        Err(Trouble::Missing(part)) => {
            let known = campaigns::get(table, tenant, &campaign.id).await?;
            if known.is_none_or(|known| known.revision != campaign.revision) {
                return Ok(false);
            }
            if now < campaign.due_at + PATIENCE {
                return Err(StoreError::Unreachable(format!("part {part} of a campaign's file is being written").into()).into());
            }
            let why = format!("part {part} of its file, counted from 0, is not kept any more: make a new campaign");
            next = failed(campaign, why, now);
            Vec::new()
        }
    };
    let is_ours = if rows.is_empty() {
        campaigns::update(table, tenant, &mut next).await?
    } else {
        campaigns::add_chunk(table, tenant, &mut next, &rows, &Seen::of_rows(&rows)).await?
    };
    if !is_ours {
        return Ok(false);
    }
    *campaign = next;
    memory.of = Some((campaign.id.clone(), campaign.chunks));
    memory.seen = Some(seen);
    if campaign.stage != Stage::Planning {
        campaigns::drop_file(table, tenant, campaign).await?;
    }
    Ok(true)
}

fn failed(campaign: &Campaign, why: String, now: Timestamp) -> Campaign {
    let campaign = campaign.clone();
    Campaign { stage: Stage::Failed, failure: Some(why), finished_at: Some(now), due_at: now, ..campaign }
}

/// The rows of the next chunk; none if the file has no more. `campaign` is what it is with them.
async fn next_rows(
    cx: &Context,
    tenant: &TenantId,
    settings: &Settings,
    campaign: &mut Campaign,
    window: &mut Window,
    seen: &mut Seen,
    now: Timestamp,
) -> Result<Vec<Row>, Trouble> {
    window.begin(cx, tenant, campaign).await?;
    let layout = match &campaign.layout {
        Some(layout) => layout.clone(),
        None => {
            while window.bytes.len() < HEAD && !window.is_last(campaign.parts) {
                window.extend(cx, tenant, campaign).await?;
            }
            let phone_column = campaign.terms.phone_column.as_deref();
            let (layout, place) = sheet::layout(&window.bytes, &settings.default_region, phone_column)
                .map_err(|error| Trouble::Unusable(error.to_string()))?;
            campaign.layout = Some(layout.clone());
            campaign.place = window.pass(place);
            layout
        }
    };
    let terms = campaign.terms.clone();
    let today = day(settings, campaign.created_at, campaign.send_at);
    let scales = Scales::new(settings, &terms, &layout, today).map_err(|error| Trouble::Unusable(error.reason))?;
    loop {
        let stretch = Stretch { bytes: &window.bytes, is_last: window.is_last(campaign.parts) };
        let weighed = weigh_rows(cx, tenant, &scales, stretch, campaign.place, seen, &mut campaign.summary).await?;
        if campaign.summary.rows > MOST_ROWS {
            let why = format!("the file has more than {MOST_ROWS} rows: split it, and make a campaign of each piece");
            return Err(Trouble::Unusable(why));
        }
        let is_all = weighed.end.offset as usize >= stretch.bytes.len();
        let is_at_end = stretch.is_last && (weighed.rows.is_empty() || is_all);
        campaign.place = window.pass(weighed.end);
        if is_at_end {
            end(campaign, now);
        }
        if is_at_end || !weighed.rows.is_empty() {
            return Ok(weighed.rows);
        }
        window.extend(cx, tenant, campaign).await?;
    }
}

/// What becomes of a campaign whose rows are all weighed.
fn end(campaign: &mut Campaign, now: Timestamp) {
    (campaign.stage, campaign.due_at) = match (campaign.summary.going, campaign.is_held) {
        (0, _) => (Stage::Done, now),
        (_, true) => (Stage::Held, now),
        (_, false) => (Stage::Sending, campaign.send_at.unwrap_or(now).max(now)),
    };
    campaign.finished_at = (campaign.stage == Stage::Done).then_some(now);
}

/// The parts of a file that are at hand, one after another.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    /// The number of the first.
    first: u32,
    /// How long each is.
    lengths: VecDeque<usize>,
}

impl Window {
    /// The number of the part behind the last.
    fn behind(&self) -> u32 {
        self.first + self.lengths.len() as u32
    }

    /// Whether a file of so many parts ends with it.
    fn is_last(&self, parts: u32) -> bool {
        self.behind() >= parts
    }

    /// Has the part at hand where planning goes on, unless the file ends there.
    async fn begin(&mut self, cx: &Context, tenant: &TenantId, campaign: &Campaign) -> Result<(), Trouble> {
        if self.first == campaign.place.part && !self.lengths.is_empty() {
            return Ok(());
        }
        *self = Self { first: campaign.place.part, ..Self::default() };
        if self.is_last(campaign.parts) {
            return Ok(());
        }
        self.extend(cx, tenant, campaign).await
    }

    /// Reads one more part.
    async fn extend(&mut self, cx: &Context, tenant: &TenantId, campaign: &Campaign) -> Result<(), Trouble> {
        let number = self.behind();
        let part = campaigns::part(cx.table().await?, tenant, &campaign.id, number).await?;
        self.push(&part.ok_or(Trouble::Missing(number))?);
        Ok(())
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.lengths.push_back(part.len());
    }

    /// Lets go of the parts that end before `place`, and tells it by the first that stays, or that follows.
    fn pass(&mut self, mut place: Place) -> Place {
        while let Some(length) = self.lengths.front().copied().filter(|length| place.offset as usize >= *length) {
            self.bytes.drain(..length);
            self.lengths.pop_front();
            self.first += 1;
            place.part += 1;
            place.offset -= length as u32;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_the_part_that_it_lies_in() {
        let mut window = Window { first: 2, ..Window::default() };
        [&b"abc"[..], b"", b"defg"].into_iter().for_each(|part| window.push(part));
        let at = |part, offset| Place { part, offset, line: 9 };

        assert_eq!((window.pass(at(2, 2)), window.first, window.bytes.len()), (at(2, 2), 2, 7));
        assert_eq!((window.pass(at(2, 4)), window.first, &window.bytes[..]), (at(4, 1), 4, &b"defg"[..]));
        assert_eq!((window.pass(at(4, 4)), window.first, window.bytes.len()), (at(5, 0), 5, 0));
        assert!(window.is_last(5) && !window.is_last(6));
    }
}
