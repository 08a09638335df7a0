//! The streams of stored lists: every compression that apt writes, decoded in pure Rust, in bounded memory.
//!
//! A stream that was cut ends with an error, never as if it were whole.

use std::io::{self, BufReader, Read};

use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use crate::apt::ahead::ReadAhead;
use crate::apt::list_files::Compression;
use crate::read::RegularFile;

/// How much is read from a file at once.
const CHUNK: usize = 64 << 10;

/// The most memory for a decoder's window. What `xz -9` and `zstd --ultra` ask for is above; apt's own writers and
/// Debian's archive stay at 8 MiB.
const MAX_WINDOW: u64 = 16 << 20;

/// A list of this size and more is worth a second thread, in bytes as it is stored.
const LARGE: u64 = 1 << 20;

/// Opens the stream of a list. `None` where the compression is one that this build can't read.
pub fn open(file: RegularFile, compression: Compression) -> io::Result<Option<Box<dyn Read>>> {
    let is_worth_a_thread = LARGE <= file.size() && compression != Compression::None;
    Ok(match decoder(file, compression)? {
        Some(stream) if is_worth_a_thread => Some(Box::new(ReadAhead::new(stream)?)),
        Some(stream) => Some(stream),
        None => None,
    })
}

fn decoder(file: RegularFile, compression: Compression) -> io::Result<Option<Box<dyn Read + Send>>> {
    let source = BufReader::with_capacity(CHUNK, file);
    let max_kib = u32::try_from(MAX_WINDOW >> 10).unwrap_or(u32::MAX);
    Ok(Some(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Xz => Box::new(XzReader::new_mem_limit(source, true, max_kib)),
        Compression::Lzma => Box::new(LzmaReader::new_mem_limit(source, max_kib, None)?),
        Compression::Lz4 => Box::new(Lz4Reader::new(source)),
        Compression::Zstd => {
            let decoder = StreamingDecoder::new_with_max_window_size(source, MAX_WINDOW);
            Box::new(decoder.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)
        }
        Compression::Bzip2 => return Ok(None),
    }))
}

/// An LZ4 frame that must be whole. The decoder takes the end of the file between two blocks for the end of the frame;
/// only the mark at the end, four zero bytes that are in no list's text, tells that nothing is missing.
struct Lz4Reader<R: Read> {
    decoder: FrameDecoder<Tail<R>>,
}

impl<R: Read> Lz4Reader<R> {
    fn new(source: R) -> Self {
        Self { decoder: FrameDecoder::new(Tail { source, last: [1; 8] }) }
    }
}

impl<R: Read> Read for Lz4Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.decoder.get_ref().has_end_mark() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}

/// Remembers the last bytes that went through it.
struct Tail<R> {
    source: R,
    last: [u8; 8],
}

impl<R> Tail<R> {
    /// With or without the checksum of the content behind it.
    fn has_end_mark(&self) -> bool {
        let [a, b, c, d, e, f, g, h] = self.last;
        [e, f, g, h] == [0; 4] || [a, b, c, d] == [0; 4]
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        let recent = read.get(read.len().saturating_sub(self.last.len())..).unwrap_or_default();
        self.last.rotate_left(recent.len());
        let from = self.last.len() - recent.len();
        self.last.get_mut(from..).unwrap_or_default().copy_from_slice(recent);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::read;
    use crate::root::Root;

    /// A list of some hundred kilobytes, as text.
    fn text() -> Vec<u8> {
        (0..9000)
            .flat_map(|at| format!("Package: p{at}\nVersion: {}\n\n", at * 7919 % 1000).into_bytes())
            .collect()
    }

    fn lz4(linked: bool, checksum: bool) -> Vec<u8> {
        use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
        let mode = if linked { BlockMode::Linked } else { BlockMode::Independent };
        let info =
            FrameInfo::new().block_mode(mode).block_size(BlockSize::Max64KB).content_checksum(checksum);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&text()).unwrap();
        encoder.finish().unwrap()
    }

    fn gzip() -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&text()).unwrap();
        encoder.finish().unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn decode(bytes: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("list"), bytes).unwrap();
        let file = read::open(&Root::at(directory.path()), "list").unwrap();
        let mut decoded = Vec::new();
        open(file, compression)?.unwrap().read_to_end(&mut decoded)?;
        Ok(decoded)
    }

    #[test]
    fn a_whole_stream_is_decoded_and_a_cut_one_is_an_error() {
        let cases = [
            (lz4(true, false), Compression::Lz4),
            (lz4(false, true), Compression::Lz4),
            (gzip(), Compression::Gzip),
        ];
        for (bytes, compression) in cases {
            assert_eq!(decode(&bytes, compression).unwrap(), text(), "{compression:?}");
            for part in 1..20 {
                let cut = &bytes[..bytes.len() * part / 20];
                assert!(decode(cut, compression).is_err(), "{compression:?} cut at {part}/20");
            }
            assert!(decode(&bytes[..bytes.len() - 1], compression).is_err(), "{compression:?}");
        }
    }

    #[test]
    fn a_cut_between_two_blocks_is_an_error() {
        let bytes = lz4(true, false);
        // The frame header is 7 bytes, a block its length and as many bytes.
        let mut at = 7;
        let mut cuts = 0;
        while let Some(length) = bytes.get(at..at + 4) {
            assert!(decode(&bytes[..at], Compression::Lz4).is_err(), "cut at {at}");
            let length = u32::from_le_bytes(length.try_into().unwrap()) & 0x7fff_ffff;
            at += 4 + usize::try_from(length).unwrap();
            cuts += 1;
        }
        assert!(4 < cuts);
    }

    #[test]
    fn garbage_is_an_error_in_every_form() {
        for compression in
            [Compression::Xz, Compression::Lzma, Compression::Gzip, Compression::Lz4, Compression::Zstd]
        {
            assert!(decode(b"Package: a\n", compression).is_err(), "{compression:?}");
            assert!(decode(b"", compression).is_err(), "{compression:?} empty");
        }
    }
}
