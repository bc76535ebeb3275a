//! Carillon's core: everything that the functions share. Arrows only point down:
//! `api`, `schedule` → `usecases` → `store`, `twilio`, `secrets`, `queue`, `events` → `domain`.

pub mod domain;
pub mod files;
pub mod api;
pub mod schedule;
pub mod usecases;
pub mod store;
pub mod twilio;
pub mod secrets;
pub mod queue;
pub mod events;
pub mod aws_client;
pub mod http_client;
pub mod config;
pub mod context;
pub mod clock;
pub mod telemetry;
