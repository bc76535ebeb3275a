//! `kill -9` in the middle of a run over a file-backed table: nothing lost, nothing twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::{program, root};

/// The sample without its texts: nobody opts out while a message waits to be looked up.
fn quiet_sample(folder: &Path) -> PathBuf {
    let sample = folder.join("sample");
    std::fs::create_dir(&sample).unwrap();
    for entry in std::fs::read_dir(root().join("infra/local/sample")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let kept: String = text.lines().filter(|line| !line.contains("\"inbound\"")).map(|line| format!("{line}\n")).collect();
        std::fs::write(sample.join(path.file_name().unwrap()), kept).unwrap();
    }
    sample
}

fn simulation(folder: &Path, state: &Path, json: &Path) -> Command {
    let run = std::fs::read_to_string(folder.join("run.txt")).unwrap();
    let (from, length) = run.trim().split_once(' ').unwrap();
    let mut command = Command::new(program("carillon"));
    command.args(["simulate", "--data"]).arg(folder).args(["--from", from, "--for", length]);
    command.arg("--state").arg(state).arg("--json").arg(json).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Accepted messages in the ledger's file.
fn accepted(state: &Path) -> usize {
    let ledger = std::fs::read_to_string(state.join("twilio.jsonl")).unwrap_or_default();
    ledger.lines().filter(|line| line.starts_with("{\"message\"")).count()
}

/// Kills the run once the ledger has grown by `by` messages.
fn kill_after(mut run: Child, state: &Path, by: usize) {
    let before = accepted(state);
    let patience = Instant::now() + Duration::from_secs(60);
    while accepted(state) < before + by && run.try_wait().unwrap().is_none() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().unwrap(); // SIGKILL
    run.wait().unwrap();
}

fn outcomes(json: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(json).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let identity = format!("{} {} {} {} {}", line["kind"], line["subject"], line["contact"], line["offset"], line["channel"]);
        (identity, format!("{} {}", line["outcome"], line["reason"]))
    };
    text.lines().map(line).collect()
}

#[test]
fn a_killed_run_goes_on_and_ends_as_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let sample = quiet_sample(folder.path());
    let (state, json) = (folder.path().join("state"), folder.path().join("out.jsonl"));
    for by in [1, 3, 7] {
        kill_after(simulation(&sample, &state, &json).spawn().unwrap(), &state, by);
        assert!(!json.exists(), "the run was killed before its end");
    }

    assert!(simulation(&sample, &state, &json).status().unwrap().success());

    let ledger = std::fs::read_to_string(state.join("twilio.jsonl")).unwrap();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in ledger.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if let Some(body) = line["message"]["body"].as_str() {
            *counts.entry((line["message"]["to"].to_string(), body.to_string())).or_default() += 1;
        }
    }
    assert!(counts.len() > 20, "the ledger was read");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let undisturbed = folder.path().join("undisturbed.jsonl");
    assert!(simulation(&sample, &folder.path().join("other"), &undisturbed).status().unwrap().success());
    assert_eq!(outcomes(&json), outcomes(&undisturbed));
}
