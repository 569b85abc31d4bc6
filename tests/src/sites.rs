//! Two sites on one machine: network namespaces with one link between them that can be cut. The
//! test reaches both over links of its own, so it sees either side of a partition.
//!
//! ```text
//!   site 0  .9 ──────── the line between the sites ──────── .10  site 1       peers
//!           .2 ─── .1  the test's own namespace  .5 ─────── .6                RPC
//! ```
//!
//! Needs root and `ip`. What was made goes away when dropped.

use std::process::Command;

/// Two sites, and who is where.
#[derive(Debug)]
pub struct Sites {
    names: [String; 2],
    network: String,
    site_of: Vec<usize>,
}

impl Sites {
    /// Makes two sites; node `i` will be at site `site_of[i]`, 0 or 1.
    ///
    /// Errors: why this machine or user can't have them.
    pub fn new(site_of: &[usize]) -> Result<Self, String> {
        let id = std::process::id();
        let names = [format!("chain{id}a"), format!("chain{id}b")];
        let network = format!("10.{}.{}", 100 + (id >> 8) % 100, id & 255);
        let sites = Self { names, network, site_of: site_of.to_vec() };
        sites.make()?;
        Ok(sites)
    }

    fn make(&self) -> Result<(), String> {
        let [a, b] = &self.names;
        let network = &self.network;
        for name in &self.names {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        ip(&format!("link add {a}x netns {a} type veth peer name {b}x netns {b}"))?;
        for (name, line, own, test) in [(a, 9, 2, 1), (b, 10, 6, 5)] {
            ip(&format!("-n {name} addr add {network}.{line}/30 dev {name}x"))?;
            ip(&format!("-n {name} link set {name}x up"))?;
            ip(&format!("link add {name}t type veth peer name {name}m netns {name}"))?;
            ip(&format!("addr add {network}.{test}/30 dev {name}t"))?;
            ip(&format!("link set {name}t up"))?;
            ip(&format!("-n {name} addr add {network}.{own}/30 dev {name}m"))?;
            ip(&format!("-n {name} link set {name}m up"))?;
        }
        Ok(())
    }

    fn hosts(&self, of_site: [u8; 2]) -> String {
        let hosts = self.site_of.iter().map(|site| format!("{}.{}", self.network, of_site[*site]));
        hosts.collect::<Vec<_>>().join(",")
    }

    /// Where each node's RPC listens.
    pub fn rpc_hosts(&self) -> String {
        self.hosts([2, 6])
    }

    /// Where each node's peers reach it.
    pub fn p2p_hosts(&self) -> String {
        self.hosts([9, 10])
    }

    /// A command as it is run at a node's site, without its arguments.
    pub fn inside(&self, node: usize, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.names[self.site_of[node]]]).arg(command.get_program());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Cuts the line between the sites.
    pub fn cut(&self) {
        let [a, _] = &self.names;
        ip(&format!("-n {a} link set {a}x down")).unwrap();
    }

    /// Heals it.
    pub fn heal(&self) {
        let [a, _] = &self.names;
        ip(&format!("-n {a} link set {a}x up")).unwrap();
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        // With a namespace its links go; it may never have been made.
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// Runs `ip`.
fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|e| format!("ip: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {arguments}: {}", said.trim())) }
}
