//! `kill -9` over a file-backed table, in the middle of a run or of serving: nothing lost, nothing twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
    // A kill that came too late shows nothing: once more from the beginning.
    let is_killed_thrice = || {
        let _ = std::fs::remove_dir_all(&state);
        let _ = std::fs::remove_file(&json);
        [1, 3, 7].into_iter().all(|by| {
            kill_after(simulation(&sample, &state, &json).spawn().unwrap(), &state, by);
            !json.exists()
        })
    };
    assert!((0..5).any(|_| is_killed_thrice()), "the run is quicker than whoever kills it");

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

/// A server over a state folder, with its API's address and a token. It is killed at the end.
pub struct Server {
    process: Child,
    pub api: String,
    pub token: String,
}

impl Server {
    /// SIGKILL, and no more of it is left.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves over `state`; at its first start with the school of `data`, or the sample.
pub fn serve(state: &Path, data: Option<&Path>) -> Server {
    let mut command = Command::new(program("carillon"));
    command.arg("--state").arg(state).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = |name: &str| {
        let line = lines.by_ref().find(|line| line.starts_with(name)).expect("the server says where it is");
        line.trim_start_matches(name).trim().to_string()
    };
    let (api, token) = (said("API "), said("token "));
    // Somebody must read on, or the server waits for room in the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Server { process, api, token }
}

/// How often each of the numbers of this test was sent to.
fn sent(state: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(state.join("twilio.jsonl")).unwrap_or_default().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(to) = line["message"]["to"].as_str().filter(|to| to.starts_with("+1212555")) {
            *counts.entry(to.to_string()).or_default() += 1;
        }
    }
    counts
}

#[tokio::test]
async fn an_accepted_list_is_finished_though_the_server_is_killed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut server = serve(&state, None);
    let at = shared::clock::now() + jiff::SignedDuration::from_secs(5);
    let numbers: Vec<String> = (0..8).map(|at| format!("+1212555{at:04}")).collect();
    let body =
        json!({ "recipients": numbers, "body": "The hall is closed.", "sendAt": at.to_string(), "category": "authentication" });
    let answer = shared::http_client::new()
        .post(format!("{}/v1/tenants/sample/messages/bulk", server.api))
        .bearer_auth(&server.token)
        .header("idempotency-key", "k")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    server.kill();

    assert_eq!(answer.status().as_u16(), 202);
    assert_eq!(sent(&state).len(), 0);
    let mut server = serve(&state, None);
    let patience = Instant::now() + Duration::from_secs(60);
    while sent(&state).len() < numbers.len() && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.kill();

    let sent = sent(&state);
    assert_eq!(sent.keys().cloned().collect::<Vec<_>>(), numbers);
    assert!(sent.values().all(|times| *times == 1), "{sent:?}");
}
