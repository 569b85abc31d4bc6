//! What neighbours say to a whole engine, word by word: what is answered and how often, who is blamed,
//! what halts it, and what it still knows after a crash.

use chain_core::block::{Block, FinalBlock};
use chain_core::codec::{List, Text};
use chain_core::consensus::{self, HaltReason, Now, Offence, Peer, WalRecord};
use chain_core::crypto::{Hash, PublicKey, SecretKey};
use chain_core::engine::{Input, Output, Submission};
use chain_core::genesis::Genesis;
use chain_core::limits::{ANSWER_INTERVAL_MS, LISTEN_MS};
use chain_core::storage::SignMark;
use chain_core::storage::faulty::Fault;
use chain_core::tx::authority::{Action as Council, Measure};
use chain_core::tx::{Action, check_one};
use chain_core::types::{BlockId, Certificate, Height, Proposal, SignedMessage, TimestampMs, View, Vote, VoteKind};
use chain_core::wire::{CompactBlock, Message};
use chain_tests::disk::{Disk, Fuse, Kept};
use chain_tests::machine::{BLOCK_TIME_MS, GENESIS_MS, Machine, Role, Told, genesis, genesis_of, validator, wallet};
use chain_tests::wallet::Wallet;

const A: Peer = Peer(1);
const B: Peer = Peer(2);
const C: Peer = Peer(3);

/// An engine, its time, and its neighbours' words.
struct Node {
    machine: Machine,
    now: u64,
}

impl Node {
    fn start(role: Role, disk: &Disk) -> (Self, Vec<Output>) {
        let (machine, outputs) = Machine::start_as(role, disk, &Fuse::counting(), 1, GENESIS_MS).unwrap();
        (Self { machine, now: 0 }, outputs)
    }

    /// The only validator, after so many blocks, with a neighbour each of whose words it may answer.
    fn alone(disk: &Disk, height: u64) -> Self {
        let (mut machine, mut told) =
            (Machine::start(disk, &Fuse::counting(), 1, GENESIS_MS, &mut Told::default()).unwrap(), Told::default());
        machine.run_to(Height::new(height), &mut told).unwrap();
        let now = machine.wall - GENESIS_MS;
        let mut node = Self { machine, now };
        node.join(A, None);
        node
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let now = Now { wall: TimestampMs::new(GENESIS_MS + self.now), mono_ms: self.now };
        self.machine.engine.handle(&|| now, input).unwrap()
    }

    fn join(&mut self, peer: Peer, validator: Option<PublicKey>) -> Vec<Output> {
        self.step(Input::Joined { peer, validator })
    }

    fn hear(&mut self, from: Peer, message: Message) -> Vec<Output> {
        self.step(Input::Message { from, message: Box::new(message) })
    }

    /// A certificate, after a while in which nothing was answered.
    fn hear_certificate(&mut self, certificate: &Certificate) -> Vec<Output> {
        self.now += ANSWER_INTERVAL_MS;
        self.hear(A, agreement(consensus::Message::Certificate(certificate.clone())))
    }

    fn is_halted(&self) -> bool {
        self.machine.engine.progress().is_halted()
    }

    fn final_block(&self, height: u64) -> FinalBlock {
        self.machine.engine.chain().final_block(Height::new(height)).unwrap().unwrap()
    }
}

fn agreement(message: consensus::Message) -> Message {
    Message::Agreement { message, block: None }
}

fn blames(outputs: &[Output]) -> Vec<(Peer, Offence)> {
    let blames = outputs.iter().filter_map(|output| match output {
        Output::Blame { peer, offence } => Some((*peer, *offence)),
        _ => None,
    });
    blames.collect()
}

/// What goes to one peer alone.
fn told(outputs: &[Output], peer: Peer) -> Vec<Message> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message } if *to == [peer] => Some(Message::clone(message)),
        _ => None,
    });
    sent.collect()
}

fn conflicts(outputs: &[Output]) -> Vec<(Certificate, Certificate)> {
    let halts = outputs.iter().filter_map(|output| match output {
        Output::Halted(reason) => Some((**reason).clone()),
        _ => None,
    });
    let conflict = |reason| match reason {
        HaltReason::Conflict(ours, theirs) => (ours, theirs),
        other => panic!("{other:?}"),
    };
    halts.map(conflict).collect()
}

fn votes(outputs: &[Output]) -> Vec<(VoteKind, Option<BlockId>)> {
    let votes = outputs.iter().filter_map(|output| match output {
        Output::Send { message, .. } => match &**message {
            Message::Agreement { message: consensus::Message::Vote(vote), .. } => Some(vote.message),
            _ => None,
        },
        _ => None,
    });
    votes.map(|message| (message.kind, message.block)).collect()
}

fn other_block() -> BlockId {
    BlockId(Hash([7; 32]))
}

/// A finalization of some block, by the only validator.
fn finalization(height: u64, block: BlockId) -> Certificate {
    certificate(VoteKind::Finalize, height, block)
}

fn certificate(kind: VoteKind, height: u64, block: BlockId) -> Certificate {
    certificate_of(&genesis(), &validator(), kind, height, block)
}

/// What the only validator of a genesis vouches for.
fn certificate_of(genesis: &Genesis, key: &SecretKey, kind: VoteKind, height: u64, block: BlockId) -> Certificate {
    let message = SignedMessage { kind, height: Height::new(height), view: View::ZERO, block: Some(block) };
    let vote = Vote::sign(message, &genesis.chain_id(), key).unwrap();
    Certificate::from_votes(message, [&vote], genesis.quorum_rule, &genesis.validator_set().unwrap()).unwrap()
}

#[test]
fn places_that_do_not_ascend_are_blamed() {
    let mut node = Node::alone(&Disk::new(), 2);
    let block = node.final_block(2).block.header.id();
    for places in [vec![0, 0], vec![1, 0], vec![0, 1, 2, 2]] {
        node.now += ANSWER_INTERVAL_MS;
        let places = List::new(places).unwrap();
        let outputs = node.hear(A, Message::NeedTransactions { block, places });
        assert_eq!(blames(&outputs), [(A, Offence::BadMessage)]);
        assert!(told(&outputs, A).is_empty());
    }
    for places in [vec![], vec![5], vec![0, 1, 2]] {
        node.now += ANSWER_INTERVAL_MS;
        let places = List::new(places).unwrap();
        let outputs = node.hear(A, Message::NeedTransactions { block, places });
        assert!(blames(&outputs).is_empty());
        let nothing = Message::Transactions { block, transactions: List::default() };
        assert_eq!(told(&outputs, A), [nothing], "the block is empty");
    }
}

#[test]
fn a_forged_finalization_of_a_past_height_is_blamed() {
    let mut node = Node::alone(&Disk::new(), 3);
    let genuine = finalization(2, other_block());
    let mut by_another = genuine.clone();
    let set = genesis_of(&[wallet(1).key.public()]).validator_set().unwrap();
    let vote = Vote::sign(genuine.message, &genesis().chain_id(), &wallet(1).key).unwrap();
    by_another.signatures = Certificate::from_votes(genuine.message, [&vote], genuine.rule, &set).unwrap().signatures;
    let mut of_another_view = genuine.clone();
    of_another_view.message.view = View::new(1);
    let mut unsigned = genuine.clone();
    unsigned.signatures = List::default();
    for forged in [by_another, of_another_view, unsigned] {
        let outputs = node.hear_certificate(&forged);
        assert_eq!(blames(&outputs), [(A, Offence::BadCertificate)], "{forged:?}");
        assert!(!node.is_halted());
    }
}

#[test]
fn what_does_not_contradict_is_neither_blamed_nor_a_reason_to_halt() {
    let mut node = Node::alone(&Disk::new(), 3);
    let own = node.final_block(2);
    let own_block = own.block.header.id();
    let mut other_view = finalization(2, own_block);
    other_view.message.view = View::new(9);
    for harmless in [own.certificate.unwrap(), other_view, certificate(VoteKind::Notarize, 2, other_block())] {
        let outputs = node.hear_certificate(&harmless);
        assert!(blames(&outputs).is_empty() && conflicts(&outputs).is_empty(), "{harmless:?}");
    }
    assert!(!node.is_halted());
}

/// Nothing happens any more.
fn assert_stands(node: &mut Node) {
    let height = node.machine.height();
    for _ in 0..20 {
        node.now += u64::from(BLOCK_TIME_MS);
        let outputs = node.step(Input::Tick);
        assert!(votes(&outputs).is_empty());
    }
    assert!(node.is_halted() && node.machine.height() == height);
}

#[test]
fn a_conflicting_finalization_of_a_past_height_halts_for_good() {
    for kept in Kept::ALL {
        let disk = Disk::new();
        let mut node = Node::alone(&disk, 3);
        let (ours, theirs) = (node.final_block(2).certificate.unwrap(), finalization(2, other_block()));
        let outputs = node.hear_certificate(&theirs);
        assert_eq!(conflicts(&outputs), [(ours.clone(), theirs.clone())]);
        assert!(blames(&outputs).is_empty(), "who tells of it is not to blame");
        assert_stands(&mut node);
        for life in 0..3 {
            drop(node);
            disk.crash(kept);
            let (next, outputs) = Node::start(Role::alone(), &disk);
            node = next;
            assert_eq!(conflicts(&outputs), [(ours.clone(), theirs.clone())], "{kept:?}, life {life}");
            assert!(votes(&outputs).is_empty());
            node.join(A, None);
            assert_stands(&mut node);
        }
    }
}

#[test]
fn an_operator_says_which_block_stands() {
    let disk = Disk::new();
    let mut node = Node::alone(&disk, 3);
    let theirs = finalization(2, other_block());
    node.hear_certificate(&theirs);
    let accepting = |height| Role { accept_conflict_at: Some(Height::new(height)), ..Role::alone() };
    drop(node);
    let (node, outputs) = Node::start(accepting(3), &disk);
    assert!(node.is_halted() && !conflicts(&outputs).is_empty(), "of heights below nothing was said");
    drop(node);
    let (mut node, outputs) = Node::start(accepting(2), &disk);
    assert!(!node.is_halted() && conflicts(&outputs).is_empty());
    node.join(A, None);
    assert!(conflicts(&node.hear_certificate(&theirs)).is_empty(), "however often it is heard");
    let longer = finalization(3, other_block());
    assert!(conflicts(&node.hear_certificate(&longer)).is_empty(), "nor when the other chain went on");
    for _ in 0..4 {
        node.now += u64::from(BLOCK_TIME_MS);
        node.step(Input::Tick);
    }
    assert!(node.machine.height() > Height::new(3), "it goes on");
    assert!(!conflicts(&node.hear_certificate(&finalization(1, other_block()))).is_empty());
}

/// The council, one validator, admits another one, without whom nothing is final from height 6 on.
fn a_set_that_has_changed(disk: &Disk) -> (Node, Genesis) {
    let key = wallet(1).key;
    let mut genesis = genesis_of(&[key.public()]);
    genesis.params.epoch_blocks = 5;
    let (mut node, outputs) = Node::start(Role::of(genesis.clone(), key), disk);
    let mut told = Told::default();
    node.machine.hear(outputs, &mut told);
    let other = wallet(2).key.public();
    let admit =
        Council::CouncilPropose { measure: Measure::Add { public_key: other, name: Text::default(), weight: 1 } };
    for (number, action) in [(1, admit), (2, Council::ValidatorReady {})] {
        let wallet = Wallet::new(genesis.chain_id(), wallet(number).key);
        let bytes = wallet.sign(wallet.transaction(0, [Action::Authority(action)]));
        let checked = check_one(&genesis.chain_id(), &bytes).unwrap();
        node.machine.submit(&[checked], &mut told).unwrap();
        node.machine.run_to(node.machine.height().next(), &mut told).unwrap();
    }
    node.machine.run_to(Height::new(5), &mut told).unwrap();
    node.now = node.machine.wall - GENESIS_MS;
    let chain = node.machine.engine.chain().clone();
    assert_eq!(chain.set_of(Height::new(6)).unwrap().unwrap().members().len(), 2);
    node.join(A, None);
    (node, genesis)
}

#[test]
fn a_fork_below_a_change_of_the_set_halts() {
    for height in [1, 4, 5] {
        let disk = Disk::new();
        let (mut node, genesis) = a_set_that_has_changed(&disk);
        let theirs = certificate_of(&genesis, &wallet(1).key, VoteKind::Finalize, height, other_block());
        let ours = node.final_block(height).certificate.unwrap();
        assert_eq!(conflicts(&node.hear_certificate(&theirs)), [(ours, theirs)], "height {height}");
    }
    // The set of height 6 is another one: the old key alone vouches for nothing there.
    let disk = Disk::new();
    let (mut node, genesis) = a_set_that_has_changed(&disk);
    let theirs = certificate_of(&genesis, &wallet(1).key, VoteKind::Finalize, 6, other_block());
    assert!(conflicts(&node.hear_certificate(&theirs)).is_empty() && !node.is_halted());
}

#[test]
fn outdated_software_signs_nothing_under_the_new_rules_and_serves_the_old_blocks() {
    let disk = Disk::new();
    let mut genesis = genesis_of(&[wallet(1).key.public()]);
    genesis.params.delay_blocks = 1;
    let (mut node, outputs) = Node::start(Role::of(genesis.clone(), wallet(1).key), &disk);
    let mut told = Told::default();
    node.machine.hear(outputs, &mut told);
    let height = Height::new(5);
    let upgrade = Council::CouncilPropose { measure: Measure::Upgrade { version: 2, height } };
    let payer = Wallet::new(genesis.chain_id(), wallet(1).key);
    let bytes = payer.sign(payer.transaction(0, [Action::Authority(upgrade)]));
    node.machine.submit(&[check_one(&genesis.chain_id(), &bytes).unwrap()], &mut told).unwrap();
    node.machine.run_to(Height::new(4), &mut told).unwrap();
    node.now = node.machine.wall - GENESIS_MS;
    for _ in 0..10 {
        node.now += 60_000;
        assert!(votes(&node.step(Input::Tick)).is_empty(), "not even to give up the view");
    }
    assert_eq!(node.machine.height(), Height::new(4));
    node.join(A, None);
    let status = consensus::Message::Status { height: Height::new(4), view: View::ZERO };
    node.now += ANSWER_INTERVAL_MS;
    assert_eq!(told_certificates(&node.hear(A, agreement(status)), A), 1, "who is behind gets the last block");
    drop(node);
    let error =
        Machine::start_as(Role::of(genesis, wallet(1).key), &disk, &Fuse::counting(), 1, GENESIS_MS).err().unwrap();
    assert!(error.contains("version 2"), "{error}");
}

fn told_certificates(outputs: &[Output], peer: Peer) -> usize {
    let is_one =
        |message: &Message| matches!(message, Message::Agreement { message: consensus::Message::Certificate(_), .. });
    told(outputs, peer).iter().filter(|message| is_one(message)).count()
}

#[test]
fn no_word_about_any_height_stops_a_node() {
    let disk = Disk::new();
    let mut node = Node::alone(&disk, 3);
    node.join(B, Some(validator().public()));
    for height in [0, 1, 3, 4, 5, 6, u64::MAX - 1, u64::MAX] {
        for kind in [VoteKind::Notarize, VoteKind::Finalize, VoteKind::Nullify] {
            let block = (kind != VoteKind::Nullify).then(other_block);
            for view in [View::ZERO, View::new(u32::MAX)] {
                let message = SignedMessage { kind, height: Height::new(height), view, block };
                let vote = Vote::sign(message, &genesis().chain_id(), &wallet(1).key).unwrap();
                let empty = Certificate { message, signatures: Default::default(), ..finalization(1, other_block()) };
                let place = (Height::new(height), view);
                let proposal = Proposal::sign(place, other_block(), None, &genesis().chain_id(), &wallet(1).key);
                let justification = consensus::Justification::new(Vec::new()).unwrap();
                for word in [
                    consensus::Message::Vote(vote),
                    consensus::Message::Certificate(empty),
                    consensus::Message::Proposal { proposal, justification },
                    consensus::Message::Status { height: Height::new(height), view },
                ] {
                    for from in [A, B, C] {
                        node.now += ANSWER_INTERVAL_MS;
                        node.hear(from, agreement(word.clone()));
                    }
                }
            }
        }
        let from = Height::new(height);
        node.hear(A, Message::NeedBlocks { from, count: u32::MAX });
        node.hear(A, Message::NeedBlock { height: from, block: other_block() });
        node.hear(A, Message::Blocks { from, blocks: List::default(), head: from, oldest: from });
    }
    assert!(!node.is_halted());
    let before = node.machine.height();
    for _ in 0..50 {
        node.now += u64::from(BLOCK_TIME_MS);
        node.step(Input::Tick);
    }
    assert!(node.machine.height() > before, "and it goes on");
}

#[test]
fn who_is_halted_writes_no_conflict_down_again() {
    let disk = Disk::new();
    let mut node = Node::alone(&disk, 3);
    node.hear_certificate(&finalization(2, other_block()));
    let logged = disk.wal(&Fuse::counting()).records.len();
    for height in [1, 2, 3] {
        node.hear_certificate(&finalization(height, other_block()));
    }
    assert_eq!(disk.wal(&Fuse::counting()).records.len(), logged);
}

/// Two validators; the first one leads at height 1.
fn pair() -> (Genesis, SecretKey, SecretKey) {
    let mut keys = [validator(), wallet(1).key];
    let genesis = genesis_of(&keys.each_ref().map(SecretKey::public));
    keys.sort_by_key(|key| {
        genesis.validator_set().unwrap().leader(Height::new(1), View::ZERO).public_key != key.public()
    });
    let [leader, other] = keys;
    (genesis, leader, other)
}

/// A leader that has proposed a block it can't decide alone, and what it sent.
fn proposing(transactions: u8) -> (Node, Proposal, CompactBlock, Block) {
    let (genesis, leader, other) = pair();
    let chain = genesis.chain_id();
    let (mut node, _) = Node::start(Role::of(genesis, leader), &Disk::new());
    node.join(A, Some(other.public()));
    node.join(B, None);
    let pay = |from: u8| chain_tests::wallet::Wallet::new(chain, wallet(from).key).pay(0, wallet(1).address, 5);
    let submissions = (2..2 + transactions).map(|from| Submission { ticket: from.into(), transaction: pay(from) });
    node.step(Input::Submit(submissions.collect()));
    node.now += u64::from(BLOCK_TIME_MS);
    let outputs = node.step(Input::Tick);
    let (proposal, compact) = outputs.iter().find_map(proposal).expect("its turn");
    node.now += ANSWER_INTERVAL_MS;
    let answer = node.hear(B, Message::NeedBlock { height: proposal.height, block: proposal.block });
    let [Message::Block { block: Some(block), .. }] = &told(&answer, B)[..] else { panic!("{answer:?}") };
    let block = block.clone();
    assert_eq!((block.header.id(), block.body.transactions().len()), (proposal.block, transactions.into()));
    node.now += ANSWER_INTERVAL_MS;
    (node, proposal, compact, block)
}

fn proposal(output: &Output) -> Option<(Proposal, CompactBlock)> {
    let Output::Send { message, .. } = output else { return None };
    match &**message {
        Message::Agreement { message: consensus::Message::Proposal { proposal, .. }, block: Some(block) } => {
            Some((proposal.clone(), block.clone()))
        }
        _ => None,
    }
}

/// Whether a question was answered with what it asked for, or, as always else, with nothing.
fn gives(outputs: &[Output], peer: Peer) -> bool {
    match &told(outputs, peer)[..] {
        [Message::Block { block, .. }] => block.is_some(),
        [Message::Transactions { transactions, .. }] => !transactions.is_empty(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_under_decision_are_served_to_validators_each_and_to_others_together() {
    let (mut node, Proposal { height, block: id, .. }, _, block) = proposing(3);
    node.join(C, None);
    assert_eq!(node.machine.height(), Height::ZERO, "it is not decided");
    let whole = Message::NeedBlock { height, block: id };
    let some = Message::NeedTransactions { block: id, places: List::new(vec![0, 2]).unwrap() };
    for question in [&whole, &some] {
        for again in [&whole, &some] {
            node.now += ANSWER_INTERVAL_MS;
            assert!(gives(&node.hear(A, question.clone()), A));
            assert!(!gives(&node.hear(A, again.clone()), A), "at once");
            node.now += ANSWER_INTERVAL_MS - 1;
            let outputs = node.hear(A, again.clone());
            assert!(!gives(&outputs, A) && blames(&outputs).is_empty(), "too early, and no offence");
            assert!(gives(&node.hear(B, again.clone()), B), "who is no validator has another measure");
            assert!(!gives(&node.hear(C, again.clone()), C), "together with all others");
            node.now += 1;
            assert!(gives(&node.hear(A, again.clone()), A));
            node.now += ANSWER_INTERVAL_MS;
        }
    }
    let Message::Transactions { transactions, .. } = &told(&node.hear(A, some), A)[0] else { panic!("the answer") };
    let bytes: Vec<_> = transactions.iter().map(|tx| tx.clone().into_inner()).collect();
    let all = block.body.transactions();
    assert_eq!(bytes, [all[0].clone(), all[2].clone()]);
    node.now += ANSWER_INTERVAL_MS;
    assert!(!gives(&node.hear(Peer(99), whole), Peer(99)), "nobody is given nothing");
}

/// The other validator, when the block is due.
fn judging() -> (Node, PublicKey) {
    let (genesis, leader, other) = pair();
    let (mut node, _) = Node::start(Role::of(genesis, other), &Disk::new());
    node.now = u64::from(BLOCK_TIME_MS);
    (node, leader.public())
}

fn with_block(proposal: &Proposal, block: CompactBlock) -> Message {
    let (proposal, justification) = (proposal.clone(), consensus::Justification::default());
    Message::Agreement { message: consensus::Message::Proposal { proposal, justification }, block: Some(block) }
}

#[test]
fn a_short_block_is_taken_from_who_signed_the_proposal() {
    let (_, proposal, compact, block) = proposing(0);
    let (mut node, leader) = judging();
    node.join(A, Some(leader));
    let outputs = node.hear(A, with_block(&proposal, compact));
    assert_eq!(votes(&outputs), [(VoteKind::Notarize, Some(block.header.id()))]);
    let (_, proposal, compact, block) = proposing(3);
    let (mut node, leader) = judging();
    node.join(A, Some(leader));
    let outputs = node.hear(A, with_block(&proposal, compact));
    let [Message::NeedTransactions { places, .. }] = &told(&outputs, A)[..] else { panic!("{outputs:?}") };
    assert_eq!(places.to_vec(), [0, 1, 2]);
    let bytes = block.body.transactions().iter().map(|tx| chain_core::wire::TxBytes::new(tx.clone()).unwrap());
    let transactions = List::new(bytes.collect()).unwrap();
    let outputs = node.hear(A, Message::Transactions { block: proposal.block, transactions });
    assert_eq!(votes(&outputs), [(VoteKind::Notarize, Some(block.header.id()))]);
}

#[test]
fn a_short_block_from_anybody_else_is_not_looked_at() {
    let (_, proposal, compact, block) = proposing(3);
    let (_, _, another, _) = proposing(2);
    let (_, leader) = judging();
    for (who, brings) in
        [(None, compact.clone()), (Some(wallet(2).key.public()), compact.clone()), (Some(leader), another)]
    {
        let (mut node, _) = judging();
        node.join(A, who);
        let outputs = node.hear(A, with_block(&proposal, brings));
        let question = Message::NeedBlock { height: proposal.height, block: proposal.block };
        assert_eq!(told(&outputs, A), [question], "{who:?}: the whole block is asked for");
        assert!(votes(&outputs).is_empty() && blames(&outputs).is_empty());
        let answer = Message::Block { id: proposal.block, block: Some(block.clone()) };
        assert_eq!(votes(&node.hear(A, answer)), [(VoteKind::Notarize, Some(proposal.block))]);
    }
}

/// A header that names a height far away would be kept until that height comes.
#[test]
fn a_block_that_names_another_height_is_wrong_and_not_kept() {
    let (_, _, _, block) = proposing(0);
    let (genesis, leader, _) = pair();
    let chain = genesis.chain_id();
    let (mut node, leader_key) = judging();
    node.join(A, Some(leader_key));
    let mut forged = block;
    forged.header.height = Height::MAX;
    let id = forged.header.id();
    let proposal = Proposal::sign((Height::new(1), View::ZERO), id, None, &chain, &leader);
    let short = CompactBlock::new(forged.header.clone(), &[]).unwrap();
    let outputs = node.hear(A, with_block(&proposal, short));
    let question = Message::NeedBlock { height: Height::new(1), block: id };
    assert_eq!(told(&outputs, A), std::slice::from_ref(&question), "the short one is not taken");
    let outputs = node.hear(A, Message::Block { id, block: Some(forged) });
    assert!(votes(&outputs).iter().all(|(kind, _)| *kind == VoteKind::Nullify), "{outputs:?}");
    node.now += ANSWER_INTERVAL_MS;
    assert!(!gives(&node.hear(A, question), A), "it is not here");
}

/// Agreement messages for everybody, as they come out of a node.
fn said(outputs: &[Output]) -> Vec<Message> {
    let said = outputs.iter().filter_map(|output| match output {
        Output::Send { message, .. } if matches!(**message, Message::Agreement { .. }) => Some(Message::clone(message)),
        _ => None,
    });
    said.collect()
}

/// The disk of the validator that leads at height 2, with block 1 final; its key, and the other one's.
fn pair_at_one() -> (Disk, SecretKey, SecretKey) {
    let (genesis, leader, other) = pair();
    let disk = Disk::new();
    let (mut first, _) = Node::start(Role::of(genesis, pair().1), &Disk::new());
    let (mut second, _) = Node::start(Role::of(pair().0, pair().2), &disk);
    first.join(A, Some(other.public()));
    second.join(A, Some(leader.public()));
    (first.now, second.now) = (BLOCK_TIME_MS.into(), BLOCK_TIME_MS.into());
    let mut to_second = said(&first.step(Input::Tick));
    let mut to_first = said(&second.step(Input::Tick));
    while !(to_first.is_empty() && to_second.is_empty()) {
        let heard: Vec<_> = to_second.drain(..).flat_map(|message| said(&second.hear(A, message))).collect();
        to_first.extend(heard);
        to_second = to_first.drain(..).flat_map(|message| said(&first.hear(A, message))).collect();
    }
    assert_eq!((first.machine.height(), second.machine.height()), (Height::new(1), Height::new(1)));
    (disk, other, leader)
}

/// Starts again, and tells when it says something of its own, looking every 50 ms.
fn speaks_at(disk: &Disk, role: Role, neighbour: Option<PublicKey>) -> Option<u64> {
    let (mut node, outputs) = Node::start(role, disk);
    assert!(votes(&outputs).is_empty() && !outputs.iter().any(|output| proposal(output).is_some()));
    node.join(A, neighbour);
    while node.now < 60_000 {
        let outputs = node.step(Input::Tick);
        if !votes(&outputs).is_empty() || outputs.iter().any(|output| proposal(output).is_some()) {
            return Some(node.now);
        }
        node.now += 50;
    }
    None
}

#[test]
fn who_starts_again_among_others_listens_before_it_signs() {
    let (disk, own, other) = pair_at_one();
    let role = || Role::of(pair().0, pair().2);
    assert_eq!(role().key.map(|key| key.public()), Some(own.public()));
    let spoken = speaks_at(&disk, role(), Some(other.public())).expect("it speaks in the end");
    assert!(spoken >= LISTEN_MS, "{spoken}");
    assert_eq!(speaks_at(&pair_at_one().0, role(), None), None, "a follower is nobody to hear");
    let early = |at: Option<u64>| at.is_some_and(|at| at < LISTEN_MS);
    let beginning = Role::of(pair().0, pair().1);
    assert!(early(speaks_at(&Disk::new(), beginning, None)), "at the beginning there is nothing to hear");
    let alone = Disk::new();
    drop(Node::alone(&alone, 3));
    assert!(early(speaks_at(&alone, Role::alone(), None)), "nor alone");
}

#[test]
fn a_copy_finds_its_own_votes_while_it_listens() {
    let (disk, own, other) = pair_at_one();
    let chain = pair().0.chain_id();
    let message = SignedMessage { kind: VoteKind::Nullify, height: Height::new(2), view: View::ZERO, block: None };
    let vote = Vote::sign(message, &chain, &own).unwrap();
    let (mut copy, _) = Node::start(Role::of(pair().0, own), &disk.backup());
    copy.join(A, Some(other.public()));
    copy.now = LISTEN_MS - 1;
    let outputs = copy.hear(A, agreement(consensus::Message::Vote(vote)));
    assert!(outputs.iter().any(|output| matches!(output, Output::OwnKey(height) if *height == Height::new(2))));
    for _ in 0..100 {
        copy.now += 100;
        let outputs = copy.step(Input::Tick);
        assert!(votes(&outputs).is_empty() && !outputs.iter().any(|output| proposal(output).is_some()));
    }
}

/// The newest word of ours in a consensus log: its height and view, and how many there are at that height.
fn newest_word(disk: &Disk) -> Option<SignMark> {
    let records = disk.wal(&Fuse::counting()).records;
    let words = records.iter().filter(|record| record[0] == 1).map(|record| WalRecord::decode(&record[1..]).unwrap());
    let own: Vec<(Height, View)> = words
        .filter_map(|word| match word {
            WalRecord::Proposal(proposal) => Some((proposal.height, proposal.view)),
            WalRecord::Vote(vote) => Some((vote.message.height, vote.message.view)),
            WalRecord::Certificate(_) | WalRecord::Barrier(_) => None,
        })
        .collect();
    let (height, view) = own.iter().copied().max()?;
    let words = own.iter().filter(|(at, _)| *at == height).count() as u32;
    Some(SignMark { height, view, words })
}

fn is_older(mark: SignMark, than: SignMark) -> bool {
    mark.height < than.height || (mark.height == than.height && (mark.view < than.view || mark.words < than.words))
}

#[test]
fn after_a_crash_between_the_log_and_the_mark_the_mark_catches_up_at_the_start() {
    let goal = Height::new(3);
    let fuse = Fuse::counting();
    let mut told = Told::default();
    Machine::start(&Disk::new(), &fuse, 1, GENESIS_MS, &mut told).unwrap().run_to(goal, &mut told).unwrap();
    let mut between = 0;
    for point in 0..fuse.points() {
        for (fault, kept) in Fault::ALL.into_iter().flat_map(|fault| Kept::ALL.map(|kept| (fault, kept))) {
            let (disk, mut told) = (Disk::new(), Told::default());
            let machine = Machine::start(&disk, &Fuse::blowing_at(point, fault), 1, GENESIS_MS, &mut told);
            let wall = machine.map_or(GENESIS_MS, |mut machine| {
                let _ = machine.run_to(goal, &mut told);
                machine.wall
            });
            disk.crash(kept);
            let logged = newest_word(&disk);
            let behind = logged.is_some_and(|logged| is_older(disk.sign_memory().mark.unwrap(), logged));
            between += u32::from(behind);
            let next = Machine::start(&disk, &Fuse::counting(), 1, wall, &mut told).unwrap();
            let mark = disk.sign_memory().mark.unwrap();
            for word in [logged, newest_word(&disk)].into_iter().flatten() {
                assert!(
                    !is_older(mark, word),
                    "{fault:?} at write {point}, {kept:?}: {mark:?}, but {word:?} is logged"
                );
            }
            drop(next);
        }
    }
    assert!(between >= 9, "only {between} crashes came between the log and the mark");
}
