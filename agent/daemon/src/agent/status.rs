//! What the agent says of itself: its status and its health. It reads only what the agent has in memory.

use std::sync::atomic::Ordering;

use patchd_core::gate::Shut;
use patchd_core::window::{self, Verdict};
use patchd_protocol::control::{
    AgentState, GateWire, HealthCheck, HealthDocument, HealthSchema, StatusDocument, StatusSchema,
};
use patchd_protocol::report::native::AssessmentWire;

use super::Agent;
use crate::clock::Clock;
use crate::driver::Host;
use crate::gates::window_status;
use crate::narrative;

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
        if let Some(detail) = self.clock.distrust() {
            shut.push(Shut::ClockUntrusted { detail });
        }
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
