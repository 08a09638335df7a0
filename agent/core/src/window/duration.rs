//! Lengths of time as operators write them in a schedule: hours and minutes.

use jiff::SignedDuration;

/// What is shorter is a slip of the pen.
pub(super) const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// Reads `3h`, `90m` or `1h30m`.
pub(super) fn parse(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is no duration; use hours and minutes such as `3h`, `90m` or `1h30m`");
    let number = |digits: &str| match digits.len() {
        1..=5 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i64>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let (hours, rest) = match text.split_once('h') {
        Some((hours, rest)) => (number(hours)?, rest),
        None => (0, text),
    };
    let minutes = match rest.strip_suffix('m') {
        Some(minutes) => number(minutes)?,
        None if rest.is_empty() && text.ends_with('h') => 0,
        None => return Err(wrong()),
    };
    Ok(SignedDuration::from_mins(hours * 60 + minutes))
}
