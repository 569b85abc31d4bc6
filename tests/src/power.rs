//! A disk whose power can be cut: a file with an ext4 file system, mounted over a loop device. A copy of
//! the file holds what had come to the device, and nothing of what was only in memory.
//!
//! Needs root, `mkfs.ext4`, `mount` with a free loop device. What was mounted goes away when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room on the disk; the file has holes where nothing was written.
const SIZE: &str = "512M";

/// A mounted disk.
pub struct Disk {
    image: PathBuf,
    copy: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes an empty disk and mounts it at `dir/disk`.
    ///
    /// Errors: why this machine or user can't have one.
    pub fn new(dir: &Path) -> Result<Self, String> {
        let disk = Self { image: dir.join("disk.img"), copy: dir.join("disk.copy"), mount: dir.join("disk") };
        fs::create_dir(&disk.mount).map_err(|e| e.to_string())?;
        run("truncate", &["-s", SIZE, text(&disk.image)])?;
        run("mkfs.ext4", &["-q", "-F", text(&disk.image)])?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Brings everything to the device.
    pub fn sync(&self) {
        run("sync", &["-f", text(&self.mount)]).unwrap();
    }

    /// Keeps what is on the device now. Whoever writes should be stopped.
    pub fn keep(&self) {
        run("cp", &["--sparse=always", text(&self.image), text(&self.copy)]).unwrap();
    }

    /// The power is gone, and comes back: the disk holds what was kept. Nobody may have a file open.
    pub fn cut(&self) {
        run("umount", &[text(&self.mount)]).unwrap();
        fs::rename(&self.copy, &self.image).unwrap();
        self.mount().unwrap();
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image), text(&self.mount)])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may not be mounted; and who still has a file open loses it.
        let _ = run("umount", &["-l", text(&self.mount)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {}: {}", arguments.join(" "), said.trim())) }
}
