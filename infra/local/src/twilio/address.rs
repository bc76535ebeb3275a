//! Twilio's addresses: a number, and before it the channel unless that is SMS.

/// The number of an address.
pub(super) fn number(address: &str) -> &str {
    address.strip_prefix("whatsapp:").unwrap_or(address)
}

pub(super) fn is_whatsapp(address: &str) -> bool {
    address.starts_with("whatsapp:")
}

/// `number` as an address on the channel of `other`.
pub(super) fn on_channel_of(other: &str, number: &str) -> String {
    if is_whatsapp(other) { format!("whatsapp:{number}") } else { number.to_owned() }
}
