//! Debian versions (deb-version(7)), `[epoch:]upstream[-revision]`: their order, and what dpkg refuses or warns of.

use std::cmp::Ordering;

use thiserror::Error;

/// Why dpkg refuses a text as a version. It stops with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidDebVersion {
    #[error("it is empty")]
    Empty,
    #[error("it has a blank inside")]
    Blank,
    #[error("its epoch is empty")]
    EmptyEpoch,
    #[error("its epoch is no number")]
    EpochNotNumber,
    #[error("its epoch is negative")]
    NegativeEpoch,
    #[error("its epoch is too large")]
    LargeEpoch,
    #[error("nothing comes after the colon of its epoch")]
    NothingAfterEpoch,
    #[error("its revision is empty")]
    EmptyRevision,
    #[error("there is nothing before its revision")]
    EmptyUpstream,
}

/// What dpkg only warns of: it compares such versions all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IrregularDebVersion {
    #[error("it does not begin with a digit")]
    NoDigitFirst,
    #[error("it has a character that is not allowed in a version")]
    UpstreamCharacter,
    #[error("it has a character that is not allowed in a revision")]
    RevisionCharacter,
}

/// Whether dpkg accepts `text` as a version. Blanks around it don't count.
pub fn check(text: &str) -> Result<(), InvalidDebVersion> {
    let version = text.trim_matches([' ', '\t']);
    if version.is_empty() {
        return Err(InvalidDebVersion::Empty);
    }
    if version.contains([' ', '\t']) {
        return Err(InvalidDebVersion::Blank);
    }
    let rest = match version.split_once(':') {
        Some((epoch, rest)) => {
            check_epoch(epoch)?;
            if rest.is_empty() {
                return Err(InvalidDebVersion::NothingAfterEpoch);
            }
            rest
        }
        None => version,
    };
    match rest.rsplit_once('-') {
        Some((_, "")) => Err(InvalidDebVersion::EmptyRevision),
        Some(("", _)) => Err(InvalidDebVersion::EmptyUpstream),
        _ => Ok(()),
    }
}

/// dpkg reads the epoch with C's strtol, sign and all, and wants it to fit an int.
fn check_epoch(epoch: &str) -> Result<(), InvalidDebVersion> {
    let digits = epoch.strip_prefix(['+', '-']).unwrap_or(epoch);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(InvalidDebVersion::EmptyEpoch);
    }
    if digits.contains(|c: char| !c.is_ascii_digit()) {
        return Err(InvalidDebVersion::EpochNotNumber);
    }
    let is_zero = digits.bytes().all(|digit| digit == b'0');
    if epoch.starts_with('-') && !is_zero {
        return Err(InvalidDebVersion::NegativeEpoch);
    }
    let digits = digits.trim_start_matches('0');
    if is_zero || digits.parse::<i32>().is_ok() { Ok(()) } else { Err(InvalidDebVersion::LargeEpoch) }
}

/// What dpkg would warn of in a version that it accepts.
pub fn irregularity(version: &str) -> Option<IrregularDebVersion> {
    let parts = Parts::split(version);
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b".+~".contains(byte);
    if !parts.upstream.first().is_some_and(u8::is_ascii_digit) {
        Some(IrregularDebVersion::NoDigitFirst)
    } else if !parts.upstream.iter().all(|byte| is_allowed(byte) || b"-:".contains(byte)) {
        Some(IrregularDebVersion::UpstreamCharacter)
    } else if !parts.revision.iter().all(is_allowed) {
        Some(IrregularDebVersion::RevisionCharacter)
    } else {
        None
    }
}

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
        let epoch = epoch.strip_prefix('+').unwrap_or(epoch);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_refuses_is_refused_by_its_reason() {
        for (text, expected) in [
            ("", Err(InvalidDebVersion::Empty)),
            (" ", Err(InvalidDebVersion::Empty)),
            ("1 2", Err(InvalidDebVersion::Blank)),
            (":1", Err(InvalidDebVersion::EmptyEpoch)),
            ("x:1", Err(InvalidDebVersion::EmptyEpoch)),
            ("1x:1", Err(InvalidDebVersion::EpochNotNumber)),
            ("-1:1", Err(InvalidDebVersion::NegativeEpoch)),
            ("2147483648:1", Err(InvalidDebVersion::LargeEpoch)),
            ("99999999999999999999999:1", Err(InvalidDebVersion::LargeEpoch)),
            ("1:", Err(InvalidDebVersion::NothingAfterEpoch)),
            ("1.0-", Err(InvalidDebVersion::EmptyRevision)),
            ("-1", Err(InvalidDebVersion::EmptyUpstream)),
            ("2147483647:1", Ok(())),
            ("0000000000000:1", Ok(())),
            ("+1:2", Ok(())),
            ("1:2:3-4-5", Ok(())),
            ("abc", Ok(())),
        ] {
            assert_eq!(check(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_dpkg_warns_of_is_told_apart() {
        assert_eq!(irregularity("abc"), Some(IrregularDebVersion::NoDigitFirst));
        assert_eq!(irregularity("1:1_2"), Some(IrregularDebVersion::UpstreamCharacter));
        assert_eq!(irregularity("1.0-1_2"), Some(IrregularDebVersion::RevisionCharacter));
        assert_eq!(irregularity("1:1:2-3.a+b~c"), None);
    }
}
