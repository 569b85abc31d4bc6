//! What misconduct leads to, and that nobody else pays for it.
//!
//! Not here: places (`places`).

use super::*;

#[test]
fn another_chain_and_another_version_are_told_apart_and_refused() {
    run(async {
        let first = node(|_| {}).await;
        let address = first.address();
        let stranger = node(|config| (config.chain, config.static_peers) = (chain(2), vec![address])).await;
        let genesis = r#"blockchain_p2p_refused_total{reason="genesis"}"#;
        eventually("both see another genesis", || first.metric(genesis) > 0 && stranger.metric(genesis) > 0).await;
        let mut rogue = Rogue::new();
        let mut hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
        hello.version = PROTOCOL_VERSION + 1;
        let _streams = rogue.connect(&first, &hello.encode()).await;
        let version = r#"blockchain_p2p_refused_total{reason="version"}"#;
        eventually("another version is seen", || first.metric(version) == 1).await;
        assert_eq!((first.metric("blockchain_p2p_peers"), first.metric("blockchain_p2p_bans_total")), (0, 0));
        assert_eq!(stranger.metric(version), 0);
    });
}

#[test]
fn rule_breakers_are_shut_out_and_others_are_not_disturbed() {
    use Crime::*;
    run(async {
        let slow_flood = Rate { frames: 50, bytes: 1 << 20, burst_s: 1 };
        let change = |c: &mut P2pConfig| {
            c.limits = Limits { flood_after: Duration::from_millis(500), urgent: slow_flood, ..quick() };
            c.limits.greeting = Duration::from_secs(4);
        };
        let (mut first, at_first, second, at_second) = pair(change).await;
        let (mut bans, mut slow) = (0, 0);
        for crime in [Oversized, Empty, HalfFrame, Flood, FalseClaim, NoGreeting, Garbage] {
            let mut rogue = Rogue::new();
            rogue.commit(crime, &first).await;
            match crime {
                HalfFrame | NoGreeting => slow += 1,
                _ => bans += 1,
            }
            let counts = || (first.metric("blockchain_p2p_bans_total"), first.metric("blockchain_p2p_slow_total"));
            eventually(&format!("{crime:?}: {bans} banned and {slow} slow"), || counts() == (bans, slow)).await;
            rogue.ended().await;
            second.network.send(&[at_second], Lane::Urgent, b"still here".to_vec().into());
            loop {
                match first.frame().await {
                    (from, _, bytes) if from == at_first => break assert_eq!(bytes, b"still here"),
                    (_, _, bytes) => assert_eq!((bytes, crime as u8), (vec![1], Flood as u8)),
                }
            }
        }
    });
}

#[test]
fn a_banned_peer_is_refused_until_the_ban_is_over() {
    run(async {
        let (mut first, at_first, mut second, _) = pair(|c| c.limits.ban = Duration::from_secs(1)).await;
        first.network.blame(at_first, Offence::BadSignature);
        first.network.blame(at_first, Offence::BadCertificate);
        first.left(at_first).await;
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1);
        assert!(first.network.peers().is_empty());
        let again = first.joined().await;
        assert_ne!(again, at_first, "a number is never used again");
        second.joined().await;
    });
}

#[test]
fn blame_is_never_lost_and_voids_what_still_waits() {
    run(async {
        let (mut first, at_first, second, at_second) = pair(|_| {}).await;
        // More orders than wait: blame must not stand behind them.
        for _ in 0..3 * 4096 {
            first.network.gossip(vec![1]);
        }
        assert!(!first.network.is_shut_out(at_first));
        first.network.blame(at_first, Offence::Flood);
        assert!(first.network.is_shut_out(at_first), "at once");
        for _ in 0..1000 {
            second.network.send(&[at_second], Lane::Urgent, vec![1].into());
            first.network.blame(at_first, Offence::Flood);
        }
        first.left(at_first).await;
        assert!(first.network.is_shut_out(at_first), "also afterwards");
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1, "one ban for a thousand words");
    });
}

#[test]
fn who_passes_on_rejected_gossip_is_banned() {
    run(async {
        let (mut first, at_first, second, _) = pair(|_| {}).await;
        for n in 0..4u8 {
            assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
            second.network.gossip(vec![n]);
            let (_, ticket) = first.gossip().await;
            first.network.judge(ticket, GossipVerdict::Reject);
        }
        first.left(at_first).await;
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1);
    });
}

#[test]
fn who_comes_and_goes_without_end_is_banned() {
    run(async {
        let (mut first, identity) = (node(|_| {}).await, Keypair::generate_ed25519());
        // At five points each, and a point forgiven every other second.
        for _ in 0..100 {
            let mut rogue = Rogue::with(identity.clone());
            let hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
            let streams = rogue.connect(&first, &hello.encode()).await;
            let peer = first.joined().await;
            drop(streams);
            first.left(peer).await;
            rogue.ended().await;
            if first.metric("blockchain_p2p_bans_total") > 0 {
                return;
            }
        }
        panic!("it may come for ever");
    });
}

#[test]
fn a_validator_keeps_its_place_whatever_it_passes_on() {
    run(async {
        let key = Arc::new(SecretKey::from_seed(&[5; 32]));
        let first = node(|_| {}).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([key.public()])));
        let address = first.address();
        let mut first = first;
        let mut second = node(|c| (c.validator, c.static_peers) = (Some(key), vec![address])).await;
        let (at_first, at_second) = (first.joined().await, second.joined().await);
        second.network.gossip(vec![0]);
        let (_, ticket) = first.gossip().await;
        // As often as would ban anybody else twice.
        for _ in 0..8 {
            first.network.judge(ticket.clone(), GossipVerdict::Reject);
        }
        for n in 1..20u8 {
            second.network.gossip(vec![n]);
        }
        eventually("it is not heard for a while", || first.metric("blockchain_p2p_gossip_ignored_total") == 19).await;
        second.network.send(&[at_second], Lane::Urgent, b"my vote".to_vec().into());
        assert_eq!(first.frame().await, (at_first, Lane::Urgent, b"my vote".to_vec()));
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
    });
}

#[test]
fn gossip_that_brings_nothing_is_soon_not_looked_at() {
    run(async {
        let few = Rate { frames: 100, bytes: 1 << 20, burst_s: 1 };
        let (mut first, at_first, second, at_second) = pair(|c| c.limits.gossip = few).await;
        // A burst of a hundred frames holds five of them.
        for n in 0..5u8 {
            second.network.gossip(vec![n]);
            let (_, ticket) = first.gossip().await;
            first.network.judge(ticket, GossipVerdict::Useless);
        }
        for n in 5..10u8 {
            second.network.gossip(vec![n]);
        }
        eventually("the rest is passed over", || first.metric("blockchain_p2p_gossip_ignored_total") > 0).await;
        second.network.send(&[at_second], Lane::Urgent, vec![1].into());
        assert_eq!(first.frame().await, (at_first, Lane::Urgent, vec![1]), "it is still a peer");
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
    });
}

#[test]
fn answers_nobody_asked_for_cost_a_little_each() {
    run(async {
        let (mut first, at_first, _second, _) = pair(|_| {}).await;
        for _ in 0..9 {
            first.network.charge_unasked(at_first);
        }
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
        (0..3).for_each(|_| first.network.charge_unasked(at_first));
        first.left(at_first).await;
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1);
    });
}
