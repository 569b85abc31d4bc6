//! Ways in which an agreement that is safe stops for ever; each was found once, somewhere. One
//! test each, as far as the machine alone can fall into it; those that have a row of the table are
//! tested there:
//!
//! | trap | test |
//! |---|---|
//! | a parent one day ahead | `r2_a_parent_from_the_future_delays_by_one_block_time_only` |
//! | an interval of empty blocks longer than the followers' patience | `r7_an_empty_pool_stretches_the_wait_and_a_transaction_ends_it` |
//! | certificates answered with certificates | `r9_certificates_are_never_answered` |
//! | a proposal of the next height | `r9_messages_of_the_next_heights_are_kept_and_replayed` |
//! | words that are sent again and look like old ones | `r7_a_view_is_given_up_when_its_time_is_up` |
//! | what is no certificate | `r1_what_is_no_certificate_moves_nothing` |
//! | held invalid while merely behind: a block is judged on the decided parent only | `r9_messages_of_the_next_heights_are_kept_and_replayed` |

use super::four::Four;
use super::simulation::{Faults, World};
use super::*;
use crate::limits::{MAX_JUSTIFICATION_CERTIFICATES, RESENT_FINALIZE_VIEWS};
use crate::mutation::{Mutation, with};
use VoteKind::{Finalize, Notarize, Nullify};

#[test]
fn everybody_notarized_and_the_power_fails() {
    for ms in (2_000..2_200).step_by(2) {
        let mut world = World::new(4, 0, ms, Faults { least_delay: 10, delay: 40, ..Faults::default() });
        world.run_for(ms);
        world.cut_the_power();
        world.run_to(2, 100_000);
    }
}

#[test]
fn a_whole_cluster_restarts_with_nobody_to_sync_from() {
    for seed in 0..20 {
        let faults = Faults { delay: 100, lost: 5, ..Faults::default() };
        let mut world = World::new(4, 1, seed, faults);
        for round in 1..5 {
            world.run_to(round, 200_000);
            world.run_for(seed * 97);
            world.cut_the_power();
        }
        world.run_to(6, 200_000);
    }
}

#[test]
fn a_fresh_chain_where_nobody_remembers_anything_starts() {
    World::new(4, 0, 1, Faults::default()).run_to(1, 10_000);
    let mut wiped = Four::with(0, |config| config.wiped = true);
    assert!(wiped.wait(60_000).sent().is_empty(), "so the engine must not call a new node wiped");
    let mut lifted = Four::with(0, |config| (config.wiped, config.signing_from) = (true, Some(Height::new(1))));
    assert!(!lifted.wait(60_000).sent().is_empty(), "and the operator can help");
}

#[test]
fn a_finalize_vote_of_an_older_view_counts() {
    let mut node = Four::new(0);
    node.hear_certificate(Notarize, 0, Some(block(1))).hear_certificate(Nullify, 40, None);
    for from in [1, 2, 3] {
        node.hear_vote(from, Finalize, 0, Some(block(1)));
    }
    assert!(node.has(|effect| matches!(effect, Effect::Commit { .. })));
}

#[test]
fn a_hundred_views_make_no_message_too_long() {
    let mut node = Four::new(0);
    for view in 0..102 {
        node.now += 20_000;
        node.step(Input::Tick).hear_certificate(Nullify, view, None);
    }
    node.wait(60_000).wait(1_000);
    let sent = node.effects.iter().filter(|effect| matches!(effect, Effect::Broadcast(_))).count();
    assert!(sent <= 3 + RESENT_FINALIZE_VIEWS as usize + 3, "{sent}");
    let mut leader = Four::new(0);
    leader.now = BLOCK_TIME_MS;
    for view in 0..103 {
        leader.hear_certificate(Nullify, view, None);
    }
    assert!(leader.builds().is_some());
    leader.step(Input::Built { height: Height::new(1), view: View::new(103), block: block(1) });
    let carried = leader.effects.iter().find_map(|effect| match effect {
        Effect::Broadcast(Message::Proposal { justification, .. }) => Some(justification.len()),
        _ => None,
    });
    assert_eq!(carried, Some(MAX_JUSTIFICATION_CERTIFICATES));
}

#[test]
fn a_justification_too_long_for_a_message_is_asked_for() {
    let mut answering = Four::new(7);
    for view in 0..103 {
        answering.hear_certificate(Nullify, view, None);
    }
    let newest: Vec<_> = (39..103).map(|view| answering.certificate(Nullify, view, None)).collect();
    let (proposal, justification) = (answering.proposal(103, block(1), None), Justification::new(newest).unwrap());
    let mut laggard = Four::new(3);
    laggard.now = BLOCK_TIME_MS;
    laggard.hear(Message::Proposal { proposal, justification });
    assert_eq!((laggard.view(), laggard.judges()), (103, false));
    let (mut rounds, mut judged) = (0, false);
    while let Some(from) = laggard.asks() {
        let need = Message::NeedCertificates { height: Height::new(1), from: View::new(from) };
        answering.wait(1_000).hear_from(2, need);
        for (_, answer) in answering.answers() {
            judged |= laggard.hear(answer).judges();
        }
        laggard.wait(200);
        rounds += 1;
        assert!(rounds < 5);
    }
    assert!(judged);
}

/// As many leaders off as may be, and links on which nothing is decided within the first turn's
/// 750 ms, or easily within it.
#[test]
fn slow_links_after_a_restart_with_a_dead_leader() {
    for (n, off) in [(4u8, 0b0001), (7, 0b0011)] {
        for (least_delay, seed) in [(80, 0), (80, 1), (400, 2), (400, 3)] {
            let faults = Faults { least_delay, delay: 10, off, ..Faults::default() };
            let mut world = World::new(n, 0, seed, faults);
            world.run_to(2, 100_000);
            world.cut_the_power();
            let took = world.run_to(22, 400_000);
            assert!(took < 20 * (BLOCK_TIME_MS + 20 * least_delay), "{took}");
        }
    }
}

/// A short turn of 150 ms would be too short for any leader here; that it grows is what helps if
/// the guess that a leader is off is wrong.
#[test]
fn slow_links_and_everybody_taken_for_dead() {
    let decide = || {
        for (n, off) in [(4u8, 0), (4, 0b0001), (7, 0b0011)] {
            for (least_delay, seed) in [(80, 0), (80, 1), (400, 2)] {
                let faults = Faults { least_delay, delay: 10, off, ..Faults::default() };
                World::new(n, 0, seed, faults).run_to(10, 200_000);
            }
        }
    };
    with(Some(Mutation::EverybodySeemsOff), decide);
}

#[test]
fn a_dead_leader_costs_less_once_it_is_known() {
    let mut world = World::new(4, 0, 3, Faults { delay: 20, off: 1, ..Faults::default() });
    world.run_to(8, 100_000);
    let took = world.run_to(28, 100_000);
    assert!(took < 20 * 2_000 + 5 * 400, "{took}");
}

#[test]
fn a_false_claim_to_be_far_ahead_stops_nobody() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    node.hear(Message::Status { height: Height::MAX, view: View::ZERO });
    assert_eq!(node.behind(), Some(u64::MAX));
    node.hear_proposal(0, block(1), None).judge_valid(block(1), 0);
    assert_eq!(node.sent(), [(Notarize, 0, Some(block(1)))]);
}

#[test]
fn a_later_view_waits_for_the_block_time_too() {
    let mut node = Four::new(2);
    node.now = 100;
    assert_eq!(node.hear_certificate(Nullify, 0, None).builds(), None);
    assert_eq!(node.wait(BLOCK_TIME_MS - 101).builds(), None);
    assert_eq!(node.wait(1).builds(), Some((1, BLOCK_TIME_MS)));
}

#[test]
fn a_block_that_takes_too_long_is_asked_for_smaller() {
    let mut node = Four::new(1);
    node.now = BLOCK_TIME_MS;
    for view in 0..4 {
        node.hear_certificate(Nullify, view, None);
    }
    assert_eq!(node.builds(), Some((4, BLOCK_TIME_MS)), "from the view follows the size");
}

#[test]
fn a_laggard_in_an_older_view_is_fetched() {
    let mut ahead = Four::new(7);
    let mut laggard = Four::new(3);
    for view in 0..9 {
        ahead.hear_certificate(Nullify, view, None);
    }
    ahead.wait(5_000);
    laggard.wait(20_000).wait(1_000);
    let says: Vec<_> = laggard.effects.clone();
    assert!(matches!(says.iter().rev().find(|e| e.is_visible()), Some(Effect::Broadcast(Message::Status { .. }))));
    for effect in says {
        if let Effect::Broadcast(word) = effect {
            ahead.hear_from(2, word);
            for (_, answer) in ahead.answers() {
                laggard.hear(answer);
            }
        }
    }
    assert_eq!(laggard.view(), 9);
}

#[test]
fn a_follower_says_where_it_stands_and_so_learns_the_decision() {
    let mut follower = Four::new(7);
    follower.wait(BLOCK_TIME_MS + 750);
    for _ in 0..3 {
        follower.wait(1_000);
        let status = Message::Status { height: Height::new(1), view: View::ZERO };
        assert!(follower.has(|effect| *effect == Effect::Broadcast(status.clone())));
        assert!(follower.sent().is_empty());
    }
}

#[test]
fn views_do_not_turn_at_network_speed() {
    let mut node = Four::new(0);
    let mut took = vec![];
    for view in 0..24u32 {
        let (leader, began) = ((1 + view as usize) % 4, node.now);
        if leader == 0 {
            node.hear_certificate(Nullify, view, None);
            continue;
        }
        node.hear_vote(leader, Nullify, view, None);
        while node.sent() != [(Nullify, view, None)] {
            node.wait(10);
        }
        took.push((view, node.now - began));
        node.hear_certificate(Nullify, view, None);
    }
    for (view, took) in took {
        assert_eq!(took, 100 * u64::from(view.min(20)), "view {view}");
    }
}

#[test]
fn own_votes_count_again_after_a_restart() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    node.hear_proposal(0, block(1), None).judge_valid(block(1), 0).restart();
    node.hear_vote(1, Notarize, 0, Some(block(1))).hear_vote(2, Notarize, 0, Some(block(1)));
    assert_eq!((node.view(), node.sent()), (1, vec![(Finalize, 0, Some(block(1)))]));
}

#[test]
fn honest_nodes_hold_different_certificates() {
    let mut node = Four::new(0);
    let all: Vec<_> = node.keys.clone();
    for view in [0, 1] {
        node.hear_certificate(Finalize, view, Some(block(1)));
        let other = certificate(message(Finalize, 1, view, Some(block(1))), &all[1..], &node.set);
        node.hear(Message::Certificate(other));
    }
    assert!(!node.machine.status().halted);
}

#[test]
fn a_notarization_after_our_nullify_leads_on() {
    let mut node = Four::new(2);
    node.wait(10_000);
    assert_eq!(node.sent(), [(Nullify, 0, None)]);
    node.hear_certificate(Notarize, 0, Some(block(1))).wait(250);
    assert_eq!(node.proposed(), [(1, block(1), Some(View::ZERO))], "without the body");
}

#[test]
fn a_notarized_block_nobody_has_is_replaced_once_that_is_allowed() {
    for (nullified, builds) in [(true, true), (false, false)] {
        let mut node = Four::new(0);
        node.hear_certificate(Notarize, 0, Some(block(1)));
        assert!(node.judges());
        node.hear_certificate(Nullify, 1, None).hear_certificate(Nullify, 2, None);
        assert_eq!(node.proposed(), [(3, block(1), Some(View::ZERO))], "at first it is proposed again");
        if nullified {
            node.hear_certificate(Nullify, 0, None);
        }
        node.now += 10_000;
        for view in 3..7 {
            node.hear_certificate(Nullify, view, None);
        }
        assert_eq!(node.builds().is_some(), builds);
        assert_eq!(node.proposed().is_empty(), builds);
    }
}

#[test]
fn votes_shown_to_one_group_reach_the_other_as_a_certificate() {
    let mut node = Four::new(0);
    for from in [1, 2, 3] {
        node.hear_vote(from, Notarize, 0, Some(block(1)));
    }
    assert!(node.has(|e| matches!(e, Effect::Broadcast(Message::Certificate(c)) if c.kind() == Notarize)));
}
