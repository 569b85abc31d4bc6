//! A line between two places that takes its time and can be cut: TCP connections are passed on, and
//! every byte arrives so much later, in each direction. Order and content stay.
//!
//! Not here: UDP (QUIC goes past it), loss, jitter, bandwidth.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// How many reads may be under way in one direction; then the sender has to wait.
const UNDER_WAY: usize = 1024;
/// Bytes of one read.
const CHUNK: usize = 64 * 1024;

/// A proxy; it ends when dropped.
#[derive(Debug)]
pub struct DelayProxy {
    /// Where it listens.
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl DelayProxy {
    /// Listens, and passes every connection on to `target`, `delay` later in each direction.
    ///
    /// Errors: it can't listen there.
    pub async fn start(listen: SocketAddr, target: SocketAddr, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (is_cut, cut) = watch::channel(false);
        let task = tokio::spawn(accept(listener, target, delay, cut));
        Ok(Self { address, is_cut, task })
    }

    /// Ends every connection, and every new one at once, until `heal`.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Passes new connections on again.
    pub fn heal(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration, cut: watch::Receiver<bool>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) if !*cut.borrow() => {
                tokio::spawn(connection(client, target, delay, cut.clone()));
            }
            Ok(_) => {}
            // Too many open files, for example: later there may be room.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(client: TcpStream, target: SocketAddr, delay: Duration, mut cut: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    // The delay is the one that was asked for, and no waiting for fuller packets besides.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let both = async { tokio::join!(pass(from_client, to_server, delay), pass(from_server, to_client, delay)) };
    tokio::select! {
        _ = both => {}
        // Also when the proxy itself has gone.
        _ = cut.wait_for(|cut| *cut) => {}
    }
}

/// Passes bytes on until the sender closes, then closes.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
        // The close takes its time too.
        let _ = sender.send((Instant::now() + delay, Vec::new())).await;
    };
    let write = async move {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
                // Either way nothing more can be said to this side.
                let _ = to.shutdown().await;
                return;
            }
        }
    };
    tokio::join!(read, write);
}
