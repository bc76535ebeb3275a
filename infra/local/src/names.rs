//! What things are called on this machine: its account and region, the table, the queue, the bus, secrets.

/// The account and region that appear in ARNs and envelopes.
pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";

pub const TABLE: &str = "carillon";
pub const QUEUE: &str = "dispatch";
pub const BUS: &str = "carillon";

/// The ARN of the secret of this name; the suffix is Secrets Manager's own.
pub fn secret_arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-abcdef")
}
