//! The limits at the door, with their defaults.

use std::time::Duration;

/// What one client, and all of them together, may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections of all clients.
    pub connections: usize,
    /// Open connections of one address (IPv6: of one /64). Loopback is not limited by this.
    pub connections_per_ip: usize,
    /// How long a new connection may say nothing.
    pub first_byte: Duration,
    /// How long a request's head may take; also how long a connection may idle between requests.
    pub header: Duration,
    /// How long a request's body may take.
    pub body: Duration,
    /// How long a request may be worked on.
    pub request_deadline: Duration,
    /// How long a client may refuse to read what it asked for.
    pub write_stall: Duration,
    /// Longest body of a request, in bytes.
    pub body_bytes: usize,
    /// Longest body of `POST /rpc/send_txs`, in bytes.
    pub bulk_bytes: usize,
    /// Longest answer, in bytes.
    pub response_bytes: usize,
    /// Most calls in one batch.
    pub batch: u32,
    /// Subscriptions of one connection.
    pub subscriptions: u32,
    /// Answers and notifications waiting in one WebSocket connection.
    pub socket_queue: u32,
    /// Reads on blocking threads at a time.
    pub heavy_reads: usize,
    /// Units an address earns per second; a small read costs 1.
    pub rate_per_second: u32,
    /// Units an address can save up.
    pub rate_burst: u32,
    /// As `rate_per_second` for this machine itself.
    pub loopback_rate_per_second: u32,
    /// As `rate_burst` for this machine itself.
    pub loopback_rate_burst: u32,
    /// Whether a reverse proxy on this machine stands before the door: then requests it passes on
    /// are charged to the last address in `X-Forwarded-For`, which is the one it added itself.
    pub behind_proxy: bool,
    /// Names by which clients may call the node besides addresses and `localhost`; `*`: any.
    pub hosts: Vec<String>,
    /// Origins of web pages that may use the node besides those on localhost; `*`: any.
    pub origins: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_ip: 64,
            first_byte: Duration::from_secs(5),
            header: Duration::from_secs(15),
            body: Duration::from_secs(15),
            request_deadline: Duration::from_secs(20),
            write_stall: Duration::from_secs(20),
            body_bytes: 1024 * 1024,
            bulk_bytes: 16 * 1024 * 1024,
            response_bytes: 32 * 1024 * 1024,
            batch: 20,
            subscriptions: 64,
            socket_queue: 128,
            heavy_reads: 16,
            rate_per_second: 500,
            rate_burst: 2_000,
            loopback_rate_per_second: 2_000_000,
            loopback_rate_burst: 4_000_000,
            behind_proxy: false,
            hosts: Vec::new(),
            origins: Vec::new(),
        }
    }
}
