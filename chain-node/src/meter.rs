//! How far a long piece of work is: a bar on a terminal, lines elsewhere.
//!
//! Not here: catching up block by block, which goes on beside everything else (`catching_up`).

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// How often a line tells how far it is, where there is no terminal for a bar.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Shows how far it is: a bar on a terminal, lines elsewhere.
pub(crate) struct Meter {
    bar: ProgressBar,
    unit: &'static str,
    lines: bool,
    told: Instant,
}

impl Meter {
    pub(crate) fn blocks(total: u64) -> Self {
        Self::new(Some(total), "blocks", "{bar:40} {pos}/{len} blocks, {eta} left")
    }

    pub(crate) fn bytes(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{bar:40} {bytes}/{total_bytes}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        Self::new(total, "bytes", template)
    }

    fn new(total: Option<u64>, unit: &'static str, template: &str) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        // A template that can't be read leaves the plain bar.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, unit, lines: !io::stderr().is_terminal(), told: Instant::now() }
    }

    pub(crate) fn add(&mut self, more: u64) {
        self.bar.inc(more);
        if self.lines && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let of = self.bar.length().map(|total| format!(" of {total}")).unwrap_or_default();
            eprintln!("{}{of} {}", self.bar.position(), self.unit);
        }
    }

    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Counts what goes through.
pub(crate) struct Metered<T> {
    pub(crate) inner: T,
    pub(crate) meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.meter.add(read as u64);
        Ok(read)
    }
}

impl<W: Write> Write for Metered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.meter.add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
