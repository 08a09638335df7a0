//! The manual page of the daemon, generated from `arguments` and held against the file in docs/.
//!
//! `PATCHD_WRITE_DOCS=1 cargo test -p patchd manual` writes it anew.

use std::fmt::Write;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::arguments::{Arguments, EXIT_CODES};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/patchd.8");

const FILES: [(&str, &str); 5] = [
    ("/etc/patchd/patchd.toml", "the configuration; each line that is commented out shows the default"),
    (
        "/etc/patchd/patchd.d, /usr/lib/patchd/patchd.d",
        "drop-ins of it; what a later name says of a key wins",
    ),
    ("/var/lib/patchd", "journal, reports that the store has not taken yet, and by default the store"),
    ("/run/patchd/patchd.sock", "the control socket, which patchctl and curl speak to"),
    ("/run/patchd/executor.sock", "the socket of the root helper, which systemd listens on"),
];

const SIGNALS: [(&str, &str); 2] = [
    ("SIGHUP", "reads the configuration again"),
    ("SIGTERM", "ends; what the root helper does is left to it, and asked for at the next start"),
];

fn page() -> String {
    let command = Arguments::command();
    let man = Man::new(command.clone()).section("8").manual("patchd").date("");
    let mut page = String::new();
    for render in [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ] {
        page.push_str(&rendered(|to| render(&man, to)));
    }
    page.push_str(".SH COMMANDS\n");
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        subcommand(&mut page, command);
    }
    let codes: Vec<_> = EXIT_CODES.lines().skip(1).filter_map(|line| line.trim().split_once("  ")).collect();
    section(&mut page, "\"EXIT STATUS\"", &codes);
    section(&mut page, "SIGNALS", &SIGNALS);
    section(&mut page, "FILES", &FILES);
    page.push_str(".SH \"SEE ALSO\"\n.BR patchctl (1)\n");
    page
}

fn subcommand(page: &mut String, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().bin_name(format!("patchd {}", command.get_name())).render_usage().to_string();
    let usage = escaped(usage.trim_start_matches("Usage: "));
    writeln!(page, ".SS \"{usage}\"\n{}.", escaped(&about)).unwrap();
    let options = rendered(|to| Man::new(command.clone().disable_help_flag(true)).render_options_section(to));
    page.extend(options.lines().filter(|line| !line.starts_with(".SH")).map(|line| format!("{line}\n")));
}

fn section(page: &mut String, title: &str, entries: &[(&str, &str)]) {
    writeln!(page, ".SH {title}").unwrap();
    for (term, text) in entries {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}.", escaped(term), escaped(text)).unwrap();
    }
}

fn rendered(render: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[expect(clippy::disallowed_methods, reason = "a generated file of the source tree needs no atomic write")]
#[test]
fn the_manual_page_is_current() {
    let expected = page();
    if std::env::var_os("PATCHD_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == expected,
        "docs/man/patchd.8 is stale: PATCHD_WRITE_DOCS=1 cargo test -p patchd manual writes it anew"
    );
}

#[test]
fn the_manual_page_has_what_help_has() {
    let page = page();
    for word in ["patchd once", "\\-\\-kms\\-key\\-id", "\\-\\-control\\-socket", "SIGHUP", "\\fB8\\fR\n"] {
        assert!(page.contains(word), "{word}");
    }
    assert!(!page.contains("supervise"), "hidden");
}
