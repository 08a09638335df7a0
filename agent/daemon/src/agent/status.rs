//! What the agent says of itself: its status and its health. It reads only what the agent has in memory.

use std::sync::atomic::Ordering;

use patchd_core::gate::{self, Situation};
use patchd_core::report::Assessment;
use patchd_core::run::Phase;
use patchd_core::window::{self, Occurrence, Verdict};
use patchd_protocol::control::{
    AgentState, GateWire, HealthCheck, HealthDocument, HealthSchema, OccurrenceWire, RunPhase,
    StatusDocument, StatusSchema, WindowStatus, WindowVerdict,
};
use patchd_protocol::report::native::AssessmentWire;

use super::Agent;
use crate::clock::Clock;
use crate::driver::Host;

/// A phase as the API names it.
pub(super) fn phase(phase: &Phase) -> RunPhase {
    match phase {
        Phase::Queued => RunPhase::Queued,
        Phase::Refreshing { .. } => RunPhase::Refreshing,
        Phase::Assessing { .. } => RunPhase::Assessing,
        Phase::Planning { .. } => RunPhase::Planning,
        Phase::Gating { .. } => RunPhase::Gating,
        Phase::Applying(_) => RunPhase::Applying,
        Phase::Recalling { .. } => RunPhase::Recalling,
        Phase::ReadingBack { .. } => RunPhase::ReadingBack,
        Phase::Reporting { .. } => RunPhase::Reporting,
        Phase::Concluded { .. } => RunPhase::Concluded,
    }
}

fn occurrence(occurrence: &Occurrence) -> OccurrenceWire {
    let Occurrence { start, cutoff, end, name } = occurrence;
    OccurrenceWire { name: name.clone(), start: *start, cutoff: *cutoff, end: *end }
}

impl<H: Host, C: Clock> Agent<H, C> {
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
            gates: self.gates(&verdict),
            window: window_status(&verdict),
            paused: self.is_paused,
        }
    }

    /// The gates that can be told without a look at the host.
    fn gates(&self, window: &Verdict) -> Vec<GateWire> {
        let situation = Situation { window, is_paused: self.is_paused, assessment: &Assessment::Complete };
        let shut = gate::check(&situation).err().unwrap_or_default();
        let mut gates: Vec<GateWire> =
            shut.iter().map(|shut| GateWire { code: shut.code().into(), detail: shut.sentence() }).collect();
        if self.last_report.as_ref().is_none_or(|report| report.assessment == AssessmentWire::Incomplete) {
            let detail = match &self.last_report {
                None => "the host was not looked at yet".into(),
                Some(report) => format!("report {} says what was unknown; a run looks again", report.id),
            };
            gates.push(GateWire { code: "assessment_incomplete".into(), detail });
        }
        gates
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
        let checks = vec![check("loop", true, "it answers".into()), journal, last_scan];
        HealthDocument { schema: HealthSchema::V1, healthy: checks.iter().all(|check| check.ok), checks }
    }
}

fn window_status(verdict: &Verdict) -> WindowStatus {
    let (verdict, next) = match verdict {
        Verdict::NoneConfigured => (WindowVerdict::None, None),
        Verdict::Open(open) => (WindowVerdict::Open, Some(open)),
        Verdict::Shut { next } => (WindowVerdict::Shut, next.as_ref()),
    };
    WindowStatus { verdict, occurrence: next.map(occurrence) }
}
