//! Bugs put into the rules that safety rests on, one at a time, to see that the tests of
//! `consensus` find what each of them breaks; and one misjudgement that must break nothing.
//!
//! They exist in this crate's own tests only: elsewhere [`on`] is a constant `false` and nothing
//! can turn one on.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub enum Mutation {
    /// A new block is justified without any nullification.
    NewUncovered,
    /// A block proposed again is justified without nullifications of the views between.
    AgainUncovered,
    /// The view just before the proposal's needs no nullification.
    CoverageOffByOne,
    /// A notarized view counts as a nullified one.
    NotarizedCovers,
    /// Finalize votes are given in views we nullified.
    FinalizeAfterNullify,
    /// Nullify votes are given in views we finalized in.
    NullifyAfterFinalize,
    /// A second notarize vote is given in a view, for another block.
    TwoNotarize,
    /// A notarize vote is given in views we nullified.
    NotarizeAfterNullify,
    /// A certificate may count its last signer as often as it repeats the signature.
    SignerRepeated,
    /// Votes are signed without their view.
    ViewUnsigned,
    /// Half of the weight is a quorum.
    QuorumOfHalf,
    /// Every leader is taken for one that is off: no bug, but as wrong as the guess can ever be.
    EverybodySeemsOff,
}

/// Whether the bug is in.
#[cfg(not(test))]
pub const fn on(_: Mutation) -> bool {
    false
}

#[cfg(test)]
pub use of_tests::{on, with};

#[cfg(test)]
mod of_tests {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Whether the bug is in, on this thread.
    pub fn on(mutation: Mutation) -> bool {
        ON.get() == Some(mutation)
    }

    /// Does something with a bug put in, on this thread, and takes it out again.
    pub fn with<T>(mutation: Option<Mutation>, act: impl FnOnce() -> T) -> T {
        struct Restore(Option<Mutation>);
        impl Drop for Restore {
            fn drop(&mut self) {
                ON.set(self.0);
            }
        }
        let _restore = Restore(ON.replace(mutation));
        act()
    }
}
