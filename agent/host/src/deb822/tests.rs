//! Stanzas and fields, however the bytes arrive.

use super::*;

/// Hands out a few bytes at a time, so that every mark lies across two reads somewhere.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

fn stanzas(source: impl Read, limit: usize, text: &[u8]) -> Vec<(u64, String, End)> {
    let mut reader = StanzaReader::with_limit(source, limit);
    let mut all = Vec::new();
    while let Some(stanza) = reader.next_stanza().unwrap() {
        let at = usize::try_from(stanza.offset).unwrap();
        assert_eq!(stanza.bytes, &text[at..at + stanza.bytes.len()]);
        assert_eq!(stanza.line, 1 + count_lines(&text[..at]));
        all.push((stanza.line, String::from_utf8_lossy(stanza.bytes).into_owned(), stanza.end));
    }
    assert_eq!(reader.offset(), text.len() as u64);
    all
}

#[track_caller]
fn check(text: &str, limit: usize, expected: &[(u64, &str, End)]) {
    let expected: Vec<_> = expected.iter().map(|&(line, text, end)| (line, text.to_owned(), end)).collect();
    assert_eq!(stanzas(text.as_bytes(), limit, text.as_bytes()), expected);
    for step in 1..5 {
        assert_eq!(
            stanzas(Drip(text.as_bytes(), step), limit, text.as_bytes()),
            expected,
            "{step} bytes at a time"
        );
    }
}

#[test]
fn stanzas_are_parted_by_empty_lines_only() {
    check("", 99, &[]);
    check("\n\r\n\n", 99, &[]);
    check("A: 1\nB: 2\n\n\nC: 3\n", 99, &[(1, "A: 1\nB: 2\n", End::Whole), (5, "C: 3\n", End::Whole)]);
    check("A: 1\n \t\n x\n\nB: 2\n\n", 99, &[(1, "A: 1\n \t\n x\n", End::Whole), (5, "B: 2\n", End::Whole)]);
    check("A: 1\n\r\n\nB: 2\n", 99, &[(1, "A: 1\n", End::Whole), (4, "B: 2\n", End::Whole)]);
    check("A: 1\r\n\r\nB: 2\r\n\r\n", 99, &[(1, "A: 1\r\n", End::Whole), (3, "B: 2\r\n", End::Whole)]);
}

#[test]
fn a_cut_file_is_told_from_a_whole_one() {
    check("A: 1\n\nB: 2", 99, &[(1, "A: 1\n", End::Whole), (3, "B: 2", End::CutFile)]);
    check("A: 1\n\nB: 2\n", 99, &[(1, "A: 1\n", End::Whole), (3, "B: 2\n", End::Whole)]);
}

#[test]
fn a_stanza_beyond_the_limit_is_cut_and_the_next_one_is_found() {
    for limit in 3..9 {
        let text = "123456789\n1\n\nA:\n";
        check(text, limit, &[(1, &text[..limit], End::CutHere), (4, "A:\n", End::Whole)]);
    }
    check("1234567\n\nA:\n", 8, &[(1, "1234567\n", End::Whole), (3, "A:\n", End::Whole)]);
    check("1234567\n\r\nA:\n", 8, &[(1, "1234567\n", End::Whole), (3, "A:\n", End::Whole)]);
    check("1234567\n", 8, &[(1, "1234567\n", End::Whole)]);
    check("12345678\n", 8, &[(1, "12345678", End::CutHere)]);
    check("1234567\n\nA:\n", 7, &[(1, "1234567", End::CutHere), (3, "A:\n", End::Whole)]);
    check("123456789", 3, &[(1, "123", End::CutHere)]);
}

#[test]
fn a_stanza_of_many_chunks_comes_whole() {
    let long = format!("A: {}\n", "x".repeat(5 * CHUNK));
    let text = format!("{long}\n{long}\nB: 1\n");
    let all = stanzas(text.as_bytes(), MAX_STANZA, text.as_bytes());
    assert_eq!(
        all.iter().map(|(line, text, _)| (*line, text.len())).collect::<Vec<_>>(),
        [(1, long.len()), (3, long.len()), (5, 5)]
    );
}

type Checked<'a> = Result<(&'a str, &'a str, u64), (u64, BadLineReason)>;

#[track_caller]
fn check_fields(text: &str, expected: &[Checked<'_>]) {
    let stanza = Stanza { bytes: text.as_bytes(), line: 1, offset: 0, end: End::Whole };
    let utf8 = |bytes| std::str::from_utf8(bytes).unwrap();
    let fields: Vec<_> = stanza
        .fields()
        .map(|field| match field {
            Ok(field) => Ok((utf8(field.name), utf8(field.value), field.line)),
            Err(bad) => Err((bad.line, bad.reason)),
        })
        .collect();
    assert_eq!(fields, expected);
}

#[test]
fn fields_have_trimmed_values_of_one_or_more_lines() {
    check_fields("A:1\nB :\t 2 \r\nC:\n", &[Ok(("A", "1", 1)), Ok(("B", "2", 2)), Ok(("C", "", 3))]);
    check_fields("A: x: y\n z\n \n\t.\nB: 2", &[Ok(("A", "x: y\n z\n \n\t.", 1)), Ok(("B", "2", 5))]);
    check_fields("A:\n a\n b\n", &[Ok(("A", "a\n b", 1))]);
}

#[test]
fn bad_lines_cost_themselves_and_no_field() {
    check_fields("nonsense\n more\nA: 1\n", &[Err((1, BadLineReason::NoColon)), Ok(("A", "1", 3))]);
    check_fields(
        " x\nA: 1\n: 2\n",
        &[Err((1, BadLineReason::NothingToContinue)), Ok(("A", "1", 2)), Err((3, BadLineReason::NoName))],
    );
    check_fields("A B: 1\n", &[Err((1, BadLineReason::NoColon))]);
}

#[test]
fn comments_are_passed_over() {
    check_fields("# x: y\nA: 1\n#\n 2\n#\nB: 3\n# end\n", &[Ok(("A", "1\n#\n 2", 2)), Ok(("B", "3", 6))]);
    let field = Field { name: b"A", value: b"1 \r\n#no\n 2", line: 1 };
    assert_eq!(field.lines().collect::<Vec<_>>(), [b"1", b"2"]);
}
