//! From the domain's report to `patchd.report/1`. Nothing is decided here: each field has one source.

use patchd_core::baseline::ruling::Origin;
use patchd_core::compliance::{ComplianceItem, Counts, OfferVerdict, Offered, Update};
use patchd_core::offer::{Method, NewPackage, Repository};
use patchd_core::package::Version;
use patchd_core::problem::Problem;
use patchd_core::reason::{Cause, Link};
use patchd_core::report::{
    Assessment, Change, HostFacts, Operation, OtherPatcher, Reboot, RebootOutcome, Report, RunRecord,
    RunVerdict, Setback, Transaction, TransactionKind, Tristate,
};

use super::native::{
    AgentWire, AssessmentWire, BaselineWire, ChangeWire, ComplianceWire, CountsWire, HostWire, ItemWire,
    LinkWire, MethodWire, NewPackageWire, OfferedWire, OperationWire, OsWire, OtherPatcherWire, ProblemWire,
    RebootWire, ReportDocument, ReportSchema, RepositoryWire, RunWire, SetbackWire, SummaryWire,
    TransactionKindWire, TransactionWire, TristateWire, UpdateWire,
};
use crate::old_code::OldCodeWire;
use crate::words::{
    AnswerWire, ItemStatusWire, LevelWire, MethodNameWire, ReasonWire, RebootOutcomeWire, VerdictWire,
};

impl From<&Report> for ReportDocument {
    fn from(report: &Report) -> Self {
        let (assessment, reasons) = match report.assessment() {
            Assessment::Complete => (AssessmentWire::Complete, Vec::new()),
            Assessment::Incomplete { because } => {
                (AssessmentWire::Incomplete, because.iter().map(ProblemWire::from).collect())
            }
        };
        Self {
            schema: ReportSchema::V1,
            id: report.id.clone(),
            operation: match report.operation {
                Operation::Scan => OperationWire::Scan,
                Operation::Apply => OperationWire::Apply,
            },
            started_at: report.started_at,
            finished_at: report.finished_at,
            agent: AgentWire { name: "patchd".into(), version: report.agent_version.clone() },
            host: HostWire::from(&report.host),
            baseline: BaselineWire::from(report),
            assessment,
            assessment_reasons: reasons,
            summary: summary(report, assessment),
            refreshed_at: report.offers.refreshed_at,
            method: MethodWire::from(&report.offers.method),
            repositories: report.offers.repositories.iter().map(RepositoryWire::from).collect(),
            items: report.judgement.items.iter().map(ItemWire::from).collect(),
            updates: report.judgement.updates.iter().map(UpdateWire::from).collect(),
            new_packages: report.offers.new_packages.iter().map(NewPackageWire::from).collect(),
            problems: report.all_problems().map(ProblemWire::from).collect(),
            run: report.run.as_ref().map(RunWire::from),
        }
    }
}

impl From<&Report> for BaselineWire {
    fn from(report: &Report) -> Self {
        let Origin { source, digest, fetched_at, patch_group, override_source } =
            report.baseline_origin.clone();
        Self {
            id: report.baseline_id.clone(),
            name: report.baseline_name.clone(),
            source: Some(source),
            digest,
            fetched_at,
            patch_group,
            install_override_list: override_source,
        }
    }
}

fn summary(report: &Report, assessment: AssessmentWire) -> SummaryWire {
    let judgement = &report.judgement;
    let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    SummaryWire {
        compliance: match (judgement.non_compliant_severity, assessment) {
            (Some(_), _) => ComplianceWire::NonCompliant,
            (None, AssessmentWire::Complete) => ComplianceWire::Compliant,
            (None, AssessmentWire::Incomplete) => ComplianceWire::Unknown,
        },
        non_compliant_severity: judgement.non_compliant_severity.map(LevelWire::from),
        packages: number(judgement.items.len()),
        updates: number(judgement.updates.len()),
        security_updates: number(judgement.updates.iter().filter(|update| update.is_security).count()),
        counts: CountsWire::from(&judgement.counts),
    }
}

impl From<&Counts> for CountsWire {
    fn from(counts: &Counts) -> Self {
        Self {
            installed_count: counts.installed,
            installed_other_count: counts.installed_other,
            installed_pending_reboot_count: counts.installed_pending_reboot,
            installed_rejected_count: counts.installed_rejected,
            missing_count: counts.missing,
            failed_count: counts.failed,
            not_applicable_count: counts.not_applicable,
            critical_non_compliant_count: counts.critical_non_compliant,
            security_non_compliant_count: counts.security_non_compliant,
            other_non_compliant_count: counts.other_non_compliant,
        }
    }
}

impl From<&HostFacts> for HostWire {
    fn from(host: &HostFacts) -> Self {
        Self {
            id: host.id.clone(),
            hostname: host.hostname.clone(),
            account: host.account.clone(),
            region: host.region.clone(),
            os: OsWire {
                id: host.os.id.clone(),
                version_id: host.os.version_id.clone(),
                codename: host.os.version_codename.clone(),
                name: host.os.pretty_name.clone(),
            },
            architecture: host.architecture.clone(),
            kernel: host.kernel.clone(),
            boot_id: host.boot_id.clone(),
            memory_bytes: host.memory_bytes,
            needs_reboot: TristateWire::from(&host.needs_reboot),
            old_code: Some(OldCodeWire::from(&host.old_code)),
            other_patchers: host.other_patchers.iter().map(OtherPatcherWire::from).collect(),
        }
    }
}

impl From<&Tristate> for TristateWire {
    fn from(answer: &Tristate) -> Self {
        let (answer, because) = match answer {
            Tristate::Yes(because) => (AnswerWire::Yes, Some(because.clone())),
            Tristate::No => (AnswerWire::No, None),
            Tristate::Unknown(because) => (AnswerWire::Unknown, Some(because.clone())),
        };
        Self { answer, because }
    }
}

impl From<&OtherPatcher> for OtherPatcherWire {
    fn from(patcher: &OtherPatcher) -> Self {
        Self { name: patcher.name.clone(), evidence: patcher.evidence.clone() }
    }
}

impl From<&Method> for MethodWire {
    fn from(method: &Method) -> Self {
        match method {
            Method::Native => Self { name: MethodNameWire::Native, because: None },
            Method::AskedPackageManager { because } => {
                Self { name: MethodNameWire::AskedPackageManager, because: Some(because.clone()) }
            }
        }
    }
}

impl From<&Repository> for RepositoryWire {
    fn from(repository: &Repository) -> Self {
        Self {
            uri: repository.uri.clone(),
            distribution: repository.distribution.clone(),
            component: repository.component.clone(),
            origin: repository.origin.clone(),
            label: repository.label.clone(),
            suite: repository.suite.clone(),
            codename: repository.codename.clone(),
            version: repository.version.clone(),
            date: repository.date,
            valid_until: repository.valid_until,
            trust: repository.trust.into(),
            security: repository.is_security,
        }
    }
}

impl From<&ComplianceItem> for ItemWire {
    fn from(item: &ComplianceItem) -> Self {
        Self {
            name: item.package.name.as_str().into(),
            architecture: item.package.architecture.as_str().into(),
            state: item.state.into(),
            status: if item.state.is_compliant() {
                ItemStatusWire::Compliant
            } else {
                ItemStatusWire::NonCompliant
            },
            level: item.level.into(),
            classification: item.is_security.then(|| "Security".into()),
            severity: item.severity.as_deref().map(str::to_owned),
            installed: item.installed.as_str().into(),
            approved: item.approved.as_ref().map(|version| version.as_str().into()),
            installed_at: item.installed_at,
            reason: item.reason.as_ref().map(|reason| ReasonWire::from(&reason.cause)),
            detail: item.reason.as_ref().map(|reason| reason.cause.sentence()),
            changes_at: item.reason.as_ref().and_then(|reason| reason.changes_at),
            chain: item.reason.iter().flat_map(|reason| &reason.chain).map(LinkWire::from).collect(),
        }
    }
}

impl From<&Update> for UpdateWire {
    fn from(update: &Update) -> Self {
        Self {
            name: update.package.name.as_str().into(),
            architecture: update.package.architecture.as_str().into(),
            installed: update.installed.as_str().into(),
            candidate: update.candidate.as_str().into(),
            approved: update.approved.as_ref().map(|version| version.as_str().into()),
            security: update.is_security,
            origin: update.origin.clone(),
            advisories: update.advisories.clone(),
            reason: ReasonWire::from(&update.reason.cause),
            detail: update.reason.cause.sentence(),
            changes_at: update.reason.changes_at,
            chain: update.reason.chain.iter().map(LinkWire::from).collect(),
            offered: update.offered.iter().map(OfferedWire::from).collect(),
        }
    }
}

impl From<&Offered> for OfferedWire {
    fn from(offered: &Offered) -> Self {
        let (approved, detail, changes_at) = match &offered.verdict {
            OfferVerdict::Approved { level, by } => {
                (true, format!("{by} approves it ({})", level.as_str()), None)
            }
            OfferVerdict::Refused(cause) => (false, cause.sentence(), cause.changes_at()),
        };
        let version = offered.version.as_str().to_owned();
        Self { version, origin: offered.origin.clone(), approved, detail, changes_at }
    }
}

impl From<&Link> for LinkWire {
    fn from(link: &Link) -> Self {
        Self {
            package: link.package.to_string(),
            reason: ReasonWire::from(&link.cause),
            detail: link.cause.sentence(),
        }
    }
}

impl From<&NewPackage> for NewPackageWire {
    fn from(new: &NewPackage) -> Self {
        Self {
            name: new.id.name.as_str().into(),
            architecture: new.id.architecture.as_str().into(),
            version: new.version.as_str().into(),
        }
    }
}

impl From<&Problem> for ProblemWire {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.kind.code().into(),
            place: problem.place.clone(),
            line: problem.line,
            message: problem.message.clone(),
        }
    }
}

impl From<&RunRecord> for RunWire {
    fn from(run: &RunRecord) -> Self {
        Self {
            verdict: VerdictWire::from(&run.verdict),
            detail: match &run.verdict {
                RunVerdict::Succeeded => None,
                RunVerdict::Partial { detail }
                | RunVerdict::Refused { detail }
                | RunVerdict::Failed { detail } => Some(detail.clone()),
            },
            window: run.window.clone(),
            transactions: run.transactions.iter().map(TransactionWire::from).collect(),
            failed: run.failed.iter().map(SetbackWire::from).collect(),
            waiting: run.waiting.iter().map(SetbackWire::from).collect(),
            notes: run.notes.clone(),
            left_files: run.left_files.clone(),
            reboot: run.reboot.as_deref().map(RebootWire::from),
        }
    }
}

impl From<&Reboot> for RebootWire {
    fn from(reboot: &Reboot) -> Self {
        let Reboot { because, packages, outcome } = reboot.clone();
        let wire = Self {
            outcome: RebootOutcomeWire::Waits,
            because,
            packages,
            asked_at: None,
            seen_at: None,
            boot_before: None,
            boot_after: None,
            reasons: Vec::new(),
            detail: reboot.waits(),
        };
        match outcome {
            RebootOutcome::Done { asked_at, seen_at, boot_before, boot_after } => Self {
                outcome: RebootOutcomeWire::Done,
                asked_at: Some(asked_at),
                seen_at: Some(seen_at),
                boot_before: Some(boot_before),
                boot_after: Some(boot_after),
                ..wire
            },
            RebootOutcome::Waits { gates } => {
                let reasons = gates.into_iter().map(|shut| ReasonWire::from(&Cause::Shut(shut))).collect();
                Self { reasons, ..wire }
            }
            RebootOutcome::Missed { asked_at, .. } => {
                Self { outcome: RebootOutcomeWire::Missed, asked_at: Some(asked_at), ..wire }
            }
        }
    }
}

impl From<&Setback> for SetbackWire {
    fn from(setback: &Setback) -> Self {
        Self {
            packages: setback.packages.iter().map(ToString::to_string).collect(),
            why: setback.why.clone(),
            output: setback.output.clone(),
        }
    }
}

impl From<TransactionKind> for TransactionKindWire {
    fn from(kind: TransactionKind) -> Self {
        match kind {
            TransactionKind::Apply => Self::Apply,
            TransactionKind::Repair => Self::Repair,
            TransactionKind::Hooks => Self::Hooks,
        }
    }
}

impl From<&Transaction> for TransactionWire {
    fn from(transaction: &Transaction) -> Self {
        Self {
            id: transaction.id.clone(),
            kind: TransactionKindWire::from(transaction.kind),
            started_at: transaction.started_at,
            took_seconds: transaction.took.as_secs(),
            exit_code: transaction.exit_code,
            changes: transaction.changes.iter().map(ChangeWire::from).collect(),
            output_tail: transaction.output_tail.clone(),
        }
    }
}

impl From<&Change> for ChangeWire {
    fn from(change: &Change) -> Self {
        let text = |version: &Option<Version>| version.as_ref().map(|version| version.as_str().to_owned());
        Self {
            name: change.package.name.as_str().into(),
            architecture: change.package.architecture.as_str().into(),
            before: text(&change.before),
            planned: text(&change.planned),
            after: text(&change.after),
            done: change.is_done,
        }
    }
}
