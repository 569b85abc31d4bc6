//! Who is let in, and who is not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

const CHAIN: ChainId = ChainId(Hash([1; 32]));
const JOB: JobId = JobId::new(7);
const START: u64 = 1_700_000_000_000;
const LIMITS: Limits = Limits { max_ahead_ms: 1_000, nonces: 4, nonces_per_key: 2 };

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// So many ms after the host was started.
fn at(ms: u64) -> TimestampMs {
    TimestampMs::new(START + ms)
}

fn host() -> Host {
    let domain = Text::new("host.example:8083").unwrap();
    Host { domain, chain: CHAIN, provider: Address::from_bytes([3; 32]) }
}

fn gate() -> Gate {
    Gate::new(host(), LIMITS, at(0))
}

fn facts() -> Facts {
    let delegates =
        vec![(Address::from_bytes([9; 32]), key(2).public()), (Address::from_bytes([8; 32]), key(4).public())];
    Facts {
        job: JOB,
        provider: host().provider,
        payer: vec![key(1).public()],
        delegates,
        ack_key: Some(key(3).public()),
    }
}

/// A login with this key and nonce, expiring so many ms after the start.
fn login(seed: u8, nonce: u8, expires: u64) -> Login {
    let Host { domain, chain, provider } = host();
    let nonce = Hash([nonce; 32]);
    Challenge { domain, chain, provider, job: JOB, nonce, expires: at(expires), key: key(seed).public() }
        .sign(&key(seed))
}

#[test]
fn payer_delegate_and_ack_key_come_in_and_nobody_else() {
    let who = [
        (1, Some(Who::Payer)),
        (2, Some(Who::Delegate(Address::from_bytes([9; 32])))),
        (4, Some(Who::Delegate(Address::from_bytes([8; 32])))),
        (3, Some(Who::AckKey)),
        (5, None),
    ];
    for (seed, who) in who {
        let mut gate = gate();
        let challenge = gate.challenge(JOB, key(seed).public(), Hash([seed; 32]), at(5));
        assert!(challenge.check(&host(), JOB).is_ok());
        let expected = who.ok_or(LoginError::Stranger(key(seed).public()));
        assert_eq!(gate.admit(&challenge.sign(&key(seed)), &facts(), at(6)), expected, "{seed}");
    }
    let nobody = Facts { payer: vec![], delegates: vec![], ack_key: None, ..facts() };
    assert!(matches!(gate().admit(&login(3, 1, 1_000), &nobody, at(0)), Err(LoginError::Stranger(_))));
}

#[test]
fn every_field_counts_and_is_signed() {
    let good = login(1, 1, 1_000);
    let other = |expected| move |result| matches!(result, Err(LoginError::Other { what, .. }) if what == expected);
    type Change = (fn(&mut Challenge), &'static str);
    let changes: [Change; 5] = [
        (|c| c.domain = Text::new("host.example").unwrap(), "domain"),
        (|c| c.domain = Text::new("Host.example:8083").unwrap(), "domain"),
        (|c| c.chain = ChainId(Hash([2; 32])), "chain"),
        (|c| c.provider = Address::from_bytes([4; 32]), "provider"),
        (|c| c.job = JobId::new(8), "job"),
    ];
    for (change, what) in changes {
        let mut login = good.clone();
        change(&mut login.challenge);
        assert!(login.challenge.check(&host(), JOB).is_err());
        assert!(other(what)(gate().admit(&login, &facts(), at(0))), "{what}");
        // Signed, so that another host of the same key does not take it either.
        let signed = login.challenge.sign(&key(1));
        assert!(other(what)(gate().admit(&signed, &facts(), at(0))), "{what}, signed");
    }
    let unsigned: [fn(&mut Login); 4] = [
        |l| l.challenge.nonce = Hash([2; 32]),
        |l| l.challenge.expires = at(999),
        |l| l.challenge.key = key(3).public(),
        |l| l.signature = key(3).sign(&l.challenge.signing_bytes()),
    ];
    for (n, change) in unsigned.iter().enumerate() {
        let mut login = good.clone();
        change(&mut login);
        let result = gate().admit(&login, &facts(), at(0));
        assert!(matches!(result, Err(LoginError::Signature(_))), "{n}: {result:?}");
    }
    // Bytes that a host could have signed under another name, or with the fields in other places.
    let ack = key(1).sign(&signing_message(Namespace::Ack, &CHAIN.0, &good.challenge.signing_bytes()));
    let login = Login { signature: ack, ..good.clone() };
    assert!(matches!(gate().admit(&login, &facts(), at(0)), Err(LoginError::Signature(_))));
    for facts in [Facts { job: JobId::new(8), ..facts() }, Facts { provider: Address::from_bytes([4; 32]), ..facts() }]
    {
        assert!(matches!(gate().admit(&good, &facts, at(0)), Err(LoginError::Other { .. })), "facts of something else");
    }
    assert_eq!(gate().admit(&good, &facts(), at(0)), Ok(Who::Payer));
}

#[test]
fn once_and_in_time() {
    let mut gate = gate();
    let one = login(1, 1, 1_000);
    assert_eq!(gate.admit(&one, &facts(), at(0)), Ok(Who::Payer));
    assert_eq!(gate.admit(&one, &facts(), at(1)), Err(LoginError::Seen));
    // The same nonce under another key is seen too.
    assert_eq!(gate.admit(&login(3, 1, 1_000), &facts(), at(1)), Err(LoginError::Seen));
    assert_eq!(gate.admit(&one, &facts(), at(999)), Err(LoginError::Seen));
    let expired = Err(LoginError::Expired { expires: at(1_000), now: at(1_000) });
    assert_eq!(gate.admit(&one, &facts(), at(1_000)), expired);
    assert!(gate.seen.nonces.is_empty() && gate.seen.by_key.is_empty(), "what has expired is forgotten");
    // A clock that is set back does not revive it.
    assert_eq!(gate.admit(&one, &facts(), at(10)), expired);
    let too_long = Err(LoginError::TooLong { expires: at(2_001), most: at(2_000) });
    assert_eq!(gate.admit(&login(1, 2, 2_001), &facts(), at(1_000)), too_long);
    assert_eq!(gate.admit(&login(1, 2, 2_000), &facts(), at(1_000)), Ok(Who::Payer));
}

#[test]
fn what_an_earlier_run_may_have_seen_is_refused() {
    let mut before = gate();
    let used = before.challenge(JOB, key(1).public(), Hash([1; 32]), at(50)).sign(&key(1));
    before.admit(&used, &facts(), at(60)).unwrap();
    let mut after = Gate::new(host(), LIMITS, at(70));
    assert_eq!(after.admit(&used, &facts(), at(80)), Err(LoginError::BeforeStart));
    let new = after.challenge(JOB, key(1).public(), Hash([2; 32]), at(80)).sign(&key(1));
    assert_eq!(after.admit(&new, &facts(), at(90)), Ok(Who::Payer));
}

#[test]
fn what_is_remembered_is_bounded_and_never_forgotten_too_soon() {
    let mut gate = gate();
    for (seed, nonce) in [(1, 1), (1, 2), (2, 3), (3, 4)] {
        gate.admit(&login(seed, nonce, 1_000), &facts(), at(0)).unwrap();
    }
    // A key of its own bound, then all of theirs; nobody makes another's nonce be forgotten.
    for seed in [1, 4] {
        assert_eq!(gate.admit(&login(seed, 5, 1_000), &facts(), at(999)), Err(LoginError::Busy), "{seed}");
    }
    assert_eq!(gate.admit(&login(1, 1, 1_000), &facts(), at(999)), Err(LoginError::Seen));
    assert_eq!(gate.admit(&login(4, 5, 2_000), &facts(), at(1_000)), Ok(facts().who(&key(4).public()).unwrap()));
    // Who is refused takes no room.
    let mut gate = self::gate();
    for nonce in 0..50 {
        let mut forged = login(1, nonce, 1_000);
        forged.signature = key(5).sign(b"");
        assert!(gate.admit(&forged, &facts(), at(0)).is_err());
        assert!(gate.admit(&login(5, nonce, 1_000), &facts(), at(0)).is_err());
    }
    assert!(gate.seen.nonces.is_empty());
}

#[test]
fn who_speaks_alone_for_an_account() {
    let (plain, other) = (Address::of_key(&key(1).public()), key(2).public());
    assert_eq!(sole_key(&plain, &Authority::Derived), Some(key(1).public()));
    assert_eq!(sole_key(&plain, &Authority::Key(other)), Some(other));
    assert_eq!(sole_key(&plain, &Authority::MultiKey(Address::from_bytes([4; 32]))), None);
}

#[test]
fn the_signed_bytes_are_those_of_the_module_text() {
    let Login { challenge, signature } = login(1, 2, 1_000);
    let mut bytes = [&[11], &b"ait/login/1"[..], &[1; 32], &17u32.to_le_bytes(), b"host.example:8083"].concat();
    bytes.extend([3; 32]);
    bytes.extend(7u64.to_le_bytes());
    bytes.extend([2; 32]);
    bytes.extend((START + 1_000).to_le_bytes());
    bytes.extend(key(1).public().0);
    assert_eq!(challenge.signing_bytes(), bytes);
    assert_eq!(verify_one(&key(1).public(), &bytes, &signature), Ok(()));
}

#[test]
fn a_login_is_read_back_and_nothing_is_left_out() {
    let login = login(1, 1, 1_000);
    let text = serde_json::to_string(&login).unwrap();
    assert_eq!(serde_json::from_str::<Login>(&text).unwrap(), login);
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["challenge"]["chain"] = serde_json::Value::Null;
    assert!(serde_json::from_value::<Login>(document.clone()).is_err());
    document["challenge"].as_object_mut().unwrap().remove("chain");
    assert!(serde_json::from_value::<Login>(document).is_err());
}

proptest! {
    /// Against the plainest model: a nonce is let in once while it has not expired, whatever the clock does.
    #[test]
    fn no_nonce_comes_in_twice(steps in proptest::collection::vec((0u8..3, 1u8..5, 0u64..3_000, 0u64..2_000), 1..60)) {
        let mut gate = gate();
        let mut used = std::collections::BTreeSet::new();
        for (nonce, seed, expires, now) in steps {
            let login = login(seed, nonce, expires);
            if gate.admit(&login, &facts(), at(now)).is_ok() {
                prop_assert!(expires > now && expires <= now.max(2_000) + 1_000 && expires >= 1_000);
                prop_assert!(used.insert((nonce, expires, seed)), "the same login twice");
            }
            prop_assert!(gate.seen.nonces.len() <= LIMITS.nonces);
            prop_assert_eq!(gate.seen.nonces.len(), gate.seen.by_end.len());
            prop_assert_eq!(gate.seen.by_key.values().sum::<usize>(), gate.seen.nonces.len());
            prop_assert!(gate.seen.by_key.values().all(|of_key| (1..=LIMITS.nonces_per_key).contains(of_key)));
        }
    }
}
