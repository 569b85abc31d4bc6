//! `chain anchor`: says on the chain that a document existed, by its hash.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use chain_core::{
    codec::Text,
    crypto::Hash,
    tx::{Action, anchor},
};
use clap::{ArgGroup, Args};
use sha2::{Digest, Sha256};

use crate::{
    app::App,
    error::{Answer, CliError},
    send::{SendArgs, send},
};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Arguments of `chain anchor`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct AnchorArgs {
    /// The hash: 0x and 64 hexadecimal digits
    #[arg(long, group = "what")]
    hash: Option<Hash>,
    /// The file to hash with SHA-256, as `sha256sum` does; only the hash leaves this machine
    #[arg(long, value_name = "FILE", group = "what")]
    file: Option<PathBuf>,
    /// What kind of thing it is, up to 32 bytes; a kind should also say how the hash was made
    #[arg(long, default_value = "sha256")]
    kind: String,
    /// Where it may be found, up to 128 bytes
    #[arg(long, default_value = "", hide_default_value = true)]
    uri: String,
    #[command(flatten)]
    send: SendArgs,
}

/// Runs `chain anchor`.
pub async fn run(app: &App, args: &AnchorArgs) -> Answer<()> {
    let hash = match (&args.hash, &args.file) {
        (Some(hash), _) => *hash,
        (None, Some(path)) => sha256(path).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?,
        (None, None) => return Err(CliError::Usage("give --hash or --file".into())),
    };
    let kind = Text::new(&*args.kind).map_err(|error| CliError::Usage(format!("the kind: {error}")))?;
    let uri = Text::new(&*args.uri).map_err(|error| CliError::Usage(format!("the URI: {error}")))?;
    let node = app.connect().await?;
    send(app, &node, &args.send, |_| Ok(vec![Action::Anchor(anchor::Action::Anchor { hash, kind, uri })])).await
}

fn sha256(path: &Path) -> io::Result<Hash> {
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Hash(hasher.finalize().into())),
            read => hasher.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hashed_as_sha256sum_does() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(file.path()).unwrap().to_string(), expected);
    }
}
