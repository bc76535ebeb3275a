//! SIDs that replay: a hash of the seed and a counter.

use ring::digest::{SHA256, digest};

/// `prefix` and 32 hexadecimal digits.
pub(super) fn sid(prefix: &str, seed: u64, kind: &str, number: u64) -> String {
    format!("{prefix}{}", hash(&format!("{seed}|{kind}|{number}")))
}

/// Whether `text` is `prefix` and 32 hexadecimal digits.
pub(super) fn is_sid(prefix: &str, text: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// 32 hexadecimal digits that depend on `text` only.
pub(super) fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
