//! Forgets a contact (S3-58): everything of theirs goes, here and at Twilio, and a signed certificate says what went.
//!
//! Asked for, the contact itself goes at once: nothing more is planned for it or sent to it. The rest is a job. What
//! stays is what leads to nobody: messages without number, text and Twilio's id, so that costs and statistics still
//! add up, and how each number stands under its keyed hash, so that an opt-out holds for whoever comes back with it.
//!
//! Of a number that another contact has too, what came from it and what went to it by number alone may be the other's:
//! that stays, and the certificate says so.

use std::collections::{BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cancel_planned::canceled;
use super::open_batch::open_batch;
use crate::context::{Account, Context, ContextError};
use crate::domain::campaign::{Row, row_id};
use crate::domain::consent::{Scope, Wish};
use crate::domain::contact::Contact;
use crate::domain::erasure::{
    counted_out, erased_row, forgotten, is_forgotten, is_only_at_twilio, is_under_way, only_at_twilio, sids,
};
use crate::domain::evidence::{Entry, Method};
use crate::domain::message::{Message, MessageId, Reason, Status};
use crate::domain::phone::PhoneNumber;
use crate::domain::reminder::HORIZON;
use crate::domain::tenant::TenantId;
use crate::store::batches::{self, Stage as BatchStage};
use crate::store::campaigns::{self, Campaign, Stage as CampaignStage};
use crate::store::conversations::{self, ConversationId};
use crate::store::erasure::{self, Place};
use crate::store::jobs::{self, Created, Job, JobKind, Stage as JobStage, Step};
use crate::store::messages::{self, Change, Written};
use crate::store::seal::Keyring;
use crate::store::{StoreError, Table, accepted, consents, contacts, keys, recurring};
use crate::telemetry::Chain;
use crate::twilio::client::Resource;
use crate::twilio::erase::{self, AtTwilio, End, Fate, LISTED};
use crate::twilio::rest::{Rest, RestError};

/// What was under way when a contact was to be forgotten has landed so much later.
const LANDS: SignedDuration = SignedDuration::from_secs(10);
/// What was made so much later is still meant: a request may have read the contact before it went.
const SLACK: SignedDuration = SignedDuration::from_mins(1);
/// What Twilio keeps until its end is asked for again after so long.
const NOT_YET: SignedDuration = SignedDuration::from_hours(1);
/// After so long the certificate says what could not be reached.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24 * 7);
/// The minutes between attempts to reach Twilio; the last again and again.
const PAUSES: [i64; 5] = [1, 5, 15, 60, 360];
/// So many messages are forgotten in one step: each may take several requests of Twilio.
const PAGE: u32 = 20;
/// So many chunks of a campaign's rows are looked through in one step: some thousands of rows.
const CHUNKS: u32 = 8;
/// A campaign that keeps changing, or whose file is still to be read, is looked at again.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// In a text that is no number, so many digits in a row are one.
const TELLING_DIGITS: usize = 8;
/// A reminder's day is at most so far from the day on which it was planned: the plan's reach, and quiet hours.
const PLANNED_WITHIN: SignedDuration = SignedDuration::from_hours(48);
/// Others may change a message or a list between our looks so often.
const TRIES: u32 = 5;
/// A contact may come back, and be forgotten again, so often within the time that jobs are kept.
const MOST_TURNS: u32 = 1000;

/// What was forgotten, in counts; says nothing of whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub id: String,
    /// A keyed hash of the contact's id: whoever knows the id can be shown that it is this one.
    pub subject: String,
    pub requested_at: Timestamp,
    /// The user who asked for it.
    pub requested_by: Option<String>,
    pub completed_at: Timestamp,
    pub here: Here,
    pub twilio: AtTwilio,
    /// What stays, and why.
    pub kept: Vec<String>,
    /// Of all the above, by a key of this deployment.
    pub signature: String,
}

/// What was forgotten in this system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Here {
    /// Messages and calls, out and in, that lost what was personal in them.
    pub messages: u32,
    /// Those among them that waited, and do not go any more.
    pub canceled: u32,
    pub conversations: u32,
    /// Lessons that it attended.
    pub lessons: u32,
    pub payments: u32,
    pub recurring: u32,
    /// Rows of lists and campaigns that had not gone yet.
    pub list_rows: u32,
    /// Wishes that are kept without the number.
    pub wishes: u32,
    /// Numbers that another contact has too.
    pub shared_numbers: u32,
}

impl Certificate {
    /// Whether this deployment signed it, as it is.
    pub fn is_genuine(&self, keyring: &Keyring) -> bool {
        keyring.is_signed(PURPOSE, &self.text(), &self.signature)
    }

    fn signed(mut self, keyring: &Keyring) -> Self {
        self.signature = keyring.sign(PURPOSE, &self.text());
        self
    }

    /// All of it but its signature, as JSON with sorted names.
    fn text(&self) -> String {
        let unsigned = Self { signature: String::new(), ..self.clone() };
        serde_json::to_value(unsigned).map(|value| value.to_string()).unwrap_or_default()
    }
}

const PURPOSE: &str = "certificate";

/// Asks for a contact to be forgotten, and takes the contact itself away. Asked again, it is the same job; `None` if
/// there is no such contact, and none was forgotten lately.
pub async fn forget_contact(
    cx: &Context,
    tenant: &TenantId,
    id: &str,
    by: Option<String>,
    now: Timestamp,
) -> Result<Option<Job>, ContextError> {
    let table = cx.table().await?;
    let subject = subject(table, id);
    let contact = contacts::get(table, tenant, id).await?;
    let mut last = None;
    for turn in 0..MOST_TURNS {
        let mut job = asked(tenant, &subject, turn, by.clone(), now);
        let known = jobs::get(table, tenant, &job.id).await?;
        match (known, &contact) {
            (None, None) => break,
            (None, Some(contact)) => {
                job.state = as_json(&Progress::begin(table, contact.clone(), now))?;
                let job = match jobs::create::<()>(table, tenant, job, &[], &[]).await? {
                    Created::New(job) | Created::Known(job) => *job,
                    Created::TooLarge => return Err(StoreError::Unreachable("a contact is too large for a job".into()).into()),
                };
                return begin(cx, tenant, job, now).await.map(Some);
            }
            // Somebody asked for it a moment ago.
            (Some(job), Some(_)) if has_contact(&job) => return begin(cx, tenant, job, now).await.map(Some),
            // Forgotten before, and come back: once more.
            (Some(_), Some(_)) => {}
            (Some(job), None) => last = Some(job),
        }
    }
    Ok(last)
}

/// What a contact is called where nobody may know who it is.
fn subject(table: &Table, id: &str) -> String {
    table.keyring().sign("contact", id)
}

/// The job of whoever is forgotten for the `turn`th time.
fn asked(tenant: &TenantId, subject: &str, turn: u32, by: Option<String>, now: Timestamp) -> Job {
    Job::new(tenant, JobKind::ForgetContact, &format!("forget {subject} {turn}"), subject.to_string(), by, now)
}

/// Those of `ids` that somebody asked to forget at the instant `since` or later.
pub(super) async fn forgotten_since(
    table: &Table,
    tenant: &TenantId,
    ids: &[&str],
    since: Timestamp,
) -> Result<BTreeSet<String>, StoreError> {
    let mut forgotten = BTreeSet::new();
    let mut open: Vec<(&str, String)> = ids.iter().map(|id| (*id, subject(table, id))).collect();
    for turn in 0..MOST_TURNS {
        if open.is_empty() {
            break;
        }
        let jobs: Vec<String> = open.iter().map(|(_, subject)| asked(tenant, subject, turn, None, since).id).collect();
        let known = contacts::asked_for(table, tenant, &jobs).await?;
        let mut again = Vec::new();
        for ((id, subject), job) in open.into_iter().zip(&jobs) {
            match known.get(job) {
                Some(at) if *at >= since => {
                    forgotten.insert(id.to_string());
                }
                Some(_) => again.push((id, subject)),
                None => {}
            }
        }
        open = again;
    }
    Ok(forgotten)
}

/// Whether the contact of a job is still to be taken away.
fn has_contact(job: &Job) -> bool {
    job.stage == JobStage::Working && job.state.get("contact").is_some_and(|contact| !contact.is_null())
}

/// The first step, in the request that asks for it.
async fn begin(cx: &Context, tenant: &TenantId, mut job: Job, now: Timestamp) -> Result<Job, ContextError> {
    if !has_contact(&job) {
        return Ok(job);
    }
    if let Step::Later(at) = Box::pin(forget_step(cx, tenant, &mut job, now)).await? {
        job.due_at = at;
    }
    let table = cx.table().await?;
    if jobs::update(table, tenant, &mut job).await? {
        return Ok(job);
    }
    // Whoever was faster goes on with it.
    Ok(jobs::get(table, tenant, &job.id).await?.unwrap_or(job))
}

/// What there is to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Task {
    /// Take the contact itself away.
    Contact,
    /// Its conversations, what recurs, what lists hold for it, what was counted for it; its numbers from its wishes.
    Beside,
    Lessons,
    Payments,
    /// What was planned for it.
    Reminders,
    /// Rows of campaigns, before the messages that are made from them.
    Campaigns,
    /// What was said, and everything else that is or was to be.
    Messages,
    /// What Twilio still has of its numbers.
    AtTwilio,
    Certificate,
}

/// How far a job is: its state. Sealed, and gone once it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    task: Task,
    /// Until it is taken away.
    contact: Option<Contact>,
    id: String,
    numbers: BTreeSet<PhoneNumber>,
    /// Keyed hashes of its numbers, present and former.
    hashes: BTreeSet<String>,
    /// Only what was made before is theirs: somebody may come back with the same number, or the same id.
    until: Timestamp,
    /// Where the task goes on.
    position: u32,
    after: Option<String>,
    /// What had to be left in this round: at Twilio, and of campaigns those whose rows may be at hand elsewhere.
    left: u32,
    /// How often Twilio could not be reached in a row.
    tries: u32,
    /// The tenant's own record opted it out, which could not be kept for a number that another contact has too.
    #[serde(default)]
    opt_out_is_lost: bool,
    /// A campaign has a file that is not read yet.
    #[serde(default)]
    awaits_file: bool,
    here: Here,
    twilio: AtTwilio,
}

impl Progress {
    fn begin(table: &Table, contact: Contact, now: Timestamp) -> Self {
        let numbers: BTreeSet<PhoneNumber> = contact.numbers().into_iter().cloned().collect();
        let present = numbers.iter().map(|number| table.keyring().number_hash(number));
        Self {
            task: Task::Contact,
            id: contact.id.clone(),
            hashes: present.chain(contact.former_numbers.iter().cloned()).collect(),
            numbers,
            contact: Some(contact),
            until: now + SLACK,
            position: 0,
            after: None,
            left: 0,
            tries: 0,
            opt_out_is_lost: false,
            awaits_file: false,
            here: Here::default(),
            twilio: AtTwilio::default(),
        }
    }

    fn go_on_with(&mut self, task: Task) -> Step {
        (self.task, self.position, self.after, self.left) = (task, 0, None, 0);
        Step::More
    }
}

fn as_json(value: &impl Serialize) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::Unreadable(Box::new(error)))
}

/// Goes one step on with a job of [`forget_contact`].
pub async fn forget_step(cx: &Context, tenant: &TenantId, job: &mut Job, now: Timestamp) -> Result<Step, ContextError> {
    let progress: Progress = serde_json::from_value(job.state.clone()).map_err(|error| StoreError::unreadable(&error))?;
    let table = cx.table().await?;
    let mut work = Work::of(cx, tenant, table, progress, now).await?;
    let step = work.step().await?;
    job.done = work.progress.here.messages;
    job.total = job.total.max(job.done);
    if step == Step::Done {
        job.state = json!({ "certificate": work.certificate(job) });
        tracing::info!(%tenant, job = job.id, not_reached = work.progress.twilio.not_reached, "a contact was forgotten");
    } else {
        job.state = as_json(&work.progress)?;
    }
    Ok(step)
}

/// One step: what it works with, and how far it gets.
struct Work<'a> {
    cx: &'a Context,
    tenant: &'a TenantId,
    table: &'a Table,
    /// The hashes of the numbers that nobody else has.
    own: BTreeSet<String>,
    /// Campaigns that were asked for before the contact was to be forgotten: so was what they make later.
    campaigns: BTreeSet<String>,
    progress: Progress,
    /// Nobody waits for Twilio any more, and it cannot be reached: once found out is enough.
    is_given_up: bool,
    now: Timestamp,
}

/// What became of one message.
enum Outcome {
    Done,
    /// It is to be looked at again.
    Left,
    /// Nothing at Twilio can be erased now.
    Unreached(RestError),
}

impl<'a> Work<'a> {
    async fn of(
        cx: &'a Context,
        tenant: &'a TenantId,
        table: &'a Table,
        progress: Progress,
        now: Timestamp,
    ) -> Result<Self, ContextError> {
        let mut own = BTreeSet::new();
        for hash in &progress.hashes {
            if !erasure::is_shared(table, tenant, hash, &progress.id).await? {
                own.insert(hash.clone());
            }
        }
        Ok(Self { cx, tenant, table, own, campaigns: BTreeSet::new(), progress, is_given_up: false, now })
    }

    async fn step(&mut self) -> Result<Step, ContextError> {
        match self.progress.task {
            Task::Contact => self.contact().await,
            Task::Beside => self.beside().await,
            Task::Lessons => self.lessons().await,
            Task::Payments => self.payments().await,
            Task::Reminders => self.reminders().await,
            Task::Campaigns => self.campaigns().await,
            Task::Messages => self.messages().await,
            Task::AtTwilio => self.at_twilio().await,
            Task::Certificate => Ok(Step::Done),
        }
    }

    async fn contact(&mut self) -> Result<Step, ContextError> {
        if let Some(contact) = self.progress.contact.take() {
            self.keep_opt_out(&contact).await?;
            contacts::delete(self.table, self.tenant, &contact).await?;
        }
        self.progress.go_on_with(Task::Beside);
        Ok(Step::Later(self.now + LANDS))
    }

    /// What the tenant's own record opts out of, its numbers do from now on: under their hashes it outlives the record.
    async fn keep_opt_out(&mut self, contact: &Contact) -> Result<(), ContextError> {
        let mut wishes = Vec::new();
        if contact.opted_out {
            wishes.push(Wish::Stop(Scope::All));
        }
        if !contact.opted_out_categories.is_empty() {
            wishes.push(Wish::Stop(Scope::Only(contact.opted_out_categories.clone())));
        }
        let numbers = contact.numbers();
        for (at, wish) in wishes.into_iter().enumerate() {
            // Two wishes of one instant differ by where they come from.
            let source = format!("record_{}", self.table.keyring().sign("record", &format!("{} {at}", contact.id)));
            for &number in &numbers {
                if !self.own.contains(&self.table.keyring().number_hash(number)) {
                    // Whoever else has it did not say so.
                    self.progress.opt_out_is_lost = true;
                    continue;
                }
                let standing = consents::standings(self.table, self.tenant, &[number]).await?.remove(number).unwrap_or_default();
                if standing.after(&wish) == standing {
                    continue;
                }
                let entry = Entry {
                    number: number.clone(),
                    at: self.progress.until - SLACK,
                    wish: wish.clone(),
                    method: Method::Other,
                    source: source.clone(),
                    by: None,
                    reason: None,
                };
                consents::record(self.table, self.tenant, &entry).await?;
            }
        }
        Ok(())
    }

    async fn beside(&mut self) -> Result<Step, ContextError> {
        let Self { tenant, table, now, .. } = *self;
        accepted::delete(table, tenant, &self.progress.id, now).await?;
        for hash in &self.own {
            let was_there = conversations::delete(table, tenant, &ConversationId::of_hash(hash)).await?;
            self.progress.here.conversations += u32::from(was_there);
            self.progress.here.wishes += consents::forget_number(table, tenant, hash).await?;
        }
        self.progress.here.shared_numbers = (self.progress.hashes.len() - self.own.len()) as u32;
        for recurring in recurring::all(table, tenant).await? {
            if self.is_theirs(&recurring.message) {
                recurring::delete(table, tenant, &recurring.id).await?;
                self.progress.here.recurring += 1;
            }
        }
        for batch in batches::all(table, tenant).await? {
            self.list(batch).await?;
        }
        Ok(self.progress.go_on_with(Task::Lessons))
    }

    /// A list's rows are of no use once its messages exist, which are found by themselves. Of one that is kept back,
    /// those go that are theirs.
    async fn list(&mut self, mut batch: batches::Batch) -> Result<(), ContextError> {
        for _ in 0..TRIES {
            match batch.stage {
                BatchStage::Open | BatchStage::Canceled => {
                    return Ok(batches::drop_rows(self.table, self.tenant, batch).await?);
                }
                BatchStage::Opening => {
                    Box::pin(open_batch(self.cx, self.tenant, batch.clone(), self.now)).await?;
                }
                BatchStage::Held => {
                    let is_theirs = |row: &Message| self.is_theirs(row);
                    let dropped = batches::drop_some(self.table, self.tenant, batch.clone(), is_theirs).await?;
                    if let Some(rows) = dropped {
                        self.progress.here.list_rows += rows;
                        return Ok(());
                    }
                }
            }
            let Some(fresh) = batches::get(self.table, self.tenant, &batch.id).await? else { return Ok(()) };
            batch = fresh;
        }
        Err(StoreError::Unreachable("a list kept changing".into()).into())
    }

    async fn lessons(&mut self) -> Result<Step, ContextError> {
        let Progress { id, after, .. } = &self.progress;
        let (left, next) = erasure::leave_lessons(self.table, self.tenant, id, after.as_deref()).await?;
        self.progress.here.lessons += left;
        Ok(self.next_page(next, Task::Payments))
    }

    async fn payments(&mut self) -> Result<Step, ContextError> {
        let Progress { id, after, .. } = &self.progress;
        let (dropped, next) = erasure::drop_payments(self.table, self.tenant, id, after.as_deref()).await?;
        self.progress.here.payments += dropped;
        Ok(self.next_page(next, Task::Reminders))
    }

    fn next_page(&mut self, next: Option<String>, task: Task) -> Step {
        if next.is_none() {
            return self.progress.go_on_with(task);
        }
        self.progress.after = next;
        Step::More
    }

    /// Reminders that wait stand under their lesson or payment; the log of the days for which any was planned has
    /// them all. One day a step, or a part of it: a campaign's day has very many.
    async fn reminders(&mut self) -> Result<Step, ContextError> {
        let first = self.progress.until - PLANNED_WITHIN;
        let day = keys::day(first + SignedDuration::from_hours(24 * i64::from(self.progress.position)));
        if day > keys::day(self.progress.until + HORIZON + PLANNED_WITHIN) {
            return Ok(self.progress.go_on_with(Task::Campaigns));
        }
        let (part, next) = messages::log_part(self.table, self.tenant, day, self.progress.after.as_deref()).await?;
        for message in part {
            if message.status == Status::Scheduled && self.is_theirs(&message) {
                // One that is claimed in this moment is found where what was said stands.
                self.forget(message).await?;
            }
        }
        if next.is_none() {
            self.progress.position += 1;
        }
        self.progress.after = next;
        Ok(Step::More)
    }

    /// One campaign a step, the latest first, or a part of it.
    async fn campaigns(&mut self) -> Result<Step, ContextError> {
        let (page, next) = campaigns::page(self.table, self.tenant, self.progress.after.as_deref(), 1).await?;
        if let Some(campaign) = page.into_iter().next().filter(|campaign| campaign.created_at <= self.progress.until) {
            match campaign.stage {
                // A file is read within minutes, and goes then. What nobody completes within a day, the nightly sweep
                // cancels. Until then only this waits.
                CampaignStage::Uploading | CampaignStage::Planning => self.progress.awaits_file = true,
                CampaignStage::Held
                | CampaignStage::Sending
                | CampaignStage::Checking
                | CampaignStage::Done
                | CampaignStage::Canceled
                | CampaignStage::Failed => {
                    if let Some(step) = self.rows(campaign).await? {
                        return Ok(step);
                    }
                }
            }
        }
        self.progress.position = 0;
        if next.is_some() {
            self.progress.after = next;
            return Ok(Step::More);
        }
        let are_at_hand = self.progress.left > 0;
        self.progress.go_on_with(Task::Messages);
        Ok(if are_at_hand { Step::Later(self.now + LANDS) } else { Step::More })
    }

    /// Goes on with the rows of a campaign. What the step comes to, unless it is through with them.
    async fn rows(&mut self, mut campaign: Campaign) -> Result<Option<Step>, ContextError> {
        if self.progress.position == 0 {
            // What a crash may have left of it.
            campaigns::drop_file(self.table, self.tenant, &campaign).await?;
            self.progress.left += u32::from(!campaign.is_over());
        }
        let end = campaign.chunks.min(self.progress.position.saturating_add(CHUNKS));
        while self.progress.position < end {
            if !self.chunk(&mut campaign).await? {
                return Ok(Some(Step::Later(self.now + SOON)));
            }
            self.progress.position += 1;
        }
        Ok((self.progress.position < campaign.chunks).then_some(Step::More))
    }

    /// Takes what is personal from those rows of the next chunk that are theirs. One without a message gets none any more,
    /// and the campaign counts it as one for somebody who is not known. Whether that could be written.
    async fn chunk(&mut self, campaign: &mut Campaign) -> Result<bool, ContextError> {
        let Self { tenant, table, .. } = *self;
        let chunk = self.progress.position;
        for _ in 0..TRIES {
            let (first, mut rows) = campaigns::chunk(table, tenant, &campaign.id, chunk).await?;
            let theirs: Vec<usize> = (0..rows.len()).filter(|at| self.is_their_row(&rows[*at])).collect();
            if theirs.is_empty() {
                return Ok(true);
            }
            let id = |at: usize| row_id(tenant, &campaign.id, first + at as u32);
            let ids: Vec<MessageId> = theirs.iter().map(|at| id(*at)).collect();
            let made = messages::existing(table, tenant, &ids).await?;
            let settings = self.cx.settings(tenant, self.now).await?;
            let mut dropped = 0;
            for (at, id) in theirs.into_iter().zip(&ids) {
                let erased = erased_row(&rows[at], made.contains(id));
                if let (Some(units), None) = (rows[at].units(), erased.units()) {
                    let cost = rows[at].cost(&settings, campaign.terms.channel);
                    counted_out(&mut campaign.summary, units, cost);
                    dropped += 1;
                }
                rows[at] = erased;
            }
            if campaigns::replace_chunk(table, tenant, campaign, chunk, first, &rows).await? {
                self.progress.here.list_rows += dropped;
                return Ok(true);
            }
            // Changed meanwhile.
            let Some(fresh) = campaigns::get(table, tenant, &campaign.id).await? else { return Ok(true) };
            *campaign = fresh;
        }
        Ok(false)
    }

    /// Whether a row is for this contact: by its id, or by a number that nobody else has.
    fn is_their_row(&self, row: &Row) -> bool {
        match &row.contact {
            Some(contact) => *contact == self.progress.id,
            None if row.to.is_empty() => false,
            None => self.own.contains(&self.table.keyring().address_hash(&row.to)) || self.is_written_in(row),
        }
    }

    /// Whether what stands in a row in the place of a number tells of them all the same: their id, once the contact is
    /// gone, or two numbers in one cell.
    fn is_written_in(&self, row: &Row) -> bool {
        if row.units().is_some() {
            return false;
        }
        let digits: String = row.to.chars().filter(char::is_ascii_digit).collect();
        let is_told = |number: &PhoneNumber| {
            let e164 = number.e164();
            digits.contains(&e164[e164.len().saturating_sub(TELLING_DIGITS)..])
        };
        row.to == self.progress.id || self.own_numbers().any(is_told)
    }

    /// Its present numbers that nobody else has.
    fn own_numbers(&self) -> impl Iterator<Item = &PhoneNumber> {
        self.progress.numbers.iter().filter(move |number| self.own.contains(&self.table.keyring().number_hash(number)))
    }

    fn places(&self) -> Vec<Place> {
        let hashes: Vec<&str> = self.progress.hashes.iter().map(String::as_str).collect();
        erasure::places(self.tenant, &self.progress.id, &hashes)
    }

    async fn messages(&mut self) -> Result<Step, ContextError> {
        let places = self.places();
        let Some(place) = places.get(self.progress.position as usize) else {
            return Ok(self.messages_are_over());
        };
        let (page, next) = erasure::messages_at(self.table, place, self.progress.after.as_deref(), PAGE).await?;
        self.know_campaigns(&page).await?;
        for message in page {
            if !self.is_theirs(&message) {
                continue;
            }
            match self.forget(message).await? {
                Outcome::Done => self.progress.tries = 0,
                Outcome::Left => self.progress.left += 1,
                Outcome::Unreached(error) => return Ok(self.unreached(&error)),
            }
        }
        if next.is_none() {
            self.progress.position += 1;
        }
        self.progress.after = next;
        Ok(Step::More)
    }

    /// Notes which of the campaigns of these messages were asked for before.
    async fn know_campaigns(&mut self, page: &[Message]) -> Result<(), ContextError> {
        let ids: HashSet<&str> = page.iter().filter_map(Message::campaign).collect();
        let until = self.progress.until;
        let known = campaigns::get_many(self.table, self.tenant, &ids).await?.into_values();
        self.campaigns.extend(known.filter(|campaign| campaign.created_at <= until).map(|campaign| campaign.id));
        Ok(())
    }

    /// What Twilio still has; or once more campaigns and messages, if a campaign's file was still to be read.
    fn messages_are_over(&mut self) -> Step {
        if self.progress.left > 0 || !self.progress.awaits_file || self.gives_up() {
            return self.round_is_over(Task::AtTwilio);
        }
        self.progress.awaits_file = false;
        self.progress.go_on_with(Task::Campaigns);
        Step::Later(self.now + SOON)
    }

    /// The next task, or another round of this one for what had to be left.
    fn round_is_over(&mut self, next: Task) -> Step {
        if self.progress.left == 0 {
            return self.progress.go_on_with(next);
        }
        self.progress.go_on_with(self.progress.task);
        Step::Later(self.now + NOT_YET)
    }

    /// Later, from the beginning of the task: what is done is not found again.
    fn unreached(&mut self, error: &RestError) -> Step {
        let tries = self.progress.tries;
        let pause = PAUSES.get(tries as usize).or(PAUSES.last()).copied().unwrap_or(60);
        tracing::warn!(tenant = %self.tenant, tries, error = %Chain(error), "Twilio could not be reached to forget a contact");
        self.progress.go_on_with(self.progress.task);
        self.progress.tries = tries + 1;
        Step::Later(self.now + SignedDuration::from_mins(pause))
    }

    /// Whether the certificate is due: what cannot be reached is said there.
    fn gives_up(&self) -> bool {
        self.now.duration_since(self.progress.until) >= PATIENCE
    }

    /// Whether a message is this contact's: by its id, or by a number that nobody else has. What came later is not.
    fn is_theirs(&self, message: &Message) -> bool {
        let is_made_before = message.timeline.first().is_none_or(|first| first.at <= self.progress.until);
        let is_before = is_made_before || message.campaign().is_some_and(|campaign| self.campaigns.contains(campaign));
        let is_meant = match &message.contact {
            Some(contact) => *contact == self.progress.id,
            None => message.peer().is_some_and(|peer| self.own.contains(&self.table.keyring().address_hash(&peer))),
        };
        is_before && is_meant && !is_forgotten(message)
    }

    /// Forgets one message: at Twilio first, so that its id is not lost before.
    async fn forget(&mut self, mut message: Message) -> Result<Outcome, ContextError> {
        for _ in 0..TRIES {
            if message.status == Status::Scheduled {
                let gone = forgotten(canceled(message.clone(), Reason::ContactGone, self.now), self.now);
                if self.write(gone).await? {
                    self.progress.here.messages += 1;
                    self.progress.here.canceled += 1;
                    return Ok(Outcome::Done);
                }
            } else if is_under_way(&message, self.now) && !message.simulated {
                // Its end is told within the hour; until then its texts and costs are still to be settled.
                return Ok(Outcome::Left);
            } else {
                let (is_gone, done, unreached) = self.erase_at_twilio(&message).await?;
                if !is_gone && is_only_at_twilio(&message) {
                    return Ok(unreached.map_or(Outcome::Left, Outcome::Unreached));
                }
                let next = if is_gone {
                    forgotten(ended(message.clone()), self.now)
                } else {
                    only_at_twilio(message.clone(), &self.progress.id)
                };
                if self.write(next).await? {
                    if !is_gone {
                        return Ok(unreached.map_or(Outcome::Left, Outcome::Unreached));
                    }
                    self.progress.here.messages += 1;
                    self.progress.twilio.add(done);
                    return Ok(Outcome::Done);
                }
            }
            // Changed meanwhile.
            let Some(fresh) = messages::get_many(self.table, self.tenant, &[message.id]).await?.pop() else {
                return Ok(Outcome::Done);
            };
            if !self.is_theirs(&fresh) {
                return Ok(Outcome::Done);
            }
            message = fresh;
        }
        Ok(Outcome::Left)
    }

    async fn write(&self, message: Message) -> Result<bool, ContextError> {
        Ok(messages::write(self.table, self.tenant, &[Change::of(message)], None).await? == [Written::Won])
    }

    /// Whether nothing of `message` is left at Twilio, or nobody waits for that any more; what was done; and why it
    /// could not be.
    async fn erase_at_twilio(&mut self, message: &Message) -> Result<(bool, AtTwilio, Option<RestError>), ContextError> {
        let mut done = AtTwilio::default();
        let sids = sids(message);
        if sids.is_empty() {
            return Ok((true, done, None));
        }
        let unreached = AtTwilio { not_reached: 1, ..AtTwilio::default() };
        let Account::Twilio(credentials) = self.cx.account(self.tenant, self.now).await? else {
            // Whoever disconnected the account knows it; we cannot reach it any more.
            return Ok((true, unreached, None));
        };
        let rest = Rest { http: &self.cx.http, base: &self.cx.config.twilio_api_base, credentials: &credentials };
        for sid in sids {
            if self.is_given_up {
                done.add(unreached);
                continue;
            }
            match erase::erase(&rest, &sid).await {
                Ok(Fate::Gone(gone)) => done.add(gone),
                Ok(Fate::NotYet) if self.gives_up() => done.add(unreached),
                Ok(Fate::NotYet) => return Ok((false, done, None)),
                Err(_) if self.gives_up() => {
                    self.is_given_up = true;
                    done.add(unreached);
                }
                Err(error) => return Ok((false, done, Some(error))),
            }
        }
        Ok((true, done, None))
    }

    /// Twilio may have more than we know of: what retention took away here, and what nobody told us of. One list of
    /// one number a step.
    async fn at_twilio(&mut self) -> Result<Step, ContextError> {
        let Account::Twilio(credentials) = self.cx.account(self.tenant, self.now).await? else {
            return Ok(self.progress.go_on_with(Task::Certificate));
        };
        let Some((resource, end, address)) = self.listing() else {
            return Ok(self.round_is_over(Task::Certificate));
        };
        let rest = Rest { http: &self.cx.http, base: &self.cx.config.twilio_api_base, credentials: &credentials };
        let listed = match erase::list(&rest, resource, end, &address).await {
            Ok(listed) => listed,
            Err(error) => return Ok(self.unreached_list(&error)),
        };
        let (is_full, until) = (listed.len() >= LISTED, self.progress.until);
        // Older ones lie behind so many newer ones: the certificate does not say that there are none.
        let hides_older = is_full && listed.iter().all(|one| one.created().is_some_and(|created| created > until));
        self.progress.twilio.not_reached += u32::from(hides_older);
        let (mut erased, mut left) = (0, 0);
        for one in listed.into_iter().filter(|one| one.created().is_none_or(|created| created <= until)) {
            match erase::erase(&rest, &one.sid).await {
                Ok(Fate::Gone(done)) => {
                    self.progress.twilio.add(done);
                    erased += 1;
                }
                Ok(Fate::NotYet) if self.gives_up() => self.progress.twilio.not_reached += 1,
                Ok(Fate::NotYet) => left += 1,
                Err(error) => return Ok(self.unreached_list(&error)),
            }
        }
        // More of the same may have moved up.
        if !is_full || erased == 0 {
            self.progress.left += left;
            self.progress.position += 1;
        }
        Ok(Step::More)
    }

    /// Once nobody waits any more, what Twilio may have beyond what we know of counts as one.
    fn unreached_list(&mut self, error: &RestError) -> Step {
        if !self.gives_up() {
            return self.unreached(error);
        }
        self.progress.twilio.not_reached += 1;
        self.progress.go_on_with(Task::Certificate)
    }

    /// The list that is next to be looked through, of those numbers that nobody else has.
    fn listing(&self) -> Option<(Resource, End, String)> {
        let mut lists = self.own_numbers().flat_map(|number| {
            let (plain, whatsapp) = (number.e164().to_string(), format!("whatsapp:{}", number.e164()));
            let of = |resource, address: String| [(resource, End::To, address.clone()), (resource, End::From, address)];
            [of(Resource::Messages, plain.clone()), of(Resource::Messages, whatsapp), of(Resource::Calls, plain)].concat()
        });
        lists.nth(self.progress.position as usize)
    }

    fn certificate(&self, job: &Job) -> Certificate {
        let Progress { here, twilio, opt_out_is_lost, awaits_file, .. } = self.progress;
        let has_former_numbers = self.progress.hashes.len() > self.progress.numbers.len();
        let mut kept = vec![
            "messages and calls as counts: type, when, over which channel, how far and at what cost; without number, text, \
             contact and Twilio's id"
                .to_string(),
        ];
        if here.wishes > 0 {
            kept.push("what each number said about being messaged, under a keyed hash of it, so that an opt-out holds".into());
        }
        if here.shared_numbers > 0 {
            kept.push("what came from, and went by number alone to, a number that another contact has too".into());
        }
        if opt_out_is_lost {
            kept.push(
                "of a number that another contact has too, not the opt-out of your own record: the other did not say so".into(),
            );
        }
        if has_former_numbers {
            kept.push(
                "at Twilio, texts and calls of earlier numbers that were no longer in the log here: of those numbers only a \
                 keyed hash was known, and Twilio cannot be searched by it"
                    .into(),
            );
        }
        if awaits_file {
            kept.push("rows of a campaign whose file was not read within a week: the file goes by itself".into());
        }
        if twilio.not_reached > 0 {
            kept.push("at Twilio, what could not be reached there: delete it in Twilio's Console".into());
        }
        let certificate = Certificate {
            id: job.id.replacen(jobs::PREFIX, "cert_", 1),
            subject: job.fingerprint.clone(),
            requested_at: job.created_at,
            requested_by: job.created_by.clone(),
            completed_at: self.now,
            here,
            twilio,
            kept,
            signature: String::new(),
        };
        certificate.signed(self.table.keyring())
    }
}

/// What nobody found out about in time, and nobody can any more.
fn ended(message: Message) -> Message {
    if message.status == Status::Sending {
        Message { status: Status::Failed, reason: Some(Reason::ContactGone), ..message }
    } else {
        message
    }
}
