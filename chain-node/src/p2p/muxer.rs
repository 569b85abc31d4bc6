//! Many streams over one TCP connection: yamux, with a bound on what a peer can make us buffer.
//!
//! `libp2p-yamux` would do this, but it keeps yamux's own bound of 1 GiB for a connection and offers
//! no way to set it: a stream's window doubles as long as the peer sends fast and answers pings late,
//! and what is in the window and not read yet lies in our memory. QUIC's bounds are set in `swarm`.
//!
//! Not here: which streams there are (`lanes`, gossipsub and others).

use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::futures::future::{Ready, ready};
use libp2p::futures::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use yamux::{Connection, ConnectionError, DEFAULT_CREDIT, Mode, Stream};

/// Two lanes, gossip, ping, identify, each in both directions, and what is opened anew. A peer that
/// opens more loses the connection.
const MAX_STREAMS: usize = 20;
/// What the windows of all streams of a connection may grow by beyond the 256 KiB that each has, if the
/// other side dialled and if we did: on a line of 100 ms enough for 30 and 80 MB a second. So a connection
/// may hold 8 or 13 MiB of what its peer sent and we have not read.
const INBOUND_GROWTH_BYTES: usize = 3 * 1024 * 1024;
const OUTBOUND_GROWTH_BYTES: usize = 8 * 1024 * 1024;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct Config {
    inbound: yamux::Config,
    outbound: yamux::Config,
}

impl Config {
    /// With the bounds of this file.
    pub fn new() -> Self {
        Self { inbound: bounded(INBOUND_GROWTH_BYTES), outbound: bounded(OUTBOUND_GROWTH_BYTES) }
    }
}

fn bounded(growth: usize) -> yamux::Config {
    let mut config = yamux::Config::default();
    // In this order: it insists on a window for every stream.
    config.set_max_num_streams(MAX_STREAMS);
    config.set_max_connection_receive_window(Some(MAX_STREAMS * DEFAULT_CREDIT as usize + growth));
    config
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(Connection::new(socket, self.inbound, Mode::Server))))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(Connection::new(socket, self.outbound, Mode::Client))))
    }
}

/// A connection. Yamux moves bytes only while it is asked for inbound streams, so it is asked all the
/// time, and streams that nobody wants yet wait: at most [`MAX_STREAMS`].
pub struct Muxer<C> {
    connection: Connection<C>,
    arrived: VecDeque<Stream>,
    /// Who waits for inbound streams.
    waiting: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(connection: Connection<C>) -> Self {
        Self { connection, arrived: VecDeque::new(), waiting: None }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        self.connection.poll_next_inbound(cx).map(|next| next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        if let Some(stream) = self.arrived.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.poll_next(cx);
        if next.is_pending() {
            self.waiting = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let Poll::Ready(next) = self.poll_next(cx) else { return Poll::Pending };
        let stream = next?;
        // One more than yamux allows would be a fault of its own: dropped, it is closed.
        if self.arrived.len() < MAX_STREAMS {
            self.arrived.push_back(stream);
        }
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        // There may be more.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_a_connection_is_bounded() {
        // Yamux tells its settings in this form only.
        let told = format!("{:?}", Config::new());
        for window in [8 << 20, 13 << 20] {
            assert!(told.contains(&format!("max_connection_receive_window: Some({window})")), "{told}");
        }
        assert_eq!(told.matches("max_num_streams: 20").count(), 2, "{told}");
    }
}
