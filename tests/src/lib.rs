//! What the tests share: nodes as real processes, alone and several together, lines that are slow or
//! cut, HTTP by hand, transactions of a devnet's accounts, an engine on a disk that fails, many
//! engines in a simulated world.
//!
//! Everything here panics on a mistake of the test that uses it. Not here: the tests (`integration/`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

pub mod archive;
pub mod cluster;
pub mod devnet;
pub mod disk;
pub mod http;
pub mod machine;
pub mod peer;
pub mod power;
pub mod proxy;
pub mod rogue;
pub mod senders;
pub mod sim;
pub mod sites;
pub mod wallet;
pub mod workspace;

use std::time::Duration;

/// How long anything may take before a test gives up: generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again and again until there is an answer; panics with `what` after [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never came true: {what}"))
}
