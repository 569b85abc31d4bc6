//! The official vectors of BIP-39 and SLIP-0010, this wallet's own path, and texts that are no phrase.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

/// BIP-39's English vectors of 24 words (entropy, words, seed with the passphrase "TREZOR").
const BIP39: &[(&str, &str, &str)] = &[
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd30971\
         70af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank year \
         wave sausage worth useful legal winner thank year wave sausage worth title",
        "bc09fca1804f7e69da93c2f2028eb238c227f2e9dda30cd63699232578480a40\
         21b146ad717fbb7e451ce9eb835f43620bf5c514db0f8add49f5d121449d3e87",
    ),
    (
        "8080808080808080808080808080808080808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd \
         amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
        "c0c519bd0e91a2ed54357d9d1ebef6f5af218a153624cf4f2da911a0ed8f7a09\
         e2ef61af0aca007096df430022f7a2b6fb91661a9589097069720d015e4e982f",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo \
         zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e16\
         13912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
    ),
    (
        "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
        "hamster diagram private dutch cause delay private meat slide toddler razor book \
         happy fancy gospel tennis maple dilemma loan word shrug inflict delay length",
        "64c87cde7e12ecf6704ab95bb1408bef047c22db4cc7491c4271d170a1b213d2\
         0b385bc1588d9c7b38f1b39d415665b8a9030c9ec653d75e65f847d8fc1fc440",
    ),
    (
        "9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
        "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich \
         alcohol speed nation flash devote level hobby quick inner drive ghost inside",
        "72be8e052fc4919d2adf28d5306b5474b0069df35b02303de8c1729c9538dbb6\
         fc2d731d5f832193cd9fb6aeecbc469594a70e3dd50811b5067f3b88b28c3e8d",
    ),
    (
        "066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
        "all hour make first leader extend hole alien behind guard gospel lava \
         path output census museum junior mass reopen famous sing advance salt reform",
        "26e975ec644423f4a4c4f4215ef09b4bd7ef924e85d1d17c4cf3f136c2863cf6\
         df0a475045652c57eb5fb41513ca2a2d67722b77e954b4b3fc11f7590449191d",
    ),
    (
        "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush \
         open amazing screen patrol group space point ten exist slush involve unfold",
        "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0\
         e35524a518034ddc1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998",
    ),
];

const SEED_1: &str = "000102030405060708090a0b0c0d0e0f";
const SEED_2: &str = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2\
                      9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";

/// SLIP-0010's ed25519 vectors (seed, path, private key, public key without its leading zero byte).
const SLIP10: &[(&str, &[u32], &str, &str)] = &[
    (
        SEED_1,
        &[],
        "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
        "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed",
    ),
    (
        SEED_1,
        &[0],
        "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
        "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c",
    ),
    (
        SEED_1,
        &[0, 1],
        "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
        "1932a5270f335bed617d5b935c80aedb1a35bd9fc1e31acafd5372c30f5c1187",
    ),
    (
        SEED_1,
        &[0, 1, 2],
        "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
        "ae98736566d30ed0e9d2f4486a64bc95740d89c7db33f52121f8ea8f76ff0fc1",
    ),
    (
        SEED_1,
        &[0, 1, 2, 2],
        "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
        "8abae2d66361c879b900d204ad2cc4984fa2aa344dd7ddc46007329ac76c429c",
    ),
    (
        SEED_1,
        &[0, 1, 2, 2, 1000000000],
        "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
        "3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a",
    ),
    (
        SEED_2,
        &[],
        "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
        "8fe9693f8fa62a4305a140b9764c5ee01e455963744fe18204b4fb948249308a",
    ),
    (
        SEED_2,
        &[0],
        "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
        "86fab68dcb57aa196c77c5f264f215a112c22a912c10d123b0d03c3c28ef1037",
    ),
    (
        SEED_2,
        &[0, 2147483647],
        "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4",
        "5ba3b9ac6e90e83effcd25ac4e58a1365a9e35a3d3ae5eb07b9e4d90bcf7506d",
    ),
    (
        SEED_2,
        &[0, 2147483647, 1],
        "3757c7577170179c7868353ada796c839135b3d30554bbb74a4b1e4a5a58505c",
        "2e66aa57069c86cc18249aecf5cb5a9cebbfd6fadeab056254763874a9352b45",
    ),
    (
        SEED_2,
        &[0, 2147483647, 1, 2147483646],
        "5837736c89570de861ebc173b1086da4f505d4adb387c6a1b1342d5e4ac9ec72",
        "e33c0f7d81d843c572275f287498e8d408654fdf0d1e065b84e2e6f157aab09b",
    ),
    (
        SEED_2,
        &[0, 2147483647, 1, 2147483646, 2],
        "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
        "47150c75db263559a70d5778bf36abbab30fb061ad69f69ece61a72b0cfa4fc0",
    ),
];

#[test]
fn bip39_vectors() {
    for (entropy, words, seed) in BIP39 {
        let parsed = Words::parse(words).unwrap();
        assert_eq!(hex::encode(parsed.entropy()), *entropy);
        assert_eq!(hex::encode(parsed.0.to_seed_normalized("TREZOR")), *seed);
        let made = Words::from_entropy(&parsed.entropy()).unwrap();
        assert_eq!(made.text().as_str(), *words);
    }
}

#[test]
fn slip10_vectors() {
    for (master, path, private, public) in SLIP10 {
        let seed = slip10(&hex::decode(master).unwrap(), path);
        assert_eq!(seed.to_hex().as_str(), *private);
        assert_eq!(hex::encode(seed.public_key()), *public);
    }
}

/// Computed apart from this program, with PBKDF2 and HMAC of another language's standard library.
#[test]
fn this_wallets_path() {
    let words = Words::parse(BIP39[0].1).unwrap();
    let seed = |account| words.seed(AccountIndex::try_from(account).unwrap()).to_hex();
    assert_eq!(seed(0).as_str(), "e004d342e33e5ce693bab473da2d401c7b0dbddb95bfc3c0f39a50c8cabafca1");
    assert_eq!(seed(1).as_str(), "f68786fe4f23109d81df5df4bac0923e6d611898d35e17bb6ce75fb31d7b75ea");
    assert_eq!(seed(MAX_ACCOUNT).as_str(), "7d34b473aa9e1f2f00d3dfbc5e9a5d71ff1f81bf3ce6139fcf9cc01ec4234e32");
    assert_eq!(AccountIndex::try_from(7).unwrap().path(), "m/44'/1'/7'/0'");
}

#[test]
fn an_account_never_carries_the_hardening_bit() {
    assert_eq!(AccountIndex::try_from(MAX_ACCOUNT + 1), Err(MnemonicError::Account(1 << 31)));
    assert!(serde_json::from_str::<AccountIndex>("2147483648").is_err());
}

#[test]
fn what_is_not_a_phrase_is_refused() {
    let parse = |text: &str| Words::parse(text).unwrap_err();
    assert_eq!(parse(""), MnemonicError::WordCount(0));
    assert_eq!(
        parse("legal winner thank year wave sausage worth useful legal winner thank yellow"),
        MnemonicError::WordCount(12)
    );
    assert_eq!(parse(&format!("{} zoo", BIP39[3].1)), MnemonicError::WordCount(25));
    assert_eq!(parse(&BIP39[1].1.replacen("winner", "winnner", 1)), MnemonicError::UnknownWord(2));
    assert_eq!(parse(&BIP39[1].1.replace("title", "legal")), MnemonicError::Checksum);
    // Two words swapped: the right words in the wrong order.
    assert_eq!(parse(&BIP39[5].1.replace("panda eyebrow", "eyebrow panda")), MnemonicError::Checksum);
    assert!(Words::parse(&"абвгд ".repeat(24)).is_err());
}

#[test]
fn case_and_white_space_do_not_matter() {
    let spread = format!("\n  {}\r\n", BIP39[6].1.to_uppercase().replace(' ', " \t\n"));
    assert_eq!(Words::parse(&spread).unwrap().text().as_str(), BIP39[6].1);
}

#[test]
fn new_phrases_differ_and_are_not_shown_by_debug() {
    let (one, other) = (Words::generate().unwrap(), Words::generate().unwrap());
    assert_ne!(one.text(), other.text());
    assert_eq!(format!("{one:?}"), "Words(secret)");
    assert_eq!(format!("{:?}", one.seed(AccountIndex::default())), "Seed(secret)");
}

proptest! {
    #[test]
    fn entropy_and_words_are_one_to_one(entropy: [u8; 32]) {
        let words = Words::from_entropy(&entropy).unwrap();
        prop_assert_eq!(words.iter().count(), WORD_COUNT);
        prop_assert_eq!(*Words::parse(&words.text()).unwrap().entropy(), entropy);
    }
}
