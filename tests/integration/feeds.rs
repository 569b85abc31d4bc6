//! `new_blocks` across restarts: whoever resumes where they stopped misses nothing and hears nothing twice.

use chain_core::types::Height;
use chain_rpc::view::{HeadView, Notice};
use chain_tests::PATIENCE;
use chain_tests::devnet::Devnet;

/// Listens until so many blocks have been told, or the node is gone.
async fn listen(devnet: &Devnet, heard: &mut Vec<HeadView>, count: usize) {
    let socket = devnet.socket().await;
    let from = heard.last().map_or(Height::new(1), |last| last.height.next());
    let mut feed = socket.new_blocks(Some(from)).await.unwrap();
    let listening = async {
        for _ in 0..count {
            match feed.next().await {
                Some(Ok(Notice::Item(head))) => heard.push(head),
                Some(Ok(Notice::Lagged { lagged })) => panic!("{lagged:?}"),
                Some(Err(_)) | None => break,
            }
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("blocks are told");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_from_a_height_on_have_no_gap_and_no_repetition_across_restarts() {
    let mut devnet = Devnet::start().await;
    let mut heard = Vec::new();
    for (count, signal) in [(3, "KILL"), (2, "TERM"), (5, "KILL"), (1, "INT"), (4, "KILL")] {
        listen(&devnet, &mut heard, count).await;
        if signal == "KILL" {
            devnet.kill();
        } else {
            assert_eq!(devnet.stop(signal).await, Some(0));
        }
        devnet.up().await;
    }
    listen(&devnet, &mut heard, 3).await;
    assert_eq!(heard.len(), 18);
    for (place, head) in heard.iter().enumerate() {
        assert_eq!(head.height, Height::new(place as u64 + 1), "every height exactly once, in order");
    }
    for pair in heard.windows(2) {
        assert_eq!(pair[1].parent, pair[0].hash, "one chain");
    }
    let mut again = Vec::new();
    listen(&devnet, &mut again, heard.len()).await;
    assert!(again.iter().zip(&heard).all(|(again, heard)| again.hash == heard.hash), "told again, they are the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_in_the_middle_of_a_stop_ends_at_a_block_that_stays() {
    let mut devnet = Devnet::start().await;
    let mut heard = Vec::new();
    let socket = devnet.socket().await;
    let mut feed = socket.new_blocks(Some(Height::new(1))).await.unwrap();
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(Ok(Notice::Item(head))) = feed.next().await {
            heard.push(head);
        }
        heard
    });
    listen(&devnet, &mut heard, 4).await;
    assert_eq!(devnet.stop("TERM").await, Some(0));
    let mut first = tokio::time::timeout(PATIENCE, listening).await.unwrap().unwrap();
    assert!(first.len() >= 4, "{}", first.len());
    devnet.up().await;
    let mut whole = Vec::new();
    listen(&devnet, &mut first, 3).await;
    listen(&devnet, &mut whole, first.len()).await;
    let hashes = |heads: &[HeadView]| heads.iter().map(|head| head.hash).collect::<Vec<_>>();
    assert_eq!(hashes(&first), hashes(&whole));
}
