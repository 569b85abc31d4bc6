//! Whatever peers do and whenever: what is held is bounded, and no wish to wake lies in the past.

use super::*;
use proptest::prelude::*;

/// How many peers there may be: more than ranges.
const PEERS: u64 = 9;

#[derive(Clone, Debug)]
enum Act {
    Join(u64, bool),
    Leave(u64),
    Claim(u64, u64),
    /// Every peer answers its oldest question with so many blocks; some large, so that they are no drip.
    Answer {
        peer: u64,
        blocks: u64,
        large: bool,
        head: u64,
        oldest: u64,
    },
    /// An answer to no question.
    Hint {
        peer: u64,
        from: u64,
        blocks: u64,
    },
    Wait(u64),
    /// So many blocks are applied.
    Apply(u64),
    /// The next block is not what it should be.
    Reject,
    /// The agreement has decided so many blocks.
    Agree(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let peer = || 0..PEERS;
    let head = || prop_oneof![0..1_000u64, Just(1_000), Just(u64::MAX)];
    let answer = (peer(), 0..70u64, any::<bool>(), head(), prop_oneof![4 => Just(1), 1 => 0..400u64])
        .prop_map(|(peer, blocks, large, head, oldest)| Act::Answer { peer, blocks, large, head, oldest });
    prop_oneof![
        1 => (peer(), any::<bool>()).prop_map(|(peer, member)| Act::Join(peer, member)),
        1 => peer().prop_map(Act::Leave),
        1 => (peer(), head()).prop_map(|(peer, head)| Act::Claim(peer, head)),
        12 => answer,
        1 => (peer(), 1..500u64, 0..5u64).prop_map(|(peer, from, blocks)| Act::Hint { peer, from, blocks }),
        2 => prop_oneof![0..20u64, 900..1_100u64, 0..12_000u64].prop_map(Act::Wait),
        2 => (1..100u64).prop_map(Act::Apply),
        1 => Just(Act::Reject),
        1 => (1..100u64).prop_map(Act::Agree),
    ]
}

struct World {
    sync: Sync,
    questions: Vec<(Peer, Height)>,
    head: u64,
    now: u64,
}

impl World {
    /// All peers are there and claim the whole chain.
    fn new() -> Self {
        let claims: Vec<_> = (0..PEERS).map(|peer| (Peer(peer), 1_000)).collect();
        Self { sync: syncing(&claims), questions: vec![], head: 0, now: 0 }
    }

    fn act(&mut self, act: Act) {
        let (sync, now) = (&mut self.sync, self.now);
        match act {
            Act::Join(peer, member) => sync.join(Peer(peer), None, member),
            Act::Leave(peer) => {
                self.questions.retain(|(asked, _)| *asked != Peer(peer));
                sync.leave(Peer(peer));
            }
            Act::Claim(peer, head) => sync.claims(Peer(peer), at(head)),
            Act::Answer { peer, blocks, large, head, oldest } => {
                let question = self.questions.iter().position(|(asked, _)| *asked == Peer(peer));
                if let Some((peer, from)) = question.map(|place| self.questions.remove(place)) {
                    let mut blocks = part(from.get(), blocks);
                    if let Some(first) = blocks.first_mut().filter(|_| large) {
                        first.block.body = crate::block::Body::new(vec![vec![0; RANGE_BYTES / 2]]);
                    }
                    sync.hear(peer, (from, blocks, at(head), at(oldest)), now).unwrap();
                }
            }
            Act::Hint { peer, from, blocks } => {
                sync.hear(Peer(peer), (at(from), part(from, blocks), at(1_000), at(1)), now).unwrap();
            }
            Act::Wait(ms) => self.now += ms,
            Act::Apply(count) => {
                for _ in 0..count {
                    let Some((peer, block)) = sync.take(at(self.head + 1)) else { break };
                    assert_eq!(block.block.header.height, at(self.head + 1));
                    sync.delivered(peer);
                    self.head += 1;
                }
            }
            Act::Reject => {
                if let Some((peer, _)) = sync.take(at(self.head + 1)) {
                    sync.reject(peer, now);
                    assert!(sync.peers.get(&peer).is_none_or(|claim| claim.failures > 0));
                }
            }
            Act::Agree(count) => self.head = (self.head + count).min(1_000),
        }
    }

    /// What the engine does after every event; then everything must be within its bounds.
    fn settle(&mut self) {
        self.sync.start();
        for (peer, question) in self.sync.ask(at(self.head), self.now) {
            let Message::NeedBlocks { from, count } = question else { panic!("{question:?}") };
            assert!((1..=RANGE as u32).contains(&count), "{count} blocks asked for");
            self.questions.push((peer, from));
        }
        let ranges = &self.sync.ranges;
        let held = ranges.values().filter(|range| !range.is_open()).count();
        assert!(held <= AHEAD, "{held} ranges are here or asked for");
        let bounds: Vec<_> = ranges.iter().map(|(from, range)| (*from, range.end)).collect();
        assert!(bounds.iter().all(|(from, end)| from <= end && *end > at(self.head)), "{bounds:?}");
        assert!(bounds.windows(2).all(|pair| pair[0].1.next() == pair[1].0), "no gap, no overlap: {bounds:?}");
        let asked: Vec<_> = ranges.values().flat_map(|range| range.asked()).map(|(peer, _)| *peer).collect();
        assert_eq!(asked.len(), asked.iter().collect::<BTreeSet<_>>().len(), "one question each: {asked:?}");
        assert!(asked.iter().all(|peer| self.sync.peers.contains_key(peer)));
        let due = self.sync.due_ms();
        assert!(due.is_none_or(|due| due > self.now), "to wake at {due:?}, and it is {}", self.now);
        let idle = asked.is_empty() && self.sync.peers.values().all(|claim| claim.paused_until_ms == 0);
        assert!(due.is_none() || !idle, "to wake for nothing at {due:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_held_and_when_it_wakes_is_bounded(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        world.settle();
        for act in acts {
            world.act(act);
            world.settle();
        }
    }
}
