//! Permissions, atomic creation, bounds.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_file_is_private_and_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    create_private(&path, b"content").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(read_private(&path, 7).unwrap().as_slice(), b"content");
    assert_eq!(entries(dir.path()).unwrap(), ["secret"]);
}

#[test]
fn an_existing_file_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    create_private(&path, b"first").unwrap();
    assert!(matches!(create_private(&path, b"second"), Err(FileError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(entries(dir.path()).unwrap(), ["secret"], "no temporary file stays behind");
}

#[test]
fn a_dangling_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join("secret"), dir.path().join("elsewhere"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(create_private(&link, b"x"), Err(FileError::Exists(_))));
    assert!(!target.exists());
}

#[test]
fn of_many_writers_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let results: Vec<_> = std::thread::scope(|scope| {
        let path = &path;
        let writers: Vec<_> =
            (0..8u8).map(|i| scope.spawn(move || create_private(path, &[i; 64]).map(|()| i))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let winners: Vec<u8> = results.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(fs::read(&path).unwrap(), [winners[0]; 64]);
}

#[test]
fn nothing_appears_where_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing").join("secret");
    assert!(create_private(&path, b"x").unwrap_err().is_missing());
    assert!(!path.exists());
}

#[test]
fn a_file_open_to_others_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    create_private(&path, b"x").unwrap();
    for bad in [0o640, 0o604, 0o620, 0o601, 0o644, 0o666, 0o777] {
        chmod(&path, bad);
        let error = read_private(&path, 9).unwrap_err();
        assert!(matches!(error, FileError::FileOpenToOthers { mode, .. } if mode == bad));
        let message = error.to_string();
        assert!(message.contains(&format!("chmod 600 '{}'", path.display())) && !message.contains('\n'), "{message}");
    }
    for good in [0o600, 0o400, 0o700] {
        chmod(&path, good);
        read_private(&path, 9).unwrap();
    }
}

#[test]
fn a_file_longer_than_the_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    create_private(&path, &[0; 9]).unwrap();
    assert!(read_private(&path, 9).is_ok());
    assert!(matches!(read_private(&path, 8), Err(FileError::TooLong { limit: 8, .. })));
    assert!(matches!(read(&path, 8), Err(FileError::TooLong { limit: 8, .. })));
}

#[test]
fn directories_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a").join("b");
    private_directory(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    private_directory(&path).unwrap();
    for bad in [0o720, 0o702, 0o777] {
        chmod(&path, bad);
        assert!(matches!(private_directory(&path), Err(FileError::DirectoryOpenToOthers { mode, .. }) if mode == bad));
    }
}

#[test]
fn a_missing_directory_has_no_entries() {
    let dir = tempfile::tempdir().unwrap();
    assert!(entries(&dir.path().join("none")).unwrap().is_empty());
}
