//! Children that are shell scripts: what they find, what is seen of them, and how they end.

use std::os::fd::{AsFd, AsRawFd};

use super::*;

/// What a child is watched with in these tests.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    silences: Vec<Duration>,
}

impl Watch for Seen {
    fn line(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    fn silence(&mut self, silence: Duration) {
        self.silences.push(silence);
    }
}

fn patience(total: Duration, silence: Duration) -> Patience {
    Patience::Limited { total, silence }
}

/// Runs a shell script; its output, its errors, what was seen of it and how it ended.
fn shell(script: &str, patience: Patience) -> (String, String, Seen, Ended) {
    let directory = tempfile::tempdir().unwrap();
    let (output, errors) = (directory.path().join("out"), directory.path().join("err"));
    let mut seen = Seen::default();
    let arguments = ["-c".to_owned(), script.to_owned()];
    let call = Call {
        program: Path::new("/bin/sh"),
        arguments: &arguments,
        output: &output,
        errors: Some(&errors),
        inherited: &[],
    };
    let ended = run(&call, patience, &mut seen).unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    (read(&output), read(&errors), seen, ended)
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn the_environment_is_built_and_the_input_closed() {
    let (output, _, _, ended) = shell("env | sort; cat; pwd", Patience::Endless);
    let mut expected: Vec<_> = ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // dash sets this one by itself.
    expected.push("PWD=/".into());
    expected.sort();
    expected.push("/".into());
    let output: Vec<_> = output.lines().map(str::to_owned).collect();
    assert_eq!(output, expected);
    assert!(ended.is_success());
}

#[test]
fn lines_are_passed_on_and_streams_kept_apart() {
    let (output, errors, seen, ended) = shell("printf 'a\\nb'; echo c >&2; exit 3", Patience::Endless);
    assert_eq!((output.as_str(), errors.as_str()), ("a\nb", "c\n"));
    assert_eq!(seen.lines, ["a", "b"]);
    assert_eq!(ended, Ended { code: Some(3), cut: None });
}

#[test]
fn what_takes_too_long_is_ended_with_what_it_started() {
    let (output, _, _, ended) = shell("sleep 1000 & echo $!; wait", patience(Duration::ZERO, LONG));
    assert_eq!(ended.cut, Some(Cut::Overdue(Duration::ZERO)));
    assert!(!ended.is_success());
    // Ended before it could say it, or said and ended: no process of that number is left that is not ours to see.
    if let Ok(pid) = output.trim().parse::<u32>() {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

#[test]
fn a_child_left_behind_holds_nobody_up() {
    let (output, _, _, ended) = shell("sleep 60 & echo $!", Patience::Endless);
    assert!(ended.is_success());
    let pid: i32 = output.trim().parse().unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn a_relative_program_and_a_linked_log_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let call = |program, output| Call { program, arguments: &[], output, errors: None, inherited: &[] };
    let mut ignore = |_: &str| {};
    assert!(run(&call(Path::new("sh"), &output), Patience::Endless, &mut ignore).is_err());
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&output, &link).unwrap();
    assert!(run(&call(Path::new("/bin/true"), &link), Patience::Endless, &mut ignore).is_err());
}

#[test]
fn endless_lines_are_cut() {
    let (_, _, seen, _) = shell("head -c 200000 /dev/zero | tr '\\0' x", Patience::Endless);
    assert_eq!(seen.lines.iter().map(String::len).collect::<Vec<_>>(), [follow::MAX_LINE]);
}

/// docs/accidents.md, row 5: a fetcher that hangs is ended; row 6: what changes packages never is, however silent.
#[test]
fn silence_ends_only_what_may_be_ended() {
    let limit = Duration::from_millis(100);
    let (_, _, seen, ended) = shell("echo a; sleep 1000", patience(LONG, limit));
    assert_eq!((ended.code, ended.cut), (None, Some(Cut::Silent(limit))));
    assert_eq!(seen.lines, ["a"]);
    let (_, _, seen, ended) = shell("read line </dev/null; sleep 0.3", Patience::Endless);
    assert!(ended.is_success());
    assert!(seen.silences.is_sorted() && !seen.silences.is_empty());
}

#[test]
fn only_named_descriptors_are_inherited_and_under_their_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name| open_to_append(&directory.path().join(name)).unwrap();
    let (given, kept) = (file("given"), file("kept"));
    let script = format!("echo word >&{}; echo other 2>/dev/null >&{}", given.as_raw_fd(), kept.as_raw_fd());
    let call = Call {
        program: Path::new("/bin/sh"),
        arguments: &["-c".to_owned(), script],
        output: &directory.path().join("out"),
        errors: None,
        inherited: &[given.as_fd()],
    };
    assert!(!run(&call, Patience::Endless, &mut |_: &str| {}).unwrap().is_success());
    let read = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!((read("given").as_str(), read("kept").as_str()), ("word\n", ""));
}
