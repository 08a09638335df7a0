//! Follows one run to its end, whatever becomes of the daemon in between. How it looks is `live`'s matter.

use std::time::Duration;

use patchd_protocol::control::events::RunEvent;
use patchd_protocol::control::{RunDocument, RunPhase, RunSummary};
use tokio::time::{Instant, sleep};

use crate::client::Daemon;
use crate::client::events::{Events, Heard, NoStream};
use crate::exit::{Exit, Failure};
use crate::live::Live;

/// How long a daemon that is away is waited for: longer than any restart takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The first pause between two attempts, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often a daemon without event streams is asked.
const POLL: Duration = Duration::from_millis(500);

/// Waits for the end of a run and shows what happens.
pub(crate) async fn follow(daemon: &Daemon, run: &str, live: &mut Live) -> Result<RunSummary, Failure> {
    let mut follower = Follower {
        daemon,
        run,
        live,
        last_id: None,
        last_sequence: 0,
        streams: 0,
        outage: Outage::default(),
    };
    loop {
        match daemon.events(run, follower.last_id.as_deref()).await {
            Ok(events) => {
                follower.streams += 1;
                if let Some(summary) = follower.listen(events).await? {
                    return Ok(summary);
                }
            }
            Err(NoStream::AskInstead) => return follower.poll().await,
            // A socket that was there is made anew, and may not be open to all at once.
            Err(NoStream::Refused(failure)) if failure.may_pass && 0 < follower.streams => {
                follower.tell_absence()
            }
            Err(NoStream::Refused(failure)) => return Err(failure),
            Err(NoStream::Away) => follower.tell_absence(),
        }
        follower.pause().await?;
    }
}

struct Follower<'a> {
    daemon: &'a Daemon,
    run: &'a str,
    live: &'a mut Live,
    last_id: Option<String>,
    last_sequence: u64,
    /// How many were opened so far.
    streams: u64,
    outage: Outage,
}

/// A time without the daemon.
#[derive(Debug)]
struct Outage {
    since: Option<Instant>,
    pause: Duration,
    is_told: bool,
}

impl Default for Outage {
    fn default() -> Self {
        Self { since: None, pause: FIRST_PAUSE, is_told: false }
    }
}

impl Follower<'_> {
    /// Reads one stream until the run is over, or until the stream is.
    async fn listen(&mut self, mut events: Events) -> Result<Option<RunSummary>, Failure> {
        let mut is_fruitful = false;
        loop {
            match events.next().await {
                Heard::Beat => self.outage = Outage::default(),
                Heard::Message(message) => {
                    self.outage = Outage::default();
                    self.last_id = message.id.or(self.last_id.take());
                    // A kind that a later version has is not for us.
                    let Ok(event) = serde_json::from_str::<RunEvent>(&message.data) else { continue };
                    is_fruitful = true;
                    if let Some(summary) = self.take(event) {
                        return Ok(Some(summary));
                    }
                }
                Heard::Lost { was_silent } => {
                    if was_silent {
                        self.tell_absence();
                    }
                    // A stream that says nothing may be that of a run which is over.
                    return if is_fruitful { Ok(None) } else { self.conclusion().await };
                }
            }
        }
    }

    fn take(&mut self, event: RunEvent) -> Option<RunSummary> {
        match event {
            // Told before the stream broke.
            RunEvent::Moved(moved) if moved.sequence <= self.last_sequence => None,
            RunEvent::Moved(moved) => {
                self.last_sequence = moved.sequence;
                self.live.moved(&moved);
                None
            }
            RunEvent::Progress(progress) => {
                self.live.progress(&progress);
                None
            }
            RunEvent::Concluded(summary) => Some(summary),
        }
    }

    /// The run's summary, if it is over and the daemon says so.
    async fn conclusion(&self) -> Result<Option<RunSummary>, Failure> {
        match self.summary().await {
            Ok(summary) => Ok(Some(summary).filter(|summary| summary.phase == RunPhase::Concluded)),
            Err(failure) if failure.may_pass => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn summary(&self) -> Result<RunSummary, Failure> {
        let answer = self.daemon.get(&format!("/v1/runs/{}", self.run)).await?;
        Ok(answer.parse::<RunDocument>()?.run)
    }

    /// Asks again and again: where there is no stream, or none for this client.
    async fn poll(&mut self) -> Result<RunSummary, Failure> {
        let mut phase = None;
        loop {
            match self.summary().await {
                Ok(summary) if summary.phase == RunPhase::Concluded => return Ok(summary),
                Ok(summary) => {
                    self.outage = Outage::default();
                    if phase.replace(summary.phase) != Some(summary.phase) {
                        self.live.phase(summary.phase);
                    }
                    sleep(POLL).await;
                }
                Err(failure) if failure.may_pass => {
                    self.tell_absence();
                    self.pause().await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    fn tell_absence(&mut self) {
        if !std::mem::replace(&mut self.outage.is_told, true) {
            self.live.note("patchd is restarting, still waiting");
        }
    }

    /// Waits before the next attempt, unless patience is at its end.
    async fn pause(&mut self) -> Result<(), Failure> {
        let since = *self.outage.since.get_or_insert_with(Instant::now);
        let left = PATIENCE.saturating_sub(since.elapsed());
        if left.is_zero() {
            let (run, minutes) = (self.run, PATIENCE.as_secs() / 60);
            return Err(Failure::because(
                Exit::NoDaemon,
                format!(
                    "patchd was not to be reached for {minutes} minutes; what it had begun goes on without it: \
                     `patchctl apply --follow {run}` waits again"
                ),
            ));
        }
        sleep(self.outage.pause.min(left)).await;
        self.outage.pause = (self.outage.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
