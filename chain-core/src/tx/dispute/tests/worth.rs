//! Who profits from what: every attack played out, and what attacker and victim then have in all purses together, more
//! or less than if everybody had been honest. The table in `docs/marketplace.md` says the same; here it is computed.
//!
//! A unit costs 5 base units of USD and the fee is a tenth. Fees of transactions are not counted: whoever attacks pays
//! his. Each attack names what is honest: `(attacker, victim)` of what is really owed.

use super::*;
use crate::codec::List;
use crate::state::market::grant::Scope;
use crate::state::market::job::Funding;
use crate::tx::{account, provider};

/// What attacker and victim have at the end more than at the beginning, less what is honest.
type Outcome = [i128; 2];

/// Plays, and compares with what is honest.
fn played(world: &mut World, (attacker, victim): (u8, u8), honest: Outcome, play: impl FnOnce(&mut World)) -> Outcome {
    let worth = |world: &World| [attacker, victim].map(|seed| world.worth(seed, USD) as i128);
    let before = worth(world);
    play(world);
    let after = worth(world);
    std::array::from_fn(|place| after[place] - before[place] - honest[place])
}

/// V judges H1's and H2's disputes, and both can deposit.
fn market() -> World {
    let mut world = World::judged_by_v();
    world.ok(H2, offer_judged(&judged(&[V], 1, 2_500)));
    for seed in [H1, H2, D] {
        world.give(seed, 10 * E6);
    }
    world
}

/// A day, a week: until every job and dispute is settled.
fn wait(world: &mut World) {
    for seconds in [3_601, 601, 86_401, 259_201] {
        world.later(seconds);
        world.block();
    }
    assert_eq!((world.supply(USD).in_escrow.get(), world.supply(USD).in_dispute_bonds.get()), (0, 0));
}

/// 4000 units that were done and acknowledged, and not redeemed yet: what payer and provider owe each other.
const ACKED: Outcome = [-20_000, 18_000];
const ACKED_TO_H: Outcome = [18_000, -20_000];

fn completes_before_redemption() -> Outcome {
    played(&mut market(), (P1, H1), ACKED, |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.ok(P1, complete(id));
        world.redeemed(id, 4_000);
        wait(world);
    })
}

fn is_silent_before_redemption() -> Outcome {
    played(&mut market(), (P1, H1), ACKED, |world| {
        let id = world.open(P1, Opening { silence: 60, judged: by_v(), ..acked(1_000) });
        world.later(61);
        world.block();
        world.redeemed(id, 4_000);
        wait(world);
    })
}

fn hands_over_before_redemption() -> Outcome {
    played(&mut market(), (P1, H1), ACKED, |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.ok(P1, hand_to_on(id, (H2, 5_000, 0), by_v()));
        world.ok(H2, take_over(id, 5_000));
        world.redeemed(id, 4_000);
        wait(world);
    })
}

/// The claim is for work that was done; the payer would rather hand the job over than pay it.
fn hands_over_to_escape_a_claim() -> Outcome {
    let owed = [-20_000 - 3_000, 18_000 + 2_700];
    played(&mut market(), (P1, H1), owed, |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.redeemed(id, 4_000);
        world.ok(P1, hand_to_on(id, (H2, 5_000, 4_000), by_v()));
        world.prove(id, 600);
        assert_eq!(world.no(H2, take_over(id, 5_000)), "more_used");
        // It names what is claimed, and so pays it.
        world.ok(P1, hand_to_on(id, (H2, 5_000, 4_600), by_v()));
        world.ok(H2, take_over(id, 5_000));
        wait(world);
    })
}

fn redeems_twice() -> Outcome {
    played(&mut market(), (H1, P1), ACKED_TO_H, |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        let first = world.redeem(id, 4_000);
        world.ok(H1, first.clone());
        assert_eq!(world.no(H1, first), "receipt_repeated");
        let again = world.redeem(id, 4_000);
        assert_eq!(world.no(H1, again), "ack_old");
        // Nor in another leg, nor in another job.
        let ack = world.ack(id, 4_000);
        let other = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        let crate::tx::receipt::Action::ReceiptSubmit { receipt, .. } = world.redeem(other, 4_000);
        let moved = crate::tx::receipt::Action::ReceiptSubmit { receipt, ack: Some(ack) };
        assert_eq!(world.no(H1, moved), "ack_other_job");
        wait(world);
    })
}

/// A claim slips in front of a completion that names 4000 units; the payer contests it.
fn slips_a_claim_in_front() -> Outcome {
    played(&mut market(), (H1, P1), ACKED_TO_H, |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.redeemed(id, 4_000);
        world.prove(id, 1_000);
        assert_eq!(world.no(P1, complete_at(id, 4_000)), "more_used");
        world.ok(P1, contest(id, 4_000));
        wait(world);
    })
}

fn claims_in_the_last_second(watched: bool) -> Outcome {
    played(&mut market(), (H1, P1), ACKED_TO_H, |world| {
        let id = world.open(P1, Opening { duration: 3_600, silence: 3_600, judged: by_v(), ..acked(1_000) });
        world.redeemed(id, 4_000);
        world.later(3_599);
        world.prove(id, 1_000);
        if watched {
            world.later(29);
            world.ok(P1, contest(id, 4_000));
        }
        wait(world);
    })
}

/// Nothing was done, everything is claimed.
fn claims_junk() -> Outcome {
    played(&mut market(), (H1, P1), [0, 0], |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..opening(USD, 10 * E6, 5_000) });
        world.later(250);
        world.prove(id, 500_000);
        world.ok(P1, contest(id, 0));
        wait(world);
    })
}

/// 2000 units were done and 4000 are claimed; `votes`: the provider defends it and the arbiter judges.
fn claims_twice_as_much(votes: bool) -> Outcome {
    played(&mut market(), (H1, P1), [9_000, -10_000], |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..opening(USD, 10 * E6, 5_000) });
        world.later(2);
        world.prove(id, 4_000);
        world.ok(P1, contest(id, 2_000));
        if votes {
            world.ok(H1, answer(id));
            world.ok(V, verdict(id, false));
        }
        wait(world);
    })
}

/// 600 units were done, claimed and not acknowledged; the payer contests whatever is claimed.
fn contests_everything(answers: bool, votes: bool) -> Outcome {
    played(&mut market(), (P1, H1), [-23_000, 20_700], |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.redeemed(id, 4_000);
        world.prove(id, 600);
        world.ok(P1, contest(id, 4_000));
        if answers {
            world.ok(H1, answer(id));
        }
        if votes {
            world.ok(V, verdict(id, true));
        }
        wait(world);
    })
}

/// It contests what its own key acknowledged.
fn contests_what_it_acknowledged() -> Outcome {
    played(&mut market(), (P1, H1), [-23_000, 20_700], |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.redeemed(id, 4_000);
        world.prove(id, 600);
        world.ok(P1, contest(id, 4_000));
        let ack = world.ack(id, 4_600);
        world.ok(H1, answer_with(id, ack));
        wait(world);
    })
}

/// The side that fears the verdict names the arbiter as its delegate, so that it could not vote.
fn names_the_arbiter(payer: bool) -> Outcome {
    let (attacker, victim) = if payer { (P1, H1) } else { (H1, P1) };
    // The payer contests work that was done, or the provider defends what was not.
    let honest = if payer { [-3_000, 2_700] } else { [0, 0] };
    played(&mut market(), (attacker, victim), honest, |world| {
        let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
        world.prove(id, 600);
        world.ok(P1, contest(id, 0));
        world.ok(H1, answer(id));
        world.ok(attacker, grant(V, &[(USD, 1, 1)]));
        world.ok(V, verdict(id, payer));
        wait(world);
    })
}

/// The offer, the bid or the next provider's offer gets other arbiters in the last moment.
fn swaps_the_arbiters() -> Outcome {
    played(&mut market(), (H1, P1), [0, 0], |world| {
        let seen = judged(&[V], 1, 2_500).hash();
        let wish = Opening { judged: Some(seen), ..acked(1_000) };
        let id = world.open(P1, Opening { provider: H2, ..wish.clone() });
        let posted = world.post(P1, posting());
        world.ok(H1, bid(posted, 5_000, 1_000, judged(&[V], 1, 2_500)));
        world.ok(H1, offer_judged(&judged(&[D], 1, 10_000)));
        world.ok(H1, bid(posted, 5_000, 1_000, judged(&[D], 1, 10_000)));
        assert_eq!(world.no(P1, wish), "dispute_terms_changed");
        assert_eq!(world.no(P1, accept_bid_on(posted, H1, 5_000, Some(seen))), "dispute_terms_changed");
        assert_eq!(world.no(P1, accept_bid(posted, H1, 5_000)), "dispute_terms_changed");
        world.ok(P1, hand_to_on(id, (H1, 5_000, 0), Some(seen)));
        assert_eq!(world.no(H1, take_over(id, 5_000)), "dispute_terms_changed");
        wait(world);
    })
}

/// Somebody pays itself for a record: 100,000 units.
fn deals_with_itself() -> Outcome {
    let mut world = market();
    world.give(H1, 10 * E6);
    played(&mut world, (H1, P2), [0, 0], |world| {
        let id = world.open(H1, Opening { judged: by_v(), ..acked(1_000) });
        world.redeemed(id, 100_000);
        world.ok(H1, complete(id));
        wait(world);
        let params = crate::state::params(&world.chain.tree).unwrap();
        let now = (world.market_now(), &params);
        let record = crate::state::market::reputation(&world.chain.tree, &address(H1), &m1(), now).unwrap();
        assert_eq!((record.score_bps, record.record.jobs.millionths), (0, 0));
    })
}

/// A friend's job is named when 100 of its own 1000 STK are slashed; in base units of STK, of both together.
fn slashes_itself() -> i128 {
    let mut world = market();
    let together = |world: &World| (world.worth(H1, STK) + world.worth(P1, STK)) as i128;
    let before = together(&world);
    let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
    let slash = provider::Action::ProviderSlash {
        provider: address(H1),
        amount: amount(100 * E18),
        evidence: crate::codec::Text::new("y").unwrap(),
        reason: crate::codec::Text::new("x").unwrap(),
        job: Some(JobId::new(id)),
    };
    world.ok(S, slash);
    world.later(604_800 + 31);
    world.block();
    world.later(1);
    world.block();
    together(&world) - before
}

/// A delegate opens a job with its own provider, acknowledges by its own key and keeps it all. `named`: the grant says
/// with which providers.
fn delegate_with_its_own_provider(named: bool) -> Outcome {
    played(&mut market(), (H1, P1), [0, 0], |world| {
        let providers = if named { List::new(vec![address(H2)]).unwrap() } else { List::default() };
        let scope = Scope { providers, ..scope(&[(USD, 10 * E6, 10 * E6)]) };
        world.ok(P1, account::Action::DelegateSet { delegate: address(D), scope, reset_spent: false });
        let wish = Opening { funding: Funding::OnBehalf { payer: address(P1) }, judged: by_v(), ..acked(1_000) };
        match world.try_run(D, wish) {
            Ok(_) => world.redeemed(1, 2_000_000),
            Err(name) => assert_eq!((name, named), ("out_of_scope", true)),
        }
        wait(world);
    })
}

/// Attack, what the attacker gains, what the victim gains, in base units.
fn table() -> Vec<(&'static str, Outcome)> {
    vec![
        ("payer completes before the provider redeems", completes_before_redemption()),
        ("payer lets the job fall silent before the provider redeems", is_silent_before_redemption()),
        ("payer hands the job over before the provider redeems", hands_over_before_redemption()),
        ("payer hands the job over to escape a claim", hands_over_to_escape_a_claim()),
        ("provider redeems twice, or in another job", redeems_twice()),
        ("provider slips a claim in front of the completion", slips_a_claim_in_front()),
        ("provider claims a quantum in the last second, payer watches", claims_in_the_last_second(true)),
        ("the same, payer does not watch", claims_in_the_last_second(false)),
        ("provider claims work it has not done, payer watches", claims_junk()),
        ("provider claims twice as much, payer watches, nobody answers", claims_twice_as_much(false)),
        ("the same, provider answers and is judged", claims_twice_as_much(true)),
        ("payer contests work that was done, provider answers and is judged right", contests_everything(true, true)),
        ("the same, provider does not answer", contests_everything(false, false)),
        ("the same, provider answers, arbiters do not vote", contests_everything(true, false)),
        ("payer contests what its key acknowledged", contests_what_it_acknowledged()),
        ("payer names the arbiter as its delegate to prevent a verdict", names_the_arbiter(true)),
        ("provider does", names_the_arbiter(false)),
        ("provider swaps the arbiters in the last moment", swaps_the_arbiters()),
        ("provider pays itself for a record", deals_with_itself()),
        ("delegate works with its own provider, the grant names others", delegate_with_its_own_provider(true)),
        ("the same, the grant names none", delegate_with_its_own_provider(false)),
    ]
}

/// What pays for an attacker, and why that is known: each bounded by what the victim chose.
const PAYS: [&str; 3] =
    ["the same, payer does not watch", "the same, provider does not answer", "the same, the grant names none"];

#[test]
fn nobody_profits_but_from_who_does_not_look_and_by_what_that_one_chose_to_risk() {
    let table = table();
    for (attack, [attacker, victim]) in &table {
        println!("| {attack} | {} | {} |", figure(*attacker), figure(*victim));
    }
    for (attack, [attacker, victim]) in &table {
        assert_eq!(*attacker > 0, PAYS.contains(attack), "{attack}: {attacker}");
        // Who is attacked and looks loses nothing; without a verdict a part of the deposit, by what the offer says.
        let looks = !PAYS.contains(attack) && !attack.contains("do not vote");
        assert!(*victim >= 0 || !looks, "{attack}: {victim}");
    }
    // A quantum, and no more.
    let worst = |attack: &str| table.iter().find(|(name, _)| *name == attack).unwrap().1;
    assert_eq!(worst(PAYS[0]), [4_500, -5_000]);
    assert_eq!(worst(PAYS[1]), [3_000, -2_700]);
    assert_eq!(worst(PAYS[2]), [9 * E6 as i128, -(10 * E6 as i128)]);
    assert_eq!(slashes_itself(), -50 * E18 as i128);
}

/// A number as the document writes it.
fn figure(units: i128) -> String {
    let digits = units.unsigned_abs().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap()).collect();
    let sign = match units {
        0 => "",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", groups.join(","))
}

#[test]
fn the_document_says_what_is_computed_here() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/marketplace.md");
    let document = std::fs::read_to_string(path).unwrap();
    for (attack, [attacker, victim]) in table() {
        let line = format!("| {attack} | {} | {} |", figure(attacker), figure(victim));
        assert!(document.lines().any(|found| found == line), "docs/marketplace.md lacks\n{line}");
    }
}
