//! Random numbers that a seed makes again: splitmix64.
//!
//! Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The numbers of one request.
pub(super) struct Dice(u64);

impl Dice {
    /// Those of a request by its number: what other requests draw meanwhile does not change them.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        Self(mixed(seed ^ mixed(number)))
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    pub(super) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.roll() % (range.end() - range.start() + 1)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Whether something happens to this one that happens to `share` of a thousand.
    pub(super) fn strikes(&mut self, share: u32) -> bool {
        self.below(1000) < share as usize
    }

    /// `count` of the positions of a list of `length`.
    pub(super) fn positions(&mut self, length: usize, count: usize) -> BTreeSet<usize> {
        let mut left: Vec<usize> = (0..length).collect();
        (0..count).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut dice = Dice(1_234_567);

        assert_eq!([dice.roll(), dice.roll()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn positions_are_as_many_as_asked_for() {
        for number in 0..50 {
            let positions = Dice::of(1, number).positions(10, 4);

            assert_eq!(positions.len(), 4);
            assert!(positions.iter().all(|position| *position < 10));
        }
    }
}
