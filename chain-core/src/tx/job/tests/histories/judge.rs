//! What an accepted action may do, in the referee's words: who may ask for it and when, and which money it moves.
//! An action the chain accepts and the referee does not is a broken rule; so is any other amount.
//!
//! Not here: the books (`books`), what the chain may refuse.

use super::books::{Allowed, Asked, Books, Deal, Place, Stage, Worker};
use super::{Audit, must};
use crate::state::market::grant::Scope;
use crate::state::market::job::{Funding, Mode};
use crate::state::market::settle::Cause;
use crate::testing::market::{COUNCIL, CURATOR, SLASHER, TREASURER};
use crate::testing::{FEE, PROPOSER, Signer, address, chain};
use crate::tx::receipt::WorkOutcome;
use crate::tx::{self, Action, Event, account, authority, job, market, model, provider, receipt};
use crate::types::{Address, AssetId, JobId, UnitKind};
use std::collections::{BTreeMap, BTreeSet};

const NATIVE: AssetId = AssetId::NATIVE;
const STAKE: AssetId = AssetId::new(2);

/// What the sender burned besides the fee, as the events say.
fn row_fees(events: &[Event]) -> u128 {
    let one = |event: &Event| match event {
        Event::Job(job::Event::JobOpened { row_fee, .. })
        | Event::Model(model::Event::ModelVoted { row_fee, .. })
        | Event::Market(market::Event::MarketDeposited { row_fee, .. })
        | Event::Account(account::Event::DelegateSet { row_fee, .. })
        | Event::Provider(
            provider::Event::ProviderRegistered { row_fee, .. }
            | provider::Event::ProviderUpdated { row_fee, .. }
            | provider::Event::OfferPublished { row_fee, .. },
        ) => row_fee.get(),
        _ => 0,
    };
    events.iter().map(one).sum()
}

impl Books {
    /// A transaction is in the block: its fee is paid, whatever became of it.
    pub fn charge(&mut self, sender: Address, signer: &Signer) -> Audit {
        let (own, signs) = (self.keys.get(&sender).copied().unwrap_or_default(), signer.authority());
        let derives = signer.address() == sender;
        let may = own == signs || (own == Default::default() && derives);
        must(may, || format!("{signer:?} signed for {sender}, for whom {own:?} signs"))?;
        self.consents.insert(sender);
        self.fees += FEE.get();
        self.take(Place::Account(sender), NATIVE, FEE.get())
    }

    /// An action was carried out.
    pub fn accept(&mut self, by: Address, action: &Action, events: &[Event]) -> Audit {
        let (burned, once) = (row_fees(events), self.params.account_fee.get());
        let most = match action {
            Action::Job(job::Action::JobOpen(wish)) => {
                let fees = once + if wish.client_ref.is_some() { once } else { 0 };
                must(burned == fees, || format!("an opening burns {burned}, not {fees}"))?;
                fees
            }
            _ => once,
        };
        must(burned == 0 || burned == most, || format!("{burned} burned for rows"))?;
        self.take(Place::Account(by), NATIVE, burned)?;
        self.burned += burned;
        events.iter().try_for_each(|event| self.check_victim(event))?;
        match action {
            Action::Model(action) => self.accept_model(by, action, events),
            Action::Provider(action) => self.accept_provider(by, action),
            Action::Market(action) => self.accept_market(by, action),
            Action::Job(action) => self.accept_job(by, action),
            Action::Receipt(receipt::Action::ReceiptSubmit { receipt, .. }) => self.accept_receipt(by, receipt),
            Action::Account(action) => self.accept_account(by, action),
            Action::Authority(action) => self.accept_council(by, action, events),
            other => Err(format!("{other:?} is none of a history")),
        }
    }

    /// What the block does by itself, in its order: compensations, then jobs, then what is forgotten.
    pub fn end(&mut self) -> Audit {
        let burned = self.fees * u128::from(self.params.burn_bps) / 10_000;
        self.burned += burned;
        self.put(Place::Account(address(PROPOSER)), NATIVE, self.fees - burned);
        let owed = |place: &Place| match place {
            Place::Owed(at, job) if *at <= self.now => Some((*at, *job)),
            _ => None,
        };
        let due: Vec<_> = self.money.keys().filter_map(|(place, _)| owed(place)).collect();
        for (at, job) in due {
            let amount = self.held(Place::Owed(at, job), STAKE);
            let payer = self.owed_to.get(&(at, job)).copied().ok_or("a compensation of nobody")?;
            self.pay(Place::Owed(at, job), Place::Account(payer), STAKE, amount)?;
        }
        let is_due = |deal: &Deal| deal.settled.is_none() && deal.due() <= self.now;
        let due: Vec<_> = self.jobs.iter().filter(|(_, deal)| is_due(deal)).map(|(id, _)| *id).collect();
        for id in due {
            self.settle(id, false)?;
        }
        let now = self.now;
        self.jobs.retain(|_, deal| deal.settled.is_none() || deal.forgotten > now);
        Ok(())
    }

    fn is_open_market(&self) -> Audit {
        must(self.paused_until.is_none(), || "while the market is paused".into())
    }

    fn works(&self, by: Address, provider: Address) -> bool {
        by == provider || self.workers.get(&provider).is_some_and(|worker| worker.operator == Some(by))
    }

    fn deal(&self, id: JobId) -> Result<Deal, String> {
        let deal = self.jobs.get(&id.get()).filter(|deal| deal.settled.is_none()).cloned();
        deal.ok_or_else(|| format!("job {id} does not go on"))
    }

    // Jobs.

    fn accept_job(&mut self, by: Address, action: &job::Action) -> Audit {
        match action {
            job::Action::JobOpen(wish) => self.open(by, wish),
            job::Action::JobTopUp { job, amount } => {
                let deal = self.deal(*job)?;
                self.is_open_market()?;
                must(self.now <= deal.until(), || format!("{job} is over"))?;
                let (whole, now) = (deal.deposit + amount.get(), amount.get());
                self.spend(by, deal.payer, (deal.provider, deal.model), (deal.asset, deal.price, now, whole))?;
                self.pay(Place::Account(deal.payer), Place::Escrow(job.get()), deal.asset, now)?;
                self.jobs.insert(job.get(), Deal { deposit: whole, ..deal });
                Ok(())
            }
            job::Action::JobDecline { job } => {
                let deal = self.deal(*job)?;
                must(self.works(by, deal.provider), || format!("{by} declines {job}"))?;
                must(deal.claims.is_empty() && self.now <= deal.until(), || format!("too late to decline {job}"))?;
                self.settle(job.get(), false)
            }
            job::Action::JobComplete { job, max_units } => {
                let deal = self.deal(*job)?;
                must(self.now < deal.due() && deal.used() <= max_units.get(), || format!("{job} is due"))?;
                if by == deal.payer {
                    return self.settle(job.get(), true);
                }
                must(self.works(by, deal.provider), || format!("{by} completes {job}"))?;
                let last = deal.claims.last().map_or(deal.started, |(at, _)| *at);
                must(self.now >= last + deal.window_ms, || format!("{job} has a young claim"))?;
                self.settle(job.get(), false)
            }
            job::Action::JobExpire { job } => {
                let deal = self.deal(*job)?;
                must(self.now >= deal.due(), || format!("{job} is not due before {}", deal.due()))?;
                self.settle(job.get(), false)
            }
            other => Err(format!("{other:?} is none of a history")),
        }
    }

    fn open(&mut self, by: Address, wish: &job::Opening) -> Audit {
        self.is_open_market()?;
        let (payer, from) = match wish.funding {
            Funding::Wallet {} => (by, Place::Account(by)),
            Funding::Prepaid {} => (by, Place::Prepaid(by)),
            Funding::OnBehalf { payer } => (payer, Place::Account(payer)),
        };
        let (price, deposit) = (wish.price.get(), wish.deposit.get());
        self.spend(by, payer, (wish.provider, wish.model), (wish.asset, price, deposit, deposit))?;
        let times = wish.duration_s >= 1 && (60..=3_600).contains(&wish.silence_s);
        must(times, || format!("{} s, {} s of silence", wish.duration_s, wish.silence_s))?;
        let name = wish.client_ref.as_ref().map(|name| name.to_string());
        let twice = self.jobs.values().any(|deal| name.is_some() && deal.opener == by && deal.name == name);
        must(!twice, || format!("{name:?} of {by} is there"))?;
        let worker = self.workers.get_mut(&wish.provider).filter(|worker| worker.stage == Stage::Active);
        let worker = worker.ok_or_else(|| format!("{} takes no jobs", wish.provider))?;
        worker.open += 1;
        let (payout, market) = (worker.payout, &self.params.market);
        let rate = self.models.get(&wish.model).ok_or("an unknown model")?.unwrap_or(market.rate);
        let divisor = if wish.unit_kind == UnitKind::Tokens { 1 } else { 100 };
        let Mode::ProviderClaims { proof_interval } = wish.mode else {
            return Err(format!("{:?} is none of a history", wish.mode));
        };
        let deal = Deal {
            payer,
            opener: by,
            provider: wish.provider,
            payout,
            model: wish.model,
            asset: wish.asset,
            unit_kind: wish.unit_kind,
            price,
            deposit,
            interval: proof_interval.get(),
            fee_bps: market.fee_bps.into(),
            window_ms: u64::from(market.window_s) * 1_000,
            rate: u64::from(rate / divisor).max(1),
            burst_ms: u64::from(market.burst_s) * 1_000,
            min_claim: u64::from(market.min_claim / divisor).max(1),
            early_units: (market.early_cancel_units / divisor).into(),
            started: self.now,
            duration_ms: u64::from(wish.duration_s) * 1_000,
            silence_ms: u64::from(wish.silence_s) * 1_000,
            name,
            claims: vec![],
            last: (0, crate::crypto::Hash::ZERO),
            settled: None,
            forgotten: 0,
        };
        let reachable = deal.interval >= deal.min_claim
            && u128::from(deal.interval) * price <= deposit * 1_000
            && Deal { started: 0, ..deal.clone() }.allows(deal.duration_ms.min(deal.silence_ms), deal.interval);
        must(reachable, || format!("no claim of {} units can come in time", deal.interval))?;
        let id = self.next_job;
        self.next_job += 1;
        self.pay(from, Place::Escrow(id), wish.asset, deposit)?;
        self.jobs.insert(id, deal);
        Ok(())
    }

    /// Whoever spends another's money has a grant of who signs for him now, and stays within it.
    fn spend(
        &mut self,
        by: Address,
        payer: Address,
        (provider, model): (Address, crate::types::ModelId),
        (asset, price, amount, whole): (AssetId, u128, u128, u128),
    ) -> Audit {
        if by == payer {
            return Ok(());
        }
        let signs = self.keys.get(&payer).copied().unwrap_or_default();
        let at = self.at;
        let grant = self.grants.get_mut(&(payer, by)).ok_or_else(|| format!("{by} has no grant of {payer}"))?;
        let Scope { providers, models, assets, expires_at } = &grant.scope;
        let limit = assets.iter().find(|limit| limit.asset == asset).ok_or("a grant of other money")?;
        let spent = grant.spent.get(&asset).copied().unwrap_or_default() + amount;
        let within = grant.by == signs
            && expires_at.is_none_or(|until| at <= until.get())
            && (providers.is_empty() || providers.contains(&provider))
            && (models.is_empty() || models.contains(&model))
            && limit.max_price.is_none_or(|most| price <= most.get())
            && whole <= limit.max_job.get()
            && spent <= limit.max_total.get();
        must(within, || format!("{by} spends {amount} of {payer} beyond {:?}, after {spent}", grant.scope))?;
        grant.spent.insert(asset, spent);
        self.consents.insert(payer);
        Ok(())
    }

    fn accept_receipt(&mut self, by: Address, receipt: &receipt::Receipt) -> Audit {
        let mut deal = self.deal(receipt.job)?;
        let id = receipt.job;
        self.is_open_market()?;
        must(self.works(by, deal.provider), || format!("{by} claims for {id}"))?;
        must(self.now <= deal.until(), || format!("{id} is over"))?;
        let about = (receipt.leg, receipt.model, receipt.unit_kind) == (0, deal.model, deal.unit_kind);
        let next = (receipt.seq, receipt.previous) == (deal.last.0 + 1, deal.last.1);
        must(about && next && receipt.version == 2, || format!("{receipt:?} after {:?}", deal.last))?;
        let more = receipt.cumulative_units.get().checked_sub(deal.used()).ok_or("units become fewer")?;
        if let WorkOutcome::Failed { .. } = receipt.outcome {
            must(more == 0, || format!("{more} units of work that failed"))?;
        } else {
            let is_paid = |units: u64| u128::from(units) * deal.price <= deal.deposit * 1_000;
            let all = receipt.cumulative_units.get();
            let is_last = !is_paid(all.saturating_add(1));
            let first = if deal.claims.is_empty() { deal.interval } else { 1 };
            let enough = more >= first && (is_last || more >= deal.min_claim);
            must(is_paid(all) && enough, || format!("{more} units for {id}: {deal:?}"))?;
            must(deal.allows(self.now, more), || format!("{more} units for {id} by {}: {deal:?}", self.now))?;
            deal.claims.push((self.now, more));
        }
        deal.last = (receipt.seq, receipt.hash(&chain()));
        self.jobs.insert(id.get(), deal);
        Ok(())
    }

    /// A job is paid out; `early`: its payer ended it.
    fn settle(&mut self, id: u64, early: bool) -> Audit {
        let deal = self.jobs.get_mut(&id).ok_or("a job that is not there")?;
        let units = if deal.claims.is_empty() { 0 } else { deal.used().max(deal.interval) };
        let gross = u128::from(units) * deal.price / 1_000;
        must(gross <= deal.deposit, || format!("job {id} costs {gross}"))?;
        let fee = gross * deal.fee_bps / 10_000;
        let unused = early && deal.claims.is_empty();
        let early_fee = (deal.early_units * deal.price / 1_000).min(deal.deposit / 10);
        let early_fee = if unused { early_fee } else { 0 };
        let refund = deal.deposit - gross - early_fee;
        (deal.settled, deal.forgotten) = (Some(self.now), self.now + u64::from(self.params.retention_s) * 1_000);
        let Deal { payer, payout, provider, asset, .. } = *deal;
        self.pay(Place::Escrow(id), Place::Treasury, asset, fee)?;
        self.pay(Place::Escrow(id), Place::Earnings(payout), asset, gross - fee + early_fee)?;
        self.pay(Place::Escrow(id), Place::Account(payer), asset, refund)?;
        let worker = self.workers.get_mut(&provider).ok_or("a job of no provider")?;
        worker.open -= 1;
        self.wait(provider)
    }

    // Providers.

    /// The bond of who left and has no jobs begins to wait.
    fn wait(&mut self, who: Address) -> Audit {
        let free = self.now + u64::from(self.params.market.provider_unbonding_s) * 1_000;
        let worker = self.workers.get_mut(&who).ok_or("no provider")?;
        if matches!(worker.stage, Stage::Leaving | Stage::Removed) && worker.open == 0 && worker.free.is_none() {
            worker.free = Some(free);
        }
        Ok(())
    }

    fn accept_provider(&mut self, by: Address, action: &provider::Action) -> Audit {
        use provider::Action::*;
        let known = self.workers.get(&by).filter(|worker| worker.stage != Stage::Gone).cloned();
        let own = || known.clone().ok_or_else(|| format!("{by} is no provider"));
        let active = || own().ok().filter(|worker| worker.stage == Stage::Active).ok_or(format!("{by} is not active"));
        match action {
            ProviderRegister { payout, operator, .. } => {
                must(known.is_none(), || format!("{by} registers twice"))?;
                let slashed = self.workers.get(&by).and_then(|worker| worker.slashed);
                let (payout, stage, free) = (payout.unwrap_or(by), Stage::Active, None);
                self.workers.insert(by, Worker { stage, payout, operator: *operator, open: 0, free, slashed });
                self.pay(Place::Account(by), Place::Bond(by), STAKE, self.params.market.min_bond.get())
            }
            ProviderUpdate { payout, operator, .. } => {
                self.workers.insert(by, Worker { payout: payout.unwrap_or(by), operator: *operator, ..own()? });
                Ok(())
            }
            ProviderBondAdd { amount } => {
                active()?;
                self.pay(Place::Account(by), Place::Bond(by), STAKE, amount.get())
            }
            ProviderLeave {} => {
                self.workers.insert(by, Worker { stage: Stage::Leaving, ..active()? });
                self.wait(by)
            }
            ProviderBondWithdraw {} => {
                let worker = own()?;
                let free = worker.open == 0 && worker.free.is_some_and(|free| self.now >= free);
                must(free && worker.stage != Stage::Active, || format!("the bond of {worker:?} at {}", self.now))?;
                self.workers.insert(by, Worker { stage: Stage::Gone, operator: None, free: None, ..worker });
                let bond = self.held(Place::Bond(by), STAKE);
                self.pay(Place::Bond(by), Place::Account(by), STAKE, bond)
            }
            ProviderSlash { provider, amount, job, .. } => {
                must(by == address(SLASHER), || format!("{by} slashes"))?;
                let worker = self.workers.get(provider).cloned().ok_or("slashes nobody")?;
                let (bond, market) = (self.held(Place::Bond(*provider), STAKE), &self.params.market);
                let soon = worker.slashed.is_some_and(|at| self.now < at + u64::from(market.slash_cooldown_s) * 1_000);
                let most = bond * u128::from(market.slash_max_bps) / 10_000;
                must(!soon && amount.get() <= most, || format!("{amount} of {bond}, {worker:?}"))?;
                let is_known = job.is_none_or(|job| self.jobs.contains_key(&job.get()));
                must(is_known, || format!("a slash for {job:?}"))?;
                self.slash(*provider, amount.get(), *job)
            }
            OfferPublish { .. } => active().map(drop),
            OfferWithdraw { .. } => own().map(drop),
            Heartbeat { provider } => must(self.works(by, *provider), || format!("{by} beats for {provider}")),
        }
    }

    /// What an event says of a slash: it compensates the payer of the job that is named.
    fn check_victim(&self, event: &Event) -> Audit {
        let (job, payer) = match event {
            Event::Provider(provider::Event::ProviderSlashed { job, payer, .. }) => (job, payer),
            Event::Authority(authority::Event::BondSlashed { slash, .. }) => (&slash.job, &slash.payer),
            _ => return Ok(()),
        };
        let victim = job.and_then(|job| self.named_job(job)).map(|deal| deal.payer);
        must(*payer == victim, || format!("{payer:?} instead of {victim:?} of {job:?}"))
    }

    /// A job that is there, or was when a verdict naming it was proposed.
    fn named_job(&self, job: JobId) -> Option<&Deal> {
        self.jobs.get(&job.get()).or_else(|| self.named.get(&job.get()))
    }

    fn slash(&mut self, who: Address, amount: u128, job: Option<JobId>) -> Audit {
        let worker = self.workers.get(&who).cloned().ok_or("slashes nobody")?;
        let waits = worker.free.is_none_or(|free| self.now < free) && worker.stage != Stage::Gone;
        must(waits, || format!("{worker:?} is slashed at {}", self.now))?;
        let market = self.params.market;
        self.take(Place::Bond(who), STAKE, amount)?;
        let mut compensation = 0;
        if let Some(job) = job {
            let deal = self.named_job(job).ok_or("for a job nobody knows")?;
            must(deal.provider == who && deal.payer != who, || format!("{who} is slashed for {job}"))?;
            compensation = amount * u128::from(market.victim_bps) / 10_000;
            let window_ms = deal.window_ms.max(u64::from(market.window_s) * 1_000);
            let at = self.now + window_ms + u64::from(market.provider_unbonding_s) * 1_000 + 1;
            let payer = deal.payer;
            self.owed_to.insert((at, job.get()), payer);
            self.put(Place::Owed(at, job.get()), STAKE, compensation);
        }
        self.put(Place::Treasury, STAKE, amount - compensation);
        self.consents.insert(who);
        let below = self.held(Place::Bond(who), STAKE) < market.bond_floor.get();
        let stage = if below { Stage::Removed } else { worker.stage };
        self.workers.insert(who, Worker { stage, slashed: Some(self.now), ..worker });
        self.wait(who)
    }

    // The council.

    fn accept_council(&mut self, by: Address, action: &authority::Action, events: &[Event]) -> Audit {
        must(COUNCIL.iter().any(|seed| address(*seed) == by), || format!("{by} decides"))?;
        for event in events {
            match event {
                Event::Authority(authority::Event::ProposalOpened { proposal, measure, .. }) => {
                    self.measures.insert(proposal.get(), (measure.clone(), BTreeSet::from([by])));
                    if let authority::Measure::Slash { job: Some(job), .. } = measure {
                        let deal = self.jobs.get(&job.get()).cloned().ok_or("a verdict for a job nobody knows")?;
                        self.named.insert(job.get(), deal);
                    }
                }
                Event::Authority(authority::Event::BondSlashed { proposal, slash, .. }) => {
                    if let authority::Action::CouncilVote { approve: true, .. } = action {
                        self.measures.entry(proposal.get()).and_modify(|(_, yes)| {
                            yes.insert(by);
                        });
                    }
                    let (measure, yes) = self.measures.get(&proposal.get()).ok_or("a verdict nobody asked for")?;
                    must(3 * yes.len() > 2 * COUNCIL.len(), || format!("{measure:?} by {}", yes.len()))?;
                    let authority::Measure::Slash { provider, amount, job, .. } = measure else {
                        return Err(format!("{measure:?} slashes"));
                    };
                    must(slash.provider == *provider, || format!("{slash:?}"))?;
                    let (provider, amount, job) = (*provider, amount.get(), *job);
                    let all = self.held(Place::Bond(provider), STAKE);
                    self.slash(provider, amount.min(all), job)?;
                }
                _ => {}
            }
        }
        if let authority::Action::CouncilVote { proposal, approve: true } = action {
            self.measures.entry(proposal.get()).and_modify(|(_, yes)| {
                yes.insert(by);
            });
        }
        Ok(())
    }

    // Models.

    fn accept_model(&mut self, by: Address, action: &model::Action, events: &[Event]) -> Audit {
        use model::Action::*;
        let market = self.params.market;
        let curates = || must(by == address(CURATOR), || format!("{by} curates"));
        match action {
            ModelCurate { models } => {
                curates()?;
                for spec in models.iter() {
                    self.models.entry(spec.id()).or_insert(None);
                }
                Ok(())
            }
            ModelSetActive { .. } => curates(),
            ModelSetRate { model, rate } => {
                curates()?;
                self.models.insert(*model, *rate);
                Ok(())
            }
            ModelPropose { model } => {
                let id = self.asked.len() as u64 + 1;
                let end = self.now + u64::from(market.voting_s) * 1_000;
                let asked = Asked { model: model.id(), proposer: by, end, moved: 0, votes: 0, is_open: true };
                self.asked.insert(id, asked);
                self.pay(Place::Account(by), Place::Fee(id), STAKE, market.proposal_fee.get())
            }
            ModelVote { proposal, amount } => {
                let now = self.now;
                let asked = self.asked.get_mut(&proposal.get()).ok_or("a vote on nothing")?;
                must(asked.is_open && now <= asked.end, || format!("a vote on {asked:?} at {now}"))?;
                asked.votes += amount.get();
                let Some(Event::Model(model::Event::ModelVoted { end, .. })) = events.first() else {
                    return Err("a vote without its event".into());
                };
                if end.get() != asked.end {
                    let late = now + u64::from(market.late_s) * 1_000 >= asked.end;
                    asked.moved += 1;
                    asked.end += u64::from(market.extend_s) * 1_000;
                    must(late && asked.moved <= 3 && end.get() == asked.end, || format!("{end} for {asked:?}"))?;
                }
                self.pay(Place::Account(by), Place::Votes(by, proposal.get()), STAKE, amount.get())
            }
            ModelFinalize { proposal } => {
                let (now, id) = (self.now, proposal.get());
                let asked = self.asked.get_mut(&id).filter(|asked| asked.is_open).ok_or("finalizes nothing")?;
                must(now > asked.end, || format!("{asked:?} ends at {now}"))?;
                asked.is_open = false;
                let Asked { model, proposer, votes, .. } = *asked;
                let is_in = self.models.contains_key(&model) || votes >= market.approve_votes.get();
                if is_in {
                    self.models.entry(model).or_insert(None);
                }
                let to = if is_in { Place::Account(proposer) } else { Place::Pool };
                let fee = self.held(Place::Fee(id), STAKE);
                self.pay(Place::Fee(id), to, STAKE, fee)
            }
            ModelVoteUnlock { proposal } => {
                let asked = self.asked.get(&proposal.get()).ok_or("unlocks nothing")?;
                let free = !asked.is_open || self.now > asked.end + u64::from(market.unlock_s) * 1_000;
                must(free, || format!("{by} unlocks {asked:?} at {}", self.now))?;
                let locked = Place::Votes(by, proposal.get());
                let amount = self.held(locked, STAKE);
                must(amount > 0, || format!("{by} has nothing locked"))?;
                self.pay(locked, Place::Account(by), STAKE, amount)
            }
        }
    }

    // The market, and accounts.

    fn accept_market(&mut self, by: Address, action: &market::Action) -> Audit {
        use market::Action::*;
        let warden = || must([CURATOR, TREASURER].map(address).contains(&by), || format!("{by} is no warden"));
        match action {
            MarketPause { .. } => {
                warden()?;
                self.is_open_market()?;
                let soon = self.pause_ended.is_some_and(|ended| self.at < ended + 86_400_000);
                must(!soon, || format!("paused again at {}", self.at))?;
                self.paused_until = Some(self.at + u64::from(self.params.market.pause_max_s) * 1_000);
                Ok(())
            }
            MarketUnpause { .. } => {
                warden()?;
                must(self.paused_until.take().is_some(), || "ends no pause".into())?;
                self.pause_ended = Some(self.at);
                Ok(())
            }
            AssetTermsSet { .. } => warden(),
            MarketDeposit { asset, amount } => {
                self.is_open_market()?;
                self.pay(Place::Account(by), Place::Prepaid(by), *asset, amount.get())
            }
            MarketWithdraw { asset, amount } => self.pay(Place::Prepaid(by), Place::Account(by), *asset, amount.get()),
            EarningsWithdraw { items } => items.iter().try_for_each(|item| {
                let amount = item.amount.map_or(self.held(Place::Earnings(by), item.asset), |amount| amount.get());
                self.pay(Place::Earnings(by), Place::Account(by), item.asset, amount)
            }),
            TreasuryWithdraw { pot, asset, amount } => {
                must(by == address(TREASURER), || format!("{by} takes the treasury"))?;
                let pot = match pot {
                    market::Pot::Treasury => Place::Treasury,
                    market::Pot::RejectedPool => Place::Pool,
                };
                let amount = amount.map_or(self.held(pot, *asset), |amount| amount.get());
                self.pay(pot, Place::Account(by), *asset, amount)
            }
        }
    }

    fn accept_account(&mut self, by: Address, action: &account::Action) -> Audit {
        use account::Action::*;
        match action {
            RotateKey { new_key, .. } => {
                let home = Address::of_key(new_key) == by;
                let key = if home { Default::default() } else { crate::state::Authority::Key(*new_key) };
                self.keys.insert(by, key);
            }
            SetMultiKey { threshold, keys, .. } => {
                let both = crate::state::Authority::MultiKey(Address::of_multi_key(*threshold, keys));
                self.keys.insert(by, both);
            }
            SetMemoRequired { .. } => {}
            DelegateSet { delegate, scope, reset_spent } => {
                let mut spent: BTreeMap<_, _> = match self.grants.get(&(by, *delegate)) {
                    Some(known) if !reset_spent => known.spent.clone(),
                    _ => BTreeMap::new(),
                };
                spent.retain(|asset, _| scope.assets.iter().any(|limit| limit.asset == *asset));
                let key = self.keys.get(&by).copied().unwrap_or_default();
                self.grants.insert((by, *delegate), Allowed { scope: scope.clone(), by: key, spent });
            }
            DelegateRevoke { delegate } => {
                let known = self.grants.remove(&(by, *delegate));
                must(known.is_some(), || format!("{delegate} is no delegate of {by}"))?;
            }
        }
        Ok(())
    }
}

/// What an event says of an end: all of the deposit, and a cause that fits who ended it.
pub(super) fn check_end(event: &tx::Event) -> Audit {
    let tx::Event::Job(job::Event::JobSettled { deposit, settlement: s, job, cause, by, payer, .. }) = event else {
        return Ok(());
    };
    let sum = s.provider.get() + s.fee.get() + s.early_fee.get() + s.refund.get();
    must(sum == deposit.get(), || format!("job {job} pays {sum} of {deposit}"))?;
    let fits = match cause {
        Cause::PayerCompleted => *by == Some(*payer),
        Cause::ProviderCompleted | Cause::Declined => by.is_some(),
        Cause::DurationOver | Cause::Silence => true,
        _ => false,
    };
    must(fits, || format!("job {job}: {cause:?} by {by:?}"))
}
