//! Rules of the canonical genesis, one by one; what its state and block 0 hold.
//!
//! Not here: the frozen vector, which starts from the human form (crate `genesis`).

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::crypto::SecretKey;
use crate::state::params;
use crate::types::ModuleAccount;

type Spoil = Box<dyn Fn(&mut Genesis)>;
type Expected = fn(&GenesisError) -> bool;

fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 32])
}

fn balance(byte: u8, asset: u32, amount: u128) -> GenesisBalance {
    GenesisBalance { address: address(byte), asset: AssetId::new(asset), amount: Amount::new(amount) }
}

fn asset(symbol: &str, units: u128, max: u128) -> GenesisAsset {
    let symbol = Symbol::new(symbol).unwrap();
    GenesisAsset { symbol, units_per_token: Amount::new(units), max_supply: Amount::new(max), minter: None }
}

fn first_stake(seed: u8, tokens: u128) -> FirstStake {
    let validator = SecretKey::from_seed(&[seed; 32]).public();
    FirstStake { validator, amount: Amount::new(tokens * 10u128.pow(18)), commission_bps: 1_000 }
}

/// A genesis at its bounds: one unit more of STK would be too much.
fn sample() -> Genesis {
    let mut keys = [1, 2, 3, 4].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
    keys.sort();
    Genesis {
        version: GENESIS_VERSION,
        name: Text::new("sample").unwrap(),
        genesis_time: TimestampMs::new(1_769_860_800_000),
        salt: [7; 32],
        quorum_rule: QuorumRule::Byzantine,
        mode: ConsensusMode::Poa,
        params: Params::default(),
        assets: vec![asset("AIT", 3_600, 1_000_000), asset("STK", 10u128.pow(18), MAX_AMOUNT)],
        stake_asset: AssetId::new(1),
        roles: Default::default(),
        validators: keys.map(|public_key| Validator { public_key, weight: 1 }).to_vec(),
        stakes: vec![],
        balances: vec![balance(1, 0, 999_000), balance(1, 1, MAX_AMOUNT - 1), balance(2, 0, 1_000), balance(3, 1, 1)],
    }
}

#[test]
fn the_sample_holds_every_rule_and_its_bytes_are_read_back() {
    let genesis = sample();
    assert_eq!(genesis.problems(), []);
    let bytes = genesis.encode();
    assert_eq!(Genesis::decode(&bytes).unwrap(), genesis);
    for cut in 0..bytes.len() {
        assert!(Genesis::decode(&bytes[..cut]).is_err());
    }
    assert_eq!(Genesis::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::TrailingBytes.into()));
    assert_eq!(Genesis::decode(&[3, 9, 9]), Err(GenesisError::Version(3)));
}

#[test]
fn each_rule_is_enforced_by_check_decode_and_build() {
    use GenesisError as E;
    let stop = |spoil: fn(&mut Genesis)| -> Spoil { Box::new(spoil) };
    let cases: Vec<(Spoil, Expected)> = vec![
        (stop(|g| g.version = 3), |e| matches!(e, E::Version(3))),
        (stop(|g| g.name = Text::default()), |e| *e == E::NoName),
        (stop(|g| g.genesis_time = MAX_GENESIS_TIME.saturating_add(1)), |e| matches!(e, E::Time(_))),
        (stop(|g| g.mode = ConsensusMode::Pos), |e| matches!(e, E::StakeMissing(_))),
        (stop(|g| g.stakes = vec![first_stake(1, 1)]), |e| *e == E::StakeMode),
        (stop(|g| g.params.block_time_ms = 1), |e| matches!(e, E::Param(p) if p.0.name == "block_time_ms")),
        (stop(|g| g.roles.slasher = Some(Address::default())), |e| *e == E::Role(Role::Slasher)),
        (stop(|g| g.roles.treasurer = Some(ModuleAccount::Escrow.address())), |e| *e == E::Role(Role::Treasurer)),
        (stop(|g| g.assets.clear()), |e| *e == E::NoAssets),
        (stop(|g| g.assets[0].symbol = Text::new("ait").unwrap()), |e| *e == E::Symbol(AssetId::new(0))),
        (stop(|g| g.assets[1].symbol = Text::new("AIT").unwrap()), |e| *e == E::SymbolTwice(AssetId::new(1))),
        (stop(|g| g.assets[0].units_per_token = Amount::ZERO), |e| *e == E::UnitsPerToken(AssetId::new(0))),
        (stop(|g| g.assets[0].units_per_token = Amount::new(MAX_UNITS_PER_TOKEN + 1)), |e| {
            *e == E::UnitsPerToken(AssetId::new(0))
        }),
        (stop(|g| g.assets[1].max_supply = Amount::new(MAX_AMOUNT + 1)), |e| *e == E::MaxSupply(AssetId::new(1))),
        (stop(|g| g.assets[1].minter = Some(ModuleAccount::Treasury.address())), |e| *e == E::Minter(AssetId::new(1))),
        (stop(|g| g.balances[3].amount = Amount::new(2)), |e| matches!(e, E::Supply { .. })),
        (stop(|g| g.balances[0].amount = Amount::new(u128::MAX)), |e| matches!(e, E::Supply { .. })),
        (stop(|g| g.stake_asset = AssetId::new(2)), |e| *e == E::StakeAsset(AssetId::new(2))),
        (stop(|g| g.validators.clear()), |e| *e == E::Validators(ValidatorSetError::Empty)),
        (stop(|g| g.validators.swap(0, 1)), |e| matches!(e, E::Validators(ValidatorSetError::Order(_)))),
        (stop(|g| g.validators[2].weight = 0), |e| *e == E::Validators(ValidatorSetError::Weight)),
        (stop(|g| g.validators[0].public_key = PublicKey([0; 32])), |e| {
            matches!(e, E::Validators(ValidatorSetError::Key(_)))
        }),
        (stop(|g| g.balances.swap(1, 2)), |e| matches!(e, E::BalanceOrder(..))),
        (stop(|g| g.balances[2] = g.balances[1]), |e| matches!(e, E::BalanceOrder(..))),
        (stop(|g| g.balances[2].amount = Amount::ZERO), |e| matches!(e, E::BalanceZero(..))),
        (stop(|g| g.balances[3].asset = AssetId::new(7)), |e| matches!(e, E::BalanceAsset(..))),
        (stop(|g| g.balances[0].address = Address::default()), |e| matches!(e, E::BalanceAccount(..))),
        (
            stop(|g| g.balances.push(GenesisBalance { address: ModuleAccount::Escrow.address(), ..g.balances[0] })),
            |e| matches!(e, E::BalanceAccount(..)),
        ),
    ];
    for (number, (spoil, expected)) in cases.iter().enumerate() {
        let mut genesis = sample();
        spoil(&mut genesis);
        let problems = genesis.problems();
        assert!(problems.iter().any(expected), "case {number}: {problems:?}");
        assert_eq!(genesis.check().unwrap_err(), problems[0]);
        assert_eq!(genesis.build().err().unwrap(), problems[0]);
        assert!(Genesis::decode(&genesis.encode()).is_err());
    }
}

/// The sample with stakes of 4000, 3000, 2000 and 1000 tokens.
fn staked(mode: ConsensusMode) -> Genesis {
    let mut genesis = sample();
    genesis.mode = mode;
    genesis.balances.remove(1);
    let stake = |(place, member): (usize, &Validator)| FirstStake {
        validator: member.public_key,
        amount: Amount::new((4 - place as u128) * 10u128.pow(21)),
        commission_bps: 1_000,
    };
    genesis.stakes = genesis.validators.iter().enumerate().map(stake).collect();
    let weights = genesis.stake_weights();
    genesis.validators.iter_mut().for_each(|member| member.weight = weights[&member.public_key]);
    genesis
}

#[test]
fn stakes_are_bonded_and_counted_and_give_the_weights() {
    for (mode, expected) in
        [(ConsensusMode::Pos, [4_000, 3_000, 2_000, 1_000]), (ConsensusMode::Hybrid, [2_911, 2_911, 2_000, 1_000])]
    {
        let genesis = staked(mode);
        assert_eq!(genesis.problems(), []);
        assert_eq!(genesis.validators.iter().map(|v| v.weight).collect::<Vec<_>>(), expected);
        let (tree, _) = genesis.build().unwrap();
        let supply = money::audit(&tree).unwrap().remove(1);
        assert!(supply.is_conserved());
        assert_eq!((supply.in_stakes.get(), supply.in_accounts.get()), (10u128.pow(22), 1));
        let stake = stakes::stake(&tree, &genesis.validators[1].public_key).unwrap().unwrap();
        assert_eq!((stake.id.get(), stake.bonded.shares.get(), stake.commission.bps), (2, 3 * 10u128.pow(21), 1_000));
        assert_eq!(Genesis::decode(&genesis.encode()).unwrap(), genesis);
    }
}

#[test]
fn each_rule_of_stakes_is_enforced() {
    use GenesisError as E;
    let stop = |spoil: fn(&mut Genesis)| -> Spoil { Box::new(spoil) };
    let cases: Vec<(Spoil, Expected)> = vec![
        (stop(|g| g.mode = ConsensusMode::Poa), |e| *e == E::StakeMode),
        (stop(|g| g.stakes.swap(0, 1)), |e| matches!(e, E::StakeOrder(_))),
        (stop(|g| g.stakes[1] = g.stakes[0]), |e| matches!(e, E::StakeOrder(_))),
        (stop(|g| g.stakes.truncate(3)), |e| matches!(e, E::StakeMissing(_))),
        (stop(|g| g.validators.truncate(3)), |e| matches!(e, E::StakeMissing(_))),
        (stop(|g| g.params.max_active_validators = 3), |e| matches!(e, E::StakeMissing(_))),
        (stop(|g| g.stakes[3].amount = Amount::new(10u128.pow(21) - 1)), |e| matches!(e, E::StakeBelowMinimum(_))),
        (stop(|g| g.stakes[3].commission_bps = 10_001), |e| matches!(e, E::StakeCommission(_))),
        (stop(|g| g.validators[0].weight += 1), |e| matches!(e, E::StakeWeight(_, 4_000))),
        (stop(|g| g.stakes[0].amount = Amount::MAX_SUPPLY), |e| matches!(e, E::Supply { .. })),
        (stop(|g| g.stakes[0].amount = Amount::new(u128::MAX)), |e| matches!(e, E::Supply { .. })),
    ];
    for (number, (spoil, expected)) in cases.iter().enumerate() {
        let mut genesis = staked(ConsensusMode::Pos);
        spoil(&mut genesis);
        let problems = genesis.problems();
        assert!(problems.iter().any(expected), "case {number}: {problems:?}");
        assert!(genesis.build().is_err() && Genesis::decode(&genesis.encode()).is_err());
    }
}

#[test]
fn a_genesis_is_bounded() {
    let mut genesis = sample();
    let account = |i: u32| {
        let mut bytes = [1; 32];
        bytes[..4].copy_from_slice(&(i + 1).to_be_bytes());
        GenesisBalance { address: Address::from_bytes(bytes), asset: AssetId::NATIVE, amount: Amount::new(1) }
    };
    genesis.balances = (0..(MAX_GENESIS_BYTES / 52) as u32).map(account).collect();
    assert!(matches!(genesis.check(), Err(GenesisError::TooLong(_))));
    assert!(matches!(Genesis::decode(&genesis.encode()), Err(GenesisError::Decode(DecodeError::TooLong { .. }))));
}

#[test]
fn the_state_holds_what_the_genesis_says_and_nothing_else() {
    let genesis = sample();
    let (tree, header) = genesis.build().unwrap();
    // Parameters, validators with their roster and a record each, protocol, the market, the next asset's number,
    // two assets and symbols, two native accounts, two stake balances.
    assert_eq!(tree.len(), 1 + 2 + genesis.validators.len() + 1 + 1 + 1 + 2 + 2 + 2 + 2);
    assert_eq!(params(&tree).unwrap(), genesis.params);
    for GenesisBalance { address, asset, amount } in &genesis.balances {
        assert_eq!(money::balance(&tree, address, *asset).unwrap(), *amount);
    }
    assert_eq!(crate::state::money::SYMBOLS.get(&tree, &Symbol::new("STK").unwrap()).unwrap(), Some(AssetId::new(1)));
    let supplies = money::audit(&tree).unwrap();
    assert_eq!(supplies.len(), 2);
    assert!(supplies.iter().all(money::Supply::is_conserved));
    assert_eq!(supplies[1].in_accounts, Amount::MAX_SUPPLY);
    let set = genesis.validator_set().unwrap();
    assert_eq!(crate::state::validators::next_set(&tree).unwrap(), set);
    assert_eq!(header.validators_hash, set.hash(&genesis.chain_id()));
    assert_eq!((header.state_root, header.height, header.view), (tree.root(), Height::ZERO, View::ZERO));
    assert_eq!((header.chain_id, header.timestamp_ms), (genesis.chain_id(), genesis.genesis_time));
}

#[test]
fn every_value_changes_the_chain_id() {
    let changes: [fn(&mut Genesis); 14] = [
        |g| g.name = Text::new("other").unwrap(),
        |g| g.genesis_time = g.genesis_time.saturating_add(1),
        |g| g.salt[31] ^= 1,
        |g| g.quorum_rule = QuorumRule::Crash,
        |g| g.mode = ConsensusMode::Pos,
        |g| g.stakes.push(first_stake(1, 1)),
        |g| g.params.burn_bps += 1,
        |g| g.assets[0].max_supply = Amount::new(1_000_001),
        |g| g.assets[1].minter = Some(address(9)),
        |g| g.stake_asset = AssetId::NATIVE,
        |g| g.validators[0].weight = 2,
        |g| g.validators.truncate(3),
        |g| g.balances[0].amount = Amount::new(998_999),
        |g| g.balances.truncate(3),
    ];
    let mut seen = BTreeSet::from([sample().chain_id()]);
    for change in changes {
        let mut genesis = sample();
        change(&mut genesis);
        assert!(seen.insert(genesis.chain_id()));
    }
}

#[test]
fn mode_names() {
    for mode in [ConsensusMode::Poa, ConsensusMode::Pos, ConsensusMode::Hybrid] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
    }
    assert!("PoA".parse::<ConsensusMode>().is_err());
}
