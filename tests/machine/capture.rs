//! Every log line of the whole test run, searched as it is written: no auth token, no text of a message, no whole
//! number, no name may stand in one. A line that shows one ends the run.
//!
//! The lines are those of production, in JSON, but of our own code down to TRACE.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use local::aws::USES;
use local::host::Host;
use serde_json::{Value, json};
use shared::telemetry::METRICS;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Texts that may stand in no log line, found by their first bytes.
#[derive(Debug)]
pub struct Secrets {
    /// One bit for each hash of the first bytes: most places of a line are dismissed by it.
    heads: Vec<u64>,
    needles: HashMap<[u8; HEAD], Vec<Vec<u8>>>,
}

const HEAD: usize = 8;
/// So much of a text is looked for: a line that is cut shows as much.
const LONGEST: usize = 16;
/// Fewer different characters are no text of anybody's: `xxxxxxxx`, `00000000`.
const FEWEST: usize = 5;
const BITS: u32 = 18;

impl Default for Secrets {
    fn default() -> Self {
        Self { heads: vec![0; 1 << (BITS - 6)], needles: HashMap::new() }
    }
}

impl Secrets {
    /// Adds a text, as far as a line would show it as it is. Whether it is new, and long enough to be known again.
    pub fn add(&mut self, text: &str) -> bool {
        // JSON writes the others differently.
        let pieces = text.split(|c: char| c.is_control() || c == '"' || c == '\\');
        let Some(piece) = pieces.map(str::trim).find(|piece| is_telling(piece)) else { return false };
        let needle = piece.as_bytes()[..piece.len().min(LONGEST)].to_vec();
        let mut head = [0; HEAD];
        head.copy_from_slice(&needle[..HEAD]);
        let known = self.needles.entry(head).or_default();
        if known.contains(&needle) {
            return false;
        }
        known.push(needle);
        let bit = bit(head);
        self.heads[bit / 64] |= 1 << (bit % 64);
        true
    }

    /// Adds the digits of a number: it may be written without its plus.
    pub fn add_number(&mut self, number: &str) -> bool {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        digits.len() >= 10 && self.add_digits(&digits[digits.len() - 10..])
    }

    fn add_digits(&mut self, digits: &str) -> bool {
        // Digits repeat themselves; ten of them in a row are a number all the same.
        let mut head = [0; HEAD];
        head.copy_from_slice(&digits.as_bytes()[..HEAD]);
        let known = self.needles.entry(head).or_default();
        if known.iter().any(|needle| needle == digits.as_bytes()) {
            return false;
        }
        known.push(digits.as_bytes().to_vec());
        let bit = bit(head);
        self.heads[bit / 64] |= 1 << (bit % 64);
        true
    }

    fn find(&self, line: &[u8]) -> Option<&[u8]> {
        line.windows(HEAD).enumerate().find_map(|(at, window)| {
            let mut head = [0; HEAD];
            head.copy_from_slice(window);
            let bit = bit(head);
            if self.heads[bit / 64] & (1 << (bit % 64)) == 0 {
                return None;
            }
            self.needles.get(&head)?.iter().find(|needle| line[at..].starts_with(needle)).map(Vec::as_slice)
        })
    }
}

fn bit(head: [u8; HEAD]) -> usize {
    (u64::from_le_bytes(head).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as usize
}

fn is_telling(piece: &str) -> bool {
    let mut different: Vec<char> = piece.chars().collect();
    different.sort_unstable();
    different.dedup();
    piece.len() >= HEAD && different.len() >= FEWEST
}

/// What of `line` should stand in no log, if anything: a whole number, a token, or one of `secrets`.
pub fn leaks(line: &str, secrets: &Secrets) -> Option<String> {
    let bytes = line.as_bytes();
    if let Some(found) = secrets.find(bytes) {
        return Some(String::from_utf8_lossy(found).into_owned());
    }
    number(line).or_else(|| token(bytes))
}

/// A number in E.164, also with its plus percent-encoded. A masked one has dots among its digits.
fn number(line: &str) -> Option<String> {
    let after = |plus: &'static str| line.match_indices(plus).map(move |(at, plus)| &line[at + plus.len()..]);
    after("+").chain(after("%2B")).chain(after("%2b")).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (digits.len() >= 8).then(|| format!("+{digits}"))
    })
}

/// Thirty-two hex digits by themselves, as Twilio's tokens are: the ids of Twilio's and ours have a prefix.
fn token(line: &[u8]) -> Option<String> {
    const LENGTH: usize = 32;
    let mut start = 0;
    while start < line.len() {
        let run = line[start..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_alone = start == 0 || !(line[start - 1].is_ascii_alphanumeric() || line[start - 1] == b'_');
        if run == LENGTH && is_alone {
            return Some(String::from_utf8_lossy(&line[start..start + run]).into_owned());
        }
        start += run.max(1);
    }
    None
}

#[derive(Debug, Default)]
struct Captured {
    secrets: Secrets,
    lines: Vec<String>,
}

/// What was logged shortly before a text became known is searched for it, too.
const LOOK_BACK: usize = 500;

fn captured() -> MutexGuard<'static, Captured> {
    static CAPTURED: OnceLock<Mutex<Captured>> = OnceLock::new();
    CAPTURED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which permissions of the functions' the tests use, for `policies.rs`: a line that says whether all tests run, then
/// one for each permission.
fn permissions_file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions.jsonl")
}

/// Writes down that a permission was used, as the local AWS says. One that no policy grants ends the run.
fn keep_permission(line: &str) {
    let fields = serde_json::from_str::<Value>(line).map(|line| line["fields"].clone()).unwrap_or_default();
    if fields["function"].is_null() {
        let _ = writeln!(io::stderr(), "\ntemplate.yaml does not allow what the code calls:\n{line}");
        std::process::exit(101);
    }
    let mut file = OpenOptions::new().append(true).open(permissions_file()).unwrap();
    // In one piece: others write here too.
    file.write_all(format!("{fields}\n").as_bytes()).unwrap();
}

thread_local! {
    static COUNTED: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// What was counted on this thread since it was last asked, each metric's sum: for a test that runs on one thread.
pub fn take_counted() -> BTreeMap<String, u64> {
    COUNTED.take()
}

fn keep_counted(line: &str) {
    let fields = serde_json::from_str::<Value>(line).map(|line| line["fields"].clone()).unwrap_or_default();
    let (metric, value) = (fields["metric"].as_str().unwrap_or_default(), fields["value"].as_u64().unwrap_or_default());
    COUNTED.with_borrow_mut(|counted| *counted.entry(metric.to_string()).or_default() += value);
}

/// Whether a test program that is given these arguments runs every test.
fn runs_all(arguments: &[String]) -> bool {
    const WITH_VALUE: [&str; 6] = ["--test-threads", "--format", "--color", "--logfile", "--shuffle-seed", "-Z"];
    let is_value = |at: usize| at > 0 && WITH_VALUE.contains(&arguments[at - 1].as_str());
    let leaves_out =
        |argument: &str| !argument.starts_with('-') || ["--skip", "--ignored"].iter().any(|flag| argument.starts_with(flag));
    !arguments.iter().enumerate().any(|(at, argument)| !is_value(at) && leaves_out(argument))
}

/// Takes every log line of this process from now on.
pub fn start() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let is_whole = runs_all(&std::env::args().skip(1).collect::<Vec<_>>());
        std::fs::write(permissions_file(), format!("{}\n", json!({ "whole": is_whole }))).unwrap();
        let levels = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("shared", LevelFilter::TRACE)
            .with_target("local", LevelFilter::TRACE)
            .with_target("carillon", LevelFilter::TRACE)
            // As in production.
            .with_target("aws", LevelFilter::WARN)
            .with_target("lambda", LevelFilter::WARN)
            // The stand-in's own engine.
            .with_target("dynoxide", LevelFilter::OFF);
        let lines = tracing_subscriber::fmt::layer().json().with_current_span(true).with_writer(|| Line(Vec::new()));
        tracing_subscriber::registry().with(lines).with(levels).try_init().unwrap();
    });
}

/// One line, which is searched once it is whole.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = String::from_utf8_lossy(&self.0).into_owned();
        if line.contains(USES) {
            keep_permission(&line);
        }
        if line.contains(METRICS) {
            keep_counted(&line);
        }
        let mut captured = captured();
        let leak = leaks(&line, &captured.secrets);
        captured.lines.push(line);
        drop(captured);
        if let Some(leak) = leak {
            end_the_run(&leak, &String::from_utf8_lossy(&self.0));
        }
    }
}

/// A panic in a log line would be some task's, and nobody might hear of it.
fn end_the_run(leak: &str, line: &str) -> ! {
    let _ = writeln!(io::stderr(), "\na log line shows '{leak}', which nobody may read in a log:\n{line}");
    std::process::exit(101);
}

/// The lines in which one of these messages is named.
pub fn lines_of(ids: &HashSet<String>) -> Vec<String> {
    const LENGTH: usize = 36;
    let names =
        |line: &&String| line.match_indices("msg_").any(|(at, _)| line.get(at..at + LENGTH).is_some_and(|id| ids.contains(id)));
    captured().lines.iter().filter(names).cloned().collect()
}

/// Searches what another process has logged.
pub fn search(lines: &str) {
    let captured = captured();
    let leak = lines.lines().find_map(|line| Some((leaks(line, &captured.secrets)?, line)));
    if let Some((leak, line)) = leak {
        end_the_run(&leak, line);
    }
}

/// Keeps texts secret from now on. Those that were not known before.
fn keep(texts: Vec<String>) -> Secrets {
    let mut captured = captured();
    let mut new = Secrets::default();
    for text in texts {
        let digits = text.strip_prefix('+').filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        match digits {
            Some(digits) if captured.secrets.add_number(digits) => _ = new.add_number(digits),
            None if captured.secrets.add(&text) => _ = new.add(&text),
            Some(_) | None => {}
        }
    }
    new
}

/// Lets no line show any of `texts` any more.
pub fn keep_secret(texts: &[&str]) {
    keep(texts.iter().map(|text| (*text).to_string()).collect());
}

/// The fields of requests that say something, or whom to.
const SAYING: [&str; 8] = ["body", "say", "to", "number", "phone", "whatsapp", "email", "authToken"];

/// Lets no line show what a request says.
pub fn keep_request(body: &[u8]) {
    fn walk(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if SAYING.contains(&name.as_str()) => all.push(text.clone()),
                        value => walk(value, all),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, all)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return };
    let mut all = Vec::new();
    walk(&request, &mut all);
    keep(all);
}

/// Lets no line show what the local Twilio was given to send, nor what was written shortly before it was.
pub fn keep_ledger(host: &Host) {
    let new = keep(host.twilio.ledger().into_iter().map(|entry| entry.body).collect());
    if new.needles.is_empty() {
        return;
    }
    let captured = captured();
    let from = captured.lines.len().saturating_sub(LOOK_BACK);
    let leak = captured.lines[from..].iter().find_map(|line| Some((leaks(line, &new)?, line.clone())));
    drop(captured);
    if let Some((leak, line)) = leak {
        end_the_run(&leak, &line);
    }
}
