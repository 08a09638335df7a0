//! Values that have a meaning of their own in the configuration: durations, store URLs, names. Each is a text first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::StoreLocation;

/// Reads `90s`, `15m`, `1h`, `7d`, or several such, the larger unit first: `1h30m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write it like 90s, 15m, 1h, 7d or 1h30m");
    let units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let mut allowed = units.as_slice();
    let mut total: u64 = 0;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !c.is_ascii_digit()) {
        let (digits, unit) = rest.split_at(at);
        let mut after = unit.chars();
        let letter = after.next();
        let position = allowed.iter().position(|(unit, _)| Some(*unit) == letter).ok_or_else(wrong)?;
        let (_, seconds) = allowed.get(position).ok_or_else(wrong)?;
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        total = count.checked_mul(*seconds).and_then(|more| total.checked_add(more)).ok_or_else(wrong)?;
        allowed = allowed.get(position + 1..).unwrap_or_default();
        rest = after.as_str();
    }
    if !rest.is_empty() || text.is_empty() || u64::from(u32::MAX) < total {
        return Err(wrong());
    }
    Ok(Duration::from_secs(total))
}

/// Reads `file:///directory` or `s3://bucket/prefix`.
pub(super) fn parse_store(text: &str) -> Result<StoreLocation, String> {
    if let Some(path) = text.strip_prefix("file://") {
        let directory = PathBuf::from(path);
        let is_plain = directory.is_absolute() && !path.split('/').any(|part| part == ".." || part == ".");
        if !is_plain || Path::new("/") == directory || path.chars().any(char::is_control) {
            return Err(format!("{text:?} names no directory; write it like file:///var/lib/patchd/reports"));
        }
        return Ok(StoreLocation::File { directory });
    }
    let Some(rest) = text.strip_prefix("s3://") else {
        return Err(format!("{text:?} is no store; write file:///directory or s3://bucket/prefix"));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    check_bucket(bucket)?;
    let prefix = prefix.trim_end_matches('/');
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
        return Err(format!(
            "the prefix {prefix:?} has an empty part, `.` or `..`; write it like fleet/reports"
        ));
    }
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "/!-_.*'()=".contains(c);
    if 512 < prefix.len() || !prefix.chars().all(is_safe) {
        return Err(format!(
            "the prefix {prefix:?} may have at most 512 of the characters A-Z a-z 0-9 / ! - _ . * ' ( ) ="
        ));
    }
    Ok(StoreLocation::S3 { bucket: bucket.into(), prefix: prefix.into() })
}

/// The rules for general purpose buckets (Amazon S3 User Guide, "Bucket naming rules") that need no look-up.
fn check_bucket(bucket: &str) -> Result<(), String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_right = (3..=63).contains(&bucket.len())
        && bucket.chars().all(is_inner)
        && bucket.starts_with(is_edge)
        && bucket.ends_with(is_edge)
        && !bucket.contains("..");
    if is_right {
        return Ok(());
    }
    Err(format!(
        "{bucket:?} is no bucket name; it has 3 to 63 of a-z 0-9 - . and starts and ends with one of a-z 0-9"
    ))
}

/// A word that is safe in file names and object keys.
pub(super) fn check_name(text: &str, most: usize) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.chars().all(is_allowed)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= most
    {
        return Ok(());
    }
    Err(format!("{text:?} may have at most {most} of A-Z a-z 0-9 . _ - and starts with a letter or digit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_seconds_minutes_hours_and_days() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800), ("1h30m", 5_400), ("1d1s", 86_401)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "h", "90", "1x", "1m1h", "1h1h", "-1h", "1 h", "99999999999999999999s", "200000d", "1hé"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stores_are_directories_or_buckets() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(StoreLocation::S3 { bucket: bucket.into(), prefix: prefix.into() })
        };
        assert_eq!(parse_store("file:///srv/r"), Ok(StoreLocation::File { directory: "/srv/r".into() }));
        assert_eq!(parse_store("s3://my-bucket"), s3("my-bucket", ""));
        assert_eq!(parse_store("s3://my-bucket/a/b/"), s3("my-bucket", "a/b"));
        for text in [
            "reports",
            "file://reports",
            "file:///",
            "file:///a/../b",
            "s3://",
            "s3://ab",
            "s3://My-Bucket/x",
            "s3://-ab/x",
            "s3://abc//x",
            "s3://abc/a/../b",
            "s3://abc/a b",
            "https://abc/x",
        ] {
            assert!(parse_store(text).is_err(), "{text}");
        }
    }
}
