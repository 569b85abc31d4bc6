//! Specs with stake: what follows from it, and what is wrong with one.

use super::*;

/// The sample with stake: 5,000 and 2,500 tokens.
fn staked(mode: &str) -> String {
    TOML.replace("stake_asset = \"STK\"", &format!("stake_asset = \"STK\"\nconsensus_mode = \"{mode}\""))
        .replace("name = \"left\"", "name = \"left\"\nstake = \"5000STK\"")
        .replace("weight = 1", "stake = \"2500.5STK\"\ncommission_bps = 250")
}

#[test]
fn with_stake_weights_follow_from_it_and_it_counts_as_minted() {
    let genesis = read(&staked("pos")).compile().unwrap();
    let weight = |genesis: &Genesis, n| genesis.validators.iter().find(|v| v.public_key == key(n)).unwrap().weight;
    assert_eq!((weight(&genesis, 1), weight(&genesis, 2)), (5_000, 2_500));
    let (tree, _) = genesis.build().unwrap();
    let supply = money::audit(&tree).unwrap().remove(1);
    assert_eq!(supply.in_stakes, Amount::new(75_005 * 10u128.pow(17)));
    assert_eq!(Some(supply.asset.minted), supply.total());
    let shown = ChainSpec::from_genesis(&genesis).unwrap();
    assert_eq!(shown.validators.iter().map(|v| v.commission_bps.unwrap()).sum::<u16>(), 250);
    assert_eq!(shown.compile().unwrap(), genesis);
    // Two can't both be below a half.
    let hybrid = read(&staked("hybrid")).compile().unwrap();
    assert_eq!((weight(&hybrid, 1), weight(&hybrid, 2)), (2_500, 2_500));
    assert_ne!(hybrid.chain_id(), genesis.chain_id());
    let changes = [
        ("5000STK", "5001STK"),
        ("2500.5STK", "2500.4STK"),
        ("= 250", "= 251"),
        ("weight_exponent = 18", "weight_exponent = 17"),
    ];
    for (from, to) in changes {
        assert_ne!(id(&read(&staked("pos").replace(from, to))), id(&read(&staked("pos"))), "{from} → {to}");
    }
}

#[test]
fn what_is_wrong_with_a_stake() {
    let cases = [
        ("\nstake = \"5000STK\"", "", "validators: in this mode the first validators are those that have a stake"),
        ("\"5000STK\"", "\"999.9STK\"", "validators[0].stake: the stake of validator 0x"),
        ("\"5000STK\"", "\"5000AIT\"", "validators[0].stake: '5000AIT' does not end with STK"),
        ("\"5000STK\"", "\"5000STK\"\nweight = 7", "validators[0].weight: the weight of validator 0x"),
        ("= 250", "= 10001", "validators[1].commission_bps: the commission of validator 0x"),
        ("\"5000STK\"", "\"1000000000000STK\"", "assets[1].max_supply: the balances of asset 1 sum to"),
    ];
    for (from, to, message) in cases {
        let text = staked("pos");
        assert!(text.contains(from), "{from}");
        let found = problems(&read(&text.replacen(from, to, 1)));
        assert!(found.iter().any(|problem| problem.starts_with(message)), "{from} → {to}: {found:?}");
    }
}

#[test]
fn a_preset_with_stake_compiles() {
    let (validators, accounts) = ([key(1), key(2), key(3), key(4)], [address(9)]);
    let facts = Facts { validators: &validators, accounts: &accounts, now: TimestampMs::new(1), salt: [7; 32] };
    for mode in [ConsensusMode::Pos, ConsensusMode::Hybrid] {
        let genesis = preset::with_stake(preset::devnet(facts, 500).unwrap(), mode).compile().unwrap();
        assert!(genesis.validators.iter().all(|validator| validator.weight == 100_000));
        genesis.build().unwrap();
    }
}
