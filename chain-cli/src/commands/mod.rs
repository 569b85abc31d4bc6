//! The noun groups of the command line, one file each: arguments, and what is printed.

pub mod keys;
pub mod store;
