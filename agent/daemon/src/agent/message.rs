//! What others may ask of the agent, and the handle that they ask through. What comes of it is the agent's.

use std::time::Duration;

use patchd_core::report::Operation;
use patchd_core::run::Wish;
use patchd_protocol::config::Settings;
use patchd_protocol::control::windows::WindowsDocument;
use patchd_protocol::control::{HealthDocument, RunAnswer, RunTrigger, StatusDocument};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::journal::JournalError;

/// How many messages may wait for the agent.
pub(super) const INBOX: usize = 32;

/// How long the agent may take to answer: its loop waits for nothing but its own disk.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// One message to the agent.
#[derive(Debug)]
pub(super) enum Message {
    StartRun {
        operation: Operation,
        wish: Wish,
        trigger: RunTrigger,
        reply: oneshot::Sender<Result<RunAnswer, Refusal>>,
    },
    StopRun {
        id: String,
        by: String,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Pause {
        by: String,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Resume {
        by: String,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Status {
        reply: oneshot::Sender<StatusDocument>,
    },
    /// The same, by what is known.
    StatusAsItIs {
        reply: oneshot::Sender<StatusDocument>,
    },
    Health {
        reply: oneshot::Sender<HealthDocument>,
    },
    Windows {
        reply: oneshot::Sender<WindowsDocument>,
    },
    Reload {
        settings: Box<Settings>,
    },
    /// What reports call this host, as it turned out.
    Named {
        host: String,
    },
}

/// Why the agent did not do what it was asked.
#[derive(Debug, Error)]
pub enum Refusal {
    #[error("no run under way has this id")]
    NotUnderWay,
    #[error("the run has nothing left that a stop could keep it from")]
    NotStoppable,
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("patchd is stopping")]
    Stopping,
    #[error("patchd's loop did not answer in time")]
    Silent,
}

/// How the rest of the daemon speaks with the agent.
#[derive(Debug, Clone)]
pub struct AgentHandle {
    inbox: mpsc::Sender<Message>,
}

impl AgentHandle {
    pub(super) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (inbox, messages) = mpsc::channel(INBOX);
        (Self { inbox }, messages)
    }

    /// The agent's own way to itself, which keeps nobody's inbox open.
    pub(super) fn downgrade(&self) -> mpsc::WeakSender<Message> {
        self.inbox.downgrade()
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.inbox.send(message(reply)).await.map_err(|_| Refusal::Stopping)?;
            answer.await.map_err(|_| Refusal::Stopping)
        };
        tokio::time::timeout(ANSWER_LIMIT, asked).await.unwrap_or(Err(Refusal::Silent))
    }

    /// Asks for a run. There is one at a time: the answer may be one that was under way before.
    pub async fn start_run(
        &self,
        operation: Operation,
        wish: Wish,
        trigger: RunTrigger,
    ) -> Result<RunAnswer, Refusal> {
        self.ask(|reply| Message::StartRun { operation, wish, trigger, reply }).await?
    }

    /// Asks for a run to end before it changes anything more.
    pub async fn stop_run(&self, id: String, by: String) -> Result<(), Refusal> {
        self.ask(|reply| Message::StopRun { id, by, reply }).await?
    }

    /// Makes the agent change nothing until it is told to go on. It still looks.
    pub async fn pause(&self, by: String) -> Result<(), Refusal> {
        self.ask(|reply| Message::Pause { by, reply }).await?
    }

    pub async fn resume(&self, by: String) -> Result<(), Refusal> {
        self.ask(|reply| Message::Resume { by, reply }).await?
    }

    pub async fn status(&self) -> Result<StatusDocument, Refusal> {
        self.ask(|reply| Message::Status { reply }).await
    }

    pub async fn health(&self) -> Result<HealthDocument, Refusal> {
        self.ask(|reply| Message::Health { reply }).await
    }

    pub async fn windows(&self) -> Result<WindowsDocument, Refusal> {
        self.ask(|reply| Message::Windows { reply }).await
    }

    /// Hands over new settings. What is under way goes on by the old ones.
    pub async fn reload(&self, settings: Settings) -> Result<(), Refusal> {
        let message = Message::Reload { settings: Box::new(settings) };
        self.inbox.send(message).await.map_err(|_| Refusal::Stopping)
    }

    /// Tells what this host is called, as soon as that is known.
    pub async fn named(&self, host: String) -> Result<(), Refusal> {
        self.inbox.send(Message::Named { host }).await.map_err(|_| Refusal::Stopping)
    }
}
