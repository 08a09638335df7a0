//! The `at(…)` of Systems Manager: one wall clock time, once. In which zone it is read is told by others.

use jiff::civil::DateTime;

/// Reads what stands between the parentheses: `YYYY-MM-DDTHH:MM:SS`.
pub(super) fn parse(text: &str) -> Result<DateTime, String> {
    let time = text.parse::<DateTime>().ok().filter(|time| time.to_string() == text);
    time.ok_or_else(|| format!("at: {text:?} is no time; write it like `at(2027-07-07T15:55:00)`"))
}
