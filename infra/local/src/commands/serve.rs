//! `carillon serve`: everything on one machine, on the real clock.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::domain::message::Status;
use shared::domain::phone;
use shared::domain::tenant::TenantId;
use shared::schedule::EventFailure;
use shared::store::tenants;
use shared::telemetry::Chain;
use tokio::net::TcpListener;

use super::{Outcome, SAMPLE_TENANT, simulate as command};
use crate::clock::Clock;
use crate::host::{Host, Options, Webhook};
use crate::report::Line;
use crate::school_folder::{self, SchoolFolder};
use crate::simulate::{self, Span, school_event};
use crate::twilio::Receipts;
use crate::{gateway, sample, terminal, tokens};

/// The ports that are tried first; taken ones are replaced by any that is free.
const API_PORT: u16 = 8787;
const WEBHOOK_PORT: u16 = 8788;
const TWILIO_PORT: u16 = 8789;
const AWS_PORT: u16 = 8790;

/// EventBridge ticks every minute; here somebody is watching.
const TICK: Duration = Duration::from_secs(5);
/// How much of a calendar is loaded.
const TERM: SignedDuration = SignedDuration::from_hours(24 * 180);
/// How far the first start looks ahead.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(48);

/// Starts everything and serves until Ctrl-C.
pub async fn serve(state: Option<PathBuf>, data: Option<PathBuf>) -> Outcome {
    let clock = Clock::system();
    let now = clock.now();
    let host = Host::start(Options {
        state: state.clone(),
        clock: clock.clone(),
        receipts: Receipts::Each,
        webhook: Webhook::Listen(free(WEBHOOK_PORT).await),
        twilio_port: Some(free(TWILIO_PORT).await),
        callbacks: None,
    })
    .await?;
    let tenant = TenantId::parse(SAMPLE_TENANT)?;
    let home = match &state {
        Some(state) => state.clone(),
        None => std::env::temp_dir().join(format!("carillon-{}", std::process::id())),
    };
    let sample = home.join("sample");
    let loaded = home.join("loaded");
    if !loaded.exists() {
        let (folder, begin) = match data {
            Some(folder) => (folder, now),
            None => {
                let begin = sample::beginning(now);
                sample::write(&sample, begin)?;
                (sample.clone(), begin)
            }
        };
        let school = school_folder::read(&folder, begin, begin + TERM)?;
        preview(&tenant, &folder, &school, begin).await?;
        simulate::load(&host, &tenant, &school, now).await?;
        if state.is_some() {
            std::fs::write(&loaded, folder.display().to_string())?;
        }
    } else if let Some(folder) = data
        && std::fs::read_to_string(&loaded)? != folder.display().to_string()
    {
        let (folder, home) = (folder.display(), home.display());
        println!("note: {folder} is not loaded: {home} holds a school already. Take another --state, or delete that folder.\n");
    }
    // The sample's own story goes on where it is.
    let events = match school_folder::read(&sample, now, now + LOOK_AHEAD) {
        Ok(sample) => sample.events.into_iter().filter(|event| event.at >= now).collect(),
        Err(_) => Vec::new(),
    };
    for tenant in tenants::all(host.cx.table().await?).await? {
        let settings = host.cx.settings(&tenant, now).await?;
        host.reconnect(&tenant, [&settings.senders.sms, &settings.senders.whatsapp].into_iter().flatten().cloned().collect())
            .await?;
    }
    terminal::show_messages();
    let api_url = start(&host).await?;
    tokio::spawn(play(host.clone(), tenant.clone(), events));
    introduce(&host, &api_url, &tenant, state.as_deref(), now)?;
    tokio::signal::ctrl_c().await?;
    println!("\nStopped. {}", if state.is_some() { "Start again, and it goes on." } else { "Nothing was kept." });
    Ok(())
}

/// Shows what will happen to a school, before it does.
async fn preview(tenant: &TenantId, folder: &Path, school: &SchoolFolder, begin: Timestamp) -> Outcome {
    let name = &school.school.settings.name;
    let zone = &school.school.settings.time_zone;
    let folder = folder.display();
    println!("{name}, from {folder}. Its next 48 hours, as the simulator sees them, by the clock of {}:\n", zone.name());
    let span = Span { from: begin, until: begin + LOOK_AHEAD };
    let outcome = command::run(tenant, school, span, None, |_| {}).await?;
    for line in &outcome.lines {
        println!("{}", told(line, &zone.wall(line.at).strftime("%a %H:%M:%S").to_string()));
    }
    println!("\n{}", outcome.summary);
    for bad in &school.report.bad {
        println!("not loaded: {bad}");
    }
    for note in &school.report.notes {
        println!("note: {note}");
    }
    println!();
    Ok(())
}

fn told(line: &Line, at: &str) -> String {
    let what = match (line.outcome, line.reason) {
        (Status::Delivered, _) => "goes".to_string(),
        (Status::Failed, _) => "fails".to_string(),
        (outcome, Some(reason)) => format!("{outcome}: {}", reason.word()),
        (outcome, None) => outcome.to_string(),
    };
    let channel = line.channel.map_or("", |channel| channel.word());
    let to = line.to.as_deref().map(phone::mask).unwrap_or_default();
    let text: String = line.body.as_deref().unwrap_or_default().chars().take(70).collect();
    let line = format!(
        "{at}  {what:<26} {:<16} {:<6} {:<4} {channel:<8} {to:<13} {text}",
        line.kind.word(),
        line.subject.chars().take(6).collect::<String>(),
        line.contact,
    );
    line.trim_end().to_string()
}

/// Starts what API Gateway, the function URL, Lambda's poller and EventBridge do. Answers the API's URL.
async fn start(host: &Host) -> Result<String, Box<dyn std::error::Error>> {
    let gateway = gateway::http_api(host.functions.clone(), Arc::clone(&host.token_key), host.clock.clone());
    let listener = TcpListener::bind(("127.0.0.1", free(API_PORT).await)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, gateway).await });

    let aws = TcpListener::bind(("127.0.0.1", free(AWS_PORT).await)).await?;
    let stand_ins = host.aws.clone();
    tokio::spawn(async move { stand_ins.serve(aws).await });

    let each = |host: &Host| host.clone();
    tokio::spawn({
        let host = each(host);
        async move { host.serve_webhook().await }
    });
    tokio::spawn({
        let host = each(host);
        async move { host.twilio.run_callbacks().await }
    });
    tokio::spawn(follow_queue(each(host)));
    tokio::spawn(follow_events(each(host)));
    tokio::spawn(follow_schedules(each(host)));
    Ok(url)
}

/// The minute tick and the daily jobs. The jobs also run at the start: the machine may have been off at their hour.
async fn follow_schedules(host: Host) {
    let mut planned_on = None;
    let mut watched_at: Option<Timestamp> = None;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let now = host.clock.now();
        // Nine o'clock begins the planning day.
        let day = shared::store::keys::day(now - SignedDuration::from_hours(9));
        if planned_on != Some(day) {
            planned_on = Some(day);
            logged("lesson reminders could not be planned", host.plan_lessons(now).await);
            logged("payment reminders could not be planned", host.plan_payments(now).await);
            // Beside the ticks, as on AWS: after a large campaign they take a while.
            let host = host.clone();
            tokio::spawn(async move {
                for task in ["askAboutSilent", "recountDays", "sweepExpired"] {
                    logged(task, host.task(task, now).await);
                }
            });
        }
        if watched_at.is_none_or(|at| now.duration_since(at) >= SignedDuration::from_hours(1)) {
            watched_at = Some(now);
            logged("watchHealth", host.task("watchHealth", now).await);
        }
        logged("what is due could not be dispatched", host.tick(now).await);
    }
}

async fn follow_queue(host: Host) {
    loop {
        let _ = tokio::time::timeout(TICK, host.aws.message_arrived().notified()).await;
        logged("the queue could not be drained", host.drain_queue(host.clock.now()).await);
    }
}

/// The bus's rule: what the school says goes to `receiveEvents`.
async fn follow_events(host: Host) {
    loop {
        host.aws.event_arrived().notified().await;
        for event in host.aws.take_events().into_iter().filter(|event| event.source == "school") {
            logged("an event was not received", host.receive(event.envelope(), host.clock.now()).await);
        }
    }
}

/// Lets the sample school's own events happen at their time.
async fn play(host: Host, tenant: TenantId, events: Vec<shared::files::TimedEvent>) {
    for event in events {
        let wait = event.at.duration_since(host.clock.now());
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        if event.name == "inbound" {
            let text = |name: &str| event.detail[name].as_str().unwrap_or_default();
            let sender = host.cx.settings(&tenant, host.clock.now()).await.ok().and_then(|settings| settings.senders.sms.clone());
            if let Some(callback) = host.inbound(&tenant, text("from"), &sender.unwrap_or_default(), text("body")).await {
                host.twilio.deliver(&callback).await;
            }
        } else {
            let envelope = school_event(&tenant, &event.name, &event.detail, event.at);
            logged("an event was not received", host.receive(envelope, host.clock.now()).await);
        }
    }
}

fn logged<T>(what: &str, result: Result<T, EventFailure>) {
    if let Err(error) = result {
        tracing::error!(error = %Chain(&error), "{what}");
    }
}

/// `port`, or 0 for any if somebody has it.
async fn free(port: u16) -> u16 {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(_) => port,
        Err(_) => 0,
    }
}

fn introduce(host: &Host, api_url: &str, tenant: &TenantId, state: Option<&Path>, now: Timestamp) -> Outcome {
    let token = tokens::mint(&host.token_key, tenant.as_str(), "admin", now)?;
    println!(
        "Serving on the real clock. Ctrl-C stops.\n\n\
         API       {api_url}\n\
         docs      {api_url}/docs\n\
         webhook   {}\n\
         Twilio    {} (local)\n\
         state     {}\n\
         token     {token}\n\n\
         Try:\n\
         TOKEN={token}\n\
         curl -s -H \"Authorization: Bearer $TOKEN\" '{api_url}/v1/tenants/{tenant}/messages?limit=5'\n\
         curl -s -H \"Authorization: Bearer $TOKEN\" {api_url}/v1/tenants/{tenant}/settings\n\
         curl -s -H \"Authorization: Bearer $TOKEN\" {api_url}/v1/tenants/{tenant}/messages/test -d '{{\"to\": \"+15550100299\"}}'\n\
         curl -s {}/_local/inbound -H 'content-type: application/json' -d '{{\"from\": \"+15550100299\", \"body\": \"Do you teach the oboe?\"}}'\n\
         curl -s -H \"Authorization: Bearer $TOKEN\" {api_url}/v1/tenants/{tenant}/conversations\n",
        host.webhook_url,
        host.twilio_url,
        state.map_or("in memory, gone at the end".to_string(), |state| state.display().to_string()),
        host.twilio_url,
    );
    std::io::stdout().flush()?;
    Ok(())
}
