//! Frames on a stream: a length as `u32` (little-endian) and so many bytes, with a bound and a
//! deadline that moves only while bytes do.
//!
//! Not here: what is inside (`chain_core::wire`).

use super::Limits;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::future::Future;
use std::io;
use tokio::time::{Instant, timeout_at};

/// Read and written at once; also what a liar about a length costs us.
const PIECE_BYTES: usize = 64 * 1024;

/// Why there are no more frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended or broke.
    #[error("the stream ended: {0}")]
    Io(#[from] io::Error),
    /// A frame was under way for too long.
    #[error("a frame was under way for too long")]
    Slow,
    /// A length no frame has.
    #[error("a frame of {got} bytes; it may have 1 to {max}")]
    Length {
        /// The most the lane takes.
        max: usize,
        /// What was announced.
        got: usize,
    },
}

/// Reads one frame. The wait for its first byte has no end, the rest has to keep coming.
///
/// # Errors
/// The stream ends, the length is out of bounds, or the frame takes too long.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), max: usize, limits: &Limits) -> Result<Vec<u8>, FrameError> {
    let mut header = [0; 4];
    let (first, rest) = header.split_at_mut(1);
    stream.read_exact(first).await?;
    let start = Instant::now();
    within(start, 0, limits, stream.read_exact(rest)).await?;
    let length = u32::from_le_bytes(header) as usize;
    if length == 0 || length > max {
        return Err(FrameError::Length { max, got: length });
    }
    let mut frame = Vec::with_capacity(length.min(PIECE_BYTES));
    while frame.len() < length {
        let got = frame.len();
        frame.resize(length.min(got + PIECE_BYTES), 0);
        // Never out of bounds: just resized.
        let piece = frame.get_mut(got..).unwrap_or_default();
        let count = within(start, got, limits, stream.read(piece)).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        frame.truncate(got + count);
    }
    Ok(frame)
}

/// Writes one frame.
///
/// # Errors
/// The stream ends, or the other side does not take it in time.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8], limits: &Limits) -> Result<(), FrameError> {
    let start = Instant::now();
    let too_long = || FrameError::Length { max: u32::MAX as usize, got: frame.len() };
    let header = u32::try_from(frame.len()).map_err(|_| too_long())?.to_le_bytes();
    let (head, tail) = frame.split_at(frame.len().min(PIECE_BYTES));
    let first = [&header, head].concat();
    let mut sent = 0;
    for piece in std::iter::once(first.as_slice()).chain(tail.chunks(PIECE_BYTES)) {
        within(start, sent, limits, stream.write_all(piece)).await?;
        sent += piece.len();
    }
    within(start, sent, limits, stream.flush()).await
}

/// Does one step of a frame that began at `start` and of which so many bytes are through.
async fn within<T>(
    start: Instant,
    through: usize,
    limits: &Limits,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, FrameError> {
    match timeout_at(start + limits.patience(through), step).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(FrameError::Slow),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use libp2p::futures::io::Cursor;
    use proptest::prelude::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn impatient() -> Limits {
        Limits { stall: std::time::Duration::from_millis(60), ..Limits::default() }
    }

    fn read_all(bytes: Vec<u8>, max: usize) -> (Vec<Vec<u8>>, FrameError) {
        runtime().block_on(async {
            let (mut stream, mut frames) = (Cursor::new(bytes), Vec::new());
            loop {
                match read(&mut stream, max, &Limits::default()).await {
                    Ok(frame) => frames.push(frame),
                    Err(error) => return (frames, error),
                }
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8)) {
            let written = runtime().block_on(async {
                let mut stream = Cursor::new(Vec::new());
                for frame in &frames {
                    write(&mut stream, frame, &Limits::default()).await.unwrap();
                }
                stream.into_inner()
            });
            let (read, end) = read_all(written, 300);
            prop_assert_eq!(read, frames);
            prop_assert!(matches!(end, FrameError::Io(_)));
        }

        #[test]
        fn any_bytes_end_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (frames, _) = read_all(bytes, 16);
            prop_assert!(frames.iter().all(|frame| (1..=16).contains(&frame.len())));
        }
    }

    #[test]
    fn long_frames_travel_in_pieces() {
        let frame: Vec<u8> = (0..3 * PIECE_BYTES + 7).map(|i| i as u8).collect();
        let mut bytes = u32::try_from(frame.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(&frame);
        let (frames, _) = read_all(bytes, frame.len());
        assert_eq!(frames, [frame]);
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_unread() {
        for length in [0, 101, u32::MAX] {
            let (frames, end) = read_all(length.to_le_bytes().to_vec(), 100);
            assert!(frames.is_empty() && matches!(end, FrameError::Length { max: 100, .. }), "{end}");
        }
    }

    #[test]
    fn a_frame_that_stops_or_drips_is_given_up_and_an_idle_stream_is_not() {
        runtime().block_on(async {
            for dripping in [false, true] {
                let (mut theirs, ours) = tokio::io::duplex(64);
                let mut ours = Compat(ours);
                let limits = impatient();
                let reading = async { read(&mut ours, 1000, &limits).await };
                let writing = async {
                    use tokio::io::AsyncWriteExt;
                    tokio::time::sleep(limits.stall * 3).await; // idle: no harm
                    theirs.write_all(&1000u32.to_le_bytes()).await.unwrap();
                    while dripping && theirs.write_all(&[1]).await.is_ok() {
                        tokio::time::sleep(limits.stall / 20).await;
                    }
                    std::future::pending::<()>().await
                };
                tokio::select! {
                    end = reading => assert!(matches!(end, Err(FrameError::Slow)), "{end:?}"),
                    () = writing => {}
                }
            }
        });
    }

    #[test]
    fn a_reader_that_never_reads_is_given_up() {
        runtime().block_on(async {
            let (_theirs, ours) = tokio::io::duplex(64);
            let end = write(&mut Compat(ours), &[7; 1000], &impatient()).await;
            assert!(matches!(end, Err(FrameError::Slow)), "{end:?}");
        });
    }

    /// One of tokio's streams as one of futures'.
    struct Compat(tokio::io::DuplexStream);

    impl AsyncRead for Compat {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let mut buffer = tokio::io::ReadBuf::new(buffer);
            let read = tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), cx, &mut buffer);
            read.map_ok(|()| buffer.filled().len())
        }
    }

    impl AsyncWrite for Compat {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut self.0), cx, bytes)
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            tokio::io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.0), cx)
        }

        fn poll_close(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.0), cx)
        }
    }
}
