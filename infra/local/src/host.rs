//! One machine: the table, the other AWS stand-ins, the local Twilio, and every function's code
//! over them, in one process.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dynoxide::Database;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::config::{self, Config};
use shared::context::{Context, DATA_KEYS, twilio_secret};
use shared::domain::segments::segments;
use shared::domain::tenant::TenantId;
use shared::http_client::{self, Client};
use shared::schedule::{self, EventFailure};
use shared::secrets::{self, SecretsError};
use shared::store::seal::KeySecret;
use tokio::net::TcpListener;

use crate::aws::{self, Aws, on_behalf_of};
use crate::clock::Clock;
use crate::gateway::{self, Functions};
use crate::names::{BUS, QUEUE, REGION, TABLE};
use crate::table;
use crate::template::Function;
use crate::tokens::TokenKey;
use crate::twilio::{self, Account, CALLBACK_DELAYS, Callback, InboundText, LocalTwilio, Receipts, WebhookAnswer};

/// Where the machine keeps what must survive it, and what it listens on.
#[derive(Clone)]
pub struct Options {
    /// A folder for the table, the secrets and Twilio's ledger; in memory without one.
    pub state: Option<PathBuf>,
    pub clock: Clock,
    pub receipts: Receipts,
    pub webhook: Webhook,
    /// The local Twilio's port; 0 for any. Without one it is reached in this process, and waits for nothing but time.
    pub twilio_port: Option<u16>,
    /// How Twilio posts callbacks, if not over the network.
    pub callbacks: Option<Client>,
}

impl Options {
    /// Everything in memory, on any ports.
    pub fn in_memory(clock: Clock) -> Self {
        Self { state: None, clock, receipts: Receipts::Each, webhook: Webhook::Listen(0), twilio_port: Some(0), callbacks: None }
    }
}

/// How Twilio's callbacks come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Webhook {
    /// On a port; 0 for any.
    Listen(u16),
    /// Brought by whoever drives the machine, at an address that is the same after a restart.
    InProcess,
}

const IN_PROCESS: &str = "https://webhook.invalid";
const TWILIO_IN_PROCESS: &str = "https://twilio.invalid";

/// The running machine.
#[derive(Clone)]
pub struct Host {
    pub cx: Arc<Context>,
    pub aws: Aws,
    pub twilio: LocalTwilio,
    pub clock: Clock,
    pub twilio_url: String,
    pub webhook_url: String,
    pub token_key: Arc<TokenKey>,
    pub functions: Functions,
    webhook_listener: Arc<std::sync::Mutex<Option<TcpListener>>>,
}

/// Why the machine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("the embedded table could not be opened: {0}")]
    Table(String),
    #[error("the local secrets could not be read or written")]
    Secrets(#[from] SecretsError),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what: what.into(), source }
}

impl Host {
    /// Starts the stand-ins. Nothing is planned or sent until somebody drives it.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let file = |name: &str| options.state.as_ref().map(|folder| folder.join(name));
        if let Some(folder) = &options.state {
            std::fs::create_dir_all(folder).map_err(io_error(format!("the folder {} could not be made", folder.display())))?;
        }
        let database = open(file("table.sqlite").as_deref())?;
        table::create(&database).map_err(|error| StartError::Table(error.to_string()))?;
        let aws = Aws::new(database, file("secrets.json"), options.clock.clone())
            .map_err(io_error("secrets.json could not be read"))?;

        let http = http_client::new();
        let twilio = LocalTwilio::new(twilio::Config {
            ledger_file: file("twilio.jsonl"),
            segments,
            clock: options.clock.clone(),
            callback_delays: CALLBACK_DELAYS,
            receipts: options.receipts,
            seed: 0,
            http: options.callbacks.unwrap_or_else(|| http.clone().into()),
        })
        .map_err(io_error("twilio.jsonl could not be read"))?;
        let (http, twilio_url) = match options.twilio_port {
            Some(port) => {
                let (listener, url) = listen(port).await?;
                let serving = twilio.clone();
                tokio::spawn(async move { serving.serve(listener).await });
                (Client::from(http), url)
            }
            None => (Client::through(twilio.handler()), TWILIO_IN_PROCESS.to_string()),
        };
        let (webhook_listener, webhook_url) = match options.webhook {
            Webhook::Listen(port) => {
                let (listener, url) = listen(port).await?;
                (Some(listener), url)
            }
            Webhook::InProcess => (None, IN_PROCESS.to_string()),
        };
        let config = config(&twilio_url, &webhook_url);
        let cx = Arc::new(Context::with_transport(config, http, aws.http_client()));
        let token_key = Arc::new(TokenKey::new(token_secret(&cx).await?.as_bytes()));
        data_keys(&cx).await?;

        Ok(Self {
            functions: Functions::new(&cx),
            webhook_listener: Arc::new(std::sync::Mutex::new(webhook_listener)),
            cx,
            aws,
            twilio,
            clock: options.clock,
            twilio_url,
            webhook_url,
            token_key,
        })
    }

    /// The same machine, whose functions have been started anew with `cx`.
    pub fn restarted(self, cx: Context) -> Self {
        let cx = Arc::new(cx);
        Self { functions: Functions::new(&cx), cx, ..self }
    }

    /// Gives `tenant` a local Twilio account that sends from `senders`.
    pub async fn connect(&self, tenant: &TenantId, senders: Vec<String>) -> Result<(), StartError> {
        let name = self.cx.config.secret(&twilio_secret(tenant));
        if let Err(SecretsError::Missing(_)) = secrets::read::<Value>(&self.cx.secrets, &name).await {
            secrets::write(&self.cx.secrets, &name, &new_account(tenant)).await?;
        }
        self.reconnect(tenant, senders).await
    }

    /// The same, if the tenant has an account: after a start the local Twilio knows none.
    pub async fn reconnect(&self, tenant: &TenantId, senders: Vec<String>) -> Result<(), StartError> {
        let name = self.cx.config.secret(&twilio_secret(tenant));
        let account: Value = match secrets::read(&self.cx.secrets, &name).await {
            Ok(known) => known,
            Err(SecretsError::Missing(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.cx.forget(tenant);
        let text = |field: &str| account[field].as_str().unwrap_or_default().to_string();
        let webhook = |path: &str| Some(self.webhook_of(tenant, path));
        self.twilio.add_account(Account {
            sid: text("accountSid"),
            auth_token: text("authToken"),
            senders,
            inbound_url: webhook("inbound"),
            voice_url: webhook("voice"),
            voice_status_url: webhook("voice/status"),
            ..Account::default()
        });
        Ok(())
    }

    /// Serves the webhook's function URL. Returns only if there is nothing to serve.
    pub async fn serve_webhook(&self) {
        let listener = self.webhook_listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(listener) = listener {
            let function = gateway::function_url(self.functions.clone(), self.clock.clone());
            if let Err(error) = axum::serve(listener, function).await {
                tracing::error!(%error, "the webhook stopped serving");
            }
        }
    }

    /// Brings a callback to the webhook in process, as it arrives at `now`, and answers its status.
    pub async fn bring(&self, callback: &Callback, now: Timestamp) -> StatusCode {
        self.bring_and_read(callback, now).await.0
    }

    /// As `bring`, and answers the body as well.
    pub async fn bring_and_read(&self, callback: &Callback, now: Timestamp) -> (StatusCode, String) {
        let path = callback.url.strip_prefix(&self.webhook_url).unwrap_or("/");
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Ok(signature) = HeaderValue::from_str(&callback.signature) {
            headers.insert("x-twilio-signature", signature);
        }
        let body = Bytes::from(callback.body());
        let event = gateway::event(&Method::POST, path, query, &headers, &body, None, now);
        let (parts, body) = self.functions.webhook(event).await.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_string);
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let body = String::from_utf8_lossy(&body).into_owned();
        let answer = WebhookAnswer { status: parts.status.as_u16(), content_type, body };
        self.twilio.brought(callback, &answer);
        (parts.status, answer.body)
    }

    /// A text from a contact's phone to the tenant's number, as its signed webhook request.
    pub async fn inbound(&self, tenant: &TenantId, from: &str, to: &str, body: &str) -> Option<Callback> {
        self.inbound_text(tenant, &InboundText::new(from, to, body)).await
    }

    /// As `inbound`, with whatever else a text may bring.
    pub async fn inbound_text(&self, tenant: &TenantId, text: &InboundText) -> Option<Callback> {
        let credentials = self.cx.credentials(tenant, self.clock.now()).await.ok()?;
        self.twilio.inbound_text(&credentials.account_sid, &self.webhook_of(tenant, "inbound"), text)
    }

    /// A call from a contact's phone that rings at the tenant's number, as its signed webhook request.
    pub async fn inbound_call(&self, tenant: &TenantId, from: &str, to: &str) -> Option<Callback> {
        let credentials = self.cx.credentials(tenant, self.clock.now()).await.ok()?;
        self.twilio.inbound_call(&credentials.account_sid, &self.webhook_of(tenant, "voice"), from, to)
    }

    /// A later request about the same call: to the action of a `<Gather>`, with the digits in `extra`.
    pub fn call_step(&self, call: &Callback, url: &str, extra: &[(&str, &str)]) -> Option<Callback> {
        self.twilio.call_step(call, url, extra)
    }

    /// The report that the call has ended, after so many seconds.
    pub fn call_ended(&self, tenant: &TenantId, call: &Callback, secs: u32) -> Option<Callback> {
        self.twilio.call_ended(call, &self.webhook_of(tenant, "voice/status"), secs)
    }

    fn webhook_of(&self, tenant: &TenantId, path: &str) -> String {
        format!("{}/twilio/{tenant}/{path}", self.webhook_url)
    }

    /// What EventBridge does every minute.
    pub async fn tick(&self, now: Timestamp) -> Result<Value, EventFailure> {
        self.dispatch(scheduled(now), now).await
    }

    /// What EventBridge does at nine: plans lesson reminders as of `now`.
    pub async fn plan_lessons(&self, now: Timestamp) -> Result<Value, EventFailure> {
        on_behalf_of(Function::ScheduleLessonReminders, schedule::lesson_reminders(&self.cx, scheduled(now))).await
    }

    /// What EventBridge does at ten: plans payment reminders as of `now`.
    pub async fn plan_payments(&self, now: Timestamp) -> Result<Value, EventFailure> {
        on_behalf_of(Function::SchedulePaymentReminders, schedule::payment_reminders(&self.cx, scheduled(now))).await
    }

    /// Brings an event of the school, in EventBridge's envelope.
    pub async fn receive(&self, event: Value, now: Timestamp) -> Result<Value, EventFailure> {
        on_behalf_of(Function::ReceiveEvents, schedule::receive_events(&self.cx, event, now)).await
    }

    async fn dispatch(&self, event: Value, now: Timestamp) -> Result<Value, EventFailure> {
        on_behalf_of(Function::DispatchMessages, schedule::dispatch_messages(&self.cx, event, now)).await
    }

    /// What EventBridge asks for by name, every hour or every night.
    pub async fn task(&self, task: &str, now: Timestamp) -> Result<Value, EventFailure> {
        self.dispatch(json!({ "task": task }), now).await
    }

    /// Hands what lies in the queue to `dispatchMessages`, as Lambda's poller does.
    pub async fn drain_queue(&self, now: Timestamp) -> Result<usize, EventFailure> {
        let mut drained = 0;
        loop {
            let messages = self.aws.take(QUEUE, 10);
            if messages.is_empty() {
                return Ok(drained);
            }
            drained += messages.len();
            let answer = self.dispatch(aws::sqs_event(&messages), now).await?;
            let failed: Vec<&str> = answer["batchItemFailures"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|item| item["itemIdentifier"].as_str())
                .collect();
            for message in messages {
                if failed.contains(&message.message_id.as_str()) {
                    self.aws.put_back(message, std::time::Duration::from_secs(30));
                }
            }
        }
    }
}

/// An EventBridge schedule's event.
pub fn scheduled(time: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": time.to_string(),
        "region": "us-east-1",
        "resources": [],
        "detail": {},
    })
}

fn open(file: Option<&Path>) -> Result<Database, StartError> {
    let refused = |error: dynoxide::DynoxideError| StartError::Table(error.to_string());
    let database = match file {
        Some(file) => Database::new(&file.to_string_lossy()).map_err(refused)?,
        None => Database::memory().map_err(refused)?,
    };
    // Without an fsync a write: survives a killed process, not a power cut. Not a production store.
    database.enable_bulk_loading().map_err(refused)?;
    Ok(database)
}

async fn listen(port: u16) -> Result<(TcpListener, String), StartError> {
    let what = || format!("port {port} could not be listened on (is another carillon running?)");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(io_error(what()))?;
    let address = listener.local_addr().map_err(io_error(what()))?;
    Ok((listener, format!("http://{address}")))
}

/// What the environment would say on this machine.
pub fn config(twilio_url: &str, webhook_url: &str) -> Config {
    Config {
        table: TABLE.into(),
        queue_url: format!("http://sqs.local/000000000000/{QUEUE}"),
        event_bus: BUS.into(),
        public_url: webhook_url.into(),
        twilio_api_base: twilio_url.into(),
        secret_prefix: "carillon".into(),
        metrics_namespace: "Carillon".into(),
        aws: config::Aws {
            region: REGION.into(),
            access_key_id: "local".into(),
            secret_access_key: "local".into(),
            session_token: None,
            endpoint: Some("http://aws.local".into()),
            endpoints: BTreeMap::new(),
        },
    }
}

async fn data_keys(cx: &Context) -> Result<(), StartError> {
    let name = cx.config.secret(DATA_KEYS);
    match secrets::read::<Value>(&cx.secrets, &name).await {
        Ok(_) => Ok(()),
        Err(SecretsError::Missing(_)) => {
            let keys = BTreeMap::from([("k1".to_string(), BASE64.encode(random()))]);
            let secret = KeySecret { current: "k1".into(), keys, hash: BASE64.encode(random()) };
            Ok(secrets::write(&cx.secrets, &name, &secret).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Signs this installation's tokens.
pub async fn token_secret(cx: &Context) -> Result<String, StartError> {
    let name = cx.config.secret("local-tokens");
    match secrets::read::<String>(&cx.secrets, &name).await {
        Ok(secret) => Ok(secret),
        Err(SecretsError::Missing(_)) => {
            let secret = BASE64.encode(random());
            secrets::write(&cx.secrets, &name, &secret).await?;
            Ok(secret)
        }
        Err(error) => Err(error.into()),
    }
}

fn random() -> [u8; 32] {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    bytes
}

fn new_account(tenant: &TenantId) -> Value {
    let digest = ring::digest::digest(&ring::digest::SHA256, tenant.as_str().as_bytes());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({ "accountSid": format!("AC{}", hex(&digest.as_ref()[..16])), "authToken": hex(&random()[..16]) })
}
