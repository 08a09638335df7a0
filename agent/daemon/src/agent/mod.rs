//! The agent: the one task that owns what is under way. It writes each intent to the journal, has the effect performed,
//! and feeds what came of it to `run::step`.
//!
//! It performs nothing itself, and no run moves without it. Others speak with it through an `AgentHandle`.

mod begin;
mod message;
mod new_program;
mod status;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use patchd_core::report::Operation;
use patchd_core::run::event::Event;
use patchd_core::run::{Hooks, Phase, RunState, Wish, step};
use patchd_protocol::config::Settings;
use patchd_protocol::control::plan::PlanDocument;
use patchd_protocol::control::{ReportSummary, RunAnswer, RunAnswerSchema, RunSummary, RunTrigger};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::message::Message;
pub use self::message::{AgentHandle, Refusal};
use crate::chain::chain;
use crate::clock::{Clock, ClockWatch};
use crate::cloud_init::CloudInitWatch;
use crate::driver::{Host, perform_in_time};
use crate::journal::{Attempts, JournalError, Move, SharedJournal};
use crate::live::Live;
use crate::own_program::OwnProgram;
use crate::sandbox::Sandbox;
use crate::{narrative, plan_document, systemd};

/// How long to wait before the journal is tried again when it took nothing.
const JOURNAL_PAUSE: Duration = Duration::from_secs(60);

/// What the agent is told when it is made.
#[derive(Debug)]
pub struct AgentFacts {
    pub version: &'static str,
    /// What reports call this host.
    pub host: String,
    /// Where reports go, for people.
    pub store: String,
    /// How many reports wait for their store.
    pub spooled: Arc<AtomicU64>,
    pub started_at: Timestamp,
    pub booted_at: Option<Timestamp>,
    pub program: OwnProgram,
    /// What this process has shut itself out of.
    pub sandbox: Sandbox,
    pub cloud_init: CloudInitWatch,
}

/// Why the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// The program on disk is another one, which is to be started.
    NewProgram,
}

/// The run that is under way.
#[derive(Debug)]
struct Active {
    state: RunState,
    summary: RunSummary,
    work: Work,
}

/// What the agent waits for.
#[derive(Debug)]
enum Work {
    Effect(JoinHandle<Event>),
    /// The journal did not take this event; until it does, nothing else is done.
    Unrecorded {
        event: Box<Event>,
        again_at: Instant,
    },
}

/// The agent.
#[derive(Debug)]
pub struct Agent<H, C> {
    host: Arc<H>,
    clock: Arc<ClockWatch<C>>,
    journal: SharedJournal,
    settings: Settings,
    facts: AgentFacts,
    live: Live,
    inbox: mpsc::Receiver<Message>,
    own_inbox: mpsc::WeakSender<Message>,
    active: Option<Active>,
    /// Runs that a crash left behind, beside the one that is carried on.
    left_over: VecDeque<RunState>,
    is_paused: bool,
    last_run: Option<RunSummary>,
    last_report: Option<ReportSummary>,
    last_end: Option<Timestamp>,
    /// What was tried in the occurrence of this name.
    attempts: Option<(String, Attempts)>,
    /// What the journal last failed with, if it has not worked since.
    trouble: Option<String>,
    /// Why the clock is not believed, as of the last look.
    distrust: Option<String>,
    new_program: Option<new_program::Seen>,
    /// Why cloud-init was waited for at the last look.
    cloud_init: Option<String>,
    /// A scan went without new lists, to leave them to cloud-init.
    owes_lists: bool,
    number: u16,
}

impl<H: Host, C: Clock> Agent<H, C> {
    pub fn new(
        host: Arc<H>,
        clock: Arc<ClockWatch<C>>,
        journal: SharedJournal,
        settings: Settings,
        facts: AgentFacts,
        live: Live,
    ) -> (Self, AgentHandle) {
        let (handle, inbox) = AgentHandle::new();
        let agent = Self {
            host,
            clock,
            journal,
            settings,
            facts,
            live,
            inbox,
            own_inbox: handle.downgrade(),
            active: None,
            left_over: VecDeque::new(),
            is_paused: false,
            last_run: None,
            last_report: None,
            last_end: None,
            attempts: None,
            trouble: None,
            distrust: None,
            new_program: None,
            cloud_init: None,
            owes_lists: false,
            number: 0,
        };
        (agent, handle)
    }

    /// Loads what the journal has and carries on; then works until `stop`, or until there is a new program and nothing under
    /// way.
    ///
    /// What is under way at the end is in the journal, and the next start carries on with it.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Ended, JournalError> {
        self.load().await?;
        let mut signs = systemd::watchdog_period().map(tokio::time::interval);
        self.next_left_over().await;
        loop {
            let Some(pause) = self.program_pause().await else {
                systemd::stopping();
                return Ok(Ended::NewProgram);
            };
            let sleep = self.begin_what_is_due().await.min(pause);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tick(&mut signs) => systemd::alive(),
                event = work_done(&mut self.active) => self.advance(event).await,
                message = self.inbox.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => break,
                },
                () = tokio::time::sleep(sleep), if self.active.is_none() => {}
            }
        }
        systemd::stopping();
        if let Some(Active { state, work: Work::Effect(handle), .. }) = self.active {
            tracing::info!(
                run_id = %state.order.id,
                phase = state.phase.code(),
                "stopping; the next start carries on with this run"
            );
            handle.abort();
        }
        Ok(Ended::Told)
    }

    async fn load(&mut self) -> Result<(), JournalError> {
        self.refresh_memory().await?;
        let now = self.clock.now();
        let runs = self.journal.with(|journal| journal.unfinished()).await?;
        for run in runs {
            match run.state {
                Ok(state) => self.left_over.push_back(state),
                Err(why) => {
                    tracing::error!(run_id = run.id, why, "this run can't be carried on by this version");
                    self.journal
                        .with(move |journal| {
                            journal.abandon(&run.id, &format!("it can't be carried on: {why}"), now)
                        })
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Reads again what the journal says of the past.
    async fn refresh_memory(&mut self) -> Result<(), JournalError> {
        let memory = self.journal.with(|journal| {
            Ok((journal.last_concluded()?, journal.last_report()?, journal.last_end()?, journal.is_paused()?))
        });
        (self.last_run, self.last_report, self.last_end, self.is_paused) = memory.await?;
        self.attempts = None;
        Ok(())
    }

    /// Carries on with the next run that a crash left behind.
    async fn next_left_over(&mut self) {
        while self.active.is_none()
            && let Some(state) = self.left_over.pop_front()
        {
            let id = state.order.id.to_string();
            match self.journal.with(move |journal| journal.run_summary(&id)).await {
                Ok(Some(summary)) => {
                    tracing::info!(run_id = %state.order.id, phase = state.phase.code(), "carrying on after a restart");
                    let again_at = Instant::now();
                    self.active = Some(Active {
                        state,
                        summary,
                        work: Work::Unrecorded { event: Box::new(Event::Restarted), again_at },
                    });
                }
                Ok(None) => {}
                Err(error) => self.note_trouble(&error),
            }
        }
    }

    /// Feeds an event to the run under way, takes the move down, and sets going what comes next.
    async fn advance(&mut self, event: Event) {
        let Some(active) = &self.active else { return };
        let (after, effects) = match step(active.state.clone(), event.clone()) {
            Ok(moved) => moved,
            Err(error) => return self.abandon(&error.to_string()).await,
        };
        let plan = self.settled_plan(&active.state.phase, &event, &after);
        let (moved, now) = (Move { event: event.clone(), after, effects, plan }, self.clock.now());
        let recorded = self.journal.with(move |journal| journal.append(&moved, now).map(|()| moved)).await;
        let Move { after, mut effects, .. } = match recorded {
            Ok(moved) => moved,
            Err(error) => {
                self.note_trouble(&error);
                if let Some(active) = &mut self.active {
                    active.work =
                        Work::Unrecorded { event: Box::new(event), again_at: Instant::now() + JOURNAL_PAUSE };
                }
                return;
            }
        };
        self.live.moved();
        self.trouble = None;
        log_move(&after, &event);
        let Some(active) = &mut self.active else { return };
        active.summary.phase = narrative::phase(&after.phase);
        active.state = after;
        if active.state.is_concluded() {
            self.finish().await;
        } else if let Some(effect) = effects.pop() {
            let (host, order) = (Arc::clone(&self.host), active.state.order.clone());
            let performed = async move { perform_in_time(host.as_ref(), &order, effect).await };
            active.work = Work::Effect(tokio::spawn(performed));
        }
    }

    /// The plan as people see it, when the gates of a settled one are looked at for the first time.
    fn settled_plan(&self, before: &Phase, event: &Event, after: &RunState) -> Option<Box<PlanDocument>> {
        match (before, event) {
            (Phase::Gating(progress), Event::GatesSeen(observed)) if progress.hooks == Hooks::NotBegun => {
                let (run, gates) = (&after.order.id, narrative::gates(&after.phase));
                let host = &self.facts.host;
                Some(Box::new(plan_document::document(host, run, progress, observed, gates)))
            }
            _ => None,
        }
    }

    /// The run is over: remembers what it came to, and turns to what waits.
    async fn finish(&mut self) {
        self.active = None;
        self.new_program = None;
        if let Err(error) = self.refresh_memory().await {
            self.note_trouble(&error);
        }
        self.next_left_over().await;
    }

    /// Ends a run that broke the rules: a bug, which must not stand still for ever.
    async fn abandon(&mut self, why: &str) {
        let Some(active) = self.active.take() else { return };
        let (id, why, now) = (active.state.order.id.to_string(), why.to_owned(), self.clock.now());
        tracing::error!(run_id = id, why, "this run is given up: a bug of patchd");
        let abandoned = self.journal.with(move |journal| journal.abandon(&id, &why, now));
        if let Err(error) = abandoned.await {
            self.note_trouble(&error);
        }
        self.live.moved();
        self.finish().await;
    }

    fn note_trouble(&mut self, error: &JournalError) {
        let error = chain(error);
        tracing::error!(error, "the journal does not work; nothing is done without it");
        self.trouble = Some(error);
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Status { reply } if self.must_ask_of_clock() => self.ask_of_clock(reply),
            Message::Status { reply } | Message::StatusAsItIs { reply } => {
                let _ = reply.send(self.status());
            }
            Message::Health { reply } => {
                let _ = reply.send(self.health());
            }
            Message::Windows { reply } => {
                let _ = reply.send(self.windows());
            }
            Message::StartRun { operation, wish, trigger, reply } => {
                let _ = reply.send(self.start_run(operation, wish, trigger).await);
            }
            Message::StopRun { id, by, reply } => {
                let _ = reply.send(self.stop_run(&id, by).await);
            }
            Message::Pause { by, reply } => {
                tracing::warn!(by, "paused: nothing is changed until somebody resumes");
                let paused = self.journal.with(move |journal| journal.pause(&by)).await;
                self.is_paused |= paused.is_ok();
                let _ = reply.send(paused.map_err(Refusal::from));
            }
            Message::Resume { by, reply } => {
                tracing::info!(by, "resumed");
                let resumed = self.journal.with(|journal| journal.resume()).await;
                self.is_paused &= resumed.is_err();
                // Whoever says that patchd goes on says so of its clock, too.
                self.clock.accept();
                let _ = reply.send(resumed.map_err(Refusal::from));
            }
            Message::Named { host } => self.facts.host = host,
            Message::Reload { settings } => {
                tracing::info!("the configuration was read again");
                if let (false, told) = self.facts.sandbox.health(&settings) {
                    tracing::error!("{told}");
                }
                self.settings = *settings;
                self.attempts = None;
            }
        }
    }

    async fn start_run(
        &mut self,
        operation: Operation,
        wish: Wish,
        trigger: RunTrigger,
    ) -> Result<RunAnswer, Refusal> {
        let schema = RunAnswerSchema::V1;
        if let Some(active) = &self.active {
            return Ok(RunAnswer { schema, started: false, run: active.summary.clone() });
        }
        let run = self.begin(operation, wish, trigger, None).await?;
        Ok(RunAnswer { schema, started: true, run })
    }

    async fn stop_run(&mut self, id: &str, by: String) -> Result<(), Refusal> {
        let Some(active) = self.active.as_mut().filter(|active| active.state.order.id.as_str() == id) else {
            return Err(Refusal::NotUnderWay);
        };
        if !active.state.is_stoppable() {
            return Err(Refusal::NotStoppable);
        }
        let event = Event::StopRequested { by };
        let Ok((after, effects)) = step(active.state.clone(), event.clone()) else {
            return Err(Refusal::NotStoppable);
        };
        let (moved, now) = (Move { event, after, effects, plan: None }, self.clock.now());
        let moved = self.journal.with(move |journal| journal.append(&moved, now).map(|()| moved)).await?;
        self.live.moved();
        active.state = moved.after;
        if active.state.is_concluded() {
            self.finish().await;
        }
        Ok(())
    }
}

/// Waits for the effect under way, or for the time at which an unrecorded event is tried again.
async fn work_done(active: &mut Option<Active>) -> Event {
    match active.as_mut().map(|active| &mut active.work) {
        None => std::future::pending().await,
        Some(Work::Effect(handle)) => match handle.await {
            Ok(event) => event,
            Err(error) => Event::Lost { detail: format!("a bug of patchd cut it: {error}") },
        },
        Some(Work::Unrecorded { event, again_at }) => {
            tokio::time::sleep_until(*again_at).await;
            Event::clone(event)
        }
    }
}

async fn tick(signs: &mut Option<tokio::time::Interval>) {
    match signs {
        Some(signs) => {
            signs.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Tells a move in the logs, and in systemd's one line.
fn log_move(state: &RunState, event: &Event) {
    let (id, phase) = (&state.order.id, state.phase.code());
    match &state.phase {
        Phase::Concluded { verdict, .. } => {
            let detail = verdict.detail().unwrap_or_default();
            tracing::info!(run_id = %id, phase, detail, "run {}", verdict.code());
            systemd::status(&format!("idle; the last run {}", verdict.code()));
        }
        Phase::Reporting { result: Some(result), .. } => {
            for change in result.record.transactions.iter().flat_map(|transaction| &transaction.changes) {
                let version = |version: &Option<patchd_core::package::Version>| {
                    version.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string)
                };
                let (before, after) = (version(&change.before), version(&change.after));
                tracing::info!(run_id = %id, phase, package = %change.package, before, after, done = change.is_done, "package");
            }
        }
        _ => {
            tracing::info!(run_id = %id, phase, event = event.code(), "run is {phase}");
            systemd::status(&format!("run {id} is {phase}"));
        }
    }
}
