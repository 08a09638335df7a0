//! The order of Debian versions (deb-version(7)): `[epoch:]upstream[-revision]`. It validates nothing: see `parse`.

use std::cmp::Ordering;

/// Orders two versions as `dpkg --compare-versions` does.
///
/// Any text has a place in this order; what dpkg would refuse is only refused by `check`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::split(a), Parts::split(b));
    compare_numbers(a.epoch, b.epoch)
        .then_with(|| compare_part(a.upstream, b.upstream))
        .then_with(|| compare_part(a.revision, b.revision))
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(version: &'a str) -> Self {
        let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.as_bytes(), upstream: upstream.as_bytes(), revision: revision.as_bytes() }
    }
}

/// Orders runs of digits by value, whatever their length.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (strip_zeros(a), strip_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn strip_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// Where a byte stands among non-digits: `~` before the end, the end before letters, letters before all others.
fn rank(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (a_text, a_rest) = split_at_run(a, |b| !b.is_ascii_digit());
        let (b_text, b_rest) = split_at_run(b, |b| !b.is_ascii_digit());
        for at in 0..a_text.len().max(b_text.len()) {
            let order = rank(a_text.get(at)).cmp(&rank(b_text.get(at)));
            if order != Ordering::Equal {
                return order;
            }
        }
        let (a_digits, a_rest) = split_at_run(a_rest, u8::is_ascii_digit);
        let (b_digits, b_rest) = split_at_run(b_rest, u8::is_ascii_digit);
        let order = compare_numbers(a_digits, b_digits);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}

fn split_at_run(text: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|b| belongs(b)).count();
    text.split_at(length)
}
