//! AWS and Twilio on one machine: every function's code in one process over stand-ins.
//!
//! `host` is the machine; `aws` and `twilio` are the stand-ins; `simulate` drives it on a virtual
//! clock, `commands` from the terminal.

pub mod commands;
pub mod host;
pub mod simulate;
pub mod report;
pub mod school_folder;
pub mod sample;
pub mod terminal;
pub mod gateway;
pub mod tokens;
pub mod table;
pub mod aws;
pub mod twilio;
pub mod clock;
