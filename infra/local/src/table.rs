//! The table and its indexes, as `template.yaml` defines them.

use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};
use shared::store::keys::{self, Index};

/// The table's name on this machine.
pub const TABLE: &str = "carillon";

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

/// As CreateTable takes it.
pub fn definition() -> Value {
    let whole = [(keys::DUE, "ALL"), (keys::TIME, "KEYS_ONLY"), (keys::ABOUT, "KEYS_ONLY")];
    let mut attributes = vec![keys::PK, keys::SK];
    attributes.extend(whole.iter().flat_map(|(index, _)| [index.pk, index.sk]));
    let schema =
        |pk: &str, sk: &str| json!([{ "AttributeName": pk, "KeyType": "HASH" }, { "AttributeName": sk, "KeyType": "RANGE" }]);
    let index = |index: Index, projection: &str| {
        json!({
            "IndexName": index.name,
            "KeySchema": schema(index.pk, index.sk),
            "Projection": { "ProjectionType": projection },
        })
    };
    json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": schema(keys::PK, keys::SK),
        "AttributeDefinitions":
            attributes.iter().map(|name| json!({ "AttributeName": name, "AttributeType": "S" })).collect::<Vec<_>>(),
        "GlobalSecondaryIndexes": whole.iter().map(|(of, projection)| index(*of, projection)).collect::<Vec<_>>(),
    })
}
