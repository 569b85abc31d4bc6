//! A chain whose council changes the validators epoch by epoch, 4 → 7 → 4: the light client follows it
//! from the genesis, and so does whoever imports a snapshot.

use super::*;
use crate::light::{LightClient, LightError};
use crate::state::{money, validators};
use crate::tx::authority::{Action as Council, Measure};

const EPOCH: u32 = 4;
const SEVEN: u8 = ACCOUNTS;

fn council_of_four() -> Genesis {
    let params = Params { epoch_blocks: EPOCH, delay_blocks: 1, ..Params::default() };
    // The account of a new validator's key has to pay for its word.
    Genesis { params, validators: members(&secrets(&[1, 2, 3, 4])), ..genesis(7) }
}

struct Source {
    maker: Maker,
    headers: Vec<(Header, Certificate, Vec<Validator>)>,
}

impl Source {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let chain = open(store, &council_of_four(), &mut |_| {}).unwrap().chain;
        Self { maker: Maker { chain, signers: secrets(&[1, 2, 3, 4]) }, headers: Vec::new() }
    }

    fn act(&self, seed: u8, action: Council) -> Checked {
        let id = self.maker.chain.id();
        let nonce = money::account(&self.maker.chain.head().tree, &address(seed)).unwrap().nonce;
        let unsigned = transaction(address(seed), nonce, [Action::Authority(action)]);
        let unsigned = crate::tx::Transaction { chain_tag: id.tag(), ..unsigned };
        check_one(&id, &codec::encode(&unsigned.sign(&id, &key(seed)))).unwrap()
    }

    /// The next block, signed by whoever is in charge of it.
    fn block(&mut self, actions: Vec<(u8, Council)>) {
        let set = validators::next_set(&self.maker.chain.head().tree).unwrap();
        let seeds: Vec<u8> = (1..=9).filter(|seed| set.index_of(&key(*seed).public()).is_some()).collect();
        self.maker.signers = secrets(&seeds);
        let taken: Vec<_> = actions.into_iter().map(|(seed, action)| self.act(seed, action)).collect();
        let context = self.maker.context();
        let executed = {
            let head = self.maker.chain.head();
            let mut building = Execution::start(&head.tree, context).unwrap();
            taken.iter().for_each(|tx| building.push(tx).unwrap());
            building.finish().unwrap()
        };
        assert!(executed.results.outcomes.iter().all(|o| o.verdict == crate::block::Verdict::Ok));
        let header = Header {
            tx_root: executed.tx_root,
            outcome_root: executed.outcome_root,
            state_root: executed.state_root(),
            next_validators_hash: executed.next_validators_hash,
            ..self.maker.header(context)
        };
        let body = Body::new(taken.iter().map(|tx| tx.bytes().to_vec()).collect());
        let certificate = self.maker.certificate(&header);
        let block =
            FinalBlock { block: Block { header: header.clone(), body }, certificate: Some(certificate.clone()) };
        self.maker.chain.store_block(&block, crate::storage::Durability::Synced).unwrap();
        let block = Arc::new(CommittedBlock::new(block, &taken, executed.results, 0));
        self.maker.chain.advance(block, executed.delta).unwrap();
        let next = validators::next_set(&self.maker.chain.head().tree).unwrap().members().to_vec();
        self.headers.push((header, certificate, next));
    }

    /// How many sign the next block.
    fn members(&self) -> usize {
        validators::next_set(&self.maker.chain.head().tree).unwrap().members().len()
    }

    /// All vote for it in one block; a block later whoever is new says that it is ready.
    fn decide(&mut self, council: &[u8], measure: Measure, ready: Option<u8>) {
        self.block(vec![(council[0], Council::CouncilPropose { measure })]);
        let next = crate::tx::authority::proposal::NEXT_PROPOSAL.get(&self.maker.chain.head().tree, &());
        let proposal = ProposalId::new(next.unwrap().unwrap().get() - 1);
        // Two thirds and one, so that no vote comes too late.
        let enough = council.len() * 2 / 3 + 1;
        let vote = |seed: &u8| (*seed, Council::CouncilVote { proposal, approve: true });
        self.block(council[1..enough].iter().map(vote).collect());
        self.block(ready.map(|seed| (seed, Council::ValidatorReady {})).into_iter().collect());
        while !self.maker.height().get().is_multiple_of(EPOCH.into()) {
            self.block(vec![]);
        }
    }
}

/// 5, 6 and 7 join one after the other, then 1, 2 and 3 leave.
fn four_seven_four() -> Source {
    let mut source = Source::new();
    for new in 5..=7u8 {
        let council: Vec<u8> = (1..new).collect();
        let (public_key, name) = (key(new).public(), Text::default());
        source.decide(&council, Measure::Add { public_key, name, weight: 1 }, Some(new));
        assert_eq!(source.members(), usize::from(new));
    }
    for old in 1..=3u8 {
        let council: Vec<u8> = (old..=7).collect();
        source.decide(&council, Measure::Remove { public_key: key(old).public() }, None);
        assert_eq!(source.members(), usize::from(SEVEN - old));
    }
    source
}

#[test]
fn who_signed_which_height_is_known_in_memory_and_on_the_disk() {
    let source = four_seven_four();
    let chain = &source.maker.chain;
    let (head, id) = (chain.head().block.header.height, chain.id());
    let check = |chain: &Chain| {
        assert_eq!(chain.set_of(Height::ZERO).unwrap(), None);
        for (header, ..) in &source.headers {
            assert_eq!(chain.set_of(header.height).unwrap().unwrap().hash(&id), header.validators_hash);
        }
        let next = chain.set_of(head.next()).unwrap().unwrap();
        assert_eq!(next, validators::next_set(&chain.head().tree).unwrap());
        assert_eq!(chain.set_of(head.next().next()).unwrap(), None);
        let hops = chain.hops(Height::ZERO, 100).unwrap();
        let changed = |(header, ..): &&(Header, _, _)| header.validators_hash != header.next_validators_hash;
        assert_eq!(hops, source.headers.iter().filter(changed).cloned().collect::<Vec<_>>());
        assert_eq!(hops.len(), 6);
        for (place, (header, ..)) in hops.iter().enumerate() {
            assert_eq!(chain.hops(header.height, 2).unwrap(), hops[place + 1..hops.len().min(place + 3)]);
        }
    };
    check(chain);
    chain.flush().unwrap();
    check(chain);
}

#[test]
fn the_light_client_follows_every_change_of_the_set() {
    let source = four_seven_four();
    let mut client = LightClient::from_genesis(&council_of_four()).unwrap();
    let hops: Vec<_> =
        source.headers.iter().filter(|(header, ..)| header.validators_hash != header.next_validators_hash).collect();
    assert_eq!(hops.len(), 6, "three join, three leave");
    assert!(hops.iter().all(|(header, ..)| header.height.get().is_multiple_of(EPOCH.into())));
    let (last, certificate, _) = source.headers.last().unwrap();
    for (header, signed, next) in &hops {
        if header.height < last.height {
            let early = client.header(last.clone(), Some(certificate));
            assert!(matches!(early, Err(LightError::Set { .. })), "a hop is missing");
        }
        client.hop(header.clone(), signed, next.clone()).unwrap();
    }
    assert_eq!(client.set().members().len(), 4);
    // Every header between is signed by the set in charge.
    let mut client = LightClient::from_genesis(&council_of_four()).unwrap();
    for (header, signed, next) in &source.headers {
        client.hop(header.clone(), signed, next.clone()).unwrap();
    }
    assert_eq!(client.pin().header(), last);
}

#[test]
fn a_snapshot_carries_every_change_of_the_set() {
    let source = four_seven_four();
    source.maker.chain.flush().unwrap();
    let bytes = source.maker.export();
    let store = Arc::new(MemoryStore::new());
    import(&*store, &council_of_four(), None, &mut &bytes[..]).unwrap();
    let chain = open(store, &council_of_four(), &mut |_| {}).unwrap().chain;
    same_state(&source.maker.chain, &chain);
    let mut copy = Source { maker: Maker { chain, signers: Vec::new() }, headers: Vec::new() };
    copy.decide(&[4, 5, 6, 7], Measure::Remove { public_key: key(7).public() }, None);
    assert_eq!(copy.maker.height().get(), source.maker.height().get() + u64::from(EPOCH));
}
