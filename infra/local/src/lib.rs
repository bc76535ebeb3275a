//! AWS and Twilio on one machine: every function's code in one process over stand-ins.
//!
//! `host` is the machine; `aws` and `twilio` are the stand-ins; `simulate` drives it on a virtual
//! clock, `commands` from the terminal.

pub mod aws;
pub mod clock;
pub mod commands;
pub mod gateway;
pub mod host;
pub mod names;
pub mod report;
pub mod routes;
pub mod sample;
pub mod school_folder;
pub mod simulate;
pub mod table;
pub mod template;
pub mod terminal;
pub mod tokens;
pub mod twilio;
