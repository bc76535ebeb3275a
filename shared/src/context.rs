//! What a use case works with: the adapters, made once, and a minute's memory of settings and credentials.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::shared::IntoShared;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use crate::aws_client::{self, SdkTransport};
use crate::config::{Config, Service};
use crate::domain::catalogue::{default_template, template_key};
use crate::domain::template::NamedTemplate;
use crate::domain::tenant::{Settings, TenantId};
use crate::http_client;
use crate::secrets::{self, SecretsError};
use crate::store::seal::{KeySecret, Keyring};
use crate::store::{self, StoreError, Table, templates, tenants};
use crate::telemetry;
use crate::twilio::concurrency::Window;
use crate::twilio::credentials::Credentials;
use crate::{events, queue};

/// A client that not every function needs: made when it is first used.
pub type Lazy<C> = LazyLock<C, Box<dyn FnOnce() -> C + Send>>;

/// The adapters of one process. Making it touches no network.
pub struct Context {
    pub config: Config,
    pub http: http_client::Client,
    pub secrets: secrets::Client,
    pub queue: Lazy<queue::Client>,
    pub events: Lazy<events::Client>,
    dynamodb: store::Client,
    table: OnceCell<Table>,
    settings: Remembered<Settings>,
    credentials: Remembered<Credentials>,
    /// Tenants without credentials.
    unconnected: Remembered<()>,
    refreshed: Remembered<()>,
    windows: Mutex<HashMap<String, Arc<Window>>>,
    /// What this process believes of the table, to spare requests. A wrong belief costs one.
    pub beliefs: Beliefs,
}

/// Beliefs by tenant and name.
#[derive(Debug, Default)]
pub struct Beliefs {
    /// The shares of a month's budget that were told of, in percent.
    pub told: Belief<Vec<u8>>,
    /// Until when a sender's clock is busy.
    pub busy_until: Belief<Timestamp>,
    templates: Belief<(Timestamp, Option<Arc<NamedTemplate>>)>,
    /// Calls of the API that were taken from the tenant's clock and not used yet, and how many at once.
    pub allowance: Belief<Allowance>,
}

/// Calls of the API that a process may still serve.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    pub left: u32,
    /// So many were taken last.
    pub block: u32,
}

/// One kind of belief.
#[derive(Debug)]
pub struct Belief<T>(Mutex<HashMap<(TenantId, String), T>>);

impl<T> Default for Belief<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T: Clone> Belief<T> {
    pub fn get(&self, tenant: &TenantId, name: &str) -> Option<T> {
        self.lock().get(&(tenant.clone(), name.to_string())).cloned()
    }

    pub fn set(&self, tenant: &TenantId, name: &str, value: T) {
        self.lock().insert((tenant.clone(), name.to_string()), value);
    }

    /// Changes a belief, from the default if there is none, and answers what `change` answers.
    pub fn change<R>(&self, tenant: &TenantId, name: &str, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        change(self.lock().entry((tenant.clone(), name.to_string())).or_default())
    }

    pub fn forget(&self, tenant: &TenantId, name: &str) {
        self.lock().remove(&(tenant.clone(), name.to_string()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(TenantId, String), T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a tenant's messages go.
#[derive(Clone, Debug)]
pub enum Account {
    Twilio(Arc<Credentials>),
    /// The tenant has connected no account yet: everything works, and nothing leaves (S2-37..40).
    Simulated,
}

impl Account {
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated)
    }

    /// Twilio's id of it.
    pub fn sid(&self) -> Option<&str> {
        match self {
            Self::Twilio(credentials) => Some(&credentials.account_sid),
            Self::Simulated => None,
        }
    }
}

/// How long settings and credentials are believed without asking again.
const MEMORY: SignedDuration = SignedDuration::from_mins(1);

/// So many tenants are remembered at once.
const MOST_REMEMBERED: usize = 4096;

/// The name of the secret that holds the data keys.
pub const DATA_KEYS: &str = "data-keys";

/// Something that the use case needs cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("no tenant '{0}'")]
    NoTenant(TenantId),
}

impl Context {
    /// What every function begins with: logs, what the environment says, the adapters. If the environment lacks
    /// anything, the process ends, and its last line names all that is missing.
    pub fn start() -> Self {
        let config = Config::from_env();
        let namespace = config.as_ref().map(|config| config.metrics_namespace.clone()).unwrap_or_default();
        telemetry::start(namespace);
        match config {
            Ok(config) => Self::new(config),
            Err(error) => {
                tracing::error!(%error, "the function cannot start");
                std::process::exit(1)
            }
        }
    }

    pub fn new(config: Config) -> Self {
        let http = http_client::new();
        let transport = SdkTransport(http.clone()).into_shared();
        Self::with_transport(config, http, transport)
    }

    /// With another way to AWS: in process, for `infra/local`.
    pub fn with_transport(config: Config, http: impl Into<http_client::Client>, transport: SharedHttpClient) -> Self {
        let aws = |service| aws_client::sdk_config(&config.aws, service, transport.clone());
        let (sqs, event_bridge) = (aws(Service::Sqs), aws(Service::EventBridge));
        Self {
            // Every function needs these two, and starting is when it has the most CPU.
            dynamodb: store::Client::new(&aws(Service::DynamoDb)),
            secrets: secrets::Client::new(&aws(Service::SecretsManager)),
            queue: LazyLock::new(Box::new(move || queue::Client::new(&sqs))),
            events: LazyLock::new(Box::new(move || events::Client::new(&event_bridge))),
            http: http.into(),
            table: OnceCell::new(),
            settings: Remembered::default(),
            credentials: Remembered::default(),
            unconnected: Remembered::default(),
            refreshed: Remembered::default(),
            windows: Mutex::default(),
            beliefs: Beliefs::default(),
            config,
        }
    }

    /// The table; its keys are read from Secrets Manager at the first call.
    pub async fn table(&self) -> Result<&Table, ContextError> {
        self.table
            .get_or_try_init(|| async {
                let secret: KeySecret = secrets::read(&self.secrets, &self.config.secret(DATA_KEYS)).await?;
                let keyring = Keyring::new(&secret).map_err(StoreError::Sealed)?;
                Ok(Table::new(self.dynamodb.clone(), self.config.table.clone(), keyring))
            })
            .await
    }

    /// # Errors
    /// [`ContextError::NoTenant`] for a tenant that nobody made.
    pub async fn settings(&self, tenant: &TenantId, now: Timestamp) -> Result<Arc<Settings>, ContextError> {
        if let Some(settings) = self.settings.get(tenant, now) {
            return Ok(settings);
        }
        let settings = tenants::settings(self.table().await?, tenant).await?;
        let settings = settings.ok_or_else(|| ContextError::NoTenant(tenant.clone()))?;
        Ok(self.settings.put(tenant, settings, now))
    }

    /// The tenant's Twilio credentials.
    ///
    /// # Errors
    /// [`SecretsError::Missing`] for a tenant that has not connected an account.
    pub async fn credentials(&self, tenant: &TenantId, now: Timestamp) -> Result<Arc<Credentials>, ContextError> {
        if let Some(credentials) = self.credentials.get(tenant, now) {
            return Ok(credentials);
        }
        let credentials = secrets::read(&self.secrets, &self.config.secret(&twilio_secret(tenant))).await?;
        Ok(self.credentials.put(tenant, credentials, now))
    }

    /// The tenant's own template of this name, believed for a minute, as that there is none.
    pub async fn template(
        &self,
        tenant: &TenantId,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<NamedTemplate>>, ContextError> {
        let key = template_key(name);
        let known = self.beliefs.templates.get(tenant, &key);
        if let Some((since, template)) = known
            && now.duration_since(since) < MEMORY
        {
            return Ok(template);
        }
        let template = templates::get_many(self.table().await?, tenant, &[name]).await?.remove(&key).map(Arc::new);
        // That there is none is remembered of the names that everybody has; others are slips.
        if template.is_some() || default_template(name).is_some() {
            self.beliefs.templates.set(tenant, &key, (now, template.clone()));
        }
        Ok(template)
    }

    /// Reads the tenant's template of this name anew: it has changed.
    pub fn forget_template(&self, tenant: &TenantId, name: &str) {
        self.beliefs.templates.forget(tenant, &template_key(name));
    }

    /// Where the tenant's messages go.
    pub async fn account(&self, tenant: &TenantId, now: Timestamp) -> Result<Account, ContextError> {
        if self.unconnected.get(tenant, now).is_some() {
            return Ok(Account::Simulated);
        }
        match self.credentials(tenant, now).await {
            Ok(credentials) => Ok(Account::Twilio(credentials)),
            Err(ContextError::Secrets(SecretsError::Missing(_))) => {
                self.unconnected.put(tenant, (), now);
                Ok(Account::Simulated)
            }
            Err(error) => Err(error),
        }
    }

    /// The requests that one Twilio account has under way from this process.
    pub fn window(&self, account_sid: &str) -> Arc<Window> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.entry(account_sid.to_string()).or_default().clone()
    }

    /// As [`Context::forget`], but once a minute at most: anybody can send a badly signed request.
    pub fn refresh(&self, tenant: &TenantId, now: Timestamp) -> bool {
        if self.refreshed.get(tenant, now).is_some() {
            return false;
        }
        self.refreshed.put(tenant, (), now);
        self.forget(tenant);
        true
    }

    /// Believes nothing remembered of this tenant any more: its settings or credentials have changed.
    pub fn forget(&self, tenant: &TenantId) {
        self.settings.forget(tenant);
        self.credentials.forget(tenant);
        self.unconnected.forget(tenant);
    }
}

/// The name, below the prefix, of a tenant's Twilio secret.
pub fn twilio_secret(tenant: &TenantId) -> String {
    format!("tenants/{tenant}/twilio")
}

type Entry<T> = (Timestamp, Arc<T>);

/// Values by tenant, believed for a minute.
struct Remembered<T>(Mutex<HashMap<TenantId, Entry<T>>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T> Remembered<T> {
    fn get(&self, tenant: &TenantId, now: Timestamp) -> Option<Arc<T>> {
        let known = self.lock();
        let (since, value) = known.get(tenant)?;
        (now.duration_since(*since) < MEMORY).then(|| value.clone())
    }

    fn put(&self, tenant: &TenantId, value: T, now: Timestamp) -> Arc<T> {
        let value = Arc::new(value);
        let mut known = self.lock();
        // Names may come from anybody: what is not believed any more makes room.
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, (since, _)| now.duration_since(*since) < MEMORY);
        }
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(tenant.clone(), (now, value.clone()));
        value
    }

    fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Entry<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
