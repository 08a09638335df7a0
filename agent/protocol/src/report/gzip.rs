//! A report as it lies in a store: JSON, gzipped. The same document always gives the same bytes, which is how a writer
//! recognises its own earlier success.

use std::io::{self, BufWriter, IntoInnerError, Read};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use thiserror::Error;

use super::native::ReportDocument;

/// The content type of the JSON inside, and the encoding around it, as HTTP names them.
pub const CONTENT_TYPE: &str = "application/json";
pub const CONTENT_ENCODING: &str = "gzip";

/// As many bytes are handed to the encoder at once.
const WRITE: usize = 32 * 1024;

#[derive(Debug, Error)]
pub enum EncodeError {
    #[error("writing report {id} as gzipped JSON")]
    Encode { id: String, source: std::io::Error },
}

#[derive(Debug, Error)]
pub enum DecodeError {
    #[error("the report is no gzip stream")]
    Gzip(#[source] std::io::Error),
    #[error("the report is longer than {limit} bytes of JSON")]
    TooLarge { limit: u64 },
    #[error("the report is no patchd.report/1 document")]
    Json(#[source] serde_json::Error),
}

/// The bytes of a report, without a time or a name of a file in their header.
pub fn encode(document: &ReportDocument) -> Result<Vec<u8>, EncodeError> {
    pack(document, Compression::default())
        .map_err(|source| EncodeError::Encode { id: document.id.clone(), source })
}

/// Any document as gzipped JSON; the same one always gives the same bytes.
pub fn pack<T: Serialize>(document: &T, compression: Compression) -> io::Result<Vec<u8>> {
    let stream = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), compression);
    // The encoder clears its whole buffer at each write, and the serialiser writes word by word.
    let mut stream = BufWriter::with_capacity(WRITE, stream);
    serde_json::to_writer(&mut stream, document)?;
    stream.into_inner().map_err(IntoInnerError::into_error).and_then(GzEncoder::finish)
}

/// The document in the bytes of a report that unpacks to at most `limit` bytes.
pub fn decode(bytes: &[u8], limit: u64) -> Result<ReportDocument, DecodeError> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).take(limit.saturating_add(1)).read_to_end(&mut json).map_err(DecodeError::Gzip)?;
    if limit < json.len() as u64 {
        return Err(DecodeError::TooLarge { limit });
    }
    serde_json::from_slice(&json).map_err(DecodeError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_same_document_gives_the_same_bytes_and_comes_back() {
        let document = sample::document();
        let bytes = encode(&document).unwrap();
        assert_eq!(bytes, encode(&document.clone()).unwrap());
        assert_eq!(bytes.get(4..8), Some(&[0; 4][..]), "no time in the header");
        assert_eq!(decode(&bytes, 1 << 20).unwrap(), document);
    }

    #[test]
    fn what_is_no_report_is_said_to_be_none() {
        let bytes = encode(&sample::document()).unwrap();
        assert!(matches!(decode(b"{}", 99), Err(DecodeError::Gzip(_))));
        assert!(matches!(decode(&bytes[..bytes.len() / 2], 1 << 20), Err(DecodeError::Gzip(_))));
        assert!(matches!(decode(&bytes, 10), Err(DecodeError::TooLarge { limit: 10 })));
        let mut stream = GzBuilder::new().write(Vec::new(), Compression::default());
        std::io::Write::write_all(&mut stream, b"{\"schema\":\"patchd.report/2\"}").unwrap();
        assert!(matches!(decode(&stream.finish().unwrap(), 99), Err(DecodeError::Json(_))));
    }
}
