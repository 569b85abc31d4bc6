//! Other sites that are reached by the URL of their RPC alone: a site behind an HTTPS proxy joins
//! this way. To the engine such a site is a peer that can only answer `NeedBlocks`, so everything it
//! sends is verified as any peer's word is.
//!
//! ```text
//!            poll, new_blocks ► height ┐                  ┌► Joined, Blocks, Left ► engine
//! site (URL)                           ├ follow (a task) ─┤
//!            get_final_blocks ► blocks ┘                  └◄ NeedBlocks, Blame    ◄ engine
//!            send_txs                  ◄ push (a task)     ◄ transactions of our pool
//! ```
//!
//! While the network of peers keeps our head at the site's, the site is only asked for its height.
//!
//! Not here: verification (the engine), the calls themselves (`chain_rpc::Client`), what the options
//! are called (`config`).

mod follow;
mod push;

#[cfg(test)]
mod tests;

use crate::locks::lock;
use chain_core::consensus::Peer;
use chain_core::engine::{Announcement, Input};
use chain_core::tx::Checked;
use chain_core::types::{ChainId, Height};
use chain_core::wire::Message;
use chain_rpc::backend::PeerInfo;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

/// Numbers from here on are those of remote sites; peers of the network have lower ones.
const FIRST_NUMBER: u64 = 1 << 63;
/// Words of the engine waiting for a site's task: it asks each peer one thing at a time.
const WORDS: usize = 8;
/// How long a full queue of the engine is left alone.
const ENGINE_PAUSE: Duration = Duration::from_millis(20);

/// The node as the tasks of remote sites see it.
pub trait Local: Send + Sync + 'static {
    /// The chain.
    fn chain(&self) -> ChainId;
    /// The newest final height here.
    fn head(&self) -> Height;
    /// Whether the network has a peer, and it was the network that brought the newest block.
    fn has_peer(&self) -> bool;
    /// Hands `Joined`, `Message` or `Left` to the engine; gives it back while the queue is full. Must
    /// not wait.
    fn deliver(&self, input: Input) -> Option<Input>;
    /// The pool's executable transactions in the order they would be executed in.
    fn pending(&self, limit: usize) -> Vec<Checked>;
    /// Everything announced from now on.
    fn announcements(&self) -> broadcast::Receiver<Announcement>;
}

/// How sites are treated.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often a site is asked for its height. Pauses after failures are multiples of it.
    pub poll: Duration,
    /// How long a site may take for an answer; less than the engine waits for one.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { poll: Duration::from_secs(10), patience: Duration::from_secs(9) }
    }
}

/// The remote sites; ends following them when dropped.
pub struct Remotes {
    sites: Vec<(Arc<Site>, mpsc::Sender<Word>)>,
    _tasks: JoinSet<()>,
}

impl Remotes {
    /// Starts two tasks per URL; needs a running tokio runtime.
    pub fn start(urls: &[String], pace: Pace, local: Arc<dyn Local>) -> Self {
        let numbers = Arc::new(AtomicU64::new(FIRST_NUMBER));
        let (mut sites, mut tasks) = (Vec::new(), JoinSet::new());
        for url in urls {
            let (local, numbers, url) = (local.clone(), numbers.clone(), url.clone());
            let (name, covered, is_ours, seen) =
                (public_name(&url), AtomicBool::default(), AtomicBool::default(), Mutex::default());
            let site = Arc::new(Site { url, name, pace, local, numbers, covered, is_ours, seen });
            let (sender, words) = mpsc::channel(WORDS);
            tasks.spawn(follow::run(site.clone(), words));
            tasks.spawn(push::run(site.clone()));
            sites.push((site, sender));
        }
        Self { sites, _tasks: tasks }
    }

    /// Whether a number is a remote site's, now or earlier.
    pub fn owns(peer: Peer) -> bool {
        peer.0 >= FIRST_NUMBER
    }

    /// Takes what the engine sends to a remote site. What it can't be asked over RPC is dropped, as is
    /// what comes too fast: the engine asks again.
    pub fn send(&self, to: Peer, message: &Message) {
        if let Message::NeedBlocks { from, count } = message {
            self.pass(to, Word::NeedBlocks { peer: to, from: *from, count: *count });
        }
    }

    /// A site did what no honest node does: it is left alone for long.
    pub fn blame(&self, peer: Peer) {
        for (site, _) in &self.sites {
            let mut seen = site.seen();
            if seen.peer == Some(peer) {
                seen.blamed = Some(peer);
            }
        }
        self.pass(peer, Word::Blamed { peer });
    }

    /// The sites that are followed now.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let joined = self.sites.iter().filter_map(|(site, _)| {
            let seen = site.seen();
            seen.peer.map(|_| PeerInfo {
                peer_id: site.name.clone(),
                agent: format!("rpc {}", seen.version),
                height: seen.head,
                outbound: true,
                validator: None,
                rtt_ms: None,
                score: 0,
            })
        });
        joined.collect()
    }

    /// Whether a site was blamed: what it said before and still waits is not worth a look.
    pub fn is_shut_out(&self, peer: Peer) -> bool {
        self.sites.iter().any(|(site, _)| site.seen().blamed == Some(peer))
    }

    fn pass(&self, peer: Peer, word: Word) {
        let site = self.sites.iter().find(|(site, _)| site.seen().peer == Some(peer));
        if let Some((site, sender)) = site
            && sender.try_send(word).is_err()
        {
            tracing::debug!(site = site.name, "a word of the engine is dropped");
        }
    }
}

/// What the engine says to or about a site.
#[derive(Clone, Copy, Debug)]
enum Word {
    NeedBlocks { peer: Peer, from: Height, count: u32 },
    Blamed { peer: Peer },
}

/// A site and what both of its tasks know.
struct Site {
    /// May hold credentials: for calls only.
    url: String,
    /// For people.
    name: String,
    pace: Pace,
    local: Arc<dyn Local>,
    numbers: Arc<AtomicU64>,
    /// Whether the network of peers does what this site is for.
    covered: AtomicBool,
    /// Whether its newest answer was that it is on our chain.
    is_ours: AtomicBool,
    seen: Mutex<Seen>,
}

/// What is known of a site.
#[derive(Default)]
struct Seen {
    /// The number under which the engine knows it now.
    peer: Option<Peer>,
    /// The newest number that was blamed.
    blamed: Option<Peer>,
    head: Height,
    oldest: Height,
    version: String,
}

/// A URL without what may be secret in it: user, path and query.
fn public_name(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

impl Site {
    /// What an error says, without the URL's secrets.
    fn words(&self, error: &impl std::fmt::Display) -> String {
        let (secret, public) = (self.url.split_once("://"), self.name.split_once("://"));
        let (Some((_, secret)), Some((_, public))) = (secret, public) else { return error.to_string() };
        error.to_string().replace(secret, public)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// Hands over to the engine, waiting while its queue is full.
    async fn deliver(&self, mut input: Input) {
        while let Some(back) = self.local.deliver(input) {
            input = back;
            tokio::time::sleep(ENGINE_PAUSE).await;
        }
    }

    /// Becomes a peer of the engine under a new number.
    async fn join(&self) {
        let peer = Peer(self.numbers.fetch_add(1, Ordering::Relaxed));
        self.seen().peer = Some(peer);
        self.deliver(Input::Joined { peer, validator: None }).await;
    }

    /// Is no peer any more.
    async fn leave(&self) {
        let peer = self.seen().peer.take();
        if let Some(peer) = peer {
            self.deliver(Input::Left { peer }).await;
        }
    }
}

/// Pauses that double from a first one up to a longest one.
#[derive(Debug)]
struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    fn next(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        pause.min(self.longest)
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}
