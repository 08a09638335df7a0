//! Reads a stream on a second thread, a few pieces ahead of its reader: decompressing and looking take as long as each
//! other, and most hosts have two cores. It decodes nothing itself, and holds a megabyte at most.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How much is handed over at once, and how many pieces may wait.
const PIECE: usize = 256 << 10;
const WAITING: usize = 2;

/// The reader's end.
#[derive(Debug)]
pub(super) struct ReadAhead {
    /// An empty piece is the end of the stream.
    pieces: Receiver<io::Result<Piece>>,
    /// Pieces that were read go back, to be filled again.
    spent: SyncSender<Piece>,
    piece: Piece,
    at: usize,
    is_at_end: bool,
}

/// Some bytes of the stream. Its memory is cleared once and then used again and again.
#[derive(Debug, Default)]
struct Piece {
    memory: Vec<u8>,
    length: usize,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }

    /// Takes as much from `source` as it has room for. What was read before an error is there.
    fn fill(&mut self, source: &mut impl Read) -> io::Result<()> {
        self.memory.resize(PIECE, 0);
        self.length = 0;
        loop {
            match source.read(self.memory.get_mut(self.length..).unwrap_or_default()) {
                Ok(0) => return Ok(()),
                Ok(count) => self.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl ReadAhead {
    /// Starts reading `source`. The thread ends with the stream, with its first error, or when the reader is dropped.
    pub(super) fn new(source: impl Read + Send + 'static) -> io::Result<Self> {
        let (send, pieces) = sync_channel(WAITING);
        // Room for every piece there is: nothing ever waits to give one back.
        let (spent, returned) = sync_channel(WAITING + 2);
        std::thread::Builder::new().name("read-ahead".into()).spawn(move || run(source, &send, &returned))?;
        Ok(Self { pieces, spent, piece: Piece::default(), at: 0, is_at_end: false })
    }
}

fn run(mut source: impl Read, pieces: &SyncSender<io::Result<Piece>>, returned: &Receiver<Piece>) {
    loop {
        let mut piece = returned.try_recv().unwrap_or_default();
        let result = piece.fill(&mut source);
        let is_last = piece.length == 0 || result.is_err();
        // What was read before an error counts, and is handed out before it.
        if result.is_err() && piece.length != 0 && pieces.send(Ok(std::mem::take(&mut piece))).is_err() {
            return;
        }
        if pieces.send(result.map(|()| piece)).is_err() || is_last {
            return;
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.length && !self.is_at_end {
            let next =
                self.pieces.recv().map_err(|_| io::Error::other("the decoder ended without a word"))??;
            let spent = std::mem::replace(&mut self.piece, next);
            // Without its thread there is nobody to fill it again.
            let _ = self.spent.try_send(spent);
            self.at = 0;
            self.is_at_end = self.piece.length == 0;
        }
        let count = self.piece.bytes().get(self.at..).unwrap_or_default().read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_comes_through_whole_and_ends() {
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut found = Vec::new();
        let mut stream = ReadAhead::new(io::Cursor::new(bytes.clone())).unwrap();
        stream.read_to_end(&mut found).unwrap();
        assert!(found == bytes);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("cut"))
            }
        }
        let mut found = Vec::new();
        let error = ReadAhead::new(b"sound".chain(Broken)).unwrap().read_to_end(&mut found).unwrap_err();
        assert_eq!((found.as_slice(), error.to_string().as_str()), (&b"sound"[..], "cut"));
    }

    #[test]
    fn a_reader_that_goes_away_ends_the_thread() {
        let (told, ended) = std::sync::mpsc::channel::<()>();
        struct Endless(#[expect(dead_code, reason = "dropped with the thread")] std::sync::mpsc::Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(1);
                Ok(buffer.len())
            }
        }
        let mut stream = ReadAhead::new(Endless(told)).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 8);
        drop(stream);
        assert!(ended.recv().is_err(), "the source is gone with its thread");
    }
}
