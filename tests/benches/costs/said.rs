//! What is measured, and how the process that is measured says it to the one that reads.

use serde::{Deserialize, Serialize};

use super::prices::Stored;
use super::work::Work;

/// What its lines begin with that are not logged.
pub const MARK: &str = "@costs ";

/// Messages of each kind.
pub const COUNT: usize = 1_000;
/// How often the hourly and the nightly tasks look at a message: health for 6 hours, a day's figures until they are settled.
pub const HOURS_AFTER: usize = 8;
pub const NIGHTS_AFTER: usize = 13;

/// What is measured, each for so many units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A text that is posted by itself.
    Single,
    /// A reminder that is due together with others.
    Reminder,
    /// A reminder that is due by itself.
    LoneReminder,
    /// A text of a list.
    Listed,
    /// A text of a campaign.
    OfCampaign,
    /// A text that comes in and is answered by itself.
    Answered,
    /// The minute tick, with nothing to do.
    Tick,
    /// The hourly task, and the daily and nightly ones, with nothing to do and so many tenants.
    Hour(u32),
    Night(u32),
    /// The hours and nights after a message, and the night in which it is taken away.
    HoursAfter,
    NightsAfter,
    Expired,
}

/// What the process that is measured says.
#[derive(Serialize, Deserialize)]
pub enum Said {
    Begun,
    Done { kind: Kind, function: String, units: usize, work: Work },
    Kept { kind: Kind, units: usize, stored: Stored },
}

pub fn say(said: &Said) {
    println!("{MARK}{}", serde_json::to_string(said).unwrap());
}
