//! Frames on a stream: a length as `u32` (little-endian) and so many bytes, with a bound and a
//! deadline that moves only while bytes do.
//!
//! Not here: what is inside (`chain_core::wire`).

use super::Limits;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::future::Future;
use std::io;
use tokio::sync::{Semaphore, SemaphorePermit};
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

/// A frame and the memory it has taken of what its sender shares with others; to be kept as long.
pub type Held<'s> = (Vec<u8>, Option<SemaphorePermit<'s>>);

/// Reads one frame. The wait for its first byte has no end, the rest has to keep coming.
///
/// If there is a `room`, counted in bytes, a frame longer than a piece waits for all it needs of it
/// after its first piece; that wait is not the sender's fault.
///
/// # Errors
/// The stream ends, the length is out of bounds, or the frame takes too long.
pub async fn read<'s>(
    stream: &mut (impl AsyncRead + Unpin),
    max: usize,
    limits: &Limits,
    room: Option<&'s Semaphore>,
) -> Result<Held<'s>, FrameError> {
    let mut header = [0; 4];
    let (first, rest) = header.split_at_mut(1);
    stream.read_exact(first).await?;
    let mut pace = Pace::start(limits);
    pace.step(0, stream.read_exact(rest)).await?;
    let length = u32::from_le_bytes(header) as usize;
    if length == 0 || length > max {
        return Err(FrameError::Length { max, got: length });
    }
    let mut frame = Vec::with_capacity(length.min(PIECE_BYTES));
    let mut held = None;
    while frame.len() < length {
        let got = frame.len();
        if let Some(room) = room.filter(|_| got >= PIECE_BYTES && held.is_none()) {
            let asked = Instant::now();
            let bytes = u32::try_from(length).unwrap_or(u32::MAX);
            // Nobody closes it.
            held = Some(room.acquire_many(bytes).await.map_err(io::Error::other)?);
            pace.forgive(asked.elapsed());
        }
        frame.resize(length.min(got + PIECE_BYTES), 0);
        // Never out of bounds: just resized.
        let piece = frame.get_mut(got..).unwrap_or_default();
        let count = pace.step(got, stream.read(piece)).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        frame.truncate(got + count);
    }
    Ok((frame, held))
}

/// Writes one frame.
///
/// # Errors
/// The stream ends, or the other side does not take it in time.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8], limits: &Limits) -> Result<(), FrameError> {
    let mut pace = Pace::start(limits);
    let too_long = || FrameError::Length { max: u32::MAX as usize, got: frame.len() };
    let header = u32::try_from(frame.len()).map_err(|_| too_long())?.to_le_bytes();
    let (head, tail) = frame.split_at(frame.len().min(PIECE_BYTES));
    let first = [&header, head].concat();
    let mut sent = 0;
    for piece in std::iter::once(first.as_slice()).chain(tail.chunks(PIECE_BYTES)) {
        pace.step(sent, stream.write_all(piece)).await?;
        sent += piece.len();
    }
    pace.step(sent, stream.flush()).await
}

/// How a frame comes along: it may be slow on the whole, and it must not stop on the way.
struct Pace<'l> {
    limits: &'l Limits,
    start: Instant,
    /// The last whole piece that is through, and when that was.
    piece: (usize, Instant),
}

impl<'l> Pace<'l> {
    fn start(limits: &'l Limits) -> Self {
        let start = Instant::now();
        Self { limits, start, piece: (0, start) }
    }

    /// So much of the time was our own.
    fn forgive(&mut self, time: std::time::Duration) {
        self.start += time;
        self.piece.1 += time;
    }

    /// Does one step of a frame of which so many bytes are through.
    async fn step<T>(&mut self, through: usize, step: impl Future<Output = io::Result<T>>) -> Result<T, FrameError> {
        if through / PIECE_BYTES > self.piece.0 {
            self.piece = (through / PIECE_BYTES, Instant::now());
        }
        let whole = self.start + self.limits.patience(through);
        match timeout_at(whole.min(self.piece.1 + self.limits.stall), step).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(FrameError::Slow),
        }
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
                match read(&mut stream, max, &Limits::default(), None).await {
                    Ok((frame, _)) => frames.push(frame),
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
                let reading = async { read(&mut ours, 1000, &limits, None).await };
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
    fn a_long_frame_that_stops_near_its_end_is_not_held_for_long() {
        runtime().block_on(async {
            let (mut theirs, ours) = tokio::io::duplex(64);
            // The whole frame would have an hour.
            let limits = Limits { slowest_bytes: 3 * PIECE_BYTES as u32 / 3600, ..impatient() };
            let writing = async {
                use tokio::io::AsyncWriteExt;
                theirs.write_all(&(4 * PIECE_BYTES as u32).to_le_bytes()).await.unwrap();
                theirs.write_all(&vec![1; 4 * PIECE_BYTES - 1]).await.unwrap();
                std::future::pending::<()>().await
            };
            let mut ours = Compat(ours);
            let reading = async { read(&mut ours, 4 * PIECE_BYTES, &limits, None).await };
            let reading = tokio::time::timeout(std::time::Duration::from_secs(60), reading);
            tokio::select! {
                end = reading => assert!(matches!(end.unwrap(), Err(FrameError::Slow))),
                () = writing => {}
            }
        });
    }

    #[test]
    fn long_frames_share_a_room_and_short_ones_need_none() {
        runtime().block_on(async {
            let framed = |bytes: usize| [&(bytes as u32).to_le_bytes()[..], &vec![1; bytes]].concat();
            let room = Semaphore::new(3 * PIECE_BYTES);
            let limits = impatient();
            let (mut one, mut other) = (Cursor::new(framed(2 * PIECE_BYTES)), Cursor::new(framed(2 * PIECE_BYTES)));
            let held = read(&mut one, 2 * PIECE_BYTES, &limits, Some(&room)).await.unwrap();
            assert_eq!(room.available_permits(), PIECE_BYTES);
            let mut short = Cursor::new(framed(PIECE_BYTES));
            read(&mut short, PIECE_BYTES, &limits, Some(&room)).await.unwrap();
            let waiting = read(&mut other, 2 * PIECE_BYTES, &limits, Some(&room));
            tokio::pin!(waiting);
            let early = tokio::time::timeout(2 * limits.stall, waiting.as_mut()).await;
            assert!(early.is_err(), "it waits, longer than a sender could");
            drop(held);
            assert_eq!(waiting.await.unwrap().0.len(), 2 * PIECE_BYTES);
            assert_eq!(room.available_permits(), 3 * PIECE_BYTES);
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
