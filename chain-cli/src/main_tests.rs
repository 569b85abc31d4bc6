//! Command lines as people type them: what is accepted, and where options may stand.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("chain").chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    for line in [
        "--rpc http://h:1 balance dev0 --devnet-dir d --keystore k --json",
        "--devnet-dir d --json balance dev0 --rpc http://h:1 --keystore k",
        "balance --keystore k --devnet-dir d --rpc http://h:1 --json dev0",
    ] {
        let cli = parse(line).unwrap();
        assert_eq!(cli.node.rpc.as_deref(), Some("http://h:1"), "{line}");
        assert_eq!(cli.store.devnet_dir.to_str(), Some("d"), "{line}");
        assert_eq!(cli.store.keystore.as_deref().and_then(|path| path.to_str()), Some("k"), "{line}");
        assert!(cli.json, "{line}");
    }
    assert!(parse("keys list --keystore k --devnet-dir d").unwrap().store.keystore.is_some());
}

#[test]
fn the_commands_of_the_documents_are_known() {
    let id = format!("0x{}", "1".repeat(64));
    for line in [
        "transfer --from dev0 --to dev1 --amount 5AIT --memo hi --fee 1AIT --valid-until 9 --fee-payer dev2 --no-wait",
        "burn --from dev0 --amount 5AIT --dry-run",
        &format!("tx show {id}"),
        &format!("tx wait {id} --timeout 5"),
        "block",
        "block 7 --full",
        "head",
        "proof get --account dev0 --asset USD --out f",
        &format!("proof get --tx {id} --out f"),
        "proof verify f --genesis genesis.json --account dev0",
        "watch blocks --from 1 --count 2",
        "watch transactions",
        "watch consensus",
        "account show dev0",
        "account rotate-key --from dev0 --new-key dev1",
        "account set-multi-key --from dev0 --threshold 2 --key a --key b",
        "account memo-required --from dev0 on",
        "asset list",
        "asset create --from dev0 --symbol USD --units-per-token 100 --max-supply 5USD --minter nobody",
        "asset mint --from dev0 --to dev1 --amount 5USD",
        "asset set-minter --from dev0 --asset USD --minter nobody",
        &format!("anchor --from dev0 --hash {id} --kind report --uri https://x"),
        "authority propose add node-4 --name berlin --weight 2 --from node-0",
        "authority propose remove node-4 --from node-0 --fee-payer dev0",
        "authority propose jail node-4 --from ./node-0/validator_key",
        "authority propose unjail node-4 --from node-0 --no-wait",
        "authority propose param burn_bps 6000 --from node-0 --dry-run",
        "authority propose role curator dev1 --from node-0",
        "authority propose role curator nobody --from node-0",
        "authority propose upgrade 2 1000 --from node-0",
        "authority propose withdraw 7 --from node-0",
        "authority vote 3 yes --from node-1",
        "authority vote 3 no --from node-1",
        "authority ready --from node-4",
        "authority proposals --open --limit 5",
        "authority proposals --ended",
        "authority show 3",
        "authority validators",
        "authority uptime --blocks 50",
        "authority params",
        "authority history burn_bps",
        "authority rules",
        "model list --active --tier voted --limit 5 --cursor 00",
        "model list --inactive --all",
        "model show repo/file",
        &format!("model curate --repo a --file b --weights {id} --format gguf --from dev7"),
        "model curate --from-file models.json --from dev7",
        &format!("model propose --repo a --file b --weights {id} --from dev4"),
        "model vote 1 --amount 5STK --from dev5",
        "model finalize 1 --from dev5",
        "model unlock 1 --from dev5",
        "model set-active b off --from dev7",
        "model set-rate b 2500 --from dev7",
        "model set-rate b usual --from dev7",
        "model proposals --open --voter dev5",
        "provider register --name a --endpoint u --models b,c --operator dev4 --payout self --from dev3",
        "provider update --region eu --operator nobody --from dev3",
        "provider leave --from dev3",
        "provider bond-add --amount 5STK --from dev3",
        "provider bond-withdraw --from dev3 --dry-run",
        "provider heartbeat --provider dev3 --from dev4",
        "provider list --model b --unit tokens --max-price 0.005USD --live --min-reputation 5 --sort price",
        "provider show dev3",
        "provider status dev3",
        "provider slash dev3 --amount 5STK --evidence e --reason r --job 7 --from dev8",
        "offer publish b --price 0.005USD --unit images --slots 2 --arbiters dev5,dev6 --valid-for 60 --from dev3",
        "offer withdraw b --asset USD --from dev3",
        "offer list --provider dev3 --open --all",
        "job open --provider dev3 --model b --deposit 10USD --price 0.005USD --ref x --from dev1",
        "job open --provider dev3 --model b --deposit 10USD --price 0.005USD --prepaid --from dev1",
        "job open --provider dev3 --model b --deposit 10USD --price 0.005USD --on-behalf-of dev1 --from dev2",
        "job open --provider dev3 --model b --deposit 10USD --price 0.005USD --acks --quantum 500 --ack-from dev1 --from dev1",
        "job post --model b --deposit 10USD --max-price 0.005USD --bidding 600 --min-bond 5STK --region eu --from dev1",
        "job cancel 1 --from dev1",
        "job bids 1 --all",
        "job bid 1 --price 0.004USD --quantum 500 --arbiter dev5 --arbiter dev6 --arbiters-needed 2 --from dev3",
        "job accept-bid 1 --provider dev3 --dispute-terms council --from dev1",
        "job hand-over 1 --to dev4 --price 0.004USD --max-units 500 --from dev1",
        "job hand-over 1 --to nobody --from dev1",
        "job take-over 1 --from dev4",
        "dispute open 1 --from-unit 100 --from dev1",
        "dispute respond 1 --ack ack.json --from dev3",
        "dispute vote 1 --for provider --from dev5",
        "dispute list --account dev5 --state open --oldest",
        "dispute show 1",
        "job top-up 1 --amount 5USD --from dev1",
        "job decline 1 --from dev3",
        "job complete 1 --max-units 7 --from dev1",
        "job expire 1 --from dev5",
        "job list --payer dev1 --state active --oldest",
        "job show 1",
        "job show name --opener dev1",
        "job watch 1 --from-height 1",
        &format!("receipt sign 7 --units 5 --input {id} --output {id} --started 1 --out f.json"),
        &format!("receipt sign 7 --failed 5 --input {id} --output {id} --started 1 --after f.json --out g.json"),
        "receipt ack 7 --units 500 --key dev1 --out ack.json",
        "receipt ack 7 --units 500 --received 400 --key dev1 --provider dev3 --leg 1 --quantum 100 --acks d",
        "receipt verify f.json --ack a.json --proof p.json --genesis g.json",
        "receipt verify f.json --legacy --signer dev1",
        "receipt submit f.json --from dev3",
        "receipt submit f.json --ack a.json --from dev3",
        "receipt show 1 --seq 2",
        "receipt list 1 --oldest",
        "earnings show dev3",
        "earnings withdraw --amount 5USD --amount 5AIT --from dev3",
        "market show",
        "market deposit --amount 5USD --from dev1",
        "market withdraw --amount 5USD --from dev1",
        "market deposits dev1",
        "market pause --reason r --from dev9",
        "market unpause --reason r --from dev9",
        "market terms USD --refuse --from dev7",
        "market treasury --all USD --pot rejected-pool --from dev9",
        "account delegate set dev2 --total 50USD --per-job 8USD --max-price 1USD --models b --expires-in 60 --from dev1",
        "account delegate revoke dev2 --from dev1",
        "account delegate list dev1",
        "authority propose slash dev3 --amount 5STK --evidence e --reason r --from node-0",
        "register-node --chain c --name n --api-url u --models a,b --performance-tier t --dry-run",
        "registration-status --all-chains --chains f",
        "update-registration --chain c --models a --env-file .env",
        "evidence show f.json",
        "evidence submit f.json --from dev0",
        "history dev0 --limit 5",
        "supply",
        "status",
        "completions bash",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn what_can_not_be_meant_is_a_usage_error() {
    for line in [
        "",
        "transfer --from dev0 --to dev1",
        "tx show 0x12",
        "proof get --out f",
        "proof get --account a --tx 0x11 --out f",
        "proof verify f",
        "anchor --from a",
        "account memo-required --from a maybe",
        "authority vote 3 maybe --from a",
        "authority vote --from a",
        "authority propose role king dev1 --from a",
        "authority propose param burn_bps -1 --from a",
        "authority ready",
        "authority proposals --open --ended",
        "transfer --from a --to b --amount 1AIT --policy 1:a",
        "transfer --from a --to b --amount 1AIT --no-wait --dry-run",
        "--chain-id 0x12 head",
        "model curate --from dev7",
        "model curate --repo a --from dev7",
        "model list --active --inactive",
        "model set-active b maybe --from dev7",
        "provider register --name a --endpoint u --from dev3",
        "provider list --min-reputation 5",
        "offer publish b --from dev3",
        "offer list --limit 5 --all",
        "job open --provider dev3 --model b --deposit 10USD --from dev1",
        "job open --provider a --model b --deposit 1USD --price 1USD --prepaid --on-behalf-of c --from d",
        "market terms USD --from dev7",
        "market treasury --from dev9",
        "market treasury --amount 5USD --all USD --from dev9",
        "account delegate set dev2 --from dev1",
        "register-node --name n --api-url u --models a",
        "register-node --chain c --all-chains --name n --api-url u --models a",
        "registration-status",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), i32::from(error::USAGE), "{line}");
    }
}

fn app(devnet: &std::path::Path) -> App {
    let line = format!("--devnet-dir {} --keystore {} head", devnet.display(), devnet.join("keys").display());
    let Cli { json, node, store, .. } = parse(&line).unwrap();
    App { json, node: NodeArgs { rpc: None, ..node }, store }
}

#[test]
fn without_a_url_the_devnets_first_node_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(app(dir.path()).url().unwrap(), "http://127.0.0.1:8006");
    let nodes = r#"[{"name":"node-0","rpc":"http://h:1","pid":1},{"name":"node-1","rpc":"http://h:2"}]"#;
    std::fs::write(dir.path().join("nodes.json"), nodes).unwrap();
    assert_eq!(app(dir.path()).url().unwrap(), "http://h:1");
    for bad in ["[]", "{}", "x"] {
        std::fs::write(dir.path().join("nodes.json"), bad).unwrap();
        assert!(app(dir.path()).url().is_err(), "{bad}");
    }
}

#[test]
fn names_and_addresses_mean_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let seed = [3; 32];
    let public = chain_core::crypto::SecretKey::from_seed(&seed).public();
    let address = chain_core::types::Address::of_key(&public);
    let accounts = serde_json::json!([{ "name": "dev0", "address": address, "secret_key": hex::encode(seed) }]);
    std::fs::write(dir.path().join("accounts.json"), accounts.to_string()).unwrap();
    let app = app(dir.path());
    assert_eq!(app.address("dev0").unwrap(), address);
    assert_eq!(app.address(&address.to_string()).unwrap(), address);
    assert_eq!(app.public_key("dev0").unwrap(), public);
    assert_eq!(app.public_key(&public.to_string()).unwrap(), public);
    assert!(matches!(app.address("ait1qqq"), Err(CliError::Usage(_))));
    assert!(matches!(app.address("nobody"), Err(CliError::Key(_))));
    assert_eq!(app.names().replace(&format!("to {address}!")), "to dev0!");
    let (threshold, keys) = send::parse_policy(&app, &format!("1:dev0,{public}")).unwrap();
    assert_eq!((threshold, keys), (1, vec![public]));
    for bad in ["dev0", "x:dev0", "1:", "1:nobody"] {
        assert!(send::parse_policy(&app, bad).is_err(), "{bad}");
    }
}
