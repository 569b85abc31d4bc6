//! Tells a person how far the node is while it fetches blocks: a bar on a terminal, a line now and
//! then elsewhere. Only looks; the engine's thread knows nothing of it.
//!
//! Not here: fetching (`chain_core::engine`), `sync_status` (`backend`).

use crate::driver::Driver;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many missing blocks are worth telling, and no line is written for each of them.
pub const FAR_BEHIND: u64 = 32;
/// How often to look.
const LOOK: Duration = Duration::from_millis(500);
/// How often to write a line.
const LINE: Duration = Duration::from_secs(5);

/// One time of catching up.
struct Climb {
    from: u64,
    since: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Climb {
    fn begin(height: u64, target: u64) -> Self {
        tracing::info!(height, target, "catching up");
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| bar(height, target));
        Self { from: height, since: now, told: now, bar }
    }

    fn tell(&mut self, height: u64, target: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(target);
            bar.set_position(height);
        } else if self.told.elapsed() >= LINE {
            self.told = Instant::now();
            tracing::info!(height, target, blocks_per_s = self.pace(height), "catching up");
        }
    }

    fn end(self, height: u64) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        tracing::info!(height, blocks_per_s = self.pace(height), "caught up");
    }

    fn pace(&self, height: u64) -> u64 {
        pace(height.saturating_sub(self.from), self.since.elapsed())
    }
}

fn pace(blocks: u64, time: Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    blocks.saturating_mul(1000) / ms
}

fn bar(height: u64, target: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("block {pos} of {len} {wide_bar} {per_sec}, {eta} left");
    ProgressBar::with_draw_target(Some(target), ProgressDrawTarget::stderr())
        // Our own template; if it were wrong, the default serves.
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_position(height)
}

/// Looks until the node ends.
pub async fn watch(driver: Arc<Driver>) {
    let mut tick = tokio::time::interval(LOOK);
    let mut climb: Option<Climb> = None;
    loop {
        tick.tick().await;
        let height = driver.chain().head().block.header.height.get();
        let target = driver.progress().target().get();
        let behind = target.saturating_sub(height);
        match climb.take() {
            None => climb = (behind >= FAR_BEHIND).then(|| Climb::begin(height, target)),
            Some(going) if behind <= 1 => going.end(height),
            Some(mut going) => {
                going.tell(height, target);
                climb = Some(going);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_blocks_by_seconds() {
        assert_eq!(pace(300, Duration::from_millis(1500)), 200);
        assert_eq!(pace(7, Duration::ZERO), 7000);
    }
}
