//! The verb `reboot`: the most dangerous thing that is done as root. Read `prepare`: every reason to refuse stands there in
//! its order. Only root's own files and the executor's own look at the host count; of the request, only the id and the
//! boot that it means.
//!
//! What the host is like after the boot is not looked at here.

mod guard;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use patchd_core::report::Tristate;
use patchd_host::problem_list::ProblemList;
use patchd_host::{container, inhibitors, machine, next_boot, processes, reboot};
use patchd_protocol::executor::{RefusalCode, TransactionKind, TransactionRecord, TransactionState};

pub(crate) use self::guard::Guard;
use self::guard::Remembered;
use crate::child::{self, Call, Ended, Patience};
use crate::observe::damage;
use crate::record;
use crate::refusal::Stop;
use crate::repair::unfinished;
use crate::transaction::wait::{Guarded, blocker};
use crate::verbs::{Executor, Peer, Progress, output};
use crate::{log, text};

/// How long systemctl may take to hand the order on.
const LIMIT: Duration = Duration::from_secs(60);

/// What says that systemd is the host's first process.
const SYSTEMD: &str = "run/systemd/system";

/// How a host is rebooted, and what is remembered of it.
#[derive(Debug)]
pub(crate) struct Reboots {
    systemctl: PathBuf,
    guard: Guard,
    /// The boot that is under way.
    boot_id: fn() -> Option<String>,
}

impl Reboots {
    pub(crate) fn new(programs: &Path, state: &Path, boot_id: fn() -> Option<String>) -> Self {
        Self { systemctl: programs.join("systemctl"), guard: Guard::new(state), boot_id }
    }

    /// A refusal while the host is about to go down: what is begun now would be cut.
    pub(crate) fn check_up(&self, now: Timestamp) -> Result<(), Stop> {
        match self.guard.going_down(now, (self.boot_id)().as_deref()) {
            None => Ok(()),
            Some(since) => {
                let message = format!("the host was told at {since:.0} to reboot, and is about to go down");
                Err(Stop::refused(RefusalCode::Busy, message))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn set_boot(&mut self, boot_id: fn() -> Option<String>) {
        self.boot_id = boot_id;
    }
}

/// What a client asks for.
pub(crate) struct Order<'a> {
    pub(crate) run: &'a str,
    pub(crate) id: &'a str,
    /// The boot that is to be ended.
    pub(crate) boot_id: &'a str,
    pub(crate) peer: &'a Peer<'a>,
}

/// Everything that speaks for it, after nothing spoke against it.
struct Prepared {
    /// The window's name.
    word: String,
    because: String,
    reasons: BTreeSet<String>,
}

/// Has the host rebooted, once.
pub(crate) fn reboot(
    executor: &Executor,
    order: &Order<'_>,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    if let Some(known) = known(executor, order.id)? {
        return Ok(known);
    }
    let _held = executor.hold(&format!("reboot {}", order.id))?;
    if let Some(known) = known(executor, order.id)? {
        return Ok(known);
    }
    let prepared = prepare(executor, order)?;
    carry_out(executor, order, prepared, progress)
}

/// What is known of an order that was given before: it is not carried out again, whatever came of it.
fn known(executor: &Executor, id: &str) -> Result<Option<TransactionRecord>, Stop> {
    let found = executor.records.last(id).map_err(|error| Stop::failed(&error))?;
    match found {
        Some(record) if record.kind != TransactionKind::Reboot => {
            Err(Stop::refused(RefusalCode::Malformed, format!("transaction {id} was no reboot")))
        }
        known => Ok(known),
    }
}

/// Whose word a reboot of this run rests on now: the window's name. The hooks before it need the same.
pub(crate) fn permission(executor: &Executor, run: &str) -> Result<String, Stop> {
    let records = executor.records.all();
    let is_own = |record: &&TransactionRecord| record.run == run && record.kind == TransactionKind::Apply;
    let begun_at = records.iter().filter(is_own).map(|record| record.started_at).min();
    let occurrence = executor.policy.read()?.reboot((executor.now)(), &(executor.clock)(), begun_at)?;
    Ok(occurrence.name)
}

/// Looks at everything that could be a reason not to do it. What takes longest comes first, and what changes fastest last.
fn prepare(executor: &Executor, order: &Order<'_>) -> Result<Prepared, Stop> {
    permission(executor, order.run)?;
    check_boot(executor, order.boot_id)?;
    check_kind_of_host(executor)?;
    let (because, reasons) = wish(executor)?;
    if let Some(missing) = next_boot::missing(&executor.root, &executor.inventory()) {
        return Err(Stop::refused(RefusalCode::BootFiles, missing));
    }
    executor.reboots.guard.check((executor.now)(), order.boot_id, &reasons)?;
    check_packages(executor)?;
    let inhibitor = inhibitors::against_shutdown(&executor.root)
        .map_err(|why| Stop::refused(RefusalCode::Inhibited, text::cut(&why)))?;
    if let Some(who) = inhibitor {
        return Err(Stop::refused(RefusalCode::Inhibited, who));
    }
    if !executor.is_wanted(order.peer) {
        let message = "the client hung up, or the executor is told to end; nothing was done";
        return Err(Stop::Failed { message: message.into() });
    }
    // Looking takes time: only what is allowed now counts.
    Ok(Prepared { word: permission(executor, order.run)?, because, reasons })
}

/// An order that was given in another boot was carried out, or is late.
fn check_boot(executor: &Executor, meant: &str) -> Result<(), Stop> {
    let message = match (executor.reboots.boot_id)() {
        Some(present) if present == meant => return Ok(()),
        Some(present) => format!("the boot {} is not under way, but {present}", text::cut(meant)),
        None => "which boot is under way can't be told".into(),
    };
    Err(Stop::refused(RefusalCode::OtherBoot, message))
}

/// Only what systemd has started by itself on a machine of its own is rebooted.
fn check_kind_of_host(executor: &Executor) -> Result<(), Stop> {
    let refused = |message: String| Err(Stop::refused(RefusalCode::NeverRebooted, text::cut(&message)));
    if let Some(kind) = container::find(&executor.root) {
        return refused(format!("this is a container ({kind}): its host reboots it, or nobody does"));
    }
    if !executor.root.resolve(SYSTEMD).is_ok_and(|path| path.is_dir()) {
        return refused(
            "systemd is not this host's first process, and nothing else is asked to reboot it".into(),
        );
    }
    if !executor.reboots.systemctl.exists() {
        return refused(format!("there is no {}", executor.reboots.systemctl.display()));
    }
    Ok(())
}

/// Why the host asks for a reboot, by root's own look. Only a yes is one.
fn wish(executor: &Executor) -> Result<(String, BTreeSet<String>), Stop> {
    let (root, inventory) = (&executor.root, executor.inventory());
    let machine = machine::read_machine(root, &mut ProblemList::new("host"));
    let old_code = processes::look(root).of_packages(root, &inventory);
    let seen = reboot::look(root, &inventory, &machine, container::find(root).as_deref());
    let message = match seen.need_with(&old_code) {
        Tristate::Yes(because) => {
            return Ok((because, reboot::reasons(&inventory, &seen, &machine, &old_code)));
        }
        Tristate::No => "the host does not ask for a reboot".to_owned(),
        Tristate::Unknown(because) => format!("whether the host asks for a reboot can't be told: {because}"),
    };
    Err(Stop::refused(RefusalCode::NotNeeded, text::cut(&message)))
}

/// Nobody may be at work on packages, and none may be half way.
fn check_packages(executor: &Executor) -> Result<(), Stop> {
    if let Some(holder) = blocker(&executor.root, Guarded::Database) {
        return Err(Stop::refused(RefusalCode::Locked, format!("{holder} works on packages")));
    }
    if let Some(id) = unfinished(&executor.records) {
        let message = format!("the transaction {id} was not finished, and its repair comes first");
        return Err(Stop::refused(RefusalCode::Interrupted, message));
    }
    match damage(executor).first() {
        None => Ok(()),
        Some(first) => Err(Stop::refused(RefusalCode::Interrupted, first.clone())),
    }
}

/// Remembers it, and then asks systemd. From the first line on the answer is a record, whatever happens.
fn carry_out(
    executor: &Executor,
    order: &Order<'_>,
    prepared: Prepared,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    let Prepared { word, because, reasons } = prepared;
    let now = (executor.now)();
    let remembered = Remembered {
        transaction: order.id.into(),
        run: order.run.into(),
        asked_at: now,
        boot_id: order.boot_id.into(),
        reasons,
        failed: false,
    };
    let guard = &executor.reboots.guard;
    guard.remember(remembered.clone()).map_err(|error| Stop::failed(&error))?;
    let intent = record::intent(order.id, order.run, TransactionKind::Reboot, now);
    let mut record = TransactionRecord { permission: word, notes: vec![text::cut(&because)], ..intent };
    executor.records.begin(&record).map_err(|error| Stop::failed(&error))?;
    log::info(format_args!("rebooting for run {}, allowed by {:?}: {because}", order.run, record.permission));
    let message = format!("--message=patchd reboots this host: {}", text::cut(&because));
    let arguments = ["reboot".to_owned(), message];
    let words = executor.records.log(order.id);
    let call = Call {
        program: &executor.reboots.systemctl,
        arguments: &arguments,
        output: &words,
        errors: None,
        inherited: &[],
    };
    let patience = Patience::Limited { total: LIMIT, silence: LIMIT };
    let ended = child::run(&call, patience, &mut |line: &str| progress(output(line)));
    record.state = TransactionState::Ended;
    record.ended_at = Some((executor.now)());
    record.output_tail = executor.records.log_tail(order.id);
    match &ended {
        Ok(Ended { code, cut }) => {
            record.exit_code = *code;
            record.output_tail.extend(cut.map(|cut| format!("systemctl {cut}")));
        }
        Err(error) => record.output_tail.push(format!("{:?}", Stop::failed(error))),
    }
    if !ended.is_ok_and(Ended::is_success) {
        // It may go down all the same: nobody concludes anything from this but how long to wait.
        log::error(format_args!("systemctl reboot: {:?}", record.output_tail));
        if let Err(error) = guard.remember(Remembered { failed: true, ..remembered }) {
            log::error(format_args!("{:?}", Stop::failed(&error)));
        }
    }
    if let Err(error) = executor.records.end(&record) {
        log::error(format_args!("transaction {}: {:?}", order.id, Stop::failed(&error)));
    }
    Ok(record)
}
