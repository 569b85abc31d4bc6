//! Troubles as they come, and the healing.
//!
//! Not here: drawing them (`scenario`).

use super::*;
use crate::sim::check::NEWEST;

impl World {
    pub(super) fn trouble(&mut self, trouble: Trouble) -> Verdict {
        if self.healed.is_some() {
            return Ok(());
        }
        self.log.note(self.now, 0, 8, &[], || format!("{trouble:?}"));
        let until = |ms: u64| self.now + ms;
        match trouble {
            Trouble::Crash(node, kept, ms) => self.crash_if_up(node, kept, ms),
            Trouble::PowerCut(kept, ms) => (0..self.nodes.len()).for_each(|node| self.crash_if_up(node, kept, ms)),
            Trouble::Stop(node, ms) => return self.stop(node, ms),
            Trouble::Partition { side, for_ms, hard } => self.part(side, until(for_ms), hard),
            Trouble::OneWay(from, to, ms) => self.network.cut(from, to, until(ms)),
            Trouble::Backup(node) => {
                let copy = self.nodes[node].disk.backup();
                self.backups.insert(node, copy);
            }
            Trouble::Exchange(node) => self.exchange(node),
            Trouble::Break(a, b) => self.network.between(a, b).into_iter().for_each(|peer| self.disconnect(peer)),
            Trouble::Leave(node) => {
                self.crash_if_up(node, Kept::ALL[0], 100);
                self.nodes[node].gone = true;
            }
            Trouble::Hold(kind, except, ms) => self.network.hold(Hold { kind, except, until: until(ms) }),
            Trouble::Jump(node, ms) => self.nodes[node].skew = self.nodes[node].skew.saturating_add(ms),
        }
        Ok(())
    }

    /// Whoever was jailed for absence notices, and comes back.
    pub(super) fn return_absentees(&mut self) {
        let absent = self.scenario.traitors.iter().filter(|(_, what)| *what == Traitor::Absent);
        for node in absent.map(|(who, _)| *who).collect::<Vec<_>>() {
            let is_jailed = self.referee.seats().absentees().contains(&self.setting.keys[node].public());
            if self.nodes[node].gone && (is_jailed || self.healed.is_some()) {
                self.nodes[node].gone = false;
                self.soon(3_000, Event::Start(node));
            }
        }
    }

    /// Its chain goes on without it: it says so, serves others for a while, and stops; somebody may have newer
    /// software for it.
    pub(super) fn outdate(&mut self, node: usize) -> Verdict {
        let down_ms = self.random.between(500, 6_000);
        if self.nodes[node].is_outdated() {
            self.log.note(self.now, node, 13, &[], || "stops for newer software".into());
            self.stop(node, down_ms)?;
        }
        if self.nodes[node].engine.is_none() && self.nodes[node].known < NEWEST {
            let stays = self.scenario.traitor(node) == Some(Traitor::Outdated);
            (self.nodes[node].gone, self.nodes[node].known) = (stays, if stays { NEWEST - 1 } else { NEWEST });
            self.at(self.now + down_ms, Event::Start(node));
        }
        Ok(())
    }

    fn exchange(&mut self, node: usize) {
        self.crash_if_up(node, Kept::ALL[0], 500);
        self.referee.forget(node);
        self.nodes[node].disk = self.backups.remove(&node).unwrap_or_else(Disk::wiped);
    }

    fn crash_if_up(&mut self, node: usize, kept: Kept, down_ms: u64) {
        if self.nodes[node].engine.is_some() {
            self.crash(node, kept, down_ms);
        }
    }

    fn part(&mut self, side: u64, until: u64, hard: bool) {
        let is_left = |node: usize| side >> node & 1 == 1;
        for a in 0..self.nodes.len() {
            for b in (0..self.nodes.len()).filter(|b| is_left(a) != is_left(*b)) {
                self.network.cut(a, b, until);
                if let Some(peer) = self.network.between(a, b).filter(|_| hard) {
                    self.disconnect(peer);
                }
            }
        }
    }

    /// From here on only traitors do harm. Disks that were about to fail are exchanged for good
    /// ones, which takes a restart.
    pub(super) fn heal(&mut self) {
        let goal = Height::new(self.referee.height().get() + BLOCKS_AFTER_HEALING);
        self.log.note(self.now, 0, 9, &[], || format!("healed, goal {goal}"));
        self.healed =
            Some(Healed { at: self.referee.height(), goal, until: self.now + HEALED_MS, timeouts: BTreeMap::new() });
        self.network.heal();
        self.network.weather = CALM;
        self.return_absentees();
        for node in 0..self.nodes.len() {
            self.nodes[node].skew = self.scenario.skews.get(node).copied().unwrap_or_default();
            if self.nodes[node].engine.is_some() && self.nodes[node].fuse.is_armed() {
                self.crash(node, Kept::ALL[0], 100);
            }
            self.soon(500, Event::Start(node));
        }
    }
}
