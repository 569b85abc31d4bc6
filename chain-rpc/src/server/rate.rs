//! What one address may ask for per second: GCRA over units of cost, one account per address.

use super::Limits;
use crate::errors::{RATE_LIMITED, RpcError};
use crate::metrics::Metrics;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

/// The accounts of all addresses.
pub(crate) struct Rate {
    others: (DefaultKeyedRateLimiter<IpAddr>, u32),
    loopback: (DefaultKeyedRateLimiter<IpAddr>, u32),
    metrics: Metrics,
}

impl Rate {
    pub(crate) fn new(limits: &Limits, metrics: Metrics) -> Arc<Self> {
        let limiter = |per_second, burst| {
            let at_least_one = |units| NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
            (RateLimiter::keyed(quota), burst.max(1))
        };
        Arc::new(Self {
            others: limiter(limits.rate_per_second, limits.rate_burst),
            loopback: limiter(limits.loopback_rate_per_second, limits.loopback_rate_burst),
            metrics,
        })
    }

    /// Charges an address, or refuses.
    pub(crate) fn charge(&self, who: IpAddr, cost: u32) -> Result<(), RpcError> {
        let Some(cost) = NonZeroU32::new(cost) else { return Ok(()) };
        match self.limiter(who).0.check_key_n(&who, cost) {
            Ok(Ok(())) => Ok(()),
            // More than could ever be saved up, or more than there is now.
            Ok(Err(_)) | Err(_) => {
                self.metrics.rate_limited();
                Err(RATE_LIMITED.error())
            }
        }
    }

    /// The accounts an address belongs to, and how much each can save up.
    fn limiter(&self, who: IpAddr) -> (&DefaultKeyedRateLimiter<IpAddr>, u32) {
        let (limiter, burst) = if who.is_loopback() { &self.loopback } else { &self.others };
        (limiter, *burst)
    }

    /// Forgets addresses that have their whole burst again.
    pub(crate) fn forget_idle(&self) {
        self.others.0.retain_recent();
        self.loopback.0.retain_recent();
    }
}

/// Whom something that goes on is charged to.
#[derive(Clone)]
pub(crate) struct Payer {
    rate: Arc<Rate>,
    account: IpAddr,
}

impl Payer {
    /// An address with its account.
    pub(crate) fn new(rate: Arc<Rate>, account: IpAddr) -> Self {
        Self { rate, account }
    }

    /// Charges the address as soon as it can pay; waits till then. What is more than it could ever save up costs
    /// all it can.
    pub(crate) async fn pay(&self, cost: u32) {
        let (limiter, burst) = self.rate.limiter(self.account);
        if let Some(cost) = NonZeroU32::new(cost.min(burst)) {
            // Only more than the burst is refused.
            let _ = limiter.until_key_n_ready(&self.account, cost).await;
        }
    }
}

/// An answer of this many bytes costs one unit more.
const BYTES_PER_UNIT: usize = 64 * 1024;

/// What an answer of a length is charged besides its call.
pub(crate) fn length_cost(bytes: usize) -> u32 {
    u32::try_from(bytes / BYTES_PER_UNIT).unwrap_or(u32::MAX)
}

/// Whom a connection's requests are charged to: an IPv6 client owns its whole /64.
pub(crate) fn account_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_charged_by_cost_and_neighbours_in_a_network_together() {
        let limits = Limits { rate_per_second: 1, rate_burst: 10, ..Limits::default() };
        let rate = Rate::new(&limits, Metrics::new(Default::default()).unwrap());
        let [a, b, c] = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|ip| account_of(ip.parse().unwrap()));
        assert!(rate.charge(a, 11).is_err());
        assert!(rate.charge(a, 9).is_ok());
        assert_eq!(rate.charge(b, 9), Err(RATE_LIMITED.error()));
        assert!(rate.charge(c, 9).is_ok());
        assert_eq!(account_of("::ffff:127.0.0.1".parse().unwrap()), IpAddr::from([127, 0, 0, 1]));
    }
}
