//! What may never happen, whatever goes wrong: one referee that hears what honest nodes tell the
//! outside and keeps books of its own. It trusts no node: it executes every final block itself.
//!
//! Not here: making things go wrong (`world`), who has a seat when (`seats`). Nothing here knows why
//! something happened.

use super::seats::Seats;
use super::setting::Setting;
use super::stakes::Now;
use chain_core::block::{FinalBlock, Header, Verdict as Outcome, tx_root};
use chain_core::consensus::{self, Evidence};
use chain_core::crypto::{Hash, PublicKey, verify_one};
use chain_core::engine::Engine;
use chain_core::execute::{BlockContext, Executed, execute_block_as};
use chain_core::ledger::CommittedBlock;
use chain_core::light::LightClient;
use chain_core::mempool::Status;
use chain_core::state::{Supply, Tree, money};
use chain_core::tx::{Action, Checked, Signed, authority};
use chain_core::types::{
    Address, BlockId, Certificate, Height, QuorumRule, SignedMessage, TxId, View, VoteKind, WireId,
};
use chain_core::wire::Message;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// The newest version of the rules that anybody here knows.
pub const NEWEST: u32 = 2;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// One final block per height.
    Agreement,
    /// A final block executes to the roots its header names.
    Validity,
    /// A certificate shows a quorum of true signatures.
    Certificates,
    /// What was final stays final, also over restarts.
    Monotone,
    /// An honest validator never contradicts itself, and speaks for itself only.
    NoDoubleSignature,
    /// An acknowledged transaction becomes final, waits, or was dropped with a reason.
    Acknowledged,
    /// An account's final transactions have the nonces 0, 1, 2, …
    Nonces,
    /// Nothing appears or vanishes.
    Conservation,
    /// Equal heights, equal states.
    SameState,
    /// Blocks are announced one after the other.
    Gapless,
    /// Nobody honest is accused, let alone convicted.
    Innocence,
    /// Who is known to have contradicted itself is convicted soon.
    Conviction,
    /// Every stake, whatever it unbonds, pays or loses, is what follows from final blocks.
    Stakes,
    /// Parameters and the version of the rules change by vote, within their bounds, at their height.
    Parameters,
    /// Who was absent is known, and is jailed when it is due.
    Absence,
    /// Software that does not know the rules in force says and decides nothing under them.
    Upgrades,
    /// The set of each height is the one that follows from what was decided before, only its members
    /// sign, and a light client follows it.
    Sets,
    /// After healing the chain goes on.
    Liveness,
    /// An honest node runs until its disk fails.
    Running,
    /// A seed leads to one run.
    Determinism,
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule:?}: {what}")]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// How.
    pub what: String,
}

/// Whether all is well.
pub type Verdict = Result<(), Violation>;

/// All is well if `holds`.
pub fn must(rule: Rule, holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { rule, what: what() }) }
}

fn broken(rule: Rule, what: impl ToString) -> Violation {
    Violation { rule, what: what.to_string() }
}

/// What one honest node has told the outside, over all its lives.
#[derive(Default)]
struct Told {
    /// The newest final block it announced.
    newest: Height,
    /// What this life of it announces next.
    next: Height,
    acknowledged: BTreeMap<TxId, (Address, u64)>,
    dropped: BTreeSet<TxId>,
    /// What was acknowledged and unknown after a start.
    suspects: Vec<(TxId, Address, u64)>,
}

/// A kind of statement (0: a proposal) with the block.
type Said = (u8, Option<BlockId>);

/// Hears everything and forgets nothing.
pub struct Referee {
    setting: Arc<Setting>,
    tree: Tree,
    head: Header,
    blocks: BTreeMap<Height, BlockId>,
    nonces: BTreeMap<Address, u64>,
    said: BTreeMap<(PublicKey, Height, View), BTreeSet<Said>>,
    certified: BTreeSet<SignedMessage>,
    verified: HashSet<(SignedMessage, PublicKey, [u8; 64])>,
    told: BTreeMap<usize, Told>,
    guilty: BTreeSet<PublicKey>,
    seats: Seats,
    /// What was not signed in advance.
    made: BTreeMap<WireId, Checked>,
}

impl Referee {
    /// Before anything has happened; `guilty` may be accused.
    pub fn new(setting: Arc<Setting>, guilty: BTreeSet<PublicKey>) -> Self {
        let (tree, head) = setting.block_0();
        let blocks = BTreeMap::from([(Height::ZERO, head.id())]);
        let (nonces, said, told) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (certified, verified) = (BTreeSet::new(), HashSet::new());
        let (seats, made) = (Seats::new(&setting), BTreeMap::new());
        Self { setting, tree, head, blocks, nonces, said, certified, verified, told, guilty, seats, made }
    }

    /// A transaction was signed.
    pub fn learn(&mut self, tx: &Checked) {
        self.made.insert(tx.wire_id(), tx.clone());
    }

    /// The state after the newest final block.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Who has which seat.
    pub fn seats(&self) -> &Seats {
        &self.seats
    }

    /// The newest final block anybody told of.
    pub fn height(&self) -> Height {
        self.head.height
    }

    /// How many transactions are final.
    pub fn transactions(&self) -> u64 {
        self.nonces.values().sum()
    }

    /// The nonce an account uses next.
    pub fn next_nonce(&self, sender: &Address) -> u64 {
        self.nonces.get(sender).copied().unwrap_or_default()
    }

    /// Whether honest nodes with this key have signed something.
    pub fn has_signed(&self, key: &PublicKey) -> bool {
        self.said.keys().any(|(signer, _, _)| signer == key)
    }

    /// Whether a key's owner may be accused.
    pub fn is_guilty(&self, key: &PublicKey) -> bool {
        self.guilty.contains(key)
    }

    /// A node lost its disk: nothing it told of its own is expected to be there, only what it signed.
    pub fn forget(&mut self, node: usize) {
        self.told.remove(&node);
    }

    /// A node has started; `found` is the height that was on its disk. It may have gone on since.
    pub fn hear_start(&mut self, node: usize, found: Height, engine: &Engine) -> Verdict {
        let newest = self.told.entry(node).or_default().newest;
        must(Rule::Monotone, found >= newest, || format!("node {node} announced {newest} and starts at {found}"))?;
        // What is final on a disk need not have been announced by anybody.
        for height in self.head.height.get() + 1..=found.get() {
            let block = engine.chain().block(Height::new(height)).map_err(|fault| broken(Rule::Running, fault))?;
            let block = block.ok_or_else(|| broken(Rule::Gapless, format!("node {node} has no block {height}")))?;
            self.take(node, &block)?;
        }
        let header = engine.chain().header(found).map_err(|fault| broken(Rule::Running, fault))?;
        let id = header.ok_or_else(|| broken(Rule::Gapless, format!("node {node} has no block {found}")))?.id();
        self.agree(node, found, id)?;
        let told = self.told.entry(node).or_default();
        (told.next, told.newest) = (found.next(), found);
        let missing = self.missing(node, engine)?;
        self.told.entry(node).or_default().suspects.extend(missing);
        Ok(())
    }

    /// Whether software of this version may sign and decide a height, as far as is known.
    fn may_know(&self, known: u32, height: Height) -> bool {
        known >= NEWEST || self.seats.upgraded().is_none_or(|from| height < from)
    }

    /// A node announces a final block.
    pub fn hear_block(&mut self, (node, known): (usize, u32), block: &CommittedBlock) -> Verdict {
        let height = block.header.height;
        let old = || format!("node {node} knows version {known} and decides {height}");
        must(Rule::Upgrades, self.may_know(known, height), old)?;
        let told = self.told.entry(node).or_default();
        let next = told.next;
        must(Rule::Gapless, height == next, || format!("node {node} announces {height} instead of {next}"))?;
        (told.next, told.newest) = (height.next(), height);
        self.take(node, block)
    }

    /// A final block of a node: the same as everybody's, or the next one.
    fn take(&mut self, node: usize, block: &CommittedBlock) -> Verdict {
        let height = block.header.height;
        must(Rule::Validity, block.header.id() == block.id, || format!("block {height} has another id"))?;
        match &block.certificate {
            Some(certificate) => self.check_finalization(node, (height, block.id), certificate)?,
            None => return Err(broken(Rule::Certificates, format!("node {node}: block {height} has none"))),
        }
        if height <= self.head.height {
            return self.agree(node, height, block.id);
        }
        self.execute(node, block)
    }

    fn agree(&self, node: usize, height: Height, id: BlockId) -> Verdict {
        let known = self.blocks.get(&height).copied();
        let conflict = || format!("node {node}: block {height} is {id}, elsewhere {known:?}");
        must(Rule::Agreement, known == Some(id), conflict)
    }

    fn check_finalization(
        &mut self,
        node: usize,
        (height, id): (Height, BlockId),
        certificate: &Certificate,
    ) -> Verdict {
        let about = (certificate.kind(), certificate.height(), certificate.block());
        let expected = (VoteKind::Finalize, height, Some(id));
        let other = || format!("node {node}: block {height} has a certificate of {about:?}");
        must(Rule::Certificates, about == expected, other)?;
        self.check_certificate(certificate)
    }

    /// Counts and verifies by itself: a mistake in `Certificate::verify` must not hide here too.
    fn check_certificate(&mut self, certificate: &Certificate) -> Verdict {
        let unknown = || broken(Rule::Certificates, format!("of a height whose set nobody knows: {certificate:?}"));
        let set = self.seats.at(certificate.height()).ok_or_else(unknown)?;
        let rule = self.setting.genesis.quorum_rule;
        let places = certificate.signers.places(set.members().len()).unwrap_or_default();
        let signers: BTreeSet<PublicKey> = places.iter().map(|place| set.members()[*place].public_key).collect();
        let sum: u64 = places.iter().map(|place| set.members()[*place].weight).sum();
        let quorum = match rule {
            QuorumRule::Byzantine => 3 * sum > 2 * set.total_weight(),
            QuorumRule::Crash => 2 * sum > set.total_weight(),
        };
        let counts = certificate.rule == rule && quorum && signers.len() == certificate.signatures.len();
        must(Rule::Certificates, counts, || format!("no quorum: {certificate:?}"))?;
        let bytes = certificate.message.signing_bytes(&self.setting.chain);
        let bytes = bytes.map_err(|error| broken(Rule::Certificates, error))?;
        for (signer, signature) in signers.into_iter().zip(certificate.signatures.iter()) {
            let signed = (certificate.message, signer, signature.0);
            if !self.verified.contains(&signed) {
                let verified = verify_one(&signer, &bytes, signature).is_ok();
                must(Rule::Certificates, verified, || format!("{signer} did not sign: {certificate:?}"))?;
                self.verified.insert(signed);
            }
        }
        Ok(())
    }

    /// Executes the next block on books of our own.
    fn execute(&mut self, node: usize, block: &CommittedBlock) -> Verdict {
        let (header, parent) = (&block.header, &self.head);
        let (height, params) = (header.height, &self.seats.book().params);
        let follows = height == parent.height.next()
            && header.parent == parent.id()
            && header.chain_id == self.setting.chain
            && header.timestamp_ms.get() >= parent.timestamp_ms.get() + u64::from(params.block_time_ms)
            && header.validators_hash == parent.next_validators_hash
            && self.has_seat(&header.proposer, height);
        must(Rule::Validity, follows, || format!("node {node}: block {height} does not follow {}", parent.height))?;
        let ids = block.body.transactions().iter().map(|bytes| Signed::wire_id(bytes, &self.setting.chain));
        let known = |id: &WireId| self.setting.by_wire.get(id).or_else(|| self.made.get(id)).cloned();
        let checked: Option<Vec<Checked>> = ids.map(|id| known(&id)).collect();
        let unknown = || broken(Rule::Validity, format!("block {height} holds a transaction that nobody made"));
        let checked = checked.ok_or_else(unknown)?;
        checked.iter().try_for_each(|tx| self.count_nonce(height, tx))?;
        let header = &block.header;
        let context = BlockContext {
            chain: header.chain_id,
            height,
            view: header.view,
            timestamp: header.timestamp_ms,
            proposer: header.proposer,
        };
        let executed = execute_block_as(NEWEST, &self.tree, context, &checked)
            .map_err(|(place, unfit)| broken(Rule::Validity, format!("block {height}, place {place}: {unfit}")))?;
        must(Rule::Validity, executed.agrees_with(header), || format!("block {height} executes to other roots"))?;
        self.count_seats(header, &checked, &executed)?;
        self.tree.commit(executed.delta).map_err(|error| broken(Rule::Validity, error))?;
        conserved(&self.tree)?;
        let fees: u128 = checked.iter().map(|tx| tx.transaction().fee.get()).sum();
        let earned = fees - fees * u128::from(self.seats.book().params.burn_bps) / 10_000;
        self.seats.end_block(header, earned, &executed.results.events, &self.tree)?;
        self.seats.check_header(header)?;
        self.blocks.insert(height, block.id);
        self.head = block.header.clone();
        Ok(())
    }

    fn has_seat(&self, key: &PublicKey, height: Height) -> bool {
        self.seats.at(height).is_some_and(|set| set.index_of(key).is_some())
    }

    /// What authorities and witnesses did, judged by books of our own.
    fn count_seats(&mut self, header: &Header, transactions: &[Checked], executed: &Executed) -> Verdict {
        let height = header.height;
        let now = Now { height, time_ms: header.timestamp_ms.get() };
        for (tx, outcome) in transactions.iter().zip(&executed.results.outcomes) {
            let (sender, done) = (tx.transaction().sender, outcome.verdict == Outcome::Ok);
            let Some(action) = tx.transaction().actions.first() else { continue };
            let Some(expected) = self.seats.hear(now, sender, action) else { continue };
            let rule = if matches!(action, Action::Staking(_)) { Rule::Stakes } else { Rule::Sets };
            let other = || format!("block {height}: {:?} for {action:?} of {sender}", outcome.verdict);
            must(rule, expected == done, other)?;
            if let Action::Authority(authority::Action::EvidenceSubmit { evidence }) = action {
                let right = !done || self.is_guilty(&evidence.signer());
                must(Rule::Innocence, right, || format!("block {height} convicts {}", evidence.signer()))?;
            }
        }
        Ok(())
    }

    fn count_nonce(&mut self, height: Height, tx: &Checked) -> Verdict {
        let (sender, nonce) = (tx.transaction().sender, tx.transaction().nonce);
        let next = self.nonces.entry(sender).or_default();
        must(Rule::Nonces, nonce == *next, || format!("block {height}: {sender} uses nonce {nonce} after {next}"))?;
        *next += 1;
        Ok(())
    }

    /// A node's state after something happened at it: that of its height.
    pub fn hear_state(&self, node: usize, engine: &Engine) -> Verdict {
        let head = engine.chain().head();
        let (height, header) = (head.block.header.height, &head.block.header);
        self.agree(node, height, head.block.id)?;
        let same = head.tree.root() == header.state_root;
        must(Rule::SameState, same, || format!("node {node}: its state at {height} is another one"))?;
        if height == self.head.height {
            let same = head.tree.root() == self.tree.root();
            must(Rule::SameState, same, || format!("node {node}: its state at {height} is not the executed one"))?;
        }
        // What the node would answer, kept up block by block, is what there is.
        let audit = conserved(&head.tree)?;
        drop(head);
        let (at, sums) = engine.chain().supplies().map_err(|fault| broken(Rule::Conservation, fault))?;
        must(Rule::Conservation, sums == audit, || format!("node {node} says that at {at} {sums:?}, not {audit:?}"))
    }

    /// A node took a transaction and said so.
    pub fn hear_acknowledged(&mut self, node: usize, tx: &Checked, status: Status) {
        if matches!(status, Status::Pending | Status::Final { .. }) {
            let told = self.told.entry(node).or_default();
            let tx_told = (tx.transaction().sender, tx.transaction().nonce);
            told.acknowledged.insert(tx.id(), tx_told);
            told.dropped.remove(&tx.id());
        }
    }

    /// A node told what became of a transaction.
    pub fn hear_status(&mut self, node: usize, id: TxId, status: Status) {
        if matches!(status, Status::Dropped { .. }) {
            self.told.entry(node).or_default().dropped.insert(id);
        }
    }

    /// What a node acknowledged and does not know any more, although its sender could still send it.
    fn missing(&self, node: usize, engine: &Engine) -> Result<Vec<(TxId, Address, u64)>, Violation> {
        let mut missing = Vec::new();
        for (id, (sender, nonce)) in self.told.get(&node).iter().flat_map(|told| &told.acknowledged) {
            let place = engine.chain().place(id).map_err(|fault| broken(Rule::Running, fault))?;
            let status = engine.pool().read().status(id);
            let is_dropped = self.told.get(&node).is_some_and(|told| told.dropped.contains(id));
            // Another transaction of the same sender and nonce is a reason, too.
            let account = money::account(&engine.chain().head().tree, sender);
            let is_used = account.is_ok_and(|account| account.nonce > *nonce);
            if !is_dropped && place.is_none() && status == Status::Unknown && !is_used {
                missing.push((*id, *sender, *nonce));
            }
        }
        Ok(missing)
    }

    /// Everything a node ever acknowledged is still there, or it is known why it is not. What was missing after
    /// a start had been dropped for another one with its nonce, which then is final by the end: a power cut
    /// takes a block that was fetched, and not the record of what it drove out.
    pub fn check_acknowledged(&self, node: usize, engine: &Engine) -> Verdict {
        let mut lost = self.missing(node, engine)?;
        for (id, sender, nonce) in self.told.get(&node).iter().flat_map(|told| &told.suspects) {
            let place = engine.chain().place(id).map_err(|fault| broken(Rule::Running, fault))?;
            if place.is_some() || self.next_nonce(sender) <= *nonce {
                lost.push((*id, *sender, *nonce));
            }
        }
        let what = || format!("node {node}: acknowledged and unknown, at least for a while: {lost:?}");
        must(Rule::Acknowledged, lost.is_empty(), what)
    }

    /// A node with a key (or without) says something to others.
    pub fn hear_message(&mut self, (node, known): (usize, u32), own: Option<PublicKey>, message: &Message) -> Verdict {
        let Message::Agreement { message, .. } = message else { return Ok(()) };
        let (signer, height, view, said) = match message {
            consensus::Message::Vote(vote) => {
                let said = vote.message;
                (vote.signer, said.height, said.view, (said.kind as u8, said.block))
            }
            consensus::Message::Proposal { proposal, .. } => {
                (proposal.signer, proposal.height, proposal.view, (0, Some(proposal.block)))
            }
            consensus::Message::Certificate(certificate) => return self.hear_certificate(certificate),
            consensus::Message::NeedCertificates { .. } | consensus::Message::Status { .. } => return Ok(()),
        };
        let itself = || format!("node {node} speaks for {signer}");
        must(Rule::NoDoubleSignature, own == Some(signer), itself)?;
        let old = || format!("node {node} knows version {known} and signs at {height}: {message:?}");
        must(Rule::Upgrades, self.may_know(known, height), old)?;
        let seated = self.has_seat(&signer, height);
        must(Rule::Sets, seated, || format!("node {node} signs at {height}, where it has no seat: {message:?}"))?;
        self.count_statement(signer, (height, view), said)
    }

    fn count_statement(&mut self, signer: PublicKey, (height, view): (Height, View), said: Said) -> Verdict {
        let all = self.said.entry((signer, height, view)).or_default();
        if !all.insert(said) {
            return Ok(());
        }
        let count = |kind: u8| all.iter().filter(|(known, _)| *known == kind).count();
        let (nullify, finalize) = (VoteKind::Nullify as u8, VoteKind::Finalize as u8);
        let once = (0..=finalize).all(|kind| count(kind) <= 1);
        let holds = once && count(nullify) + count(finalize) <= 1;
        must(Rule::NoDoubleSignature, holds, || format!("{signer} in view {view} of {height}: {all:?}"))
    }

    /// Whoever passes a certificate on has looked at it.
    fn hear_certificate(&mut self, certificate: &Certificate) -> Verdict {
        if self.certified.contains(&certificate.message) {
            return Ok(());
        }
        self.check_certificate(certificate)?;
        self.certified.insert(certificate.message);
        Ok(())
    }

    /// A node shows that a validator contradicted itself.
    pub fn hear_evidence(&self, node: usize, evidence: &Evidence) -> Verdict {
        let signers = match evidence {
            Evidence::Votes(first, second) => [first.signer, second.signer],
            Evidence::Proposals(first, second) => [first.signer, second.signer],
        };
        let accused = || format!("node {node} accuses {signers:?}: {evidence:?}");
        let right = signers[0] == signers[1] && self.is_guilty(&signers[0]);
        must(Rule::Innocence, right, accused)
    }

    /// Every final block a node holds is the one that was decided, with its whole body and a
    /// certificate that proves it: whoever takes a quorum's word for the rest has no more than these.
    pub fn check_copies(&mut self, node: usize, engine: &Engine) -> Verdict {
        let chain = engine.chain();
        let heights: Vec<(Height, BlockId)> = self.blocks.iter().skip(1).map(|(height, id)| (*height, *id)).collect();
        for (height, id) in heights.into_iter().take_while(|(height, _)| *height <= chain.head().block.header.height) {
            let copy = chain.final_block(height).map_err(|fault| broken(Rule::Running, fault))?;
            let missing = || broken(Rule::Gapless, format!("node {node} has no block {height}"));
            let FinalBlock { block, certificate } = copy.ok_or_else(missing)?;
            self.agree(node, height, block.header.id())?;
            let wire = block.body.transactions().iter().map(|bytes| Signed::wire_id(bytes, &self.setting.chain));
            let whole = tx_root(&self.setting.chain, &wire.collect::<Vec<_>>()) == block.header.tx_root;
            must(Rule::Validity, whole, || format!("node {node}: its body of {height} is another one"))?;
            let certificate = certificate.ok_or_else(|| broken(Rule::Certificates, format!("{height} has none")))?;
            self.check_finalization(node, (height, id), &certificate)?;
        }
        Ok(())
    }

    /// Who has nothing but the genesis and what this node hands out ends at the same set.
    pub fn check_light(&self, node: usize, engine: &Engine) -> Verdict {
        let chain = engine.chain();
        let refused = |error: String| broken(Rule::Sets, format!("a light client at node {node}: {error}"));
        let mut light = LightClient::from_genesis(&self.setting.genesis).map_err(|e| refused(e.to_string()))?;
        let head = chain.head().block.header.height;
        for (from, set) in self.seats.changes().take_while(|(from, _)| from.get() <= head.get() + 1) {
            let last = Height::new(from.get() - 1);
            let block = chain.final_block(last).map_err(|fault| broken(Rule::Running, fault))?;
            let block = block.ok_or_else(|| refused(format!("no block {last}")))?;
            let certificate = block.certificate.ok_or_else(|| refused(format!("no certificate of {last}")))?;
            let hop = light.hop(block.block.header, &certificate, set.members().to_vec());
            hop.map_err(|error| refused(error.to_string()))?;
        }
        must(Rule::Sets, Some(light.set()) == self.seats.at(head.next()), || format!("node {node} misleads"))
    }

    /// The rows of a node alone lead to the same root: nothing is hidden in its tree.
    pub fn check_rows(&self, node: usize, engine: &Engine) -> Verdict {
        let head = engine.chain().head();
        let rows = head.tree.rows().map(|(key, slot, value)| (*key, slot, value.into()));
        let rebuilt: Option<Hash> = Tree::rebuild(&self.setting.chain.0, rows, u32::MAX).ok().map(|tree| tree.root());
        must(Rule::SameState, rebuilt == Some(head.tree.root()), || format!("node {node}: its rows are not its tree's"))
    }
}

/// What there is of each asset, in each place, if nothing appeared or vanished.
fn conserved(tree: &Tree) -> Result<Vec<Supply>, Violation> {
    let supplies = money::audit(tree).map_err(|fault| broken(Rule::Conservation, fault))?;
    let wrong = supplies.iter().find(|s| !s.is_conserved() || s.in_accounts > s.asset.max_supply);
    must(Rule::Conservation, wrong.is_none(), || format!("{wrong:?}"))?;
    Ok(supplies)
}
