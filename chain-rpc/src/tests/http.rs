//! HTTP by hand: what no polite client would send.

use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends bytes and reads until the server closes.
pub(super) async fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(to).await.unwrap();
    // The server may refuse before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&answer[..end]).to_string();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut body = answer[end..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Answer { status, head, body }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[at + 2..at + 2 + length]);
        rest = &rest[at + 4 + length..];
    }
    body
}

pub(super) async fn get(to: SocketAddr, path: &str) -> Answer {
    get_with(to, path, "").await
}

/// `headers`: whole lines.
pub(super) async fn get_with(to: SocketAddr, path: &str, headers: &str) -> Answer {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    raw(to, format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n").as_bytes()).await
}

pub(super) async fn post(to: SocketAddr, path: &str, kind: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    raw(to, &[head.as_bytes(), body].concat()).await
}

/// One JSON-RPC request of any form.
pub(super) async fn rpc(to: SocketAddr, request: &str) -> Answer {
    post(to, "/", "application/json", request.as_bytes()).await
}

/// One well-formed call.
pub(super) async fn call(to: SocketAddr, method: &str, params: &Value) -> Value {
    let request = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    rpc(to, &request.to_string()).await.json()
}
