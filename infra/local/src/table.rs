//! The table and its indexes: what `template.yaml` defines.

use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};

use crate::names::TABLE;
use crate::template;

/// Creates the table unless it is there.
pub fn create(database: &Database) -> Result<(), DynoxideError> {
    let describe = serde_json::from_value(json!({ "TableName": TABLE })).map_err(malformed)?;
    if database.describe_table(describe).is_ok() {
        return Ok(());
    }
    database.create_table(serde_json::from_value(definition()).map_err(malformed)?)?;
    Ok(())
}

fn malformed(error: serde_json::Error) -> DynoxideError {
    DynoxideError::ValidationException(error.to_string())
}

/// As CreateTable takes it: CloudFormation says it in the same words.
pub fn definition() -> Value {
    let properties = template::properties("Table");
    let mut definition = json!({ "TableName": TABLE });
    for name in ["BillingMode", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes"] {
        definition[name] = properties[name].clone();
    }
    definition
}
