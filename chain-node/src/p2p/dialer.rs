//! Whom to dial and when: static peers for ever, bootnodes and learned addresses while there are too
//! few peers, a validator's known address while it is missing. Waits double from failure to failure.
//!
//! Not here: the dialling itself (`task`).

use super::Limits;
use super::link::ip_of;
use chain_core::crypto::PublicKey;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most learned targets.
const MAX_LEARNED: usize = 512;
/// Most addresses kept of one learned peer.
const MAX_ADDRESSES: usize = 4;
/// A connection that lived for so long was of use.
const LASTING: Duration = Duration::from_secs(10);
/// A learned target is forgotten after so many failures in a row.
const MAX_FAILURES: u32 = 8;

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator: a connection is always wanted.
    Static,
    /// The operator: a way in.
    Bootnode,
    /// Other nodes, or the local network.
    Learned,
}

/// Somebody to dial.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it may be.
    pub addresses: Vec<Multiaddr>,
    /// Who it has to be; none if whoever answers is right.
    pub wanted: Option<PeerId>,
    source: Source,
    /// Who answered last.
    id: Option<PeerId>,
    validator: Option<PublicKey>,
    failures: u32,
    due: Instant,
    /// The attempt or connection under way.
    attempt: Option<ConnectionId>,
}

/// Whom to dial and when.
pub struct Dialer {
    targets: Vec<Target>,
    redial_min: Duration,
    redial_max: Duration,
}

impl Dialer {
    /// Knows nobody.
    pub fn new(limits: &Limits) -> Self {
        Self { targets: Vec::new(), redial_min: limits.redial_min, redial_max: limits.redial_max }
    }

    /// Adds an address of the operator's, which may end in `/p2p/ID`.
    pub fn add(&mut self, address: Multiaddr, source: Source, now: Instant) {
        let (address, wanted) = split(address);
        let known = |target: &Target| target.source == source && target.addresses.contains(&address);
        if !self.targets.iter().any(known) {
            self.push(vec![address], wanted, source, now);
        }
    }

    fn push(&mut self, addresses: Vec<Multiaddr>, wanted: Option<PeerId>, source: Source, now: Instant) {
        let (failures, due, attempt, validator) = (0, now, None, None);
        self.targets.push(Target { addresses, wanted, source, id: wanted, validator, failures, due, attempt });
    }

    /// Remembers where a peer says it can be reached; the newest word counts.
    pub fn learn(&mut self, id: PeerId, addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) {
        let plain = addresses.into_iter().filter(is_dialable).map(|address| split(address).0);
        let addresses: Vec<_> = plain.take(MAX_ADDRESSES).collect();
        if addresses.is_empty() {
            return;
        }
        let learned = self.targets.iter_mut().find(|t| t.source == Source::Learned && t.wanted == Some(id));
        match learned {
            Some(target) => target.addresses = addresses,
            None => {
                if self.has_room() {
                    self.push(addresses, Some(id), Source::Learned, now);
                }
            }
        }
    }

    /// Whether there is room for another learned target; the oldest that is no validator goes for it.
    fn has_room(&mut self) -> bool {
        let is_learned = |target: &&Target| target.source == Source::Learned;
        if self.targets.iter().filter(is_learned).count() < MAX_LEARNED {
            return true;
        }
        let is_idle = |target: &Target| target.validator.is_none() && target.attempt.is_none();
        let oldest = self.targets.iter().position(|target| is_learned(&target) && is_idle(target));
        oldest.map(|number| self.targets.remove(number)).is_some()
    }

    /// Whether a peer is one of the operator's static ones.
    pub fn is_static(&self, id: &PeerId) -> bool {
        self.targets.iter().any(|target| target.source == Source::Static && target.id == Some(*id))
    }

    /// Targets to dial now, as numbers for [`Self::target`] and [`Self::dialled`].
    pub fn due(
        &self,
        now: Instant,
        hungry: bool,
        missing: &BTreeSet<PublicKey>,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<usize> {
        let wanted = |target: &Target| match target.source {
            Source::Static => true,
            Source::Bootnode => hungry,
            Source::Learned => hungry || target.validator.is_some_and(|key| missing.contains(&key)),
        };
        let idle = |target: &Target| target.attempt.is_none() && !target.id.is_some_and(|id| connected(&id));
        let due = |target: &Target| target.due <= now && idle(target) && wanted(target);
        self.targets.iter().enumerate().filter(|(_, target)| due(target)).map(|(number, _)| number).collect()
    }

    /// A target.
    pub fn target(&self, number: usize) -> Option<&Target> {
        self.targets.get(number)
    }

    /// A dial to a target is under way.
    pub fn dialled(&mut self, number: usize, attempt: ConnectionId) {
        if let Some(target) = self.targets.get_mut(number) {
            target.attempt = Some(attempt);
        }
    }

    /// A dial led to a peer, or a peer to us; answers whether the operator named it: a static peer, or
    /// a bootnode that we dialled.
    pub fn connected(&mut self, attempt: ConnectionId, id: PeerId) -> bool {
        let dialled = self.targets.iter_mut().find(|target| target.attempt == Some(attempt));
        let named = dialled.is_some_and(|target| {
            target.id = Some(id);
            target.source != Source::Learned
        });
        named || self.is_static(&id)
    }

    /// A peer has greeted so long ago. It may be a validator of the set; and once it has stayed for a
    /// while the next wait is short again: a node that is full greets, too, and closes.
    pub fn greeted(&mut self, id: PeerId, validator: Option<PublicKey>, stayed: Duration) {
        for target in self.targets.iter_mut().filter(|target| target.id == Some(id)) {
            target.validator = validator;
            if stayed >= LASTING {
                target.failures = 0;
            }
        }
    }

    /// A dial failed or its connection ended: wait, each time longer until somebody greets.
    pub fn ended(&mut self, attempt: ConnectionId, now: Instant) {
        let (min, max) = (self.redial_min, self.redial_max);
        let Some(target) = self.targets.iter_mut().find(|target| target.attempt == Some(attempt)) else { return };
        let wait = min.saturating_mul(1 << target.failures.min(16)).min(max);
        target.attempt = None;
        target.failures += 1;
        target.due = now + wait.mul_f64(rand::random_range(0.75..1.25));
        self.targets.retain(|target| target.source != Source::Learned || target.failures < MAX_FAILURES);
    }

    /// A dial led to our own identity. What others told us is forgotten; what the operator named is tried
    /// again after the longest wait, for names and addresses move.
    pub fn led_home(&mut self, attempt: ConnectionId, now: Instant) {
        self.targets.retain(|target| target.attempt != Some(attempt) || target.source != Source::Learned);
        if let Some(target) = self.targets.iter_mut().find(|target| target.attempt == Some(attempt)) {
            target.attempt = None;
            target.due = now + self.redial_max;
        }
    }

    /// Not before this moment.
    pub fn postpone(&mut self, id: PeerId, until: Instant) {
        for target in self.targets.iter_mut().filter(|target| target.id == Some(id)) {
            target.due = target.due.max(until);
        }
    }
}

/// Cuts `/p2p/ID` off the end of an address.
pub fn split(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let Some(Protocol::P2p(id)) = address.iter().last() else { return (address, None) };
    address.pop();
    (address, Some(id))
}

/// Whether what a peer says of itself may be dialled: names and addresses of private networks only from
/// within one, lest strangers send us knocking at doors of our own house.
pub fn is_plausible(address: &Multiaddr, from: &Multiaddr) -> bool {
    let is_private = |address: &Multiaddr| match ip_of(address) {
        Some(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        None => true,
    };
    is_private(from) || !is_private(address)
}

/// An address that says where: not `0.0.0.0`, and not through a relay.
fn is_dialable(address: &Multiaddr) -> bool {
    address.iter().all(|part| match part {
        Protocol::Ip4(ip) => !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast(),
        Protocol::Ip6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        Protocol::P2pCircuit => false,
        _ => true,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
    }

    fn due(dialer: &Dialer, now: Instant, hungry: bool) -> Vec<usize> {
        dialer.due(now, hungry, &BTreeSet::new(), |_| false)
    }

    #[test]
    fn waits_grow_to_a_bound_and_a_greeting_resets_them() {
        let (limits, mut now) = (Limits::default(), Instant::now());
        let mut dialer = Dialer::new(&limits);
        dialer.add(address(1), Source::Static, now);
        let id = PeerId::random();
        for failure in 0..20u32 {
            assert_eq!(due(&dialer, now, false), [0], "a static peer is dialled for ever");
            let attempt = ConnectionId::new_unchecked(failure as usize);
            dialer.dialled(0, attempt);
            assert!(due(&dialer, now, false).is_empty(), "one dial at a time");
            dialer.connected(attempt, id);
            dialer.ended(attempt, now);
            let wait = limits.redial_min.saturating_mul(1 << failure).min(limits.redial_max);
            assert!(due(&dialer, now + wait.mul_f64(0.7), false).is_empty());
            now += wait.mul_f64(1.3);
        }
        for (stayed, is_soon) in [(LASTING / 2, false), (LASTING, true)] {
            dialer.greeted(id, None, stayed);
            dialer.dialled(0, ConnectionId::new_unchecked(99));
            dialer.ended(ConnectionId::new_unchecked(99), now);
            let soon = now + limits.redial_min.mul_f64(1.3);
            assert_eq!(due(&dialer, soon, false), if is_soon { vec![0] } else { vec![] });
        }
    }

    #[test]
    fn others_are_dialled_only_when_needed() {
        let now = Instant::now();
        let mut dialer = Dialer::new(&Limits::default());
        let (id, key) = (PeerId::random(), PublicKey([7; 32]));
        dialer.add(address(1), Source::Bootnode, now);
        dialer.learn(id, [address(2)], now);
        assert_eq!(due(&dialer, now, true), [0, 1]);
        let (way_in, found) = (ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2));
        dialer.dialled(0, way_in);
        dialer.dialled(1, found);
        assert!(dialer.connected(way_in, PeerId::random()), "a bootnode we dialled has a place");
        assert!(!dialer.connected(found, id) && !dialer.connected(ConnectionId::new_unchecked(3), id));
        dialer.ended(way_in, now - Duration::from_secs(9));
        dialer.ended(found, now - Duration::from_secs(9));
        assert!(due(&dialer, now, false).is_empty());
        dialer.greeted(id, Some(key), Duration::ZERO);
        let missing = BTreeSet::from([key]);
        assert_eq!(dialer.due(now, false, &missing, |_| false), [1], "a validator is missing and known");
        assert!(dialer.due(now, false, &missing, |other| *other == id).is_empty(), "already connected");
    }

    #[test]
    fn what_is_learned_is_bounded_and_forgotten() {
        let now = Instant::now();
        let mut dialer = Dialer::new(&Limits::default());
        for port in 0..1000 {
            dialer.learn(PeerId::random(), (0..9).map(|_| address(port)), now);
        }
        assert_eq!(dialer.targets.len(), MAX_LEARNED);
        let newest = dialer.targets.last().map(|target| target.addresses.clone());
        assert_eq!(newest, Some(vec![address(999); MAX_ADDRESSES]), "the oldest go");
        assert!(dialer.targets.iter().all(|target| target.addresses.len() == MAX_ADDRESSES));
        for _ in 0..MAX_FAILURES {
            dialer.dialled(0, ConnectionId::new_unchecked(1));
            dialer.ended(ConnectionId::new_unchecked(1), now);
        }
        assert_eq!(dialer.targets.len(), MAX_LEARNED - 1);
        dialer.learn(PeerId::random(), ["/ip4/0.0.0.0/tcp/1".parse().unwrap()], now);
        assert_eq!(dialer.targets.len(), MAX_LEARNED - 1);
    }

    #[test]
    fn what_the_operator_named_is_dialled_again_after_it_led_to_ourselves() {
        let (now, limits) = (Instant::now(), Limits::default());
        let mut dialer = Dialer::new(&limits);
        dialer.add(address(1), Source::Static, now);
        dialer.learn(PeerId::random(), [address(2)], now);
        for number in 0..2 {
            dialer.dialled(number, ConnectionId::new_unchecked(number));
        }
        (0..2).for_each(|number| dialer.led_home(ConnectionId::new_unchecked(number), now));
        assert!(due(&dialer, now, true).is_empty());
        assert_eq!(due(&dialer, now + limits.redial_max, true), [0]);
    }

    #[test]
    fn strangers_name_no_doors_of_our_own_house() {
        let is = |address: &str, from: &str| is_plausible(&address.parse().unwrap(), &from.parse().unwrap());
        for own in ["/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.1/tcp/22", "/ip6/fd00::1/tcp/22", "/dns4/db.internal/tcp/22"]
        {
            assert!(!is(own, "/ip4/192.0.2.1/tcp/8005") && !is(own, "/ip6/2001:db8::1/tcp/8005"), "{own}");
            assert!(is(own, "/ip4/10.0.0.7/tcp/8005"), "{own}");
        }
        assert!(is("/ip4/198.51.100.1/tcp/1", "/ip4/192.0.2.1/tcp/8005"));
    }

    #[test]
    fn an_id_at_the_end_is_who_it_has_to_be() {
        let (now, id) = (Instant::now(), PeerId::random());
        let mut dialer = Dialer::new(&Limits::default());
        dialer.add(address(1).with(Protocol::P2p(id)), Source::Static, now);
        assert!(dialer.is_static(&id));
        assert_eq!(dialer.target(0).map(|t| (t.wanted, t.addresses.clone())), Some((Some(id), vec![address(1)])));
    }
}
