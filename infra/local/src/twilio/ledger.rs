//! The ledger: every message that was accepted, in that order, and how far it got.
//!
//! In a file it is JSON lines, each written whole before anyone learns of what it says, so a killed
//! process loses nothing that it has answered for.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}

/// One accepted message.
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
    pub num_segments: u32,
    pub status: Status,
    pub status_callback: Option<String>,
    pub created: Timestamp,
    pub date_sent: Option<Timestamp>,
    pub date_updated: Timestamp,
    pub error_code: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Message(Box<Entry>),
    Status {
        sid: String,
        status: Status,
        error_code: Option<u32>,
        at: Timestamp,
    },
    /// The SID of an inbound message, so that a restart does not give it away again.
    Inbound(String),
}

pub(super) struct Ledger {
    entries: Vec<Entry>,
    by_sid: HashMap<String, usize>,
    inbound_count: u64,
    file: Option<File>,
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
        }
    }

    /// Whether nothing more happens to the message.
    pub fn is_final(self) -> bool {
        self >= Self::Delivered
    }
}

impl Ledger {
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut ledger = Self { entries: Vec::new(), by_sid: HashMap::new(), inbound_count: 0, file: None };
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
        &self.entries
    }

    pub(super) fn get(&self, sid: &str) -> Option<&Entry> {
        self.by_sid.get(sid).map(|index| &self.entries[*index])
    }

    pub(super) fn inbound_count(&self) -> u64 {
        self.inbound_count
    }

    /// An account's messages that something may still happen to.
    pub(super) fn unfinished(&self, account_sid: &str) -> Vec<(String, Status)> {
        let unfinished = self.entries.iter().filter(|entry| entry.account_sid == account_sid && !entry.status.is_final());
        unfinished.map(|entry| (entry.sid.clone(), entry.status)).collect()
    }

    pub(super) fn accept(&mut self, entry: Entry) -> io::Result<()> {
        self.append(&Line::Message(Box::new(entry.clone())))?;
        self.insert(entry);
        Ok(())
    }

    /// Moves a message forwards, in memory only; never back from an end. Gives the message as it is then.
    pub(super) fn advance(&mut self, sid: &str, status: Status, error_code: Option<u32>, at: Timestamp) -> Option<&Entry> {
        let entry = &mut self.entries[*self.by_sid.get(sid)?];
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

    /// Writes a message's status to the file. Apart from `advance`, so that a killed process reports again
    /// what it had not finished reporting.
    pub(super) fn write_status(&mut self, sid: &str) -> io::Result<()> {
        let Some(entry) = self.get(sid) else { return Ok(()) };
        let (status, error_code, at) = (entry.status, entry.error_code, entry.date_updated);
        self.append(&Line::Status { sid: sid.to_owned(), status, error_code, at })
    }

    pub(super) fn record_inbound(&mut self, sid: &str) -> io::Result<()> {
        self.inbound_count += 1;
        self.append(&Line::Inbound(sid.to_owned()))
    }

    fn insert(&mut self, entry: Entry) {
        self.by_sid.insert(entry.sid.clone(), self.entries.len());
        self.entries.push(entry);
    }

    fn replay(&mut self, line: Line) {
        match line {
            Line::Message(entry) => self.insert(*entry),
            Line::Status { sid, status, error_code, at } => {
                self.advance(&sid, status, error_code, at);
            }
            Line::Inbound(_) => self.inbound_count += 1,
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
            num_segments: 1,
            status: Status::Queued,
            status_callback: None,
            created: now,
            date_sent: None,
            date_updated: now,
            error_code: None,
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
    fn a_late_sent_does_not_undo_delivery() {
        let now = "2026-11-02T09:00:01Z".parse().unwrap();
        let mut ledger = Ledger::open(None).unwrap();
        ledger.accept(entry("SM1")).unwrap();

        ledger.advance("SM1", Status::Delivered, None, now);
        ledger.advance("SM1", Status::Sent, None, now);

        assert_eq!(ledger.get("SM1").unwrap().status, Status::Delivered);
    }
}
