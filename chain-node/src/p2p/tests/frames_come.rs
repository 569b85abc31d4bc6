//! Frames and gossip arrive, and queues hold.
//!
//! Not here: who may connect (`places`), what misconduct leads to (`rules`).

use super::*;

#[test]
fn two_nodes_greet_and_frames_come_in_order_on_both_lanes() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        run(async {
            let (first, at_first, mut second, at_second) = pair(|c| c.listen = vec![listen.parse().unwrap()]).await;
            let long = vec![7; Lane::Bulk.max_frame_bytes()];
            first.network.send(&[at_first], Lane::Bulk, long.clone().into());
            for n in 0..100u8 {
                first.network.send(&[at_first], Lane::Urgent, vec![n].into());
                first.network.send(&[at_first], Lane::Bulk, vec![n].into());
            }
            let (mut urgent, mut bulk) = (Vec::new(), Vec::new());
            while urgent.len() + bulk.len() < 201 {
                let (from, lane, bytes) = second.frame().await;
                assert_eq!(from, at_second);
                if lane == Lane::Urgent { urgent.push(bytes) } else { bulk.push(bytes) }
            }
            assert!(urgent.into_iter().eq((0..100u8).map(|n| vec![n])));
            assert!(bulk.into_iter().eq(std::iter::once(long).chain((0..100u8).map(|n| vec![n]))));
            first.network.stop().await;
            second.left(at_second).await;
        });
    }
}

#[test]
fn gossip_waits_for_a_peer_and_goes_on_only_when_accepted() {
    run(async {
        let first = node(|_| {}).await;
        first.network.gossip(b"before anybody is there".to_vec());
        let address = first.address();
        let mut second = node(|config| config.static_peers = vec![address]).await;
        let (bytes, ticket) = second.gossip().await;
        assert_eq!(bytes, b"before anybody is there");
        second.network.judge(ticket, GossipVerdict::Ignore);
        let address = second.address();
        let mut third = node(|config| config.static_peers = vec![address]).await;
        third.joined().await;
        for (text, verdict) in [("no", GossipVerdict::Ignore), ("yes", GossipVerdict::Accept)] {
            first.network.gossip(text.as_bytes().to_vec());
            let (bytes, ticket) = second.gossip().await;
            assert_eq!(bytes, text.as_bytes());
            second.network.judge(ticket, verdict);
        }
        assert_eq!(third.gossip().await.0, b"yes", "what was ignored is not passed on");
    });
}

#[test]
fn a_peer_that_never_reads_costs_a_bounded_queue_and_is_closed() {
    run(async {
        let mut first = node(|_| {}).await;
        let mut rogue = Rogue::new();
        let hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
        let _streams = rogue.connect(&first, &hello.encode()).await;
        let peer = first.joined().await;
        let frame = libp2p::bytes::Bytes::from(vec![1; Lane::Urgent.max_frame_bytes()]);
        for _ in 0..1000 {
            first.network.send(&[peer], Lane::Urgent, frame.clone());
            let waiting = first.network.shared.link(peer).map_or(0, |link| link.outbox(Lane::Urgent).size().1);
            assert!(waiting <= quick().urgent_queue_bytes);
        }
        first.left(peer).await;
        eventually("it is closed", || first.metric("blockchain_p2p_slow_total") == 1).await;
        assert!(first.metric(r#"blockchain_p2p_dropped_frames_total{lane="urgent"}"#) > 900);
        rogue.ended().await;
    });
}

#[test]
fn a_full_queue_of_the_node_holds_peers_back_and_loses_nothing() {
    run(async {
        let mut first = node_with_queue(1, |_| {}).await;
        let address = first.address();
        let mut second = node(|config| config.static_peers = vec![address]).await;
        let at_second = second.joined().await;
        for n in 0..200u8 {
            second.network.send(&[at_second], Lane::Urgent, vec![n].into());
        }
        eventually("it is held back", || first.metric("blockchain_p2p_held_back_total") > 0).await;
        for n in 0..200u8 {
            assert_eq!(first.frame().await.2, [n]);
        }
    });
}

#[test]
fn a_peer_that_does_not_read_has_a_backlog_until_it_does() {
    run(async {
        let mut first = node(|_| {}).await;
        let mut rogue = Rogue::new();
        let hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
        let _streams = rogue.connect(&first, &hello.encode()).await;
        let peer = first.joined().await;
        assert_eq!(first.network.stranger(peer), Some(std::net::Ipv4Addr::LOCALHOST.into()));
        assert!(first.network.is_idle(peer));
        // More than the other side's window takes.
        first.network.send(&[peer], Lane::Bulk, vec![1; Lane::Bulk.max_frame_bytes()].into());
        assert!(!first.network.is_idle(peer));
        let link = first.network.shared.link(peer).unwrap();
        first.left(peer).await;
        assert!(first.network.stranger(peer).is_none() && !first.network.is_idle(peer), "it has gone");
        assert!(!link.has_backlog(Lane::Bulk), "what waited has gone with it");
    });
}

#[test]
fn a_peer_that_reads_has_no_backlog_for_long() {
    run(async {
        let (first, at_first, mut second, _) = pair(|_| {}).await;
        first.network.send(&[at_first], Lane::Bulk, vec![1; 1 << 20].into());
        second.frame().await;
        eventually("it is written", || first.network.is_idle(at_first)).await;
        assert!(first.network.stranger(at_first).is_some());
    });
}

#[test]
fn who_has_no_place_is_not_heard_by_gossip_either() {
    run(async {
        let first = node(|_| {}).await;
        // A full node greets nobody any more, but streams of gossip open all the same.
        let mut full = node(|config| config.max_peers = 1).await;
        let address = full.address();
        let _guest = node(|config| config.static_peers = vec![address.clone()]).await;
        full.joined().await;
        for n in 0..10u8 {
            first.network.gossip(vec![n]);
        }
        first.network.add_peer(address);
        let refused = r#"blockchain_p2p_refused_total{reason="full"}"#;
        eventually("it has no place", || full.metric(refused) >= 3).await;
        while let Ok(event) = full.events.try_recv() {
            assert!(!matches!(event, NetworkEvent::Gossip { .. }), "who has no place is not heard");
        }
    });
}
