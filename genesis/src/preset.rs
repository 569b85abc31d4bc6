//! Ready chain specs: a devnet, a testnet, a chain to measure with. Keys, time and salt come from
//! the caller; nothing secret is derived from anything that could be known.
//!
//! Not here: files and directories of a network (chain-node).

use crate::show::{salt_text, show_params};
use crate::spec::{AssetSpec, BalanceSpec, ChainSpec, RoleSpec, ValidatorSpec};
use crate::text::{Scalar, format_time};
use chain_core::crypto::PublicKey;
use chain_core::fault::Fault;
use chain_core::genesis::ConsensusMode;
use chain_core::limits::{MAX_BLOCK_BYTES, MAX_BLOCK_TXS};
use chain_core::state::Params;
use chain_core::state::market::MarketParams;
use chain_core::types::{Address, Amount, QuorumRule, TimestampMs};

/// What a funded account owns of the native asset: 1,000,000 AIT (3.6·10⁹ base units).
pub const FUNDS: &str = "1000000AIT";
/// What a funded account of a devnet or testnet owns of the stake asset (10²⁴ base units).
pub const STAKE_FUNDS: &str = "1000000STK";
/// What a validator of a preset with stake has bonded.
pub const VALIDATOR_STAKE: &str = "100000STK";
/// Blocks of an epoch of a devnet.
pub const DEVNET_EPOCH_BLOCKS: u32 = 5;
/// How long evidence counts on a devnet with stake, in blocks.
pub const DEVNET_WINDOW_BLOCKS: u32 = 100;
/// How long stake unbonds on a devnet with stake and bonds of providers on every devnet, in seconds.
pub const DEVNET_UNBONDING_S: u32 = 20;
/// How long acknowledgements can be redeemed on a devnet once a job is over, in seconds: the least there can be.
pub const DEVNET_CLOSE_S: u32 = 30;
/// How long a dispute can be answered on a devnet, in seconds, the least there can be; for a verdict there is twice
/// that time.
pub const DEVNET_DISPUTE_S: u32 = 60;
/// How long votes on a model are taken on a devnet, in seconds: the least there can be.
pub const DEVNET_VOTING_S: u32 = 60;
/// Block time of the measuring preset, in ms.
pub const BENCH_BLOCK_TIME_MS: u32 = 250;
/// Bound of the weight of a block of the measuring preset: so high that the bytes bind first.
pub const BENCH_BLOCK_WEIGHT: u64 = 10u64.pow(12);

/// Who and when; what every preset needs.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The validators, of weight 1 each.
    pub validators: &'a [PublicKey],
    /// The accounts to fund.
    pub accounts: &'a [Address],
    /// When height 1 starts.
    pub now: TimestampMs,
    /// Freshly drawn.
    pub salt: [u8; 32],
}

/// A chain to develop on: every account owns 1,000,000 AIT and 1,000,000 STK; what the market waits for takes
/// seconds.
pub fn devnet(facts: Facts<'_>, block_time_ms: u32) -> Result<ChainSpec, Fault> {
    spec("devnet", facts, &devnet_params(block_time_ms), &[FUNDS, STAKE_FUNDS])
}

/// A devnet in a mode with stake: what unbonds is free after [`DEVNET_WINDOW_BLOCKS`] and [`DEVNET_UNBONDING_S`].
pub fn staking_devnet(facts: Facts<'_>, block_time_ms: u32, mode: ConsensusMode) -> Result<ChainSpec, Fault> {
    let params = Params {
        evidence_window_blocks: DEVNET_WINDOW_BLOCKS,
        unbonding_s: DEVNET_UNBONDING_S,
        ..devnet_params(block_time_ms)
    };
    Ok(with_stake(spec("devnet", facts, &params, &[FUNDS, STAKE_FUNDS])?, mode))
}

/// The same chain where these accounts curate models, slash providers and keep the treasury.
pub fn with_roles(mut spec: ChainSpec, [curator, slasher, treasurer]: [Address; 3]) -> ChainSpec {
    let named = |account: Address| Some(account.to_string());
    spec.roles = RoleSpec { curator: named(curator), slasher: named(slasher), treasurer: named(treasurer) };
    spec
}

/// On a devnet what the market waits for is over while one looks on.
fn devnet_market() -> MarketParams {
    MarketParams {
        provider_unbonding_s: DEVNET_UNBONDING_S,
        slash_cooldown_s: DEVNET_UNBONDING_S,
        close_window_s: DEVNET_CLOSE_S,
        dispute_respond_s: DEVNET_DISPUTE_S,
        dispute_verdict_s: 2 * DEVNET_DISPUTE_S,
        voting_s: DEVNET_VOTING_S,
        late_s: DEVNET_VOTING_S / 4,
        extend_s: DEVNET_VOTING_S / 2,
        repropose_s: DEVNET_VOTING_S,
        unlock_s: DEVNET_VOTING_S,
        ..MarketParams::default()
    }
}

fn devnet_params(block_time_ms: u32) -> Params {
    Params {
        market: devnet_market(),
        block_time_ms,
        empty_block_interval_ms: block_time_ms,
        epoch_blocks: DEVNET_EPOCH_BLOCKS,
        delay_blocks: 1,
        ..Params::default()
    }
}

/// A chain over several machines to try things on: as a devnet, under a name of its own.
pub fn testnet(facts: Facts<'_>, name: &str, block_time_ms: u32) -> Result<ChainSpec, Fault> {
    let params = Params { block_time_ms, empty_block_interval_ms: block_time_ms, ..Params::default() };
    spec(name, facts, &params, &[FUNDS, STAKE_FUNDS])
}

/// A chain to measure with: a block every 250 ms, of up to 16 MiB.
pub fn bench(facts: Facts<'_>) -> Result<ChainSpec, Fault> {
    let params = Params {
        block_time_ms: BENCH_BLOCK_TIME_MS,
        empty_block_interval_ms: BENCH_BLOCK_TIME_MS,
        max_block_bytes: MAX_BLOCK_BYTES as u32,
        max_block_weight: BENCH_BLOCK_WEIGHT,
        max_block_txs: MAX_BLOCK_TXS as u32,
        ..Params::default()
    };
    spec("bench", facts, &params, &[FUNDS])
}

/// The same chain in a mode with stake: each validator has bonded [`VALIDATOR_STAKE`], without commission.
pub fn with_stake(mut spec: ChainSpec, mode: ConsensusMode) -> ChainSpec {
    spec.consensus_mode = mode;
    spec.validators.iter_mut().for_each(|validator| validator.stake = Some(VALIDATOR_STAKE.into()));
    spec
}

fn spec(name: &str, facts: Facts<'_>, params: &Params, funds: &[&str]) -> Result<ChainSpec, Fault> {
    let amounts: Vec<String> = funds.iter().map(|amount| amount.to_string()).collect();
    let fund = |address: &Address| BalanceSpec { address: address.to_string(), amounts: amounts.clone() };
    Ok(ChainSpec {
        name: name.into(),
        genesis_time: Scalar::Text(format_time(facts.now)),
        salt: Some(salt_text(&facts.salt)),
        quorum_rule: QuorumRule::Byzantine,
        consensus_mode: ConsensusMode::Poa,
        stake_asset: "STK".into(),
        params: show_params(params)?,
        roles: RoleSpec::default(),
        assets: vec![native(), stake()],
        validators: facts.validators.iter().enumerate().map(validator).collect(),
        balances: facts.accounts.iter().map(fund).collect(),
    })
}

/// AIT: one compute-second per base unit, 3600 in a token.
fn native() -> AssetSpec {
    let max_supply = Scalar::from("1000000000000AIT");
    AssetSpec { symbol: "AIT".into(), units_per_token: Scalar::Number(3_600), max_supply, minter: None }
}

/// STK: 18 decimals, as many as an amount can hold.
fn stake() -> AssetSpec {
    AssetSpec {
        symbol: "STK".into(),
        units_per_token: Scalar::Number(10u64.pow(18)),
        max_supply: Scalar::Text(Amount::MAX_SUPPLY.to_string()),
        minter: None,
    }
}

fn validator((index, key): (usize, &PublicKey)) -> ValidatorSpec {
    let name = format!("validator-{}", index + 1);
    let (public_key, weight) = (key.to_string(), Scalar::Number(1));
    ValidatorSpec { name: Some(name), public_key, weight, stake: None, commission_bps: None }
}
