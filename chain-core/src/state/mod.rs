//! The state: rows and their commitment.

pub mod proof;
pub mod row_key;
pub mod tree;
