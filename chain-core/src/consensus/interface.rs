//! What goes into the machine and what comes out: the words between it and the engine.
//!
//! Not here: what the machine does with them (`machine`), how messages are framed for the wire.

use super::{ConsensusEvent, WalRecord};
use crate::codec::List;
use crate::crypto::{PublicKey, SecretKey};
use crate::limits::MAX_JUSTIFICATION_CERTIFICATES;
use crate::types::{
    BlockId, Certificate, ChainId, Evidence, Height, Proposal, QuorumRule, TimestampMs, ValidatorSet, View, Vote,
};
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;

/// Both clocks at the moment of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock; may jump.
    pub wall: TimestampMs,
    /// A monotonic clock in ms since any fixed moment of this process.
    pub mono_ms: u64,
}

/// What stays the same for as long as a node runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub chain: ChainId,
    /// The chain's quorum rule (genesis).
    pub rule: QuorumRule,
    /// The validator's key; a follower has none and never signs.
    pub key: Option<Arc<SecretKey>>,
    /// Nothing is signed at or below this height, whatever the log says; usually 0. From the
    /// sign-state file.
    pub barrier: Height,
    /// The memory of what was signed is gone (no sign-state file): nothing is signed before height
    /// H + 2, H the first final height whose timestamp is more than `WIPED_WAIT_MS` after our start and
    /// after every block that others had when we came.
    ///
    /// The file of a key that is new says so, or a chain where every validator is new could never
    /// start. Without a file this stays true over restarts, until the first vote after the wait is in
    /// the log and in the file.
    pub wiped: bool,
    /// Nothing new is signed before `LISTEN_MS` after the first other validator is connected: a node
    /// that starts hears first how far the others are. A copy of a running validator's directory finds
    /// its own votes in their blocks before it signs any itself.
    pub listens: bool,
    /// The operator's word: sign again from this height on, whatever `barrier`, `wiped`, a log
    /// ahead of the blocks or an alarm about our own key say. Dangerous: it is safe only if the
    /// weight that signs again without its memory and the byzantine weight together are less than
    /// 2 · quorum − W. Never lifts the committed height.
    pub signing_from: Option<Height>,
}

/// The last committed block and what it fixes for the height above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height; 0 is genesis.
    pub height: Height,
    /// Its timestamp; genesis time for genesis.
    pub timestamp: TimestampMs,
    /// The validators of the height above.
    pub set: Arc<ValidatorSet>,
    /// Least time between it and its child, in ms.
    pub block_time_ms: u64,
    /// Time between it and its child while there is nothing to do, in ms.
    pub empty_block_interval_ms: u64,
}

/// A connection to another node. The driver numbers them and never gives a number twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u64);

/// What nodes tell each other about the agreement. Blocks travel beside proposals and are the
/// engine's.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Message {
    /// A leader's proposal with the certificates that allow it.
    Proposal {
        /// The signed words.
        proposal: Proposal,
        /// Ascending by view, the newest ones if there are too many.
        justification: Justification,
    } = 1,
    /// One validator's vote.
    Vote(Vote) = 2,
    /// A quorum's votes.
    Certificate(Certificate) = 3,
    /// Asks for the certificates of the height's views from one on.
    NeedCertificates {
        /// The height.
        height: Height,
        /// The first view asked for.
        from: View,
    } = 4,
    /// Where the sender stands: who is further on answers with what leads there.
    Status {
        /// The height it decides.
        height: Height,
        /// Its current view.
        view: View,
    } = 5,
}

impl Message {
    /// The height it is about.
    pub fn height(&self) -> Height {
        match self {
            Self::Proposal { proposal, .. } => proposal.height,
            Self::Vote(vote) => vote.message.height,
            Self::Certificate(certificate) => certificate.height(),
            Self::NeedCertificates { height, .. } | Self::Status { height, .. } => *height,
        }
    }
}

/// What a peer did that no honest node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offence {
    /// A vote or proposal whose signature isn't its signer's.
    BadSignature,
    /// A certificate that proves nothing.
    BadCertificate,
    /// A block that isn't what was asked for, or can't be final.
    BadBlock,
    /// Bytes that are no message, or one beyond its bounds.
    BadMessage,
    /// More than a node ever needs to say.
    Flood,
}

/// The certificates that travel inside a proposal.
pub type Justification = List<Certificate, MAX_JUSTIFICATION_CERTIFICATES>;

/// The engine's verdict on a block, judged on the decided parent. It is about the block alone,
/// whatever view it is proposed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every rule holds and the engine has the body. With what the header says.
    Valid {
        /// The view it was built in.
        view: View,
        /// Who built it.
        proposer: PublicKey,
        /// When.
        timestamp: TimestampMs,
    },
    /// The body is the header's and a rule is broken. A body that is missing or isn't the header's
    /// is no verdict: the engine keeps looking for the right one.
    Invalid,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The moment of the last `WakeAt` has come (too early does no harm).
    Tick,
    /// Whether the pool has something to put into a block. The first word is "empty". To be told
    /// on every change, and before `Committed` if a commit changed it.
    Pool {
        /// Nothing in it is executable.
        empty: bool,
    },
    /// The answer to `Build`: the block exists, has been executed and is valid.
    Built {
        /// As asked.
        height: Height,
        /// As asked.
        view: View,
        /// The block.
        block: BlockId,
    },
    /// The other answer to `Build`.
    BuildFailed {
        /// As asked.
        height: Height,
        /// As asked.
        view: View,
    },
    /// The answer to `Judge`, whenever it is known.
    Judged {
        /// The block asked about.
        block: BlockId,
        /// The verdict.
        verdict: Verdict,
    },
    /// A peer said something; nothing of it has been verified.
    Message {
        /// Who said it: answers go there.
        from: Peer,
        /// What it said.
        message: Message,
    },
    /// A member of the set is connected that was not before: what we said in this view is said to it
    /// again.
    Joined {
        /// Its connection.
        peer: Peer,
    },
    /// A final block holds a word of our key that our memory lacks, from before our start: the memory is
    /// too old to sign by.
    MemoryTooOld,
    /// A block is durably committed: asked for by `Commit`, or fetched by sync.
    Committed(Head),
    /// The same for a block that sync fetched while others were known to have more.
    Fetched(Head),
}

/// What the engine shall do, in this order. The records of a step (`SwitchWal`, `Persist`,
/// `PersistBody`) come before everything else, so one sync per step is enough: before the first
/// effect for which [`Effect::is_visible`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Begin an empty log for this height; the old one is of no more use.
    SwitchWal {
        /// The height.
        height: Height,
    },
    /// Append to the log.
    Persist(WalRecord),
    /// Append the block's header and body to the log. May be asked twice for one block.
    PersistBody {
        /// The block, known to the engine from `Built` or `Judged`.
        block: BlockId,
    },
    /// Send to every validator of the height (and whoever else listens); with a proposal goes
    /// its block, if the engine has it.
    Broadcast(Message),
    /// Answer one peer.
    Send {
        /// Whom.
        to: Peer,
        /// What.
        message: Message,
    },
    /// A peer broke the rules.
    Blame {
        /// Who.
        peer: Peer,
        /// How.
        offence: Offence,
    },
    /// Others say they decide this height already (a claim, not proven): fetch the blocks below
    /// it. The agreement goes on. At most once per `RETRY_MS`.
    Behind {
        /// The height others are at.
        height: Height,
    },
    /// Somebody signed with our key what our log does not hold: a second instance runs, or the log
    /// was lost. Nothing is signed up to the height after this one.
    OwnKey {
        /// The height it was signed at.
        height: Height,
    },
    /// The block is final: find its body if it isn't here, execute, store block and certificate
    /// durably, then answer `Committed`.
    Commit {
        /// The block.
        block: BlockId,
        /// Its finalization.
        certificate: Certificate,
    },
    /// Build a block on the head now, with this header view and timestamp; answer `Built` or
    /// `BuildFailed`. From the view follow the limits: at most `limit >> view`, empty from view 4.
    Build {
        /// The new block's height.
        height: Height,
        /// The new block's view.
        view: View,
        /// The new block's timestamp.
        timestamp: TimestampMs,
    },
    /// Find the block, judge it on the head, answer `Judged` once there is a verdict.
    Judge {
        /// The block.
        block: BlockId,
    },
    /// Give `Tick` at this monotonic time; replaces the earlier wish.
    WakeAt {
        /// The time.
        mono_ms: u64,
    },
    /// Two signed words of one validator that contradict each other.
    Evidence(Evidence),
    /// Tell whoever watches.
    Report(ConsensusEvent),
    /// Something that cannot be inside the fault bound: this height is over for us, a person has
    /// to look.
    Halt(HaltReason),
}

impl Effect {
    /// Whether the outside can see it, so that all earlier records must be synced before.
    pub fn is_visible(&self) -> bool {
        match self {
            Self::Broadcast(_) | Self::Send { .. } | Self::Commit { .. } => true,
            Self::Evidence(_) | Self::Report(_) | Self::Halt(_) | Self::OwnKey { .. } => true,
            Self::SwitchWal { .. } | Self::Persist(_) | Self::PersistBody { .. } => false,
            Self::Build { .. } | Self::Judge { .. } | Self::WakeAt { .. } => false,
            Self::Blame { .. } | Self::Behind { .. } => false,
        }
    }
}

/// Why the machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// These two certificates cannot both exist inside the fault bound.
    Conflict(Certificate, Certificate),
    /// A quorum finalized a block that we hold invalid.
    InvalidFinal(Certificate),
}

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The height being decided.
    pub height: Height,
    /// The current view.
    pub view: View,
    /// Whose turn it is.
    pub leader: PublicKey,
    /// Nothing is signed at or below this height; [`Height::MAX`] while a node that lost its memory
    /// waits.
    pub barrier: Height,
    /// Of a node that lost its memory and waits: a final block clearly newer than this ends the wait.
    pub waiting_since: Option<TimestampMs>,
    /// Stopped at this height by a `Halt`.
    pub halted: bool,
}
