//! A scripted peer: connects to nodes with an identity of its own, over the same network code as a
//! node, and says what the test tells it to. And an ear that listens to what validators sign.
//!
//! Not here: peers that break the frames themselves (`rogue`).

use crate::PATIENCE;
use chain_core::consensus::{self, Peer};
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::types::{BlockId, ChainId, Height, View, VoteKind};
use chain_core::wire::{Lane, Message};
use chain_node::p2p::{self, Limits, Network, NetworkEvent, P2pConfig};
use libp2p::identity::Keypair;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A connection of our own to one or more nodes.
pub struct TestPeer {
    /// The network below.
    pub network: Network,
    events: mpsc::UnboundedReceiver<NetworkEvent>,
    // The network looks at it as long as it runs.
    _validators: watch::Sender<Arc<BTreeSet<PublicKey>>>,
}

impl TestPeer {
    /// Dials these nodes, again and again, as a peer of this chain; with a key as its validator.
    pub async fn start(chain: ChainId, key: Option<SecretKey>, nodes: &[SocketAddr]) -> Self {
        let (_validators, validators) = watch::channel(Arc::default());
        // Nodes that restart are found again soon.
        let (redial_min, redial_max) = (Duration::from_millis(20), Duration::from_millis(200));
        let limits = Limits { redial_min, redial_max, ..Limits::default() };
        let config = P2pConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            identity: Keypair::generate_ed25519(),
            chain,
            validator: key.map(Arc::new),
            static_peers: nodes.iter().map(|to| multiaddr(*to).parse().unwrap()).collect(),
            bootnodes: Vec::new(),
            mdns: false,
            max_peers: 64,
            max_inbound_per_address: 64,
            validators,
            limits,
        };
        let (sender, events) = mpsc::unbounded_channel();
        let network = p2p::start(config, move |event| sender.send(event).err().map(|unsent| unsent.0)).await.unwrap();
        Self { network, events, _validators }
    }

    /// What happens next; panics when nothing does.
    pub async fn next(&mut self) -> NetworkEvent {
        tokio::time::timeout(PATIENCE, self.forever()).await.expect("nothing happens")
    }

    /// What happens next, however long that takes.
    pub async fn forever(&mut self) -> NetworkEvent {
        self.events.recv().await.expect("the network runs")
    }

    /// Waits until a node has greeted.
    pub async fn joined(&mut self) -> Peer {
        loop {
            if let NetworkEvent::Joined { peer, .. } = self.next().await {
                return peer;
            }
        }
    }

    /// Says something to one node.
    pub fn say(&self, to: Peer, message: &Message) {
        self.network.send(&[to], message.lane(), message.encode().into());
    }
}

/// An address as the option `p2p_peers` takes it.
pub fn multiaddr(address: SocketAddr) -> String {
    format!("/ip4/{}/tcp/{}", address.ip(), address.port())
}

/// Hears what validators sign, and remembers it.
pub struct Ear {
    chain: ChainId,
    key: [u8; 32],
    heard: Arc<Mutex<Heard>>,
    /// One for each node.
    listening: BTreeMap<SocketAddr, tokio::task::JoinHandle<()>>,
}

/// Votes and proposals by signer and place.
#[derive(Default)]
struct Heard {
    votes: BTreeMap<(PublicKey, Height, View, VoteKind), Option<BlockId>>,
    proposals: BTreeMap<(PublicKey, Height, View), BlockId>,
    conflicts: Vec<String>,
}

impl Ear {
    /// Listens at these nodes. Votes are told to validators alone, so it shows a validator's key (its
    /// seed); it never says anything.
    pub async fn start(chain: ChainId, key: [u8; 32], nodes: &[SocketAddr]) -> Self {
        let mut ear = Self { chain, key, heard: Arc::default(), listening: BTreeMap::new() };
        for node in nodes {
            let mut peer = ear.dial(*node).await;
            peer.joined().await;
            ear.listen(*node, peer);
        }
        ear
    }

    /// Listens anew at a node that has been started again: over UDP the end of the old connection would
    /// only show in its silence.
    pub async fn attend(&mut self, node: SocketAddr) {
        let peer = self.dial(node).await;
        self.listen(node, peer);
    }

    async fn dial(&self, node: SocketAddr) -> TestPeer {
        TestPeer::start(self.chain, Some(SecretKey::from_seed(&self.key)), &[node]).await
    }

    fn listen(&mut self, node: SocketAddr, mut peer: TestPeer) {
        let (chain, heard) = (self.chain, self.heard.clone());
        let task = tokio::spawn(async move {
            loop {
                if let NetworkEvent::Frame { lane: Lane::Urgent, bytes, .. } = peer.forever().await
                    && let Message::Agreement { message, .. } = Message::decode(&bytes, Lane::Urgent).unwrap()
                {
                    heard.lock().unwrap().hear(&chain, message);
                }
            }
        });
        if let Some(earlier) = self.listening.insert(node, task) {
            earlier.abort();
        }
    }

    /// Fails if a validator has signed two things that exclude each other.
    pub fn assert_nobody_contradicts_itself(&self) {
        let conflicts = self.heard.lock().unwrap().conflicts.clone();
        assert!(conflicts.is_empty(), "{conflicts:#?}");
    }

    /// The highest height and view a validator was heard to vote in.
    pub fn newest_vote(&self, signer: PublicKey) -> Option<(Height, View)> {
        let heard = self.heard.lock().unwrap();
        heard.votes.keys().filter(|key| key.0 == signer).map(|(_, height, view, _)| (*height, *view)).max()
    }

    /// The heights a validator was heard to vote at.
    pub fn votes(&self, signer: PublicKey) -> BTreeSet<Height> {
        let heard = self.heard.lock().unwrap();
        heard.votes.keys().filter(|key| key.0 == signer).map(|(_, height, ..)| *height).collect()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.listening.values().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Heard {
    fn hear(&mut self, chain: &ChainId, message: consensus::Message) {
        match message {
            consensus::Message::Vote(vote) if vote.verify(chain).is_ok() => {
                let said = vote.message;
                self.vote((vote.signer, said.height, said.view, said.kind), said.block);
            }
            consensus::Message::Proposal { proposal, .. } if proposal.verify(chain).is_ok() => {
                let place = (proposal.signer, proposal.height, proposal.view);
                let earlier = self.proposals.insert(place, proposal.block);
                if earlier.is_some_and(|earlier| earlier != proposal.block) {
                    self.conflicts.push(format!("two proposals: {earlier:?} and {proposal:?}"));
                }
            }
            _ => {}
        }
    }

    fn vote(&mut self, place: (PublicKey, Height, View, VoteKind), block: Option<BlockId>) {
        let earlier = self.votes.insert(place, block);
        if earlier.is_some_and(|earlier| earlier != block) {
            self.conflicts.push(format!("two votes: {place:?} for {earlier:?} and {block:?}"));
        }
        let (signer, height, view, kind) = place;
        let other = match kind {
            VoteKind::Finalize => VoteKind::Nullify,
            VoteKind::Nullify => VoteKind::Finalize,
            VoteKind::Notarize => return,
        };
        if self.votes.contains_key(&(signer, height, view, other)) {
            self.conflicts.push(format!("to finalize and to nullify: {place:?}"));
        }
    }
}
