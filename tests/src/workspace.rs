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
    /// Whether it is compiled for tests only.
    is_test: bool,
}

impl Source {
    /// Whether the whole file is a test.
    pub fn is_test(&self) -> bool {
        self.is_test
    }

    /// The paths of the modules this file declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let declared = (0..lines.len()).filter(|i| lines[*i] == "#[cfg(test)]").filter_map(|i| {
            let line = lines[i + 1..].iter().find(|line| !line.starts_with("#["))?;
            line.split("mod ").nth(1)?.strip_suffix(';')
        });
        let dir = match self.path.rsplit_once('/') {
            Some((dir, "mod.rs" | "lib.rs" | "main.rs")) => dir.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        declared.flat_map(|name| [format!("{dir}/{name}.rs"), format!("{dir}/{name}/")]).collect()
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

fn is_test_path(path: &str) -> bool {
    let crate_of_tests = ["tests/", "benches/"].iter().any(|dir| path.starts_with(dir));
    crate_of_tests || path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// Every text file of the repository below `dir`, without what git ignores, in order.
pub fn files(dir: &str, ending: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let below = if dir == "." { root.clone() } else { root.join(dir) };
    collect(&root, &below, ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let modules: Vec<String> = found.iter().flat_map(Source::test_modules).collect();
    for source in &mut found {
        let declared = modules.iter().any(|m| source.path == *m || m.ends_with('/') && source.path.starts_with(m));
        source.is_test = declared || is_test_path(&source.path);
    }
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
            found.push(Source {
                path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
                text,
                is_test: false,
            });
        }
    }
}
