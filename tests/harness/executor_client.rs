//! An executor in a disposable root, spoken with over its socket as the daemon does, with no daemon around it.
//!
//! It checks nothing of what is answered: the scenarios do.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use patchd_core::plan::Plan;
use patchd_protocol::executor::{
    PROTOCOL, PlanWire, PlannedChangeWire, ProgressWire, Reply, Request, TransactionRecord, Verb, digest,
};
use patchd_protocol::frame::{self, MAX_REPLY, MAX_REQUEST};

use crate::apt_root::AptRoot;
use crate::binaries;
use crate::booted::Booted;
use crate::repository::architecture;

/// Two windows that overlap, so that at no time of day a cutoff is near, and the clock of a lab.
pub const ALWAYS: &str = "[clock]\nrequire_synchronised = false\n\
                          [[window]]\nname = \"one\"\nschedule = \"daily 00:00 +24h\"\n\
                          [[window]]\nname = \"two\"\nschedule = \"daily 12:00 +24h\"\n";

const PROGRAM: &str = "/usr/libexec/patchd/patchd-executor";

/// A root with the executor, its user and a policy that always allows changes.
pub fn root_with_executor() -> Result<AptRoot> {
    let root = AptRoot::fresh()?;
    install_executor(&root)?;
    root.mount_processes()?;
    Ok(root)
}

/// Puts the executor and the policy into a root.
pub fn install_executor(root: &AptRoot) -> Result<()> {
    root.install(&binaries::executor()?, PROGRAM)?;
    root.write("/etc/patchd/patchd.toml", ALWAYS)
}

/// An executor, with our end of its socket.
#[derive(Debug)]
pub struct Client {
    pub child: Child,
    stream: UnixStream,
    /// All progress so far, of all requests.
    pub progress: Vec<ProgressWire>,
}

impl Client {
    pub fn start(root: &AptRoot) -> Result<Self> {
        Self::start_by(root.direct_command([PROGRAM]), root)
    }

    /// The same in a root that is booted. Its child is what enters the root.
    pub fn start_in(booted: &Booted<'_>) -> Result<Self> {
        Self::start_by(booted.command([PROGRAM]), booted.root())
    }

    fn start_by(mut command: Command, root: &AptRoot) -> Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let log = File::options().create(true).append(true).open(root.at("/executor.log"))?;
        let child = command.stdin(OwnedFd::from(theirs)).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child, stream, progress: Vec::new() })
    }

    pub fn send(&mut self, verb: Verb) -> Result<()> {
        let request = Request { protocol: PROTOCOL, run: "run-1".into(), verb };
        frame::write(&mut self.stream, &request, MAX_REQUEST).context("sending a request")
    }

    /// The next reply, also if it is progress.
    pub fn receive_any(&mut self) -> Result<Reply> {
        let reply = frame::read(&mut self.stream, MAX_REPLY)?.context("the executor hung up")?;
        if let Reply::Progress(progress) = &reply {
            self.progress.push(progress.clone());
        }
        Ok(reply)
    }

    /// The next reply that is no progress.
    pub fn receive(&mut self) -> Result<Reply> {
        loop {
            match self.receive_any()? {
                Reply::Progress(_) => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Waits for progress of some kind.
    pub fn until(&mut self, what: &str, is_it: impl Fn(&ProgressWire) -> bool) -> Result<ProgressWire> {
        loop {
            match self.receive_any()? {
                Reply::Progress(progress) if is_it(&progress) => return Ok(progress),
                Reply::Progress(_) => {}
                other => bail!("waiting for {what}, there came {other:?}"),
            }
        }
    }

    pub fn ask(&mut self, verb: Verb) -> Result<Reply> {
        self.send(verb)?;
        self.receive()
    }

    pub fn apply(&mut self, id: &str, plan: &PlanWire) -> Result<Reply> {
        self.ask(apply(id, plan)?)
    }

    pub fn recall(&mut self, id: &str, wait_seconds: u64) -> Result<TransactionRecord> {
        match self.ask(Verb::Recall { transaction: id.into(), wait_seconds })? {
            Reply::Recalled(Some(record)) => Ok(record),
            other => bail!("not recalled: {other:?}"),
        }
    }

    /// Hangs up, and the executor ends by itself.
    pub fn end(mut self) -> Result<()> {
        drop(self.stream);
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the executor ended with {status}");
        }
        Ok(())
    }

    /// Ends the executor at once, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        match self.child.kill() {
            Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(error.into()),
            _ => {}
        }
        self.child.wait()?;
        Ok(())
    }
}

/// The request to carry out a plan, meant to take no time.
pub fn apply(id: &str, plan: &PlanWire) -> Result<Verb> {
    Ok(Verb::Apply {
        transaction: id.into(),
        plan: plan.clone(),
        digest: digest(&Plan::try_from(plan)?),
        estimate_seconds: 0,
        grant: None,
    })
}

/// A change of a package of the root's own architecture, or of all if its name ends in `-doc`.
pub fn change(name: &str, from: Option<&str>, to: &str) -> Result<PlannedChangeWire> {
    let architecture = if name.ends_with("-doc") { "all".into() } else { architecture()? };
    Ok(PlannedChangeWire { name: name.into(), architecture, from: from.map(str::to_owned), to: to.into() })
}

/// A plan that removes nothing.
pub fn plan<const N: usize>(changes: [Result<PlannedChangeWire>; N]) -> Result<PlanWire> {
    Ok(PlanWire { changes: changes.into_iter().collect::<Result<_>>()?, removals: Vec::new() })
}

/// The record of an answer that is one.
pub fn done(reply: Reply) -> Result<TransactionRecord> {
    match reply {
        Reply::Done(record) => Ok(record),
        other => bail!("not done: {other:?}"),
    }
}

/// This process holds a lock as apt would, until the file is dropped.
pub fn hold_lock(root: &AptRoot, path: &str) -> Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(root.at(path))?;
    let lock = libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK)?,
        l_whence: libc::c_short::try_from(libc::SEEK_SET)?,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).with_context(|| format!("locking {path}"))?;
    Ok(file)
}
