//! The page that lists what patchd touches, held to what the packages really put on a host.

use std::collections::BTreeSet;

use super::{none, workspace};
use crate::dist::Family;
use crate::dist::contents::{self, Source};

const SECTION: &str = "## What the packages install";

/// `a{b,c}` as `ab` and `ac`.
fn expanded(word: &str) -> Vec<String> {
    let parts = word.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?)));
    match parts {
        None => vec![word.to_owned()],
        Some((start, (choices, end))) => {
            choices.split(',').map(|choice| format!("{start}{choice}{end}")).collect()
        }
    }
}

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The paths of a table: those of the first column, and in the second what lies in a directory of the first. A name
/// without a directory is in that of the path before it.
fn listed(section: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1);
        let (paths, what) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let mut directory = String::new();
        for word in quoted(paths) {
            let path = if word.starts_with('/') { word.to_owned() } else { format!("{directory}{word}") };
            directory = path.rsplit_once('/').map_or_else(String::new, |(start, _)| format!("{start}/"));
            found.extend(expanded(&path));
        }
        // In other rows it only says what a file is for.
        if found.contains(&directory) {
            found.extend(quoted(what).map(|word| format!("{directory}{word}")));
        }
    }
    found
}

#[test]
fn the_page_lists_what_packages_install_and_nothing_else() {
    let path = workspace().root.join("docs/PLATFORM.md");
    let page = std::fs::read_to_string(&path).expect("the page can be read");
    let section = page.split_once(SECTION).expect("the page has the section").1;
    let listed = listed(section.split("\n## ").next().unwrap_or_default());
    let entries: Vec<_> = [Family::Deb, Family::Rpm].into_iter().flat_map(contents::of).collect();
    let installed: BTreeSet<_> = entries
        .iter()
        .map(|entry| match entry.source {
            Source::Directory => format!("{}/", entry.path),
            _ => entry.path.to_owned(),
        })
        .collect();
    let is_told = |path: &&String| path.ends_with('/') || listed.contains(*path);
    let missing: Vec<_> = installed.iter().filter(|path| !is_told(path)).cloned().collect();
    none("docs/PLATFORM.md does not list", &missing);
    let strange: Vec<_> = listed.difference(&installed).cloned().collect();
    none("docs/PLATFORM.md lists what no package installs", &strange);
}

#[test]
fn words_of_a_table_are_paths() {
    let section = "| path | what |\n| `/a/b.{c,d}`, `e` | x |\n| `/f/` | `g`, and `h/i` |\n";
    assert_eq!(
        listed(section),
        ["/a/b.c", "/a/b.d", "/a/e", "/f/", "/f/g", "/f/h/i"].map(str::to_owned).into()
    );
}
