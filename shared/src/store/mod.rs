//! The table: the only place that names `aws_sdk_dynamodb`.
//!
//! `keys` is the whole design on one page; then one file per entity. Whatever is written twice must
//! be harmless: every write is conditional, or sets what it would set again.

pub mod accepted;
pub mod consents;
pub mod contacts;
pub mod keys;
pub mod lessons;
pub mod messages;
pub mod meter;
pub mod payments;
pub mod seal;
mod table;
pub mod tenants;
mod transaction;

pub use aws_sdk_dynamodb::Client;
pub use table::{StoreError, Table};
pub use transaction::Write;
