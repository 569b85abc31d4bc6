//! Who may talk to us and how much: token buckets, offences and bans that expire.
//!
//! Not here: where connections are refused (`gate`), which frames are offences (`session`, the
//! engine).

use super::limits::Rate;
use chain_core::consensus::Offence;
use chain_core::crypto::PublicKey;
use libp2p::PeerId;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A peer is banned at so many points.
const BAN_POINTS: u32 = 100;
/// Points are forgiven at one in this time.
const FORGIVE: Duration = Duration::from_secs(2);
/// A second ban of an address within this time bans the address itself.
const REPEAT: Duration = Duration::from_secs(3600);
/// An address is banned for this part of the time a peer is: others may live behind it.
const ADDRESS_PART: u32 = 10;
/// An address where a validator was seen is spared for so long.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);
/// Most rows in each table of the guard.
const MAX_ROWS: usize = 8192;

/// What an offence costs. None of them happens to an honest node, but a bad disk or memory makes
/// one bad signature, not two.
pub fn points(offence: Offence) -> u32 {
    match offence {
        Offence::BadMessage | Offence::Flood => BAN_POINTS,
        Offence::BadSignature | Offence::BadCertificate | Offence::BadBlock => BAN_POINTS / 2,
    }
}

/// What a rejected frame of gossip costs.
pub const REJECTED_GOSSIP_POINTS: u32 = 25;
/// What an answer to a question nobody asked costs.
pub const UNASKED_POINTS: u32 = 10;
/// A frame of gossip that brought nothing counts as so many more against its sender's rate.
pub const USELESS_FRAMES: u32 = 20;
/// Addresses a validator is remembered at: a key must not spare the whole world.
const MAX_SEEN_PER_KEY: usize = 2;

/// What the bucket says about a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Within the rate.
    Fine,
    /// Read nothing more for so long.
    Wait(Duration),
    /// It has not been within the rate for too long.
    Flood,
}

/// A token bucket over frames and bytes.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    frames: f64,
    bytes: f64,
    at: Instant,
    /// Since when frames have been over the rate without a rest.
    over_since: Option<Instant>,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, factor: u32, now: Instant) -> Self {
        let rate = Rate { frames: rate.frames * factor, bytes: rate.bytes.saturating_mul(factor), ..rate };
        let burst = f64::from(rate.burst_s);
        let (frames, bytes) = (f64::from(rate.frames) * burst, f64::from(rate.bytes) * burst);
        Self { rate, frames, bytes, at: now, over_since: None }
    }

    /// Takes a frame out. Too many bytes only mean waiting, since we may have asked for them; too
    /// many frames for longer than `flood_after` are a flood.
    pub fn take(&mut self, bytes: usize, flood_after: Duration, now: Instant) -> Pace {
        self.refill(now);
        // Who does not wait for its tokens owes no more than one burst.
        let deepest = -f64::from(self.rate.frames) * f64::from(self.rate.burst_s);
        self.frames = (self.frames - 1.0).max(deepest);
        self.bytes -= bytes as f64;
        match self.frames < 0.0 {
            true if now - *self.over_since.get_or_insert(now) >= flood_after => return Pace::Flood,
            false if self.frames > f64::from(self.rate.frames) / 2.0 => self.over_since = None,
            _ => {}
        }
        let debt = |tokens: f64, rate: u32| (-tokens).max(0.0) / f64::from(rate.max(1));
        let wait = debt(self.frames, self.rate.frames).max(debt(self.bytes, self.rate.bytes));
        match wait > 0.0 {
            true => Pace::Wait(Duration::from_secs_f64(wait)),
            false => Pace::Fine,
        }
    }

    /// Takes out so many frames more, for what one of them turned out to be.
    pub fn charge(&mut self, frames: u32) {
        let deepest = -f64::from(self.rate.frames) * f64::from(self.rate.burst_s);
        self.frames = (self.frames - f64::from(frames)).max(deepest);
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        let burst = f64::from(self.rate.burst_s);
        let add = |tokens: f64, rate: u32| (tokens + seconds * f64::from(rate)).min(f64::from(rate) * burst);
        self.frames = add(self.frames, self.rate.frames);
        self.bytes = add(self.bytes, self.rate.bytes);
        self.at = now;
    }
}

/// Points and bans.
#[derive(Default)]
pub struct Bans {
    /// Points as of a moment: up to then everything is forgiven that was to be.
    points: HashMap<PeerId, (u32, Instant)>,
    peers: HashMap<PeerId, Instant>,
    addresses: HashMap<IpAddr, Instant>,
    /// When an address had its last ban.
    offenders: HashMap<IpAddr, Instant>,
    /// Addresses of static peers: others may live there too.
    spared: HashSet<IpAddr>,
    /// Where validators were seen last, which, and when.
    seen: HashMap<IpAddr, (PublicKey, Instant)>,
}

impl Bans {
    /// An address that is never banned whole.
    pub fn spare(&mut self, address: IpAddr) {
        self.spared.insert(address);
    }

    /// A validator is at this address now: as [`Self::spare`], but for a while.
    pub fn seen(&mut self, address: IpAddr, key: PublicKey, now: Instant) {
        if let Some((_, at)) = self.seen.get_mut(&address) {
            *at = now;
            return;
        }
        let mut own: Vec<_> = self.seen.iter().filter(|(_, row)| row.0 == key).map(|(ip, row)| (row.1, *ip)).collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(MAX_SEEN_PER_KEY);
        for (_, oldest) in own.iter().take(surplus) {
            self.seen.remove(oldest);
        }
        insert_bounded(&mut self.seen, address, (key, now), |(_, at)| *at);
        self.addresses.remove(&address);
    }

    /// Whether an address is shared with ourselves, a static peer or a validator.
    pub fn spares(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.spared.contains(&address) || self.seen.contains_key(&address)
    }

    /// Adds points; answers whether they are enough for a ban.
    pub fn charge(&mut self, id: PeerId, cost: u32, now: Instant) -> bool {
        let (rest, as_of) = self.account(&id, now);
        let total = rest.saturating_add(cost);
        insert_bounded(&mut self.points, id, (total, as_of), |(_, at)| *at);
        total >= BAN_POINTS
    }

    /// The points of a peer.
    pub fn points(&self, id: &PeerId, now: Instant) -> u32 {
        self.account(id, now).0
    }

    /// What is left of a peer's points, and up to when the time has been counted: the rest of it counts
    /// at the next look, so that points fade for whoever comes often, too.
    fn account(&self, id: &PeerId, now: Instant) -> (u32, Instant) {
        let Some((points, at)) = self.points.get(id) else { return (0, now) };
        let forgiven = now.saturating_duration_since(*at).as_millis() / FORGIVE.as_millis();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        match points.checked_sub(forgiven) {
            None | Some(0) => (0, now),
            Some(left) => (left, *at + FORGIVE * forgiven),
        }
    }

    /// Shuts out a peer, and for a shorter time its address if that had a ban before.
    pub fn ban(&mut self, id: PeerId, address: Option<IpAddr>, length: Duration, now: Instant) {
        self.points.remove(&id);
        self.shut_out(id, length, now);
        let Some(address) = address.filter(|address| !self.spares(*address)) else { return };
        let before = self.offenders.get(&address).is_some_and(|at| now.saturating_duration_since(*at) < REPEAT);
        if before {
            insert_bounded(&mut self.addresses, address, now + length / ADDRESS_PART, |until| *until);
        }
        insert_bounded(&mut self.offenders, address, now, |at| *at);
    }

    /// Leaves a peer alone for a while; says nothing against its address.
    pub fn shut_out(&mut self, id: PeerId, length: Duration, now: Instant) {
        insert_bounded(&mut self.peers, id, now + length, |until| *until);
    }

    /// Until when a peer is banned.
    pub fn until(&self, id: &PeerId, now: Instant) -> Option<Instant> {
        self.peers.get(id).copied().filter(|until| *until > now)
    }

    /// Whether an address is banned.
    pub fn is_address_banned(&self, address: &IpAddr, now: Instant) -> bool {
        self.addresses.get(address).is_some_and(|until| *until > now)
    }

    /// Forgets what is over.
    pub fn tidy(&mut self, now: Instant) {
        self.peers.retain(|_, until| *until > now);
        self.addresses.retain(|_, until| *until > now);
        self.seen.retain(|_, (_, at)| now.saturating_duration_since(*at) < REMEMBER);
        self.offenders.retain(|_, at| now.saturating_duration_since(*at) < REPEAT);
        self.points.retain(|_, (points, at)| now.saturating_duration_since(*at) < FORGIVE * *points);
    }

    /// Banned peers and addresses.
    pub fn len(&self) -> usize {
        self.peers.len() + self.addresses.len()
    }
}

/// Inserts; a full table loses its oldest row first.
fn insert_bounded<K: Clone + Eq + Hash, V>(table: &mut HashMap<K, V>, key: K, value: V, age: impl Fn(&V) -> Instant) {
    if table.len() >= MAX_ROWS && !table.contains_key(&key) {
        let oldest = table.iter().min_by_key(|(_, value)| age(value)).map(|(key, _)| key.clone());
        oldest.and_then(|oldest| table.remove(&oldest));
    }
    table.insert(key, value);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { frames: 10, bytes: 1000, burst_s: 2 };
    const FLOOD: Duration = Duration::from_secs(3);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RATE, 1, start);
        assert!((0..20).all(|_| bucket.take(1, FLOOD, start) == Pace::Fine));
        let Pace::Wait(wait) = bucket.take(1, FLOOD, start) else { panic!("no wait") };
        assert_eq!(wait.as_millis(), 100);
        assert_eq!(bucket.take(1, FLOOD, start + Duration::from_secs(1)), Pace::Fine);
    }

    #[test]
    fn many_bytes_wait_and_are_no_flood() {
        let mut now = Instant::now();
        let mut bucket = Bucket::new(RATE, 1, now);
        for _ in 0..50 {
            match bucket.take(1000, FLOOD, now) {
                Pace::Wait(wait) => now += wait,
                Pace::Fine => {}
                Pace::Flood => panic!("we may have asked for it"),
            }
        }
    }

    #[test]
    fn who_never_rests_floods() {
        let start = Instant::now();
        let (mut now, mut bucket) = (start, Bucket::new(RATE, 1, start));
        loop {
            match bucket.take(1, FLOOD, now) {
                Pace::Wait(wait) => now += wait,
                Pace::Fine => {}
                Pace::Flood => break,
            }
            assert!(now < start + 4 * FLOOD, "never noticed");
        }
        assert!(now >= start + FLOOD);
    }

    #[test]
    fn bans_expire_and_repeated_ones_reach_the_address() {
        let (now, length, mut bans) = (Instant::now(), Duration::from_secs(60), Bans::default());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let (one, other) = (PeerId::random(), PeerId::random());
        bans.ban(one, Some(address), length, now);
        assert!(bans.until(&one, now).is_some() && !bans.is_address_banned(&address, now));
        bans.ban(other, Some(address), length, now);
        assert!(bans.is_address_banned(&address, now));
        assert!(!bans.is_address_banned(&address, now + length / ADDRESS_PART), "for a shorter time");
        let later = now + length;
        assert!(bans.until(&one, later).is_none() && !bans.is_address_banned(&address, later));
        bans.tidy(later);
        assert_eq!(bans.len(), 0);
    }

    #[test]
    fn shared_addresses_are_spared() {
        let (now, length, mut bans) = (Instant::now(), Duration::from_secs(60), Bans::default());
        let (here, shared): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "192.0.2.9".parse().unwrap());
        bans.spare(shared);
        for address in [here, here, shared, shared] {
            bans.ban(PeerId::random(), Some(address), length, now);
        }
        assert!(!bans.is_address_banned(&here, now) && !bans.is_address_banned(&shared, now));
        let gateway: IpAddr = "192.0.2.10".parse().unwrap();
        let offend = |bans: &mut Bans| (0..2).for_each(|_| bans.ban(PeerId::random(), Some(gateway), length, now));
        offend(&mut bans);
        assert!(bans.is_address_banned(&gateway, now));
        bans.seen(gateway, PublicKey([1; 32]), now);
        assert!(!bans.is_address_banned(&gateway, now), "a validator is behind it");
        offend(&mut bans);
        assert!(!bans.is_address_banned(&gateway, now) && bans.spares(gateway));
        bans.tidy(now + REMEMBER);
        assert!(!bans.spares(gateway));
    }

    #[test]
    fn small_offences_add_up_and_are_forgiven() {
        let (now, id, mut bans) = (Instant::now(), PeerId::random(), Bans::default());
        assert!(!bans.charge(id, points(Offence::BadSignature), now));
        assert!(bans.charge(id, points(Offence::BadCertificate), now));
        let other = PeerId::random();
        assert!(!bans.charge(other, points(Offence::BadSignature), now));
        assert!(!bans.charge(other, points(Offence::BadSignature), now + FORGIVE * 2), "two points are forgiven");
        assert!(bans.charge(PeerId::random(), points(Offence::Flood), now));
    }

    #[test]
    fn points_fade_for_who_comes_often_too() {
        let (start, id, mut bans) = (Instant::now(), PeerId::random(), Bans::default());
        // A point every second, and one is forgiven every other.
        for second in 0..100 {
            bans.charge(id, 1, start + Duration::from_secs(second));
        }
        assert_eq!(bans.points(&id, start + Duration::from_secs(100)), 50);
    }

    #[test]
    fn a_validator_is_remembered_at_few_addresses() {
        let (now, mut bans) = (Instant::now(), Bans::default());
        let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        bans.seen(ip(100), other, now);
        for n in 0..50 {
            bans.seen(ip(n), one, now + Duration::from_secs(u64::from(n)));
        }
        assert!(bans.spares(ip(100)) && bans.spares(ip(49)) && bans.spares(ip(48)));
        assert!((0..48).all(|n| !bans.spares(ip(n))), "the newest count");
    }

    #[test]
    fn the_tables_are_bounded() {
        let (now, mut bans) = (Instant::now(), Bans::default());
        for _ in 0..MAX_ROWS + 10 {
            bans.ban(PeerId::random(), None, Duration::from_secs(1), now);
        }
        assert_eq!(bans.len(), MAX_ROWS);
    }
}
