//! Tables that fit the terminal: columns give way in a fixed order, and names and versions are never cut.

use crate::text::{Line, Style, width};

/// Two blanks between columns.
const GAP: usize = 2;

/// One column. `rank` says how early it gives way where the terminal is narrow: 0 never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) rank: u8,
}

/// A table. Every row has one cell a column; a missing one is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(str::to_owned).into());
    }

    /// The table in lines of at most `limit` columns if that can be done without cutting a word of rank 0. Columns
    /// in which nothing stands are left out.
    pub(crate) fn lines(&self, limit: Option<usize>) -> Vec<Line> {
        let mut shown: Vec<(usize, Column, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(at, column)| Some((at, *column, self.width_of(at, column)?)))
            .collect();
        let limit = limit.unwrap_or(usize::MAX);
        while limit < total(&shown) {
            let Some(first_out) =
                shown.iter().map(|(_, column, _)| column.rank).max().filter(|&rank| 0 < rank)
            else {
                break;
            };
            shown.retain(|(_, column, _)| column.rank != first_out);
        }
        let titles = shown.iter().map(|(_, column, width)| (column.title, *width));
        let mut lines = vec![Line::styled(Style::Heading, joined(titles))];
        for row in &self.rows {
            let cell = |at: usize| row.get(at).map_or("", String::as_str);
            lines.push(Line::plain(joined(shown.iter().map(|&(at, _, width)| (cell(at), width)))));
        }
        lines
    }

    /// How wide a column is, or `None` if all its cells are empty.
    fn width_of(&self, at: usize, column: &Column) -> Option<usize> {
        let widest = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max()?;
        (0 < widest).then(|| widest.max(width(column.title)))
    }
}

fn total(shown: &[(usize, Column, usize)]) -> usize {
    shown.iter().map(|(_, _, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// The cells side by side, each in its width, without blanks at the end.
fn joined<'a>(cells: impl Iterator<Item = (&'a str, usize)>) -> String {
    let mut line = String::new();
    for (cell, columns) in cells {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(cell)) + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "VERSION", rank: 0 },
        Column { title: "LEVEL", rank: 1 },
        Column { title: "ORIGIN", rank: 2 },
    ];

    #[track_caller]
    fn check(rows: &[[&str; 4]], limit: Option<usize>, expected: &[&str]) {
        let mut table = Table::new(&COLUMNS);
        for row in rows {
            table.push(*row);
        }
        let shown: Vec<_> = table.lines(limit).iter().map(Line::to_string).collect();
        assert_eq!(shown, expected);
    }

    const ROWS: [[&str; 4]; 2] =
        [["curl", "7.88.1-10+deb12u5", "high", "Debian:12"], ["apt", "2.6.1", "", "Débian:12"]];

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        check(
            &ROWS,
            None,
            &[
                "PACKAGE  VERSION            LEVEL  ORIGIN",
                "curl     7.88.1-10+deb12u5  high   Debian:12",
                "apt      2.6.1                     Débian:12",
            ],
        );
    }

    #[test]
    fn a_narrow_terminal_loses_columns_and_never_a_version() {
        let without_origin =
            ["PACKAGE  VERSION            LEVEL", "curl     7.88.1-10+deb12u5  high", "apt      2.6.1"];
        check(
            &ROWS,
            Some(44),
            &[
                "PACKAGE  VERSION            LEVEL  ORIGIN",
                "curl     7.88.1-10+deb12u5  high   Debian:12",
                "apt      2.6.1                     Débian:12",
            ],
        );
        check(&ROWS, Some(43), &without_origin);
        check(&ROWS, Some(33), &without_origin);
        let bare = ["PACKAGE  VERSION", "curl     7.88.1-10+deb12u5", "apt      2.6.1"];
        check(&ROWS, Some(32), &bare);
        check(&ROWS, Some(1), &bare);
    }

    #[test]
    fn a_column_without_a_word_is_left_out() {
        check(&[["apt", "1", "", "x"]], None, &["PACKAGE  VERSION  ORIGIN", "apt      1        x"]);
    }
}
