//! The local Twilio: a real HTTP stand-in for the part of Twilio that we use.
//!
//! Same paths, fields, errors, magic numbers and signed callbacks for messages and calls; texts and calls
//! that come in, the messages that TwiML answers to a text, and Twilio's own list of opt-outs; made-up phone
//! numbers to search, buy, wire and release; what an account is, and its balance; redacting and deleting what
//! the API shows; a ledger of what was accepted, came in or was bought that outlives a killed process; and
//! scripted faults. No scheduled messages; nothing is said on a call, no template is rendered, no media are
//! fetched, nothing is charged, and an account that is not active sends all the same.
//! Facts from twilio-facts.md and data/http-fixtures.json, both collected from Twilio's public material.

mod account;
mod address;
mod answer;
mod available_numbers;
mod call;
mod call_submission;
mod callback;
mod calls;
mod concurrency;
mod control;
mod delivery;
mod error;
mod everything;
mod fault;
mod in_process;
mod inbound;
mod inbound_call;
mod incoming_numbers;
mod inventory;
mod ledger;
mod listing;
mod media;
mod messages;
mod opt_out;
mod phone_number;
mod reply;
mod server;
mod sid;
mod signature;
mod steps;
mod submission;
mod twiml;
mod view;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

pub use account::{AccountKind, AccountStatus};
pub use call::{CallEntry, CallEvent, CallStatus};
pub use callback::{Callback, signed};
pub use delivery::{Attempt, WebhookAnswer};
pub use fault::{ArmedRule, Fault, Rule};
pub use in_process::lost;
pub use inbound::{InboundMedia, InboundText};
pub use ledger::{Entry, Status};
pub use phone_number::{Capabilities, OwnedNumber};
pub use signature::sign;

use crate::clock::Clock;
use call_submission::CallSubmission;
use fault::Script;
use ledger::Ledger;
use shared::http_client::Client;
use steps::{Step, When};
use submission::Submission;

/// How a local Twilio is set up.
#[derive(Clone)]
pub struct Config {
    /// Where accepted messages and calls are kept beyond this process.
    pub ledger_file: Option<PathBuf>,
    /// How many segments an SMS body is billed as; the domain owns that rule.
    pub segments: fn(&str) -> u32,
    pub clock: Clock,
    /// How long after acceptance the first and the last status are reported.
    pub callback_delays: [Duration; 2],
    pub receipts: Receipts,
    /// The same seed gives the same SIDs in the same order.
    pub seed: u64,
    /// Posts the callbacks. The caller's, since it chose the TLS stack, or another way than the network.
    pub http: Client,
}

/// Which statuses are reported of a message or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    Each,
    /// Only the end of its way: Twilio promises no callback for any status, and half as many make a
    /// simulated week shorter. Of a call that asked for other events only, nothing is reported.
    Last,
}

/// How long it takes when nobody says otherwise: a message is sent, and a call answered, after 400 ms;
/// delivered, and completed, after 1200.
pub const CALLBACK_DELAYS: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1200)];

/// An account that may send here.
#[derive(Clone, Debug)]
pub struct Account {
    pub sid: String,
    pub auth_token: String,
    /// `SK…` and secret.
    pub api_keys: Vec<(String, String)>,
    /// What it has to send from before it buys or releases anything: numbers, in E.164, each of which also
    /// sends WhatsApp; messaging services.
    pub senders: Vec<String>,
    /// Where texts to those numbers go, unless one is wired elsewhere through the API.
    pub inbound_url: Option<String>,
    /// Where calls to those numbers go, likewise.
    pub voice_url: Option<String>,
    /// Where it is told that such a call has ended, likewise.
    pub voice_status_url: Option<String>,
    pub status: AccountStatus,
    pub kind: AccountKind,
    /// As the API says it: `100.00`.
    pub balance: String,
    pub currency: String,
}

/// The Twilio of this process. Clones share everything.
#[derive(Clone)]
pub struct LocalTwilio(Arc<Inner>);

struct Inner {
    config: Config,
    state: Mutex<State>,
    step_queued: Notify,
    /// Whether `run_callbacks` posts the callbacks; otherwise someone takes them.
    posting: AtomicBool,
    /// How many submissions have not been answered yet.
    under_way: AtomicUsize,
}

struct State {
    accounts: Vec<Arc<Account>>,
    ledger: Ledger,
    script: Script,
    /// What is still to happen to messages and calls, by instant and order.
    pending: BTreeMap<(Timestamp, u64), Step>,
    steps_queued: u64,
    attempts: VecDeque<Attempt>,
    /// The SIDs of the texts that a webhook has answered for good.
    answered: HashSet<String>,
}

impl LocalTwilio {
    /// A Twilio without accounts, and with the ledger that the file holds.
    ///
    /// # Errors
    /// When the ledger file cannot be opened, or anything but its last line is damaged.
    pub fn new(config: Config) -> io::Result<Self> {
        let state = State {
            accounts: Vec::new(),
            ledger: Ledger::open(config.ledger_file.as_deref())?,
            script: Script::default(),
            pending: BTreeMap::new(),
            steps_queued: 0,
            attempts: VecDeque::new(),
            answered: HashSet::new(),
        };
        Ok(Self(Arc::new(Inner {
            config,
            state: Mutex::new(state),
            step_queued: Notify::new(),
            posting: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
        })))
    }

    /// Adds an account, or replaces the one with the same SID.
    ///
    /// The messages and calls that an earlier process left unfinished get their remaining callbacks, now
    /// that the account's token can sign them.
    pub fn add_account(&self, account: Account) {
        let mut state = self.state();
        let known = state.accounts.iter().position(|other| other.sid == account.sid);
        match known {
            Some(index) => state.accounts[index] = Arc::new(account),
            None => {
                for (sid, progress) in state.ledger.unfinished(&account.sid) {
                    self.queue(&mut state, steps::remaining_steps(&sid, progress));
                }
                state.accounts.push(Arc::new(account));
            }
        }
    }

    /// The accounts in the order in which they came, each with all that it can send from by now.
    pub fn accounts(&self) -> Vec<Account> {
        let state = self.state();
        let with_senders =
            |account: &Arc<Account>| Account { senders: state.senders(account, |_| true), ..Account::clone(account) };
        state.accounts.iter().map(with_senders).collect()
    }

    /// Changes an account as it was set up; false if there is none with that SID. `change` must not ask this
    /// Twilio anything.
    pub fn change_account(&self, sid: &str, change: impl FnOnce(&mut Account)) -> bool {
        let mut state = self.state();
        let account = state.accounts.iter_mut().find(|account| account.sid == sid);
        account.map(|account| change(Arc::make_mut(account))).is_some()
    }

    /// Every message that was accepted, in that order; what came in is in `inbound_texts`.
    pub fn ledger(&self) -> Vec<Entry> {
        self.state().ledger.entries().to_vec()
    }

    /// Every call that was accepted, in that order; what came in is in `inbound_calls`.
    pub fn calls(&self) -> Vec<CallEntry> {
        self.state().ledger.calls().to_vec()
    }

    /// Replaces the fault script.
    pub fn set_faults(&self, rules: Vec<Rule>) {
        self.state().script = Script::new(rules);
    }

    /// The fault script, and how often each rule has matched and fired.
    pub fn faults(&self) -> Vec<ArmedRule> {
        self.state().script.rules().to_vec()
    }

    fn account(&self, sid: &str) -> Option<Arc<Account>> {
        self.state().accounts.iter().find(|account| account.sid == sid).cloned()
    }

    /// The SID of the next text or call that comes in.
    fn inbound_sid(&self, state: &State, prefix: &str) -> String {
        sid::sid(prefix, self.0.config.seed, "inbound", state.ledger.inbound_count())
    }

    /// Writes an accepted message to the ledger and plans what happens to it.
    fn accept(&self, account: &Account, submission: Submission, fault: Option<Fault>) -> io::Result<Entry> {
        let now = self.0.config.clock.now();
        let segments = self.segments(&submission.to, &submission.body);
        let mut state = self.state();
        let num_media = submission.media_urls.len() as u32;
        let prefix = if num_media > 0 { "MM" } else { "SM" };
        let sid = sid::sid(prefix, self.0.config.seed, "message", state.ledger.entries().len() as u64);
        let status = if submission.picked_by_service { Status::Accepted } else { Status::Queued };
        let entry = Entry {
            sid,
            account_sid: account.sid.clone(),
            to: submission.to,
            from: submission.from,
            messaging_service_sid: submission.messaging_service_sid,
            num_segments: if num_media > 0 { 1 } else { segments },
            body: submission.body,
            num_media,
            media_urls: submission.media_urls,
            media_types: Vec::new(),
            content_sid: submission.content_sid,
            content_variables: submission.content_variables,
            status,
            status_callback: submission.status_callback,
            created: now,
            date_sent: None,
            date_updated: now,
            error_code: None,
            deleted: false,
            in_reply_to: submission.in_reply_to,
        };
        state.ledger.accept(entry.clone())?;
        self.queue(&mut state, steps::message_steps(&entry.sid, fault));
        Ok(entry)
    }

    /// Writes an accepted call to the ledger and plans what happens to it.
    fn accept_call(&self, account: &Account, submission: CallSubmission, fault: Option<Fault>) -> io::Result<CallEntry> {
        let now = self.0.config.clock.now();
        let mut state = self.state();
        let call = CallEntry {
            sid: sid::sid("CA", self.0.config.seed, "call", state.ledger.calls().len() as u64),
            account_sid: account.sid.clone(),
            to: submission.to,
            from: submission.from,
            twiml: submission.twiml,
            url: submission.url,
            machine_detection: submission.machine_detection,
            status: CallStatus::Queued,
            duration: None,
            status_callback: submission.status_callback,
            status_callback_events: submission.status_callback_events,
            created: now,
            start_time: None,
            date_updated: now,
            inbound: false,
            deleted: false,
        };
        state.ledger.accept_call(call.clone())?;
        self.queue(&mut state, steps::call_steps(&call.sid, fault));
        Ok(call)
    }

    /// Plans steps, each after its own delay from now.
    fn queue(&self, state: &mut State, steps: Vec<(When, Step)>) {
        let now = self.0.config.clock.now();
        let [first, last] = self.0.config.callback_delays;
        for (when, step) in steps {
            let due = match when {
                When::First => now + first,
                When::Last => now + last,
            };
            state.steps_queued += 1;
            let key = (due, state.steps_queued);
            state.pending.insert(key, step);
        }
        self.0.step_queued.notify_one();
    }

    fn segments(&self, address: &str, body: &str) -> u32 {
        if address::is_whatsapp(address) { 1 } else { (self.0.config.segments)(body) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
