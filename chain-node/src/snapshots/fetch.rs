//! A node that has nothing gets a snapshot from its peers, before its engine starts.
//!
//! 1. Peers are asked which snapshot they have. Shortly after the first offer the best one is taken: a
//!    genesis validator's before others', what an earlier attempt began with, the one of the newest block.
//! 2. It is fetched part by part from that peer alone, kept in a file, and checked while it comes: a
//!    forged one ends at its first wrong part, before anything is written to the database.
//! 3. Who brought something wrong, or keeps us waiting, is not asked again; the next offer is taken. So is
//!    one that is slow, if there is another offer.
//!    What came so far stays, and is gone on with if somebody offers the very same bytes.
//!
//! Without an offer the node goes on with blocks from the genesis, and says so.
//!
//! Not here: what makes a snapshot right (`chain_core::ledger`), making them (`shelf`).

use crate::data_dir::make_private_dir;
use crate::exit::Exit;
use crate::meter::Meter;
use crate::p2p::{self, GossipVerdict, Network, NetworkEvent, P2pConfig};
use chain_core::consensus::Peer;
use chain_core::crypto::Hash;
use chain_core::genesis::Genesis;
use chain_core::ledger::{Imported, SnapshotError, import};
use chain_core::limits::{MAX_SNAPSHOT_BYTES, MAX_SNAPSHOT_PART_BYTES};
use chain_core::storage::Store;
use chain_core::wire::{Lane, Message, SnapshotOffer};
use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long others may offer theirs after the first one did.
const GATHER: Duration = Duration::from_secs(3);
/// How long to wait for an offer that can be used, from the start and from each failure on.
const OFFER_PATIENCE: Duration = Duration::from_secs(30);
/// How long one part may take.
const PART_PATIENCE: Duration = Duration::from_secs(30);
/// Events of the network that wait for us.
const EVENTS: usize = 16;
/// A source that stays below this pace for so long is left if anybody else has an offer, in bytes per second.
const SLOW_PACE: u64 = 256 * 1024;
const SLOW_AFTER: Duration = Duration::from_secs(60);
/// Ends the name of what has come so far.
const PARTIAL: &str = "partial";
/// Parts that wait to be checked.
const WAITING_PARTS: usize = 2;

/// Gets a snapshot from peers and makes it the database's content. `None` if nobody had one.
///
/// # Errors
/// The network can't be set up; the database or a file can't be written.
pub async fn fetch(
    p2p: P2pConfig,
    dir: &Path,
    genesis: &Genesis,
    store: Arc<dyn Store>,
) -> Result<Option<Imported>, Exit> {
    make_private_dir(dir)?;
    let members = genesis.validator_set().map_err(|e| Exit::OtherChain(format!("genesis: {e}")))?;
    let (sender, events) = mpsc::channel(EVENTS);
    let take = move |event| match matters(&event) {
        true => sender.try_send(event).err().map(mpsc::error::TrySendError::into_inner),
        false => None,
    };
    let network = p2p::start(p2p, take).await.map_err(|e| Exit::Configuration(e.to_string()))?;
    let members = members.members().iter().map(|member| member.public_key).collect();
    let mut fetch = Fetch {
        network: network.clone(),
        events,
        sources: BTreeMap::new(),
        useless: BTreeSet::new(),
        members,
        work: Work { dir: dir.to_owned(), genesis: Arc::new(genesis.clone()), store },
    };
    let found = fetch.run().await;
    network.stop().await;
    found
}

/// Whether an event has to do with snapshots and is no longer than what that takes: nothing else is kept, for a
/// frame can be long.
fn matters(event: &NetworkEvent) -> bool {
    match event {
        NetworkEvent::Frame { lane, bytes, .. } => *lane == Lane::Bulk && bytes.len() <= MAX_SNAPSHOT_PART_BYTES + 128,
        NetworkEvent::Joined { .. } | NetworkEvent::Left { .. } | NetworkEvent::Gossip { .. } => true,
    }
}

/// Who may have a snapshot.
struct Source {
    id: PeerId,
    /// A validator of the genesis.
    member: bool,
    offer: Option<SnapshotOffer>,
}

/// What a checking thread needs.
#[derive(Clone)]
struct Work {
    dir: PathBuf,
    genesis: Arc<Genesis>,
    store: Arc<dyn Store>,
}

struct Fetch {
    network: Network,
    events: mpsc::Receiver<NetworkEvent>,
    sources: BTreeMap<Peer, Source>,
    /// Who failed.
    useless: BTreeSet<PeerId>,
    members: BTreeSet<chain_core::crypto::PublicKey>,
    work: Work,
}

/// How one attempt ended.
enum Attempt {
    Done(Imported),
    /// The source is gone, silent, or has it no more.
    Broken,
    /// It brought what is no snapshot of this chain.
    Wrong(SnapshotError),
}

impl Fetch {
    async fn run(&mut self) -> Result<Option<Imported>, Exit> {
        tracing::info!(patience_s = OFFER_PATIENCE.as_secs(), "asking peers for a snapshot");
        loop {
            let Some((peer, offer)) = self.choose().await else {
                tracing::warn!(
                    "no peer offers a snapshot that is right: all blocks since the genesis are fetched instead"
                );
                return Ok(None);
            };
            let source = self.sources.get(&peer).map(|source| source.id.to_string()).unwrap_or_default();
            self.work.forget_all_but(Some(&offer))?;
            let begun = self.work.begun(&offer)?;
            tracing::info!(
                height = offer.height.get(),
                bytes = offer.bytes,
                begun,
                peer = source,
                "fetching a snapshot"
            );
            match self.attempt(peer, offer, begun).await? {
                Attempt::Done(imported) => {
                    self.work.forget_all_but(None)?;
                    tracing::info!(height = imported.height.get(), block = %imported.block, rows = imported.rows,
                        "the snapshot is right; compare the block with a node you trust");
                    return Ok(Some(imported));
                }
                Attempt::Broken => {
                    tracing::warn!(peer = source, "a peer stopped giving its snapshot");
                    self.give_up_on(peer);
                }
                Attempt::Wrong(error) => {
                    tracing::warn!(peer = source, %error, "a peer's snapshot is wrong");
                    self.work.forget_all_but(None)?;
                    // The beginning may have been another's.
                    if begun == 0 {
                        self.give_up_on(peer);
                    }
                }
            }
        }
    }

    fn give_up_on(&mut self, peer: Peer) {
        if let Some(source) = self.sources.remove(&peer) {
            self.useless.insert(source.id);
        }
    }

    /// Waits for offers and takes the best one.
    async fn choose(&mut self) -> Option<(Peer, SnapshotOffer)> {
        let over = Instant::now() + OFFER_PATIENCE;
        let mut first_offer = None;
        loop {
            // Without one left the wait for the first begins anew.
            first_offer = self.best().map(|_| first_offer.unwrap_or_else(Instant::now));
            let until = first_offer.map_or(over, |first| first + GATHER);
            let Ok(event) = timeout_at(until, self.events.recv()).await else { return self.best() };
            self.hear(event?);
        }
    }

    fn best(&self) -> Option<(Peer, SnapshotOffer)> {
        let offers = self.sources.iter().filter_map(|(peer, source)| Some((*peer, source, source.offer?)));
        let usable = offers.filter(|(_, _, offer)| offer.bytes <= MAX_SNAPSHOT_BYTES);
        let best = usable.max_by_key(|(peer, source, offer)| {
            (source.member, self.work.partial(offer).exists(), offer.height, std::cmp::Reverse(*peer))
        });
        best.map(|(peer, _, offer)| (peer, offer))
    }

    /// Notes who is there and what they offer. Gives back a part that came.
    fn hear(&mut self, event: NetworkEvent) -> Option<(Peer, Hash, u64, Vec<u8>)> {
        match event {
            NetworkEvent::Joined { peer, validator, id, .. } if !self.useless.contains(&id) => {
                let member = validator.is_some_and(|key| self.members.contains(&key));
                self.sources.insert(peer, Source { id, member, offer: None });
                self.ask(peer, &Message::NeedSnapshot);
            }
            NetworkEvent::Joined { .. } => {}
            NetworkEvent::Left { peer } => drop(self.sources.remove(&peer)),
            NetworkEvent::Gossip { ticket, .. } => self.network.judge(ticket, GossipVerdict::Ignore),
            NetworkEvent::Frame { from, lane: Lane::Bulk, bytes } => match Message::decode(&bytes, Lane::Bulk) {
                Ok(Message::Snapshot { offer }) => {
                    if let Some(source) = self.sources.get_mut(&from) {
                        source.offer = offer;
                    }
                }
                Ok(Message::SnapshotPart { digest, offset, bytes }) => {
                    return Some((from, digest, offset, bytes.into_inner()));
                }
                Ok(Message::NeedSnapshot) => self.ask(from, &Message::Snapshot { offer: None }),
                // Nothing else can be answered, or matters, before there is a chain.
                _ => {}
            },
            NetworkEvent::Frame { .. } => {}
        }
        None
    }

    fn ask(&self, peer: Peer, message: &Message) {
        self.network.send(&[peer], message.lane(), message.encode().into());
    }

    /// Fetches and checks one offer, from where an earlier attempt ended.
    async fn attempt(&mut self, peer: Peer, offer: SnapshotOffer, begun: u64) -> Result<Attempt, Exit> {
        let (parts, incoming) = mpsc::channel(WAITING_PARTS);
        let work = self.work.clone();
        let checking = tokio::task::spawn_blocking(move || work.check(&offer, incoming));
        let mut meter = Meter::bytes(Some(offer.bytes));
        meter.add(begun);
        let (mut offset, since) = (begun, Instant::now());
        while offset < offer.bytes && !(is_slow(offset - begun, since.elapsed()) && self.has_other_than(peer)) {
            let Some(part) = self.part(peer, &offer, offset).await else { break };
            let length = part.len() as u64;
            // Nobody takes it: what came before was wrong.
            if parts.send(part).await.is_err() {
                break;
            }
            offset = offset.saturating_add(length);
            meter.add(length);
        }
        drop(parts);
        meter.end();
        let whole = offset == offer.bytes;
        if whole {
            tracing::info!(bytes = offer.bytes, "the snapshot is here; its state is built and checked");
        }
        let checked = checking.await.map_err(|e| Exit::Database(format!("checking a snapshot: {e}")))?;
        match checked {
            Ok(imported) => Ok(Attempt::Done(imported)),
            Err(SnapshotError::Truncated(_)) if !whole => Ok(Attempt::Broken),
            Err(error @ (SnapshotError::Fault(_) | SnapshotError::Io(_))) => Err(error.into()),
            Err(error) => Ok(Attempt::Wrong(error)),
        }
    }

    fn has_other_than(&self, peer: Peer) -> bool {
        self.sources.iter().any(|(other, source)| *other != peer && source.offer.is_some())
    }

    /// One part from one peer; none if it goes, keeps us waiting, or gives less than there must be.
    async fn part(&mut self, peer: Peer, offer: &SnapshotOffer, offset: u64) -> Option<Vec<u8>> {
        let due = Instant::now() + PART_PATIENCE;
        self.ask(peer, &Message::NeedSnapshotPart { digest: offer.digest, offset });
        let length = offer.bytes.saturating_sub(offset).min(MAX_SNAPSHOT_PART_BYTES as u64);
        loop {
            let event = timeout_at(due, self.events.recv()).await.ok()??;
            if let Some((from, digest, at, bytes)) = self.hear(event)
                && (from, digest, at) == (peer, offer.digest, offset)
            {
                return (bytes.len() as u64 == length).then_some(bytes);
            }
            if !self.sources.contains_key(&peer) {
                return None;
            }
        }
    }
}

fn is_slow(bytes: u64, time: Duration) -> bool {
    time >= SLOW_AFTER && bytes / time.as_secs().max(1) < SLOW_PACE
}

impl Work {
    /// What has come of an offer.
    fn partial(&self, offer: &SnapshotOffer) -> PathBuf {
        self.dir.join(format!("{}.{PARTIAL}", offer.digest))
    }

    /// How many bytes of an offer an earlier attempt has brought.
    fn begun(&self, offer: &SnapshotOffer) -> Result<u64, Exit> {
        match fs::metadata(self.partial(offer)) {
            Ok(found) if found.len() <= offer.bytes => Ok(found.len()),
            Ok(_) => self.forget_all_but(None).map(|()| 0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(self.failed(&e)),
        }
    }

    /// Removes what came of other offers: there is room for one.
    fn forget_all_but(&self, offer: Option<&SnapshotOffer>) -> Result<(), Exit> {
        let kept = offer.map(|offer| self.partial(offer));
        for entry in fs::read_dir(&self.dir).map_err(|e| self.failed(&e))? {
            let path = entry.map_err(|e| self.failed(&e))?.path();
            if path.extension().is_some_and(|extension| extension == PARTIAL) && Some(&path) != kept.as_ref() {
                fs::remove_file(&path).map_err(|e| self.failed(&e))?;
            }
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Exit {
        Exit::Database(format!("{}: {error}", self.dir.display()))
    }

    /// Checks what is there and what comes, and writes the database if all of it is right.
    fn check(&self, offer: &SnapshotOffer, parts: mpsc::Receiver<Vec<u8>>) -> Result<Imported, SnapshotError> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(self.partial(offer))?;
        let mut input = Incoming { in_file: true, file, part: Cursor::default(), parts };
        import(&*self.store, &self.genesis, Some(offer.height), &mut input)
    }
}

/// The bytes of a snapshot: those in the file, then those that come, which are written behind them.
struct Incoming {
    /// Until the file is read to its end; from then on it is only written.
    in_file: bool,
    file: File,
    part: Cursor<Vec<u8>>,
    parts: mpsc::Receiver<Vec<u8>>,
}

impl Read for Incoming {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.in_file {
            match self.file.read(bytes)? {
                0 => self.in_file = false,
                read => return Ok(read),
            }
        }
        loop {
            match self.part.read(bytes)? {
                0 => match self.parts.blocking_recv() {
                    None => return Ok(0),
                    Some(part) => {
                        self.file.write_all(&part)?;
                        self.part = Cursor::new(part);
                    }
                },
                read => return Ok(read),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_who_stays_below_the_pace_for_a_while() {
        assert!(!is_slow(0, SLOW_AFTER - Duration::from_secs(1)));
        assert!(is_slow(SLOW_PACE * 60 - 1, SLOW_AFTER));
        assert!(!is_slow(SLOW_PACE * 60, SLOW_AFTER));
    }

    #[test]
    fn only_what_a_part_takes_is_kept() {
        let frame = |lane, length| NetworkEvent::Frame { from: Peer(1), lane, bytes: vec![0; length] };
        assert!(matters(&frame(Lane::Bulk, MAX_SNAPSHOT_PART_BYTES + 50)));
        assert!(!matters(&frame(Lane::Bulk, MAX_SNAPSHOT_PART_BYTES + 129)));
        assert!(!matters(&frame(Lane::Urgent, 10)));
    }
}
