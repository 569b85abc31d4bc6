//! The one table of errors: what happened → JSON-RPC code → HTTP status.
//!
//! | what | code | HTTP |
//! |---|---|---|
//! | not JSON · not a request · no such method · wrong parameters | −32700 · −32600 · −32601 · −32602 | 400, 404 |
//! | too many subscriptions, calls or bytes in one message or answer | −32006 … −32011 | 413, 429 |
//! | our own fault | −32603 | 500 |
//! | a rejection of the chain | 1000 + its number | 400, 402, 404, 409, 429, 503 |
//! | not found · pruned · busy · rate limited · too slow · too large · no subscription here · forbidden · request too slow | 1 … 9 | 404, 410, 503, 429, 504, 413, 400, 403, 408 |
//!
//! Not here: the rejections themselves (chain-core). Nothing here carries paths, secrets or
//! backtraces: a fault's text goes to the log.

use crate::backend::BackendError;
use chain_core::types::{Rejected, Rejection};
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rejection `n` of the chain has this code + n.
pub const REJECTION_CODES: i32 = 1000;

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RpcError {
    /// The JSON-RPC code; see the table.
    pub code: i32,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What programs branch on.
    pub data: Box<ErrorData>,
    /// The status of an answer over plain HTTP.
    #[serde(skip)]
    pub http: u16,
}

/// What programs branch on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// A stable name.
    pub reason: String,
    /// The frozen number, if the chain refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
    /// What would have been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A kind of error that is no rejection of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The JSON-RPC code.
    pub code: i32,
    /// The HTTP status.
    pub http: u16,
    /// The stable name.
    pub name: &'static str,
    /// What is wrong.
    pub message: &'static str,
}

macro_rules! kinds {
    ($($constant:ident $code:literal $http:literal $name:literal $message:literal;)*) => {
        $(
            #[doc = $message]
            pub const $constant: Kind = Kind { code: $code, http: $http, name: $name, message: $message };
        )*
        /// Every kind.
        pub const KINDS: &[Kind] = &[$($constant),*];
    };
}

kinds! {
    PARSE -32700 400 "parse_error" "the request is not JSON";
    INVALID_REQUEST -32600 400 "invalid_request" "the request is not a JSON-RPC 2.0 request";
    METHOD_NOT_FOUND -32601 404 "method_not_found" "there is no such method";
    INVALID_PARAMS -32602 400 "invalid_params" "the parameters are wrong";
    INTERNAL -32603 500 "internal_error" "the node has a fault; its log says which";
    TOO_MANY_SUBSCRIPTIONS -32006 429 "too_many_subscriptions" "this connection has as many subscriptions as allowed";
    MESSAGE_TOO_LARGE -32007 413 "message_too_large" "the WebSocket message is larger than allowed";
    ANSWER_TOO_LARGE -32008 413 "answer_too_large" "the answer would be larger than allowed; ask for less";
    BATCH_TOO_LONG -32010 413 "batch_too_long" "the batch has more calls than allowed";
    BATCH_ANSWER_TOO_LARGE -32011 413 "batch_answer_too_large" "the batch's answers are together larger than allowed";
    NOT_FOUND 1 404 "not_found" "there is no such thing on this chain";
    PRUNED 2 410 "pruned" "this node no longer keeps it; ask an archive node";
    BUSY 3 503 "busy" "the node has too much to do; ask again later";
    RATE_LIMITED 4 429 "rate_limited" "too many requests from this address; ask again later";
    TIMED_OUT 5 504 "timed_out" "the answer took longer than allowed";
    TOO_LARGE 6 413 "too_large" "the request is larger than allowed";
    NO_SUBSCRIPTION 7 400 "no_subscription" "subscriptions need a WebSocket";
    TOO_SLOW 9 408 "too_slow" "the request did not arrive in time";
    FORBIDDEN 8 403 "forbidden" "this host or origin is not allowed";
}

impl Kind {
    /// The error without figures.
    pub fn error(self) -> RpcError {
        let data = Box::new(ErrorData { reason: self.name.into(), ..ErrorData::default() });
        RpcError { code: self.code, message: self.message.into(), data, http: self.http }
    }

    /// The error with what came and what is wrong with it.
    pub fn because(self, expected: impl ToString, got: impl ToString) -> RpcError {
        let mut error = self.error();
        error.data.expected = Some(expected.to_string());
        error.data.got = Some(got.to_string());
        error
    }

    /// The error with what to do.
    pub fn hint(self, hint: impl ToString) -> RpcError {
        let mut error = self.error();
        error.data.hint = Some(hint.to_string());
        error
    }
}

/// The parameters don't have the right form; `why` names the field and what it should be.
pub fn bad_params(why: impl std::fmt::Display) -> RpcError {
    let mut error = INVALID_PARAMS.error();
    error.message = format!("{}: {why}", INVALID_PARAMS.message);
    error
}

/// The HTTP status of a rejection.
pub fn rejection_http(rejection: &Rejection) -> u16 {
    match rejection.name {
        "fee_unpayable" | "insufficient_balance" => 402,
        "unknown_asset" | "unknown_model" | "unknown_provider" | "unknown_job" | "unknown_model_proposal" => 404,
        "nonce_too_low" | "nonce_too_high" | "replacement_underpriced" | "replaced_too_often" => 409,
        "lane_full" => 429,
        "pool_full" => 503,
        _ => 400,
    }
}

/// What a sender can do about a rejection, where that is not obvious.
fn rejection_hint(rejection: &Rejection) -> Option<&'static str> {
    match rejection.name {
        "bad_signature" => Some("sign exactly the signing_bytes that prepare_tx answers with"),
        "nonce_too_low" | "nonce_too_high" => Some("prepare_tx fills in the next nonce"),
        "fee_too_low" => Some("estimate_fee says the least fee"),
        "wrong_chain" => Some("get_head of the right node says its chain_id"),
        "malformed" | "unknown_action" => Some("get_schema lists every action with an example"),
        _ => None,
    }
}

impl From<Rejected> for RpcError {
    fn from(rejected: Rejected) -> Self {
        let rejection = rejected.rejection;
        let (expected, got) = rejected.figures.map(|f| (f.expected, f.got)).unzip();
        let hint = rejection_hint(rejection).map(str::to_owned);
        let data = ErrorData { reason: rejection.name.into(), number: Some(rejection.number), expected, got, hint };
        Self {
            code: REJECTION_CODES + i32::from(rejection.number),
            message: rejection.message.into(),
            data: Box::new(data),
            http: rejection_http(rejection),
        }
    }
}

impl From<BackendError> for RpcError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::NotFound => NOT_FOUND.error(),
            BackendError::Pruned => PRUNED.error(),
            BackendError::Busy => BUSY.error(),
            BackendError::Rejected(rejected) => rejected.into(),
            BackendError::Fault(what) => {
                tracing::error!(%what, "a request met a fault");
                INTERNAL.error()
            }
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        ErrorObjectOwned::owned(error.code, error.message, Some(error.data))
    }
}
