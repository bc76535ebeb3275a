//! Whole-system tests: HTTP or a virtual clock in, the local Twilio's ledger out.

#![allow(clippy::unwrap_used)]

mod machine;

mod account;
mod analytics;
mod answers;
mod api;
mod audit;
mod bad_input;
mod bulk;
mod callbacks;
mod campaign_files;
mod campaign_kills;
mod campaign_rights;
mod campaign_runs;
mod campaign_trouble;
mod campaigns;
mod chaos;
mod contacts;
mod content;
mod crash;
mod edges;
mod forged;
mod forgetting;
mod functions;
mod fuzz;
mod imports;
mod inbound;
mod logs;
mod messages;
mod messy;
mod metrics;
mod never_twice;
mod numbers;
mod openapi;
mod records;
mod recurring;
mod school;
mod sending;
mod side_by_side;
mod stop;
mod template;
mod templates;
mod tenants;
mod tidy;
mod unknown;
mod vectors;
