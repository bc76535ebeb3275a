//! Whole-system tests: HTTP or a virtual clock in, the local Twilio's ledger out.

#![allow(clippy::unwrap_used)]

mod machine;

mod api;
mod bad_input;
mod crash;
mod functions;
mod never_twice;
mod school;
mod tidy;
mod vectors;
