//! Lists of the market in pages over the interface, JSON-RPC and REST, while the market goes on and the lists are
//! behind.

use super::authority::Council;
use super::http::{call, get};
use super::market::{
    BUYER, CURATOR, SELLER, accept, claim, complete, curate, done, model, offer, open, register, spec, submit,
};
use super::node::{STK, TestNode, address};
use crate::backend::Backend;
use crate::view::*;
use chain_core::types::*;
use serde_json::json;

/// Two models, two assets, three sellers, jobs of two payers.
async fn busy() -> Council {
    let council = Council::of(TestNode::market()).await;
    let node = &council.world.node;
    let (m1, m2) = (model(), spec("m2").id());
    done(node, CURATOR, curate(&["m1", "m2"])).await;
    done(node, CURATOR, accept(AssetId::NATIVE)).await;
    done(node, CURATOR, accept(STK)).await;
    for (seed, name, served) in [(SELLER, "a", vec![m1, m2]), (4, "b", vec![m1]), (5, "c", vec![m2, m1])] {
        done(node, seed, register(name, &served)).await;
    }
    for (seed, of, asset, price) in [
        (SELLER, m1, AssetId::NATIVE, 4_000),
        (4, m1, AssetId::NATIVE, 3_000),
        (5, m1, AssetId::NATIVE, 5_000),
        (5, m2, AssetId::NATIVE, 100),
        (SELLER, m1, STK, 900),
        (SELLER, m2, STK, 800),
    ] {
        done(node, seed, offer(of, asset, price)).await;
    }
    for at in 0..12 {
        let (payer, to) = ([BUYER, 2][at % 2], [SELLER, 4, 5][at % 3]);
        done(node, payer, open(to, m1, AssetId::NATIVE, 10_000, None)).await;
    }
    for job in [2, 5, 7] {
        done(node, [BUYER, 2][(job as usize + 1) % 2], complete(job)).await;
    }
    council
}

async fn jobs(council: &Council, asked: &JobsParams, mut between: impl AsyncFnMut()) -> Vec<u64> {
    let (mut all, mut asked) = (Vec::new(), asked.clone());
    loop {
        let page = council.client.get_jobs(&asked).await.unwrap();
        assert_eq!(page.height, page.complete_to);
        all.extend(page.list.jobs.iter().map(|job| job.id().get()));
        asked.cursor = page.next;
        if asked.cursor.is_none() {
            return all;
        }
        between().await;
    }
}

#[tokio::test]
async fn jobs_by_filter_in_pages() {
    let council = busy().await;
    let all = JobsParams { limit: Some(2), ..JobsParams::default() };
    let oldest = JobsParams { sort: Some(JobSort::Oldest), ..all.clone() };
    let (active, settled) = (Some(JobState::Active), Some(JobState::Settled));
    let table: [(JobsParams, &[u64]); 8] = [
        (oldest.clone(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (JobsParams { payer: Some(address(2)), ..all.clone() }, &[12, 10, 8, 6, 4, 2]),
        (JobsParams { opener: Some(address(2)), state: active, ..oldest.clone() }, &[4, 6, 8, 10, 12]),
        (JobsParams { state: settled, ..all.clone() }, &[7, 5, 2]),
        (JobsParams { provider: Some(address(5)), payer: Some(address(BUYER)), ..oldest.clone() }, &[3, 9]),
        (JobsParams { model: Some(model()), provider: Some(address(4)), state: settled, ..all.clone() }, &[5, 2]),
        (JobsParams { asset: Some(STK), ..all.clone() }, &[]),
        (JobsParams { model: Some(spec("m2").id()), ..all.clone() }, &[]),
    ];
    for (asked, expected) in table {
        assert_eq!(jobs(&council, &asked, async || {}).await, expected, "{asked:?}");
    }
    // The same over REST.
    let to = council.world.door.address;
    let path = format!("/v1/jobs?payer={}&state=settled&limit=1", address(BUYER));
    let page = get(to, &path).await.json();
    assert_eq!((&page["jobs"][0]["job"], page["jobs"].as_array().unwrap().len()), (&json!("7"), 1));
    let next = page["next"].as_str().unwrap();
    assert_eq!(get(to, &format!("{path}&cursor={next}")).await.json()["jobs"][0]["job"], json!("5"));
    let own = get(to, "/v1/jobs/5").await.json();
    assert_eq!(
        (&own["job"], &own["state"], &own["settled"]["refund"]),
        (&json!("5"), &json!("settled"), &json!("10000"))
    );
    assert_eq!(get(to, "/v1/jobs/99").await.status, 404);
}

#[tokio::test]
async fn pages_go_on_while_jobs_are_settled_and_opened() {
    let council = busy().await;
    let node = &council.world.node;
    let asked = JobsParams { state: Some(JobState::Active), limit: Some(2), ..JobsParams::default() };
    let mut endings = [12u64, 9, 4, 1].into_iter();
    let found = jobs(&council, &asked, async || {
        if let Some(job) = endings.next() {
            done(node, [BUYER, 2][(job as usize + 1) % 2], complete(job)).await;
            done(node, BUYER, open(4, model(), AssetId::NATIVE, 10_000, None)).await;
        }
    })
    .await;
    // 12 and 9 were told before they ended, 4 ended before its page; what is new stands before the first page.
    assert_eq!(found, [12, 11, 10, 9, 8, 6, 3, 1]);
}

#[tokio::test]
async fn what_the_lists_have_not_come_to_is_in_them() {
    let council = busy().await;
    let node = &council.world.node;
    let bytes = node.sign(BUYER, node.next_nonce(&address(BUYER)).unwrap(), complete(1));
    node.submit(vec![bytes]).await.pop().unwrap().unwrap();
    node.produce_unlisted();
    let bytes = node.sign(4, node.next_nonce(&address(4)).unwrap(), offer(model(), AssetId::NATIVE, 4_500));
    node.submit(vec![bytes]).await.pop().unwrap().unwrap();
    node.produce_unlisted();
    let settled = JobsParams { state: Some(JobState::Settled), ..JobsParams::default() };
    assert_eq!(jobs(&council, &settled, async || {}).await, [7, 5, 2, 1]);
    let deposits = council.client.get_deposits(address(BUYER)).await.unwrap().assets;
    assert_eq!(deposits[0].locked.get(), 30_000, "3, 9 and 11 are open");
    let (asset, unit_kind) = (Some(AssetId::NATIVE), Some(UnitKind::Tokens));
    let asked = OffersParams { model: Some(model()), asset, unit_kind, ..OffersParams::default() };
    let prices = async || {
        let page = council.client.get_offers(&asked).await.unwrap();
        page.list.offers.iter().map(|offer| offer.price.get()).collect::<Vec<_>>()
    };
    assert_eq!(prices().await, [4_000, 4_500, 5_000]);
    node.index();
    assert_eq!(prices().await, [4_000, 4_500, 5_000]);
}

#[tokio::test]
async fn providers_and_offers_by_what_they_offer() {
    let council = busy().await;
    let client = &council.client;
    let (native, tokens) = (Some(AssetId::NATIVE), Some(UnitKind::Tokens));
    let all = ProvidersParams::default();
    let priced = ProvidersParams {
        model: Some(model()),
        asset: native,
        unit_kind: tokens,
        sort: Some(ProviderSort::Price),
        limit: Some(1),
        ..all.clone()
    };
    let table: [(ProvidersParams, &[u8]); 10] = [
        (all.clone(), &[SELLER, 4, 5]),
        (ProvidersParams { model: Some(spec("m2").id()), ..all.clone() }, &[SELLER, 5]),
        (ProvidersParams { sort: Some(ProviderSort::LastSeen), limit: Some(2), ..all.clone() }, &[SELLER, 5, 4]),
        (priced.clone(), &[4, SELLER, 5]),
        (ProvidersParams { max_price: Some(Price::new(4_000)), ..priced.clone() }, &[4, SELLER]),
        (ProvidersParams { asset: Some(STK), ..all.clone() }, &[SELLER]),
        (ProvidersParams { max_price: Some(Price::new(500)), ..all.clone() }, &[5]),
        (ProvidersParams { region: Some("eu-central".into()), live: Some(true), ..all.clone() }, &[SELLER, 4, 5]),
        (ProvidersParams { region: Some("mars".into()), ..all.clone() }, &[]),
        (ProvidersParams { live: Some(false), ..all.clone() }, &[]),
    ];
    for (asked, expected) in table {
        let (mut found, mut asked) = (Vec::new(), asked);
        loop {
            let page = client.get_providers(&asked).await.unwrap();
            found.extend(page.list.providers.iter().map(|provider| provider.provider));
            asked.cursor = page.next;
            if asked.cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected.iter().map(|seed| address(*seed)).collect::<Vec<_>>(), "{asked:?}");
    }
    let all = OffersParams { limit: Some(2), ..OffersParams::default() };
    let table: [(OffersParams, &[u128]); 5] = [
        (OffersParams { model: Some(model()), asset: native, ..all.clone() }, &[3_000, 4_000, 5_000]),
        (OffersParams { model: Some(model()), ..all.clone() }, &[3_000, 4_000, 5_000, 900]),
        (OffersParams { provider: Some(address(5)), model: Some(model()), ..all.clone() }, &[5_000]),
        (
            OffersParams { asset: native, max_price: Some(Price::new(3_500)), model: Some(model()), ..all.clone() },
            &[3_000],
        ),
        (OffersParams { open: Some(false), ..all.clone() }, &[]),
    ];
    for (asked, expected) in table {
        let (mut found, mut asked) = (Vec::new(), asked);
        loop {
            let page = client.get_offers(&asked).await.unwrap();
            found.extend(page.list.offers.iter().map(|offer| offer.price.get()));
            asked.cursor = page.next;
            if asked.cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{asked:?}");
    }
    let to = council.world.door.address;
    let path = format!("/v1/offers?model={}&asset=0&unit_kind=tokens&max_price=4000", model());
    assert_eq!(get(to, &path).await.json()["offers"].as_array().unwrap().len(), 2);
    let path = format!("/v1/providers/{}", address(5));
    assert_eq!(get(to, &path).await.json()["offers"].as_array().unwrap().len(), 2);
    let answer = call(to, "get_providers", &json!({ "sort": "last_seen", "cursor": "00" })).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

#[tokio::test]
async fn models_come_in_pages() {
    let council = busy().await;
    let node = &council.world.node;
    done(node, CURATOR, curate(&["a", "b", "c", "d", "e"])).await;
    let (mut found, mut asked) = (Vec::new(), ModelsParams { limit: Some(3), ..ModelsParams::default() });
    loop {
        let page = council.client.get_models(&asked).await.unwrap();
        assert!(page.models.len() <= 3);
        found.extend(page.models.iter().map(|model| model.model));
        asked.cursor = page.next;
        if asked.cursor.is_none() {
            break;
        }
    }
    let mut expected: Vec<_> = ["m1", "m2", "a", "b", "c", "d", "e"].map(|name| spec(name).id()).into();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn reputation_is_told_by_model_and_filters_providers() {
    let council = busy().await;
    let (node, client, to) = (&council.world.node, &council.client, council.world.door.address);
    let (m1, m2) = (model(), spec("m2").id());
    // Jobs 1, 4, 7 and 10 are the seller's; 7 was completed before any claim, 10 stays open: neither counts.
    done(node, SELLER, submit(claim(node, 1, 200))).await;
    done(node, BUYER, complete(1)).await;
    done(node, SELLER, submit(claim(node, 4, 200))).await;
    done(node, 2, complete(4)).await;
    let view = client.get_reputation(address(SELLER), None, None, None).await.unwrap();
    let of = |found: &ModelReputation| (found.model, found.score_bps);
    assert_eq!(view.models.iter().map(of).collect::<Vec<_>>(), [(m1, 1_666)], "2 of 12 jobs");
    assert_eq!((view.slashed_bps_millionths, view.models[0].timeouts_empty_millionths), (0, 0));
    let units = view.models[0].units_millionths;
    assert!((399_900_000..=400_000_000).contains(&units), "{units}");
    let unseen = client.get_reputation(address(SELLER), Some(m2), None, None).await.unwrap();
    assert_eq!(unseen.models.iter().map(of).collect::<Vec<_>>(), [(m2, 0)]);
    // In another model, too: pages go by model.
    done(node, SELLER, offer(m2, AssetId::NATIVE, 5_000)).await;
    done(node, BUYER, open(SELLER, m2, AssetId::NATIVE, 10_000, None)).await;
    done(node, SELLER, submit(claim(node, 13, 100))).await;
    done(node, BUYER, complete(13)).await;
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.get_reputation(address(SELLER), None, cursor, Some(1)).await.unwrap();
        found.extend(page.models.iter().map(of));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut expected = vec![(m1, 1_666), (m2, 909)];
    expected.sort();
    assert_eq!(found, expected);
    let rest = get(to, &format!("/v1/providers/{}/reputation?model={m2}", address(SELLER))).await.json();
    assert_eq!((&rest["models"][0]["score_bps"], &rest["half_life_s"]), (&json!(909), &json!(2_592_000)));
    // As a filter, where the score of the model that is asked for counts.
    let good = |model, least| ProvidersParams { model, min_reputation: Some(least), ..ProvidersParams::default() };
    for (asked, expected) in [
        (good(Some(m1), 1_666), vec![(address(SELLER), Some(1_666))]),
        (good(Some(m1), 1_667), vec![]),
        (good(Some(m2), 1), vec![(address(SELLER), Some(909))]),
        (good(Some(m2), 0), vec![(address(SELLER), Some(909)), (address(5), Some(0))]),
        (ProvidersParams { limit: Some(1), ..ProvidersParams::default() }, vec![(address(SELLER), None)]),
    ] {
        let page = client.get_providers(&asked).await.unwrap();
        let found: Vec<_> = page.list.providers.iter().map(|one| (one.provider, one.score_bps)).collect();
        assert_eq!(found, expected, "{asked:?}");
    }
    assert!(client.get_providers(&good(None, 1)).await.is_err(), "of which model?");
    let both = client.get_reputation(address(SELLER), Some(m1), Some("00".repeat(32)), None).await;
    assert!(both.is_err(), "a cursor of one model");
    let unknown = client.get_reputation(address(BUYER), None, None, None).await.unwrap_err();
    assert_eq!(unknown.refusal().unwrap().data.reason, "unknown_provider");
}

#[tokio::test]
async fn a_page_of_receipts_leaves_out_what_was_dropped_meanwhile_and_says_from_where_on_there_is_all() {
    let council = busy().await;
    let (node, client) = (&council.world.node, &council.client);
    let mut heights = Vec::new();
    for _ in 0..3 {
        done(node, SELLER, submit(claim(node, 1, 100))).await;
        heights.push(node.head().header.height);
    }
    let asked = ReceiptsParams { job: JobId::new(1), sort: Some(JobSort::Oldest), cursor: None, limit: None };
    let all = client.get_receipts(&asked).await.unwrap();
    assert_eq!((all.receipts.len(), all.oldest_block), (3, Height::ZERO));
    // The lists still know of the first, its block is gone.
    node.drop_below(heights[1].get());
    let rest = client.get_receipts(&asked).await.unwrap();
    assert_eq!((&rest.receipts[..], rest.oldest_block), (&all.receipts[1..], heights[1]));
    let of_place = |seq| ReceiptParams { job: Some(JobId::new(1)), seq: Some(U64(seq)), ..ReceiptParams::default() };
    let gone = client.get_receipt(&of_place(1)).await.unwrap_err();
    assert_eq!(gone.refusal().unwrap().data.reason, "pruned");
    assert_eq!(client.get_receipt(&of_place(2)).await.unwrap(), all.receipts[1]);
}

#[tokio::test]
async fn delegates_come_in_bounded_pages() {
    let council = busy().await;
    let (node, client) = (&council.world.node, &council.client);
    let allowance = json!({ "asset": 0, "max_price": null, "max_job": "20000", "max_total": "30000" });
    let scope: chain_core::state::market::grant::Scope =
        serde_json::from_value(json!({ "assets": [allowance], "expires_at": null })).unwrap();
    let mut expected: Vec<Address> = (10..50).map(address).collect();
    for delegate in &expected {
        let (delegate, scope) = (*delegate, scope.clone());
        let set = chain_core::tx::account::Action::DelegateSet { delegate, scope, reset_spent: false };
        done(node, BUYER, chain_core::tx::Action::Account(set)).await;
    }
    expected.sort();
    for limit in [1, 7, 16, 17, 39, 40, 1000] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            node.looks();
            let page = client.get_delegates(address(BUYER), None, cursor, Some(limit)).await.unwrap();
            assert!(page.delegates.len() <= limit as usize);
            // One look is for the head; none reads more than 16 of these rows, which can be long.
            assert!(page.delegates.len() <= 16 * (node.looks() - 1), "{limit}");
            found.extend(page.delegates.iter().map(|one| one.delegate));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{limit}");
    }
}
