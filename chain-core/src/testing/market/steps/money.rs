//! Money outside of jobs, who may spend it, and whose keys sign for it.

use super::*;
use crate::codec::List;
use crate::crypto::SecretKey;
use crate::state::market::grant::{Allowance, Scope};
use crate::types::Price;

impl Draw<'_, '_> {
    pub(super) fn purses(&mut self) -> Wish {
        let (payer, worker, asset) = (self.pick(&PAYERS), self.anybody(), self.asset());
        let prepaid = self.held(Purse::Prepaid(address(payer)), asset);
        let earned = self.held(Purse::Earnings(address(worker)), asset);
        match self.below(10) {
            0..5 => wish(payer, market::Action::MarketDeposit { asset, amount: self.amount(1_000, 200_000) }),
            5 => wish(payer, market::Action::MarketWithdraw { asset, amount: self.amount(1, prepaid.max(1)) }),
            6..9 => {
                let amount = if self.one_in(2) { None } else { Some(self.amount(1, earned.max(1))) };
                let mut items = vec![market::Item { asset, amount }];
                if self.one_in(4) {
                    items.push(market::Item { asset: self.asset(), amount: None });
                }
                wish(worker, market::Action::EarningsWithdraw { items: List::new(items).unwrap() })
            }
            _ => {
                let pot = if self.one_in(3) { market::Pot::RejectedPool } else { market::Pot::Treasury };
                let amount = if self.one_in(2) { None } else { Some(self.amount(1, 500)) };
                wish(TREASURER, market::Action::TreasuryWithdraw { pot, asset, amount })
            }
        }
    }

    pub(super) fn delegates(&mut self) -> Wish {
        let (payer, delegate) = (self.pick(&PAYERS), address(self.pick(&PAYERS)));
        if self.one_in(6) {
            return wish(payer, account::Action::DelegateRevoke { delegate });
        }
        let mut assets = vec![self.asset(), self.asset()];
        assets.sort();
        assets.dedup();
        let allowances = assets.into_iter().map(|asset| Allowance {
            asset,
            max_price: self.one_in(3).then(|| Price::new(self.below(9_000).into())),
            max_job: self.amount(10_000, 200_000),
            max_total: self.amount(20_000, 300_000),
        });
        let assets = List::new(allowances.collect()).unwrap();
        let providers = if self.one_in(3) { vec![address(self.pick(&PROVIDERS))] } else { vec![] };
        let models = if self.one_in(3) { vec![self.model()] } else { vec![] };
        let soon = stored(self.state).unwrap().at.saturating_add(1_000 * self.below(2_000));
        let scope = Scope {
            providers: List::new(providers).unwrap(),
            models: List::new(models).unwrap(),
            assets,
            expires_at: self.one_in(3).then_some(soon),
        };
        wish(payer, account::Action::DelegateSet { delegate, scope, reset_spent: self.one_in(3) })
    }

    /// Another key, both, or the first one again.
    pub(super) fn keys(&mut self) -> Wish {
        let by = if self.one_in(4) { self.anybody() } else { self.pick(&PAYERS) };
        let now = self.signer(by);
        let others = [Signer::Key(by), Signer::Key(by + SECOND), both(by)];
        let others: Vec<_> = others.into_iter().filter(|signer| *signer != now).collect();
        let new = self.pick(&others);
        let action = self.rotation(by, &new).into();
        (by, if self.is_hostile() { spoil::spoilt(self, action) } else { action })
    }

    /// The action that makes these keys sign, in the account's next transaction.
    fn rotation(&self, by: u8, new: &Signer) -> account::Action {
        let (who, authority) = (address(by), new.authority());
        let nonce = account_row(self.state, &who).unwrap().nonce;
        let message = account::proof_message(&self.histories.chain, &who, nonce, &authority);
        let secrets = new.secrets();
        let proofs: Vec<_> = secrets.iter().map(|secret| secret.sign(&message)).collect();
        match new {
            Signer::Key(_) => account::Action::RotateKey { new_key: secrets[0].public(), proof: proofs[0] },
            Signer::Multi(threshold, _) => account::Action::SetMultiKey {
                threshold: *threshold,
                keys: List::new(secrets.iter().map(SecretKey::public).collect()).unwrap(),
                proofs: List::new(proofs).unwrap(),
            },
        }
    }
}
