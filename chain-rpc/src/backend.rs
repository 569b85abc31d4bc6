//! The only way this crate knows a node: what a node must be able to answer, in the words of
//! chain-core. Every read is of final state and must be cheap enough to be called on a blocking
//! thread; none may wait for the engine.
//!
//! Not here: JSON, sockets, limits. chain-node implements this; tests have one in memory.

use chain_core::Fault;
use chain_core::block::{Header, Outcome};
use chain_core::engine::Announcement;
use chain_core::ledger::{CommittedBlock, Hop, market};
use chain_core::mempool::Status;
use chain_core::state::{Account, Asset, Params, Proof, RowKey, Supply, Tree};
use chain_core::tx::{Checked, Event};
use chain_core::types::{
    Address, Amount, AssetId, BlockId, Certificate, ChainId, Height, QuorumRule, Rejected, TxId, ValidatorSet, WireId,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Why a node can't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// It existed; this node has dropped it.
    #[error("pruned on this node")]
    Pruned,
    /// Too much to do; ask again later.
    #[error("busy")]
    Busy,
    /// The request is refused by a rule of the chain.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Our own fault. The text goes to the log, never to a client.
    #[error("fault: {0}")]
    Fault(String),
}

impl From<Fault> for BackendError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault.to_string())
    }
}

/// What a node answers.
pub type Answer<T> = Result<T, BackendError>;

/// A node as this crate sees it.
pub trait Backend: Send + Sync + 'static {
    /// What the chain is; never changes while the node runs.
    fn chain(&self) -> &ChainFacts;
    /// The newest final block; genesis at least. A snapshot: never touches the disk.
    fn head(&self) -> Arc<CommittedBlock>;
    /// The parameters in force for the next block.
    fn params(&self) -> Answer<Params>;
    /// The set that signs the next block.
    fn validators(&self) -> Answer<ValidatorSet>;
    /// The set that signs a height. `NotFound` for block 0, which nobody signs, and above the next one.
    fn set_of(&self, height: Height) -> Answer<ValidatorSet>;
    /// The final blocks, from a height on, after which another set signs, with their certificates and the
    /// members of that set: ascending, at most `limit`.
    fn hops(&self, from: Height, limit: usize) -> Answer<Vec<Hop>>;
    /// Takes a short look at the newest final block with the state after it: a commit waits meanwhile.
    fn look(&self, look: &mut dyn FnMut(&CommittedBlock, &Tree) -> Result<(), Fault>) -> Answer<()>;
    /// The account with all its balances. An address nobody used is an empty account.
    fn account(&self, address: &Address) -> Answer<AccountState>;
    /// What an account holds of an asset, and the height at which that is true.
    fn balance(&self, address: &Address, asset: AssetId) -> Answer<(Height, Amount)>;
    /// An asset. `NotFound` if no asset has this number.
    fn asset(&self, asset: AssetId) -> Answer<Asset>;
    /// The nonce of the next transaction: after those executed and the contiguous pooled ones.
    fn next_nonce(&self, address: &Address) -> Answer<u64>;
    /// The final block of a height. `NotFound` above the head, `Pruned` where the body is gone.
    fn block(&self, height: Height) -> Answer<Arc<CommittedBlock>>;
    /// The height of a final block.
    fn block_height(&self, id: &BlockId) -> Answer<Height>;
    /// A final header; kept where the body is pruned.
    fn header(&self, height: Height) -> Answer<Header>;
    /// The certificate of a final block; `None` for genesis. Kept where the body is pruned.
    fn certificate(&self, height: Height) -> Answer<Option<Certificate>>;
    /// What became of a transaction; `Status::Unknown` instead of `NotFound`.
    fn status(&self, id: &TxId) -> Answer<Status>;
    /// The pooled transaction of this id, if it is pooled.
    fn pooled(&self, id: &TxId) -> Option<Checked>;
    /// Final transactions that concern an account, newest first, from the cursor on.
    /// `cursor`: `HistoryPage::next` of the page before, `None` for the first.
    fn history(&self, address: &Address, cursor: Option<&str>, limit: usize) -> Answer<HistoryPage>;
    /// The chain, for lists of its market.
    fn market(&self) -> &dyn market::Source;
    /// Figures of the pool.
    fn mempool(&self) -> MempoolSummary;
    /// Pooled transactions in the order they would be executed in, of one sender or of all.
    fn pending(&self, sender: Option<&Address>, limit: usize) -> Vec<(Checked, Status)>;
    /// Per asset what exists and what the accounts hold, and the height at which that is true.
    fn supply(&self) -> Answer<(Height, Vec<Supply>)>;
    /// Proof of a row, or of its absence, against the newest final state.
    fn prove_row(&self, key: &RowKey) -> Answer<RowProof>;
    /// Executes a transaction on the newest final state and forgets the result.
    /// `Rejected` where it could not stand in the next block at all.
    fn simulate(&self, transaction: &Checked) -> Answer<Simulated>;
    /// How this node stands to the chain.
    fn sync(&self) -> SyncState;
    /// What this node is; figures that change belong into `sync`.
    fn node(&self) -> NodeInfo;
    /// The peers connected now.
    fn peers(&self) -> Vec<PeerInfo>;
    /// Metrics of other parts of the node in the Prometheus text format, appended to the page.
    fn metrics_text(&self) -> String;
    /// Takes complete signed bytes. Answers in order, once what it answers is durable.
    /// The bytes need not be decodable; the same bytes twice get the same answer.
    fn submit(&self, transactions: Vec<Vec<u8>>) -> BoxFuture<'_, Vec<Result<Submitted, BackendError>>>;
    /// Everything announced from now on. Whoever reads too slowly loses the oldest. A block is
    /// announced only once `head` and `block` answer with it, and a status once `status` does.
    fn subscribe(&self) -> broadcast::Receiver<Announcement>;
}

/// What the chain is.
#[derive(Clone, Debug)]
pub struct ChainFacts {
    /// The chain.
    pub id: ChainId,
    /// How people call it.
    pub name: String,
    /// Which faults it tolerates.
    pub rule: QuorumRule,
    /// How it agrees: `poa`, `pos` or `hybrid`.
    pub mode: String,
    /// The canonical bytes of the genesis.
    pub genesis: Vec<u8>,
    /// The chain spec as JSON.
    pub spec: serde_json::Value,
}

/// An account with its balances at a height.
#[derive(Clone, Debug)]
pub struct AccountState {
    /// At which final block.
    pub height: Height,
    /// The account's row.
    pub account: Account,
    /// Balances of assets other than the native one, ascending by asset, none zero.
    pub balances: Vec<(AssetId, Amount)>,
}

/// A page of an account's history.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// Where the transactions stand: height and place in the block.
    pub entries: Vec<(Height, u32)>,
    /// Where the next page starts; `None` after the last. Opaque to clients.
    pub next: Option<String>,
}

/// Figures of the pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct MempoolSummary {
    /// Executable transactions.
    pub pending: u64,
    /// Transactions that wait for another.
    pub queued: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// The most bytes it holds.
    pub max_bytes: u64,
    /// The most transactions it holds.
    pub max_transactions: u64,
}

/// A proof of a row with what makes its root trustworthy.
#[derive(Clone, Debug)]
pub struct RowProof {
    /// The proof, against `header.state_root`.
    pub proof: Proof,
    /// The final header.
    pub header: Header,
    /// The proof that the header is final; genesis has none.
    pub certificate: Option<Certificate>,
}

/// What executing a transaction would do.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// The height it was executed at: head + 1.
    pub height: Height,
    /// How it would end.
    pub outcome: Outcome,
    /// What would happen.
    pub events: Vec<Event>,
}

/// A transaction that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Submitted {
    /// Names the intent.
    pub tx_id: TxId,
    /// Names the bytes.
    pub wire_id: WireId,
    /// What became of it.
    pub status: Status,
}

/// How a node stands to the chain.
#[derive(Clone, Copy, Debug)]
pub struct SyncState {
    /// The newest final block here.
    pub height: Height,
    /// The newest final block known of elsewhere, proven or only claimed.
    pub target: Height,
    /// Whether nothing newer is known to be missing.
    pub caught_up: bool,
    /// Whether no certificate contradicts what this node holds.
    pub agreeing: bool,
    /// Connected peers.
    pub peers: u32,
    /// Whether this node's key is in the set that signs the next block.
    pub validator: bool,
    /// Only on a validator that may not sign the next height.
    pub held_back: Option<HeldBack>,
}

/// Why a validator is silent: an earlier life of it, or a copy, may have signed what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The first height it signs; none while that depends on blocks others have to decide first.
    pub signs_from: Option<Height>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Version of the program.
    pub version: String,
    /// `validator`, `follower`, `archive` or `pruned`.
    pub role: String,
    /// The validator's key it holds, whether or not it is in the set now.
    pub validator: Option<chain_core::crypto::PublicKey>,
    /// The name in the network, if it has one.
    pub peer_id: Option<String>,
    /// The oldest height whose body is kept.
    pub oldest_body: Height,
    /// Unix time of the start in ms.
    pub started_ms: u64,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its name in the network.
    pub peer_id: String,
    /// Its program and version as it says.
    pub agent: String,
    /// Its newest final block as it says.
    pub height: Height,
    /// Whether we called it.
    pub outbound: bool,
    /// The validator it proved to be.
    pub validator: Option<chain_core::crypto::PublicKey>,
    /// The newest round trip in ms, once known.
    pub rtt_ms: Option<u64>,
    /// Points for offences; it is shut out at 100.
    pub score: u32,
}
