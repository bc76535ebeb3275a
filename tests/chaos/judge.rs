//! An independent judge of a run. It reads the inputs, Twilio's ledger and the table, and nothing of how the system
//! decides: what is asked for, when and why not, it works out by itself, in plain arithmetic.
//!
//! A rule is a function of a `Case` in one of these files, and stands in the list of `judge`. `tests.rs` breaks each:
//! `cargo test -p tests chaos::judge`. A safeguard that a rule is there for names it in `tests/mutants.py`.

mod campaigns;
mod case;
mod expected;
mod ledger;
mod money;
mod reasons;
mod rows;
mod tests;
mod times;
mod wishes;

use std::fmt;

use case::Case;

use super::evidence::Evidence;

/// A promise that was not kept.
#[derive(Debug)]
pub struct Breach {
    pub rule: &'static str,
    pub what: String,
}

impl Breach {
    fn new(rule: &'static str, what: String) -> Self {
        Self { rule, what }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Everything that is wrong with a run; nothing if all holds.
pub fn judge(evidence: &Evidence) -> Vec<Breach> {
    let asked = expected::asked(evidence);
    let case = Case::new(evidence, &asked);
    let rules: [fn(&Case<'_>) -> Vec<Breach>; 14] = [
        ledger::twice,
        rows::lost,
        campaigns::reports,
        ledger::unasked,
        ledger::opted_out,
        ledger::quiet_hours,
        ledger::capped,
        ledger::crossing,
        money::over_budget,
        money::meter,
        rows::not_final,
        rows::untrue_reason,
        rows::timeline,
        rows::texts,
    ];
    rules.iter().flat_map(|rule| rule(&case)).collect()
}
