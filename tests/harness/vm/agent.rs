//! The conversation with the agent in the machine, over its second serial port: scripts go in, exit codes and outputs come
//! out. A serial port and nothing better, since it has no state that a saved machine could lose.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::wait;

/// What a script came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The host's end.
#[derive(Debug)]
pub(super) struct Agent {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    number: u32,
}

impl Agent {
    /// Connects as soon as the emulator listens.
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let stream = wait::until("the emulator to listen", 20, || Ok(UnixStream::connect(socket).ok()))?;
        let lines = BufReader::new(stream.try_clone().context("sharing a connection")?);
        Ok(Self { stream, lines, number: 0 })
    }

    /// Waits until the agent says that it was started; its machine's boot id.
    pub(super) fn wait_until_ready(&mut self, seconds: u64) -> Result<String> {
        let line = self.line(seconds, |line| line.starts_with("ready ")).context("waiting for the boot")?;
        Ok(line.trim_start_matches("ready ").to_owned())
    }

    /// Runs a script with bash.
    pub(super) fn run(&mut self, script: &str, seconds: u64) -> Result<Said> {
        self.number += 1;
        let prefix = format!("{} ", self.number);
        let asked = format!("{prefix}{}\n", encode(script)?);
        self.stream.write_all(asked.as_bytes()).context("asking the agent")?;
        let answer = self.line(seconds, |line| line.starts_with(&prefix));
        let answer = answer.with_context(|| format!("waiting for the machine to run:\n{script}"))?;
        let mut words = answer.split(' ').skip(1);
        let code = words.next().and_then(|word| word.parse().ok());
        let mut output = || decode(words.next().unwrap_or_default().trim_start_matches('='));
        Ok(Said { code: code.context("reading the exit code")?, stdout: output()?, stderr: output()? })
    }

    /// Reads up to the first line that is wanted. Each line may take so many seconds.
    fn line(&mut self, seconds: u64, is_wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.stream.set_read_timeout(Some(Duration::from_secs(seconds)))?;
        loop {
            let mut bytes = Vec::new();
            let count = self.lines.read_until(b'\n', &mut bytes);
            if count.with_context(|| format!("the machine said nothing for {seconds} seconds"))? == 0 {
                bail!("the emulator has ended");
            }
            let line = String::from_utf8_lossy(&bytes).trim().to_owned();
            if is_wanted(&line) {
                return Ok(line);
            }
        }
    }
}

fn encode(text: &str) -> Result<String> {
    piped("base64", &["-w0"], text)
}

fn decode(text: &str) -> Result<String> {
    piped("base64", &["-d"], text)
}

fn piped(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut file = tempfile::tempfile().context("making a temporary file")?;
    file.write_all(input.as_bytes())?;
    std::io::Seek::rewind(&mut file)?;
    Ok(command::finish(command::command(program).args(arguments).stdin(file))?.success()?.stdout)
}
