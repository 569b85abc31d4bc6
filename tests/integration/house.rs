//! The house rules: who may use whom, and how a file looks. A finding names file and line.

use chain_tests::workspace::{Source, files, root};

/// The modules of chain-core in the order of dependency, as `lib.rs` declares them. `testing` is
/// last: it is for tests and no node runs it.
const ORDER: &[&str] = &[
    "limits",
    "codec",
    "crypto",
    "types",
    "fault",
    "storage",
    "state",
    "tx",
    "block",
    "execute",
    "genesis",
    "light",
    "ledger",
    "mempool",
    "consensus",
    "wire",
    "engine",
    "testing",
];

/// Besides what stands above a module, this it must not use.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("consensus", &["storage", "state", "tx", "block", "execute", "genesis", "ledger", "mempool"]),
    ("mempool", &["storage", "block", "genesis", "ledger"]),
    ("tx", &["storage"]),
    ("execute", &["storage"]),
    ("state", &["storage"]),
    ("genesis", &["storage"]),
];

/// Longest line, in characters.
const MAX_COLUMNS: usize = 120;
/// Longest file without its tests, in lines.
const MAX_LINES: usize = 600;

fn report(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// The names that follow `prefix` in a line.
fn names_after<'l>(line: &'l str, prefix: &str) -> Vec<&'l str> {
    let word = |rest: &'l str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let mut names: Vec<&str> = line.split(prefix).skip(1).map(word).collect();
    // `use crate::{a, b::c}` names several.
    if let Some((_, group)) = line.split_once(&format!("{prefix}{{")) {
        names.extend(group.split(',').map(|part| word(part.trim())));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Code lines of files below `dir` that no test is, with their place.
fn code(dir: &str) -> Vec<(Source, Vec<(usize, String)>)> {
    let sources = files(dir, ".rs").into_iter().filter(|source| !source.is_test());
    let lines = |source: Source| {
        let lines = source.code().map(|(number, line)| (number, line.to_owned())).collect();
        (source, lines)
    };
    sources.map(lines).collect()
}

fn module_of(path: &str) -> &str {
    let below = path.strip_prefix("chain-core/src/").unwrap_or_default();
    below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn the_modules_of_the_core_are_declared_in_their_order() {
    let lib = std::fs::read_to_string(root().join("chain-core/src/lib.rs")).unwrap();
    let declared: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")).collect();
    let declared: Vec<&str> = declared.iter().map(|name| name.trim_end_matches(';')).collect();
    assert_eq!(declared, ORDER);
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let place = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut findings = Vec::new();
    for (source, lines) in code("chain-core/src") {
        let own = module_of(&source.path);
        let Some(at) = place(own) else { continue };
        let forbidden = FORBIDDEN.iter().find(|(module, _)| *module == own).map_or(&[][..], |(_, names)| *names);
        for (number, line) in lines {
            for name in names_after(&line, "crate::") {
                if place(name).is_some_and(|used| used > at) || forbidden.contains(&name) {
                    findings.push(format!("{}:{number} {own} uses {name}", source.path));
                }
            }
        }
    }
    report("a module uses only what stands above it in chain-core/src/lib.rs", findings);
}

#[test]
fn families_do_not_know_each_other() {
    let families: Vec<&str> = chain_core::tx::FAMILIES.iter().map(|family| family.name).collect();
    let mut findings = Vec::new();
    for (source, lines) in code("chain-core/src/tx") {
        let below = source.path.strip_prefix("chain-core/src/tx/").unwrap_or_default();
        let Some((own, _)) = below.split_once('/').filter(|(own, _)| families.contains(own)) else { continue };
        for (number, line) in lines {
            for prefix in ["super::", "super::super::", "tx::"] {
                for name in names_after(&line, prefix) {
                    if families.contains(&name) && name != own {
                        findings.push(format!("{}:{number} {own} uses {name}", source.path));
                    }
                }
            }
        }
    }
    report("what two families share goes down into state or types", findings);
}

#[test]
fn the_core_is_pure() {
    let impure = [
        "tokio",
        "std::net",
        "std::env",
        "SystemTime",
        "Instant",
        "std::thread",
        "rand::",
        "anyhow",
        "std::process",
        "println!",
        "f32",
        "f64",
    ];
    let mut findings = Vec::new();
    for (source, lines) in code("chain-core/src") {
        let storage = source.path.starts_with("chain-core/src/storage/");
        for (number, line) in lines {
            for word in impure.iter().filter(|word| holds(&line, word)) {
                // RocksDB's options are floats, and its batch verification's coefficients are random.
                let known = storage || source.path == "chain-core/src/crypto/signature.rs" && *word == "rand::";
                if !known {
                    findings.push(format!("{}:{number} {word}", source.path));
                }
            }
            if !storage && holds(&line, "std::fs") {
                findings.push(format!("{}:{number} std::fs", source.path));
            }
        }
    }
    report("time, randomness, sockets and the environment come in from outside", findings);
}

/// Whether a line holds a word that is no part of a longer one.
fn holds(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !part(before) && (word.ends_with([':', '!']) || !part(after))
    })
}

#[test]
fn crates_know_only_the_crates_below_them() {
    let allowed: &[(&str, &[&str])] = &[
        ("chain-core", &[]),
        ("genesis", &["chain_core"]),
        ("chain-market", &["chain_core"]),
        ("chain-rpc", &["chain_core"]),
        ("chain-node", &["chain_core", "genesis", "chain_rpc"]),
        ("chain-cli", &["chain_core", "genesis", "chain_market", "chain_rpc"]),
    ];
    let ours = ["chain_core", "chain_market", "chain_rpc", "chain_node", "chain_cli", "chain_tests", "benches"];
    let mut findings = Vec::new();
    for (name, below) in allowed {
        let own = name.replace('-', "_");
        for (source, lines) in code(&format!("{name}/src")) {
            for (number, line) in lines {
                for other in ours.iter().filter(|other| **other != own && !below.contains(*other)) {
                    if line.contains(&format!("{other}::")) {
                        findings.push(format!("{}:{number} {name} uses {other}", source.path));
                    }
                }
            }
        }
        let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for other in ["chain-node", "chain-rpc", "chain-cli", "chain-core", "chain-market", "chain-tests"] {
            let named = dependencies
                .lines()
                .any(|line| line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} ")));
            if named && other != *name && !below.contains(&other.replace('-', "_").as_str()) {
                findings.push(format!("{name}/Cargo.toml depends on {other}"));
            }
        }
    }
    report("crates depend downwards only", findings);
}

#[test]
fn every_file_says_what_it_is() {
    let mute = files(".", ".rs").into_iter().filter(|source| !source.text.starts_with("//!"));
    report("a file begins with //!", mute.map(|source| source.path).collect());
}

#[test]
fn lines_and_files_have_bounds() {
    let mut findings = Vec::new();
    for source in files(".", ".rs") {
        for (number, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > MAX_COLUMNS && !is_unbreakable(line) {
                findings.push(format!("{}:{} has {columns} columns", source.path, number + 1));
            }
        }
        let lines = source.code().count();
        if lines > MAX_LINES && !source.is_test() {
            findings.push(format!("{} has {lines} lines without tests", source.path));
        }
    }
    report("at most 120 columns, at most 600 lines without tests", findings);
}

/// Rows of tables in documentation, and texts, can't be broken.
fn is_unbreakable(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//! |") || line.starts_with("/// |") || line.contains('"')
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [["to", "do!("], ["db", "g!("], ["unimple", "mented!("], ["#[ig", "nore"], ["FIX", "ME"], ["XX", "X:"]];
    let words = words.map(|parts| parts.concat());
    let mut findings = Vec::new();
    for source in files(".", ".rs") {
        for (number, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(*word)) {
                findings.push(format!("{}:{} {word}", source.path, number + 1));
            }
        }
    }
    report("finished or not there", findings);
}

#[test]
fn the_core_does_not_unwrap() {
    let mut findings = Vec::new();
    for (source, lines) in code("chain-core/src") {
        if source.path.contains("/testing/") {
            continue;
        }
        for (number, line) in lines {
            for word in [".unwrap()", "panic!(", "unreachable!("].iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number} {word}", source.path));
            }
        }
    }
    report("no panic on outside data", findings);
}

#[test]
fn nothing_in_the_repository_speaks_of_where_it_was_made() {
    let places = [["/wo", "rk/"], ["/tmp/", "plan"], ["/root", "/."]].map(|parts| parts.concat());
    let endings = [".rs", ".toml", ".md", ".sh", ".json", ".yml", ".yaml", "Makefile", "run"];
    let mut findings = Vec::new();
    for source in endings.iter().flat_map(|ending| files(".", ending)) {
        for (number, line) in source.text.lines().enumerate() {
            for place in places.iter().filter(|place| line.contains(*place)) {
                findings.push(format!("{}:{} {place}", source.path, number + 1));
            }
        }
    }
    report("the repository stands for itself", findings);
}
