//! Who may connect, before anything is said: not the banned, not too many from one address, not
//! more than there is room for.
//!
//! Addresses of static peers and where validators were seen are spared: strangers have their own room
//! and their own handshakes under way, so they cannot take the place of those. Whoever shares a spared
//! address shares its bounds, which are wider; no address can take what others need, nor keep us from
//! dialling. Packets of QUIC can claim any source address, so its handshakes are counted apart from
//! TCP's.
//!
//! Not here: places for greeted peers (`shared`), what leads to a ban (`guard`).

use super::guard::{Bans, Bucket, Pace};
use super::limits::Rate;
use super::link::ip_of;
use crate::locks::lock;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How often one address may connect.
const ARRIVALS: Rate = Rate { frames: 4, bytes: 1, burst_s: 8 };
/// A spared address may connect so many times as often, our own machine even oftener: many nodes may
/// run there.
const SPARED_FACTOR: u32 = 4;
const OWN_FACTOR: u32 = 64;
/// Most inbound connections from one spared address, and from our own machine.
const MAX_PER_SPARED: usize = 64;
const MAX_FROM_HERE: usize = 1024;
/// Most addresses whose arrivals are counted.
const MAX_ADDRESSES: usize = 8192;
/// Handshakes under way of strangers, and of one spared address, by one transport.
const MAX_PENDING: usize = 128;

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The peer or its address is banned.
    #[error("banned for now")]
    Banned,
    /// Its address has as many connections as it may have.
    #[error("too many connections from one address")]
    Crowd,
    /// Its address connects too often.
    #[error("connections from one address come too fast")]
    Often,
    /// Too many handshakes are under way.
    #[error("too many handshakes at once")]
    Busy,
    /// There is no room for strangers.
    #[error("no room for more connections")]
    Full,
}

/// An inbound connection.
#[derive(Clone, Copy)]
struct Arrival {
    address: IpAddr,
    spared: bool,
    quic: bool,
    /// Its handshake is under way.
    pending: bool,
}

/// Refuses connections.
pub struct Behaviour {
    bans: Arc<Mutex<Bans>>,
    max_per_address: usize,
    /// Most inbound connections of strangers.
    room: usize,
    /// Inbound connections, from the first packet on.
    inbound: HashMap<ConnectionId, Arrival>,
    /// How often each address comes, spared or not.
    arrivals: HashMap<(IpAddr, bool), Bucket>,
}

impl Behaviour {
    /// With this table of bans, so many inbound connections for each address that is not spared, and
    /// so many for all of those.
    pub fn new(bans: Arc<Mutex<Bans>>, max_per_address: usize, room: usize) -> Self {
        Self { bans, max_per_address, room, inbound: HashMap::new(), arrivals: HashMap::new() }
    }

    fn count(&self, which: impl Fn(&Arrival) -> bool) -> usize {
        self.inbound.values().filter(|arrival| which(arrival)).count()
    }

    fn admit(&mut self, connection: ConnectionId, address: IpAddr, quic: bool, now: Instant) -> Result<(), Denied> {
        let bans = lock(&self.bans);
        if bans.is_address_banned(&address, now) {
            return Err(Denied::Banned);
        }
        let arrival = Arrival { address, spared: bans.spares(address), quic, pending: true };
        drop(bans);
        let pending = |other: &Arrival| other.pending && other.quic == quic;
        let (most, factor) = match arrival.spared {
            true if address.is_loopback() => (MAX_FROM_HERE, OWN_FACTOR),
            true => (MAX_PER_SPARED, SPARED_FACTOR),
            false => (self.max_per_address, 1),
        };
        let is_alike = |other: &Arrival| other.spared == arrival.spared && other.address == address;
        if self.count(is_alike) >= most {
            return Err(Denied::Crowd);
        }
        let rivals = |other: &Arrival| if arrival.spared { is_alike(other) } else { !other.spared };
        if self.count(|other| rivals(other) && pending(other)) >= MAX_PENDING {
            return Err(Denied::Busy);
        }
        if !arrival.spared && self.count(|other| !other.spared) >= self.room {
            return Err(Denied::Full);
        }
        if self.arrivals.len() >= MAX_ADDRESSES {
            self.arrivals.clear();
        }
        let arrivals =
            self.arrivals.entry((address, arrival.spared)).or_insert_with(|| Bucket::new(ARRIVALS, factor, now));
        if arrivals.take(0, Duration::MAX, now) != Pace::Fine {
            return Err(Denied::Often);
        }
        self.inbound.insert(connection, arrival);
        Ok(())
    }

    fn check(&self, id: &PeerId) -> Result<(), Denied> {
        match lock(&self.bans).until(id, Instant::now()) {
            Some(_) => Err(Denied::Banned),
            None => Ok(()),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(address) = ip_of(remote) else { return Ok(()) };
        let quic = remote.iter().any(|part| part == Protocol::QuicV1);
        self.admit(connection, address, quic, Instant::now()).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if let Some(arrival) = self.inbound.get_mut(&connection) {
            arrival.pending = false;
        }
        self.check(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        peer.map_or(Ok(()), |peer| self.check(&peer)).map_err(ConnectionDenied::new)?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.inbound.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_so_many_and_no_more() {
        let (now, bans) = (Instant::now(), Arc::new(Mutex::new(Bans::default())));
        let mut gate = Behaviour::new(bans.clone(), 2, 100);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let id = ConnectionId::new_unchecked;
        assert_eq!(gate.admit(id(1), ip("192.0.2.1"), false, now), Ok(()));
        assert_eq!(gate.admit(id(2), ip("192.0.2.1"), false, now), Ok(()));
        assert_eq!(gate.admit(id(3), ip("192.0.2.1"), false, now), Err(Denied::Crowd));
        assert_eq!(gate.admit(id(4), ip("192.0.2.2"), false, now), Ok(()), "others are not touched");
        gate.inbound.remove(&id(1));
        assert_eq!(gate.admit(id(5), ip("192.0.2.1"), false, now), Ok(()));
        assert!((10..20).all(|n| gate.admit(id(n), ip("127.0.0.1"), false, now).is_ok()), "our own machine is spared");
        let often = |gate: &mut Behaviour, at| {
            let verdict = gate.admit(id(99), ip("192.0.2.4"), false, at);
            gate.inbound.remove(&id(99));
            verdict
        };
        assert!((0..32).all(|_| often(&mut gate, now).is_ok()));
        assert_eq!(often(&mut gate, now), Err(Denied::Often));
        assert_eq!(often(&mut gate, now + Duration::from_secs(1)), Ok(()));
        let banned = ip("192.0.2.3");
        for _ in 0..2 {
            lock(&bans).ban(PeerId::random(), Some(banned), Duration::from_secs(9), now);
        }
        assert_eq!(gate.admit(id(6), banned, false, now), Err(Denied::Banned));
        assert_eq!(gate.admit(id(7), banned, false, now + Duration::from_secs(9)), Ok(()));
    }

    #[test]
    fn strangers_cannot_take_the_places_of_the_spared() {
        let (now, bans) = (Instant::now(), Arc::new(Mutex::new(Bans::default())));
        let (peer, seen) = (IpAddr::from([198, 51, 100, 1]), IpAddr::from([198, 51, 100, 2]));
        lock(&bans).spare(peer);
        lock(&bans).seen(seen, chain_core::crypto::PublicKey([1; 32]), now);
        let mut gate = Behaviour::new(bans, 16, MAX_PENDING + 20);
        let mut number = 0;
        let mut come = |gate: &mut Behaviour, address: IpAddr, quic: bool| {
            number += 1;
            gate.admit(ConnectionId::new_unchecked(number), address, quic, now)
        };
        let stranger = |n: usize| IpAddr::from([192, 0, 2, n as u8]);
        assert!((0..MAX_PENDING).all(|n| come(&mut gate, stranger(n), true).is_ok()));
        assert_eq!(come(&mut gate, stranger(200), true), Err(Denied::Busy));
        assert_eq!(come(&mut gate, stranger(200), false), Ok(()), "forged packets of QUIC do not touch TCP");
        assert!([peer, seen].iter().all(|spared| come(&mut gate, *spared, true).is_ok()));
        gate.inbound.values_mut().for_each(|arrival| arrival.pending = false);
        assert!((0..19).all(|n| come(&mut gate, stranger(201 + n), true).is_ok()));
        assert_eq!(come(&mut gate, stranger(250), true), Err(Denied::Full));
        assert!([peer, seen].iter().all(|spared| come(&mut gate, *spared, true).is_ok()));
    }

    #[test]
    fn a_spared_address_has_bounds_of_its_own() {
        let (now, bans) = (Instant::now(), Arc::new(Mutex::new(Bans::default())));
        let (traitor, other) = (IpAddr::from([198, 51, 100, 1]), IpAddr::from([198, 51, 100, 2]));
        lock(&bans).spare(traitor);
        lock(&bans).spare(other);
        let mut gate = Behaviour::new(bans, 16, 20);
        let mut number = 0;
        let mut come = |gate: &mut Behaviour, address: IpAddr, now: Instant| {
            number += 1;
            let id = ConnectionId::new_unchecked(number);
            gate.admit(id, address, false, now).map(|()| id)
        };
        for _ in 0..MAX_PER_SPARED {
            assert!(come(&mut gate, traitor, now).is_ok());
            gate.inbound.values_mut().for_each(|arrival| arrival.pending = false);
        }
        assert_eq!(come(&mut gate, traitor, now), Err(Denied::Crowd));
        assert!(come(&mut gate, other, now).is_ok() && come(&mut gate, IpAddr::from([192, 0, 2, 1]), now).is_ok());
        gate.inbound.retain(|_, arrival| arrival.address != traitor);
        let knock = |gate: &mut Behaviour, number: usize| {
            let id = ConnectionId::new_unchecked(1000 + number);
            let verdict = gate.admit(id, traitor, false, now);
            gate.inbound.remove(&id);
            verdict
        };
        assert!((0..200).any(|n| knock(&mut gate, n) == Err(Denied::Often)), "it may knock without end");
    }
}
