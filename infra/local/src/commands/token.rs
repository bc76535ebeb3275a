//! `carillon token`.

use std::path::Path;

use super::Outcome;
use crate::clock::Clock;
use crate::host::{Host, Options};
use crate::tokens;

/// Prints a token that the installation in `state` believes.
pub async fn token(state: &Path, tenant: &str, role: &str) -> Outcome {
    if !state.join("secrets.json").exists() {
        return Err(format!("there is no installation in {}: start it once with `cargo run`", state.display()).into());
    }
    let clock = Clock::system();
    let host = Host::start(Options { state: Some(state.into()), ..Options::in_memory(clock.clone()) }).await?;
    println!("{}", tokens::mint(&host.token_key, tenant, role, clock.now())?);
    Ok(())
}
