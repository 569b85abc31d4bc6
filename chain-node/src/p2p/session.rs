//! One connection's life: four streams, greetings both ways, `Joined`, frames, `Left`.
//!
//! ```text
//! streams open ► we greet on both of ours ► they have greeted on both of theirs ► Joined
//!   ► reading and writing both lanes, until the first of the four ends ► Left
//! ```
//! All events of a peer come from its session, so they come in order.
//!
//! Not here: who may connect (`gate`), what a frame says (the engine).

use super::NetworkEvent;
use super::frames::{self, FrameError};
use super::guard::{Bucket, Pace};
use super::lanes::LaneEvent;
use super::limits::VALIDATOR_FACTOR;
use super::link::Link;
use super::metrics::name;
use super::shared::Shared;
use chain_core::consensus::{Offence, Peer};
use chain_core::crypto::PublicKey;
use chain_core::wire::{Hello, HelloError, Lane};
use libp2p::Stream;
use libp2p::futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Longest greeting, in bytes.
const MAX_GREETING_BYTES: usize = 512;
/// Whom we turn away has this long to read why from our own greeting.
const LAST_WORD: Duration = Duration::from_millis(250);

/// Why a session is over.
#[derive(Debug)]
pub enum End {
    /// The connection is gone, or was to be closed.
    Closed(String),
    /// A node of another chain or version.
    Stranger(HelloError),
    /// No place for it.
    Full,
    /// It has the identity of a validator that is connected, and did not prove to be that.
    Twin,
    /// It took too long.
    Slow,
    /// It did what no honest node does.
    Offended(Offence, String),
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Closed(error.to_string()),
            FrameError::Slow => Self::Slow,
            length @ FrameError::Length { .. } => Self::Offended(Offence::BadMessage, length.to_string()),
        }
    }
}

impl From<HelloError> for End {
    fn from(error: HelloError) -> Self {
        match error {
            HelloError::Version { .. } | HelloError::Chain { .. } => Self::Stranger(error),
            HelloError::Claim(_) | HelloError::Malformed(_) => Self::Offended(Offence::BadMessage, error.to_string()),
        }
    }
}

/// Lives a connection's life.
pub async fn run(link: Arc<Link>, opened: mpsc::Receiver<LaneEvent>, shared: Arc<Shared>) {
    // A stranger that comes to us holds a place of somebody else's until it has greeted.
    let patience = if link.outbound || link.reserved { shared.limits.greeting } else { shared.limits.greeting / 2 };
    let greeted = tokio::select! {
        () = link.closed() => Err(End::Closed("closed".into())),
        greeted = tokio::time::timeout(patience, greet(&link, opened, &shared)) => {
            greeted.unwrap_or(Err(End::Slow))
        }
    };
    let joined = greeted.and_then(|(streams, validator)| {
        link.facts().validator = validator;
        shared.join(&link).map(|peer| (streams, validator, peer))
    });
    match joined {
        Err(end) => {
            tokio::time::sleep(LAST_WORD).await;
            shared.end(&link, end);
        }
        Ok((streams, validator, peer)) => {
            let (id, address) = (link.id, link.address.clone());
            shared.deliver(NetworkEvent::Joined { peer, validator, id, address }).await;
            // A mistake of ours must not leave behind a place that is taken, or a peer that never leaves.
            let lived = AssertUnwindSafe(live(&link, peer, streams, validator, &shared)).catch_unwind().await;
            let end = lived.unwrap_or_else(|_| {
                tracing::error!(peer = %link.id, "a session broke down; this is a bug");
                End::Closed("it broke down".into())
            });
            shared.leave(peer);
            shared.end(&link, end);
            shared.deliver(NetworkEvent::Left { peer }).await;
        }
    }
}

/// The four streams, all greeted.
struct Streams {
    urgent_in: Stream,
    urgent_out: Stream,
    bulk_in: Stream,
    bulk_out: Stream,
}

async fn greet(
    link: &Link,
    mut opened: mpsc::Receiver<LaneEvent>,
    shared: &Shared,
) -> Result<(Streams, Option<PublicKey>), End> {
    let (mut urgent_in, mut urgent_out, mut bulk_in, mut bulk_out) = (None, None, None, None);
    // We greet before we listen: if both sides listened first, neither would ever speak.
    while urgent_in.is_none() || urgent_out.is_none() || bulk_in.is_none() || bulk_out.is_none() {
        match opened.recv().await.ok_or_else(|| End::Closed("no streams".into()))? {
            LaneEvent::Inbound(Lane::Urgent, stream) => urgent_in = Some(stream),
            LaneEvent::Inbound(Lane::Bulk, stream) => bulk_in = Some(stream),
            LaneEvent::Outbound(lane, mut stream) => {
                frames::write(&mut stream, &shared.greeting, &shared.limits).await?;
                match lane {
                    Lane::Urgent => urgent_out = Some(stream),
                    Lane::Bulk => bulk_out = Some(stream),
                }
            }
            LaneEvent::Refused(why) => return Err(End::Closed(format!("no stream: {why}"))),
        }
    }
    let (Some(mut urgent_in), Some(urgent_out), Some(mut bulk_in), Some(bulk_out)) =
        (urgent_in, urgent_out, bulk_in, bulk_out)
    else {
        return Err(End::Closed("no streams".into()));
    };
    let validator = listen(link, &mut urgent_in, shared).await?;
    if listen(link, &mut bulk_in, shared).await? != validator {
        return Err(End::Offended(Offence::BadMessage, "it is another validator on each stream".into()));
    }
    Ok((Streams { urgent_in, urgent_out, bulk_in, bulk_out }, validator))
}

async fn listen(link: &Link, stream: &mut Stream, shared: &Shared) -> Result<Option<PublicKey>, End> {
    let (hello, _) = frames::read(stream, MAX_GREETING_BYTES, &shared.limits, None).await?;
    Ok(Hello::welcome(&hello, shared.chain, &link.id.to_bytes())?)
}

async fn live(link: &Link, peer: Peer, streams: Streams, validator: Option<PublicKey>, shared: &Shared) -> End {
    let factor = if shared.is_validator(validator) { VALIDATOR_FACTOR } else { 1 };
    tokio::select! {
        () = link.closed() => End::Closed("closed".into()),
        end = receive((link, peer), Lane::Urgent, streams.urgent_in, factor, shared) => end,
        end = receive((link, peer), Lane::Bulk, streams.bulk_in, factor, shared) => end,
        end = send(link, Lane::Urgent, streams.urgent_out, shared) => end,
        end = send(link, Lane::Bulk, streams.bulk_out, shared) => end,
    }
}

async fn receive((link, from): (&Link, Peer), lane: Lane, mut stream: Stream, factor: u32, shared: &Shared) -> End {
    let mut bucket = Bucket::new(shared.limits.rate(lane), factor, Instant::now());
    loop {
        // What is held is given back when the node has taken the frame.
        let room = shared.room(link);
        let (bytes, _held) = match frames::read(&mut stream, lane.max_frame_bytes(), &shared.limits, room).await {
            Ok(held) => held,
            Err(error) => return error.into(),
        };
        shared.metrics.count_received(name(lane), bytes.len());
        match bucket.take(bytes.len(), shared.limits.flood_after, Instant::now()) {
            Pace::Fine => {}
            Pace::Wait(wait) => {
                shared.metrics.throttled.inc();
                tokio::time::sleep(wait).await;
            }
            Pace::Flood => return End::Offended(Offence::Flood, "it sends more than a node has to say".into()),
        }
        if link.is_shut_out() {
            return End::Closed("banned".into());
        }
        shared.deliver(NetworkEvent::Frame { from, lane, bytes }).await;
    }
}

async fn send(link: &Link, lane: Lane, mut stream: Stream, shared: &Shared) -> End {
    loop {
        let frame = link.outbox(lane).pop().await;
        if let Err(error) = frames::write(&mut stream, &frame, &shared.limits).await {
            return error.into();
        }
        shared.metrics.count_sent(name(lane), frame.len());
    }
}
