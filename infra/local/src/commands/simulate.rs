//! `carillon simulate`: a school's files in, what would be sent out.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use shared::domain::contact::Contact;
use shared::domain::tenant::TenantId;
use std::collections::HashMap;

use super::Outcome;
use crate::clock::Clock;
use crate::host::{Host, Options, Webhook};
use crate::report::{self, Line};
use crate::school_folder::{self, SchoolFolder};
use crate::simulate::{self, SimulationError, Span};
use crate::twilio::Receipts;

/// The tenant that a simulated school is.
const TENANT: &str = "school";

pub async fn simulate(
    data: &Path,
    from: Timestamp,
    length: SignedDuration,
    json: Option<&Path>,
    state: Option<PathBuf>,
) -> Outcome {
    let until = from.checked_add(length)?;
    let span = Span { from, until };
    let folder = school_folder::read(data, from, until)?;
    for bad in &folder.report.bad {
        eprintln!("{bad}");
    }
    for note in &folder.report.notes {
        eprintln!("note: {note}");
    }
    let tenant = TenantId::parse(TENANT)?;
    let bar = progress_bar(span);
    let outcome = run(&tenant, &folder, span, state, |now| {
        bar.set_position(now.duration_since(from).as_secs().unsigned_abs());
        bar.set_message(now.strftime("%a %b %-d %H:%M UTC").to_string());
    })
    .await?;
    bar.finish_and_clear();
    if let Some(path) = json {
        write_lines(path, &outcome.lines).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("{}: {from} to {until}", folder.school.settings.name);
    println!("{}", outcome.summary);
    Ok(())
}

/// Simulates a school from its files, in memory or resumably in a folder.
pub async fn run(
    tenant: &TenantId,
    folder: &SchoolFolder,
    span: Span,
    state: Option<PathBuf>,
    mut progress: impl FnMut(Timestamp),
) -> Result<report::Outcome, SimulationError> {
    let marker = state.as_ref().map(|state| state.join("clock.txt"));
    let reached = marker.as_ref().and_then(|path| fs::read_to_string(path).ok()).and_then(|text| text.trim().parse().ok());
    let start: Timestamp = reached.unwrap_or(span.from);
    if start < span.from {
        eprintln!("note: the run in this folder is at {start}: the same --from goes on with it, a new folder begins another");
    }
    let host = Host::start(Options {
        state,
        receipts: Receipts::Last,
        webhook: Webhook::InProcess,
        twilio_port: None,
        ..Options::in_memory(Clock::at(start))
    })
    .await?;
    // Loading is repeatable, but at its own instant: a resumed run is beyond it.
    if reached.is_none() {
        simulate::load(&host, tenant, folder, start).await?;
        mark(marker.as_deref(), start);
    } else {
        simulate::connect(&host, tenant, folder).await?;
    }
    simulate::run(&host, tenant, folder, span, start, |now| {
        mark(marker.as_deref(), now);
        progress(now);
    })
    .await?;
    let contacts: HashMap<String, Contact> =
        folder.school.contacts.iter().map(|contact| (contact.id.clone(), contact.clone())).collect();
    Ok(report::read(&host.cx, tenant, &folder.school.settings, &contacts, span).await?)
}

/// Remembers the instant before it happens: a resumed run repeats it, which is harmless.
fn mark(marker: Option<&Path>, now: Timestamp) {
    if let Some(path) = marker {
        let written = path.with_extension("new");
        if let Err(error) = fs::write(&written, now.to_string()).and_then(|()| fs::rename(&written, path)) {
            tracing::warn!(%error, "the run's place could not be kept");
        }
    }
}

fn write_lines(path: &Path, lines: &[Line]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn progress_bar(span: Span) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(span.until.duration_since(span.from).as_secs().unsigned_abs());
    let style = ProgressStyle::with_template("{msg:22} {bar:40} {percent:>3} %  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
