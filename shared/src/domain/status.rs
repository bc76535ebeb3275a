//! How far a message got, and why it did not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a message got. **Declaration order is the life-cycle**: what Twilio reports is merged
/// by `max`, so callbacks may come late, twice or in any order.
///
/// Before Twilio has accepted, the only moves are compare-and-set on the message's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Ours: waits for its `due_at`.
    Scheduled,
    /// Ours: claimed by one worker, with a lease.
    Sending,
    Accepted,
    Queued,
    /// Of calls, as the next two.
    Initiated,
    Ringing,
    InProgress,
    Sent,
    /// Ours, an end: decided against, see the reason.
    Skipped,
    Canceled,
    /// Of calls, as the next.
    Busy,
    NoAnswer,
    Undelivered,
    Failed,
    /// Of calls: somebody, or something, took it.
    Completed,
    Delivered,
    Read,
    /// Of what somebody wrote to us.
    Received,
}

impl Status {
    /// Every status in life-cycle order.
    pub const ALL: [Status; 18] = [
        Status::Scheduled,
        Status::Sending,
        Status::Accepted,
        Status::Queued,
        Status::Initiated,
        Status::Ringing,
        Status::InProgress,
        Status::Sent,
        Status::Skipped,
        Status::Canceled,
        Status::Busy,
        Status::NoAnswer,
        Status::Undelivered,
        Status::Failed,
        Status::Completed,
        Status::Delivered,
        Status::Read,
        Status::Received,
    ];

    /// What Twilio's word means to us; `None` for a word that is not known.
    pub fn from_twilio(word: &str) -> Option<Self> {
        match word {
            "accepted" | "scheduled" => Some(Self::Accepted),
            // `sending` comes in no callback; fetched, it says no more than `queued`.
            "queued" | "sending" => Some(Self::Queued),
            "sent" => Some(Self::Sent),
            "delivered" => Some(Self::Delivered),
            "undelivered" | "partially_delivered" => Some(Self::Undelivered),
            "failed" => Some(Self::Failed),
            "canceled" => Some(Self::Canceled),
            "read" => Some(Self::Read),
            "initiated" => Some(Self::Initiated),
            "ringing" => Some(Self::Ringing),
            "in-progress" => Some(Self::InProgress),
            "busy" => Some(Self::Busy),
            "no-answer" => Some(Self::NoAnswer),
            "completed" => Some(Self::Completed),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Received => "received",
        }
    }

    /// Whether nothing more is expected (a `delivered` WhatsApp message may still be `read`).
    pub fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::Sending | Self::Accepted | Self::Queued => false,
            Self::Initiated | Self::Ringing | Self::InProgress | Self::Sent => false,
            Self::Skipped | Self::Canceled | Self::Undelivered | Self::Failed | Self::Delivered | Self::Read => true,
            Self::Busy | Self::NoAnswer | Self::Completed | Self::Received => true,
        }
    }

    /// The four words that users see, and Skipped (S0-77..80); of what came in, Received (S4-30).
    pub fn shown(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Sending => "Pending",
            Self::Accepted | Self::Queued | Self::Sent => "Sent",
            Self::Initiated | Self::Ringing | Self::InProgress => "Sent",
            Self::Delivered | Self::Read | Self::Completed => "Delivered",
            Self::Received => "Received",
            Self::Undelivered | Self::Failed | Self::Busy | Self::NoAnswer => "Failed",
            Self::Skipped | Self::Canceled => "Skipped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a message was not sent (reminders.md §2.3, §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    TenantDisabled,
    TypeDisabled,
    OptedOut,
    InvalidNumber,
    NoChannel,
    TooLate,
    Superseded,
    /// The template asks for what the contact, lesson or payment does not have.
    MissingVariable,
    FrequencyCap,
    Budget,
    Moved,
    LessonCancelled,
    Paid,
    NotAttending,
    /// Twilio did not take it, time after time.
    NotProcessed,
    /// Somebody took it back.
    OnRequest,
    /// The contact it was for is gone.
    ContactGone,
    /// WhatsApp takes free text only for 24 hours after the recipient wrote (D14).
    OutsideWindow,
    DoNotCall,
}

impl Reason {
    /// For people: what it means, and what can be done about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::TenantDisabled => "messages are switched off for the whole tenant: settings, enabled",
            Self::TypeDisabled => "messages of this type are switched off: settings, types",
            Self::OptedOut => "they do not want it: they can text START, or be opted in by you with their consent",
            Self::InvalidNumber => "the contact's number cannot be reached: mend it",
            Self::NoChannel => "there is no sender, or no number, for a channel that it may go over",
            Self::TooLate => "it would have come when it was of no use any more",
            Self::Superseded => "a reminder nearer to the lesson or due date went instead",
            Self::MissingVariable => "its template asks for what is not known: see the message's timeline, step 'missing'",
            Self::FrequencyCap => "they had as many messages in 24 hours as the tenant allows: settings, frequencyCap",
            Self::Budget => "the month's limit does not cover it: raise it, or wait for the next month",
            Self::Moved => "its lesson was moved; another reminder took its place",
            Self::LessonCancelled => "its lesson was cancelled",
            Self::Paid => "its payment was settled",
            Self::NotAttending => "they do not attend any more",
            Self::NotProcessed => "Twilio did not take it, time after time: see the code, and Twilio's status page",
            Self::OnRequest => "somebody took it back",
            Self::ContactGone => "the contact was removed",
            Self::OutsideWindow => {
                "WhatsApp takes free text for 24 hours after they wrote: use an approved template (contentSid), or SMS"
            }
            Self::DoNotCall => "their number is on the tenant's list of numbers that are never called",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::TenantDisabled => "tenant_disabled",
            Self::TypeDisabled => "type_disabled",
            Self::OptedOut => "opted_out",
            Self::InvalidNumber => "invalid_number",
            Self::NoChannel => "no_channel",
            Self::TooLate => "too_late",
            Self::Superseded => "superseded",
            Self::MissingVariable => "missing_variable",
            Self::FrequencyCap => "frequency_cap",
            Self::Budget => "budget",
            Self::Moved => "moved",
            Self::LessonCancelled => "lesson_cancelled",
            Self::Paid => "paid",
            Self::NotAttending => "not_attending",
            Self::NotProcessed => "not_processed",
            Self::OnRequest => "on_request",
            Self::ContactGone => "contact_gone",
            Self::OutsideWindow => "outside_window",
            Self::DoNotCall => "do_not_call",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_listed_in_life_cycle_order() {
        assert!(Status::ALL.is_sorted());
        for status in Status::ALL {
            assert_eq!(Status::ALL[status as usize], status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        }
    }
}
