//! Two children of which the second reads what the first writes: for looking into archives, never for changing anything.

use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use super::{ChildError, LAST_PAUSE, end, open_to_append, spawn};
use crate::clock::Deadline;

/// A program with its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a Path,
    pub(crate) arguments: &'a [String],
}

/// Runs both to their ends, or ends them when their time is up. What they say, and what the second writes, is added to
/// `output`. Whether both ended well.
pub(crate) fn run(
    first: Program<'_>,
    second: Program<'_>,
    output: &Path,
    limit: Duration,
) -> Result<bool, ChildError> {
    let wrong = |program: Program<'_>, doing| {
        let program = program.path.to_owned();
        move |source| ChildError { program, doing, source }
    };
    let file =
        || open_to_append(output).map(Stdio::from).map_err(wrong(second, "opening the file for its output"));
    let mut from = spawn(first.path, first.arguments, Stdio::null(), Stdio::piped(), file()?)
        .map_err(wrong(first, "starting it"))?;
    let input = from.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut to = match spawn(second.path, second.arguments, input, file()?, file()?) {
        Ok(to) => to,
        Err(error) => {
            // Without a reader it ends by itself; it is not left behind for all that.
            let _ = end(&mut from);
            return Err(wrong(second, "starting it")(error));
        }
    };
    let deadline = Deadline::after(limit);
    let mut statuses = (None, None);
    while !deadline.has_passed() {
        statuses.0 = from.try_wait().map_err(wrong(first, "waiting for it"))?;
        statuses.1 = to.try_wait().map_err(wrong(second, "waiting for it"))?;
        if let (Some(first), Some(second)) = statuses {
            return Ok(first.success() && second.success());
        }
        sleep(LAST_PAUSE / 20);
    }
    for child in [&mut from, &mut to] {
        end(child).map_err(wrong(first, "ending it"))?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(first: &str, second: &str, limit: Duration) -> (bool, String) {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out");
        let (first, second) = (["-c".to_owned(), first.to_owned()], ["-c".to_owned(), second.to_owned()]);
        let sh = Path::new("/bin/sh");
        let (first, second) =
            (Program { path: sh, arguments: &first }, Program { path: sh, arguments: &second });
        let ended = run(first, second, &output, limit).unwrap();
        (ended, std::fs::read_to_string(output).unwrap())
    }

    #[test]
    fn the_second_reads_what_the_first_writes() {
        let long = Duration::from_secs(600);
        assert_eq!(shell("echo word", "tr a-z A-Z", long), (true, "WORD\n".into()));
        assert!(!shell("exit 1", "cat", long).0);
        assert!(!shell("echo word", "exit 1", long).0);
    }

    #[test]
    fn both_are_ended_when_their_time_is_up() {
        assert!(!shell("sleep 1000", "cat", Duration::from_millis(50)).0);
    }
}
