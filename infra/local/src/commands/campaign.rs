//! `carillon campaign`: one text to everybody in a file, over the API of a running installation.
//!
//! A campaign is always asked for as one that is held, and let go once its plan was shown: so the same command, run again
//! in whatever way the first one ended, finds the same campaign and goes on with it.

mod client;
mod view;

use std::cell::RefCell;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, LINK};
use ring::digest;
use serde_json::{Map, Value, json};
use shared::clock;
use shared::domain::campaign::PREFIX;
use shared::domain::campaign::layout::{LARGEST_FILE, LARGEST_PART};
use shared::domain::message::is_derived;
use shared::store::campaigns::{Pause, Stage};
use tokio::sync::oneshot;

use self::client::{Api, CallError};
use self::view::{Campaign, Preview, count};
use super::{Outcome, SAMPLE_TENANT, token};

/// Where `carillon` serves unless somebody has the port.
const API: &str = "http://127.0.0.1:8787";
const STATE: &str = ".carillon";
/// The role that may send.
const ROLE: &str = "staff";

/// The API takes no larger request, and no larger preview than of 100,000 rows, which it says itself.
const LARGEST_REQUEST: usize = 3 * 1024 * 1024;

/// How often is looked how far it is: less often while nothing happens, and while looking is slow.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(5);
const MOST_SELDOM: Duration = Duration::from_secs(30);
/// So long after the end is waited for what is still said of the last messages.
const SETTLING: Duration = Duration::from_secs(30);

/// What every help ends with.
const AFTER: &str = "The same FILE with the same arguments is one campaign: the command, run again, goes on with it and \
sends nothing twice. To send the same to the same people once more, give another --key. Ctrl-C stops looking, not sending.";

/// What is asked for: a campaign of a file, or something of a campaign that there is.
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Asked {
    /// CSV with a header, in whatever encoding; `-` for standard input. One column has the numbers; the others fill the
    /// variables of the text.
    #[arg(required_unless_present = "control", conflicts_with = "control")]
    file: Option<PathBuf>,
    /// The name of the template to send. Without it and --body: that they are missed, with the variables offer and
    /// offer_code.
    #[arg(long, conflicts_with = "body")]
    template: Option<String>,
    /// The text to send, with variables in braces: "Hi {customer_name}, …".
    #[arg(long)]
    body: Option<String>,
    /// A variable that is the same for everybody: offer="20% off". A column of the file goes first.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// What the campaign is called in lists.
    #[arg(long)]
    name: Option<String>,
    /// sms (by default), mms or whatsapp.
    #[arg(long)]
    channel: Option<String>,
    /// What it is for, which people may opt out of on its own: the template's, or marketing, by default.
    #[arg(long)]
    category: Option<String>,
    /// Only those whose last_order_date is at least so many days ago; 0 for everybody. 30 by default, if there is such a
    /// column.
    #[arg(long, value_name = "DAYS")]
    lapsed_after_days: Option<u32>,
    /// The column of the numbers, if the header does not say.
    #[arg(long, value_name = "NAME")]
    phone_column: Option<String>,
    /// Nothing goes before, as 2026-03-06T15:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = crate::simulate::parse_instant)]
    send_at: Option<Timestamp>,
    /// Add nothing to marketing that does not say how to opt out.
    #[arg(long)]
    no_opt_out_text: bool,
    /// Only say what would happen; send nothing.
    #[arg(long, conflicts_with_all = ["hold", "yes", "report"])]
    preview: bool,
    /// Look at all rows, then keep it: the same command without --hold sends it.
    #[arg(long, conflicts_with = "yes")]
    hold: bool,
    /// Send without asking.
    #[arg(long)]
    yes: bool,
    /// At the end, however it ends, write what became of every row to this file.
    #[arg(long, value_name = "FILE.csv")]
    report: Option<PathBuf>,
    /// What tells this campaign from another. By default it is made of FILE and the arguments that say what to send: with a FILE that was changed it is another campaign.
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    control: Control,
    /// Where the API is.
    #[arg(long, value_name = "URL", default_value = API)]
    api: String,
    /// A token for the API, or @FILE with one; by default one is made for the installation in --state.
    #[arg(long)]
    token: Option<String>,
    /// The tenant that sends.
    #[arg(long, default_value = SAMPLE_TENANT)]
    tenant: String,
    /// The state folder of the installation that is to believe the token.
    #[arg(long, default_value = STATE)]
    state: PathBuf,
}

/// What is done to a campaign that there is.
#[derive(Args)]
#[group(id = "control", multiple = false)]
pub struct Control {
    /// Show how far a campaign is.
    #[arg(long, value_name = "ID")]
    status: Option<String>,
    /// Hold a campaign up.
    #[arg(long, value_name = "ID")]
    pause: Option<String>,
    /// Let a campaign go on.
    #[arg(long, value_name = "ID")]
    resume: Option<String>,
    /// End a campaign: what has not gone does not go.
    #[arg(long, value_name = "ID")]
    cancel: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_string(), value.to_string())),
        _ => Err("a variable is name=value".into()),
    }
}

impl Control {
    /// What is to be done, and to which.
    fn wish(&self) -> Option<(&'static str, &str)> {
        let all = [("status", &self.status), ("pause", &self.pause), ("resume", &self.resume), ("cancel", &self.cancel)];
        all.into_iter().find_map(|(wish, id)| Some((wish, id.as_deref()?)))
    }
}

impl Asked {
    /// What is asked for, as the API takes it, without its rows.
    fn request(&self) -> Map<String, Value> {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let variables: Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        let fields = [
            ("name", text(&self.name)),
            ("template", text(&self.template)),
            ("body", text(&self.body)),
            ("variables", (!variables.is_empty()).then(|| Value::from(variables))),
            ("channel", text(&self.channel)),
            ("category", text(&self.category)),
            ("phoneColumn", text(&self.phone_column)),
            ("lapsedAfterDays", self.lapsed_after_days.map(Value::from)),
            ("sendAt", self.send_at.map(|at| Value::from(at.to_string()))),
            ("optOutText", self.no_opt_out_text.then_some(Value::Null)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// The command that does `wish` to a campaign.
    fn command(&self, wish: &str, id: &str) -> String {
        let mut command = format!("carillon campaign --{wish} {id}");
        let state = self.state.display().to_string();
        for (name, value, default) in [("api", &self.api, API), ("tenant", &self.tenant, SAMPLE_TENANT), ("state", &state, STATE)]
        {
            if value != default {
                command.push_str(&format!(" --{name} {value}"));
            }
        }
        command
    }

    async fn token(&self) -> Result<String, Box<dyn Error>> {
        let Some(token) = &self.token else {
            let minted = token::mint(&self.state, &self.tenant, ROLE).await;
            return minted.map_err(|error| format!("{error}, or give --token").into());
        };
        let Some(path) = token.strip_prefix('@') else { return Ok(token.clone()) };
        let read = fs::read_to_string(path).map_err(|error| format!("--token: {path}: {error}"))?;
        Ok(read.trim().to_string())
    }
}

/// Sends a campaign, and shows it until it is done; or does to one what is asked for.
pub async fn campaign(asked: &Asked) -> Outcome {
    let api = Api::new(&asked.api, &asked.tenant, asked.token().await?)?;
    if let Some((wish, id)) = asked.control.wish() {
        return control(&api, asked, wish, id).await;
    }
    let Some(path) = &asked.file else { return Err("name a file".into()) };
    let is_asking = !(asked.preview || asked.hold || asked.yes);
    if is_asking && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let instead = "say --yes to send without being asked, --preview to see what would happen, or --hold to keep it";
        return Err(format!("there is no terminal to ask on: {instead}").into());
    }
    let file = read(path)?;
    if let Some(path) = &asked.report {
        // Better told now than when everybody has it.
        let opened = File::options().create(true).append(true).open(path);
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let run = Run { api: &api, asked, known: RefCell::new(None) };
    let outcome = tokio::select! {
        outcome = run.go(file) => outcome,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            eprintln!();
            run.stopped().await
        }
    };
    let known = run.known.into_inner();
    let (Some(path), Some(known)) = (&asked.report, known.filter(|known| known.plan.rows > 0)) else { return outcome };
    let written = tokio::select! {
        written = report(&api, &known.id, path) => written,
        _ = tokio::signal::ctrl_c() => Err("stopped: the report is not whole".into()),
    };
    match (outcome, written) {
        (Err(failure), Err(unwritten)) => Err(format!("{failure}\n{unwritten}").into()),
        (outcome, written) => outcome.and(written),
    }
}

/// All that is in a file.
fn read(path: &Path) -> Result<Bytes, Box<dyn Error>> {
    let mut file = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut file)?;
    } else {
        file = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let told = |what: &str| Err::<Bytes, Box<dyn Error>>(format!("{}: {what}", path.display()).into());
    match file.len() {
        0 => told("the file is empty"),
        bytes if bytes > LARGEST_FILE => {
            told(&format!("a file has at most {} MiB: split it, and send each piece", LARGEST_FILE / 1024 / 1024))
        }
        _ => Ok(file.into()),
    }
}

/// Shows a campaign, after it was paused, resumed or canceled if that is asked for.
async fn control(api: &Api, asked: &Asked, wish: &str, id: &str) -> Outcome {
    if !is_derived(id, PREFIX) {
        return Err(format!("'{id}' is no campaign's id: one is {PREFIX} and 32 letters and digits").into());
    }
    if wish != "status" {
        api.post(&format!("{}/{wish}", path_of(id)), None, "{}").await?;
    }
    let campaign: Campaign = api.get(&path_of(id)).await?.json()?;
    print!("{}", view::whole(&campaign, clock::now()));
    match &asked.report {
        Some(path) => report(api, id, path).await,
        None => Ok(()),
    }
}

/// Below the tenant.
fn path_of(id: &str) -> String {
    format!("/campaigns/{id}")
}

/// One run of the command.
struct Run<'a> {
    api: &'a Api,
    asked: &'a Asked,
    /// The campaign as it was last seen.
    known: RefCell<Option<Campaign>>,
}

impl Run<'_> {
    async fn go(&self, file: Bytes) -> Outcome {
        let request = self.asked.request();
        if self.asked.preview {
            return self.preview(&file, request).await;
        }
        let key = self.asked.key.clone().unwrap_or_else(|| key("cli", &request, &file));
        let mut campaign = self.create(request, &key).await?;
        if campaign.stage != Stage::Uploading {
            let at = campaign.created_at.strftime("%Y-%m-%d %H:%M UTC");
            eprintln!("This was asked for at {at}, and goes on as {}; with another --key it is another campaign.", campaign.id);
        }
        campaign = self.planned(campaign, &file).await?;
        if campaign.stage == Stage::Held {
            print!("{}", view::plan(&campaign, clock::now()));
            if self.asked.hold {
                println!("Held: nothing goes before the same command is run without --hold.");
                return Ok(());
            }
            if campaign.plan.going == 0 {
                return Err("no row can be sent: nothing goes".into());
            }
            if !self.asked.yes && !ask(&question(&campaign)).await? {
                let cancel = self.asked.command("cancel", &campaign.id);
                println!("Held: nothing goes. The same command asks again; to end it: {cancel}");
                return Ok(());
            }
            self.api.post(&format!("{}/start", path_of(&campaign.id)), None, "{}").await?;
            campaign = self.look(&campaign.id).await?;
        }
        self.follow(campaign).await
    }

    /// Says what would happen. A file that is too large for a preview is looked at as a campaign, which is then canceled.
    async fn preview(&self, file: &Bytes, mut request: Map<String, Value>) -> Outcome {
        if let Ok(text) = std::str::from_utf8(file) {
            let mut whole = request.clone();
            whole.insert("customerList".into(), text.into());
            let whole = Value::from(whole).to_string();
            if whole.len() <= LARGEST_REQUEST {
                note("looking at the rows");
                match self.api.post("/campaigns/preview", None, &whole).await {
                    Ok(answer) => {
                        let preview: Preview = answer.json()?;
                        let channel = self.asked.channel.as_deref().unwrap_or("sms");
                        print!("{}", view::preview(&preview, channel, clock::now()));
                        return Ok(());
                    }
                    Err(refused) if refused.says("too_many_rows") => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        // Each time anew: what is known of people changes.
        let key = key(&format!("preview-{}", clock::now()), &request, file);
        request.insert("name".into(), "preview".into());
        let campaign = self.create(request, &key).await?;
        let campaign = self.planned(campaign, file).await?;
        if campaign.stage == Stage::Held {
            print!("{}", view::plan(&campaign, clock::now()));
            self.cancel(&campaign.id).await?;
            return Ok(());
        }
        ended(&campaign)
    }

    /// The campaign under this key, made unless there is one.
    async fn create(&self, mut request: Map<String, Value>, key: &str) -> Result<Campaign, CallError> {
        request.insert("upload".into(), true.into());
        request.insert("hold".into(), true.into());
        let campaign: Campaign = self.api.post("/campaigns", Some(key), &Value::from(request).to_string()).await?.json()?;
        self.known.replace(Some(campaign.clone()));
        Ok(campaign)
    }

    async fn cancel(&self, id: &str) -> Result<(), CallError> {
        self.api.post(&format!("{}/cancel", path_of(id)), None, "{}").await.map(drop)
    }

    async fn look(&self, id: &str) -> Result<Campaign, CallError> {
        let campaign: Campaign = self.api.get(&path_of(id)).await?.json()?;
        self.known.replace(Some(campaign.clone()));
        Ok(campaign)
    }

    /// How it is after a while.
    async fn later(&self, campaign: &Campaign, wait: &mut Duration) -> Result<Campaign, CallError> {
        tokio::time::sleep(*wait).await;
        let asked = Instant::now();
        let seen = self.look(&campaign.id).await?;
        let patient = if seen.is_as(campaign) { (*wait * 2).min(SELDOM) } else { OFTEN };
        *wait = patient.max((asked.elapsed() * 4).min(MOST_SELDOM));
        Ok(seen)
    }

    /// Sends the file if it is not there yet, and waits until its rows are looked at.
    async fn planned(&self, mut campaign: Campaign, file: &Bytes) -> Result<Campaign, CallError> {
        if campaign.stage == Stage::Uploading {
            let sent = self.upload(&campaign.id, file).await;
            campaign = self.look(&campaign.id).await?;
            // Whoever runs the same command beside this one may have been faster.
            if campaign.stage == Stage::Uploading {
                sent?;
            }
        }
        if campaign.stage == Stage::Planning {
            note("looking at the rows");
        }
        let lines = file.iter().filter(|byte| **byte == b'\n').count();
        let bar = bar(lines as u64, "{msg:10} {bar:40} {human_pos} of about {human_len} rows");
        bar.set_message("looking");
        let mut wait = OFTEN;
        while campaign.stage == Stage::Planning {
            bar.set_position(campaign.plan.rows.into());
            campaign = self.later(&campaign, &mut wait).await?;
        }
        bar.finish_and_clear();
        Ok(campaign)
    }

    async fn upload(&self, id: &str, file: &Bytes) -> Result<(), CallError> {
        note("sending the file");
        let bar = bar(file.len() as u64, "{msg:10} {bar:40} {bytes} of {total_bytes}, {eta}");
        bar.set_message("uploading");
        let starts = (0..file.len()).step_by(LARGEST_PART);
        let parts: Vec<Bytes> = starts.map(|at| file.slice(at..(at + LARGEST_PART).min(file.len()))).collect();
        let all = json!({ "parts": parts.len() }).to_string();
        for (number, part) in parts.into_iter().enumerate() {
            let bytes = part.len() as u64;
            self.api.put(&format!("{}/file/{number}", path_of(id)), part).await?;
            bar.inc(bytes);
        }
        bar.finish_and_clear();
        self.api.post(&format!("{}/start", path_of(id)), None, &all).await.map(drop)
    }

    /// Shows how far it is until it is over, or held up.
    async fn follow(&self, mut campaign: Campaign) -> Outcome {
        let bar = bar(campaign.plan.going.into(), "{bar:40} {human_pos}/{human_len} {percent:>3} %  {msg}  {eta}");
        let mut wait = OFTEN;
        let mut told = None;
        let mut over_since = None;
        loop {
            bar.set_position(campaign.gone().into());
            bar.set_message(view::beside(&campaign, clock::now()));
            if told.replace(campaign.stage) != Some(campaign.stage) {
                note(view::stage(&campaign));
            }
            let is_over = match campaign.stage {
                Stage::Canceled | Stage::Failed | Stage::Held => true,
                Stage::Done => campaign.is_settled() || over_since.get_or_insert_with(Instant::now).elapsed() > SETTLING,
                Stage::Uploading | Stage::Planning | Stage::Sending | Stage::Checking => campaign.paused.is_some(),
            };
            // What was only just found has no progress yet.
            if is_over && campaign.progress.is_some() {
                break;
            }
            campaign = self.later(&campaign, &mut wait).await?;
        }
        bar.finish_and_clear();
        if campaign.stage != Stage::Failed {
            print!("{}", view::result(&campaign));
        }
        if let Some(pause) = campaign.paused.filter(|_| campaign.stage != Stage::Done) {
            let why = match pause {
                Pause::OnRequest => "somebody has paused it",
                Pause::Budget => "it is paused: the month's limit does not cover the next message, so raise that first",
                Pause::Trouble => campaign.trouble.as_deref().unwrap_or("none of its messages can go as things stand"),
            };
            let why = why.trim_end_matches('.');
            return Err(format!("{why}. It goes on with: {}", self.asked.command("resume", &campaign.id)).into());
        }
        ended(&campaign)
    }

    /// What becomes of it when nobody looks any more.
    async fn stopped(&self) -> Outcome {
        let known = self.known.borrow().clone();
        let Some(campaign) = known else { return Err("stopped: nothing was sent".into()) };
        let id = &campaign.id;
        let is_going = matches!(campaign.stage, Stage::Sending | Stage::Checking | Stage::Done) && campaign.paused.is_none();
        if self.asked.preview {
            // It is held, so it would go nowhere either way.
            let _ = self.cancel(id).await;
            return Err("stopped: nothing was sent".into());
        }
        if !is_going {
            let cancel = self.asked.command("cancel", id);
            return Err(format!("stopped: nothing more goes by itself. The same command goes on; to end it: {cancel}").into());
        }
        let commands = [("look", "status"), ("hold up", "pause"), ("end", "cancel")];
        let lines = commands.map(|(what, wish)| format!("\n  {what:<8} {}", self.asked.command(wish, id)));
        Err(format!("stopped looking; the campaign goes on by itself{}", lines.concat()).into())
    }
}

/// How a campaign ended, if not well.
fn ended(campaign: &Campaign) -> Outcome {
    let anew = "to send it anew, give another --key";
    match campaign.stage {
        Stage::Failed => {
            let why = campaign.failure.as_deref().unwrap_or("its file cannot be used");
            Err(format!("the campaign failed: {why}").into())
        }
        Stage::Canceled => Err(format!("the campaign was canceled; {anew}").into()),
        Stage::Held => Err("the campaign is held; the same command lets it go".into()),
        Stage::Uploading | Stage::Planning | Stage::Sending | Stage::Checking | Stage::Done => Ok(()),
    }
}

fn question(campaign: &Campaign) -> String {
    let plan = &campaign.plan;
    let messages = if plan.going == 1 { "message" } else { "messages" };
    format!("Send {} {messages} for {} {}?", count(plan.going), plan.cost, plan.currency)
}

/// What tells a campaign from another: what is sent, and to whom; not what somebody calls it.
fn key(prefix: &str, request: &Map<String, Value>, file: &[u8]) -> String {
    let mut text = digest::Context::new(&digest::SHA256);
    let said: Map<String, Value> =
        request.iter().filter(|(field, _)| *field != "name").map(|(a, b)| (a.clone(), b.clone())).collect();
    text.update(Value::from(said).to_string().as_bytes());
    text.update(b"\n");
    text.update(file);
    let hex: String = text.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}-{hex}")
}

/// Asks whoever sits at the terminal.
async fn ask(question: &str) -> io::Result<bool> {
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let (tell, told) = oneshot::channel();
    // No thread of the runtime's: it would keep the command from ending before there is an answer.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer).map(|_| answer);
        // Nobody waits for it after Ctrl-C.
        let _ = tell.send(read);
    });
    let answer = told.await.map_err(io::Error::other)??;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Writes what became of every row, page by page.
async fn report(api: &Api, id: &str, path: &Path) -> Outcome {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut query = String::new();
    loop {
        let page = api.get(&format!("{}/rows.csv{query}", path_of(id))).await?;
        let rows = if query.is_empty() { page.body.as_slice() } else { without_header(&page.body) };
        file.write_all(rows).map_err(failed)?;
        match next(&page.headers) {
            Some(next) => query = next,
            None => break,
        }
    }
    file.flush().map_err(failed)?;
    eprintln!("The report is in {}.", path.display());
    Ok(())
}

/// A page of CSV from its second line on.
fn without_header(page: &[u8]) -> &[u8] {
    let end = page.iter().position(|byte| *byte == b'\n').map_or(page.len(), |at| at + 1);
    &page[end..]
}

/// The query of the next page, `?…`, as the `Link` says it.
fn next(headers: &HeaderMap) -> Option<String> {
    let mut links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok()).flat_map(|links| links.split(','));
    let link = links.find(|link| link.contains("rel=\"next\""))?;
    let (_, link) = link.split_once('?')?;
    let (query, _) = link.split_once('>')?;
    Some(format!("?{query}"))
}

/// Where no bar is drawn, a line says what is done.
fn note(what: &str) {
    if !io::stderr().is_terminal() {
        eprintln!("{what}");
    }
}

fn bar(length: u64, style: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
