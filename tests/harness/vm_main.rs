//! `lab-vm`: what `cargo xtask lab vm` runs, and what the emulator runs to reach a service of this host. It needs root to
//! build, and changes nothing outside of the target directory.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers, which prints")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, bail};
use patchd_tests::vm;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["build"] => vm::Image::ready().map(|image| println!("{}", image.disk().display())),
        ["shell"] => vm::shell(),
        ["pipe", port] => pipe(port),
        _ => Err(anyhow::anyhow!("usage: lab-vm build | shell | pipe PORT")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-vm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Joins standard input and output with a port of this host, for one connection of a machine.
fn pipe(port: &str) -> Result<()> {
    let port: u16 = port.parse().with_context(|| format!("{port:?} is no port"))?;
    let mut from = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("reaching the service")?;
    let mut to = from.try_clone().context("sharing the connection")?;
    thread::spawn(move || {
        // Either end may leave at any time.
        let _ = copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    match copy(&mut from, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => bail!("the connection broke: {error}"),
        _ => Ok(()),
    }
}

/// Like `io::copy`, but nothing waits for more.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(chunk.get(..count).unwrap_or_default())?;
        to.flush()?;
    }
}
