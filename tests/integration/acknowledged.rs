//! Acknowledged work, disputes, bids and handovers, by the command line alone, on a fresh devnet: what each step pays
//! is exact, and every unit ends where it should.

use crate::authority::{chain, said};
use crate::market::{USD, event, market, number, places, refused};
use chain_core::crypto::SecretKey;
use chain_core::types::{Acknowledged, ChainId, JobId, Units};
use chain_tests::cluster::Cluster;
use chain_tests::{eventually, http};
use genesis::accounts::AccountsFile;
use serde_json::{Value, json};
use std::fs;

/// Who signs acknowledgements: an account that is not a party.
const ACKS: usize = 6;

struct Scene {
    cluster: Cluster,
    chain: ChainId,
    acks: SecretKey,
}

impl Scene {
    async fn new() -> Self {
        let mut cluster = Cluster::new(1, 0);
        cluster.up().await;
        market(&cluster);
        let chain = cluster.client(0).await.get_genesis().await.unwrap().chain_id;
        let account = AccountsFile::read(&cluster.dir().join("accounts.json")).unwrap().0.swap_remove(ACKS);
        let seed = hex::decode(account.secret_key.trim_start_matches("0x")).unwrap();
        let acks = SecretKey::from_seed(&seed.try_into().unwrap());
        let scene = Self { cluster, chain, acks };
        // Two providers, which can deposit for disputes.
        for provider in ["dev3", "dev4"] {
            scene.said(&format!("asset mint --from dev0 --to {provider} --amount 10USD"));
        }
        scene.said("provider register --name Rome --endpoint https://r.example --models 8b.gguf --region it --from dev4");
        scene
    }

    fn said(&self, line: &str) -> Value {
        said(&self.cluster, 0, line)
    }

    fn refused(&self, line: &str, number: u16) {
        refused(&self.cluster, line, number);
    }

    fn shown(&self, job: u64) -> Value {
        self.said(&format!("job show {job}"))
    }

    fn file(&self, name: &str, document: &Value) -> String {
        let file = self.cluster.beside(name);
        fs::write(&file, document.to_string()).unwrap();
        file.display().to_string()
    }

    /// The command that submits a job's next receipt, which counts so many units.
    fn receipt(&self, job: u64, cumulative: u64, by: &str) -> String {
        let shown = self.shown(job);
        let seq = number(&shown["meter"]["seq"]) as u64 + 1;
        let receipt = json!({
            "version": 2, "job": job.to_string(), "leg": shown["leg"], "seq": seq.to_string(),
            "previous": shown["meter"]["head"], "cumulative_units": cumulative.to_string(), "unit_kind": "tokens",
            "model": shown["model"], "input_hash": "0x".to_owned() + &"1".repeat(64),
            "output_hash": "0x".to_owned() + &"2".repeat(64), "started": "1700000000000",
            "finished": "1700000005000", "outcome": { "kind": "ok" }, "content_ref": "",
        });
        format!("receipt submit {} --from {by}", self.file(&format!("r-{job}-{seq}-{cumulative}.json"), &receipt))
    }

    /// The file of an acknowledgement of so many units, as the job's provider has it from the payer.
    fn ack(&self, job: u64, units: u64) -> String {
        let shown = self.shown(job);
        let provider = shown["provider"].as_str().unwrap().parse().unwrap();
        let leg = shown["leg"].as_u64().unwrap() as u32;
        let said = Acknowledged { job: JobId::new(job), leg, provider, cumulative_units: Units::new(units) };
        let ack = said.sign(&self.chain, &self.acks);
        self.file(&format!("a-{job}-{units}.json"), &serde_json::to_value(ack).unwrap())
    }

    /// Claims so many units once they can have been produced.
    async fn claim(&self, job: u64, cumulative: u64, by: &str) {
        let line = self.receipt(job, cumulative, by);
        let client = self.cluster.client(0).await;
        eventually("the units can have been produced", || async {
            let job = client.get_job(JobId::new(job)).await.unwrap().job.begun().unwrap();
            (job.meter.claimable.get() >= cumulative).then_some(())
        })
        .await;
        event(&self.said(&line), "receipt_accepted");
    }

    fn earned(&self, name: &str) -> u128 {
        number(&self.said(&format!("earnings show {name}"))["assets"][0]["withdrawable"])
    }
}

fn opened(answer: &Value) -> u64 {
    number(&event(answer, "job_opened")["job"]) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_work_is_paid_mid_job_and_what_is_contested_is_decided() {
    let scene = Scene::new().await;
    acknowledged(&scene);
    decided_by_an_arbiter(&scene).await;
    decided_by_the_council(&scene).await;
    bids_and_a_handover(&scene).await;
    let [accounts, prepaid, escrow, earnings, treasury] = places(&scene.cluster).await;
    assert_eq!([prepaid, escrow], [0, 0], "no job is open any more");
    assert_eq!(accounts + earnings + treasury, 2_020 * USD);
}

/// Paid while the job goes on, closed by the payer, redeemed once more, ended by the provider.
fn acknowledged(scene: &Scene) {
    let open = "job open --provider dev3 --model 8b.gguf --price 0.005USD --deposit 10USD --acks --from dev1";
    let unsigned = chain(&scene.cluster, 0, open);
    assert_eq!(unsigned.status.code(), Some(2), "somebody has to sign acknowledgements");
    scene.refused(&format!("{open} --quantum 1001 --ack-from dev6"), 1014);
    let other = "0x".to_owned() + &"7".repeat(64);
    scene.refused(&format!("{open} --ack-from dev6 --dispute-terms {other}"), 99);
    let job = opened(&scene.said(&format!("{open} --quantum 1000 --ack-from dev6")));
    assert_eq!(scene.shown(job)["mode"]["kind"], "client_acks");

    scene.refused(&scene.receipt(job, 1_001, "dev3"), 1108);
    event(&scene.said(&scene.receipt(job, 1_000, "dev3")), "receipt_accepted");
    assert_eq!(scene.shown(job)["meter"]["claimable"], "0", "a quantum ahead");
    scene.refused(&format!("{} --ack {}", scene.receipt(job, 5_000, "dev3"), scene.ack_of(job + 1, job, 5_000)), 90);
    let paid = scene.said(&format!("{} --ack {}", scene.receipt(job, 5_000, "dev3"), scene.ack(job, 5_000)));
    assert_eq!(event(&paid, "receipt_accepted")["payment"]["gross"], "25000");
    assert_eq!((scene.shown(job)["state"].as_str(), scene.earned("dev3")), (Some("active"), 22_500));
    scene.refused(&format!("{} --ack {}", scene.receipt(job, 5_000, "dev3"), scene.ack(job, 5_000)), 94);

    event(&scene.said(&scene.receipt(job, 6_000, "dev3")), "receipt_accepted");
    scene.refused(&format!("job complete {job} --max-units 5999 --from dev1"), 1011);
    event(&scene.said(&format!("job complete {job} --from dev1")), "job_closing");
    let closing = scene.shown(job);
    assert_eq!((&closing["state"], &closing["closing"]["cause"]), (&json!("closing"), &json!("payer_completed")));
    assert_eq!(scene.said("job list --state closing")["jobs"].as_array().unwrap().len(), 1);
    scene.refused(&scene.receipt(job, 6_500, "dev3"), 96);
    scene.said(&format!("{} --ack {}", scene.receipt(job, 6_000, "dev3"), scene.ack(job, 6_000)));
    let ended = event(&scene.said(&format!("job complete {job} --from dev3")), "job_settled");
    let parts = ["gross", "fee", "provider", "refund"].map(|name| number(&ended["settlement"][name]));
    assert_eq!((parts, scene.earned("dev3")), ([30_000, 3_000, 27_000, 9_970_000], 27_000));
}

impl Scene {
    /// An acknowledgement for another job, by the right key.
    fn ack_of(&self, named: u64, like: u64, units: u64) -> String {
        let provider = self.shown(like)["provider"].as_str().unwrap().parse().unwrap();
        let said = Acknowledged { job: JobId::new(named), leg: 0, provider, cumulative_units: Units::new(units) };
        self.file("other.json", &serde_json::to_value(said.sign(&self.chain, &self.acks)).unwrap())
    }
}

/// The offer names dev5; it finds for the payer.
async fn decided_by_an_arbiter(scene: &Scene) {
    scene.said("offer publish 8b.gguf --price 0.005USD --slots 4 --arbiter dev5 --from dev3");
    let offer = scene.said("offer list --provider dev3")["offers"][0].clone();
    let line = "job open --provider dev3 --model 8b.gguf --price 0.005USD --deposit 10USD --from dev1";
    let job = opened(&scene.said(line));
    assert_eq!(scene.shown(job)["dispute_terms"]["hash"], offer["dispute_terms"]);
    scene.refused(&format!("dispute open {job} --from dev1"), 1200);
    scene.claim(job, 40_000, "dev3").await;
    scene.refused(&format!("dispute open {job} --from dev2"), 98);
    scene.refused(&format!("dispute open {job} --from-unit 40000 --from dev1"), 1201);
    let begun = event(&scene.said(&format!("dispute open {job} --from-unit 10000 --from dev1")), "dispute_opened");
    assert_eq!((&begun["dispute"]["contested"], &begun["dispute"]["bond"]), (&json!("150000"), &json!("500000")));
    scene.refused(&format!("job complete {job} --from dev1"), 97);
    let mine = scene.said("dispute list --account dev5 --state open");
    assert_eq!(number(&mine["disputes"][0]["job"]) as u64, job);
    scene.refused(&format!("dispute vote {job} --for payer --from dev5"), 1204);
    event(&scene.said(&format!("dispute respond {job} --from dev3")), "dispute_answered");
    scene.refused(&format!("dispute vote {job} --for provider --from node-0"), 1206);
    let voted = scene.said(&format!("dispute vote {job} --for payer --from dev5"));
    let ended = event(&voted, "dispute_decided");
    assert_eq!(ended["cause"], "verdict_for_payer");
    let bonds = ["payer", "provider", "each_arbiter", "treasury"].map(|name| number(&ended["bonds"][name]));
    assert_eq!(bonds, [750_000, 0, 250_000, 0]);
    assert_eq!((number(&ended["settlement"]["gross"]), scene.earned("dev5")), (50_000, 250_000));
    assert_eq!(scene.shown(job)["settled"]["cause"], "verdict_for_payer");
    let rest = http::get(scene.cluster.rpc(0), &format!("/v1/jobs/{job}/dispute")).await.json();
    assert_eq!((&rest["state"], rest["votes"].as_array().unwrap().len()), (&json!("decided"), 1));
}

/// The offer names nobody: the validators decide, here for the provider.
async fn decided_by_the_council(scene: &Scene) {
    scene.said("offer publish 8b.gguf --price 0.005USD --slots 4 --from dev3");
    let line = "job open --provider dev3 --model 8b.gguf --price 0.005USD --deposit 10USD --from dev2";
    let job = opened(&scene.said(line));
    scene.claim(job, 40_000, "dev3").await;
    event(&scene.said(&format!("dispute open {job} --from dev2")), "dispute_opened");
    event(&scene.said(&format!("dispute respond {job} --from dev3")), "dispute_answered");
    scene.refused(&format!("dispute vote {job} --for provider --from dev5"), 1206);
    let ended = event(&scene.said(&format!("dispute vote {job} --for provider --from node-0")), "dispute_decided");
    assert_eq!((&ended["cause"], &ended["settlement"]["gross"]), (&json!("verdict_for_provider"), &json!("200000")));
    let shown = scene.said(&format!("dispute show {job}"));
    assert_eq!((&shown["outcome"], &shown["held"]), (&json!("verdict_for_provider"), &json!("0")));
    let reputation = scene.said("provider show dev3");
    assert!(reputation.to_string().contains("disputes_won_millionths"), "{reputation}");
}

/// Two providers bid, the dearer one loses and takes the job over in the middle.
async fn bids_and_a_handover(scene: &Scene) {
    let post = "job post --model 8b.gguf --deposit 10USD --max-price 0.005USD --bidding 600 --from dev1";
    let posted = event(&scene.said(&format!("{post} --ref wanted")), "job_posted");
    let job = number(&posted["job"]) as u64;
    scene.refused(&format!("job bid {job} --price 0.006USD --from dev3"), 1019);
    scene.refused(&format!("job bid {job} --price 0.004USD --from dev5"), 77);
    scene.said(&format!("job bid {job} --price 0.005USD --from dev3"));
    scene.said(&format!("job bid {job} --price 0.004USD --arbiter dev5 --from dev4"));
    let bids = scene.said(&format!("job bids {job}"));
    assert_eq!(bids["bids"].as_array().unwrap().iter().map(|bid| &bid["price"]).collect::<Vec<_>>(), ["4000", "5000"]);
    let listed = scene.said("job list --state posted");
    assert_eq!((&listed["jobs"][0]["state"], &listed["jobs"][0]["bids"]), (&json!("posted"), &json!(2)));
    scene.refused(&format!("job accept-bid {job} --provider dev4 --price 0.003USD --from dev1"), 1023);
    assert_eq!(opened(&scene.said(&format!("job accept-bid {job} --provider dev4 --from dev1"))), job);
    // What nobody takes comes back.
    let other = number(&event(&scene.said(post), "job_posted")["job"]);
    scene.refused(&format!("job cancel {other} --from dev2"), 98);
    assert_eq!(event(&scene.said(&format!("job cancel {other} --from dev1")), "job_cancelled")["refund"], "10000000");

    scene.claim(job, 10_000, "dev4").await;
    scene.said(&format!("job hand-over {job} --to dev3 --price 0.005USD --from dev1"));
    assert_eq!(scene.shown(job)["handover"]["max_units"], "10000");
    scene.said(&format!("job hand-over {job} --to nobody --from dev1"));
    assert_eq!(chain(&scene.cluster, 0, &format!("job take-over {job} --from dev3")).status.code(), Some(1));
    scene.said(&format!("job hand-over {job} --to dev3 --price 0.005USD --from dev1"));
    scene.refused(&format!("job take-over {job} --from dev4"), 1024);
    let over = event(&scene.said(&format!("job take-over {job} --from dev3")), "job_handed_over");
    assert_eq!((&over["settlement"]["gross"], &over["settlement"]["refund"]), (&json!("40000"), &json!("9960000")));
    scene.claim(job, 2_000, "dev3").await;
    let shown = scene.shown(job);
    assert_eq!((&shown["leg"], &shown["spent"], &shown["meter"]["used"]), (&json!(1), &json!("40000"), &json!("2000")));
    let ended = event(&scene.said(&format!("job complete {job} --from dev1")), "job_settled");
    assert_eq!(number(&ended["settlement"]["refund"]), 9_960_000 - 10_000);
}
