//! The human form as a whole: one chain id however it is written, every check with its message,
//! random specs, hostile texts.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::preset::{self, Facts};
use crate::*;
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::genesis::{ConsensusMode, Genesis};
use chain_core::state::money;
use chain_core::types::{Address, Amount, ModuleAccount, QuorumRule, TimestampMs};
use proptest::prelude::*;

mod stakes;

const TOML: &str = r#"
# A comment.
name = "sample"
genesis_time = 2026-01-31T12:00:00Z
salt = "0x0707070707070707070707070707070707070707070707070707070707070707"
stake_asset = "STK"

[params]
block_time_ms = "1s"
empty_block_interval_ms = 5000
max_block_bytes = 4194304
max_block_weight = "25000000"
max_block_txs = 20000
min_fee_per_1000_weight = 36
burn_bps = 5000
account_fee = "36"
asset_fee = "36000"
epoch_blocks = 100
proposal_ttl_s = "7d"
delay_blocks = 10
retention_s = "7d"
evidence_window_blocks = 302400
absence_jail_turns = 1000
max_active_validators = 100
min_validator_stake = "1000000000000000000000"
weight_exponent = 18
weight_cap_bps = 3300
unbonding_s = "7d"
issuance_per_block = "0"
slash_equivocation_bps = 500
slash_reporter_bps = 500

[roles]
curator = "ADDRESS1"

[[assets]]
symbol = "AIT"
units_per_token = 3600
max_supply = "1000000000AIT"

[[assets]]
symbol = "STK"
units_per_token = 1000000000000000000
max_supply = "1000000000000000000000000000000"
minter = "ADDRESS1"

[[validators]]
name = "left"
public_key = "KEY1"

[[validators]]
name = "right"
public_key = "KEY2"
weight = 1

[[balances]]
address = "ADDRESS1"
amounts = ["5000000AIT", "1.5STK"]

[[balances]]
address = "ADDRESS2"
amounts = ["1/3600AIT"]
"#;

const JSON: &str = r#"{
  "balances": [
    {"amounts": ["0.50STK"], "address": "ADDRESS2"},
    {"amounts": ["1500000000000000000/1000000000000000000STK"], "address": "ADDRESS1"},
    {"address": "ADDRESS1", "amounts": ["18000000000/3600AIT"]}
  ],
  "validators": [{"public_key": "KEY2"}, {"weight": "1", "public_key": "KEY1"}],
  "assets": [
    {"max_supply": 3600000000000, "units_per_token": "3600", "symbol": "AIT"},
    {"minter": "ADDRESS1", "max_supply": "1000000000000STK", "units_per_token": 1000000000000000000, "symbol": "STK"}
  ],
  "params": {"block_time_ms": 1000, "empty_block_interval_ms": "5000ms"},
  "consensus_mode": "poa", "quorum_rule": "byzantine", "stake_asset": "STK",
  "roles": {"curator": "ADDRESS1"},
  "salt": "0x0707070707070707070707070707070707070707070707070707070707070707",
  "genesis_time": 1769860800000, "name": "sample"
}"#;

fn key(byte: u8) -> PublicKey {
    SecretKey::from_seed(&[byte; 32]).public()
}

fn address(byte: u8) -> Address {
    Address::of_key(&key(byte))
}

fn fill(text: &str) -> String {
    let mut text = text.to_string();
    for n in 1..=2u8 {
        text = text.replace(&format!("KEY{n}"), &key(n).to_string());
        text = text.replace(&format!("ADDRESS{n}"), &address(10 + n).to_string());
    }
    text
}

fn read(text: &str) -> ChainSpec {
    let text = fill(text);
    ChainSpec::parse(&text, Format::of_text(&text)).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn id(spec: &ChainSpec) -> String {
    spec.compile().unwrap().chain_id().to_string()
}

fn problems(spec: &ChainSpec) -> Vec<String> {
    spec.compile().unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn one_chain_however_it_is_written() {
    let toml = read(TOML);
    let json = read(&JSON.replace("0.50STK", "1/3600AIT"));
    assert_eq!(toml.compile().unwrap(), json.compile().unwrap());
    let shown = ChainSpec::from_genesis(&toml.compile().unwrap()).unwrap();
    assert_eq!(id(&shown), id(&toml));
    let printed = shown.to_json().unwrap();
    assert_eq!(ChainSpec::parse(&printed, Format::Json).unwrap(), shown);
    assert_eq!(ChainSpec::parse(&toml::to_string(&shown).unwrap(), Format::Toml).unwrap(), shown);
}

#[test]
fn any_other_value_is_another_chain() {
    let mut ids = std::collections::BTreeSet::from([id(&read(TOML)), id(&read(JSON))]);
    let changes = [
        ("\"sample\"", "\"simple\""),
        ("12:00:00Z", "12:00:01Z"),
        ("0x07", "0x08"),
        ("name = \"sample\"", "name = \"sample\"\nquorum_rule = \"crash\""),
        ("stake_asset = \"STK\"", "stake_asset = \"AIT\""),
        ("\"1s\"", "\"2s\""),
        ("burn_bps = 5000", "burn_bps = 5001"),
        ("\"1000000000AIT\"", "\"1000000001AIT\""),
        ("minter = \"ADDRESS1\"", "minter = \"ADDRESS2\""),
        ("minter = \"ADDRESS1\"", ""),
        ("weight = 1", "weight = 2"),
        ("curator", "slasher"),
        ("curator = \"ADDRESS1\"", "curator = \"ADDRESS2\""),
        ("curator = \"ADDRESS1\"", ""),
        ("delay_blocks = 10", "delay_blocks = 1"),
        ("5000000AIT", "5000001AIT"),
        ("1/3600AIT", "2/3600AIT"),
    ];
    for (from, to) in changes {
        assert!(TOML.contains(from));
        assert!(ids.insert(id(&read(&TOML.replace(from, to)))), "{from} → {to}");
    }
    // Names of validators are for people.
    assert_eq!(id(&read(&TOML.replace("\"left\"", "\"up\""))), id(&read(TOML)));
}

#[test]
fn frozen_vector() {
    // The sample's parameters are all given but for the market's, so only a new kind of parameter and defaults of
    // the market change this.
    let genesis = read(TOML).compile().unwrap();
    let (tree, header) = genesis.build().unwrap();
    let expected = [
        "0x33165857fa39d8ae8f02e0cca53d9549aed589895eeda44ae3d3ce1462649b13",
        "0x9ff60737ef585699288ed5fc39910e942cb421638a609fe349bc39cea4daf110",
        "0x994ea10de27b3d286b52e8d1411b8f4cdc8381bbf3955e6d2afaeca9a276b731",
    ];
    assert_eq!([genesis.chain_id().to_string(), tree.root().to_string(), header.id().to_string()], expected);
}

#[test]
fn parameters_of_the_market_are_a_table_of_their_own() {
    let with = |market: &str| read(&format!("{TOML}\n[params.market]\n{market}\n")).compile();
    let params = with("window_s = \"1m\"\nfee_bps = 250").unwrap().params;
    assert_eq!((params.market.window_s, params.market.fee_bps), (60, 250));
    assert_eq!(params.market.rate, 2_000);
    assert!(with("window_s = 9").is_err());
    assert!(with("window = 60").is_err());
}

#[test]
fn each_check_says_what_is_wrong_and_where() {
    let zero = Address::default().to_string();
    let escrow = ModuleAccount::Escrow.address().to_string();
    let cases: &[(&str, &str, &str)] = &[
        ("name = \"sample\"", "name = \"\"", "name: the chain needs a name"),
        ("\"sample\"", "\"a\\u0007\"", "name: malformed: control character in a text"),
        ("2026-01-31T12:00:00Z", "2026-01-31", "genesis_time: '2026-01-31' is not a time; write"),
        ("2026-01-31T12:00:00Z", "\"soon\"", "genesis_time: 'soon' is not a time"),
        ("salt = ", "# salt = ", "salt: must be drawn once"),
        ("0x07", "0x7", "salt: expected 0x followed by 64 lower-case hex digits"),
        ("stake_asset = \"STK\"", "stake_asset = \"NAT\"", "stake_asset: 'NAT' is not the symbol of one of the assets"),
        (
            "weight = 1",
            "stake = \"1000STK\"",
            "consensus_mode: in mode poa nobody has a stake; the mode must be pos or hybrid",
        ),
        ("burn_bps = 5000", "burn_bps = 10001", "params.burn_bps: burn_bps is 10001; it must be between 0 and 10000"),
        ("burn_bps = 5000", "burn_bps = -1", "params.burn_bps: invalid value: integer `-1`, expected u16"),
        ("burn_bps = 5000", "burned = 1", "params.burned: unknown field `burned`, expected one of"),
        ("\"1s\"", "\"1 second\"", "params.block_time_ms: '1 second' is not a duration"),
        ("\"1s\"", "\"1ms\"", "params.block_time_ms: block_time_ms is 1; it must be between 50 and"),
        (
            "\"1s\"",
            "\"6s\"",
            "params.empty_block_interval_ms: empty_block_interval_ms is 5000; it must be between 6000",
        ),
        ("\"1s\"", "\"9999d\"", "params.block_time_ms: invalid value"),
        ("account_fee = \"36\"", "account_fee = \"1AIT\"", "params.account_fee: not a decimal number"),
        ("symbol = \"AIT\"", "symbol = \"ait\"", "assets[0].symbol: 'ait' is not 2 to 12 capital letters and digits"),
        (
            "symbol = \"STK\"",
            "symbol = \"AIT\"\nunits_per_token = 1\nmax_supply = 1\n[[assets]]\nsymbol = \"STK\"",
            "assets[1].symbol: the symbol of asset 1 is already another asset's",
        ),
        (
            "units_per_token = 3600",
            "units_per_token = 0",
            "assets[0].units_per_token: '0' is not a whole number from 1 to 1000",
        ),
        ("units_per_token = 3600", "units_per_token = \"x\"", "assets[0].units_per_token: 'x' is not a whole number"),
        ("\"1000000000AIT\"", "\"1STK\"", "assets[0].max_supply: '1STK' does not end with AIT"),
        ("\"1000000000AIT\"", "0", "assets[0].max_supply: the maximum supply of asset 0 must be 1 to"),
        ("\"1000000000AIT\"", "\"4999999AIT\"", "assets[0].max_supply: the balances of asset 0 sum to 18000000001"),
        ("\"1000000000000000000000000000000\"", "\"1000000000001STK\"", "assets[1].max_supply: the maximum supply"),
        ("minter = \"ADDRESS1\"", "minter = \"me\"", "assets[1].minter: not an address"),
        (
            "minter = \"ADDRESS1\"",
            "minter = \"ESCROW\"",
            "assets[1].minter: the minter of asset 1 is an account nobody",
        ),
        ("curator = \"ADDRESS1\"", "curator = \"me\"", "roles.curator: not an address"),
        ("curator = \"ADDRESS1\"", "curator = \"ESCROW\"", "roles.curator: the curator is an account nobody can sign"),
        ("\"KEY2\"", "\"KEY1\"", "validators[1].public_key: the same key as validators[0]"),
        ("\"KEY2\"", "\"0xZZ\"", "validators[1].public_key: expected 0x followed by 64 lower-case hex digits"),
        ("\"KEY2\"", "\"SMALL\"", "validators[1].public_key: a point has small order"),
        ("weight = 1", "weight = 0", "validators[1].weight: '0' is not a whole number of at least 1"),
        ("weight = 1", "weight = \"18446744073709551616\"", "validators[1].weight: '18446744073709551616' is not"),
        ("weight = 1", "weight = \"1152921504606846976\"", "validators: validator weights must be at least 1 and sum"),
        ("\"left\"", "\"\\n\"", "validators[0].name: malformed: control character in a text"),
        ("address = \"ADDRESS2\"", "address = \"bob\"", "balances[1].address: not an address"),
        ("address = \"ADDRESS2\"", "address = \"ESCROW\"", "balances[1].address: ESCROW is an account nobody can sign"),
        ("address = \"ADDRESS2\"", "address = \"ZERO\"", "balances[1].address: ZERO is an account nobody can sign"),
        (
            "address = \"ADDRESS2\"",
            "address = \"ADDRESS1\"",
            "balances[1].amounts[0]: ADDRESS1 already has this asset in balances[0].amounts[0]",
        ),
        ("1/3600AIT", "1/60AIT", "balances[1].amounts[0]: '1/60AIT' is not a number"),
        ("1/3600AIT", "18000", "balances[1].amounts[0]: '18000' names no asset; write 5AIT"),
        ("1/3600AIT", "5NAT", "balances[1].amounts[0]: 'NAT' is not the symbol of one of the assets"),
        ("1/3600AIT", "0AIT", "balances[1].amounts[0]: the balance of ADDRESS2 in asset 0 is zero"),
        ("1.5STK", "0.0000000000000000001STK", "balances[0].amounts[1]: 0.0000000000000000001STK is not a whole"),
    ];
    let expand = |text: &str| {
        let small = format!("0x{}", "00".repeat(32));
        fill(&text.replace("ESCROW", &escrow).replace("ZERO", &zero).replace("SMALL", &small))
    };
    for (from, to, message) in cases {
        assert!(TOML.contains(from), "{from}");
        let spec = ChainSpec::parse(&expand(&TOML.replacen(from, to, 1)), Format::Toml);
        let problems = problems(&spec.unwrap_or_else(|e| panic!("{to}: {e}")));
        // An asset that is wrong takes the amounts of it along; else it's one problem.
        let asset = from.starts_with("symbol") || from.starts_with("units") || *to == "0";
        assert!(problems.len() == 1 || asset, "{to}: {problems:?}");
        assert!(problems[0].starts_with(&expand(message)), "{to}: {problems:?}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let mut spec = read(TOML);
    spec.salt = Some(spec::RANDOM_SALT.into());
    spec.validators[0].public_key = String::new();
    spec.validators[1].public_key = String::new();
    spec.balances[1].amounts = vec!["x".into(), "1AIT".into(), "-1AIT".into()];
    assert_eq!(problems(&spec).len(), 5);
    let mut spec = read(TOML);
    (spec.name, spec.validators) = (String::new(), vec![]);
    assert_eq!(
        problems(&spec),
        ["name: the chain needs a name", "validators: a validator set needs at least one member"]
    );
}

#[test]
fn the_shape_is_strict() {
    let refused = |text: &str| ChainSpec::parse(&fill(text), Format::of_text(text)).unwrap_err().to_string();
    assert!(
        refused(&TOML.replace("name = \"sample\"", "name = \"sample\"\nsalz = 1")).contains("unknown field `salz`")
    );
    assert!(refused(&TOML.replace("weight = 1", "wait = 1")).contains("unknown field `wait`"));
    assert!(refused(&TOML.replace("weight = 1", "weight = -1")).contains("-1 is negative"));
    assert!(refused(&TOML.replace("weight = 1", "weight = 1.5")).contains("floating point"));
    assert!(refused(&TOML.replace("stake_asset =", "name =")).contains("duplicate key"));
    assert!(refused(&TOML.replace("stake_asset = \"STK\"", "")).contains("missing field `stake_asset`"));
    assert!(
        refused(&JSON.replace("\"quorum_rule\": \"byzantine\"", "\"quorum_rule\": \"two\""))
            .contains("unknown variant `two`")
    );
    let twice = JSON.replace("\"params\": {", "\"params\": {\"block_time_ms\": 2000, ");
    assert!(refused(&twice).contains("the parameter block_time_ms is given twice"));
    assert!(
        refused(&JSON.replace("\"name\": \"sample\"", "\"name\": \"a\", \"name\": \"b\""))
            .contains("duplicate field `name`")
    );
    assert!(refused(&format!("{JSON} x")).contains("trailing characters"));
}

#[test]
fn files_are_read_by_extension_or_content() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.toml", TOML), ("b.json", JSON), ("c", JSON), ("d.txt", TOML)] {
        let path = folder.path().join(name);
        std::fs::write(&path, fill(text)).unwrap();
        assert_eq!(ChainSpec::load(&path).unwrap(), read(text), "{name}");
    }
    let missing = ChainSpec::load(&folder.path().join("none.toml")).unwrap_err();
    assert!(matches!(missing, SpecError::Read(..)));
    let wrong = folder.path().join("e.json");
    std::fs::write(&wrong, fill(TOML)).unwrap();
    assert!(matches!(ChainSpec::load(&wrong), Err(SpecError::Json(_))));
}

#[test]
fn a_salt_is_drawn_once() {
    for salt in [None, Some("random".to_string())] {
        let mut spec = read(TOML);
        spec.salt = salt;
        spec.draw_salt().unwrap();
        let drawn = spec.salt.clone();
        spec.draw_salt().unwrap();
        assert_eq!(spec.salt, drawn);
        assert_ne!(id(&spec), id(&read(TOML)));
    }
}

fn facts<'a>(validators: &'a [PublicKey], accounts: &'a [Address]) -> Facts<'a> {
    Facts { validators, accounts, now: TimestampMs::new(1_769_860_800_000), salt: [9; 32] }
}

#[test]
fn presets_compile_and_fund_their_accounts() {
    let (validators, accounts) = ([1, 2, 3, 4].map(key), [5, 6].map(address));
    let facts = facts(&validators, &accounts);
    for spec in [preset::devnet(facts, 500), preset::testnet(facts, "testnet", 2_000), preset::bench(facts)] {
        let spec = spec.unwrap();
        let (tree, _) = spec.compile().unwrap().build().unwrap();
        for account in &accounts {
            assert_eq!(money::balance(&tree, account, Default::default()).unwrap(), Amount::new(3_600_000_000));
        }
        assert_eq!(notes(&spec.compile().unwrap()), Vec::<String>::new());
    }
    let devnet = preset::devnet(facts, 500).unwrap().compile().unwrap();
    assert_eq!((devnet.params.block_time_ms, devnet.params.empty_block_interval_ms), (500, 500));
    assert_eq!(devnet.supplies()[1], Amount::new(2 * 10u128.pow(24)));
    assert_eq!((devnet.params.market.provider_unbonding_s, devnet.params.market.voting_s), (20, 60));
    let disputes = (devnet.params.market.dispute_respond_s, devnet.params.market.dispute_verdict_s);
    assert_eq!((devnet.params.market.close_window_s, disputes), (30, (60, 120)));
    let named = preset::with_roles(preset::devnet(facts, 500).unwrap(), [5, 6, 7].map(address)).compile().unwrap();
    let roles = [named.roles.curator, named.roles.slasher, named.roles.treasurer];
    assert_eq!(roles, [5, 6, 7].map(|n| Some(address(n))));
    let bench = preset::bench(facts).unwrap().compile().unwrap();
    assert_eq!((bench.params.block_time_ms, bench.params.max_block_bytes), (250, 16 * 1024 * 1024));
    assert!(!preset::devnet(facts, 1).unwrap().compile().unwrap_err().is_empty());
}

#[test]
fn notes_warn_of_small_or_odd_sets() {
    let with = |count: u8, change: fn(&mut Genesis)| {
        let validators: Vec<PublicKey> = (1..=count).map(key).collect();
        let accounts = [address(20)];
        let mut genesis = preset::testnet(facts(&validators, &accounts), "testnet", 2_000).unwrap().compile().unwrap();
        change(&mut genesis);
        notes(&genesis).join("\n")
    };
    assert!(with(1, |_| {}).contains("when it stops, the chain stops"));
    assert!(with(2, |_| {}).contains("2 validators under the byzantine rule: one that stops can stop the chain"));
    assert!(with(3, |_| {}).contains("every block needs all 3"));
    assert_eq!(with(4, |_| {}), "");
    let crash = with(3, |g| g.quorum_rule = QuorumRule::Crash);
    assert!(crash.starts_with("crash rule: survives 1 stopped validators, but not one that equivocates"), "{crash}");
    let heavy = with(4, |g| g.validators[3].weight = 9);
    assert!(heavy.contains("one that stops can stop the chain") && heavy.contains("one vote each"), "{heavy}");
    assert!(with(4, |g| g.balances.clear()).contains("nobody owns the asset that fees are paid in"));
}

#[test]
fn accounts_are_kept_for_their_owner_only() {
    use crate::accounts::{AccountsError, AccountsFile, DevAccount};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.json");
    let file = AccountsFile(vec![DevAccount::from_seed("alice", &[1; 32]), DevAccount::from_seed("bob", &[2; 32])]);
    file.write_new(&path).unwrap();
    assert_eq!(AccountsFile::read(&path).unwrap(), file);
    assert!(matches!(file.write_new(&path), Err(AccountsError::Io(..))), "never overwrites");
    assert_eq!(file.0[0].key().unwrap().public(), key(1));
    assert!(!format!("{file:?}").contains(&file.0[0].secret_key));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = AccountsFile::read(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
    let mut wrong = file.0[0].clone();
    wrong.address = address(2);
    assert!(matches!(wrong.key(), Err(AccountsError::Address(_))));
    for secret in ["", "0x01", &"AB".repeat(32), &"zz".repeat(32), &"ab".repeat(33)] {
        wrong.secret_key = secret.to_string();
        assert!(matches!(wrong.key(), Err(AccountsError::SecretKey(_))), "{secret}");
    }
}

prop_compose! {
    /// Specs that hold every rule, in all sizes.
    fn valid_spec()(
        assets in proptest::collection::vec((1u128..=10u128.pow(24), proptest::bool::ANY), 1..4),
        validators in proptest::collection::btree_map(1u8..200, 1u64..1000, 1..6),
        owners in proptest::collection::btree_map(
            1u8..200, proptest::collection::vec(1u128..10u128.pow(28), 1..4), 0..8,
        ),
        salt: [u8; 32],
        time in 0u64..4_000_000_000_000,
        block_time in 50u32..600_000,
        crash: bool,
        stake: prop::sample::Index,
        mode in prop::sample::select(vec![ConsensusMode::Poa, ConsensusMode::Pos, ConsensusMode::Hybrid]),
        bonded in 10u128.pow(21)..10u128.pow(28),
    ) -> ChainSpec {
        let symbols = ["AIT", "STK", "X9"];
        let count = assets.len();
        let asset = |(i, (units, minter)): (usize, &(u128, bool))| AssetSpec {
            symbol: symbols[i].into(),
            units_per_token: Scalar::Text(units.to_string()),
            max_supply: Scalar::Text(10u128.pow(30).to_string()),
            minter: minter.then(|| address(7).to_string()),
        };
        let balance = |(owner, amounts): (&u8, &Vec<u128>)| BalanceSpec {
            address: address(*owner).to_string(),
            amounts: amounts.iter().zip(&assets).enumerate()
                .map(|(i, (amount, (units, _)))| format!("{amount}/{units}{}", symbols[i])).collect(),
        };
        let params = serde_json::json!({ "block_time_ms": block_time, "empty_block_interval_ms": "10m" });
        ChainSpec {
            name: "random".into(),
            genesis_time: Scalar::Number(time),
            salt: Some(format!("0x{}", hex::encode(salt))),
            quorum_rule: if crash { QuorumRule::Crash } else { QuorumRule::Byzantine },
            consensus_mode: mode,
            stake_asset: symbols[stake.index(count)].into(),
            roles: RoleSpec::default(),
            params: serde_json::from_value(params).unwrap(),
            assets: assets.iter().enumerate().map(asset).collect(),
            validators: validators.iter().map(|(seed, weight)| ValidatorSpec {
                name: None,
                public_key: key(*seed).to_string(),
                weight: Scalar::Number(if mode == ConsensusMode::Poa { *weight } else { 1 }),
                stake: (mode != ConsensusMode::Poa).then(|| {
                    let place = stake.index(count);
                    format!("{}/{}{}", bonded + u128::from(*weight), assets[place].0, symbols[place])
                }),
                commission_bps: None,
            }).collect(),
            balances: owners.iter().map(balance).collect(),
        }
    }
}

/// Texts as a careless or hostile person would put them into a spec.
fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        Just(String::new()),
        Just("0/0AIT".into()),
        Just("0AIT".into()),
        Just(u128::MAX.to_string()),
        Just(format!("{}AIT", u128::MAX)),
        Just("AIT".into()),
        Just("0x".into()),
        Just("9".repeat(60)),
        Just(Address::default().to_string()),
        Just("random".into()),
        Just("9999-12-31T23:59:59.999-23:59".into()),
        Just("99999999999999999d".into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn valid_specs_compile_build_conserve_and_round_trip(spec in valid_spec()) {
        let genesis = spec.compile().unwrap();
        let (tree, header) = genesis.build().unwrap();
        let supplies = money::audit(&tree).unwrap();
        prop_assert!(supplies.iter().all(money::Supply::is_conserved));
        prop_assert_eq!(supplies.iter().map(|s| s.total().unwrap()).collect::<Vec<_>>(), genesis.supplies());
        let decoded = Genesis::decode(&genesis.encode()).unwrap();
        prop_assert_eq!(decoded.build().unwrap().1.id(), header.id());
        let shown = ChainSpec::from_genesis(&genesis).unwrap();
        prop_assert_eq!(&shown.compile().unwrap(), &genesis);
        let printed = ChainSpec::parse(&shown.to_json().unwrap(), Format::Json).unwrap();
        prop_assert_eq!(&printed.compile().unwrap(), &genesis);
        notes(&genesis);
        let mut shuffled = spec.clone();
        shuffled.balances.reverse();
        shuffled.balances.iter_mut().for_each(|balance| balance.amounts.reverse());
        shuffled.validators.reverse();
        prop_assert_eq!(shuffled.compile().unwrap(), genesis);
    }

    #[test]
    fn odd_texts_anywhere_are_answered(
        spec in valid_spec(), texts in proptest::collection::vec(proptest::option::of(odd_text()), 12),
    ) {
        let mut spec = spec;
        let mut texts = texts.into_iter();
        let mut odd = |field: &mut String| if let Some(Some(text)) = texts.next() { *field = text };
        odd(&mut spec.name);
        odd(spec.salt.as_mut().unwrap());
        odd(&mut spec.stake_asset);
        odd(&mut spec.assets[0].symbol);
        for balance in spec.balances.iter_mut().take(2) {
            odd(&mut balance.address);
            odd(&mut balance.amounts[0]);
        }
        odd(&mut spec.validators[0].public_key);
        let mut odd = |field: &mut Scalar| if let Some(Some(text)) = texts.next() { *field = Scalar::Text(text) };
        odd(&mut spec.genesis_time);
        odd(&mut spec.assets[0].units_per_token);
        odd(&mut spec.assets[0].max_supply);
        odd(&mut spec.validators[0].weight);
        if let Ok(genesis) = spec.compile() {
            notes(&genesis);
            genesis.build().unwrap();
            ChainSpec::from_genesis(&genesis).unwrap();
        }
    }

    #[test]
    fn any_text_and_any_bytes_are_answered(text in "\\PC{0,200}", bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
        for base in [fill(TOML), fill(JSON)] {
            let mut damaged = base.into_bytes();
            let place = at.index(damaged.len());
            damaged[place] = byte;
            if let Ok(damaged) = String::from_utf8(damaged) {
                let _ = ChainSpec::parse(&damaged, Format::of_text(&damaged)).map(|spec| spec.compile());
            }
        }
        let _ = ChainSpec::parse(&text, Format::Toml);
        let _ = ChainSpec::parse(&text, Format::Json);
        let _ = Genesis::decode(&bytes);
        let mut canonical = read(TOML).compile().unwrap().encode();
        let place = at.index(canonical.len());
        canonical[place] = byte;
        if let Ok(genesis) = Genesis::decode(&canonical) {
            prop_assert_eq!(genesis.encode(), canonical);
            genesis.build().unwrap();
        }
    }
}
