//! `template.yaml`, read: the table, the routes, the schedules and the rights of this machine are the deployment's.
//!
//! Of CloudFormation's functions only those that the template uses, resolved to what stands in their place here.

use std::sync::LazyLock;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::names::{ACCOUNT, BUS, QUEUE, REGION, TABLE, secret_arn};

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../template.yaml");
    let documents = Yaml::load_from_str(text).expect("the template is YAML: cfn-lint has read it");
    json(&documents[0])
});

/// A Lambda function of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    SendMessage,
    ManageTenant,
    ScheduleLessonReminders,
    SchedulePaymentReminders,
    DispatchMessages,
    ReceiveEvents,
    TwilioWebhook,
}

impl Function {
    pub const ALL: [Self; 7] = [
        Self::SendMessage,
        Self::ManageTenant,
        Self::ScheduleLessonReminders,
        Self::SchedulePaymentReminders,
        Self::DispatchMessages,
        Self::ReceiveEvents,
        Self::TwilioWebhook,
    ];

    /// Its name as deployed, behind the stack's, and its folder's.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendMessage => "sendMessage",
            Self::ManageTenant => "manageTenant",
            Self::ScheduleLessonReminders => "scheduleLessonReminders",
            Self::SchedulePaymentReminders => "schedulePaymentReminders",
            Self::DispatchMessages => "dispatchMessages",
            Self::ReceiveEvents => "receiveEvents",
            Self::TwilioWebhook => "twilioWebhook",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// What the template says of it.
    pub fn properties(self) -> &'static Value {
        let name = self.name();
        properties(&format!("{}{}", name[..1].to_uppercase(), &name[1..]))
    }
}

/// The whole template, with `!Ref x` as `{"Ref": "x"}` and `!Sub x` as `{"Fn::Sub": "x"}`.
pub fn template() -> &'static Value {
    &TEMPLATE
}

/// The properties of a resource; null if there is none of this name.
pub fn properties(resource: &str) -> &'static Value {
    &TEMPLATE["Resources"][resource]["Properties"]
}

/// What `value` is on this machine: a text, or what a function of CloudFormation stands for.
pub fn resolve(value: &Value) -> Option<String> {
    let Value::Object(call) = value else { return value.as_str().map(str::to_string) };
    let (function, argument) = call.iter().next()?;
    let argument = argument.as_str()?;
    match function.as_str() {
        "Ref" => reference(argument),
        "Fn::GetAtt" => attribute(argument),
        "Fn::Sub" => substitute(argument),
        _ => None,
    }
}

fn substitute(text: &str) -> Option<String> {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}')?;
        resolved.push_str(before);
        resolved.push_str(&reference(name).or_else(|| attribute(name))?);
        rest = behind;
    }
    resolved.push_str(rest);
    Some(resolved)
}

fn reference(name: &str) -> Option<String> {
    Some(match name {
        "AWS::Partition" => "aws".into(),
        "AWS::Region" => REGION.into(),
        "AWS::AccountId" => ACCOUNT.into(),
        "AWS::StackName" => "carillon".into(),
        "Table" => TABLE.into(),
        "Bus" => BUS.into(),
        "DataKeys" => secret_arn("carillon/data-keys"),
        parameter => resolve(&TEMPLATE["Parameters"][parameter]["Default"])?,
    })
}

fn attribute(path: &str) -> Option<String> {
    Some(match path {
        "Table.Arn" => format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"),
        "DispatchQueue.Arn" => format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}"),
        "Bus.Arn" => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{BUS}"),
        _ => return None,
    })
}

/// The elements of a list, or the one that stands for it.
pub fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    let (list, single) = match value {
        Value::Array(list) => (list.as_slice(), None),
        Value::Null => (&[][..], None),
        single => (&[][..], Some(single)),
    };
    list.iter().chain(single)
}

fn json(node: &Yaml) -> Value {
    match node {
        Yaml::Value(Scalar::Boolean(value)) => Value::from(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => Value::from(value.as_ref()),
        Yaml::Sequence(nodes) => nodes.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let key = |node: &Yaml| node.as_str().map_or_else(|| json(node).to_string(), str::to_string);
            Value::Object(entries.iter().map(|(name, value)| (key(name), json(value))).collect())
        }
        Yaml::Tagged(tag, node) => {
            let name = if tag.suffix == "Ref" { "Ref".to_string() } else { format!("Fn::{}", tag.suffix) };
            Value::Object(Map::from_iter([(name, json(node))]))
        }
        Yaml::Value(Scalar::Null) | Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_functions_of_cloudformation_are_resolved() {
        let resolved = |value: Value| resolve(&value);

        assert_eq!(resolved(json!("plain")), Some("plain".into()));
        assert_eq!(resolved(json!({ "Ref": "Table" })), Some("carillon".into()));
        assert_eq!(
            resolved(json!({ "Fn::Sub": "${Table.Arn}/index/due" })),
            Some("arn:aws:dynamodb:us-east-1:000000000000:table/carillon/index/due".into())
        );
        assert_eq!(resolved(json!({ "Fn::Sub": "${SecretPrefix}/x" })), Some("carillon/x".into()));
        assert_eq!(resolved(json!({ "Fn::Sub": "${NoSuchThing}" })), None);
    }

    #[test]
    fn every_function_stands_in_the_template() {
        for function in Function::ALL {
            let folder = format!("functions/{}", function.name());
            assert_eq!(function.properties()["CodeUri"], folder.as_str());
        }
    }
}
