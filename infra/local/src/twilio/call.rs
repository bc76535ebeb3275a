//! A call: what was asked for, how far it got, and what Twilio tells of that.
//!
//! Life-cycle from data/status-lifecycle.json. There is no line and no voice here: who answers is settled,
//! and how long a call takes is reckoned from its text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a call got. Declaration order is the life-cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    Queued,
    /// Only callbacks say so; the API still shows `queued`.
    Initiated,
    Ringing,
    InProgress,
    Completed,
    Busy,
    NoAnswer,
    Failed,
}

/// What a status callback can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallEvent {
    Initiated,
    Ringing,
    Answered,
    /// Any end, also one that nobody answered.
    Completed,
}

/// One call that was accepted or, if it is `inbound`, came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEntry {
    pub sid: String,
    pub account_sid: String,
    pub to: String,
    pub from: String,
    /// What is said. With a URL or an application, Twilio would ask there; the local Twilio does not.
    pub twiml: Option<String>,
    pub url: Option<String>,
    pub machine_detection: Option<String>,
    pub status: CallStatus,
    /// In seconds, once the call has ended. The callback delays take no heed of it.
    pub duration: Option<u32>,
    pub status_callback: Option<String>,
    pub status_callback_events: Vec<CallEvent>,
    pub created: Timestamp,
    /// When it was answered, or ended without.
    pub start_time: Option<Timestamp>,
    pub date_updated: Timestamp,
    #[serde(default)]
    pub inbound: bool,
    /// Whether the account has deleted it: the API no longer knows it, but accepted it was. Whom it was to
    /// or from, and what was said, is forgotten then.
    #[serde(default)]
    pub deleted: bool,
}

/// The seconds of a call whose text lies behind a URL.
const UNKNOWN_TEXT_SECS: u32 = 10;

impl CallStatus {
    /// Twilio's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more happens to the call.
    pub fn is_final(self) -> bool {
        self >= Self::Completed
    }

    /// The status of that word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Queued,
            Self::Initiated,
            Self::Ringing,
            Self::InProgress,
            Self::Completed,
            Self::Busy,
            Self::NoAnswer,
            Self::Failed,
        ];
        all.into_iter().find(|status| status.word() == word)
    }

    /// The word for it in the API, which does not know `initiated`.
    pub(super) fn shown(self) -> &'static str {
        if self == Self::Initiated { Self::Queued.word() } else { self.word() }
    }

    /// Every status that is reported on the way to this one, which comes last.
    pub(super) fn way(self) -> &'static [Self] {
        match self {
            Self::Queued => &[],
            Self::Initiated => &[Self::Initiated],
            Self::Ringing => &[Self::Initiated, Self::Ringing],
            Self::InProgress => &[Self::Initiated, Self::Ringing, Self::InProgress],
            Self::Completed => &[Self::Initiated, Self::Ringing, Self::InProgress, Self::Completed],
            Self::Busy => &[Self::Initiated, Self::Ringing, Self::Busy],
            Self::NoAnswer => &[Self::Initiated, Self::Ringing, Self::NoAnswer],
            Self::Failed => &[Self::Initiated, Self::Failed],
        }
    }

    /// How the line ended, in the terms of SIP: RFC 3261, §21. None before the end.
    pub(super) fn sip_response_code(self) -> Option<u16> {
        match self {
            Self::Queued | Self::Initiated | Self::Ringing | Self::InProgress => None,
            Self::Completed => Some(200),
            Self::Busy => Some(486),
            Self::NoAnswer => Some(487),
            Self::Failed => Some(404),
        }
    }

    /// The event that reports it. The first status is answered for by the submission's answer.
    fn event(self) -> Option<CallEvent> {
        match self {
            Self::Queued => None,
            Self::Initiated => Some(CallEvent::Initiated),
            Self::Ringing => Some(CallEvent::Ringing),
            Self::InProgress => Some(CallEvent::Answered),
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Failed => Some(CallEvent::Completed),
        }
    }
}

impl CallEvent {
    /// Twilio's event of that name.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "initiated" => Some(Self::Initiated),
            "ringing" => Some(Self::Ringing),
            "answered" => Some(Self::Answered),
            "completed" => Some(Self::Completed),
            _ => None,
        }
    }
}

impl CallEntry {
    /// Moves the call forwards; never on from an end.
    pub(super) fn advance(&mut self, status: CallStatus, at: Timestamp) {
        if self.status.is_final() || status <= self.status {
            return;
        }
        self.status = status;
        self.date_updated = at;
        if status >= CallStatus::InProgress && self.start_time.is_none() {
            self.start_time = Some(at);
        }
        if status == CallStatus::Completed {
            self.duration = Some(self.twiml.as_deref().map_or(UNKNOWN_TEXT_SECS, text_secs));
        } else if status.is_final() {
            self.duration = Some(0);
        }
    }

    /// Whether the API knows the call when this account asks.
    pub(super) fn is_known_to(&self, account_sid: &str) -> bool {
        self.account_sid == account_sid && !self.deleted
    }

    /// Forgets the person and what was said.
    pub(super) fn erase(&mut self) {
        self.deleted = true;
        let person = if self.inbound { &mut self.from } else { &mut self.to };
        person.clear();
        self.twiml = None;
        self.url = None;
    }

    pub(super) fn end_time(&self) -> Option<Timestamp> {
        self.status.is_final().then_some(self.date_updated)
    }

    /// Who has answered at `status`, if somebody has and that was to be found out. It is never a machine.
    pub(super) fn answered_by(&self, status: CallStatus) -> Option<&'static str> {
        let answered = matches!(status, CallStatus::InProgress | CallStatus::Completed);
        (answered && self.machine_detection.is_some()).then_some("human")
    }

    /// Whether `status` is to be reported.
    pub(super) fn asked_for(&self, status: CallStatus) -> bool {
        status.event().is_some_and(|event| self.status_callback_events.contains(&event))
    }

    /// How many reports of the call come before that of `status`.
    pub(super) fn sequence_number(&self, status: CallStatus) -> usize {
        status.way().iter().filter(|before| **before != status && self.asked_for(**before)).count()
    }
}

/// How long saying the text of TwiML takes: 3 seconds, and one for each 15 characters begun outside of tags.
pub(super) fn text_secs(twiml: &str) -> u32 {
    let mut inside_tag = false;
    let mut characters: u32 = 0;
    for character in twiml.chars() {
        match character {
            '<' => inside_tag = true,
            '>' => inside_tag = false,
            _ if !inside_tag => characters += 1,
            _ => {}
        }
    }
    3 + characters.div_ceil(15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn call(twiml: Option<&str>, events: &[CallEvent]) -> CallEntry {
        let created = "2026-11-02T09:00:00Z".parse().unwrap();
        CallEntry {
            sid: "CA1".to_owned(),
            account_sid: "AC1".to_owned(),
            to: "+15551234567".to_owned(),
            from: "+15005550006".to_owned(),
            twiml: twiml.map(str::to_owned),
            url: None,
            machine_detection: Some("Enable".to_owned()),
            status: CallStatus::Queued,
            duration: None,
            status_callback: None,
            status_callback_events: events.to_vec(),
            created,
            start_time: None,
            date_updated: created,
            inbound: false,
            deleted: false,
        }
    }

    #[test]
    fn only_the_text_of_twiml_takes_time() {
        assert_eq!(text_secs("<Response/>"), 3);
        assert_eq!(text_secs(r#"<Response><Say voice="alice">fifteen letters</Say></Response>"#), 4);
        assert_eq!(text_secs("<Response><Say>fifteen letters</Say><Say>!</Say></Response>"), 5);
    }

    #[test]
    fn a_call_ends_once() {
        let now = "2026-11-02T09:00:01Z".parse().unwrap();
        let mut call = call(None, &[]);

        call.advance(CallStatus::Completed, now);
        call.advance(CallStatus::InProgress, now);
        call.advance(CallStatus::Failed, now);

        assert_eq!((call.status, call.duration), (CallStatus::Completed, Some(10)));
    }

    #[test]
    fn a_call_that_nobody_answers_takes_no_time() {
        let mut call = call(Some("<Response><Say>hello</Say></Response>"), &[]);

        call.advance(CallStatus::NoAnswer, "2026-11-02T09:00:01Z".parse().unwrap());

        assert_eq!((call.duration, call.answered_by(call.status)), (Some(0), None));
    }

    #[test]
    fn only_the_reports_that_were_asked_for_are_numbered() {
        let call = call(None, &[CallEvent::Ringing, CallEvent::Completed]);

        assert!(!call.asked_for(CallStatus::Initiated) && !call.asked_for(CallStatus::InProgress));
        assert_eq!(call.sequence_number(CallStatus::Ringing), 0);
        assert_eq!(call.sequence_number(CallStatus::Completed), 1);
        assert_eq!(call.sequence_number(CallStatus::Failed), 0);
    }
}
