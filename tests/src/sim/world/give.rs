//! Transactions on their way to nodes: of payers, authorities, stakers, witnesses and people of the market.
//!
//! Not here: what authorities want (`council`), what witnesses report (`witness`), what is traded (`market`).

use super::*;

impl World {
    pub(super) fn submit(&mut self, node: usize, transaction: Checked) -> Verdict {
        let known = self.nodes[node].engine.as_ref().is_none_or(|engine| {
            // What a driver does with gossip: it looks before it asks.
            engine.pool().read().get(&transaction.id()).is_some()
        });
        if known {
            return Ok(());
        }
        self.order += 1;
        let ticket = self.order;
        self.tickets.insert(ticket, transaction.clone());
        self.input(node, Input::Submit(vec![Submission { ticket, transaction }]))
    }

    /// Somebody submits something somewhere; sometimes twice, or two that exclude each other.
    pub(super) fn load(&mut self) -> Verdict {
        let next = 1 + self.random.below(2 * self.scenario.load_ms);
        self.at(self.now + next, Event::Load);
        let sender = self.random.place(SENDERS);
        let first = &self.setting.transactions[sender][0][0];
        let used = self.referee.next_nonce(&first.transaction().sender);
        // Also what is final already: somebody did not hear the answer.
        let nonce = (used as usize + self.random.pick(&[1, 1, 1, 1, 2, 3, 0])).saturating_sub(1);
        let copies = 1 + usize::from(self.random.chance(200));
        for _ in 0..copies {
            let variant = usize::from(self.random.chance(150));
            let node = self.random.place(self.nodes.len());
            if nonce < NONCES {
                let tx = self.setting.transactions[sender][nonce][variant].clone();
                self.submit(node, tx)?;
            }
        }
        Ok(())
    }

    /// People of the market give what they want to nodes, some of it to two.
    pub(super) fn trade(&mut self) -> Verdict {
        let next = 1 + self.random.below(self.scenario.load_ms.min(600));
        self.at(self.now + next, Event::Trade);
        let Some(traders) = &mut self.traders else { return Ok(()) };
        let Some(tx) = traders.next(self.referee.tree(), &self.setting.chain) else { return Ok(()) };
        let actions = &tx.transaction().actions;
        self.log.note(self.now, 99, 15, tx.id().0.as_bytes(), || format!("somebody trades {}: {actions:?}", tx.id()));
        self.referee.learn(&tx);
        self.liars.values_mut().for_each(|liar| liar.learn(&tx));
        for _ in 0..1 + usize::from(self.random.chance(200)) {
            let node = self.random.place(self.nodes.len());
            self.submit(node, tx.clone())?;
        }
        Ok(())
    }

    /// A node found something; whoever runs it reports that.
    pub(super) fn report(&mut self, node: usize, evidence: &Evidence) -> Verdict {
        if self.setting.changes() {
            self.witnesses.hear(node, evidence, self.referee.height());
        }
        Ok(())
    }

    /// Authorities and witnesses give what they have to nodes, again and again until it is final.
    pub(super) fn sit(&mut self) -> Verdict {
        self.at(self.now + COUNCIL_MS, Event::Council);
        self.return_absentees();
        let (tree, newest) = (self.referee.tree(), self.referee.height());
        let away = |node: &usize| self.nodes[*node].gone;
        let away = (0..self.scenario.seats()).filter(away).collect();
        let decided = self.council.act(tree, newest, &away).into_iter().map(|tx| (None, tx));
        let given: Vec<_> = decided.chain(self.witnesses.act(tree, newest)).collect();
        for (node, tx) in given {
            let actions = &tx.transaction().actions;
            self.log.note(self.now, node.unwrap_or(99), 12, tx.id().0.as_bytes(), || {
                format!("somebody gives {}: {actions:?}", tx.id())
            });
            self.referee.learn(&tx);
            self.liars.values_mut().for_each(|liar| liar.learn(&tx));
            // Whoever's own node is down asks another one.
            let node = node.filter(|node| self.nodes[*node].engine.is_some());
            let node = node.unwrap_or_else(|| self.random.place(self.nodes.len()));
            self.submit(node, tx)?;
        }
        Ok(())
    }
}
