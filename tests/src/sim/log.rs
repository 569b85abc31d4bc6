//! The event log of a run: a hash that two runs of one seed must share, and on demand its lines.

use std::hash::{DefaultHasher, Hasher};

/// Everything that happened, in order.
pub struct Log {
    hash: DefaultHasher,
    /// Whether lines are printed as they come.
    prints: bool,
}

impl Log {
    /// An empty log.
    pub fn new(prints: bool) -> Self {
        // The hasher without keys of its own: the same in every process.
        Self { hash: DefaultHasher::new(), prints }
    }

    /// Something happened at a node: what kind of thing, its bytes, and the line about it.
    pub fn note(&mut self, now: u64, node: usize, kind: u8, bytes: &[u8], line: impl FnOnce() -> String) {
        self.hash.write_u64(now);
        self.hash.write_u64((node as u64) << 8 | u64::from(kind));
        self.hash.write(bytes);
        if self.prints {
            println!("{now:>7} {node:>2} {}", line());
        }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }
}
