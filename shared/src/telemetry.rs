//! Logs: structured JSON lines, once per failure, with ids and never a body, a token or a whole number.

use std::error::Error;
use std::fmt;

use tracing_subscriber::EnvFilter;

/// Starts JSON logging at `info`. Called once, by each function's `main`.
pub fn start() {
    let filter = EnvFilter::new("info,aws_smithy_runtime=warn,lambda_runtime=warn");
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_current_span(true).try_init();
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
