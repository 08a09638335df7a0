//! The `rate(…)` of Systems Manager: starts that are always the same time apart. What they are counted from is told by
//! others.

use jiff::SignedDuration;

use super::cron::SHORTEST_INTERVAL;

/// The longest time between two starts.
const LONGEST_DAYS: i64 = 3_650;

/// Reads what stands between the parentheses: a number and a unit.
pub(super) fn parse(text: &str) -> Result<SignedDuration, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let &[number, unit] = words.as_slice() else {
        return Err(format!("rate: {text:?} is no rate; write it like `rate(7 days)`"));
    };
    let is_number = (1..=7).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let count: i64 = if is_number { number.parse().unwrap_or_default() } else { 0 };
    if count == 0 {
        return Err(format!("rate: {number:?} is no number from 1 on; write it like `rate(7 days)`"));
    }
    let (singular, seconds) = match unit {
        "minute" | "minutes" => ("minute", 60),
        "hour" | "hours" => ("hour", 3_600),
        "day" | "days" => ("day", 86_400),
        _ => return Err(format!("rate: {unit:?} is no unit; use minutes, hours or days")),
    };
    let right = if count == 1 { singular.to_owned() } else { format!("{singular}s") };
    if unit != right {
        return Err(format!("rate: {count} {unit} is written `rate({count} {right})`"));
    }
    let interval = count * seconds;
    if interval < SHORTEST_INTERVAL {
        return Err("rate: a window starts every 5 minutes at most".into());
    }
    if LONGEST_DAYS * 86_400 < interval {
        return Err(format!("rate: it is longer than {LONGEST_DAYS} days"));
    }
    Ok(SignedDuration::from_secs(interval))
}
