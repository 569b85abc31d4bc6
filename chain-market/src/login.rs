//! Who may use a job at a provider's host: the host asks with a [`Challenge`], the client signs it.
//!
//! What is signed is `ait/login/1`, the chain's id, then `domain text ‖ provider 32 ‖ job u64 ‖ nonce 32 ‖
//! expires u64 ‖ key 32` (borsh: integers little-endian, a text is its length as u32 and its UTF-8 bytes). It is good
//! for one host, chain, provider and job, once, until it expires; and as transactions and acknowledgements are signed
//! under other names, it can never be read as one.
//!
//! Rules of [`Gate::admit`], in this order:
//! 1. Domain, chain and provider are the host's own; the job is the one the facts are of.
//! 2. It expires after now, and at most `max_ahead_ms` after now.
//! 3. The key is of the payer, of a delegate whose grant holds, or the job's acknowledgement key.
//! 4. The signature is the key's.
//! 5. Its nonce was not seen. What was seen is kept until it expires, and what could have been seen before the host
//!    was started is refused.
//!
//! Not here: where the facts come from (a node, or better a proof), clocks, randomness.

use std::collections::{BTreeMap, BTreeSet};

use chain_core::{
    codec::{self, Text},
    crypto::{Hash, Namespace, PublicKey, SecretKey, Signature, SignatureError, signing_message, verify_one},
    state::Authority,
    types::{Address, ChainId, JobId, TimestampMs},
};
use serde::{Deserialize, Serialize};

/// Longest domain, in bytes: that of DNS names, and room for a port.
pub const MAX_DOMAIN_BYTES: usize = 261;

/// The host's name as the client knows it: `host.example`, with `:port` where that is part of its address. Compared
/// byte by byte.
pub type Domain = Text<MAX_DOMAIN_BYTES>;

/// What a client signs to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// At which host. The client compares it with the address it has connected to.
    pub domain: Domain,
    /// On which chain.
    pub chain: ChainId,
    /// Whose host.
    pub provider: Address,
    /// For which job.
    pub job: JobId,
    /// 32 random bytes.
    pub nonce: Hash,
    /// From when on it is worth nothing, in ms since 1970 by the host's clock.
    pub expires: TimestampMs,
    /// Whose signature it will be.
    pub key: PublicKey,
}

/// A signed challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// What was signed.
    pub challenge: Challenge,
    /// Over [`Challenge::signing_bytes`].
    pub signature: Signature,
}

/// What the chain says of a job, as far as it matters who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which job.
    pub job: JobId,
    /// Who works in it now.
    pub provider: Address,
    /// Keys that can speak for the payer alone ([`sole_key`]); none where it takes several.
    pub payer: Vec<PublicKey>,
    /// Accounts with a grant of the payer that holds now and covers the provider, with the key that can speak for each.
    pub delegates: Vec<(Address, PublicKey)>,
    /// Who signs acknowledgements, where the job has such a key.
    pub ack_key: Option<PublicKey>,
}

/// Who has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "address")]
pub enum Who {
    /// The payer.
    Payer,
    /// A delegate of the payer.
    Delegate(Address),
    /// Whoever signs the job's acknowledgements.
    AckKey,
}

/// Why a login is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// It is for something else.
    #[error("the login is for the {what} {got}, expected {expected}")]
    Other {
        /// What is not as expected: domain, chain, provider or job.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What it says.
        got: String,
    },
    /// It is too late.
    #[error("the login has expired at {expires}, it is {now}")]
    Expired {
        /// When it expired.
        expires: TimestampMs,
        /// Now.
        now: TimestampMs,
    },
    /// It would hold for too long.
    #[error("the login expires at {expires}, at most {most} is allowed")]
    TooLong {
        /// When it would expire.
        expires: TimestampMs,
        /// The latest that is allowed.
        most: TimestampMs,
    },
    /// Nobody who may use the job has this key.
    #[error("the key {0} is neither of the payer nor of a delegate, nor the job's acknowledgement key")]
    Stranger(PublicKey),
    /// The signature is not the key's over this challenge.
    #[error("the login's signature does not hold: {0}")]
    Signature(#[from] SignatureError),
    /// It was used already.
    #[error("the login was used already")]
    Seen,
    /// It may have been used before the host was started.
    #[error("the login may have been used before the host was started; ask for a new challenge")]
    BeforeStart,
    /// Too many logins have not expired yet, of this key or of all.
    #[error("too many logins at once, try again later")]
    Busy,
}

/// Whose host asks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub domain: Domain,
    /// On which chain.
    pub chain: ChainId,
    /// Whose it is.
    pub provider: Address,
}

/// What a gate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a challenge holds at most, in ms.
    pub max_ahead_ms: u64,
    /// How many nonces are remembered at once, of all keys.
    pub nonces: usize,
    /// And of one key.
    pub nonces_per_key: usize,
}

impl Default for Limits {
    /// 5 minutes, 100,000 nonces, 100 of one key.
    fn default() -> Self {
        Self { max_ahead_ms: 300_000, nonces: 100_000, nonces_per_key: 100 }
    }
}

/// Lets clients in.
#[derive(Debug)]
pub struct Gate {
    host: Host,
    limits: Limits,
    seen: Seen,
}

/// Nonces that were used and have not expired.
#[derive(Debug)]
struct Seen {
    /// Everything that expires up to here may have been used before.
    before_start: TimestampMs,
    /// The latest time that was told. A clock that is set back does not revive what has expired.
    now: TimestampMs,
    nonces: BTreeSet<Hash>,
    by_end: BTreeSet<(TimestampMs, Hash, PublicKey)>,
    by_key: BTreeMap<PublicKey, usize>,
}

impl Challenge {
    /// The bytes that are signed.
    pub fn signing_bytes(&self) -> Vec<u8> {
        let Self { domain, chain, provider, job, nonce, expires, key } = self;
        let body = codec::encode(&(domain, provider, job, nonce, expires, key));
        signing_message(Namespace::Login, &chain.0, &body)
    }

    /// Signs it, after having put the key into it.
    pub fn sign(mut self, key: &SecretKey) -> Login {
        self.key = key.public();
        let signature = key.sign(&self.signing_bytes());
        Login { challenge: self, signature }
    }

    /// For the client, before it signs: whether the challenge is of the host, chain, provider and job that it means.
    ///
    /// # Errors
    /// [`LoginError::Other`].
    pub fn check(&self, host: &Host, job: JobId) -> Result<(), LoginError> {
        expect("domain", &*host.domain, &*self.domain)?;
        expect("chain", host.chain, self.chain)?;
        expect("provider", host.provider, self.provider)?;
        expect("job", job, self.job)
    }
}

impl Facts {
    /// Who a key is, if it may use the job.
    pub fn who(&self, key: &PublicKey) -> Option<Who> {
        if self.payer.contains(key) {
            return Some(Who::Payer);
        }
        if let Some((delegate, _)) = self.delegates.iter().find(|(_, of)| of == key) {
            return Some(Who::Delegate(*delegate));
        }
        (self.ack_key == Some(*key)).then_some(Who::AckKey)
    }
}

/// The key that can speak for an account alone; none where that takes several. `authority` is what the account's row
/// says, `Authority::Derived` if it has none.
pub fn sole_key(address: &Address, authority: &Authority) -> Option<PublicKey> {
    match authority {
        // Of an address that derives from a policy these bytes are a hash, and nobody has its secret.
        Authority::Derived => Some(PublicKey(*address.as_bytes())),
        Authority::Key(key) => Some(*key),
        Authority::MultiKey(_) => None,
    }
}

impl Gate {
    /// A gate that was opened now, in ms since 1970.
    pub fn new(host: Host, limits: Limits, now: TimestampMs) -> Self {
        let before_start = now.saturating_add(limits.max_ahead_ms);
        let (nonces, by_end, by_key) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { host, limits, seen: Seen { before_start, now, nonces, by_end, by_key } }
    }

    /// A new challenge that holds as long as one may. `nonce`: 32 bytes of the system's randomness.
    pub fn challenge(&self, job: JobId, key: PublicKey, nonce: Hash, now: TimestampMs) -> Challenge {
        let Host { domain, chain, provider } = self.host.clone();
        // A clock that was set back counts as the latest time told. So it expires no sooner than `before_start`.
        let expires = now.max(self.seen.now).saturating_add(self.limits.max_ahead_ms);
        Challenge { domain, chain, provider, job, nonce, expires, key }
    }

    /// Lets a client in, once per challenge. Nothing has to be kept for a challenge before.
    ///
    /// # Errors
    /// The first rule that does not hold; nothing is remembered then.
    pub fn admit(&mut self, login: &Login, facts: &Facts, now: TimestampMs) -> Result<Who, LoginError> {
        let Login { challenge, signature } = login;
        challenge.check(&self.host, facts.job)?;
        expect("provider", facts.provider, challenge.provider)?;
        let now = self.seen.tell(now);
        let (expires, most) = (challenge.expires, now.saturating_add(self.limits.max_ahead_ms));
        if expires <= now {
            return Err(LoginError::Expired { expires, now });
        }
        if expires > most {
            return Err(LoginError::TooLong { expires, most });
        }
        let who = facts.who(&challenge.key).ok_or(LoginError::Stranger(challenge.key))?;
        verify_one(&challenge.key, &challenge.signing_bytes(), signature)?;
        self.seen.take(challenge, &self.limits)?;
        Ok(who)
    }
}

impl Seen {
    /// Goes on to a time, and forgets what has expired. Answers the time that counts.
    fn tell(&mut self, now: TimestampMs) -> TimestampMs {
        self.now = self.now.max(now);
        while let Some((expires, nonce, key)) = self.by_end.first().copied() {
            if expires > self.now {
                break;
            }
            self.by_end.pop_first();
            self.nonces.remove(&nonce);
            let left = self.by_key.get(&key).copied().unwrap_or_default().saturating_sub(1);
            if left == 0 {
                self.by_key.remove(&key);
            } else {
                self.by_key.insert(key, left);
            }
        }
        self.now
    }

    fn take(&mut self, challenge: &Challenge, limits: &Limits) -> Result<(), LoginError> {
        let Challenge { nonce, expires, key, .. } = *challenge;
        if expires < self.before_start {
            return Err(LoginError::BeforeStart);
        }
        if self.nonces.contains(&nonce) {
            return Err(LoginError::Seen);
        }
        let of_key = self.by_key.get(&key).copied().unwrap_or_default();
        // A nonce is never forgotten before it expires: to let one wait is better than to let one in twice.
        if self.nonces.len() >= limits.nonces || of_key >= limits.nonces_per_key {
            return Err(LoginError::Busy);
        }
        self.nonces.insert(nonce);
        self.by_end.insert((expires, nonce, key));
        self.by_key.insert(key, of_key.saturating_add(1));
        Ok(())
    }
}

fn expect<T: PartialEq + ToString>(what: &'static str, expected: T, got: T) -> Result<(), LoginError> {
    if expected == got {
        return Ok(());
    }
    Err(LoginError::Other { what, expected: expected.to_string(), got: got.to_string() })
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
