//! What a person at the terminal sees of a running machine: each message's fate as a line.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use shared::clock;
use shared::telemetry::MESSAGES;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Shows messages as lines, and warnings of our own code as they are.
pub fn show_messages() {
    let _ = tracing_subscriber::registry().with(Lines).try_init();
}

struct Lines;

#[derive(Default)]
struct Fields {
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.values.push((field.name(), text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.push((field.name(), value.to_string()));
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        let is_message = meta.target() == MESSAGES;
        let is_ours = meta.target().starts_with("shared") || meta.target().starts_with("local");
        let is_warning = is_ours && *meta.level() <= Level::WARN;
        if !is_message && !is_warning {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = clock::now().strftime("%H:%M:%S UTC");
        let line = if is_message {
            format!(
                "{time}  {:<10} {:<16} {:<26} {:<4} {:<8} {:<13} {}",
                fields.get("status"),
                fields.get("kind"),
                fields.get("subject"),
                fields.get("contact"),
                fields.get("channel"),
                fields.get("to"),
                fields.get("why"),
            )
        } else {
            let details: Vec<String> = fields
                .values
                .iter()
                .filter(|(name, _)| *name != "message")
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{time}  {:<10} {} {}", meta.level().as_str().to_lowercase(), fields.get("message"), details.join(" "))
        };
        // A closed terminal is no reason to stop serving.
        let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
    }
}
