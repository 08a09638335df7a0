//! How messages lie on the executor's socket: four bytes of length, most significant first, then that much JSON.
//!
//! The limits are part of the protocol: a longer frame is an error before a byte of it is read.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The longest request that the executor reads, in bytes.
pub const MAX_REQUEST: u32 = 1 << 20;

/// The longest reply that the daemon reads, in bytes.
pub const MAX_REPLY: u32 = 4 << 20;

/// Why a frame can't be read or written.
#[derive(Debug, Error)]
pub enum FrameError {
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    TooLong { length: u64, limit: u32 },
    #[error("a frame ended in its middle")]
    Cut,
    #[error("a frame is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

/// Writes one message.
pub fn write<T: Serialize>(to: &mut impl Write, message: &T, limit: u32) -> Result<(), FrameError> {
    let body = serde_json::to_vec(message).map_err(FrameError::Json)?;
    let length = u32::try_from(body.len()).ok().filter(|&length| length <= limit);
    let Some(length) = length else {
        return Err(FrameError::TooLong { length: u64::try_from(body.len()).unwrap_or(u64::MAX), limit });
    };
    let mut bytes = Vec::with_capacity(body.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&body);
    to.write_all(&bytes).and_then(|()| to.flush()).map_err(FrameError::Io)
}

/// Reads one message; `None` if the peer hung up between two.
pub fn read<T: DeserializeOwned>(from: &mut impl Read, limit: u32) -> Result<Option<T>, FrameError> {
    let mut length = [0; 4];
    let mut filled = 0;
    while filled < length.len() {
        match from.read(length.get_mut(filled..).unwrap_or_default()) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Cut),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error)),
        }
    }
    let length = u32::from_be_bytes(length);
    if limit < length {
        return Err(FrameError::TooLong { length: length.into(), limit });
    }
    let mut body = Vec::new();
    from.take(length.into()).read_to_end(&mut body).map_err(FrameError::Io)?;
    if u32::try_from(body.len()).ok() != Some(length) {
        return Err(FrameError::Cut);
    }
    serde_json::from_slice(&body).map(Some).map_err(FrameError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_and_limits_hold() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"hello", 16).unwrap();
        assert_eq!(read::<String>(&mut bytes.as_slice(), 16).unwrap().as_deref(), Some("hello"));
        assert!(matches!(
            write(&mut Vec::new(), &"hello", 3),
            Err(FrameError::TooLong { length: 7, limit: 3 })
        ));
        assert!(matches!(read::<String>(&mut bytes.as_slice(), 3), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn a_cut_frame_is_told_from_a_hang_up() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"hello", 16).unwrap();
        for length in 1..bytes.len() {
            assert!(matches!(read::<String>(&mut &bytes[..length], 16), Err(FrameError::Cut)), "{length}");
        }
        assert!(matches!(read::<String>(&mut &bytes[..0], 16), Ok(None)));
        assert!(matches!(read::<u8>(&mut bytes.as_slice(), 16), Err(FrameError::Json(_))));
    }
}
