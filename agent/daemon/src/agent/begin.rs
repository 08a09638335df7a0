//! How the agent begins a run: because somebody asks, or because the scheduler says that one is due.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchd_core::report::Operation;
use patchd_core::run::event::Event;
use patchd_core::run::{Order, RefreshPolicy, RunId, RunState, Wish};
use patchd_core::window::{self, Verdict};
use patchd_protocol::config::RebootPolicy;
use patchd_protocol::control::{RunSummary, RunTrigger};
use patchd_protocol::words::AnswerWire;
use tokio::time::Instant;

use super::{Active, Agent, JOURNAL_PAUSE, Work};
use crate::clock::Clock;
use crate::driver::Host;
use crate::journal::{Attempts, JournalError, NewRun};
use crate::scheduler::{self, Apply, Facts};

/// The time between two looks at cloud-init while it is waited for.
const CLOUD_INIT_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// The longest time between two looks at the clock: it may have been set, or the machine suspended.
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_secs(60);

impl<H: Host, C: Clock> Agent<H, C> {
    /// Begins what the scheduler says is due, and says how long there is nothing to do.
    pub(super) async fn begin_what_is_due(&mut self) -> Duration {
        if self.active.is_some() {
            return Duration::ZERO;
        }
        let now = self.clock.now();
        if self.clock_is_distrusted().await {
            return Duration::try_from(LONGEST_SLEEP).unwrap_or_default();
        }
        self.look_at_cloud_init();
        let verdict = window::verdict(&self.settings.windows, now);
        let apply = match self.cloud_init {
            Some(_) => Apply::At(now.checked_add(CLOUD_INIT_PAUSE).unwrap_or(now)),
            None => self.next_apply(&verdict, now).await,
        };
        let scan_at = match self.owes_lists && self.lists_wait(now).is_none() {
            true => now,
            false => self.scheduling().next_scan(now),
        };
        let begun = match (apply, &verdict) {
            (Apply::Due, Verdict::Open(occurrence)) => {
                let occurrence = scheduler::occurrence_name(occurrence);
                self.begin(Operation::Apply, Wish::WhatIsDue, RunTrigger::Schedule, Some(occurrence))
                    .await
                    .map(|_| ())
            }
            _ if scan_at <= now => {
                self.begin(Operation::Scan, Wish::WhatIsDue, RunTrigger::Schedule, None).await.map(|_| ())
            }
            (Apply::At(at), _) => return sleep_until(now, at.min(scan_at)),
            _ => return sleep_until(now, scan_at),
        };
        if begun.is_ok() { Duration::ZERO } else { JOURNAL_PAUSE }
    }

    /// Looks at the clock. Nothing that nobody asked for is begun on one that can't be believed.
    async fn clock_is_distrusted(&mut self) -> bool {
        let distrust = self.clock.distrust();
        if self.clock.take_accepted() {
            // The clock was ahead before, and these were told by it: nothing would be begun until it is there again.
            let now = self.clock.now();
            self.facts.started_at = self.facts.started_at.min(now);
            self.facts.booted_at = self.facts.booted_at.filter(|booted| *booted <= now);
            if let Err(error) = self.journal.with(|journal| journal.accept_clock()).await {
                self.note_trouble(&error);
            }
        }
        let is_distrusted = distrust.is_some();
        match (&self.distrust, &distrust) {
            (None, Some(why)) => tracing::warn!(why, "nothing is begun on this clock"),
            (Some(_), None) => tracing::info!("the clock is believed again"),
            // The reason names the time, which is another one at each look.
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.distrust = distrust;
        is_distrusted
    }

    /// Looks how far cloud-init is, and tells when that changes.
    fn look_at_cloud_init(&mut self) {
        let why = self.facts.cloud_init.changes_wait();
        match (&self.cloud_init, &why) {
            (None, Some(why)) => tracing::info!(why, "nothing is installed yet"),
            (Some(_), None) => tracing::info!("cloud-init is done"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.cloud_init = why;
    }

    /// Why package lists are left to cloud-init now, if they are.
    fn lists_wait(&self, now: Timestamp) -> Option<String> {
        self.facts.cloud_init.lists_wait(self.facts.booted_at.unwrap_or(self.facts.started_at), now)
    }

    async fn next_apply(&mut self, verdict: &Verdict, now: Timestamp) -> Apply {
        if self.is_paused {
            return Apply::No;
        }
        let attempts = match verdict {
            Verdict::Open(occurrence) => match self.attempts_in(scheduler::occurrence_name(occurrence)).await
            {
                Ok(attempts) => attempts,
                Err(error) => {
                    self.note_trouble(&error);
                    return Apply::No;
                }
            },
            _ => Attempts::default(),
        };
        let missing = self.last_report.as_ref().map_or(0, |report| report.summary.counts.missing_count);
        let asked = self.last_report.as_ref().and_then(|report| report.needs_reboot);
        let may_reboot = self.settings.reboot.policy == RebootPolicy::IfNeeded;
        let asks_for_reboot = asked == Some(AnswerWire::Yes) && may_reboot;
        let needed = self.needed(verdict, missing, now).await;
        let facts = Facts { needed, asks_for_reboot, ..self.scheduling() };
        scheduler::next_apply(&facts, verdict, &attempts, missing, now)
    }

    /// What an apply of so many patches may take, a reboot included. It is asked only while it matters.
    async fn needed(&mut self, verdict: &Verdict, missing: u64, now: Timestamp) -> Option<SignedDuration> {
        let Verdict::Open(occurrence) = verdict else { return None };
        if scheduler::begin_in(occurrence, &self.scheduling()) <= now {
            return None;
        }
        match self.journal.with(|journal| journal.pace()).await {
            Ok(pace) => {
                let reserve = SignedDuration::try_from(self.settings.apply.reboot_reserve);
                Some(pace.estimate_of(missing).saturating_add(reserve.unwrap_or(SignedDuration::MAX)))
            }
            Err(error) => {
                self.note_trouble(&error);
                // What can't be told is no reason to begin late.
                Some(SignedDuration::MAX)
            }
        }
    }

    async fn attempts_in(&mut self, occurrence: String) -> Result<Attempts, JournalError> {
        if let Some((known, attempts)) = &self.attempts
            && *known == occurrence
        {
            return Ok(attempts.clone());
        }
        let asked = occurrence.clone();
        let attempts = self.journal.with(move |journal| journal.attempts(&asked)).await?;
        self.attempts = Some((occurrence, attempts.clone()));
        Ok(attempts)
    }

    pub(super) fn scheduling(&self) -> Facts<'_> {
        Facts {
            interval: SignedDuration::try_from(self.settings.scan.interval).unwrap_or(SignedDuration::MAX),
            host: &self.facts.host,
            started_at: self.facts.started_at,
            booted_at: self.facts.booted_at,
            last_end: self.last_end,
            splay: SignedDuration::try_from(self.settings.apply.splay).unwrap_or(SignedDuration::ZERO),
            needed: None,
            asks_for_reboot: false,
        }
    }

    /// Takes down a new run and sets it going.
    pub(super) async fn begin(
        &mut self,
        operation: Operation,
        wish: Wish,
        trigger: RunTrigger,
        occurrence: Option<String>,
    ) -> Result<RunSummary, JournalError> {
        let now = self.clock.now();
        let refresh = match (&wish, self.settings.scan.refresh) {
            // With newer lists it might be another plan.
            (Wish::ThisPlan(_), _) | (_, false) => RefreshPolicy::UseListsAsTheyAre,
            (_, true) if trigger == RunTrigger::Schedule && self.lists_wait(now).is_some() => {
                self.owes_lists = true;
                RefreshPolicy::UseListsAsTheyAre
            }
            (_, true) => {
                self.owes_lists = false;
                RefreshPolicy::Refresh
            }
        };
        let order = Order { id: self.new_id(now), operation, refresh, wish };
        let (new, id) = (NewRun { order: order.clone(), trigger, occurrence }, order.id.to_string());
        let begun = self.journal.with(move |journal| {
            journal.begin(&new, now)?;
            journal.run_summary(&id)
        });
        let summary = match begun.await {
            Ok(Some(summary)) => summary,
            Ok(None) => return Err(JournalError::Interrupted),
            Err(error) => {
                self.note_trouble(&error);
                return Err(error);
            }
        };
        self.trouble = None;
        self.live.moved();
        tracing::info!(run_id = %order.id, trigger = ?summary.trigger, "run {:?} begins", summary.operation);
        let work = Work::Unrecorded { event: Box::new(Event::Started), again_at: Instant::now() };
        self.active = Some(Active { state: RunState::new(order), summary: summary.clone(), work });
        Ok(summary)
    }

    fn new_id(&mut self, now: Timestamp) -> RunId {
        self.number = self.number.wrapping_add(1);
        let salt = u16::try_from(now.subsec_nanosecond().unsigned_abs() & 0xFFFF).unwrap_or_default();
        let text = format!("{}-{:04x}", now.strftime("%Y%m%dT%H%M%SZ"), salt ^ self.number);
        RunId::parse(&text).expect("digits and letters make an id")
    }
}

fn sleep_until(now: Timestamp, at: Timestamp) -> Duration {
    let wait = at.duration_since(now).clamp(SignedDuration::ZERO, LONGEST_SLEEP);
    Duration::try_from(wait).unwrap_or(Duration::ZERO)
}
