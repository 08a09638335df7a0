//! Asking the daemon for a run of one's own. There is one run at a time: others are waited for first.

use patchd_protocol::control::{RunAnswer, RunRequest, RunSummary};

use crate::client::Answer;
use crate::exit::{Exit, Failure};
use crate::output::tell;
use crate::view::run::operation_word;
use crate::watch::{Watched, Watcher};

/// How many runs of others are waited for.
const OTHERS: usize = 10;

/// Asks for a run, once.
pub(super) fn ask(watcher: &Watcher, request: &RunRequest) -> Result<(Answer, RunAnswer), Failure> {
    let answer = watcher.client.post("/v1/runs", request)?;
    let parsed = answer.parse()?;
    Ok((answer, parsed))
}

/// Asks for a run and waits for its end; `None` if a Ctrl-C ended the waiting. A run that is under way is waited for
/// first, unless `is_as_good` says that it serves as well.
pub(super) fn run(
    watcher: &mut Watcher,
    request: &RunRequest,
    is_as_good: impl Fn(&RunSummary) -> bool,
) -> Result<Option<RunSummary>, Failure> {
    for _ in 0..OTHERS {
        let (_, RunAnswer { started, run, .. }) = ask(watcher, request)?;
        let is_ours = started || is_as_good(&run);
        if !started {
            let then = if is_ours { "following that one" } else { "waiting for its end first" };
            tell(&format!("a run is under way already, {} {}: {then}", operation_word(&run), run.id));
        }
        let Watched::Concluded(summary) = watcher.watch(&run.id)? else { return Ok(None) };
        if is_ours {
            return Ok(Some(summary));
        }
    }
    Err(Failure::because(Exit::Refused, format!("{OTHERS} other runs came first: ask again later")))
}
