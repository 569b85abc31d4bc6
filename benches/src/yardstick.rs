//! B_sig, the fixed yardstick: signatures per second of ed25519-zebra 5, batches of 256, keys as
//! bytes, 2 threads. It stays what it is whatever verifier the chain uses, or every gain in
//! signatures would look like a loss. Beside it the chain's own `verify_many` in the same shape.

use crate::Result;
use crate::machine::CpuTimes;
use chain_core::crypto::{PublicKey, SecretKey, Signature, verify_many};
use ed25519_zebra::batch::{Item, Verifier};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// Signatures in a batch.
pub const BATCH: usize = 256;
/// Threads that verify.
pub const THREADS: usize = 2;
/// About what a transfer signs: domain, chain id and transaction.
const MESSAGE_BYTES: usize = 168;
/// Different batches of one thread, so that no table stays warm by accident.
const BATCHES: usize = 8;

/// What verification came to.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Signatures per second.
    pub per_s: f64,
    /// µs of CPU time per signature: tells the same even if others use the cores meanwhile.
    pub cpu_us: f64,
}

impl Rate {
    /// The middle of what was measured before and after something.
    pub fn between(self, after: Rate) -> Rate {
        Rate { per_s: (self.per_s + after.per_s) / 2.0, cpu_us: (self.cpu_us + after.cpu_us) / 2.0 }
    }
}

/// Prepared batches, as many for every thread.
pub struct Yardstick {
    threads: Vec<Vec<Batch>>,
}

type Batch = Vec<(PublicKey, Vec<u8>, Signature)>;

impl Yardstick {
    /// Signs everything; every signature has its own key.
    pub fn prepare() -> Result<Self> {
        let mut random = StdRng::try_from_rng(&mut SysRng)?;
        let threads = (0..THREADS).map(|_| (0..BATCHES).map(|_| batch(&mut random)).collect()).collect();
        Ok(Self { threads })
    }

    /// B_sig, over about this long.
    pub fn measure(&self, time: Duration) -> Result<Rate> {
        self.run(time, zebra)
    }

    /// The same with the chain's own verification.
    pub fn measure_own(&self, time: Duration) -> Result<Rate> {
        self.run(time, own)
    }

    /// How long all threads take for so many batches each, with the yardstick's verifier or our own.
    pub fn time(&self, batches: u64, with_own: bool) -> Result<Duration> {
        let verifier: Verify = if with_own { own } else { zebra };
        let start = Instant::now();
        self.on_threads(|mine| {
            let mut random = StdRng::try_from_rng(&mut SysRng)?;
            for index in 0..batches as usize {
                verifier(&mine[index % mine.len()], &mut random)?;
            }
            Ok(batches)
        })?;
        Ok(start.elapsed())
    }

    fn run(&self, time: Duration, verifier: Verify) -> Result<Rate> {
        let (start, before) = (Instant::now(), CpuTimes::now(&[])?);
        let batches = self.on_threads(|mine| {
            let mut random = StdRng::try_from_rng(&mut SysRng)?;
            let mut done = 0;
            while start.elapsed() < time {
                verifier(&mine[done as usize % mine.len()], &mut random)?;
                done += 1;
            }
            Ok(done)
        })?;
        let (signatures, after) = ((batches * BATCH as u64) as f64, CpuTimes::now(&[])?);
        let cpu_us = (after.own - before.own) * 1e6 / signatures;
        Ok(Rate { per_s: signatures / (after.at - before.at).as_secs_f64(), cpu_us })
    }

    fn on_threads(&self, work: impl Fn(&[Batch]) -> Result<u64> + Sync) -> Result<u64> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = self.threads.iter().map(|mine| scope.spawn(|| work(mine))).collect();
            let done = threads.into_iter().map(|thread| thread.join().map_err(|_| "a verifying thread panicked")?);
            done.sum()
        })
    }
}

type Verify = fn(&Batch, &mut StdRng) -> Result<()>;

#[allow(clippy::disallowed_methods)] // the yardstick is this very verifier; nothing is decided by it
fn zebra(batch: &Batch, random: &mut StdRng) -> Result<()> {
    let mut verifier = Verifier::new();
    for (key, message, signature) in batch {
        let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
        verifier.queue(Item::from((key.0.into(), signature, message)));
    }
    Ok(verifier.verify(random)?)
}

fn own(batch: &Batch, _: &mut StdRng) -> Result<()> {
    let items: Vec<_> = batch.iter().map(|(key, message, signature)| (*key, message.as_slice(), *signature)).collect();
    for verdict in verify_many(&items) {
        verdict?;
    }
    Ok(())
}

fn batch(random: &mut StdRng) -> Batch {
    let mut entry = || {
        let (mut seed, mut message) = ([0; 32], vec![0; MESSAGE_BYTES]);
        random.fill_bytes(&mut seed);
        random.fill_bytes(&mut message);
        let key = SecretKey::from_seed(&seed);
        let signature = key.sign(&message);
        (key.public(), message, signature)
    };
    (0..BATCH).map(|_| entry()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_verifiers_accept_what_was_signed_and_refuse_anything_else() {
        let mut random = StdRng::seed_from_u64(1);
        let mut batch = batch(&mut random);
        assert!(zebra(&batch, &mut random).is_ok() && own(&batch, &mut random).is_ok());
        batch[7].1[0] ^= 1;
        assert!(zebra(&batch, &mut random).is_err() && own(&batch, &mut random).is_err());
    }
}
