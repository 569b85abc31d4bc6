//! A site made of a socket and a closure, which serves, lies, hangs and comes back; and what the
//! engine hears of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use chain_core::block::{BLOCK_VERSION, Block, Body, FinalBlock, Header};
use chain_core::codec;
use chain_core::crypto::Hash;
use chain_core::ledger::CommittedBlock;
use chain_core::limits::MAX_RANGE_BLOCKS;
use chain_core::testing::{address, chain, checked, key, pay};
use chain_core::types::*;
use chain_rpc::view::{Base64, FinalBlocksParams, FinalBlocksView, HeadView, NodeView, SendManyParams, U64};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite;

/// What a site says to a call.
enum Reply {
    Result(Value),
    /// The whole answer after the status line.
    Raw(String),
    Never,
}

type Script = dyn Fn(&str, &Value) -> Reply + Send + Sync;

/// A site; its script can be changed while it runs. Whatever is sent to `heads` its subscribers hear.
struct FakeSite {
    url: String,
    script: Arc<Mutex<Arc<Script>>>,
    heads: broadcast::Sender<u64>,
    /// How often it was called.
    calls: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl FakeSite {
    async fn new(script: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let heads = broadcast::channel(16).0;
        let calls = Arc::new(AtomicU64::new(0));
        let (shared, told, counted) = (script.clone(), heads.clone(), calls.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket, shared.clone(), told.clone()));
            }
        });
        Self { url, script, heads, calls, _task: task }
    }

    fn now(&self, script: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }
}

/// One request, answered as the script says, or one subscription.
async fn serve(mut socket: TcpStream, script: Arc<Mutex<Arc<Script>>>, heads: broadcast::Sender<u64>) {
    let mut start = [0; 4];
    while socket.peek(&mut start).await.is_ok_and(|read| read < 4) {}
    if &start == b"GET " {
        return subscriber(socket, heads.subscribe()).await;
    }
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    let request: Value = loop {
        let read = socket.read(&mut piece).await.unwrap_or_default();
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..read]);
        let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(Ok(request)) = body.map(|at| serde_json::from_slice(&bytes[at..])) {
            break request;
        }
    };
    let script = script.lock().unwrap().clone();
    let answer = match script(request["method"].as_str().unwrap(), &request["params"]) {
        Reply::Never => return std::future::pending().await,
        Reply::Raw(raw) => format!("HTTP/1.1 200 OK\r\n{raw}"),
        Reply::Result(result) => {
            let body = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }).to_string();
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        }
    };
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
}

async fn subscriber(socket: TcpStream, mut heads: broadcast::Receiver<u64>) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await else { return };
    let Some(Ok(asked)) = socket.next().await else { return };
    let asked: Value = serde_json::from_str(asked.to_text().unwrap()).unwrap();
    let taken = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": 7 });
    socket.send(tungstenite::Message::text(taken.to_string())).await.unwrap();
    while let Ok(head) = heads.recv().await {
        let item = serde_json::to_value(HeadView::of(&block(head))).unwrap();
        let params = json!({ "subscription": 7, "result": item });
        let told = json!({ "jsonrpc": "2.0", "method": "new_blocks", "params": params });
        if socket.send(tungstenite::Message::text(told.to_string())).await.is_err() {
            return;
        }
    }
}

/// A block nobody signed: whether it is final, the engine judges.
fn block(height: u64) -> CommittedBlock {
    let header = Header {
        version: BLOCK_VERSION,
        chain_id: chain(),
        height: Height::new(height),
        view: View::ZERO,
        parent: BlockId::default(),
        timestamp_ms: TimestampMs::new(height),
        proposer: key(1).public(),
        tx_root: Hash::ZERO,
        outcome_root: Hash::ZERO,
        state_root: Hash::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
    };
    let body = Body::new(vec![vec![height as u8; 200]]);
    CommittedBlock::new(FinalBlock { block: Block { header, body }, certificate: None }, &[], Default::default(), 0)
}

fn final_block(height: u64) -> FinalBlock {
    let CommittedBlock { header, body, certificate, .. } = block(height);
    FinalBlock { block: Block { header, body }, certificate }
}

fn node_info(chain_id: ChainId, head: u64) -> Reply {
    let view = NodeView {
        version: "1.2.3".into(),
        role: "follower".into(),
        chain_name: "test".into(),
        chain_id,
        validator: None,
        peer_id: None,
        head: HeadView::of(&block(head)),
        oldest_body: Height::ZERO,
        started: U64(0),
    };
    Reply::Result(serde_json::to_value(view).unwrap())
}

fn final_blocks(from: Height, head: u64, blocks: Vec<u8>) -> Reply {
    let view =
        FinalBlocksView { from, head: Height::new(head), oldest: Height::ZERO, count: 0, blocks: Base64(blocks) };
    Reply::Result(serde_json::to_value(view).unwrap())
}

/// An honest site with this head.
fn honest(head: u64) -> impl Fn(&str, &Value) -> Reply + Send + Sync {
    move |method, params| match method {
        "node_info" => node_info(chain(), head),
        "get_final_blocks" => {
            let FinalBlocksParams { from, count } = serde_json::from_value(params.clone()).unwrap();
            let end = (from.get() + u64::from(count)).min(head + 1);
            let blocks: Vec<_> = (from.get()..end).map(final_block).collect();
            final_blocks(from, head, codec::encode(&blocks))
        }
        other => panic!("{other}"),
    }
}

/// The node that follows.
struct Node {
    head: AtomicU64,
    has_peer: AtomicBool,
    /// So many deliveries more find the engine's queue full.
    full: AtomicU64,
    inputs: UnboundedSender<Input>,
    pending: Mutex<Vec<Checked>>,
    announcements: broadcast::Sender<Announcement>,
}

impl Local for Node {
    fn chain(&self) -> ChainId {
        chain()
    }
    fn head(&self) -> Height {
        Height::new(self.head.load(Ordering::SeqCst))
    }
    fn has_peer(&self) -> bool {
        self.has_peer.load(Ordering::SeqCst)
    }
    fn deliver(&self, input: Input) -> Option<Input> {
        let full = self.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if full { Some(input) } else { self.inputs.send(input).err().map(|refused| refused.0) }
    }
    fn pending(&self, limit: usize) -> Vec<Checked> {
        self.pending.lock().unwrap().iter().take(limit).cloned().collect()
    }
    fn announcements(&self) -> broadcast::Receiver<Announcement> {
        self.announcements.subscribe()
    }
}

struct World {
    node: Arc<Node>,
    inputs: UnboundedReceiver<Input>,
    remotes: Remotes,
}

impl World {
    fn with(site: &FakeSite, poll_ms: u64, prepare: impl FnOnce(&Node)) -> Self {
        let (sender, inputs) = unbounded_channel();
        let node = Arc::new(Node {
            head: AtomicU64::new(0),
            has_peer: AtomicBool::new(false),
            full: AtomicU64::new(0),
            inputs: sender,
            pending: Mutex::default(),
            announcements: broadcast::channel(64).0,
        });
        prepare(&node);
        let pace = Pace { poll: Duration::from_millis(poll_ms), patience: Duration::from_secs(2) };
        let url = format!("{}/?key=secret", site.url.replace("://", "://user:password@"));
        let remotes = Remotes::start(&[url], pace, node.clone());
        Self { node, inputs, remotes }
    }

    fn new(site: &FakeSite, poll_ms: u64) -> Self {
        Self::with(site, poll_ms, |_| ())
    }

    /// What the engine hears next.
    async fn next(&mut self) -> Input {
        let next = tokio::time::timeout(Duration::from_secs(60), self.inputs.recv());
        next.await.expect("the engine should have heard something").unwrap()
    }

    async fn joined(&mut self) -> Peer {
        match self.next().await {
            Input::Joined { peer, validator: None } => peer,
            other => panic!("{other:?}"),
        }
    }

    /// The next answer, hints left out, unless the site is gone.
    async fn answer(&mut self, peer: Peer) -> Option<Vec<FinalBlock>> {
        loop {
            match self.next().await {
                Input::Left { peer: gone } if gone == peer => return None,
                Input::Message { from, message } if from == peer => match *message {
                    Message::Blocks { from: Height::ZERO, .. } => {}
                    Message::Blocks { blocks, .. } => return Some(blocks.into_inner()),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for a hint of this height.
    async fn hint(&mut self, height: u64) {
        loop {
            if let Input::Message { message, .. } = self.next().await
                && let Message::Blocks { from: Height::ZERO, head, .. } = *message
                && head == Height::new(height)
            {
                return;
            }
        }
    }

    fn ask(&self, peer: Peer, from: u64, count: u32) {
        self.remotes.send(peer, &Message::NeedBlocks { from: Height::new(from), count });
    }
}

#[tokio::test]
async fn a_site_is_a_peer_that_tells_its_height_and_answers_for_blocks() {
    let site = FakeSite::new(honest(9)).await;
    let mut world = World::with(&site, 20, |node| node.full.store(3, Ordering::SeqCst));
    let peer = world.joined().await;
    assert!(Remotes::owns(peer) && !Remotes::owns(Peer(7)));
    world.hint(9).await;
    world.ask(peer, 3, 4);
    assert_eq!(world.answer(peer).await, Some((3..7).map(final_block).collect()));
    world.ask(peer, 8, 64);
    assert_eq!(world.answer(peer).await, Some(vec![final_block(8), final_block(9)]));
    let [info] = &world.remotes.peers()[..] else { panic!("one site") };
    assert_eq!((&info.peer_id, info.agent.as_str(), info.height), (&site.url, "rpc 1.2.3", Height::new(9)));
    site.now(honest(12));
    world.hint(12).await;
    // Another peer's question is not this site's.
    world.ask(Peer(7), 1, 1);
    world.ask(peer, 12, 1);
    assert_eq!(world.answer(peer).await, Some(vec![final_block(12)]));
}

#[tokio::test]
async fn a_subscription_tells_heights_between_polls() {
    let site = FakeSite::new(honest(5)).await;
    let mut world = World::new(&site, 3_600_000);
    world.joined().await;
    world.hint(5).await;
    while site.heads.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    for height in [6, 7] {
        site.heads.send(height).unwrap();
        world.hint(height).await;
    }
}

#[tokio::test]
async fn a_lie_is_an_answer_without_blocks_and_the_end_of_the_session() {
    let two = codec::encode(&vec![final_block(1), final_block(2)]);
    let lies: Vec<Box<dyn Fn(Height) -> Reply + Send + Sync>> = vec![
        Box::new(|from| final_blocks(from, 9, vec![1, 2, 3])),
        Box::new(|from| final_blocks(from, 9, vec![255; 64])),
        Box::new(move |from| final_blocks(from, 9, two.clone())),
        Box::new(|from| final_blocks(from.next(), 9, codec::encode(&vec![final_block(2)]))),
        Box::new(|from| final_blocks(from, 9, codec::encode(&vec![final_block(1); MAX_RANGE_BLOCKS + 1]))),
        Box::new(|_| Reply::Result(json!({ "from": "1" }))),
        Box::new(|_| Reply::Raw("Content-Length: 999999999999\r\n\r\n{".into())),
        Box::new(|_| Reply::Raw("Content-Length: 9\r\n\r\n{".into())),
        Box::new(|_| Reply::Raw("Transfer-Encoding: chunked\r\n\r\nzzz".into())),
    ];
    for (place, lie) in lies.into_iter().enumerate() {
        let site = FakeSite::new(move |method, params| match method {
            "node_info" => node_info(chain(), 9),
            _ => lie(serde_json::from_value::<FinalBlocksParams>(params.clone()).unwrap().from),
        })
        .await;
        let mut world = World::new(&site, 20);
        let peer = world.joined().await;
        world.ask(peer, 1, 1);
        assert_eq!(world.answer(peer).await, Some(vec![]), "lie {place}");
        assert_eq!(world.answer(peer).await, None, "lie {place}");
        // It comes back as another peer, and what was asked of the first is not answered any more.
        site.now(honest(9));
        let again = world.joined().await;
        assert_ne!(again, peer);
        world.ask(peer, 1, 1);
        world.ask(again, 2, 1);
        assert_eq!(world.answer(again).await, Some(vec![final_block(2)]));
    }
}

#[tokio::test]
async fn blame_ends_the_session() {
    let site = FakeSite::new(honest(9)).await;
    let mut world = World::new(&site, 20);
    let peer = world.joined().await;
    world.remotes.blame(Peer(7));
    world.remotes.blame(peer);
    assert_eq!(world.answer(peer).await, None);
    assert_ne!(world.joined().await, peer);
}

#[tokio::test]
async fn a_site_that_hangs_is_left_and_asked_for_less_when_it_comes_back() {
    let site = FakeSite::new(|method, _: &Value| match method {
        "node_info" => node_info(chain(), 99),
        _ => Reply::Never,
    })
    .await;
    let mut world = World::new(&site, 20);
    let peer = world.joined().await;
    world.ask(peer, 1, 64);
    assert_eq!(world.answer(peer).await, Some(vec![]));
    assert_eq!(world.answer(peer).await, None);
    site.now(honest(99));
    let peer = world.joined().await;
    world.ask(peer, 1, 64);
    assert_eq!(world.answer(peer).await.unwrap().len(), 32);
}

#[tokio::test]
async fn a_site_of_another_chain_is_no_peer() {
    let site = FakeSite::new(|_, _: &Value| node_info(ChainId(Hash([9; 32])), 9)).await;
    let mut world = World::new(&site, 1);
    while site.calls.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    assert!(world.inputs.try_recv().is_err());
    site.now(honest(9));
    world.joined().await;
}

#[tokio::test]
async fn the_network_replaces_a_site_only_while_it_keeps_up() {
    let site = FakeSite::new(honest(9)).await;
    let mut world = World::with(&site, 5, |node| node.has_peer.store(true, Ordering::SeqCst));
    // Peers, but nine blocks behind: they do not bring what this site has.
    let peer = world.joined().await;
    world.node.head.store(9, Ordering::SeqCst);
    assert_eq!(world.answer(peer).await, None, "later");
    site.now(honest(10));
    while world.remotes.sites[0].0.seen().head < Height::new(10) {
        tokio::task::yield_now().await;
    }
    assert!(world.inputs.try_recv().is_err(), "one block behind at a poll is keeping up");
    site.now(honest(11));
    let peer = world.joined().await;
    // No peers: the site is followed however near it is.
    world.node.has_peer.store(false, Ordering::SeqCst);
    world.node.head.store(11, Ordering::SeqCst);
    world.hint(11).await;
    world.ask(peer, 11, 1);
    assert_eq!(world.answer(peer).await, Some(vec![final_block(11)]));
}

/// A site that takes transactions as `judge` says; what it took comes out of the receiver.
async fn taker(judge: fn() -> Option<i32>) -> (FakeSite, UnboundedReceiver<Vec<Vec<u8>>>) {
    let site = FakeSite::new(honest(0)).await;
    let taken = take(&site, judge);
    (site, taken)
}

fn take(site: &FakeSite, judge: fn() -> Option<i32>) -> UnboundedReceiver<Vec<Vec<u8>>> {
    let (sender, taken) = unbounded_channel();
    site.now(move |method, params| match method {
        "send_txs" => {
            let sent: SendManyParams = serde_json::from_value(params.clone()).unwrap();
            let sent: Vec<_> = sent.signed_txs.into_iter().map(|bytes| bytes.0).collect();
            let error = json!({ "code": judge(), "message": "no", "data": { "reason": "no" } });
            let id = Hash([1; 32]);
            let result = match judge() {
                Some(_) => json!({ "error": error }),
                None => json!({ "tx_id": id, "wire_id": id, "status": "pending" }),
            };
            let results = vec![result; sent.len()];
            let accepted = if judge().is_none() { sent.len() } else { 0 };
            let _ = sender.send(sent);
            Reply::Result(json!({ "accepted": accepted, "results": results }))
        }
        _ => node_info(chain(), 0),
    });
    taken
}

async fn batch(taken: &mut UnboundedReceiver<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    tokio::time::timeout(Duration::from_secs(60), taken.recv()).await.expect("transactions should have come").unwrap()
}

fn payment(nonce: u64) -> Checked {
    checked(1, nonce, [pay(address(2), 1)])
}

fn bytes(nonces: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    nonces.map(|nonce| payment(nonce).bytes().to_vec()).collect()
}

#[tokio::test]
async fn what_is_pending_and_what_comes_goes_to_the_site() {
    let (site, mut taken) = taker(|| None).await;
    let world = World::with(&site, 3_600_000, |node| {
        *node.pending.lock().unwrap() = (0..600).map(payment).collect();
    });
    assert_eq!(batch(&mut taken).await, bytes(0..500));
    assert_eq!(batch(&mut taken).await, bytes(500..600));
    world.node.announcements.send(Announcement::Transaction(payment(600))).unwrap();
    world.node.announcements.send(Announcement::Transaction(payment(601))).unwrap();
    let mut later = batch(&mut taken).await;
    if later.len() == 1 {
        later.extend(batch(&mut taken).await);
    }
    assert_eq!(later, bytes(600..602));
}

#[tokio::test]
async fn what_a_busy_site_did_not_take_is_sent_again_if_it_still_waits() {
    let (site, mut taken) = taker(|| Some(3)).await;
    // So slow that only the failure is a reason to send again.
    let world = World::with(&site, 3_600_000, |node| *node.pending.lock().unwrap() = vec![payment(0), payment(1)]);
    assert_eq!(batch(&mut taken).await, bytes(0..2));
    // The first became final here.
    world.node.pending.lock().unwrap().remove(0);
    let mut taken = take(&site, || None);
    let mut sent = batch(&mut taken).await;
    while sent != bytes(1..2) {
        sent = batch(&mut taken).await;
    }
}

#[tokio::test]
async fn what_waits_for_long_is_sent_again_for_the_site_may_have_dropped_it() {
    let (site, mut taken) = taker(|| None).await;
    let _world = World::with(&site, 20, |node| *node.pending.lock().unwrap() = vec![payment(0)]);
    for _ in 0..3 {
        assert_eq!(batch(&mut taken).await, bytes(0..1));
    }
}

#[tokio::test]
async fn a_refused_transaction_is_not_sent_at_once_again() {
    let (site, mut taken) = taker(|| Some(1014)).await;
    let world = World::with(&site, 3_600_000, |node| *node.pending.lock().unwrap() = vec![payment(0)]);
    assert_eq!(batch(&mut taken).await, bytes(0..1));
    world.node.announcements.send(Announcement::Transaction(payment(1))).unwrap();
    assert_eq!(batch(&mut taken).await, bytes(1..2));
}

#[tokio::test]
async fn nothing_is_pushed_while_the_network_covers_the_site() {
    let (site, mut taken) = taker(|| None).await;
    let world = World::with(&site, 20, |node| node.has_peer.store(true, Ordering::SeqCst));
    while !world.remotes.sites[0].0.covered.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    *world.node.pending.lock().unwrap() = vec![payment(0)];
    world.node.announcements.send(Announcement::Transaction(payment(0))).unwrap();
    // As long as ten more polls take.
    let seen = site.calls.load(Ordering::SeqCst);
    while site.calls.load(Ordering::SeqCst) < seen + 10 {
        tokio::task::yield_now().await;
    }
    assert!(taken.try_recv().is_err());
    world.node.has_peer.store(false, Ordering::SeqCst);
    assert_eq!(batch(&mut taken).await, bytes(0..1));
}

#[test]
fn pauses_double_up_to_a_bound_and_begin_again() {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
    assert_eq!([1, 2, 4, 5, 5].map(Duration::from_secs), std::array::from_fn(|_| backoff.next()));
    backoff.reset();
    assert_eq!(backoff.next(), Duration::from_secs(1));
    let mut long = Backoff { first: Duration::MAX, longest: Duration::MAX, failures: u32::MAX };
    assert_eq!(long.next(), Duration::MAX);
}

#[test]
fn what_is_secret_in_a_url_is_not_in_its_name() {
    for (url, name) in [
        ("https://user:token@a.example.net:8443/rpc?key=1#x", "https://a.example.net:8443"),
        ("http://10.0.0.2:8006", "http://10.0.0.2:8006"),
        ("https://a.example.net?key=a@b", "https://a.example.net"),
        ("http://u:p@q@[::1]:80/", "http://[::1]:80"),
    ] {
        assert_eq!(super::public_name(url), name);
    }
}
