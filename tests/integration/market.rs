//! The market, by the command line alone, on a fresh devnet: a model is let in, a provider sells, payers buy in all
//! three ways, and every unit ends where the arithmetic says. And hosts that register the way their operators know.

use crate::authority::{chain, said};
use chain_core::types::{Height, JobId};
use chain_rpc::view::{AssetSupply, EventsParams, Notice};
use chain_tests::cluster::Cluster;
use chain_tests::devnet::binary;
use chain_tests::{PATIENCE, eventually, http};
use genesis::accounts::AccountsFile;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

/// One USD in base units.
pub const USD: u128 = 1_000_000;
/// One STK in base units.
const STK: u128 = 10u128.pow(18);

pub fn number(value: &Value) -> u128 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

pub fn event(answer: &Value, kind: &str) -> Value {
    let found = answer["events"].as_array().unwrap().iter().find(|event| event["type"] == kind);
    found.cloned().unwrap_or_else(|| panic!("no {kind} in {answer}"))
}

/// Refused by a rule of this number; the command says which.
pub fn refused(cluster: &Cluster, line: &str, number: u16) {
    let output = chain(cluster, 0, line);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{line}: {text}");
    assert!(text.contains(&format!("({number} ")), "{line}: {text}");
}

/// Not even sent: the command line can't be meant.
fn misused(cluster: &Cluster, line: &str, why: &str) {
    let output = chain(cluster, 0, line);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{line}: {text}");
    assert!(text.contains(why), "{line}: {text}");
}

fn balance(cluster: &Cluster, name: &str, symbol: &str) -> u128 {
    number(&said(cluster, 0, &format!("balance {name} --asset {symbol}"))["balances"][0]["balance"])
}

async fn supply(cluster: &Cluster, symbol: &str) -> AssetSupply {
    let assets = cluster.client(0).await.get_supply().await.unwrap().assets;
    assets.into_iter().find(|asset| asset.symbol == symbol).unwrap()
}

/// Where all USD are: accounts, deposits, escrow, earnings, treasury.
pub async fn places(cluster: &Cluster) -> [u128; 5] {
    let of = supply(cluster, "USD").await;
    assert!(of.conserved, "{of:?}");
    [of.in_accounts, of.in_prepaid, of.in_escrow, of.in_earnings, of.in_treasury].map(|amount| amount.get())
}

/// A model, an asset with terms, a provider (dev3) with an offer of four slots.
pub fn market(cluster: &Cluster) {
    said(
        cluster,
        0,
        "asset create --from dev0 --symbol USD --units-per-token 1000000 --max-supply 9000USD --minter dev0",
    );
    for payer in ["dev1", "dev2"] {
        said(cluster, 0, &format!("asset mint --from dev0 --to {payer} --amount 1000USD"));
    }
    let weights = "0x".to_owned() + &"5".repeat(64);
    let curate =
        |file: &str, by: &str| format!("model curate --repo org/llama-3 --file {file} --weights {weights} --from {by}");
    refused(cluster, &curate("8b.gguf", "dev1"), 86);
    let added = said(cluster, 0, &curate("8b.gguf", "dev7"));
    assert_eq!(event(&added, "model_added")["tier"], "curated");
    refused(cluster, &curate("8b.gguf", "dev7"), 700);
    said(cluster, 0, &curate("70b.gguf", "dev7"));
    said(cluster, 0, "model set-rate 8b.gguf 10000 --from dev7");
    let listed = said(cluster, 0, "model list --limit 1");
    assert_eq!(listed["models"].as_array().unwrap().len(), 1);
    let next = listed["next"].as_str().unwrap();
    assert_eq!(said(cluster, 0, &format!("model list --cursor {next}"))["models"].as_array().unwrap().len(), 1);
    assert_eq!(said(cluster, 0, "model list --all")["models"].as_array().unwrap().len(), 2);

    let terms = "--min-deposit 0.5USD --max-deposit 1000USD --min-price 0.000001USD --max-price 1USD";
    refused(cluster, &format!("market terms USD {terms} --from dev8"), 86);
    said(cluster, 0, &format!("market terms USD {terms} --from dev7"));
    let register = "provider register --name Berlin --endpoint https://b.example --models org/llama-3/8b.gguf";
    let registered = said(cluster, 0, &format!("{register} --region eu --from dev3"));
    assert_eq!(number(&event(&registered, "provider_registered")["bond"]), 1_000 * STK);
    refused(cluster, &format!("{register} --from dev3"), 800);
    refused(cluster, "offer publish 70b.gguf --price 0.005USD --from dev3", 808);
    refused(cluster, "offer publish 8b.gguf --price 2USD --from dev3", 74);
    said(cluster, 0, "offer publish org/llama-3:8b.gguf --price 0.005USD --slots 4 --from dev3");
    assert_eq!(said(cluster, 0, "provider status dev3")["open_offers"], 1);
}

/// Submits the next receipt of a job once so many units can have been produced.
async fn claim(cluster: &Cluster, job: u64, cumulative: u64) -> String {
    let shown = said(cluster, 0, &format!("job show {job}"));
    let seq = number(&shown["meter"]["seq"]) as u64 + 1;
    let receipt = json!({
        "version": 2, "job": job.to_string(), "leg": 0, "seq": seq.to_string(), "previous": shown["meter"]["head"],
        "cumulative_units": cumulative.to_string(), "unit_kind": "tokens", "model": shown["model"],
        "input_hash": "0x".to_owned() + &"1".repeat(64), "output_hash": "0x".to_owned() + &"2".repeat(64),
        "started": "1700000000000", "finished": "1700000005000", "outcome": { "kind": "ok" },
        "content_ref": "ipfs://answer",
    });
    let file = cluster.beside(&format!("receipt-{job}-{seq}.json"));
    fs::write(&file, receipt.to_string()).unwrap();
    let line = format!("receipt submit {}", file.display());
    refused(cluster, &format!("{line} --from dev1"), 83);
    let more = cumulative - number(&shown["meter"]["used"]) as u64;
    let client = cluster.client(0).await;
    eventually("the units can have been produced", || async {
        let job = client.get_job(JobId::new(job)).await.unwrap().job.begun().unwrap();
        (job.meter.claimable.get() >= more).then_some(())
    })
    .await;
    let done = said(cluster, 0, &format!("{line} --from dev3"));
    refused(cluster, &format!("{line} --from dev3"), 1109);
    event(&done, "receipt_accepted")["hash"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_bought_in_three_ways_and_every_unit_ends_where_it_should() {
    let mut cluster = Cluster::new(1, 0);
    cluster.up().await;
    market(&cluster);
    let open = "job open --provider dev3 --model 8b.gguf --price 0.005USD";

    // What can't be meant, and what the rules refuse; nothing moves.
    misused(&cluster, &format!("{open} --deposit 10 --from dev1"), "is not an amount");
    misused(&cluster, "job open --provider dev3 --model 8b.gguf --price 5STK --deposit 10USD --from dev1", "of USD");
    misused(
        &cluster,
        &format!("{open} --deposit 10USD --prepaid --on-behalf-of dev1 --from dev2"),
        "cannot be used with",
    );
    misused(&cluster, "receipt show 7", "--seq");
    refused(&cluster, &format!("{open} --deposit 0.1USD --from dev1"), 73);
    refused(&cluster, &format!("{open} --deposit 10USD --silence 59 --from dev1"), 1001);
    refused(&cluster, &format!("{open} --deposit 10USD --prepaid --from dev1"), 71);
    refused(&cluster, &format!("{open} --deposit 10USD --on-behalf-of dev1 --from dev2"), 87);
    let cheap = open.replace("0.005USD", "0.004USD");
    refused(&cluster, &format!("{cheap} --deposit 10USD --from dev1"), 1003);
    assert_eq!(places(&cluster).await, [2_000 * USD, 0, 0, 0, 0]);

    // From the wallet twice: one the provider is silent in, one it works in.
    let begun = said(&cluster, 0, &format!("{open} --deposit 7USD --silence 60 --ref quiet --from dev1"));
    assert_eq!(event(&begun, "job_opened")["job"], "1");
    refused(&cluster, &format!("{open} --deposit 7USD --ref quiet --from dev1"), 1008);
    said(&cluster, 0, &format!("{open} --deposit 10USD --silence 600 --from dev1"));
    // Out of a deposit, and by a delegate out of the wallet of somebody else.
    said(&cluster, 0, "market deposit --amount 20USD --from dev1");
    said(&cluster, 0, &format!("{open} --deposit 10USD --prepaid --silence 600 --from dev1"));
    said(&cluster, 0, "account delegate set dev2 --total 12USD --per-job 8USD --models 8b.gguf --from dev1");
    refused(&cluster, &format!("{open} --deposit 9USD --on-behalf-of dev1 --from dev2"), 87);
    said(&cluster, 0, &format!("{open} --deposit 8USD --on-behalf-of dev1 --silence 600 --from dev2"));
    refused(&cluster, &format!("{open} --deposit 1USD --from dev2"), 1006);
    assert_eq!(places(&cluster).await, [1_955 * USD, 10 * USD, 35 * USD, 0, 0]);
    let deposits = said(&cluster, 0, "market deposits dev1");
    assert_eq!(number(&deposits["assets"][0]["locked"]), 35 * USD);
    assert_eq!(number(&said(&cluster, 0, "account delegate list dev1")["delegates"][0]["assets"][0]["spent"]), 8 * USD);

    // Declined after more was added, and completed without work: everything goes back to the payer's account.
    said(&cluster, 0, "job top-up 3 --amount 5USD --from dev1");
    refused(&cluster, "job decline 3 --from dev1", 83);
    said(&cluster, 0, "job decline 3 --from dev3");
    refused(&cluster, "job complete 4 --from dev2", 1009);
    said(&cluster, 0, "job complete 4 --from dev1");
    said(&cluster, 0, "market withdraw --amount 10USD --from dev1");
    refused(&cluster, "account delegate revoke dev3 --from dev1", 204);
    said(&cluster, 0, "account delegate revoke dev2 --from dev1");
    assert_eq!(places(&cluster).await, [1_983 * USD, 0, 17 * USD, 0, 0]);

    // 100,000 units at 0.005 USD for 1000.
    let first = claim(&cluster, 2, 60_000).await;
    let second = claim(&cluster, 2, 100_000).await;
    let receipts = said(&cluster, 0, "receipt list 2 --oldest");
    let hashes: Vec<_> = receipts["receipts"].as_array().unwrap().iter().map(|one| one["hash"].clone()).collect();
    assert_eq!(hashes, [json!(first), json!(second)]);
    assert_eq!(number(&said(&cluster, 0, &format!("receipt show {second}"))["added"]), 40_000);
    refused(&cluster, "job decline 2 --from dev3", 1010);
    refused(&cluster, "job complete 2 --from dev3", 1012);
    refused(&cluster, "job complete 2 --max-units 99999 --from dev1", 1011);
    let done = event(&said(&cluster, 0, "job complete 2 --from dev1"), "job_settled");
    let parts = ["gross", "fee", "provider", "early_fee", "refund"].map(|name| number(&done["settlement"][name]));
    assert_eq!(parts, [500_000, 50_000, 450_000, 0, 9_500_000]);
    assert_eq!(places(&cluster).await, [1_992_500_000, 0, 7 * USD, 450_000, 50_000]);

    // Nobody touches the first one: the chain itself pays it back.
    let told = watch(&cluster, 1).await;
    let last = told.last().unwrap();
    assert_eq!((&last["event"]["cause"], &last["event"]["by"]), (&json!("silence"), &Value::Null));
    assert_eq!(balance(&cluster, "dev1", "USD"), 999_500_000);
    let quiet = said(&cluster, 0, "job show quiet --opener dev1");
    assert_eq!((number(&quiet["settled"]["refund"]), &quiet["state"]), (7 * USD, &json!("settled")));
    refused(&cluster, "job expire 1 --from dev5", 81);

    // What was earned is taken, once.
    assert_eq!(number(&said(&cluster, 0, "earnings show dev3")["assets"][0]["withdrawable"]), 450_000);
    said(&cluster, 0, "earnings withdraw --amount 0.2USD --from dev3");
    said(&cluster, 0, "earnings withdraw --from dev3");
    assert_eq!(balance(&cluster, "dev3", "USD"), 450_000);
    assert_eq!(chain(&cluster, 0, "earnings withdraw --from dev3").status.code(), Some(1));
    refused(&cluster, "earnings withdraw --amount 0.2USD --from dev3", 71);
    refused(&cluster, "market treasury --all USD --from dev7", 86);
    said(&cluster, 0, "market treasury --all USD --from dev9");
    assert_eq!(balance(&cluster, "dev9", "USD"), 50_000);
    assert_eq!(places(&cluster).await, [2_000 * USD, 0, 0, 0, 0]);
    told_elsewhere(&cluster).await;
    the_provider_goes(&cluster).await;
}

/// `chain job watch` from the beginning of the chain to the job's end.
async fn watch(cluster: &Cluster, job: u64) -> Vec<Value> {
    let mut command = tokio::process::Command::new(binary().with_file_name("chain"));
    command.args(["--json", "--rpc", &format!("http://{}", cluster.rpc(0)), "--keystore"]).arg(cluster.beside("keys"));
    command.args(["job", "watch", &job.to_string(), "--from-height", "1"]).kill_on_drop(true);
    let output = tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("the job ends").unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same over REST, and as events from a height on.
async fn told_elsewhere(cluster: &Cluster) {
    let rest = async |path: &str| http::get(cluster.rpc(0), path).await.json();
    let [payer, provider] = [1, 3].map(|at| cluster.wallets()[at].address.to_string());
    let jobs = rest(&format!("/v1/jobs?payer={payer}&state=settled&sort=oldest&limit=3")).await;
    let ids = |page: &Value| page["jobs"].as_array().unwrap().iter().map(|job| number(&job["job"])).collect::<Vec<_>>();
    assert_eq!(ids(&jobs), [1, 2, 3]);
    let next = jobs["next"].as_str().unwrap();
    assert_eq!(ids(&rest(&format!("/v1/jobs?payer={payer}&sort=oldest&cursor={next}")).await), [4]);
    assert_eq!(rest("/v1/jobs/2").await["settled"]["provider"], "450000");
    assert_eq!(rest("/v1/jobs/2/receipts").await["receipts"].as_array().unwrap().len(), 2);
    assert_eq!(http::get(cluster.rpc(0), "/v1/jobs/9").await.status, 404);
    // One job done, one never answered: 1 of 1 + 1 + 10.
    let model = rest("/v1/jobs/2").await["model"].as_str().unwrap().to_owned();
    let reputation = rest(&format!("/v1/providers/{provider}/reputation")).await;
    assert_eq!(
        (&reputation["models"][0]["model"], &reputation["models"][0]["score_bps"]),
        (&json!(model), &json!(833))
    );
    let found = |least: u16| {
        let line = format!("provider list --model 8b.gguf --min-reputation {least} --sort reputation --all");
        said(cluster, 0, &line)["providers"].as_array().unwrap().len()
    };
    assert_eq!([found(800), found(900)], [1, 0]);

    let asked = EventsParams { from_height: Some(Height::new(1)), job: Some(JobId::new(2)), ..EventsParams::default() };
    let socket = cluster.socket(0).await;
    let mut feed = socket.events_of(&asked).await.unwrap();
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "job_settled") {
        let Some(Ok(Notice::Item(told))) = feed.next().await else { panic!("the feed ended after {kinds:?}") };
        let events = told.sources.iter().flat_map(|source| &source.events);
        kinds.extend(events.map(|event| event["type"].as_str().unwrap().to_owned()));
    }
    assert_eq!(kinds, ["job_opened", "receipt_accepted", "receipt_accepted", "job_settled"]);
}

/// Slashed by the slasher and by the council; it leaves, and has back what is left.
async fn the_provider_goes(cluster: &Cluster) {
    let slash = "dev3 --amount 10STK --evidence ipfs://x --reason late";
    refused(cluster, &format!("provider slash {slash} --from dev7"), 86);
    said(cluster, 0, &format!("provider slash {slash} --from dev8"));
    let asked = said(cluster, 0, &format!("authority propose slash {slash} --from node-0"));
    event(&asked, "proposal_opened");
    let bond = || number(&said(cluster, 0, "provider show dev3")["provider"]["bond"]);
    assert_eq!(bond(), 980 * STK, "one vote of one decides");
    said(cluster, 0, "provider bond-add --amount 20STK --from dev3");
    said(cluster, 0, "provider leave --from dev3");
    assert_eq!(chain(cluster, 0, "provider status dev3").status.code(), Some(1));
    refused(cluster, "provider bond-withdraw --from dev3", 802);
    assert!(said(cluster, 0, "offer list")["offers"].as_array().unwrap().is_empty());
    assert_eq!(bond(), 1_000 * STK);
    eventually("the bond is free", || async {
        chain(cluster, 0, "provider bond-withdraw --from dev3").status.success().then_some(())
    })
    .await;
    let of = supply(cluster, "STK").await;
    assert_eq!([of.in_bonds.get(), of.in_treasury.get()], [0, 20 * STK]);
    assert!(of.conserved);
}

/// The tool of a host: no devnet, its key from a file or the environment.
struct Host<'c> {
    cluster: &'c Cluster,
    secret: String,
}

impl Host<'_> {
    fn run(&self, line: &str, key: Option<&str>) -> Output {
        let mut command = Command::new(binary().with_file_name("chain"));
        for name in ["DEVNET_DIR", "CHAIN_RPC", "CHAIN_CHAINS", "HOST_PRIVATE_KEY"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).current_dir(self.cluster.beside(""));
        command.arg("--keystore").arg(self.cluster.beside("keys")).args(line.split_whitespace());
        command.envs(key.map(|key| ("HOST_PRIVATE_KEY", key)));
        let output = command.output().unwrap();
        let all = [output.stdout.clone(), output.stderr.clone()].concat();
        assert!(!String::from_utf8_lossy(&all).contains(&self.secret), "the key is told");
        output
    }

    /// Exit code, lines, and what it complains of; the key out of the file.
    fn says(&self, line: &str) -> (Option<i32>, Vec<String>, String) {
        let output = self.run(line, None);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout).lines().map(str::to_owned).collect(), text(output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_registers_the_way_its_operator_knows() {
    let mut cluster = Cluster::new(1, 0);
    cluster.up().await;
    market(&cluster);
    let account = AccountsFile::read(&cluster.dir().join("accounts.json")).unwrap().0.swap_remove(4);
    let host = Host { cluster: &cluster, secret: account.secret_key.clone() };
    let client = cluster.client(0).await;
    let register = "register-node --chain main --name Host-4 --api-url http://h.example:8083 \
                    --models org/llama-3:8b.gguf,70b.gguf --performance-tier premium";
    let (code, _, error) = host.says(register);
    assert_eq!(code, Some(2));
    assert!(error.contains("HOST_PRIVATE_KEY"), "{error}");

    let (env, chains) = (cluster.beside(".env"), cluster.beside("chains.toml"));
    fs::write(&env, format!("# of the host\nHOST_PRIVATE_KEY=0x{}\n", account.secret_key)).unwrap();
    fs::set_permissions(&env, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, error) = host.says(register);
    assert_eq!(code, Some(2), "no chain has a URL");
    assert!(error.contains("chains.toml") && error.contains("chmod 600"), "{error}");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&chains, format!("[chains]\nmain = \"http://{}\"\nnone = \"http://127.0.0.1:1\"\n", cluster.rpc(0)))
        .unwrap();

    let (code, lines, error) = host.says(&format!("{register} --dry-run"));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(lines[0].starts_with("main: dry run: would be registered, fee "), "{lines:?}");
    assert!(client.get_provider(account.address).await.is_err(), "nothing was sent");
    let status = "registration-status --chain main";
    assert_eq!(host.says(status).0, Some(1), "not yet");

    let (code, lines, _) = host.says(register);
    assert_eq!(code, Some(0));
    assert!(lines[0].starts_with(&format!("main: registered as {} in block ", account.address)), "{lines:?}");
    let profile = client.get_provider(account.address).await.unwrap().profile.unwrap();
    let said = (profile.name.as_str(), profile.endpoint.as_str(), profile.class.as_str(), profile.models.len());
    assert_eq!(said, ("Host-4", "http://h.example:8083", "premium", 2));
    let (code, lines, _) = host.says(register);
    assert_eq!((code, lines), (Some(0), vec!["main: registered already, number 2; nothing to do".to_owned()]));
    let (code, lines, _) = host.says(&register.replace("premium", "standard"));
    assert_eq!(code, Some(1));
    assert!(lines[0].contains("update-registration"), "{lines:?}");

    // The environment goes before the file.
    let update = "update-registration --chain main --performance-tier standard --json";
    let wrong = host.run(update, Some("not a key"));
    assert_eq!(wrong.status.code(), Some(2));
    let output = host.run(update, Some(&account.secret_key));
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["chain"], &told["status"]), (&json!("main"), &json!("updated")));
    assert_eq!(client.get_provider(account.address).await.unwrap().profile.unwrap().class, "standard");
    assert_eq!(host.says(&update.replace(" --json", "")).1, ["main: nothing to change"]);

    // Each chain has its own line; one that fails fails the whole.
    let (code, lines, error) = host.says("registration-status --all-chains");
    assert_eq!((code, lines.len()), (Some(1), 2), "{lines:?}");
    assert!(lines[0].starts_with("main: live, \"Host-4\", number 2, seen "), "{lines:?}");
    assert!(lines[1].starts_with("none: failed: no answer"), "{lines:?}");
    assert!(error.contains("failed on 1 of 2 chains"), "{error}");
    assert_eq!(host.says("registration-status --chain other").0, Some(2));
    assert_eq!(host.says("registration-status").0, Some(2), "which chain?");
}
