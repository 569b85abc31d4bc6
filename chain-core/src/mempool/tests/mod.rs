//! The pool's rules, one by one, then against adversaries and against a naive model.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// What a step did is often looked at through the pool's status instead.
#![allow(unused_must_use)]

mod adversaries;
mod blocks;
mod kit;
mod model;
mod rules;
