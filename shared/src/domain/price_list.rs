//! Built-in prices by country prefix and channel, in US dollars, for tenants that set none of their own.
//!
//! Sources: S0-59..61, S1-46..48, S2-45. They know the United States and Canada exactly, and a range for
//! everywhere else, of which this list takes the top: a budget had better stop too early than too late.
//! The tenant's own prices override these, by prefix and by channel.

use std::collections::BTreeMap;

use super::money::Micros;

/// What one billed unit costs: an SMS segment, an MMS, a WhatsApp message, a begun minute of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub sms: Micros,
    pub mms: Micros,
    pub whatsapp: Micros,
    pub voice: Micros,
}

impl Rates {
    /// The same proportions in another measure: `unit` of these become `measure`.
    pub fn scaled(self, measure: i64, unit: i64) -> Self {
        let scaled = |rate: Micros| Micros(rate.0.saturating_mul(measure) / unit);
        let Self { sms, mms, whatsapp, voice } = self;
        Self { sms: scaled(sms), mms: scaled(mms), whatsapp: scaled(whatsapp), voice: scaled(voice) }
    }
}

/// A segment sent from a toll-free number of North America costs at least this (S1-48).
pub const TOLL_FREE_SENDER_SMS: Micros = Micros(12_500);

/// S1-46, S1-47, S0-60, S2-45; MMS is our estimate, the sources give none.
const US_AND_CANADA: Rates = Rates { sms: Micros(7_500), mms: Micros(20_000), whatsapp: Micros(5_000), voice: Micros(13_000) };

/// The top of the ranges of S0-59 and S0-60; MMS and voice are our estimates.
const ELSEWHERE: Rates = Rates { sms: Micros(50_000), mms: Micros(60_000), whatsapp: Micros(50_000), voice: Micros(50_000) };

/// A destination that is not listed costs [`ELSEWHERE`].
const BY_PREFIX: &[(&str, Rates)] = &[
    ("+1", US_AND_CANADA),
    // The islands of the North American plan: neither US states nor Canada, though they begin with +1.
    ("+1242", ELSEWHERE), // Bahamas
    ("+1246", ELSEWHERE), // Barbados
    ("+1264", ELSEWHERE), // Anguilla
    ("+1268", ELSEWHERE), // Antigua and Barbuda
    ("+1284", ELSEWHERE), // British Virgin Islands
    ("+1340", ELSEWHERE), // US Virgin Islands
    ("+1345", ELSEWHERE), // Cayman Islands
    ("+1441", ELSEWHERE), // Bermuda
    ("+1473", ELSEWHERE), // Grenada
    ("+1649", ELSEWHERE), // Turks and Caicos Islands
    ("+1658", ELSEWHERE), // Jamaica
    ("+1664", ELSEWHERE), // Montserrat
    ("+1670", ELSEWHERE), // Northern Mariana Islands
    ("+1671", ELSEWHERE), // Guam
    ("+1684", ELSEWHERE), // American Samoa
    ("+1721", ELSEWHERE), // Sint Maarten
    ("+1758", ELSEWHERE), // Saint Lucia
    ("+1767", ELSEWHERE), // Dominica
    ("+1784", ELSEWHERE), // Saint Vincent and the Grenadines
    ("+1787", ELSEWHERE), // Puerto Rico
    ("+1809", ELSEWHERE), // Dominican Republic
    ("+1829", ELSEWHERE), // Dominican Republic
    ("+1849", ELSEWHERE), // Dominican Republic
    ("+1868", ELSEWHERE), // Trinidad and Tobago
    ("+1869", ELSEWHERE), // Saint Kitts and Nevis
    ("+1876", ELSEWHERE), // Jamaica
    ("+1939", ELSEWHERE), // Puerto Rico
];

/// The area codes of toll-free numbers in the North American plan.
const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

/// What it costs to reach `e164`, in US dollars: by the longest prefix that is listed.
pub fn rates(e164: &str) -> Rates {
    let listed = BY_PREFIX.iter().filter(|(prefix, _)| e164.starts_with(*prefix)).max_by_key(|(prefix, _)| prefix.len());
    listed.map_or(ELSEWHERE, |(_, rates)| *rates)
}

/// What a table by prefix (`+44`, `+1787`) has for a number: the entry of the longest prefix.
pub fn longest_prefix<'a, T>(table: &'a BTreeMap<String, T>, e164: &str) -> Option<&'a T> {
    (1..=e164.len()).rev().find_map(|end| table.get(e164.get(..end)?))
}

/// Whether a number is a North American toll-free one: `+1800…`, `+1833…`.
pub fn is_toll_free(e164: &str) -> bool {
    let national = e164.strip_prefix("+1").filter(|digits| digits.len() == 10);
    national.and_then(|digits| digits.get(..3)).is_some_and(|area| TOLL_FREE.contains(&area))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_united_states_and_canada_cost_what_the_sources_say() {
        for number in ["+15551234567", "+12125550161", "+14165550123"] {
            let rates = rates(number);
            assert_eq!(rates.sms.to_string(), "0.0075"); // S1-46, S2-45
            assert_eq!(rates.mms.to_string(), "0.02");
            assert_eq!(rates.whatsapp.to_string(), "0.005"); // S0-60
            assert_eq!(rates.voice.to_string(), "0.013"); // S1-47
        }
    }

    #[test]
    fn everywhere_else_costs_the_top_of_the_range() {
        // The islands share +1 with the United States, not their prices.
        for number in ["+447700900117", "+919876543210", "+18765550123", "+17875550123"] {
            let rates = rates(number);
            assert_eq!(rates.sms.to_string(), "0.05"); // S0-59
            assert_eq!(rates.mms.to_string(), "0.06");
            assert_eq!(rates.whatsapp.to_string(), "0.05"); // S0-60
            assert_eq!(rates.voice.to_string(), "0.05");
        }
        assert_eq!(rates(""), ELSEWHERE);
    }

    #[test]
    fn a_prefix_is_listed_once() {
        for (at, (prefix, _)) in BY_PREFIX.iter().enumerate() {
            assert!(prefix.starts_with('+'), "{prefix}");
            assert!(BY_PREFIX[at + 1..].iter().all(|(other, _)| other != prefix), "{prefix}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table = BTreeMap::from([("+1".to_string(), 1), ("+1787".to_string(), 2), ("+44".to_string(), 3)]);

        assert_eq!(longest_prefix(&table, "+15551234567"), Some(&1));
        assert_eq!(longest_prefix(&table, "+17875550123"), Some(&2));
        assert_eq!(longest_prefix(&table, "+447700900117"), Some(&3));
        assert_eq!(longest_prefix(&table, "+49301234567"), None);
        assert_eq!(longest_prefix(&table, ""), None);
        assert_eq!(longest_prefix(&table, "+1787é"), Some(&2));
    }

    #[test]
    fn toll_free_numbers_are_north_american() {
        for number in ["+18005550123", "+18335550123", "+18445550123", "+18885550123"] {
            assert!(is_toll_free(number), "{number}");
        }
        for number in ["+15551234567", "+18015550123", "+448005550123", "+1800", "8005550123", "MG0123456789", ""] {
            assert!(!is_toll_free(number), "{number}");
        }
        assert_eq!(TOLL_FREE_SENDER_SMS.to_string(), "0.0125"); // S1-48
    }
}
