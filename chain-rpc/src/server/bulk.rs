//! `POST /rpc/send_txs`: many signed transactions as one binary body, for bulk senders.
//!
//! ```text
//! repeated 1 to 1000 times: length u32 little-endian ‖ signed bytes
//! ```
//!
//! With `Content-Type: application/json` the body is the JSON form of `send_txs` instead.

use super::{Client, Door, rest};
use crate::api::{MAX_SEND, method, read_params, send_many, write_result};
use crate::errors::{RpcError, bad_params};
use crate::view::SendManyParams;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use http::header;
use std::sync::Arc;

/// Answers with the verdicts in order, as JSON.
pub(crate) async fn send_txs(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Client>,
    request: Request,
) -> Response {
    match take(&door, &who, request).await {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn take(door: &Door, who: &Client, request: Request) -> Result<String, RpcError> {
    let limits = &door.context.limits;
    door.rate.charge(who.account, method("send_txs").map_or(1, |method| method.cost))?;
    let timer = door.context.metrics.request("send_txs");
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let body = rest::read_body(request.into_body(), limits.bulk_bytes, limits.body).await?;
    let transactions = if is_json {
        let text = std::str::from_utf8(&body).map_err(bad_params)?;
        read_params::<SendManyParams>(text)?.signed_txs.into_iter().map(|bytes| bytes.0).collect()
    } else {
        split(&body)?
    };
    let verdicts = send_many(&door.context, transactions).await;
    timer.done(verdicts.as_ref().err().map(|error| error.code));
    Ok(String::from(Box::<str>::from(write_result(&verdicts?)?)))
}

/// Cuts a batch into transactions.
fn split(mut rest: &[u8]) -> Result<Vec<Vec<u8>>, RpcError> {
    let mut transactions = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((transaction, after)) = after.split_at_checked(length) else {
            return Err(bad_params(format_args!("transaction {} ends after the body", transactions.len())));
        };
        if transactions.len() == MAX_SEND {
            return Err(bad_params(format_args!("at most {MAX_SEND} transactions")));
        }
        transactions.push(transaction.to_vec());
        rest = after;
    }
    if rest.is_empty() { Ok(transactions) } else { Err(bad_params("bytes left over after the last transaction")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_exactly_or_refused() {
        assert_eq!(split(&[2, 0, 0, 0, 7, 8, 0, 0, 0, 0]).unwrap(), vec![vec![7, 8], vec![]]);
        assert!(split(&[]).unwrap().is_empty());
        for bad in [&[1][..], &[1, 0, 0, 0], &[255, 255, 255, 255, 1], &[0, 0, 0, 0, 1]] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
        assert!(split(&[0; 4 * (MAX_SEND + 1)]).is_err());
    }
}
