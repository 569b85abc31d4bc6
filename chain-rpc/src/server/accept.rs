//! The accept loop: how many connections there are, from whom, and how long they may say nothing.

use super::Door;
use super::guarded_io::GuardedIo;
use super::rate::account_of;
use crate::metrics::Counted;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::server::ServerHandle;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// How long connections may finish what they are at when the door closes.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the loop rests when the system has no more sockets.
const REST: Duration = Duration::from_millis(50);
/// How often idle addresses are forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// Longest head of a request in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// An open door. Dropping it closes it.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl Running {
    /// Closes the door and waits until every connection has ended.
    pub async fn stop(self) {
        // It may have ended by itself; then there is nothing to wait for.
        let _ = self.handle.stop();
        self.handle.stopped().await;
    }
}

/// Who is connected.
struct Seats {
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; given back when dropped.
struct Seat {
    seats: Arc<Seats>,
    who: IpAddr,
    _counted: Counted,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

impl Seats {
    /// A place for a connection, or why there is none.
    fn seat(self: &Arc<Self>, who: IpAddr, door: &Door) -> Result<Seat, &'static str> {
        let limits = &door.context.limits;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= limits.connections {
            return Err("connections");
        }
        let own = taken.entry(who).or_default();
        if *own >= limits.connections_per_ip && !who.is_loopback() {
            return Err("connections_per_ip");
        }
        *own += 1;
        Ok(Seat { seats: self.clone(), who, _counted: door.context.metrics.connection() })
    }
}

/// Starts accepting.
pub(crate) fn run(listener: TcpListener, door: Arc<Door>, router: Router, handle: ServerHandle) -> io::Result<Running> {
    let address = listener.local_addr()?;
    tokio::spawn(accept(listener, door, router));
    Ok(Running { address, handle })
}

async fn accept(listener: TcpListener, door: Arc<Door>, router: Router) {
    let seats = Arc::new(Seats { taken: Mutex::default() });
    let stopped = door.stop.clone().shutdown();
    tokio::pin!(stopped);
    let mut forget = tokio::time::interval(FORGET);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            _ = forget.tick() => {
                door.rate.forget_idle();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => greet(socket, peer, &door, &router, &seats),
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn greet(socket: TcpStream, peer: SocketAddr, door: &Arc<Door>, router: &Router, seats: &Arc<Seats>) {
    let who = account_of(peer.ip());
    match seats.seat(who, door) {
        Ok(seat) => {
            tokio::spawn(connection(socket, who, door.clone(), router.clone(), seat));
        }
        Err(reason) => door.context.metrics.refused(reason),
    }
}

async fn connection(socket: TcpStream, who: IpAddr, door: Arc<Door>, router: Router, seat: Seat) {
    let limits = &door.context.limits;
    // Small answers must not wait for more; a socket that refuses the option works without.
    let _ = socket.set_nodelay(true);
    match tokio::time::timeout(limits.first_byte, socket.peek(&mut [0])).await {
        Ok(Ok(1..)) => {}
        Ok(_) => return,
        Err(_) => return door.context.metrics.refused("first_byte"),
    }
    let (client, own) = (door.client(who), door.clone());
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        let forwarded = (own.context.limits.behind_proxy && who.is_loopback()).then(|| forwarded_for(&request));
        let client = forwarded.flatten().map_or_else(|| client.clone(), |who| own.client(who));
        request.extensions_mut().insert(client);
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(GuardedIo::new(socket, limits.write_stall, seat));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(io, service).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = door.stop.clone().shutdown() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// For whom a proxy passes a request on: the last address, which the proxy itself wrote. Those
/// before it are what the client claims.
fn forwarded_for<B>(request: &http::Request<B>) -> Option<IpAddr> {
    let last = request.headers().get_all("x-forwarded-for").iter().next_back()?;
    let address = last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()?;
    Some(account_of(address))
}
