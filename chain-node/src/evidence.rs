//! Evidence this node found: kept as a file until the chain knows of it, and submitted by the node
//! itself from the plain account of its validator key.
//!
//! 1. Of each validator one contradiction is kept, in `DIR/evidence/KEY.json`: a key is convicted once. It is
//!    the one at the lowest height, which costs most; but one that could not be submitted gives way to a
//!    newer one, which can be proven longer. The file goes when the chain has convicted the key, or can't any more.
//! 2. Whoever led first at the height where it was found submits at once, who leads a view later a block
//!    later, and so on, so that most nodes find it done. What waits in the pool already is given way to for
//!    some blocks, if it is the same accusation and nothing else: it may be meant to fail.
//! 3. It is signed anew until it is final, for a quarter more each time the pool has lost it, up to a tenth of
//!    what the account holds. Attempts that were refused in a block cost a fee, and there are at most
//!    `MAX_ATTEMPTS` of them in a life of the node.
//! 4. A node without a key, or whose account can't pay or has other keys now, says so once and keeps the
//!    file: anybody may submit it (`chain evidence submit`).
//!
//! Not here: finding evidence (`chain_core::consensus`), what it does (the authority family).

use crate::counts::Counts;
use crate::data_dir::make_private_dir;
use crate::driver::Driver;
use crate::exit::Exit;
use crate::net::Net;
use chain_core::Fault;
use chain_core::codec::{self, List};
use chain_core::crypto::{PublicKey, SecretKey, verify_one};
use chain_core::engine::{Announcement, SharedPool};
use chain_core::mempool::Status;
use chain_core::state::validators::{VALIDATORS, next_set};
use chain_core::state::{Authority, Params, Tree, money, params};
use chain_core::tx::{Action, Checked, TRANSACTION_VERSION, Transaction, authority, check_one};
use chain_core::types::{Address, Amount, ChainId, Evidence, Height, TxId, View};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Evidence on its way from the engine; what finds no room is found by others, or with the next contradiction.
pub const FOUND: usize = 64;
/// Times one evidence is paid for.
const MAX_ATTEMPTS: u32 = 5;
/// Blocks for which the same accusation by somebody else is given way to.
const COURTESY_BLOCKS: u64 = 3;
/// How often the fee is raised, by a quarter each time.
const MAX_RAISES: u32 = 20;
/// Blocks an attempt is valid for.
const VALID_BLOCKS: u64 = 50;

/// What is known of one offence.
struct Kept {
    evidence: Evidence,
    /// The head when it was found.
    found_at: Height,
    /// The last attempt, and its nonce.
    sent: Option<(TxId, u64)>,
    /// Attempts that came into a block and were refused there.
    attempts: u32,
    /// Attempts that lost their place in the pool.
    lost: u32,
    /// Why it is not submitted here, as it was told last.
    told: Option<String>,
}

/// Keeps and submits evidence.
pub struct Reporter {
    /// Where it is kept.
    pub dir: PathBuf,
    /// The engine and the chain.
    pub driver: Arc<Driver>,
    /// The network.
    pub net: Arc<Net>,
    /// The pool.
    pub pool: SharedPool,
    /// Who reports.
    pub key: Option<Arc<SecretKey>>,
    /// Counters.
    pub counts: Arc<Counts>,
}

/// What is to be done about an offence now.
enum Due {
    /// Nothing any more: convicted, or nothing can be proven; with the words for it.
    Over(&'static str),
    /// Not now.
    Wait,
    /// It can't be submitted here.
    Cannot(String),
    /// This transaction.
    Send(Box<Checked>),
}

impl Kept {
    /// Whether evidence against the same validator is better to have.
    fn gives_way_to(&self, newer: &Evidence) -> bool {
        let height = |evidence: &Evidence| evidence.equivocation().ok().map(|equivocation| equivocation.height);
        let (new, old) = (height(newer), height(&self.evidence));
        if self.told.is_some() { new > old } else { self.sent.is_none() && new < old }
    }
}

impl Reporter {
    /// Reads what an earlier life kept, then works until the node ends.
    pub async fn run(self, mut found: mpsc::Receiver<Evidence>) {
        let mut announcements = self.driver.subscribe();
        let mut kept = BTreeMap::new();
        for evidence in self.read() {
            self.keep(&mut kept, evidence, false);
        }
        loop {
            tokio::select! {
                evidence = found.recv() => match evidence {
                    Some(evidence) => {
                        if !self.keep(&mut kept, evidence, true) {
                            continue;
                        }
                    }
                    // The engine has ended, and the node is about to.
                    None => std::future::pending().await,
                },
                announcement = announcements.recv() => match announcement {
                    Ok(Announcement::Block(_)) | Err(RecvError::Lagged(_)) => {}
                    Ok(_) => continue,
                    Err(RecvError::Closed) => return,
                },
            }
            self.look(&mut kept).await;
            self.counts.evidence_kept(kept.len());
        }
    }

    /// Whether it is kept: rule 1.
    fn keep(&self, kept: &mut BTreeMap<PublicKey, Kept>, evidence: Evidence, is_new: bool) -> bool {
        let (signer, Ok(equivocation)) = (evidence.signer(), evidence.equivocation()) else { return false };
        let is_own = self.key.as_ref().is_some_and(|key| key.public() == signer);
        if is_own || kept.get(&signer).is_some_and(|one| !one.gives_way_to(&evidence)) {
            return false;
        }
        tracing::warn!(validator = %signer, %equivocation, "a validator contradicted itself");
        if is_new && let Err(error) = self.write(&evidence) {
            tracing::error!(%error, "evidence is not kept on disk; it is gone with the next stop");
        }
        let head = self.driver.chain().head().block.header.height;
        // Its turn does not begin anew: who contradicts himself in every block is not waited for.
        let before = kept.get(&signer);
        let (found_at, attempts) = before.map_or((head, 0), |one| (one.found_at, one.attempts));
        kept.insert(signer, Kept { evidence, found_at, sent: None, attempts, lost: 0, told: None });
        true
    }

    async fn look(&self, kept: &mut BTreeMap<PublicKey, Kept>) {
        let mut over = Vec::new();
        for (validator, one) in kept.iter_mut() {
            match self.due(one) {
                Ok(Due::Over(why)) => {
                    tracing::info!(%validator, "evidence is done with: {why}");
                    over.push(*validator);
                }
                Ok(Due::Wait) => {}
                Ok(Due::Cannot(why)) => self.tell(one, why),
                Ok(Due::Send(transaction)) => self.send(one, *transaction).await,
                // The engine meets the same fault and stops the node.
                Err(fault) => tracing::error!(%fault, "evidence can't be judged"),
            }
        }
        for validator in over {
            kept.remove(&validator);
            // What can't be removed is read, and found to be over, at the next start.
            let _ = fs::remove_file(self.path(&validator));
        }
    }

    fn tell(&self, one: &mut Kept, why: String) {
        if one.told.as_ref() != Some(&why) {
            let file = self.path(&one.evidence.signer());
            tracing::warn!(
                file = %file.display(),
                "this node does not submit evidence: {why}. Anybody may: chain evidence submit FILE"
            );
            one.told = Some(why);
        }
    }

    fn due(&self, one: &mut Kept) -> Result<Due, Fault> {
        let chain = self.driver.chain();
        // The pool before the head, and neither while the other is held.
        let (own, next_nonce) = {
            let pool = self.pool.read();
            let own = one.sent.is_some_and(|(id, _)| matches!(pool.status(&id), Status::Pending | Status::Queued));
            let sender = self.key.as_ref().map(|key| Address::of_key(&key.public()));
            let next = sender.and_then(|sender| pool.next_nonce(&sender));
            (own, next)
        };
        let head = chain.head();
        let (height, params) = (head.block.header.height, params(&head.tree)?);
        if let Some(settled) = settled(&head.tree, &params, height, &one.evidence)? {
            return Ok(settled);
        }
        let Some(key) = &self.key else { return Ok(Due::Cannot("it has no validator key".into())) };
        let turn = one.found_at.saturating_add(turn(&head.tree, one.found_at.next(), &key.public())?);
        if own || height < turn {
            return Ok(Due::Wait);
        }
        let sender = Address::of_key(&key.public());
        let account = money::account(&head.tree, &sender)?;
        drop(head);
        let foreign = || self.pool.read().candidates().any(|pooled| accuses(pooled, &one.evidence));
        if height < turn.saturating_add(COURTESY_BLOCKS) && foreign() {
            return Ok(Due::Wait);
        }
        match one.sent.take() {
            Some((_, nonce)) if nonce < account.nonce => one.attempts = one.attempts.saturating_add(1),
            Some(_) => one.lost = one.lost.saturating_add(1),
            None => {}
        }
        if one.attempts >= MAX_ATTEMPTS {
            return Ok(Due::Cannot(format!("{MAX_ATTEMPTS} attempts were refused")));
        }
        if account.authority != Authority::Derived {
            return Ok(Due::Cannot(format!("other keys sign for {sender} now")));
        }
        let nonce = next_nonce.map_or(account.nonce, |next| next.max(account.nonce));
        let fee = |least| fee(least, one.lost, account.balance);
        let signed = sign(&chain.id(), key, nonce, (height, &params), &one.evidence, fee);
        Ok(match signed {
            Ok(signed) if signed.transaction().fee > account.balance => {
                let (held, fee) = (account.balance, signed.transaction().fee);
                Due::Cannot(format!("{sender} holds {held} base units, the fee is {fee}"))
            }
            Ok(signed) => Due::Send(Box::new(signed)),
            Err(why) => Due::Cannot(why),
        })
    }

    async fn send(&self, one: &mut Kept, transaction: Checked) {
        let (bytes, nonce) = (vec![transaction.bytes().to_vec()], transaction.transaction().nonce);
        let Ok(verdicts) = self.driver.submit(bytes.clone()).await else { return };
        self.net.tell(&bytes, &verdicts);
        match verdicts.into_iter().next() {
            Some(Ok(submitted)) => {
                tracing::info!(validator = %one.evidence.signer(), tx = %submitted.tx_id, "evidence submitted");
                one.sent = Some((submitted.tx_id, nonce));
            }
            Some(Err(rejected)) => self.tell(one, rejected.to_string()),
            None => {}
        }
    }

    fn path(&self, validator: &PublicKey) -> PathBuf {
        self.dir.join(format!("{validator}.json"))
    }

    fn write(&self, evidence: &Evidence) -> Result<(), Exit> {
        make_private_dir(&self.dir)?;
        let (path, new) = (self.path(&evidence.signer()), self.dir.join("new"));
        let wrong = |e: &dyn std::fmt::Display| Exit::Configuration(format!("{}: {e}", path.display()));
        let json = serde_json::to_vec_pretty(evidence).map_err(|e| wrong(&e))?;
        replace(&new, &path, &json).and_then(|()| File::open(&self.dir)?.sync_all()).map_err(|e| wrong(&e))
    }

    /// What an earlier life kept; what can't be read is left where it is.
    fn read(&self) -> Vec<Evidence> {
        let paths = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let read = |path: PathBuf| {
            let evidence = fs::read(&path).map_err(|e| e.to_string());
            let evidence = evidence.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
            let evidence = evidence.and_then(|evidence| genuine(evidence, &self.driver.chain().id()));
            evidence.inspect_err(|why| tracing::warn!(file = %path.display(), %why, "this is no evidence")).ok()
        };
        files.filter_map(read).collect()
    }
}

/// Writes a file anew, through another beside it.
fn replace(new: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(new, path)
}

/// Evidence whose words are really the signer's: what isn't would keep the true one out.
fn genuine(evidence: Evidence, chain: &ChainId) -> Result<Evidence, String> {
    evidence.equivocation().map_err(|e| e.to_string())?;
    let words = evidence.signatures(chain).map_err(|e| e.to_string())?;
    match words.iter().all(|(signer, message, signature)| verify_one(signer, message, signature).is_ok()) {
        true => Ok(evidence),
        false => Err("a signature does not verify".to_owned()),
    }
}

/// Whether a transaction says of the same validator that it contradicted itself at the same place, and
/// nothing else.
fn accuses(transaction: &Checked, ours: &Evidence) -> bool {
    match &transaction.transaction().actions[..] {
        [Action::Authority(authority::Action::EvidenceSubmit { evidence })] => {
            evidence.signer() == ours.signer() && evidence.equivocation() == ours.equivocation()
        }
        _ => false,
    }
}

/// The transaction that proves it, from the plain account of a key.
fn sign(
    chain: &ChainId,
    key: &SecretKey,
    nonce: u64,
    (height, params): (Height, &Params),
    evidence: &Evidence,
    fee: impl Fn(Amount) -> Amount,
) -> Result<Checked, String> {
    let actions = List::new(vec![Action::Authority(authority::Action::prove(evidence.clone()))]);
    let actions = actions.map_err(|e| e.to_string())?;
    let with = |fee: Amount| {
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            chain_tag: chain.tag(),
            sender: Address::of_key(&key.public()),
            nonce,
            fee_payer: None,
            fee,
            valid_until: height.saturating_add(VALID_BLOCKS),
            actions: actions.clone(),
        };
        check_one(chain, &codec::encode(&transaction.sign(chain, key))).map_err(|rejected| rejected.to_string())
    };
    // The weight does not depend on the fee.
    with(fee(params.min_fee(with(Amount::ZERO)?.weight())))
}

/// What is paid where so much is the least: a quarter more goes before those who pay that.
fn fee(least: Amount, lost: u32, balance: Amount) -> Amount {
    let quarter_more = |fee: u128| fee.saturating_add(fee / 4);
    let first = quarter_more(least.get());
    let raised = (0..lost.min(MAX_RAISES)).fold(first, |fee, _| quarter_more(fee));
    Amount::new(raised.min(first.max(balance.get() / 10)))
}

/// Whether there is nothing to prove any more, or not yet.
fn settled(tree: &Tree, params: &Params, head: Height, evidence: &Evidence) -> Result<Option<Due>, Fault> {
    let Ok(equivocation) = evidence.equivocation() else { return Ok(Some(Due::Over("it proves nothing"))) };
    let record = VALIDATORS.get(tree, &evidence.signer())?;
    Ok(match record {
        Some(record) if record.equivocation.is_some() => Some(Due::Over("the validator is convicted")),
        // The block that takes it is the next one at the earliest.
        _ if equivocation.height > head.next() => Some(Due::Wait),
        _ if equivocation.height.saturating_add(params.evidence_window_blocks.into()) < head.next() => {
            Some(Due::Over("it is too old"))
        }
        Some(record) if record.signed_at(equivocation.height) => None,
        _ => Some(Due::Over("its signer was no validator then")),
    })
}

/// How many leaders of a height come before this key; all of them for who is not in the set.
fn turn(tree: &Tree, height: Height, key: &PublicKey) -> Result<u64, Fault> {
    let set = next_set(tree)?;
    let members = u32::try_from(set.members().len()).unwrap_or(u32::MAX);
    let own = (0..members).find(|view| set.leader(height, View::new(*view)).public_key == *key);
    Ok(own.unwrap_or(members).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chain_core::crypto::Hash;
    use chain_core::state::Overlay;
    use chain_core::state::validators::found;
    use chain_core::types::{BlockId, SignedMessage, Validator, Vote, VoteKind};

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    /// Validators 1 to 4 of weight 1; some of them convicted.
    fn state(convicted: &[u8]) -> Tree {
        let mut tree = Tree::new(&ChainId::default().0);
        let mut overlay = Overlay::new(&tree);
        let mut members: Vec<_> = (1..=4).map(|seed| Validator { public_key: key(seed).public(), weight: 1 }).collect();
        members.sort_by_key(|member| member.public_key);
        found(&mut overlay, &members).unwrap();
        for seed in convicted {
            let public = key(*seed).public();
            let mut record = VALIDATORS.get(&overlay, &public).unwrap().unwrap();
            record.equivocation = Some(evidence(*seed, 1).equivocation().unwrap());
            VALIDATORS.put(&mut overlay, &public, &record);
        }
        let delta = tree.preview(overlay.into_changes());
        tree.commit(delta).unwrap();
        tree
    }

    fn evidence(seed: u8, height: u64) -> Evidence {
        let vote = |block: u8| {
            let block = Some(BlockId(Hash([block; 32])));
            let height = Height::new(height);
            let message = SignedMessage { kind: VoteKind::Notarize, height, view: View::ZERO, block };
            Vote::sign(message, &ChainId::default(), &key(seed)).unwrap()
        };
        Evidence::Votes(vote(1), vote(2))
    }

    #[test]
    fn whoever_leads_first_reports_first() {
        let (tree, height) = (state(&[]), Height::new(7));
        let set = next_set(&tree).unwrap();
        for view in 0..4 {
            let leader = set.leader(height, View::new(view)).public_key;
            assert_eq!(turn(&tree, height, &leader).unwrap(), u64::from(view));
        }
        assert_eq!(turn(&tree, height, &key(9).public()).unwrap(), 4, "who is not in the set comes last");
    }

    #[test]
    fn evidence_is_over_once_it_proves_nothing_new() {
        let params = Params { evidence_window_blocks: 10, ..Params::default() };
        let judge = |convicted: &[u8], head: u64, evidence: Evidence| match settled(
            &state(convicted),
            &params,
            Height::new(head),
            &evidence,
        )
        .unwrap()
        {
            None => "submit",
            Some(Due::Over(why)) => why,
            Some(_) => "wait",
        };
        assert_eq!(judge(&[], 7, evidence(1, 8)), "submit");
        assert_eq!(judge(&[2], 7, evidence(1, 8)), "submit");
        assert_eq!(judge(&[1], 7, evidence(1, 8)), "the validator is convicted");
        assert_eq!(judge(&[], 7, evidence(1, 9)), "wait");
        assert_eq!(judge(&[], 17, evidence(1, 8)), "submit");
        assert_eq!(judge(&[], 18, evidence(1, 8)), "it is too old");
        assert_eq!(judge(&[], 7, evidence(9, 7)), "its signer was no validator then");
    }

    #[test]
    fn only_the_same_accusation_alone_is_given_way_to() {
        let (chain, ours) = (ChainId::default(), evidence(1, 8));
        let facts = (Height::new(8), &Params::default());
        let pooled = |evidence: &Evidence| sign(&chain, &key(9), 0, facts, evidence, |least| least).unwrap();
        assert!(accuses(&pooled(&ours), &ours));
        assert!(!accuses(&pooled(&evidence(1, 1_000_000_000)), &ours), "it is of a height to come, and will fail");
        assert!(!accuses(&pooled(&evidence(2, 8)), &ours));
        let mut more = pooled(&ours).transaction().clone();
        more.actions = List::new([&more.actions[..], &more.actions[..]].concat()).unwrap();
        let more = check_one(&chain, &codec::encode(&more.sign(&chain, &key(9)))).unwrap();
        assert!(!accuses(&more, &ours), "another action may fail, and this one with it");
    }

    #[test]
    fn the_lowest_evidence_is_kept_and_what_could_not_be_submitted_gives_way() {
        let found_at = Height::new(9);
        let kept = |sent, told| Kept { evidence: evidence(1, 8), found_at, sent, attempts: 0, lost: 0, told };
        let gives_way = |kept: &Kept| [7, 8, 9].map(|height| kept.gives_way_to(&evidence(1, height)));
        assert_eq!(gives_way(&kept(None, None)), [true, false, false]);
        assert_eq!(gives_way(&kept(Some((pooled_id(), 4)), None)), [false; 3], "one is on its way");
        assert_eq!(gives_way(&kept(None, Some("no money".into()))), [false, false, true]);
    }

    #[test]
    fn whoever_loses_his_place_in_the_pool_pays_more() {
        let paid = |lost, balance| fee(Amount::new(400), lost, Amount::new(balance)).get();
        assert_eq!([0, 1, 2].map(|lost| paid(lost, 10_000)), [500, 625, 781]);
        assert_eq!([1, 2, 3, 99].map(|lost| paid(lost, 7_000)), [625, 700, 700, 700], "a tenth of what there is");
        assert_eq!(paid(5, 0), 500, "which is then found to be too much");
        assert_eq!(paid(u32::MAX, u128::MAX), paid(MAX_RAISES, u128::MAX));
    }

    #[test]
    fn only_what_the_validator_really_said_is_evidence() {
        let chain = ChainId::default();
        assert!(genuine(evidence(1, 8), &chain).is_ok());
        assert!(genuine(evidence(1, 8), &ChainId(Hash([7; 32]))).is_err(), "said on another chain");
        let Evidence::Votes(first, _) = evidence(1, 8) else { unreachable!() };
        let Evidence::Votes(_, mut other) = evidence(1, 8) else { unreachable!() };
        other.signature = first.signature;
        assert!(genuine(Evidence::Votes(first.clone(), other), &chain).is_err(), "not signed");
        assert!(genuine(Evidence::Votes(first.clone(), first), &chain).is_err(), "no contradiction");
    }

    fn pooled_id() -> TxId {
        let facts = (Height::new(8), &Params::default());
        sign(&ChainId::default(), &key(9), 0, facts, &evidence(1, 8), |least| least).unwrap().id()
    }
}
