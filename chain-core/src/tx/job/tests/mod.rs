//! Rows of the scenarios about jobs, by what happens to them; random histories.

use super::*;
use crate::testing::address;
use crate::tx::market_testkit::{Opening, *};

mod acks;
mod assets;
mod delegation;
mod ending;
mod handover;
mod histories;
mod opening_rows;
mod posts;
mod queue;
mod reputation;
