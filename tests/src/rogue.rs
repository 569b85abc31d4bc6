//! A peer that writes what it likes onto the streams of frames: greetings of other versions, lengths
//! that no frame has. It greets a node and never reads.
//!
//! Not here: peers that keep to the frames (`peer`).

use crate::PATIENCE;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{ReadyUpgrade, SelectUpgrade};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::futures::future::Either;
use libp2p::futures::{AsyncWriteExt, StreamExt};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    StreamProtocol, SubstreamProtocol, SwarmEvent, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, Swarm, SwarmBuilder};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use tokio::time::timeout;

/// What the streams are called on the wire.
const URGENT: StreamProtocol = StreamProtocol::new("/ait/urgent/1");
/// The other one.
const BULK: StreamProtocol = StreamProtocol::new("/ait/bulk/1");

type Protocol = ReadyUpgrade<StreamProtocol>;

/// A scripted peer for one connection.
pub struct Rogue {
    swarm: Option<Swarm<Streams>>,
    id: PeerId,
    ended: Option<tokio::task::JoinHandle<()>>,
}

/// Its ends of the streams; they stay open as long as this lives.
pub struct Ends {
    urgent: Stream,
    _others: Vec<Stream>,
}

impl Default for Rogue {
    fn default() -> Self {
        Self::new()
    }
}

impl Rogue {
    /// A new identity; nothing is connected yet.
    pub fn new() -> Self {
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let tcp = builder.with_tcp(Default::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default);
        let swarm = tcp.unwrap().with_behaviour(|_| Streams::default()).unwrap().build();
        Self { id: *swarm.local_peer_id(), swarm: Some(swarm), ended: None }
    }

    /// Its transport identity.
    pub fn id(&self) -> Vec<u8> {
        self.id.to_bytes()
    }

    /// Connects, and says this first on both streams.
    pub async fn connect(&mut self, to: SocketAddr, hello: &[u8]) -> Ends {
        let mut swarm = self.swarm.take().expect("it connects once");
        swarm.dial(crate::peer::multiaddr(to).parse::<Multiaddr>().unwrap()).unwrap();
        let (mut urgent, mut others) = (None, Vec::new());
        while urgent.is_none() || others.len() < 3 {
            match timeout(PATIENCE, swarm.select_next_some()).await.unwrap() {
                SwarmEvent::Behaviour(Opened::Inbound(stream)) => others.push(stream),
                SwarmEvent::Behaviour(Opened::Outbound(protocol, mut stream)) => {
                    write(&mut stream, &(hello.len() as u32).to_le_bytes()).await;
                    write(&mut stream, hello).await;
                    if protocol == URGENT { urgent = Some(stream) } else { others.push(stream) }
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        self.ended = Some(tokio::spawn(async move {
            while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
        }));
        Ends { urgent: urgent.unwrap(), _others: others }
    }

    /// Waits until the node has closed the connection.
    pub async fn ended(self) {
        timeout(PATIENCE, self.ended.expect("it has connected")).await.expect("it stays open").unwrap();
    }
}

impl Ends {
    /// Writes bytes onto the urgent stream.
    pub async fn say(&mut self, bytes: &[u8]) {
        write(&mut self.urgent, bytes).await;
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) {
    // The node may have closed it already, for what was said before.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
}

/// A stream that was opened.
#[derive(Debug)]
enum Opened {
    Inbound(Stream),
    Outbound(StreamProtocol, Stream),
}

/// Opens a stream of each kind, takes those of the node.
#[derive(Default)]
struct Streams {
    events: VecDeque<Opened>,
    waker: Option<Waker>,
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Opened;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The streams of the connection.
struct Handler {
    to_open: Vec<StreamProtocol>,
    events: VecDeque<Opened>,
}

impl Default for Handler {
    fn default() -> Self {
        Self { to_open: vec![BULK, URGENT], events: VecDeque::new() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Opened;
    type InboundProtocol = SelectUpgrade<Protocol, Protocol>;
    type OutboundProtocol = Protocol;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = StreamProtocol;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(SelectUpgrade::new(ReadyUpgrade::new(URGENT), ReadyUpgrade::new(BULK)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Protocol, StreamProtocol, Opened>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        let Some(name) = self.to_open.pop() else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(name.clone()), name);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Self::InboundProtocol, Protocol, (), StreamProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                let (Either::Left(stream) | Either::Right(stream)) = protocol;
                self.events.push_back(Opened::Inbound(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                self.events.push_back(Opened::Outbound(info, stream));
            }
            _ => {}
        }
    }
}
