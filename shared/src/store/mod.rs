//! The table: the only place that names `aws_sdk_dynamodb`.
//!
//! `keys` is the whole design on one page; then one file per entity. Whatever is written twice must
//! be harmless: every write is conditional, or sets what it would set again.

pub mod accepted;
mod agenda;
pub mod audit;
pub mod batches;
pub mod beside;
pub mod campaigns;
pub mod consents;
pub mod contacts;
pub mod conversations;
pub mod due;
pub mod erase_tenant;
pub mod erasure;
pub mod found;
pub mod health;
pub mod jobs;
pub mod keys;
pub mod lessons;
pub mod messages;
pub mod meter;
mod numbers;
pub mod pace;
mod page;
pub mod payments;
pub mod pots;
pub mod purchases;
pub mod recurring;
mod rows;
pub mod seal;
pub mod sessions;
pub mod statistics;
mod table;
pub mod templates;
pub mod tenants;
mod transaction;

pub use aws_sdk_dynamodb::Client;
pub use table::{StoreError, Table};
pub use transaction::{Write, write_all_if};
