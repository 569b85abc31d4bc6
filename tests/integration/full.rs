//! A full disk: the node stops with its own exit code and goes on once there is space.

use chain_rpc::view::{SendVerdict, StatusName};
use chain_tests::devnet::Devnet;
use chain_tests::eventually;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// How much the small disk holds.
const DISK_MIB: u64 = 48;

/// A file system of its own, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m,mode=0700"), "tmpfs"]).arg(dir.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }

    /// Fills what is left, but for some KiB.
    fn fill(&self, left_kib: usize) {
        let filler = self.0.path().join("filler");
        // Ends with an error when there is no more space: that is the point.
        let _ = fs::write(&filler, vec![1; (DISK_MIB as usize) << 20]);
        let file = fs::OpenOptions::new().write(true).open(&filler).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub((left_kib as u64) << 10)).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a log file of a failed test may still be open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_node_with_its_code_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let mut devnet = Devnet::below(disk.path());
    devnet.up().await;
    let (client, wallets) = (devnet.client().await, devnet.wallets());
    disk.fill(256);
    let mut acknowledged = Vec::new();
    'full: for nonce in (0..).step_by(8) {
        for wallet in &wallets[..8] {
            let batch: Vec<_> = (nonce..nonce + 8).map(|nonce| wallet.pay(nonce, wallets[9].address, 1)).collect();
            let bytes: Vec<_> = batch.iter().map(|tx| tx.bytes().to_vec()).collect();
            let Ok(answer) = client.send_many(&bytes).await else { break 'full };
            for verdict in answer.results {
                match verdict {
                    // What is queued waits in memory only.
                    SendVerdict::Taken(taken) if taken.status == StatusName::Queued => {}
                    SendVerdict::Taken(taken) => acknowledged.push(taken.tx_id),
                    SendVerdict::Refused { error } if error.data.reason == "lane_full" => {}
                    SendVerdict::Refused { error } if error.data.reason == "nonce_too_high" => {}
                    SendVerdict::Refused { error } if error.data.reason == "busy" => break 'full,
                    SendVerdict::Refused { error } => panic!("{error:?}"),
                }
            }
        }
        let (client, first) = (&client, &wallets[0]);
        let goal = nonce + 8;
        let went_on = eventually("room in the lanes, or the end", || async move {
            match client.get_account(first.address).await {
                Ok(account) => (account.nonce.0 >= goal).then_some(true),
                Err(_) => Some(false),
            }
        });
        if !went_on.await {
            break;
        }
    }
    let status = devnet.process().end().await;
    let words = devnet.process().output();
    assert_eq!(status.code(), Some(6), "{words}");
    devnet.kill();
    disk.empty();
    devnet.up().await;
    let client = &devnet.client().await;
    assert!(!acknowledged.is_empty());
    for id in acknowledged {
        eventually("what was acknowledged is final", || async move {
            let seen = client.get_tx(id, false).await.unwrap();
            assert!(matches!(seen.status, StatusName::Pending | StatusName::Final), "{seen:?}");
            (seen.status == StatusName::Final).then_some(())
        })
        .await;
    }
}
