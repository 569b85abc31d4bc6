//! The pool's rules, one by one, then against adversaries and against a naive model.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod adversaries;
mod blocks;
mod kit;
mod model;
mod rules;
