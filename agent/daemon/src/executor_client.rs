//! The executor's other end: one request, then the reply that closes it. What replies mean for a run is in `machine`.
//!
//! Without an answer nothing is known: a lost connection is an error here and never a result.

use std::io;
use std::path::PathBuf;

use patchd_core::run::RunId;
use patchd_protocol::executor::{PROTOCOL, ProgressWire, Reply, Request, Verb};
use patchd_protocol::frame::{MAX_REPLY, MAX_REQUEST};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Why the executor gave no answer.
#[derive(Debug, Error)]
pub enum ExecutorError {
    #[error("can't reach the executor at {}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("the connection to the executor failed")]
    Io(#[source] io::Error),
    #[error("the executor hung up without an answer")]
    HungUp,
    #[error("a message of {length} bytes is over the limit of {limit}")]
    TooLong { length: u64, limit: u32 },
    #[error("the executor's answer is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
}

/// A client of the executor. Each request has a connection of its own: what one leaves behind is in no other's way, and
/// an executor that died is started by whoever holds the socket.
#[derive(Debug, Clone)]
pub struct ExecutorClient {
    socket: PathBuf,
}

impl ExecutorClient {
    pub fn at_socket(path: impl Into<PathBuf>) -> Self {
        Self { socket: path.into() }
    }

    /// Asks for one verb and awaits its end. `progress` is told what goes on meanwhile.
    pub async fn ask(
        &self,
        run: &RunId,
        verb: Verb,
        progress: impl FnMut(&ProgressWire) + Send,
    ) -> Result<Reply, ExecutorError> {
        let request = Request { protocol: PROTOCOL, run: run.as_str().into(), verb };
        let connected = UnixStream::connect(&self.socket).await;
        let path = || self.socket.clone();
        let mut stream = connected.map_err(|source| ExecutorError::Connect { path: path(), source })?;
        converse(&mut stream, &request, progress).await
    }
}

async fn converse(
    stream: &mut UnixStream,
    request: &Request,
    mut progress: impl FnMut(&ProgressWire) + Send,
) -> Result<Reply, ExecutorError> {
    let body = serde_json::to_vec(request).map_err(ExecutorError::Json)?;
    let length = u32::try_from(body.len()).ok().filter(|&length| length <= MAX_REQUEST);
    let Some(length) = length else {
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        return Err(ExecutorError::TooLong { length, limit: MAX_REQUEST });
    };
    stream.write_all(&length.to_be_bytes()).await.map_err(ExecutorError::Io)?;
    stream.write_all(&body).await.map_err(ExecutorError::Io)?;
    drop(body);
    loop {
        match read_reply(stream).await? {
            Reply::Progress(told) => progress(&told),
            reply => return Ok(reply),
        }
    }
}

async fn read_reply(stream: &mut UnixStream) -> Result<Reply, ExecutorError> {
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ExecutorError::HungUp,
        _ => ExecutorError::Io(error),
    };
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(cut)?;
    let length = u32::from_be_bytes(length);
    if MAX_REPLY < length {
        return Err(ExecutorError::TooLong { length: length.into(), limit: MAX_REPLY });
    }
    let mut body = Vec::new();
    let read = stream.take(length.into()).read_to_end(&mut body).await.map_err(ExecutorError::Io)?;
    if u32::try_from(read).ok() != Some(length) {
        return Err(ExecutorError::HungUp);
    }
    serde_json::from_slice(&body).map_err(ExecutorError::Json)
}

#[cfg(test)]
mod tests {
    use patchd_protocol::executor::{RefusalCode, RefusalWire};
    use patchd_protocol::frame;

    use tokio::net::UnixListener;

    use super::*;

    fn recall() -> Verb {
        Verb::Recall { transaction: "run-1.apply.1".into(), wait_seconds: 0 }
    }

    /// Asks an executor that answers each request with these bytes.
    async fn ask(answers: Vec<Vec<u8>>) -> (Result<Reply, ExecutorError>, Vec<ProgressWire>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("executor.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = ExecutorClient::at_socket(&path);
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut theirs, _) = listener.accept().await.unwrap();
                let mut length = [0; 4];
                theirs.read_exact(&mut length).await.unwrap();
                let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
                theirs.read_exact(&mut body).await.unwrap();
                let request: Request = serde_json::from_slice(&body).unwrap();
                assert_eq!((request.protocol, request.run.as_str()), (PROTOCOL, "run-1"));
                theirs.write_all(&answer).await.unwrap();
            }
        });
        let mut lines = Vec::new();
        let run = RunId::parse("run-1").unwrap();
        let reply = client.ask(&run, recall(), |told| lines.push(told.clone())).await;
        server.await.unwrap();
        (reply, lines)
    }

    fn framed(replies: &[Reply]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for reply in replies {
            frame::write(&mut bytes, reply, MAX_REPLY).unwrap();
        }
        bytes
    }

    #[tokio::test]
    async fn progress_comes_before_the_answer() {
        let told = ProgressWire::Output { line: "Get:1".into() };
        let replies = [Reply::Progress(told.clone()), Reply::Recalled(None)];
        let (reply, lines) = ask(vec![framed(&replies)]).await;
        assert_eq!(reply.unwrap(), Reply::Recalled(None));
        assert_eq!(lines, [told]);
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let refused =
            Reply::Refused(RefusalWire { code: RefusalCode::NoWindow, message: "no".into(), blamed: vec![] });
        let (reply, _) = ask(vec![framed(std::slice::from_ref(&refused))]).await;
        assert_eq!(reply.unwrap(), refused);
    }

    #[tokio::test]
    async fn a_cut_long_or_foreign_answer_is_none() {
        let whole = framed(&[Reply::Recalled(None)]);
        for cut in 0..whole.len() {
            let (reply, _) = ask(vec![whole[..cut].to_vec()]).await;
            assert!(matches!(reply, Err(ExecutorError::HungUp)), "{cut}: {reply:?}");
        }
        let (long, ..) = ask(vec![u32::MAX.to_be_bytes().to_vec()]).await;
        assert!(matches!(long, Err(ExecutorError::TooLong { .. })));
        let mut foreign = Vec::new();
        frame::write(&mut foreign, &"hello", MAX_REPLY).unwrap();
        assert!(matches!(ask(vec![foreign]).await.0, Err(ExecutorError::Json(_))));
    }

    #[tokio::test]
    async fn an_absent_executor_is_named_with_its_path() {
        let client = ExecutorClient::at_socket("/nonexistent/executor.sock");
        let error = client.ask(&RunId::parse("run-1").unwrap(), recall(), |_| {}).await.unwrap_err();
        assert_eq!(error.to_string(), "can't reach the executor at /nonexistent/executor.sock");
    }
}
