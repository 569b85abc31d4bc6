//! Log lines, in text or JSON, on standard error.

use crate::config::LogFormat;
use crate::exit::Exit;
use tracing_subscriber::EnvFilter;

/// Starts logging for the whole process.
pub fn start(filter: &str, format: LogFormat) -> Result<(), Exit> {
    let filter = EnvFilter::try_new(filter).map_err(|e| Exit::Configuration(format!("log_level: {e}")))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| Exit::Configuration(format!("logging: {e}")))
}
