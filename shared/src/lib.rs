//! Carillon's core: everything that the functions share. Arrows only point down:
//! `api`, `schedule` → `usecases` → `store`, `twilio`, `secrets`, `queue`, `events` → `domain`.

pub mod api;
pub mod aws_client;
pub mod clock;
pub mod config;
pub mod context;
pub mod domain;
pub mod events;
pub mod files;
pub mod http_client;
pub mod queue;
pub mod schedule;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod twilio;
pub mod usecases;
