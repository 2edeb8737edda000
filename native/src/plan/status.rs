//! What a hit's status is called: `loadflow/engine/records/statuses.py` again. gRPC's code N is 20,000 + N.

use serde_json::Value;

use crate::values::value::number_of;

const GRPC: u16 = 20_000;
const UNKNOWN: u16 = 2;

/// By code: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
pub const GRPC_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How the log keeps a gRPC status; what is none is UNKNOWN.
pub fn grpc_status(code: u16) -> u16 {
    GRPC + if usize::from(code) < GRPC_NAMES.len() { code } else { UNKNOWN }
}

/// None for a status of another protocol.
pub fn grpc_name(status: u16) -> Option<&'static str> {
    GRPC_NAMES.get(usize::from(status.checked_sub(GRPC)?)).copied()
}

pub fn status_text(status: u16) -> String {
    grpc_name(status).map_or_else(|| status.to_string(), str::to_owned)
}

pub fn status_value(status: u16) -> Value {
    grpc_name(status).map_or_else(|| Value::from(status), Value::from)
}

/// Whether a status is what a hit's own value says: its number, text of that, or a name of gRPC.
pub fn is_status(value: &Value, status: u16) -> bool {
    let Some(name) = grpc_name(status) else { return number_of(value) == Some(f64::from(status)) };
    value.as_str().is_some_and(|text| text.trim().to_uppercase() == name) || number_of(value) == Some(f64::from(status - GRPC))
}
