//! What holds for every family, by going through `FAMILIES`.

use super::arbitrary::{Wish, busy_chain, market_action, wish};
use super::*;
use crate::block::Verdict;
use crate::codec;
use crate::state::{ACCOUNTS, RowKey, Tree, money};
use crate::testing::{FEE, PROPOSER, TestChain, address, ait, check, checked, pay, sign, transaction};
use crate::types::{AssetId, Token};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn all_examples() -> Vec<Action> {
    FAMILIES.iter().flat_map(|family| (family.examples)()).collect()
}

#[test]
fn numbers_and_names_are_unique() {
    let families: BTreeSet<_> = FAMILIES.iter().map(|family| family.number).collect();
    assert_eq!(families.len(), FAMILIES.len());
    assert!(!families.contains(&0));
    let actions =
        || FAMILIES.iter().flat_map(|family| family.actions.iter().map(|(n, name)| (family.number, *n, *name)));
    let names: BTreeSet<_> = actions().map(|(.., name)| name).collect();
    let numbers: BTreeSet<_> = actions().map(|(family, action, _)| (family, action)).collect();
    assert_eq!((names.len(), numbers.len()), (actions().count(), actions().count()));
}

#[test]
fn rejections_are_unique_and_in_their_range() {
    let numbers: BTreeSet<_> = all_rejections().map(|rejection| rejection.number).collect();
    let names: BTreeSet<_> = all_rejections().map(|rejection| rejection.name).collect();
    assert_eq!((numbers.len(), names.len()), (all_rejections().count(), all_rejections().count()));
    assert!(ENVELOPE_REJECTIONS.iter().all(|r| (1..50).contains(&r.number)));
    assert!(money::REJECTIONS.iter().all(|r| (50..70).contains(&r.number)));
    assert!(crate::state::market::REJECTIONS.iter().all(|r| (70..100).contains(&r.number)));
    for family in FAMILIES {
        let first = 100 * u16::from(family.number);
        assert!(family.rejections.iter().all(|r| (first..first + 100).contains(&r.number)), "{}", family.name);
    }
    for known in all_rejections() {
        assert_eq!(rejection(known.number), Some(known));
        assert!(known.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
    }
    assert_eq!(rejection(0), None);
}

#[test]
fn every_action_has_an_example_that_round_trips() {
    for family in FAMILIES {
        let examples = (family.examples)();
        let numbers: BTreeSet<_> = examples.iter().map(|action| action.number()).collect();
        let declared = family.actions.iter().map(|(n, _)| u16::from_be_bytes([family.number, *n])).collect();
        assert_eq!(numbers, declared, "{}", family.name);
        for action in examples {
            let bytes = codec::encode(&action);
            assert_eq!(bytes[..2], action.number().to_be_bytes());
            assert_eq!(codec::decode::<Action>(&bytes, 10_000), Ok(action.clone()));
            let json = serde_json::to_value(&action).unwrap();
            assert_eq!(json["type"], action.name());
            assert_eq!(serde_json::from_value::<Action>(json).unwrap(), action);
            let place = CheckContext::example();
            assert_eq!(action.rules().check(&place), Ok(()));
            let inside = action.rules().signatures(&place);
            assert!(inside.iter().all(|(key, message, s)| crate::crypto::verify_one(key, message, s).is_ok()));
        }
    }
}

proptest! {
    #[test]
    fn every_action_of_the_market_round_trips_and_has_words(action in market_action()) {
        let bytes = codec::encode(&action);
        prop_assert_eq!(codec::decode::<Action>(&bytes, 60_000), Ok(action.clone()));
        let json = serde_json::to_value(&action).unwrap();
        prop_assert_eq!(serde_json::from_value::<Action>(json).unwrap(), action.clone());
        let refused = action.rules().check(&CheckContext::example()).err();
        prop_assert!(refused.is_none_or(|refused| rejection(refused.number()).is_some()));
        prop_assert!(action.rules().weight() > 0);
        let words = action.rules().text(&tokens);
        prop_assert!(!words.contains(['\n', '\u{202e}']), "{words}");
    }

    /// Whatever bytes become, they are refused, or are the one encoding of what they are read as.
    #[test]
    fn malformed_bytes_of_the_market_are_refused(
        action in market_action(), place in any::<prop::sample::Index>(), byte: u8,
        cut in any::<prop::sample::Index>(), shorten: bool,
    ) {
        let mut bytes = codec::encode(&action);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = codec::decode::<Action>(&bytes, 60_000) {
            prop_assert_eq!(codec::encode(&read), bytes);
        }
    }
}

#[test]
fn only_known_numbers_are_read() {
    for [family, action] in (0..=u16::MAX).map(u16::to_be_bytes) {
        let known = FAMILIES.iter().any(|f| f.number == family && f.actions.iter().any(|(n, _)| *n == action));
        let unknown = DecodeError::UnknownAction(u16::from_be_bytes([family, action]));
        let read = codec::decode::<Action>(&[family, action], 10);
        assert_eq!(read == Err(unknown), !known, "{family} {action}");
        // Only these have nothing more to say.
        let empty = [
            Action::Authority(authority::Action::ValidatorReady {}),
            Action::Provider(provider::Action::ProviderLeave {}),
            Action::Provider(provider::Action::ProviderBondWithdraw {}),
        ];
        assert!(read.is_err() || empty.map(Ok).contains(&read), "no other action is empty");
    }
}

#[test]
fn json_has_no_unknown_fields_or_types() {
    for action in all_examples() {
        let mut json = serde_json::to_value(&action).unwrap();
        json["surprise"] = 1.into();
        let error = serde_json::from_value::<Action>(json.clone()).unwrap_err().to_string();
        assert!(error.contains("surprise") && error.starts_with(action.name()), "{error}");
        json["type"] = "surprise".into();
        assert!(serde_json::from_value::<Action>(json.clone()).is_err());
        json.as_object_mut().unwrap().remove("type");
        assert!(serde_json::from_value::<Action>(json).is_err());
    }
    for bad in ["null", "[]", "\"transfer\"", "{}", r#"{"type":1}"#] {
        assert!(serde_json::from_str::<Action>(bad).is_err());
    }
}

/// AIT is known, asset 1 is USD with 6 decimals, others are unknown.
fn tokens(asset: AssetId) -> Option<Token> {
    match asset.get() {
        0 => Some(ait()),
        1 => Some(Token { symbol: "USD".into(), units_per_token: 1_000_000 }),
        _ => None,
    }
}

#[test]
fn the_words_of_every_action_are_frozen() {
    let receiver = "ait1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qursamcnsv";
    let sender = address(1).to_string();
    let two = crate::testing::key(2).public();
    let mut secrets: Vec<_> = [2, 3, 4].map(|seed| crate::testing::key(seed).public().to_string()).into();
    secrets.sort();
    let [a, b, c] = &secrets[..] else { panic!() };
    let five = format!("0x{}", "05".repeat(32));
    let expected = [
        format!("Transfer 5AIT to {receiver}"),
        "Burn 1/3600AIT".to_owned(),
        format!("Let only the key {a} sign for this account from the next transaction on"),
        format!(
            "Let only 2 of these 3 keys together sign for this account from the next transaction on: {a}, {b}, {c}"
        ),
        "Require a memo of transfers to this account".to_owned(),
        format!(
            "Let {receiver} spend this account's money on jobs for ever: 10USD for one and 100USD for all \
             jobs, at most 0.005USD per 1000 units; with providers: all; for models: {five}"
        ),
        format!("Let {receiver} spend no more of this account's money on jobs"),
        format!(
            "Create the asset \"USD\" with 1000000 base units per token, at most 1000000000000000000 base units, \
             2500000 of them for this account, minted by {sender}"
        ),
        format!("Mint 10USD for {receiver}"),
        "Let nobody ever mint asset 1 (USD) again".to_owned(),
        format!("Anchor 0x{} of kind \"document\" at \"https://example.org/report.pdf\"", "09".repeat(32)),
        format!(
            "Propose to the council, and vote, to admit the validator {two} with weight 1 under the name \"berlin-1\""
        ),
        format!(
            "Propose to the council, and vote, to slash the bond of {receiver} by 1000000000000000000000 base units of \
             stake, or all of it if there is less, for \"sold another model\", evidence \"ipfs://evidence\", for the \
             payer of job 7"
        ),
        "Vote for proposal 7 of the council".to_owned(),
        "Say that the validator of this account's key runs and may join the set".to_owned(),
        format!("Prove against the validator {two}: two notarize votes at height 9, view 0"),
        "Bond 1000000000000000000000 base units of stake as the validator of this account's key, which keeps 1000 of \
         10000 of the rewards"
            .to_owned(),
        "Unbond 500000000000000000000 shares of the stake of this account's validator".to_owned(),
        format!("Withdraw what has unbonded from the validator {two}"),
        format!("Bond 1000000000000000000000 base units of stake with the validator {two}"),
        format!("Unbond 500000000000000000000 shares of the stake with the validator {two}"),
        format!("Withdraw the rewards from the validator {two}"),
        "Announce that this account's validator keeps 1250 of 10000 of the rewards".to_owned(),
    ];
    let words: Vec<_> = all_examples().iter().map(|action| action.rules().text(&tokens)).collect();
    assert_eq!(words, [&expected[..], &market_words(receiver)].concat());
}

fn market_words(receiver: &str) -> Vec<String> {
    let (five, model) = (format!("0x{}", "05".repeat(32)), model::example_spec().id());
    let payer = "ait1pqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyq9mvu2k";
    let profile = format!(
        " called \"Berlin 1\" at \"https://compute.example.org\", region \"eu-central\", hardware \"8 x H200\", \
         class \"fast\", encryption key 0x{}, metadata \"{{}}\"",
        "06".repeat(32)
    );
    let claim = format!(
        "Claim work for job 7, leg 0, receipt 1 after 0x{}: 500 tokens so far, done, with the model {five}, from \
         1700000000000 ms to 1700000005000 ms, input 0x{}, output 0x{}, see \"ipfs://answer\" (version 2)",
        "00".repeat(32),
        "01".repeat(32),
        "02".repeat(32)
    );
    let acknowledged =
        format!("the key {} acknowledges 500 units of {receiver} for job 7, leg 0", crate::testing::key(3).public());
    vec![
        format!("Let in as curator 1 models: \"llama-3\" \"8b-q4.gguf\" (\"gguf\", weights {five})"),
        format!(
            "Propose, for the proposal fee, to let in the model \"llama-3\" \"8b-q4.gguf\" (\"gguf\", \
             weights {five})"
        ),
        "Lock 100000000000000000000000 base units of stake as votes for the model of proposal 7".to_owned(),
        "End the vote on the model of proposal 7".to_owned(),
        "Take back the stake locked for the model of proposal 7".to_owned(),
        format!("Let no jobs be opened for the model {model}"),
        format!("Let 2500 units a second be claimed for the model {model}"),
        format!(
            "Bond the least bond and become a provider{profile}, earnings to this account, operated by {receiver}, \
             for 1 models: {five}"
        ),
        format!(
            "Be a provider from now on{profile}, earnings to {receiver}, operated by nobody else, for 1 models: \
             {five}"
        ),
        "Bond 100000000000000000000 more base units of stake as a provider".to_owned(),
        "Take no more jobs as a provider".to_owned(),
        "Withdraw the bond of this account as a provider".to_owned(),
        format!(
            "Slash the bond of {receiver} by 100000000000000000000 base units of stake for \"sold another \
             model\", evidence \"ipfs://evidence\", for the payer of job 7"
        ),
        format!(
            "Offer the model {five} for 0.005USD per 1000 tokens, while there are fewer than 4 jobs, until \
             it is taken back; at most 1000 units ahead of acknowledgements; disputes decided by 1 of these 1: \
             {payer}, and 0 basis points to the provider where nobody decides"
        ),
        format!("Take back the offer of the model {five} in asset 1 for tokens"),
        format!("Say that the provider {receiver} is there"),
        "Pause the market for \"maintenance\"".to_owned(),
        "End the pause of the market for \"maintenance\"".to_owned(),
        "Accept asset 1 in the market, with deposits of 0.5USD to 1000000USD and prices of 0.000001USD \
             to 100USD per 1000 units"
            .to_owned(),
        "Deposit 10USD in the market".to_owned(),
        "Withdraw 10USD from what is deposited in the market".to_owned(),
        "Withdraw from this account's earnings: all of asset 0, 10USD".to_owned(),
        "Withdraw as treasurer from the treasury: all of asset 1".to_owned(),
        format!(
            "Put 10USD from the account {payer} into escrow for a job called \"order 7\" of {receiver} with \
             the model {five} at 0.005USD per 1000 tokens, for at most 86400 s and until 300 s of silence; \
             the provider claims, at least 100 units at first"
        ),
        "Add 5000000 base units of its asset to the deposit of job 7".to_owned(),
        "Decline job 7 as its provider".to_owned(),
        "Complete job 7, with at most 100000 units used".to_owned(),
        "Settle job 7, whose time is over".to_owned(),
        format!(
            "Put 10USD into escrow for a job with the model {five} that providers bid on for 3600 s, at no more than \
             0.005USD per 1000 tokens, for at most 86400 s and until 86400 s of silence; the key {} acknowledges, and \
             at most 1000 units are claimed beyond that; providers of region \"eu\", class \"\", a bond of at least 0 base \
             units and a score of at least 0 basis points",
            crate::testing::key(1).public()
        ),
        "Take back the posted job 7".to_owned(),
        format!(
            "Bid on job 7: 4000 base units of its asset per 1000 units, at most 2000 units ahead of acknowledgements; \
             disputes: 1 of {} decide, without a verdict the provider has 5000 basis points of what is contested",
            Address::from_bytes([9; 32])
        ),
        format!(
            "Accept the bid of {receiver} on job 7 at 4000 base units of its asset per 1000 units, disputes decided as in \
             0x{}",
            "06".repeat(32)
        ),
        format!(
            "Offer job 7 to {receiver} at 5000 base units of its asset per 1000 units, if at most 500 units were used \
             until then"
        ),
        "Take over job 7 at 5000 base units of its asset per 1000 units".to_owned(),
        claim.clone(),
        format!("{claim}; {acknowledged}"),
        "Contest the claims of job 7 from unit 400 on, and deposit for it".to_owned(),
        "Deposit against the dispute about job 7".to_owned(),
        format!("End the dispute about job 7: {acknowledged}"),
        "Decide the dispute about job 7 for the provider".to_owned(),
    ]
}

/// A JSON value with one leaf changed into another of its form, once for every leaf and form. Proofs of possession
/// and signatures are left as they are: words name the keys they are of.
fn variations(json: &serde_json::Value) -> Vec<serde_json::Value> {
    use serde_json::{Value, json};
    match json {
        Value::Object(fields) => {
            let fields =
                fields.iter().filter(|(name, _)| !["proof", "proofs", "signature", "type"].contains(&name.as_str()));
            let inner = fields.flat_map(|(name, value)| variations(value).into_iter().map(move |new| (name, new)));
            let with = |(name, new): (&String, Value)| {
                let mut whole = json.clone();
                whole[name] = new;
                whole
            };
            inner.map(with).collect()
        }
        Value::Array(items) => {
            let inner =
                items.iter().enumerate().flat_map(|(n, item)| variations(item).into_iter().map(move |v| (n, v)));
            let with = |(n, new): (usize, Value)| {
                let mut whole = json.clone();
                whole[n] = new;
                whole
            };
            let longer = Value::Array(items.iter().chain(items.first()).cloned().collect());
            let first = [json!([address(77)]), json!([format!("0x{}", "05".repeat(32))])];
            let longer = if items.is_empty() { first.to_vec() } else { vec![longer] };
            inner.map(with).chain(longer).collect()
        }
        Value::String(text) => {
            let number = text.parse::<u128>().ok().map(|number| json!((number + 1).to_string()));
            let hex = text.strip_prefix("0x").map(|rest| json!(format!("0x{}1", &rest[..rest.len() - 1])));
            let others = [
                json!(format!("{text}x")),
                json!(address(77)),
                json!("images"),
                json!("treasury"),
                json!("rejected_pool"),
            ];
            others.into_iter().chain(number).chain(hex).filter(|new| new != json).collect()
        }
        Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1)],
        Value::Bool(value) => vec![json!(!value)],
        Value::Null => vec![json!("1"), json!(1), json!(address(77))],
    }
}

#[test]
fn the_words_of_the_market_say_everything_that_is_signed() {
    let delegates = [(account::examples(), 3..5)].into_iter().flat_map(|(all, some)| all[some].to_vec());
    let market = FAMILIES.iter().filter(|family| family.number >= 7).flat_map(|family| (family.examples)());
    let mut seen = 0;
    for action in delegates.map(Action::Account).chain(market) {
        let words = action.rules().text(&tokens);
        for other in variations(&serde_json::to_value(&action).unwrap()) {
            // What can't be read is no other action.
            let Ok(other) = serde_json::from_value::<Action>(other) else { continue };
            assert_ne!(other, action);
            assert_ne!(other.rules().text(&tokens), words, "{other:?}");
            seen += 1;
        }
    }
    assert!(seen > 150, "{seen}");
}

#[test]
fn the_words_of_a_transaction_are_frozen() {
    use crate::types::Height;
    let memo = codec::Text::new("a\" to \u{202e}b").unwrap();
    let (to, asset, amount) = (address(2), AssetId::new(2), Amount::new(7));
    let unknown = Action::Transfer(transfer::Action::Transfer { to, asset, amount, memo });
    let plain = transaction(address(1), 7, [pay(address(2), 900), unknown]);
    let chain = format!("0x{}", "11".repeat(32));
    let (one, two, three) = (address(1), address(2), address(3));
    let actions = format!(
        "Action 1 of 2: Transfer 0.25AIT to {two}\n\
         Action 2 of 2: Transfer 7 base units of asset 2 to {two} with memo \"a\\\" to \\u{{202e}}b\"\n"
    );
    let head = format!("ait/text/1\nChain: {chain}\nFrom: {one}\nNonce: 7\n");
    let expected = format!("{head}Fee: 10000/3600AIT\nValid until: any block\n{actions}");
    assert_eq!(plain.text(&crate::testing::chain(), &tokens), expected);
    let sponsored = Transaction { fee_payer: Some(three), valid_until: Height::new(100), ..plain };
    let expected = format!("{head}Fee: 10000/3600AIT paid by {three}\nValid until: block 100\n{actions}");
    assert_eq!(sponsored.text(&crate::testing::chain(), &tokens), expected);
}

/// The keys under which two states differ.
fn differences(a: &Tree, b: &Tree) -> BTreeSet<RowKey> {
    let rows = |tree: &Tree| -> BTreeSet<(RowKey, Vec<u8>)> { tree.rows().map(|(k, _, v)| (*k, v.to_vec())).collect() };
    rows(a).symmetric_difference(&rows(b)).map(|(key, _)| *key).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_refused_action_costs_fee_and_nonce_and_changes_nothing_else(
        sender in 1u8..=4,
        wishes in prop::collection::vec(wish(), 1..4),
    ) {
        let (mut chain, before) = (busy_chain(), busy_chain());
        let nonce = chain.account(&address(sender)).nonce;
        // An action that fails wherever it stands makes every transaction fail.
        let hopeless = Wish::Burn { asset: 77, units: 1 };
        let actions = wishes.iter().chain([&hopeless]).map(|wish| wish.action(&address(sender), nonce));
        let signed = sign(transaction(address(sender), nonce, actions), &crate::testing::Signer::Key(sender), None);
        if let Ok(checked) = check(&signed) {
            let results = chain.block(&[checked]);
            prop_assert_ne!(results.outcomes[0].verdict, Verdict::Ok);
            prop_assert_eq!(&results.events, &[vec![]]);
            let mut allowed: BTreeSet<RowKey> = [address(sender), address(PROPOSER)].map(|a| ACCOUNTS.key(&a)).into();
            allowed.insert(money::ASSETS.key(&AssetId::NATIVE));
            // The clock goes on.
            allowed.insert(crate::state::market::MARKET.key(&()));
            prop_assert_eq!(differences(&chain.tree, &before.tree), allowed);
            let (now, then) = (chain.account(&address(sender)), before.account(&address(sender)));
            prop_assert_eq!(now.balance.checked_add(FEE), Some(then.balance));
            prop_assert_eq!(crate::state::Account { balance: then.balance, nonce, ..now }, then);
        }
    }
}

#[test]
fn a_transaction_of_every_example_is_carried_out_or_refused_by_a_listed_number() {
    for action in all_examples() {
        let mut chain = TestChain::new();
        let results = chain.block(&[checked(1, 0, [action])]);
        if let Verdict::Rejected { number, .. } = results.outcomes[0].verdict {
            assert!(rejection(number).is_some());
        }
    }
}

/// What adding a family touches: its folder, and in `tx/mod.rs` one line in each of the four
/// places marked FAMILY, besides its line in the table at the top. Outside these, code names no
/// family, so nothing else can need a change. Tests and test support may use families as they like.
#[test]
fn code_outside_its_folder_names_a_family_in_the_registry_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let registry = source.join("tx/mod.rs");
    for family in FAMILIES {
        let (name, folder) = (family.name, source.join("tx").join(family.name));
        let variant = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let marks = [
            format!("tx::{name}"),
            format!("{name}::Action"),
            format!("{name}::Event"),
            format!("Action::{variant}("),
            format!("Event::{variant}("),
        ];
        for file in files(&source).iter().filter(|file| !file.starts_with(&folder) && **file != registry) {
            let code = code_of(file);
            let named = marks.iter().find(|mark| code.contains(*mark));
            assert_eq!(named, None, "{name} in {}", file.display());
            let is_beside = file.starts_with(source.join("tx"));
            assert!(!is_beside || !code.contains(&format!("super::{name}::")), "{name} in {}", file.display());
        }
        let code = code_of(&registry);
        let lines = [
            format!("//! | {} | `{name}` |", family.number),
            format!("pub mod {name};"),
            format!("    {variant}({name}::Action) = {},", family.number),
            format!("    {variant}({name}::Event) = {},", family.number),
            format!("    family!({variant}, {name}, {}),", family.number),
        ];
        for line in &lines {
            assert_eq!(code.lines().filter(|l| l.starts_with(line.as_str())).count(), 1, "{line}");
        }
        let mentions = code.lines().filter(|l| marks.iter().any(|mark| l.contains(mark))).count();
        assert_eq!(mentions, 2, "only its lines in Action and Event");
    }
}

/// The code of a file without its tests.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].to_owned()
}

/// All source files that aren't tests or test support.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_test = name.contains("test") || name.starts_with("arbitrary") || name == "simulation";
        if path.is_dir() && !is_test {
            found.extend(files(&path));
        } else if name.ends_with(".rs") && !is_test {
            found.push(path);
        }
    }
    found
}
