//! REST answers as canonical bytes (`Accept: application/octet-stream`), where there are any.

use super::{Client, Door};
use crate::api::{Method, block, final_blocks, read_params};
use crate::errors::{NOT_FOUND, RpcError};
use crate::view::{BlockParams, FinalBlocksParams, GetTxParams, WhichBlock};
use axum::response::{IntoResponse, Response};
use chain_core::codec;
use chain_core::mempool::Status;
use http::header;

/// The methods whose answers have canonical bytes.
pub(crate) const METHODS: &[&str] =
    &["get_block", "get_header", "get_certificate", "get_final_blocks", "get_tx", "get_genesis"];

/// | method | bytes |
/// |---|---|
/// | `get_block` | header, u32 length of the body's encoding, the body's encoding, then as the certificate below |
/// | `get_header` | the header |
/// | `get_certificate` | 0 for genesis, else 1 and the certificate |
/// | `get_final_blocks` | u32 count, then each block's header, body and certificate as above |
/// | `get_tx` | the complete signed bytes |
/// | `get_genesis` | the canonical genesis, whose hash is the chain id |
pub(crate) async fn answer(door: &Door, who: &Client, method: &'static Method, params: String) -> Response {
    if let Err(error) = door.rate.charge(who.account, method.cost) {
        return error.into_response();
    }
    let timer = door.context.metrics.request(method.name);
    let bytes = door.context.blocking(move |context| read(context, method.name, &params)).await;
    timer.done(bytes.as_ref().err().map(|error| error.code));
    match bytes.and_then(|bytes| super::rest::let_out(door, who, bytes.len()).map(|()| bytes)) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        Err(error) => error.into_response(),
    }
}

fn read(context: &crate::api::Context, method: &str, params: &str) -> Result<Vec<u8>, RpcError> {
    let backend = &context.backend;
    match method {
        "get_genesis" => Ok(backend.chain().genesis.clone()),
        "get_tx" => {
            let params: GetTxParams = read_params(params)?;
            match backend.status(&params.tx_id)? {
                Status::Final { height, index } => {
                    let block = backend.block(height)?;
                    block.body.transactions().get(index as usize).cloned().ok_or_else(|| NOT_FOUND.error())
                }
                _ => Ok(backend.pooled(&params.tx_id).ok_or_else(|| NOT_FOUND.error())?.bytes().to_vec()),
            }
        }
        "get_block" => {
            let params: BlockParams = read_params(params)?;
            let found = block(context, params.block)?;
            Ok(codec::encode(&(&found.header, found.body.encode(), &found.certificate)))
        }
        "get_header" => {
            let params: WhichBlock = read_params(params)?;
            Ok(codec::encode(&block(context, params.block)?.header))
        }
        "get_certificate" => {
            let params: WhichBlock = read_params(params)?;
            Ok(codec::encode(&block(context, params.block)?.certificate))
        }
        "get_final_blocks" => {
            let params: FinalBlocksParams = read_params(params)?;
            Ok(codec::encode(&final_blocks(context, params)?.blocks))
        }
        _ => Err(NOT_FOUND.error()),
    }
}
