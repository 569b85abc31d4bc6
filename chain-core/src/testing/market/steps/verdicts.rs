//! Slashes by the slasher; verdicts, roles and parameters by the council.

use super::*;
use crate::state::Role;
use crate::tx::authority::Measure;
use crate::tx::authority::proposal::{NEXT_PROPOSAL, PROPOSALS, Status as Standing};
use crate::types::ProposalId;

/// What is voted on: a parameter, and a value that leaves room for history.
const PARAMETERS: &[(&str, u128, u128)] = &[
    ("market.fee_bps", 0, 10_000),
    ("market.window_s", 10, 120),
    ("market.rate", 100, 10_000),
    ("market.burst_s", 10, 600),
    ("market.min_claim", 1, 1_000),
    ("market.early_cancel_units", 0, 10_000),
    ("account_fee", 0, 100),
    ("retention_s", 60, 1_200),
    ("market.max_step_ms", 5_000, 30_000),
    ("market.pause_max_s", 60, 604_800),
    ("market.min_bond", 5_000, 20_000),
    ("market.bond_floor", 0, 5_000),
    ("market.bond_per_slot", 200, 2_000),
    ("market.provider_unbonding_s", 100, 900),
    ("market.slash_max_bps", 0, 10_000),
    ("market.slash_cooldown_s", 0, 600),
    ("market.victim_bps", 0, 10_000),
    ("market.open_per_pair", 1, 4),
    ("market.proposal_fee", 1, 1_000),
    ("market.voting_s", 60, 1_200),
    ("market.approve_votes", 1, 10_000),
    ("market.late_votes", 1, 2_000),
    ("market.late_s", 1, 200),
    ("market.extend_s", 1, 300),
    ("market.repropose_s", 0, 600),
    ("market.unlock_s", 0, 1_800),
    ("market.reputation_half_life_s", 3_600, 7_200),
];

/// So many of them, the first, are copied into jobs.
const COPIED: usize = 6;

impl Draw<'_, '_> {
    pub(super) fn judgements(&mut self) -> Wish {
        let found = self.job().filter(|_| !self.one_in(3));
        let seed = found.as_ref().map_or(self.pick(&PROVIDERS), |(_, job)| self.seed_of(&job.provider));
        let bond = self.provider_row(seed).map_or(0, |row| row.bond.get());
        let job = if self.is_hostile() { Some(self.job_id()) } else { found.map(|(id, _)| id) };
        let (provider, evidence, reason) = (address(seed), text("ipfs://e"), text("cheated"));
        if self.histories.council.is_empty() || self.one_in(4) {
            let part = self.pick(&[2, 4, 4, 8]);
            let amount = self.amount(1, (bond * 2 / part).max(2));
            return wish(SLASHER, provider::Action::ProviderSlash { provider, amount, evidence, reason, job });
        }
        let council = self.histories.council.clone();
        let by = self.pick(&council);
        if let Some(proposal) = self.open_proposal().filter(|_| !self.one_in(4)) {
            return wish(by, authority::Action::CouncilVote { proposal, approve: !self.one_in(8) });
        }
        let measure = match self.below(10) {
            0..4 => Measure::Slash { provider, amount: self.amount(1, bond.max(2)), evidence, reason, job },
            4 => self.role(),
            _ => self.parameter(),
        };
        wish(by, authority::Action::CouncilPropose { measure })
    }

    fn role(&mut self) -> Measure {
        let (role, account) =
            self.pick(&[(Role::Slasher, SLASHER), (Role::Curator, CURATOR), (Role::Treasurer, TREASURER)]);
        Measure::Role { role, account: Some(address(account)) }
    }

    fn parameter(&mut self) -> Measure {
        // Those at the front are copied into jobs.
        let (name, least, most) = if self.one_in(2) { self.pick(&PARAMETERS[..COPIED]) } else { self.pick(PARAMETERS) };
        let value = match self.below(4) {
            0 => least,
            1 => most,
            _ => self.amount(least, most).get(),
        };
        Measure::Parameter { name: text(name), value }
    }

    /// One of the last proposals of the council, if it is open.
    fn open_proposal(&mut self) -> Option<ProposalId> {
        let next = NEXT_PROPOSAL.get(self.state, &()).unwrap().map_or(1, ProposalId::get);
        let last = (1..=8).filter_map(|back| next.checked_sub(back)).map(ProposalId::new);
        let is_open = |id: &ProposalId| {
            PROPOSALS.get(self.state, id).unwrap().is_some_and(|proposal| proposal.status == Standing::Open)
        };
        let open: Vec<_> = last.filter(is_open).collect();
        (!open.is_empty()).then(|| self.pick(&open))
    }
}
