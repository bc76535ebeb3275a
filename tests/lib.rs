//! Whole-system tests over infra/local; see main.rs.
