//! The certificates of one height: which views are notarized or nullified, and what follows for
//! the next view and for proposals.
//!
//! A view can be both notarized and nullified; a notarized view is not a nullified one.
//! Memory: two certificates per view and one finalization; each takes an act of a quorum.
//!
//! Not here: verifying (the machine does it before it lets one in).

use super::interface::Justification;
use crate::limits::MAX_JUSTIFICATION_CERTIFICATES;
use crate::mutation::{Mutation, on};
use crate::types::{BlockId, Certificate, SignedMessage, View, VoteKind};
use std::collections::BTreeMap;

/// The certificates of one height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    views: BTreeMap<View, OfView>,
    finalization: Option<Certificate>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfView {
    notarization: Option<Certificate>,
    nullification: Option<Certificate>,
}

/// What a leader may propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The block notarized in an earlier view.
    Again {
        /// The block.
        block: BlockId,
        /// The view.
        notarized_in: View,
    },
    /// A new block: all earlier views are nullified.
    New,
    /// Nothing: this view has neither certificate.
    Gap(View),
}

impl Certificates {
    /// Whether this was certified before (by whichever signers).
    pub fn knows(&self, message: &SignedMessage) -> bool {
        match message.kind {
            VoteKind::Notarize => self.notarization(message.view).is_some_and(|known| known.message == *message),
            VoteKind::Nullify => self.nullification(message.view).is_some(),
            // One finalization decides; it may be of another view than the next node's.
            VoteKind::Finalize => self.finalization().is_some_and(|known| known.block() == message.block),
        }
    }

    /// A certificate that cannot exist beside one for this message inside the fault bound.
    pub fn conflict(&self, message: &SignedMessage) -> Option<&Certificate> {
        let other_block = |known: &&Certificate| known.block() != message.block;
        match message.kind {
            VoteKind::Notarize => self.notarization(message.view).filter(other_block),
            VoteKind::Nullify => self.finalization.as_ref().filter(|known| known.view() == message.view),
            VoteKind::Finalize => {
                self.finalization.as_ref().filter(other_block).or_else(|| self.nullification(message.view))
            }
        }
    }

    /// Takes a verified certificate that is neither known nor in conflict.
    pub fn insert(&mut self, certificate: Certificate) {
        let view = certificate.view();
        match certificate.kind() {
            VoteKind::Notarize => self.views.entry(view).or_default().notarization = Some(certificate),
            VoteKind::Nullify => self.views.entry(view).or_default().nullification = Some(certificate),
            VoteKind::Finalize => self.finalization = Some(certificate),
        }
    }

    /// The notarization of a view.
    pub fn notarization(&self, view: View) -> Option<&Certificate> {
        self.views.get(&view)?.notarization.as_ref()
    }

    /// The nullification of a view.
    pub fn nullification(&self, view: View) -> Option<&Certificate> {
        self.views.get(&view)?.nullification.as_ref()
    }

    /// The finalization of the height.
    pub fn finalization(&self) -> Option<&Certificate> {
        self.finalization.as_ref()
    }

    /// The notarizations, newest first.
    pub fn notarizations(&self) -> impl Iterator<Item = &Certificate> {
        self.views.values().rev().filter_map(|of| of.notarization.as_ref())
    }

    /// The furthest view that may be entered.
    pub fn furthest_view(&self) -> View {
        self.views.keys().next_back().map_or(View::ZERO, |view| view.next())
    }

    /// All certificates of views from `first` on, ascending.
    pub fn since(&self, first: View) -> impl Iterator<Item = &Certificate> {
        self.views.range(first..).flat_map(|(_, of)| of.notarization.iter().chain(&of.nullification))
    }

    /// The first of the views without certificate that keep the leader of `view` from proposing.
    pub fn gap(&self, view: View) -> Option<View> {
        let Choice::Gap(last) = self.choice(view) else { return None };
        let notarized = self.views.range(..last).rev().find(|(_, of)| of.notarization.is_some());
        let first = notarized.map_or(View::ZERO, |(notarized, _)| notarized.next());
        (first.get()..=last.get()).map(View::new).find(|between| !self.views.contains_key(between))
    }

    /// The first view whose certificate is missing for a proposal to be justified.
    pub fn lacking(&self, view: View, again: Option<View>) -> Option<View> {
        match again {
            Some(again) if again >= view => None,
            Some(again) if self.notarization(again).is_none() => Some(again),
            _ => {
                let first = again.map_or(0, |again| again.next().get());
                (first..view.get()).map(View::new).find(|between| self.nullification(*between).is_none())
            }
        }
    }

    /// Whether all views below this one are nullified.
    pub fn all_nullified(&self, view: View) -> bool {
        self.lacking(view, None).is_none()
    }

    /// What the leader of `view` may propose: the newest notarized block from which on all views
    /// are nullified.
    pub fn choice(&self, view: View) -> Choice {
        for earlier in (0..view.get()).rev().map(View::new) {
            match self.views.get(&earlier) {
                Some(OfView { notarization: Some(known), .. }) => {
                    // A notarization names a block: it was verified, and so was its form.
                    return known
                        .block()
                        .map_or(Choice::Gap(earlier), |block| Choice::Again { block, notarized_in: earlier });
                }
                Some(OfView { nullification: Some(_), .. }) => {}
                _ => return Choice::Gap(earlier),
            }
        }
        Choice::New
    }

    /// Whether `block` may be proposed in `view`: a new one if all earlier views are nullified; one
    /// proposed again if it was notarized in `again` < `view` and all views between are nullified.
    pub fn justifies(&self, view: View, block: BlockId, again: Option<View>) -> bool {
        let first = match again {
            None => 0,
            Some(again) if again < view => {
                if self.notarization(again).and_then(Certificate::block) != Some(block) {
                    return false;
                }
                again.next().get()
            }
            Some(_) => return false,
        };
        let end = if on(Mutation::CoverageOffByOne) { view.get().saturating_sub(1) } else { view.get() };
        let unchecked = on(if again.is_none() { Mutation::NewUncovered } else { Mutation::AgainUncovered });
        unchecked || (first..end).all(|between| self.covers(View::new(between)))
    }

    /// Whether a view is no obstacle for blocks of earlier views and for new ones.
    fn covers(&self, view: View) -> bool {
        let notarized = on(Mutation::NotarizedCovers) && self.notarization(view).is_some();
        notarized || self.nullification(view).is_some()
    }

    /// The certificates that justify a proposal in `view`: ascending, the newest that fit.
    pub fn justification(&self, view: View, again: Option<View>) -> Justification {
        let first = again.map_or(0, |again| again.next().get());
        let nullified = (first..view.get()).filter_map(|between| self.nullification(View::new(between)));
        let mut all: Vec<_> = again.and_then(|again| self.notarization(again)).into_iter().chain(nullified).collect();
        let surplus = all.len().saturating_sub(MAX_JUSTIFICATION_CERTIFICATES);
        let newest = all.split_off(surplus).into_iter().cloned().collect();
        // It was just cut to the bound.
        Justification::new(newest).unwrap_or_default()
    }
}
