//! ed25519 keys and signatures, with one verdict everywhere: transactions, votes, handshakes,
//! receipts, light clients and tools.
//!
//! A signature (R, S) of a message M under a key A is valid if and only if
//!
//! 1. S < L, the order of the base point;
//! 2. A and R are canonical encodings of curve points;
//! 3. neither A nor R has small order;
//! 4. `[8]([S]B − R − [k]A) = 0` with `k = SHA-512(R ‖ A ‖ M) mod L` (the cofactored equation).
//!
//! Steps 1 to 3 are looked up on the encodings, for each signature, before any batching
//! (`check_encodings`); only "is on the curve" of step 2 is left to decompression, which step 4
//! does anyway. Step 4 is ed25519-zebra's: its rules are ZIP 215, that is steps 1 and 4 with any
//! encoding of A and R accepted, and the same single and batched. So the verdict never depends on
//! the batch a signature was in: a batch that fails is bisected, and a refusal is always said by the
//! single check.
//!
//! ed25519-dalek holds secret keys and signs. Its verifiers are cofactorless or disagree with each
//! other on crafted input; clippy.toml forbids them, and zebra's own outside this file.
//!
//! Why step 3: with a small-order A, one signature fits (nearly) any message. Keys of mixed order
//! (a torsion point added) are harmless and stay valid: telling them apart costs a scalar
//! multiplication, and the cofactor in step 4 makes everyone agree on them.
//!
//! Not here: what is signed (see [`super::signing_message`] for its frame), verification across
//! threads, the cache of verified transactions.

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Signer as _;
use ed25519_zebra::batch::{Item, Verifier};
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};

#[cfg(test)]
mod tests;

/// Signatures verified in one batch at most. Larger batches gain little and lose more to one bad
/// signature.
pub const BATCH_SIZE: usize = 256;

/// Parts of a failed batch of at most this many signatures are verified one by one: batching so
/// few saves less than another failed attempt costs.
const BISECT_FLOOR: usize = 8;

/// Why a signature or a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Step 1: S ≥ L.
    #[error("the signature's scalar is not canonical")]
    NonCanonicalScalar,
    /// Step 2: the y coordinate of A or R is not below the field's prime.
    #[error("a point is not canonically encoded")]
    NonCanonicalPoint,
    /// Step 3: A or R is one of the 8 points of small order (in any spelling of its sign bit).
    #[error("a point has small order")]
    SmallOrder,
    /// Step 2: the key A is no point of the curve.
    #[error("the public key is not on the curve")]
    NotOnCurve,
    /// Step 4, or step 2 for an R that is no point of the curve.
    #[error("the signature does not fit the message and key")]
    Invalid,
}

/// An ed25519 public key as its 32 bytes. Any bytes decode; whether they are a key is said by
/// [`PublicKey::validate`] where a key is registered, and by verification where it is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

super::hex_text!(PublicKey);

impl PublicKey {
    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that signatures under this key can be valid at all: a canonical encoding of a curve
    /// point, not of small order. For the moment a key becomes an account's or a validator's.
    ///
    /// # Errors
    ///
    /// `NonCanonicalPoint`, `SmallOrder` or `NotOnCurve`.
    pub fn validate(&self) -> Result<(), SignatureError> {
        check_point_encoding(&self.0)?;
        match CompressedEdwardsY(self.0).decompress() {
            Some(_) => Ok(()),
            None => Err(SignatureError::NotOnCurve),
        }
    }
}

/// An ed25519 signature: R ‖ S, 64 bytes. Any bytes decode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

super::hex_text!(Signature);

impl Signature {
    /// The signature's bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The encodings of R and S.
    fn r_and_s(&self) -> ([u8; 32], [u8; 32]) {
        let parsed = ed25519_zebra::Signature::from_bytes(&self.0);
        (*parsed.r_bytes(), *parsed.s_bytes())
    }
}

/// An ed25519 secret key (the 32-byte seed of RFC 8032). Its memory is wiped on drop; it has no
/// serialisation and its `Debug` shows the public key.
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key of a seed. The caller wipes its own copy of the seed.
    pub fn from_seed(seed: &[u8; 32]) -> SecretKey {
        SecretKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public key that belongs to this key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs the bytes as they are; the frame with namespace and chain id is the caller's
    /// ([`super::signing_message`]). Deterministic (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

// The seed is wiped by the key inside: this stops compiling if that ceases to be so.
const _: () = {
    const fn wiped_on_drop<T: zeroize::ZeroizeOnDrop>() {}
    wiped_on_drop::<ed25519_dalek::SigningKey>();
};

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// Verifies one signature.
///
/// # Errors
///
/// The first step that fails, in the order: 1; then 2 and 3 on the encodings, of A and then of R;
/// then A on the curve; then the rest.
pub fn verify_one(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
    check_encodings(key, signature)?;
    check_equation(equation(key, message, signature))
}

/// Verifies many signatures: for each, in order, exactly what [`verify_one`] says of it.
///
/// Honest signatures cost about half as much as one by one; a batch with bad ones costs one to two
/// times as much. A caller who can tell good sources from bad ones does well not to mix them.
pub fn verify_many(items: &[(PublicKey, &[u8], Signature)]) -> Vec<Result<(), SignatureError>> {
    let mut verdicts = Vec::with_capacity(items.len());
    let mut equations = Vec::with_capacity(items.len());
    for (index, (key, message, signature)) in items.iter().enumerate() {
        let verdict = check_encodings(key, signature);
        if verdict.is_ok() {
            equations.push((index, equation(key, message, signature)));
        }
        verdicts.push(verdict);
    }
    // One seed from the operating system, stretched by a cryptographic generator, in place of a
    // system call per coefficient. An attacker who can't predict it can't make errors cancel out.
    // Without randomness there is no batching; the verdicts are the same, only slower.
    match StdRng::try_from_rng(&mut SysRng) {
        Ok(mut rng) => {
            for batch in equations.chunks(BATCH_SIZE) {
                settle_batch(batch, &mut rng, &mut verdicts);
            }
        }
        Err(_) => settle_singly(&equations, &mut verdicts),
    }
    verdicts
}

/// A signature that passed `check_encodings`, with the index of its verdict.
type Indexed = (usize, Item);

/// Step 4 for many. A batch that holds leaves its verdicts at `Ok`. One that fails is halved to the
/// part that holds the bad signature, and that part is verified one by one; with bad ones on both
/// sides, halving further would cost more than it saves. So the worst a sender of bad signatures
/// can do is to double the cost of verifying one by one.
fn settle_batch(batch: &[Indexed], rng: &mut StdRng, verdicts: &mut [Result<(), SignatureError>]) {
    if batch.len() > 1 && batch_holds(batch, rng) {
        return;
    }
    let mut suspects = batch;
    while suspects.len() > BISECT_FLOOR {
        let (left, right) = suspects.split_at(suspects.len() / 2);
        if batch_holds(left, rng) {
            suspects = right; // the whole failed, so the bad one is here
        } else if batch_holds(right, rng) {
            suspects = left;
        } else {
            break;
        }
    }
    settle_singly(suspects, verdicts);
}

/// Step 4 one by one.
fn settle_singly(items: &[Indexed], verdicts: &mut [Result<(), SignatureError>]) {
    for (index, item) in items {
        verdicts[*index] = check_equation(item.clone());
    }
}

/// Step 4 for all of `batch` at once, with a random 128-bit coefficient for each signature. Always
/// true if all hold; true with probability 2^-128 if one does not.
#[expect(clippy::disallowed_methods, reason = "the one batched verification")]
fn batch_holds(batch: &[Indexed], rng: &mut StdRng) -> bool {
    let mut verifier = Verifier::new();
    for (_, item) in batch {
        verifier.queue(item.clone());
    }
    verifier.verify(rng).is_ok()
}

/// Step 4 for one, and that A and R decompress.
#[expect(clippy::disallowed_methods, reason = "the one single verification")]
fn check_equation(item: Item) -> Result<(), SignatureError> {
    item.verify_single().map_err(|error| match error {
        ed25519_zebra::Error::MalformedPublicKey => SignatureError::NotOnCurve,
        _ => SignatureError::Invalid,
    })
}

/// What step 4 is about: key, signature and k.
fn equation(key: &PublicKey, message: &[u8], signature: &Signature) -> Item {
    let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
    Item::from((key.0.into(), signature, message))
}

/// Steps 1 to 3, as far as the encodings tell (all but "on the curve").
fn check_encodings(key: &PublicKey, signature: &Signature) -> Result<(), SignatureError> {
    let (r, s) = signature.r_and_s();
    if bool::from(Scalar::from_canonical_bytes(s).is_none()) {
        return Err(SignatureError::NonCanonicalScalar);
    }
    check_point_encoding(&key.0)?;
    check_point_encoding(&r)
}

/// The y coordinates of the 8 points of small order, little-endian: of order 1, 2, 4 (both), 8 (two
/// and two). `x` and `−x` differ in the sign bit only, so these five are all.
const SMALL_ORDER_Y: [[u8; 32]; 5] = {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let order_8 = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    let minus_order_8 = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    [[0; 32], one, minus_one, order_8, minus_order_8]
};

/// Steps 2 and 3 on an encoding: y < p, and not a point of small order.
///
/// The other non-canonical form, the sign bit set with x = 0, exists for y = 1 and y = −1 only;
/// both are of small order, and the sign bit is left out of that comparison.
fn check_point_encoding(encoding: &[u8; 32]) -> Result<(), SignatureError> {
    let mut y = *encoding;
    y[31] &= 0x7f;
    // p = 2^255 − 19, so p ≤ y < 2^255 leaves only the lowest byte to vary.
    if y[0] >= 0xed && y[1..31].iter().all(|b| *b == 0xff) && y[31] == 0x7f {
        return Err(SignatureError::NonCanonicalPoint);
    }
    if SMALL_ORDER_Y.contains(&y) {
        return Err(SignatureError::SmallOrder);
    }
    Ok(())
}
