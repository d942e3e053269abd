//! Reading length-prefixed frames from a socket: bounded, and growing only as bytes arrive.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::node::limits::{FRAME_OVERHEAD_BYTES, STALL_TIMEOUT};

/// A frame's content, with its share of the budget it was read under; dropping it gives the share back.
#[derive(Debug)]
pub struct Frame {
    /// All that followed the length.
    pub content: Vec<u8>,
    /// The share of the budget.
    pub permit: OwnedSemaphorePermit,
}

impl Frame {
    /// What it counts as.
    pub fn size(&self) -> usize {
        FRAME_OVERHEAD_BYTES + self.content.len()
    }
}

/// Why no further frame comes.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The other end closed between two frames.
    #[error("closed by the other end")]
    Closed,
    /// The other end closed within a frame.
    #[error("closed by the other end in the middle of a frame")]
    Truncated,
    /// A length of zero, or above the limit.
    #[error("a frame claims {len} bytes; 1 to {max} are allowed here")]
    Length {
        /// The length claimed.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// No byte for too long within a frame, or no room for it.
    #[error("a frame did not arrive within {} seconds", STALL_TIMEOUT.as_secs())]
    Stalled,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads frames. The budget is drawn on as a frame's bytes arrive, so a claimed length alone costs nothing; while the
/// budget is spent, nothing more is read, and the sender feels it.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: BufReader<R>,
    budget: Arc<Semaphore>,
    max: usize,
}

/// The first allocation for a frame; later ones double.
const STEP_MIN: usize = 16 * 1024;

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `inner` frames of at most `max` bytes, under `budget` (one permit a byte).
    pub fn new(inner: R, max: usize, budget: Arc<Semaphore>) -> FrameReader<R> {
        FrameReader { inner: BufReader::with_capacity(STEP_MIN, inner), budget, max }
    }

    /// Changes the limit for the frames to come.
    pub fn allow(&mut self, max: usize) {
        self.max = max;
    }

    /// The next frame. Not to be called again after an error or after being dropped half-way.
    pub async fn next(&mut self) -> Result<Frame, FrameError> {
        let len = self.length().await?;
        let mut permit = self.draw(FRAME_OVERHEAD_BYTES).await?;
        let mut content = Vec::new();
        let mut filled = 0;
        while filled < len {
            if filled == content.len() {
                let step = (len - filled).min(filled.max(STEP_MIN));
                permit.merge(self.draw(step).await?);
                content.resize(filled + step, 0);
            }
            let read = timeout(STALL_TIMEOUT, self.inner.read(&mut content[filled..]));
            match read.await.map_err(|_| FrameError::Stalled)?? {
                0 => return Err(FrameError::Truncated),
                n => filled += n,
            }
        }
        Ok(Frame { content, permit })
    }

    /// Reads a length. Waits for its first byte without a limit: an idle link is a good link.
    async fn length(&mut self) -> Result<usize, FrameError> {
        let mut header = [0; 4];
        if self.inner.read(&mut header[..1]).await? == 0 {
            return Err(FrameError::Closed);
        }
        let rest = timeout(STALL_TIMEOUT, self.inner.read_exact(&mut header[1..]));
        match rest.await.map_err(|_| FrameError::Stalled)? {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(FrameError::Truncated),
            Err(e) => return Err(e.into()),
        }
        let len = u32::from_be_bytes(header) as usize;
        if len == 0 || len > self.max {
            return Err(FrameError::Length { len, max: self.max });
        }
        Ok(len)
    }

    async fn draw(&self, bytes: usize) -> Result<OwnedSemaphorePermit, FrameError> {
        let permits = u32::try_from(bytes).expect("frames are bounded far below 2^32");
        let drawn = timeout(STALL_TIMEOUT, self.budget.clone().acquire_many_owned(permits));
        Ok(drawn.await.map_err(|_| FrameError::Stalled)?.expect("budgets are never closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8], max: usize) -> FrameReader<&[u8]> {
        FrameReader::new(bytes, max, Arc::new(Semaphore::new(1 << 20)))
    }

    #[tokio::test]
    async fn whole_frames_and_a_clean_end() {
        let mut r = reader(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9], 16);
        assert_eq!(r.next().await.unwrap().content, [7, 8]);
        assert_eq!(r.next().await.unwrap().content, [9]);
        assert!(matches!(r.next().await, Err(FrameError::Closed)));
    }

    #[tokio::test]
    async fn bad_lengths_and_truncation() {
        assert!(matches!(reader(&[0, 0, 0, 0], 16).next().await, Err(FrameError::Length { len: 0, max: 16 })));
        assert!(matches!(reader(&[0xff; 8], 16).next().await, Err(FrameError::Length { max: 16, .. })));
        assert!(matches!(reader(&[0, 0, 0, 17], 16).next().await, Err(FrameError::Length { len: 17, max: 16 })));
        assert!(matches!(reader(&[0, 0], 16).next().await, Err(FrameError::Truncated)));
        assert!(matches!(reader(&[0, 0, 0, 3, 1], 16).next().await, Err(FrameError::Truncated)));
    }

    #[tokio::test]
    async fn a_claimed_length_draws_nothing_before_bytes_arrive() {
        let budget = Arc::new(Semaphore::new(8 << 20));
        let (mut client, server) = tokio::io::duplex(64);
        let mut r = FrameReader::new(server, 8 << 20, budget.clone());
        let task = tokio::spawn(async move { r.next().await });
        tokio::io::AsyncWriteExt::write_all(&mut client, &[0, 0x7f, 0, 0, 1]).await.unwrap();
        tokio::task::yield_now().await;
        assert!(budget.available_permits() >= (8 << 20) - STEP_MIN - FRAME_OVERHEAD_BYTES);
        drop(client);
        assert!(matches!(task.await.unwrap(), Err(FrameError::Truncated)));
        assert_eq!(budget.available_permits(), 8 << 20, "everything is given back");
    }

    #[tokio::test]
    async fn a_large_frame_draws_its_whole_size() {
        let budget = Arc::new(Semaphore::new(1 << 20));
        let mut bytes = 100_000u32.to_be_bytes().to_vec();
        bytes.resize(100_004, 5);
        let mut r = FrameReader::new(bytes.as_slice(), 1 << 20, budget.clone());
        let frame = r.next().await.unwrap();
        assert_eq!(frame.content.len(), 100_000);
        assert_eq!(budget.available_permits(), (1 << 20) - 100_000 - FRAME_OVERHEAD_BYTES);
    }
}
