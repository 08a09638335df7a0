//! Words of the package manager on their way to a client: few, short, printable.

/// The most lines that an answer takes of a longer output, and the most characters of each.
const MAX_LINES: usize = 60;
const MAX_CHARACTERS: usize = 500;

/// The last lines of an output.
pub(crate) fn tail(output: &str) -> Vec<String> {
    let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(MAX_LINES);
    lines.into_iter().skip(from).map(cut).collect()
}

/// One line, without control characters, cut to a length.
pub(crate) fn cut(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_printable() {
        let output = format!("{}a\u{1b}[31mb\n\n{}\n", "line\n".repeat(100), "x".repeat(1_000));
        let tail = tail(&output);
        assert_eq!(tail.len(), MAX_LINES);
        assert_eq!(tail.get(MAX_LINES - 2).map(String::as_str), Some("a[31mb"));
        assert_eq!(tail.last().map(String::len), Some(MAX_CHARACTERS));
    }
}
