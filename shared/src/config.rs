//! What a function is told by its environment. Nothing else reads it.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The DynamoDB table: `TABLE_NAME`.
    pub table: String,
    /// The queue of messages to dispatch at once: `QUEUE_URL`.
    pub queue_url: String,
    /// The bus that we publish on: `EVENT_BUS`.
    pub event_bus: String,
    /// The base of our webhook URLs as Twilio calls them: `PUBLIC_URL`, without a slash at its end.
    pub public_url: String,
    /// `TWILIO_API_BASE`; Twilio's own by default.
    pub twilio_api_base: String,
    /// What the names of our secrets begin with: `SECRET_PREFIX`, by default `carillon`.
    pub secret_prefix: String,
    /// What CloudWatch keeps our metrics under: `METRICS_NAMESPACE`, by default `Carillon`.
    pub metrics_namespace: String,
    pub aws: Aws,
}

/// How AWS is reached, as the Lambda runtime says it.
#[derive(Clone, Debug)]
pub struct Aws {
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL`: instead of AWS itself.
    pub endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB` and its like: for one service alone.
    pub endpoints: BTreeMap<Service, String>,
}

/// The services that we call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    DynamoDb,
    SecretsManager,
    Sqs,
    EventBridge,
}

impl Service {
    const ALL: [Service; 4] = [Service::DynamoDb, Service::SecretsManager, Service::Sqs, Service::EventBridge];

    /// The variable that names an endpoint for this service alone.
    fn variable(self) -> &'static str {
        match self {
            Service::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Service::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Service::Sqs => "AWS_ENDPOINT_URL_SQS",
            Service::EventBridge => "AWS_ENDPOINT_URL_EVENTBRIDGE",
        }
    }
}

impl Aws {
    /// Where `service` is, if not at AWS itself.
    pub fn endpoint(&self, service: Service) -> Option<&str> {
        self.endpoints.get(&service).or(self.endpoint.as_ref()).map(String::as_str)
    }
}

/// The variables that are missing, all at once.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("these environment variables are not set: {}", .0.join(", "))]
pub struct MissingVariables(pub Vec<&'static str>);

/// The variables without which no function starts.
pub fn required() -> Vec<&'static str> {
    Config::read(|_| None).map_or_else(|missing| missing.0, |_| Vec::new())
}

/// Every variable that is read.
pub fn variables() -> Vec<String> {
    let read = std::cell::RefCell::new(Vec::new());
    let _ = Config::read(|name| {
        read.borrow_mut().push(name.to_string());
        None
    });
    read.into_inner()
}

impl Config {
    /// # Errors
    /// [`MissingVariables`] names every variable that the template must set.
    pub fn from_env() -> Result<Self, MissingVariables> {
        #[allow(clippy::disallowed_methods)] // this is the one reader
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, MissingVariables> {
        let mut missing = Vec::new();
        let mut required = |name: &'static str| {
            variable(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let config = Self {
            table: required("TABLE_NAME"),
            queue_url: required("QUEUE_URL"),
            event_bus: required("EVENT_BUS"),
            public_url: required("PUBLIC_URL").trim_end_matches('/').to_string(),
            twilio_api_base: variable("TWILIO_API_BASE").unwrap_or_else(|| "https://api.twilio.com".into()),
            secret_prefix: variable("SECRET_PREFIX").unwrap_or_else(|| "carillon".into()),
            metrics_namespace: variable("METRICS_NAMESPACE").unwrap_or_else(|| "Carillon".into()),
            aws: Aws {
                region: required("AWS_REGION"),
                access_key_id: required("AWS_ACCESS_KEY_ID"),
                secret_access_key: required("AWS_SECRET_ACCESS_KEY").into(),
                session_token: variable("AWS_SESSION_TOKEN"),
                endpoint: variable("AWS_ENDPOINT_URL"),
                endpoints: Service::ALL
                    .into_iter()
                    .filter_map(|service| Some((service, variable(service.variable())?)))
                    .collect(),
            },
        };
        if missing.is_empty() { Ok(config) } else { Err(MissingVariables(missing)) }
    }

    /// The name of a secret.
    pub fn secret(&self, name: &str) -> String {
        format!("{}/{name}", self.secret_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_variable_is_named_at_once() {
        let error = Config::read(|name| (name == "TABLE_NAME").then(|| "t".into())).expect_err("most are missing");
        assert_eq!(
            error.to_string(),
            "these environment variables are not set: QUEUE_URL, EVENT_BUS, PUBLIC_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
        );
    }
}
