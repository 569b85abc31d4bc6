//! For tests of this and other crates: keys from seeds, a small state, signing, and a chain of
//! blocks without consensus that checks what must hold after every block.
//!
//! Everything here panics on a mistake of the test that uses it. Not here: anything a node runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

pub mod market;

use crate::block::{Results, Verdict};
use crate::codec::{self, List};
use crate::crypto::{Hash, PublicKey, SecretKey};
use crate::execute::{BlockContext, Executed, Execution, Unfit, execute_block};
use crate::state::market::found as found_market;
use crate::state::stakes::weights::{Candidate, weights};
use crate::state::stakes::{self, FirstStake};
use crate::state::{Account, Asset, Authority, Overlay, PARAMS, Params, Symbol, Tree, money, protocol, validators};
use crate::tx::{
    Action, Authorisation, CheckContext, Checked, Event, MultiKey, Signed, TRANSACTION_VERSION, Transaction, account,
    check_one, transfer,
};
use crate::types::{
    Address, Amount, AssetId, ChainId, ConsensusMode, Height, QuorumRule, Rejected, TimestampMs, Token, Validator, View,
};

/// The fee of transactions made here, enough for any of them.
pub const FEE: Amount = Amount::new(10_000);
/// What each of the accounts 1 to 8 of [`TestChain::new`] holds of the native asset at genesis.
pub const FUNDS: Amount = Amount::new(1_000_000_000);
/// The seed of the only validator.
pub const PROPOSER: u8 = 200;

/// The chain of all tests and of the families' examples.
pub fn chain() -> ChainId {
    CheckContext::example().chain
}

/// The key whose seed is 32 times this byte.
pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// The plain account of a seed's key.
pub fn address(seed: u8) -> Address {
    Address::of_key(&key(seed).public())
}

/// The native token of tests.
pub fn ait() -> Token {
    Token { symbol: "AIT".into(), units_per_token: 3600 }
}

/// Who signs: which keys, by their seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// One key.
    Key(u8),
    /// So many of these.
    Multi(u8, Vec<u8>),
}

impl Signer {
    /// The address that derives from the keys.
    pub fn address(&self) -> Address {
        match self {
            Self::Key(seed) => address(*seed),
            Self::Multi(threshold, _) => Address::of_multi_key(*threshold, &self.public_keys()),
        }
    }

    /// The authority a rotation to these keys names in its proofs.
    pub fn authority(&self) -> Authority {
        match self {
            Self::Key(seed) => Authority::Key(key(*seed).public()),
            Self::Multi(..) => Authority::MultiKey(self.address()),
        }
    }

    /// The secret keys, ascending by public key.
    pub fn secrets(&self) -> Vec<SecretKey> {
        let mut secrets: Vec<_> = match self {
            Self::Key(seed) => vec![key(*seed)],
            Self::Multi(_, seeds) => seeds.iter().map(|seed| key(*seed)).collect(),
        };
        secrets.sort_by_key(SecretKey::public);
        secrets
    }

    /// The public keys, ascending.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.secrets().iter().map(SecretKey::public).collect()
    }

    /// Signs; of several keys the last ones.
    pub fn sign(&self, message: &[u8]) -> Authorisation {
        let secrets = self.secrets();
        let Self::Multi(threshold, _) = self else { return Authorisation::sign(message, &secrets[0]) };
        let first = secrets.len() - usize::from(*threshold);
        let signatures = secrets[first..].iter().map(|secret| secret.sign(message)).collect();
        Authorisation::MultiKey(MultiKey {
            threshold: *threshold,
            keys: List::new(self.public_keys()).unwrap(),
            bitmap: (first..secrets.len()).map(|i| 1u16 << i).sum(),
            signatures: List::new(signatures).unwrap(),
        })
    }
}

/// A transaction with [`FEE`] that any block may hold.
pub fn transaction(sender: Address, nonce: u64, actions: impl IntoIterator<Item = Action>) -> Transaction {
    let actions = List::new(actions.into_iter().collect()).unwrap();
    let (version, chain_tag) = (TRANSACTION_VERSION, chain().tag());
    Transaction { version, chain_tag, sender, nonce, fee_payer: None, fee: FEE, valid_until: Height::ZERO, actions }
}

/// Signs as these signers; the payer's signer exactly if there is a fee payer.
pub fn sign(transaction: Transaction, sender: &Signer, payer: Option<&Signer>) -> Signed {
    let message = transaction.signing_bytes(&chain());
    let fee_payer_authorisation = payer.map(|payer| payer.sign(&message));
    Signed { authorisation: sender.sign(&message), transaction, fee_payer_authorisation }
}

/// Encodes and checks.
pub fn check(signed: &Signed) -> Result<Checked, Rejected> {
    check_one(&chain(), &codec::encode(signed))
}

/// A checked transaction of a plain account.
pub fn checked(seed: u8, nonce: u64, actions: impl IntoIterator<Item = Action>) -> Checked {
    check(&sign(transaction(address(seed), nonce, actions), &Signer::Key(seed), None)).unwrap()
}

/// A transfer of the native asset without a memo.
pub fn pay(to: Address, units: u128) -> Action {
    let (asset, amount, memo) = (AssetId::NATIVE, Amount::new(units), Default::default());
    Action::Transfer(transfer::Action::Transfer { to, asset, amount, memo })
}

/// The action that makes `new` the policy of `account`, in the transaction with this nonce.
pub fn rotation(account: &Address, nonce: u64, new: &Signer) -> account::Action {
    let message = account::proof_message(&chain(), account, nonce, &new.authority());
    let proofs: Vec<_> = new.secrets().iter().map(|secret| secret.sign(&message)).collect();
    match new {
        Signer::Key(_) => account::Action::RotateKey { new_key: new.public_keys()[0], proof: proofs[0] },
        Signer::Multi(threshold, _) => account::Action::SetMultiKey {
            threshold: *threshold,
            keys: List::new(new.public_keys()).unwrap(),
            proofs: List::new(proofs).unwrap(),
        },
    }
}

/// A state as genesis makes one: parameters, one validator, the native asset, funded accounts.
pub fn genesis(params: &Params, accounts: &[(Address, Amount)]) -> Tree {
    genesis_of(params, accounts, &[PROPOSER])
}

/// As `genesis`, with the validators of these seeds, of weight 1 each.
pub fn genesis_of(params: &Params, accounts: &[(Address, Amount)], seeds: &[u8]) -> Tree {
    let mut tree = Tree::new(&chain().0);
    let mut overlay = Overlay::new(&tree);
    PARAMS.put(&mut overlay, &(), params);
    protocol::found(&mut overlay, QuorumRule::Byzantine, &Default::default());
    found_market(&mut overlay, AssetId::NATIVE, TimestampMs::ZERO);
    validators::found(&mut overlay, &members(seeds)).unwrap();
    let native = Asset {
        symbol: Symbol::new("AIT").unwrap(),
        units_per_token: Amount::new(3600),
        max_supply: Amount::MAX_SUPPLY,
        minter: None,
        minted: Amount::ZERO,
        burned: Amount::ZERO,
    };
    assert_eq!(money::register(&mut overlay, &native), Ok(AssetId::NATIVE));
    for (address, amount) in accounts {
        money::mint(&mut overlay, address, AssetId::NATIVE, *amount).unwrap();
    }
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta).unwrap();
    tree
}

/// The stake asset of [`TestChain::staked`].
pub const STK: AssetId = AssetId::new(1);

/// As `genesis_of` in a mode with stake: each validator has bonded `own`, at a commission of 10 %, and the
/// accounts hold as much of the stake asset as of the native one.
pub fn genesis_staked(
    params: &Params,
    accounts: &[(Address, Amount)],
    seeds: &[u8],
    (mode, own): (ConsensusMode, Amount),
) -> Tree {
    let mut tree = genesis_of(params, accounts, seeds);
    let mut overlay = Overlay::new(&tree);
    let native = money::asset(&overlay, AssetId::NATIVE).unwrap();
    let stk = Asset { symbol: Symbol::new("STK").unwrap(), minted: Amount::ZERO, ..native };
    assert_eq!(money::register(&mut overlay, &stk), Ok(STK));
    found_market(&mut overlay, STK, TimestampMs::ZERO);
    for (address, amount) in accounts {
        money::mint(&mut overlay, address, STK, *amount).unwrap();
    }
    let first = |member: &Validator| FirstStake { validator: member.public_key, amount: own, commission_bps: 1_000 };
    let mut members = members(seeds);
    let stakes: Vec<_> = members.iter().map(first).collect();
    let candidate = |stake: &FirstStake| Candidate { key: stake.validator, stake: own, since: Height::ZERO };
    let weights = weights(mode, params, stakes.iter().map(candidate).collect());
    members.iter_mut().for_each(|member| member.weight = weights[&member.public_key]);
    validators::found(&mut overlay, &members).unwrap();
    stakes::found(&mut overlay, (mode, STK), &stakes).unwrap();
    let all = Amount::new(own.get() * members.len() as u128);
    assert_eq!(money::count_minted(&mut overlay, STK, all), Ok(all));
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta).unwrap();
    tree
}

/// Validators of these seeds, of weight 1 each, ascending by key.
pub fn members(seeds: &[u8]) -> Vec<Validator> {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed).public()).collect();
    keys.sort();
    keys.into_iter().map(|public_key| Validator { public_key, weight: 1 }).collect()
}

/// Blocks one after the other, without consensus.
pub struct TestChain {
    /// The state after the last block.
    pub tree: Tree,
    /// The last block's height.
    pub height: Height,
    /// The view the next block is built in.
    pub view: View,
    /// Who builds the next block.
    pub proposer: PublicKey,
    /// The time of the next blocks; otherwise 2 s per block.
    pub time: Option<TimestampMs>,
}

impl TestChain {
    /// Default parameters; the plain accounts of the seeds 1 to 8 are funded.
    pub fn new() -> Self {
        Self::with(&Params::default(), &[])
    }

    /// As `new` with these parameters, and more accounts with the same funds.
    pub fn with(params: &Params, more: &[Address]) -> Self {
        Self::of(params, more, &[PROPOSER])
    }

    /// As `with`, with the validators of these seeds; the first builds the blocks.
    pub fn of(params: &Params, more: &[Address], seeds: &[u8]) -> Self {
        let funded: Vec<_> = (1..=8).map(address).chain(more.iter().copied()).map(|a| (a, FUNDS)).collect();
        let tree = genesis_of(params, &funded, seeds);
        Self::on(tree, seeds)
    }

    /// As `of`, in a mode with stake: each validator has bonded `own`.
    pub fn staked(params: &Params, (mode, own): (ConsensusMode, Amount), seeds: &[u8]) -> Self {
        let funded: Vec<_> = (1..=8).map(address).map(|a| (a, FUNDS)).collect();
        let tree = genesis_staked(params, &funded, seeds, (mode, own));
        Self { tree, ..Self::of(params, &[], seeds) }
    }

    /// Blocks on this state; the first of these validators builds them.
    pub fn on(tree: Tree, seeds: &[u8]) -> Self {
        Self { tree, height: Height::ZERO, view: View::ZERO, proposer: key(seeds[0]).public(), time: None }
    }

    /// The facts of the next block.
    pub fn next(&self) -> BlockContext {
        let height = self.height.next();
        let timestamp = self.time.unwrap_or(TimestampMs::new(height.get() * 2_000));
        BlockContext { chain: chain(), height, view: self.view, timestamp, proposer: self.proposer }
    }

    /// The account at an address.
    pub fn account(&self, address: &Address) -> Account {
        money::account(&self.tree, address).unwrap()
    }

    /// What a plain account holds of an asset.
    pub fn balance(&self, seed: u8, asset: AssetId) -> Amount {
        money::balance(&self.tree, &address(seed), asset).unwrap()
    }

    /// Why a transaction can't be the next block's first, or nothing.
    pub fn unfit(&self, transaction: &Checked) -> Option<Unfit> {
        Execution::start(&self.tree, self.next()).unwrap().push(transaction).err()
    }

    /// Executes and commits a block of transactions that all fit.
    pub fn block(&mut self, transactions: &[Checked]) -> Results {
        let (results, skipped) = self.build(transactions);
        assert_eq!(skipped, [], "every transaction fits");
        results
    }

    /// Builds a block as a proposer does, skipping what does not fit, then judges it as a voter
    /// does: both must agree. Commits, and checks the supplies and the root of the rebuilt state.
    pub fn build(&mut self, candidates: &[Checked]) -> (Results, Vec<(usize, Unfit)>) {
        let mut building = Execution::start(&self.tree, self.next()).unwrap();
        let (mut body, mut skipped) = (Vec::new(), Vec::new());
        for (place, candidate) in candidates.iter().enumerate() {
            match building.push(candidate) {
                Ok(()) => body.push(candidate.clone()),
                Err(Unfit::Fault(fault)) => panic!("{fault}"),
                Err(unfit) => skipped.push((place, unfit)),
            }
        }
        let built = building.finish().unwrap();
        let judged = execute_block(&self.tree, self.next(), &body).unwrap();
        assert_eq!(roots(&built), roots(&judged), "builder and judge agree");
        let root = judged.state_root();
        self.tree.commit(judged.delta).unwrap();
        self.height = self.height.next();
        assert_eq!(self.tree.root(), root);
        self.assert_sound();
        (judged.results, skipped)
    }

    /// One block with one transaction of a plain account with its next nonce.
    pub fn run(&mut self, seed: u8, actions: impl IntoIterator<Item = Action>) -> (Verdict, Vec<Event>) {
        let nonce = self.account(&address(seed)).nonce;
        let mut results = self.block(&[checked(seed, nonce, actions)]);
        (results.outcomes[0].verdict, results.events.remove(0))
    }

    /// As `run`, and the actions are carried out.
    pub fn run_ok(&mut self, seed: u8, actions: impl IntoIterator<Item = Action>) -> Vec<Event> {
        let (verdict, events) = self.run(seed, actions);
        assert_eq!(verdict, Verdict::Ok);
        events
    }

    /// As `run`, and the actions are refused: the number of the rejection.
    pub fn run_refused(&mut self, seed: u8, actions: impl IntoIterator<Item = Action>) -> u16 {
        match self.run(seed, actions).0 {
            Verdict::Rejected { number, .. } => number,
            Verdict::Ok => panic!("the actions were carried out"),
        }
    }

    /// Nothing appeared or vanished, and the rows alone lead to the same root.
    pub fn assert_sound(&self) {
        for supply in money::audit(&self.tree).unwrap() {
            assert!(supply.is_conserved(), "{supply:?}");
            assert!(supply.total().unwrap() <= supply.asset.max_supply, "{supply:?}");
        }
        let rows = self.tree.rows().map(|(key, slot, value)| (*key, slot, value.into()));
        let rebuilt = Tree::rebuild(&chain().0, rows, u32::MAX).unwrap();
        assert_eq!(rebuilt.root(), self.tree.root());
    }
}

impl Default for TestChain {
    fn default() -> Self {
        Self::new()
    }
}

/// Everything a header commits to.
pub fn roots(executed: &Executed) -> [Hash; 4] {
    [executed.state_root(), executed.tx_root, executed.outcome_root, executed.next_validators_hash]
}
