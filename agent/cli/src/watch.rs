//! Watches runs until they are over, or until a Ctrl-C: a run belongs to the daemon, and never ends with who watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use futures_util::StreamExt;
use patchd_protocol::control::RunSummary;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use signal_hook_tokio::Signals;

use crate::client::{Client, checked_id};
use crate::exit::{Exit, Failure};
use crate::follow;
use crate::live::Live;
use crate::output::{Aside, tell};

/// How watching ended.
#[derive(Debug)]
pub(crate) enum Watched {
    Concluded(RunSummary),
    /// Who watched has gone, and was told how to come back.
    Left,
}

/// How much of a run is shown where there is no terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Lines,
    Nothing,
}

/// The client, with eyes.
pub(crate) struct Watcher {
    pub(crate) client: Client,
    detail: Detail,
    interrupts: Signals,
    /// The next Ctrl-C ends the process at once.
    is_last: Arc<AtomicBool>,
}

impl Watcher {
    pub(crate) fn new(client: Client, detail: Detail) -> Result<Self, Failure> {
        let is_last = Arc::new(AtomicBool::new(true));
        let entered = client.runtime.enter();
        let cannot = "can't listen for Ctrl-C";
        // In this order, so that the first Ctrl-C of a watch is heard and the second one ends it.
        let code = i32::from(Exit::Interrupted.code());
        flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&is_last)).context(cannot)?;
        flag::register(SIGINT, Arc::clone(&is_last)).context(cannot)?;
        let interrupts = Signals::new([SIGINT]).context(cannot)?;
        drop(entered);
        Ok(Self { client, detail, interrupts, is_last })
    }

    /// Watches a run to its end.
    pub(crate) fn watch(&mut self, run: &str) -> Result<Watched, Failure> {
        checked_id(run)?;
        let Self { client, detail, interrupts, is_last } = self;
        let mut live = match detail {
            Detail::Lines => Live::new(Aside::new()),
            Detail::Nothing => Live::quiet(Aside::new()),
        };
        is_last.store(false, Ordering::SeqCst);
        let watched = client.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = interrupts.next() => None,
                concluded = follow::follow(&client.daemon, run, &mut live) => Some(concluded),
            }
        });
        is_last.store(true, Ordering::SeqCst);
        live.end();
        let Some(concluded) = watched else {
            tell(&format!(
                "run {run} goes on; `patchctl apply --follow {run}` shows it again, `patchctl stop {run}` stops it \
                 between steps"
            ));
            return Ok(Watched::Left);
        };
        concluded.map(Watched::Concluded)
    }
}
