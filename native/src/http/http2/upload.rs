//! The body of a request, as far as the peer takes it.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;

/// Pieces in which a body is handed over.
const PIECE_BYTES: usize = 64 * 1024;

/// Hands over as much of the `left` bytes as the peer takes now; `piece` gives the next so many of them. True: some were.
/// The stream is let go where it takes no more: how the request fails says the answer's side.
pub fn upload(
    stream: &mut Option<SendStream<Bytes>>,
    mut left: usize,
    context: &mut Context,
    mut piece: impl FnMut(usize) -> Bytes,
) -> bool {
    let mut has_moved = false;
    while left > 0
        && let Some(upload) = stream
    {
        upload.reserve_capacity(left.min(PIECE_BYTES));
        let room = match upload.capacity() {
            0 => match upload.poll_capacity(context) {
                Poll::Pending => return has_moved,
                Poll::Ready(Some(Ok(0))) => continue, // a window that was opened and taken back
                Poll::Ready(Some(Ok(room))) => room,
                Poll::Ready(_) => 0,
            },
            room => room,
        };
        let count = room.min(left);
        if count == 0 || upload.send_data(piece(count), count == left).is_err() {
            *stream = None;
            return has_moved;
        }
        left -= count;
        has_moved = true;
    }
    has_moved
}
