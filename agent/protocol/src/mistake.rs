//! One mistake in the configuration or in a baseline: where it is, what is wrong, what to do. It decides nothing.

use std::fmt;

/// One mistake, shown as `file:line: key: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub file: String,
    /// Counted from 1; `None` if the file as a whole is meant.
    pub line: Option<usize>,
    /// With its section, `scan.interval`, or the path of it: `$.ApprovalRules.PatchRules[2].ApproveAfterDays`.
    pub key: Option<String>,
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every mistake that was found, sorted by place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// `None` if there is no mistake.
    pub fn new(mut mistakes: Vec<Mistake>) -> Option<Self> {
        mistakes.sort();
        mistakes.dedup();
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    pub fn list(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// What to say of a word that is none of `known`: the nearest one if it is near, all of them otherwise.
pub(crate) fn suggest(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(word, known), known)).min();
    match nearest {
        Some((distance, nearest)) if distance <= nearest.len().div_ceil(3) => {
            format!("did you mean `{nearest}`?")
        }
        _ => format!("use one of: {}", known.join(", ")),
    }
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    // A word that is far longer than any key is near to none: the rest of it need not be looked at.
    for (row, letter) in a.chars().take(64).enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&last, column) + usize::from(letter != *other);
            let mut best = changed.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let before = column.checked_sub(1).and_then(|column| b.get(column));
            if previous == Some(*other) && before == Some(&letter) {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits_and_swaps() {
        for (a, b, expected) in [
            ("interval", "interval", 0),
            ("intreval", "interval", 1),
            ("inteval", "interval", 1),
            ("intervall", "interval", 1),
            ("url", "region", 6),
            ("", "url", 3),
            ("ab", "ba", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        assert_eq!(suggest("intreval", &["refresh", "interval"]), "did you mean `interval`?");
        assert_eq!(suggest("colour", &["refresh", "interval"]), "use one of: refresh, interval");
    }
}
