//! Adversarial and property tests of the one verdict. Crafted signatures are made with curve
//! arithmetic, because no signer makes them.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "shows what the forbidden verifiers say")]

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use ed25519_dalek::Verifier as _;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use super::*;

type Verdict = Result<(), SignatureError>;
type Signed = (PublicKey, Vec<u8>, Signature);

/// L = 2^252 + 27742317777372353535851937790883648493, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn one(signed: &Signed) -> Verdict {
    verify_one(&signed.0, &signed.1, &signed.2)
}

fn many(batch: &[Signed]) -> Vec<Verdict> {
    let items: Vec<_> = batch.iter().map(|(key, message, signature)| (*key, &message[..], *signature)).collect();
    verify_many(&items)
}

fn honest(seed: u64) -> Signed {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let key = SecretKey::from_seed(&bytes);
    let message = Sha512::digest(seed.to_le_bytes()).to_vec();
    let signature = key.sign(&message);
    (key.public(), message, signature)
}

fn join(r: [u8; 32], s: [u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    Signature(bytes)
}

fn with_s(signature: &Signature, s: [u8; 32]) -> Signature {
    join(signature.r_and_s().0, s)
}

fn scalar(parts: &[&[u8]]) -> Scalar {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

fn point(encoding: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*encoding).decompress()
}

/// `[S]B − R − [k]A`: zero if the cofactorless equation holds, of small order if the cofactored.
fn residue(signed: &Signed) -> EdwardsPoint {
    let (r, s) = signed.2.r_and_s();
    let k = scalar(&[&r, &signed.0.0, &signed.1]);
    let s = Scalar::from_canonical_bytes(s).unwrap();
    EdwardsPoint::mul_base(&s) - point(&r).unwrap() - k * point(&signed.0.0).unwrap()
}

/// A signature under `A = aB + torsion_a` with `R = rB + torsion_r` that satisfies the cofactored
/// equation only: the message is chosen so that the residue is a torsion point other than zero.
fn mixed_order(seed: u64, torsion_a: usize, torsion_r: usize) -> Signed {
    let a = scalar(&[b"a", &seed.to_le_bytes()]);
    let r = scalar(&[b"r", &seed.to_le_bytes()]);
    let key = (EdwardsPoint::mul_base(&a) + EIGHT_TORSION[torsion_a]).compress().to_bytes();
    let r_bytes = (EdwardsPoint::mul_base(&r) + EIGHT_TORSION[torsion_r]).compress().to_bytes();
    (0u64..)
        .map(|nonce| {
            let message = [seed.to_le_bytes(), nonce.to_le_bytes()].concat();
            let k = scalar(&[&r_bytes, &key, &message]);
            (PublicKey(key), message, join(r_bytes, (r + k * a).to_bytes()))
        })
        .find(|signed| residue(signed) != EdwardsPoint::default())
        .unwrap()
}

/// The 14 encodings of small-order points that decompress: the 8 canonical ones and 6 that are not
/// (y = p and y = p + 1 with either sign bit, and the two points with x = 0 with the sign bit set).
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut encodings: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|p| p.compress().to_bytes()).collect();
    for low in [0xed, 0xee] {
        for high in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, high);
            encodings.push(y);
        }
    }
    for y in [Scalar::ONE.to_bytes(), EIGHT_TORSION[4].compress().to_bytes()] {
        let mut negative_zero = y;
        negative_zero[31] |= 0x80;
        encodings.push(negative_zero);
    }
    encodings
}

fn zebra_accepts(signed: &Signed) -> bool {
    let signature = ed25519_zebra::Signature::from_bytes(&signed.2.0);
    ed25519_zebra::VerificationKey::try_from(signed.0.0).is_ok_and(|key| key.verify(&signature, &signed.1).is_ok())
}

fn dalek_accepts(signed: &Signed) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signed.2.0);
    ed25519_dalek::VerifyingKey::from_bytes(&signed.0.0).is_ok_and(|key| key.verify(&signed.1, &signature).is_ok())
}

#[test]
fn rfc_8032_vectors() {
    // RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let key = SecretKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
        let message = hex::decode(message).unwrap();
        assert_eq!(key.public().to_string(), format!("0x{public}"));
        assert_eq!(key.sign(&message).to_string(), format!("0x{signature}"));
        let signature = key.sign(&message);
        let signed = (key.public(), message, signature);
        assert_eq!(one(&signed), Ok(()));
        assert_eq!(many(&[signed]), [Ok(())]);
    }
}

#[test]
fn the_small_order_constants_are_the_curves_torsion_points() {
    let mut expected: Vec<[u8; 32]> = EIGHT_TORSION
        .iter()
        .map(|point| {
            let mut y = point.compress().to_bytes();
            y[31] &= 0x7f;
            y
        })
        .collect();
    expected.sort();
    expected.dedup();
    let mut ours = SMALL_ORDER_Y.to_vec();
    ours.sort();
    assert_eq!(ours, expected);
}

#[test]
fn the_14_by_14_small_order_cases_are_all_rejected() {
    let encodings = small_order_encodings();
    assert_eq!(encodings.len(), 14);
    let mut batch = Vec::new();
    for a in &encodings {
        assert!(point(a).unwrap().is_small_order());
        assert!(PublicKey(*a).validate().is_err());
        for r in &encodings {
            let signed = (PublicKey(*a), b"Zcash".to_vec(), join(*r, [0; 32]));
            // The equation alone holds, so nothing but steps 2 and 3 can refuse it.
            assert!(zebra_accepts(&signed));
            assert!(one(&signed).is_err(), "A {a:x?}, R {r:x?}");
            batch.push(signed);
        }
    }
    assert!(many(&batch).iter().all(Result::is_err));
}

#[test]
fn a_small_order_r_or_a_alone_is_rejected() {
    // R of small order, A honest: S = ka satisfies the cofactored equation.
    let a = scalar(&[b"secret"]);
    let key = EdwardsPoint::mul_base(&a).compress().to_bytes();
    for r in small_order_encodings() {
        let s = scalar(&[&r, &key, b"m"]) * a;
        let signed = (PublicKey(key), b"m".to_vec(), join(r, s.to_bytes()));
        assert!(zebra_accepts(&signed));
        assert!(one(&signed).is_err());
    }
    // A of small order, R honest: S = r satisfies it for every message.
    let r = scalar(&[b"nonce"]);
    let r_bytes = EdwardsPoint::mul_base(&r).compress().to_bytes();
    for a in small_order_encodings() {
        let signed = (PublicKey(a), b"any".to_vec(), join(r_bytes, r.to_bytes()));
        assert!(zebra_accepts(&signed));
        assert!(one(&signed).is_err());
    }
}

#[test]
fn every_y_not_below_p_is_non_canonical() {
    let (key, message, signature) = honest(1);
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, high);
            assert_eq!(PublicKey(y).validate(), Err(SignatureError::NonCanonicalPoint));
            let as_key = (PublicKey(y), message.clone(), signature);
            assert_eq!(one(&as_key), Err(SignatureError::NonCanonicalPoint));
            let as_r = (key, message.clone(), join(y, signature.r_and_s().1));
            assert_eq!(one(&as_r), Err(SignatureError::NonCanonicalPoint));
        }
    }
}

#[test]
fn a_y_that_is_p_in_all_bytes_but_one_is_canonical() {
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    for index in 0..32 {
        let mut y = p;
        // By 2: p − 1 is the point of order 2.
        y[index] -= 2;
        assert_eq!(check_point_encoding(&y), Ok(()));
    }
}

#[test]
fn canonical_encodings_are_those_that_decompression_and_compression_keep() {
    // Random y, and y around 0 and p, with both signs: the check on the bytes says what
    // decompressing and compressing again says.
    let mut candidates: Vec<[u8; 32]> = (0..2000).map(random_bytes).collect();
    for low in 0..=255 {
        let (mut small, mut large) = ([0; 32], [0xff; 32]);
        small[0] = low;
        large[0] = low;
        large[31] = 0x7f;
        candidates.extend([small, large]);
    }
    for mut y in candidates {
        for _ in 0..2 {
            y[31] ^= 0x80;
            let kept = point(&y).is_some_and(|p| p.compress().0 == y && !p.is_small_order());
            assert_eq!(PublicKey(y).validate().is_ok(), kept, "{y:x?}");
        }
    }
}

fn random_bytes(i: u64) -> [u8; 32] {
    let wide: [u8; 64] = Sha512::digest(i.to_le_bytes()).into();
    let mut y = [0; 32];
    y.copy_from_slice(&wide[..32]);
    y
}

#[test]
fn a_key_off_the_curve_is_named_as_such() {
    let (_, message, signature) = honest(1);
    let off_curve = (2u8..).map(|y| Scalar::from(y).to_bytes()).find(|y| point(y).is_none()).unwrap();
    assert_eq!(PublicKey(off_curve).validate(), Err(SignatureError::NotOnCurve));
    let signed = (PublicKey(off_curve), message.clone(), signature);
    assert_eq!(one(&signed), Err(SignatureError::NotOnCurve));
    let off_curve_r = (honest(1).0, message, join(off_curve, signature.r_and_s().1));
    assert_eq!(one(&off_curve_r), Err(SignatureError::Invalid));
    let batch = [honest(2), signed, honest(3), off_curve_r];
    let expected = [Ok(()), Err(SignatureError::NotOnCurve), Ok(()), Err(SignatureError::Invalid)];
    assert_eq!(many(&batch), expected);
}

#[test]
fn s_plus_multiples_of_l_and_l_itself_are_rejected() {
    let (key, message, signature) = honest(1);
    let mut s = signature.r_and_s().1;
    // S + 15 L < 2^256 still fits its 32 bytes.
    for _ in 0..15 {
        s = add(s, L);
        let signed = (key, message.clone(), with_s(&signature, s));
        assert_eq!(one(&signed), Err(SignatureError::NonCanonicalScalar));
        assert_eq!(many(&[honest(2), signed])[1], Err(SignatureError::NonCanonicalScalar));
    }
    let is_l = (key, message.clone(), with_s(&signature, L));
    assert_eq!(one(&is_l), Err(SignatureError::NonCanonicalScalar));
    let mut below = L;
    below[0] -= 1;
    assert_eq!(one(&(key, message, with_s(&signature, below))), Err(SignatureError::Invalid));
}

fn add(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    let sum = std::array::from_fn(|i| {
        let digit = u16::from(a[i]) + u16::from(b[i]) + carry;
        carry = digit >> 8;
        digit as u8
    });
    assert_eq!(carry, 0);
    sum
}

#[test]
fn flipping_the_sign_bit_of_a_or_r_makes_it_invalid() {
    let (key, message, signature) = honest(1);
    let mut negated_key = key;
    negated_key.0[31] ^= 0x80;
    assert_eq!(negated_key.validate(), Ok(()));
    assert_eq!(one(&(negated_key, message.clone(), signature)), Err(SignatureError::Invalid));
    let mut negated_r = signature;
    negated_r.0[31] ^= 0x80;
    assert_eq!(one(&(key, message, negated_r)), Err(SignatureError::Invalid));
}

#[test]
fn every_torsion_residue_is_accepted_alone_and_in_a_batch() {
    let mut batch = Vec::new();
    for torsion_a in 0..8 {
        for torsion_r in 0..8 {
            if (torsion_a, torsion_r) == (0, 0) {
                continue;
            }
            let signed = mixed_order(1, torsion_a, torsion_r);
            assert!(!dalek_accepts(&signed), "a cofactorless verifier refuses it");
            assert_eq!(signed.0.validate(), Ok(()));
            assert_eq!(one(&signed), Ok(()));
            batch.push(signed);
        }
    }
    assert_eq!(many(&batch), vec![Ok(()); 63]);
    // The batch itself says so, not the single checks after a failed one.
    let equations: Vec<Indexed> = batch.iter().map(|s| (0, equation(&s.0, &s.1, &s.2))).collect();
    let mut rng = StdRng::seed_from_u64(1);
    assert!(batch_holds(&equations, &mut rng));
    for one in equations.chunks(1) {
        assert!(batch_holds(one, &mut rng));
    }
}

#[test]
fn a_mixed_order_key_gets_the_same_verdict_in_1000_random_batches() {
    let good: Vec<Signed> = (0..300).map(honest).collect();
    let mixed: Vec<Signed> = (0..8).map(|i| mixed_order(i, 1 + i as usize % 7, i as usize)).collect();
    let mut rng = StdRng::seed_from_u64(8032);
    for round in 0..1000 {
        let size = [1, 2, 7, 256][round % 4];
        let mut batch: Vec<Signed> = (0..size).map(|_| good[rng.random_range(0..good.len())].clone()).collect();
        let mut expected = vec![Ok(()); size];
        // In half of the batches another signature is bad, so that the bisection decides.
        if rng.random() {
            let at = rng.random_range(0..size);
            batch[at].1.push(0);
            expected[at] = Err(SignatureError::Invalid);
        }
        let at = rng.random_range(0..size);
        batch[at] = mixed[rng.random_range(0..mixed.len())].clone();
        expected[at] = Ok(());
        assert_eq!(many(&batch), expected, "round {round}, mixed-order key at {at}");
    }
}

#[test]
fn errors_that_cancel_out_are_found() {
    // Two S off by +1 and −1: their plain sum is right, a random combination is not.
    for size in [2, 7, 256] {
        let mut batch: Vec<Signed> = (0..size).map(honest).collect();
        let last = batch.len() - 1;
        for (at, off) in [(0, Scalar::ONE), (last, -Scalar::ONE)] {
            let s = Scalar::from_canonical_bytes(batch[at].2.r_and_s().1).unwrap() + off;
            batch[at].2 = with_s(&batch[at].2, s.to_bytes());
        }
        let mut expected = vec![Ok(()); batch.len()];
        expected[0] = Err(SignatureError::Invalid);
        expected[last] = Err(SignatureError::Invalid);
        assert_eq!(many(&batch), expected);
    }
}

#[test]
fn verdicts_keep_their_order_across_batches() {
    for size in [0, 1, 255, 256, 257, 600] {
        let mut batch: Vec<Signed> = (0..size as u64).map(honest).collect();
        let mut expected = vec![Ok(()); size];
        for at in [0, 8, 255, 256, 511, 512, 599] {
            if at < size {
                batch[at].1.push(0);
                expected[at] = Err(SignatureError::Invalid);
            }
        }
        // A refused encoding is in no batch at all, which must not shift the others.
        for at in [1, 100, 257] {
            if at < size {
                batch[at].0 = PublicKey([0; 32]);
                expected[at] = Err(SignatureError::SmallOrder);
            }
        }
        assert_eq!(many(&batch), expected, "{size} signatures");
    }
}

#[test]
fn a_bad_signature_is_found_wherever_it_is() {
    let good: Vec<Signed> = (0..40).map(honest).collect();
    for first in 0..40 {
        for second in [first, (first + 1) % 40, (first + 20) % 40, 39 - first] {
            let mut batch = good.clone();
            let mut expected = vec![Ok(()); 40];
            for at in [first, second] {
                batch[at].1.push(0);
                expected[at] = Err(SignatureError::Invalid);
            }
            assert_eq!(many(&batch), expected, "bad at {first} and {second}");
        }
    }
}

#[test]
fn the_single_path_without_randomness_says_the_same() {
    let mut batch: Vec<Signed> = (0..20).map(honest).collect();
    batch[3].1.push(0);
    batch[19] = mixed_order(1, 1, 0);
    let equations: Vec<Indexed> = batch.iter().enumerate().map(|(i, s)| (i, equation(&s.0, &s.1, &s.2))).collect();
    let mut verdicts = vec![Ok(()); batch.len()];
    settle_singly(&equations, &mut verdicts);
    assert_eq!(verdicts, many(&batch));
}

#[test]
fn debug_of_a_secret_key_shows_the_public_key_only() {
    let seed = [0x5a; 32];
    let key = SecretKey::from_seed(&seed);
    let text = format!("{key:?}");
    assert_eq!(text, format!("SecretKey(of {})", key.public()));
    assert!(!text.contains("5a5a"));
}

/// An honest signature, or one spoilt in some way.
fn signed() -> impl Strategy<Value = Signed> {
    (0u64..40, 0usize..12, any::<prop::sample::Index>(), any::<[u8; 32]>()).prop_map(|(seed, kind, at, noise)| {
        let (mut key, mut message, mut signature) = honest(seed);
        let torsion = small_order_encodings()[at.index(14)];
        match kind {
            0 => signature.0[at.index(64)] ^= 1 << (noise[0] % 8),
            1 => key.0[at.index(32)] ^= 1 << (noise[0] % 8),
            2 => message.push(noise[0]),
            3 => signature = with_s(&signature, add(signature.r_and_s().1, L)),
            4 => key = PublicKey(torsion),
            5 => signature = join(torsion, signature.r_and_s().1),
            6 => key = PublicKey(noise),
            7 => signature = join(noise, signature.r_and_s().1),
            8 => return mixed_order(seed, at.index(8), 1),
            _ => {}
        }
        (key, message, signature)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn verify_many_is_verify_one_of_each(batch in prop::collection::vec(signed(), 0..60)) {
        let singly: Vec<Verdict> = batch.iter().map(one).collect();
        prop_assert_eq!(many(&batch), singly);
    }

    #[test]
    fn verify_one_is_the_written_rule(signed in signed()) {
        // The four steps done the slow way: by decompressing, compressing and multiplying.
        let canonical = |p: &[u8; 32]| point(p).filter(|q| q.compress().0 == *p && !q.is_small_order());
        let (r, s) = signed.2.r_and_s();
        let valid = bool::from(Scalar::from_canonical_bytes(s).is_some())
            && canonical(&r).is_some()
            && canonical(&signed.0.0).is_some()
            && residue(&signed).is_small_order();
        prop_assert_eq!(one(&signed).is_ok(), valid);
    }

    #[test]
    fn what_we_sign_is_valid_to_us_and_to_the_strictest_verifier(seed: [u8; 32], message: Vec<u8>) {
        let key = SecretKey::from_seed(&seed);
        prop_assert_eq!(key.public().validate(), Ok(()));
        let signature = key.sign(&message);
        prop_assert_eq!(verify_one(&key.public(), &message, &signature), Ok(()));
        let dalek = ed25519_dalek::VerifyingKey::from_bytes(key.public().as_bytes()).unwrap();
        let parsed = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        prop_assert!(dalek.verify_strict(&message, &parsed).is_ok());
    }

    #[test]
    fn keys_and_signatures_round_trip_as_text_and_bytes(key: [u8; 32], signature: [u8; 64]) {
        let (key, signature) = (PublicKey(key), Signature(signature));
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        prop_assert_eq!(signature.to_string().parse(), Ok(signature));
        prop_assert!(signature.to_string().to_uppercase().parse::<Signature>().is_err());
        prop_assert!(key.to_string().parse::<Signature>().is_err());
        let json = serde_json::to_string(&signature).unwrap();
        prop_assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
        prop_assert_eq!(borsh::to_vec(&signature).unwrap(), signature.0.to_vec());
        prop_assert_eq!(borsh::from_slice::<PublicKey>(key.as_bytes()).unwrap(), key);
    }
}
