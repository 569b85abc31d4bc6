//! A frame of gossip: transactions, up to 64 KiB.
//!
//! Not here: how gossip spreads (chain-node).

use super::TxBytes;
use crate::codec::{self, DecodeError, List};
use crate::limits::{MAX_GOSSIP_BYTES, MAX_GOSSIP_ROUNDS, MAX_GOSSIP_TXS};
use borsh::{BorshDeserialize, BorshSerialize};

/// Transactions on their way to every pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GossipFrame {
    /// Counts repetitions: gossip drops bytes it has seen, and a transaction may have to be told
    /// again. At most `MAX_GOSSIP_ROUNDS`.
    pub round: u32,
    /// Complete signed bytes.
    pub transactions: List<TxBytes, MAX_GOSSIP_TXS>,
}

impl GossipFrame {
    /// Packs transactions into as few frames as they fit in, in order.
    pub fn pack<'a>(round: u32, transactions: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut frames, mut open, mut bytes) = (Vec::new(), Vec::new(), 8);
        for transaction in transactions {
            let cost = transaction.len() + 4;
            let Some(transaction) = TxBytes::new(transaction.to_vec()) else { continue };
            if bytes + cost > MAX_GOSSIP_BYTES || open.len() == MAX_GOSSIP_TXS {
                frames.push(Self::close(round, std::mem::take(&mut open)));
                bytes = 8;
            }
            bytes += cost;
            open.push(transaction);
        }
        if !open.is_empty() {
            frames.push(Self::close(round, open));
        }
        frames
    }

    fn close(round: u32, open: Vec<TxBytes>) -> Vec<u8> {
        // Never longer than the bound: `pack` counts.
        codec::encode(&Self { round, transactions: List::new(open).unwrap_or_default() })
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Bytes that are no frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let frame: Self = codec::decode(bytes, MAX_GOSSIP_BYTES)?;
        match frame.round <= MAX_GOSSIP_ROUNDS {
            true => Ok(frame),
            false => Err(DecodeError::Malformed(format!("round {}", frame.round))),
        }
    }
}
