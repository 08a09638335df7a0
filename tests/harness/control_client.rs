//! The control API as any client speaks it: one request a connection, HTTP/1.1 over the socket, JSON both ways.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A daemon that says nothing for so long is not going to.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Null where the body is no JSON.
    pub body: Value,
}

/// Asks without a body.
pub fn get(socket: &Path, path: &str) -> Result<Answer> {
    exchange(socket, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
}

/// Asks with a body.
pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Answer> {
    let body = body.to_string();
    let length = body.len();
    exchange(
        socket,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(socket: &Path, request: &str) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("reaching {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes()).context("asking the daemon")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("reading the daemon's answer")?;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(answer: &str) -> Result<Answer> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("no answer: {answer:?}") };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status in {head:?}"))?;
    Ok(Answer { status, body: serde_json::from_str(body).unwrap_or_default() })
}
