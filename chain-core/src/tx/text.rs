//! What a transaction says, in words: `ait/text/1`. A wallet or hardware device shows this to
//! whoever signs; vectors freeze it.
//!
//! ```text
//! ait/text/1
//! Chain: 0x…                                   all 32 bytes, as the signing bytes hold them
//! From: ait1…
//! Nonce: 7
//! Fee: 0.5AIT                                  or: 0.5AIT paid by ait1…
//! Valid until: block 100                       or: any block
//! Action 1 of 2: Transfer 5AIT to ait1…
//! Action 2 of 2: …
//! ```
//!
//! 1. Lines end with a line feed, the last one too; no text of a sender can contain one.
//! 2. Amounts are in tokens where the reader knows the asset, else in base units; never rounded.
//! 3. Texts of the sender stand in quotes; inside, `"`, `\` and characters that are invisible or
//!    turn the direction of writing are escaped.
//!
//! Not here: the words of an action (the families).

use super::Transaction;
use crate::types::{Amount, AssetId, ChainId, Height, Token};
use std::fmt::Write;

/// The first line; another form gets another one.
const TITLE: &str = crate::crypto::Namespace::Text.as_str();

impl Transaction {
    /// The whole transaction in words. `tokens` knows how amounts of an asset are written.
    pub fn text(&self, chain: &ChainId, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let fee = amount_text(AssetId::NATIVE, self.fee, tokens);
        let fee = match &self.fee_payer {
            Some(payer) => format!("{fee} paid by {payer}"),
            None => fee,
        };
        let until = match self.valid_until {
            Height::ZERO => "any block".to_owned(),
            height => format!("block {height}"),
        };
        let (sender, nonce, count) = (&self.sender, self.nonce, self.actions.len());
        let mut text =
            format!("{TITLE}\nChain: {chain}\nFrom: {sender}\nNonce: {nonce}\nFee: {fee}\nValid until: {until}\n");
        for (place, action) in (1..).zip(self.actions.iter()) {
            // Writing to a String can't fail.
            let _ = writeln!(text, "Action {place} of {count}: {}", action.rules().text(tokens));
        }
        text
    }
}

/// An amount in words: in tokens where the asset is known, else in base units.
pub(super) fn amount_text(asset: AssetId, amount: Amount, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
    match tokens(asset) {
        Some(token) => token.format(amount),
        None => format!("{amount} base units of asset {asset}"),
    }
}

/// A sender's text in quotes, so that it can't be taken for ours.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_deceptive(c) => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Characters without a shape of their own: soft hyphen, Arabic letter mark, zero widths and marks
/// of direction, line separators, embeddings, isolates, byte order mark, annotations, tags. A
/// fixed list, so that every implementation escapes the same.
fn is_deceptive(c: char) -> bool {
    matches!(
        u32::from(c),
        0..=0x1f
            | 0x7f..=0x9f
            | 0xad
            | 0x61c
            | 0x180e
            | 0x200b..=0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0xfeff
            | 0xfff9..=0xfffb
            | 0xe0000..=0xe0fff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_quotes_or_hide() {
        assert_eq!(quoted("grüße 5€"), "\"grüße 5€\"");
        assert_eq!(quoted("a\" to b\\"), r#""a\" to b\\""#);
        assert_eq!(quoted("a\u{202e}b\n"), r#""a\u{202e}b\u{a}""#);
    }
}
