//! The manual page and the completions, generated from `arguments` and held against the files in docs/.
//!
//! `PATCHCTL_WRITE_DOCS=1 cargo test -p patchctl manual` writes them anew.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::exit::Exit;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

const FILES: [(&str, &str); 4] = [
    ("/run/patchd/patchd.sock", "the daemon's socket"),
    ("/run/patchd/executor.sock", "the executor's socket, which `apply --now` leaves root's word with"),
    (
        "/etc/patchd/patchd.toml",
        "the configuration; drop-ins are in /etc/patchd/patchd.d and /usr/lib/patchd/patchd.d",
    ),
    ("./patchd-reports", "where `scan --once` keeps its reports unless --store names another folder"),
];

const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "NO_COLOR",
        "if it is set and not empty, nothing is coloured. Without it, colours are for terminals only",
    ),
    ("COLUMNS", "how wide tables may be. Without it, that is the width of the terminal, or no limit"),
];

const EXAMPLES: [(&str, &str); 8] = [
    ("patchctl scan --once", "what is wrong with this host, and what to do about it"),
    (
        "patchctl scan --once --json --store /var/lib/reports --exit-code",
        "the same for a program: the report on standard output, the verdict in the exit code",
    ),
    ("patchctl updates --once --root /srv/image", "what an image lacks"),
    ("patchctl plan", "what an apply would do now, and what keeps it from doing so"),
    (
        "patchctl plan --json > plan.json; patchctl apply --plan plan.json",
        "exactly the plan that was read, or nothing",
    ),
    (
        "patchctl apply --now --reason 'CVE-2026-1234 is exploited'",
        "as root, outside of every window: shows the plan, asks, and leaves root's word in the report",
    ),
    (
        "patchctl baseline show aws.json --toml > baseline.toml",
        "takes over what `aws ssm get-patch-baseline` printed into aws.json",
    ),
    ("patchctl version compare deb 1.0~rc1 1.0", "prints -1"),
];

/// One page for the command and its subcommands.
fn page() -> String {
    let command = Arguments::command();
    let man = Man::new(command.clone()).manual("patchd").date("");
    let mut page = String::new();
    page.push_str(&rendered(|to| man.render_title(to)));
    page.push_str(&rendered(|to| man.render_name_section(to)));
    page.push_str(".SH SYNOPSIS\n");
    let leaves = leaves(&command, "patchctl");
    for (name, leaf) in &leaves {
        let usage = leaf.clone().bin_name(name).render_usage().to_string();
        writeln!(page, "{}\n.br", escaped(usage.trim_start_matches("Usage: "))).unwrap();
    }
    page.push_str(&rendered(|to| man.render_description_section(to)));
    page.push_str(
        &rendered(|to| man.render_options_section(to)).replace(".SH OPTIONS", ".SH \"GLOBAL OPTIONS\""),
    );
    page.push_str(".SH COMMANDS\n");
    for (name, leaf) in leaves {
        let about = leaf.get_long_about().or(leaf.get_about()).map(ToString::to_string).unwrap_or_default();
        writeln!(page, ".SS {}\n{}.", escaped(&name), escaped(&about)).unwrap();
        let man = Man::new(leaf);
        // A title of its own for each would make the commands hard to find.
        let options = rendered(|to| man.render_options_section(to));
        page.extend(options.lines().filter(|line| !line.starts_with(".SH")).map(|line| format!("{line}\n")));
    }
    let codes: Vec<_> = Exit::ALL.iter().map(|exit| (exit.code().to_string(), exit.meaning())).collect();
    section(&mut page, "EXIT STATUS", codes.iter().map(|(code, meaning)| (code.as_str(), *meaning)));
    section(&mut page, "ENVIRONMENT", ENVIRONMENT.into_iter());
    section(&mut page, "FILES", FILES.into_iter());
    section(&mut page, "EXAMPLES", EXAMPLES.into_iter());
    page
}

fn rendered(render: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The commands that do something, with their whole names.
fn leaves(command: &Command, name: &str) -> Vec<(String, Command)> {
    command
        .get_subcommands()
        .flat_map(|sub| {
            let name = format!("{name} {}", sub.get_name());
            if sub.has_subcommands() {
                leaves(sub, &name)
            } else {
                vec![(name, sub.clone().disable_help_flag(true))]
            }
        })
        .collect()
}

fn section<'a>(page: &mut String, title: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    writeln!(page, ".SH \"{title}\"").unwrap();
    for (term, text) in entries {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}.", escaped(term), escaped(text)).unwrap();
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn completions(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "patchctl", &mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a generated file of the source tree needs no atomic write")]
#[track_caller]
fn check(name: &str, expected: &str) {
    let path = Path::new(DOCS).join(name);
    if std::env::var_os("PATCHCTL_WRITE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is stale: PATCHCTL_WRITE_DOCS=1 cargo test -p patchctl manual writes it anew"
    );
}

#[test]
fn the_manual_page_is_current() {
    check("man/patchctl.1", &page());
}

#[test]
fn the_completions_are_current() {
    check("completions/patchctl.bash", &completions(Shell::Bash));
    check("completions/_patchctl", &completions(Shell::Zsh));
    check("completions/patchctl.fish", &completions(Shell::Fish));
}

#[test]
fn the_manual_page_has_every_exit_code_and_command() {
    let page = page();
    for exit in Exit::ALL {
        assert!(page.contains(&escaped(exit.meaning())));
    }
    for command in [
        "scan",
        "plan",
        "apply",
        "stop",
        "pause",
        "resume",
        "baseline check",
        "config check",
        "version compare",
    ] {
        assert!(page.contains(&format!(".SS patchctl {command}\n")), "{command}");
    }
}
