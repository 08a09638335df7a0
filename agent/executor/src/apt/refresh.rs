//! What `apt-get update` says of sources that it could not fetch. It can end with 0 and have fetched nothing.

use crate::child::Ended;

/// The most failures that are passed on.
const MAX_FAILURES: usize = 100;

/// Warnings that say nothing of a list being old or missing. Any other warning counts as a failure.
const HARMLESS: [&str; 6] = [
    "is configured multiple times in",
    "Key is stored in legacy trusted.gpg keyring",
    "Download is performed unsandboxed as root",
    "Usage of apt-key is deprecated",
    "uses weak digest algorithm",
    "Policy will reject signature within a year",
];

/// The sources that could not be fetched, in apt's words. Empty only if all were.
pub(super) fn failures(output: &str, errors: &str, ended: Ended) -> Vec<String> {
    let failed_item = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        word.strip_prefix("Err:").map(|_| rest.trim().to_owned())
    };
    let message = |line: &str| {
        if let Some(error) = line.strip_prefix("E: ") {
            return Some(error.to_owned());
        }
        let warning = line.strip_prefix("W: ")?;
        let is_harmless = HARMLESS.iter().any(|harmless| warning.contains(harmless));
        (!is_harmless).then(|| warning.to_owned())
    };
    let mut failures: Vec<String> = output.lines().filter_map(failed_item).collect();
    failures.extend(errors.lines().chain(output.lines()).filter_map(message));
    if let Some(cut) = ended.cut {
        failures.push(format!("apt-get update {cut}"));
    } else if failures.is_empty() && !ended.is_success() {
        failures.push(match ended.code {
            Some(code) => format!("apt-get update ended with {code} and gave no reason"),
            None => "a signal ended apt-get update".into(),
        });
    }
    failures.truncate(MAX_FAILURES);
    for failure in &mut failures {
        *failure = crate::text::cut(failure);
    }
    failures
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::child::Cut;

    const FINE: Ended = Ended { code: Some(0), cut: None };

    #[track_caller]
    fn check(output: &str, errors: &str, ended: Ended, expected: &[&str]) {
        assert_eq!(failures(output, errors, ended), expected);
    }

    #[test]
    fn a_source_that_failed_is_named_even_when_the_exit_code_is_0() {
        check(
            "Hit:1 http://mirror.example.org lab InRelease\nErr:2 http://mirror.example.org lab-security InRelease\n  \
             Could not resolve 'mirror.example.org'\n",
            "W: Failed to fetch http://mirror.example.org/dists/lab-security/InRelease  Could not resolve\n",
            FINE,
            &[
                "http://mirror.example.org lab-security InRelease",
                "Failed to fetch http://mirror.example.org/dists/lab-security/InRelease  Could not resolve",
            ],
        );
    }

    #[test]
    fn harmless_warnings_are_no_failures_and_unknown_ones_are() {
        check(
            "",
            "W: Target Packages (main) is configured multiple times in /etc/apt/sources.list:1 and :2\nN: a notice\n",
            FINE,
            &[],
        );
        check("", "W: a warning of tomorrow's apt\n", FINE, &["a warning of tomorrow's apt"]);
    }

    #[test]
    fn a_bad_end_is_a_failure_by_itself() {
        check(
            "",
            "",
            Ended { code: Some(100), cut: None },
            &["apt-get update ended with 100 and gave no reason"],
        );
        check("", "", Ended { code: None, cut: None }, &["a signal ended apt-get update"]);
        check(
            "",
            "",
            Ended { code: None, cut: Some(Cut::Silent(Duration::from_secs(300))) },
            &["apt-get update was silent for 300 seconds and was ended"],
        );
        check(
            "",
            "E: The repository is not signed.\n",
            Ended { code: Some(100), cut: None },
            &["The repository is not signed."],
        );
    }
}
