//! A small HTTP/1.1 server for what no real one does on request: silence, resets, chosen statuses, and keeping what it
//! was asked. It is no stand-in for S3: what S3 does is proven against a real server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// A client of a test that sends nothing for so long is forgotten.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_HEAD: usize = 64 * 1024;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Request {
    /// Hands the request on to another server as it is, and takes its answer.
    pub fn forward(&self, url: &str) -> Result<Reply> {
        let mut connection = TcpStream::connect(url.trim_start_matches("http://"))?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.target);
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        connection.write_all(format!("{head}\r\n").as_bytes())?;
        connection.write_all(&self.body)?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").context("reading the answer's head")?;
        let status =
            head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("reading its status")?;
        Ok(Reply::status(status).with_body(body))
    }
}

/// What to do about it.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Read the request and never answer.
    Silence,
    /// Close the connection with a reset.
    Reset,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status: 200, headers: Vec::new(), body: body.into() }
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    #[must_use]
    pub fn with_body(mut self, content: impl Into<Vec<u8>>) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = content.into();
        }
        self
    }
}

/// A running server on a free port of this machine. Its threads end with the test's process.
#[derive(Debug)]
pub struct FakeHttp {
    address: SocketAddr,
    asked: Receiver<Request>,
}

impl FakeHttp {
    /// Answers every request with what `answer` says; it gets the number of the request, counted from 0.
    pub fn start(answer: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening on a free port")?;
        let address = listener.local_addr().context("asking for the port")?;
        let (tell, asked) = channel();
        thread::spawn(move || serve(&listener, &tell, answer));
        Ok(Self { address, asked })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has been asked since the last call.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.try_iter().collect()
    }
}

fn serve(listener: &TcpListener, tell: &Sender<Request>, answer: impl Fn(usize, &Request) -> Reply) {
    // Connections that got silence are kept open, or the silence would end.
    let mut silent = Vec::new();
    let mut number = 0;
    for mut connection in listener.incoming().flatten() {
        let Ok(Some(request)) = read_request(&mut connection) else { continue };
        let reply = answer(number, &request);
        number += 1;
        // It fails only when the test is over.
        let _ = tell.send(request);
        match reply {
            Reply::Answer { status, headers, body } => {
                let _ = write_answer(&mut connection, status, &headers, &body);
            }
            Reply::Silence => silent.push(connection),
            Reply::Reset => reset(&connection),
        }
    }
}

fn read_request(connection: &mut TcpStream) -> io::Result<Option<Request>> {
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let count = connection.read(&mut chunk)?;
        if count == 0 || MAX_HEAD < bytes.len() {
            return Ok(None);
        }
        bytes.extend(chunk.iter().take(count));
    };
    let mut body = bytes.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&bytes);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if request.header("expect").is_some() {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while body.len() < length {
        let count = connection.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        body.extend(chunk.iter().take(count));
    }
    request.body = body;
    Ok(Some(request))
}

fn write_answer(
    connection: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {status} Fake\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write_all(format!("{head}\r\n").as_bytes())?;
    connection.write_all(body)?;
    connection.flush()
}

/// With a linger time of zero, closing sends a reset.
fn reset(connection: &TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = nix::sys::socket::setsockopt(connection, nix::sys::socket::sockopt::Linger, &linger);
}
