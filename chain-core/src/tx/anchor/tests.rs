//! Rule n of the family is test `rule_n`.

use super::*;
use crate::testing::{TestChain, address};
use crate::tx;

fn example() -> tx::Action {
    tx::Action::Anchor(examples().remove(0))
}

#[test]
fn rule_1_an_anchor_is_an_event_and_writes_no_row() {
    let (mut anchored, mut idle) = (TestChain::new(), TestChain::new());
    let Action::Anchor { hash, kind, uri } = examples().remove(0);
    let events = anchored.run_ok(1, [example()]);
    let expected = tx::Event::Anchor(Event::Anchored { by: address(1), hash, kind, uri });
    assert_eq!(events, [expected]);
    // Another transaction with the same fee leads to the very same state.
    let account = tx::account::Action::SetMemoRequired { required: false };
    idle.run_ok(1, [tx::Action::Account(account)]);
    assert_eq!(anchored.tree.root(), idle.tree.root());
}

#[test]
fn rule_2_the_same_hash_may_be_anchored_again_by_anybody() {
    let mut chain = TestChain::new();
    for seed in [1, 1, 2] {
        assert_eq!(chain.run_ok(seed, [example(), example()]).len(), 2);
    }
}

#[test]
fn texts_are_bounded() {
    let with = |kind: usize, uri: usize| {
        let json = serde_json::json!({
            "type": "anchor", "hash": Hash([9; 32]), "kind": "k".repeat(kind), "uri": "u".repeat(uri),
        });
        serde_json::from_value::<tx::Action>(json).is_ok()
    };
    assert!(with(0, 0) && with(32, 128));
    assert!(!with(33, 0) && !with(0, 129));
}
