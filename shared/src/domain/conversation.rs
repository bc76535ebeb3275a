//! A conversation: what was written and said with one number, and whether somebody has seen to it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::channel::Channel;

/// What the inbox shows of a conversation. What was written stands in the messages themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Their number in E.164, or whatever else they wrote from.
    pub peer: String,
    pub state: State,
    /// Of theirs, since somebody last looked.
    pub unread: u32,
    /// Somebody should look: it sounds like an opt-out.
    pub review: bool,
    /// When they last wrote or called.
    pub last_at: Timestamp,
    /// The beginning of what they last wrote.
    #[serde(default)]
    pub last_text: Option<String>,
    /// Over which channel.
    pub channel: Channel,
    /// When we last answered by ourselves.
    #[serde(default)]
    pub answered: Vec<Timestamp>,
    /// Grows with every write; each write names the one it saw.
    pub revision: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Somebody has to see to it.
    #[default]
    Open,
    Handled,
}

/// Who should look at a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// A word that was obeyed and says all: STOP, C.
    None,
    Somebody,
    /// Somebody, and with care: it may be an opt-out.
    Review,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Handled => "handled",
        }
    }
}

/// So much of the last text is shown, in characters.
const SHOWN: usize = 120;
/// We answer by ourselves so often within so long, and then leave it to people: two machines that answer
/// each other would never end, and Twilio stops them at some 15 in half a minute (14107).
const MOST_ANSWERS: usize = 4;
const ANSWERS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

impl Conversation {
    /// One that begins at `now`, with nothing in it yet.
    pub fn new(peer: &str, channel: Channel, now: Timestamp) -> Self {
        Self {
            peer: peer.to_string(),
            state: State::Handled,
            unread: 0,
            review: false,
            last_at: now,
            last_text: None,
            channel,
            answered: Vec::new(),
            revision: 0,
        }
    }

    /// With one more text of theirs. Unless it was dealt with at once, it is for somebody to see to.
    pub fn with(mut self, text: &str, channel: Channel, attention: Attention, now: Timestamp) -> Self {
        self.last_text = Some(text.chars().take(SHOWN).collect::<String>()).filter(|text| !text.is_empty());
        self.channel = channel;
        self.review |= attention == Attention::Review;
        match attention {
            Attention::None => self.heard_at(now),
            Attention::Somebody | Attention::Review => self.opened_at(now),
        }
    }

    /// With one more call of theirs. What they last wrote, and over which channel, stays.
    pub fn called(self, now: Timestamp) -> Self {
        self.opened_at(now)
    }

    fn opened_at(mut self, now: Timestamp) -> Self {
        self.state = State::Open;
        self.unread = self.unread.saturating_add(1);
        self.heard_at(now)
    }

    fn heard_at(mut self, now: Timestamp) -> Self {
        self.last_at = self.last_at.max(now);
        self
    }

    /// Whether we may answer by ourselves once more.
    pub fn takes_answer(&self, now: Timestamp) -> bool {
        self.answered.iter().filter(|at| now.duration_since(**at) < ANSWERS_WITHIN).count() < MOST_ANSWERS
    }

    pub fn answered_at(mut self, now: Timestamp) -> Self {
        self.answered.retain(|at| now.duration_since(*at) < ANSWERS_WITHIN);
        self.answered.push(now);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_machines_do_not_answer_each_other_for_ever() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut conversation = Conversation::new("+15550100201", Channel::Sms, now);
        let mut answers = 0;
        for _ in 0..100 {
            if conversation.takes_answer(now) {
                conversation = conversation.answered_at(now);
                answers += 1;
            }
            now += SignedDuration::from_secs(1);
        }
        assert_eq!(answers, MOST_ANSWERS);
        assert!(conversation.takes_answer(now + ANSWERS_WITHIN));
    }
}
