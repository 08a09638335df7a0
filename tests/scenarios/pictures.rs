//! The pictures in the documents are what the program prints today, of a calendar and of a report that a real run wrote.
//!
//! `PATCHD_WRITE_DOCS=1` draws them anew.

use anyhow::{Context, Result};
use patchd_tests::docs::picture;
use patchd_tests::{binaries, command, place};

/// A window each week and a freeze each year.
const CALENDAR: &str = "[[window]]
name = \"weekly\"
schedule = \"Sun 02:00 +3h Europe/Berlin\"
cutoff = \"1h\"
[[freeze]]
name = \"end-of-year\"
schedule = \"12-20..01-04 Europe/Berlin\"
reason = \"change freeze\"
";

/// Runs patchctl on a terminal of so many columns.
fn on_a_terminal(columns: u32, arguments: &str) -> Result<String> {
    let line = format!("stty cols {columns}; exec {} {arguments}", binaries::patchctl()?.display());
    let mut script = command::command("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env("TERM", "xterm").env("SHELL", "/bin/sh");
    Ok(command::finish(&mut script)?.success()?.stdout.replace('\r', ""))
}

/// Draws it, or compares what is drawn.
#[expect(clippy::disallowed_methods, reason = "a picture is written when somebody asks for it")]
fn hold(name: &str, drawn: &str) -> Result<()> {
    let path = place::workspace().join("docs/images").join(name);
    if std::env::var_os("PATCHD_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().context("a picture has a folder")?)?;
        std::fs::write(&path, drawn)?;
    }
    let kept = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    assert!(
        kept == drawn,
        "docs/images/{name} is not what patchctl prints: \
         PATCHD_WRITE_DOCS=1 cargo test -p patchd-tests pictures draws it anew"
    );
    Ok(())
}

/// What only holds while it is looked at: `(72 seconds ago)`.
fn without_ages(printed: &str) -> String {
    let mut parts = printed.split(" (");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(" ago)") {
            Some((age, rest)) if age.split(' ').count() == 2 => text.push_str(rest),
            _ => {
                text.push_str(" (");
                text.push_str(part);
            }
        }
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a file of a sample needs no atomic write")]
fn the_terminal_shows_what_a_freeze_does() -> Result<()> {
    let root = place::scratch("calendar")?;
    let file = root.path().join("etc/patchd/patchd.toml");
    std::fs::create_dir_all(file.parent().context("a file has a folder")?)?;
    std::fs::write(&file, CALENDAR)?;
    let asked = "windows --at 2027-01-03T02:00:00Z --count 3";
    let printed = on_a_terminal(110, &format!("{asked} --config-root {}", root.path().display()))?;
    let command = format!("patchctl {asked}");
    hold("windows.svg", &picture::terminal("the Sunday after New Year", &command, printed.trim_end()))
}

#[test]
fn the_report_is_one_that_a_real_run_wrote() -> Result<()> {
    let report = place::workspace().join("docs/images/report.json");
    let printed = on_a_terminal(120, &format!("report {}", report.display()))?;
    hold(
        "report.svg",
        &picture::terminal(
            "the report of a run",
            "patchctl report",
            without_ages(printed.trim_end()).as_str(),
        ),
    )
}

#[test]
fn a_picture_has_what_was_printed_and_nothing_that_breaks_it() {
    let svg = picture::terminal(
        "a & b",
        "patchctl scan",
        "x \u{1b}[1;31m<bad>\u{1b}[0m y\n\n\u{1b}[1mtop\u{1b}[0m\r\n",
    );
    assert!(svg.contains("class=\"bad\" x=\"32\"") && svg.contains("&lt;bad&gt;"), "{svg}");
    assert!(svg.contains("class=\"heading\" x=\"16\"") && svg.contains(">top</text>"), "{svg}");
    assert!(
        svg.contains("aria-label=\"a &amp; b\"") && !svg.contains('\u{1b}') && !svg.contains('\r'),
        "{svg}"
    );
}
