//! The task that owns the swarm: dials, starts a session for every connection, passes gossip, and
//! carries out what sessions and the node say about peers.
//!
//! Not here: frames (`session`), whom to dial (`dialer`), what misconduct leads to (`conduct`).

use super::conduct::{Early, Gossiper};
use super::dialer::{Dialer, Source, is_plausible, split};
use super::gossip::Waiting;
use super::guard::Bans;
use super::lanes::LaneEvent;
use super::link::{Link, ip_of};
use super::metrics::Metrics;
use super::session::{self, End};
use super::shared::{Shared, Sink};
use super::swarm::{self, Node, NodeEvent};
use super::{GossipTicket, GossipVerdict, Network, P2pConfig, P2pError};
use crate::locks::lock;
use chain_core::wire::Hello;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::futures::StreamExt;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub, identify, mdns, ping};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Most orders that wait.
const MAX_ORDERS: usize = 4096;
/// How often there is a look at what is due.
const TICK: Duration = Duration::from_millis(200);
/// How long a listener may take to begin.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long stopping may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// With fewer peers than this that we chose ourselves, more are looked for.
const ENOUGH_PEERS: usize = 8;
/// Longest description a peer may give of itself, in characters.
const MAX_AGENT_CHARS: usize = 64;
/// A peer that misses so many frames of gossip between two heartbeats is too slow.
const SLOW_GOSSIP: usize = 256;

/// What the node wants.
pub enum Order {
    /// There is gossip to publish.
    Flush,
    /// A verdict on gossip.
    Judge(GossipTicket, GossipVerdict),
    /// A static peer.
    #[cfg(test)]
    Add(Multiaddr),
    /// The end.
    Stop(oneshot::Sender<()>),
}

/// The swarm and what belongs to it.
pub struct Task {
    pub(super) swarm: Swarm<Node>,
    pub(super) shared: Arc<Shared>,
    waiting: Arc<Waiting>,
    pub(super) dialer: Dialer,
    pub(super) sessions: HashMap<ConnectionId, (Arc<Link>, mpsc::Sender<LaneEvent>)>,
    running: JoinSet<()>,
    pub(super) gossipers: HashMap<PeerId, Gossiper>,
    pub(super) early: Vec<Early>,
    /// Identities of which it was said that they are in use twice, and when.
    pub(super) told: HashMap<PeerId, Instant>,
}

/// Builds everything, begins to listen and leaves the task running.
pub async fn start(config: P2pConfig, sink: Sink) -> Result<Network, P2pError> {
    let bans = Arc::new(Mutex::new(Bans::default()));
    let swarm = swarm::build(&config, bans.clone())?;
    let own_id = *swarm.local_peer_id();
    let (ended_sender, ended) = mpsc::unbounded_channel();
    let (banned_sender, banned) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        greeting: Hello::new(config.chain, config.validator.as_deref(), &own_id.to_bytes()).encode(),
        own_id,
        own_validator: config.validator.as_ref().map(|key| key.public()),
        room: Semaphore::new(config.limits.strangers_bytes),
        limits: config.limits,
        chain: config.chain,
        validators: config.validators,
        max_peers: config.max_peers,
        metrics: Metrics::new().map_err(|e| P2pError::Setup(e.to_string()))?,
        bans,
        listening: Mutex::default(),
        ended: ended_sender,
        banned: banned_sender,
        sink,
        joined: Mutex::default(),
    });
    let (orders_sender, orders) = mpsc::channel(MAX_ORDERS);
    let waiting = Arc::new(Waiting::default());
    let network = Network { shared: shared.clone(), waiting: waiting.clone(), orders: orders_sender };
    let (dialer, (sessions, running, gossipers, early, told)) = (Dialer::new(&shared.limits), Default::default());
    let mut task = Task { swarm, shared, waiting, dialer, sessions, running, gossipers, early, told };
    config.static_peers.into_iter().for_each(|address| task.add(address, Source::Static));
    config.bootnodes.into_iter().for_each(|address| task.add(address, Source::Bootnode));
    task.listen(config.listen).await?;
    tokio::spawn(task.run(orders, ended, banned));
    Ok(network)
}

impl Task {
    fn add(&mut self, address: Multiaddr, source: Source) {
        if let Some(ip) = ip_of(&address) {
            lock(&self.shared.bans).spare(ip);
        }
        self.dialer.add(address, source, Instant::now());
    }

    async fn listen(&mut self, addresses: Vec<Multiaddr>) -> Result<(), P2pError> {
        let mut open: HashMap<ListenerId, Multiaddr> = HashMap::new();
        for address in addresses {
            let failed =
                |e: &dyn std::fmt::Display| P2pError::Listen { address: address.clone(), reason: e.to_string() };
            let listener = self.swarm.listen_on(address.clone()).map_err(|e| failed(&e))?;
            open.insert(listener, address);
        }
        let deadline = tokio::time::Instant::now() + LISTEN_TIMEOUT;
        while let Some(address) = open.values().next() {
            let late = || P2pError::Listen { address: address.clone(), reason: "it takes too long".into() };
            let event = tokio::time::timeout_at(deadline, self.swarm.select_next_some()).await.map_err(|_| late())?;
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => drop(open.remove(listener_id)),
                SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                    let reason = reason.as_ref().err().map_or("closed".into(), ToString::to_string);
                    let address = open.remove(listener_id).unwrap_or_else(Multiaddr::empty);
                    return Err(P2pError::Listen { address, reason });
                }
                _ => {}
            }
            self.on_swarm(event);
        }
        Ok(())
    }

    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut ended: mpsc::UnboundedReceiver<(Arc<Link>, End)>,
        mut banned: mpsc::UnboundedReceiver<PeerId>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some((link, end)) = ended.recv() => self.on_end(&link, end),
                Some(id) = banned.recv() => self.on_ban(id),
                _ = tick.tick() => self.on_tick(),
                order = orders.recv() => match order {
                    None => return self.stop().await,
                    Some(Order::Stop(stopped)) => {
                        self.stop().await;
                        // Who asked may have gone.
                        let _ = stopped.send(());
                        return;
                    }
                    Some(order) => self.on_order(order),
                },
            }
        }
    }

    /// Says goodbye to everyone: sessions end, connections close.
    async fn stop(&mut self) {
        self.sessions.values().for_each(|(link, _)| link.close());
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        peers.into_iter().for_each(|peer| self.disconnect(peer));
        let (swarm, running) = (&mut self.swarm, &mut self.running);
        let goodbye = async {
            while swarm.network_info().connection_counters().num_established() > 0 {
                swarm.select_next_some().await;
            }
        };
        let sessions = async { while running.join_next().await.is_some() {} };
        // Whoever has not gone by then is cut off.
        let _ = tokio::time::timeout(STOP_TIMEOUT, async { tokio::join!(goodbye, sessions) }).await;
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        while let Some(done) = self.running.try_join_next() {
            if let Err(error) = done {
                tracing::error!(%error, "a session broke down");
            }
        }
        let greeted: Vec<_> = lock(&self.shared.joined).links.values().cloned().collect();
        for link in &greeted {
            // Anybody has a key; only those of the set are worth remembering.
            let validator = link.facts().validator.filter(|key| self.shared.is_validator(Some(*key)));
            self.dialer.greeted(link.id, validator, now.saturating_duration_since(link.since));
            if let (Some(ip), Some(key)) = (ip_of(&link.address), validator) {
                lock(&self.shared.bans).seen(ip, key, now);
            }
        }
        self.hear_early();
        let swarm = &self.swarm;
        self.gossipers.retain(|id, _| swarm.is_connected(id));
        // Whoever came to us may be there to keep us from others.
        let chosen = greeted.iter().filter(|link| link.outbound).count();
        self.dial(now, chosen < ENOUGH_PEERS.min(self.shared.max_peers));
        self.flush();
        let mut bans = lock(&self.shared.bans);
        bans.tidy(now);
        self.shared.metrics.banned.set(bans.len() as i64);
    }

    fn dial(&mut self, now: Instant, hungry: bool) {
        let missing = self.shared.missing();
        self.shared.metrics.missing_validators.set(missing.len() as i64);
        for number in self.dialer.due(now, hungry, &missing, |id| self.swarm.is_connected(id)) {
            let Some(target) = self.dialer.target(number) else { continue };
            let options = match (target.wanted, target.addresses.first()) {
                (Some(id), _) => DialOpts::peer_id(id).addresses(target.addresses.clone()).build(),
                (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
                (None, None) => continue,
            };
            let attempt = options.connection_id();
            self.dialer.dialled(number, attempt);
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_error(attempt, &error);
            }
        }
    }

    fn on_dial_error(&mut self, attempt: ConnectionId, error: &DialError) {
        match error {
            DialError::LocalPeerId { address } => {
                self.dialer.led_home(attempt, Instant::now());
                if !lock(&self.shared.listening).contains(&split(address.clone()).0) {
                    self.tell_of_twin(self.shared.own_id, address);
                }
            }
            DialError::WrongPeerId { obtained, address } => {
                tracing::warn!(%obtained, %address, "another node answers at this address");
                self.dialer.ended(attempt, Instant::now());
            }
            _ => {
                tracing::debug!(%error, "a peer cannot be reached");
                self.dialer.ended(attempt, Instant::now());
            }
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<NodeEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_protocol(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connection(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                if let Some((link, _)) = self.sessions.remove(&connection_id) {
                    link.close();
                }
                if num_established == 0 {
                    self.gossipers.remove(&peer_id);
                }
                self.dialer.ended(connection_id, Instant::now());
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_error(connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error: ListenError::LocalPeerId { .. }, .. } => {
                // From ourselves: the dial's own end says more.
                let here = |address: &Multiaddr| ip_of(address) == ip_of(&send_back_addr);
                if !lock(&self.shared.listening).iter().any(here) {
                    self.tell_of_twin(self.shared.own_id, &send_back_addr);
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "a connection was refused");
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening for peers");
                lock(&self.shared.listening).push(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                lock(&self.shared.listening).retain(|other| *other != address);
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "no longer listening for peers");
            }
            _ => {}
        }
    }

    fn on_connection(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let is_named = self.dialer.connected(connection, id);
        let address = endpoint.get_remote_address().clone();
        if let Some(ip) = ip_of(&address).filter(|_| is_named && endpoint.is_dialer()) {
            lock(&self.shared.bans).spare(ip);
        }
        let link = Arc::new(Link::new(connection, id, address, endpoint.is_dialer(), is_named));
        // Two lanes in two directions, and one refusal.
        let (sender, opened) = mpsc::channel(8);
        self.sessions.insert(connection, (link.clone(), sender));
        self.running.spawn(session::run(link, opened, self.shared.clone()));
    }

    fn on_protocol(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Lanes((connection, event)) => {
                if let Some((_, session)) = self.sessions.get(&connection) {
                    // A session that is over needs no streams.
                    let _ = session.try_send(event);
                }
            }
            NodeEvent::Gossip(event) => self.on_gossip(event),
            NodeEvent::Ping(ping::Event { connection, result, .. }) => self.on_ping(connection, result),
            NodeEvent::Identify(identify::Event::Received { peer_id, info, .. }) => self.on_identify(peer_id, info),
            NodeEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (id, address) in found {
                    self.dialer.learn(id, [address], Instant::now());
                }
            }
            _ => {}
        }
    }

    fn on_ping(&mut self, connection: ConnectionId, result: Result<Duration, ping::Failure>) {
        match (self.sessions.get(&connection), result) {
            (Some((link, _)), Ok(rtt)) => link.facts().rtt = Some(rtt),
            // Another program than ours; its other end is judged by its frames.
            (Some(_), Err(ping::Failure::Unsupported)) | (None, _) => {}
            (Some(_), Err(error)) => {
                tracing::debug!(%error, "a peer does not answer pings");
                self.swarm.close_connection(connection);
            }
        }
    }

    fn on_identify(&mut self, id: PeerId, info: identify::Info) {
        let agent: String = info.agent_version.chars().filter(|c| !c.is_control()).take(MAX_AGENT_CHARS).collect();
        for (link, _) in self.sessions.values().filter(|(link, _)| link.id == id) {
            link.facts().agent.clone_from(&agent);
        }
        if info.protocol_version == swarm::protocol_version(&self.shared.chain) {
            let Some((link, _)) = self.sessions.values().find(|(link, _)| link.id == id) else { return };
            let said = info.listen_addrs.into_iter().filter(|address| is_plausible(address, &link.address));
            self.dialer.learn(id, said, Instant::now());
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(GossipTicket { id: message_id, from: propagation_source }, message);
            }
            gossipsub::Event::Subscribed { .. } => self.flush(),
            gossipsub::Event::SlowPeer { peer_id, failed_messages }
                if failed_messages.priority + failed_messages.non_priority >= SLOW_GOSSIP =>
            {
                // Gossip has lost what it could not send. For that alone nobody loses a validator's votes.
                if self.shared.is_reserved_id(&peer_id) {
                    return tracing::debug!(peer = %peer_id, "a peer is too slow for gossip; it misses some");
                }
                self.shared.metrics.slow.inc();
                tracing::info!(peer = %peer_id, "a peer is too slow for gossip");
                self.disconnect(peer_id);
            }
            _ => {}
        }
    }

    fn flush(&mut self) {
        self.waiting.flush(&mut self.swarm.behaviour_mut().gossip, &self.shared.chain, &self.shared.metrics);
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Flush => self.flush(),
            Order::Judge(ticket, verdict) => self.judge(ticket, verdict),
            #[cfg(test)]
            Order::Add(address) => self.add(address, Source::Static),
            // Handled where orders are taken.
            Order::Stop(_) => {}
        }
    }

    pub(super) fn disconnect(&mut self, id: PeerId) {
        // An error means that it is not connected.
        let _ = self.swarm.disconnect_peer_id(id);
    }
}
