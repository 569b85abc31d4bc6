//! What the machine knows about the height it decides, and the effects of the step it is in.
//!
//! Not here: what is done with it (`machine`, `rules`).

use super::certificates::Certificates;
use super::interface::{Effect, Head, Message, Now, Peer, Verdict};
use super::pacing::{Mono, Pacing, ViewClock};
use super::tally::Tally;
use super::{ConsensusEvent, WalRecord};
use crate::limits::MAX_VIEWS_AHEAD;
use crate::types::{BlockId, Evidence, Height, Proposal, TimestampMs, View};
use std::collections::BTreeMap;

/// Everything about the height being decided; replaced when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) height: Height,
    pub(super) pacing: Pacing,
    pub(super) view: CurrentView,
    pub(super) tally: Tally,
    pub(super) certificates: Certificates,
    /// The first proposal of each view from its leader, from the current view on.
    pub(super) proposals: BTreeMap<View, Proposal>,
    /// A second, different one.
    pub(super) contradictions: BTreeMap<View, Proposal>,
    /// Blocks we asked about.
    pub(super) blocks: BTreeMap<BlockId, Asked>,
    pub(super) phase: Phase,
    /// When the finalization was found.
    pub(super) decided_at: Option<Mono>,
}

/// A block we asked about, since when, and what we were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) since: Mono,
    pub(super) verdict: Option<Verdict>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CurrentView {
    pub(super) number: View,
    pub(super) entered: Now,
    pub(super) after_notarization: bool,
    /// When we asked for a block, and its timestamp.
    pub(super) building: Option<(Mono, TimestampMs)>,
    pub(super) build_failed: bool,
    /// Set once the view's time ran out: when own messages are sent again.
    pub(super) resend_at: Option<Mono>,
    /// From which view on certificates were last asked for, and when.
    pub(super) asked: Option<(View, Mono)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Deciding,
    /// Waiting for `Committed`.
    Decided,
    Halted,
}

/// The effects of the current step, and when the next one is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    pub(super) records: Vec<Effect>,
    pub(super) rest: Vec<Effect>,
    /// The earliest moment at which a rule wants to look again.
    pub(super) wanted: Option<Mono>,
    /// The last `WakeAt` that has not come yet.
    pub(super) promised: Option<Mono>,
}

impl Output {
    pub(super) fn take(&mut self) -> Vec<Effect> {
        if let Some(mono_ms) = self.wanted
            && self.promised != self.wanted
        {
            self.promised = self.wanted;
            self.rest.push(Effect::WakeAt { mono_ms });
        }
        let mut effects = std::mem::take(&mut self.records);
        effects.append(&mut self.rest);
        effects
    }

    pub(super) fn persist(&mut self, record: WalRecord) {
        self.records.push(Effect::Persist(record));
    }

    pub(super) fn broadcast(&mut self, message: Message) {
        self.rest.push(Effect::Broadcast(message));
    }

    pub(super) fn send(&mut self, to: Peer, message: Message) {
        self.rest.push(Effect::Send { to, message });
    }

    pub(super) fn report(&mut self, event: ConsensusEvent) {
        self.rest.push(Effect::Report(event));
    }

    pub(super) fn evidence(&mut self, evidence: Evidence) {
        self.rest.push(Effect::Evidence(evidence));
    }

    pub(super) fn look_again(&mut self, at: Mono) {
        self.wanted = Some(self.wanted.map_or(at, |wanted| wanted.min(at)));
    }
}

impl CurrentView {
    pub(super) fn enter(number: View, entered: Now, after_notarization: bool) -> Self {
        Self { number, entered, after_notarization, building: None, build_failed: false, resend_at: None, asked: None }
    }
}

impl Round {
    pub(super) fn begin(head: &Head, now: Now, busy: bool) -> Self {
        let (pacing, start) = Pacing::begin(head, now, busy);
        Self {
            height: head.height.next(),
            pacing,
            view: CurrentView::enter(View::ZERO, start, false),
            tally: Tally::default(),
            certificates: Certificates::default(),
            proposals: BTreeMap::new(),
            contradictions: BTreeMap::new(),
            blocks: BTreeMap::new(),
            phase: Phase::Deciding,
            decided_at: None,
        }
    }

    pub(super) fn verdict(&self, block: &BlockId) -> Option<Verdict> {
        self.blocks.get(block).and_then(|asked| asked.verdict)
    }

    /// What decides when the current view's time is up.
    pub(super) fn clock(&self, leader_off: bool, hopeless: bool) -> ViewClock {
        ViewClock {
            view: self.view.number,
            entered: self.view.entered,
            after_notarization: self.view.after_notarization,
            block_known: self.certificates.notarizations().next().is_some(),
            building_since: self.view.building.map(|(since, _)| since),
            leader_off,
            hopeless,
        }
    }

    pub(super) fn furthest_accepted_view(&self) -> View {
        View::new(self.view.number.get().saturating_add(MAX_VIEWS_AHEAD))
    }
}
