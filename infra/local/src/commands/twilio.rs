//! `carillon twilio`: the local Twilio alone, for functions that run elsewhere.

use std::io::Write as _;

use shared::domain::segments::segments;
use shared::http_client;
use tokio::net::TcpListener;

use super::Outcome;
use crate::clock::Clock;
use crate::terminal;
use crate::twilio::{CALLBACK_DELAYS, Config, LocalTwilio, Receipts};

/// Serves at `port`, 0 for any, until Ctrl-C, and posts the callbacks on the real clock. There is no account until
/// somebody opens one; nothing is kept.
pub async fn twilio(port: u16) -> Outcome {
    let twilio = LocalTwilio::new(Config {
        ledger_file: None,
        segments,
        clock: Clock::system(),
        callback_delays: CALLBACK_DELAYS,
        receipts: Receipts::Each,
        seed: 0,
        http: http_client::new().into(),
    })?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.map_err(|error| format!("port {port} could not be listened on: {error}"))?;
    terminal::show_messages();
    println!("Twilio    http://{} (local)", listener.local_addr()?);
    std::io::stdout().flush()?;
    tokio::select! {
        () = twilio.serve(listener) => {}
        () = twilio.run_callbacks() => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    Ok(())
}
