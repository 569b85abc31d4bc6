//! Rule 21: the council slashes providers.

use super::*;
use crate::state::market::provider::ProviderState;
use crate::tx::market_testkit::*;
use crate::tx::provider;

fn verdict(provider: u8, stake: u128, job: Option<u64>) -> Measure {
    let [evidence, reason] = ["ipfs://e", "cheated"];
    Measure::Slash {
        provider: address(provider),
        amount: amount(stake),
        evidence: Text::new(evidence).unwrap(),
        reason: Text::new(reason).unwrap(),
        job: job.map(JobId::new),
    }
}

fn judge(world: &mut World, measure: Measure) -> Result<slash::Slash, &'static str> {
    let events = world.try_run(crate::testing::PROPOSER, tx::Action::Authority(propose(measure)))?;
    match events.last() {
        Some(tx::Event::Authority(Event::BondSlashed { slash, .. })) => Ok(slash.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_21_a_verdict_takes_what_it_states_and_no_more_than_there_is() {
    let world = &mut World::f0();
    let slash = judge(world, verdict(H1, 600 * E18, None)).unwrap();
    assert_eq!((slash.amount.get(), slash.bond.get(), slash.to_treasury.get()), (600 * E18, 400 * E18, 600 * E18));
    assert_eq!((slash.payer, slash.job, slash.paid_at, slash.removed), (None, None, None, false));
    assert_eq!((world.provider(H1).state, world.treasury(STK)), (ProviderState::Active, 600 * E18));
    // Again at once, and more than there is.
    let slash = judge(world, verdict(H1, 10u128.pow(30), None)).unwrap();
    assert_eq!((slash.amount.get(), slash.bond.get(), slash.removed), (400 * E18, 0, true));
    assert_eq!((slash.offers_deleted.len(), world.serving(m1())), (2, vec![H2]));
    assert_eq!(world.treasury(STK), 1_000 * E18);
    assert_eq!(judge(world, verdict(H1, 1, None)), Err("nothing_to_slash"));
    // It has its nothing back, and may come again with another bond.
    world.later(7 * DAY);
    world.ok(H1, provider::Action::ProviderBondWithdraw {});
    assert_eq!(world.no(H1, register(&[m1()])), "insufficient_balance");
}

#[test]
fn rule_21_a_verdict_is_a_slash_for_the_slasher_and_for_the_record() {
    let world = &mut World::f0();
    judge(world, verdict(H1, 250 * E18, None)).unwrap();
    let [evidence, reason] = ["e", "r"].map(str::to_owned);
    let slash = provider::Action::ProviderSlash {
        provider: address(H1),
        amount: amount(1),
        evidence: Text::new(evidence).unwrap(),
        reason: Text::new(reason).unwrap(),
        job: None,
    };
    assert_eq!(world.no(S, slash.clone()), "slash_too_soon");
    assert_eq!(world.provider(H1).slashed_bps.millionths, 2_500_000_000);
    world.later(DAY);
    world.ok(S, slash);
    // The slasher's slash holds back no verdict.
    judge(world, verdict(H1, 1, None)).unwrap();
}

#[test]
fn rule_21_the_payer_of_a_named_job_is_compensated_after_unbonding() {
    let world = &mut World::f0();
    let (own, other) = (world.open(P1, opening(USD, E6, 5_000)), Opening { provider: H2, ..opening(USD, E6, 5_000) });
    let other = world.open(P2, other);
    assert_eq!(judge(world, verdict(H1, 101, Some(other))), Err("not_a_victim"));
    assert_eq!(judge(world, verdict(H1, 101, Some(99))), Err("unknown_job"));
    let slash = judge(world, verdict(H1, 101, Some(own))).unwrap();
    assert_eq!((slash.to_treasury.get(), slash.compensation.get(), slash.payer), (51, 50, Some(address(P1))));
    world.later(7 * DAY + 31);
    world.block();
    assert_eq!(world.held(P1, STK), 1_000 * E18 + 50);
}

#[test]
fn rule_21_a_verdict_has_a_form_a_provider_and_a_bond_that_is_not_free() {
    let world = &mut World::f0();
    let Measure::Slash { provider, amount, evidence, reason, job } = verdict(H1, E18, None) else { panic!() };
    let none = Measure::Slash { provider, amount, evidence: Text::default(), reason: reason.clone(), job };
    assert_eq!(judge(world, none), Err("text_empty"));
    let none = Measure::Slash { provider, amount, evidence, reason: Text::default(), job };
    assert_eq!(judge(world, none), Err("text_empty"));
    assert_eq!(judge(world, verdict(H1, 0, None)), Err("amount_out_of_range"));
    assert_eq!(judge(world, verdict(H3, E18, None)), Err("unknown_provider"));
    world.ok(H1, provider::Action::ProviderLeave {});
    world.later(7 * DAY - 1);
    judge(world, verdict(H1, E18, None)).unwrap();
    world.later(1);
    assert_eq!(judge(world, verdict(H1, E18, None)), Err("bond_free"));
    let (stranger, asked) = (tx::Action::Authority(propose(verdict(H2, E18, None))), world.provider(H2).bond);
    assert_eq!(world.no(S, stranger), "not_on_council");
    assert_eq!(world.provider(H2).bond, asked);
}

/// A market with a council of five, four of whom are 1 to 4.
fn world_of_five(params: &crate::state::Params) -> World {
    let mut world = World::f0_on(params);
    let four: Vec<u8> = vec![1, 2, 3, 4];
    let mut overlay = crate::state::Overlay::new(&world.chain.tree);
    crate::state::validators::found(&mut overlay, &crate::testing::members(&four)).unwrap();
    for seed in &four {
        crate::state::money::mint(&mut overlay, &address(*seed), AssetId::NATIVE, amount(1_000_000)).unwrap();
    }
    let delta = world.chain.tree.preview(overlay.into_changes());
    world.chain.tree.commit(delta).unwrap();
    world
}

#[test]
fn rule_21_the_payer_is_compensated_also_where_the_job_is_forgotten_before_the_verdict() {
    let world = &mut world_of_five(&crate::state::Params { retention_s: 10, ..params() });
    let job = world.open(P1, opening(USD, E6, 5_000));
    world.ok(1, tx::Action::Authority(propose(verdict(H1, 100, Some(job)))));
    world.ok(P1, complete(job));
    world.later(11);
    world.block();
    assert!(world.jobs(|_| true).is_empty());
    assert_eq!(world.no(1, tx::Action::Authority(propose(verdict(H1, 100, Some(job))))), "unknown_job");
    for voter in [2, 3] {
        world.ok(voter, tx::Action::Authority(vote(1, true)));
    }
    let events = world.ok(4, tx::Action::Authority(vote(1, true)));
    let Some(tx::Event::Authority(Event::BondSlashed { slash, .. })) = events.last() else { panic!("{events:?}") };
    assert_eq!((slash.amount.get(), slash.compensation.get(), slash.payer), (100, 50, Some(address(P1))));
    world.later(7 * DAY + 31);
    world.block();
    assert_eq!(world.held(P1, STK), 1_000 * E18 + 50);
}

#[test]
fn rule_21_a_verdict_that_comes_too_late_fails() {
    let world = &mut world_of_five(&params());
    world.ok(1, tx::Action::Authority(propose(verdict(H1, E18, None))));
    world.ok(H1, provider::Action::ProviderLeave {});
    world.ok(2, tx::Action::Authority(vote(1, true)));
    world.ok(3, tx::Action::Authority(vote(1, true)));
    assert_eq!(world.provider(H1).bond.get(), 1_000 * E18, "three of five are not enough");
    world.later(6 * DAY);
    world.ok(4, tx::Action::Authority(vote(1, true)));
    assert_eq!(world.provider(H1).bond.get(), 999 * E18, "leaving is slower than a vote");
    // By then somebody else has taken all there was.
    world.ok(1, tx::Action::Authority(propose(verdict(H2, 10u128.pow(30), None))));
    world.ok(2, tx::Action::Authority(propose(verdict(H2, E18, None))));
    for (seed, id) in [(2, 2), (3, 2), (4, 2), (1, 3), (4, 3)] {
        world.ok(seed, tx::Action::Authority(vote(id, true)));
    }
    assert_eq!(world.provider(H2).bond, Amount::ZERO);
    world.ok(3, tx::Action::Authority(vote(3, true)));
    assert_eq!(status(&world.chain, 3), Status::Failed { number: NOTHING_TO_SLASH.number });
}

#[test]
fn rule_21_in_words_and_json() {
    let measure = verdict(H1, 5, Some(7));
    let expected = format!(
        "slash the bond of {} by 5 base units of stake, or all of it if there is less, for \"cheated\", evidence \
         \"ipfs://e\", for the payer of job 7",
        address(H1)
    );
    assert_eq!(measure.text(), expected);
    assert_eq!(measure.account(), Some(address(H1)));
    let json = serde_json::to_value(&measure).unwrap();
    assert_eq!(json["kind"], "slash");
    assert_eq!(serde_json::from_value::<Measure>(json).unwrap(), measure);
    let bytes = crate::codec::encode(&measure);
    assert_eq!((bytes[0], crate::codec::decode::<Measure>(&bytes, 1_000)), (9, Ok(measure)));
}
