//! What users get wrong: a clear line, the right exit status, never a panic.

use std::path::Path;
use std::process::{Command, Output};

use crate::machine::{program, root};

fn simulate(data: &Path) -> Output {
    let mut command = Command::new(program("carillon"));
    command.args(["simulate", "--from", "2026-03-09T18:00:00Z", "--for", "2h", "--data"]).arg(data);
    command.output().unwrap()
}

/// A copy of the sample with one file replaced.
fn sample_with(file: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(root().join("infra/local/sample")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.path().join(file), bytes).unwrap();
    folder
}

fn assert_refused(output: &Output, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains(says), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn where_nothing_can_be_done_the_exit_status_says_so() {
    assert_refused(&simulate(Path::new("no-such-folder")), "no-such-folder");

    let no_phones = sample_with("contacts.csv", b"id,name\nS01,Ana\n");
    assert_refused(&simulate(no_phones.path()), "phone");

    let settings = std::fs::read_to_string(root().join("infra/local/sample/tenant.json")).unwrap();
    let mars = sample_with("tenant.json", settings.replace("America/New_York", "Mars/Base").as_bytes());
    assert_refused(&simulate(mars.path()), "Mars/Base");

    let brace = sample_with("tenant.json", settings.replace("Thank you", "{thank you").as_bytes());
    assert_refused(&simulate(brace.path()), "never closed");
}

#[test]
fn a_misspelt_setting_is_noted() {
    let settings = std::fs::read_to_string(root().join("infra/local/sample/tenant.json")).unwrap();
    let typo = sample_with("tenant.json", settings.replace("quietHours", "quitHours").as_bytes());

    let output = simulate(typo.path());

    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("note: tenant.json: quitHours: unknown setting"));
}

#[test]
fn one_bad_row_is_named_and_the_rest_goes_on() {
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("id;Name;Phone\r\nS01;Ana;555-010-0201\r\n;Nobody;1\r\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let folder = sample_with("contacts.csv", &utf16);

    let output = simulate(folder.path());

    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("contacts.csv:3: id: empty"), "{stderr}");
    assert!(stderr.contains("lessons.csv:2: students: "), "{stderr}");
}

#[test]
fn garbage_files_end_in_words_not_in_panics() {
    let garbage: Vec<u8> = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for file in ["tenant.json", "contacts.csv", "lessons.csv", "lessons.ics", "payments.csv", "events.jsonl"] {
        let folder = sample_with(file, &garbage);
        let output = simulate(folder.path());
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{file}");
    }
}
