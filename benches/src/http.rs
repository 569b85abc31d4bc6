//! One keep-alive connection, as cheap for the client as it can be: the client runs on the same
//! cores as what it measures.

use crate::Result;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // What goes wrong with the connection is told to who sends on it.
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string() })
    }

    /// Posts a body and reads the whole answer.
    pub async fn post(&mut self, path: &str, kind: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = Request::post(path).header(HOST, &self.host).header(CONTENT_TYPE, kind).body(Full::new(body))?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }

    /// Calls a JSON-RPC method without parameters; the answer as it came.
    pub async fn call(&mut self, method: &str) -> Result<Bytes> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        match self.post("/", "application/json", body.into()).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, body) => Err(format!("{method}: {status} {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}
