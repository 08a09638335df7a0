//! A socket that answers as the daemon does, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::{Outcome, command, outcome};

/// A socket with an answer for each request; the last answer to a request is repeated.
pub(crate) struct Daemon {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

/// The status and the body of an answer. A body that begins like an event is an event stream.
pub(crate) type Answer = (u16, String);

type Answers = BTreeMap<&'static str, Vec<Answer>>;

/// A stream that ends so is never ended: nothing more comes.
pub(crate) const HANGS: &str = ": hangs\n\n";

impl Daemon {
    pub(crate) fn new(answers: impl IntoIterator<Item = (&'static str, Vec<Answer>)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("patchd.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut answers: Answers = answers.into_iter().collect();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        // The thread ends with the test's process.
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                hanging.extend(answer(stream.unwrap(), &mut answers, &log));
            }
        });
        Self { directory, socket, requests }
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Outcome {
        outcome(command().arg("--socket").arg(&self.socket).args(arguments))
    }

    /// What was posted where, oldest first.
    pub(crate) fn posts(&self) -> Vec<(String, Value)> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|(request, _)| request.starts_with("POST")).cloned().collect()
    }
}

fn answer(
    mut stream: UnixStream,
    answers: &mut Answers,
    log: &Mutex<Vec<(String, Value)>>,
) -> Option<UnixStream> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let request = first.trim_end_matches(" HTTP/1.1");
    let head: Vec<_> = std::iter::repeat_with(line).take_while(|line| !line.is_empty()).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    log.lock().unwrap().push((request.to_owned(), serde_json::from_slice(&body).unwrap_or_default()));
    let (status, body) = match answers.get_mut(request) {
        Some(left) if 1 < left.len() => left.remove(0),
        Some(left) => left.first().unwrap().clone(),
        None => (404, problem("not-found", "there is no such thing here", request)),
    };
    let is_stream = ["event:", ":", "id:"].iter().any(|start| body.starts_with(start));
    let head = if is_stream {
        format!("HTTP/1.1 {status} x\r\ncontent-type: text/event-stream\r\n\r\n")
    } else {
        format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len())
    };
    // The client may have enough of it already.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    body.ends_with(HANGS).then_some(stream)
}

pub(crate) fn problem(kind: &str, title: &str, detail: &str) -> String {
    json!({"type": format!("urn:patchd:problem:{kind}"), "title": title, "status": 0, "detail": detail})
        .to_string()
}
