//! The repository as files, for tests of the house rules.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A file of the repository.
pub struct Source {
    /// Its path below the root.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Source {
    /// Whether the whole file is a test.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let crate_of_tests = ["tests/", "benches/"].iter().any(|dir| self.path.starts_with(dir));
        crate_of_tests || self.path.contains("/tests/") || name == "tests.rs" || name.ends_with("_tests.rs")
    }

    /// The lines above the test module at the end, without comments; the line numbers start at 1.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = test_module(&self.text);
        let lines = self.text.lines().take(end).enumerate();
        lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
    }
}

/// Where `mod tests` begins, in lines; the end of the file if there is none.
fn test_module(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let is_module = |line: &&str| line.trim_start().starts_with("mod ") || line.contains(" mod ");
    let begins = |i: &usize| {
        lines[*i].starts_with("#[cfg(test)]") && lines[*i..].iter().skip(1).take(4).any(|line| is_module(&line.trim()))
    };
    (0..lines.len()).find(begins).unwrap_or(lines.len())
}

/// Every text file of the repository below `dir`, without what git ignores, in order.
pub fn files(dir: &str, ending: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root.join(dir), ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no files below {dir}");
    found
}

fn collect(root: &Path, dir: &Path, ending: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            if !matches!(name.as_str(), ".git" | "target" | ".devnet" | "node_modules") {
                collect(root, &path, ending, found);
            }
        } else if name.ends_with(ending)
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push(Source { path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), text });
        }
    }
}
