//! The libp2p swarm: transports, protocols and their settings.
//!
//! Not here: what is done with its events (`task`).

use super::guard::Bans;
use super::{P2pConfig, P2pError, gate, gossip, lanes, muxer};
use chain_core::types::ChainId;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, SwarmBuilder, gossipsub, identify, mdns, noise, ping};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Connections to one peer: one, another while two crossing dials settle, and one that is dead and
/// has not been noticed yet.
const MAX_PER_PEER: u32 = 3;
/// Dials at once.
const MAX_PENDING: u32 = 128;
/// Connections beyond the places: crossing dials, and peers that have not greeted yet.
const SPARE_CONNECTIONS: usize = 64;
/// A connection whose pings stay unanswered for so long is dead.
const PING_TIMEOUT: Duration = Duration::from_secs(15);
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// What may come over a QUIC connection, and over one of its streams, and lie here unread; `muxer` has
/// the bounds for TCP.
const QUIC_CONNECTION_BYTES: u32 = 8 * 1024 * 1024;
const QUIC_STREAM_BYTES: u32 = 4 * 1024 * 1024;

/// Says who resolves names.
const RESOLVER: &str = "/etc/resolv.conf";

/// The protocols of a node.
#[derive(NetworkBehaviour)]
pub struct Node {
    gate: gate::Behaviour,
    limits: connection_limits::Behaviour,
    /// The streams of frames.
    pub lanes: lanes::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    /// Transactions.
    pub gossip: gossipsub::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Builds the swarm; it listens nowhere yet.
///
/// # Errors
/// A transport cannot be set up, or a setting contradicts another.
pub fn build(config: &P2pConfig, bans: Arc<Mutex<Bans>>) -> Result<Swarm<Node>, P2pError> {
    let node = node(config, bans)?;
    let setup = |error: &dyn std::error::Error| P2pError::Setup(error.to_string());
    let builder = SwarmBuilder::with_existing_identity(config.identity.clone())
        .with_tokio()
        .with_tcp(libp2p::tcp::Config::default().nodelay(true), noise::Config::new, muxer::Config::new)
        .map_err(|e| setup(&e))?
        .with_quic_config(|mut quic| {
            (quic.max_connection_data, quic.max_stream_data) = (QUIC_CONNECTION_BYTES, QUIC_STREAM_BYTES);
            quic
        });
    let settings = |swarm: libp2p::swarm::Config| swarm.with_max_negotiating_inbound_streams(16);
    // A machine may have no resolver, and need none.
    if !Path::new(RESOLVER).exists() {
        tracing::warn!("there is no {RESOLVER}: peers can be given by IP address only");
        let plain = builder.with_behaviour(|_| node).map_err(|e| setup(&e))?;
        return Ok(plain.with_swarm_config(settings).build());
    }
    let named = builder.with_dns().map_err(|e| setup(&e))?.with_behaviour(|_| node).map_err(|e| setup(&e))?;
    Ok(named.with_swarm_config(settings).build())
}

fn node(config: &P2pConfig, bans: Arc<Mutex<Bans>>) -> Result<Node, P2pError> {
    let id = config.identity.public().to_peer_id();
    // For inbound strangers. There is no bound on all connections together: whoever filled it would keep
    // others out and us from dialling. What comes in is bounded by address (`gate`), what goes out by us.
    let room = config.max_peers + SPARE_CONNECTIONS;
    let limits = ConnectionLimits::default()
        .with_max_pending_outgoing(Some(MAX_PENDING))
        .with_max_established_per_peer(Some(MAX_PER_PEER));
    let about = identify::Config::new(protocol_version(&config.chain), config.identity.public())
        .with_agent_version(format!("chain-node/{}", env!("CARGO_PKG_VERSION")))
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let mdns = match config.mdns {
        true => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), id)),
        false => None,
    };
    Ok(Node {
        gate: gate::Behaviour::new(bans, config.max_inbound_per_address, room),
        limits: connection_limits::Behaviour::new(limits),
        lanes: lanes::Behaviour::default(),
        identify: identify::Behaviour::new(about),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
        gossip: gossip::behaviour(&config.chain)?,
        mdns: mdns.transpose().map_err(|e| P2pError::Setup(format!("mdns: {e}")))?.into(),
    })
}

/// What identify says we speak: the protocol and the start of the chain's id.
pub fn protocol_version(chain: &ChainId) -> String {
    format!("ait/{}/{}", chain_core::wire::PROTOCOL_VERSION, super::gossip::tag(chain))
}
