//! What a use case works with: the adapters, made once, and a minute's memory of settings and credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::shared::IntoShared;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use crate::aws_client::{self, SdkTransport};
use crate::config::{Config, Service};
use crate::domain::tenant::{Settings, TenantId};
use crate::http_client;
use crate::secrets::{self, SecretsError};
use crate::store::seal::{KeySecret, Keyring};
use crate::store::{self, StoreError, Table, tenants};
use crate::twilio::credentials::Credentials;
use crate::{events, queue};

/// The adapters of one process. Making it touches no network.
pub struct Context {
    pub config: Config,
    pub http: reqwest::Client,
    pub secrets: secrets::Client,
    pub queue: queue::Client,
    pub events: events::Client,
    dynamodb: store::Client,
    table: OnceCell<Table>,
    settings: Remembered<Settings>,
    credentials: Remembered<Credentials>,
    refreshed: Remembered<()>,
}

/// How long settings and credentials are believed without asking again.
const MEMORY: SignedDuration = SignedDuration::from_mins(1);

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
    pub fn new(config: Config) -> Self {
        let http = http_client::new();
        let transport = SdkTransport(http.clone()).into_shared();
        Self::with_transport(config, http, transport)
    }

    /// With another way to AWS: in process, for `infra/local`.
    pub fn with_transport(config: Config, http: reqwest::Client, transport: SharedHttpClient) -> Self {
        let aws = |service| aws_client::sdk_config(&config.aws, service, transport.clone());
        Self {
            dynamodb: store::Client::new(&aws(Service::DynamoDb)),
            secrets: secrets::Client::new(&aws(Service::SecretsManager)),
            queue: queue::Client::new(&aws(Service::Sqs)),
            events: events::Client::new(&aws(Service::EventBridge)),
            http,
            table: OnceCell::new(),
            settings: Remembered::default(),
            credentials: Remembered::default(),
            refreshed: Remembered::default(),
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
        self.lock().insert(tenant.clone(), (now, value.clone()));
        value
    }

    fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Entry<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
