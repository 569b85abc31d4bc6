//! What nodes say to each other, as bytes: one enum, bounded before anything is built from it.
//!
//! ```text
//! urgent lane: Agreement (votes, certificates, proposals with a compact block)
//! bulk lane:   NeedBlock ► Block, NeedTransactions ► Transactions, NeedBlocks ► Blocks,
//!              NeedSnapshot ► Snapshot, NeedSnapshotPart ► SnapshotPart
//! gossip:      GossipFrame (transactions)
//! ```
//!
//! A frame is its length as `u32` (little-endian, not counted) and then the borsh of [`Message`]; the
//! transport cuts the frames. Before anything else both sides say [`Hello`].
//!
//! Not here: sockets and queues (chain-node), what an answer means (`engine`).

mod compact;
mod gossip;
mod hello;

pub use compact::{CompactBlock, Rebuilt, ShortId};
pub use gossip::GossipFrame;
pub use hello::{Claim, Hello, HelloError};

use crate::block::{Block, Body, FinalBlock, Header};
use crate::codec::{self, DecodeError, List};
use crate::consensus;
use crate::crypto::Hash;
use crate::limits::{
    MAX_BLOCK_BYTES, MAX_BLOCK_TXS, MAX_FRAME_BYTES, MAX_RANGE_BLOCKS, MAX_SNAPSHOT_PART_BYTES, MAX_TX_BYTES,
    MAX_URGENT_FRAME_BYTES, MIN_TX_BYTES,
};
use crate::types::{BlockId, Certificate, Height};
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;

/// The version of these messages; both sides must speak the same.
pub const PROTOCOL_VERSION: u16 = 1;

/// One word between nodes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Message {
    /// About the agreement; with a proposal of a new block comes the block in short.
    Agreement {
        /// What is said.
        message: consensus::Message,
        /// Only with a proposal, and only if the sender has the block.
        block: Option<CompactBlock>,
    } = 1,
    /// Asks for a block that is proposed, notarized or final.
    NeedBlock {
        /// Its height.
        height: Height,
        /// Its id.
        block: BlockId,
    } = 2,
    /// The answer to `NeedBlock`.
    Block {
        /// The id asked for.
        id: BlockId,
        /// The block; none if the sender does not have it.
        block: Option<Block>,
    } = 3,
    /// Asks for the transactions at these places of a block that came in short.
    NeedTransactions {
        /// The block.
        block: BlockId,
        /// Ascending places.
        places: List<u32, MAX_BLOCK_TXS>,
    } = 4,
    /// The answer to `NeedTransactions`, in the order asked for.
    Transactions {
        /// The block.
        block: BlockId,
        /// Their complete signed bytes; none if the sender does not have the block.
        transactions: List<TxBytes, MAX_BLOCK_TXS>,
    } = 5,
    /// Asks for final blocks in order.
    NeedBlocks {
        /// The first height.
        from: Height,
        /// How many at most, up to `MAX_RANGE_BLOCKS`.
        count: u32,
    } = 6,
    /// The answer to `NeedBlocks`: as many from the first on as the sender has and fit into a frame,
    /// perhaps none.
    Blocks {
        /// The first height that was asked for.
        from: Height,
        /// Consecutive final blocks, each with its finalization.
        blocks: List<FinalBlock, MAX_RANGE_BLOCKS>,
        /// The sender's newest final height.
        head: Height,
        /// The lowest height whose block the sender can give.
        oldest: Height,
    } = 7,
    /// Asks which snapshot the other side has.
    NeedSnapshot = 8,
    /// The answer to `NeedSnapshot`.
    Snapshot {
        /// Its newest one; none if it makes none.
        offer: Option<SnapshotOffer>,
    } = 9,
    /// Asks for bytes of a snapshot.
    NeedSnapshotPart {
        /// Which.
        digest: Hash,
        /// The first byte.
        offset: u64,
    } = 10,
    /// The answer to `NeedSnapshotPart`.
    SnapshotPart {
        /// Which.
        digest: Hash,
        /// The first byte.
        offset: u64,
        /// `MAX_SNAPSHOT_PART_BYTES` bytes, or what is left; none if the sender does not have that snapshot.
        bytes: SnapshotBytes,
    } = 11,
}

/// A snapshot somebody offers. Nothing of it needs to be believed but that these bytes can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SnapshotOffer {
    /// The block whose state it is.
    pub height: Height,
    /// Names the bytes: their blake3.
    pub digest: Hash,
    /// How many there are.
    pub bytes: u64,
}

/// Which of a peer's two streams a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Small and wanted at once.
    Urgent,
    /// May be large; never in front of a vote.
    Bulk,
}

impl Lane {
    /// The longest frame it takes, in bytes.
    pub const fn max_frame_bytes(self) -> usize {
        match self {
            Self::Urgent => MAX_URGENT_FRAME_BYTES,
            Self::Bulk => MAX_FRAME_BYTES,
        }
    }
}

impl Message {
    /// The lane it takes.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Agreement { .. } => Lane::Urgent,
            _ => Lane::Bulk,
        }
    }

    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// How the frame of the answer to a question begins: enough to know it by, unread.
    pub fn answer_start(&self) -> Option<Vec<u8>> {
        let start = |number: u8, rest: &[u8]| [&[number], rest].concat();
        match self {
            Self::NeedBlock { block, .. } => Some(start(3, block.0.as_bytes())),
            Self::NeedTransactions { block, .. } => Some(start(5, block.0.as_bytes())),
            Self::NeedBlocks { from, .. } => Some(start(7, &codec::encode(from))),
            Self::NeedSnapshot => Some(start(9, &[])),
            Self::NeedSnapshotPart { digest, offset } => Some(start(11, &codec::encode(&(digest, offset)))),
            _ => None,
        }
    }

    /// Whether a frame says of itself that it is an answer.
    pub fn is_answer(frame: &[u8]) -> bool {
        matches!(frame.first(), Some(3 | 5 | 7 | 9 | 11))
    }

    /// Reads what came over a lane.
    ///
    /// # Errors
    /// Bytes that are no message, are too long, or belong onto the other lane.
    pub fn decode(bytes: &[u8], lane: Lane) -> Result<Self, DecodeError> {
        let message: Self = codec::decode(bytes, lane.max_frame_bytes())?;
        match message.lane() == lane {
            true => Ok(message),
            false => Err(DecodeError::Malformed("a message of the other lane".into())),
        }
    }
}

/// The bytes of one transaction. None is so short that many of them would take much more memory than
/// they took on the wire.
pub type TxBytes = Bytes<MIN_TX_BYTES, MAX_TX_BYTES>;
/// A part of a snapshot.
pub type SnapshotBytes = Bytes<0, MAX_SNAPSHOT_PART_BYTES>;

/// At least and at most so many bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Bytes<const MIN: usize, const MAX: usize>(Vec<u8>);

impl<const MIN: usize, const MAX: usize> Bytes<MIN, MAX> {
    /// Takes bytes of a length that is allowed.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (MIN..=MAX).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> BorshDeserialize for Bytes<MIN, MAX> {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        // Borsh reads bytes in pieces and never allocates what did not come.
        let bytes = Vec::<u8>::deserialize_reader(reader)?;
        let got = bytes.len();
        Self::new(bytes).ok_or_else(|| {
            codec::refuse(match got < MIN {
                true => DecodeError::Malformed(format!("{got} bytes where there are at least {MIN}")),
                false => DecodeError::TooLong { max: MAX, got },
            })
        })
    }
}

impl BorshSerialize for Block {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.header.serialize(writer)?;
        writer.write_all(&self.body.encode())
    }
}

impl BorshDeserialize for Block {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let header = Header::deserialize_reader(reader)?;
        let transactions = List::<TxBytes, MAX_BLOCK_TXS>::deserialize_reader(reader)?;
        let transactions: Vec<Vec<u8>> = transactions.into_inner().into_iter().map(TxBytes::into_inner).collect();
        let bytes: usize = transactions.iter().map(|tx| tx.len().saturating_add(4)).sum();
        if bytes > MAX_BLOCK_BYTES {
            return Err(codec::refuse(DecodeError::TooLong { max: MAX_BLOCK_BYTES, got: bytes }));
        }
        Ok(Self { header, body: Body::new(transactions) })
    }
}

impl BorshSerialize for FinalBlock {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.block.serialize(writer)?;
        self.certificate.serialize(writer)
    }
}

impl BorshDeserialize for FinalBlock {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let (block, certificate) = <(Block, Option<Certificate>)>::deserialize_reader(reader)?;
        Ok(Self { block, certificate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_GOSSIP_BYTES, MAX_GOSSIP_ROUNDS};
    use crate::testing::{address, checked, pay};
    use crate::tx::{Action, account};

    #[test]
    fn an_answer_begins_as_its_question_says() {
        let (block, digest, from, offset) = (BlockId(Hash([7; 32])), Hash([8; 32]), Height::new(300), 1 << 40);
        let (head, oldest) = (Height::new(400), Height::new(1));
        let pairs = [
            (Message::NeedBlock { height: head, block }, Message::Block { id: block, block: None }),
            (
                Message::NeedTransactions { block, places: List::default() },
                Message::Transactions { block, transactions: List::default() },
            ),
            (Message::NeedBlocks { from, count: 9 }, Message::Blocks { from, blocks: List::default(), head, oldest }),
            (Message::NeedSnapshot, Message::Snapshot { offer: None }),
            (
                Message::NeedSnapshotPart { digest, offset },
                Message::SnapshotPart { digest, offset, bytes: SnapshotBytes::default() },
            ),
        ];
        for (asked, (question, _)) in pairs.iter().enumerate() {
            let start = question.answer_start().unwrap_or_default();
            assert!(!Message::is_answer(&question.encode()) && !start.is_empty());
            for (given, (_, answer)) in pairs.iter().enumerate() {
                let frame = answer.encode();
                assert!(Message::is_answer(&frame) && answer.answer_start().is_none());
                assert_eq!(frame.starts_with(&start), asked == given, "{question:?} {answer:?}");
            }
        }
        let other = Message::NeedBlocks { from: head, count: 9 }.answer_start().unwrap_or_default();
        assert!(!pairs.iter().any(|(_, answer)| answer.encode().starts_with(&other)), "another height");
    }

    #[test]
    fn no_transaction_is_as_short_as_the_least_length() {
        // The shortest action, nothing optional, one key and one signature.
        let action = Action::Account(account::Action::SetMemoRequired { required: true });
        let shortest = checked(1, 0, [action]).bytes().len();
        assert!(shortest > MIN_TX_BYTES, "{shortest}");
    }

    #[test]
    fn many_tiny_transactions_are_no_message() {
        let short = |length: usize| {
            let transactions = vec![vec![0u8; length]; 1000];
            [vec![5], vec![7; 32], codec::encode(&transactions)].concat()
        };
        assert!(Message::decode(&short(MIN_TX_BYTES), Lane::Bulk).is_ok());
        for length in [0, 1, MIN_TX_BYTES - 1] {
            assert!(Message::decode(&short(length), Lane::Bulk).is_err());
        }
        assert!(TxBytes::new(vec![0; MIN_TX_BYTES - 1]).is_none());
    }

    #[test]
    fn rounds_of_gossip_have_an_end() {
        let transaction = checked(1, 0, [pay(address(2), 1)]);
        let frame = |round| GossipFrame::pack(round, [transaction.bytes()]).concat();
        assert!(frame(0).len() < MAX_GOSSIP_BYTES);
        assert!(GossipFrame::decode(&frame(MAX_GOSSIP_ROUNDS)).is_ok());
        assert!(GossipFrame::decode(&frame(MAX_GOSSIP_ROUNDS + 1)).is_err());
    }
}
