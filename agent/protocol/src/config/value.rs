//! Values that have a meaning of their own in the configuration: durations, instants and names. Each is a text first.

use std::time::Duration;

use jiff::Timestamp;

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

/// A date and time that is one instant.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no date and time with an offset; write it like 2026-12-20T00:00:00Z")
    })
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
}
