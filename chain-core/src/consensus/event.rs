//! What the consensus machine reports to people and metrics.

use crate::crypto::PublicKey;
use crate::types::{BlockId, EquivocationKind, Height, View, VoteKind};
use serde::Serialize;

/// One step of the agreement worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ConsensusEvent {
    /// A view was entered.
    View {
        /// At which height.
        height: Height,
        /// Which view.
        view: View,
        /// Whose turn it is.
        leader: PublicKey,
    },
    /// A block was proposed.
    Proposal {
        /// At which height.
        height: Height,
        /// In which view.
        view: View,
        /// Which block.
        block: BlockId,
    },
    /// A vote was counted.
    Vote {
        /// At which height.
        height: Height,
        /// In which view.
        view: View,
        /// What it says.
        kind: VoteKind,
        /// Whose vote.
        signer: PublicKey,
    },
    /// A quorum said the same.
    Certificate {
        /// At which height.
        height: Height,
        /// In which view.
        view: View,
        /// What the quorum said.
        kind: VoteKind,
        /// Which block, unless the view was given up.
        block: Option<BlockId>,
    },
    /// A view's time ran out.
    Timeout {
        /// At which height.
        height: Height,
        /// Which view.
        view: View,
    },
    /// A validator was heard to contradict itself: two signed words prove it.
    Equivocation {
        /// At which height.
        height: Height,
        /// In which view.
        view: View,
        /// Which rule was broken.
        kind: EquivocationKind,
        /// Whose words.
        validator: PublicKey,
    },
}
