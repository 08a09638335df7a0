//! Links between documents lead somewhere.

use std::path::Path;

use super::{File, files, none};

/// The targets of `[text](target)`, code left out.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        // Every second part of a line cut at backquotes is code.
        let prose: String = line.split('`').step_by(2).collect();
        for part in prose.split("](").skip(1) {
            found.extend(part.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// A heading as the fragment of a link.
fn fragment(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn has_fragment(text: &str, wanted: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| fragment(line.trim_start_matches('#'))).any(|own| own == wanted)
}

fn dead(file: &File, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return false;
    }
    let (path, wanted) = target.split_once('#').map_or((target, None), |(path, wanted)| (path, Some(wanted)));
    let folder = file.absolute.parent().unwrap_or(Path::new("/"));
    let path = if path.is_empty() { file.absolute.clone() } else { folder.join(path) };
    match wanted {
        None => !path.exists(),
        Some(wanted) => !std::fs::read_to_string(path).is_ok_and(|text| has_fragment(&text, wanted)),
    }
}

#[test]
fn links_lead_somewhere() {
    let mut findings = Vec::new();
    for file in files().into_iter().filter(|file| file.has_extension("md")) {
        for target in links(&file.text()) {
            if dead(&file, &target) {
                findings.push(format!("{}: {target}", file.path));
            }
        }
    }
    none("dead links", &findings);
}

/// The names of tests in the last column of a page's tables.
fn promised_tests(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.ends_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit('|').next());
    // Every second part of a cell cut at backquotes is a name.
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_accident_and_threat_has_a_test_that_exists() {
    let files = files();
    let code: String = files.iter().filter(|file| file.has_extension("rs")).map(File::text).collect();
    for page in ["docs/accidents.md", "docs/security.md"] {
        let text = files.iter().find(|file| file.path == page).expect("the page is there").text();
        let promised = promised_tests(&text);
        assert!(20 < promised.len(), "{promised:?}");
        let missing: Vec<_> =
            promised.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
        none(&format!("{page} names tests that don't exist"), &missing);
    }
}

#[test]
fn decisions_are_numbered_without_a_gap() {
    let mut numbers: Vec<u32> = Vec::new();
    for file in files() {
        let name = file.path.strip_prefix("docs/decisions/").and_then(|name| name.split_once('-'));
        numbers.extend(name.and_then(|(number, _)| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    let expected: Vec<u32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_link_in_code_is_none() {
    let text = "see [a](b.md#c) and `[x](y)`\n```\n[z](z.md)\n```\n";
    assert_eq!(links(text), ["b.md#c"]);
    assert!(has_fragment("# One\n## What it is, and `why`\n", "what-it-is-and-why"));
}
