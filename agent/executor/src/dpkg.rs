//! dpkg itself, for what apt can't do: finishing what was cut, and installing from a file. Each is one call with one
//! argument vector, and nothing but its own end ends it.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use crate::child::{self, Call, ChildError, Ended, Patience, Watch};

/// An edited configuration file stays in use, and nobody is asked.
const CONFFILES: [&str; 2] = ["--force-confdef", "--force-confold"];

/// dpkg on this machine.
#[derive(Debug)]
pub(crate) struct Dpkg {
    program: PathBuf,
}

impl Dpkg {
    /// `programs` is where dpkg lies.
    pub(crate) fn new(programs: &Path) -> Self {
        Self { program: programs.join("dpkg") }
    }

    /// Takes over the journal, and finishes every package that is unpacked or half configured, with its triggers. `kept`
    /// stays open in it.
    pub(crate) fn configure_all(
        &self,
        log: &Path,
        kept: Option<BorrowedFd<'_>>,
        watch: &mut dyn Watch,
    ) -> Result<Ended, ChildError> {
        self.call(&["--configure", "-a"], log, kept, watch)
    }

    /// Installs archives, whatever state their packages are in. It never goes back to an earlier version.
    pub(crate) fn install(
        &self,
        archives: &[&Path],
        log: &Path,
        kept: Option<BorrowedFd<'_>>,
        watch: &mut dyn Watch,
    ) -> Result<Ended, ChildError> {
        let paths = archives.iter().filter_map(|path| path.to_str());
        let arguments: Vec<_> = ["--refuse-downgrade", "--install"].into_iter().chain(paths).collect();
        self.call(&arguments, log, kept, watch)
    }

    fn call(
        &self,
        arguments: &[&str],
        log: &Path,
        kept: Option<BorrowedFd<'_>>,
        watch: &mut dyn Watch,
    ) -> Result<Ended, ChildError> {
        let arguments: Vec<_> = CONFFILES.iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let call = Call {
            program: &self.program,
            arguments: &arguments,
            output: log,
            errors: None,
            inherited: kept.as_slice(),
        };
        child::run(&call, Patience::Endless, watch)
    }
}
