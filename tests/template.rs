//! `template.yaml` and the code say the same: functions, variables, table, routes, schedules, queue. What the functions
//! may call is checked at each call (`infra/local/src/aws/policy.rs`), and that they call all of it by `policies.rs`.

use std::collections::BTreeSet;
use std::fs;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use local::aws::permissions;
use local::gateway;
use local::routes::route;
use local::simulate::{LESSON_JOB, PAYMENT_JOB};
use local::template::{Function, properties, template};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::api::openapi;
use shared::config;
use shared::schedule::Task;
use shared::store::keys::{ABOUT, DUE, Index, PK, SK, TIME};

use crate::machine::{quiet_machine, root};

/// What the template says of one thing that triggers `function`.
fn events(function: Function, kind: &str) -> Vec<(&'static String, &'static Value)> {
    let events = function.properties()["Events"].as_object().unwrap();
    events.iter().filter(|(_, event)| event["Type"] == kind).map(|(name, event)| (name, &event["Properties"])).collect()
}

#[test]
fn every_folder_of_functions_is_a_function_of_the_stack_and_the_other_way() {
    let folders: BTreeSet<String> =
        fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let deployed: BTreeSet<String> = template()["Resources"]
        .as_object()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"] == "AWS::Serverless::Function")
        .map(|resource| resource["Properties"]["CodeUri"].as_str().unwrap().trim_start_matches("functions/").to_string())
        .collect();
    let known: BTreeSet<String> = Function::ALL.iter().map(|function| function.name().to_string()).collect();

    assert_eq!(deployed, folders);
    assert_eq!(known, folders);
    for function in Function::ALL {
        let name = &function.properties()["FunctionName"]["Fn::Sub"];
        assert_eq!(name, &format!("${{AWS::StackName}}-{}", function.name()));
    }
}

#[test]
fn the_functions_get_the_variables_that_the_code_reads() {
    let globals = &template()["Globals"]["Function"]["Environment"]["Variables"];
    let given: BTreeSet<&str> = globals.as_object().unwrap().keys().map(String::as_str).collect();
    // Lambda itself sets these.
    let ours = |name: &&str| !name.starts_with("AWS_");
    let required: BTreeSet<&str> = config::required().into_iter().filter(ours).collect();
    let variables = config::variables();
    let read: BTreeSet<&str> = variables.iter().map(String::as_str).filter(ours).collect();

    let missing: Vec<_> = required.difference(&given).collect();
    let unread: Vec<_> = given.difference(&read).collect();

    assert_eq!((missing, unread), (vec![], vec![]));
    for function in Function::ALL {
        assert_eq!(function.properties().get("Environment"), None, "{function:?}: all have the same");
    }
}

#[test]
fn the_table_has_the_keys_and_indexes_of_the_code() {
    let table = properties("Table");
    let schema =
        |pk: &str, sk: &str| json!([{ "AttributeName": pk, "KeyType": "HASH" }, { "AttributeName": sk, "KeyType": "RANGE" }]);
    let projection = |index: Index| if index.name == DUE.name { "ALL" } else { "KEYS_ONLY" };
    let index = |index: Index| {
        json!({
            "IndexName": index.name,
            "KeySchema": schema(index.pk, index.sk),
            "Projection": { "ProjectionType": projection(index) },
        })
    };

    assert_eq!(table["KeySchema"], schema(PK, SK));
    assert_eq!(table["GlobalSecondaryIndexes"], json!([index(DUE), index(TIME), index(ABOUT)]));
    assert_eq!(table["TimeToLiveSpecification"], json!({ "AttributeName": "expires", "Enabled": true }));
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
}

/// S4-39, S4-40, S0-68, S0-73.
#[test]
fn the_table_is_encrypted_kept_and_can_be_brought_back() {
    let table = properties("Table");

    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!((&table["SSESpecification"]["SSEEnabled"], &table["SSESpecification"]["SSEType"]), (&json!(true), &json!("KMS")));
    let key = table["SSESpecification"]["KMSMasterKeyId"].to_string();
    let of_ours = |(name, resource): (&String, &Value)| resource["Type"] == "AWS::KMS::Key" && key.contains(name.as_str());
    assert!(template()["Resources"].as_object().unwrap().iter().any(of_ours), "{key} is no key of the stack's own");
    for kept in ["Table", "DataKeys"] {
        // Or `RetainExceptOnCreate`: a first deploy that fails leaves nothing behind.
        assert!(template()["Resources"][kept]["DeletionPolicy"].as_str().unwrap().starts_with("Retain"), "{kept}");
    }
}

/// What the local AWS judges by is all that the functions may: policies of their own, of named resources.
#[test]
fn a_function_has_no_right_but_by_its_own_policy() {
    for (name, resource) in template()["Resources"].as_object().unwrap() {
        assert!(!resource["Type"].as_str().unwrap().starts_with("AWS::IAM::"), "{name}");
        assert_eq!(resource["Properties"].get("Role"), None, "{name}");
    }
    assert_eq!(template()["Globals"]["Function"].get("Policies"), None);
    for function in Function::ALL {
        for permission in permissions(function) {
            let of_tenants = permission.resource.contains(":secret:carillon/tenants/*/twilio");
            assert!(of_tenants || !permission.resource.contains('*'), "{function:?}: {permission:?}");
            assert!(!permission.action.contains('*'), "{function:?}: {permission:?}");
        }
    }
}

/// S1-90, S4-43: whatever a tenant's own limit lets through.
#[test]
fn the_api_is_throttled_and_its_access_log_shows_no_path_and_no_query() {
    let api = properties("Api");
    for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
        assert!(api["DefaultRouteSettings"][limit]["Ref"].is_string(), "{limit}");
    }
    let format: Value = serde_json::from_str(api["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();
    let shown: Vec<&str> = format.as_object().unwrap().values().filter_map(Value::as_str).collect();
    assert!(shown.contains(&"$context.requestId") && shown.contains(&"$context.routeKey"), "{format}");
    for private in ["$context.path", "$context.http.path", "querystring", "$context.identity", "$request"] {
        assert!(!shown.iter().any(|value| value.contains(private)), "{private}");
    }
    assert_eq!(api["Auth"]["DefaultAuthorizer"], "Jwt");
}

#[test]
fn the_functions_are_built_for_arm64_unless_somebody_says_otherwise() {
    let globals = &template()["Globals"]["Function"];
    assert_eq!(
        (&globals["Runtime"], &globals["Architectures"]),
        (&json!("provided.al2023"), &json!([{ "Ref": "Architecture" }]))
    );
    let architecture = &template()["Parameters"]["Architecture"];
    assert_eq!((&architecture["Default"], &architecture["AllowedValues"]), (&json!("arm64"), &json!(["arm64", "x86_64"])));
    for resource in template()["Resources"].as_object().unwrap().values() {
        if resource["Type"] == "AWS::Serverless::Function" {
            assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda");
        }
    }
}

/// S0-62, S0-63, S0-66, S0-67: and every task that the code knows is asked for.
#[test]
fn the_schedules_ask_for_what_the_code_does() {
    let cron = |function: Function| events(function, "Schedule")[0].1["Schedule"].as_str().unwrap().to_string();
    let daily = |hour: i8, minute: i8| format!("cron({minute} {hour} * * ? *)");
    assert_eq!(cron(Function::ScheduleLessonReminders), daily(LESSON_JOB.hour(), LESSON_JOB.minute()));
    assert_eq!(cron(Function::SchedulePaymentReminders), daily(PAYMENT_JOB.hour(), PAYMENT_JOB.minute()));

    let mut asked = Vec::new();
    let mut ticks = Vec::new();
    for (name, schedule) in events(Function::DispatchMessages, "Schedule") {
        match schedule["Input"].as_str() {
            Some(input) => {
                let input: Value = serde_json::from_str(input).unwrap();
                asked.push(Task::deserialize(&input["task"]).unwrap_or_else(|error| panic!("{name}: {error}")));
            }
            None => ticks.push(&schedule["Schedule"]),
        }
    }
    assert_eq!(ticks, ["rate(1 minute)"]);
    for task in Task::ALL {
        assert!(asked.contains(&task), "nothing asks for {task:?}");
    }
}

#[test]
fn the_queue_waits_longer_than_six_runs_and_takes_failures_one_by_one() {
    let (_, hints) = events(Function::DispatchMessages, "SQS")[0];
    let timeout = Function::DispatchMessages.properties()["Timeout"].as_u64().unwrap();
    let queue = properties("DispatchQueue");

    assert!(queue["VisibilityTimeout"].as_u64().unwrap() > 6 * timeout);
    assert_eq!(hints["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], json!({ "Fn::GetAtt": "DeadHints.Arn" }));
}

#[test]
fn the_bus_brings_what_the_school_says() {
    let (_, rule) = events(Function::ReceiveEvents, "EventBridgeRule")[0];

    assert_eq!(rule["Pattern"], json!({ "source": ["school"] }));
    assert_eq!(rule["EventBusName"], json!({ "Ref": "Bus" }));
}

#[test]
fn every_function_is_traced_and_its_log_ends_some_day() {
    let globals = &template()["Globals"]["Function"];
    assert_eq!(globals["Tracing"], "Active");
    let groups: Vec<&Value> = template()["Resources"]
        .as_object()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"] == "AWS::Logs::LogGroup")
        .map(|resource| &resource["Properties"])
        .collect();
    assert!(groups.iter().all(|group| group["RetentionInDays"] == json!({ "Ref": "LogRetentionDays" })));
    for function in Function::ALL {
        let group = function.properties()["LoggingConfig"]["LogGroup"]["Ref"].as_str().unwrap();
        let name = format!("/aws/lambda/${{AWS::StackName}}-{}", function.name());
        assert_eq!(properties(group)["LogGroupName"]["Fn::Sub"], name.as_str());
    }
}

/// The API's description, API Gateway's routes and the functions' routers name the same operations, and the same are
/// open to everybody.
#[tokio::test]
async fn every_operation_is_routed_to_the_function_that_answers_it() {
    let host = quiet_machine(|_| {}).await;
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut operations = 0;
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let method: Method = verb.to_uppercase().parse().unwrap();
            let path: String =
                path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
            let route = route(&method, &path).unwrap_or_else(|| panic!("{method} {path} has no route"));
            assert_eq!(route.is_open, operation["security"] == json!([{}]), "{method} {path}");

            // Without claims a route of a function's refuses; what is no route of it is not found.
            let event = gateway::event(&method, &path, None, &HeaderMap::new(), &Bytes::new(), None, host.clock.now());
            let status = host.functions.api(event).await.status();
            if !route.is_open {
                assert_ne!(status, StatusCode::NOT_FOUND, "{method} {path} is not one of {:?}", route.function);
            }
            operations += 1;
        }
    }
    assert!(operations > 100, "{operations}");
}
