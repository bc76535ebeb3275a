//! How long a message keeps its sender busy, and how far single messages may run ahead (ADR 11).

use jiff::SignedDuration;

use crate::domain::channel::Channel;
use crate::domain::tenant::Settings;

/// So far may a sender's clock run ahead before single messages wait too: Twilio queues that much
/// itself. What is asked for in bulk never runs ahead.
pub const BURST: SignedDuration = SignedDuration::from_hours(1);

/// How long so many billed units keep the sender of `channel` busy. A call does for one, however long it is.
pub fn length(settings: &Settings, channel: Channel, units: u32) -> SignedDuration {
    let units = if channel == Channel::Voice { 1 } else { units };
    SignedDuration::from_millis(1000 * i64::from(units) / i64::from(settings.units_per_second(channel)))
}
