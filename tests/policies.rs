//! Least privilege: whatever `template.yaml` lets a function call, some test has made it call.
//!
//! The other half, that nothing is called which no policy names, ends the whole-system tests at once: the local AWS
//! refuses it (`infra/local/src/aws/policy.rs`). This runs after them, on what they wrote down (`machine/capture.rs`).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use local::aws::permissions;
use local::template::Function;
use serde_json::Value;

#[test]
fn policies_allow_nothing_that_is_not_used() {
    let record = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions.jsonl");
    let again = "`cargo test --workspace` runs the whole-system tests and then this";
    let record = std::fs::read_to_string(record).unwrap_or_else(|error| panic!("{error}: {again}"));
    let lines: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["whole"] == true, "the last run of the whole-system tests was filtered: {again}");
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_string();
    let used: BTreeSet<_> = lines.iter().map(|line| ["function", "action", "resource"].map(|name| text(line, name))).collect();

    let allowed = Function::ALL.into_iter().flat_map(|function| {
        permissions(function).iter().map(move |may| [function.name().to_string(), may.action.clone(), may.resource.clone()])
    });
    let unused: Vec<_> = allowed.filter(|permission| !used.contains(permission)).map(|unused| unused.join(" ")).collect();

    assert_eq!(unused, Vec::<String>::new(), "take them out of template.yaml, or test what needs them");
}
