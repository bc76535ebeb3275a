//! The shortest sequence of happenings that still fails.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::seeds::breaches;

/// Shrinking ends after so long with what it has.
const LONGEST: Duration = Duration::from_secs(120);

/// `plan`, which fails, without whatever it fails without: halves first, then ever smaller parts.
pub fn shortest(plan: Plan) -> Plan {
    let started = Instant::now();
    let mut plan = plan;
    let rules: BTreeSet<&str> = breaches(&plan).iter().map(|breach| breach.rule).collect();
    let mut part = plan.happenings.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < plan.happenings.len() {
            if started.elapsed() > LONGEST {
                return plan;
            }
            let shorter = plan.without(|at| (from..from + part).contains(&at));
            // Of the same kind: what comes after something that is left out may make no sense any more.
            let is_failing = breaches(&shorter).iter().any(|breach| rules.contains(breach.rule));
            if is_failing { plan = shorter } else { from += part }
        }
        part /= 2;
    }
    plan
}

pub fn describe(plan: &Plan) -> String {
    let lines = plan.happenings.iter().map(|happening| format!("  {} {:?}\n", happening.at, happening.what));
    let broken = breaches(plan);
    let broken = broken.iter().take(10).map(|breach| format!("  {}: {}\n", breach.rule, breach.what));
    format!(
        "the shortest that fails of seed {}, from {}:\n{}breaks\n{}",
        plan.seed,
        plan.start,
        lines.collect::<String>(),
        broken.collect::<String>()
    )
}
