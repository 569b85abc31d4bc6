//! Why a command failed, in one line for people and as a document for programs; and the exit code.
//!
//! Not here: what clap refuses by itself (exit code 2 as well).

use std::io;

use chain_core::{mempool::DropReason, types::Rejected};
use chain_rpc::{
    client::ClientError,
    errors::RpcError,
    view::{GetTxView, ReasonView, StatusName},
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::keys::KeyError;

/// Exit code of what was refused or failed.
pub const FAILED: u8 = 1;
/// Exit code of a command line that can't be meant.
pub const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// An argument can't be meant.
    #[error("{0}")]
    Usage(String),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The node refused, or the chain's rules did before the node was asked.
    #[error("{}", refusal(.0))]
    Refused(Box<RpcError>),
    /// Nobody answers.
    #[error("no answer from {url}: {why}; is the node running? (--rpc URL names another)")]
    NoAnswer {
        /// Who was asked.
        url: String,
        /// What came back.
        why: String,
    },
    /// The result, which is printed already, is not what was wished for: a refusal in a block, a node that is not well.
    #[error("{0}")]
    Told(String),
    /// A step of a proof does not hold.
    #[error("not proven, step {step}: {why}")]
    Unproven {
        /// The step.
        step: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Anything else, as a sentence.
    #[error("{0}")]
    Failed(String),
    /// The result could not be written out.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// What a command answers.
pub type Answer<T> = Result<T, CliError>;

impl CliError {
    /// An argument that can't be meant, with what it is.
    pub fn usage(why: impl ToString) -> Self {
        Self::Usage(why.to_string())
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            _ => FAILED,
        }
    }

    /// Whether the reader of the output went away, which is no error of anybody.
    pub fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Output(error) | Self::Key(KeyError::Output(error)) => error.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }

    /// The error as a document; `None` where the result's own document already says it.
    pub fn document(&self) -> Option<Value> {
        let message = self.to_string();
        let error = match self {
            Self::Told(_) => return None,
            Self::Refused(error) => json!({ "message": message, "code": error.code, "data": error.data }),
            Self::Unproven { step, why } => json!({ "message": message, "step": step, "why": why }),
            _ => json!({ "message": message }),
        };
        Some(json!({ "error": error }))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refused) => Self::Refused(refused),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<Rejected> for CliError {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(Box::new(rejected.into()))
    }
}

/// `message (number name): expected …, got …; hint`.
fn refusal(error: &RpcError) -> String {
    let data = &error.data;
    let number = data.number.map_or(error.code, i32::from);
    let mut text = match data.reason.as_str() {
        "" => format!("{} ({})", error.message, error.code),
        reason => format!("{} ({number} {reason})", error.message),
    };
    if let (Some(expected), Some(got)) = (&data.expected, &data.got) {
        text += &format!(": expected {expected}, got {got}");
    }
    match own_hint(&data.reason).or(data.hint.as_deref()) {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// What to do with this tool, where the node's hint speaks of methods.
fn own_hint(reason: &str) -> Option<&'static str> {
    match reason {
        "nonce_too_low" | "nonce_too_high" => Some("leave --nonce out to use the next one"),
        "fee_too_low" => Some("leave --fee out to pay the least"),
        "wrong_chain" => Some("--rpc names the node, --chain-id pins the chain"),
        "wrong_policy" => Some("--sign-with names the key that signs for the account now, --policy an m-of-n policy"),
        "wrong_role" => Some("`chain authority rules` says who has which role"),
        "asset_not_accepted" | "deposit_out_of_range" | "price_out_of_range" => {
            Some("`chain market show` has the terms")
        }
        "purse_too_small" => Some("`chain market deposits NAME` and `chain earnings show NAME` say what there is"),
        "unknown_model" | "model_inactive" => Some("`chain model list --active` lists those jobs can be opened for"),
        "no_offer" | "price_below_offer" | "no_free_slot" => Some("`chain offer list --open` says what is offered"),
        "already_registered" => Some("`chain provider update` changes it; who left withdraws the bond first"),
        "bond_locked" => Some("`chain provider show NAME` says when it is free"),
        "rate_exceeded" => Some("`chain job show JOB` says how many units can be claimed by now"),
        "more_used" => Some("`chain job show JOB` says how many were"),
        "window_open" => Some("`chain job show JOB` says from when on the provider may complete it"),
        "out_of_scope" => Some("`chain account delegate list PAYER` says what is allowed"),
        "fee_unpayable" => Some("`chain balance NAME` says what there is"),
        _ => None,
    }
}

/// The error a transaction's printed end stands for, if it did not end well.
pub fn bad_end(view: &GetTxView) -> Option<CliError> {
    let told = match (&view.status, view.outcome.as_ref().and_then(|outcome| outcome.reason.as_ref())) {
        (_, Some(reason)) => {
            let height = view.height.unwrap_or_default();
            let hint = own_hint(&reason.name).map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("refused in block {height}: {}; the fee is kept{hint}", reason_text(reason))
        }
        (StatusName::Dropped, None) => format!("dropped from the pool: {}", drop_text(view.drop_reason)),
        (StatusName::Unknown, None) => "the node knows no such transaction".into(),
        _ => return None,
    };
    Some(CliError::Told(told))
}

/// A reason with its number, name, and action, counted from 1.
pub fn reason_text(reason: &ReasonView) -> String {
    let action = u16::from(reason.action) + 1;
    format!("{} ({} {}, action {action})", reason.message, reason.number, reason.name)
}

fn drop_text(reason: Option<DropReason>) -> &'static str {
    match reason {
        Some(DropReason::Evicted) => "others in the full pool pay more",
        Some(DropReason::Replaced) => "replaced by another transaction with its nonce",
        Some(DropReason::Expired) => "its valid_until has passed",
        Some(DropReason::Invalidated) => "a block made it impossible (nonce used, key changed or fee unpayable)",
        None => "the node does not say why",
    }
}
