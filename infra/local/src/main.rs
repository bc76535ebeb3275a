//! `carillon`: everything on one machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use local::commands;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The messaging backend on one machine: serves, simulates, mints tokens, sends campaigns.
#[derive(Parser)]
#[command(name = "carillon", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything and serve on the real clock (what happens without a command).
    Serve(Serve),
    /// Run a school's files on a virtual clock and show what would be sent.
    Simulate(Simulate),
    /// Print a token for the local API, good for 30 days.
    Token(Token),
    /// Send one text to everybody in a file over the API of a running installation, and show how far it is.
    Campaign(Box<commands::campaign::Asked>),
    /// Start the local Twilio alone, for functions that run elsewhere.
    Twilio(Twilio),
    /// Print the API's description, as shared/src/api/openapi.json holds it.
    Openapi,
}

#[derive(Args)]
struct Serve {
    /// Keep nothing: the table lives in memory.
    #[arg(long)]
    memory: bool,
    /// Where table, secrets and the local Twilio's ledger are kept.
    #[arg(long, default_value = ".carillon", conflicts_with = "memory")]
    state: PathBuf,
    /// A school's folder to load at the first start, instead of the sample. Later it changes nothing.
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct Simulate {
    /// The school's folder: tenant.json, contacts.csv, lessons.csv, lessons.ics, payments.csv, events.jsonl.
    #[arg(long)]
    data: PathBuf,
    /// The first instant, as 2026-03-06T00:00:00Z.
    #[arg(long, value_parser = local::simulate::parse_instant)]
    from: Timestamp,
    /// How long: 72h, 7d or 90m.
    #[arg(long = "for", value_parser = local::simulate::parse_length)]
    length: jiff::SignedDuration,
    /// Write a line for each message to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keep the run in this folder; started again, it goes on where it was.
    #[arg(long)]
    state: Option<PathBuf>,
}

#[derive(Args)]
struct Token {
    /// The tenant that the token is for.
    #[arg(long, default_value = commands::SAMPLE_TENANT)]
    tenant: String,
    /// viewer reads, staff writes and sends, admin may all of a tenant's, platform makes tenants.
    #[arg(long, default_value = "admin", value_parser = local::tokens::ROLES)]
    role: String,
    /// The state folder of the installation that is to believe it.
    #[arg(long, default_value = ".carillon")]
    state: PathBuf,
}

#[derive(Args)]
struct Twilio {
    /// The port of 127.0.0.1 to listen on; 0 for any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(Serve { memory, state, data }) => Box::pin(commands::serve::serve((!memory).then_some(state), data)).await,
        Command::Simulate(Simulate { data, from, length, json, state }) => {
            Box::pin(commands::simulate::simulate(&data, from, length, json.as_deref(), state)).await
        }
        Command::Twilio(Twilio { port }) => Box::pin(commands::twilio::twilio(port)).await,
        Command::Openapi => {
            print!("{}", shared::api::openapi::document());
            Ok(())
        }
        Command::Token(Token { tenant, role, state }) => commands::token::token(&state, &tenant, &role).await,
        Command::Campaign(asked) => Box::pin(commands::campaign::campaign(&asked)).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carillon: {}", shared::telemetry::Chain(&*error));
            ExitCode::FAILURE
        }
    }
}
