//! HTTP by hand: what no polite client would send.

use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status; 0 if the server closed without one.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}{}", self.head, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a JSON-RPC or REST error.
    pub fn code(&self) -> Option<i64> {
        serde_json::from_slice::<Value>(&self.body).ok()?.pointer("/error/code")?.as_i64()
    }

    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).to_string();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunk(&bytes[end..]) } else { bytes[end..].to_vec() };
        Self { status, head, body }
    }
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

/// Sends bytes and reads until the server closes; `None` if nobody accepts.
pub async fn try_raw(to: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut socket = TcpStream::connect(to).await.ok()?;
    // The server may refuse before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    Some(Answer::of(&answer))
}

/// Sends bytes and reads until the server closes.
pub async fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    try_raw(to, bytes).await.expect("the server accepts connections")
}

fn get_request(path: &str, headers: &str) -> Vec<u8> {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n").into_bytes()
}

/// As `get`; `None` if nobody accepts.
pub async fn try_get(to: SocketAddr, path: &str) -> Option<Answer> {
    try_raw(to, &get_request(path, "")).await
}

/// Asks for a page.
pub async fn get(to: SocketAddr, path: &str) -> Answer {
    get_with(to, path, "").await
}

/// Asks for a page; `headers` are whole lines.
pub async fn get_with(to: SocketAddr, path: &str, headers: &str) -> Answer {
    raw(to, &get_request(path, headers)).await
}

/// Sends a body.
pub async fn post(to: SocketAddr, path: &str, kind: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    raw(to, &[head.as_bytes(), body].concat()).await
}

/// Sends a JSON body.
pub async fn post_json(to: SocketAddr, path: &str, body: &Value) -> Answer {
    post(to, path, "application/json", body.to_string().as_bytes()).await
}

/// One JSON-RPC request of any form.
pub async fn rpc(to: SocketAddr, request: &[u8]) -> Answer {
    post(to, "/", "application/json", request).await
}

/// One JSON-RPC call.
pub async fn call(to: SocketAddr, method: &str, params: Value) -> Answer {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    rpc(to, request.to_string().as_bytes()).await
}

/// The result of a JSON-RPC call that must succeed.
pub async fn result(to: SocketAddr, method: &str, params: Value) -> Value {
    let answer = call(to, method, params.clone()).await.json();
    assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
    answer["result"].clone()
}
