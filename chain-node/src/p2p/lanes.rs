//! The two streams per direction that every connection carries, as a libp2p behaviour: on each new
//! connection one stream per lane is opened for sending, and one per lane is taken from the other
//! side for receiving. A second inbound stream of a lane is dropped.
//!
//! `libp2p-stream` would do nearly this, but it drops inbound streams while its one-place channel is
//! full, does not say which connection a stream belongs to, and keeps a sender per connection for
//! ever.
//!
//! Not here: what travels over the streams (`session`).

use chain_core::wire::Lane;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{ReadyUpgrade, SelectUpgrade};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::futures::future::Either;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

/// The protocol of the urgent lane.
pub const URGENT: StreamProtocol = StreamProtocol::new("/ait/urgent/1");
/// The protocol of the bulk lane.
pub const BULK: StreamProtocol = StreamProtocol::new("/ait/bulk/1");

/// What became of a stream.
#[derive(Debug)]
pub enum LaneEvent {
    /// The other side opened its stream: we receive on it.
    Inbound(Lane, Stream),
    /// Our stream is open: we send on it.
    Outbound(Lane, Stream),
    /// Our stream could not be opened; the text says why.
    Refused(String),
}

/// Opens and takes the streams of all connections.
#[derive(Default)]
pub struct Behaviour {
    events: VecDeque<(PeerId, ConnectionId, LaneEvent)>,
    waker: Option<Waker>,
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = (ConnectionId, LaneEvent);

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.events.push_back((peer, id, event));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((_, id, event)) = self.events.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent((id, event)));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The streams of one connection.
pub struct Handler {
    /// Still to be opened by us.
    to_open: Vec<Lane>,
    /// Lanes on which the other side has opened its stream.
    taken: Vec<Lane>,
    events: VecDeque<LaneEvent>,
}

impl Handler {
    fn new() -> Self {
        Self { to_open: vec![Lane::Bulk, Lane::Urgent], taken: Vec::new(), events: VecDeque::new() }
    }

    fn take(&mut self, lane: Lane, stream: Stream) {
        if !self.taken.contains(&lane) {
            self.taken.push(lane);
            self.events.push_back(LaneEvent::Inbound(lane, stream));
        }
    }
}

fn protocol(lane: Lane) -> StreamProtocol {
    match lane {
        Lane::Urgent => URGENT,
        Lane::Bulk => BULK,
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = LaneEvent;
    type InboundProtocol = SelectUpgrade<ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Lane;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(SelectUpgrade::new(ReadyUpgrade::new(URGENT), ReadyUpgrade::new(BULK)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        // The session closes what is of no use.
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Lane, LaneEvent>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        let Some(lane) = self.to_open.pop() else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(protocol(lane)), lane);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol, (), Lane>) {
        // The swarm polls the handler again after each of these.
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => match protocol {
                Either::Left(stream) => self.take(Lane::Urgent, stream),
                Either::Right(stream) => self.take(Lane::Bulk, stream),
            },
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: lane }) => {
                self.events.push_back(LaneEvent::Outbound(lane, stream));
            }
            ConnectionEvent::DialUpgradeError(failed) => {
                self.events.push_back(LaneEvent::Refused(failed.error.to_string()));
            }
            _ => {}
        }
    }
}
