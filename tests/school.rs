//! The main job, end to end: schools with expected results.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::machine::{program, root};

/// Runs `carillon simulate` as a user would and compares line for line.
fn check(folder: &Path) {
    let run = std::fs::read_to_string(folder.join("run.txt")).unwrap();
    let (from, length) = run.trim().split_once(' ').unwrap();
    let output = tempfile::tempdir().unwrap();
    let json = output.path().join("out.jsonl");

    let ran = Command::new(program("carillon"))
        .args(["simulate", "--data"])
        .arg(folder)
        .args(["--from", from, "--for", length, "--json"])
        .arg(&json)
        .output()
        .unwrap();

    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let (actual, expected) =
        (std::fs::read_to_string(&json).unwrap(), std::fs::read_to_string(folder.join("expected.jsonl")).unwrap());
    for (number, (actual, expected)) in actual.lines().zip(expected.lines()).enumerate() {
        assert_eq!(actual, expected, "line {}", number + 1);
    }
    assert_eq!(actual.lines().count(), expected.lines().count());
    check_reports(folder, &String::from_utf8_lossy(&ran.stderr));
}

/// Exactly the bad rows, by file, line and column; every note by what it is about.
fn check_reports(folder: &Path, stderr: &str) {
    let known: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("bad-rows.json")).unwrap()).unwrap();
    let place = |row: &serde_json::Value| {
        format!("{}:{}: {}", row["file"].as_str().unwrap(), row["line"], row["column"].as_str().unwrap())
    };
    let expected: BTreeSet<String> = known["bad"].as_array().unwrap().iter().map(place).collect();
    let reported: BTreeSet<String> = stderr
        .lines()
        .filter(|line| !line.starts_with("note: "))
        .map(|line| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(reported, expected);
    for note in known["notes"].as_array().unwrap() {
        let (uid, reason) = (note["uid"].as_str().unwrap(), note["reason"].as_str().unwrap());
        let word = reason.split_whitespace().find(|word| word.contains('@')).unwrap_or("all-day");
        assert!(stderr.lines().any(|line| line.starts_with("note: ") && line.contains(uid) && line.contains(word)), "{note}");
    }
}

#[test]
fn the_sample_school_gets_what_the_rules_say() {
    check(&root().join("infra/local/sample"));
}

/// Schools computed by an independent program, where they lie beside the project.
#[test]
fn given_schools_get_what_an_independent_program_computed() {
    let data = root().join("../shared/data");
    let Ok(entries) = std::fs::read_dir(data) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.join("expected.jsonl").exists() {
            check(&path);
        }
    }
}
