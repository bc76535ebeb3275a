//! The commands of `carillon`, one a file: they read arguments and files, and print.

pub mod campaign;
pub mod serve;
pub mod simulate;
pub mod token;
pub mod twilio;

use std::error::Error;

/// The tenant of the sample school.
pub const SAMPLE_TENANT: &str = "sample";

/// A failure is printed, with what the user can do, and ends the command.
pub type Outcome = Result<(), Box<dyn Error>>;
