//! One honest peer among liars: the whole chain comes, in bounded time.

use super::*;
use proptest::prelude::*;

/// How long the honest chain is.
const GOAL: u64 = 300;
/// How long everything may take for each liar, and without any.
const LIAR_MS: u64 = 6_000;
const ALONE_MS: u64 = 5_000;

/// What a peer answers.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Honest,
    /// Nothing at all.
    Silent,
    /// That it has none.
    Empty,
    /// So many blocks, however many were asked for.
    Drip(u64),
    /// Well-formed blocks that a stranger has signed.
    Forger,
    /// The first so many as they are, then forged ones.
    Turncoat(u64),
    /// A block in the middle is missing.
    Broken,
    /// The right blocks, and a claim to have far more.
    Boaster,
    /// One of these at a time, by turns.
    Moody,
}

impl Kind {
    fn answer(self, turn: u64, (from, count): (u64, u64)) -> Option<(Vec<FinalBlock>, u64)> {
        let honest = part(from, count.min(GOAL.saturating_sub(from - 1)));
        match self {
            Self::Honest => Some((honest, GOAL)),
            Self::Silent => None,
            Self::Empty => Some((vec![], u64::MAX)),
            Self::Drip(blocks) => Some((part(from, blocks), u64::MAX)),
            Self::Forger => Some((foreign(from, count), u64::MAX)),
            Self::Turncoat(right) => {
                let mut blocks = part(from, right.min(count));
                let rest = foreign(from + blocks.len() as u64, count - blocks.len() as u64);
                // Linked to the right ones, so that only its certificate tells.
                if let (Some(last), Some(mut first)) = (blocks.last(), rest.into_iter().next()) {
                    first.block.header.parent = last.block.header.id();
                    let certificate = first.certificate.as_mut().unwrap();
                    certificate.message.block = Some(first.block.header.id());
                    blocks.push(first);
                }
                Some((blocks, u64::MAX))
            }
            Self::Broken => {
                let middle = honest.len() / 2;
                let kept = honest.into_iter().enumerate().filter(|(place, _)| *place != middle);
                Some((kept.map(|(_, block)| block).collect(), u64::MAX))
            }
            Self::Boaster => Some((honest, u64::MAX)),
            Self::Moody => {
                let moods = [Self::Silent, Self::Drip(1), Self::Forger, Self::Empty, Self::Turncoat(3), Self::Broken];
                moods[turn as usize % moods.len()].answer(turn, (from, count))
            }
        }
    }
}

fn liar() -> impl Strategy<Value = (Kind, u64)> {
    let kind = prop_oneof![
        Just(Kind::Silent),
        Just(Kind::Empty),
        (1..5u64).prop_map(Kind::Drip),
        Just(Kind::Forger),
        (1..64u64).prop_map(Kind::Turncoat),
        Just(Kind::Broken),
        Just(Kind::Boaster),
        Just(Kind::Moody),
    ];
    (kind, 0..9_000u64)
}

struct Node {
    kind: Kind,
    member: bool,
    delay_ms: u64,
    turns: u64,
}

struct Run {
    sync: Sync,
    nodes: Vec<Node>,
    head: u64,
    now: u64,
    wakes: u64,
    /// By the time it arrives: whose answer, to what.
    under_way: BTreeMap<(u64, usize), (u64, u64)>,
}

impl Run {
    fn new(nodes: Vec<Node>) -> Self {
        let mut sync = Sync::default();
        for (place, node) in nodes.iter().enumerate() {
            sync.join(Peer(place as u64), None, node.member);
            let claimed = if matches!(node.kind, Kind::Honest) { GOAL } else { u64::MAX };
            sync.claims(Peer(place as u64), at(claimed));
        }
        sync.start();
        Self { sync, nodes, head: 0, now: 0, wakes: 0, under_way: BTreeMap::new() }
    }

    /// Runs until the honest chain is here, or nothing would ever happen again; tells when.
    fn run(&mut self, patience_ms: u64) -> u64 {
        while self.head < GOAL {
            self.apply();
            self.ask();
            let next = self.under_way.keys().map(|(at, _)| *at).chain(self.sync.due_ms()).min();
            let next = next.unwrap_or_else(|| panic!("asleep for ever at {}", self.head));
            assert!(next > self.now, "wakes at {next}, and it is {}", self.now);
            assert!(next <= patience_ms, "at {} after {next} ms", self.head);
            self.now = next;
            self.wakes += 1;
            self.deliver();
            self.apply();
        }
        self.now
    }

    fn ask(&mut self) {
        for (peer, question) in self.sync.ask(at(self.head), self.now) {
            let Message::NeedBlocks { from, count } = question else { panic!("{question:?}") };
            let place = peer.0 as usize;
            let mut arrives = self.now + 1 + self.nodes[place].delay_ms;
            while self.under_way.contains_key(&(arrives, place)) {
                arrives += 1;
            }
            self.under_way.insert((arrives, place), (from.get(), count.into()));
        }
    }

    fn deliver(&mut self) {
        while let Some(first) = self.under_way.first_entry().filter(|first| first.key().0 <= self.now) {
            let ((_, place), question) = first.remove_entry();
            let node = &mut self.nodes[place];
            node.turns += 1;
            if let Some((blocks, head)) = node.kind.answer(node.turns, question) {
                let heard = self.sync.hear(Peer(place as u64), (at(question.0), blocks, at(head), at(1)), self.now);
                assert!(heard.is_ok() || !matches!(node.kind, Kind::Honest));
            }
        }
    }

    /// What the engine does with blocks: one that is not the chain's is refused.
    fn apply(&mut self) {
        while let Some((peer, block)) = self.sync.take(at(self.head + 1)) {
            if block == CHAIN[self.head as usize] {
                self.sync.delivered(peer);
                self.head += 1;
            } else {
                assert!(!matches!(self.nodes[peer.0 as usize].kind, Kind::Honest), "the honest one is rejected");
                self.sync.reject(peer, self.now);
            }
        }
    }
}

#[test]
fn who_gives_crumbs_at_once_does_not_make_the_others_give_crumbs() {
    let node = |kind, delay_ms| Node { kind, member: false, delay_ms, turns: 0 };
    for right in 1..8 {
        for delay_ms in [300, 400, 500, 899] {
            let (honest, liar) = (|| node(Kind::Honest, delay_ms), || node(Kind::Turncoat(right), 0));
            for nodes in [vec![honest(), liar()], vec![liar(), honest()]] {
                Run::new(nodes).run(ALONE_MS + LIAR_MS);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_honest_peer_is_enough(
        liars in prop::collection::vec(liar(), 0..9),
        place in 0..9usize,
        members in any::<u16>(),
        delay_ms in 1..900u64,
    ) {
        let mut nodes: Vec<_> = liars.iter().map(|(kind, delay_ms)| (*kind, *delay_ms)).collect();
        let place = place.min(nodes.len());
        nodes.insert(place, (Kind::Honest, delay_ms));
        let member = |place: usize| members >> place & 1 == 1;
        let nodes = nodes.into_iter().enumerate();
        let nodes = nodes.map(|(at, (kind, delay_ms))| Node { kind, member: member(at), delay_ms, turns: 0 }).collect();
        let bound = ALONE_MS + LIAR_MS * liars.len() as u64;
        let mut run = Run::new(nodes);
        let took = run.run(bound);
        prop_assert!(run.wakes < 100 + took / 20, "{} times awake in {took} ms", run.wakes);
        prop_assert_eq!(run.sync.peers[&Peer(place as u64)].failures, 0, "the honest one counts as a liar");
    }
}
