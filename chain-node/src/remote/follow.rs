//! One site, followed: its height, and blocks when the engine asks for them.
//!
//! 1. A site of another chain is not followed.
//! 2. Its height is a hint to the engine, as soon as it is heard of; blocks are fetched only when the
//!    engine asks, and handed over unverified.
//! 3. Every question is answered, with no blocks where the site failed: the engine then asks others.
//! 4. An answer that no honest site gives, or the engine's blame, ends the session for long; a lost
//!    connection for less.
//! 5. The site is no peer while the network has a peer and our own, verified head keeps up with the
//!    site's. What peers claim does not count: two nodes of one site must not keep each other from
//!    following.
//!
//! Not here: what is pushed there (`push`).

use super::{Backoff, Site, Word};
use chain_core::block::FinalBlock;
use chain_core::codec::{self, List};
use chain_core::consensus::Peer;
use chain_core::engine::Input;
use chain_core::limits::{MAX_FRAME_BYTES, MAX_RANGE_BLOCKS};
use chain_core::types::Height;
use chain_core::wire::Message;
use chain_rpc::client::{Client, ClientError, Feed};
use chain_rpc::view::{FinalBlocksView, HeadView, NodeView, Notice};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Longest answer: the largest block as base64 in JSON.
const MAX_ANSWER: u32 = (MAX_FRAME_BYTES / 3 * 4 + 64 * 1024) as u32;
/// Longest thing a subscription tells.
const MAX_NOTICE: u32 = 64 * 1024;
/// Longest version of a site that is kept, in characters.
const MAX_VERSION: usize = 32;
/// Blocks asked for at first; half as many after an answer that took long, twice as many after a fast one.
const FIRST_WIDTH: u32 = 64;
/// A site that the network did not cover, although it has peers, is followed for so many polls.
const STAY_POLLS: u32 = 30;
/// After so many polls a subscription is tried again.
const SOCKET_POLLS: u32 = 30;
/// At least so long from one notice of the subscription to the next; no chain makes blocks as fast.
const NOTICE_PAUSE: Duration = Duration::from_millis(20);
/// How far a poll may find our head behind a site's although the network covers it.
const COVERED_BLOCKS: u64 = 1;
/// Longest pause after a lost connection, in polls.
const LOST_POLLS: u32 = 6;
/// First pause after a lie, in polls.
const LIE_POLLS: u32 = 6;
/// Longest pause after lies, in polls.
const MAX_LIE_POLLS: u32 = 360;
/// Lies are forgiven after a session of so many answered polls.
const FORGIVE_POLLS: u32 = 100;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("lost: {0}")]
    Lost(#[from] ClientError),
    #[error("it is of chain {0}")]
    OtherChain(chain_core::types::ChainId),
    #[error("it gave a wrong answer: {0}")]
    WrongAnswer(String),
    #[error("what it sent is not final on our chain")]
    Blamed,
}

/// Follows until the node ends.
pub(super) async fn run(site: Arc<Site>, mut words: mpsc::Receiver<Word>) {
    let poll = site.pace.poll;
    let mut losses = Backoff::new(poll / 2, poll * LOST_POLLS);
    let mut lies = Backoff::new(poll * LIE_POLLS, poll * MAX_LIE_POLLS);
    let mut width = FIRST_WIDTH;
    loop {
        let quiet_until = Instant::now();
        let mut session = Session { site: &site, socket: None, socket_in: 0, stay: 0, width, answered: 0, quiet_until };
        let Err(end) = session.run(&mut words).await;
        width = session.width;
        if session.answered > 0 {
            losses.reset();
        }
        if session.answered >= FORGIVE_POLLS {
            lies.reset();
        }
        site.leave().await;
        let pause = match end {
            End::Lost(_) => losses.next(),
            _ => lies.next(),
        };
        let end = site.words(&end);
        tracing::warn!(site = site.name, end, pause_s = pause.as_secs_f32(), "a remote site is left alone");
        tokio::time::sleep(pause).await;
    }
}

/// A subscription to the site's new blocks. The client must live as long.
struct Socket {
    _client: Client,
    feed: Feed<Notice<HeadView>>,
}

struct Session<'s> {
    site: &'s Site,
    socket: Option<Socket>,
    /// Polls until a subscription is tried.
    socket_in: u32,
    /// Polls for which the site stays a peer although the network has some.
    stay: u32,
    /// Blocks asked for at a time.
    width: u32,
    /// Polls the site has answered.
    answered: u32,
    /// When the next notice is taken.
    quiet_until: Instant,
}

impl Session<'_> {
    async fn run(&mut self, words: &mut mpsc::Receiver<Word>) -> Result<Infallible, End> {
        let pace = self.site.pace;
        let client = Client::connect_bounded(&self.site.url, pace.patience, MAX_ANSWER).await?;
        let mut next_poll = Instant::now();
        loop {
            tokio::select! {
                Some(word) = words.recv() => self.hear(&client, word).await?,
                () = tokio::time::sleep_until(next_poll) => {
                    next_poll = Instant::now() + pace.poll;
                    self.poll(&client).await?;
                }
                head = news(&mut self.socket) => match head {
                    Some(head) => self.news(head).await,
                    None => {
                        tracing::info!(site = self.site.name, "the subscription ended; asking from time to time");
                        self.socket = None;
                    }
                },
            }
        }
    }

    async fn poll(&mut self, client: &Client) -> Result<(), End> {
        let node: NodeView = client.node_info().await?;
        let is_ours = node.chain_id == self.site.local.chain();
        self.site.is_ours.store(is_ours, Ordering::Relaxed);
        if !is_ours {
            return Err(End::OtherChain(node.chain_id));
        }
        self.answered = self.answered.saturating_add(1);
        {
            let mut seen = self.site.seen();
            (seen.head, seen.oldest) = (node.head.height, node.oldest_body);
            seen.version = node.version.chars().filter(|c| c.is_ascii_graphic()).take(MAX_VERSION).collect();
        }
        self.consider(node.head.height).await;
        if self.socket.is_none() {
            self.socket_in = match self.socket_in.checked_sub(1) {
                Some(left) => left,
                None => self.open_socket().await,
            };
        }
        self.claims(node.head.height).await;
        Ok(())
    }

    /// Rule 5: joins or leaves.
    async fn consider(&mut self, head: Height) {
        let local = &self.site.local;
        let keeps_up = local.head().get().saturating_add(COVERED_BLOCKS) >= head.get();
        let has_peer = local.has_peer();
        if !keeps_up && has_peer {
            self.stay = STAY_POLLS;
        }
        self.stay = self.stay.saturating_sub(1);
        let covered = has_peer && keeps_up && self.stay == 0;
        let joined = self.site.seen().peer.is_some();
        self.site.covered.store(covered, Ordering::Relaxed);
        if covered && joined {
            tracing::info!(site = self.site.name, "the network keeps up with the remote site; following pauses");
            self.site.leave().await;
        } else if !covered && !joined {
            tracing::info!(site = self.site.name, head = head.get(), "following a remote site");
            self.site.join().await;
        }
    }

    /// Tries to subscribe; the polls until the next try.
    async fn open_socket(&mut self) -> u32 {
        match subscribe(&self.site.url, self.site.pace.patience).await {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => {
                let (site, every_s) = (&self.site.name, self.site.pace.poll.as_secs_f32());
                let error = self.site.words(&error);
                tracing::info!(site, error, every_s, "no subscription at the remote site; asking from time to time");
            }
        }
        SOCKET_POLLS
    }

    /// A notice of the subscription: only what is new, and not faster than a chain can be. A site that
    /// tells more waits in its own queue.
    async fn news(&mut self, head: Height) {
        tokio::time::sleep_until(self.quiet_until).await;
        self.quiet_until = Instant::now() + NOTICE_PAUSE;
        if head > self.site.seen().head {
            self.claims(head).await;
        }
    }

    /// Rule 2. Height 0 is never asked for, so this is no answer to anything.
    async fn claims(&self, head: Height) {
        let (peer, oldest) = {
            let mut seen = self.site.seen();
            seen.head = head;
            (seen.peer, seen.oldest)
        };
        if let Some(peer) = peer {
            self.answer(peer, Height::ZERO, List::default(), head, oldest).await;
        }
    }

    async fn hear(&mut self, client: &Client, word: Word) -> Result<(), End> {
        let now = self.site.seen().peer;
        match word {
            Word::Blamed { peer } if now == Some(peer) => Err(End::Blamed),
            Word::NeedBlocks { peer, from, count } if now == Some(peer) => self.fetch(client, peer, from, count).await,
            // Said of an earlier session.
            Word::Blamed { .. } | Word::NeedBlocks { .. } => Ok(()),
        }
    }

    /// Rule 3.
    async fn fetch(&mut self, client: &Client, peer: Peer, from: Height, count: u32) -> Result<(), End> {
        let (asked, start) = (count.clamp(1, self.width), Instant::now());
        let answer = client.get_final_blocks(from, asked).await.map_err(End::from);
        let read = answer.and_then(|view| Ok((view.head, view.oldest, read(from, asked, &view)?)));
        self.adapt(start.elapsed());
        match read {
            Ok((head, oldest, blocks)) => {
                self.answer(peer, from, blocks, head, oldest).await;
                Ok(())
            }
            Err(end) => {
                let (head, oldest) = {
                    let seen = self.site.seen();
                    (seen.head, seen.oldest)
                };
                self.answer(peer, from, List::default(), head, oldest).await;
                Err(end)
            }
        }
    }

    /// A slow line gets smaller questions, so that each is answered before the engine gives up.
    fn adapt(&mut self, took: Duration) {
        let patience = self.site.pace.patience;
        if took > patience / 2 {
            self.width = (self.width / 2).max(1);
        } else if took < patience / 8 {
            self.width = self.width.saturating_mul(2).min(MAX_RANGE_BLOCKS as u32);
        }
    }

    async fn answer(
        &self,
        from: Peer,
        first: Height,
        blocks: List<FinalBlock, MAX_RANGE_BLOCKS>,
        head: Height,
        oldest: Height,
    ) {
        let message = Box::new(Message::Blocks { from: first, blocks, head, oldest });
        self.site.deliver(Input::Message { from, message }).await;
    }
}

/// The blocks of an answer, if it has the form of one.
fn read(from: Height, asked: u32, view: &FinalBlocksView) -> Result<List<FinalBlock, MAX_RANGE_BLOCKS>, End> {
    let wrong = |why: String| End::WrongAnswer(why);
    let blocks: List<FinalBlock, MAX_RANGE_BLOCKS> =
        codec::decode(&view.blocks.0, MAX_FRAME_BYTES).map_err(|error| wrong(format!("blocks: {error}")))?;
    if view.from != from || blocks.len() > asked as usize {
        return Err(wrong(format!("{} blocks from {} for {asked} from {from}", blocks.len(), view.from)));
    }
    Ok(blocks)
}

async fn subscribe(url: &str, patience: Duration) -> Result<Socket, ClientError> {
    let socket = match url.split_once("://") {
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        _ => return Err(ClientError::Url(url.into())),
    };
    let connect = async {
        let client = Client::connect_bounded(&socket, patience, MAX_NOTICE).await?;
        let feed = client.new_blocks(None).await?;
        Ok(Socket { _client: client, feed })
    };
    let late = || ClientError::Transport("no answer in time".into());
    tokio::time::timeout(patience, connect).await.unwrap_or_else(|_| Err(late()))
}

/// The next height a subscription tells; `None` when it has ended. Without one, never.
async fn news(socket: &mut Option<Socket>) -> Option<Height> {
    match socket {
        None => std::future::pending().await,
        Some(socket) => match socket.feed.next().await {
            Some(Ok(Notice::Item(head))) => Some(head.height),
            _ => None,
        },
    }
}
