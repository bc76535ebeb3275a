//! What the rows of a campaign come to: how many go, what that costs, and what makes it dearer than it need be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Excluded;
use crate::domain::channel::Channel;
use crate::domain::lint;
use crate::domain::money::Micros;
use crate::domain::phone::PhoneNumber;
use crate::domain::segments::{Encoding, encoding, is_gsm7, segments};

/// Added up row by row; two of them never need to be merged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Blank lines are none.
    pub rows: u32,
    pub going: u32,
    pub excluded: BTreeMap<Excluded, u32>,
    /// What all that goes is billed as: segments or messages.
    pub units: u64,
    /// How many messages are billed as one, two, … units.
    pub by_units: BTreeMap<u32, u32>,
    pub cost: Micros,
    /// Of the first thousand that go: numbers that are possible, but assigned to nobody in their country (D1).
    pub doubtful: u32,
    /// Of numbers whose quiet hours are law.
    pub north_american: u32,
    pub ucs2: Ucs2,
}

/// What characters outside GSM-7 cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ucs2 {
    /// Messages that have any.
    pub messages: u32,
    /// The first 50 different ones.
    pub characters: BTreeMap<char, Forcing>,
    /// What replacing all those that have a look-alike would save.
    pub saved_units: u64,
    pub saved_cost: Micros,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forcing {
    pub messages: u32,
    /// The lines of the first five rows whose messages have it.
    pub lines: Vec<u32>,
    /// Its look-alike; empty if it can simply go; `None` if it has none.
    pub replacement: Option<String>,
}

/// Whether more numbers are assigned is not asked: it would take longer than all else.
const LOOKED_AT: u32 = 1_000;
/// Different characters that are listed.
const MOST_CHARACTERS: usize = 50;
/// Lines that are listed of a character.
const MOST_LINES: usize = 5;

impl Summary {
    /// Adds a row that gets no message.
    pub fn exclude(&mut self, why: Excluded) {
        self.rows += 1;
        *self.excluded.entry(why).or_default() += 1;
    }

    /// Adds a row that gets a message, billed as `units` of `price` each.
    pub fn go(&mut self, line: u32, body: &str, channel: Channel, number: &PhoneNumber, units: u32, price: Micros) {
        self.rows += 1;
        self.going += 1;
        self.units += u64::from(units);
        *self.by_units.entry(units).or_default() += 1;
        self.cost = plus(self.cost, price, units);
        if self.going <= LOOKED_AT {
            self.doubtful += u32::from(!number.is_valid());
        }
        self.north_american += u32::from(number.is_north_american());
        // Everything else is billed by the message.
        if channel == Channel::Sms && encoding(body) == Encoding::Ucs2 {
            self.ucs2.add(line, body, units, price);
        }
    }
}

impl Ucs2 {
    /// Adds a message that has characters outside GSM-7 (S3-64).
    fn add(&mut self, line: u32, body: &str, units: u32, price: Micros) {
        self.messages += 1;
        // Each once, in order.
        let mut had: Vec<char> = Vec::new();
        for character in body.chars().filter(|&c| !is_gsm7(c)) {
            if let Err(at) = had.binary_search(&character) {
                had.insert(at, character);
                self.note(character, line);
            }
        }
        if let Some(replaced) = lint::with_replacements(body) {
            let saved = units.saturating_sub(segments(&replaced));
            self.saved_units += u64::from(saved);
            self.saved_cost = plus(self.saved_cost, price, saved);
        }
    }

    fn note(&mut self, character: char, line: u32) {
        let is_full = self.characters.len() >= MOST_CHARACTERS;
        if is_full && !self.characters.contains_key(&character) {
            return;
        }
        let forcing = self
            .characters
            .entry(character)
            .or_insert_with(|| Forcing { replacement: lint::replacement(character).map(str::to_string), ..Forcing::default() });
        forcing.messages += 1;
        if forcing.lines.len() < MOST_LINES {
            forcing.lines.push(line);
        }
    }
}

fn plus(sum: Micros, price: Micros, units: u32) -> Micros {
    Micros(sum.0.saturating_add(price.0.saturating_mul(i64::from(units))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PRICE: Micros = Micros(7_500);

    fn of(channel: Channel, bodies: &[&str]) -> Summary {
        let number = PhoneNumber::from_e164("+12125550161").unwrap();
        let mut summary = Summary::default();
        for (line, body) in (2..).zip(bodies) {
            let units = if channel == Channel::Sms { segments(body) } else { 1 };
            summary.go(line, body, channel, &number, units, PRICE);
        }
        summary
    }

    #[test]
    fn every_row_is_counted_once() {
        let mut summary = of(Channel::Sms, &["Hi", &"a".repeat(161), "Hi"]);
        summary.exclude(Excluded::OptedOut);
        summary.exclude(Excluded::OptedOut);

        assert_eq!((summary.rows, summary.going, summary.excluded[&Excluded::OptedOut]), (5, 3, 2));
        assert_eq!((summary.units, summary.by_units), (4, BTreeMap::from([(1, 2), (2, 1)])));
        assert_eq!((summary.cost, summary.doubtful, summary.north_american), (Micros(4 * 7_500), 0, 3));
        assert_eq!(summary.ucs2, Ucs2::default());
    }

    #[test]
    fn what_forces_ucs2_is_listed_with_what_replacing_it_saves() {
        let long = format!("It’s so ‘good’ {}", "a".repeat(100));
        let with_emoji = format!("It’s 😀 {}", "a".repeat(100));

        let ucs2 = of(Channel::Sms, &[&long, &with_emoji, "plain", "’", "’"]).ucs2;

        assert_eq!(ucs2.messages, 4);
        let listed: Vec<_> =
            ucs2.characters.iter().map(|(c, f)| (*c, f.messages, f.lines.clone(), f.replacement.as_deref())).collect();
        let quote = Some("'");
        assert_eq!(listed, [('‘', 1, vec![2], quote), ('’', 4, vec![2, 3, 5, 6], quote), ('😀', 1, vec![3], None)]);
        // Only the first comes back to one segment: the emoji stays.
        assert_eq!((ucs2.saved_units, ucs2.saved_cost), (1, PRICE));
    }

    #[test]
    fn lists_stay_short() {
        let many: String = ('\u{4e00}'..='\u{4e40}').collect();
        let bodies = [many.as_str(); 7];

        let ucs2 = of(Channel::Sms, &bodies).ucs2;

        assert_eq!((ucs2.messages, ucs2.characters.len()), (7, 50));
        let last = ucs2.characters.last_key_value().unwrap();
        assert_eq!((*last.0, last.1.messages, last.1.lines.as_slice()), ('\u{4e31}', 7, [2, 3, 4, 5, 6].as_slice()));
    }

    #[test]
    fn what_is_billed_by_the_message_is_not_forced_to_anything() {
        assert_eq!(of(Channel::Mms, &["It’s"]).ucs2, Ucs2::default());
        assert_eq!(of(Channel::Whatsapp, &["It’s"]).ucs2, Ucs2::default());
    }
}
