//! Secrets Manager: the deployment's data keys, and each tenant's Twilio credentials.

pub use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("the secret '{0}' does not exist")]
    Missing(String),
    #[error("the secret '{0}' is not the JSON that we store")]
    Unreadable(String),
    #[error("Secrets Manager could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads a secret that we stored as JSON.
///
/// # Errors
/// [`SecretsError::Missing`] when nobody stored it yet.
pub async fn read<T: DeserializeOwned>(client: &Client, name: &str) -> Result<T, SecretsError> {
    let answer = client.get_secret_value().secret_id(name).send().await.map_err(|error| match error.as_service_error() {
        Some(GetSecretValueError::ResourceNotFoundException(_)) => SecretsError::Missing(name.into()),
        _ => SecretsError::Unreachable(Box::new(error)),
    })?;
    // The parser's own error is not kept: it could quote what it read.
    serde_json::from_str(answer.secret_string().unwrap_or_default()).map_err(|_| SecretsError::Unreadable(name.into()))
}

/// Stores a secret, as a new version if it exists.
pub async fn write(client: &Client, name: &str, value: &impl Serialize) -> Result<(), SecretsError> {
    let text = serde_json::to_string(value).map_err(|_| SecretsError::Unreadable(name.into()))?;
    let created = client.create_secret().name(name).secret_string(&text).send().await;
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_exists_exception()) => {
            let put = client.put_secret_value().secret_id(name).secret_string(text).send().await;
            put.map(|_| ()).map_err(|error| SecretsError::Unreachable(Box::new(error)))
        }
        Err(error) => Err(SecretsError::Unreachable(Box::new(error))),
    }
}
