//! What a phase came to: its rate, how long its calls took, what it used of the machine. Memory that grows without end fails.

use std::time::{Duration, Instant};

use super::stand_in::{StandIn, cpu};

/// From a third of a phase to its end memory may grow by half, and by so many megabytes.
const GROWTH: f64 = 1.5;
const GROWTH_MEGABYTES: f64 = 20.0;

/// What had been used when a phase began.
pub struct Phase {
    begun: Instant,
    ours: Duration,
    theirs: Duration,
}

/// What was done in it.
pub struct Done {
    pub what: &'static str,
    pub count: usize,
    /// Of each, if each was a call; else none.
    pub latencies: Vec<Duration>,
    /// Our memory when a third of it was over, in megabytes.
    pub at_third: f64,
}

impl Phase {
    pub fn begin(stand_in: &mut StandIn) -> Self {
        let theirs = cpu_of(stand_in);
        Self { begun: Instant::now(), ours: cpu(), theirs }
    }

    /// Prints what it came to.
    pub fn end(self, stand_in: &mut StandIn, done: Done) {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let ours = (cpu() - self.ours).as_secs_f64();
        let theirs = (cpu_of(stand_in) - self.theirs).as_secs_f64();
        let at_end = resident();
        let Done { what, count, mut latencies, at_third } = done;
        latencies.sort_unstable();
        let [middle, slow] = [50, 99].map(|percent| percentile(&latencies, percent));
        let took = if latencies.is_empty() { String::new() } else { format!(" p50 {middle:.1} ms, p99 {slow:.1};") };
        let each = |total: f64| total * 1000.0 / count as f64;
        println!(
            "{what}: {:.0} a second for {elapsed:.1} s;{took} CPU each {:.3} ms, of AWS and Twilio {:.3} ({:.2} and {:.2} cores \
             busy); memory {at_end:.0} MB, {:.0} at most so far",
            count as f64 / elapsed,
            each(ours),
            each(theirs),
            ours / elapsed,
            theirs / elapsed,
            memory("VmHWM:"),
        );
        let most = at_third * GROWTH + GROWTH_MEGABYTES;
        assert!(at_end <= most, "{what}: memory grew from {at_third:.0} to {at_end:.0} MB, and may to {most:.0}");
    }
}

/// The memory that this process has now, in megabytes.
pub fn resident() -> f64 {
    memory("VmRSS:")
}

fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

fn cpu_of(stand_in: &mut StandIn) -> Duration {
    serde_json::from_str(&stand_in.ask("cpu")).unwrap()
}

/// In milliseconds; 0 of none.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
}
