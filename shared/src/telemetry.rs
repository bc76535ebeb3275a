//! Logs: structured JSON lines, once per failure, with ids and never a body, a token or a whole number.

use std::error::Error;
use std::fmt;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::domain::channel::Channel;
use crate::domain::message::{Message, Status};
use crate::domain::tenant::TenantId;

/// Starts JSON logging at `info`. Called once, by each function's `main`.
pub fn start() {
    // `Targets` and not `EnvFilter`, whose regular expressions are half a megabyte of each function.
    let levels = Targets::new().with_default(Level::INFO).with_target("aws", Level::WARN).with_target("lambda", Level::WARN);
    let lines = tracing_subscriber::fmt::layer().json().with_current_span(true);
    let _ = tracing_subscriber::registry().with(lines).with(levels).try_init();
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
