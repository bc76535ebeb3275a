//! Whole-system tests: HTTP or a virtual clock in, the local Twilio's ledger out.

#![allow(clippy::unwrap_used)]

mod machine;

mod answers;
mod api;
mod bad_input;
mod bulk;
mod callbacks;
mod crash;
mod edges;
mod forged;
mod functions;
mod inbound;
mod messages;
mod never_twice;
mod openapi;
mod school;
mod sending;
mod stop;
mod tidy;
mod vectors;
