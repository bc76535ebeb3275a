//! Logs and metrics: structured JSON lines, once per failure, with ids and never a body, a token or a whole number; what
//! is counted is in `metrics.rs`.

mod metrics;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use metrics::{METRICS, Metric, count, measure, moved};

use crate::domain::channel::Channel;
use crate::domain::message::{Message, Status};
use crate::domain::tenant::TenantId;
use metrics::Embedded;

/// Where `lambda_runtime` opens the span of an invocation: every line within it names the request's and the trace's id.
const INVOCATIONS: &str = "lambda_runtime::layers::trace";

/// Starts JSON logging at `info`, and metrics in `namespace`. Called once, by each function.
pub fn start(namespace: String) {
    // `Targets` and not `EnvFilter`, whose regular expressions are half a megabyte of each function.
    let levels = Targets::new()
        .with_default(Level::INFO)
        .with_target("aws", Level::WARN)
        .with_target("lambda", Level::WARN)
        .with_target(INVOCATIONS, Level::INFO);
    // The list of spans would say the one span again.
    let lines = tracing_subscriber::fmt::layer().json().with_current_span(true).with_span_list(false);
    let lines = lines.with_filter(filter_fn(|metadata| metadata.target() != METRICS));
    // A log that cannot be written is nothing that a function could help.
    let metrics = Embedded::new(namespace, |line: &str| _ = writeln!(io::stdout(), "{line}"));
    let _ = tracing_subscriber::registry().with(lines).with(metrics).with(levels).try_init();
    log_panics();
}

/// A panic as a line like any other. Where it was, but not what it said: that may quote the text that it stumbled over.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "a panic");
    }));
}

/// The target of the lines that tell a message's fate.
pub const MESSAGES: &str = "carillon::messages";

/// One line for each step of a message that somebody may ask about: who, what, how far, and why not.
pub fn message(tenant: &TenantId, message: &Message) {
    let offset = message.offset.map(|offset| format!(" {offset}")).unwrap_or_default();
    let why = match (message.reason, message.error_code) {
        (Some(reason), _) => reason.word().to_string(),
        (None, Some(code)) => code.to_string(),
        (None, None) if message.status == Status::Scheduled => format!("until {}", message.due_at),
        (None, None) => String::new(),
    };
    tracing::info!(
        target: MESSAGES,
        %tenant,
        id = %message.id,
        status = message.status.word(),
        kind = message.kind.word(),
        subject = format!("{}{offset}", message.subject),
        contact = message.contact.as_deref().unwrap_or_default(),
        channel = message.channel.map_or("", Channel::word),
        to = message.to.as_ref().map(|to| format!("{to:?}")).unwrap_or_default(),
        why,
    );
}

/// What serde says of a value that does not fit, without the value, which it quotes: that may be somebody's text.
pub fn unquoted(error: &impl fmt::Display) -> String {
    const WAYS: [&str; 6] =
        ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field", "duplicate field"];
    let said = error.to_string();
    // The name of a field of ours, and no value.
    if said.starts_with("missing field `") {
        return said;
    }
    match (WAYS.into_iter().find(|way| said.starts_with(*way)), said.rsplit_once(", expected ")) {
        // What is expected is ours to say, and stands last.
        (Some(way), Some((_, expected))) => format!("{way}, expected {expected}"),
        (Some(way), None) => way.to_string(),
        (None, _) => "it cannot be read".to_string(),
    }
}

/// The same of JSON, and where in it: for what others wrote, whose fields have names of ours.
pub fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, said) = (error.path().to_string(), unquoted(error.inner()));
    match path.trim_matches(['.', '?']) {
        "" => said,
        path => format!("`{path}`: {said}"),
    }
}

/// An error and its sources in one line, for the one place that logs it.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Lesson {
        #[allow(dead_code)] // only read
        students: Vec<String>,
        #[allow(dead_code)]
        at: jiff::Timestamp,
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_place_and_not_quoted() {
        let at = "2026-03-10T16:00:00Z";
        let cases = [
            (json!({ "at": at }), "missing field `students`"),
            (json!({ "at": at, "students": "Ann, expected Lee" }), "`students`: invalid type, expected a sequence"),
            (json!({ "at": at, "students": [7] }), "`students[0]`: invalid type, expected a string"),
            (json!({ "at": "Ann Lee", "students": [] }), "`at`: it cannot be read"),
            (json!("Ann Lee"), "invalid type, expected struct Lesson"),
        ];
        for (value, expected) in cases {
            let error = serde_path_to_error::deserialize::<_, Lesson>(&value).unwrap_err();
            assert_eq!(misfit(&error), expected, "{value}");
        }
        let unknown = serde_json::from_value::<Lesson>(json!({ "Ann Lee": 1 })).unwrap_err();
        assert_eq!(unquoted(&unknown), "unknown field, expected `students` or `at`");
        let cut = serde_json::from_str::<BTreeMap<String, String>>(r#"{"a": "Ann Lee"#).unwrap_err();
        assert_eq!(unquoted(&cut), "it cannot be read");
    }
}
