//! The tools of network tests themselves: the proxy that delays and cuts, the two sites.

use chain_tests::PATIENCE;
use chain_tests::cluster::Cluster;
use chain_tests::proxy::DelayProxy;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_delays_each_direction_and_keeps_order() {
    let delay = Duration::from_millis(40);
    let proxy = DelayProxy::start("127.0.0.1:0".parse().unwrap(), echo().await, delay).await.unwrap();
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let since = Instant::now();
    socket.write_all(b"x").await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'x');
    assert!(since.elapsed() >= 2 * delay, "there and back in {:?}", since.elapsed());
    let (mut from, mut to) = socket.into_split();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        to.write_all(&copy).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    from.read_to_end(&mut got).await.unwrap();
    writing.await.unwrap();
    assert!(got == sent, "{} bytes of {} came back", got.len(), sent.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_line_ends_connections_until_it_is_healed() {
    let proxy = DelayProxy::start("127.0.0.1:0".parse().unwrap(), echo().await, Duration::ZERO).await.unwrap();
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(b"1").await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'1');
    proxy.cut();
    let ended = timeout(PATIENCE, socket.read_u8()).await.expect("a cut connection ends");
    assert!(ended.is_err(), "nothing comes over a cut line");
    let mut second = TcpStream::connect(proxy.address).await.unwrap();
    assert!(second.read_u8().await.is_err(), "a new one ends at once");
    proxy.heal();
    let mut third = TcpStream::connect(proxy.address).await.unwrap();
    third.write_all(b"3").await.unwrap();
    assert_eq!(third.read_u8().await.unwrap(), b'3');
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sites_answer_the_test_while_the_line_between_them_is_cut() {
    let mut cluster = match Cluster::at_sites(&[0, 1]) {
        Ok(cluster) => cluster,
        Err(why) => {
            eprintln!("skipped: no network namespaces here: {why}");
            return;
        }
    };
    cluster.up().await;
    cluster.sites().cut();
    assert!(cluster.heads().await.iter().all(Option::is_some));
    cluster.sites().heal();
    assert!(cluster.heads().await.iter().all(Option::is_some));
}
