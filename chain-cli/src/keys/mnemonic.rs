//! From 24 English words (BIP-39) to an ed25519 seed (SLIP-0010).
//!
//! The path is `m/44'/1'/ACCOUNT'/0'`, every step hardened because ed25519 knows no other. It has the shape other
//! ed25519
//! wallets use (BIP-44 without the address level). Not here: BIP-39's optional extra passphrase, other languages and
//! shorter
//! phrases; the file that keeps the words (`sealed`).

use std::fmt;

use bip39::{Language, Mnemonic};
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{KeyError, secret::Seed};

/// First step of the path: BIP-44.
pub const PURPOSE: u32 = 44;
/// Second step: the SLIP-0044 coin type. This chain has none registered, and 1 is the number SLIP-0044 leaves to every
/// coin
/// without one of its own on test networks. Fixed for key files of version 1: changing it changes every address.
pub const COIN_TYPE: u32 = 1;
/// Last step: BIP-44's "change" level, which an account chain has no use for.
pub const CHANGE: u32 = 0;
/// Words in a phrase: 256 bits of entropy and 8 of checksum.
pub const WORD_COUNT: usize = 24;
/// SLIP-0010's largest index before the hardening bit.
pub const MAX_ACCOUNT: u32 = (1 << 31) - 1;

/// Why a text is not a phrase of this wallet. Positions, never words: a mistyped word is still most of a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MnemonicError {
    /// Another number of words.
    #[error("expected {WORD_COUNT} words, got {0}")]
    WordCount(usize),
    /// A word outside BIP-39's English list, counted from 1.
    #[error("word {0} is not in the English BIP-39 list")]
    UnknownWord(usize),
    /// All words are known, but they do not belong together in this order.
    #[error("the words' checksum does not match: a word is wrong or misplaced")]
    Checksum,
    /// The account number needs the hardening bit for itself.
    #[error("account {0} is above {MAX_ACCOUNT}")]
    Account(u32),
}

/// Which key of a phrase: the third step of the path, 0 to 2³¹ − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct AccountIndex(u32);

impl AccountIndex {
    /// The derivation path of this account, as text.
    #[must_use]
    pub fn path(self) -> String {
        format!("m/{PURPOSE}'/{COIN_TYPE}'/{}'/{CHANGE}'", self.0)
    }
}

impl TryFrom<u32> for AccountIndex {
    type Error = MnemonicError;

    fn try_from(index: u32) -> Result<Self, MnemonicError> {
        if index > MAX_ACCOUNT {
            return Err(MnemonicError::Account(index));
        }
        Ok(Self(index))
    }
}

impl From<AccountIndex> for u32 {
    fn from(account: AccountIndex) -> u32 {
        account.0
    }
}

/// A phrase of 24 words whose checksum holds.
#[derive(Clone)]
pub struct Words(Mnemonic);

impl Words {
    /// Draws a new phrase from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Random`] if there is none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut entropy = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(entropy.as_mut())?;
        Ok(Self::from_entropy(&entropy)?)
    }

    /// The phrase of 32 bytes of entropy.
    ///
    /// # Errors
    /// None for 32 bytes; the library's signature has one.
    pub fn from_entropy(entropy: &[u8; 32]) -> Result<Self, MnemonicError> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, entropy).map_err(rejection)?;
        Ok(Self(mnemonic))
    }

    /// Reads a phrase, in any case and with any white space between the words.
    ///
    /// # Errors
    /// [`MnemonicError`] if it is not 24 English words with a matching checksum.
    pub fn parse(text: &str) -> Result<Self, MnemonicError> {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        let count = text.split_whitespace().count();
        if count != WORD_COUNT {
            return Err(MnemonicError::WordCount(count));
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &text).map_err(rejection)?;
        Ok(Self(mnemonic))
    }

    /// The 32 bytes the words stand for.
    #[must_use]
    pub fn entropy(&self) -> Zeroizing<[u8; 32]> {
        let (padded, _) = self.0.to_entropy_array();
        let padded = Zeroizing::new(padded);
        let mut entropy = Zeroizing::new([0; 32]);
        entropy.copy_from_slice(&padded[..32]);
        entropy
    }

    /// The words, separated by single spaces.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        // Room for everything at once (a word has at most 8 letters): a string that grows leaves copies that are not
        // wiped.
        let mut text = Zeroizing::new(String::with_capacity(WORD_COUNT * 9));
        for word in self.iter() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The words one by one.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// The key of an account of this phrase.
    #[must_use]
    pub fn seed(&self, account: AccountIndex) -> Seed {
        let master = Zeroizing::new(self.0.to_seed_normalized(""));
        slip10(master.as_ref(), &[PURPOSE, COIN_TYPE, account.0, CHANGE])
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(secret)")
    }
}

/// SLIP-0010 for ed25519: every index is hardened, so an index must not carry the hardening bit itself.
fn slip10(master: &[u8], path: &[u32]) -> Seed {
    Seed::new(Zeroizing::new(slip10_ed25519::derive_ed25519_private_key(master, path)))
}

fn rejection(error: bip39::Error) -> MnemonicError {
    match error {
        bip39::Error::BadWordCount(count) => MnemonicError::WordCount(count),
        bip39::Error::UnknownWord(index) => MnemonicError::UnknownWord(index + 1),
        bip39::Error::BadEntropyBitCount(bits) => MnemonicError::WordCount(bits * 3 / 32),
        // Two languages can't be in doubt: English is asked for.
        bip39::Error::InvalidChecksum | bip39::Error::AmbiguousLanguages(_) => MnemonicError::Checksum,
    }
}

#[cfg(test)]
#[path = "mnemonic_tests.rs"]
mod tests;
