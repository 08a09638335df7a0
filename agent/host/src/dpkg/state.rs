//! The words of dpkg's `Status` field. What a state means for patching is in the core's `inventory`.

use patchd_core::inventory::{DpkgState, Flag, Status, Want};
use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum InvalidState {
    #[error("Status has to be three words")]
    WordCount,
    #[error("the first word of Status, what is wanted, is unknown")]
    Want,
    #[error("the second word of Status, the error flag, is unknown")]
    Flag,
    #[error("the third word of Status, the state, is unknown")]
    Status,
}

/// Reads `want flag status`. Case doesn't count and any blanks part the words, as for dpkg; the two old words for the
/// flag that only apt still knows mean a hold.
pub(crate) fn parse(text: &[u8]) -> Result<DpkgState, InvalidState> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (Some(want), Some(flag), Some(status), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(InvalidState::WordCount);
    };
    let want = find(want, &WANTS).ok_or(InvalidState::Want)?;
    let (flag, is_hold) = find(flag, &FLAGS).ok_or(InvalidState::Flag)?;
    let status = find(status, &STATUSES).ok_or(InvalidState::Status)?;
    Ok(DpkgState { want: if is_hold { Want::Hold } else { want }, flag, status })
}

fn find<T: Copy>(word: &[u8], known: &[(&str, T)]) -> Option<T> {
    known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|&(_, value)| value)
}

const WANTS: [(&str, Want); 5] = [
    ("install", Want::Install),
    ("hold", Want::Hold),
    ("deinstall", Want::Deinstall),
    ("purge", Want::Purge),
    ("unknown", Want::Unknown),
];

/// Each flag, and whether the word says "hold" as well.
const FLAGS: [(&str, (Flag, bool)); 4] = [
    ("ok", (Flag::Ok, false)),
    ("reinstreq", (Flag::ReinstallRequired, false)),
    ("hold", (Flag::Ok, true)),
    ("hold-reinstreq", (Flag::ReinstallRequired, true)),
];

const STATUSES: [(&str, Status); 8] = [
    ("installed", Status::Installed),
    ("config-files", Status::ConfigFiles),
    ("not-installed", Status::NotInstalled),
    ("half-installed", Status::HalfInstalled),
    ("unpacked", Status::Unpacked),
    ("half-configured", Status::HalfConfigured),
    ("triggers-awaited", Status::TriggersAwaited),
    ("triggers-pending", Status::TriggersPending),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_words_is_read() {
        for (want_word, want) in WANTS {
            for (flag_word, (flag, is_hold)) in FLAGS {
                for (status_word, status) in STATUSES {
                    let want = if is_hold { Want::Hold } else { want };
                    let text = format!("{want_word} {flag_word} {status_word}");
                    assert_eq!(parse(text.as_bytes()), Ok(DpkgState { want, flag, status }), "{text}");
                    assert_eq!(
                        parse(text.to_uppercase().replace(' ', "\t ").as_bytes()).unwrap().status,
                        status
                    );
                }
            }
        }
    }

    #[test]
    fn what_dpkg_refuses_is_refused() {
        let check = |text: &[u8], error| assert_eq!(parse(text), Err(error), "{text:?}");
        check(b"", InvalidState::WordCount);
        check(b"install ok", InvalidState::WordCount);
        check(b"install ok installed twice", InvalidState::WordCount);
        check(b"keep ok installed", InvalidState::Want);
        check(b"install bad installed", InvalidState::Flag);
        check(b"install ok inst\xffalled", InvalidState::Status);
    }
}
