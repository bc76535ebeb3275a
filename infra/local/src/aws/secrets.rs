//! Secrets Manager: secrets with their versions and stages, in memory and in one JSON file.
//!
//! Nothing here is encrypted: the file is for one developer's machine and readable by its owner only.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Failure, read};
use crate::names::{ACCOUNT, REGION, secret_arn};

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Every secret by its name; a secret is its versions, the newest last.
pub(super) struct Secrets {
    by_name: BTreeMap<String, Vec<Version>>,
    file: Option<PathBuf>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Version {
    id: String,
    string: Option<String>,
    /// Base64, as on the wire.
    binary: Option<String>,
    stages: Vec<String>,
    created: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSecret {
    name: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutSecretValue {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteSecret {
    secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

impl Secrets {
    pub(super) fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let by_name: BTreeMap<String, Vec<Version>> = match &file {
            None => BTreeMap::new(),
            Some(path) => match fs::read(path) {
                Ok(bytes) => serde_json::from_slice(&bytes)?,
                Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
                Err(error) => return Err(error),
            },
        };
        Ok(Self { by_name, file })
    }

    pub(super) fn answer(&mut self, operation: &str, body: &[u8], now: Timestamp) -> Result<Value, Failure> {
        match operation {
            "CreateSecret" => self.create(read(body)?, now),
            "PutSecretValue" => self.put(read(body)?, now),
            "GetSecretValue" => self.get(&read(body)?),
            "DeleteSecret" => self.delete(&read(body)?),
            _ => Err(Failure::unknown_operation()),
        }
    }

    fn create(&mut self, request: CreateSecret, now: Timestamp) -> Result<Value, Failure> {
        if self.by_name.contains_key(&request.name) {
            let message = format!("The operation failed because the secret {} already exists.", request.name);
            return Err(Failure::new("ResourceExistsException", message));
        }
        let version = Version {
            id: request.client_request_token.unwrap_or_else(|| version_id(1)),
            string: request.secret_string,
            binary: request.secret_binary,
            stages: vec![CURRENT.to_owned()],
            created: now,
        };
        let answer = json!({ "ARN": secret_arn(&request.name), "Name": request.name, "VersionId": version.id });
        self.by_name.insert(request.name, vec![version]);
        self.save()?;
        Ok(answer)
    }

    fn put(&mut self, request: PutSecretValue, now: Timestamp) -> Result<Value, Failure> {
        let name = self.name(&request.secret_id)?;
        let versions = self.by_name.entry(name.clone()).or_default();
        let id = request.client_request_token.unwrap_or_else(|| version_id(versions.len() + 1));
        let stages = request.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
        match versions.iter().find(|version| version.id == id) {
            // A repeated request, as the SDK's retries are.
            Some(known) if known.string == request.secret_string && known.binary == request.secret_binary => {
                return Ok(json!({ "ARN": secret_arn(&name), "Name": name, "VersionId": id, "VersionStages": known.stages }));
            }
            Some(_) => {
                let message = format!("You can't use ClientRequestToken {id} because that value is already in use.");
                return Err(Failure::new("ResourceExistsException", message));
            }
            None => {}
        }
        for stage in &stages {
            move_stage_away(versions, stage);
        }
        let answer = json!({ "ARN": secret_arn(&name), "Name": name, "VersionId": id, "VersionStages": stages });
        let (string, binary) = (request.secret_string, request.secret_binary);
        versions.push(Version { id, string, binary, stages, created: now });
        versions.retain(|version| !version.stages.is_empty());
        self.save()?;
        Ok(answer)
    }

    /// At once, as `ForceDeleteWithoutRecovery` has it: nobody here waits for the days of grace.
    fn delete(&mut self, request: &DeleteSecret) -> Result<Value, Failure> {
        let name = self.name(&request.secret_id)?;
        self.by_name.remove(&name);
        self.save()?;
        Ok(json!({ "ARN": secret_arn(&name), "Name": name }))
    }

    fn get(&self, request: &GetSecretValue) -> Result<Value, Failure> {
        let name = self.name(&request.secret_id)?;
        let stage = match (&request.version_stage, &request.version_id) {
            (Some(stage), _) => Some(stage.as_str()),
            (None, Some(_)) => None,
            (None, None) => Some(CURRENT),
        };
        let version = self.by_name.get(&name).into_iter().flatten().find(|version| {
            stage.is_none_or(|stage| version.stages.iter().any(|held| held == stage))
                && request.version_id.as_ref().is_none_or(|id| *id == version.id)
        });
        let Some(version) = version else {
            let label = stage.or(request.version_id.as_deref()).unwrap_or_default();
            let message = format!("Secrets Manager can't find the specified secret value for staging label: {label}");
            return Err(Failure::new("ResourceNotFoundException", message));
        };
        let mut answer = json!({
            "ARN": secret_arn(&name),
            "Name": name,
            "VersionId": version.id,
            "VersionStages": version.stages,
            "CreatedDate": version.created.as_second(),
        });
        if let Some(string) = &version.string {
            answer["SecretString"] = json!(string);
        }
        if let Some(binary) = &version.binary {
            answer["SecretBinary"] = json!(binary);
        }
        Ok(answer)
    }

    /// A secret's name from its name or ARN.
    fn name(&self, id: &str) -> Result<String, Failure> {
        self.by_name
            .keys()
            .find(|name| *name == id || secret_arn(name) == id)
            .cloned()
            .ok_or_else(|| Failure::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret."))
    }

    /// The resource that IAM judges a request for `id` by. What does not exist has no suffix yet.
    ///
    /// Source: Secrets Manager User Guide, "Permissions policy examples": a new secret is judged by a made-up suffix.
    pub(super) fn judged(&self, operation: &str, id: &str) -> String {
        match self.name(id) {
            Ok(name) => secret_arn(&name),
            Err(_) if operation == "CreateSecret" => secret_arn(id),
            Err(_) => format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{id}"),
        }
    }

    fn save(&self) -> Result<(), Failure> {
        let Some(path) = &self.file else { return Ok(()) };
        write(path, &self.by_name).map_err(|error| Failure {
            status: 500,
            code: "InternalServiceError",
            message: format!("the local secrets file could not be written: {error}"),
        })
    }
}

/// Takes `stage` from whichever version holds it; whoever was current becomes the previous one.
fn move_stage_away(versions: &mut [Version], stage: &str) {
    let Some(holder) = versions.iter().position(|version| version.stages.iter().any(|held| held == stage)) else { return };
    versions[holder].stages.retain(|held| held != stage);
    if stage == CURRENT {
        for version in versions.iter_mut() {
            version.stages.retain(|held| held != PREVIOUS);
        }
        versions[holder].stages.push(PREVIOUS.to_owned());
    }
}

fn version_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// Replaces the file by renaming a finished one over it, so that a crash leaves the old or the new.
fn write(path: &Path, secrets: &BTreeMap<String, Vec<Version>>) -> io::Result<()> {
    let finished = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&finished)?;
    file.write_all(&serde_json::to_vec_pretty(secrets)?)?;
    file.sync_all()?;
    fs::rename(&finished, path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_finds_the_secrets_of_the_first() {
        let now: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        let path = std::env::temp_dir().join(format!("carillon-secrets-{}.json", std::process::id()));
        let mut first = Secrets::open(Some(path.clone())).unwrap();
        assert!(first.answer("CreateSecret", br#"{"Name":"tenant/a","SecretString":"one"}"#, now).is_ok());

        let mut second = Secrets::open(Some(path.clone())).unwrap();
        let found = second.answer("GetSecretValue", br#"{"SecretId":"tenant/a"}"#, now);

        fs::remove_file(path).unwrap();
        assert_eq!(found.ok().unwrap()["SecretString"], "one");
    }
}
