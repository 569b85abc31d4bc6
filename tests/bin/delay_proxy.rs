//! `delay-proxy MS LISTEN TARGET [LISTEN TARGET]…`: passes TCP connections on, MS milliseconds later
//! in each direction. SIGUSR1 cuts every line, SIGUSR2 heals them; SIGTERM or Ctrl-C ends.

use chain_tests::proxy::DelayProxy;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), String> {
    let usage = || "delay-proxy MS LISTEN TARGET [LISTEN TARGET]...".to_owned();
    let (delay, lines) = arguments.split_first().ok_or_else(usage)?;
    let delay = Duration::from_millis(delay.parse().map_err(|_| usage())?);
    if lines.is_empty() || !lines.len().is_multiple_of(2) {
        return Err(usage());
    }
    // Taken over before anybody is told that it listens.
    let taken = |kind| signal(kind).map_err(|e| e.to_string());
    let mut cut = taken(SignalKind::user_defined1())?;
    let mut heal = taken(SignalKind::user_defined2())?;
    let mut term = taken(SignalKind::terminate())?;
    let mut proxies = Vec::new();
    for line in lines.chunks_exact(2) {
        let [listen, target] = line else { return Err(usage()) };
        let [from, to] = [listen, target].map(|text| text.parse().map_err(|e| format!("{text}: {e}")));
        let proxy = DelayProxy::start(from?, to?, delay).await.map_err(|e| format!("{listen}: {e}"))?;
        println!("{} -> {target}, {} ms", proxy.address, delay.as_millis());
        proxies.push(proxy);
    }
    loop {
        tokio::select! {
            _ = cut.recv() => proxies.iter().for_each(DelayProxy::cut),
            _ = heal.recv() => proxies.iter().for_each(DelayProxy::heal),
            _ = term.recv() => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
