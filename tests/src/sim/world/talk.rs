//! What nodes say on its way to others, and the links it takes.
//!
//! Not here: what becomes of it at the other end (`world`), what liars make of it (`liar`, `stranger`).

use super::*;

impl World {
    pub(super) fn send(&mut self, node: usize, to: &[Peer], message: &Arc<Message>) -> Verdict {
        let bytes = message.encode();
        self.log.note(self.now, node, 7, &bytes, || format!("to {to:?}: {}", brief(message)));
        if self.nodes[node].honest {
            let own = self.nodes[node].public();
            self.referee.hear_message((node, self.nodes[node].known), own, message)?;
            let read = Message::decode(&bytes, message.lane());
            must(Rule::Running, read.as_ref() == Ok(&**message), || format!("node {node} says {:?}", brief(message)))?;
        }
        for peer in to {
            let Some(other) = self.network.other_end(node, *peer) else { continue };
            let told = match (self.liars.get_mut(&node), self.strangers.get_mut(&node)) {
                (Some(liar), _) => liar.tell(self.nodes[node].engine.as_ref(), other, message),
                (_, Some(stranger)) => stranger.tell(message),
                _ => vec![Said::Message(message.clone())],
            };
            told.into_iter().for_each(|said| self.carry(node, (*peer, other), said));
        }
        Ok(())
    }

    pub(super) fn carry(&mut self, from: usize, (peer, to): (Peer, usize), said: Said) {
        self.figures.messages += 1;
        let (message, late) = match said {
            Said::Garbage => return self.disconnect(peer),
            Said::Message(message) => (message, 0),
            Said::Late(message, ms) => (message, ms),
        };
        let held = self.network.sets_out(self.now, to, &message) - self.now;
        for at in self.network.arrivals(self.now, from, to, &mut self.random) {
            self.at(at + held.max(late), Event::Message(to, peer, message.clone()));
        }
    }

    /// A liar that leads a view may not wait for its engine.
    pub(super) fn rush(&mut self, node: usize) {
        let (Some(liar), Some(engine)) = (self.liars.get_mut(&node), &self.nodes[node].engine) else { return };
        let words = liar.rush(engine);
        self.say_to_all(node, words);
    }

    /// Strangers say what they like.
    pub(super) fn chatter(&mut self) {
        let up = self.strangers.iter_mut().filter(|(node, _)| self.nodes[**node].engine.is_some());
        let words: Vec<_> = up.map(|(node, stranger)| (*node, stranger.chatter())).collect();
        words.into_iter().for_each(|(node, words)| self.say_to_all(node, words));
    }

    /// What no engine said.
    pub(super) fn say_to_all(&mut self, node: usize, words: Vec<Message>) {
        for message in words.into_iter().map(Arc::new) {
            self.log.note(self.now, node, 10, &message.encode(), || format!("makes up {}", brief(&message)));
            for to in self.network.of(node) {
                self.carry(node, to, Said::Message(message.clone()));
            }
        }
    }

    pub(super) fn deliver(&mut self, node: usize, peer: Peer, message: Arc<Message>) -> Verdict {
        if self.network.other_end(node, peer).is_none() {
            return Ok(());
        }
        if let Some(liar) = self.liars.get_mut(&node) {
            liar.hear(&message);
            if let Some(answer) = liar.answer(&message) {
                return self.send(node, &[peer], &Arc::new(answer));
            }
        }
        if let Some(stranger) = self.strangers.get_mut(&node) {
            stranger.hear(&message);
        }
        self.input(node, Input::Message { from: peer, message: Box::new((*message).clone()) })
    }

    /// Gossip, in short: whoever is connected hears of it, perhaps.
    pub(super) fn gossip(&mut self, node: usize, tx: &Checked) {
        let mut peers = self.network.of(node);
        if self.scenario.mistake == Some(Mistake::UnorderedMap) {
            peers = peers.into_iter().collect::<HashMap<_, _>>().into_iter().collect();
        }
        for (_, other) in peers {
            for at in self.network.arrivals(self.now, node, other, &mut self.random) {
                self.at(at, Event::Transaction(other, tx.clone()));
            }
        }
    }

    pub(super) fn dial(&mut self) -> Verdict {
        self.at(self.now + DIAL_MS, Event::Dial);
        self.chatter();
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                if self.nodes[a].engine.is_some() && self.nodes[b].engine.is_some() {
                    self.connect(a, b)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) -> Verdict {
        let Some(peer) = self.network.connect(self.now, a, b) else { return Ok(()) };
        self.ends.insert(peer, (a, b));
        for (node, other) in [(a, b), (b, a)] {
            let validator = self.nodes[other].public();
            self.input(node, Input::Joined { peer, validator })?;
        }
        Ok(())
    }

    pub(super) fn disconnect(&mut self, peer: Peer) {
        self.network.disconnect(peer);
        let Some((a, b)) = self.ends.get(&peer).copied() else { return };
        for node in [a, b] {
            let life = self.nodes[node].life;
            self.soon(300, Event::Left(node, life, peer));
        }
    }
}

fn brief(message: &Message) -> String {
    match message {
        Message::Agreement { message, block } => {
            let text = format!("{message:?}");
            let head: String = text.chars().take(160).collect();
            format!("{head} (block: {})", block.is_some())
        }
        Message::Blocks { from, blocks, head, .. } => format!("Blocks from {from}: {} of {head}", blocks.len()),
        Message::Block { id, block } => format!("Block {id}: {}", block.is_some()),
        other => format!("{other:?}").chars().take(160).collect(),
    }
}
