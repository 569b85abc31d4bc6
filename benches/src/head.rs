//! P9: `get_head` requests per second, over what a bare hyper server answers with a body of equal
//! size to the same client; and P22, what an idle validator costs.

use crate::Result;
use crate::http::Connection;
use crate::machine::{CpuTimes, cores};
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Requests answered per second over so many connections, each waiting for its answer.
pub async fn requests_per_s(address: SocketAddr, connections: usize, time: Duration) -> Result<f64> {
    let clients = try_join_all((0..connections).map(|_| Connection::open(address))).await?;
    let start = Instant::now();
    let tasks = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let mut answered = 0u64;
            while start.elapsed() < time {
                client.call("get_head").await?;
                answered += 1;
            }
            Result::Ok(answered)
        })
    });
    let answered = try_join_all(tasks).await?.into_iter().sum::<Result<u64>>()?;
    Ok(answered as f64 / start.elapsed().as_secs_f64())
}

/// Length of the answer to `get_head`.
pub async fn answer_bytes(address: SocketAddr) -> Result<usize> {
    Ok(Connection::open(address).await?.call("get_head").await?.len())
}

/// Share of one core that a process nobody asks anything uses.
pub async fn idle_share(pid: u32, time: Duration) -> Result<f64> {
    let before = CpuTimes::now(&[pid])?;
    tokio::time::sleep(time).await;
    let after = CpuTimes::now(&[pid])?;
    Ok((after.node - before.node) / (after.at - before.at).as_secs_f64())
}

/// The bare server as a process of its own, ended with whoever holds it.
pub struct BareServer {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl BareServer {
    /// Starts this very program with `bare --bytes N`.
    pub fn start(bytes: usize) -> Result<Self> {
        use std::io::{BufRead, BufReader};
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bare", "--bytes", &bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        server.address = line.trim().parse()?;
        Ok(server)
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers every request with so many bytes, forever; prints where.
pub async fn serve_bare(bytes: usize) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    let body = Bytes::from(vec![b'x'; bytes]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let service = service_fn(move |request| answer(request, body.clone()));
        // A client that goes away is no concern of a server without state.
        tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
    }
}

async fn answer(request: Request<Incoming>, body: Bytes) -> std::result::Result<Response<Full<Bytes>>, hyper::Error> {
    request.into_body().collect().await?;
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// Connections that keep all cores busy.
pub fn default_connections() -> usize {
    8 * cores()
}
