//! Where reports go: `s3://bucket/prefix` or `file:///path`. It opens nothing.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The longest prefix: a key of ours takes less than 500 of the 1024 bytes that S3 allows.
const MAX_PREFIX: usize = 500;

/// A store, as the configuration and the command line name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    S3 {
        bucket: String,
        /// Without a slash at either end; empty where reports lie at the top of the bucket.
        prefix: String,
    },
    File {
        /// Absolute.
        path: PathBuf,
    },
}

/// Why a text names no store, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreUrlError {
    #[error("{text:?} names no store: write s3://BUCKET/PREFIX or file:///PATH")]
    UnknownScheme { text: String },
    #[error("{text:?} is a path: write file:///PATH, with the whole path from the root")]
    BarePath { text: String },
    #[error(
        "{text:?} names the machine {host:?}: write file:///PATH with three slashes, for a path of this machine"
    )]
    FileOnAnotherHost { text: String, host: String },
    #[error("{text:?} holds a `%` that begins no code: write %25 for the character itself")]
    BadPercent { text: String },
    #[error("{text:?} names no path: write file:///PATH")]
    NoPath { text: String },
    #[error(
        "{bucket:?} is no bucket name: it has 3 to 63 lower-case letters, digits, dots and hyphens, and a letter or \
         digit at both ends"
    )]
    BadBucket { bucket: String },
    #[error(
        "{prefix:?} can't be a prefix: no empty, `.` or `..` segment, no control character, no backslash, at most \
         {MAX_PREFIX} bytes"
    )]
    BadPrefix { prefix: String },
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("s3://") {
            parse_s3(rest)
        } else if let Some(rest) = text.strip_prefix("file://") {
            parse_file(text, rest)
        } else if text.contains("://") || !text.contains('/') {
            Err(StoreUrlError::UnknownScheme { text: text.into() })
        } else {
            Err(StoreUrlError::BarePath { text: text.into() })
        }
    }
}

fn parse_s3(rest: &str) -> Result<StoreUrl, StoreUrlError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = bucket.as_bytes();
    let is_bucket = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| is_end(byte) || matches!(byte, b'.' | b'-'))
        && bytes.first().is_some_and(|&byte| is_end(byte))
        && bytes.last().is_some_and(|&byte| is_end(byte))
        && !bucket.contains("..");
    if !is_bucket {
        return Err(StoreUrlError::BadBucket { bucket: bucket.into() });
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..") && !segment.contains(|c: char| c.is_control() || c == '\\')
    };
    if MAX_PREFIX < prefix.len() || !(prefix.is_empty() || prefix.split('/').all(is_segment)) {
        return Err(StoreUrlError::BadPrefix { prefix: prefix.into() });
    }
    Ok(StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() })
}

fn parse_file(text: &str, rest: &str) -> Result<StoreUrl, StoreUrlError> {
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if !matches!(host, "" | "localhost") {
        return Err(StoreUrlError::FileOnAnotherHost { text: text.into(), host: host.into() });
    }
    if path.is_empty() {
        return Err(StoreUrlError::NoPath { text: text.into() });
    }
    let path = percent_decoded(path).ok_or_else(|| StoreUrlError::BadPercent { text: text.into() })?;
    Ok(StoreUrl::File { path })
}

/// The path behind a URL's path. `None` if a `%` is not followed by two hex digits, or names the NUL that no path holds.
fn percent_decoded(path: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    (!decoded.contains(&0)).then(|| std::ffi::OsString::from_vec(decoded).into())
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::ffi::OsStrExt;
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(formatter, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
            Self::File { path } => {
                formatter.write_str("file://")?;
                for &byte in path.as_os_str().as_bytes() {
                    if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#') {
                        write!(formatter, "{}", char::from(byte))?;
                    } else {
                        write!(formatter, "%{byte:02X}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) -> StoreUrl {
        let url: StoreUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(shown.parse::<StoreUrl>().as_ref(), Ok(&url));
        url
    }

    #[track_caller]
    fn refuse(text: &str, says: &str) {
        let error = text.parse::<StoreUrl>().unwrap_err();
        assert!(error.to_string().contains(says), "{text:?}: {error}");
    }

    #[test]
    fn buckets_and_prefixes() {
        let url = check("s3://reports.example/patchd/prod", "s3://reports.example/patchd/prod");
        assert_eq!(url, StoreUrl::S3 { bucket: "reports.example".into(), prefix: "patchd/prod".into() });
        check("s3://my-bucket", "s3://my-bucket");
        check("s3://my-bucket/", "s3://my-bucket");
        check("s3://my-bucket/a/", "s3://my-bucket/a");
        for bucket in
            ["", "ab", "My-Bucket", "a_b_c", "-abc", "abc-", "a..b", &"a".repeat(64), "arn:aws:s3:::b"]
        {
            refuse(&format!("s3://{bucket}/x"), "is no bucket name");
        }
        for prefix in ["/a", "a//b", "./a", "a/..", "a\nb", "a\\b", &"a".repeat(501)] {
            refuse(&format!("s3://bucket/{prefix}"), "can't be a prefix");
        }
    }

    #[test]
    fn paths() {
        let url = check("file:///srv/reports", "file:///srv/reports");
        assert_eq!(url, StoreUrl::File { path: "/srv/reports".into() });
        check("file://localhost/srv", "file:///srv");
        let url = check("file:///with%20space/100%25", "file:///with%20space/100%25");
        assert_eq!(url, StoreUrl::File { path: "/with space/100%".into() });
        check("file:///with space", "file:///with%20space");
        refuse("file://srv/reports", "three slashes");
        refuse("file://", "names no path");
        refuse("file:///100%", "write %25");
        refuse("file:///a%00b", "write %25");
    }

    #[test]
    fn everything_else_says_what_to_write() {
        refuse("./reports", "write file:///PATH");
        refuse("/srv/reports", "write file:///PATH");
        refuse("reports", "s3://BUCKET/PREFIX or file:///PATH");
        refuse("http://bucket/x", "s3://BUCKET/PREFIX or file:///PATH");
        refuse("S3://bucket/x", "s3://BUCKET/PREFIX or file:///PATH");
        refuse("", "s3://BUCKET/PREFIX or file:///PATH");
    }
}
