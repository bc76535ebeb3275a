//! The ledger: every message and every call that was accepted or came in, in that order, and how far it got;
//! the numbers that were bought; and who has blocked whom.
//!
//! In a file it is JSON lines, each written whole before anyone learns of what it says, so a killed
//! process loses nothing that it has answered for.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::call::{CallEntry, CallStatus};
use super::phone_number::OwnedNumber;

/// How far a message got. Declaration order is the life-cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Accepted,
    Queued,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    /// Of a text that came in, all its life.
    Received,
}

/// One message that was accepted or, if its status is `Received`, came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub sid: String,
    pub account_sid: String,
    pub to: String,
    /// With a messaging service, the sender that it picked.
    pub from: String,
    pub messaging_service_sid: Option<String>,
    /// For a content template its SID and variables: the local Twilio does not render.
    pub body: String,
    pub num_media: u32,
    /// A medium that was deleted leaves an empty URL in its place.
    #[serde(default)]
    pub media_urls: Vec<String>,
    /// The content types of the media, as far as they are known.
    #[serde(default)]
    pub media_types: Vec<String>,
    #[serde(default)]
    pub content_sid: Option<String>,
    /// A JSON object, as it came.
    #[serde(default)]
    pub content_variables: Option<String>,
    pub num_segments: u32,
    pub status: Status,
    pub status_callback: Option<String>,
    pub created: Timestamp,
    pub date_sent: Option<Timestamp>,
    pub date_updated: Timestamp,
    pub error_code: Option<u32>,
    /// Whether the account has deleted it: the API no longer knows it, but accepted it was. Whom it was to
    /// or from, and what it said, is forgotten then.
    #[serde(default)]
    pub deleted: bool,
    /// The SID of the text that it answers, if a webhook asked for it rather than the API.
    #[serde(default)]
    pub in_reply_to: Option<String>,
}

/// Somebody wants no more texts from one of an account's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) account_sid: String,
    pub(super) sender: String,
    pub(super) recipient: String,
}

/// How far a message or a call got. Those of one kind can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Progress {
    Message(Status),
    Call(CallStatus),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Message(Box<Entry>),
    Status {
        sid: String,
        status: Status,
        error_code: Option<u32>,
        at: Timestamp,
    },
    /// A message's body was emptied. What earlier lines say of it stays in the file.
    Redacted {
        sid: String,
        at: Timestamp,
    },
    /// The SID of a message that was deleted.
    Deleted(String),
    Call(Box<CallEntry>),
    CallStatus {
        sid: String,
        status: CallStatus,
        at: Timestamp,
        /// In seconds, of a call that came in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u32>,
    },
    /// The SID of a call that was deleted.
    CallDeleted(String),
    /// One of a message's media was deleted.
    MediumDeleted {
        sid: String,
        index: usize,
    },
    /// The SID of an inbound message or call, of which older ledgers kept no more.
    Inbound(String),
    Received(Box<Entry>),
    ReceivedCall(Box<CallEntry>),
    /// A number as it was bought or changed.
    Number(Box<OwnedNumber>),
    Released {
        account_sid: String,
        phone_number: String,
    },
    Blocked(Block),
    Unblocked(Block),
}

pub(super) struct Ledger {
    messages: Accepted<Entry>,
    calls: Accepted<CallEntry>,
    received: Accepted<Entry>,
    received_calls: Accepted<CallEntry>,
    /// How many texts and calls came in, also before they were kept.
    inbound_count: u64,
    /// The numbers that were bought or changed, and not released since.
    numbers: Vec<OwnedNumber>,
    /// How often a number was bought or changed.
    number_count: u64,
    /// Account and number.
    released: HashSet<(String, String)>,
    blocks: HashSet<Block>,
    file: Option<File>,
}

/// What was accepted or came in of one kind, in that order and by SID.
struct Accepted<T> {
    all: Vec<T>,
    by_sid: HashMap<String, usize>,
}

impl Status {
    /// Twilio's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Received => "received",
        }
    }

    /// Whether nothing more happens to the message.
    pub fn is_final(self) -> bool {
        self >= Self::Delivered
    }
}

impl Entry {
    /// Whether the API knows the message when this account asks.
    pub(super) fn is_known_to(&self, account_sid: &str) -> bool {
        self.account_sid == account_sid && !self.deleted
    }

    /// Whether it came in.
    pub(super) fn is_inbound(&self) -> bool {
        self.status == Status::Received
    }

    /// The places of the media that were not deleted.
    pub(super) fn media(&self) -> impl Iterator<Item = usize> {
        self.media_urls.iter().enumerate().filter(|(_, url)| !url.is_empty()).map(|(index, _)| index)
    }

    /// Forgets the person and what was said.
    fn erase(&mut self) {
        self.deleted = true;
        let person = if self.is_inbound() { &mut self.from } else { &mut self.to };
        person.clear();
        self.body.clear();
        self.media_urls.clear();
        self.media_types.clear();
        self.content_variables = None;
    }
}

impl Progress {
    /// Whether nothing more happens.
    pub(super) fn is_final(self) -> bool {
        match self {
            Self::Message(status) => status.is_final(),
            Self::Call(status) => status.is_final(),
        }
    }
}

impl<T> Accepted<T> {
    fn new() -> Self {
        Self { all: Vec::new(), by_sid: HashMap::new() }
    }

    fn insert(&mut self, sid: String, item: T) {
        self.by_sid.insert(sid, self.all.len());
        self.all.push(item);
    }

    fn get(&self, sid: &str) -> Option<&T> {
        self.by_sid.get(sid).map(|index| &self.all[*index])
    }

    fn get_mut(&mut self, sid: &str) -> Option<&mut T> {
        let index = *self.by_sid.get(sid)?;
        self.all.get_mut(index)
    }
}

impl Ledger {
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut ledger = Self {
            messages: Accepted::new(),
            calls: Accepted::new(),
            received: Accepted::new(),
            received_calls: Accepted::new(),
            inbound_count: 0,
            numbers: Vec::new(),
            number_count: 0,
            released: HashSet::new(),
            blocks: HashSet::new(),
            file: None,
        };
        let Some(path) = path else { return Ok(ledger) };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // A line without its end was being written when the process died: nobody was told of it.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            ledger.replay(serde_json::from_slice(line)?);
        }
        file.set_len(whole as u64)?;
        ledger.file = Some(file);
        Ok(ledger)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.messages.all
    }

    /// The texts that came in.
    pub(super) fn received(&self) -> &[Entry] {
        &self.received.all
    }

    /// A message, in whichever direction it went.
    pub(super) fn get(&self, sid: &str) -> Option<&Entry> {
        self.messages.get(sid).or_else(|| self.received.get(sid))
    }

    pub(super) fn calls(&self) -> &[CallEntry] {
        &self.calls.all
    }

    /// The calls that came in.
    pub(super) fn received_calls(&self) -> &[CallEntry] {
        &self.received_calls.all
    }

    /// A call, in whichever direction it went.
    pub(super) fn call(&self, sid: &str) -> Option<&CallEntry> {
        self.calls.get(sid).or_else(|| self.received_calls.get(sid))
    }

    /// The numbers that accounts have bought, or have been set up with and changed.
    pub(super) fn numbers(&self) -> &[OwnedNumber] {
        &self.numbers
    }

    /// How often a number was bought or changed.
    pub(super) fn number_count(&self) -> u64 {
        self.number_count
    }

    pub(super) fn is_released(&self, account_sid: &str, phone_number: &str) -> bool {
        self.released.iter().any(|(account, number)| account == account_sid && number == phone_number)
    }

    pub(super) fn inbound_count(&self) -> u64 {
        self.inbound_count
    }

    /// An account's messages and calls that something may still happen to.
    pub(super) fn unfinished(&self, account_sid: &str) -> Vec<(String, Progress)> {
        let messages = self.entries().iter().filter(|entry| entry.account_sid == account_sid);
        let messages = messages.map(|entry| (entry.sid.clone(), Progress::Message(entry.status)));
        let calls = self.calls().iter().filter(|call| call.account_sid == account_sid);
        let calls = calls.map(|call| (call.sid.clone(), Progress::Call(call.status)));
        messages.chain(calls).filter(|(_, progress)| !progress.is_final()).collect()
    }

    pub(super) fn accept(&mut self, entry: Entry) -> io::Result<()> {
        self.write(Line::Message(Box::new(entry)))
    }

    pub(super) fn accept_call(&mut self, call: CallEntry) -> io::Result<()> {
        self.write(Line::Call(Box::new(call)))
    }

    /// Empties a message's body, and the variables that stand in it.
    pub(super) fn redact(&mut self, sid: &str, at: Timestamp) -> io::Result<()> {
        self.write(Line::Redacted { sid: sid.to_owned(), at })
    }

    /// Hides a message from the API, and forgets its person and what it said. Earlier lines stay in the file.
    pub(super) fn delete(&mut self, sid: &str) -> io::Result<()> {
        self.write(Line::Deleted(sid.to_owned()))
    }

    /// As `delete`, of a call.
    pub(super) fn delete_call(&mut self, sid: &str) -> io::Result<()> {
        self.write(Line::CallDeleted(sid.to_owned()))
    }

    /// Forgets one of a message's media.
    pub(super) fn delete_medium(&mut self, sid: &str, index: usize) -> io::Result<()> {
        self.write(Line::MediumDeleted { sid: sid.to_owned(), index })
    }

    /// Adds a number, or replaces what is known of it.
    pub(super) fn set_number(&mut self, number: OwnedNumber) -> io::Result<()> {
        self.write(Line::Number(Box::new(number)))
    }

    /// Takes a number from an account.
    pub(super) fn release(&mut self, number: &OwnedNumber) -> io::Result<()> {
        let (account_sid, phone_number) = (number.account_sid.clone(), number.phone_number.clone());
        self.write(Line::Released { account_sid, phone_number })
    }

    /// Moves a message forwards, in memory only; never back from an end. Gives the message as it is then.
    pub(super) fn advance(&mut self, sid: &str, status: Status, error_code: Option<u32>, at: Timestamp) -> Option<&Entry> {
        let entry = self.messages.get_mut(sid)?;
        if status > entry.status {
            entry.status = status;
            entry.error_code = error_code;
            entry.date_updated = at;
        }
        if status != Status::Failed && entry.date_sent.is_none() {
            entry.date_sent = Some(at);
        }
        Some(entry)
    }

    /// As `advance`, for a call.
    pub(super) fn advance_call(&mut self, sid: &str, status: CallStatus, at: Timestamp) -> Option<&CallEntry> {
        let call = self.calls.get_mut(sid)?;
        call.advance(status, at);
        Some(call)
    }

    /// Writes the status of an accepted message or call to the file. Apart from `advance`, so that a killed
    /// process reports again what it had not finished reporting.
    pub(super) fn write_status(&mut self, sid: &str) -> io::Result<()> {
        let line = if let Some(entry) = self.messages.get(sid) {
            let (status, error_code, at) = (entry.status, entry.error_code, entry.date_updated);
            Line::Status { sid: sid.to_owned(), status, error_code, at }
        } else if let Some(call) = self.calls.get(sid) {
            Line::CallStatus { sid: sid.to_owned(), status: call.status, at: call.date_updated, duration: None }
        } else {
            return Ok(());
        };
        self.append(&line)
    }

    /// Keeps a text that came in, in memory even if it cannot be written.
    pub(super) fn receive(&mut self, text: Entry) -> io::Result<()> {
        self.keep(Line::Received(Box::new(text)))
    }

    /// As `receive`, of a call.
    pub(super) fn receive_call(&mut self, call: CallEntry) -> io::Result<()> {
        self.keep(Line::ReceivedCall(Box::new(call)))
    }

    /// Moves a call that came in forwards, in memory even if it cannot be written. Of any other, nothing.
    pub(super) fn advance_received_call(
        &mut self,
        sid: &str,
        status: CallStatus,
        duration: Option<u32>,
        at: Timestamp,
    ) -> io::Result<()> {
        if self.received_calls.get(sid).is_none() {
            return Ok(());
        }
        self.keep(Line::CallStatus { sid: sid.to_owned(), status, at, duration })
    }

    /// Blocks, in memory even if it cannot be written.
    pub(super) fn block(&mut self, block: Block) -> io::Result<()> {
        self.blocks.insert(block.clone());
        self.append(&Line::Blocked(block))
    }

    /// Unblocks, in memory even if it cannot be written.
    pub(super) fn unblock(&mut self, block: Block) -> io::Result<()> {
        self.blocks.remove(&block);
        self.append(&Line::Unblocked(block))
    }

    /// Whether the recipient has blocked this sender of an account; without one, any of them.
    pub(super) fn is_blocked(&self, account_sid: &str, sender: Option<&str>, recipient: &str) -> bool {
        let is_meant = |block: &&Block| block.account_sid == account_sid && block.recipient == recipient;
        self.blocks.iter().filter(is_meant).any(|block| sender.is_none_or(|sender| sender == block.sender))
    }

    /// Writes a line to the file, then does what a restart would do with it.
    fn write(&mut self, line: Line) -> io::Result<()> {
        self.append(&line)?;
        self.replay(line);
        Ok(())
    }

    /// As `write`, but what cannot be written happens all the same.
    fn keep(&mut self, line: Line) -> io::Result<()> {
        let written = self.append(&line);
        self.replay(line);
        written
    }

    fn message_mut(&mut self, sid: &str) -> Option<&mut Entry> {
        match self.messages.get_mut(sid) {
            Some(entry) => Some(entry),
            None => self.received.get_mut(sid),
        }
    }

    fn call_mut(&mut self, sid: &str) -> Option<&mut CallEntry> {
        match self.calls.get_mut(sid) {
            Some(call) => Some(call),
            None => self.received_calls.get_mut(sid),
        }
    }

    fn replay(&mut self, line: Line) {
        match line {
            Line::Message(entry) => self.messages.insert(entry.sid.clone(), *entry),
            Line::Status { sid, status, error_code, at } => {
                self.advance(&sid, status, error_code, at);
            }
            Line::Redacted { sid, at } => {
                if let Some(entry) = self.message_mut(&sid) {
                    entry.body.clear();
                    entry.content_variables = None;
                    entry.date_updated = at;
                }
            }
            Line::Deleted(sid) => {
                if let Some(entry) = self.message_mut(&sid) {
                    entry.erase();
                }
            }
            Line::Call(call) => self.calls.insert(call.sid.clone(), *call),
            Line::CallStatus { sid, status, at, duration } => {
                if let Some(call) = self.call_mut(&sid) {
                    call.advance(status, at);
                    call.duration = duration.or(call.duration);
                }
            }
            Line::CallDeleted(sid) => {
                if let Some(call) = self.call_mut(&sid) {
                    call.erase();
                }
            }
            Line::MediumDeleted { sid, index } => {
                if let Some(entry) = self.message_mut(&sid)
                    && let Some(url) = entry.media_urls.get_mut(index).filter(|url| !url.is_empty())
                {
                    url.clear();
                    entry.num_media = entry.num_media.saturating_sub(1);
                }
            }
            Line::Inbound(_) => self.inbound_count += 1,
            Line::Received(text) => {
                self.inbound_count += 1;
                self.received.insert(text.sid.clone(), *text);
            }
            Line::ReceivedCall(call) => {
                self.inbound_count += 1;
                self.received_calls.insert(call.sid.clone(), *call);
            }
            Line::Number(number) => {
                self.number_count += 1;
                self.released.remove(&(number.account_sid.clone(), number.phone_number.clone()));
                match self.numbers.iter_mut().find(|known| known.is_same(&number.account_sid, &number.phone_number)) {
                    Some(known) => *known = *number,
                    None => self.numbers.push(*number),
                }
            }
            Line::Released { account_sid, phone_number } => {
                self.numbers.retain(|known| !known.is_same(&account_sid, &phone_number));
                self.released.insert((account_sid, phone_number));
            }
            Line::Blocked(block) => {
                self.blocks.insert(block);
            }
            Line::Unblocked(block) => {
                self.blocks.remove(&block);
            }
        }
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(sid: &str) -> Entry {
        let now: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        Entry {
            sid: sid.to_owned(),
            account_sid: "AC1".to_owned(),
            to: "+15551234567".to_owned(),
            from: "+15005550006".to_owned(),
            messaging_service_sid: None,
            body: "hello".to_owned(),
            num_media: 0,
            media_urls: Vec::new(),
            media_types: Vec::new(),
            content_sid: None,
            content_variables: None,
            num_segments: 1,
            status: Status::Queued,
            status_callback: None,
            created: now,
            date_sent: None,
            date_updated: now,
            error_code: None,
            deleted: false,
            in_reply_to: None,
        }
    }

    #[test]
    fn a_truncated_last_line_costs_only_itself() {
        let path = std::env::temp_dir().join(format!("carillon-ledger-{}.jsonl", std::process::id()));
        let mut before = Ledger::open(Some(&path)).unwrap();
        before.accept(entry("SM1")).unwrap();
        before.advance("SM1", Status::Sent, None, "2026-11-02T09:00:01Z".parse().unwrap());
        before.write_status("SM1").unwrap();
        before.file.as_mut().unwrap().write_all(br#"{"message":{"sid":"SM2""#).unwrap();

        let mut after = Ledger::open(Some(&path)).unwrap();
        after.accept(entry("SM3")).unwrap();
        let again = Ledger::open(Some(&path)).unwrap();

        std::fs::remove_file(path).unwrap();
        let kept: Vec<_> = again.entries().iter().map(|entry| (entry.sid.as_str(), entry.status)).collect();
        assert_eq!(kept, [("SM1", Status::Sent), ("SM3", Status::Queued)]);
    }

    #[test]
    fn a_message_of_an_older_ledger_is_still_read() {
        let mut line = serde_json::to_value(Line::Message(Box::new(entry("SM1")))).unwrap();
        let message = line["message"].as_object_mut().unwrap();
        for field in ["media_urls", "media_types", "content_sid", "content_variables", "deleted", "in_reply_to"] {
            message.remove(field).unwrap();
        }

        let mut ledger = Ledger::open(None).unwrap();
        ledger.replay(serde_json::from_value(line).unwrap());

        assert_eq!(ledger.entries(), [entry("SM1")]);
    }

    #[test]
    fn what_was_redacted_and_deleted_stays_so() {
        let path = std::env::temp_dir().join(format!("carillon-redacted-{}.jsonl", std::process::id()));
        let mut before = Ledger::open(Some(&path)).unwrap();
        before.accept(entry("SM1")).unwrap();
        before.accept(entry("SM2")).unwrap();
        before.redact("SM1", "2026-11-02T09:00:01Z".parse().unwrap()).unwrap();
        before.delete("SM2").unwrap();

        let after = Ledger::open(Some(&path)).unwrap();

        std::fs::remove_file(path).unwrap();
        assert_eq!(after.entries(), before.entries());
        let kept = after.entries().iter().map(|entry| (entry.to.as_str(), entry.body.as_str(), entry.is_known_to("AC1")));
        assert_eq!(kept.collect::<Vec<_>>(), [("+15551234567", "", true), ("", "", false)]);
    }

    #[test]
    fn the_lines_of_an_older_ledger_are_still_read() {
        let mut ledger = Ledger::open(None).unwrap();
        let call = r#"{"call":{"sid":"CA1","account_sid":"AC1","to":"+15551234567","from":"+15005550006","twiml":null,"url":null,
            "machine_detection":null,"status":"queued","duration":null,"status_callback":null,"status_callback_events":[],
            "created":"2026-11-02T09:00:00Z","start_time":null,"date_updated":"2026-11-02T09:00:00Z"}}"#;
        let lines =
            [r#"{"inbound":"SM9"}"#, call, r#"{"call_status":{"sid":"CA1","status":"completed","at":"2026-11-02T09:00:01Z"}}"#];

        for line in lines {
            ledger.replay(serde_json::from_str(line).unwrap());
        }

        assert_eq!((ledger.inbound_count(), ledger.received().len()), (1, 0));
        let call = ledger.call("CA1").unwrap();
        assert_eq!((call.status, call.duration, call.deleted, call.inbound), (CallStatus::Completed, Some(10), false, false));
    }

    #[test]
    fn what_came_in_is_kept_apart_and_erased() {
        let path = std::env::temp_dir().join(format!("carillon-received-{}.jsonl", std::process::id()));
        let mut before = Ledger::open(Some(&path)).unwrap();
        let media_urls = ["https://example.com/a", "https://example.com/b"].map(str::to_owned).to_vec();
        let text = Entry { status: Status::Received, num_media: 2, media_urls, ..entry("MM1") };
        before.receive(text.clone()).unwrap();
        before.receive(Entry { sid: "MM2".to_owned(), ..text }).unwrap();
        before.delete_medium("MM1", 0).unwrap();
        before.delete_medium("MM1", 0).unwrap();
        before.delete("MM2").unwrap();

        let after = Ledger::open(Some(&path)).unwrap();

        std::fs::remove_file(path).unwrap();
        assert_eq!(after.received(), before.received());
        assert!(after.entries().is_empty() && after.inbound_count() == 2);
        let [kept, erased] = after.received() else { panic!("two texts") };
        assert_eq!((kept.num_media, kept.media().collect::<Vec<_>>()), (1, vec![1]));
        assert_eq!((erased.from.as_str(), erased.to.as_str(), erased.body.as_str()), ("", "+15551234567", ""));
        assert!(erased.media_urls.is_empty());
    }

    #[test]
    fn a_late_sent_does_not_undo_delivery() {
        let now = "2026-11-02T09:00:01Z".parse().unwrap();
        let mut ledger = Ledger::open(None).unwrap();
        ledger.accept(entry("SM1")).unwrap();

        ledger.advance("SM1", Status::Delivered, None, now);
        ledger.advance("SM1", Status::Sent, None, now);

        assert_eq!(ledger.get("SM1").unwrap().status, Status::Delivered);
    }
}
