//! Collects the problems of one reader, and keeps them from growing with the damage: a file of nothing but bad lines
//! gives a bounded list and one entry that counts the rest.

use patchd_core::problem::{Problem, ProblemKind, Weight};

/// More than a person reads, and few enough for a report.
const MAX_PROBLEMS: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemList {
    /// What is read, for the closing entry.
    subject: String,
    problems: Vec<Problem>,
    left_out: u64,
    heaviest_left_out: Weight,
}

impl ProblemList {
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), problems: Vec::new(), left_out: 0, heaviest_left_out: Weight::Notice }
    }

    pub fn push(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
            self.heaviest_left_out = self.heaviest_left_out.max(problem.weight);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems, with one more for those that did not fit. It weighs as much as the heaviest of them.
    pub fn into_problems(mut self) -> Vec<Problem> {
        if 0 < self.left_out {
            let message =
                format!("{} more problems are not listed; repair those that are first", self.left_out);
            let last = Problem::new(ProblemKind::TooLarge, self.heaviest_left_out, self.subject, message);
            self.problems.push(last);
        }
        self.problems
    }
}

/// Bytes from outside, fit for a message: at most 80 characters in quotes, with control characters escaped.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes.get(..400).unwrap_or(bytes)).chars().take(80).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_keeps_the_weight_of_what_it_drops() {
        let mut list = ProblemList::new("a file");
        for at in 0..=MAX_PROBLEMS {
            let weight = if at < MAX_PROBLEMS { Weight::Notice } else { Weight::Incomplete };
            list.push(Problem::new(ProblemKind::Malformed, weight, "a file", "bad line"));
        }
        let problems = list.into_problems();
        assert_eq!(problems.len(), MAX_PROBLEMS + 1);
        let last = problems.last().unwrap();
        assert_eq!((last.weight, last.kind), (Weight::Incomplete, ProblemKind::TooLarge));
        assert!(last.message.starts_with("1 more"));
    }

    #[test]
    fn quoted_bytes_are_short_and_printable() {
        assert_eq!(quoted(b"a\n\xff"), "\"a\\n\u{fffd}\"");
        assert_eq!(quoted(&[b'x'; 5000]).len(), 82);
    }
}
