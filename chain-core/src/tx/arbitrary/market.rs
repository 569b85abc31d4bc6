//! Arbitrary actions of the market's families, delegates and the council's measures among them: every field of
//! every action, of right and of wrong form. What they are about rarely exists; histories in which it does are in
//! `testing::market`.
#![allow(clippy::unwrap_used)]

use crate::codec::{List, Text};
use crate::crypto::{Hash, PublicKey};
use crate::state::Role;
use crate::state::market::grant::{Allowance, Scope};
use crate::state::market::job::{Funding, Handover, Mode};
use crate::state::market::model::ModelSpec;
use crate::state::market::post::Requirements;
use crate::state::market::provider::{DisputeTerms, OfferTerms, Profile};
use crate::state::market::terms::AssetTerms;
use crate::testing::{address, key};
use crate::tx::{Action, account, authority, dispute, job, market, model, provider, receipt};
use crate::types::{
    Ack, Acknowledged, Address, Amount, AssetId, JobId, ModelId, ModelProposalId, ModuleAccount, Price, ProposalId,
    TimestampMs, UnitKind, Units,
};
use proptest::prelude::*;

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    let texts = prop_oneof![6 => "[a-z\"\\\\é\u{202e}]{1,6}", 1 => Just(String::new()), 1 => Just("x".repeat(MAX))];
    texts.prop_map(|text| Text::new(text).unwrap())
}

fn list<T: Clone + std::fmt::Debug, const MAX: usize>(
    of: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = List<T, MAX>> {
    prop::collection::vec(of, 0..=most.min(MAX)).prop_map(|items| List::new(items).unwrap())
}

fn accounts() -> impl Strategy<Value = Address> {
    let treasury = Just(ModuleAccount::Treasury.address());
    prop_oneof![12 => (1u8..=9).prop_map(address), 1 => Just(Address::default()), 1 => treasury]
}

fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![6 => 1u128..5_000, 1 => Just(0), 1 => 0..=10u128.pow(30) + 1, 1 => any::<u128>()].prop_map(Amount::new)
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0u64..9, 1 => any::<u64>()]
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..4_000, 1 => any::<u32>()]
}

fn hashes() -> impl Strategy<Value = Hash> {
    prop_oneof![1 => any::<[u8; 32]>(), 3 => (0u8..4).prop_map(|byte| [byte; 32])].prop_map(Hash)
}

fn models() -> impl Strategy<Value = ModelId> {
    hashes().prop_map(ModelId)
}

fn assets() -> impl Strategy<Value = AssetId> {
    prop_oneof![9 => 0u32..4, 1 => any::<u32>()].prop_map(AssetId::new)
}

fn unit_kinds() -> impl Strategy<Value = UnitKind> {
    prop::sample::select(vec![UnitKind::Tokens, UnitKind::Images, UnitKind::Seconds, UnitKind::Requests])
}

fn prices() -> impl Strategy<Value = Price> {
    amounts().prop_map(|price| Price::new(price.get()))
}

fn units() -> impl Strategy<Value = Units> {
    numbers().prop_map(Units::new)
}

fn jobs() -> impl Strategy<Value = JobId> {
    numbers().prop_map(JobId::new)
}

fn some<T: Clone + std::fmt::Debug>(of: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<T>> {
    prop::option::of(of).boxed()
}

fn specs() -> impl Strategy<Value = ModelSpec> {
    let spec = |(repo, file, weights, format)| ModelSpec { repo, file, weights, format };
    (text(), text(), hashes(), text()).prop_map(spec)
}

fn of_models() -> impl Strategy<Value = model::Action> {
    use model::Action::*;
    let proposals = || numbers().prop_map(ModelProposalId::new);
    prop_oneof![
        list(specs(), 4).prop_map(|models| ModelCurate { models }),
        specs().prop_map(|model| ModelPropose { model }),
        (proposals(), amounts()).prop_map(|(proposal, amount)| ModelVote { proposal, amount }),
        proposals().prop_map(|proposal| ModelFinalize { proposal }),
        proposals().prop_map(|proposal| ModelVoteUnlock { proposal }),
        (models(), any::<bool>()).prop_map(|(model, active)| ModelSetActive { model, active }),
        (models(), some(any::<u32>())).prop_map(|(model, rate)| ModelSetRate { model, rate }),
    ]
}

fn profiles() -> impl Strategy<Value = Profile> {
    let texts = (text(), text(), text(), text(), text(), text());
    (texts, hashes(), list(models(), 4)).prop_map(|(texts, encryption_key, models)| {
        let (name, endpoint, region, hardware, class, metadata) = texts;
        Profile { name, endpoint, region, hardware, encryption_key, class, metadata, models }
    })
}

fn terms_of_offers() -> impl Strategy<Value = OfferTerms> {
    let judges = (list(accounts(), 7), 0u8..9, any::<u16>());
    (prices(), any::<u32>(), units(), judges, seconds()).prop_map(|(price, slots, quantum, judges, valid_s)| {
        let (arbiters, arbiters_needed, no_verdict_provider_bps) = judges;
        OfferTerms { price, slots, quantum, arbiters, arbiters_needed, no_verdict_provider_bps, valid_s }
    })
}

fn of_providers() -> impl Strategy<Value = provider::Action> {
    use provider::Action::*;
    let who = || (profiles(), some(accounts()), some(accounts()));
    let slash = (accounts(), amounts(), text(), text(), some(jobs()));
    prop_oneof![
        who().prop_map(|(profile, payout, operator)| ProviderRegister { profile, payout, operator }),
        who().prop_map(|(profile, payout, operator)| ProviderUpdate { profile, payout, operator }),
        amounts().prop_map(|amount| ProviderBondAdd { amount }),
        Just(ProviderLeave {}),
        Just(ProviderBondWithdraw {}),
        slash.prop_map(|(provider, amount, evidence, reason, job)| ProviderSlash {
            provider,
            amount,
            evidence,
            reason,
            job
        }),
        (models(), assets(), unit_kinds(), terms_of_offers())
            .prop_map(|(model, asset, unit_kind, terms)| OfferPublish { model, asset, unit_kind, terms }),
        (models(), assets(), unit_kinds()).prop_map(|(model, asset, unit_kind)| OfferWithdraw {
            model,
            asset,
            unit_kind
        }),
        accounts().prop_map(|provider| Heartbeat { provider }),
    ]
}

fn terms_of_assets() -> impl Strategy<Value = AssetTerms> {
    (any::<bool>(), amounts(), amounts(), prices(), prices()).prop_map(
        |(accepted, min_deposit, max_deposit, min_price, max_price)| AssetTerms {
            accepted,
            min_deposit,
            max_deposit,
            min_price,
            max_price,
        },
    )
}

fn of_the_market() -> impl Strategy<Value = market::Action> {
    use market::{Action::*, Item, Pot};
    let item = (assets(), some(amounts())).prop_map(|(asset, amount)| Item { asset, amount });
    let pot = prop_oneof![Just(Pot::Treasury), Just(Pot::RejectedPool)];
    prop_oneof![
        text().prop_map(|reason| MarketPause { reason }),
        text().prop_map(|reason| MarketUnpause { reason }),
        (assets(), terms_of_assets()).prop_map(|(asset, terms)| AssetTermsSet { asset, terms }),
        (assets(), amounts()).prop_map(|(asset, amount)| MarketDeposit { asset, amount }),
        (assets(), amounts()).prop_map(|(asset, amount)| MarketWithdraw { asset, amount }),
        list(item, 5).prop_map(|items| EarningsWithdraw { items }),
        (pot, assets(), some(amounts())).prop_map(|(pot, asset, amount)| TreasuryWithdraw { pot, asset, amount }),
    ]
}

fn fundings() -> impl Strategy<Value = Funding> {
    prop_oneof![
        Just(Funding::Wallet {}),
        Just(Funding::Prepaid {}),
        accounts().prop_map(|payer| Funding::OnBehalf { payer })
    ]
}

fn modes() -> impl Strategy<Value = Mode> {
    let ack_key = prop_oneof![9 => (1u8..=9).prop_map(|seed| key(seed).public()), 1 => Just(PublicKey([0; 32]))];
    prop_oneof![
        units().prop_map(|proof_interval| Mode::ProviderClaims { proof_interval }),
        (units(), ack_key).prop_map(|(quantum, ack_key)| Mode::ClientAcks { quantum, ack_key }),
    ]
}

fn openings() -> impl Strategy<Value = job::Action> {
    let what = (accounts(), models(), assets(), unit_kinds(), amounts(), prices());
    let rest = (some(hashes()), some(text()));
    (fundings(), what, seconds(), seconds(), modes(), rest).prop_map(
        |(funding, what, duration_s, silence_s, mode, (dispute_terms, client_ref))| {
            let (provider, model, asset, unit_kind, deposit, price) = what;
            job::Action::JobOpen(job::Opening {
                funding,
                provider,
                model,
                asset,
                unit_kind,
                deposit,
                price,
                duration_s,
                silence_s,
                mode,
                dispute_terms,
                client_ref,
            })
        },
    )
}

fn postings() -> impl Strategy<Value = job::Action> {
    let what = (models(), assets(), unit_kinds(), amounts(), prices());
    let requirements = (text(), text(), amounts(), any::<u16>())
        .prop_map(|(region, class, min_bond, min_score_bps)| Requirements { region, class, min_bond, min_score_bps });
    (fundings(), what, (seconds(), seconds(), seconds()), modes(), requirements, some(text())).prop_map(
        |(funding, what, (duration_s, silence_s, bidding_s), mode, requirements, client_ref)| {
            let (model, asset, unit_kind, deposit, max_price) = what;
            job::Action::JobPost(job::Posting {
                funding,
                model,
                asset,
                unit_kind,
                deposit,
                max_price,
                duration_s,
                silence_s,
                mode,
                bidding_s,
                requirements,
                client_ref,
            })
        },
    )
}

fn disputes() -> impl Strategy<Value = DisputeTerms> {
    (list(accounts(), 3), 0u8..4, any::<u16>()).prop_map(|(arbiters, arbiters_needed, no_verdict_provider_bps)| {
        DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps }
    })
}

fn of_jobs() -> impl Strategy<Value = job::Action> {
    use job::Action::*;
    let handover = (accounts(), prices(), units(), some(hashes()))
        .prop_map(|(to, price, max_units, dispute_terms)| Handover { to, price, max_units, dispute_terms });
    prop_oneof![
        3 => openings(),
        2 => postings(),
        1 => (jobs(), amounts()).prop_map(|(job, amount)| JobTopUp { job, amount }),
        1 => jobs().prop_map(|job| JobDecline { job }),
        1 => (jobs(), units()).prop_map(|(job, max_units)| JobComplete { job, max_units }),
        1 => jobs().prop_map(|job| JobExpire { job }),
        1 => jobs().prop_map(|job| JobCancel { job }),
        1 => (jobs(), prices(), units(), disputes())
            .prop_map(|(job, price, quantum, disputes)| BidPlace { job, price, quantum, disputes }),
        1 => (jobs(), accounts(), prices(), some(hashes()))
            .prop_map(|(job, provider, price, dispute_terms)| BidAccept { job, provider, price, dispute_terms }),
        1 => (jobs(), some(handover)).prop_map(|(job, handover)| JobHandoverOffer { job, handover }),
        1 => (jobs(), prices()).prop_map(|(job, price)| JobHandoverAccept { job, price }),
    ]
}

fn acks() -> impl Strategy<Value = Ack> {
    ((jobs(), 0u32..2, accounts(), units()), 1u8..=9, any::<bool>()).prop_map(|(said, seed, forged)| {
        let (job, leg, provider, cumulative_units) = said;
        let said = Acknowledged { job, leg, provider, cumulative_units };
        let ack = said.sign(&crate::testing::chain(), &key(seed));
        Ack { acknowledged: Acknowledged { leg: leg + u32::from(forged), ..said }, ..ack }
    })
}

fn of_disputes() -> impl Strategy<Value = dispute::Action> {
    use dispute::Action::*;
    prop_oneof![
        (jobs(), units()).prop_map(|(job, from)| DisputeOpen { job, from }),
        (jobs(), some(acks())).prop_map(|(job, ack)| DisputeRespond { job, ack }),
        (jobs(), any::<bool>()).prop_map(|(job, for_provider)| DisputeVote { job, for_provider }),
    ]
}

fn receipts() -> impl Strategy<Value = receipt::Action> {
    use receipt::{Receipt, WorkOutcome};
    let outcome =
        prop_oneof![Just(WorkOutcome::Ok {}), any::<u16>().prop_map(|code| WorkOutcome::Failed { code })].boxed();
    let place = (prop_oneof![9 => Just(2u8), 1 => any::<u8>()], jobs(), 0u32..2, numbers(), hashes());
    let work = (units(), unit_kinds(), models(), hashes(), hashes());
    (place, work, (any::<u64>(), any::<u64>()), outcome, text(), some(acks())).prop_map(
        |(place, work, (started, finished), outcome, content_ref, ack)| {
            let (version, job, leg, seq, previous) = place;
            let (cumulative_units, unit_kind, model, input_hash, output_hash) = work;
            let (started, finished) = (TimestampMs::new(started), TimestampMs::new(finished));
            let receipt = Receipt {
                version,
                job,
                leg,
                seq,
                previous,
                cumulative_units,
                unit_kind,
                model,
                input_hash,
                output_hash,
                started,
                finished,
                outcome,
                content_ref,
            };
            receipt::Action::ReceiptSubmit { receipt, ack }
        },
    )
}

fn of_delegates() -> impl Strategy<Value = account::Action> {
    let allowance = (assets(), some(prices()), amounts(), amounts())
        .prop_map(|(asset, max_price, max_job, max_total)| Allowance { asset, max_price, max_job, max_total });
    let expires = some(any::<u64>().prop_map(TimestampMs::new));
    let scope = (list(accounts(), 3), list(models(), 3), list(allowance, 3), expires)
        .prop_map(|(providers, models, assets, expires_at)| Scope { providers, models, assets, expires_at });
    prop_oneof![
        2 => (accounts(), scope, any::<bool>())
            .prop_map(|(delegate, scope, reset_spent)| account::Action::DelegateSet { delegate, scope, reset_spent }),
        1 => accounts().prop_map(|delegate| account::Action::DelegateRevoke { delegate }),
    ]
}

fn of_the_council() -> impl Strategy<Value = authority::Action> {
    use authority::{Action::*, Measure};
    let keys = || (1u8..=9).prop_map(|seed| key(seed).public());
    let slash = (accounts(), amounts(), text(), text(), some(jobs()));
    let role = (prop::sample::select(Role::ALL.to_vec()), some(accounts()));
    let measure = prop_oneof![
        slash.prop_map(|(provider, amount, evidence, reason, job)| Measure::Slash {
            provider,
            amount,
            evidence,
            reason,
            job
        }),
        role.prop_map(|(role, account)| Measure::Role { role, account }),
        keys().prop_map(|public_key| Measure::Jail { public_key }),
        (text(), any::<u128>()).prop_map(|(name, value)| Measure::Parameter { name, value }),
        numbers().prop_map(|id| Measure::Withdraw { proposal: ProposalId::new(id) }),
    ];
    prop_oneof![
        2 => measure.prop_map(|measure| CouncilPropose { measure }),
        1 => (numbers(), any::<bool>())
            .prop_map(|(id, approve)| CouncilVote { proposal: ProposalId::new(id), approve }),
    ]
}

/// An arbitrary action of the market, of a delegate or of the council.
pub(crate) fn market_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => of_models().prop_map(Action::Model),
        3 => of_providers().prop_map(Action::Provider),
        3 => of_the_market().prop_map(Action::Market),
        3 => of_jobs().prop_map(Action::Job),
        1 => receipts().prop_map(Action::Receipt),
        1 => of_delegates().prop_map(Action::Account),
        1 => of_disputes().prop_map(Action::Dispute),
        1 => of_the_council().prop_map(Action::Authority),
    ]
}
