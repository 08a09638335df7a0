//! A packed document as the body of an answer for a client that takes no gzip: unpacked piece by piece as it is sent, so
//! that a slow client holds back a few kilobytes and no more. It reads no file.

use std::io::{self, Read, Take};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, buf::Reader};
use flate2::bufread::GzDecoder;
use hyper::body::{Body, Frame};

/// As many bytes go out at once.
const PIECE: usize = 32 * 1024;

/// A gzip stream that is a body of what is in it.
#[derive(Debug)]
pub(super) struct Unpacked {
    stream: Take<GzDecoder<Reader<Bytes>>>,
    limit: u64,
    sent: u64,
    is_over: bool,
}

impl Unpacked {
    /// A body that ends with an error if the stream is damaged, or has more than `limit` bytes in it.
    pub(super) fn new(packed: Bytes, limit: u64) -> Self {
        let stream = GzDecoder::new(packed.reader()).take(limit.saturating_add(1));
        Self { stream, limit, sent: 0, is_over: false }
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = Vec::with_capacity(PIECE);
        self.stream.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        self.sent += piece.len() as u64;
        if self.limit < self.sent {
            return Err(io::Error::other(format!("the document has more than {} bytes", self.limit)));
        }
        Ok((!piece.is_empty()).then(|| piece.into()))
    }
}

impl Body for Unpacked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = self.piece();
        self.is_over = !matches!(piece, Ok(Some(_)));
        if let Err(error) = &piece {
            tracing::error!(%error, "a document on this disk is damaged; its answer is cut");
        }
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

/// Whether a client that sent this takes gzip: it names it, or everything, and does not give it the weight of nothing.
pub(super) fn takes_gzip(accept_encoding: &str) -> bool {
    let weight_of = |wanted: &str| {
        accept_encoding.split(',').find_map(|part| {
            let mut words = part.split(';').map(str::trim);
            let is_wanted = words.next().is_some_and(|coding| coding.eq_ignore_ascii_case(wanted));
            let weight = words.find_map(|word| word.strip_prefix("q=").or_else(|| word.strip_prefix("Q=")));
            is_wanted.then(|| weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight| 0.0 < weight)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::BodyExt;

    use super::*;

    fn packed(content: &[u8]) -> Bytes {
        let mut stream = GzEncoder::new(Vec::new(), Compression::fast());
        stream.write_all(content).unwrap();
        stream.finish().unwrap().into()
    }

    #[tokio::test]
    async fn what_was_packed_comes_out_in_pieces() {
        let content = vec![b'x'; 3 * PIECE + 7];
        let mut body = Unpacked::new(packed(&content), content.len() as u64);
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(pieces, [PIECE, PIECE, PIECE, 7]);
        let nothing = Unpacked::new(packed(b""), 10).collect().await.unwrap();
        assert!(nothing.to_bytes().is_empty());
    }

    #[tokio::test]
    async fn a_damaged_or_endless_stream_is_cut() {
        let content = packed(&vec![7; 1_000_000]);
        assert!(Unpacked::new(content.slice(..content.len() / 2), 1 << 30).collect().await.is_err());
        assert!(Unpacked::new(content.clone(), 999_999).collect().await.is_err());
        assert!(Unpacked::new(content, 1_000_000).collect().await.is_ok());
        assert!(Unpacked::new(Bytes::from_static(b"{}"), 99).collect().await.is_err());
    }

    #[test]
    fn a_client_says_whether_it_takes_gzip() {
        for yes in ["gzip", "GZIP", "deflate, gzip;q=0.5", "br, *", "gzip;q=1.0, identity;q=0", "*;q=0.1"] {
            assert!(takes_gzip(yes), "{yes}");
        }
        for no in
            ["", "identity", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "xgzip", "gzip;q=much"]
        {
            assert!(!takes_gzip(no), "{no}");
        }
    }
}
