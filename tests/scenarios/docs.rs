//! What the documents show is what happens: each is played on a booted host of its own. See `harness/docs`.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use patchd_tests::docs::blocks::Language;
use patchd_tests::docs::{player, transcript};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::place;

/// Those that are played below.
const PLAYED: [&str; 5] = [
    "README.md",
    "docs/install.md",
    "docs/operator-guide.md",
    "docs/troubleshooting.md",
    "docs/upgrading.md",
];

fn play(document: &str) -> Result<()> {
    assert!(PLAYED.contains(&document));
    if !is_root_or_skipped() {
        return Ok(());
    }
    player::play(document)
}

#[test]
fn readme() -> Result<()> {
    play("README.md")
}

#[test]
fn install() -> Result<()> {
    play("docs/install.md")
}

#[test]
fn operator_guide() -> Result<()> {
    play("docs/operator-guide.md")
}

#[test]
fn troubleshooting() -> Result<()> {
    play("docs/troubleshooting.md")
}

#[test]
fn upgrading() -> Result<()> {
    play("docs/upgrading.md")
}

#[test]
fn no_document_is_left_out() -> Result<()> {
    let mut found = BTreeSet::new();
    let names = std::fs::read_dir(place::workspace().join("docs"))?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<Result<Vec<_>>>()?;
    let names = names.iter().filter_map(|name| name.to_str()).filter(|name| name.ends_with(".md"));
    for document in names.map(|name| format!("docs/{name}")).chain(["README.md".into()]) {
        if !player::playable(&document)?.is_empty() {
            found.insert(document);
        }
    }
    assert_eq!(found, PLAYED.map(str::to_owned).into());
    Ok(())
}

/// What is run by nobody must not look like something to type.
#[test]
fn no_text_looks_like_a_command() -> Result<()> {
    let names = std::fs::read_dir(place::workspace().join("docs"))?.map(|entry| Ok(entry?.path()));
    let mut paths = names.collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(place::workspace().join("README.md"));
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let blocks = patchd_tests::docs::blocks::blocks(&text).with_context(|| path.display().to_string())?;
        for block in blocks.iter().filter(|block| block.language == Language::Text) {
            let typed = block.text.lines().find(|line| is_like_a_command(line));
            assert_eq!(typed, None, "{}:{}", path.display(), block.line);
        }
    }
    Ok(())
}

fn is_like_a_command(line: &str) -> bool {
    const PROGRAMS: [&str; 10] =
        ["apt", "apt-get", "aws", "cargo", "curl", "dnf", "patchd", "rpm", "sudo", "systemctl"];
    let is_drawn = line.contains(['│', '─', '▶']);
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    // What is indented is a part of what some program printed.
    let is_started = !line.starts_with(' ')
        && PROGRAMS.contains(&first)
        && words.next().is_some_and(|word| word.is_ascii());
    !is_drawn && (matches!(first, "$" | "#") || is_started)
}

/// What the guide says of S3's refusals is what patchd says of them.
#[test]
fn each_sentence_about_the_store_is_one_that_patchd_says() -> Result<()> {
    let guide = std::fs::read_to_string(place::workspace().join("docs/troubleshooting.md"))?;
    let code = std::fs::read_to_string(place::workspace().join("agent/daemon/src/store/s3_error.rs"))?;
    let sentences: Vec<_> =
        guide.lines().filter_map(|line| line.strip_prefix("| \"")?.split('"').next()).collect();
    assert!(10 < sentences.len(), "{sentences:?}");
    // As the compiler reads a text over two lines.
    let code = code.replace("\\\n", "").split_whitespace().collect::<Vec<_>>().join(" ");
    let strange: Vec<_> = sentences.into_iter().filter(|sentence| !code.contains(sentence)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    Ok(())
}

#[test]
fn wildcards_stand_for_what_they_say_and_no_more() {
    #[track_caller]
    fn check(shown: &[&str], said: &str, expected: bool) {
        let shown: Vec<_> = shown.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(transcript::is_as_shown(&shown, said), expected, "{shown:?} and {said:?}");
    }
    check(&[], "whatever\n", true);
    check(&["one", "two"], "one\ntwo\n", true);
    check(&["one"], "one\ntwo\n", false);
    check(&["one", "..."], "one\ntwo\nthree\n", true);
    check(&["...", "three"], "one\ntwo\nthree\n", true);
    check(&["one", "...", "three"], "one\nthree\n", true);
    check(&["one", "...", "four"], "one\nthree\n", false);
    check(&["at …, by …"], "at noon, by Ada\n", true);
    check(&["at … by"], "at noon by Ada\n", false);
    check(&["a b"], "a    b\n", true);
    check(&["…"], "\n", false);
}
