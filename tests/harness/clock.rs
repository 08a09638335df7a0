//! A host's clock that a test sets, as an operator or a broken time server would, while its programs run. `clock.c` lays it
//! over the machine's own clock in the programs of patchd, and in nothing else; the machine's clock is left alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use crate::apt_root::AptRoot;
use crate::{command, place};

const LIBRARY: &str = "/lab-clock.so";
const HANDS: &str = "/lab-clock";
const DAY: i64 = 24 * 3_600;

/// The clock of one root.
#[derive(Debug)]
pub struct LabClock {
    file: File,
    /// Seconds by which the time of day, and the time since boot, are ahead of the machine's.
    wall: i64,
    up: i64,
    is_kept: bool,
}

impl LabClock {
    /// A clock that somebody keeps, three days from now at this time of day (UTC): later than anything that apt knows of.
    pub fn at(root: &AptRoot, hour: i64, minute: i64) -> Result<Self> {
        let source = place::workspace().join("tests/harness/clock.c");
        let (source, library) = (source.display().to_string(), root.at(LIBRARY).display().to_string());
        command::run("cc", ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", &library, &source])?;
        root.write(HANDS, [0; 24])?;
        let file = File::options().write(true).open(root.at(HANDS)).context("opening a clock")?;
        let now =
            i64::try_from(UNIX_EPOCH.elapsed().context("the machine's clock is before 1970")?.as_secs())?;
        let wall = (now / DAY + 3) * DAY + hour * 3_600 + minute * 60 - now;
        let clock = Self { file, wall, up: 0, is_kept: true };
        clock.write()?;
        Ok(clock)
    }

    /// What a program needs in its environment to see this clock.
    pub fn environment() -> [String; 2] {
        [format!("LD_PRELOAD={LIBRARY}"), format!("LAB_CLOCK={HANDS}")]
    }

    /// Time goes by.
    pub fn pass(&mut self, minutes: i64) -> Result<()> {
        self.pass_and_set(minutes, 0)
    }

    /// Somebody sets the clock, forward or back.
    pub fn set(&mut self, minutes: i64) -> Result<()> {
        self.pass_and_set(0, minutes)
    }

    /// Both at once: no program looks at the clock in between.
    pub fn pass_and_set(&mut self, passed: i64, set: i64) -> Result<()> {
        self.up += passed * 60;
        self.wall += (passed + set) * 60;
        self.write()
    }

    /// Says whether somebody keeps it right, as a time service tells the kernel.
    pub fn keep(&mut self, is_kept: bool) -> Result<()> {
        self.is_kept = is_kept;
        self.write()
    }

    /// In place: the programs have the file mapped.
    fn write(&self) -> Result<()> {
        let hands = [self.wall, self.up, i64::from(self.is_kept)];
        self.file.write_all_at(&hands.map(i64::to_ne_bytes).concat(), 0).context("setting a clock")
    }
}
