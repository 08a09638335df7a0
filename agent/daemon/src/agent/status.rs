//! What the agent says of itself: its status and its health. It reads only what the agent has in memory; where the kernel's
//! word on its clock is missing or old, somebody else waits for it first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use patchd_core::gate::{self, Shut};
use patchd_core::window::{self, Verdict};
use patchd_protocol::control::clock::{ClockState, ClockStatus};
use patchd_protocol::control::windows::WindowsDocument;
use patchd_protocol::control::{
    AgentState, GateWire, HealthCheck, HealthDocument, HealthSchema, StatusDocument, StatusSchema,
};
use patchd_protocol::executor::ClockWire;
use patchd_protocol::report::native::AssessmentWire;
use tokio::sync::oneshot;

use super::{Agent, Message};
use crate::clock::Clock;
use crate::driver::Host;
use crate::gates::{self, window_status};
use crate::narrative;

/// How long an answer waits for the kernel's word on its clock. A later one is in the next answer.
const CLOCK_WAIT: Duration = Duration::from_secs(1);
/// As many openings to come are listed.
const LISTED_OPENINGS: usize = 10;

impl<H: Host, C: Clock> Agent<H, C> {
    /// Whether the status can't be told well before the kernel was asked of its clock.
    pub(super) fn must_ask_of_clock(&self) -> bool {
        let is_known = self.clock.word().is_some_and(|word| word.is_showable());
        self.settings.clock.require_synchronised && !is_known
    }

    /// Has the kernel asked, and the status told then. The agent's loop goes on meanwhile.
    pub(super) fn ask_of_clock(&self, reply: oneshot::Sender<StatusDocument>) {
        let (clock, inbox) = (Arc::clone(&self.clock), self.own_inbox.clone());
        tokio::spawn(async move {
            clock.ask_again(CLOCK_WAIT).await;
            if let Some(inbox) = inbox.upgrade() {
                // Without an agent there is no status: who asks is told that by the reply that never comes.
                let _ = inbox.send(Message::StatusAsItIs { reply }).await;
            }
        });
    }

    pub(super) fn status(&self) -> StatusDocument {
        let now = self.clock.now();
        let verdict = window::verdict(&self.settings.windows, now);
        StatusDocument {
            schema: StatusSchema::V1,
            state: if self.active.is_some() { AgentState::Running } else { AgentState::Idle },
            version: self.facts.version.into(),
            process_id: std::process::id(),
            started_at: self.facts.started_at,
            uptime_seconds: now.duration_since(self.facts.started_at).as_secs().max(0),
            host: self.facts.host.clone(),
            store: self.facts.store.clone(),
            spooled_reports: self.facts.spooled.load(Ordering::Relaxed),
            running: self.active.as_ref().map(|active| active.summary.clone()),
            last_run: self.last_run.clone(),
            last_report: self.last_report.clone(),
            next_scan_at: self.active.is_none().then(|| self.scheduling().next_scan(now).max(now)),
            clock: self.clock_status(),
            gates: self.gates(&verdict),
            window: window_status(&verdict),
            paused: self.is_paused,
            new_program: self.new_program_status(),
        }
    }

    /// What the gates would make of the clock now, by the kernel's last word.
    fn clock_verdict(&self) -> gate::Clock {
        gates::clock(self.clock.distrust(), self.clock_word().0, self.settings.clock.require_synchronised)
    }

    /// The kernel's last word, and how old it is.
    fn clock_word(&self) -> (ClockWire, Option<Duration>) {
        match self.clock.word() {
            Some(word) => (word.clock, Some(word.age)),
            None => (ClockWire::Unknown { detail: "the kernel was not asked yet".into() }, None),
        }
    }

    fn clock_status(&self) -> ClockStatus {
        let is_required = self.settings.clock.require_synchronised;
        let distrust = self.clock.distrust();
        let (word, age) = self.clock_word();
        let (state, detail) = match (distrust, word) {
            (Some(why), _) => (ClockState::Distrusted, Some(why)),
            (None, ClockWire::Synchronised) => (ClockState::Synchronised, None),
            (None, ClockWire::Unsynchronised) => (ClockState::Unsynchronised, None),
            (None, ClockWire::Unknown { detail }) => (ClockState::Unknown, Some(detail)),
        };
        let asked_at = age.and_then(|age| self.clock.now().checked_sub(age).ok());
        ClockStatus { state, required: is_required, detail, asked_at }
    }

    /// The gates that can be told without a look at the host.
    fn gates(&self, window: &Verdict) -> Vec<GateWire> {
        let now = self.clock.now();
        let mut shut = Vec::new();
        if self.is_paused {
            shut.push(Shut::Paused);
        }
        if let Some(freeze) = self.settings.frozen(now) {
            shut.push(Shut::Frozen { until: freeze.until, reason: freeze.reason });
        }
        match window {
            Verdict::Open(_) => {}
            Verdict::NoneConfigured => shut.push(Shut::NoWindow),
            Verdict::Shut { next } => {
                shut.push(Shut::OutsideWindow { next: next.as_ref().map(|next| next.start) });
            }
        }
        shut.extend(gate::shut_by_clock(&self.clock_verdict()));
        shut.extend(gate::shut_by_cloud_init(self.facts.cloud_init.changes_wait().as_deref()));
        let mut gates: Vec<GateWire> = shut.iter().map(narrative::gate).collect();
        if self.last_report.as_ref().is_none_or(|report| report.assessment == AssessmentWire::Incomplete) {
            let detail = match &self.last_report {
                None => "the host was not looked at yet".into(),
                Some(report) => format!("report {} says what was unknown; a run looks again", report.id),
            };
            gates.push(GateWire { code: "assessment_incomplete".into(), detail });
        }
        gates
    }

    /// What is open or shut now, and the openings to come.
    pub(super) fn windows(&self) -> WindowsDocument {
        WindowsDocument::of_settings(&self.settings, self.clock.now(), LISTED_OPENINGS)
    }

    pub(super) fn health(&self) -> HealthDocument {
        let now = self.clock.now();
        let check = |name: &str, ok, detail: String| HealthCheck { name: name.into(), ok, detail };
        let journal = match &self.trouble {
            None => check("journal", true, "it takes what is written".into()),
            Some(trouble) => check("journal", false, trouble.clone()),
        };
        let overdue = now.duration_since(self.scheduling().next_scan(now));
        let is_late = self.active.is_none() && 300 < overdue.as_secs();
        let last = self.last_end.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let last_scan = check("last_scan", !is_late, format!("the last run ended: {last}"));
        let (is_shut_in, sandbox) = self.facts.sandbox.health(&self.settings);
        let sandbox = check("sandbox", is_shut_in, sandbox);
        let checks = vec![check("loop", true, "it answers".into()), journal, last_scan, sandbox];
        HealthDocument { schema: HealthSchema::V1, healthy: checks.iter().all(|check| check.ok), checks }
    }
}
