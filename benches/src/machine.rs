//! What the machine is and how busy it was: from /proc, so Linux only.

use crate::Result;
use std::fs;
use std::time::Instant;

/// /proc counts CPU time in hundredths of a second (`USER_HZ`, the same on every Linux port of x86 and Arm).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of the whole machine and of the processes that belong to a measurement, so far.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    /// When this was read.
    pub at: Instant,
    /// Seconds of CPU time anybody used, all cores together.
    pub machine: f64,
    /// Seconds of CPU time of this process.
    pub own: f64,
    /// Seconds of CPU time of the nodes, 0 if there is none.
    pub node: f64,
}

/// How busy the cores were between two moments, and what the participants cost.
#[derive(Clone, Copy, Debug)]
pub struct CpuUse {
    /// Share of all cores that anybody used, 0 to 1.
    pub machine: f64,
    /// Share of all cores that the participants used, 0 to 1.
    pub ours: f64,
    /// Seconds of CPU time of this process.
    pub own_s: f64,
    /// Seconds of CPU time of the nodes.
    pub node_s: f64,
}

impl CpuTimes {
    /// Reads the counters; `nodes` are other processes that take part.
    pub fn now(nodes: &[u32]) -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line =
            stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or("/proc/stat has no line 'cpu'")?;
        let ticks: Vec<f64> = line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
        // user nice system idle iowait irq softirq steal; guest time is part of user already.
        let busy: f64 = ticks.iter().take(8).sum::<f64>() - ticks.iter().skip(3).take(2).sum::<f64>();
        let node = nodes.iter().map(|pid| process_seconds(*pid)).sum::<Result<f64>>()?;
        let own = process_seconds(std::process::id())?;
        Ok(Self { at: Instant::now(), machine: busy / TICKS_PER_SECOND, own, node })
    }

    /// What happened since an earlier moment.
    pub fn since(&self, earlier: &Self) -> CpuUse {
        let capacity = (self.at - earlier.at).as_secs_f64() * cores() as f64;
        let (own_s, node_s) = (self.own - earlier.own, self.node - earlier.node);
        CpuUse {
            machine: (self.machine - earlier.machine) / capacity,
            ours: (own_s + node_s) / capacity,
            own_s,
            node_s,
        }
    }
}

/// User and system time of a process.
fn process_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has another form")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |place: usize| -> Result<f64> { Ok(fields.get(place).ok_or("/proc/PID/stat is too short")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Bytes of a process that are in memory.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most bytes of a process that were in memory at a time, since its start or [`reset_peak`].
pub fn peak_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmHWM:")
}

/// From now on the peak of this process counts anew.
pub fn reset_peak() -> Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

fn status_bytes(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("/proc/PID/status lacks a field")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// Cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One line: processor, cores, the instruction sets that matter here, memory, kernel.
pub fn facts() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let flags = field("flags");
    let wanted = ["avx2", "avx512f", "avx512ifma", "avx512vl", "sha_ni"];
    let flags: Vec<&str> = wanted.into_iter().filter(|name| flags.split(' ').any(|flag| flag == *name)).collect();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)).ok_or("no /proc/meminfo")?;
    let gib = memory.parse::<f64>()? / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let (model, cores, flags) = (field("model name"), cores(), flags.join(" "));
    Ok(format!("{model}, {cores} cores ({flags}), {gib:.0} GiB, Linux {}", kernel.trim()))
}

/// Sum of the lengths of all files below a directory.
pub fn directory_bytes(dir: &std::path::Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { directory_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counters_rise_and_nobody_uses_more_than_all() {
        let before = CpuTimes::now(&[std::process::id()]).unwrap();
        while CpuTimes::now(&[]).unwrap().own < before.own + 0.05 {}
        let after = CpuTimes::now(&[std::process::id()]).unwrap();
        let used = after.since(&before);
        assert!(used.own_s >= 0.04 && used.own_s == used.node_s, "{used:?}");
        assert!(after.machine >= before.machine);
        assert!(resident_bytes(std::process::id()).unwrap() > 0 && facts().unwrap().contains("cores"));
    }
}
