//! The house rules that types cannot hold: arrows only point down (DESIGN §2, ARCHITECTURE.md).

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::root;

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// The code of a file without comments and its tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let until = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..until].lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// How high a module of the core stands. Each may name lower ones only, and itself.
fn level(module: &str) -> Option<u32> {
    Some(match module {
        "domain" => 0,
        "clock" | "config" | "http_client" => 1,
        "aws_client" | "files" | "telemetry" => 2,
        "store" | "twilio" | "secrets" | "queue" | "events" => 3,
        "context" => 4,
        "usecases" => 5,
        "schedule" | "api" => 6,
        _ => return None,
    })
}

/// `crate::x` and `crate::{x, y}` as they stand in a line.
fn named_modules(line: &str) -> Vec<String> {
    let mut named = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map_or_else(|| vec![rest], |list| list.split(',').collect());
        named.extend(
            list.iter().map(|part| part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()),
        );
    }
    named
}

#[test]
fn arrows_only_point_down_and_adapters_do_not_know_each_other() {
    let core = root().join("shared/src");
    let mut wrong = Vec::new();
    for (path, text) in sources(&core) {
        let inside = path.strip_prefix(&core).unwrap();
        let own = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if own == "lib" {
            continue;
        }
        let own_level = level(own).unwrap_or_else(|| panic!("give '{own}' its place in tests/tidy.rs"));
        for (line, code) in code(&text) {
            for named in named_modules(code) {
                let lower = level(&named).is_none_or(|level| level < own_level);
                if named != own && !lower {
                    wrong.push(format!("{}:{line}: {own} names {named}", inside.display()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Words that may stand in certain files only, and why.
const CONFINED: [(&str, &[&str], &str); 9] = [
    ("aws_sdk_dynamodb", &["shared/src/store/"], "the store is the only way to the table"),
    ("aws_sdk_secretsmanager", &["shared/src/secrets.rs"], "an adapter each"),
    ("aws_sdk_sqs", &["shared/src/queue.rs"], "an adapter each"),
    ("aws_sdk_eventbridge", &["shared/src/events.rs"], "an adapter each"),
    ("env::var", &["shared/src/config.rs"], "only config.rs reads the environment"),
    ("Timestamp::now", &["shared/src/clock.rs"], "now is an argument"),
    ("SystemTime::now", &[], "now is an argument"),
    ("async_trait", &[], "the seam is an endpoint, not a trait"),
    ("\"TENANT#", &["shared/src/store/keys.rs"], "keys.rs builds every key"),
];

#[test]
fn words_stay_in_their_files() {
    let mut wrong = Vec::new();
    for folder in ["shared/src", "functions", "infra/local/src"] {
        for (path, text) in sources(&root().join(folder)) {
            let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
            for (line, code) in code(&text) {
                for (word, places, why) in CONFINED {
                    if code.contains(word) && !places.iter().any(|place| path.starts_with(place)) {
                        wrong.push(format!("{path}:{line}: {word}: {why}"));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_domain_is_pure() {
    const IMPURE: [&str; 9] = ["async ", "tokio", "reqwest", "axum", "lambda_", "aws_", "std::fs", "std::net", "std::time"];
    for (path, text) in sources(&root().join("shared/src/domain")) {
        for (line, code) in code(&text) {
            let found = IMPURE.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}:{line}", path.display());
        }
    }
}

#[test]
fn functions_are_thin() {
    for (path, text) in sources(&root().join("functions")) {
        let lines = text.lines().count();
        assert!(lines <= 25, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_front_pages_stay_short() {
    for (page, most) in [("README.md", 150), ("ARCHITECTURE.md", 200)] {
        let lines = fs::read_to_string(root().join(page)).unwrap().lines().count();
        assert!(lines <= most, "{page} has {lines} lines");
    }
}
