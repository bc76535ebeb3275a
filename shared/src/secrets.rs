//! Secrets Manager: the deployment's data keys, and each tenant's Twilio credentials.

use std::time::Duration;

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

/// Takes a secret away, at once and for good. One that is not there is no error.
pub async fn delete(client: &Client, name: &str) -> Result<(), SecretsError> {
    let deleted = client.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await;
    match deleted {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => Ok(()),
        Err(error) => Err(SecretsError::Unreachable(Box::new(error))),
    }
}

/// Secrets Manager may still be busy with deleting a secret of the same name: waits between tries.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Stores a secret, as a new version if it exists.
pub async fn write(client: &Client, name: &str, value: &impl Serialize) -> Result<(), SecretsError> {
    let text = serde_json::to_string(value).map_err(|_| SecretsError::Unreadable(name.into()))?;
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match client.create_secret().name(name).secret_string(&text).send().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let refused = error.as_service_error();
        if refused.is_some_and(|error| error.is_resource_exists_exception()) {
            let put = client.put_secret_value().secret_id(name).secret_string(text).send().await;
            return put.map(|_| ()).map_err(|error| SecretsError::Unreachable(Box::new(error)));
        }
        let is_busy = refused.is_some_and(|error| error.is_invalid_request_exception());
        if !is_busy || pause > LONGEST_PAUSE {
            return Err(SecretsError::Unreachable(Box::new(error)));
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
