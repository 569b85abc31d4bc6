//! The chain that is measured: bench-chain.toml with fresh keys, and transfers signed in advance.

use crate::Result;
use chain_core::codec::{self, List};
use chain_core::crypto::SecretKey;
use chain_core::genesis::Genesis;
use chain_core::tx::{Action, TRANSACTION_VERSION, Transaction, transfer};
use chain_core::types::{Address, Amount, AssetId, ChainId, Height};
use chain_node::data_dir::{DataDir, ValidatorSeed, make_private_dir};
use genesis::accounts::{AccountsFile, DevAccount};
use genesis::preset::FUNDS;
use genesis::{BalanceSpec, ChainSpec, Format, Scalar, ValidatorSpec};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, RngExt, SeedableRng};
use std::path::Path;
use std::time::Duration;

/// The parameters of the official figures.
pub const SPEC: &str = include_str!("../bench-chain.toml");
/// Far above the minimum fee of a transfer, in base units.
const FEE: Amount = Amount::new(10_000);
/// Accounts named in accounts.json: the node's banner wants a few.
const NAMED: usize = 10;

/// A chain before its first block, with the keys of those who will send.
pub struct BenchChain {
    /// What the node is told.
    pub spec: ChainSpec,
    /// The same in canonical form.
    pub genesis: Genesis,
    /// The validators' seeds; there is at least one.
    validators: Vec<[u8; 32]>,
    /// Keys of the funded accounts that send.
    pub senders: Vec<SecretKey>,
    /// All funded accounts, senders first. The others have no known key.
    pub accounts: Vec<Address>,
    named: Vec<DevAccount>,
}

impl BenchChain {
    /// Draws keys and puts a chain of so many validators (1 at least), with so many senders among so many
    /// accounts, together.
    pub fn draw(validators: usize, senders: usize, accounts: usize) -> Result<Self> {
        let mut random = StdRng::try_from_rng(&mut SysRng)?;
        let mut draw = || {
            let mut bytes = [0; 32];
            random.fill_bytes(&mut bytes);
            bytes
        };
        let validators: Vec<[u8; 32]> = (0..validators.max(1)).map(|_| draw()).collect();
        let seeds: Vec<[u8; 32]> = (0..senders).map(|_| draw()).collect();
        let named = seeds.iter().take(NAMED).enumerate();
        let named = named.map(|(i, seed)| DevAccount::from_seed(format!("dev{i}"), seed)).collect();
        let senders: Vec<SecretKey> = seeds.iter().map(SecretKey::from_seed).collect();
        let mut accounts_: Vec<Address> = senders.iter().map(|key| Address::of_key(&key.public())).collect();
        accounts_.resize_with(accounts.max(senders.len()), || Address::from_bytes(draw()));
        let spec = spec(&validators, &accounts_)?;
        let genesis = compile(&spec)?;
        Ok(Self { spec, genesis, validators, senders, accounts: accounts_, named })
    }

    /// The same chain with another time between blocks, with and without transactions.
    pub fn with_block_time(mut self, block_time: Duration) -> Result<Self> {
        for name in ["block_time_ms", "empty_block_interval_ms"] {
            self.spec.params.0.insert(name.into(), serde_json::json!(block_time.as_millis() as u64));
        }
        self.genesis = compile(&self.spec)?;
        Ok(self)
    }

    /// The key of the first validator.
    pub fn validator(&self) -> SecretKey {
        SecretKey::from_seed(&self.validators.first().copied().unwrap_or_default())
    }

    /// How many validators there are.
    pub fn validator_count(&self) -> usize {
        self.validators.len()
    }

    /// Makes a node's data directory: of a validator by its number, of a follower for any other.
    pub fn write_node(&self, dir: &Path, number: usize) -> Result<()> {
        let key = self.validators.get(number).map(ValidatorSeed::Unused);
        Ok(DataDir::new(dir).create(&self.spec.to_json()?, &self.genesis.chain_id(), key)?)
    }

    /// Writes the directory of a devnet of one validator with this chain, as `chain-node devnet run` continues one.
    pub fn write(&self, dir: &Path) -> Result<()> {
        make_private_dir(dir)?;
        std::fs::write(dir.join("genesis.json"), self.spec.to_json()?)?;
        AccountsFile(self.named.clone()).write_new(&dir.join("accounts.json"))?;
        self.write_node(&dir.join("node-0"), 0)
    }

    /// Signs transfers of one unit, on two threads: sender after sender in turn, each to a random
    /// account. The transfer at place i has the nonce i / senders.
    pub fn sign_transfers(&self, count: usize) -> Result<Vec<Vec<u8>>> {
        let half = count / 2;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.sign_range(half..count));
            let mut signed = self.sign_range(0..half)?;
            signed.extend(other.join().map_err(|_| "a signing thread panicked")??);
            Ok(signed)
        })
    }

    fn sign_range(&self, range: std::ops::Range<usize>) -> Result<Vec<Vec<u8>>> {
        let (mut random, chain) = (StdRng::try_from_rng(&mut SysRng)?, self.genesis.chain_id());
        let sign = |place: usize| {
            let (sender, nonce) = (place % self.senders.len(), (place / self.senders.len()) as u64);
            let to = self.accounts[random.random_range(0..self.accounts.len())];
            transfer(&chain, &self.senders[sender], nonce, to)
        };
        range.map(sign).collect()
    }
}

/// A signed transfer of one base unit.
pub fn transfer(chain: &ChainId, key: &SecretKey, nonce: u64, to: Address) -> Result<Vec<u8>> {
    let (asset, amount, memo) = (AssetId::NATIVE, Amount::new(1), Default::default());
    let action = Action::Transfer(transfer::Action::Transfer { to, asset, amount, memo });
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain_tag: chain.tag(),
        sender: Address::of_key(&key.public()),
        nonce,
        fee_payer: None,
        fee: FEE,
        valid_until: Height::ZERO,
        actions: List::new(vec![action])?,
    };
    Ok(codec::encode(&transaction.sign(chain, key)))
}

fn spec(validators: &[[u8; 32]], accounts: &[Address]) -> Result<ChainSpec> {
    let mut spec = ChainSpec::parse(SPEC, Format::Toml)?;
    spec.genesis_time = Scalar::Number(chain_node::driver::wall_clock().get());
    spec.draw_salt()?;
    let public_key = |seed| SecretKey::from_seed(seed).public().to_string();
    let validator = |seed| ValidatorSpec {
        name: None,
        public_key: public_key(seed),
        weight: Scalar::Number(1),
        stake: None,
        commission_bps: None,
    };
    spec.validators = validators.iter().map(validator).collect();
    let funds = |address: &Address| BalanceSpec { address: address.to_string(), amounts: vec![FUNDS.into()] };
    spec.balances = accounts.iter().map(funds).collect();
    Ok(spec)
}

fn compile(spec: &ChainSpec) -> Result<Genesis> {
    Ok(spec.compile().map_err(|problems| format!("bench-chain.toml: {problems:?}"))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chain_core::tx::check_many;
    use chain_core::types::TimestampMs;
    use genesis::preset::{Facts, bench};

    #[test]
    fn the_file_and_the_preset_are_the_same_chain() {
        let facts = Facts { validators: &[], accounts: &[], now: TimestampMs::new(0), salt: [0; 32] };
        let (file, preset) = (ChainSpec::parse(SPEC, Format::Toml).unwrap(), bench(facts).unwrap());
        let params = |mut spec: ChainSpec| {
            let public_key = SecretKey::from_seed(&[1; 32]).public().to_string();
            spec.validators = vec![ValidatorSpec {
                name: None,
                public_key,
                weight: Scalar::Number(1),
                stake: None,
                commission_bps: None,
            }];
            spec.salt = Some(format!("0x{}", "00".repeat(32)));
            spec.compile().unwrap().params
        };
        assert_eq!(params(file), params(preset));
    }

    #[test]
    fn every_transfer_is_signed_for_the_chain_and_nonces_rise_by_one() {
        let chain = BenchChain::draw(1, 3, 5).unwrap();
        let signed = chain.sign_transfers(7).unwrap();
        let checked = check_many(&chain.genesis.chain_id(), &signed);
        let nonces: Vec<u64> = checked.into_iter().map(|tx| tx.unwrap().transaction().nonce).collect();
        assert_eq!(nonces, [0, 0, 0, 1, 1, 1, 2]);
    }
}
