//! Who calls AWS, and whether `template.yaml` allows it: what a function's policy does not name is refused here too.
//!
//! A caller in this process is whoever runs inside [`on_behalf_of`]; over HTTP it is the function whose name is the
//! access key. Everybody else, tests that prepare the table for example, may do everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::secrets::Secrets;
use super::{Failure, lock};
use crate::names::{ACCOUNT, REGION};
use crate::template::{Function, elements, resolve};

tokio::task_local! {
    static CALLER: Function;
}

/// Runs `work` as `function` would run it: with its rights.
pub async fn on_behalf_of<F: Future>(function: Function, work: F) -> F::Output {
    CALLER.scope(function, work).await
}

/// Whose access key a signed request names.
pub(super) fn signer(authorization: &str) -> Option<Function> {
    let (_, credential) = authorization.split_once("Credential=")?;
    Function::named(credential.split('/').next()?)
}

/// One action on one resource, as a policy names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub action: String,
    pub resource: String,
}

static PERMISSIONS: LazyLock<BTreeMap<Function, Vec<Permission>>> =
    LazyLock::new(|| Function::ALL.into_iter().map(|function| (function, read_permissions(function))).collect());

/// Everything that the template allows `function`.
pub fn permissions(function: Function) -> &'static [Permission] {
    &PERMISSIONS[&function]
}

/// Everything in a policy is judged here, or the template is refused: a managed policy by its name, a condition or a
/// denial would pass unseen otherwise.
fn read_permissions(function: Function) -> Vec<Permission> {
    let only = |value: &Value, known: &[&str]| {
        let is_known = |fields: &Map<String, Value>| fields.keys().all(|name| known.contains(&name.as_str()));
        assert!(value.as_object().is_some_and(is_known), "{function:?}: of {value} only {known:?} is understood");
    };
    let mut permissions = BTreeSet::new();
    let policies = elements(&function.properties()["Policies"]).inspect(|policy| only(policy, &["Version", "Statement"]));
    for statement in policies.flat_map(|policy| elements(&policy["Statement"])) {
        only(statement, &["Effect", "Action", "Resource"]);
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        for action in elements(&statement["Action"]).filter_map(Value::as_str) {
            for resource in elements(&statement["Resource"]) {
                let resource = resolve(resource).unwrap_or_else(|| panic!("what is {resource} on this machine?"));
                permissions.insert(Permission { action: action.into(), resource });
            }
        }
    }
    permissions.into_iter().collect()
}

/// The target of the line that tells of each permission when this process first uses it.
pub const USES: &str = "carillon::permissions";

/// Refuses what the caller may not do, as IAM does.
pub(super) fn check(service: &str, operation: &str, body: &[u8], secrets: &Mutex<Secrets>) -> Result<(), Failure> {
    static USED: Mutex<BTreeSet<(Function, &Permission)>> = Mutex::new(BTreeSet::new());
    let Ok(caller) = CALLER.try_with(|caller| *caller) else { return Ok(()) };
    let needed = needed(service, operation, body, secrets);
    if needed.is_empty() {
        let message =
            format!("{} is not authorized to perform {service}.{operation}: what it needs is not known here", caller.name());
        tracing::error!(target: USES, "{message}");
        return Err(Failure::new("AccessDeniedException", message));
    }
    for (action, resource) in needed {
        let granted =
            permissions(caller).iter().find(|permission| permission.action == action && is_like(&permission.resource, &resource));
        let Some(granted) = granted else {
            let message = format!(
                "User: arn:aws:sts::{ACCOUNT}:assumed-role/{}/local is not authorized to perform: {action} on resource: \
                 {resource} because no identity-based policy allows the {action} action",
                caller.name()
            );
            tracing::error!(target: USES, "{message}");
            return Err(Failure::new("AccessDeniedException", message));
        };
        if USED.lock().unwrap_or_else(PoisonError::into_inner).insert((caller, granted)) {
            tracing::trace!(target: USES, function = caller.name(), action = granted.action, resource = granted.resource);
        }
    }
    Ok(())
}

/// The actions and resources that IAM would judge of a request.
///
/// Sources: Service Authorization Reference; of a transaction each item needs the action of its own kind (DynamoDB
/// Developer Guide, "Using IAM with DynamoDB transactions").
fn needed(service: &str, operation: &str, body: &[u8], secrets: &Mutex<Secrets>) -> BTreeSet<(String, String)> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Request {
        table_name: Option<String>,
        index_name: Option<String>,
        request_items: BTreeMap<String, IgnoredAny>,
        transact_items: Vec<BTreeMap<String, InTable>>,
        secret_id: Option<String>,
        name: Option<String>,
        queue_url: Option<String>,
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct InTable {
        table_name: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Entry {
        event_bus_name: Option<String>,
    }
    // Of what cannot be read nothing is known, and so it is refused.
    let request: Request = serde_json::from_slice(body).unwrap_or_default();
    let arn = |service: &str, resource: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}");
    let table = |name: &str| arn("dynamodb", &format!("table/{name}"));
    match service {
        "DynamoDB_20120810" => {
            let action = |operation: &str| format!("dynamodb:{operation}");
            let single = request.table_name.iter().map(|name| match &request.index_name {
                Some(index) => (action(operation), format!("{}/index/{index}", table(name))),
                None => (action(operation), table(name)),
            });
            let batched = request.request_items.keys().map(|name| (action(operation), table(name)));
            let in_transaction = request.transact_items.iter().flatten().map(|(kind, item)| {
                let operation = if kind == "ConditionCheck" { "ConditionCheckItem".into() } else { format!("{kind}Item") };
                (action(&operation), table(&item.table_name))
            });
            single.chain(batched).chain(in_transaction).collect()
        }
        "secretsmanager" => {
            let name = request.secret_id.or(request.name).unwrap_or_default();
            BTreeSet::from([(format!("secretsmanager:{operation}"), lock(secrets).judged(operation, &name))])
        }
        "AmazonSQS" => {
            let queue = request.queue_url.unwrap_or_default();
            let operation = operation.trim_end_matches("Batch");
            BTreeSet::from([(format!("sqs:{operation}"), arn("sqs", queue.rsplit('/').next().unwrap_or_default()))])
        }
        "AWSEvents" => {
            let bus = |entry: &Entry| entry.event_bus_name.clone().unwrap_or_else(|| "default".into());
            let of = |entry: &Entry| (format!("events:{operation}"), arn("events", &format!("event-bus/{}", bus(entry))));
            request.entries.iter().map(of).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Whether `text` is like `pattern`, in which `*` is any text and `?` any character.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('*') => text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| is_like(&pattern[1..], &text[at..])),
        Some(wanted) => {
            let mut rest = text.chars();
            rest.next().is_some_and(|found| wanted == '?' || wanted == found) && is_like(characters.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_what_iam_lets_them() {
        assert!(is_like("a/*/twilio-??????", "a/tenants/x/twilio-abcdef"));
        assert!(!is_like("a/*/twilio-??????", "a/tenants/x/twilio-abc"));
        assert!(is_like("*", "") && !is_like("?", "") && !is_like("table", "table/index/due"));
    }

    #[test]
    fn who_signed_is_the_function() {
        let authorization =
            "AWS4-HMAC-SHA256 Credential=sendMessage/20261121/us-east-1/dynamodb/aws4_request, SignedHeaders=host";

        assert_eq!(signer(authorization), Some(Function::SendMessage));
        assert_eq!(signer("AWS4-HMAC-SHA256 Credential=local/20261121/us-east-1"), None);
    }

    #[tokio::test]
    async fn what_no_policy_names_is_refused() {
        let secrets = Mutex::new(Secrets::open(None).unwrap());
        let scan = br#"{"TableName": "carillon"}"#;
        let refused = |operation: &'static str| {
            on_behalf_of(Function::SendMessage, async { check("DynamoDB_20120810", operation, scan, &secrets).is_err() })
        };

        assert!(refused("Scan").await);
        assert!(!refused("PutItem").await);
        let unread =
            on_behalf_of(Function::SendMessage, async { check("DynamoDB_20120810", "PutItem", b"?", &secrets).is_err() });
        assert!(unread.await);
        assert!(check("DynamoDB_20120810", "Scan", scan, &secrets).is_ok(), "nobody's call");
    }

    #[test]
    fn a_transaction_needs_the_action_of_each_of_its_items() {
        let body = br#"{"TransactItems": [{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "t"}}]}"#;
        let secrets = Mutex::new(Secrets::open(None).unwrap());

        let needed = needed("DynamoDB_20120810", "TransactWriteItems", body, &secrets);

        let actions: Vec<&str> = needed.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["dynamodb:ConditionCheckItem", "dynamodb:PutItem"]);
    }
}
