//! Who gets a place, who is dialled again, and one connection for two dials.
//!
//! Not here: what misconduct leads to (`rules`).

use super::*;

#[test]
fn a_peer_that_restarts_is_found_again() {
    run(async {
        let identity = Keypair::generate_ed25519();
        // An address nobody else uses, so that its port stays free.
        let [a, b, c]: [u8; 3] = rand::random();
        let own = format!("/ip4/127.{a}.{b}.{}/tcp/0", c.max(1)).parse::<Multiaddr>().unwrap();
        let mut second = node(|_| {}).await;
        let mut listen = own;
        for _ in 0..3 {
            let (identity, address) = (identity.clone(), listen);
            let first = node(|config| (config.identity, config.listen) = (identity, vec![address])).await;
            listen = first.address();
            second.network.add_peer(listen.clone());
            let peer = second.joined().await;
            first.network.stop().await;
            second.left(peer).await;
        }
    });
}

#[test]
fn dials_that_cross_settle_to_one_working_connection() {
    run(async {
        for _ in 0..5 {
            let (mut first, mut second) = (node(|_| {}).await, node(|_| {}).await);
            first.network.add_peer(second.address());
            second.network.add_peer(first.address());
            // A frame on the connection that goes is lost: say it until it is heard.
            let (mut one, mut other) = (false, false);
            while !(one && other) {
                for network in [&first.network, &second.network] {
                    let peers: Vec<_> = network.peers().iter().map(|peer| peer.peer).collect();
                    network.send(&peers, Lane::Urgent, b"hello".to_vec().into());
                }
                tokio::select! {
                    event = first.next() => one |= matches!(event, NetworkEvent::Frame { .. }),
                    event = second.next() => other |= matches!(event, NetworkEvent::Frame { .. }),
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
            let settled = |node: &Node| node.network.peers().len() == 1;
            eventually("one connection is left", || settled(&first) && settled(&second)).await;
        }
    });
}

#[test]
fn a_full_node_has_places_for_validators_and_static_peers_only() {
    run(async {
        let key = Arc::new(SecretKey::from_seed(&[5; 32]));
        let mut first = node(|config| config.max_peers = 1).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([key.public()])));
        assert_eq!(first.network.shared.missing().len(), 1);
        let address = first.address();
        let _guest = node(|config| config.static_peers = vec![address.clone()]).await;
        first.joined().await;
        let _late = node(|config| config.static_peers = vec![address.clone()]).await;
        eventually("no place", || first.metric(r#"blockchain_p2p_refused_total{reason="full"}"#) > 0).await;
        let validator = Some(key.clone());
        let _seat = node(|c| (c.validator, c.static_peers) = (validator, vec![address.clone()])).await;
        let claimed = first
            .until(|event| match event {
                NetworkEvent::Joined { validator, .. } => Some(validator),
                _ => None,
            })
            .await;
        assert_eq!(claimed, Some(key.public()));
        assert!(first.network.shared.missing().is_empty());
        let other = node(|_| {}).await;
        first.network.add_peer(other.address());
        first.joined().await;
        assert_eq!(first.network.peers().len(), 3);
    });
}

#[test]
fn strangers_that_came_to_us_do_not_replace_the_bootnode() {
    run(async {
        let identity = Keypair::generate_ed25519();
        // An address nobody else uses, so that its port stays free.
        let [a, b, c]: [u8; 3] = rand::random();
        let own = format!("/ip4/127.{a}.{b}.{}/tcp/0", c.max(1)).parse::<Multiaddr>().unwrap();
        let bootnode = node(|config| (config.identity, config.listen) = (identity.clone(), vec![own])).await;
        let way_in = bootnode.address();
        let listen = way_in.clone();
        let mut first = node(|config| (config.max_peers, config.bootnodes) = (18, vec![way_in])).await;
        let peer = first.joined().await;
        bootnode.network.stop().await;
        first.left(peer).await;
        let address = first.address();
        let mut guests = Vec::new();
        for _ in 0..10 {
            guests.push(node(|config| config.static_peers = vec![address.clone()]).await);
            first.joined().await;
        }
        guests.push(node(|config| config.static_peers = vec![address.clone()]).await);
        let full = r#"blockchain_p2p_refused_total{reason="full"}"#;
        eventually("the last places are for whom we dial", || first.metric(full) > 0).await;
        let bootnode = node(|config| (config.identity, config.listen) = (identity, vec![listen])).await;
        let id = bootnode.network.local_id();
        eventually("it is found", || first.network.peers().iter().any(|peer| peer.id == id && peer.outbound)).await;
    });
}

#[test]
fn a_copied_identity_does_not_cut_the_validator_off() {
    run(async {
        let (identity, key) = (Keypair::generate_ed25519(), Arc::new(SecretKey::from_seed(&[5; 32])));
        let mut first = node(|_| {}).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([key.public()])));
        let address = first.address();
        let original = |config: &mut P2pConfig| {
            (config.identity, config.validator) = (identity.clone(), Some(key));
            config.static_peers = vec![address.clone()];
        };
        let mut validator = node(original).await;
        let (peer, at_validator) = (first.joined().await, validator.joined().await);
        let _copy = node(|c| (c.identity, c.static_peers) = (identity.clone(), vec![address.clone()])).await;
        // As often as would cost it a ban.
        let twins = r#"blockchain_p2p_refused_total{reason="twin"}"#;
        eventually("the copy is turned away", || first.metric(twins) > 25).await;
        validator.network.send(&[at_validator], Lane::Urgent, b"still here".to_vec().into());
        assert_eq!(first.frame().await, (peer, Lane::Urgent, b"still here".to_vec()));
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
    });
}

#[test]
fn one_key_has_few_places_however_many_identities_it_signs_for() {
    run(async {
        let (traitor, other) = (SecretKey::from_seed(&[5; 32]), SecretKey::from_seed(&[6; 32]));
        let first = node(|config| config.max_peers = 4).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([traitor.public(), other.public()])));
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut rogue = Rogue::new();
            let hello = Hello::new(chain(1), Some(&traitor), &rogue.id.to_bytes());
            held.push((rogue.connect(&first, &hello.encode()).await, rogue));
        }
        let full = r#"blockchain_p2p_refused_total{reason="full"}"#;
        eventually("the surplus is turned away", || first.metric(full) == 8).await;
        assert_eq!(first.network.peers().len(), 2);
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
        let (address, key) = (first.address(), Some(Arc::new(other)));
        let _honest = node(|c| (c.validator, c.static_peers) = (key, vec![address.clone()])).await;
        let _stranger = node(|c| c.static_peers = vec![address]).await;
        eventually("others come in", || first.network.peers().len() == 4).await;
        drop(held);
    });
}

#[test]
fn who_is_turned_away_from_a_full_node_pays_nothing_for_it() {
    run(async {
        let mut first = node(|config| config.max_peers = 1).await;
        let address = first.address();
        let _guest = node(|config| config.static_peers = vec![address.clone()]).await;
        first.joined().await;
        let late = node(|config| config.static_peers = vec![address.clone()]).await;
        let full = r#"blockchain_p2p_refused_total{reason="full"}"#;
        eventually("it has knocked", || first.metric(full) >= 4).await;
        assert_eq!(lock(&first.network.shared.bans).points(&late.network.local_id(), Instant::now()), 0);
    });
}

#[test]
fn a_validator_whose_line_flaps_is_not_shut_out() {
    run(async {
        let (identity, key) = (Keypair::generate_ed25519(), SecretKey::from_seed(&[5; 32]));
        let mut first = node(|_| {}).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([key.public()])));
        // More often than would cost anybody else a ban.
        for _ in 0..30 {
            let mut rogue = Rogue::with(identity.clone());
            let hello = Hello::new(chain(1), Some(&key), &rogue.id.to_bytes());
            let streams = rogue.connect(&first, &hello.encode()).await;
            let peer = first.joined().await;
            drop(streams);
            first.left(peer).await;
            rogue.ended().await;
        }
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
    });
}
