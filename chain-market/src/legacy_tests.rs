//! Receipts of version 1: `vectors/legacy.json` was written by Python's `json.dumps(…, sort_keys=True,
//! separators=(",", ":"))`, which is how version 1 signed, and another ed25519.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use chain_core::crypto::SecretKey;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    name: String,
    signed: String,
    receipt: String,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../vectors/legacy.json")).unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// A receipt of these fields, as JSON text, signed over this text.
fn signed(fields: &str, over: &str) -> String {
    let key_id = URL_SAFE_NO_PAD.encode(key(1).public().0);
    let sig = URL_SAFE_NO_PAD.encode(key(1).sign(over.as_bytes()).0);
    let signature = json!({ "alg": "Ed25519", "key_id": key_id, "sig": sig });
    let comma = if fields.is_empty() { "" } else { "," };
    format!("{{{fields}{comma}\"signature\":{signature}}}")
}

/// What is signed of `{"n": TEXT}`.
fn number(text: &str) -> Result<String, LegacyError> {
    let mut out = String::new();
    write_number(text, &mut out).map(|()| out)
}

#[test]
fn receipts_of_another_implementation_hold() {
    for Case { name, signed, receipt } in cases() {
        let verified = verify(receipt.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(verified.signed, signed, "{name}");
        assert_eq!(verified.key, key(1).public(), "{name}");
        let others = if name == "attested" { vec![key(2).public(), key(3).public()] } else { vec![] };
        assert_eq!(verified.attested_by, others, "{name}");
    }
}

#[test]
fn any_other_field_value_or_signature_does_not_hold() {
    let text = cases().into_iter().find(|case| case.name == "attested").unwrap().receipt;
    let change = |change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_str(&text).unwrap();
        change(&mut document);
        verify(document.to_string().as_bytes())
    };
    assert!(change(&|_| ()).is_ok());
    let one: &dyn Fn(&mut Value) = &|d| d["units"] = json!(1);
    let changes: [&dyn Fn(&mut Value); 6] = [
        one,
        &|d| d["units"] = json!(2.0),
        &|d| d["client"] = json!("client-2"),
        &|d| d["nonce"] = json!(""),
        &|d| drop(d.as_object_mut().unwrap().remove("price")),
        &|d| d["signature"]["key_id"] = d["attestations"][0]["key_id"].clone(),
    ];
    for (n, change_one) in changes.iter().enumerate() {
        assert!(matches!(change(change_one), Err(LegacyError::Signature { .. })), "change {n}");
    }
    let attestation = change(&|d| d["attestations"][1]["sig"] = d["signature"]["sig"].clone());
    assert!(matches!(attestation, Err(LegacyError::Signature { place, .. }) if place == "attestation 2"));
    // What was null when it was signed may be null or missing.
    assert!(change(&|d| d["nonce"] = Value::Null).is_ok());
    assert!(change(&|d| drop(d.as_object_mut().unwrap().remove("attestations"))).is_ok());
}

#[test]
fn numbers_have_one_form_each() {
    let same = ["0", "7", "-7", "1.0", "0.1", "1e-05", "1.5e+16", "1e+100", "-0.0", "123456.75", "9999999999999998.0"];
    for text in same {
        assert_eq!(number(text).unwrap(), text);
    }
    let written = [
        ("-0", "0"),
        ("1.00", "1.0"),
        ("10e-1", "1.0"),
        ("1E0", "1.0"),
        ("0.00001", "1e-05"),
        ("0.0001", "0.0001"),
        ("1e15", "1000000000000000.0"),
        ("1e16", "1e+16"),
        ("1e-400", "0.0"),
        ("0.1000000000000000055", "0.1"),
    ];
    for (text, form) in written {
        assert_eq!(number(text).unwrap(), form, "{text}");
    }
    let longest = "9".repeat(MAX_DIGITS);
    assert_eq!(number(&longest).unwrap(), longest);
    for text in ["1e400", "-1e400", "", "-", "x", "NaN", "Infinity", &"9".repeat(MAX_DIGITS + 1)] {
        assert!(matches!(number(text), Err(LegacyError::Number(_))), "{text}");
    }
}

#[test]
fn what_readers_could_see_differently_is_refused() {
    assert!(verify(signed("\"a\":1", "{\"a\":1}").as_bytes()).is_ok());
    assert!(verify(signed("", "{}").as_bytes()).is_ok());
    // Twice the same field: one reader takes the first, another the last.
    for fields in ["\"a\":2,\"a\":1", "\"a\":1,\"a\":1", "\"\\u0061\":1,\"a\":1", "\"b\":{\"a\":1,\"a\":1}"] {
        let result = verify(signed(fields, "{\"a\":1}").as_bytes());
        assert!(matches!(result, Err(LegacyError::Json(_))), "{fields}");
    }
    for fields in ["\"a\":\"\\ud800\"", "\"a\":01", "\"a\":1.", "\"a\":+1", "\"a\":NaN", "\"a\":1,", "\"a\":\"\n\""] {
        assert!(matches!(verify(signed(fields, "{\"a\":1}").as_bytes()), Err(LegacyError::Json(_))), "{fields}");
    }
    let receipt = signed("\"a\":1", "{\"a\":1}");
    for text in ["", "[]", "null", "{", "7", &(receipt.clone() + "x"), &("\u{feff}".to_owned() + &receipt)] {
        assert!(matches!(verify(text.as_bytes()), Err(LegacyError::Json(_))), "{text}");
    }
    for text in ["{}", "{\"signature\":null}"] {
        assert!(matches!(verify(text.as_bytes()), Err(LegacyError::Unsigned)), "{text}");
    }
    let padded = receipt.replace("\",\"sig\"", "=\",\"sig\"");
    assert!(matches!(verify(padded.as_bytes()), Err(LegacyError::Form { .. })));
    let other = receipt.replace("Ed25519", "ed25519");
    assert!(matches!(verify(other.as_bytes()), Err(LegacyError::Form { .. })));
}

#[test]
fn length_depth_and_signatures_are_bounded() {
    let nested = |depth: usize| format!("\"a\":{}{}", "[".repeat(depth), "]".repeat(depth));
    let over = format!("{{{}}}", nested(MAX_DEPTH - 1));
    assert!(verify(signed(&nested(MAX_DEPTH - 1), &over).as_bytes()).is_ok());
    assert!(matches!(verify(signed(&nested(MAX_DEPTH), "").as_bytes()), Err(LegacyError::TooDeep)));
    // As deep as the length allows: neither stack nor time run out.
    let deepest = signed(&nested(MAX_BYTES / 2 - 1_000), "");
    assert!(matches!(verify(deepest.as_bytes()), Err(LegacyError::TooDeep | LegacyError::Json(_))));
    assert!(matches!(verify(&vec![b' '; MAX_BYTES + 1]), Err(LegacyError::TooLong(_))));
    let many = format!("\"attestations\":[{}]", vec!["{}"; MAX_ATTESTATIONS + 1].join(","));
    assert!(matches!(verify(signed(&many, "{}").as_bytes()), Err(LegacyError::TooMany(65))));
}

fn any_json() -> impl Strategy<Value = Value> {
    // Doubles that every reader reads exactly; all others are in the vectors.
    let double = any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0));
    let number = prop_oneof![any::<i64>().prop_map(Value::from), double];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, ".*".prop_map(Value::from)];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from);
        prop_oneof![list, proptest::collection::btree_map(".*", inner, 0..6).prop_map(|m| json!(m))]
    })
}

proptest! {
    #[test]
    fn nothing_from_outside_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn a_receipt_that_was_damaged_never_panics(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        n in 0usize..5,
    ) {
        let mut bytes = cases()[n].receipt.clone().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        // White space and equal spellings may hold, and then say the same.
        if let Ok(verified) = verify(&bytes) {
            prop_assert_eq!(verified.signed, cases()[n].signed.clone());
        }
        bytes.truncate(place);
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn what_is_signed_is_a_form_of_its_own(value in any_json()) {
        if value.is_null() {
            return Ok(());
        }
        let text = value.to_string();
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        let mut once = String::new();
        write(raw, 0, &mut once).unwrap();
        prop_assert!(once.is_ascii());
        let mut twice = String::new();
        write(serde_json::from_str(&once).unwrap(), 0, &mut twice).unwrap();
        prop_assert_eq!(&once, &twice);
        // Integers and doubles keep their values: only nulls are gone.
        prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), without_nulls(value));
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect(),
        other => other,
    }
}
