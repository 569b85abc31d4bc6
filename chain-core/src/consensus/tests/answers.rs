//! The table of `consensus`, row R9: answers, questions, messages of later heights, blame; and
//! the short turn of a leader that is off.

use super::four::Four;
use super::*;
use crate::consensus::ahead::Ahead;
use crate::consensus::pacing::{Pacing, ViewClock};
use crate::limits::{MAX_AHEAD_BYTES, MAX_AHEAD_PEER_BYTES, MAX_ANSWERED_CERTIFICATES};
use crate::types::Proposal;
use VoteKind::{Finalize, Notarize, Nullify};

fn status(height: u64, view: u32) -> Message {
    Message::Status { height: Height::new(height), view: View::new(view) }
}

fn need(height: u64, from: u32) -> Message {
    Message::NeedCertificates { height: Height::new(height), from: View::new(from) }
}

#[test]
fn r9_a_word_of_an_older_view_is_answered_with_the_entry_certificate() {
    let mut node = Four::new(0);
    node.hear_certificate(Nullify, 0, None).hear_certificate(Nullify, 2, None);
    let entry = Message::Certificate(node.certificate(Nullify, 2, None));
    let proposal = node.proposal(2, block(1), None);
    let old_vote = vote(&node.keys[1], message(Nullify, 1, 1, None));
    assert_eq!(node.hear_from(9, status(1, 0)).answers(), [], "it was sent to all just now");
    for (peer, word) in [
        (1, Message::Proposal { proposal, justification: Justification::default() }),
        (2, Message::Vote(old_vote)),
        (3, status(1, 2)),
    ] {
        node.wait(200);
        assert_eq!(node.hear_from(peer, word.clone()).answers(), [(peer, entry.clone())], "{word:?}");
        assert_eq!(node.hear_from(peer, word.clone()).answers(), [], "not twice at once");
        assert_eq!(node.hear_from(peer + 100, word).answers(), [(peer + 100, entry.clone())], "but others");
    }
    node.wait(200);
    assert_eq!(node.hear_from(7, status(1, 3)).answers(), [], "not who is here");
    assert_eq!(node.hear_from(7, status(0, 0)).answers(), [], "decided heights are the engine's");
}

#[test]
fn r9_certificates_are_never_answered() {
    let mut node = Four::new(0);
    node.hear_certificate(Nullify, 0, None).hear_certificate(Nullify, 2, None).wait(1_000);
    for view in [0, 1, 2] {
        let old = Message::Certificate(node.certificate(Nullify, view, None));
        assert_eq!(node.hear_from(5, old).answers(), []);
    }
}

#[test]
fn r9_who_does_not_know_the_decision_is_told_while_we_store_it() {
    let mut node = Four::new(0);
    node.hear_certificate(Finalize, 0, Some(block(1)));
    node.now += 200;
    let told = Message::Certificate(node.certificate(Finalize, 0, Some(block(1))));
    for (peer, word) in [(1, status(1, 0)), (2, need(1, 0)), (3, status(1, 8))] {
        assert_eq!(node.hear_from(peer, word).answers(), [(peer, told.clone())]);
    }
}

#[test]
fn r9_a_jump_asks_for_the_gap_at_once_and_again() {
    let mut node = Four::new(0);
    assert_eq!(node.hear_certificate(Nullify, 3, None).asks(), Some(0));
    assert_eq!(node.wait(999).asks(), None);
    assert_eq!(node.wait(1).asks(), Some(0));
    node.hear_certificate(Nullify, 0, None);
    assert_eq!(node.wait(200).asks(), Some(1), "soon again where that brought us on");
    node.hear_certificate(Nullify, 2, None);
    node.hear_certificate(Notarize, 1, Some(block(1)));
    assert_eq!(node.wait(1_000).asks(), None, "nothing is missing from a notarized view on");
    assert_eq!(Four::new(7).hear_certificate(Nullify, 3, None).asks(), None, "a follower needs none");
}

#[test]
fn r9_certificates_asked_for_are_sent_oldest_first_and_bounded() {
    let mut node = Four::new(0);
    for view in 0..70 {
        node.hear_certificate(Nullify, view, None);
    }
    node.hear_certificate(Notarize, 1, Some(block(1)));
    let sent = |node: &Four| -> Vec<_> {
        let certificates = node.answers().into_iter().filter_map(|(_, message)| match message {
            Message::Certificate(certificate) => Some((certificate.view().get(), certificate.kind())),
            _ => None,
        });
        certificates.collect()
    };
    node.hear_from(4, need(1, 1));
    assert_eq!(sent(&node).len(), MAX_ANSWERED_CERTIFICATES);
    assert_eq!(sent(&node)[..3], [(1, Notarize), (1, Nullify), (2, Nullify)]);
    assert_eq!(sent(node.hear_from(4, need(1, 68))), [], "one answer at a time");
    node.now += 200;
    assert!(sent(node.hear_from(4, need(1, 68))).ends_with(&[(68, Nullify), (69, Nullify)]));
    node.now += 1_000;
    assert_eq!(sent(node.hear_from(4, need(1, 70))), []);
}

#[test]
fn r9_a_proposal_waits_for_the_certificates_that_justify_it() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    node.hear_certificate(Nullify, 1, None);
    node.wait(100);
    assert!(!node.hear_proposal(2, block(1), None).judges());
    assert!(node.hear_certificate(Nullify, 0, None).judges());
    let mut node = Four::new(0);
    node.hear_certificate(Notarize, 1, Some(block(1)));
    assert_eq!(node.asks(), None);
    assert_eq!(node.hear_proposal(2, block(2), None).asks(), Some(0), "justified in another way than ours");
}

#[test]
fn r9_messages_of_the_next_heights_are_kept_and_replayed() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    for height in [2, 3] {
        let leader = node.set.leader(Height::new(height), View::ZERO).public_key;
        let key = node.keys.iter().find(|key| key.public() == leader).unwrap().clone();
        let proposal = Proposal::sign((Height::new(height), View::ZERO), block(height), None, &chain(), &key);
        node.hear(Message::Proposal { proposal, justification: Justification::default() });
        assert!(!node.judges());
    }
    for i in [1, 2, 3] {
        let early = vote(&node.keys[i], message(Finalize, 3, 0, Some(block(3))));
        node.hear_from(i as u64, Message::Vote(early));
    }
    assert!(node.commit(1).judges());
    let commits = |node: &Four| node.has(|effect| matches!(effect, Effect::Commit { .. }));
    assert!(!commits(&node));
    assert!(commits(node.commit(2)));
}

#[test]
fn r9_what_is_kept_is_bounded() {
    let keys = keys(4);
    let mut ahead = Ahead::default();
    let one = vote(&keys[0], message(Nullify, 2, 0, None));
    let mut full = 0;
    for peer in 0..40 {
        for i in 0..6_000u64 {
            let mut forged = one.clone();
            forged.message.view = View::new((i % 17) as u32);
            forged.signer.0[..8].copy_from_slice(&i.to_le_bytes());
            ahead.hear(0, Height::new(1), Peer(peer), Message::Vote(forged));
        }
        full = full.max(ahead.bytes());
        assert!(ahead.bytes() <= MAX_AHEAD_PEER_BYTES * (peer as usize + 1));
    }
    assert!(full > MAX_AHEAD_BYTES / 2 && full <= MAX_AHEAD_BYTES);
    ahead.hear(0, Height::new(1), Peer(99), Message::Vote(one.clone()));
    let far = Vote { message: message(Nullify, 4, 0, None), ..one.clone() };
    ahead.hear(0, Height::new(1), Peer(98), Message::Vote(far));
    let high = Vote { message: message(Nullify, 2, 17, None), ..one };
    ahead.hear(0, Height::new(1), Peer(98), Message::Vote(high));
    let kept = ahead.take(0, Height::new(2));
    assert!(kept.iter().any(|(peer, _)| *peer == Peer(99)), "nobody is crowded out");
    assert!(!kept.iter().any(|(peer, _)| *peer == Peer(98)));
    assert_eq!(ahead.bytes(), 0);
}

#[test]
fn r9_others_that_are_further_are_noticed() {
    let mut node = Four::new(0);
    assert_eq!(node.hear(status(2, 0)).behind(), None, "a decision may be on its way");
    assert_eq!(node.wait(999).behind(), None);
    assert_eq!(node.wait(1).behind(), Some(2));
    assert_eq!(node.hear(status(3, 0)).behind(), None, "once a second");
    assert_eq!(node.hear(status(9, 0)).behind(), None);
    assert_eq!(node.wait(1_000).behind(), Some(9));
    assert_eq!(node.wait(5_000).behind(), None, "said once");
    assert_eq!(node.hear(status(3, 0)).behind(), Some(3), "two heights are never usual");
    let mut node = Four::new(0);
    node.hear(status(2, 0)).commit(1);
    assert_eq!(node.wait(60_000).behind(), None, "it was on its way");
}

#[test]
fn r9_only_what_no_honest_node_sends_is_blamed() {
    let mut node = Four::new(0);
    let stranger = SecretKey::from_seed(&[99; 32]);
    let mut forged = vote(&node.keys[1], message(Nullify, 1, 0, None));
    forged.message.view = View::new(2);
    assert_eq!(node.hear(Message::Vote(forged.clone())).blames(), Some(Offence::BadSignature));
    for (height, blames) in [(0, Some(Offence::BadSignature)), (2, None), (3, None), (9, None)] {
        forged.message.height = Height::new(height);
        assert_eq!(node.hear(Message::Vote(forged.clone())).blames(), blames, "a later set may know better");
    }
    let of_stranger = vote(&stranger, message(Nullify, 1, 0, None));
    assert_eq!(node.hear(Message::Vote(of_stranger)).blames(), None);
    let far = vote(&node.keys[1], message(Nullify, 1, 900, None));
    assert_eq!(node.hear(Message::Vote(far)).blames(), None);
    let mut bad = node.certificate(Nullify, 0, None);
    bad.message.view = View::new(1);
    let proposal = node.proposal(2, block(1), None);
    let justification = Justification::new(vec![bad]).unwrap();
    let blames = node.hear(Message::Proposal { proposal, justification }).blames();
    assert_eq!(blames, Some(Offence::BadCertificate));
}

#[test]
fn a_leader_that_is_off_has_a_short_turn_until_it_is_heard() {
    let quiet = 0;
    let mut node = Four::new(3);
    for height in 1..=7 {
        for i in [1, 2] {
            let word = vote(&node.keys[i], message(Nullify, height, 0, None));
            node.hear(Message::Vote(word));
        }
        node.now += 100;
        node.commit(height);
    }
    // Height 8 is led by number 0.
    let leader = node.machine.status().leader;
    assert_eq!(leader, node.keys[quiet].public());
    let nullified_at = |node: &Four| {
        let mut node = Four { machine: node.machine.clone(), ..Four::new(3) }.at(node.now);
        let began = node.now;
        while node.sent().is_empty() {
            node.wait(1);
        }
        node.now - began - BLOCK_TIME_MS
    };
    assert_eq!(nullified_at(&node), 150);
    let mut forged = vote(&node.keys[quiet], message(Nullify, 8, 3, None));
    forged.message.view = View::new(4);
    node.hear(Message::Vote(forged));
    assert_eq!(nullified_at(&node), 150, "a forged word is none");
    let late = vote(&node.keys[quiet], message(Nullify, 6, 0, None));
    let mut heard = Four { machine: node.machine.clone(), ..Four::new(3) }.at(node.now);
    heard.hear(Message::Vote(late));
    assert_eq!(nullified_at(&heard), 750, "a late one counts");
    node.hear(Message::Vote(vote(&node.keys[quiet], message(Nullify, 8, 3, None))));
    assert_eq!(nullified_at(&node), 750);
}

#[test]
fn a_start_or_a_lonely_node_knows_nothing_of_dead_leaders() {
    // Number 1 leads heights 5 and 9.
    for (heights, others) in [(4, vec![0, 2]), (8, vec![2])] {
        let mut node = Four::new(3);
        for height in 1..=heights {
            for i in &others {
                let word = vote(&node.keys[*i], message(Nullify, height, 0, None));
                node.hear(Message::Vote(word));
            }
            node.commit(height);
        }
        assert!(node.wait(BLOCK_TIME_MS + 749).sent().is_empty());
    }
}

#[test]
fn a_short_turn_grows_with_the_view() {
    let now = Now { wall: TimestampMs::new(GENESIS_MS + 60_000), mono_ms: 60_000 };
    let (pacing, _) = Pacing::begin(&head(7, GENESIS_MS, &set(&keys(4))), now, true);
    let deadline = |view| {
        let clock = ViewClock {
            view: View::new(view),
            entered: now,
            after_notarization: false,
            block_known: false,
            building_since: None,
            leader_off: true,
            hopeless: false,
        };
        pacing.deadline(&clock) - now.mono_ms
    };
    assert_eq!([0, 1, 3, 1_000].map(deadline), [150, 300, 600, 10_000]);
}
