//! `carillon token`.

use std::error::Error;
use std::path::Path;

use dynoxide::Database;
use shared::context::Context;
use shared::http_client;

use super::Outcome;
use crate::aws::Aws;
use crate::clock::Clock;
use crate::host;
use crate::tokens::{self, TokenKey};

/// Prints a token that the installation in `state` believes.
pub async fn token(state: &Path, tenant: &str, role: &str) -> Outcome {
    println!("{}", mint(state, tenant, role).await?);
    Ok(())
}

/// A token that the installation in `state` believes. It may be running or not. One in the role `platform` makes tenants,
/// and is for none of them.
pub(super) async fn mint(state: &Path, tenant: &str, role: &str) -> Result<String, Box<dyn Error>> {
    if !tokens::ROLES.contains(&role) {
        return Err(format!("there is no role '{role}': it is one of {}", tokens::ROLES.join(", ")).into());
    }
    let secrets = state.join("secrets.json");
    if !secrets.exists() {
        return Err(format!("there is no installation in {}: start it once with `cargo run`", state.display()).into());
    }
    let clock = Clock::system();
    let aws = Aws::new(Database::memory()?, Some(secrets), clock.clone())?;
    let cx = Context::with_transport(host::config("", ""), http_client::new(), aws.http_client());
    let key = TokenKey::new(host::token_secret(&cx).await?.as_bytes());
    Ok(tokens::mint(&key, tenant, role, clock.now())?)
}
