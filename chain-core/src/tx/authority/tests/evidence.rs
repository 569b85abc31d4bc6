//! Rules 15 to 17: evidence; and that nobody honest can be framed.

use super::*;
use crate::crypto::Hash;
use crate::testing::chain as chain_id;
use crate::tx::BAD_PROOF;
use crate::types::{EquivocationKind, Proposal as Leader};
use proptest::prelude::*;

fn word(seed: u8, kind: VoteKind, (height, view): (u64, u32), block: u8) -> Vote {
    let block = (kind != VoteKind::Nullify).then_some(BlockId(Hash([block; 32])));
    let message = SignedMessage { kind, height: Height::new(height), view: View::new(view), block };
    Vote::sign(message, &chain_id(), &key(seed)).unwrap()
}

fn lead(seed: u8, (height, view): (u64, u32), block: u8) -> Leader {
    Leader::sign((Height::new(height), View::new(view)), BlockId(Hash([block; 32])), None, &chain_id(), &key(seed))
}

/// Two notarize votes of one view.
pub(super) fn twice(seed: u8, height: u64, view: u32, blocks: [u8; 2]) -> Action {
    let [a, b] = blocks.map(|block| word(seed, VoteKind::Notarize, (height, view), block));
    Action::prove(Evidence::Votes(a, b))
}

fn checked_by(action: &Action) -> Option<u16> {
    action.check(&CheckContext::example()).err().map(|rejected| rejected.number())
}

#[test]
fn rule_15_anybody_proves_each_kind_and_the_validator_is_out() {
    use VoteKind::{Finalize, Notarize, Nullify};
    let place = (2, 1);
    let votes =
        |a: (VoteKind, u8), b: (VoteKind, u8)| Evidence::Votes(word(4, a.0, place, a.1), word(4, b.0, place, b.1));
    for (evidence, kind) in [
        (votes((Notarize, 1), (Notarize, 2)), EquivocationKind::Notarizes),
        (votes((Finalize, 1), (Finalize, 2)), EquivocationKind::Finalizes),
        (votes((Finalize, 1), (Nullify, 0)), EquivocationKind::FinalizeAndNullify),
        (votes((Nullify, 0), (Finalize, 1)), EquivocationKind::FinalizeAndNullify),
        (Evidence::Proposals(lead(4, place, 1), lead(4, place, 2)), EquivocationKind::Proposals),
    ] {
        let mut chain = chain_of(4);
        idle_to(&mut chain, 2);
        let events = act(&mut chain, 8, Action::prove(evidence)).unwrap();
        let equivocation = Equivocation { height: Height::new(2), view: View::new(1), kind };
        let (validator, reporter, jailed) = (validator(4), address(8), true);
        assert_eq!(events, [Event::EquivocationProven { validator, reporter, equivocation, jailed }]);
        assert_eq!(record(&chain, 4).standing, Standing::Jailed(JailCause::Equivocation));
        assert_eq!(set(&chain), [1, 2, 3, 4]);
        idle_to(&mut chain, 5);
        assert_eq!(set(&chain), [1, 2, 3], "within an epoch");
    }
}

#[test]
fn rule_15_what_an_honest_validator_may_say_is_refused() {
    use VoteKind::{Finalize, Notarize, Nullify};
    let pair = |a: Vote, b: Vote| Action::prove(Evidence::Votes(a, b));
    let place = (2, 1);
    let number = Some(NOT_EVIDENCE.number);
    assert_eq!(checked_by(&pair(word(4, Notarize, place, 1), word(4, Nullify, place, 0))), number);
    assert_eq!(checked_by(&pair(word(4, Notarize, place, 1), word(4, Finalize, place, 2))), number);
    assert_eq!(checked_by(&pair(word(4, Notarize, place, 1), word(4, Notarize, (2, 2), 2))), number);
    assert_eq!(checked_by(&pair(word(4, Notarize, place, 1), word(3, Notarize, place, 2))), number);
    assert_eq!(checked_by(&pair(word(4, Notarize, place, 1), word(4, Notarize, place, 1))), number);
    let again =
        Leader::sign((Height::new(2), View::new(1)), BlockId(Hash([1; 32])), Some(View::ZERO), &chain_id(), &key(4));
    assert_eq!(checked_by(&Action::prove(Evidence::Proposals(lead(4, place, 1), again))), number);
}

#[test]
fn rule_15_forged_words_are_refused_with_their_signatures() {
    let evidence = |spoil: fn(&mut Vote, &mut Vote)| {
        let [mut a, mut b] = [1, 2].map(|block| word(4, VoteKind::Notarize, (2, 1), block));
        spoil(&mut a, &mut b);
        let action = tx::Action::Authority(Action::prove(Evidence::Votes(a, b)));
        let signed = crate::testing::sign(
            crate::testing::transaction(address(8), 0, [action]),
            &crate::testing::Signer::Key(8),
            None,
        );
        crate::testing::check(&signed).err().map(|rejected| rejected.number())
    };
    assert_eq!(evidence(|_, _| {}), None);
    for spoil in [
        (|a, _| a.message.block = Some(BlockId(Hash([3; 32])))) as fn(&mut Vote, &mut Vote),
        |a, b| (a.message.height, b.message.height) = (Height::new(3), Height::new(3)),
        |a, b| (a.message.view, b.message.view) = (View::new(3), View::new(3)),
        |a, b| (a.signer, b.signer) = (validator(3), validator(3)),
        |a, b| (a.message.kind, b.message.kind) = (VoteKind::Finalize, VoteKind::Finalize),
        |a, b| a.signature = b.signature,
        |a, _| a.signature = Signature([0; 64]),
        |a, b| {
            // Of another chain.
            let other = crate::types::ChainId(Hash([9; 32]));
            (*a, *b) =
                (Vote::sign(a.message, &other, &key(4)).unwrap(), Vote::sign(b.message, &other, &key(4)).unwrap());
        },
    ] {
        assert_eq!(evidence(spoil), Some(BAD_PROOF.number));
    }
}

#[test]
fn rule_16_within_the_window_and_only_who_was_a_validator_then() {
    let mut chain = chain_of(4);
    idle_to(&mut chain, 9);
    assert_eq!(act(&mut chain, 8, twice(4, 11, 0, [1, 2])), Err(EVIDENCE_TOO_EARLY.number), "in block 10");
    assert_eq!(act(&mut chain, 8, twice(5, 11, 0, [1, 2])), Err(NOT_A_VALIDATOR_THEN.number));
    assert_eq!(act(&mut chain, 8, twice(4, 0, 0, [1, 2])), Err(NOT_A_VALIDATOR_THEN.number), "nobody signs block 0");
    // The block being decided counts.
    act(&mut chain, 8, twice(4, 13, 0, [1, 2])).unwrap();
    idle_to(&mut chain, 30);
    assert_eq!(act(&mut chain, 8, twice(3, 10, 0, [1, 2])), Err(EVIDENCE_TOO_OLD.number), "in block 31");
    assert_eq!(act(&mut chain, 8, twice(3, 11, 0, [1, 2])), Err(EVIDENCE_TOO_OLD.number), "in block 32");
    act(&mut chain, 8, twice(3, 13, 0, [1, 2])).unwrap();
}

#[test]
fn rule_16_who_has_left_answers_for_the_heights_it_signed_and_for_no_others() {
    let mut chain = chain_of(5);
    pass(&mut chain, &[1, 2, 3, 4], remove(5));
    idle_to(&mut chain, 12);
    assert_eq!(act(&mut chain, 8, twice(5, 6, 0, [1, 2])), Err(NOT_A_VALIDATOR_THEN.number), "the last was 5");
    let events = act(&mut chain, 8, twice(5, 5, 0, [1, 2])).unwrap();
    assert!(matches!(events[0], Event::EquivocationProven { jailed: false, .. }));
    assert_eq!(record(&chain, 5).standing, Standing::Removed);
    assert_eq!(act(&mut chain, 1, propose(add(5))), Err(TOMBSTONED.number));
    // Somebody who joined answers from its first height on.
    pass(&mut chain, &[1, 2, 3], add(6));
    act(&mut chain, 6, Action::ValidatorReady {}).unwrap();
    idle_to(&mut chain, 22);
    assert_eq!(act(&mut chain, 8, twice(6, 20, 0, [1, 2])), Err(NOT_A_VALIDATOR_THEN.number));
    act(&mut chain, 8, twice(6, 21, 0, [1, 2])).unwrap();
}

#[test]
fn rule_17_a_validator_is_convicted_once_and_for_ever() {
    let mut chain = chain_of(5);
    idle_to(&mut chain, 3);
    act(&mut chain, 8, twice(5, 2, 1, [1, 2])).unwrap();
    for blocks in [[1, 2], [2, 1], [1, 3], [4, 5]] {
        assert_eq!(act(&mut chain, 8, twice(5, 2, 1, blocks)), Err(EVIDENCE_REPEATED.number), "{blocks:?}");
    }
    for (height, view) in [(3, 1), (2, 0)] {
        assert_eq!(act(&mut chain, 8, twice(5, height, view, [1, 2])), Err(TOMBSTONED.number));
    }
    assert_eq!(act(&mut chain, 1, propose(unjail(5))), Err(TOMBSTONED.number));
    pass(&mut chain, &[1, 2, 3], remove(5));
    assert_eq!(act(&mut chain, 1, propose(add(5))), Err(TOMBSTONED.number));
    assert_eq!(act(&mut chain, 5, Action::ValidatorReady {}), Err(NOT_ADMITTED.number));
    idle_to(&mut chain, 60);
    assert_eq!(set(&chain), [1, 2, 3, 4]);
    // Its record has gone by now; what it did stays.
    assert_eq!(VALIDATORS.get(&chain.tree, &validator(5)).unwrap(), None);
    assert_eq!(act(&mut chain, 1, propose(add(5))), Err(TOMBSTONED.number));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rule_15_no_change_of_a_bit_makes_other_evidence(
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        proposals in any::<bool>(),
    ) {
        let evidence = if proposals {
            Evidence::Proposals(lead(4, (2, 1), 1), lead(4, (2, 1), 2))
        } else {
            let [a, b] = [1, 2].map(|block| word(4, VoteKind::Finalize, (2, 1), block));
            Evidence::Votes(a, b)
        };
        let mut bytes = crate::codec::encode(&evidence);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(read) = crate::codec::decode::<Evidence>(&bytes, 1_000) {
            let proven = read.equivocation().is_ok()
                && read.signatures(&chain_id()).is_ok_and(|signed| {
                    signed.iter().all(|(key, message, s)| crate::crypto::verify_one(key, message, s).is_ok())
                });
            prop_assert!(!proven, "byte {} bit {}", at, bit);
        }
    }
}
