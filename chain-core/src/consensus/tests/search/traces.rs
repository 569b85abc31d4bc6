//! The shortest ways to a conflict, move by move: nothing comes of them while the rules hold.
//!
//! A play goes on where a move is impossible (a certificate that nobody can make is not heard), so
//! the same moves are made against the rules as they are.

use super::super::*;
use super::world::{Act, Game, Loss, Node, Votes};
use VoteKind::{Finalize, Notarize, Nullify};

/// The machines of one play, r0 to r2.
pub struct Play {
    pub game: Game,
    pub nodes: [Node; 3],
    /// Whether votes are heard one by one, or as certificates.
    one_by_one: bool,
}

impl Play {
    pub fn new(game: Game, one_by_one: bool) -> Self {
        let nodes = game.honest.map(|place| game.node(place));
        Self { game, nodes, one_by_one }
    }

    fn votes(&self) -> Votes {
        self.nodes.iter().fold(self.game.treason(), |votes, node| votes | node.votes)
    }

    pub fn certifiable(&self) -> u32 {
        self.game.certifiable(self.votes())
    }

    /// One act, if it is possible.
    pub fn act(&mut self, r: usize, act: Act) -> &mut Self {
        let (votes, certifiable) = (self.votes(), self.certifiable());
        let said = self.nodes.iter().fold(0, |offers, node| offers | node.offers);
        match act {
            Act::Certificate(slot) if certifiable >> slot & 1 == 0 => {}
            Act::Certificate(slot) if self.one_by_one => {
                let given = self.game.given(slot, votes);
                self.nodes[r].hear_votes(&self.game, given);
            }
            Act::Offer { offer, .. } if !self.game.is_traitors(offer) && said >> offer & 1 == 0 => {}
            Act::Offer { offer, with } => {
                let act = Act::Offer { offer, with: with & certifiable };
                self.nodes[r].act(&self.game, act, votes);
            }
            _ => self.nodes[r].act(&self.game, act, votes),
        }
        self
    }

    fn certified(&mut self, to: &[usize], kind: VoteKind, view: u32, block: usize) -> &mut Self {
        let id = (kind != Nullify).then(|| self.game.blocks[block].id);
        let slot = self.game.slot(message(kind, 1, view, id)).unwrap();
        to.iter().for_each(|r| _ = self.act(*r, Act::Certificate(slot)));
        self
    }

    fn offered(&mut self, to: &[usize], view: u32, block: usize, again: Option<u32>) -> &mut Self {
        let wanted = super::world::Offer { view, block, again };
        let offer = self.game.offers.iter().position(|offer| *offer == wanted).unwrap();
        let with = self.game.justification(offer);
        to.iter().for_each(|r| _ = self.act(*r, Act::Offer { offer, with }));
        self
    }

    /// A block is offered, notarized and finalized by those who hear of it, if they will.
    fn decided(&mut self, by: &[usize], view: u32, block: usize, again: Option<u32>) -> &mut Self {
        self.offered(by, view, block, again).certified(by, Notarize, view, block)
    }

    fn timed_out(&mut self, who: &[usize]) -> &mut Self {
        who.iter().for_each(|r| _ = self.act(*r, Act::Long));
        self
    }

    /// Whether a node stops on certificates that exist: it hears all of them.
    pub fn stops_a_node(&self) -> bool {
        let conflicts = |kinds: &[VoteKind]| {
            let mut follower = self.game.node(usize::MAX);
            let slots = super::world::ones(self.certifiable());
            for slot in slots.filter(|slot| kinds.contains(&self.game.slots[*slot].kind)) {
                follower.act(&self.game, Act::Certificate(slot), self.votes());
            }
            matches!(follower.halted, Some(HaltReason::Conflict(..)))
        };
        conflicts(&[Notarize]) || conflicts(&[Nullify, Finalize])
    }

    /// Whether two nodes can be made to commit different blocks.
    pub fn forks(&self) -> bool {
        let Some((first, second)) = self.game.fork(self.certifiable()) else { return false };
        let commits = |slot: usize| {
            let mut node = self.game.node(usize::MAX);
            node.act(&self.game, Act::Certificate(slot), self.votes());
            node.committed
        };
        let committed = (commits(first), commits(second));
        assert!(committed.0.is_some() && committed.1.is_some() && committed.0 != committed.1);
        assert!(self.stops_a_node());
        true
    }
}

/// The moves that break a rule, and which view the traitor leads.
pub struct Trace {
    /// The view.
    pub leads: u32,
    /// The moves.
    pub moves: fn(&mut Play),
}

/// r0 and r1 notarize A0; r0 and r2 see it notarized and finalize it.
fn final_in_view_0(play: &mut Play) {
    play.offered(&[0], 0, 0, None).certified(&[0, 2], Notarize, 0, 0);
}

/// A new block although the block of view 0 is final. The traitor leads view 1.
pub const NEW_UNCOVERED: Trace = Trace {
    leads: 1,
    moves: |play| {
        final_in_view_0(play);
        play.certified(&[1], Notarize, 0, 0).decided(&[1, 2], 1, 1, None);
    },
};

/// View 0 is notarized and nullified, the new block of view 1 final; the traitor leads view 2 and
/// goes back to the block of view 0.
pub const AGAIN_UNCOVERED: Trace = Trace {
    leads: 2,
    moves: |play| {
        play.offered(&[2], 0, 0, None).timed_out(&[1, 2]).certified(&[0, 2], Nullify, 0, 0);
        play.offered(&[0], 1, 1, None).certified(&[0, 1, 2], Notarize, 1, 1).decided(&[0, 1], 2, 0, Some(0));
    },
};

/// r0 finalizes what it gave up.
pub const FINALIZE_AFTER_NULLIFY: Trace = Trace {
    leads: 1,
    moves: |play| {
        play.offered(&[0], 0, 0, None).timed_out(&[0, 1]).certified(&[0, 2], Notarize, 0, 0);
        play.certified(&[1], Nullify, 0, 0).decided(&[1, 2], 1, 1, None);
    },
};

/// r0 forgets, and gives up the view it finalized in.
pub fn forgetful(play: &mut Play, loss: Loss) {
    final_in_view_0(play);
    play.act(0, Act::Crash(loss)).timed_out(&[0, 1]).certified(&[0, 1], Nullify, 0, 0);
    play.decided(&[0, 1], 1, 1, None);
}

/// r0's log loses its certificates.
pub const NULLIFY_AFTER_FINALIZE: Trace = Trace { leads: 1, moves: |play| forgetful(play, Loss::Certificates) };

/// r0 loses its log.
pub const AMNESIA: Trace = Trace { leads: 1, moves: |play| forgetful(play, Loss::Everything) };

/// The traitor leads view 1 and proposes two blocks; r1 restarts and votes for the second too.
pub const TWO_NOTARIZE: Trace = Trace {
    leads: 1,
    moves: |play| {
        play.timed_out(&[0, 1, 2]).certified(&[0, 1, 2], Nullify, 0, 0);
        play.offered(&[0, 1], 1, 1, None).offered(&[2], 1, 2, None);
        play.act(1, Act::Crash(Loss::Nothing)).offered(&[1], 1, 2, None);
    },
};

/// The traitor's signature alone.
pub const SIGNER_REPEATED: Trace = Trace { leads: 1, moves: |_| {} };

/// The nullify votes of view 1 serve for view 0 too, where a block is final.
pub const VIEW_UNSIGNED: Trace = Trace {
    leads: 2,
    moves: |play| {
        final_in_view_0(play);
        play.certified(&[1], Notarize, 0, 0).timed_out(&[0, 1]).certified(&[0, 1], Nullify, 1, 0);
        play.decided(&[0, 1], 2, 2, None);
    },
};

/// One honest node and the traitor decide, twice.
pub const QUORUM_OF_HALF: Trace = Trace {
    leads: 1,
    moves: |play| {
        play.certified(&[0], Notarize, 0, 0).timed_out(&[1]).certified(&[2], Nullify, 0, 0).decided(&[2], 1, 1, None);
    },
};
